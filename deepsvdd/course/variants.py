"""A variant of an assignment for each student or group, drawn from one seed.

Which one somebody gets depends on the seed, the assignment and the roster's row, and on
nothing that is handed in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deepsvdd.course.collection import Found
from deepsvdd.course.feedback import file_name
from deepsvdd.course.parameters import choices, in_words, variant
from deepsvdd.course.roster import Roster, Student, squeezed
from deepsvdd.course.source import Assignment
from deepsvdd.files import sha256_of


@dataclass(frozen=True)
class Draw:
    """Who gets which variant.

    Parameters
    ----------
    roster : the students
    seed : another one, other variants
    by : the roster's column in which members of a group have the same; '' for a
        variant each
    """

    roster: Roster
    seed: int
    by: str = ""

    def __post_init__(self) -> None:
        """Check the column.

        Raises
        ------
        ValueError
            If the roster has no such column.
        """
        if self.by and self.by not in self.roster.header:
            raise ValueError(
                "by must be a column of the roster, "
                f"{', '.join(self.roster.header)[:200]}; got '{self.by}'"
            )

    def number(self, assignment: Assignment, student: Student) -> int:
        """Return the number of a student's variant."""
        who = student.cells.get(self.by, "").strip() if self.by else ""
        who = who or student.id or squeezed(student.name)
        text = "\n".join((str(self.seed), assignment.name, who.casefold()))
        return int(sha256_of(text.encode()), 16) % len(choices(assignment))

    def assigned(self, file: Found) -> Found:
        """Return what was handed in, with the variant that its author was given.

        Who is in no row of the roster is not graded: nobody knows the variant.
        """
        row = file.person.row
        if len(choices(file.assignment)) == 1:
            return file
        if row is None:
            what = "in no row of the roster, so that nobody knows which variant this is"
            return replace(file, notebook=None, problem=file.problem or what)
        number = self.number(file.assignment, row)
        words = f"variant {number}: {in_words(file.assignment, number)}"
        return replace(
            file,
            assignment=variant(file.assignment, number),
            remarks=(*file.remarks, words),
        )


def handouts(
    draw: Draw, assignments: list[Assignment]
) -> list[tuple[Student, Assignment, int, Path]]:
    """Return for each student and assignment the variant, and the file to write."""
    taken: set[str] = set()
    found = []
    for student in draw.roster.students:
        folder = file_name(student.id or student.name, taken)
        for each in assignments:
            path = Path(folder, f"{each.name}.ipynb")
            found.append((student, each, draw.number(each, student), path))
    return found
