"""Right answers in styles of their own get full marks; typical wrong ones do not."""

import copy
import re

import pytest
import yaml

from deepsvdd.course import build
from deepsvdd.course.allowed import below
from deepsvdd.course.grade import grade_notebook
from deepsvdd.course.running import Bench, Limits
from deepsvdd.course.source import grade_id, is_hidden, kind, read_assignment
from deepsvdd.course.submission import recognise, script
from tests import ROOT
from tests.course.answers import (
    ACTIVATION,
    AFTER_HEAD,
    BORROWED,
    FROM_PACKAGE,
    LARGEST,
    LOADERS,
    LOOPS,
    ONE_ACTIVATION,
    ONE_FEWER,
    OWN_LAYER,
)


@pytest.fixture(scope="module")
def benches():
    """A bench for each assignment that is asked for."""
    made = {}

    def bench(name):
        if name not in made:
            assignment = read_assignment(ROOT / f"book/assignments/{name}.ipynb")
            made[name] = Bench(assignment, trust=True)
        return made[name]

    yield bench
    for each in made.values():
        each.__exit__()


def handed_in(assignment, solutions):
    """The release with some tasks answered, the others left as they were."""
    notebook = copy.deepcopy(build.release(assignment))
    for cell in notebook.cells:
        cell.source = solutions.get(grade_id(cell), cell.source)
    return notebook


def lost(bench, solutions):
    """What the tests of these tasks have lost, and why; and all remarks."""
    assignment = bench.assignment
    given = build.release(assignment)
    notebook = handed_in(assignment, solutions)
    result = grade_notebook(bench, given, notebook, Limits())
    tests = [test for name in solutions for test in below(assignment)[name]]
    marks = {name: result.marks[name] for name in tests}
    return {
        name: mark.message
        for name, mark in marks.items()
        if mark.earned < assignment.points[name]
    }, result.remarks


RIGHT = {
    "loops": ("1-metrics", LOOPS),
    "loaders": ("3-deep-svdd", LOADERS),
    "gelu": ("4-collapse", {"repair-2": ACTIVATION.format("nn.GELU()")}),
    "silu": ("4-collapse", {"repair-2": ACTIVATION.format("nn.SiLU()")}),
    "prelu": ("4-collapse", {"repair-2": ACTIVATION.format("nn.PReLU()")}),
    "own-layer": (
        "4-collapse",
        {"repair-2": OWN_LAYER + ACTIVATION.format("Bend()"), "best-radius": LARGEST},
    ),
    "one-activation": (
        "4-collapse",
        {f"repair-{number}": ONE_ACTIVATION.format(number) for number in (1, 2)},
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_answers_lose_nothing(benches, name):
    assignment, solutions = RIGHT[name]
    found, _ = lost(benches(assignment), solutions)
    assert found == {}


@pytest.mark.parametrize("answer", [AFTER_HEAD, ONE_FEWER])
def test_activations_stay_between_the_layers_and_only_there(benches, answer):
    solutions = {f"repair-{number}": answer.format(number) for number in (1, 2)}
    found, _ = lost(benches("4-collapse"), solutions)
    for number in (1, 2):
        assert "only there" in found[f"repair-{number}-rules"]


def test_what_somebody_else_computes_earns_nothing(benches):
    found, remarks = lost(benches("1-metrics"), BORROWED)
    assert set(found) == {
        *("auc-order", "auc-ties", "auc-memory", "ap-steps", "ap-ties")
    }
    assert "sklearn.metrics.roc_auc_score" in found["auc-order"]
    assert any("does not allow" in remark for remark in remarks)
    found, _ = lost(benches("4-collapse"), {"best-radius": FROM_PACKAGE})
    assert set(found) == {"radius-quantile", "radius-exact"}


def test_the_plan_of_two_weeks_can_be_done_from_top_to_bottom(benches):
    timetable = yaml.safe_load((ROOT / "book/timetable.yml").read_text("utf-8"))
    sessions = timetable["two weeks"]
    tasks = {n for session in sessions for n in session["tasks"].get("1-metrics", [])}
    bench = benches("1-metrics")
    assignment = bench.assignment
    number, solutions = 0, {}
    for cell in assignment.cells:
        if heading := re.search(r"^## Task (\d+)", cell.source, re.MULTILINE):
            number = int(heading[1])
        if kind(cell) == "solution" and number in tasks:
            solutions[grade_id(cell)] = cell.source
    assert len(solutions) == len(tasks)
    notebook = handed_in(assignment, solutions)
    cells = script(
        assignment, recognise(assignment, build.release(assignment), notebook)
    )
    # As in the student's own notebook: without hidden tests, own functions throughout.
    for cell in cells:
        lines = cell["source"].split("\n")
        shown = [t for n, t in enumerate(lines, 1) if not is_hidden(cell["source"], n)]
        cell["source"] = "\n".join(shown) if cell["kind"] == "test" else cell["source"]
    reports = bench.run(cells, Limits(), draw=0)
    wanted = {test for name in solutions for test in below(assignment)[name]}
    wrong = {
        cell["name"]: report
        for cell, report in zip(cells, reports, strict=True)
        if cell["name"] in wanted and "error" in report
    }
    assert wrong == {}
