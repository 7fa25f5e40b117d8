"""From a submitted notebook to marks: run it in the worker, judge what it reports."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import queue
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from nbformat import NotebookNode

from deepsvdd.course.source import Assignment, bound_names, is_hidden
from deepsvdd.course.submission import recognise, script
from deepsvdd.course.worker import OUT_OF_TIME, PATIENCE

GRACE = 20.0  # s for a cell to end by itself after its time
START = 180.0  # s for Python and the libraries to start
LONGEST_LINE = 2**24  # characters of a report
NAMESPACES = ("unshare", "--user", "--map-root-user", "--net", "--mount", "--pid")


@dataclass(frozen=True)
class Limits:
    """What a notebook may use.

    ``seconds`` that pass, in all; ``cell_seconds`` of work in one cell (of processor
    time, so that marks do not depend on what else a machine does); ``memory`` in MiB.
    """

    seconds: float = 900
    cell_seconds: float = 60
    memory: int = 4096


@dataclass
class Mark:
    """What a test earned: points, status and a sentence for the student.

    The status is passed, failed, unanswered or not run.
    """

    earned: float
    status: str
    message: str = ""


@dataclass
class Result:
    """The marks of one submission; all of it can be written as JSON."""

    student: str
    assignment: str
    file: str
    marks: dict[str, Mark] = field(default_factory=dict)
    answered: dict[str, str] = field(default_factory=dict)  # free text, unmarked
    remarks: list[str] = field(default_factory=list)
    seconds: float = 0.0  # for all cells
    pictures: dict[str, list[str]] = field(default_factory=dict)  # of texts, data URIs

    @property
    def total(self) -> float:
        """Points that the tests gave."""
        return sum(mark.earned for mark in self.marks.values())

    @classmethod
    def from_json(cls, text: str) -> Result:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        fields["marks"] = {k: Mark(**mark) for k, mark in fields["marks"].items()}
        return cls(**fields)

    def to_json(self) -> str:
        """Return all fields as text."""
        return json.dumps(asdict(self), indent=1)


# --- marks ------------------------------------------------------------------------


def grade_notebook(
    assignment: Assignment,
    release: NotebookNode,
    notebook: NotebookNode,
    limits: Limits,
    student: str = "",
    file: str = "",
) -> Result:
    """Run a submitted notebook and mark its tests; whatever it does, this returns.

    Parameters
    ----------
    assignment : the source
    release : what students were given (`deepsvdd.course.build.release`)
    notebook : what came back
    limits : what it may use
    student, file : for the report
    """
    submission = recognise(assignment, release, notebook)
    cells = script(assignment, submission)
    began = time.monotonic()
    reports = run_cells(cells, own_names(assignment), limits)
    result = Result(student, assignment.name, file)
    result.seconds = time.monotonic() - began
    result.answered, result.pictures = submission.texts, submission.pictures
    result.remarks = submission.remarks
    for cell, report in zip(cells, reports, strict=True):
        if cell["kind"] == "test":
            points = assignment.points[cell["name"]]
            result.marks[cell["name"]] = mark_of(cell, report, points)
            if report.get("error") in SPOKEN:
                result.remarks.append(f"test {remark_on(cell, report)}")
        elif cell["kind"] == "student" and "error" in report:
            result.remarks.append(remark_on(cell, report))
    return result


def own_names(assignment: Assignment) -> list[str]:
    """Return the names that solutions define, which nothing may put back."""
    texts = [cell.source for cell in assignment.solutions.values()]
    return sorted(set().union(*map(bound_names, texts)))


def mark_of(cell: dict[str, str], report: dict[str, Any], points: float) -> Mark:
    """Judge a test's report, and say of a hidden test no more than its hint."""
    if not report:
        return Mark(0, "not run", "The notebook was stopped before this test.")
    if "error" not in report:
        return Mark(points, "passed")
    error, message = report["error"], report["message"].strip()
    if error == "NotImplementedError":
        return Mark(0, "unanswered", "Not answered yet.")
    if error in SPOKEN:
        return Mark(0, "failed", f"The test {SPOKEN[error]}.")
    asserted = error == "AssertionError" and report.get("direct", False)
    if "line" in report and is_hidden(cell["source"], report["line"]):
        hint = message.split("\n")[0][:200] if asserted else ""
        own = "" if error == "AssertionError" else f" Your code raised {error}."
        return Mark(0, "failed", hint or f"A hidden test failed.{own}")
    if asserted:
        return Mark(0, "failed", message or "A visible test failed.")
    return Mark(0, "failed", f"{error}: {message}" if message else error)


# What the worker or `run_cells` calls an end that is no ordinary error.
SPOKEN = {
    "OutOfTime": "took too long and was stopped",
    "Died": "ended the whole process",
    "SystemExit": "was left by sys.exit or exit",
    "MemoryError": "needed more memory than allowed",
}


def remark_on(cell: dict[str, str], report: dict[str, Any]) -> str:
    """Return a line on a student's cell that failed."""
    lines = [line.strip() for line in cell["source"].split("\n")]
    first = next((line for line in lines if line and line[0] != "#"), "")
    name = cell["name"] or f"a cell of the student's own ({first[:40]})"
    error, message = report["error"], report["message"].strip().split("\n")[0][:200]
    if error == "NotImplementedError":
        return f"{name}: not answered"
    if error in SPOKEN:
        return f"{name} {SPOKEN[error]}" + (f" ({message})" if message else "")
    return f"{name} raised {error}: {message}" if message else f"{name} raised {error}"


# --- running ----------------------------------------------------------------------


