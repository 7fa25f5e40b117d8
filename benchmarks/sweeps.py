"""How long a sweep takes, against another version of this repository.

Both versions carry out the same sweep into an empty file, in turns. What is printed is
the ratio of their seconds (2: this version takes half the time) and the largest
difference between the two versions' AUCs of a run.

    git worktree add ../before v0.1.0
    python -m benchmarks.sweeps --against ../before --seeds 0-2
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from benchmarks import lines
from benchmarks.timing import stopwatch, take_turns

HERE = Path(__file__).resolve().parents[1]
KEY = ("dataset", "normal_class", "method", "recipe", "seed")
Aucs = dict[tuple[object, ...], float]


def sweep_seconds(repository: Path, words: list[str], aucs: Aucs) -> float:
    """Return the seconds of one version's sweep, and note its AUCs."""
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "runs.jsonl")
        command = [sys.executable, "-m", "deepsvdd", "sweep", str(output), *words]
        with stopwatch() as watch:
            subprocess.run(
                command,
                cwd=folder,
                env=os.environ | {"PYTHONPATH": str(repository)},
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        for line in lines.read(output):
            aucs[tuple(line[name] for name in KEY)] = line["auc"]
    return watch.seconds


def main() -> None:
    """Print seconds, their ratio, and how far the results are apart."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sweeps")
    parser.add_argument("--against", type=Path, required=True, help="a copy of it")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--seeds", default="0-2")
    parser.add_argument("--normal_class", default="all")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    words = ["--recipe", options.recipe, "--seeds", options.seeds, "--device", "cpu"]
    words += ["--normal_class", options.normal_class, "--method", "one-class"]
    aucs: dict[str, Aucs] = {"before": {}, "now": {}}
    sides = {
        side: partial(sweep_seconds, path.resolve(), words, aucs[side])
        for side, path in (("before", options.against), ("now", HERE))
    }
    seconds = take_turns(sides, options.rounds, warm_up=False)
    least = {side: min(values) for side, values in seconds.items()}
    apart = max(abs(auc - aucs["now"][key]) for key, auc in aucs["before"].items())
    print(
        f"{len(aucs['now'])} runs: {least['before']:.1f} s before, {least['now']:.1f} "
        f"s now, ratio {least['before'] / least['now']:.2f}; AUCs differ by at most "
        f"{100 * apart:.2f} points"
    )


if __name__ == "__main__":
    main()
