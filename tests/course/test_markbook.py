"""What a person typed survives: killed, repeated, and with late files."""

import csv
import os
import subprocess
import sys
import time

import nbformat
import pytest
from click.testing import CliRunner
from hypothesis import given as for_all
from hypothesis import strategies as st

from deepsvdd.course import batch, feedback, markbook
from deepsvdd.course.cli import main
from deepsvdd.course.collection import Person
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.markbook import Entry, merge
from tests import ROOT
from tests.course import FULL, MEAN, NoBench, handed_in, toy_notebook


@pytest.fixture
def place(given, tmp_path, monkeypatch):
    """A folder with a source and two submissions, whose tests are not really run."""
    nbformat.write(toy_notebook(), tmp_path / "9-toy.ipynb")
    for name in ("ada", "bo"):
        hand_in(tmp_path, given, name)
    monkeypatch.setattr(batch, "check_reference", lambda *_: None)
    monkeypatch.setattr(batch, "grade_notebook", pretended)
    monkeypatch.setattr(batch, "Bench", NoBench)
    return tmp_path


def hand_in(place, given, name, why="Because."):
    path = place / "in" / f"{name}-9-toy.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(handed_in(given, mean=MEAN, why=why), path)


def pretended(bench, release, notebook, limits, student, file):
    """Full marks for everybody."""
    marks = {name: Mark(points, "passed") for name, points in FULL.items()}
    return Result(student, bench.assignment.name, file, marks, {"why": "Because."})


def grade(place, *options):
    words = ["grade", str(place / "in"), str(place / "out"), "--jobs=1", "--trust"]
    return CliRunner().invoke(
        main, [*words, "--sources", str(place / "9-toy.ipynb"), *options]
    )


