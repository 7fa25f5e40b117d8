"""Preprocessing of whole data sets at once: contrast normalization and scaling.

What the scaling goes by comes from the normal training data only (paper, Section 4.2,
and the authors' code, which carries extrema as constants); a fitted model keeps it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from deepsvdd.core._engine.distributed import total

METHODS = ("gcn_l1", "gcn_l2", "minmax", "standard", "none")
# Samples at a time, so that their floats need not all be in memory. Of larger parts
# what is left over stays in the heap, and memory grows by another copy of all images.
BATCH = 250
TAIL = 0.01  # part of the samples, at either end of a column, that may be anything
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
    """A fitted preprocessing: optional contrast normalization, then a linear scaling.

    In the book: sec-scaling (05-data).

    Attributes
    ----------
    method : {"gcn_l1", "gcn_l2", "minmax", "standard", "none"}
        "gcn_l1" is the paper's for images; "standard" is for vectors.
    minimum, maximum : Tensor of shape () or (d,)
        What becomes 0 and what becomes 1: extrema of the normal training data after
        contrast normalization, over all pixels for images, of each feature for vectors.
        For "standard" each feature's mean, and mean plus standard deviation.
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
        method : {"gcn_l1", "gcn_l2", "minmax", "standard", "none"}
            What to do with it.

        Returns
        -------
        Preprocessor
            Callable on data of the same kind.

        Raises
        ------
        ValueError
            If the method is unknown, no sample has any contrast, or images are to be
            standardized.
        """
        if method not in METHODS:
            raise ValueError(
                f"preprocessing must be 'auto' or one of {METHODS}; got {method!r}"
            )
        if method == "none":
            zero = torch.zeros((), dtype=torch.float32)
            return cls(method, zero, zero + 1)
        if method == "standard":
            low, high = cls._standard(x)
            return cls(method, low.cpu(), high.cpu())
        extrema: tuple[Tensor, Tensor] | None = None
        n = 0
        if isinstance(x, Tensor):
            x = x.split(at_a_time(BATCH, x.shape[1:]))
        for batch in x:
            values = cls._contrast(batch, method)
            axes = tuple(range(values.ndim)) if values.ndim > 2 else (0,)
            own = values.amin(axes), values.amax(axes)
            extrema = extrema or own
            # In place: a small tensor that is kept splits the memory for large ones.
            torch.minimum(extrema[0], own[0], out=extrema[0])
            torch.maximum(extrema[1], own[1], out=extrema[1])
            n += len(values)
        assert extrema is not None
        low, high = total(extrema[0], "MIN"), total(extrema[1], "MAX")
        refuse_constant(low, high, n)
        return cls(method, low.cpu(), high.cpu())

    @staticmethod
    def _standard(x: Tensor | Iterable[Tensor]) -> tuple[Tensor, Tensor]:
        """Return the columns' means, and the means plus the standard deviations."""
        if not isinstance(x, Tensor) or x.ndim != 2:
            raise ValueError(
                "preprocessing must be another than 'standard' for images: all pixels "
                "are scaled alike"
            )
        values = as_float(x)
        refuse_constant(values.amin(0), values.amax(0), len(values))
        common = without_tails(values)
        deviation = common.std(0, correction=0)
        # A rare value of a binary column is all that its tail has.
        rare = deviation <= 1e-6 * common.mean(0).abs()
        deviation = torch.where(rare, values.std(0, correction=0), deviation)
        mean = common.mean(0)
        return mean, mean + deviation

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
        """Normalize the contrast where the method says so."""
        if method.startswith("gcn"):
            return global_contrast_normalization(x, method.removeprefix("gcn_"))
        return as_float(x)


def without_tails(x: Tensor, normal: Tensor | None = None) -> Tensor:
    """Clip each column of vectors (n, d) to what all but its tails hold.

    A tail is a hundredth of the samples, and at least one: a single wrong row, however
    wrong, then changes neither a scaling nor a training much.

    Parameters
    ----------
    x : Tensor of shape (n, d)
    normal : Tensor of shape (k,), optional
        Indices of the samples that are not known to be anomalies, by which the tails
        are measured. The others may be as far outside again: clipped to what is normal,
        they would look it.

    Returns
    -------
    Tensor of shape (n, d)
        Of fewer than three samples, unchanged.
    """
    own = x if normal is None else x[normal]
    n = len(own)
    tail = min(math.ceil(TAIL * n), (n - 1) // 2)
    ordered = own.sort(dim=0).values
    low, high = ordered[tail], ordered[n - 1 - tail]
    clipped = x.clamp(low, high)
    if normal is not None:
        wider = x.clamp(low - (high - low), high + (high - low))
        anomalous = torch.ones(len(x), dtype=torch.bool, device=x.device)
        anomalous[normal] = False
        clipped[anomalous] = wider[anomalous]
    return clipped


def refuse_constant(low: Tensor, high: Tensor, n: int) -> None:
    """Raise ValueError if nothing differs in n samples of these extrema."""
    if not (high > low).any():
        raise ValueError(
            f"X must hold samples that differ or have contrast; got {n} constant "
            "samples"
        )


def as_float(x: Tensor) -> Tensor:
    """Turn integers and other floats into float32; leave float64 as it is."""
    return x if x.dtype == torch.float64 else x.float()
