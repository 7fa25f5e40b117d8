"""From a submitted notebook to marks: run it, and judge what the tests report."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass, field
from typing import Any

from nbformat import NotebookNode

from deepsvdd.course.allowed import allowed, below, foreign
from deepsvdd.course.running import Bench, Limits
from deepsvdd.course.source import Assignment, is_hidden
from deepsvdd.course.submission import recognise, script


@dataclass
class Mark:
    """What a test earned: points, status and a sentence for the student.

    The status is passed, failed, unanswered or not run.
    """

    earned: float
    status: str
    message: str = ""


@dataclass
class Result:
    """The marks of one submission; all of it can be written as JSON."""

    student: str
    assignment: str
    file: str
    marks: dict[str, Mark] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)  # free text, unmarked
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0  # for all cells
    pictures: dict[str, list[str]] = field(default_factory=dict)  # of texts, data URIs
    draw: int = 0  # seed of the inputs that tests drew

    @property
    def total(self) -> float:
        """Points that the tests gave."""
        return sum(mark.earned for mark in self.marks.values())

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        fields["marks"] = {k: Mark(**mark) for k, mark in fields["marks"].items()}
        return cls(**fields)

    def to_json(self) -> str:
        """Return all fields as text."""
        return json.dumps(asdict(self), indent=1)


# --- marks ------------------------------------------------------------------------


def grade_notebook(
    bench: Bench,
    release: NotebookNode,
    notebook: NotebookNode,
    limits: Limits,
    student: str = "",
    file: str = "",
    draw: int | None = None,
) -> Result:
    """Run a submitted notebook and mark its tests; whatever it does, this returns.

    Parameters
    ----------
    bench : where it runs
    release : what students were given (`deepsvdd.course.build.release`)
    notebook : what came back
    limits : what it may use
    student, file : for the report
    draw : seed of the inputs that tests draw; another one each time if None
    """
    assignment = bench.assignment
    submission = recognise(assignment, release, notebook)
    cells = script(assignment, submission)
    draw = secrets.randbelow(2**31) if draw is None else draw
    began = time.monotonic()
    reports = bench.run(cells, limits, draw=draw)
    result = Result(student, assignment.name, file, draw=draw)
    result.seconds = time.monotonic() - began
    result.answered, result.pictures = submission.texts, submission.pictures
    result.remarks = submission.remarks
    for cell, report in zip(cells, reports, strict=True):
        if cell["kind"] == "test":
            points = assignment.points[cell["name"]]
            result.marks[cell["name"]] = mark_of(cell, report, points)
            if report.get("error") in SPOKEN:
                result.remarks.append(f"test {remark_on(cell, report)}")
        elif cell["kind"] == "student" and "error" in report:
            result.remarks.append(remark_on(cell, report))
    for name, used in forbidden(assignment, cells).items():
        words = f"{name} uses {', '.join(used)}, which the task does not allow"
        result.remarks.append(words)
        for test in below(assignment)[name]:
            result.marks[test] = Mark(0, "failed", f"{words}.")
    return result


def forbidden(
    assignment: Assignment, cells: list[dict[str, Any]]
) -> dict[str, list[str]]:
    """Return what solutions use of libraries that their tasks do not allow."""
    found = {}
    for name, solution in assignment.solutions.items():
        if (only := allowed(solution)) is not None:
            own = [cell["source"] for cell in cells if cell["name"] == name]
            around = [c["source"] for c in cells if c["kind"] == "student"]
            given = [c["source"] for c in cells if c["kind"] == "given"]
            if used := foreign(own, around, given, only):
                found[name] = used
    return found


def mark_of(cell: dict[str, str], report: dict[str, Any], points: float) -> Mark:
    """Judge a test's report, and say of a hidden test no more than its hint."""
    if not report:
        return Mark(0, "not run", "The notebook was stopped before this test.")
    if "error" not in report:
        return Mark(points, "passed")
    error, message = report["error"], report["message"].strip()
    if error == "NotImplementedError":
        return Mark(0, "unanswered", "Not answered yet.")
    if error in SPOKEN:
        return Mark(0, "failed", f"The test {SPOKEN[error]}.")
    asserted = error == "AssertionError" and report.get("direct", False)
    if "line" in report and is_hidden(cell["source"], report["line"]):
        hint = message.split("\n")[0][:200] if asserted else ""
        own = "" if error == "AssertionError" else f" Your code raised {error}."
        return Mark(0, "failed", hint or f"A hidden test failed.{own}")
    if asserted:
        return Mark(0, "failed", message or "A visible test failed.")
    return Mark(0, "failed", f"{error}: {message}" if message else error)


# What the judge calls an end that is no ordinary error.
SPOKEN = {
    "OutOfTime": "took too long and was stopped",
    "Died": "ended the whole process",
    "SystemExit": "was left by sys.exit or exit",
    "MemoryError": "needed more memory than allowed",
}


def remark_on(cell: dict[str, str], report: dict[str, Any]) -> str:
    """Return a line on a student's cell that failed."""
    lines = [line.strip() for line in cell["source"].split("\n")]
    first = next((line for line in lines if line and line[0] != "#"), "")
    name = cell["name"] or f"a cell of the student's own ({first[:40]})"
    error, message = report["error"], report["message"].strip().split("\n")[0][:200]
    if error == "NotImplementedError":
        return f"{name}: not answered"
    if error in SPOKEN:
        return f"{name} {SPOKEN[error]}" + (f" ({message})" if message else "")
    return f"{name} raised {error}: {message}" if message else f"{name} raised {error}"
