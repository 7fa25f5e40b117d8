"""Three right answers to each task in unlike styles, and three typical mistakes.

They are texts in ``styles``: ``=== right TASK: style`` or
``=== wrong TASK: mistake: tests that it loses``, and the code. The n-th of every task
are handed in together, as tests of one task do not depend on answers to another; so an
assignment runs six times, in the processes of one bench.
"""

import re
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deepsvdd.course import build
from deepsvdd.course.grade import grade_notebook
from deepsvdd.course.running import Bench, Limits
from deepsvdd.course.source import read_assignment
from tests import ROOT

FOLDER = Path(__file__).with_name("styles")
NAMES = sorted(path.stem for path in FOLDER.glob("*.txt"))
HEAD = re.compile(r"^=== (right|wrong) ([\w-]+): ([^:\n]+)(?:: ([\w -]+))?\n", re.M)
EACH = 3  # of each kind, for each task


def read(name):
    """Answers by kind and task: (what it is, the tests that it loses, its code)."""
    parts = HEAD.split((FOLDER / f"{name}.txt").read_text("utf-8"))
    assert parts[0] == ""
    found = defaultdict(lambda: defaultdict(list))
    for kind, task, what, lost, code in zip(*[iter(parts[1:])] * 5, strict=True):
        found[kind][task].append((what, (lost or "").split(), code))
    return found


@pytest.fixture(scope="module", params=NAMES)
def graded(request):
    """An assignment, and the results of its six submissions, by kind and number."""
    name = request.param
    assignment = read_assignment(ROOT / f"book/assignments/{name}.ipynb")
    given, answers = build.release(assignment), read(name)

    def grade(kind, number):
        own = {task: each[number][2] for task, each in answers[kind].items()}
        notebook = assignment.with_solutions(own)
        return grade_notebook(bench, given, notebook, Limits(), f"{kind} {number}")

    cases = [(kind, number) for kind in ("right", "wrong") for number in range(EACH)]
    with Bench(assignment, trust=True) as bench, ThreadPoolExecutor(2) as pool:
        results = dict(
            zip(cases, pool.map(grade, *zip(*cases, strict=True)), strict=True)
        )
    return assignment, answers, results


def test_every_task_has_three_of_each_kind(graded):
    assignment, answers, _ = graded
    for kind in ("right", "wrong"):
        assert list(answers[kind]) == list(assignment.solutions)
        for task, each in answers[kind].items():
            assert len(each) == EACH, (kind, task)
            assert len({code for _, _, code in each}) == EACH
    for each in answers["wrong"].values():
        assert all(lost for _, lost, _ in each)


def test_right_answers_in_any_style_get_full_marks(graded):
    assignment, _, results = graded
    for number in range(EACH):
        result = results["right", number]
        lost = {
            name: mark.message
            for name, mark in result.marks.items()
            if mark.earned < assignment.points[name]
        }
        assert lost == {}, number
        assert result.remarks == []


def test_typical_mistakes_lose_what_they_must_and_nothing_else(graded):
    assignment, answers, results = graded
    for number in range(EACH):
        marks = results["wrong", number].marks
        lost = {
            name
            for name, mark in marks.items()
            if mark.earned < assignment.points[name]
        }
        expected = {
            test for each in answers["wrong"].values() for test in each[number][1]
        }
        assert lost == expected, number
