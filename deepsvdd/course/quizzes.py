"""The chapters' questions, read from YAML.

``moodle`` and ``qti`` write them for learning platforms.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import Any

import yaml

_PARTS = {"question", "options"}
# As mistune's plugin writes a formula.
_FORMULA = re.compile(r'<span class="math">\\\((.*?)\\\)</span>', re.DOTALL)
_ROLE = re.compile(r"\{[a-z:]+\}`([^`<]*?)(?:\s*<[^`>]*>)?`")


@dataclass(frozen=True)
class Option:
    """An answer to choose, and what to say to who chose it. Texts are MyST."""

    text: str
    correct: bool
    why: str


@dataclass(frozen=True)
class Question:
    """A question with exactly one correct option.

    ``goals`` are numbers of the chapter's learning goals that it tests.
    """

    text: str
    options: tuple[Option, ...]
    goals: tuple[int, ...] = ()


def read_quizzes(sources: Path) -> dict[str, list[Question]]:
    """Read a file of questions, or all of a folder, by the name of their category.

    Raises
    ------
    ValueError
        If there are none, or one is wrong.
    """
    files = sorted(sources.glob("*.yml")) if sources.is_dir() else [sources]
    if not files:
        raise ValueError(f"sources must hold quizzes (.yml), but '{sources}' has none")
    files.sort(key=lambda file: not file.stem.isdigit())  # chapters first
    return {
        f"Chapter {int(file.stem)}" if file.stem.isdigit() else file.stem: read_quiz(
            file
        )
        for file in files
    }


def read_quiz(path: Path) -> list[Question]:
    """Read and check a file of questions.

    Raises
    ------
    ValueError
        If a question lacks a part, has one of another type, or not exactly one correct
        option of several; the message names file, question and field.
    """
    try:
        content = yaml.safe_load(path.read_bytes())  # in UTF-8 or UTF-16
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path.name} must be YAML: {reason}") from None
    if not isinstance(content, list) or not content:
        raise ValueError(f"{path.name} must be a list of questions")
    return [
        question_from(entry, f"{path.name}, question {number}")
        for number, entry in enumerate(content, 1)
    ]


def question_from(entry: Any, where: str) -> Question:
    """Return one question; `where` begins the message of an error."""
    if not isinstance(entry, dict) or set(entry) - {"goals"} != _PARTS:
        raise ValueError(
            f"{where} must have question and options, and may have goals, nothing else"
        )
    require_text(entry["question"], f"{where}: question")
    options = entry["options"]
    if not isinstance(options, list):
        raise ValueError(
            f"{where}: options must be a list, but it is {reprlib.repr(options)}"
        )
    for number, option in enumerate(options, 1):
        if not isinstance(option, dict) or set(option) != {"text", "correct", "why"}:
            raise ValueError(
                f"{where}: each option must have text, correct and why, and nothing "
                f"else, but option {number} is {reprlib.repr(option)}"
            )
        for name in ("text", "why"):
            require_text(option[name], f"{where}, option {number}: {name}")
        if not isinstance(option["correct"], bool):
            raise ValueError(
                f"{where}, option {number}: correct must be true or false, but it is "
                f"{reprlib.repr(option['correct'])}"
            )
    n_correct = sum(option["correct"] is True for option in options)
    if len(options) < 2 or n_correct != 1:
        raise ValueError(
            f"{where} must have several options, one of them correct, but it has "
            f"{len(options)} and {n_correct}"
        )
    texts = [
        Option(str(o["text"]).strip(), o["correct"], str(o["why"]).strip())
        for o in options
    ]
    goals = entry.get("goals", [])
    if not isinstance(goals, list) or not all(type(g) is int and g > 0 for g in goals):
        raise ValueError(
            f"{where}: goals must be a list of numbers from 1 on, but it is "
            f"{reprlib.repr(goals)}"
        )
    return Question(str(entry["question"]).strip(), tuple(texts), tuple(goals))


def require_text(value: Any, where: str) -> None:
    """Raise ValueError unless a value is text, or a number, which stands for itself."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{where} must be text, but it is {reprlib.repr(value)}")


def as_html(text: str, formula: Callable[[str], str]) -> str:
    r"""Return a MyST paragraph as HTML, with formulas as a platform wants them.

    Roles lose their markup.

    Parameters
    ----------
    text : MyST
    formula : makes HTML of a formula in LaTeX, without its dollar signs

    Examples
    --------
    >>> as_html(r"Is $\nu < 1$ *so*?", "[{}]".format)
    'Is [\\nu < 1] <em>so</em>?'
    """
    import mistune

    render = mistune.create_markdown(escape=True, plugins=["math"])
    html = str(render(_ROLE.sub(r"\1", text))).strip()
    html = " ".join(html.removeprefix("<p>").removesuffix("</p>").split())
    return _FORMULA.sub(lambda match: formula(unescape(match[1])), html)
