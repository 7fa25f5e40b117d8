"""Tables of the guide for instructors, made from the sources when the book is built.

``{timetable} NAME`` shows a plan of ``timetable.yml``, ``{goals}`` what tests each
learning goal.
"""

from pathlib import Path

from sphinx.util.docutils import SphinxDirective

from deepsvdd.course import goals, timetable


def row(*cells):
    """Return a row of a Markdown table."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def ranges(numbers):
    """Return numbers in words: 1, 2, 3 and 5 as '1–3, 5'."""
    runs = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(
        f"{run[0]}–{run[-1]}" if len(run) > 2 else ", ".join(map(str, run))
        for run in runs
    )


def reading_of(reading):
    """Return what to read, with a link."""
    text = f"[]({reading.page}.ipynb)"
    if reading.to:
        text += f" up to *{reading.to}*"
    if reading.only:
        text += ": " + ", ".join(f"*{section}*" for section in reading.only)
    return text


def session_row(number, session):
    """Return a session as a row: what it is, to read before, to do, and after it."""
    week, part = (number - 1) // 2 + 1, (number - 1) % 2 + 1
    after = [f"assignment {n[0]}, tasks {ranges(t)}" for n, t in session.tasks.items()]
    if session.quizzes:
        word = "quiz" if len(session.quizzes) == 1 else "quizzes"
        after.insert(0, f"{word} {ranges(session.quizzes)}")
    return row(
        f"**{week}.{part} {session.title}**<br>slides {ranges(session.slides)}",
        "<br>".join(map(reading_of, session.read)) or "–",
        "<br>".join(f"**{minutes} min** {what}" for minutes, what in session.minutes),
        "<br>".join(after) or "–",
    )


class FromSources(SphinxDirective):
    """Markdown that is made from other files than the page's own."""

    def parsed(self, lines, *files):
        """Return the nodes of Markdown lines, and note what they were made from."""
        for file in files:
            self.env.note_dependency(str(file))
        return self.parse_text_to_nodes("\n".join(lines))

    @property
    def book(self):
        """The folder of the book's sources."""
        return Path(self.env.srcdir)


class Timetable(FromSources):
    """A plan, a row for each session."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        """Return the table."""
        path = self.book / "timetable.yml"
        try:
            plan = timetable.read_timetable(path)[self.arguments[0]]
        except (ValueError, OSError) as error:
            raise self.error(str(error)) from None
        except KeyError:
            raise self.error(f"there is no plan '{self.arguments[0]}'") from None
        lines = [
            "::::{div} timetable",
            row("session", "read before", "in class", "afterwards"),
            "|---|---|---|---|",
            *(session_row(n, session) for n, session in enumerate(plan, 1)),
            "::::",
        ]
        return self.parsed(lines, path)


class Goals(FromSources):
    """What tests each goal, folded by chapter."""

    def run(self):
        """Return a table for each chapter."""
        book = self.book
        try:
            found = goals.matrix(goals.read_goals(book), goals.read_tested(book))
            entries = [(goal, tests) for goal, tests in found]
        except (ValueError, OSError) as error:
            raise self.error(str(error)) from None
        lines = []
        for chapter, path in goals.chapters(book).items():
            title = goals.text_of(path).lstrip("# ").partition("\n")[0]
            lines += [
                f":::::{{dropdown}} Chapter {chapter}: {title}",
                "::::{div} goals",
                row("goal", "quiz", "exercises", "tasks"),
                "|---|---|---|---|",
            ]
            for goal, tests in entries:
                if goal.chapter == chapter:
                    cells = (", ".join(names) or "–" for names in tests.values())
                    lines.append(row(f"{goal.id} {goal.text}", *cells))
            lines += ["::::", ":::::", ""]
        return self.parsed(lines, *goals.chapters(book).values())


def setup(app):
    """Register the directives."""
    app.add_directive("timetable", Timetable)
    app.add_directive("goals", Goals)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
