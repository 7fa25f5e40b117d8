"""How long a class takes to grade, against another version of this repository.

Both versions grade the same number of right submissions to each assignment, each to its
own sources, by the command that an instructor calls, in turns. What is printed is the
ratio of their seconds (2: this version takes half the time).

    git worktree add ../before v0.1.0
    python -m benchmarks.grading --against ../before --notebooks 30
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks.timing import stopwatch, take_turns

HERE = Path(__file__).resolve().parents[1]
HAND_IN = """
import sys
from pathlib import Path
import nbformat
from deepsvdd.course.source import read_assignment

source, folder, n = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
assignment = read_assignment(source)
notebook = assignment.with_solutions({})
for number in range(n):
    notebook.metadata["student"] = number
    nbformat.write(notebook, folder / f"student-{number}-{assignment.name}.ipynb")
"""
GRADE = "from deepsvdd.course.cli import main; main()"


def grading_seconds(repository: Path, assignment: str, n: int, jobs: int) -> float:
    """Return the seconds that one version takes for `n` submissions."""
    (source,) = (repository / "book/assignments").glob(f"{assignment}*.ipynb")
    environment = os.environ | {"PYTHONPATH": str(repository)}

    def run(code: str, *words: str) -> None:
        command = [sys.executable, "-c", code, *words]
        subprocess.run(
            command, cwd=repository, env=environment, check=True, capture_output=True
        )

    with tempfile.TemporaryDirectory() as folder:
        submissions, marks = Path(folder, "submissions"), Path(folder, "marks")
        submissions.mkdir()
        run(HAND_IN, str(source), str(submissions), str(n))
        words = ["grade", str(submissions), str(marks), "--sources", str(source)]
        with stopwatch() as watch:
            run(GRADE, *words, "--jobs", str(jobs))
    return watch.seconds


def main() -> None:
    """Print seconds and ratios, a line for each assignment."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grading")
    parser.add_argument("--against", type=Path, required=True, help="a copy of it")
    parser.add_argument("--assignments", nargs="+", default=list("12345"))
    parser.add_argument("--notebooks", type=int, default=30, help="in a class")
    parser.add_argument("--jobs", type=int, default=2, help="side by side")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    totals = {"before": 0.0, "now": 0.0}
    for name in options.assignments:
        sides = {
            side: partial(
                grading_seconds, path.resolve(), name, options.notebooks, options.jobs
            )
            for side, path in (("before", options.against), ("now", HERE))
        }
        seconds = take_turns(sides, options.rounds, warm_up=False)
        least = {side: min(values) for side, values in seconds.items()}
        totals = {side: totals[side] + least[side] for side in totals}
        ratio = least["before"] / least["now"]
        print(
            f"assignment {name}: {least['before']:7.1f} s before, "
            f"{least['now']:7.1f} s now, ratio {ratio:.2f}",
            flush=True,
        )
    print(f"together: ratio {totals['before'] / totals['now']:.2f}")


if __name__ == "__main__":
    main()
