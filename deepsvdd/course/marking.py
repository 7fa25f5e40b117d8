"""From a download and the mark book to final marks: tables, pages, what to import."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from deepsvdd.course import batch, feedback, lateness, markbook
from deepsvdd.course.anonymity import Key, Mask, copies, pictures_renamed
from deepsvdd.course.anonymity import anonymous as hide
from deepsvdd.course.collection import Collection, Found, Notice, Person, collect
from deepsvdd.course.grade import Result
from deepsvdd.course.gradebook import Marked, gradebooks
from deepsvdd.course.lateness import LateRule
from deepsvdd.course.markbook import Final
from deepsvdd.course.roster import Roster, read_roster
from deepsvdd.course.running import Limits
from deepsvdd.course.sandbox import require
from deepsvdd.course.source import Assignment
from deepsvdd.course.variants import Draw
from deepsvdd.files import require_writable, write_text

REPORT = "report.csv"
Late = Callable[[Found, markbook.Entry, Final], tuple[Final, list[Notice]]]
NO_MARKS = Final(Result("", "", ""), {}, frozenset(), {})
MOST_LINES = 20  # of the report, on the screen


def grade_download(
    download: Path,
    out: Path,
    assignments: list[Assignment],
    wanted: list[Assignment],
    limits: Limits,
    jobs: int,
    roster: Path | None = None,
    book: Path | None = None,
    due: datetime | None = None,
    trust: bool = False,
    rule: LateRule | None = None,
    anonymous: Path | None = None,
    reveal: Path | None = None,
    variants: tuple[int, str] | None = None,
) -> Iterator[str]:
    """Grade a download, merge what a person typed, and write everything down.

    Parameters
    ----------
    download : folder or zip, as a platform made it
    out : for tables, pages and the report
    assignments : all that there are
    wanted : those to grade
    limits, jobs : see `deepsvdd.course.batch.grade_all`
    roster : a list of students
    book : the mark book's folder; ``mark-book`` in `out` if None
    due : when to hand in
    trust : whether submissions may run without a sandbox where there is none
    rule : what being late costs
    anonymous : the key, with which all that is written has pseudonyms
    reveal : the key, with which pseudonyms of the mark book become students again
    variants : the seed by which students got their variants, and the column of groups

    Yields
    ------
    A line for each table and each thing to look at.

    Raises
    ------
    ValueError
        If there is nothing to grade, the roster or the mark book is wrong, or there is
        no sandbox: before any notebook runs.
    """
    require(trust)
    book = out / "mark-book" if book is None else book
    for each in wanted:  # before minutes of work
        require_writable(out / f"{each.name}.csv")
        require_writable(book / f".{each.name}.csv")
    students = read_roster(roster) if roster is not None else None
    draw = None
    if variants is not None:
        if students is None:
            raise ValueError("variants must come with a roster, which tells them")
        draw = Draw(students, *variants)
    if anonymous is not None:
        outside(anonymous, out, book)
    keys = [Key(path) if path is not None else None for path in (anonymous, reveal)]
    rows = read_books(book, assignments, wanted, keys[1])
    with tempfile.TemporaryDirectory(prefix="deepsvdd-") as folder:
        into = Path(folder)
        collection = collect(download, into, assignments, wanted, students, due)
        # Wrong marks are found before the work, not after it.
        names = [student.name for student in students.students] if students else []
        masks: dict[str, Mask] = {}
        seen = collection
        if keys[0] is not None:
            seen, _, masks = hide(collection, [], keys[0], names)
        known = typed(rows, people_of(seen))
        late = None if rule is None else functools.partial(lateness.apply, rule, due)
        if late is not None:
            for file in seen.files:
                entry = known[file.assignment.name][0].get(file.student)
                late(file, entry or markbook.Entry(), NO_MARKS)
        if draw is not None:
            given = [draw.assigned(file) for file in collection.files]
        else:
            given = collection.files
        results = batch.grade_all(given, out, limits, jobs, trust)
        if keys[0] is not None:
            seen, results, masks = hide(collection, results, keys[0], names)
            seen.files = [pictures_renamed(file, into) for file in seen.files]
        yield from write(
            out,
            book,
            assignments,
            wanted,
            seen,
            results,
            students,
            late,
            masks,
            keys[1],
        )


def read_books(
    book: Path,
    assignments: list[Assignment],
    wanted: list[Assignment],
    key: Key | None = None,
) -> dict[str, list[markbook.Row]]:
    """Read the mark book's rows for each assignment, by name; with a key, revealed."""
    names = [assignment.name for assignment in assignments]
    rows = {each.name: markbook.read_book(book, each, names) for each in wanted}
    return rows if key is None else {n: key.reveal(own) for n, own in rows.items()}


