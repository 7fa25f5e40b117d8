"""How Ctrl-C and SIGTERM end a command that goes on when it is repeated."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

from deepsvdd.reproduction.results import ResultsFile


class Terminated(BaseException):
    """SIGTERM has come: end in order, as after Ctrl-C."""


@contextmanager
def resumable(file: ResultsFile) -> Iterator[None]:
    """End what a signal interrupts with one line, and with the signal's exit status.

    Parameters
    ----------
    file : ResultsFile
        Open; what the command has finished is in it.
    """
    number = signal.SIGINT
    with _sigterm_raises():
        try:
            yield
            return
        except KeyboardInterrupt:
            pass
        except Terminated:
            number = signal.SIGTERM
    click.echo(
        f"\nstopped: {len(file.lines)} runs are in '{file.path}'; the same command "
        "goes on",
        err=True,
    )
    raise SystemExit(128 + number)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
        raise Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
