"""Which of the files that were handed in counts, for whom and for which assignment."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from nbformat import NotebookNode

from deepsvdd.course.archives import PICTURES
from deepsvdd.course.build import release
from deepsvdd.course.platforms import Upload, uploads
from deepsvdd.course.roster import Roster, Student, match
from deepsvdd.course.source import Assignment, grade_id, read_notebook
from deepsvdd.course.submission import places_of

_COPIES = re.compile(r"\((\d+)\)\.ipynb$", re.IGNORECASE)
STRAY = 1 / 8  # of an assignment's cells; as many may be like those of another
SAME_TIME = 60  # s; Moodle gives all files the time at which it made the zip


@dataclass(frozen=True)
class Person:
    """Somebody who handed in.

    Parameters
    ----------
    label : of nobody else
    name : may be another's, too
    id : the platform's, or where it gives none that of the roster, or ''
    layout : see `deepsvdd.course.platforms.Upload`
    row : that of the roster, if one fits
    """

    label: str
    name: str
    id: str = ""
    layout: str = "folder"
    row: Student | None = None


@dataclass(frozen=True)
class Found:
    """The file that counts for a person and an assignment.

    Parameters
    ----------
    path : where it is
    student : the person's label
    assignment : what it belongs to
    notebook : what is in it, or None
    problem : why it cannot be graded
    person : who handed it in
    late, submitted : see `deepsvdd.course.platforms.Upload`
    remarks : for the student
    pictures : files with pictures that were handed in beside it
    """

    path: Path
    student: str
    assignment: Assignment
    notebook: NotebookNode | None
    problem: str = ""
    person: Person = field(default_factory=lambda: Person("", ""))
    late: str = ""
    submitted: str = ""
    remarks: tuple[str, ...] = ()
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Notice:
    """A line of the report: a file that was left out, or something in doubt."""

    student: str
    file: str
    what: str
    doubt: bool = False


@dataclass
class Collection:
    """What a download holds: the files that count, and the report on all others."""

    files: list[Found] = field(default_factory=list)
    report: list[Notice] = field(default_factory=list)


def collect(
    download: Path,
    into: Path,
    assignments: list[Assignment],
    wanted: list[Assignment] | None = None,
    roster: Roster | None = None,
    due: datetime | None = None,
) -> Collection:
    """Find in a download the newest notebook for each person and assignment.

    Parameters
    ----------
    download : folder or zip, as a platform made it
    into : an empty folder for what is taken out of zips
    assignments : all that there are, so that none is taken for another
    wanted : those to grade (all if None); if it is one, a person who handed in nothing
        with a sign of any has handed in that
    roster : the list of students
    due : when to hand in; with it, those are late whose time a platform tells

    Raises
    ------
    ValueError
        If there is no file at all.
    """
    wanted = assignments if wanted is None else wanted
    found = uploads(download, into, [assignment.name for assignment in assignments])
    if not found:
        raise ValueError(f"SUBMISSIONS must hold notebooks, but '{download}' is empty")
    collection = Collection()
    people = identify(found, roster or Roster([], []), collection.report)
    groups: dict[Person, dict[str, list[Candidate]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for upload in found:
        candidate = read(upload, assignments)
        name = candidate.assignment.name if candidate.assignment else ""
        groups[people[upload.person]][name].append(candidate)
    for person, own in groups.items():
        if own.keys() == {""} and len(wanted) == 1:  # the best there is
            own[wanted[0].name] = own.pop("")
        others = own.pop("", [])
        chosen = []
        for assignment in wanted:
            if candidates := own.pop(assignment.name, []):
                file = choose(person, assignment, candidates, others, due)
                chosen.append(file)
                collection.report += left_out(file, candidates)
        collection.files += chosen
        for candidate in [*others, *(each for rest in own.values() for each in rest)]:
            what = candidate.problem
            if candidate.assignment is not None:
                what = what or f"is of {candidate.assignment.name}"
            elif chosen and candidate.notebook is None and not candidate.upload.problem:
                what = beside(candidate)
            collection.report.append(notice(person, candidate, what))
    collection.files.sort(key=lambda file: (file.assignment.name, file.student))
    if roster:
        report_missing(roster, wanted, collection)
    return collection


# --- people -----------------------------------------------------------------------


def identify(
    found: list[Upload], roster: Roster, report: list[Notice]
) -> dict[str, Person]:
    """Return each identity's person; in a roster's row, names are one person."""
    newest: dict[str, Upload] = {}
    for upload in sorted(found, key=lambda upload: upload.age):
        newest[upload.person] = upload
    matches = match(
        roster, {key: (u.layout, u.id, u.name) for key, u in newest.items()}
    )
    people: dict[str, Person] = {}
    by_row: dict[Student, Person] = {}
    labels: dict[str, str] = {}
    for key, upload in sorted(newest.items()):
        row = matches.students.get(key)
        if row is not None and not upload.id and row in by_row:
            people[key] = by_row[row]
            continue
        label = f"{upload.name} ({upload.id})" if upload.id else upload.name
        if label in labels:
            label = f"{label}, {upload.layout}"
        labels[label] = key
        name = row.name if row is not None else upload.name
        number = upload.id or (row.id if row is not None else "")
        person = Person(label, name, number, upload.layout, row)
        people[key] = person
        if row is not None and not upload.id:
            by_row[row] = person
        if roster and row is None:
            report.append(Notice(label, "", matches.problems[key], doubt=True))
        if upload.nameless and row is None:
            what = "the file's name tells no student: graded under the file's name"
            report.append(Notice(label, "/".join(upload.parts), what, doubt=True))
    return people


def report_missing(
    roster: Roster, wanted: list[Assignment], collection: Collection
) -> None:
    """Report who of the roster has handed in nothing."""
    for assignment in wanted:
        there = {
            file.person.row
            for file in collection.files
            if file.assignment is assignment
        }
        if there:
            for student in roster.students:
                if student not in there:
                    what = f"handed in nothing for {assignment.name}"
                    collection.report.append(Notice(student.name, "", what))


# --- files ------------------------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """An upload, read: the assignment it is of, and its notebook or what is wrong.

    ``share`` is how much of the assignment the notebook holds, 0 to 1.
    """

    upload: Upload
    assignment: Assignment | None
    notebook: NotebookNode | None
    problem: str

    share: float = 0.0

    def order(self, most: float) -> tuple[bool, bool, float, int, tuple[str, ...]]:
        """Larger for what counts rather: notebooks, then newer ones, then copies.

        `most` is the largest share of the person's notebooks; scratch paper, with a
        function or two of the same name, is no newer version of them.
        """
        copy = _COPIES.search(self.upload.file)
        number = int(copy[1]) if copy and len(copy[1]) < 9 else 0
        there = self.notebook is not None and 4 * self.share >= most
        own = not self.upload.receipt
        return there, own, self.upload.age, number, self.upload.parts


def read(upload: Upload, assignments: list[Assignment]) -> Candidate:
    """Read an upload's notebook, and say which assignment it is of."""
    notebook, problem = None, upload.problem
    is_notebook = upload.file.lower().endswith(".ipynb")
    if upload.path is not None and is_notebook:
        try:
            notebook = read_notebook(upload.path)
        except (ValueError, OSError) as error:
            problem = str(error)
    elif not problem:
        problem = f"'{upload.file}' is no notebook (.ipynb)"
    assignment, share = recognise_assignment(upload.parts, notebook, assignments)
    if assignment is None and not problem:
        names = ", ".join(each.name for each in assignments)
        problem = f"'{upload.file}' is none of {names}: try --assignment"
    return Candidate(upload, assignment, notebook, problem, share)


