"""Learning goals: which there are, and what tests them.

A chapter lists its goals by number, under *You will learn*; goal 3 of chapter 10 is
``10.3``. What tests goals names them: a question of a quiz in its field ``goals``, an
exercise after its number, ``**2.** (goals 1 and 3)``, a task of an assignment in the
metadata ``course`` of its heading's cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepsvdd.course.quizzes import read_quiz
from deepsvdd.course.source import Assignment, read_assignments, read_notebook, role

_LIST = re.compile(r"\*\*You will learn\*\*(.*?)(?:^\*\*You need|\Z)", re.M | re.S)
_GOAL = re.compile(r"^(\d+)\. (.*?)(?=^\d+\. |^\S|\Z)", re.M | re.S)
_EXERCISE = re.compile(r"^\*\*(\d+)\.\*\* (?:\(goals? ([^)]*)\) )?", re.M)
_TASK = re.compile(r"^## Task (\d+): (.*?)(?: \(\d+ points?\))?$", re.M)


@dataclass(frozen=True)
class Goal:
    """What a chapter promises to teach. The text is MyST."""

    chapter: int
    number: int
    text: str

    @property
    def id(self) -> str:
        """Its name everywhere else, as ``10.3``."""
        return f"{self.chapter}.{self.number}"


@dataclass(frozen=True)
class Evidence:
    """Something that tests goals: question, exercise or task.

    ``of`` is the chapter's or the assignment's number.
    """

    kind: str
    of: int
    number: int
    goals: tuple[str, ...]

    def __str__(self) -> str:
        """Return its name in a sentence."""
        whose = "assignment" if self.kind == "task" else "chapter"
        return f"{self.kind} {self.number} of {whose} {self.of}"


@dataclass(frozen=True)
class Task:
    """A task of an assignment: its number, title, and the goals that it tests."""

    number: int
    title: str
    goals: tuple[str, ...]


def chapters(book: Path) -> dict[int, Path]:
    """Return the book's numbered chapters."""
    return {int(p.name[:2]): p for p in sorted(book.glob("[0-9][0-9]-*.ipynb"))}


def text_of(path: Path) -> str:
    """Return a notebook's Markdown."""
    cells = read_notebook(path).cells
    return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")


def read_goals(book: Path) -> dict[str, Goal]:
    """Return the goals of all chapters by their names.

    Raises
    ------
    ValueError
        If a chapter does not number its goals from 1 on.
    """
    found = {}
    for chapter, path in chapters(book).items():
        match = _LIST.search(text_of(path))
        listed = _GOAL.findall(match[1]) if match else []
        if not listed or [int(n) for n, _ in listed] != list(range(1, len(listed) + 1)):
            raise ValueError(
                f"{path.name} must number its goals from 1 on, under **You will learn**"
            )
        for number, text in listed:
            goal = Goal(chapter, int(number), " ".join(text.split()).rstrip(",;."))
            found[goal.id] = goal
    return found


def read_tested(book: Path) -> list[Evidence]:
    """Return all questions, exercises and tasks, with the goals that they name."""
    found: list[Evidence] = []
    for chapter, path in chapters(book).items():
        questions = read_quiz(book / "quizzes" / f"{chapter:02}.yml")
        for number, question in enumerate(questions, 1):
            goals = tuple(f"{chapter}.{goal}" for goal in question.goals)
            found.append(Evidence("question", chapter, number, goals))
        exercises = text_of(path).partition("\n## Exercises\n")[2]
        for number, names in _EXERCISE.findall(exercises):
            goals = tuple(f"{chapter}.{goal}" for goal in re.findall(r"\d+", names))
            found.append(Evidence("exercise", chapter, int(number), goals))
    for assignment in read_assignments([book / "assignments"]):
        of = int(assignment.name.partition("-")[0])
        for task in tasks_of(assignment):
            found.append(Evidence("task", of, task.number, task.goals))
    return found


def tasks_of(assignment: Assignment) -> list[Task]:
    """Return an assignment's tasks, in order."""
    found = []
    for cell in assignment.notebook.cells:
        match = _TASK.search(cell.source) if cell.cell_type == "markdown" else None
        if match and not role(cell):
            goals = tuple(cell.metadata.get("course", {}).get("goals", ()))
            found.append(Task(int(match[1]), match[2], goals))
    return found


def problems(goals: dict[str, Goal], tested: list[Evidence]) -> Iterator[str]:
    """Yield what is amiss: a goal that nothing tests, or a test of no known goal."""
    for one in tested:
        if not one.goals:
            yield f"{one} names no goal"
        for goal in one.goals:
            if goal not in goals:
                yield f"{one} names goal {goal}, which does not exist"
    named = {goal for one in tested for goal in one.goals}
    for goal in goals:
        if goal not in named:
            yield f"nothing tests goal {goal}"


def matrix(
    goals: dict[str, Goal], tested: list[Evidence]
) -> Iterator[tuple[Goal, dict[str, list[str]]]]:
    """Yield each goal with what tests it, by kind, named as a table has room for.

    Questions and exercises are those of the goal's own chapter, named by their
    numbers; tasks by assignment and number, as ``3.2``.
    """
    for goal in goals.values():
        found: dict[str, list[str]] = {"question": [], "exercise": [], "task": []}
        for one in tested:
            if goal.id in one.goals:
                name = f"{one.of}.{one.number}" if one.kind == "task" else one.number
                found[one.kind].append(str(name))
        yield goal, found