def rows_of(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


def type_in(path, student, **cells):
    """Type into the mark book as a spreadsheet does it: all of the file anew."""
    rows = rows_of(path)
    rows[student] |= cells
    with open(path, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, rows[student])
        writer.writeheader()
        writer.writerows(rows.values())


def state(folder):
    """All that is in a mark book: names, bytes and times."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_what_was_typed_is_in_the_table_and_on_the_page(place):
    done = grade(place)
    assert done.exit_code == 0, done.output
    book = place / "out/mark-book/9-toy.csv"
    assert f"{book}: 2 new row(s) for you to fill in" in done.output
    assert list(rows_of(book)["ada"]) == [
        "id", "student", "why (2)", "why: comment", "comment",
        "mean-value (2)", "mean-even (1)", "spread-value (3)",
    ]  # fmt: skip
    assert rows_of(place / "out/9-toy.csv")["ada"]["pending"] == "2"
    typed = {"why (2)": "1,5", "why: comment": "Say why.", "mean-even (1)": "0"}
    type_in(book, "ada", **typed, comment="Well done.")
    done = grade(place)
    assert done.exit_code == 0, done.output
    assert "new row" not in done.output
    ada, bo = (rows_of(place / "out/9-toy.csv")[name] for name in ("ada", "bo"))
    assert (ada["why (2)"], ada["mean-even (1)"], ada["total (8)"]) == (
        "1.5",
        "0",
        "6.5",
    )
    assert (ada["tests (6)"], ada["texts (2)"], ada["pending"]) == ("5", "1.5", "0")
    assert ada["comment"] == "Well done."
    assert (bo["why (2)"], bo["total (8)"], bo["pending"]) == ("", "6", "2")
    page = (place / "out/9-toy/ada.html").read_text()
    for text in ("6.5 of 8 points", "Say why.", "Well done.", "given by a person"):
        assert text in page


def test_repeated_and_killed_runs_change_nothing_that_was_typed(
    place, given, monkeypatch
):
    grade(place)
    book = place / "out/mark-book"
    type_in(book / "9-toy.csv", "bo", **{"why (2)": "2", "comment": "Schön."})
    before = state(book)

    grade(place)  # repeated
    assert state(book) == before

    hand_in(place, given, "cy")  # late
    for where in (
        (batch, "grade_all"),
        (markbook, "create"),
        (feedback, "write_pages"),
        (feedback, "write_tables"),
        (feedback, "write_text"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(*where, killed)
            assert isinstance(grade(place).exception, (SystemExit, KeyboardInterrupt))
        after = state(book)
        assert {name: after[name] for name in before} == before

    done = grade(place)  # to the end
    assert done.exit_code == 0, done.output
    after = state(book)
    assert {name: after[name] for name in before} == before
    assert after.keys() == {"9-toy.csv", "9-toy-2.csv"}
    assert rows_of(book / "9-toy-2.csv").keys() == {"cy"}
    type_in(book / "9-toy-2.csv", "cy", **{"why (2)": "1"})
    assert grade(place).exit_code == 0
    table = rows_of(place / "out/9-toy.csv")
    assert {name: row["why (2)"] for name, row in table.items()} == {
        "ada": "", "bo": "2", "cy": "1"
    }  # fmt: skip
    assert state(book).keys() == {"9-toy.csv", "9-toy-2.csv"}


def killed(*_, **__):
    raise KeyboardInterrupt


HANGING = """
import sys, time
from pathlib import Path
from deepsvdd.course import batch
from deepsvdd.course.cli import main
from tests.course import NoBench

def hang(*_):
    Path("reached").touch()
    time.sleep(600)

batch.check_reference = lambda *_: None
batch.grade_notebook = hang
batch.Bench = NoBench
main(sys.argv[1:])
"""


def test_a_run_that_is_really_killed_changes_nothing(place, given):
    grade(place)
    book = place / "out/mark-book"
    type_in(book / "9-toy.csv", "bo", **{"why (2)": "2"})
    before = state(book)
    hand_in(place, given, "cy")
    words = ["grade", "in", "out", "--trust", "--sources", "9-toy.ipynb"]
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, *words],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.DEVNULL,
    ) as process:
        while not (place / "reached").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.kill()
    assert state(book) == before
    assert grade(place).exit_code == 0
    assert state(book)["9-toy.csv"] == before["9-toy.csv"]
    table = rows_of(place / "out/9-toy.csv")
    assert (table["bo"]["total (8)"], table["cy"]["pending"]) == ("8", "2")


def test_a_file_made_in_the_meantime_is_not_written_over(tmp_path):
    path = tmp_path / "9-toy.csv"
    path.write_text("typed")
    assert not markbook.create(path, "new")
    assert path.read_text() == "typed"
    assert os.listdir(tmp_path) == ["9-toy.csv"]


def test_a_file_system_without_links_will_do(tmp_path, monkeypatch):
    def no_links(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", no_links)
    assert markbook.create(tmp_path / "a.csv", "new")
    assert not markbook.create(tmp_path / "a.csv", "newer")
    assert (tmp_path / "a.csv").read_text("utf-8-sig") == "new"


def test_marks_that_were_typed_into_the_table_are_kept(place):
    grade(place)
    table = place / "out/9-toy.csv"
    type_in(table, "ada", **{"why (2)": "2"})
    done = grade(place)
    kept = place / "out/9-toy.kept-1.csv"
    assert f"{kept}: somebody changed this table, so it was kept" in done.output
    assert rows_of(kept)["ada"]["why (2)"] == "2"


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (
            {"why (2)": "three"},
            "why must be a number from 0 to 2, or empty; got 'three'",
        ),
        ({"why (2)": "2.5"}, "why must be a number from 0 to 2, or empty; got '2.5'"),
        ({"why (2)": "-1"}, "why must be a number from 0 to 2"),
        ({"why (2)": "nan"}, "why must be a number from 0 to 2"),
        ({"mean-even (1)": "2"}, "mean-even must be a number from 0 to 1"),
    ],
)
def test_what_is_no_mark_is_refused_before_the_work(place, monkeypatch, cells, message):
    grade(place)
    book = place / "out/mark-book/9-toy.csv"
    type_in(book, "bo", **cells)
    before = state(book.parent)
    monkeypatch.setattr(batch, "grade_all", None)  # is not called
    done = grade(place)
    assert done.exit_code == 1
    assert f"{book}, row 3 (bo): {message}" in done.output
    assert state(book.parent) == before


def test_a_row_for_nobody_and_a_workbook_are_reported(place):
    grade(place)
    book = place / "out/mark-book"
    text = (book / "9-toy.csv").read_text("utf-8-sig").replace("bo,", "Di Gone,2,", 1)
    (book / "9-toy.csv").write_text(text)
    (book / "9-toy.xlsx").write_bytes(b"PK")
    done = grade(place)
    assert done.exit_code == 0, done.output
    assert "Di Gone: typed in the mark book, but nobody here is meant" in done.output
    assert "9-toy.xlsx: in the mark book, but not read" in done.output
    assert rows_of(book / "9-toy-2.csv").keys() == {"bo"}


def test_one_thing_typed_in_two_ways_is_refused(place):
    grade(place)
    book = place / "out/mark-book"
    (book / "9-toy-2.csv").write_text("id;student;why\n;bo;1\n")
    assert grade(place).exit_code == 0  # typed once
    type_in(book / "9-toy.csv", "bo", **{"why (2)": "2"})
    done = grade(place)
    assert done.exit_code == 1
    assert "why must be typed once for a student" in done.output
    assert "says '1.0'" in done.output


def test_the_book_may_be_elsewhere(place):
    done = grade(place, "--book", str(place / "mine"))
    assert done.exit_code == 0, done.output
    assert os.listdir(place / "mine") == ["9-toy.csv"]
    assert not (place / "out/mark-book").exists()


# --- whose row --------------------------------------------------------------------

PEOPLE = [
    Person("Bo Sample (007)", "Bo Sample", "007", "canvas"),
    Person("Bo Sample (12345678901234567)", "Bo Sample", "12345678901234567", "canvas"),
    Person("Ada Example (x1)", "Ada Example", "x1", "canvas"),
]


@pytest.mark.parametrize(
    ("number", "student", "expected"),
    [
        ("007", "anything", 0),
        ("7", "Bo Sample", 0),  # as a spreadsheet saves it
        ("X1", "", 2),
        ("", "ADA  example", 2),
        ("", "Bo Sample", None),  # whose?
        ("8", "Ada Example", None),  # the id decides
        ("1.23457E+16", "Bo Sample", None),
        ("1,23457E+16", "Ada Example", 2),
    ],
)
def test_ids_decide_whose_row_it_is(number, student, expected):
    row = markbook.Row(number, student, Entry(), "here")
    person = markbook.person_of(row, PEOPLE)
    assert person == (None if expected is None else PEOPLE[expected])


# --- final marks ------------------------------------------------------------------

NAMES = [*FULL, "why"]
HALVES = st.integers(0, 4).map(lambda number: number / 2)


@for_all(
    earned=st.fixed_dictionaries(dict.fromkeys(FULL, HALVES)),
    typed=st.dictionaries(st.sampled_from(NAMES), HALVES),
    text=st.sampled_from(["", "  ", "Because."]),
)
def test_typed_points_count_else_those_of_the_tests(toy_, earned, typed, text):
    marks = {name: Mark(points, "passed") for name, points in earned.items()}
    result = Result("jane", "9-toy", "a.ipynb", marks, {"why": text})
    final = merge(toy_, result, Entry(dict(typed)))
    open_ = "why" not in typed and bool(text.strip())
    assert final.complete is not open_
    expected = {"why": 0.0} | earned | typed
    assert final.total() == sum(expected.values())
    assert final.points["why"] == (None if open_ else expected["why"])


@pytest.fixture(scope="module")
def toy_(toy):
    return toy


def test_late_work_costs_points_and_an_extension_gives_them_back(place):
    late = ("--late", "10% per day, at most 3 days")
    done = grade(place, *late)
    assert done.exit_code == 0, done.output
    book = place / "out/mark-book/9-toy.csv"
    type_in(book, "ada", **{"why (2)": "2", "days late": "2"})
    done = grade(place, *late)
    assert done.exit_code == 0, done.output
    rows = rows_of(place / "out/9-toy.csv")
    ada, bo = rows["ada"], rows["bo"]
    assert (ada["total (8)"], ada["days late"]) == ("8", "2")
    assert (ada["deduction"], ada["mark"]) == ("1.6", "6.4")
    assert (bo["days late"], bo["deduction"], bo["mark"]) == ("0", "0", "6")
    page = " ".join((place / "out/9-toy/ada.html").read_text().split())
    assert "2 days late: 1.6 points are taken off, and <strong>6.4</strong>" in page
    type_in(book, "ada", **{"days late": "often"})
    done = grade(place, *late)
    assert done.exit_code == 1
    assert "days late must be a number from 0 to 366; got 'often'" in done.output
    done = grade(place, "--late", "half")
    assert done.output.startswith("Error: late must be like '10% per day")