def recognise_assignment(
    parts: tuple[str, ...],
    notebook: NotebookNode | None,
    assignments: list[Assignment],
) -> tuple[Assignment | None, float]:
    """Return the assignment whose cells a notebook holds, else that of its names.

    Returns
    -------
    assignment : or None
    share : of its solutions, tests and answers, how many the notebook holds, 0 to 1
    """
    named = {}  # the nearer to the file's name, and the longer, the better
    for depth, part in enumerate(parts):
        for each in assignments:
            if each.name.lower() in part.lower():
                named[each.name] = (depth, len(each.name))
    order = sorted(assignments, key=lambda each: named.get(each.name, (-1, 0)))[::-1]
    best, share = None, 0.0
    for each in order:
        held = share_of(each, notebook) if notebook is not None else 0.0
        if held > share and held > STRAY:
            best, share = each, held
        if held > 0.5:
            break
    if best is None and order and order[0].name in named:
        best = order[0]
    return best, share


def share_of(assignment: Assignment, notebook: NotebookNode) -> float:
    """Return the share of an assignment's cells that a notebook holds, 0 to 1."""
    places = set(places_of(assignment, release(assignment), notebook.cells))
    own = assignment.solutions.keys() | assignment.points.keys()
    held = sum(
        grade_id(cell) in own and place in places
        for place, cell in enumerate(assignment.cells)
    )
    return held / max(len(own), 1)


