"""Marks in the form that a learning platform's gradebook imports."""

from __future__ import annotations

import html
from collections import defaultdict

from deepsvdd.course.collection import Found, Notice
from deepsvdd.course.feedback import task_of
from deepsvdd.course.markbook import Final
from deepsvdd.course.roster import Roster, Student, squeezed
from deepsvdd.course.source import Assignment
from deepsvdd.course.tables import table_text

Marked = tuple[Found, Final]

# Moodle's grading worksheet: mod/assign/feedback/offline/importgradeslib.php finds
# students by "Identifier", and needs "Grade" and "Last modified (grade)"; grades that
# are empty are passed over.
_WORKSHEET = [
    "Identifier",
    "Full name",
    "Grade",
    "Maximum Grade",
    "Last modified (grade)",
]
_FEEDBACK = "Feedback comments"
# Canvas's gradebook export: lib/gradebook_exporter.rb writes it, and
# lib/gradebook_importer.rb wants "Student" and "ID" first, "Section" last before the
# assignments, and a row of points. It asks what a title is that it does not know.
_EXPORT = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]


def gradebooks(
    assignment: Assignment, marked: list[Marked], roster: Roster | None
) -> tuple[dict[str, str], list[Notice]]:
    """Return the tables to import, by the platform's name, and who is in none.

    Parameters
    ----------
    assignment : what was marked
    marked : who handed in, with final marks; who has texts to mark gets no grade: an
        empty one in Moodle, which passes it over, and no row in Canvas, where an empty
        one would take away what is there
    roster : if it is an export of Moodle or Canvas, its columns are those of the table
    """
    notices: list[Notice] = []
    rows = defaultdict(list)
    owners: dict[Student, list[Marked]] = defaultdict(list)
    for each in marked:
        if each[0].person.row is not None:
            owners[each[0].person.row].append(each)
    kind = roster.kind if roster is not None else ""
    for found, final in marked:
        person = found.person
        if person.row is not None and len(owners[person.row]) > 1:
            what = f"two submissions of one row of the roster, {person.row.name}"
            notices.append(
                Notice(person.label, "", f"not in the gradebook: {what}", doubt=True)
            )
        elif kind and person.row is not None:
            rows[kind].append((found, final))
        elif kind:
            what = "not in the gradebook: no row of the roster"
            notices.append(Notice(person.label, "", what, doubt=True))
        elif person.layout in ("moodle", "canvas") and person.id.isdigit():
            rows[person.layout].append((found, final))
        elif person.layout in ("moodle", "canvas"):
            what = "not in the gradebook: without an id, it needs --roster"
            notices.append(Notice(person.label, "", what, doubt=True))
    makers = {"moodle": moodle, "canvas": canvas}
    given = roster if kind else None
    return {
        name: table_text(makers[name](assignment, own, given))
        for name, own in rows.items()
    }, notices


def moodle(
    assignment: Assignment, marked: list[Marked], roster: Roster | None
) -> list[list[str]]:
    """Return Moodle's grading worksheet, filled in."""
    header = list(roster.header if roster is not None else _WORKSHEET)
    comments = any(any(final.comments.values()) for _, final in marked)
    for column in ("Grade", "Last modified (grade)", *([_FEEDBACK] * comments)):
        if column not in header:
            header.append(column)
    rows = [header]
    for found, final in marked:
        person = found.person
        cells = {
            "Identifier": f"Participant {person.id}",
            "Full name": person.name,
            "Maximum Grade": f"{sum(assignment.points.values()):g}",
        }
        if person.row is not None:
            cells = dict(person.row.cells)
        cells["Grade"] = grade_of(final)
        if comments:
            cells[_FEEDBACK] = comment_of(assignment, final)
        rows.append([cells.get(column, "") for column in header])
    return rows


def canvas(
    assignment: Assignment, marked: list[Marked], roster: Roster | None
) -> list[list[str]]:
    """Return Canvas's gradebook with one assignment."""
    header, title = list(_EXPORT), assignment.title
    if roster is not None:
        lower = [name.lower() for name in roster.header]
        header = roster.header[: lower.index("section") + 1]
        own = {squeezed(assignment.name), squeezed(assignment.title)}
        for column in roster.header[len(header) :]:
            if squeezed(column.rpartition(" (")[0]) in own:
                title = column
    points = f"{sum(assignment.points.values()):g}"
    blank = [""] * (len(header) - 1)
    rows = [[*header, title], ["Points Possible", *blank, points]]
    for found, final in marked:
        if not final.complete:
            continue
        person = found.person
        cells = {"Student": person.name, "ID": person.id}
        if person.row is not None:
            cells = person.row.cells
        rows.append([*(cells.get(name, "") for name in header), grade_of(final)])
    return rows


def grade_of(final: Final) -> str:
    """Return the mark, or '' while there are texts to mark."""
    return f"{final.mark:g}" if final.complete else ""


def comment_of(assignment: Assignment, final: Final) -> str:
    """Return all comments as the HTML that Moodle shows."""
    parts = [final.comments.get("", "")]
    for name in assignment.answers:
        if text := final.comments.get(name, ""):
            parts.append(f"{task_of(assignment.headings[name])}: {text}")
    lines = html.escape("\n\n".join(filter(None, parts)), quote=False)
    return lines.replace("\n", "<br>")
