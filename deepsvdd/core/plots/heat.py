"""Pictures of where images are odd: heat maps over them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from numpy.typing import NDArray

from deepsvdd.core.metrics import as_numpy
from deepsvdd.core.plots.images import _as_rgb, _tile
from deepsvdd.core.plots.look import new_axes, style

if TYPE_CHECKING:
    from deepsvdd.core.metrics import Values

COLORS = "cividis"  # told apart by color-blind readers, and in gray
IMAGE = 0.2  # how much of the image shows through its map


def overlay(images: Values, maps: Values, top: float | None = None) -> NDArray[Any]:
    """Lay heat maps over their images, in colors from blue to yellow.

    Parameters
    ----------
    images : (n, h, w), (n, 1, h, w) or (n, 3, h, w) array or tensor, uint8 or float
    maps : (n, h, w) array or tensor
        Larger = odder. What is not above 0 has the darkest color.
    top : value of the brightest color; by default the largest value of all maps

    Returns
    -------
    (n, h, w, 3) array in [0, 1]

    Raises
    ------
    ValueError
        If the maps' shape is not that of the images, or a value is not finite.
    """
    tiles, heat = _as_rgb(as_numpy(images)), as_numpy(maps)
    if heat.shape != tiles.shape[:3]:
        raise ValueError(
            f"maps must have the shape of the images, {tiles.shape[:3]}, but theirs is "
            f"{heat.shape}."
        )
    if not np.isfinite(heat).all():
        raise ValueError("maps must be finite, but one holds NaN or infinity.")
    shade = Normalize(0, _top(heat) if top is None else top, clip=True)(heat)
    colors = colormaps[COLORS](np.asarray(shade))[..., :3]
    grey = tiles.mean(axis=-1, keepdims=True)
    return IMAGE * grey + (1 - IMAGE) * colors


def _top(heat: NDArray[Any]) -> float:
    return max(float(heat.max()), 1e-37)  # of a map that is 0 everywhere


@style()
def heat_maps(
    images: Values, maps: Mapping[str, Values], ax: Axes | None = None
) -> Axes:
    """Draw a row of images, and below it a row for each kind of map, with its name.

    Every row has colors of its own, as units of different maps cannot be compared: the
    brightest is for what only one pixel in two hundred exceeds.

    Parameters
    ----------
    images : (n, h, w), (n, 1, h, w) or (n, 3, h, w) array or tensor, uint8 or float
    maps : dict of str to (n, h, w) array or tensor
        Larger = odder. Booleans, as of a defect's place, are 0 and 1.
    ax : axes to draw on

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        As of :func:`overlay` and :func:`~deepsvdd.core.plots.image_grid`.
    """
    tiles = _as_rgb(as_numpy(images))
    rows = [tiles]
    for heat in maps.values():
        values = as_numpy(heat).astype(float)
        top = float(np.quantile(values, 0.995))
        rows.append(overlay(images, values, top if top > 0 else None))
    canvas = _tile(np.concatenate(rows), len(tiles))
    height, width = canvas.shape[:2]
    ax = new_axes(ax, (6.4, 5.3 * height / width))
    ax.imshow(canvas, interpolation="nearest")
    pitch = (height + max(1, tiles.shape[1] // 14)) / len(rows)
    ax.set_yticks(
        [pitch * row + tiles.shape[1] / 2 for row in range(len(rows))],
        ["image", *maps],
    )
    ax.set_xticks([])
    ax.tick_params(length=0)
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)
    return ax


@style()
def heat_map(
    image: Values, heat: Values, ax: Axes | None = None, title: str | None = None
) -> Axes:
    """Draw an image beside itself under its map, with a bar that tells the values.

    Parameters
    ----------
    image : (h, w), (1, h, w) or (3, h, w) array or tensor, uint8 or float
    heat : (h, w) array or tensor
        Larger = odder.
    ax : axes to draw on
    title : text above

    Returns
    -------
    Axes
    """
    images, maps = as_numpy(image)[None], as_numpy(heat)[None]
    canvas = _tile(np.concatenate([_as_rgb(images), overlay(images, maps)]), 2)
    height, width = canvas.shape[:2]
    ax = new_axes(ax, (6.0, 5.0 * height / width + 0.5))
    ax.imshow(canvas, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    bar = ScalarMappable(Normalize(0, _top(maps)), COLORS)
    ax.figure.colorbar(bar, ax=ax, label="how odd", shrink=0.8)
    return ax