def choose(
    person: Person,
    assignment: Assignment,
    candidates: list[Candidate],
    others: list[Candidate],
    due: datetime | None,
) -> Found:
    """Return the newest notebook of those for one assignment.

    Parameters
    ----------
    person : whose they are
    assignment : what they are for
    candidates : the files, at least one
    others : the person's files for no assignment, which may belong to it
    due : when to hand in
    """
    most = max(candidate.share for candidate in candidates)
    best = max(candidates, key=lambda candidate: candidate.order(most))
    upload = best.upload
    rivals = [c for c in candidates if c is not best and c.order(most)[0]]
    remarks = []
    if rivals:
        margin = SAME_TIME if upload.layout == "moodle" else 0
        unsure = any(upload.age - each.upload.age <= margin for each in rivals)
        what = "one of several, of one time" if unsure else "the newest of several"
        names = ", ".join(sorted(each.upload.file for each in rivals))
        remarks.append(f"{what}; left out: {names}")
    besides = [
        each
        for each in [*candidates, *others]
        if each.notebook is None and not each.upload.receipt and near(each, best)
    ]
    if best.notebook is not None and besides:
        names = ", ".join(sorted({each.upload.file for each in besides}))
        remarks.append(f"handed in beside the notebook: {names}")
    late, submitted = lateness(person, upload, due)
    return Found(
        upload.path or Path(upload.file),
        person.label,
        assignment,
        best.notebook,
        "" if best.notebook is not None else best.problem,
        person,
        late,
        submitted,
        tuple(remarks),
        tuple(path for each in besides if (path := picture(each.upload))),
    )


def near(one: Candidate, other: Candidate) -> bool:
    """Say whether two files came in one download; all do that lie in one folder."""
    a, b = one.upload.parts, other.upload.parts
    return len(a) == 1 or len(b) == 1 or a[0] == b[0]


def picture(upload: Upload) -> Path | None:
    """Return where a file is, if its name is that of a picture."""
    return upload.path if upload.file.lower().endswith(tuple(PICTURES)) else None


def lateness(person: Person, upload: Upload, due: datetime | None) -> tuple[str, str]:
    """Return whether and when a file was handed in, each '' if nobody knows."""
    late, submitted = upload.late, upload.submitted
    if person.row is not None and not late:
        # Moodle's grading worksheet, mod/assign/gradingtable.php: "2 hours late".
        cells = {name.lower(): text for name, text in person.row.cells.items()}
        if status := cells.get("status", ""):
            late = "yes" if re.search(r"\blate\b", status) else "no"
        time = cells.get("last modified (submission)", "-")
        submitted = submitted or (time if time != "-" else "")
    if due is not None and upload.submitted:
        late = "yes" if datetime.fromisoformat(upload.submitted) > due else "no"
    return late, submitted


# --- the report -------------------------------------------------------------------


def left_out(file: Found, candidates: list[Candidate]) -> list[Notice]:
    """Report a person's files for an assignment that do not count, and why."""
    notices = []
    for candidate in candidates:
        if candidate.upload.path == file.path and not file.problem:
            continue
        what = candidate.problem
        if candidate.notebook is not None:
            what = f"another notebook counts: {file.path.name}"
        elif not file.problem and not candidate.upload.problem:
            is_notebook = candidate.upload.file.lower().endswith(".ipynb")
            what = what if is_notebook else beside(candidate)
        notices.append(notice(file.person, candidate, what))
    return notices


def beside(candidate: Candidate) -> str:
    """Say what a file is that came with a notebook."""
    if candidate.upload.receipt:
        return "the platform's: look there for texts and comments"
    return "handed in beside the notebook"


def notice(person: Person, candidate: Candidate, what: str) -> Notice:
    """Return a line of the report about a file."""
    return Notice(person.label, "/".join(candidate.upload.parts), what)
