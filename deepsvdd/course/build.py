"""Make from the sources what students and instructors get, and prove the tests."""

from __future__ import annotations

import functools
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from tqdm import tqdm

from deepsvdd.course import parameters
from deepsvdd.course.grade import Result, grade_notebook
from deepsvdd.course.running import Bench, Limits
from deepsvdd.course.source import (
    MARKER,
    Assignment,
    grade_id,
    kind,
    role,
)
from deepsvdd.course.submission import recognise, script
from deepsvdd.errors import reason_of
from deepsvdd.files import atomic_write, write_text
from deepsvdd.version import repository

KEPT_METADATA = {"nbgrader", "tags", "mystnb", "deletable", "editable"}
KERNEL = {"name": "python3", "display_name": "Python 3"}
ARCHIVE = "deepsvdd-course.zip"

README = """\
# Deep one-class classification: assignments

| notebook | assignment | points |
|---|---|---|
{table}

**Open.** In Google Colab (colab.research.google.com): File, Upload notebook, choose
one. Run the first cell; it installs the package `deepsvdd`. Nothing else is needed, and
no GPU. On your own machine: Python 3.10 or newer,

    pip install "git+{url}" jupyterlab
    jupyter lab

**Work.** Replace each `raise NotImplementedError` by your code, and *Your answer here.*
by your text. Leave the line `# task: …` above your code and the name of each function:
they tell the grader what belongs where. The cells with tests below a task say whether
you are on the right way; when they run without an error, most of the task is done. More
tests, which you do not see, decide with them about the points. Changes to test cells
are undone before grading. Cells of your own are welcome.

**Save.** Colab keeps your copy in Drive (File, Save a copy in Drive). Choose Runtime,
Restart and run all before you hand in: the grader runs the notebook from top to bottom
too, without network, and with a limit on time and memory.

**Hand in.** File, Download, Download .ipynb. Keep the name of the file, or put your own
name in front of it: `jane-doe-{example}.ipynb`. Hand in that file, not a link or a PDF.
"""