def outside(key: Path, *folders: Path) -> None:
    """Raise ValueError if a key lies where those look who mark."""
    for folder in folders:
        if key.resolve().is_relative_to(folder.resolve()):
            raise ValueError(
                f"anonymous must be a file outside of '{folder}', where those look who "
                f"mark; got '{key}'"
            )


def people_of(collection: Collection) -> dict[str, list[Person]]:
    """Return who handed in which assignment."""
    people: dict[str, list[Person]] = {}
    for file in collection.files:
        people.setdefault(file.assignment.name, []).append(file.person)
    return people


def typed(
    rows: dict[str, list[markbook.Row]], people: dict[str, list[Person]]
) -> dict[str, tuple[dict[str, markbook.Entry], list[Notice], list[Person]]]:
    """Return what was typed about whom; see `deepsvdd.course.markbook.entries_of`."""
    return {
        name: markbook.entries_of(own, people.get(name, []))
        for name, own in rows.items()
    }


def write(
    out: Path,
    book: Path,
    assignments: list[Assignment],
    wanted: list[Assignment],
    collection: Collection,
    results: list[Result],
    roster: Roster | None,
    late: Late | None = None,
    masks: dict[str, Mask] | None = None,
    key: Key | None = None,
) -> Iterator[str]:
    """Write tables, pages, the report and new rows of the mark book."""
    report = list(collection.report)
    # Read again: somebody may have typed while notebooks ran.
    rows = read_books(book, assignments, wanted, key)
    entries = typed(rows, people_of(collection))
    by_key = {(result.assignment, result.student): result for result in results}
    tables, lines = {}, []
    for assignment in wanted:
        files = [file for file in collection.files if file.assignment is assignment]
        own, notices, missing = entries[assignment.name]
        report += notices
        if not files:
            continue
        marked: list[Marked] = []
        for file in files:
            result = by_key[assignment.name, file.student]
            entry = own.get(file.student, markbook.Entry())
            final = markbook.merge(assignment, result, entry)
            if late is not None:
                final, notices = late(file, entry, final)
                report += notices
            marked.append((file, final))
        if missing:
            path = markbook.add_rows(book, assignment, missing)
            lines.append(f"{path}: {len(missing)} new row(s) for you to fill in")
        tables[f"{assignment.name}.csv"] = feedback.table(assignment, marked)
        feedback.write_pages(out, assignment, marked)
        exports: dict[str, str] = {}
        if masks:  # no platform knows pseudonyms
            for name, text in copies(files, masks):
                write_text(out / name, text)
        else:
            exports, notices = gradebooks(assignment, marked, roster)
            report += notices
        waiting = sum(not final.complete for _, final in marked)
        for platform, text in exports.items():
            name = f"{assignment.name}-import-{platform}.csv"
            tables[name] = text
            if waiting:
                lines.append(f"{name}: no grade yet for {waiting} with texts to mark")
    report += strangers(book, assignments)
    tables[REPORT] = feedback.report(report)
    for kept in feedback.write_tables(out, tables):
        lines.append(f"{kept}: somebody changed this table, so it was kept")
    yield from (str(out / name) for name in tables)
    yield from lines
    yield from summary(out, collection, report)


def strangers(book: Path, assignments: list[Assignment]) -> Iterator[Notice]:
    """Report files in the mark book that nobody reads, such as workbooks (.xlsx)."""
    names = [assignment.name for assignment in assignments]
    known = {
        path for each in assignments for path in markbook.files_of(book, each, names)
    }
    for path in sorted(book.iterdir()) if book.is_dir() else ():
        if path not in known and not path.name.startswith((".", "~")):
            what = "in the mark book, but not read: save it as CSV, as NAME.csv"
            yield Notice("", str(path), what, doubt=True)


def summary(out: Path, collection: Collection, report: list[Notice]) -> Iterator[str]:
    """Say what needs a look: who is in doubt, and whose file could not be graded."""
    for file in collection.files:
        if file.problem:
            yield f"not graded: {file.student}: {file.problem}"
    for notice in [notice for notice in report if notice.doubt][:MOST_LINES]:
        yield f"{notice.student or notice.file}: {notice.what}"
    if report:
        yield f"{out / REPORT}: {len(report)} line(s) on what was left out or in doubt"
