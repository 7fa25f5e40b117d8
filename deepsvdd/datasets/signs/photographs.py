"""A sign as a camera in a car might see it: angle, light, background, weather, blur."""

from __future__ import annotations

import io
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from deepsvdd.datasets.gtsrb import Region
from deepsvdd.datasets.signs.faces import SIZE, template

Pixels = NDArray[np.floating]  # (h, w) or (h, w, c), from 0 to 1


class Photograph(NamedTuple):
    """An image and the place of the sign in it."""

    image: Image.Image
    region: Region


def draw_sign(class_id: int, rng: np.random.Generator) -> Photograph:
    """Draw one sign as a camera in a car might see it.

    Parameters
    ----------
    class_id : int
        A key of ``SIGNS``: 1, 2, 12 to 15, 17, 18, 32, 33, 35 or 38, numbered as in
        GTSRB.
    rng : numpy Generator
        Source of all chance.

    Returns
    -------
    Photograph
        RGB image; `region` is where the sign is, as somebody marks it by hand.
    """
    side = float(np.clip(math.exp(rng.normal(math.log(38), 0.45)), 15, 120))
    margin = max(5.0, 0.1 * side)
    shift = rng.uniform(-0.6, 0.6, 2) * margin
    frame = math.ceil(side + 2 * margin)
    quad = _corners(side, frame / 2 + shift, rng)

    fine = 2 if side < 50 else 1  # a small sign is painted larger than it is seen
    place = fine * quad
    scene = _background(fine * frame, rng)
    if rng.random() < 0.7:
        _pole(scene, place, rng)
    sign, mask = _project(class_id, place, len(scene))
    scene += mask * (_weather(sign, rng) - scene)
    if rng.random() < 0.25:
        _branches(scene, place, rng)

    image = _expose(_shade(scene, rng), fine, rng)
    return Photograph(image, _mark(quad, frame, rng))


def _corners(side: float, middle: NDArray, rng: np.random.Generator) -> NDArray:
    """Return the corners (4, 2) of the sign's square, seen at an angle."""
    square = np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
    yaw, pitch = rng.normal(0, 0.35), rng.normal(0, 0.12)
    roll = rng.normal(0, 0.07)
    turned = square * (math.cos(yaw), math.cos(pitch))
    depth = 1 + 0.25 * (square[:, :1] * math.sin(yaw) + square[:, 1:] * math.sin(pitch))
    turn = np.array(
        [[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]]
    )
    quad = turned / depth @ turn
    return np.asarray(middle + quad * side / np.ptp(quad, axis=0).max())


