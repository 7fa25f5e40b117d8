"""What a command could not read or score: named, counted, and told by its status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import click

from deepsvdd.core._engine.distributed import rank

NAMED = 100  # that are named on the terminal; further ones are counted only
STATUS = 3  # of a command that did its work, but not on all of its input

strict = click.option(
    "--strict",
    is_flag=True,
    help="Stop at the first file or row that cannot be used, instead of leaving it "
    f"out and ending with status {STATUS}.",
)


class LeftOut:
    """Names what is left out, and counts it.

    Parameters
    ----------
    stop : bool
        Raise ValueError at the first that would be left out.
    what : str
        "files" or "samples".
    """

    def __init__(self, stop: bool, what: str) -> None:
        self.stop = stop
        self.what = what
        self.reasons: list[str] = []
        self.notes: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Leave one out, for a reason that names it."""
        if self.stop:
            raise ValueError(f"{reason} (without --strict, it would be left out)")
        self.reasons.append(reason)
        if len(self.reasons) <= NAMED:
            warn(f"left out: {reason}")

    def note(self, notes: Iterable[str]) -> None:
        """Count what was not read of a file that was."""
        self.notes.update(notes)

    def finish(self, n: int) -> None:
        """Say how many of n were left out, or read in part, and set the status."""
        for note, count in self.notes.items():
            warn(f"{count} of {n} {self.what} {note}")
        if self.reasons:
            warn(f"{len(self.reasons)} of {n} {self.what} were left out")
            click.get_current_context().exit(STATUS)


def warn(text: Any) -> None:
    """Print a warning, once where several processes train one network."""
    if rank() == 0:
        click.secho(f"warning: {text}", fg="yellow", err=True)
