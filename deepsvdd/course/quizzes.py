"""The chapters' questions: read from YAML, written for learning platforms as GIFT.

GIFT is the plain text format that Moodle and others import:
https://docs.moodle.org/en/GIFT_format
"""

from __future__ import annotations

import re
import reprlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_ROLE = re.compile(r"\{[a-z:]+\}`([^`<]*?)(?:\s*<[^`>]*>)?`")


@dataclass(frozen=True)
class Option:
    """An answer to choose, and what to say to who chose it. Texts are MyST."""

    text: str
    correct: bool
    why: str


@dataclass(frozen=True)
class Question:
    """A question with exactly one correct option."""

    text: str
    options: tuple[Option, ...]


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
    if not isinstance(entry, dict) or set(entry) != {"question", "options"}:
        raise ValueError(f"{where} must have question and options, and nothing else")
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
    return Question(str(entry["question"]).strip(), tuple(texts))


def require_text(value: Any, where: str) -> None:
    """Raise ValueError unless a value is text, or a number, which stands for itself."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number and not (isinstance(value, str) and value.strip()):
        raise ValueError(f"{where} must be text, but it is {reprlib.repr(value)}")


def gift(quizzes: dict[str, list[Question]]) -> str:
    """Return quizzes, by their category's name, as GIFT."""
    blocks = []
    for category, questions in quizzes.items():
        blocks.append(f"$CATEGORY: {category}")
        for number, question in enumerate(questions, 1):
            lines = [
                f"{'=' if o.correct else '~'}{escape(o.text)}#{escape(o.why)}"
                for o in question.options
            ]
            title = escape(f"{category}, {number}")
            head = f"::{title}::[html]{escape(question.text)} {{"
            blocks.append("\n".join([head, *lines, "}"]))
    return "\n\n".join(blocks) + "\n"


def escape(text: str) -> str:
    r"""Return a MyST paragraph as HTML whose special characters GIFT leaves alone.

    Formulas get the brackets that Moodle's MathJax looks for; roles lose their markup.

    Examples
    --------
    >>> print(escape(r"Is $\nu = 1$ *so*?"))
    Is <span class\="math">\\(\\nu \= 1\\)</span> <em>so</em>?
    """
    import mistune

    render = mistune.create_markdown(escape=True, plugins=["math"])
    html = str(render(_ROLE.sub(r"\1", text))).strip()
    html = " ".join(html.removeprefix("<p>").removesuffix("</p>").split())
    return re.sub(r"([~=#{}:\\])", r"\\\1", html)
