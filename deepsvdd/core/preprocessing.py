"""Preprocessing of whole data sets at once: contrast normalisation and min–max scaling.

The scaling's extrema come from the normal training data only (paper, Section 4.2, and
the authors' code, which carries them as constants); they are part of a fitted model.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepsvdd.core._engine.distributed import total

METHODS = ("gcn_l1", "gcn_l2", "minmax", "none")
BATCH = 10_000  # samples at a time, so that their floats need not all be in memory
LARGE = 64 * 64  # pixels from which on fewer images are taken at a time


def at_a_time(most: int, shape: Sequence[int]) -> int:
    """Count the samples to take at a time: ``most``, of large images fewer.

    Parameters
    ----------
    most : int
        Vectors, or images of up to 64×64 pixels.
    shape : (c, h, w) or (d,)
        Of one sample.

    Returns
    -------
    int
        Of larger images as many as have the pixels of ``most`` of 64×64, so that the
        memory for them stays the same; at least one.
    """
    pixels = math.prod(shape[-2:]) if len(shape) > 1 else 0
    return max(most * LARGE // max(pixels, LARGE), 1)


def global_contrast_normalization(x: Tensor, norm: str = "l1") -> Tensor:
    """Give every image zero mean and unit contrast, over all its pixels and channels.

    In the book: prop-gcn-invariant (05-data).

    Parameters
    ----------
    x : Tensor of shape (n, ...)
        Images, any real dtype and unit: the result does not depend on gain and offset.
    norm : {"l1", "l2"}, default="l1"
        Contrast as the mean absolute ("l1", the paper's) or root mean square ("l2")
        deviation from the image's mean.

    Returns
    -------
    Tensor of shape (n, ...), float32 (float64 for float64)
        An image without contrast becomes zero everywhere.

    Raises
    ------
    ValueError
        If ``norm`` is neither.
    """
    if norm not in ("l1", "l2"):
        raise ValueError(f"norm must be 'l1' or 'l2'; got {norm!r}")
    values = as_float(x).flatten(1)
    flat = values - values.mean(dim=1, keepdim=True)
    if norm == "l1":
        contrast = flat.abs().mean(dim=1, keepdim=True)
    else:
        contrast = flat.square().mean(dim=1, keepdim=True).sqrt()
    # Rounding leaves ~1e-7 of the mean's magnitude in a constant image: not contrast.
    flat_zero = contrast <= 1e-6 * values.abs().amax(dim=1, keepdim=True)
    contrast = contrast.masked_fill(flat_zero, torch.inf)
    return (flat / contrast).view(x.shape)


@dataclass(frozen=True)
class Preprocessor:
    """A fitted preprocessing: optional contrast normalisation, then min–max to [0, 1].

    In the book: sec-scaling (05-data).

    Attributes
    ----------
    method : {"gcn_l1", "gcn_l2", "minmax", "none"}
        "gcn_l1" is the paper's for images.
    minimum, maximum : Tensor of shape () or (d,)
        Extrema of the normal training data after contrast normalisation: over all
        pixels for images, of each feature for vectors.
    """

    method: str
    minimum: Tensor
    maximum: Tensor

    @classmethod
    def fit(cls, x: Tensor | Iterable[Tensor], method: str) -> Preprocessor:
        """Compute the extrema from normal training data.

        Parameters
        ----------
        x : Tensor of shape (n, c, h, w) or (n, d), or an iterable of such
            Training data, of the normal class only; whole, or in batches. Of several
            processes each may give its share.
        method : {"gcn_l1", "gcn_l2", "minmax", "none"}
            What to do with it.

        Returns
        -------
        Preprocessor
            Callable on data of the same kind.

        Raises
        ------
        ValueError
            If the method is unknown, or no sample has any contrast.
        """
        if method not in METHODS:
            raise ValueError(
                f"preprocessing must be 'auto' or one of {METHODS}; got {method!r}"
            )
        if method == "none":
            return cls(method, torch.tensor(0.0), torch.tensor(1.0))
        lows, highs, n = [], [], 0
        if isinstance(x, Tensor):
            x = x.split(at_a_time(BATCH, x.shape[1:]))
        for batch in x:
            values = cls._contrast(batch, method)
            axes = tuple(range(values.ndim)) if values.ndim > 2 else (0,)
            lows.append(values.amin(axes))
            highs.append(values.amax(axes))
            n += len(values)
        low = total(torch.stack(lows).amin(0), "MIN")
        high = total(torch.stack(highs).amax(0), "MAX")
        if not (high > low).any():
            raise ValueError(
                f"X must hold samples that differ or have contrast; got {n} constant "
                "samples"
            )
        return cls(method, low.cpu(), high.cpu())

    def __call__(self, x: Tensor) -> Tensor:
        """Map data (n, ...) to floats; normal training data lands in [0, 1].

        A feature that is constant in the training data maps to its offset from there.
        """
        if self.method == "none":
            return as_float(x)
        x = self._contrast(x, self.method)
        low, high = self.minimum.to(x.device), self.maximum.to(x.device)
        span = high - low
        return (x - low) / torch.where(span > 0, span, torch.ones_like(span))

    @staticmethod
    def _contrast(x: Tensor, method: str) -> Tensor:
        """Normalise the contrast where the method says so."""
        if method.startswith("gcn"):
            return global_contrast_normalization(x, method.removeprefix("gcn_"))
        return as_float(x)


def as_float(x: Tensor) -> Tensor:
    """Turn integers and other floats into float32; leave float64 as it is."""
    return x if x.dtype == torch.float64 else x.float()
