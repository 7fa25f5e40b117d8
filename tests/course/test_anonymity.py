"""Marking without names: nothing that a marker sees tells who it was."""

import csv
import re

import nbformat
import pytest
from click.testing import CliRunner

from deepsvdd.course import anonymity, batch
from deepsvdd.course.anonymity import Key, Mask
from deepsvdd.course.cli import main
from deepsvdd.course.collection import Person
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.markbook import Entry, Row
from tests.course import FULL, MEAN, NoBench, cell, handed_in, toy_notebook
from tests.course.downloads import PNG

WORDS = r"(?<![a-z])ada(?![a-z])|example|bo\b|sample|1001|1002"
NAMES = re.compile(WORDS, re.IGNORECASE)
ADA = Person("Ada Example (1001)", "Ada Example", "1001", "moodle")


def pretended(bench, release, notebook, limits, student, file):
    """Full marks for everybody; the grader repeats what it was given."""
    marks = {name: Mark(points, "passed") for name, points in FULL.items()}
    (why,) = (c.source for c in notebook.cells if c.cell_type == "markdown"
              and c.metadata.get("nbgrader", {}).get("grade_id") == "why")  # fmt: skip
    own = student.split()[0].lower()
    remarks = [f"{student} raised OSError: /home/{own}/{file}"]
    return Result(student, bench.assignment.name, file, marks, {"why": why}, remarks)


@pytest.fixture
def place(given, tmp_path, monkeypatch):
    """A Moodle download of two students who wrote their names everywhere."""
    nbformat.write(toy_notebook(), tmp_path / "9-toy.ipynb")
    for name, number in (("Ada Example", "1001"), ("Bo Sample", "1002")):
        folder = tmp_path / f"in/{name}_{number}_assignsubmission_file"
        folder.mkdir(parents=True)
        why = f"Because I, {name.upper()}, think so. ({number})"
        notebook = handed_in(given, mean=MEAN, why=why)
        notebook.metadata["authors"] = [{"name": name}]
        notebook.cells.append(cell(f"author = '{name.replace(' ', '_')}'"))
        notebook.cells[-1].outputs = [
            nbformat.v4.new_output("stream", text=f"/home/{name.split()[0].lower()}/x")
        ]
        notebook.cells[-1].metadata["user"] = name
        nbformat.write(notebook, folder / f"{name} 9-toy.ipynb")
        (folder / f"{name} scan.png").write_bytes(PNG)
    monkeypatch.setattr(batch, "check_reference", lambda *_: None)
    monkeypatch.setattr(batch, "grade_notebook", pretended)
    monkeypatch.setattr(batch, "Bench", NoBench)
    return tmp_path


def grade(place, out, *options):
    words = ["grade", str(place / "in"), str(place / out), "--jobs=1", "--trust"]
    sources = ["--sources", str(place / "9-toy.ipynb")]
    return CliRunner().invoke(main, [*words, *sources, *map(str, options)])


