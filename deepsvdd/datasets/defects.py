"""Defects put into images: to judge heat maps, whose place is known; to train on.

The two are drawn by different rules, so that what is judged is not what was trained on:
:func:`plant` makes one defect an image, and tells where; :func:`confetti` scatters
rectangles, as outliers for :class:`deepsvdd.FCDD`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

Image = NDArray[Any]  # (c, h, w)

TRIES = 100  # to find a place where a defect changes anything
PIECES = 4  # of confetti an image, at most


def plant(
    images: NDArray[Any], kind: str, rng: np.random.Generator
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Put one defect into each of some images, at a random place.

    Parameters
    ----------
    images : array of shape (n, h, w) or (n, c, h, w)
        Bright on dark, as MNIST is; they are not changed.
    kind : {"square", "stroke", "erased"}
        A square of one bright shade, a sixth of the image's shorter side; a straight
        bright line, two pixels wide and a third of that side long; a square of a
        quarter of it around a bright pixel, in which all is as dark as the darkest
        pixel.
    rng : numpy.random.Generator
        Draws places, shades and directions.

    Returns
    -------
    planted : array like images
    masks : bool array of shape (n, h, w)
        The pixels that have changed, at least one an image.

    Raises
    ------
    ValueError
        If the kind is unknown, or an image offers no place for it.

    Examples
    --------
    >>> import numpy as np
    >>> dark = np.zeros((2, 28, 28), dtype=np.uint8)
    >>> planted, masks = plant(dark, "square", np.random.default_rng(0))
    >>> masks.sum(axis=(1, 2))
    array([25, 25])
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}; got {kind!r}")
    images = np.asarray(images)
    flat = images.ndim == 3
    planted = (images[:, None] if flat else images).copy()
    masks = np.zeros((len(planted), *planted.shape[2:]), dtype=bool)
    for index, image in enumerate(planted):
        for _ in range(TRIES):
            changed = KINDS[kind](image, rng)
            masks[index] = (changed != image).any(axis=0)
            if masks[index].any():
                break
        else:
            raise ValueError(
                f"images must have room for a defect of kind {kind!r}; got one at "
                f"index {index} that no place changes"
            )
        planted[index] = changed
    return (planted[:, 0] if flat else planted), masks


def _square(image: Image, rng: np.random.Generator) -> Image:
    side = max(round(min(image.shape[1:]) / 6), 1)
    top, left = (rng.integers(length - side + 1) for length in image.shape[1:])
    changed = image.copy()
    changed[:, top : top + side, left : left + side] = _bright(image, rng)
    return changed


def _stroke(image: Image, rng: np.random.Generator) -> Image:
    height, width = image.shape[1:]
    length = max(min(height, width) / 3, 2)
    angle = rng.uniform(0, np.pi)
    along = np.array([np.sin(angle), np.cos(angle)])
    reach = length / 2 * np.abs(along)
    middle = [
        rng.uniform(r, side - 1 - r)
        for r, side in zip(reach, (height, width), strict=True)
    ]
    offset = np.moveaxis(np.mgrid[:height, :width], 0, -1) - middle  # (h, w, 2)
    lengthwise = np.abs(offset @ along)
    across = np.abs(offset @ np.array([along[1], -along[0]]))
    changed = image.copy()
    changed[:, (lengthwise <= length / 2) & (across < 1)] = _bright(image, rng)
    return changed


def _erased(image: Image, rng: np.random.Generator) -> Image:
    side = max(round(min(image.shape[1:]) / 4), 1)
    total = image.astype(np.float64).sum(axis=0)
    bright = np.argwhere(total > (total.min() + total.max()) / 2)
    if not len(bright):  # one shade throughout
        return image.copy()
    row, column = bright[rng.integers(len(bright))]
    top, left = max(row - side // 2, 0), max(column - side // 2, 0)
    changed = image.copy()
    changed[:, top : top + side, left : left + side] = image.min()
    return changed


def _bright(image: Image, rng: np.random.Generator) -> Any:
    """Draw a shade from the upper half of the possible ones."""
    low, high = _shades(image)
    return image.dtype.type(rng.uniform((low + high) / 2, high))


def _shades(image: Image) -> tuple[float, float]:
    """Return the darkest and the brightest shade: of bytes 0 and 255, else its own."""
    if image.dtype == np.uint8:
        return 0.0, 255.0
    return float(image.min()), float(image.max())


KINDS: dict[str, Callable[[Image, np.random.Generator], Image]] = {
    "square": _square,
    "stroke": _stroke,
    "erased": _erased,
}


def confetti(image: Image, rng: np.random.Generator) -> Image:
    """Scatter one to four rectangles over an image, of any shade and color.

    Parameters
    ----------
    image : array of shape (c, h, w)
        Not changed.
    rng : numpy.random.Generator
        Draws sides from two pixels to a quarter of the image's, places, and shades
        between the darkest and the brightest, for each channel its own.

    Returns
    -------
    array of shape (c, h, w)

    References
    ----------
    Liznerski et al., "Explainable Deep One-Class Classification", ICLR 2021, Section
    4.2, trains with such *confetti noise* where there are no anomalies to learn from.
    """
    changed = image.copy()
    low, high = _shades(image)
    for _ in range(rng.integers(1, PIECES + 1)):
        place = []
        for length in image.shape[1:]:
            side = rng.integers(2, max(length // 4, 2) + 1)
            start = rng.integers(length - side + 1)
            place.append(slice(start, start + side))
        shade = rng.uniform(low, high, (len(image), 1, 1))
        changed[:, place[0], place[1]] = shade.astype(image.dtype)
    return changed


class Confetti(Dataset[Image]):
    """The images of a data set, each with confetti that stays the same.

    Parameters
    ----------
    images : sequence or data set
        Item i is an image (c, h, w) or (h, w), or a tuple that begins with one.
    seed : int
        Two seeds give two sets of outliers.
    """

    def __init__(self, images: Any, seed: int) -> None:
        self.images = images
        self.seed = seed

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images)

    def __getitem__(self, index: int) -> Image:
        """Return image number `index` with its confetti, in the shape that it has."""
        item = self.images[index]
        image = np.asarray(item[0] if isinstance(item, tuple | list) else item)
        made = image if image.ndim == 3 else image[None]
        rng = np.random.default_rng([self.seed, index])
        return confetti(made, rng).reshape(image.shape)
