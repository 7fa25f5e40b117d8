"""Drawn traffic signs, for computers that cannot get the real ones of GTSRB.

They are pictures from a program, not photographs: twelve of GTSRB's 43 sign types,
seen at an angle, in good and bad light, before trees, walls and sky, partly covered,
blurred, noisy and small. They are written in GTSRB's own folder format
(:mod:`deepsvdd.gtsrb`), so that the code that reads them is the code that reads GTSRB.
Results on them say nothing about results on GTSRB.

Each image has a random generator of its own, so any of them can be drawn again.
"""

from __future__ import annotations

import io
import json
import math
import os
import shutil
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from deepsvdd.files import cannot_write
from deepsvdd.gtsrb import (
    CLASSES,
    DRAWN,
    TEST,
    TEST_TABLE,
    TRAINING,
    Region,
    Sign,
    training_table,
    write_table,
)
from deepsvdd.version import __version__

STOP = 14
README = """# Drawn, not GTSRB

The images in this folder were drawn by a program, `deepsvdd signs`. They have the
folder format and the class numbers of the German Traffic Sign Recognition Benchmark,
so that the same code reads both, but none of its photographs. Never present results on
them as results on GTSRB. `drawn.json` tells the settings that draw them again.
"""

# Templates --------------------------------------------------------------------------

SIZE = 512  # pixels a side; halved down to the size that is needed
HALF = SIZE / 2
Colour = tuple[int, int, int]
WHITE, BLACK = (238, 238, 232), (24, 24, 26)
RED, BLUE, YELLOW = (186, 24, 36), (20, 74, 158), (246, 186, 16)
Point = tuple[float, float]


class Pen:
    """Draws on a template in units of its half side, the origin in its middle."""

    def __init__(self) -> None:
        self.image = Image.new("RGBA", (SIZE, SIZE))
        self._draw = ImageDraw.Draw(self.image)

    def disk(self, radius: float, colour: Colour) -> None:
        """Draw a disk about the middle."""
        low, high = HALF * (1 - radius), HALF * (1 + radius)
        self._draw.ellipse((low, low, high, high), fill=colour)

    def shape(self, points: list[Point], colour: Colour) -> None:
        """Draw a filled polygon."""
        self._draw.polygon([_pixel(p) for p in points], fill=colour)

    def line(self, points: list[Point], width: float, colour: Colour) -> None:
        """Draw a line with round joints."""
        pixels = [_pixel(p) for p in points]
        self._draw.line(pixels, fill=colour, width=round(HALF * width), joint="curve")

    def arrow(self, points: list[Point], width: float, colour: Colour) -> None:
        """Draw a line and a head at its last point."""
        (x0, y0), (x1, y1) = points[-2:]
        angle = math.atan2(y1 - y0, x1 - x0)
        corners = [
            (x1 + r * math.cos(angle + turn), y1 + r * math.sin(angle + turn))
            for turn, r in ((0, 1.6 * width), (2.2, 1.7 * width), (-2.2, 1.7 * width))
        ]
        self.line(points, width, colour)
        self.shape(corners, colour)

    def text(self, text: str, height: float, width: float, colour: Colour) -> None:
        """Write bold letters about the middle, as high and as wide as said."""
        font = ImageFont.load_default(200)
        box = font.getbbox(text, stroke_width=9)
        size = (math.ceil(box[2] - box[0]), math.ceil(box[3] - box[1]))
        mask = Image.new("L", size)
        ImageDraw.Draw(mask).text(
            (-box[0], -box[1]), text, font=font, fill=255, stroke_width=9
        )
        mask = mask.resize((round(HALF * width), round(HALF * height)))
        corner = (round(HALF * (1 - width / 2)), round(HALF * (1 - height / 2)))
        self.image.paste(colour, (*corner,), mask)


def _pixel(point: Point) -> Point:
    return HALF * (1 + point[0]), HALF * (1 + point[1])