def _project(class_id: int, quad: NDArray, side: int) -> tuple[Pixels, Pixels]:
    """Put the template onto the corners: colors (s, s, 3), coverage (s, s, 1)."""
    width = np.ptp(quad, axis=0).max()
    halvings = max(0, math.floor(math.log2(SIZE / width)))
    picture = template(class_id, halvings)
    n = picture.width
    source = np.array([(0, 0), (n, 0), (n, n), (0, n)])
    # Eight unknowns a…h of (x, y) → (ax + by + c, dx + ey + f) / (gx + hy + 1)
    rows = []
    for (x, y), (u, v) in zip(quad, source, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    coefficients = np.linalg.solve(np.array(rows), source.ravel())
    seen = picture.transform(
        (side, side),
        Image.Transform.PERSPECTIVE,
        tuple(coefficients),
        Image.Resampling.BILINEAR,
    )
    pixels = np.asarray(seen, dtype=np.float32) / 255
    return pixels[..., :3], pixels[..., 3:]


def clouds(side: int, cells: tuple[int, ...], rng: np.random.Generator) -> Pixels:
    """Add smooth noise of several grains: (side, side), mean 0, deviation about 1."""
    total = np.zeros((side, side), dtype=np.float32)
    for octave, n in enumerate(cells):
        grid = Image.fromarray(rng.standard_normal((n, n), dtype=np.float32))
        smooth = grid.resize((side, side), Image.Resampling.BICUBIC)
        total += np.asarray(smooth) * 0.7**octave
    return total


def _grid(side: int) -> tuple[Pixels, Pixels]:
    """Return x (1, side) and y (side, 1), from -0.5 to 0.5."""
    axis = np.arange(side, dtype=np.float32) / side - 0.5
    return axis[None], axis[:, None]


def _colour(rng: np.random.Generator, *palette: tuple[float, float, float]) -> Pixels:
    """Choose a color of a palette, and vary it."""
    base = np.array(palette[rng.integers(len(palette))])
    return np.clip(base * rng.normal(1, 0.12) + rng.normal(0, 0.03, 3), 0, 1).astype(
        np.float32
    )


SKIES = ((0.62, 0.74, 0.90), (0.82, 0.85, 0.88), (0.93, 0.93, 0.92), (0.55, 0.6, 0.66))
LEAVES = (
    (0.20, 0.26, 0.12),
    (0.13, 0.18, 0.09),
    (0.33, 0.34, 0.18),
    (0.28, 0.22, 0.15),
)
WALLS = ((0.55, 0.5, 0.45), (0.66, 0.63, 0.58), (0.45, 0.3, 0.25), (0.35, 0.36, 0.38))


def _background(side: int, rng: np.random.Generator) -> Pixels:
    """Paint sky, and before it often trees, often a building: (side, side, 3)."""
    ramp = np.linspace(1.08, 0.92, side, dtype=np.float32)[:, None, None]
    scene = np.clip(_colour(rng, *SKIES) * ramp, 0, 1)
    scene = scene + 0.02 * clouds(side, (3, 6), rng)[..., None]
    if rng.random() < 0.4:
        _building(scene, rng)
    if rng.random() < 0.65:
        _trees(scene, rng)
    return scene.astype(np.float32)


def _building(scene: Pixels, rng: np.random.Generator) -> None:
    """Paint a wall with rows of windows over a part of the scene."""
    side = len(scene)
    wall, glass = _colour(rng, *WALLS), _colour(rng, *WALLS) * 0.5
    left, right = sorted(rng.uniform(-0.3, 1.3, 2) * side)
    top = rng.uniform(-0.2, 0.6) * side
    x, y = (side * (axis + 0.5) for axis in _grid(side))
    inside = (x > left) & (x < right) & (y > top)
    step = rng.uniform(0.15, 0.4, 2) * side
    window = ((x - left) % step[0] > 0.45 * step[0]) & (
        (y - top) % step[1] > 0.5 * step[1]
    )
    scene[inside] = wall
    scene[inside & window] = glass


def _trees(scene: Pixels, rng: np.random.Generator) -> None:
    """Paint trees with a noisy outline over a part of the scene."""
    x, y = _grid(len(scene))
    angle, level = rng.uniform(0, 2 * math.pi), rng.uniform(-0.5, 0.4)
    _foliage(scene, math.cos(angle) * x + math.sin(angle) * y - level, rng)


def _branches(scene: Pixels, quad: NDArray, rng: np.random.Generator) -> None:
    """Paint branches over the sign's rim."""
    x, y = _grid(len(scene))
    middle = quad.mean(0) / len(scene) - 0.5
    radius = np.ptp(quad, axis=0).max() / 2 / len(scene)
    angle, level = rng.uniform(0, 2 * math.pi), rng.uniform(0.4, 0.9) * radius
    along = math.cos(angle) * (x - middle[0]) + math.sin(angle) * (y - middle[1])
    _foliage(scene, along - level, rng)


def _foliage(scene: Pixels, depth: Pixels, rng: np.random.Generator) -> None:
    """Paint leaves where ``depth`` (h, w), in sides of the scene, is positive."""
    side = len(scene)
    leaves, light = _colour(rng, *LEAVES), rng.uniform(0.15, 0.5)
    edge = depth + 0.12 * clouds(side, (4, 9, 19), rng)
    texture = np.exp(light * clouds(side, (6, 13, 27, 50), rng))[..., None]
    cover = np.clip(edge * 12, 0, 1)[..., None]
    scene += cover * (np.clip(leaves * texture, 0, 1) - scene)


def _pole(scene: Pixels, quad: NDArray, rng: np.random.Generator) -> None:
    """Paint the pole that the sign is fixed to, round and so darker at its sides."""
    middle, width = quad.mean(0), np.ptp(quad[:, 0])
    radius = rng.uniform(0.03, 0.06) * width
    x = np.arange(len(scene), dtype=np.float32)
    across = (x - middle[0] - rng.normal(0, 0.02) * width) / radius
    inside = np.abs(across) < 1
    below = slice(max(0, int(middle[1])), None)
    grey = rng.uniform(0.3, 0.65)
    light = grey * (1 - 0.45 * across[inside] ** 2)
    scene[below, inside] = light[None, :, None]


def _weather(sign: Pixels, rng: np.random.Generator) -> Pixels:
    """Let colors fade and dirt settle."""
    grey = sign.mean(-1, keepdims=True)
    faded = sign + abs(rng.normal(0, 0.14)) * (0.3 + 0.7 * grey - sign)
    tint = rng.normal(1, 0.06, 3).astype(np.float32)
    dirt = 1 + rng.uniform(0, 0.1) * clouds(len(sign), (4, 9, 19), rng)
    return np.clip(faded * tint * dirt[..., None], 0, 1)


def _shade(scene: Pixels, rng: np.random.Generator) -> Pixels:
    """Light the scene: from one side, by day or dusk, warm or cold, with shadows."""
    side = len(scene)
    x, y = _grid(side)
    angle = rng.uniform(0, 2 * math.pi)
    slope = math.cos(angle) * x + math.sin(angle) * y
    light = 1 + rng.normal(0, 0.25) * slope
    if rng.random() < 0.3:
        edge = slope - rng.uniform(-0.25, 0.25)
        edge = edge + 0.06 * clouds(side, (3, 7), rng)
        light = light * (1 - rng.uniform(0.25, 0.6) * np.clip(edge * 14, 0, 1))
    exposure = np.clip(math.exp(rng.normal(-0.4, 0.5)), 0.12, 1.25)
    warmth = rng.normal(0, 0.07)
    cast = np.array([1 + warmth, 1 + rng.normal(0, 0.02), 1 - warmth])
    lit = scene * (light[..., None] * exposure * cast)
    haze = abs(rng.normal(0, 0.12))
    lit = (1 - haze) * lit + haze * exposure * 0.8
    return np.asarray(np.clip(lit, 0, 1), dtype=np.float32)


def _expose(scene: Pixels, fine: int, rng: np.random.Generator) -> Image.Image:
    """Photograph: blur of lens and motion, pixels, noise of the sensor, compression.

    The scene's pixels are ``fine`` times smaller than the photograph's.
    """
    side = len(scene)
    image = Image.fromarray((scene * 255).astype(np.uint8))
    unsharp = rng.gamma(2.0, 0.006) * side
    image = image.filter(ImageFilter.GaussianBlur(unsharp))
    if rng.random() < 0.2:
        image = _motion(image, rng.uniform(0.02, 0.09) * side, rng)
    pixels = np.asarray(image.reduce(fine), dtype=np.float32)
    noise = rng.uniform(1, 7) * rng.standard_normal(pixels.shape, dtype=np.float32)
    pixels = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    file = io.BytesIO()
    quality = int(rng.integers(40, 93))
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


def _motion(image: Image.Image, length: float, rng: np.random.Generator) -> Image.Image:
    """Average the image with itself, moved along a line."""
    angle = rng.uniform(0, math.pi)
    step = np.array([math.cos(angle), math.sin(angle)]) * length / 4
    pixels = np.asarray(image, dtype=np.float32)
    shifts = [np.rint(k * step).astype(int) for k in range(-2, 3)]
    moved = [np.roll(pixels, shift, (1, 0)) for shift in shifts]
    return Image.fromarray(np.mean(moved, axis=0).astype(np.uint8))


def _mark(quad: NDArray, frame: int, rng: np.random.Generator) -> Region:
    """Mark the sign as a person does, a pixel or so off."""
    width = np.ptp(quad, axis=0).max()
    low = quad.min(0) + rng.normal(0, 0.02 * width, 2)
    high = quad.max(0) + rng.normal(0, 0.02 * width, 2)
    left, top = np.clip(np.rint(low), 0, frame - 2).astype(int)
    right, bottom = np.clip(np.rint(high), 2, frame).astype(int)
    return int(left), int(top), int(right), int(bottom)
