"""Places of a pavement, odd ones among them, and a camera that looks down."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BUNDLED = Path(__file__).parents[1] / "bundled"
# What is found, and the photograph of it; "crossed" are bricks that were laid across.
KINDS = {"weeds": "grass", "gravel": "gravel", "crossed": "brick"}
GRID = 12  # places in a row, and rows
PITCH, SIDE = 42, 40  # pixels of a place, and of a picture of it
MARGIN = 4  # of the photograph, which has 512 pixels
N_ODD = 10  # places of each kind
VISIBLE = 16.0  # gray levels by which a spot differs from what it covers, on average
EXPOSURE, NOISE = (0.85, 1.15), 4.0  # factor; standard deviation in gray levels


@dataclass(frozen=True, eq=False)
class Place:
    """A piece of the pavement.

    Attributes
    ----------
    number : int
        0 to 143, row by row: neighbors share a brick now and then.
    found : str
        What does not belong there: "weeds", "gravel", "crossed" (bricks laid across
        the others), or "" for nothing.
    pixels : ndarray of shape (42, 42), float64
        Gray levels, 0 to 255.
    mask : ndarray of shape (42, 42), bool
        Where it covers more than half.
    """

    number: int
    found: str
    pixels: NDArray[np.float64]
    mask: NDArray[np.bool_]


@cache
def texture(name: str) -> NDArray[np.uint8]:
    """Read a bundled photograph.

    Parameters
    ----------
    name : {"brick", "grass", "gravel"}

    Returns
    -------
    ndarray of shape (512, 512), uint8
        Gray levels; read-only.
    """
    from PIL import Image

    with Image.open(BUNDLED / f"{name}.png") as image:
        pixels = np.asarray(image.convert("L"))
    pixels.flags.writeable = False
    return pixels


def places(seed: int) -> list[Place]:
    """Lay the pavement: 144 places that do not overlap, 30 of them odd.

    Parameters
    ----------
    seed : int
        Decides which places are odd, and how.

    Returns
    -------
    list of Place
    """
    odd = np.random.default_rng([seed, 0]).permutation(GRID**2)
    found = dict.fromkeys(range(GRID**2), "")
    for kind, numbers in zip(
        KINDS, odd[: len(KINDS) * N_ODD].reshape(-1, N_ODD), strict=True
    ):
        found |= dict.fromkeys(numbers.tolist(), kind)
    laid = []
    for number, kind in found.items():
        top, left = (MARGIN + PITCH * i for i in divmod(number, GRID))
        pixels = _cut(texture("brick"), top, left)
        cover = np.zeros_like(pixels)
        if kind:
            rng = np.random.default_rng([seed, 1, number])
            cover = _blot(rng)
            pixels = _covered(pixels, cover, kind, rng)
        laid.append(Place(number, kind, pixels, cover > 0.5))
    return laid


def _cut(photograph: NDArray[np.uint8], top: int, left: int) -> NDArray[np.float64]:
    return photograph[top : top + PITCH, left : left + PITCH].astype(np.float64)


def _covered(
    bricks: NDArray[np.float64],
    cover: NDArray[np.float64],
    kind: str,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """Cover bricks with a piece of a photograph that can be seen on them.

    The inside of a brick looks the same, whichever way it is turned.
    """
    while True:
        start = rng.integers(0, len(texture("brick")) - PITCH, 2)
        piece = _cut(texture(KINDS[kind]), *start)
        piece = np.rot90(piece) if kind == "crossed" else piece
        changed = cover * np.abs(piece - bricks)
        if changed.sum() > VISIBLE * cover.sum():
            return (1 - cover) * bricks + cover * piece


def _blot(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw an irregular spot with a soft edge: how much is covered, from 0 to 1."""
    y, x = np.mgrid[:PITCH, :PITCH] - rng.uniform(12, PITCH - 12, (2, 1, 1))
    angle, radius = np.arctan2(y, x), rng.uniform(7, 11)
    waves = sum(
        rng.uniform(-0.25, 0.25) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
        for k in (1, 2, 3, 5)
    )
    inside = radius * (1 + waves) - np.hypot(y, x)  # pixels from the edge
    covered: NDArray[np.float64] = 1 / (1 + np.exp(-inside / 0.7))
    return covered


def photograph(
    place: Place, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Take a picture of a place from above, never quite from the same point.

    Parameters
    ----------
    place : Place
    rng : numpy.random.Generator
        Draws the camera's point, exposure and noise.

    Returns
    -------
    pixels : ndarray of shape (40, 40), uint8
    mask : ndarray of shape (40, 40), bool

    Examples
    --------
    >>> import numpy as np
    >>> pixels, mask = photograph(places(0)[0], np.random.default_rng(0))
    >>> pixels.shape, pixels.dtype
    ((40, 40), dtype('uint8'))
    """
    top, left = rng.integers(0, PITCH - SIDE + 1, 2)
    view: Any = (slice(top, top + SIDE), slice(left, left + SIDE))
    light = place.pixels[view] * rng.uniform(*EXPOSURE)
    noisy = light + rng.normal(0, NOISE, light.shape)
    return noisy.clip(0, 255).round().astype(np.uint8), place.mask[view].copy()
