"""A notebook's cells, run by IPython: what both sides of the grading have in common."""

from __future__ import annotations

import contextlib
import gc
import importlib
import io
import json
import os
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

KEPT_TEXT = 20_000  # characters of output that a cell may leave
KEPT_PICTURES = 4 * 2**20  # characters of JSON, as pictures are Base64
PATIENCE = 5  # seconds that may pass for each second of a cell's work
OUT_OF_TIME = 124  # exit status, as timeout(1) has it


class OutOfTime(BaseException):
    """A cell ran too long. Not an Exception: `except Exception` lets it pass."""


class Bounded(io.StringIO):
    """Keeps the beginning of what is printed, however much that is."""

    def write(self, text: str) -> int:
        """Keep what fits; say that all was written."""
        super().write(text[: max(0, KEPT_TEXT - self.tell())])
        return len(text)


class Notebook:
    """An IPython shell that runs cells, and can put back what the course's cells bound.

    Parameters
    ----------
    own : names that solutions define, which nothing puts back
    """

    def __init__(self, own: list[str]) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        class Shell(InteractiveShell):
            def enable_gui(self, gui: str | None = None) -> None:
                """Do nothing: pictures are collected, not shown."""

            def ask_exit(self) -> None:
                """End the cell, not the notebook."""
                raise SystemExit

            def system(self, cmd: str) -> None:
                """Skip `!command` and `%pip`: what is installed is installed."""

            def showtraceback(self, *_: object, **__: object) -> None:
                """Do nothing: `describe` says what counts."""

        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        self.shell = Shell.instance(config=config)
        self.names: dict[str, Any] = self.shell.user_ns
        self.own = set(own)
        self.given: dict[str, Any] = {}

    def restore(self) -> None:
        """Put back what the course's cells bound."""
        self.names.update(self.given)

    def run(
        self, source: str, given: bool = False, keep: bool = False
    ) -> dict[str, Any]:
        """Run a cell; return its text, what was wrong and, if wanted, its pictures.

        What a given cell binds is remembered.
        """
        from IPython.utils.capture import capture_output

        before = dict(self.names)
        text = Bounded()
        with (
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
            capture_output(stdout=False, stderr=False) as shown,
        ):
            result = self.shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if given:
            self.given |= {
                name: value
                for name, value in self.names.items()
                if not (name in before and before[name] is value)
                and not name.startswith("_")
                and name not in {"In", "Out", *self.own}
            }
        report = {"text": text.getvalue()} | describe(error, self.names)
        return report | ({"outputs": outputs_of(shown.outputs)} if keep else {})


# What functions of a module import at their first call, module → their imports.
LATER = {
    "deepsvdd.core.metrics": ("sklearn.metrics", "scipy.stats"),
    "sklearn": ("sklearn.metrics",),
}


def warm_up(modules: Iterable[str] = ()) -> None:
    """Import before the fork what is imported later, which takes long, and only once.

    PyTorch imports much at the first step of an optimizer. Without gradients: a process
    that has computed some must not fork.

    Parameters
    ----------
    modules : what else to import; one that is not there is passed over
    """
    later = [
        name for known, names in LATER.items() if known in sys.modules for name in names
    ]
    for name in (*later, *modules):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if torch := sys.modules.get("torch"):
        weight = torch.nn.Parameter(torch.zeros(1))
        weight.grad = torch.zeros(1)
        torch.optim.Adam([weight]).step()
    gc.collect()
    gc.freeze()  # else a child's first collection copies all of these pages


def tensors_if(needed: bool) -> Any:
    """Return how tensors cross a channel; None without PyTorch, unless it is needed."""
    if not needed and "torch" not in sys.modules:
        return None
    from deepsvdd.course import tensors

    return tensors


@contextlib.contextmanager
def alarm(limit: float, quiet: Callable[[], bool] = lambda: False) -> Iterator[None]:
    """Raise `OutOfTime` after so many seconds of work, or `PATIENCE` times that.

    Seconds of work, as a busy machine must not cost marks; the other limit ends what
    waits without working. Who catches the exception gets it again, and is then ended.
    While `quiet` says so nothing happens until the next ring.
    """
    rings = 0

    def ring(*_: object) -> None:
        nonlocal rings
        if quiet():
            return
        rings += 1
        if rings > 3:
            os._exit(OUT_OF_TIME)
        raise OutOfTime

    signal.signal(signal.SIGPROF, ring)
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_PROF, limit, 1)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * limit, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_IGN)


def describe(error: BaseException | None, names: dict[str, Any]) -> dict[str, Any]:
    """Return an error's type, text and place in the cell.

    ``line`` is the cell's line that raised, ``direct`` whether it was the cell's own
    code and not a function that it called. `names` are the notebook's.
    """
    if error is None:
        return {}
    name = str(getattr(error, "kind", type(error).__name__))
    report: dict[str, Any] = {"error": name, "message": ""}
    with contextlib.suppress(Exception):  # a submission's own class may fail here
        report["message"] = str(error)[:2000]
    entry, cell = error.__traceback__, None
    while entry is not None:
        code = entry.tb_frame.f_code
        if code.co_name == "<module>" and entry.tb_frame.f_globals is names:
            cell = cell or code.co_filename
        report["direct"] = code.co_filename == cell
        if report["direct"]:
            report["line"] = entry.tb_lineno
        entry = entry.tb_next
    return report


def outputs_of(shown: list[Any]) -> list[dict[str, Any]]:
    """Return displayed objects as (data, metadata), as long as there is room."""
    kept, room = [], KEPT_PICTURES
    for output in shown:
        data = {"data": output.data, "metadata": output.metadata or {}}
        room -= len(json.dumps(data, default=str))
        if room > 0:
            kept.append(data)
    return kept
