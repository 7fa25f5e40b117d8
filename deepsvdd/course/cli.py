"""The command ``deepsvdd-course``: check, build, grade, quiz."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from deepsvdd.cli import Commands
from deepsvdd.files import require_writable
from deepsvdd.version import __version__

SOURCES = Path("book/assignments")
PATH = click.Path(exists=True, path_type=Path)


class Number(click.FloatRange):
    """Numbers in a range; unlike click's, without NaN."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read a number, or say which there may be."""
        number: float = click.FLOAT.convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{number} is not in the range {self._describe_range()}.")
        return float(super().convert(number, param, ctx))


class Due(click.ParamType):
    """Until when to hand in; a day without a time lasts until its end."""

    name = "datetime"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read a date, or say what one looks like."""
        from deepsvdd.course.lateness import end_of

        try:
            return end_of(value)
        except ValueError:
            self.fail(
                f"must be a date like 2026-11-05 or '2026-11-05 23:59'; got '{value}'"
            )


SECONDS = Number(1, 7 * 24 * 3600)  # up to a week
MEBIBYTES = click.IntRange(64, 2**24)  # Python alone needs as much; up to 16 TiB
SEED = click.IntRange(0, 2**63 - 1)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
KEY = click.Path(dir_okay=False, path_type=Path)
JOBS = click.IntRange(1, 2**16)


class Group(Commands):
    """Plain commands, with the errors of ``deepsvdd``: a sentence, no traceback."""

    list_commands = click.Group.list_commands
    get_command = click.Group.get_command  # type: ignore[assignment]

    def invoke(self, ctx: click.Context) -> object:
        """Run a command, or say what this machine lacks for it."""
        try:
            return super().invoke(ctx)
        except ModuleNotFoundError as error:
            if error.name == "resource":  # of Python itself, but not on Windows
                raise click.ClickException(
                    "notebooks run on Linux and macOS only; on Windows, use WSL"
                ) from error
            raise click.ClickException(
                f"{error.name} is not installed; in a copy of the repository, "
                "pip install -e '.[course]' brings all that the course needs"
            ) from error


def limits(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that bound a run."""
    options = (
        click.option(
            "--seconds",
            type=SECONDS,
            default=900.0,
            show_default=True,
            help="Time for a notebook, in seconds that pass.",
        ),
        click.option(
            "--cell_seconds",
            type=SECONDS,
            default=60.0,
            show_default=True,
            help="Time for one of its cells, in seconds of work.",
        ),
        click.option(
            "--memory",
            type=MEBIBYTES,
            default=4096,
            show_default=True,
            help="Memory for a notebook beyond its libraries', in MiB (Linux only).",
        ),
        click.option(
            "--jobs",
            type=JOBS,
            default=os.cpu_count() or 1,
            show_default="the cores",
            help="Notebooks to run at the same time.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _write_into(folder: Path, name: str, text: str) -> None:
    from deepsvdd.files import write_text

    write_text(folder / name, text)


@click.group(
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(__version__)
def main() -> None:
    """Make a course of the book: releases, proof of their tests, marks, quizzes.

    \b
    deepsvdd-course check
    deepsvdd-course build _build/course
    deepsvdd-course grade submissions/ marks/
    deepsvdd-course quiz _build/course/quizzes

    A source is a notebook in nbgrader's format; the guide for instructors in the book
    says what else it holds.
    """


@main.command()
@click.argument("sources", nargs=-1, type=PATH)
@limits
def check(sources: tuple[Path, ...], jobs: int, **options: Any) -> None:
    """Prove the tests: each source's reference, blank release and wrong solutions.

    SOURCES are notebooks or folders of them (book/assignments if not given). The
    reference solution must get full marks, with the parameters of every variant, too;
    the blank release none, and each wrong solution exactly the marks written beside it.

    \b
    deepsvdd-course check
    deepsvdd-course check book/assignments/1-metrics.ipynb
    """
    from deepsvdd.course import build
    from deepsvdd.course.running import Limits
    from deepsvdd.course.source import read_assignments

    assignments = read_assignments(list(sources) or [SOURCES])
    failed = 0
    for done in build.check(assignments, Limits(**options), jobs):
        result = done.result
        marks = f"{result.total:g} of {sum(done.full.values()):g}"
        sign = "FAILED" if done.wrong else "ok"
        failed += bool(done.wrong)
        name = f"{done.assignment}: {done.submission}"
        click.echo(f"{sign:6} {name:40} {marks:>8} points, {result.seconds:.0f} s")
        for line in [*done.wrong, *(result.remarks if done.wrong else [])]:
            click.echo(f"         {line}")
    if failed:
        raise click.ClickException(f"{failed} submission(s) got other marks")


@main.command(name="build")
@click.argument("sources", nargs=-1, type=PATH)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@limits
def build_(sources: tuple[Path, ...], out: Path, jobs: int, **options: Any) -> None:
    """Make from SOURCES what students and instructors get, in the folder OUT.

    OUT/student has the notebooks without solutions and hidden tests, OUT/*.zip the same
    to hand out, OUT/instructor the executed notebooks with solutions and rubrics.

    \b
    deepsvdd-course build _build/course
    deepsvdd-course build my-assignments/ _build/course
    """
    from deepsvdd.course import build
    from deepsvdd.course.running import Limits
    from deepsvdd.course.source import read_assignments

    require_writable(out / build.ARCHIVE)  # before minutes of work
    assignments = read_assignments(list(sources) or [SOURCES])
    for path in build.build(assignments, out, Limits(**options)):
        click.echo(path)


@main.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--variants",
    "roster",
    type=FILE,
    required=True,
    metavar="ROSTER",
    help="List of students (CSV), as for grade.",
)
@click.option("--seed", type=SEED, required=True, help="Decides who gets what.")
@click.option(
    "--by",
    default="",
    metavar="COLUMN",
    help="The roster's column of groups, whose members get the same variant.",
)
@click.option(
    "--sources",
    type=PATH,
    default=SOURCES,
    show_default=True,
    help="Source notebook, or folder of them.",
)
def release(out: Path, roster: Path, seed: int, by: str, sources: Path) -> None:
    """Write a variant of each assignment for every student into the folder OUT.

    OUT/STUDENT/ASSIGNMENT.ipynb has other parameters (digits, seeds, ν) than those of
    most others; OUT/variants.csv says who got what. Variants are listed in a source's
    cell of parameters, and `check` proves them. Later, `grade` with the same roster and
    --variants SEED knows each student's variant, whatever the notebook says.

    \b
    deepsvdd-course release handouts/ --variants roster.csv --seed 2026
    deepsvdd-course release handouts/ --variants roster.csv --seed 2026 --by group
    deepsvdd-course grade downloads.zip marks/ --roster roster.csv --variants 2026
    """
    import nbformat

    from deepsvdd.course import build, parameters, variants
    from deepsvdd.course.roster import read_roster
    from deepsvdd.course.source import read_assignments
    from deepsvdd.course.tables import table_text

    require_writable(out / "variants.csv")
    assignments = read_assignments([sources])
    draw = variants.Draw(read_roster(roster), seed, by)
    rows = [["id", "student", "assignment", "variant", "parameters"]]
    for student, each, number, path in variants.handouts(draw, assignments):
        given = build.release(parameters.variant(each, number))
        _write_into(out, str(path), nbformat.writes(given) + "\n")
        words = parameters.in_words(each, number)
        rows.append([student.id, student.name, each.name, str(number), words])
    _write_into(out, "variants.csv", table_text(rows))
    click.echo(f"{out / 'variants.csv'}: {len(rows) - 1} notebooks")


@main.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--dates",
    type=FILE,
    required=True,
    help="When assignments are due (CSV): columns assignment and due.",
)
@click.option(
    "--late", metavar="RULE", help="The rule for late submissions, as in grade."
)
@click.option(
    "--roster", type=FILE, help="Its longest extension is waited for as well."
)
@click.option(
    "--sources",
    type=PATH,
    default=SOURCES,
    show_default=True,
    help="Source notebook, or folder of them.",
)
def solutions(
    out: Path, dates: Path, late: str | None, roster: Path | None, sources: Path
) -> None:
    """Write the solutions that students may see today into the folder OUT.

    A solution is written when the assignment is due, and the days in which late work
    still counts are over. OUT/ASSIGNMENT.ipynb has solutions and reference texts, but
    no hidden tests and rubrics. Before that nothing is written, and a line says when it
    will be: run it every day, where you publish.

    \b
    deepsvdd-course solutions public/ --dates dates.csv
    deepsvdd-course solutions public/ --dates dates.csv \\
        --late "10% per day, at most 3 days" --roster roster.csv
    """
    import nbformat

    from deepsvdd.course.lateness import read_rule
    from deepsvdd.course.roster import read_roster
    from deepsvdd.course.solutions import openings, read_dates, solved
    from deepsvdd.course.source import read_assignments

    folder = sources if sources.is_dir() else sources.parent
    if out.resolve() == folder.resolve():
        raise ValueError(
            "out must be another folder than that of the sources, which would be "
            f"overwritten; got '{out}'"
        )
    require_writable(out / "1.ipynb")
    assignments = read_assignments([sources])
    due = read_dates(dates, [each.name for each in assignments])
    rule = None if late is None else read_rule(late)
    students = None if roster is None else read_roster(roster)
    for each in openings(assignments, due, rule, students):
        name = f"{each.assignment.name}.ipynb"
        if datetime.now() >= each.time:
            _write_into(out, name, nbformat.writes(solved(each.assignment)) + "\n")
            click.echo(out / name)
        else:
            click.echo(f"{name}: from {each.time:%Y-%m-%d %H:%M} on")


@main.command()
@click.argument("submissions", type=PATH)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--assignment", help="Name of the one assignment that all files belong to."
)
@click.option(
    "--sources",
    type=PATH,
    default=SOURCES,
    show_default=True,
    help="Source notebook, or folder of them.",
)
@click.option(
    "--roster",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="List of students (CSV): columns id and name, or a platform's own export.",
)
@click.option(
    "--book",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder with the marks that you type.  [default: OUT/mark-book]",
)
@click.option(
    "--due",
    type=Due(),
    help="When to hand in, as '2026-11-05 23:59', or a day, which lasts until its end; "
    "tells who was late (Blackboard).",
)
@click.option(
    "--late",
    metavar="RULE",
    help="What being late costs, as '10% per day, at most 3 days'.  [default: nothing]",
)
@click.option(
    "--anonymous",
    type=KEY,
    metavar="KEY",
    help="Write pseudonyms in place of names; who is who goes into the table KEY.",
)
@click.option(
    "--reveal",
    type=KEY,
    metavar="KEY",
    help="Give students the marks that were typed for their pseudonyms.",
)
@click.option(
    "--variants",
    type=SEED,
    metavar="SEED",
    help="The seed by which `release` gave each student of the roster a variant.",
)
@click.option(
    "--by",
    default="",
    metavar="COLUMN",
    help="The roster's column of groups, if those shared variants.",
)
@click.option(
    "--trust",
    is_flag=True,
    help="Run submissions without isolation where this machine has none.",
)
@limits
def grade(
    submissions: Path,
    out: Path,
    assignment: str | None,
    sources: Path,
    roster: Path | None,
    book: Path | None,
    due: datetime | None,
    late: str | None,
    anonymous: Path | None,
    reveal: Path | None,
    variants: int | None,
    by: str,
    trust: bool,
    jobs: int,
    **options: Any,
) -> None:
    """Mark the notebooks in SUBMISSIONS; write tables and pages into OUT.

    SUBMISSIONS is what Moodle, Canvas, Blackboard or Google Classroom let you download,
    as a zip or unpacked, or a folder with a file (jane-doe-1-metrics.ipynb) or a folder
    for each student. Assignments are recognized by their cells.

    OUT/ASSIGNMENT.csv has a row for each student, OUT/ASSIGNMENT/STUDENT.html says to
    the student what was wrong, without giving away hidden tests, and OUT/report.csv
    lists what was left out. Points of texts, comments, and points in place of a test's
    are typed into OUT/mark-book, which no command writes over. For Moodle and Canvas
    there is a table to import. The same command goes on where it was interrupted.

    With --late, each day begun after --due (or after what Moodle's worksheet says)
    takes a share off the points; table and page show both. More time for some: a column
    'extension' in the roster or the mark book, with days or a date; 'days late' there
    overrides everything.

    With --anonymous, tables, pages, mark book and report have pseudonyms, the same each
    time, and OUT/ASSIGNMENT has copies of the notebooks without names. KEY stays with
    somebody who does not mark. When all marks are typed, the same command with --reveal
    in place of --anonymous, into another folder, gives them back their names:

    \b
    deepsvdd-course grade downloads/ blind/ --anonymous key.csv
    deepsvdd-course grade downloads/ marks/ --reveal key.csv --book blind/mark-book

    Submissions run in a sandbox, which needs Linux and bubblewrap 0.8 or newer.

    \b
    deepsvdd-course grade downloads.zip marks/ --roster roster.csv
    deepsvdd-course grade downloads/ marks/ --assignment 3-deep-svdd --seconds 600
    deepsvdd-course grade downloads/ marks/ --due "2026-11-05 23:59" \\
        --late "10% per day, at most 3 days"
    """
    from deepsvdd.course.lateness import read_rule
    from deepsvdd.course.marking import grade_download
    from deepsvdd.course.running import Limits
    from deepsvdd.course.source import read_assignments

    if anonymous is not None and reveal is not None:
        raise ValueError("anonymous and reveal must not be given together")
    if by and variants is None:
        raise ValueError("by must come with variants, whose groups it names")
    if reveal is not None and not reveal.exists():
        raise ValueError(f"reveal must be a key that is there; got '{reveal}'")
    rule = None if late is None else read_rule(late)
    assignments = read_assignments([sources])
    names = [each.name for each in assignments]
    if assignment is not None and assignment not in names:
        raise ValueError(
            f"assignment must be one of {', '.join(names)}; got '{assignment}'"
        )
    wanted = [each for each in assignments if assignment in (None, each.name)]
    for line in grade_download(
        submissions,
        out,
        assignments,
        wanted,
        Limits(**options),
        jobs,
        roster=roster,
        book=book,
        due=due,
        trust=trust,
        rule=rule,
        anonymous=anonymous,
        reveal=reveal,
        variants=None if variants is None else (variants, by),
    ):
        click.echo(line)


