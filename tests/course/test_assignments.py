"""The book's assignments: they mark as they say, and their releases are clean."""

import itertools
import json
import re
from collections import defaultdict

import pytest

from deepsvdd.course import build
from deepsvdd.course.running import Limits
from deepsvdd.course.source import kind, read_assignments, role
from tests import ROOT
from tests.course import secret_lines

BOOK = ROOT / "book"
FOLDER = BOOK / "assignments"
ASSIGNMENTS = {a.name: a for a in read_assignments([FOLDER])}


@pytest.fixture(scope="module")
def checks():
    """Every submission that has to get certain marks, by assignment."""
    found = defaultdict(list)
    everything = list(ASSIGNMENTS.values())
    # References of variants are proven by `make course`.
    for one in build.check(everything, Limits(), jobs=2, variants=False):
        found[one.assignment].append(one)
    return found


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_every_submission_gets_the_marks_beside_it(checks, name):
    wrong = {one.submission: one.wrong for one in checks[name] if one.wrong}
    assert wrong == {}
    names = [one.submission for one in checks[name]]
    assert names[:2] == ["reference", "blank"]
    assert len(names) >= 5
    seconds = [one.result.seconds for one in checks[name]]
    assert max(seconds) < Limits().seconds


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_releases_hold_no_trace_of_the_answers(name):
    assignment = ASSIGNMENTS[name]
    text = json.dumps(build.release(assignment), ensure_ascii=False)
    secret = secret_lines(assignment)
    assert len(secret) > 20
    assert not [line for line in secret if json.dumps(line)[1:-1] in text]
    for word in ("BEGIN SOLUTION", "HIDDEN", '"course"', "rubric-", '"mistake"'):
        assert word not in text


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_sources_are_as_the_guide_says(name):
    assignment = ASSIGNMENTS[name]
    cells = assignment.notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert not any(cell.outputs or cell.execution_count for cell in code)
    assert any("parameters" in cell.metadata.get("tags", ()) for cell in code)
    for above, below in itertools.pairwise(cells):
        if kind(above) == "answer":
            assert role(below) == "rubric"
    shown = [cell for cell in code if not role(cell)]
    assert max(len(line) for c in shown[1:] for line in c.source.split("\n")) <= 70
    assert all(assignment.headings[test] for test in assignment.tests)
    points = sum(assignment.points.values())
    assert f"{points:g}" in assignment.cells[0].source  # the table's sum
    assert any('load_dataset("mnist")' in cell.source for cell in shown)  # real data


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_a_release_opens_in_colab_as_a_chapter_does(name):
    chapter = json.loads((BOOK / "quickstart.ipynb").read_text("utf-8"))["cells"]
    bootstrap, *_ = (c["source"] for c in chapter if c["cell_type"] == "code")
    cells = build.release(ASSIGNMENTS[name]).cells
    first = next(cell for cell in cells if cell.cell_type == "code")
    assert first.source == "".join(bootstrap)  # tests/test_colab.py runs it


# --- the guide for instructors ----------------------------------------------------


def rows_of(table):
    """The rows of a table in the guide, without its head, by a title of its head."""
    guide = (BOOK / "instructors.md").read_text("utf-8")
    lines = itertools.takewhile(str.strip, guide[guide.index(table) :].split("\n")[2:])
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_guide_says_how_many_points_there_are():
    found = {}
    for _, name, _, _, points in rows_of("| assignment | file |"):
        tests, texts = map(float, points.split("+"))
        found[name.strip("`")] = tests, texts
    assert found == {
        name: (
            sum(a.points[test] for test in a.tests),
            sum(a.points[answer] for answer in a.answers),
        )
        for name, a in ASSIGNMENTS.items()
    }


@pytest.mark.parametrize("row", rows_of("| mistake |"), ids=lambda row: row[0][:20])
def test_the_guide_names_tests_that_catch_the_mistake(row):
    _, numbers, tests = row
    groups = tests.split(";")
    for number, group in zip(numbers.split(","), groups, strict=True):
        (name,) = (name for name in ASSIGNMENTS if name[0] == number.strip())
        lost = {test for v in ASSIGNMENTS[name].variants for test in v.marks}
        assert set(re.findall(r"`([\w-]+)`", group)) <= lost
