"""The command ``deepsvdd-course``: check, build, grade, quiz."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deepsvdd.cli import Commands
from deepsvdd.version import __version__

SOURCES = Path("book/assignments")
PATH = click.Path(exists=True, path_type=Path)


class Group(Commands):
    """Plain commands, with the errors of ``deepsvdd``: a sentence, no traceback."""

    list_commands = click.Group.list_commands
    get_command = click.Group.get_command  # type: ignore[assignment]


def limits(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that bound a run."""
    options = (
        click.option(
            "--seconds",
            default=300.0,
            show_default=True,
            help="Time for a notebook, in seconds.",
        ),
        click.option(
            "--cell_seconds",
            default=60.0,
            show_default=True,
            help="Time for one of its cells, in seconds.",
        ),
        click.option(
            "--memory",
            default=4096,
            show_default=True,
            help="Memory for a notebook, in MiB (Linux only).",
        ),
        click.option(
            "--jobs",
            type=click.IntRange(1),
            default=os.cpu_count() or 1,
            show_default="the cores",
            help="Notebooks to run at the same time.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


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
    deepsvdd-course quiz quizzes.gift

    A source is a notebook in nbgrader's format; the guide for instructors in the book
    says what else it holds.
    """


@main.command()
@click.argument("sources", nargs=-1, type=PATH)
@limits
def check(sources: tuple[Path, ...], jobs: int, **options: Any) -> None:
    """Prove the tests: each source's reference, blank release and wrong variants.

    SOURCES are notebooks or folders of them (book/assignments if not given). The
    reference solution must get full marks, the blank release none, and each wrong
    variant exactly the marks written beside it.

    \b
    deepsvdd-course check
    deepsvdd-course check book/assignments/1-metrics.ipynb
    """
    from deepsvdd.course import build
    from deepsvdd.course.grade import Limits
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
    from deepsvdd.course.grade import Limits
    from deepsvdd.course.source import read_assignments

    assignments = read_assignments(list(sources) or [SOURCES])
    for path in build.build(assignments, out, Limits(**options)):
        click.echo(path)
