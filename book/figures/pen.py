"""A pen for the book's drawings: shapes and words as SVG, in the house's colors.

A drawing is 360 units wide, as a phone's page is: a unit is about a pixel there. As a
picture it stands on a white ground, in colors for that, as what shows it may be dark.
Pages have the SVG itself (book/_ext/inline_drawings.py), and their style sheet gives
the classes `ground`, `paper`, `ink`, `muted` and `edge` the theme's colors. Lines and
marks have colors that are told from both grounds, and keep them.
"""

import math
import re
from html import escape

from deepsvdd.core.plots import ANOMALY, CENTER, NORMAL, PALETTE

WIDTH = 360
SIZE, SMALL = 13, 11.5  # of words, and of their indices: readable on a phone
HELD_OUT = PALETTE[2]  # green
GREY = "#797979"  # of equal contrast, 4.3 : 1, to white and to #121212
# The theme's own in its light scheme.
GROUND, INK, MUTED = "#ffffff", "#222832", "#48566b"
WASH = 0.2  # opacity of a colored ground under words


def number(value):
    """Write a coordinate: a tenth of a unit is enough."""
    return f"{round(value, 1):g}"


def attributes(**values):
    """Write attributes; a word's underscore stands for a hyphen, or ends it."""
    return "".join(
        f' {name.rstrip("_").replace("_", "-")}="'
        f'{number(value) if isinstance(value, float | int) else escape(value)}"'
        for name, value in values.items()
        if value is not None
    )


def pieces(words):
    """Split words into (text, is mathematics, shift): "the $d_i$" has an index.

    Between dollar signs letters are italic, and one letter or a group in braces behind
    _ or ^ is lowered or raised.
    """
    for part, text in enumerate(words.split("$")):
        if part % 2 == 0:
            if text:
                yield text, False, 0
            continue
        for mark, group, letter, plain in re.findall(
            r"([_^])(?:\{([^}]*)\}|(.))|([^_^]+)", text
        ):
            if plain:
                yield plain, True, 0
            else:
                yield group or letter, True, 4 if mark == "_" else -5


def spans(words):
    """Write words as text of SVG."""
    parts, height = [], 0
    for text, mathematics, shift in pieces(words):
        for run in re.findall(r"[^\W\d_]+|[\W\d_]+", text) if mathematics else [text]:
            italic = mathematics and run.isalpha()
            look = attributes(
                dy=shift - height or None,
                font_style="italic" if italic else None,
                font_family="serif" if mathematics else None,
                font_size=SMALL if shift else SIZE + 1 if italic else None,
            )
            height = shift
            parts.append(f"<tspan{look}>{escape(run)}</tspan>" if look else escape(run))
    return "".join(parts)


