"""Grade a folder of submissions; what is done already is not done again."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from tqdm import tqdm

from deepsvdd.course.build import full_marks, release
from deepsvdd.course.grade import Limits, Mark, Result, grade_notebook
from deepsvdd.course.source import Assignment, grade_id, read_notebook
from deepsvdd.course.submission import places_of
from deepsvdd.files import sha256_of, write_text

# What learning platforms add to names: Moodle to folders, Canvas to files.
_PLATFORM = re.compile(r"_\d+_assignsubmission_.*$|(_LATE)?(_\d{2,}){1,2}$")
_COPY = re.compile(r"^(copy of|kopie von|copie de) ", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """A submitted file: whose it is, for which assignment, or why that is unknown."""

    path: Path
    student: str
    assignment: Assignment | None
    notebook: NotebookNode | None
    problem: str = ""


def find(folder: Path, assignments: list[Assignment]) -> Iterator[Found]:
    """Yield a folder's files, recognized by name or content.

    Parameters
    ----------
    folder : files named after student and assignment, or a subfolder for each student
    assignments : those that may be there; of a single one, every file is taken to be
    """
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        ignored = any(part.startswith((".", "__MACOSX")) for part in parts)
        if ignored or (path.is_dir() and not path.is_symlink()):
            continue
        notebook, problem = None, ""
        if path.is_symlink() or path.suffix.lower() != ".ipynb":
            problem = f"'{path.name}' is no notebook (.ipynb)"
        else:
            try:
                notebook = read_notebook(path)
            except (ValueError, OSError) as error:
                problem = str(error)
        assignment = recognise_assignment(path.stem, notebook, assignments)
        student = student_of(parts, assignment.name if assignment else "")
        if assignment is None and not problem:
            names = ", ".join(a.name for a in assignments)
            problem = f"'{path.name}' is none of {names}: try --assignment"
        yield Found(path, student, assignment, notebook, problem)


def recognise_assignment(
    stem: str, notebook: NotebookNode | None, assignments: list[Assignment]
) -> Assignment | None:
    """Return the assignment that a file name mentions, or whose cells it holds."""
    if len(assignments) == 1:
        return assignments[0]
    named = [a for a in assignments if a.name.lower() in stem.lower()]
    if named:
        return max(named, key=lambda assignment: len(assignment.name))
    if notebook is None:
        return None

    counts = {}
    for assignment in assignments:
        places = set(places_of(assignment, release(assignment), notebook.cells))
        own = assignment.solutions.keys() | assignment.points.keys()
        counts[assignment.name] = sum(
            grade_id(cell) in own
            for place, cell in enumerate(assignment.cells)
            if place in places
        )
    best = max(assignments, key=lambda assignment: counts[assignment.name])
    return best if counts[best.name] else None


def student_of(parts: tuple[str, ...], assignment: str) -> str:
    """Return a student's name from the path of a submission.

    Examples
    --------
    >>> student_of(("jane-doe-1-metrics (1).ipynb",), "1-metrics")
    'jane-doe'
    >>> student_of(("Jane Doe_12_assignsubmission_file", "a.ipynb"), "1-metrics")
    'Jane Doe'
    """
    if len(parts) > 1:
        return _PLATFORM.sub("", parts[0])
    stem = _COPY.sub("", Path(parts[0]).stem)
    sides = re.split(re.escape(assignment), stem, maxsplit=1, flags=re.IGNORECASE)
    names = (_PLATFORM.sub("", part.strip(" _-.")) for part in sides)
    return next((name for name in names if name), stem)


# --- grading ----------------------------------------------------------------------


def grade_folder(
    folder: Path,
    out: Path,
    assignments: list[Assignment],
    limits: Limits,
    jobs: int,
) -> tuple[list[Result], list[Found]]:
    """Grade all submissions, each as if it were the only one.

    Parameters
    ----------
    folder : see `find`
    out : results are kept here, in ``.results``; a file that was graded with the same
        source and limits before is not run again
    assignments : the sources
    limits : for each notebook
    jobs : notebooks to run at the same time

    Returns
    -------
    results : a submission's marks each, one for each student and assignment
    unknown : files for which no assignment could be found

    Raises
    ------
    ValueError
        If an assignment's reference does not get full marks on this machine.
    """
    found = list(find(folder, assignments))
    unknown = [file for file in found if file.assignment is None]
    newest: dict[tuple[str, str], Found] = {}
    others: dict[tuple[str, str], list[str]] = {}
    for file in sorted(
        found, key=lambda file: file.path.stat(follow_symlinks=False).st_mtime
    ):
        if file.assignment is not None:
            key = (file.assignment.name, file.student)
            if key in newest:
                others.setdefault(key, []).append(newest[key].path.name)
            newest[key] = file
    used = {
        file.assignment.name: file.assignment
        for file in newest.values()
        if file.assignment
    }
    with pool_of(jobs) as pool:
        references = [
            pool.submit(check_reference, assignment, out, limits)
            for assignment in used.values()
        ]
        for reference in references:
            reference.result()
        tasks = {
            pool.submit(grade_file, file, out, limits): key
            for key, file in newest.items()
        }
        results = {}
        for task in tqdm(as_completed(tasks), total=len(tasks), desc="grade"):
            results[tasks[task]] = task.result()
    for key, names in others.items():
        results[key].remarks.insert(
            0, f"the newest of several; left out: {', '.join(names)}"
        )
    return [results[key] for key in sorted(results)], unknown


@contextlib.contextmanager
def pool_of(jobs: int) -> Iterator[ThreadPoolExecutor]:
    """Run tasks in threads; after an error or Ctrl-C, begin no others."""
    pool = ThreadPoolExecutor(jobs)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def check_reference(assignment: Assignment, out: Path, limits: Limits) -> None:
    """Raise ValueError unless the reference gets full marks here."""
    reference = assignment.with_solutions({})
    result = remembered(
        out / ".results" / assignment.name / "reference.json",
        fingerprint(assignment, limits, nbformat.writes(reference).encode()),
        lambda: grade_notebook(assignment, release(assignment), reference, limits),
    )
    full = sum(full_marks(assignment).values())
    if result.total != full:
        raise ValueError(
            f"the reference of {assignment.name} must get {full:g} points, but here it "
            f"gets {result.total:g}: try `deepsvdd-course check`"
        )


def grade_file(found: Found, out: Path, limits: Limits) -> Result:
    """Grade one file; whatever is wrong with it becomes a remark."""
    assignment, file = found.assignment, found.path.name
    assert assignment is not None
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
                assignment, release(assignment), notebook, limits, found.student, file
            ),
        )
    except OSError:
        raise  # OUT cannot be written: no submission is to blame
    except Exception as error:  # one odd file must not stop the batch
        nothing.remarks = [f"the grader failed ({type(error).__name__}: {error})"]
        return nothing


def fingerprint(assignment: Assignment, limits: Limits, content: bytes) -> str:
    """Return what a result depends on, as a hash."""
    parts = [nbformat.writes(assignment.notebook), json.dumps(asdict(limits))]
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
