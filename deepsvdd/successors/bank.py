"""Features of the training samples, kept to compare others with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.core._engine.distributed import gathered
from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core.networks import output_of
from deepsvdd.core.preprocessing import at_a_time
from deepsvdd.successors.base import LEAST, root

SCORES = ("neighbors", "center", "density")
STORED = 20_000  # features kept, at most
COMPARED = 1000  # of them by which the bandwidth is chosen
MEASURED = 250  # samples at a time
BANDWIDTHS = tuple(2.0**power for power in range(-3, 4))  # in usual gaps


class Bank(nn.Module):
    """φ(x) = the root of how far a feature f(x) is from those of the training data.

    Parameters
    ----------
    features_of : Module
        f, maps samples (b, ...) to vectors (b, d).
    width : int
        Their length d.
    score : {"neighbors", "center", "density"}
        What φ(x)² is: the mean squared distance to the k nearest features; the squared
        distance to their mean; −log of their mean Gaussian kernel, whose bandwidth
        makes the features most likely, each left out in turn.
    n_neighbors : int
        k.
    """

    rows: Tensor
    bandwidth: Tensor

    def __init__(
        self, features_of: nn.Module, width: int, score: str, n_neighbors: int
    ) -> None:
        super().__init__()
        self.features_of = features_of
        self.score = score
        self.n_neighbors = n_neighbors
        # None yet; `measure` and model files bring them.
        self.register_buffer("rows", torch.zeros(0, width))
        self.register_buffer("bandwidth", torch.ones(()))
        # Whether a sample may be its own neighbor: not while those are scored that the
        # bank is made of, or all of them would be at distance 0.
        self.own_counts = True

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to (b, 1)."""
        f = self.features_of(x)
        if not len(self.rows):  # before `measure`: only the shape is asked for
            return f.sum(dim=1, keepdim=True)
        return root(self.apart(f.to(self.rows.dtype)).unsqueeze(1))

    def apart(self, f: Tensor) -> Tensor:
        """Score features (b, d): (b,)."""
        d2 = squared_gaps(f, self.rows)  # (b, n)
        own_counts = self.own_counts or self.score == "center"
        if self.score == "density":
            if not own_counts:
                nearest = d2.argmin(dim=1, keepdim=True)
                d2 = d2.scatter(1, nearest, torch.inf)
            return unlikely(d2, self.bandwidth)
        skipped = 0 if own_counts else 1
        k = min(self.n_neighbors + skipped, d2.shape[1])
        nearest = d2.topk(k, dim=1, largest=False).values
        return nearest[:, min(skipped, k - 1) :].mean(dim=1)

    @torch.no_grad()
    def measure(self, feed: Feed) -> None:
        """Keep the features of the training data, or their mean."""
        self.eval()
        (example,) = feed.read([torch.arange(1)])
        size = at_a_time(MEASURED, example.shape[1:])
        parts = [output_of(self.features_of, batch) for batch in feed.in_order(size)]
        rows = gathered(torch.cat(parts), len(feed))
        self.own_counts = False
        if self.score == "center":
            rows = rows.double().mean(dim=0, keepdim=True).to(rows.dtype)
        elif len(rows) > STORED:
            # From beginning to end, as data may be in order.
            rows = rows[torch.linspace(0, len(rows) - 1, STORED).long()]
        self.rows = rows
        if self.score == "density":
            self.bandwidth = likeliest_bandwidth(rows)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *rest: Any
    ) -> None:
        """Take as many rows as there are."""
        given = state_dict.get(f"{prefix}rows")
        if given is not None:
            self.rows = self.rows.new_zeros(given.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


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

    Out of eight, from an eighth to 8 times the median distance to the nearest other.
    """
    chosen = torch.linspace(0, len(rows) - 1, min(len(rows), COMPARED)).long()
    rows = rows[chosen]
    d2 = squared_gaps(rows, rows).fill_diagonal_(torch.inf)
    gap = (d2.amin(dim=1).median() + LEAST).sqrt()
    candidates = [factor * gap for factor in BANDWIDTHS]
    costs = [unlikely(d2, h).mean() + rows.shape[1] * h.log() for h in candidates]
    return candidates[int(torch.stack(costs).argmin())].to(rows.dtype)
