"""The faces of twelve types of signs, drawn flat: what is meant to be seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

STOP = 14
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
