"""Hashes of samples, to tell whether a sample was trained on or calibrated on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepsvdd.core.preprocessing import at_a_time

AT_ONCE = 1000


def hashes_of(samples: Tensor) -> Tensor:
    """Hash samples (n, ...) by their values; the type of the numbers does not matter.

    Values are compared as float32, so that 8-bit pixels and the same numbers as floats
    are the same sample; pixels divided by 255 are another.

    Returns
    -------
    Tensor of shape (n,), int64
        The first 64 bits of BLAKE2b: two samples of a million that differ have the same
        hash with a probability of about 10⁻⁸.
    """
    found: list[int] = []
    for part in samples.split(at_a_time(AT_ONCE, samples.shape[1:])):
        values = part.flatten(1).to(torch.float32) + 0.0  # −0.0 becomes 0.0
        for row in values.contiguous().numpy():
            digest = hashlib.blake2b(row, digest_size=8).digest()
            found.append(int.from_bytes(digest, "little", signed=True))
    return torch.tensor(found, dtype=torch.int64)


class Watched:
    """Batches of samples on their way to somebody else, whose hashes are noted.

    Parameters
    ----------
    batches : iterable of Tensor of shape (b, ...)
    """

    def __init__(self, batches: Iterable[Tensor]) -> None:
        self.batches = iter(batches)
        self.hashes: list[Tensor] = []

    def __iter__(self) -> Iterator[Tensor]:
        """Hand the batches on."""
        for batch in self.batches:
            self.hashes.append(hashes_of(batch))
            yield batch

    def finish(self) -> Tensor:
        """Return all hashes (n,), also of batches that nobody asked for."""
        for _ in self:
            pass
        return torch.cat(self.hashes)


def among(hashes: NDArray[Any], known: NDArray[Any] | None) -> NDArray[np.bool_]:
    """Tell which hashes (n,) are among known ones (k,); None: nothing is known."""
    if known is None:
        return np.zeros(len(hashes), dtype=bool)
    return np.isin(hashes, known)
