"""Promises from held-out scores: p-values, false discoveries, thresholds.

All of it rests on one assumption: the calibration scores and the score of a new normal
sample are exchangeable, as they are if both are drawn alike and the detector has seen
neither. Nothing is assumed about the detector, which may be as bad as it likes.

Shapes: ``scores`` (m,) of new samples, ``held_out`` (n,) of calibration samples,
ascending; larger is more anomalous.

References
----------
Vovk, Gammerman and Shafer, *Algorithmic Learning in a Random World*, 2005. Bates,
Candès, Lei, Romano and Sesia, "Testing for outliers with conformal p-values", Annals of
Statistics 2023, arXiv 2104.08279.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsvdd.core.recipes import is_number

Scores = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Calibration:
    """What a detector keeps of the samples that it was calibrated on.

    Attributes
    ----------
    scores : ndarray of shape (n,), float64
        Their anomaly scores, ascending.
    hashes : ndarray of shape (n,), int64
        Their hashes, ascending, to know them again.
    """

    scores: Scores
    hashes: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the samples n."""
        return len(self.scores)


def conformal_p_values(
    scores: Scores, held_out: Scores, uniform: Scores | None = None
) -> Scores:
    """Compare scores with those of held-out normal samples.

    p = (1 + #{i : sᵢ ≥ s}) / (n + 1), so that a normal sample has p ≤ α with a
    probability of at most α, for every α. With numbers U from [0, 1], ties are broken
    at random and the probability is α: p = (#{i : sᵢ > s} + U (1 + #{i : sᵢ = s})) /
    (n + 1).

    Parameters
    ----------
    scores : ndarray of shape (m,)
    held_out : ndarray of shape (n,)
        Ascending.
    uniform : ndarray of shape (m,), optional
        U of each sample.

    Returns
    -------
    ndarray of shape (m,)
        From 1 / (n + 1) to 1; with U, from 0 on.

    Examples
    --------
    >>> import numpy as np
    >>> conformal_p_values(np.array([0.5, 9.0]), np.array([0.0, 1.0, 2.0]))
    array([0.75, 0.25])
    """
    n = len(held_out)
    at_least = n - np.searchsorted(held_out, scores, side="left")
    if uniform is None:
        return (1 + at_least) / (n + 1)
    above = n - np.searchsorted(held_out, scores, side="right")
    return (above + uniform * (1 + at_least - above)) / (n + 1)


def discoveries(p_values: Scores, fdr: float) -> NDArray[np.bool_]:
    """Tell which p-values (m,) Benjamini and Hochberg's procedure rejects."""
    from scipy.stats import false_discovery_control

    if not len(p_values):
        return np.zeros(0, dtype=bool)
    # SciPy compares p m / k where the definition compares p with k fdr / m: rounding
    # must not decide where both are equal.
    adjusted = false_discovery_control(p_values, method="bh")
    found: NDArray[np.bool_] = adjusted <= fdr * (1 + 1e-12)
    return found


def rank_for(n: int, false_alarms: float, confidence: float) -> int | None:
    """Find the calibration score that may be the threshold of a promise.

    The share of normal samples above the k-th smallest of n calibration scores follows
    the Beta distribution with parameters n + 1 − k and k (or lies below it, if scores
    are tied).

    Parameters
    ----------
    n : int
    false_alarms, confidence : float in (0, 1)
        The share above is to be at most ``false_alarms``, with at least that
        probability over the draw of the calibration samples.

    Returns
    -------
    int or None
        The smallest such k, from 1 to n; None if there is none.
    """
    from scipy.stats import beta

    k = np.arange(1, n + 1)
    kept = np.flatnonzero(beta.cdf(false_alarms, n + 1 - k, k) >= confidence)
    return int(k[kept[0]]) if len(kept) else None


def samples_for(false_alarms: float, confidence: float) -> int:
    """Count the calibration samples that a threshold's promise takes, at least.

    Even the largest of n scores has more than that share above it with a probability of
    (1 − false_alarms)ⁿ.

    Examples
    --------
    >>> samples_for(false_alarms=0.01, confidence=0.95)
    299
    """
    exact = math.log1p(-confidence) / math.log1p(-false_alarms)
    n = max(math.ceil(exact - 1e-9), 1)
    while rank_for(n, false_alarms, confidence) is None:  # by rounding only
        n += 1
    return n


def check_level(name: str, value: Any) -> float:
    """Take a probability; raise ValueError unless it is a number in (0, 1)."""
    if not (is_number(value) and 0 < value < 1):
        raise ValueError(f"{name} must be a number in (0, 1); got {value!r}")
    return float(value)


def check_reachable(name: str, level: float, n: int) -> None:
    """Raise ValueError if no p-value of n calibration samples is as small as that."""
    if level * (n + 1) < 1 - 1e-9:
        needed = math.ceil(1 / level - 1e-9) - 1
        raise ValueError(
            f"{name} must be at least 1/(n + 1) = {1 / (n + 1):.3g} with n = {n} "
            f"calibration samples; got {level:g}, which takes {needed:,}: calibrate on "
            "more"
        )
