"""Submissions are recognized, whatever students and editors did to them."""

import base64
import itertools

import nbformat
import pytest

from deepsvdd.course import feedback
from deepsvdd.course.grade import Result
from deepsvdd.course.markbook import Entry, merge
from deepsvdd.course.submission import goes_on, recognise
from tests.course import (
    FULL,
    MEAN,
    MEDIAN,
    SPREAD,
    cell,
    earned,
    grade,
    handed_in,
    named,
)


def changed(toy, given, change):
    """What a full solution becomes by a change of its list of cells."""
    notebook = handed_in(given, mean=MEAN)
    notebook.cells = change(notebook.cells)
    return recognise(toy, given, notebook)


def bare(cells, strip_marker=True):
    """Cells without metadata, ids and, if wished, the lines that name tasks."""
    return [
        nbformat.from_dict(
            {**one, "metadata": {}, "id": f"x{number}"}
            | {"source": one.source.replace("# task: " if strip_marker else "\0", "# ")}
        )
        for number, one in enumerate(cells)
    ]


def test_an_unchanged_notebook_needs_no_remark(toy, given):
    found = changed(toy, given, list)
    assert found.remarks == []
    assert found.extras == {}
    assert found.texts == {"why": "Because."}
    assert found.solutions == {"mean": [MEAN], "spread": [SPREAD]}


def test_lost_metadata_are_made_up_for(toy, given):
    found = changed(toy, given, bare)
    (remark,) = found.remarks
    assert remark == "metadata lost in 7 cell(s); recognized by what is in them"
    assert found.texts == {"why": "Because."}
    assert found.solutions == {"mean": [MEAN], "spread": [SPREAD]}
    assert found.extras == {}


def test_the_marker_names_a_solution_that_defines_nothing(toy, given):
    def change(cells):
        named(cells, "mean").source = "# task: mean\nmean = print"
        return bare(cells, strip_marker=False)[::-1]

    assert changed(toy, given, change).solutions["mean"] == [
        "# task: mean\nmean = print"
    ]


def test_deleted_and_changed_tests_are_put_back(toy, given):
    def change(cells):
        named(cells, "mean-even").source = "pass"
        cells.remove(named(cells, "mean-value"))
        return cells

    found = changed(toy, given, change)
    assert found.remarks == [
        "test mean-value was deleted; put back",
        "test mean-even was changed; put back",
    ]


def test_of_copies_the_last_counts_and_stubs_do_not(toy, given):
    def change(cells):
        mean = named(cells, "mean")
        wrong = nbformat.from_dict({**mean, "source": MEDIAN})
        stub = named(given.cells, "mean")
        return [*cells[:3], wrong, *cells[3:], stub]

    found = changed(toy, given, change)
    assert found.solutions["mean"] == [MEDIAN, MEAN]
    assert found.remarks == ["mean is there 2 times; all ran"]


def test_no_cell_at_all(toy, given):
    found = changed(toy, given, lambda cells: [])
    assert found.solutions == {"mean": [], "spread": []}
    assert len(found.remarks) == 6


# --- cells that were split --------------------------------------------------------

LONG_MEAN = """\
def mean(values):
    total = sum(values)
    total = total / len(values)
    return total
"""


def split(given, *cuts, copied=True, source=LONG_MEAN):
    """A submission whose cell `mean` was split below some of its lines."""
    notebook = handed_in(given, mean=source)
    whole = named(notebook.cells, "mean")
    place = notebook.cells.index(whole)
    lines = source.split("\n")
    bounds = [0, *cuts, len(lines)]
    pieces = [
        nbformat.from_dict(
            {**whole, "source": "\n".join(lines[a:b]), "id": f"piece{a}"}
            | ({} if copied or a == 0 else {"metadata": {}})
        )
        for a, b in itertools.pairwise(bounds)
    ]
    notebook.cells[place : place + 1] = pieces
    return notebook


@pytest.mark.parametrize("cuts", [(1,), (2,), (3,), (1, 2, 3)], ids=str)
@pytest.mark.parametrize("copied", [True, False], ids=["metadata", "none"])
def test_a_split_solution_is_put_together(toy, given, cuts, copied):
    found = recognise(toy, given, split(given, *cuts, copied=copied))
    assert found.solutions["mean"] == [LONG_MEAN]
    assert found.extras == {}
    (remark,) = found.remarks
    assert remark == (
        f"mean was in {len(cuts) + 1} cells, one below the other; put together"
    )


def test_a_split_solution_gets_its_marks(bench, given):
    result = grade(bench, given, split(given, 2, copied=False))
    assert earned(result) == FULL
    assert "put together" in result.remarks[0]


@pytest.mark.parametrize("copied", [True, False])
def test_what_was_split_between_functions_runs_piece_by_piece(toy, given, copied):
    source = "def total(v):\n    return sum(v)\n" + MEAN.replace("sum(", "total(")
    found = recognise(toy, given, split(given, 2, copied=copied, source=source))
    assert "put together" not in "".join(found.remarks)
    pieces = found.solutions["mean"] + found.extras.get(3, [])
    assert "\n".join(pieces) == source


@pytest.mark.parametrize(
    ("above", "below", "expected"),
    [
        ("x = [", "1]", True),
        ("x = [\n    1,", "]", True),
        ("if x:\n    y = 1", "else:\n    y = 2", True),
        ("def f():", "# why\n    return 1", True),
        ("def f():\n    return 1  # so:", "x = 1", False),
        ("x = 1", "elsewhere = 2", False),
        ("x = 1", "# a note", False),
        ("", "x = 1", False),
    ],
)
def test_what_goes_on_looks_so(above, below, expected):
    assert goes_on(above, below) is expected


