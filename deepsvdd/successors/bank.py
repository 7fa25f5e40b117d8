"""Features of the training samples, kept to compare others with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepsvdd.core._engine.distributed import gathered
from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core.detector import Detector
from deepsvdd.core.known import Known
from deepsvdd.core.preprocessing import at_a_time
from deepsvdd.core.representations import SCORING_BATCH, joined
from deepsvdd.successors.base import LEAST, root, spread

CRITERIA = ("neighbors", "center", "density")
STORED = 20_000  # features kept, at most
COMPARED = 1000  # of them by which the bandwidth is chosen
BANDWIDTHS = tuple(2.0**power for power in range(-3, 4))  # in usual gaps


class Bank(nn.Module):
    """The root of how far features f (b, d) are from those of the training data.

    Parameters
    ----------
    width : int
        Their length d.
    criterion : {"neighbors", "center", "density"}
        What is squared: the mean squared distance to the k nearest features; the
        squared distance to their mean; −log of their mean Gaussian kernel, whose
        bandwidth makes the features most likely, each left out in turn.
    n_neighbors : int
        k.
    """

    rows: Tensor
    bandwidth: Tensor

    def __init__(self, width: int, criterion: str, n_neighbors: int = 1) -> None:
        super().__init__()
        self.criterion = criterion
        self.n_neighbors = n_neighbors
        # None yet; `keep` and model files bring them.
        self.register_buffer("rows", torch.zeros(0, width))
        self.register_buffer("bandwidth", torch.ones(()))
        # Whether a sample may be its own neighbor: not while those are scored that the
        # bank is made of, or all of them would be at distance 0.
        self.own_counts = True

    def forward(self, f: Tensor) -> Tensor:
        """Map features (b, d) to (b, 1)."""
        if not len(self.rows):  # before `keep`: only the shape is asked for
            return f.sum(dim=1, keepdim=True)
        return root(self.apart(f.to(self.rows.dtype)).unsqueeze(1))

    def apart(self, f: Tensor) -> Tensor:
        """Score features (b, d): (b,)."""
        d2 = squared_gaps(f, self.rows)  # (b, n)
        own_counts = self.own_counts or self.criterion == "center"
        if self.criterion == "density":
            if not own_counts:
                nearest = d2.argmin(dim=1, keepdim=True)
                d2 = d2.scatter(1, nearest, torch.inf)
            return unlikely(d2, self.bandwidth)
        skipped = 0 if own_counts else 1
        k = min(self.n_neighbors + skipped, d2.shape[1])
        nearest = d2.topk(k, dim=1, largest=False).values
        return nearest[:, min(skipped, k - 1) :].mean(dim=1)

    def keep(self, rows: Tensor) -> None:
        """Keep the features of the training data (n, d), or their mean."""
        self.own_counts = False
        if self.criterion == "center":
            rows = rows.double().mean(dim=0, keepdim=True).to(rows.dtype)
        elif len(rows) > STORED:
            rows = rows[spread(len(rows), STORED)]
        self.rows = rows
        if self.criterion == "density":
            self.bandwidth = likeliest_bandwidth(rows)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any
    ) -> None:
        """Take as many rows as there are."""
        given = state_dict.get(f"{prefix}rows")
        if given is not None:
            self.rows = self.rows.new_zeros(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class KeepsFeatures(Detector):
    """What detectors share whose networks have banks, put before their other base."""

    def _set_threshold(self, samples: Tensor | Dataset[Any], known: Known) -> None:
        """Fix the decision boundary; from then on new samples are scored."""
        super()._set_threshold(samples, known)
        for member in self.members_:
            for module in member.encoder.modules():
                if isinstance(module, Bank):
                    module.own_counts = True


@torch.no_grad()
def in_order(features_of: Callable[[Tensor], Tensor], feed: Feed) -> Tensor:
    """Compute the features of the training data, of all processes: (n, d)."""
    (example,) = feed.read([torch.arange(1)])
    size = at_a_time(SCORING_BATCH, example.shape[1:])
    parts = (features_of(batch) for batch in feed.in_order(size))
    return gathered(joined(parts, len(feed)), len(feed))


def squared_gaps(a: Tensor, b: Tensor) -> Tensor:
    """Squared distances between rows (n, d) and (m, d), in double precision: (n, m).

    In single precision the difference of large squares leaves rounding only.
    """
    a, b = a.double(), b.double()
    d2 = a.square().sum(1, keepdim=True) - 2 * a @ b.T + b.square().sum(1)
    return d2.clamp(min=0)


def unlikely(d2: Tensor, bandwidth: Tensor) -> Tensor:
    """−log of the mean of exp(−d² / 2h²) over the last axis; never negative."""
    terms = torch.logsumexp(-d2 / (2 * bandwidth.double().square()), dim=-1)
    n = d2.isfinite().sum(dim=-1)
    return (n.log() - terms).clamp(min=0)


def likeliest_bandwidth(rows: Tensor) -> Tensor:
    """Choose the bandwidth of most likelihood, each row (n, d) left out in turn: ().

    Out of seven, from an eighth to 8 times the median distance to the nearest other.
    """
    rows = rows[spread(len(rows), COMPARED)]
    d2 = squared_gaps(rows, rows).fill_diagonal_(torch.inf)
    gap = (d2.amin(dim=1).median() + LEAST).sqrt()
    candidates = [factor * gap for factor in BANDWIDTHS]
    costs = [unlikely(d2, h).mean() + rows.shape[1] * h.log() for h in candidates]
    return candidates[int(torch.stack(costs).argmin())].to(rows.dtype)
