"""A list of students, and who of it handed in what."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deepsvdd.course.tables import nfc, read_table

# Columns of the lists that Canvas (gradebook export), Moodle (grading worksheet, list
# of participants) and Blackboard (gradebook) write, and of one's own, in small letters.
_USER = ("username", "user name", "sis login id", "login id")
_IDS = (
    *("id", "identifier", "user id", "student id", "id number", "sis user id"),
    *_USER,
    *("email", "email address"),
)
# Where the id stands that a platform writes into the names of files.
_OF_LAYOUT = {
    "canvas": ("id", "user id"),
    "moodle": ("identifier", "id"),
    "blackboard": (*_USER, "id"),
    "folder": _IDS,  # none; but students may be asked to hand in under an id
}
_NAMES = ("student", "name", "full name", "student name")
_FIRST = ("first name", "firstname", "given name")
_LAST = ("last name", "lastname", "surname", "family name")
_PARTICIPANT = re.compile(r"\D*?(\d+)")


@dataclass(frozen=True, eq=False)
class Student:
    """A row of a roster.

    ``ids`` are by column, ``names`` the forms that platforms may write the name in,
    ``cells`` all of the row by the names of its columns.
    """

    ids: dict[str, str]
    name: str
    names: frozenset[str]
    cells: dict[str, str]

    @property
    def id(self) -> str:
        """The first id of the row, or ''."""
        return next(iter(self.ids.values()), "")


@dataclass(frozen=True)
class Roster:
    """A list of students; ``kind`` is canvas, moodle or '' by the form of its table."""

    header: list[str]
    students: list[Student]
    kind: str = ""

    def __bool__(self) -> bool:
        """Say whether there is anybody in it."""
        return bool(self.students)


@dataclass
class Matches:
    """Which person is which row, and what could not be decided."""

    students: dict[str, Student] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)  # person → why not


def read_roster(path: Path) -> Roster:
    """Read a list of students: a platform's own export, or columns ``id`` and ``name``.

    Raises
    ------
    ValueError
        If the table has no column of ids or names that is known, no row, or one id
        twice.
    """
    header, rows = read_table(path)
    lower = [name.lower() for name in header]
    known = [*_IDS, *_NAMES, *_LAST]
    if not set(lower) & set(known):
        raise ValueError(
            f"'{path}' must have one of the columns {', '.join(known)}; "
            f"it has {', '.join(header)[:200]}"
        )
    kind = ""
    if lower[0] in ("student", "lastname") and "id" in lower and "section" in lower:
        kind = "canvas"
    elif "identifier" in lower and "grade" in lower:
        kind = "moodle"
    students = []
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        student = student_of(dict(zip(lower, row, strict=True)), cells)
        # Canvas puts rows between header and students, without ids.
        if student.names and (kind != "canvas" or student.ids):
            students.append(student)
    if not students:
        raise ValueError(f"'{path}' must list students, but it has no row with a name")
    owners: dict[tuple[str, str], Student] = {}
    for student in students:
        for column, each in student.ids.items():
            other = owners.setdefault((column, each.casefold()), student)
            if other is not student:
                raise ValueError(
                    f"'{path}' must have every id once; in its column '{column}', "
                    f"'{each}' is that of '{other.name}' and of '{student.name}'"
                )
    return Roster(header, students, kind)


def student_of(lower: dict[str, str], cells: dict[str, str]) -> Student:
    """Return the student of a row; `lower` has the columns' names in small letters."""

    def first(columns: Iterable[str]) -> str:
        return next((lower[c] for c in columns if lower.get(c)), "")

    ids = {column: lower[column] for column in _IDS if lower.get(column)}
    if found := _PARTICIPANT.fullmatch(ids.get("identifier", "")):
        ids["identifier"] = found[1]  # "Participant 12", in any language
    given, family = first(_FIRST), first(_LAST)
    name = first(_NAMES) or " ".join(filter(None, (given, family)))
    name = name or first(_IDS)
    forms = {name, f"{given} {family}", f"{family} {given}"}
    before, comma, after = name.partition(",")
    forms.add(f"{after} {before}")
    if not comma:  # Canvas writes the last name first
        before, _, last = name.rpartition(" ")
        forms.add(f"{last} {before}")
    names = frozenset(filter(None, map(squeezed, forms)))
    return Student(ids, name, names, cells)


def squeezed(name: str) -> str:
    r"""Return a name without what platforms change: case, spaces, Unicode's form.

    Examples
    --------
    >>> squeezed("Doe, Jané") == squeezed("doejane" + "\u0301")
    True
    """
    return re.sub(r"[\W_]+", "", nfc(name)).casefold()


def match(roster: Roster, people: dict[str, tuple[str, str, str]]) -> Matches:
    """Find people in a roster: by id, else by a name that nobody else has.

    Two people never become one, if a platform gave them different ids.

    Parameters
    ----------
    roster : the list
    people : person → layout, id or '', name
    """
    there = {column for student in roster.students for column in student.ids}
    found: dict[str, set[Student]] = {}
    owned: dict[Student, str] = {}
    for person, (layout, number, name) in people.items():
        columns = [column for column in _OF_LAYOUT[layout] if column in there]
        # Each platform has its own column; a name may stand in any.
        columns = columns if layout == "folder" else columns[:1]
        token = (number or name).casefold()
        found[person] = {
            student
            for student in roster.students
            if any(student.ids.get(c, "").casefold() == token for c in columns)
        }
        owned |= dict.fromkeys(found[person], person)
    claims: dict[Student, list[str]] = defaultdict(list)
    for person, (_, _, name) in people.items():
        if not found[person]:
            before, _, after = name.partition(",")
            forms = {squeezed(name), squeezed(after + before)}
            same = {s for s in roster.students if forms & s.names}
            found[person] = {student for student in same if student not in owned}
            for student in found[person]:
                claims[student].append(person)
    matches = Matches()
    for person, rows in found.items():
        if len(rows) != 1:
            what = "several rows" if rows else "no row"
            matches.problems[person] = f"{what} of the roster fit"
            continue
        (student,) = rows
        rivals = claims[student]
        if len(rivals) > 1 and any(people[rival][1] for rival in rivals):
            matches.problems[person] = "several people fit one row of the roster"
        else:
            matches.students[person] = student
    return matches