def run_cells(
    cells: list[dict[str, str]], own: list[str], limits: Limits, keep: bool = False
) -> list[dict[str, Any]]:
    """Run cells in a worker; where one kills it, run the others in another worker.

    Parameters
    ----------
    cells : see `deepsvdd.course.submission.script`
    own : names that solutions define
    limits : what all runs together may use
    keep : whether to return outputs

    Returns
    -------
    A report for each cell, see `deepsvdd.course.worker.Notebook.run`; an empty one for
    a cell that was not reached.
    """
    deadline = time.monotonic() + limits.seconds
    deadly: dict[int, dict[str, Any]] = {}
    reports: dict[int, dict[str, Any]] = {}
    while time.monotonic() < deadline:
        numbers = [n for n in range(len(cells)) if n not in deadly]
        job = asdict(limits) | {"own": own, "keep": keep}
        job["cells"] = [cells[n] for n in numbers]
        done, death = run_once(job, deadline)
        # Reports of an earlier run stand where this one did not come as far.
        reports |= {numbers[k]: report for k, report in done.items()}
        if death is None or len(done) == len(numbers):
            break
        victim = numbers[len(done)]
        deadly[victim] = death
    return [deadly.get(n) or reports.get(n, {}) for n in range(len(cells))]


def run_once(
    job: dict[str, Any], deadline: float
) -> tuple[dict[int, dict[str, Any]], dict[str, Any] | None]:
    """Run a job in one process; return its reports, and how it died if it did."""
    token = secrets.token_hex(16)
    done: dict[int, dict[str, Any]] = {}
    started = False
    with worker(job | {"token": token}) as (process, lines, complaints):
        until = time.monotonic() + START
        while len(done) < len(job["cells"]):
            wait = min(until, deadline) - time.monotonic()
            try:
                line = lines.get(timeout=max(wait, 0))
            except queue.Empty:
                return done, {"error": "OutOfTime", "message": ""}
            if line is None and not started:
                complaints.seek(0)
                words = complaints.read()[-1000:].decode(errors="replace")
                raise RuntimeError(f"the process to grade in did not start: {words}")
            if line is None:
                return done, death_of(process)
            report = parse(line, token)
            if "start" in report:
                started = True
                until = time.monotonic() + PATIENCE * job["cell_seconds"] + GRACE
            elif report.pop("end", None) == len(done):
                done[len(done)] = report
    return done, None


def parse(line: str, token: str) -> dict[str, Any]:
    """Read a line of the worker; what cells printed there is no report."""
    with contextlib.suppress(ValueError, RecursionError):
        report = json.loads(line)
        if isinstance(report, dict) and report.pop("token", None) == token:
            return report
    return {}


def death_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Report why a process ended, as far as the system knows."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=GRACE)
    code = process.returncode
    if code == OUT_OF_TIME:
        return {"error": "OutOfTime", "message": ""}
    if code is None:
        return {"error": "Died", "message": "its output ended"}
    # unshare, like a shell, reports a signal as 128 + its number.
    number = -code if code < 0 else code - 128
    reason = f"exit status {code}"
    with contextlib.suppress(ValueError):
        reason = signal.Signals(number).name
    return {"error": "Died", "message": reason}


@contextlib.contextmanager
def worker(
    job: dict[str, Any],
) -> Iterator[tuple[subprocess.Popen[str], queue.Queue[str | None], IO[bytes]]]:
    """Start a worker in an empty folder; at the end nothing of it is left."""
    prefix = name_spaces()
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as complaints,
    ):
        prepare(Path(folder))
        process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "deepsvdd.course.worker"],
            cwd=folder,
            env=environment(folder),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        lines: queue.Queue[str | None] = queue.Queue(maxsize=1000)
        stopped = threading.Event()
        reader = threading.Thread(
            target=read_lines, args=(process.stdout, lines, stopped), daemon=True
        )
        reader.start()
        try:
            with contextlib.suppress(BrokenPipeError):
                json.dump(job | {"namespaces": bool(prefix)}, process.stdin)
                process.stdin.close()
            yield process, lines, complaints
        finally:
            stopped.set()
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            reader.join(timeout=1)


def read_lines(
    stream: IO[str], lines: queue.Queue[str | None], stopped: threading.Event
) -> None:
    """Put a stream's lines into a queue, then None."""
    with contextlib.suppress(ValueError, OSError):
        while not stopped.is_set() and (line := stream.readline(LONGEST_LINE)):
            with contextlib.suppress(queue.Full):
                lines.put(line, timeout=1)
    with contextlib.suppress(queue.Full):
        lines.put(None, timeout=1)


@functools.cache
def name_spaces() -> tuple[str, ...]:
    """Return the command that gives a worker name spaces of its own, () without."""
    command = (*NAMESPACES, "--fork", "--kill-child", "--")
    if shutil.which(command[0]) is None:
        return ()
    tried = subprocess.run([*command, "true"], capture_output=True)
    return command if tried.returncode == 0 else ()


def environment(folder: str) -> dict[str, str]:
    """Return a worker's environment: nothing of the grader's but what Python needs."""
    keep = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
    homes = ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR")
    return {
        **{name: os.environ[name] for name in keep if name in os.environ},
        **dict.fromkeys(homes, folder),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as in Jupyter
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",  # marks must not depend on the number of cores
    }


def prepare(folder: Path) -> None:
    """Put matplotlib's list of fonts into a worker's folder: to make it takes long."""
    import matplotlib.font_manager

    for fonts in Path(matplotlib.get_cachedir()).glob("fontlist-*.json"):
        shutil.copy(fonts, folder)
