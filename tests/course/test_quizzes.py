"""The chapters' questions: read, exported as GIFT, and shown on a page."""

import html
import io
import re
import sys
from html.parser import HTMLParser

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.course.cli import main
from deepsvdd.course.moodle import escape, gift
from deepsvdd.course.quizzes import Option, Question, read_quiz
from tests import ROOT

FILES = sorted((ROOT / "book/quizzes").glob("*.yml"))

QUIZ = """\
- question: "Is $R^2 = 1$ for *unit* vectors {x: 1}?"
  options:
    - {text: "Yes, always.", correct: true, why: "Their norm is 1."}
    - {text: "No ~ never.", correct: false, why: "See $\\\\lVert x \\\\rVert$."}
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "01.yml"
    path.write_text(QUIZ)
    return path


def test_a_quiz_is_read(path):
    (question,) = read_quiz(path)
    assert question.text.startswith("Is $R^2 = 1$")
    assert [option.correct for option in question.options] == [True, False]
    assert question.options[0].why == "Their norm is 1."


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("correct: false", "correct: true", "one of them correct, but it has 2 and 2"),
        ("correct: true", "correct: false", "it has 2 and 0"),
        ("correct: true", "correct: 'yes'", "correct must be true or false, but it is"),
        ("correct: true", "correct: null", "question 1, option 1: correct must be"),
        ("why: ", "because: ", "must have text, correct and why"),
        ("options:\n", "options: null\n", "must be YAML"),
        ("question: ", "ask: ", "must have question and options"),
        ("- question", "- goals: 2\n  question", "goals must be a list of numbers"),
        ("- question", "- goals: [0]\n  question", "goals must be a list of numbers"),
        ("- question", "- goals: ['1']\n  question", "question 1: goals must be a"),
        ("- question", "question", "must be"),
        ("options:", "options: {", "must be YAML"),
    ],
)
def test_a_wrong_quiz_is_named(path, old, new, message):
    path.write_text(QUIZ.replace(old, new))
    with pytest.raises(ValueError, match=r"01.yml") as caught:
        read_quiz(path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("{question: q, options: null}", "question 1: options must be a list"),
        (
            "{question: q, options: 3}",
            "question 1: options must be a list, but it is 3",
        ),
        ("{question: q, options: [1, 2]}", "but option 1 is 1"),
        ("{question: q, options: [null]}", "but option 1 is None"),
        ("{question: q, options: [[text, correct, why]]}", "but option 1 is ["),
        ("{question: [q], options: []}", "question 1: question must be text, but it"),
        ("{question: null, options: []}", "question must be text, but it is None"),
        ("{question: '', options: []}", "question must be text, but it is ''"),
        ("{question: {a: b}, options: []}", "question must be text"),
        (
            "{question: q, options: [{text: [a], correct: true, why: b}]}",
            "question 1, option 1: text must be text, but it is ['a']",
        ),
        (
            "{question: q, options: [{text: a, correct: true, why: null}]}",
            "question 1, option 1: why must be text, but it is None",
        ),
        ("[question, options]", "must have question and options"),
        ("null", "must have question and options"),
        ("2001-02-30", "must be YAML"),
        ("[" * 3000, "must be YAML"),
    ],
)
def test_a_quiz_of_wrong_types_is_named_by_question_and_field(path, entry, message):
    path.write_text(f"- {entry}\n")
    done = CliRunner().invoke(main, ["quiz", "out.gift", "--sources", str(path)])
    assert done.exit_code == 1
    assert done.output.startswith("Error: 01.yml")
    assert message in done.output
    assert done.output.count("\n") == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_quiz_in_the_encodings_of_windows_is_read(path, encoding):
    path.write_text(QUIZ.replace("Yes, always.", "ν: ja"), encoding)
    assert read_quiz(path)[0].options[0].text == "ν: ja"


# --- GIFT -------------------------------------------------------------------------


def read_gift(text):
    """Read what `gift` writes, after the rules of the format: (question, options)."""

    def plain(escaped):
        return html.unescape(re.sub(r"\\([~=#{}:\\])", r"\1", escaped)).strip()

    # A part ends before a special character that no backslash stands before; a
    # backslash takes the character after it along.
    part = r"((?:[^~=#{}\\]|\\.)*)"
    found = []
    for block in text.strip().split("\n\n"):
        if block.startswith("$CATEGORY"):
            continue
        head = re.match(rf"::(?:[^:\\]|\\.)*::\[html\]{part}\{{\n", block)
        options = re.findall(rf"([~=]){part}#{part}", block[head.end() :])
        assert block.endswith("\n}")
        found.append(
            (plain(head[1]), [(m == "=", plain(t), plain(w)) for m, t, w in options])
        )
    return found


# No letters with a meaning in Markdown, which is not what this is about.
WORDS = st.text("ab ~=#{}:<>&ν.", min_size=1).map(lambda t: f"a{' '.join(t.split())}a")


@given(WORDS, st.lists(st.tuples(WORDS, WORDS), min_size=2, max_size=5), st.data())
def test_gift_says_what_the_quiz_says(text, pairs, data):
    right = data.draw(st.integers(0, len(pairs) - 1))
    options = [Option(t, i == right, why) for i, (t, why) in enumerate(pairs)]
    written = gift({"Chapter 1": [Question(text, tuple(options))]})
    expected = [(option.correct, option.text, option.why) for option in options]
    assert read_gift(written) == [(text, expected)]


def test_gift_has_formulas_as_moodle_reads_them():
    # Moodle takes \\ for one backslash, and \n for the end of a line.
    assert r"\\(\\nu\{a\}_b*c*\\)" in escape(r"$\nu{a}_b*c*$")
    assert escape("{ref}`the end <sec-end>`, {term}`AUC`, `x`") == (
        "the end, AUC, <code>x</code>"
    )


def test_the_command_writes_all_quizzes(path, tmp_path):
    out = tmp_path / "quizzes.gift"
    done = CliRunner().invoke(main, ["quiz", str(out), "--sources", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "1 questions in 1 quizzes" in done.output
    assert out.read_text().startswith("$CATEGORY: Chapter 1\n")
    assert len(read_gift(out.read_text())) == 1


# --- the page ---------------------------------------------------------------------


class Elements(HTMLParser):
    """Collects start tags, and the text of each label."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def sphinx(source, **options):
    """Build a page with nothing but the directive."""
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace, patch_docutils

    settings = {
        "extensions": ["myst_parser", "quiz"],
        "myst_enable_extensions": ["dollarmath"],
    }
    folders = (source, None, source / "out", source / "trees", "html")
    sys.path.insert(0, str(ROOT / "book/_ext"))
    try:
        with patch_docutils(), docutils_namespace():
            Sphinx(*folders, settings, status=None, **options).build()
    finally:
        sys.path.pop(0)


