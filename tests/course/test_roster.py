"""Rosters: a platform's own export or one's own list, matched by id, else by name."""

import pytest

from deepsvdd.course.collection import collect
from deepsvdd.course.roster import match, read_roster
from tests.course.downloads import blackboard, canvas, flat, moodle, unpack

CANVAS = """\
Student,ID,SIS User ID,SIS Login ID,Section,Essay (77),Toy: sums (78),Final Score
    Points Possible,,,,,10,8,(read only)
"Example, Ada",501,S1,aexample,ML 1,9,,
"Sample, Bo",502,S2,bsample,ML 1,,,
"Sample, Bo",503,S3,bsample2,ML 1,,,
"""
MOODLE = """\
Identifier,Full name,ID number,Email address,Status,Grade,Maximum Grade,\
Grade can be changed,Last modified (submission),Last modified (grade),Feedback comments
Participant 1001,Ada Example,7,ada@example.org,Submitted for grading,,8,Yes,\
"Monday, 2 November 2026, 2:03 PM",-,
Participant 1002,Bo Sample,8,bo@example.org,"Submitted for grading, 2 hours late",,8,\
Yes,"Monday, 2 November 2026, 4:03 PM",-,
Participant 1003,Bo Sample,9,bo2@example.org,No submission,,8,Yes,-,-,
"""


def roster(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "roster.csv"
    path.write_bytes(text.encode(encoding))
    return read_roster(path)


def rows(found):
    """The roster's rows by the label of who was found."""
    return {file.student: file.person.row and file.person.row.name for file in found}


def test_an_export_of_canvas_is_a_roster(toy, given, tmp_path):
    students = roster(tmp_path, CANVAS)
    assert students.kind == "canvas"
    assert [student.name for student in students.students] == [
        "Example, Ada", "Sample, Bo", "Sample, Bo"
    ]  # fmt: skip
    folder = unpack(canvas(given), tmp_path / "in")
    collection = collect(folder, tmp_path / "into", [toy], roster=students)
    sections = [file.person.row.cells["SIS User ID"] for file in collection.files]
    assert sections == ["S1", "S2", "S3"]
    assert collection.files[0].person.name == "Example, Ada"


def test_a_worksheet_of_moodle_is_a_roster_and_tells_who_was_late(toy, given, tmp_path):
    students = roster(tmp_path, MOODLE)
    assert students.kind == "moodle"
    folder = unpack(moodle(given), tmp_path / "in")
    collection = collect(folder, tmp_path / "into", [toy], roster=students)
    assert [file.late for file in collection.files] == ["no", "yes", "no"]
    assert collection.files[0].submitted == "Monday, 2 November 2026, 2:03 PM"
    assert collection.files[2].submitted == ""


def test_blackboards_people_are_found_by_user_name(toy, given, tmp_path):
    text = "Last Name,First Name,Username\nExample,Ada,aexample\nSample,Bo,c_sample\n"
    folder = unpack(blackboard(given), tmp_path / "in")
    found = collect(folder, tmp_path / "into", [toy], roster=roster(tmp_path, text))
    assert rows(found.files) == {
        "Ada Example (aexample)": "Ada Example",
        "Bo Sample (b_sample)": None,  # of one name with somebody else's row
        "Bo Sample (c_sample)": "Bo Sample",
    }
    doubts = {notice.student: notice.what for notice in found.report if notice.doubt}
    assert doubts["Bo Sample (b_sample)"] == "no row of the roster fit"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_ones_own_list_from_any_spreadsheet(toy, given, tmp_path, encoding, separator):
    lines = ["id,name", "a1,Ada Example", "b2,Bö Sample", "d4,Di Absent", ",,"]
    text = "\r\n".join(lines).replace(",", separator)
    folder = unpack(flat(given), tmp_path / "in")
    found = collect(
        folder, tmp_path / "into", [toy], roster=roster(tmp_path, text, encoding)
    )
    assert rows(found.files) == {
        "ada-example": "Ada Example",
        "Bö Sample": "Bö Sample",
        "Cy Specimen": None,
    }
    assert [file.person.id for file in found.files] == ["b2", "", "a1"]
    report = {notice.student: notice.what for notice in found.report}
    assert report["Cy Specimen"] == "no row of the roster fit"
    assert report["Di Absent"] == "handed in nothing for 9-toy"


def test_names_in_one_row_are_one_person(toy, given, tmp_path):
    """Ids are not merged, but a name and another form of it are."""
    files = flat(given)
    files["Example, Ada - 9-toy.ipynb"] = files.pop("9-toy_Cy Specimen.ipynb")
    students = roster(tmp_path, "id,name\na1,Ada Example\nb2,Bö Sample\n")
    folder = unpack(files, tmp_path / "in")
    found = collect(folder, tmp_path / "into", [toy], roster=students).files
    assert [file.person.id for file in found] == ["b2", "a1"]
    assert found[1].path.name.startswith("Example, Ada")


def test_two_ids_never_become_one(tmp_path):
    students = roster(tmp_path, "name\nAda Example\nBo Sample\n")
    twins = {
        "canvas:1": ("canvas", "1", "sampleBo"),
        "canvas:2": ("canvas", "2", "Bo Sample"),
        "canvas:3": ("canvas", "3", "exampleada"),
    }
    matches = match(students, twins)
    assert matches.students.keys() == {"canvas:3"}
    assert set(matches.problems.values()) == {
        "several people fit one row of the roster"
    }


def test_one_name_in_two_rows_is_left_open(tmp_path):
    students = roster(tmp_path, "id,name\n1,Bo Sample\n2,Bo Sample\n")
    matches = match(students, {"name:Bo": ("folder", "", "Bo Sample")})
    assert matches.problems == {"name:Bo": "several rows of the roster fit"}
    assert not matches.students


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a row of column names, but it is empty"),
        ("colour,taste\nred,sweet\n", "must have one of the columns id, "),
        ("id,name\n", "must list students, but it has no row"),
        ("id,name\n1,A\n1,B\n", "in its column 'id', '1' is that of 'A' and of 'B'"),
        ("id,name\n1,A,x\n", "must have 2 cells in a row"),
        ("PK\x03\x04\0\0", "must be a table saved as CSV, but it is no text"),
    ],
)
def test_what_is_no_roster_is_refused(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        roster(tmp_path, text)
