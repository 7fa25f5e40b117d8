"""Solutions for students, each from a date on.

A table says when each assignment is due. Its solution is written when that time, the
days of the rule for late work and the longest extension are over, and not before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from deepsvdd.course.build import release
from deepsvdd.course.lateness import DAY, EXTENSION, LateRule, end_of, extension_of
from deepsvdd.course.roster import Roster
from deepsvdd.course.source import MARKER, Assignment, grade_id, kind
from deepsvdd.course.tables import read_table

COLUMNS = ("assignment", "due")
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Opening:
    """When the solution of an assignment may be seen."""

    assignment: Assignment
    time: datetime


def read_dates(path: Path, names: list[str]) -> dict[str, datetime]:
    """Read when assignments are due, by name.

    Raises
    ------
    ValueError
        If columns are missing, a name is unknown or a date cannot be read.
    """
    header, rows = read_table(path)
    columns = [name.lower() for name in header]
    if not set(COLUMNS) <= set(columns):
        raise ValueError(
            f"'{path}' must have the columns assignment and due; it has "
            f"{', '.join(header)[:200]}"
        )
    dates = {}
    for row in rows:
        cells = dict(zip(columns, row, strict=True))
        name, text = cells["assignment"], cells["due"]
        if name not in names:
            raise ValueError(
                f"'{path}': assignment must be one of {', '.join(names)}; got '{name}'"
            )
        try:
            dates[name] = end_of(text)
        except ValueError:
            raise ValueError(
                f"'{path}': due must be a date like 2026-11-05 or 2026-11-05 23:59; "
                f"got '{text[:40]}' for {name}"
            ) from None
    return dates


def openings(
    assignments: list[Assignment],
    dates: dict[str, datetime],
    rule: LateRule | None = None,
    roster: Roster | None = None,
) -> list[Opening]:
    """Return when each solution may be seen: when nobody can hand in for points.

    Parameters
    ----------
    assignments : those without a date are left out
    dates : when each is due
    rule : its last day is waited for
    roster : its longest extension is waited for, too

    Raises
    ------
    ValueError
        If the rule has no last day, or an extension cannot be read.
    """
    if rule is not None and rule.days is None:
        raise ValueError(
            "late must have a last day, as in '10% per day, at most 3 days', or else "
            "no solution may ever be shown"
        )
    wait = DAY * (rule.days or 0) if rule is not None else timedelta()
    found = []
    for assignment in assignments:
        if assignment.name in dates:
            time = dates[assignment.name]
            last = time
            for student in roster.students if roster is not None else ():
                cells = {name.lower(): text for name, text in student.cells.items()}
                extra, own = extension_of(cells.get(EXTENSION, ""), student.name)
                last = max(last, own or time + extra)
            found.append(Opening(assignment, last + wait))
    return found


def solved(assignment: Assignment) -> NotebookNode:
    """Return the notebook for students with the solutions in it.

    Hidden tests, rubrics and wrong solutions stay with the instructor.
    """
    notebook = copy.deepcopy(release(assignment))
    answers = {
        grade_id(cell): cell.source
        for cell in assignment.cells
        if kind(cell) in ("solution", "answer")
    }
    for cell in notebook.cells:
        name = grade_id(cell)
        if name in answers:
            text = without_marks(answers[name])
            code = kind(cell) == "solution"
            cell.source = f"{MARKER.format(name)}\n{text}" if code else text
    nbformat.validate(notebook)
    return notebook


def without_marks(source: str) -> str:
    """Return a solution without the lines that say where it begins and ends."""
    lines = source.split("\n")
    return "\n".join(line for line in lines if line.strip() not in (BEGIN, END))
