"""Pictures of images: grids of them, and which ones are worth looking at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepsvdd.core.metrics import as_numpy, check_finite
from deepsvdd.core.plots.look import new_axes, style

if TYPE_CHECKING:
    from deepsvdd.core.metrics import Values


@style()
def image_grid(
    images: Values,
    ax: Axes | None = None,
    columns: int = 8,
    title: str | None = None,
) -> Axes:
    """Draw images as tiles, row by row, with transparent gaps between them.

    Bytes are shown as they are. Floats, whatever their range, are scaled linearly so
    that the smallest value of the whole grid is black and the largest is white:
    brightness can be compared within one grid, not between two.

    Parameters
    ----------
    images : (n, h, w), (n, 1, h, w) or (n, 3, h, w) array or tensor, uint8 or float
    ax : axes to draw on
    columns : tiles in a row, at least 1; fewer if there are fewer images
    title : text above the grid

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no images, their shape or dtype is another, a value is NaN or
        infinite, or `columns` is less than 1.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, but it is {columns}.")
    canvas = _tile(_as_rgb(as_numpy(images)), columns)
    height, width = canvas.shape[:2]
    ax = new_axes(ax, (5.0, 5.0 * height / width + 0.3 * (title is not None)))
    ax.imshow(canvas, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def _as_rgb(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return images of any admitted shape and dtype as (n, h, w, 3) in [0, 1]."""
    if images.ndim == 3:
        images = images[:, None]  # (n, 1, h, w)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            "images must be of shape (n, h, w), (n, 1, h, w) or (n, 3, h, w), "
            f"but their shape is {images.shape}."
        )
    if images.size == 0:
        raise ValueError(
            f"images must hold at least one image, but their shape is {images.shape}."
        )
    if images.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
    else:
        raise ValueError(f"images must be uint8 or float, but are {images.dtype}.")
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"images must be finite, but their values reach from {low} to {high}."
        )
    scaled = (images.astype(np.float64) - low) / (high - low or 1.0)
    return np.broadcast_to(
        np.moveaxis(scaled, 1, -1), (len(images), *images.shape[2:], 3)
    )


def _tile(images: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Arrange (n, h, w, 3) images on one RGBA canvas, transparent between them."""
    n, h, w, _ = images.shape
    gap = max(1, h // 14)  # 2 pixels for MNIST and CIFAR-10
    columns = min(columns, n)
    rows = -(-n // columns)
    canvas = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap, 4))
    for k, image in enumerate(images):
        top, left = k // columns * (h + gap), k % columns * (w + gap)
        canvas[top : top + h, left : left + w, :3] = image
        canvas[top : top + h, left : left + w, 3] = 1.0
    return canvas


def extremes(scores: Values, n: int = 32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the most normal and the most anomalous samples.

    Parameters
    ----------
    scores : (m,) array-like or tensor, larger = more anomalous
    n : how many of each, from 1 to m

    Returns
    -------
    lowest : (n,) indices, the most normal first
    highest : (n,) indices, the most anomalous first
        Equal scores keep the order of the samples in both.

    Raises
    ------
    ValueError
        If `n` is out of range or the scores are not finite numbers.

    Examples
    --------
    >>> lowest, highest = extremes([0.3, 0.1, 0.9, 0.2], n=2)
    >>> lowest.tolist(), highest.tolist()
    ([1, 3], [2, 0])
    """
    values = check_finite(scores, "scores")
    if not 1 <= n <= len(values):
        raise ValueError(
            f"n must be from 1 to the number of scores, {len(values)}, but it is {n}."
        )
    return (
        np.argsort(values, kind="stable")[:n],
        np.argsort(-values, kind="stable")[:n],
    )
