"""Mean and spread of what comes in batches, and in several processes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from deepsvdd.core._engine.distributed import share, total


class Moments:
    """Mean and spread of representations (..., n, d) that come in batches, in order.

    Sums are kept in double precision, and shared by all processes.

    Parameters
    ----------
    weights : Tensor of shape (n,), optional
        Of all samples, this process's share or not; 1 on average.
    """

    def __init__(self, weights: Tensor | None = None) -> None:
        self.sum: Any = 0.0
        self.square: Any = 0.0
        self.dtype = torch.float32
        self.weights = None if weights is None else share(weights).double()
        self.n = 0

    def add(self, z: Tensor) -> None:
        """Take one batch in."""
        self.dtype = z.dtype
        z = z.double()
        start, self.n = self.n, self.n + z.shape[-2]
        if self.weights is not None:
            root = self.weights[start : self.n, None].sqrt()
            self.sum = self.sum + (root.square() * z).sum(dim=-2)
            self.square = self.square + (root * z).square().sum(dim=(-2, -1))
            return
        self.sum = self.sum + z.sum(dim=-2)
        self.square = self.square + z.square().sum(dim=(-2, -1))

    def finish(self, n: int) -> tuple[Tensor, Tensor]:
        """Return the mean (..., d) and the root mean squared distance from it (...)."""
        mean = total(self.sum) / n
        variance = total(self.square) / n - mean.square().sum(dim=-1)
        return mean.to(self.dtype), variance.clamp(min=0).sqrt()
