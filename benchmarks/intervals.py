"""Which intervals of the AUC keep their promise: ``python -m benchmarks.intervals``.

Draws test sets whose true AUC is known, and counts how often the 95 % interval of each
method covers it: for 5 to 1,000 anomalies among 1,000 normal samples, and three
kinds of anomalies, whose scores are shifted, shifted and spread, or partly hidden among
the normal ones. Appends a line a setting to a file, and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats
from tqdm import tqdm

from benchmarks.lines import append, left, parser, read
from deepsvdd.core.metrics import auc_interval, placements

Floats = NDArray[np.float64]
Interval = tuple[float, float]

AUCS = (0.6, 0.8, 0.9, 0.95, 0.99)
ANOMALIES = (5, 10, 20, 30, 50, 100, 1000)
NORMAL = (1000,)
LEVEL = 0.95
REPEATS = 200  # test sets of each setting
RESAMPLES = 500


# --------------------------------------------------------------------------- test sets


def shifted(auc: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw scores (n,) of anomalies with the spread of the normal ones, N(0, 1)."""
    return rng.normal(np.sqrt(2) * stats.norm.ppf(auc), 1, n)


def spread(auc: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw scores (n,) with three times the spread."""
    return rng.normal(np.sqrt(10) * stats.norm.ppf(auc), 3, n)


def hidden(auc: float, n: int, rng: np.random.Generator) -> Floats:
    """Draw scores (n,) of which a share of 1 - auc is distributed as normal ones."""
    share = 1 - auc
    of_others = (auc - share / 2) / (1 - share)
    found = rng.random(n) >= share
    return np.where(found, shifted(of_others, n, rng), rng.normal(size=n))


KINDS = {"shifted": shifted, "spread": spread, "hidden": hidden}


# ----------------------------------------------------------------------------- methods


def estimate(normal: Floats, anomalous: Floats) -> tuple[float, float]:
    """Return the AUC, and DeLong's estimate of its variance."""
    parts = placements(normal, anomalous)
    variance = sum(part.var(ddof=1) / part.size for part in parts)
    return float(parts[0].mean()), float(variance)


def auc_of(normal: Floats, anomalous: Floats) -> float:
    return estimate(normal, anomalous)[0]


def delong(normal: Floats, anomalous: Floats) -> Interval:
    auc, variance = estimate(normal, anomalous)
    sd = variance**0.5
    z = stats.norm.ppf((1 + LEVEL) / 2)
    return auc - z * sd, auc + z * sd


def logit_delong(normal: Floats, anomalous: Floats) -> Interval:
    auc, variance = estimate(normal, anomalous)
    sd = variance**0.5
    if not 0 < auc < 1:
        return auc, auc
    z = stats.norm.ppf((1 + LEVEL) / 2)
    center, half = np.log(auc / (1 - auc)), z * sd / (auc * (1 - auc))
    low, high = 1 / (1 + np.exp(-(center + half * np.array([-1, 1]))))
    return float(low), float(high)


def newcombe(normal: Floats, anomalous: Floats) -> Interval:
    """Invert a score test with Hanley and McNeil's variance (Newcombe 2006, no. 5)."""
    auc, m, n = auc_of(normal, anomalous), anomalous.size, normal.size
    z, mean = stats.norm.ppf((1 + LEVEL) / 2), (m + n) / 2 - 1

    def excess(theta: float) -> float:
        more = mean * ((1 - theta) / (2 - theta) + theta / (1 + theta))
        return float(
            (theta - auc) ** 2 - z**2 * theta * (1 - theta) * (1 + more) / (m * n)
        )

    low = optimize.brentq(excess, 0, auc) if excess(0) * excess(auc) < 0 else 0.0
    high = optimize.brentq(excess, auc, 1) if excess(1) * excess(auc) < 0 else 1.0
    return float(low), float(high)


def empirical_likelihood(normal: Floats, anomalous: Floats) -> Interval:
    """Profile the likelihood of the anomalies' placements (Qin and Zhou, 2006)."""
    u = placements(normal, anomalous)[0]
    auc, spread_of = u.mean(), u.var()
    if spread_of == 0:
        return float(auc), float(auc)
    scale = spread_of / u.size / estimate(normal, anomalous)[1]
    limit = stats.chi2.ppf(LEVEL, 1)

    def excess(theta: float) -> float:
        d = u - theta
        ends = -1 / d.max(), -1 / d.min()
        gap = 1e-10 * (ends[1] - ends[0])
        weight = optimize.brentq(
            lambda t: float((d / (1 + t * d)).sum()), ends[0] + gap, ends[1] - gap
        )
        return float(scale * 2 * np.log1p(weight * d).sum() - limit)

    bounds = []
    for end in (u.min(), u.max()):
        near, far = auc + 1e-9 * (end - auc), end - 1e-6 * (end - auc)
        found = excess(far) > 0
        bounds.append(optimize.brentq(excess, near, far) if found else end)
    return float(bounds[0]), float(bounds[1])


def labeled(normal: Floats, anomalous: Floats) -> tuple[NDArray[np.int64], Floats]:
    labels = np.repeat([0, 1], [normal.size, anomalous.size])
    return labels, np.r_[normal, anomalous]


def resampled_aucs(normal: Floats, anomalous: Floats) -> Floats:
    """Draw samples with replacement, and return the AUC of each draw.

    As ``bootstrap_auc``, but for all draws at once: how often each sample was drawn
    weights its comparisons with the others.
    """
    rng = np.random.default_rng(0)
    above = anomalous > normal[:, None]  # (normal, anomalous)
    wins = above + 0.5 * (anomalous == normal[:, None])
    counts = []
    for n in wins.shape:
        drawn = rng.integers(n, size=(RESAMPLES, n)) + n * np.arange(RESAMPLES)[:, None]
        count = np.bincount(drawn.ravel(), minlength=RESAMPLES * n)
        counts.append(count.reshape(RESAMPLES, n) / n)
    return ((counts[0] @ wins) * counts[1]).sum(axis=1)


def bootstrap(normal: Floats, anomalous: Floats) -> Interval:
    ends = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    low, high = np.quantile(resampled_aucs(normal, anomalous), ends)
    return float(low), float(high)


def bias_corrected(normal: Floats, anomalous: Floats) -> Interval:
    """Efron's bias-corrected and accelerated bootstrap (1987), as in scipy."""
    drawn, auc = resampled_aucs(normal, anomalous), auc_of(normal, anomalous)
    share = (drawn < auc).mean() / 2 + (drawn <= auc).mean() / 2
    cubes = squares = 0.0
    for part in placements(normal, anomalous):
        # Leaving a sample out moves the AUC by its placement's distance to the mean.
        influence = part - part.mean()
        cubes += (influence**3).sum() / part.size**3
        squares += (influence**2).sum() / part.size**2
    if not (squares and 0 < share < 1):
        return auc, auc
    bias, acceleration = stats.norm.ppf(share), cubes / (6 * squares**1.5)
    z = bias + stats.norm.ppf([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    ends = stats.norm.cdf(bias + z / (1 - acceleration * z))
    low, high = np.quantile(drawn, ends)
    return float(low), float(high)


def ours(normal: Floats, anomalous: Floats) -> Interval:
    return auc_interval(*labeled(normal, anomalous), level=LEVEL)


METHODS: dict[str, Callable[[Floats, Floats], Interval]] = {
    "bootstrap": bootstrap,
    "bias-corrected": bias_corrected,
    "DeLong": delong,
    "logit DeLong": logit_delong,
    "Newcombe": newcombe,
    "empirical likelihood": empirical_likelihood,
    "auc_interval": ours,
}


# -------------------------------------------------------------------------- simulation


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("intervals", __doc__)
    options.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    given = options.parse_args(arguments)
    settings = product(given.methods, KINDS, AUCS, NORMAL, ANOMALIES)
    jobs = [dict(zip(KEYS, values, strict=True)) for values in settings]
    for job in tqdm(left(given.output, jobs), unit="setting"):
        append(given.output, job | coverage(**job))
    summarise(read(given.output))


KEYS = ("method", "kind", "auc", "n_normal", "n_anomalies")


def coverage(
    method: str, kind: str, auc: float, n_normal: int, n_anomalies: int
) -> dict[str, float]:
    """Count test sets whose interval covers the truth, and lies below or above it."""
    rng = np.random.default_rng([n_normal, n_anomalies])
    interval, draw = METHODS[method], KINDS[kind]
    ends = np.array(
        [
            interval(rng.normal(size=n_normal), draw(auc, n_anomalies, rng))
            for _ in range(REPEATS)
        ]
    )  # (repeat, low and high)
    ends = np.nan_to_num(ends.clip(0, 1), nan=2)  # no interval covers nothing
    return {
        "repeats": REPEATS,
        "above": float((ends[:, 0] > auc).mean()),
        "below": float((ends[:, 1] < auc).mean()),
        "width": float((ends[:, 1] - ends[:, 0]).mean()),
    }


def summarise(lines: list[dict[str, Any]]) -> None:
    """Print the lowest and the mean coverage of each method, by number of anomalies."""
    print("\ncoverage of 95 % intervals in %: mean over settings (lowest)")
    print(f"{'anomalies':21}" + "".join(f"{n:>13,}" for n in ANOMALIES))
    for method in METHODS:
        cells = []
        for n in ANOMALIES:
            own = [
                100 * (1 - line["above"] - line["below"])
                for line in lines
                if line["method"] == method and line["n_anomalies"] == n
            ]
            cells.append(f"{np.mean(own):.1f} ({min(own):.1f})" if own else "")
        print(f"{method:21}" + "".join(f"{cell:>13}" for cell in cells))


if __name__ == "__main__":
    main()