def _regular(n: int, radius: float, turn: float, y: float = 0.0) -> list[Point]:
    """Return the corners of a regular polygon, the first ``turn`` (radians) down."""
    angles = [turn + 2 * math.pi * k / n for k in range(n)]
    return [(radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _limit(text: str) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        pen.disk(0.98, WHITE)
        pen.disk(0.95, RED)
        pen.disk(0.70, WHITE)
        pen.text(text, 0.72, 0.98, BLACK)

    return draw


def _priority(pen: Pen) -> None:
    pen.shape(_regular(4, 1.0, 0), BLACK)
    pen.shape(_regular(4, 0.96, 0), WHITE)
    pen.shape(_regular(4, 0.66, 0), BLACK)
    pen.shape(_regular(4, 0.62, 0), YELLOW)


def _yield(pen: Pen) -> None:
    pen.shape(_regular(3, 1.12, math.pi / 2, -0.25), RED)
    pen.shape(_regular(3, 0.68, math.pi / 2, -0.25), WHITE)


def _stop(pen: Pen) -> None:
    pen.shape(_regular(8, 1.04, math.pi / 8), WHITE)
    pen.shape(_regular(8, 0.98, math.pi / 8), RED)
    pen.text("STOP", 0.66, 1.52, WHITE)


def _no_vehicles(pen: Pen) -> None:
    pen.disk(0.98, RED)
    pen.disk(0.70, WHITE)


def _no_entry(pen: Pen) -> None:
    pen.disk(0.98, WHITE)
    pen.disk(0.94, RED)
    pen.line([(-0.70, 0), (0.70, 0)], 0.34, WHITE)


def _caution(pen: Pen) -> None:
    pen.shape(_regular(3, 1.12, -math.pi / 2, 0.25), RED)
    pen.shape(_regular(3, 0.72, -math.pi / 2, 0.25), WHITE)
    pen.shape([(-0.09, -0.22), (0.09, -0.22), (0.05, 0.26), (-0.05, 0.26)], BLACK)
    pen.shape(_regular(12, 0.08, 0, 0.42), BLACK)


def _end(pen: Pen) -> None:
    pen.disk(0.98, BLACK)
    pen.disk(0.95, WHITE)
    for shift in (-0.24, -0.12, 0.0, 0.12, 0.24):
        r = 0.62 - abs(shift) / 4
        pen.line([(shift - r, shift + r), (shift + r, shift - r)], 0.055, BLACK)


def _mandatory(*points: Point) -> Callable[[Pen], None]:
    def draw(pen: Pen) -> None:
        pen.disk(0.98, WHITE)
        pen.disk(0.93, BLUE)
        pen.arrow(list(points), 0.24, WHITE)

    return draw


SIGNS: dict[int, Callable[[Pen], None]] = {
    1: _limit("30"),
    2: _limit("50"),
    12: _priority,
    13: _yield,
    STOP: _stop,
    15: _no_vehicles,
    17: _no_entry,
    18: _caution,
    32: _end,
    33: _mandatory((-0.30, 0.62), (-0.30, -0.10), (0.30, -0.10)),
    35: _mandatory((0, 0.62), (0, -0.30)),
    38: _mandatory((-0.40, -0.40), (0.28, 0.28)),
}


@lru_cache(maxsize=64)
def template(class_id: int, halvings: int = 0) -> Image.Image:
    """Draw a sign as it is meant to look: RGBA, transparent around it.

    Parameters
    ----------
    class_id : int
        As for :func:`draw_sign`.
    halvings : int, default=0
        The picture's side is ``SIZE / 2 ** halvings`` pixels.

    Raises
    ------
    ValueError
        If it is none of them.
    """
    if class_id not in SIGNS:
        numbers = ", ".join(map(str, SIGNS))
        raise ValueError(f"class_id must be one of {numbers}; got {class_id!r}")
    if halvings:
        return template(class_id, halvings - 1).reduce(2)
    pen = Pen()
    SIGNS[class_id](pen)
    return pen.image


# Photographs ------------------------------------------------------------------------

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
    """Put the template onto the corners: colours (s, s, 3), coverage (s, s, 1)."""
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
    """Choose a colour of a palette, and vary it."""
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
    """Let colours fade and dirt settle."""
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


# Files ------------------------------------------------------------------------------

PARTS = ("train", "test")


def image_rng(seed: int, part: str, class_id: int, index: int) -> np.random.Generator:
    """Return the random generator of one image of a set."""
    return np.random.default_rng([seed, PARTS.index(part), class_id, index])


def write_signs(
    folder: str | os.PathLike[str],
    n_train: int = 780,
    n_test: int = 270,
    n_other_train: int = 300,
    n_other_test: int = 100,
    seed: int = 0,
    verbose: bool = False,
) -> Path:
    """Draw a set of signs into ``folder/gtsrb``, all of it or nothing.

    Parameters
    ----------
    folder : path-like
        What to give to ``load_dataset("gtsrb", folder)`` afterwards.
    n_train, n_test : int
        Number of stop signs; by default about as many as the paper has.
    n_other_train, n_other_test : int
        Number of signs of each of the eleven other types.
    seed : int, default=0
        From 0 on; equal seeds draw equal signs.
    verbose : bool, default=False
        Show progress.

    Returns
    -------
    Path
        ``folder/gtsrb``.

    Raises
    ------
    ValueError
        If a number is out of range, or the folder has signs already.
    WriteError
        If the files cannot be written.
    """
    counts = {
        "n_train": n_train,
        "n_test": n_test,
        "n_other_train": n_other_train,
        "n_other_test": n_other_test,
    }
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be a whole number from 1 on; got {count}")
    if seed < 0:
        raise ValueError(f"seed must be a whole number from 0 on; got {seed}")
    target = Path(folder) / "gtsrb"
    for path in (target, target.with_suffix(".npz")):
        if path.exists():
            raise ValueError(
                f"folder must be without signs, but '{path}' exists; name another "
                "folder or delete it first"
            )
    # Only the last step gives the set its name: a killed run leaves none behind.
    unfinished = target.with_name("gtsrb.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(unfinished, counts, seed, verbose)
        os.replace(unfinished, target)
    except OSError as error:
        raise cannot_write(error.filename or target, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _write(folder: Path, counts: dict[str, int], seed: int, verbose: bool) -> None:
    """Draw and write all images, their tables, and what they are."""
    from tqdm import tqdm

    numbers = {
        part: {k: counts[f"n{'' if k == STOP else '_other'}_{part}"] for k in SIGNS}
        for part in PARTS
    }
    with tqdm(
        total=sum(sum(numbers[part].values()) for part in PARTS),
        desc="drawing",
        unit="sign",
        disable=None if verbose else True,
    ) as bar:

        def draw(
            part: str, class_id: int, images: Path, names: list[str]
        ) -> list[Sign]:
            images.mkdir(parents=True, exist_ok=True)
            signs = []
            for index, name in enumerate(names):
                image, region = draw_sign(
                    class_id, image_rng(seed, part, class_id, index)
                )
                image.save(images / name)
                signs.append(Sign(images / name, image.size, region, class_id))
                bar.update()
            return signs

        for class_id, n in numbers["train"].items():
            images = folder / TRAINING / f"{class_id:05d}"
            # GTSRB's names: a track of 30 pictures and the number within it.
            names = [f"{k // 30:05d}_{k % 30:05d}.ppm" for k in range(n)]
            write_table(training_table(images), draw("train", class_id, images, names))
        tested: list[Sign] = []
        for class_id, n in numbers["test"].items():
            names = [f"{len(tested) + k:05d}.ppm" for k in range(n)]
            tested += draw("test", class_id, folder / TEST, names)
        write_table(folder / TEST_TABLE, tested)
    provenance = {
        "what": "drawn traffic signs, not GTSRB",
        "classes": {class_id: CLASSES[class_id] for class_id in SIGNS},
        **counts,
        "seed": seed,
        "deepsvdd": __version__,
    }
    text = json.dumps(provenance, indent=1) + "\n"
    (folder / DRAWN).write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
