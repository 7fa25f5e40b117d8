"""Run submissions to one assignment: a sandbox for them, a process for its tests."""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from deepsvdd.course import sandbox
from deepsvdd.course.allowed import parsed
from deepsvdd.course.source import Assignment, bound_names, grade_id, kind, role

START = 300.0  # s for Python, the libraries and the assignment's own cells


@dataclass(frozen=True)
class Limits:
    """What a notebook may use.

    ``seconds`` that pass, in all; ``cell_seconds`` of work in one cell (of processor
    time, so that marks do not depend on what else a machine does); ``memory`` in MiB,
    beyond what the libraries need.
    """

    seconds: float = 900
    cell_seconds: float = 60
    memory: int = 4096


class Bench:
    """Two processes that wait for submissions to an assignment.

    Parameters
    ----------
    assignment : the source
    trust : whether submissions may run without a sandbox where there is none

    Raises
    ------
    deepsvdd.course.sandbox.NoSandbox
        If there is none, and submissions are not trusted.
    """

    def __init__(self, assignment: Assignment, trust: bool = False) -> None:
        sandbox.require(trust)
        self.assignment = assignment
        self.isolated = not sandbox.why_not()
        self.own = own_names(assignment)
        cells = own_cells(assignment)
        first = itertools.takewhile(
            lambda cell: cell["kind"] == "given" and not cell.get("skip"),
            (cell for cell in cells if cell["kind"] != "reference"),
        )
        job = {"own": self.own, "first": [cell["source"] for cell in first]}
        self.sandbox = sandbox.Sandbox(job | {"fonts": fonts()}, self.isolated)
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115
        self.jobs, theirs = socket.socketpair()
        control = self.sandbox.control
        numbers = [control.fileno(), theirs.fileno()]
        self.judge = subprocess.Popen(
            [sys.executable, "-m", "deepsvdd.course.judge", *map(str, numbers)],
            cwd=self.folder.name,
            env=sandbox.environment(self.folder.name) | data_folder(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.complaints,
            pass_fds=numbers,
            start_new_session=True,
        )
        theirs.close()
        assert self.judge.stdin is not None
        mine = [cell for cell in cells if cell["kind"] in ("given", "reference")]
        job = {"own": self.own, "cells": mine, "modules": imports_of(cells)}
        with contextlib.suppress(BrokenPipeError):
            self.judge.stdin.write(json.dumps(job).encode())
            self.judge.stdin.close()

    def __enter__(self) -> Bench:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End both processes, and all that they have forked."""
        self.jobs.close()
        self.judge.kill()
        self.judge.wait()
        self.sandbox.close()
        self.complaints.close()
        self.folder.cleanup()

    def run(
        self,
        cells: list[dict[str, Any]],
        limits: Limits,
        keep: bool = False,
        draw: int | None = None,
    ) -> list[dict[str, Any]]:
        """Run a submission's cells.

        Parameters
        ----------
        cells : see `deepsvdd.course.submission.script`
        limits : what all of them together may use
        keep : whether to return outputs
        draw : seed of the inputs that tests draw; another one each time if None

        Returns
        -------
        A report for each cell, see `deepsvdd.course.notebook.Notebook.run`; an empty
        one for a cell that was not reached.
        """
        draw = secrets.randbelow(2**31) if draw is None else draw
        job = {"cells": cells, "limits": asdict(limits), "keep": keep, "draw": draw}
        job |= {"isolated": self.isolated}
        here, there = socket.socketpair()
        with here, there:
            try:
                socket.send_fds(self.jobs, [b"+"], [there.fileno()])
            except OSError:
                raise RuntimeError(self.complaint()) from None
            there.close()
            with contextlib.suppress(BrokenPipeError):
                here.sendall(json.dumps(job).encode() + b"\n")
            return self.reports(here, len(cells), limits.seconds)

    def reports(
        self, sock: socket.socket, n_cells: int, seconds: float
    ) -> list[dict[str, Any]]:
        """Collect reports until all are there, or the time is over."""
        reports: list[dict[str, Any]] = [{} for _ in range(n_cells)]
        current, process = -1, 0
        try:
            for line in lines_of(sock, seconds):
                if "failed" in line:
                    raise RuntimeError(self.complaint(line["failed"]))
                process = line.get("process", process)
                current = line.get("start", current)
                if "report" in line:
                    reports[current] = line["report"]
        except TimeoutError:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
            if current >= 0 and not reports[current]:
                reports[current] = {"error": "OutOfTime", "message": ""}
        if current < 0:
            raise RuntimeError(self.complaint())
        return reports

    def complaint(self, reason: str = "") -> str:
        """Return why a process did not start."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.judge.wait(timeout=1)
        self.complaints.seek(0)
        own = self.complaints.read()[-1000:].decode(errors="replace")
        words = [reason, self.sandbox.complaint(), own.strip()]
        return "the process to grade in did not start: " + " ".join(filter(None, words))


def lines_of(sock: socket.socket, seconds: float) -> Iterator[dict[str, Any]]:
    """Yield the lines of JSON that come in; raise TimeoutError when time is over.

    The time begins with the first cell.
    """
    buffer = b""
    deadline = time.monotonic() + START
    began = False
    while True:
        wait = deadline - time.monotonic()
        if wait <= 0:
            raise TimeoutError
        sock.settimeout(wait)
        try:
            content = sock.recv(2**20)
        except ConnectionError:
            return
        if not content:
            return
        *lines, buffer = (buffer + content).split(b"\n")
        for text in lines:
            line = json.loads(text)
            if not began and "start" in line:
                began, deadline = True, time.monotonic() + seconds
            yield line


def own_names(assignment: Assignment) -> list[str]:
    """Return the names that solutions define, which nothing may put back."""
    texts = [cell.source for cell in assignment.solutions.values()]
    return sorted(set().union(*map(bound_names, texts)))


def own_cells(assignment: Assignment) -> list[dict[str, Any]]:
    """Return the code of an assignment's source, as the grading process needs it."""
    cells = []
    for cell in assignment.notebook.cells:
        if cell.cell_type == "code" and role(cell) in ("", "reference"):
            what = role(cell) or kind(cell)
            cells.append(
                {"kind": what, "name": grade_id(cell), "source": cell.source}
                | settings_of(cell)
            )
    return cells


def imports_of(cells: list[dict[str, Any]]) -> list[str]:
    """Return the modules that the tests import, for the process that runs them."""
    found: dict[str, None] = {}
    for cell in cells:
        if cell["kind"] == "test":
            for node in ast.walk(parsed(cell["source"])):
                if isinstance(node, ast.Import):
                    found |= dict.fromkeys(each.name for each in node.names)
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found[node.module] = None
    return list(found)


def settings_of(cell: Any) -> dict[str, Any]:
    """Return what a cell's metadata say about grading."""
    settings = cell.metadata.get("course", {})
    return {name: settings[name] for name in ("skip", "there") if name in settings}


def fonts() -> list[str] | None:
    """Return matplotlib's list of fonts, with its name: to make it takes long."""
    import matplotlib.font_manager

    for path in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
        return [path.name, path.read_text(encoding="utf-8")]
    return None


def data_folder() -> dict[str, str]:
    """Return the variable that names the folder of data, if it is set."""
    name = "DEEPSVDD_DATA"
    return {name: os.environ[name]} if name in os.environ else {}
