"""The mark book: what a person typed, which no program writes over.

A folder of tables that ``grade`` reads. It adds a new file where students have no row
yet, and never changes a file that is there.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deepsvdd.course.collection import Notice, Person
from deepsvdd.course.grade import Result
from deepsvdd.course.roster import squeezed
from deepsvdd.course.source import Assignment
from deepsvdd.course.tables import number_of, read_table, table_text
from deepsvdd.files import WriteError, cannot_write, write_text

COMMENT = ": comment"
LATENESS = ("extension", "days late")  # columns that one may add
_POINTS = re.compile(r"\s*\([\d.,]+\)$")


@dataclass
class Entry:
    """What a person typed about one student.

    Parameters
    ----------
    points : by name of a text or test; of a test, in place of what it gave
    comments : by name of a text; '' is the comment on all
    lateness : ``extension`` and ``days late``, see `deepsvdd.course.lateness`
    """

    points: dict[str, float] = field(default_factory=dict)
    comments: dict[str, str] = field(default_factory=dict)
    lateness: dict[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Say whether anything was typed."""
        return bool(self.points or self.comments or self.lateness)


@dataclass(frozen=True)
class Row:
    """A row of the mark book: whose, what was typed, and where it stands."""

    id: str
    student: str
    entry: Entry
    place: str


@dataclass(frozen=True)
class Final:
    """A student's marks, those of the tests and those that a person typed, merged.

    ``points`` are None where a person has still to decide; ``typed`` are the names of
    texts and tests whose points a person gave. ``taken_off`` is the share of the points
    that being late costs, None where there is no rule.
    """

    result: Result
    points: dict[str, float | None]
    typed: frozenset[str]
    comments: dict[str, str]
    days_late: int = 0
    taken_off: float | None = None

    def total(self, names: Iterable[str] | None = None) -> float:
        """Return the points of some texts and tests, or of all."""
        wanted = self.points if names is None else names
        return sum(self.points[name] or 0.0 for name in wanted)

    @property
    def deduction(self) -> float:
        """The points that being late costs, in hundredths; all if nothing counts."""
        total = self.total()
        share = self.taken_off or 0.0
        return total if share >= 1 else min(total, round(total * share, 2))

    @property
    def mark(self) -> float:
        """What counts in the end: all points less the deduction."""
        return round(self.total() - self.deduction, 9)

    @property
    def complete(self) -> bool:
        """Whether nothing is left to mark."""
        return None not in self.points.values()


def merge(assignment: Assignment, result: Result, entry: Entry) -> Final:
    """Return final marks: typed ones where there are any, else those of the tests.

    A text without a word or a picture gets nothing, unless a person types otherwise.
    """
    points: dict[str, float | None] = {}
    for name in assignment.points:
        if name in entry.points:
            points[name] = entry.points[name]
        elif name in result.marks:
            points[name] = result.marks[name].earned
        else:
            points[name] = None if result.answered.get(name, "").strip() else 0.0
    return Final(result, points, frozenset(entry.points), dict(entry.comments))


# --- reading ----------------------------------------------------------------------


def files_of(folder: Path, assignment: Assignment, names: list[str]) -> list[Path]:
    """Return the files of an assignment: NAME.csv, NAME-2.csv, and so on."""
    pattern = re.compile(rf"{re.escape(assignment.name)}(-\d+)?\.csv", re.IGNORECASE)
    others = {f"{name}.csv" for name in names if name != assignment.name}
    return sorted(
        path
        for path in (folder.iterdir() if folder.is_dir() else ())
        if pattern.fullmatch(path.name) and path.name not in others
    )


def read_book(folder: Path, assignment: Assignment, names: list[str]) -> list[Row]:
    """Read what was typed about an assignment.

    Parameters
    ----------
    folder : the mark book
    assignment : its texts and tests are the columns; other columns are left alone
    names : of all assignments

    Raises
    ------
    ValueError
        If points are no number or out of range; the message names file, student and
        column.
    """
    rows = []
    for path in files_of(folder, assignment, names):
        if not path.stat().st_size:
            continue  # a kill came before its first byte
        header, lines = read_table(path)
        columns = [name.lower() for name in header]
        if "student" not in columns:
            raise ValueError(
                f"'{path}' must have the column student, and id where there are ids; "
                f"it has {', '.join(header)[:200]}"
            )
        for number, line in enumerate(lines, 2):
            cells = dict(zip(columns, line, strict=True))
            place = f"{path}, row {number} ({cells['student']})"
            entry = entry_of(assignment, header, line, place)
            rows.append(Row(cells.get("id", ""), cells["student"], entry, place))
    return rows