@main.command()
@click.argument("submissions", type=PATH)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--sources",
    type=PATH,
    default=SOURCES,
    show_default=True,
    help="Source notebook, or folder of them.",
)
@click.option(
    "--most",
    type=click.IntRange(1, 1000),
    default=20,
    show_default=True,
    help="Pairs to show side by side.",
)
def similar(submissions: Path, out: Path, sources: Path, most: int) -> None:
    """Report which notebooks in SUBMISSIONS resemble each other; it is no proof.

    SUBMISSIONS is a download, as for grade; nothing in it is run. What the assignment
    gives to everybody is left out. OUT/ASSIGNMENT-similar.html shows the most similar
    pairs side by side, and OUT/ASSIGNMENT-similar.csv lists all of them.

    Short functions look alike when they are right: compare the first pairs with the
    rest, look for what is unusual and shared, and then ask both people.

    \b
    deepsvdd-course similar downloads.zip marks/
    deepsvdd-course similar downloads/ marks/ --most 5
    """
    import tempfile

    from deepsvdd.course.collection import collect
    from deepsvdd.course.similarity import reports
    from deepsvdd.course.source import read_assignments

    assignments = read_assignments([sources])
    require_writable(out / "similar.csv")
    with tempfile.TemporaryDirectory(prefix="deepsvdd-") as folder:
        files = collect(submissions, Path(folder), assignments).files
        write = functools.partial(_write_into, out)
        lines = list(reports(assignments, files, most, write))
    if not lines:
        raise ValueError("SUBMISSIONS must hold two notebooks of one assignment")
    for line in lines:
        click.echo(out / line)


