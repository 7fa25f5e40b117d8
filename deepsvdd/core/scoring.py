"""From networks to anomaly scores, and the threshold between normal and outlier."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepsvdd.core._engine.side_by_side import side_by_side
from deepsvdd.core.networks import evaluation_mode
from deepsvdd.core.objectives import count_of, exceeding
from deepsvdd.core.representations import SCORING_BATCH, joined, represent
from deepsvdd.core.training import Hypersphere
from deepsvdd.errors import UnscorableError

ROUNDINGS = 32  # of a representation's norm, that its computation may lose


def scores_of(
    members: Sequence[Hypersphere],
    x: Tensor,
    apply: Callable[[nn.Module, Tensor], Tensor] = represent,
) -> Tensor:
    """Score one preprocessed batch (b, ...) by one network or several; returns (b,)."""
    if len(members) == 1:
        (member,) = members
        return member.squared_distances(x, apply) - member.radius**2
    distances = [
        member.squared_distances(x, apply).sqrt() / member.mean_distance
        for member in members
    ]
    return torch.stack(distances).mean(dim=0)


def scores_apart(
    members: Sequence[Hypersphere],
    prepare: Callable[[Tensor], Tensor],
    samples: Tensor,
) -> Tensor:
    """Score samples (n, ...) on a CPU, in parts, each in a thread of its own.

    Parts are whole batches: a sample is in the same one with few threads and many.

    Parameters
    ----------
    members : sequence of Hypersphere
    prepare : callable
        Preprocesses samples (b, ...).
    samples : Tensor of shape (n, ...)

    Returns
    -------
    Tensor of shape (n,)
    """
    n_batches = max(1, math.ceil(len(samples) / SCORING_BATCH))
    share = math.ceil(n_batches / torch.get_num_threads())

    def score(part: Tensor) -> Tensor:
        batches = part.split(SCORING_BATCH)  # of which each is preprocessed by itself
        return joined((scores_of(members, prepare(b)) for b in batches), len(part))

    networks = nn.ModuleList(member.encoder for member in members)
    with evaluation_mode(networks):  # else a thread would set it, and take it back
        return torch.cat(side_by_side(score, samples.split(SCORING_BATCH * share)))


def check_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Raise UnscorableError unless all scores (n,) are numbers that have a label."""
    wrong = np.flatnonzero(~np.isfinite(scores))
    if wrong.size:
        error = UnscorableError(
            f"X must hold samples with finite scores; got {wrong.size} of "
            f"{len(scores)} with NaN or infinite ones, the first at index "
            f"{wrong[0]}: too far from the training data, leave them out or clip them"
        )
        error.scores = scores  # for who wants those of the others
        raise error
    return scores


def check_threshold(detector: Any) -> None:
    """Raise ValueError unless a fitted detector has a threshold to label with."""
    if detector._undecided:
        raise ValueError(
            "contamination takes effect at the next fit, which finds its threshold; "
            f"got {detector.contamination!r} after fit: fit again, or set a threshold"
        )
    if not math.isfinite(detector.threshold_):
        raise ValueError(
            f"threshold_ must be a finite number; got {detector.threshold_!r}"
        )


def threshold_between(
    scores: NDArray[np.float64],
    fraction: float,
    rounding: Callable[[float], float] = lambda score: 0.0,
    weights: NDArray[Any] | None = None,
) -> float:
    """Place a threshold so that ⌊fraction · n⌋ of the scores lie above it.

    Midway between two neighbors: on a score itself, rounding would decide its label.
    Where nothing lies above, or the neighbors are (nearly) equal, it is put that much
    above the lower one that rounding cannot reach it.

    Parameters
    ----------
    scores : (n,) array
        Anomaly scores of the training data.
    fraction : float in (0, 1]
    rounding : callable, optional
        Tells how much a score may change by rounding.
    weights : (n,) array, optional
        Then the scores above have at most that fraction of all weight.

    Returns
    -------
    float
    """
    if weights is None:
        exceed = count_of(fraction, len(scores))
    else:
        ascending = torch.from_numpy(weights[np.argsort(scores)])
        exceed = int(exceeding(fraction, ascending))
    exceed = min(exceed, len(scores) - 1)
    ordered = np.sort(scores)[len(scores) - exceed - 1 :][:2]
    lower = float(ordered[0])
    return max(float(ordered.mean()), lower + rounding(lower))


def rounding_of(members: Sequence[Hypersphere]) -> Callable[[float], float]:
    """Bound by how much a detector's scores change with the batch they are computed in.

    A sample alone, and in a batch, takes other ways through the processor's libraries:
    representations differ by a few roundings of their norm, about ‖c‖ + ‖φ(x) − c‖, and
    so do distances.

    Parameters
    ----------
    members : sequence of Hypersphere

    Returns
    -------
    callable
        Maps a score, ‖φ(x) − c‖² − R² or of several members, to that bound.
    """

    def bound(member: Hypersphere, distance: float) -> float:
        epsilon = torch.finfo(member.center.dtype).eps
        return ROUNDINGS * epsilon * (member.center.norm().item() + distance)

    def of_one(score: float) -> float:
        (member,) = members
        distance = math.sqrt(max(score + member.radius**2, 0.0))
        change = bound(member, distance)
        return (2 * distance + change) * change + 1e-7 * member.radius**2

    def of_several(score: float) -> float:
        changes = [
            bound(member, score * member.mean_distance) / member.mean_distance
            for member in members
        ]
        return sum(changes) / len(changes)

    return of_one if len(members) == 1 else of_several