def entry_of(
    assignment: Assignment, header: list[str], line: list[str], place: str
) -> Entry:
    """Return what stands in a row, or raise ValueError."""
    entry = Entry()
    for column, cell in zip(header, line, strict=True):
        if not cell:
            continue
        name = _POINTS.sub("", column)
        if column.lower() == "comment":
            entry.comments[""] = cell
        elif column.lower() in LATENESS:
            entry.lateness[column.lower()] = cell
        elif name.endswith(COMMENT) and name[: -len(COMMENT)] in assignment.points:
            entry.comments[name[: -len(COMMENT)]] = cell
        elif name in assignment.points:
            full = assignment.points[name]
            number = number_of(cell)
            if number is None or not 0 <= number <= full:
                raise ValueError(
                    f"{place}: {name} must be a number from 0 to {full:g}, or empty; "
                    f"got '{cell[:40]}'"
                )
            entry.points[name] = number
    return entry


def entries_of(
    rows: list[Row], people: list[Person]
) -> tuple[dict[str, Entry], list[Notice], list[Person]]:
    """Find the rows' students, by id, else by name.

    Parameters
    ----------
    rows : of all files of an assignment
    people : who handed it in

    Returns
    -------
    entries : what was typed, by a person's label
    notices : rows with something typed that belong to nobody here
    missing : people without a row

    Raises
    ------
    ValueError
        If different things were typed in two rows about one student.
    """
    entries: dict[str, Entry] = {}
    places: dict[tuple[str, str], str] = {}
    notices = []
    for row in rows:
        person = person_of(row, people)
        if person is None:
            if row.entry:
                what = "typed in the mark book, but nobody here is meant: not used"
                notices.append(Notice(row.student, row.place, what, doubt=True))
            continue
        entry = entries.setdefault(person.label, Entry())
        add(entry.points, row.entry.points, places, row, f"{person.label} points")
        add(entry.comments, row.entry.comments, places, row, f"{person.label} comment")
        add(entry.lateness, row.entry.lateness, places, row, f"{person.label} late")
    return entries, notices, [p for p in people if p.label not in entries]


def add(
    known: dict[str, Any],
    more: dict[str, Any],
    places: dict[tuple[str, str], str],
    row: Row,
    kind: str,
) -> None:
    """Add what a row says, or raise ValueError where another says otherwise."""
    for name, value in more.items():
        if name in known and known[name] != value:
            raise ValueError(
                f"{name or 'comment'} must be typed once for a student; "
                f"{places[kind, name]} says '{known[name]}', {row.place} says '{value}'"
            )
        known[name] = value
        places[kind, name] = row.place


def person_of(row: Row, people: list[Person]) -> Person | None:
    """Return whom a row is about: the id decides, a name only where there is none.

    Spreadsheets take ids for numbers: 007 becomes 7, a long one 1.23E+15.
    """
    if row.id and not re.fullmatch(r"\d+[.,]\d+E\+\d+", row.id):
        same = [p for p in people if p.id.casefold() == row.id.casefold()]
        if not same and row.id.isdigit():
            same = [p for p in people if p.id.lstrip("0") == row.id.lstrip("0")]
    else:
        name = squeezed(row.student)
        same = [p for p in people if name in (squeezed(p.name), squeezed(p.label))]
    return same[0] if len(same) == 1 else None


# --- new rows ---------------------------------------------------------------------


def add_rows(folder: Path, assignment: Assignment, missing: list[Person]) -> Path:
    """Write rows to fill in, for students without one, into a new file.

    Raises
    ------
    WriteError
        If the folder cannot be written to.
    """
    texts = [name for name in assignment.points if name in assignment.answers]
    tests = [name for name in assignment.points if name in assignment.tests]
    columns = ["id", "student"]
    for name in texts:
        columns += [f"{name} ({assignment.points[name]:g})", name + COMMENT]
    columns += ["comment", *(f"{name} ({assignment.points[name]:g})" for name in tests)]
    blank = [""] * (len(columns) - 2)
    people = sorted(missing, key=lambda person: (person.name.casefold(), person.id))
    text = table_text([columns, *([p.id, p.name, *blank] for p in people)])
    number = 1
    while True:
        path = folder / f"{assignment.name}{f'-{number}' if number > 1 else ''}.csv"
        if not path.exists() and create(path, text):
            return path
        number += 1


def create(path: Path, text: str) -> bool:
    """Write a file that is not there yet, whole or not at all; say whether it did."""
    spare = path.with_name(f".{path.name}.new")
    write_text(spare, text, "utf-8-sig")  # else Excel spoils accents
    try:
        os.link(spare, path)  # fails if somebody made the file in the meantime
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with open(path, "x", encoding="utf-8-sig", newline="") as file:
                file.write(text)
        except FileExistsError:
            return False
        except OSError as error:
            raise cannot_write(path, error) from None
    finally:
        with contextlib.suppress(OSError, WriteError):
            spare.unlink()
    return True
