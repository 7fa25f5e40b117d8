"""All questions of the book and a hard one, and what a platform should say of them."""

import re
from html import unescape

from deepsvdd.course.quizzes import Option, Question, read_quizzes
from tests import ROOT

QUIZZES = ROOT / "book/quizzes"
# What is hard for one of the formats: special characters, formulas, two options.
HARD = {
    "Chapter 1": [
        Question(
            r"Is $\nu \le 1$ & {x} = ~#: *so* \\ `a < b`?",
            (
                Option(r"Yes: $\frac{1}{\nu n} > 0$", True, r"As $R^2 \ge 0$."),
                Option("No = never", False, "Then 1 < 0."),
            ),
            goals=(2, 3),
        )
    ]
}


def all_quizzes():
    """The book's quizzes, and one that is hard to write."""
    return read_quizzes(QUIZZES) | {"Hard": HARD["Chapter 1"]}


def said(quizzes):
    """What each question says: its text, and text, truth and why of each option."""
    return [
        (question.text, [(o.text, o.correct, o.why) for o in question.options])
        for questions in quizzes.values()
        for question in questions
    ]


def plain(html):
    """The words of a text: no markup, formulas or special characters."""
    text = re.sub(r"<(img\b.*?/>|((?:\w+:)?math)\b.*?</\2>)", "", html, flags=re.DOTALL)
    text = re.sub(
        r"\$.*?\$|\\\(.*?\\\)", "", unescape(re.sub("<[a-z/][^>]*>", "", text))
    )
    return re.sub(r"[^\w]+", " ", text).strip()


def compared(found):
    return [(plain(q), [(plain(t), c, plain(w)) for t, c, w in o]) for q, o in found]