@main.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--sources",
    type=PATH,
    default=Path("book/quizzes"),
    show_default=True,
    help="YAML file of questions, or folder of them.",
)
def quiz(out: Path, sources: Path) -> None:
    """Write the chapters' quizzes to OUT for learning platforms.

    A name that ends in .gift or .xml gives one file, in GIFT or as Moodle XML. Any
    other is a folder, and gets both and two QTI packages: 1.2 for Canvas, 2.1 for
    others.

    \b
    deepsvdd-course quiz quizzes.gift
    deepsvdd-course quiz chapter-3.xml --sources book/quizzes/03.yml
    deepsvdd-course quiz _build/course/quizzes
    """
    from deepsvdd.course import moodle, qti
    from deepsvdd.course.quizzes import read_quizzes
    from deepsvdd.files import atomic_write

    quizzes = read_quizzes(sources)
    writers: dict[str, Callable[[], bytes]] = {
        "quizzes.gift": lambda: moodle.gift(quizzes).encode(),
        "quizzes-moodle.xml": lambda: moodle.moodle_xml(quizzes).encode(),
        "quizzes-qti-1.2.zip": lambda: qti.qti_1_2(quizzes),
        "quizzes-qti-2.1.zip": lambda: qti.qti_2_1(quizzes),
    }
    if out.suffix in (".gift", ".xml"):
        wanted = {out: next(w for n, w in writers.items() if n.endswith(out.suffix))}
    elif out.suffix in ("", ".") or out.is_dir():
        wanted = {out / name: write for name, write in writers.items()}
    else:
        raise ValueError(
            "out must be a folder, or a name that ends in .gift or .xml; "
            f"got '{out.name}'"
        )
    n_questions = sum(map(len, quizzes.values()))
    for path, write in wanted.items():
        content = write()
        with atomic_write(path) as temporary:
            temporary.write_bytes(content)
        click.echo(f"{path}: {n_questions} questions in {len(quizzes)} quizzes")


if __name__ == "__main__":
    main()
