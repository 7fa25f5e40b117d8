"""Measure alternatives in turns, and compare their medians.

The same work takes 14 ms now and 21 ms an hour later, when the machine has other things
to do. So the sides of a comparison take turns (A B A B ...), and only what was measured
within one run is compared.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

Measure = Callable[[], float]  # does the work once, returns seconds or megabytes


class Stopwatch:
    """What :func:`stopwatch` yields; ``seconds`` is there when the block has ended."""

    seconds = 0.0


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Time a block."""
    watch, start = Stopwatch(), time.perf_counter()
    yield watch
    watch.seconds = time.perf_counter() - start


def timed(work: Callable[[], Any]) -> Measure:
    """Turn work into a measure of its seconds."""

    def measure() -> float:
        with stopwatch() as watch:
            work()
        return watch.seconds

    return measure


def take_turns(
    sides: dict[str, Measure], repetitions: int, warm_up: bool = True
) -> dict[str, list[float]]:
    """Measure every side `repetitions` times, in turns.

    The first round starts threads, fills caches and allocates; with `warm_up` there is
    one more round, and the first does not count.
    """
    rounds = [
        {side: measure() for side, measure in sides.items()}
        for _ in range(repetitions + warm_up)
    ]
    return {side: [values[side] for values in rounds[warm_up:]] for side in sides}


@dataclass(frozen=True)
class Row:
    """One side of a comparison.

    Attributes
    ----------
    side : str
    values : list of float
        A value a round.
    ratio : float
        Median of the first side over the median of this one: 4 is four times as fast.
    lowest, highest : float
        Of the ratios of the single rounds, in which both sides were neighbors in time.
    """

    side: str
    values: list[float]
    ratio: float
    lowest: float
    highest: float

    @property
    def median(self) -> float:
        return statistics.median(self.values)


def compare(values: dict[str, list[float]]) -> list[Row]:
    """Compare every side with the first one, side by side in rounds."""
    first = next(iter(values.values()))
    rows = []
    for side, own in values.items():
        ratios = [a / b for a, b in zip(first, own, strict=True)]
        ratio = statistics.median(first) / statistics.median(own)
        rows.append(Row(side, own, ratio, min(ratios), max(ratios)))
    return rows
