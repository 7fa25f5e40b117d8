"""Grade a folder of submissions; what is done already is not done again."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path

import nbformat
from tqdm import tqdm

from deepsvdd.course.build import full_marks, release
from deepsvdd.course.collection import Found
from deepsvdd.course.grade import Mark, Result, grade_notebook
from deepsvdd.course.running import Bench, Limits
from deepsvdd.course.sandbox import NoSandbox, why_not
from deepsvdd.course.source import Assignment
from deepsvdd.files import sha256_of, write_text


def grade_all(
    found: list[Found], out: Path, limits: Limits, jobs: int, trust: bool = False
) -> list[Result]:
    """Grade all submissions, each as if it were the only one.

    Parameters
    ----------
    found : what to grade (`deepsvdd.course.collection.collect`)
    out : results are kept here, in ``.results``; a file that was graded with the same
        source and limits before is not run again
    limits : for each notebook
    jobs : notebooks to run at the same time
    trust : whether submissions may run without a sandbox where there is none

    Returns
    -------
    A submission's marks each, one for each student and assignment.

    Raises
    ------
    ValueError
        If an assignment's reference does not get full marks on this machine, or there
        is no sandbox.
    """
    newest = {(file.assignment.name, file.student): file for file in found}
    # Variants of an assignment have its name, and each a bench of its own.
    used = list(dict.fromkeys(file.assignment for file in newest.values()))
    results = {}
    progress = tqdm(total=len(newest), desc="grade")
    with progress, contextlib.ExitStack() as stack:
        for assignment in used:
            bench = Waiting(assignment, trust, stack)
            check_reference(assignment, out, limits, bench)
            with pool_of(jobs) as pool:
                tasks = {
                    pool.submit(grade_file, file, out, limits, bench): key
                    for key, file in newest.items()
                    if file.assignment is assignment
                }
                for task in as_completed(tasks):
                    results[tasks[task]] = task.result()
                    progress.update()
            stack.close()  # before the next assignment
    for key, file in newest.items():
        results[key].remarks[:0] = file.remarks
    return [results[key] for key in sorted(results)]


class Waiting:
    """A bench that starts when something has to run, and not before."""

    def __init__(
        self, assignment: Assignment, trust: bool, stack: contextlib.ExitStack
    ) -> None:
        self.assignment, self.trust, self.stack = assignment, trust, stack
        self.lock = threading.Lock()
        self.bench: Bench | None = None

    def __call__(self) -> Bench:
        """Return the bench."""
        with self.lock:
            if self.bench is None:
                bench = Bench(self.assignment, self.trust)
                self.bench = self.stack.enter_context(bench)
        return self.bench


@contextlib.contextmanager
def pool_of(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Run tasks in threads; after an error or Ctrl-C, begin no others."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def check_reference(
    assignment: Assignment, out: Path, limits: Limits, bench: Callable[[], Bench]
) -> None:
    """Raise ValueError unless the reference gets full marks here."""
    reference = assignment.with_solutions({})
    digest = sha256_of(nbformat.writes(assignment.notebook).encode())[:8]
    result = remembered(
        out / ".results" / assignment.name / f"reference-{digest}.json",
        fingerprint(assignment, limits, nbformat.writes(reference).encode()),
        lambda: grade_notebook(bench(), release(assignment), reference, limits),
    )
    full = sum(full_marks(assignment).values())
    if result.total != full:
        raise ValueError(
            f"the reference of {assignment.name} must get {full:g} points, but here it "
            f"gets {result.total:g}: try `deepsvdd-course check`"
        )


def grade_file(
    found: Found, out: Path, limits: Limits, bench: Callable[[], Bench]
) -> Result:
    """Grade one file; whatever is wrong with it becomes a remark."""
    assignment, file = found.assignment, found.path.name
    nothing = Result(
        found.student,
        assignment.name,
        file,
        {name: Mark(0, "not run") for name in assignment.tests},
        dict.fromkeys(assignment.answers, ""),
    )
    notebook = found.notebook
    if notebook is None:
        nothing.remarks = [found.problem]
        return nothing
    content = found.path.read_bytes()
    key = fingerprint(assignment, limits, f"{found.path.name}".encode() + content)
    try:
        return remembered(
            out
            / ".results"
            / assignment.name
            / f"{sha256_of(found.student.encode())}.json",
            key,
            lambda: grade_notebook(
                bench(), release(assignment), notebook, limits, found.student, file
            ),
        )
    except (OSError, NoSandbox):
        raise  # OUT cannot be written, say: no submission is to blame
    except Exception as error:  # one odd file must not stop the batch
        nothing.remarks = [f"the grader failed ({type(error).__name__}: {error})"]
        return nothing


def fingerprint(assignment: Assignment, limits: Limits, content: bytes) -> str:
    """Return what a result depends on, as a hash."""
    settings = asdict(limits) | {"isolated": not why_not(), "format": 2}
    parts = [nbformat.writes(assignment.notebook), json.dumps(settings)]
    return sha256_of("\n".join(parts).encode() + content)


def remembered(path: Path, key: str, compute: Callable[[], Result]) -> Result:
    """Return the result in a file if it has this key, else compute and keep it.

    A file that is damaged counts as none.
    """
    damaged = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
    with contextlib.suppress(FileNotFoundError, *damaged):
        kept = json.loads(path.read_bytes())
        if kept["key"] == key:
            return Result.from_json(kept["result"])
    result = compute()
    write_text(path, json.dumps({"key": key, "result": result.to_json()}))
    return result
