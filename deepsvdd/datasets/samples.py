"""Validating what users pass as images, in sentences that tell the fix."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Shape = tuple[int, ...]
PART = 2**22  # numbers that are looked at together
LARGEST = 1e15  # that the sum of the squares of an image's pixels be one of float32


def image_batch(
    X: ArrayLike, expected: Shape | None = None, indices: Sequence[int] | None = None
) -> NDArray[Any]:
    """Turn images into one array (n, c, h, w), or say what is wrong with them.

    Parameters
    ----------
    X : array-like of shape (n, h, w) or (n, c, h, w)
        Images, integers or floats. With ``expected``, one image (h, w) or (c, h, w)
        will do.
    expected : (c, h, w), optional
        The only shape to accept, that of the images a model was trained on.
    indices : n int, optional
        Where the images stand in the data that they are read from, for the errors.

    Returns
    -------
    ndarray of shape (n, c, h, w)
        uint8 and float32 as they are, with the user's memory; all else as float32.

    Raises
    ------
    ValueError
        If X is empty, holds NaN, what is no number or beyond ±10¹⁵, or has another
        shape.
    """
    array = np.asarray(X)
    if array.dtype != np.uint8:
        array = _as_float32(array, indices)
    shape = array.shape
    if expected is not None and shape in (expected, _without_channel(expected)):
        array = array[None]
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or (expected is not None and array.shape[1:] != expected):
        wanted = "images (n, h, w) or (n, c, h, w), or vectors (n, d)"
        if expected is not None:
            wanted = f"images of shape {expected}, as in fit"
        raise ValueError(f"X must hold {wanted}; got an array of shape {shape}")
    if expected is None and array.shape[1] > 4 and array.shape[3] in (1, 3, 4):
        raise ValueError(
            f"X must have its channels second, (n, c, h, w); got {shape}: use "
            "X.transpose(0, 3, 1, 2)"
        )
    if 0 in array.shape:
        raise ValueError(f"X must hold at least one image; got shape {shape}")
    return array


def _as_float32(
    array: NDArray[Any], indices: Sequence[int] | None
) -> NDArray[np.float32]:
    """Convert, refusing what is no number or too large to compute with in float32."""
    if array.dtype.kind not in "biuf":
        raise ValueError(f"X must hold real numbers; got dtype {array.dtype}")
    with np.errstate(over="ignore"):
        converted = array.astype(np.float32, copy=False)
    # Part by part: what is compared takes memory, too.
    flat = np.atleast_1d(converted)
    size = max(PART // max(math.prod(flat.shape[1:]), 1), 1)
    n_bad, first = 0, None
    for start in range(0, len(flat), size):
        part = flat[start : start + size]
        bad = ~((part >= -LARGEST) & (part <= LARGEST))  # NaN is neither
        n_bad += int(bad.sum())
        if n_bad and first is None:
            row, *others = (int(index) for index in np.argwhere(bad)[0])
            first = (start + row, *others)
    if first is not None:
        place, among = first, "in all"
        if indices is not None:
            place = (indices[first[0]], *first[1:])
            among = f"in the {len(indices)} images read with it"
        raise ValueError(
            f"X must hold finite numbers from -1e15 to 1e15; got "
            f"{np.atleast_1d(array)[first]} at index {place}, and {n_bad} such values "
            f"{among}"
        )
    return converted


def _without_channel(shape: Shape) -> Shape:
    """Shape in which a gray image may come: (1, h, w) as (h, w)."""
    return shape[1:] if shape[0] == 1 else shape