class Drawing:
    """Collects the elements of one drawing.

    Parameters
    ----------
    height : int
        In units, of which the width has 360.
    """

    def __init__(self, height):
        self.height = height
        self.parts = []

    def svg(self):
        """Return the file's text."""
        root = attributes(
            xmlns="http://www.w3.org/2000/svg",
            viewBox=f"0 0 {WIDTH} {self.height}",
            width=WIDTH * 4 / 3,
            height=self.height * 4 / 3,
            font_family="sans-serif",
            font_size=SIZE,
            stroke_width=1.5,
            stroke_linecap="round",
            stroke_linejoin="round",
        )
        ground = attributes(
            class_="ground", width=WIDTH, height=self.height, rx=8, fill=GROUND
        )
        lines = [f"<svg{root}>", f"<rect{ground}/>", *self.parts, "</svg>", ""]
        return "\n".join(lines)

    def add(self, tag, content=None, **values):
        end = "/>" if content is None else f">{content}</{tag}>"
        self.parts.append(f"<{tag}{attributes(**values)}{end}")

    # ------------------------------------------------------------------------- words

    def text(self, x, y, *lines, anchor="middle", bold=False, muted=False, leading=17):
        """Write lines; y is the first one's base."""
        for row, words in enumerate(lines):
            self.add(
                "text",
                spans(words),
                x=x,
                y=y + leading * row,
                class_="muted" if muted else "ink",
                fill=MUTED if muted else INK,
                text_anchor=None if anchor == "start" else anchor,
                font_weight="bold" if bold else None,
            )

    def box(self, x, y, width, height, *lines, color=GREY, dashed=False, bold=False):
        """Draw a box of a color with lines in its middle."""
        shape = {"x": x, "y": y, "width": width, "height": height, "rx": 5}
        self.add("rect", **shape, class_="paper", fill=GROUND)
        self.add(
            "rect",
            **shape,
            fill=color,
            fill_opacity=WASH,
            stroke=GREY if color == CENTER else color,  # yellow is pale on white
            stroke_dasharray="4 4" if dashed else None,
        )
        first = y + height / 2 + 4.5 - 8.5 * (len(lines) - 1)
        self.text(x + width / 2, first, *lines, bold=bold)

    def badge(self, x, y, words, color):
        """Draw a number in a disc."""
        self.add("circle", cx=x, cy=y, r=10, class_="paper", fill=GROUND)
        wash = {"fill": color, "fill_opacity": WASH, "stroke": color}
        self.add("circle", cx=x, cy=y, r=10, **wash)
        self.text(x, y + 4.5, words, bold=True)

    # ------------------------------------------------------------------------- lines

    def path(self, d, color=GREY, width=None, dashed=False, solid=False):
        """Draw a path, or a shape; the color "ink" is that of words."""
        ink = color == "ink"
        shade = INK if ink else color
        self.add(
            "path",
            d=d,
            class_=("edge ink" if solid else "edge") if ink else None,
            fill=shade if solid else "none",
            stroke=shade,
            stroke_width=width,
            stroke_dasharray="4 4" if dashed else None,
        )

    def line(self, *points, color=GREY, **look):
        """Join points (x, y)."""
        joined = " L".join(f"{number(x)} {number(y)}" for x, y in points)
        self.path(f"M{joined}", color, **look)

    def arrow(self, *points, color=GREY, head=7, **look):
        """Join points, and put a head at the last."""
        (x0, y0), (x1, y1) = points[-2:]
        angle = math.atan2(y1 - y0, x1 - x0)
        back = (x1 - 0.7 * head * math.cos(angle), y1 - 0.7 * head * math.sin(angle))
        self.line(*points[:-1], back, color=color, **look)
        corners = [
            (x1 - head * math.cos(angle + turn), y1 - head * math.sin(angle + turn))
            for turn in (-0.45, 0.45)
        ]
        shape = " L".join(f"{number(x)} {number(y)}" for x, y in [(x1, y1), *corners])
        self.path(f"M{shape} Z", color, solid=True, width=1)

    def circle(self, x, y, r, color=GREY, dashed=False, fill="none", opacity=None):
        self.add(
            "circle",
            cx=x,
            cy=y,
            r=r,
            fill=fill,
            fill_opacity=opacity,
            stroke=color,
            stroke_dasharray="4 4" if dashed else None,
        )

    # ------------------------------------------------------------------------- marks

    def normal(self, *places, color=NORMAL, r=3.5):
        """Draw normal samples: discs."""
        for x, y in places:
            self.add("circle", cx=x, cy=y, r=r, fill=color)

    def anomaly(self, *places, r=4.5):
        """Draw anomalies: triangles."""
        for x, y in places:
            low, side = number(y + 0.6 * r), 0.95 * r
            self.path(
                f"M{number(x)} {number(y - r)} L{number(x + side)} {low} "
                f"L{number(x - side)} {low} Z",
                ANOMALY,
                solid=True,
                width=1,
            )

    def center(self, x, y):
        """Draw a center: yellow, with an edge that shows it on white."""
        self.add("circle", cx=x, cy=y, r=5, fill=CENTER, stroke=INK)