def rows_of(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_nothing_that_is_written_tells_a_name(place):
    done = grade(place, "blind", "--anonymous", place / "key.csv")
    assert done.exit_code == 0, done.output
    files = [path for path in (place / "blind").rglob("*") if path.is_file()]
    shown = [path for path in files if ".results" not in path.parts]
    assert {path.suffix for path in shown} == {".csv", ".html", ".ipynb"}
    assert len(shown) == 2 + 2 + 1 + 1 + 1  # pages, notebooks, table, report, book
    for path in shown:
        assert not NAMES.search(path.name), path
        text = re.sub(r'base64,[^"]*', "", path.read_text("utf-8-sig"))
        assert not NAMES.search(text), path
    lines = done.output.replace(str(place), "")
    assert not NAMES.search(lines)
    page = next(path for path in shown if path.suffix == ".html").read_text()
    assert 'src="data:image/png' in page  # scans are there, without their names


def test_pseudonyms_stay_and_find_their_students_again(place):
    key, book = place / "key.csv", place / "blind/mark-book/9-toy.csv"
    grade(place, "blind", "--anonymous", key)
    first = [row["student"] for row in rows_of(book)]
    who = {row["pseudonym"]: row["student"] for row in rows_of(key)}
    assert sorted(first) == sorted(who)
    assert sorted(who.values()) == ["Ada Example (1001)", "Bo Sample (1002)"]
    text = book.read_text("utf-8-sig").splitlines()
    for number, line in enumerate(text):
        points = {"Ada Example (1001)": "2", "Bo Sample (1002)": "0.5"}
        if student := who.get(line.split(",")[1]):
            text[number] = f",{line.split(',')[1]},{points[student]},,Seen.,,,"
    book.write_text("\n".join(text), "utf-8")
    done = grade(place, "blind", "--anonymous", key)  # again: nothing new
    assert done.exit_code == 0, done.output
    assert "new row" not in done.output
    blind = {row["student"]: row["total (8)"] for row in rows_of(
        place / "blind/9-toy.csv")}  # fmt: skip
    assert {who[name]: total for name, total in blind.items()} == {
        "Ada Example (1001)": "8",
        "Bo Sample (1002)": "6.5",
    }

    options = ("--reveal", key, "--book", place / "blind/mark-book")
    done = grade(place, "named", *options)
    assert done.exit_code == 0, done.output
    assert "new row" not in done.output
    rows = {row["student"]: row for row in rows_of(place / "named/9-toy.csv")}
    assert rows["Ada Example"]["total (8)"] == "8"
    assert (rows["Bo Sample"]["id"], rows["Bo Sample"]["total (8)"]) == ("1002", "6.5")
    assert (place / "named/9-toy-import-moodle.csv").exists()
    assert not list((place / "blind").glob("*import*"))


def test_the_key_lies_elsewhere_and_is_one(place):
    done = grade(place, "blind", "--anonymous", place / "blind/key.csv")
    assert done.exit_code == 1
    assert done.output.startswith("Error: anonymous must be a file outside of")
    done = grade(place, "blind", "--reveal", place / "none.csv")
    assert done.output.startswith("Error: reveal must be a key that is there")
    (place / "key.csv").write_text("name,mark\nada,1\n")
    done = grade(place, "blind", "--anonymous", place / "key.csv")
    assert "must be a key, with the columns pseudonym, id, student" in done.output
    both = ("--anonymous", place / "a.csv", "--reveal", place / "key.csv")
    assert "must not be given together" in grade(place, "blind", *both).output
    assert (place / "key.csv").read_text() == "name,mark\nada,1\n"


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("I am Ada Example.", "I am xyz12."),
        ("Example, Ada; ada_example; ADA-EXAMPLE", "xyz12; xyz12; xyz12"),
        ("Ada and adage, Examples", "xyz12 and adage, Examples"),
        ("my number is 1001, not 11001", "my number is xyz12, not 11001"),
        ("written with Bo Sample", "written with [name]"),
        ("a sample of 1,001 images", "a sample of 1,001 images"),
    ],
)
def test_a_mask_takes_out_names_and_leaves_words(text, masked):
    assert Mask(ADA, "xyz12", ["Bo Sample"])(text) == masked


def test_short_ids_go_from_names_of_files_alone():
    mask = Mask(Person("Bo (12)", "Bo", "12"), "xyz12", [])
    assert mask("12 of 30 images") == "12 of 30 images"
    assert mask("left out: bo_12_345_a.ipynb", files=True) == (
        "left out: xyz12_xyz12_345_a.ipynb"
    )


def test_a_key_keeps_what_it_has(tmp_path):
    path = tmp_path / "key.csv"
    first = Key(path).pseudonyms([ADA])
    more = Person("Bo", "Bo")
    again = Key(path).pseudonyms([ADA, more])
    assert again[ADA.label] == first[ADA.label]
    assert len(set(again.values())) == 2
    row = Row("", again["Bo"], Entry({"why": 1}), "row 2")
    (named,) = Key(path).reveal([row])
    assert (named.id, named.student, named.entry.points) == ("", "Bo", {"why": 1})
    names = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
    assert names == sorted(names)
    assert all(set(name) <= set(anonymity.LETTERS) for name in names)
