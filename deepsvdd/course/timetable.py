"""The timetable: what to read, show, ask and hand out in each session.

``book/timetable.yml`` has two plans, a list of sessions each. A session has a title,
the minutes of what is done in it, decks of slides, what to read before, the quizzes and
the tasks that come after it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from deepsvdd.course.goals import Task, tasks_of
from deepsvdd.course.source import (
    Assignment,
    bound_names,
    free_names,
    headings,
    kind,
    read_assignments,
    read_notebook,
    role,
)

MINUTES = 90
FIELDS = {"title", "minutes", "slides", "read", "quizzes", "tasks"}


@dataclass(frozen=True)
class Reading:
    """A page of the book, or its part up to and with a section, or some sections."""

    page: str
    to: str = ""
    only: tuple[str, ...] = ()

    @property
    def chapter(self) -> int:
        """The chapter's number, 0 for other pages."""
        return int(self.page[:2]) if self.page[:2].isdigit() else 0


@dataclass(frozen=True)
class Session:
    """A session of 90 minutes. ``tasks`` are numbers by the assignment's name."""

    title: str
    minutes: tuple[tuple[int, str], ...]
    slides: tuple[int, ...]
    read: tuple[Reading, ...]
    quizzes: tuple[int, ...]
    tasks: dict[str, tuple[int, ...]]


def read_timetable(path: Path) -> dict[str, list[Session]]:
    """Read the plans.

    Raises
    ------
    ValueError
        If a session lacks a field, has one too many or one that cannot be read; the
        message names plan and session.
    """
    plans = yaml.safe_load(path.read_bytes())
    found: dict[str, list[Session]] = {}
    for plan, sessions in plans.items():
        found[plan] = []
        for number, entry in enumerate(sessions, 1):
            where = f"{path.name}, {plan}, session {number}"
            if set(entry) != FIELDS:
                raise ValueError(f"{where} must have {', '.join(sorted(FIELDS))}")
            try:
                found[plan].append(_session(entry))
            except (TypeError, ValueError, AttributeError, KeyError) as error:
                raise ValueError(f"{where} cannot be read: {error}") from None
    return found


def _session(entry: dict[str, Any]) -> Session:
    def reading(one: str | dict[str, Any]) -> Reading:
        if isinstance(one, str):
            return Reading(one)
        return Reading(one["page"], one.get("to", ""), tuple(one.get("only", ())))

    return Session(
        entry["title"],
        tuple((int(minutes), what) for minutes, what in entry["minutes"]),
        tuple(entry["slides"]),
        tuple(map(reading, entry["read"])),
        tuple(entry["quizzes"]),
        {name: tuple(numbers) for name, numbers in entry["tasks"].items()},
    )


def needs(assignment: Assignment) -> dict[int, set[int]]:
    """Return for each task the tasks whose functions its cells call.

    Tests are left out: where one needs another task, it brings the reference.
    """
    number = 0
    bound: dict[str, int] = {}  # name → the task whose solution binds it
    used: dict[int, set[str]] = {}  # task → the names that its cells use
    for cell in assignment.cells:
        if cell.cell_type == "markdown":
            for heading in headings([cell]):
                match = re.match(r"Task (\d+):", heading)
                number = int(match[1]) if match else number
        elif kind(cell) != "test" and not role(cell):
            used.setdefault(number, set()).update(free_names(cell.source))
            if kind(cell) == "solution":
                for name in bound_names(cell.source):
                    bound[name] = number
    return {
        task.number: {
            bound[name]
            for name in used.get(task.number, ())
            if name in bound and bound[name] != task.number
        }
        for task in tasks_of(assignment)
    }


def problems(plan: list[Session], book: Path) -> Iterator[str]:
    """Yield what cannot be done in the order of a plan, or does not exist."""
    assignments = {one.name: one for one in read_assignments([book / "assignments"])}
    tasks = {
        (name, task.number): task
        for name, one in assignments.items()
        for task in tasks_of(one)
    }
    needed = {
        (name, number): {(name, other) for other in others}
        for name, one in assignments.items()
        for number, others in needs(one).items()
    }
    read: set[int] = set()
    done: set[tuple[str, int]] = set()
    for number, session in enumerate(plan, 1):
        where = f"session {number}"
        if (total := sum(minutes for minutes, _ in session.minutes)) != MINUTES:
            yield f"{where} has {total} minutes, not {MINUTES}"
        for reading in session.read:
            yield from _reading_problems(where, reading, book)
            read.add(reading.chapter)
        for deck in session.slides:
            if not (book / "slides" / f"{deck}.md").exists():
                yield f"{where} shows slides {deck}, which do not exist"
        for chapter in session.quizzes:
            if not (book / "quizzes" / f"{chapter:02}.yml").exists():
                yield f"{where} has quiz {chapter}, which does not exist"
            if chapter not in read:
                yield f"{where} has quiz {chapter} of a chapter not yet read"
        handed = {(n, task) for n, numbers in session.tasks.items() for task in numbers}
        done |= handed
        for key in sorted(handed):
            yield from _task_problems(
                f"{where}, task {key[1]} of {key[0]}",
                tasks.get(key),
                needed.get(key, set()) - done,
                read,
            )


def _reading_problems(where: str, reading: Reading, book: Path) -> Iterator[str]:
    path = book / f"{reading.page}.ipynb"
    if not path.exists():
        yield f"{where} reads {reading.page}, which does not exist"
        return
    there = headings(read_notebook(path).cells)
    for section in (*reading.only, *filter(None, [reading.to])):
        if section not in there:
            yield f"{where}: {reading.page} has no section '{section}'"


def _task_problems(
    where: str, task: Task | None, missing: set[tuple[str, int]], read: set[int]
) -> Iterator[str]:
    if task is None:
        yield f"{where} does not exist"
        return
    for _, other in sorted(missing):
        yield f"{where} calls task {other}, which comes later"
    for goal in task.goals:
        if int(goal.partition(".")[0]) not in read:
            yield f"{where} asks for goal {goal} of a chapter not yet read"