@functools.cache
def release(assignment: Assignment) -> NotebookNode:
    """Return the notebook for students, cell for cell that of `assignment.cells`.

    Made once for each assignment: do not change it.

    nbgrader's own preprocessors take out solutions and hidden tests and lock the cells.
    Every solution begins with a comment that names it, for notebooks whose metadata are
    lost on the way.

    Raises
    ------
    ValueError
        If nbgrader does not take the source.
    """
    from nbgrader import preprocessors
    from traitlets.config import Config

    config = Config()
    config.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
    config.ClearSolutions.text_stub = "*Your answer here.*"
    notebook = assignment.with_solutions({})
    kernel = assignment.notebook.metadata.get("kernelspec") or KERNEL
    notebook.metadata = nbformat.from_dict(
        {"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict(
            {k: v for k, v in cell.metadata.items() if k in KEPT_METADATA}
        )
        cell.pop("attachments", None)
        if kind(cell) == "solution":
            cell.source = MARKER.format(grade_id(cell)) + "\n" + cell.source
    steps = ("LockCells", "ClearSolutions", "ClearOutput", "CheckCellMetadata")
    try:
        for name in (*steps, "ClearHiddenTests", "ComputeChecksums"):
            step = getattr(preprocessors, name)(config=config)
            notebook, _ = step.preprocess(notebook, {})
        nbformat.validate(notebook)
    except Exception as error:  # of many types; all of them blame the source
        raise ValueError(
            f"{assignment.name} must be a source that nbgrader takes; "
            f"{type(error).__name__}: {reason_of(error)}"
        ) from error
    return notebook


def instructors_version(assignment: Assignment, limits: Limits) -> NotebookNode:
    """Return the executed notebook with solutions, all tests, rubrics and mistakes.

    Raises
    ------
    ValueError
        If a cell fails or is not reached; the message names it.
    """
    reference = recognise(
        assignment, release(assignment), assignment.with_solutions({})
    )
    cells = script(assignment, reference)
    with Bench(assignment, trust=True) as bench:
        reports = bench.run(cells, limits, keep=True, draw=0)
    for cell, done in zip(cells, reports, strict=True):
        if not done or "error" in done:
            reason = f"{done['error']}: {done['message']}" if done else "out of time"
            first = cell["name"] or cell["source"].split("\n")[0]
            raise ValueError(
                f"{assignment.name}: its own solution fails in '{first}' ({reason})"
            )
    outputs = map(outputs_of, reports)
    notebook = nbformat.from_dict(assignment.notebook)
    notebook.cells = [cell for cell in notebook.cells if role(cell) != "variant"]
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        cell.outputs = list(next(outputs)) if role(cell) != "reference" else []
    table = nbformat.v4.new_markdown_cell(mistakes_table(assignment), id="mistakes")
    notebook.cells.append(table)
    nbformat.validate(notebook)
    return notebook


def outputs_of(report: dict[str, Any]) -> Iterator[NotebookNode]:
    """Yield a report's text and pictures as a notebook keeps them."""
    if report.get("text"):
        yield nbformat.v4.new_output("stream", text=report["text"])
    for shown in report.get("outputs", []):
        yield nbformat.v4.new_output("display_data", **shown)


def mistakes_table(assignment: Assignment) -> str:
    """Return, in Markdown, the wrong submissions and the tests that catch them."""
    lines = [
        "## Wrong submissions, and what they lose",
        "",
        "| submission | mistakes | marks lost |",
        "|---|---|---|",
    ]
    for variant in assignment.variants:
        lost = ", ".join(
            f"{name} ({assignment.points[name] - points:g})"
            for name, points in variant.marks.items()
        )
        mistakes = " ".join(text.replace("|", r"\|") for text in variant.mistakes)
        lines.append(f"| {variant.name} | {mistakes} | {lost} |")
    return "\n".join(lines)


def build(assignments: list[Assignment], out: Path, limits: Limits) -> list[Path]:
    """Write the students' notebooks and their archive, and the instructor's notebooks.

    Parameters
    ----------
    assignments : the sources
    out : folder; ``student/``, ``instructor/`` and the archive go there
    limits : for running the instructor's version

    Returns
    -------
    The files written.
    """
    written = {}

    def write(name: str, text: str) -> None:  # at once: an error later costs no work
        write_text(out / name, text)
        written[name] = text

    for assignment in tqdm(assignments, desc="build", unit="assignment"):
        file = f"{assignment.name}.ipynb"
        write(f"student/{file}", nbformat.writes(release(assignment)) + "\n")
        taught = instructors_version(assignment, limits)
        write(f"instructor/{file}", nbformat.writes(taught) + "\n")
    write("student/README.md", readme(assignments))
    with (
        atomic_write(out / ARCHIVE) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, text in written.items():
            if name.startswith("student/"):
                # A fixed date: the same sources give the same file.
                archive.writestr(zipfile.ZipInfo(name.removeprefix("student/")), text)
    return [out / name for name in (*written, ARCHIVE)]


def readme(assignments: list[Assignment]) -> str:
    """Return the page that goes with the students' notebooks."""
    lines = [
        f"| `{a.name}.ipynb` | {a.title} | {sum(a.points.values()):g} |"
        for a in assignments
    ]
    return README.format(
        url=repository(), table="\n".join(lines), example=assignments[0].name
    )


# --- proof ------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """A submission with the marks that it must get, and those it got."""

    assignment: str
    submission: str  # reference, blank, or a variant's name
    full: dict[str, float]
    expected: dict[str, float]
    result: Result

    @property
    def wrong(self) -> list[str]:
        """What is not as it should be, a line each."""
        return [
            f"{name} earned {mark.earned:g}, not {self.expected[name]:g}"
            + (f" ({mark.message})" if mark.message else "")
            for name, mark in self.result.marks.items()
            if mark.earned != self.expected[name]
        ] + [f"{n} did not run" for n in self.expected if n not in self.result.marks]


def check(
    assignments: list[Assignment], limits: Limits, jobs: int = 2, variants: bool = True
) -> Iterator[Check]:
    """Grade what must get full marks, none, and exactly those written beside it.

    Parameters
    ----------
    assignments : the sources
    limits : for each run
    jobs : notebooks to run at the same time
    variants : whether to prove the reference with the parameters of each variant, too

    Yields
    ------
    Check
        In the order of assignments: reference, blank release, each wrong solution, and
        the reference with the parameters of each variant.
    """
    for assignment in assignments:
        given = release(assignment)
        with Bench(assignment, trust=True) as bench, ThreadPoolExecutor(jobs) as pool:
            run = functools.partial(check_one, bench, given, limits)
            yield from pool.map(run, cases_of(assignment))
        numbers = range(1, len(parameters.choices(assignment)))
        for number in numbers if variants else ():
            with Bench(parameters.variant(assignment, number), trust=True) as bench:
                reference = bench.assignment.with_solutions({})
                full = full_marks(assignment)
                name = f"reference of {parameters.in_words(assignment, number)}"
                yield check_one(
                    bench, release(bench.assignment), limits, (name, reference, full)
                )


def check_one(
    bench: Bench,
    given: NotebookNode,
    limits: Limits,
    case: tuple[str, NotebookNode, dict[str, float]],
) -> Check:
    """Grade one submission that must get certain marks."""
    name, notebook, expected = case
    assignment = bench.assignment
    # Other inputs for each, but the same whenever it is repeated.
    draw = zlib.crc32(f"{assignment.name} {name}".encode())
    result = grade_notebook(bench, given, notebook, limits, name, draw=draw)
    return Check(assignment.name, name, full_marks(assignment), expected, result)


def full_marks(assignment: Assignment) -> dict[str, float]:
    """Return the points of each test."""
    return {name: assignment.points[name] for name in assignment.tests}


def cases_of(
    assignment: Assignment,
) -> Iterator[tuple[str, NotebookNode, dict[str, float]]]:
    """Yield (name, notebook, marks it must get)."""
    full = full_marks(assignment)
    yield "reference", assignment.with_solutions({}), full
    yield "blank", release(assignment), dict.fromkeys(full, 0.0)
    for variant in assignment.variants:
        notebook = assignment.with_solutions(variant.sources)
        yield variant.name, notebook, full | variant.marks