def test_a_cell_of_ones_own_between_is_no_rest(toy, given):
    notebook = split(given, 2, copied=False)
    notebook.cells.insert(4, cell("print('hello')"))
    found = recognise(toy, given, notebook)
    assert found.extras[3] == ["print('hello')", "    total = total / len(values)\n"
                               "    return total\n"]  # fmt: skip


# --- texts ------------------------------------------------------------------------

PICTURE = base64.b64encode(b"\x89PNG not really").decode()
SCAN = base64.b64encode(b"\xff\xd8\xff\xe0 not really").decode()


def answered(toy, given, *cells, **fields):
    """A submission with an answer in some cells, and its page for the marker."""
    notebook = handed_in(given, mean=MEAN, why=cells[0])
    why = named(notebook.cells, "why")
    why.update(fields)
    place = notebook.cells.index(why) + 1
    notebook.cells[place:place] = map(nbformat.v4.new_markdown_cell, cells[1:])
    found = recognise(toy, given, notebook)
    result = Result("jane", "9-toy", "j.ipynb", {}, found.texts)
    result.pictures = found.pictures
    return found, feedback.page(toy, merge(toy, result, Entry()))


def test_text_in_cells_below_an_answer_belongs_to_it(toy, given):
    stub = named(given.cells, "why").source
    for first in ("Because", stub):
        found, page = answered(toy, given, first, "it is", "so.")
        own = [text for text in (first, "it is", "so.") if text != stub]
        assert found.texts["why"] == "\n\n".join(own)
        assert "why was in 3 cells" in "".join(found.remarks)
        assert "it is" in page


def test_text_around_an_answer_belongs_to_it(toy, given):
    """Above the placeholder, below it, and below code of one's own."""
    notebook = handed_in(given, mean=MEAN, why=named(given.cells, "why").source)
    place = notebook.cells.index(named(notebook.cells, "why"))
    shown = nbformat.v4.new_output(
        "display_data", {"image/png": PICTURE, "text/plain": "<Figure>"}
    )
    plot = nbformat.v4.new_code_cell("plot()", outputs=[shown])
    below = nbformat.v4.new_markdown_cell("Below.")
    notebook.cells[place + 1 :] = [plot, below]
    notebook.cells.insert(place, nbformat.v4.new_markdown_cell("Above."))
    notebook.cells.insert(2, nbformat.v4.new_markdown_cell("A note."))
    found = recognise(toy, given, notebook)
    assert found.texts["why"] == "Above.\n\nBelow."
    assert found.pictures["why"] == [f"data:image/png;base64,{PICTURE}"]


def test_a_scan_in_a_cell_of_its_own_reaches_the_marker(toy, given):
    notebook = handed_in(given, mean=MEAN, why=named(given.cells, "why").source)
    scan = nbformat.v4.new_markdown_cell(
        '![my scan](attachment:my%20scan.jpg "page 1") ![two](two.jpg)',
        attachments={"my scan.jpg": {"image/jpg": SCAN}},
    )
    place = notebook.cells.index(named(notebook.cells, "why"))
    notebook.cells.insert(place + 1, scan)
    found = recognise(toy, given, notebook)
    assert found.pictures["why"] == [f"data:image/jpeg;base64,{SCAN}"]
    assert "why: the picture two.jpg is not in the notebook" in found.remarks
    result = Result("jane", "9-toy", "j.ipynb", {}, found.texts)
    result.pictures = found.pictures
    final = merge(toy, result, Entry())
    assert final.points["why"] is None  # a person has to look at it
    assert SCAN in feedback.page(toy, final)


@pytest.mark.parametrize("as_lines", [False, True])
def test_a_photo_reaches_the_marker(toy, given, as_lines):
    content = [PICTURE[:8] + "\n", PICTURE[8:]] if as_lines else PICTURE
    found, page = answered(
        toy,
        given,
        "See ![it](attachment:p.png).",
        attachments={"p.png": {"image/png": content}},
    )
    assert found.remarks == []
    assert found.texts["why"] == "See ![it](attachment:p.png)."
    assert f'<img src="data:image/png;base64,{PICTURE}" alt="Picture 1' in page


def test_a_photo_without_a_word_is_an_answer(toy, given):
    stub = named(given.cells, "why").source
    photo = {"p.jpg": {"image/jpeg": PICTURE}}
    found, page = answered(toy, given, stub, attachments=photo)
    assert found.texts["why"] == "(pictures)"
    assert "data:image/jpeg" in page


def test_a_photo_that_colab_wrote_into_the_text_reaches_the_marker(toy, given):
    text = f"![image.png](data:image/png;base64,{PICTURE})"
    found, page = answered(toy, given, text)
    assert found.texts["why"] == "![image.png](picture)"
    assert page.count(PICTURE) == 1


@pytest.mark.parametrize(
    ("fields", "remark"),
    [
        ({}, "why: the picture p.png is not in the notebook"),
        ({"attachments": [1]}, "the picture p.png is not in the notebook"),
        ({"attachments": {"p.png": "x"}}, "the picture p.png is not in the notebook"),
        (
            {"attachments": {"p.png": {"image/svg+xml": PICTURE}}},
            "why: a picture cannot be shown (image/svg+xml)",
        ),
        (
            {"attachments": {"p.png": {"image/png": 'no ba"se64>'}}},
            "why: a picture cannot be shown (image/png)",
        ),
    ],
)
def test_a_picture_that_cannot_be_shown_is_a_remark(toy, given, fields, remark):
    found, page = answered(toy, given, "![it](attachment:p.png)", **fields)
    assert remark in "; ".join(found.remarks)
    assert "<img" not in page