def test_the_page_asks_with_radio_buttons(path, tmp_path):
    source = tmp_path / "source"
    (source / "quizzes").mkdir(parents=True)
    path.rename(source / "quizzes/01.yml")
    (source / "index.md").write_text("# Page\n\n```{quiz} 01\n```\n")
    sphinx(source, warningiserror=True)
    page = (source / "out/index.html").read_text()
    elements = Elements()
    elements.feed(page)
    buttons = [
        a for tag, a in elements.found if tag == "input" and a["type"] == "radio"
    ]
    labels = {a["for"] for tag, a in elements.found if tag == "label"}
    assert len(buttons) == 2
    assert {button["name"] for button in buttons} == {"quiz-01-1"}
    assert {button["id"] for button in buttons} == labels
    # The style sheet shows the element after the label of the button that is checked.
    assert re.search(r'<label [^>]*>.*?</label>\s*<div class="right">', page, re.DOTALL)
    assert "<em>unit</em>" in page
    assert r"\(R^2 = 1\)" in page
    assert "<legend" in page


@pytest.mark.parametrize(
    ("goals", "shown"), [("[2]", "(goal 2)"), ("[1, 3]", "(goals 1 and 3)")]
)
def test_the_page_names_the_goals(tmp_path, goals, shown):
    (tmp_path / "quizzes").mkdir()
    quiz = QUIZ.replace("- question", f"- goals: {goals}\n  question")
    (tmp_path / "quizzes/01.yml").write_text(quiz)
    (tmp_path / "index.md").write_text("# Page\n\n```{quiz} 01\n```\n")
    sphinx(tmp_path, warningiserror=True)
    page = (tmp_path / "out/index.html").read_text()
    assert f'<span class="goal"> {shown}</span>' in page


def test_a_quiz_that_is_not_there_is_an_error(tmp_path):
    (tmp_path / "index.md").write_text("# Page\n\n```{quiz} 99\n```\n")
    warnings = io.StringIO()
    sphinx(tmp_path, warning=warnings)
    assert "99.yml" in warnings.getvalue()


# --- the book's -------------------------------------------------------------------


def test_every_chapter_has_a_quiz():
    chapters = sorted(p.stem[:2] for p in (ROOT / "book").glob("[0-9][0-9]-*.ipynb"))
    assert [file.stem for file in FILES] == chapters


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_quiz_has_four_to_six_questions(file):
    questions = read_quiz(file)
    assert 4 <= len(questions) <= 6
    places = {[o.correct for o in q.options].index(True) for q in questions}
    assert len(places) > 1  # the right answer is not always in the same place
    assert len(read_gift(gift({"Chapter": questions}))) == len(questions)
