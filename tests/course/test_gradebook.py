"""Marks go back in the form that Moodle's and Canvas's importers read."""

import csv
import io
import re

import pytest

from deepsvdd.course.collection import collect
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.gradebook import gradebooks
from deepsvdd.course.markbook import Entry, merge
from tests.course import FULL
from tests.course.downloads import blackboard, canvas, flat, moodle, unpack
from tests.course.test_roster import CANVAS, MOODLE, roster

TYPED = [
    Entry({"why": 1.5}, {"": "<Good>\nwork", "why": "=so"}),
    Entry({"why": 0}),
    Entry(),
]


def tables(toy, download, tmp_path, students=None, typed=TYPED):
    """The gradebooks of three people: two marked, one with a text to mark."""
    folder = unpack(download, tmp_path / "in")
    files = collect(folder, tmp_path / "into", [toy], roster=students).files
    marks = {name: Mark(points, "passed") for name, points in FULL.items()}
    marked = []
    for number, file in enumerate(files):
        result = Result(file.student, "9-toy", file.path.name, marks, {"why": "So."})
        marked.append((file, merge(toy, result, typed[number])))
    texts, notices = gradebooks(toy, marked, students)
    return {
        platform: list(csv.reader(io.StringIO(text)))
        for platform, text in texts.items()
    }, [notice.what for notice in notices]


def moodles_import(rows):
    """What mod/assign/feedback/offline/importgradeslib.php reads from a worksheet."""
    header, *lines = rows
    number, grade = header.index("Identifier"), header.index("Grade")
    assert "Last modified (grade)" in header
    prefix = len("Participant ")  # it cuts off as many letters
    return {int(line[number][prefix:]): line[grade] for line in lines}


def canvas_import(rows):
    """What lib/gradebook_importer.rb reads from a gradebook with one assignment."""
    header, points, *lines = rows
    assert "Student" in header[0]
    assert header[1] == "ID"
    assert header[-2] == "Section"
    assert "Points Possible" in points[0]
    assert all(len(line) == len(header) for line in [points, *lines])
    found = re.fullmatch(r"(.*?)(?: \((\d+)\))?", header[-1])
    return found.groups(), float(points[-1]), {int(x[1]): x[-1] for x in lines}


def test_moodle_takes_its_worksheet_back(toy, given, tmp_path):
    made, notices = tables(toy, moodle(given), tmp_path)
    assert made.keys() == {"moodle"}
    assert moodles_import(made["moodle"]) == {1001: "7.5", 1002: "6", 1003: ""}
    assert notices == []
    comments = [row[-1] for row in made["moodle"]]
    assert comments == [
        "Feedback comments",
        "&lt;Good&gt;<br>work<br><br>Why: =so",
        "",
        "",
    ]


def test_moodles_own_worksheet_is_filled_in(toy, given, tmp_path):
    students = roster(tmp_path, MOODLE)
    made, _ = tables(toy, moodle(given), tmp_path, students)
    assert moodles_import(made["moodle"]) == {1001: "7.5", 1002: "6", 1003: ""}
    assert made["moodle"][0] == students.header
    assert made["moodle"][2][3] == "bo@example.org"


def test_canvas_takes_its_gradebook_back(toy, given, tmp_path):
    made, notices = tables(toy, canvas(given), tmp_path)
    assert made.keys() == {"canvas"}
    title, points, grades = canvas_import(made["canvas"])
    assert (title, points) == (("Toy: sums", None), 8)
    assert grades == {501: "7.5", 502: "6"}  # and nothing is taken from the third
    assert notices == []


def test_in_canvas_own_export_the_assignment_is_found(toy, given, tmp_path):
    students = roster(tmp_path, CANVAS)
    made, _ = tables(toy, canvas(given), tmp_path, students)
    title, _, grades = canvas_import(made["canvas"])
    assert title == ("Toy: sums", "78")
    assert grades == {501: "7.5", 502: "6"}  # and nothing is taken from the third
    assert made["canvas"][2][:5] == ["Example, Ada", "501", "S1", "aexample", "ML 1"]


def test_a_roster_of_canvas_serves_files_from_elsewhere(toy, given, tmp_path):
    students = roster(tmp_path, CANVAS)
    typed = [Entry(), Entry(), Entry({"why": 2})]  # Ada is the last
    made, notices = tables(toy, flat(given), tmp_path, students, typed)
    assert canvas_import(made["canvas"])[2] == {501: "8"}
    assert notices == ["not in the gradebook: no row of the roster"] * 2


@pytest.mark.parametrize("layout", [blackboard, flat])
def test_where_no_platform_asks_there_is_no_table(toy, given, tmp_path, layout):
    assert tables(toy, layout(given), tmp_path) == ({}, [])


def test_people_without_ids_are_not_guessed(toy, given, tmp_path):
    files = {
        "anon_x7_9001_9-toy.ipynb": canvas(given)["exampleada_501_9001_9-toy-1.ipynb"],
        "sampleno_LATE_5_9002_9-toy.ipynb": b"",
    }
    made, notices = tables(toy, files, tmp_path, typed=[Entry({"why": 1})] * 2)
    assert canvas_import(made["canvas"])[2].keys() == {5}
    assert notices == ["not in the gradebook: without an id, it needs --roster"]
