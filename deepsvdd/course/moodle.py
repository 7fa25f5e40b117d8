"""Quizzes for Moodle: GIFT, which many platforms read, and Moodle XML.

https://docs.moodle.org/en/GIFT_format and https://docs.moodle.org/en/Moodle_XML_format
"""

from __future__ import annotations

import re
from html import escape as escape_html
from xml.etree import ElementTree as ET

from deepsvdd.course.quizzes import Question, as_html


def brackets(formula: str) -> str:
    """Return a formula as Moodle's MathJax looks for it."""
    return rf'<span class="math">\({escape_html(formula)}\)</span>'


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

    Examples
    --------
    >>> print(escape(r"Is $\nu = 1$ *so*?"))
    Is <span class\="math">\\(\\nu \= 1\\)</span> <em>so</em>?
    """
    return re.sub(r"([~=#{}:\\])", r"\\\1", as_html(text, brackets))


def moodle_xml(quizzes: dict[str, list[Question]]) -> str:
    """Return quizzes as Moodle XML: a category each, goals as tags."""
    root = ET.Element("quiz")
    for category, questions in quizzes.items():
        entry = ET.SubElement(root, "question", type="category")
        _text(entry, "category", f"$course$/top/{category}")
        for number, question in enumerate(questions, 1):
            root.append(_multichoice(f"{category}, {number}", question))
    ET.indent(root)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        + ET.tostring(root, encoding="unicode")
        + "\n"
    )


def _multichoice(name: str, question: Question) -> ET.Element:
    entry = ET.Element("question", type="multichoice")
    _text(entry, "name", name)
    _text(entry, "questiontext", as_html(question.text, brackets), format="html")
    for tag, value in {
        "defaultgrade": "1",
        "penalty": "0.3333333",  # Moodle's own default, for a second try
        "hidden": "0",
        "single": "true",
        "shuffleanswers": "true",
        "answernumbering": "abc",
    }.items():
        ET.SubElement(entry, tag).text = value
    for option in question.options:
        fraction = "100" if option.correct else "0"
        html = as_html(option.text, brackets)
        answer = ET.SubElement(entry, "answer", fraction=fraction, format="html")
        ET.SubElement(answer, "text").text = html
        _text(answer, "feedback", as_html(option.why, brackets), format="html")
    if question.goals:
        tags = ET.SubElement(entry, "tags")
        for goal in question.goals:
            _text(tags, "tag", f"goal {goal}")
    return entry


def _text(parent: ET.Element, tag: str, text: str, **attributes: str) -> None:
    ET.SubElement(ET.SubElement(parent, tag, attributes), "text").text = text
