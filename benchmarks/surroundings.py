"""Comparisons of what surrounds a training: other programs, and memory.

Each side is a process of its own. :func:`busy` makes the load itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime
from pathlib import Path

from benchmarks import comparisons
from benchmarks.comparisons import ROOT, Sides, comparison
from benchmarks.setting import Setting, Unavailable
from benchmarks.timing import Measure
from deepsvdd.core._engine.threads import SET_BY_USERS
from deepsvdd.core._engine.waiting import PATIENCE
from deepsvdd.reproduction import provenance
from deepsvdd.reproduction.executors import cores

TRAIN = ("train", "mnist", "mnist_LeNet")
WORDS = ("--recipe", "fast", "--normal_class", "3", "--seed", "0", "--device", "cpu")
FORMAT = "%Y-%m-%d %H:%M:%S,%f"  # of a log's lines
IMAGES, ROWS = 60_000, 1_000_000


@contextmanager
def other_programs() -> Iterator[None]:
    """Keep every core busy, by a process a core that does nothing but that."""
    command = [sys.executable, "-c", "while True: pass"]
    programs = [subprocess.Popen(command) for _ in cores()]
    try:
        yield
    finally:
        for program in programs:
            program.kill()
            program.wait()


def seconds_of_training(words: tuple[str, ...], **environment: str) -> float:
    """Run `deepsvdd train`; return the seconds from reading its data to its last epoch.

    Of the variables that set threads, it has only those that are given.
    """
    names = (*SET_BY_USERS, "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    own = {name: value for name, value in os.environ.items() if name not in names}
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "deepsvdd", *TRAIN, folder, *words]
        subprocess.run(
            command,
            cwd=ROOT,
            env=own | environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        lines = Path(folder, "log.txt").read_text("utf-8").splitlines()
    last = [line for line in lines if " one-class epoch " in line][-1]
    began, ended = (
        datetime.strptime(" ".join(line.split()[:2]), FORMAT)
        for line in (lines[0], last)
    )
    return (ended - began).total_seconds()


def training(
    words: tuple[str, ...], loaded: bool, environment: dict[str, str]
) -> Measure:
    """Measure a training, on a quiet machine or a busy one."""

    def measure() -> float:
        with other_programs() if loaded else nullcontext():
            return seconds_of_training(words, **environment)

    return measure


@comparison("busy", repetitions=(2, 1), warm_up=False)
def busy(setting: Setting) -> Sides:
    """Train as `make run` does, on a quiet machine and beside a busy process a core.

    The number of threads is measured, or fixed: one a core, or one.
    """
    every = {"OMP_NUM_THREADS": str(len(cores()))}
    kinds = {
        "measured": {},
        "all cores": every,
        "one thread": {"OMP_NUM_THREADS": "1"},
    }
    epochs = () if setting.images is None else ("--n_epochs", "1", "--ae_n_epochs", "1")
    words = (*WORDS, *epochs)
    return Sides(
        {
            f"{'busy' if loaded else 'quiet'}, {name}": training(
                words, loaded, environment
            )
            for loaded in (False, True)
            for name, environment in kinds.items()
        }
    )


@comparison("waiting", repetitions=(2, 1), warm_up=False)
def waiting(setting: Setting) -> Sides:
    """Train a few epochs with threads that spin for a while before they sleep.

    The numbers are those of GOMP_SPINCOUNT; 0 is asleep at once.
    """
    n = "3" if setting.images is None else "1"
    words = (*WORDS, "--n_epochs", n, "--ae_n_epochs", n)
    every = {"OMP_NUM_THREADS": str(len(cores()))} | PATIENCE
    return Sides(
        {
            f"{'busy' if loaded else 'quiet'}, {count:,}": training(
                words, loaded, every | {"GOMP_SPINCOUNT": str(count)}
            )
            for loaded in (False, True)
            for count in (0, 1000, 10_000, 50_000, 200_000, 10**9)
        }
    )


@comparison("fit-memory", repetitions=(1, 1), unit="MB", warm_up=False)
def fit_memory(setting: Setting) -> Sides:
    """Peak memory of a process that fits color images, against these as float32.

    Of 60,000 × 3 × 32 × 32 random pixels; beside it what the process has before it
    makes them: libraries, most of it torch's.
    """
    if provenance.peak_memory() is None:
        raise Unavailable("the peak is read from /proc, which this system lacks")
    n = min(IMAGES, setting.images or IMAGES)
    code = "from benchmarks.surroundings import fit_images; fit_images({}, {!r})"

    def peak(kind: str, images: int = n) -> Measure:
        return lambda: comparisons.in_process(code.format(images, kind))

    return Sides(
        {
            f"{n} images": lambda: n * 3 * 32 * 32 * 4 / 2**20,
            "libraries": peak("uint8", 2),
            "fit, of 8 bits": peak("uint8"),
            "fit, of floats": peak("float32"),
        }
    )


def fit_images(n: int, kind: str) -> None:
    """Fit random images without an epoch, and print the peak of memory (MB)."""
    import numpy as np

    from deepsvdd import DeepSVDD

    x = np.random.default_rng(0).integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    if kind == "float32":
        x = x.astype(np.float32)
    recipe = comparisons.untrained()
    DeepSVDD(recipe=recipe, device="cpu", random_state=0).fit(x)
    print(provenance.peak_memory())


@comparison("score-memory", repetitions=(1, 1), unit="MB", warm_up=False)
def score_memory(setting: Setting) -> Sides:
    """What a process takes to score rows of 30 numbers, beside the rows themselves."""
    if provenance.peak_memory() is None:
        raise Unavailable("the peak is read from /proc, which this system lacks")
    most = ROWS if setting.images is None else 10_000
    code = "from benchmarks.surroundings import score_rows; score_rows({})"

    def peak(n: int) -> Measure:
        return lambda: comparisons.in_process(code.format(n))

    return Sides({f"{n} rows": peak(n) for n in (most // 100, most // 10, most)})


def score_rows(n: int) -> None:
    """Score random rows, and print the peak of memory (MB) without them."""
    import numpy as np

    from deepsvdd import DeepSVDD

    x = np.random.default_rng(0).normal(size=(n, 30)).astype(np.float32)
    detector = DeepSVDD(recipe=comparisons.untrained(), device="cpu", random_state=0)
    detector.fit(x[:100]).anomaly_score(x)
    print(provenance.peak_memory() - x.nbytes / 2**20)
