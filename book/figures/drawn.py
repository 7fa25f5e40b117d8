"""Draw the book's diagrams: the SVG files of ``book/figures/drawn``.

    python book/figures/drawn.py

A drawing's caption and its description for those who do not see it are in the chapter.
"""

import math
import random
from pathlib import Path

from pen import ANOMALY, CENTER, GREY, GROUND, HELD_OUT, NORMAL, WASH, Drawing

FOLDER = Path(__file__).parent / "drawn"
DRAWINGS = {}


def drawing(height):
    """Keep a function that draws, under its name and the height that it needs."""

    def keep(draw):
        DRAWINGS[draw.__name__] = height, draw
        return draw

    return keep


def render(name):
    """Return a drawing as the text of an SVG file."""
    height, draw = DRAWINGS[name]
    paper = Drawing(height)
    draw(paper)
    return paper.svg()


def main():
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name in DRAWINGS:
        (FOLDER / f"{name}.svg").write_text(render(name), "utf-8")


def around(x, y, radius, angle):
    """Return the point at a distance and an angle, in degrees, from another."""
    turn = math.radians(angle)
    return x + radius * math.cos(turn), y - radius * math.sin(turn)


def legend(d, y, center=None):
    """Explain the marks in one line."""
    d.normal((22, y - 4))
    d.text(32, y, "normal", anchor="start")
    d.anomaly((98, y - 4))
    d.text(108, y, "anomaly", anchor="start")
    if center:
        d.center(182, y - 4)
        d.text(193, y, center, anchor="start")


# --- the method ---------------------------------------------------------------------


@drawing(262)
def idea(d):
    """A network maps normal images into a small sphere, and others elsewhere."""
    d.text(70, 24, "images", bold=True)
    d.text(276, 24, "representations", bold=True)
    d.box(10, 36, 118, 152)
    normal = [(34, 62), (60, 86), (102, 74), (44, 118), (84, 134), (30, 164)]
    normal += [(66, 172), (108, 160), (88, 102)]
    other = [(80, 60), (28, 92), (66, 112), (106, 122), (54, 146), (90, 168)]
    d.normal(*normal)
    d.anomaly(*other)
    d.text(165, 92, "network")
    d.arrow((136, 112), (194, 112), color="ink", width=2)
    d.text(165, 134, r"$φ(x; W)$")
    x, y = 268, 118
    d.circle(x, y, 38, NORMAL, dashed=True, fill=NORMAL, opacity=0.12)
    far = (330, 66)
    d.line((x, y), far, color="ink", dashed=True)
    d.normal(*(around(x, y, r, 40 * k) for k, r in enumerate((20, 27, 13, 24))))
    d.normal(*(around(x, y, r, 190 + 35 * k) for k, r in enumerate((16, 29, 21, 30))))
    d.normal(around(x, y, 46, 200))
    d.center(x, y)
    d.anomaly(far, *(around(x, y, r, a) for r, a in ((62, 105), (58, 335), (66, 285))))
    d.anomaly(around(x, y, 30, 155), around(x, y, 54, 228))
    d.text(180, 213, r"score  $s(x) = ‖φ(x; W) − c‖^2$")
    d.line((14, 226), (346, 226))
    legend(d, 248, "center $c$, fixed")


def tensor(d, x, y, side, channels, color):
    """Draw an image or a map: a stack of squares around (x, y)."""
    sheets = min(channels, 4)
    shift = 3 * (sheets - 1) / 2
    for k in range(sheets):
        at = {"x": x - side / 2 - shift + 3 * k, "y": y - side / 2 - shift + 3 * k}
        size = {"width": side, "height": side}
        d.add("rect", **at, **size, class_="paper", fill=GROUND)
        d.add("rect", **at, **size, fill=color, fill_opacity=WASH, stroke=color)


@drawing(498)
def network(d):
    """The encoder and the decoder of mnist_LeNet, with the shapes between layers."""
    left, right = 52, 226
    d.text(104, 22, "encoder $φ$", bold=True)
    d.text(278, 22, "decoder $ψ$", bold=True)
    rows = (68, 190, 298, 388)
    sides = (56, 32, 20, 14)
    shapes = (
        (("1 × 28 × 28", 1), ("8 × 14 × 14", 8), ("4 × 7 × 7", 4)),
        (("1 × 28 × 28", 1), ("8 × 14 × 14", 8), ("4 × 8 × 8", 4), ("2 × 4 × 4", 2)),
    )
    for x, column, color in zip((left, right), shapes, (NORMAL, GREY), strict=True):
        for y, side, (words, channels) in zip(rows, sides, column, strict=False):
            tensor(d, x, y, side, channels, color)
            d.text(x + 40, y + 5, words, anchor="start", bold=True)
    convolution, last = "convolution 5 × 5,", ("sigmoid", "crop to 14, norm", "norm")
    for y0, y1, words in zip((102, 216, 318), (162, 276, 374), last, strict=True):
        d.arrow((right, y1), (right, y0), color="ink")
        y = (y0 + y1) / 2 - 13
        d.text(right + 12, y, "double,", convolution, words, anchor="start")
        if y0 != 318:
            d.arrow((left, y0), (left, y1), color="ink")
            words = (convolution, "norm, pool,", "leaky ReLU")
            d.text(left + 12, y, *words, anchor="start")
    d.arrow((left, 316), (left, 426), color="ink")
    d.text(left + 12, 362, "flatten: 196,", "linear head", anchor="start")
    d.arrow((right, 426), (right, 404), color="ink")
    d.box(16, 430, 328, 26, "code  $z = φ(x)$: 32 numbers", color=CENTER)
    d.text(16, 480, "7,272 weights", anchor="start", muted=True)
    d.text(344, 480, "1,200, dropped later", anchor="end", muted=True)


@drawing(330)
def fitted(d):
    """When weights, center, radius and threshold are fitted, set, or fixed."""
    columns = (("weights", "$W$"), ("center", "$c$"), ("radius", "$R$"))
    columns += (("thresh-", "old"),)
    rows = (
        ("pretraining", "fitted", "", "", ""),
        ("the center", "fixed", "set", "", ""),
        ("warm-up", "fitted", "fixed", "0", ""),
        ("training", "fitted", "fixed", "fitted", ""),
        ("the threshold", "fixed", "fixed", "fixed", "set"),
        ("in use", "fixed", "fixed", "fixed", "fixed"),
    )
    looks = {"fitted": (NORMAL, False), "set": (CENTER, False), "fixed": (GREY, True)}
    looks["0"] = looks["fixed"]
    for k, words in enumerate(columns):
        d.text(142 + 61 * k, 24, *words, bold=True)
    d.arrow((14, 58), (14, 322), color="ink")
    for row, (step, *cells) in enumerate(rows):
        y = 54 + 44 * row
        d.text(24, y + 23, step, anchor="start")
        for k, word in enumerate(cells):
            if word:
                color, dashed = looks[word]
                d.box(115 + 61 * k, y, 54, 36, word, color=color, dashed=dashed)
            else:
                d.text(142 + 61 * k, y + 22, "–", muted=True)


@drawing(270)
def slack(d):
    """The soft boundary: a sample outside pays its slack, whose root is a tangent."""
    x, y, r = 128, 136, 86
    d.circle(x, y, r, NORMAL, fill=NORMAL, opacity=0.1)
    inside = ((36, 50), (45, 130), (52, 200), (34, 262), (66, 300), (70, 160))
    d.normal(*(around(x, y, *place) for place in (*inside, (60, 232))))
    d.normal(around(x, y, r, 118))
    distance, angle = 192, 22
    out = around(x, y, distance, angle)
    touching = angle + math.degrees(math.acos(r / distance))
    touch = around(x, y, r, touching)
    d.line((x, y), out, color="ink", dashed=True)
    d.line((x, y), touch, color=NORMAL, width=2)
    d.line(touch, out, color=ANOMALY, width=2.5)
    corner = [around(*touch, 10, touching + 180)]
    corner.append(around(*corner[0], 10, touching - 90))
    corner.append(around(*touch, 10, touching - 90))
    d.line(*corner, color="ink", width=1)
    d.normal(out)
    d.center(x, y)
    d.text(out[0] + 8, out[1] + 20, r"$φ(x_i)$")
    d.text(x - 12, y + 5, "$c$")
    d.text((x + touch[0]) / 2 - 12, (y + touch[1]) / 2, "$R$")
    d.text((x + out[0]) / 2 + 26, (y + out[1]) / 2 + 10, "$d_i$")
    d.text(228, 46, r"$√(d_i^2 − R^2)$", anchor="start")
    d.text(226, 150, "outside:", anchor="start", bold=True)
    d.text(226, 168, "pays  $d_i^2 − R^2$", anchor="start")
    d.text(226, 198, "inside or on", "the sphere:", anchor="start", bold=True)
    d.text(226, 233, "pays nothing", anchor="start")
    d.text(128, 254, r"at most $νn$ samples outside")


@drawing(392)
def collapse(d):
    """Three ways in which a network may send all images to the center."""
    for y in (130, 258):
        d.line((14, y), (346, y))
    # A free center: it moves to the origin, and the weights shrink.
    d.badge(24, 24, "1", ANOMALY)
    d.text(42, 29, "free center", anchor="start", bold=True)
    for place in ((112, 74), (98, 64), (122, 62), (110, 54)):
        d.normal(place)
    d.line((30, 110), (140, 110))
    d.line((40, 118), (40, 44))
    d.arrow((98, 74), (50, 104), color=ANOMALY, width=2.5)
    d.center(110, 64)
    d.center(40, 110)
    d.text(124, 82, "$c$", anchor="start")
    d.text(28, 124, "0")
    words = ("All weights go to 0, so all", "outputs go to 0. The center")
    d.text(160, 68, *words, "goes with them.", anchor="start")
    # A bias term: the output, whatever the input.
    d.badge(24, 154, "2", ANOMALY)
    d.text(42, 159, "bias terms", anchor="start", bold=True)
    d.normal((22, 206))
    d.anomaly((22, 226))
    d.arrow((32, 216), (48, 216), color="ink")
    d.box(50, 202, 46, 28, "$W$ = 0", color=GREY)
    d.text(106, 221, "+")
    d.box(114, 202, 34, 28, "$b$", color=ANOMALY)
    words = ("The weights are 0, and the", "bias term alone is the output:")
    d.text(160, 200, *words, "$φ(x) = b = c$ for every $x$.", anchor="start")
    # A bounded activation: saturated, it is a constant, which is a bias term.
    d.badge(24, 282, "3", ANOMALY)
    d.text(42, 287, "bounded activation", anchor="start", bold=True)
    d.line((20, 376), (144, 376))
    d.line((20, 316), (144, 316), dashed=True)
    steps = [(t / 10, 1 / (1 + math.exp(-t / 5.5))) for t in range(-45, 46)]
    curve = [(82 + 13.5 * t, 376 - 60 * value) for t, value in steps]
    d.line(*curve, color=GREY, width=2)
    d.normal(*(curve[k] for k in (72, 80, 88)))
    d.text(14, 312, "$s$", anchor="start")
    words = ("All inputs lie where it is flat:", "the unit gives $s$ for each of")
    d.text(160, 328, *words, "them, and is a bias term.", anchor="start")


@drawing(318)
def descent(d):
    """Block-coordinate descent: the network moves, then the radius."""
    d.box(70, 10, 220, 30, "warm-up:  $R = 0$", color=GREY, dashed=True)
    d.arrow((95, 42), (95, 62), color="ink")
    d.text(95, 82, "$W$ moves,", "$R$ stands still", bold=True)
    d.text(265, 82, "$R$ moves,", "$W$ stands still", bold=True)
    pulled = ((70, 42), (66, 140), (74, 255))
    still = ((20, 60), (35, 120), (42, 200), (30, 280), (44, 330), (40, 20), (15, 220))
    x, y, r = 95, 178, 52
    d.circle(x, y, r, NORMAL, fill=NORMAL, opacity=0.1)
    d.normal(*(around(x, y, *place) for place in still))
    for radius, angle in pulled:
        d.normal(around(x, y, radius, angle))
        ends = around(x, y, radius - 6, angle), around(x, y, radius - 24, angle)
        d.arrow(*ends, color=ANOMALY, width=2)
    d.center(x, y)
    x = 265
    d.circle(x, y, r, GREY, dashed=True)
    d.circle(x, y, 45, NORMAL, fill=NORMAL, opacity=0.1)
    d.normal(*(around(x, y, *place) for place in still))
    d.normal(around(x, y, 50, 42), around(x, y, 42, 140), around(x, y, 36, 255))
    for angle in (85, 190, 310):
        ends = around(x, y, 66, angle), around(x, y, 47, angle)
        d.arrow(*ends, color=NORMAL, width=2)
    d.center(x, y)
    d.arrow((160, 158), (200, 158), color="ink", width=2)
    d.arrow((200, 198), (160, 198), color="ink", width=2)
    d.text(95, 274, "Adam, for an epoch:", "samples outside are", "pulled at")
    d.text(265, 274, "the $(1 − ν)$-quantile", "of the distances of", "all samples")


@drawing(330)
def ensemble(d):
    """Several networks, each with its own center; the mean of their scores."""
    for x, words in ((89, "network"), (168, "distance"), (246, "in its unit")):
        d.text(x, 22, words, bold=True)
    d.text(26, 165, "$x$")
    rows = ((68, "1", (31, 35)), (160, "2", (44, 160)), (276, "M", (36, 300)))
    for k, (y, index, far) in enumerate(rows):
        d.arrow((36, 160), (66, y), color="ink")
        d.box(68, y - 17, 42, 34, f"$φ_{index}$", color=NORMAL)
        d.arrow((112, y), (142, y), color="ink")
        x = 168
        d.circle(x, y, 22, NORMAL, dashed=True, fill=NORMAL, opacity=0.1)
        turn = 75 + 50 * k
        places = (10, turn), (15, turn + 120), (13, turn + 230)
        d.normal(*(around(x, y, *place) for place in places), r=2.5)
        end = around(x, y, *far)
        d.line((x, y), end, color=ANOMALY, width=2)
        d.center(x, y)
        d.anomaly(end)
        d.text(x - 20, y + 34, f"$c_{index}$")
        d.box(212, y - 17, 68, 34, f"÷ $μ_{index}$", color=GREY)
        d.arrow((284, y), (306, 144 + 16 * k), color="ink")
    d.text(89, 224, "⋮")
    d.text(246, 224, "⋮")
    d.box(308, 138, 44, 44, "mean", color=CENTER)
    d.text(330, 200, "score")


# --- data and evaluation --------------------------------------------------------------


@drawing(280)
def rest(d):
    """One class against the rest: what training sees, and what the test set holds."""
    side, gap = 30, 4
    d.text(12, 24, "training set: one class alone, no labels", anchor="start")
    d.text(12, 118, "test set: all ten classes", anchor="start")
    for digit in range(10):
        x = 12 + (side + gap) * digit
        if digit == 3:
            d.box(x, 38, side, side, "3", color=NORMAL, bold=True)
            d.box(x, 132, side, side, "3", color=NORMAL, bold=True)
            d.text(x + side / 2, 184, "0", bold=True)
        else:
            d.box(x, 38, side, side, dashed=True)
            d.line((x + 8, 46), (x + side - 8, 60))
            d.line((x + 8, 60), (x + side - 8, 46))
            d.box(x, 132, side, side, str(digit), color=ANOMALY)
            d.text(x + side / 2, 184, "1")
    d.text(12, 210, "labels, to measure with: 0 normal, 1 anomaly", anchor="start")
    d.arrow((129, 72), (129, 98), color=NORMAL, width=2)
    d.text(140, 92, "fit", anchor="start")
    d.line((14, 224), (346, 224))
    d.text(180, 248, "Each class is the normal one once:", "ten problems, ten AUCs.")


@drawing(336)
def splits(d):
    """Training, held-out and test samples, and what each of them is for."""
    x, width = 14, 152
    rows = (
        (
            30,
            "training",
            NORMAL,
            ("fit the network: extrema", "of pixels, $W$, $c$, $R$"),
        ),
        (
            134,
            "held out",
            HELD_OUT,
            ("set the threshold: a", "quantile of their scores"),
        ),
        (238, "test", GREY, ("report AUC and rates,", "once, at the end")),
    )
    chance = random.Random(5)
    for y, name, color, words in rows:
        d.text(x, y - 8, name, anchor="start", bold=True)
        d.box(x, y, width, 56, color=color)
        places = [
            (x + 14 + 20.5 * column, y + 14 + 14 * row + 5 * (chance.random() - 0.5))
            for column in range(7)
            for row in range(3)
        ]
        if name == "test":
            bad = places[1::3] + places[2::3]
            d.anomaly(*bad)
            places = places[0::3]
        d.normal(*places, color=HELD_OUT if name == "held out" else NORMAL)
        d.arrow((x + width + 4, y + 28), (x + width + 24, y + 28), color="ink")
        d.text(x + width + 30, y + 24, *words, anchor="start")
    d.text(352, 22, "normal only", anchor="end", muted=True)
    d.text(352, 126, "normal only", anchor="end", muted=True)
    d.text(352, 230, "normal and anomalies", anchor="end", muted=True)
    d.line((14, 306), (346, 306))
    d.text(180, 325, "No sample is in two of the three.")


@drawing(362)
def leaks(d):
    """Four ways from the test set back into training, and the one that is allowed."""
    d.box(272, 14, 76, 334, "test", "images", color=ANOMALY)
    rows = (
        (14, ("training", "images"), NORMAL),
        (104, ("extrema", "$x_{min}$, $x_{max}$"), NORMAL),
        (176, ("network", "$W$, $c$, $R$"), NORMAL),
        (240, ("choices:", "epoch, $ν$, seed"), NORMAL),
        (304, ("scores,", "AUC"), GREY),
    )
    tops = [y for y, _, _ in rows]
    heights = (68, 44, 40, 44, 44)
    for (y, words, color), height in zip(rows, heights, strict=True):
        d.box(12, y, 118, height, *words, color=color)
    for top, height, below in zip(tops, heights, tops[1:], strict=False):
        d.arrow((71, top + height + 2), (71, below - 2), color="ink")
    ways = (
        (34, "2", "used to train"),
        (68, "4", "near copies"),
        (126, "1", "their extrema"),
        (262, "3", "their AUC"),
    )
    for y, name, words in ways:
        d.arrow((268, y), (136, y), color=ANOMALY, width=2, dashed=True)
        d.badge(252, y, name, ANOMALY)
        d.text(142, y - 6, words, anchor="start")
    d.arrow((268, 326), (136, 326), color="ink", width=2)
    d.text(142, 319, "allowed: to score", anchor="start")


def bars(d, base, middle, color, strong):
    """Draw a histogram; the bars in a range of numbers are strong."""
    for k in range(29):
        high = 58 * math.exp(-(((k + 0.5 - middle) / 4.6) ** 2))
        if high > 0.7:
            x = {"x": 25 + 11 * k, "y": base - high, "width": 9, "height": high}
            d.add(
                "rect",
                **x,
                fill=color,
                fill_opacity=0.95 if k in strong else 0.3,
                stroke=color,
                stroke_width=1,
            )
    d.arrow((16, base), (348, base))


@drawing(342)
def threshold(d):
    """A threshold is a quantile of held-out normal scores, and then meets new ones."""
    at = 24 + 11 * 15
    beyond, before = range(15, 29), range(15)
    d.text(16, 22, "held-out normal", anchor="start", bold=True)
    bars(d, 96, 9.5, HELD_OUT, beyond)
    d.text(at + 10, 60, "a share $q$ beyond", anchor="start")
    d.text(16, 126, "new normal", anchor="start", bold=True)
    bars(d, 198, 9.5, NORMAL, beyond)
    d.text(at + 10, 162, "false alarms", anchor="start")
    d.text(16, 228, "new anomalies", anchor="start", bold=True)
    bars(d, 300, 20, ANOMALY, before)
    d.text(at - 10, 276, "missed", anchor="end")
    d.line((at, 34), (at, 314), color="ink", dashed=True, width=2)
    d.text(16, 330, "passed", anchor="start", muted=True)
    d.text(at, 330, "threshold $t$")
    d.text(250, 330, "flagged", anchor="start", muted=True)
    d.text(348, 318, "score", anchor="end")


# --- heat maps ------------------------------------------------------------------------


@drawing(250)
def fields(d):
    """From an image to FCDD's map, its mean and the heat map."""
    left, top, pixel = 14, 46, 4  # 28 pixels of 4 units
    d.text(left + 56, 24, "image, 28 × 28", bold=True)
    grid(d, left, top, 7, 4 * pixel)
    field = left + 6 * pixel, top - 2 * pixel + 16  # of the cell in row 2, column 3
    d.add(
        "rect",
        x=field[0],
        y=field[1],
        width=64,
        height=64,
        fill=ANOMALY,
        fill_opacity=WASH,
        stroke=ANOMALY,
        stroke_width=2,
    )
    d.text(172, 84, "5 × 5, pool,", "5 × 5, pool,", "1 × 1")
    d.arrow((134, 134), (212, 134), color="ink", width=2)
    d.text(280, 24, "map $H(x)$, 7 × 7", bold=True)
    grid(d, 224, top, 7, 16)
    cell = {"x": 224 + 48, "y": top + 32, "width": 16, "height": 16}
    d.add("rect", **cell, fill=ANOMALY, stroke=ANOMALY)
    d.arrow((280, 164), (280, 192), color="ink", width=2)
    d.text(272, 183, "mean", anchor="end")
    d.box(224, 196, 112, 28, "score  $s(x)$", color=CENTER)
    d.arrow((224, 158), (134, 196), color="ink", width=2)
    d.text(84, 191, "each number")
    d.text(84, 208, "spread over")
    d.text(84, 225, "its field: heat map")


def grid(d, x, y, cells, side):
    """Draw a square of cells."""
    length = cells * side
    d.add("rect", x=x, y=y, width=length, height=length, class_="paper", fill=GROUND)
    for k in range(cells + 1):
        d.line((x + k * side, y), (x + k * side, y + length), width=1)
        d.line((x, y + k * side), (x + length, y + k * side), width=1)


# --- the book -------------------------------------------------------------------------

STOPS = (
    ("Quick start", "SPT"),
    ("1  Anomaly detection", "ST"),
    ("2  Kernel SVDD", "ST"),
    ("3  Deep SVDD", "ST"),
    ("4  Collapse", "ST"),
    ("5  Data", "SPT"),
    ("6  Pretraining", "ST"),
    ("7  One-class Deep SVDD", "SPT"),
    ("8  Soft-boundary Deep SVDD", "SPT"),
    ("9  Making it fast", "P"),
    ("10  Evaluation", "SPT"),
    ("11  Reproducing the paper", ""),
    ("12  Adversarial examples", ""),
    ("13  Promises", "PT"),
    ("14  Heat maps", ""),
    ("15  A few labels", "P"),
    ("16  Your own data", "P"),
    ("17  After Deep SVDD", ""),
    ("Questions", "P"),
)
PARTS = {1: "theory", 5: "training", 10: "evaluation", 13: "beyond"}


@drawing(612)
def paths(d):
    """The chapters, and three ways through them."""
    lines = {
        "S": (30, NORMAL, "student", 24),
        "P": (66, ANOMALY, "practitioner", 122),
        "T": (102, HELD_OUT, "teacher", 252),
    }
    places = [84 + 28 * k for k in range(len(STOPS))]
    for k, part in PARTS.items():
        d.line((132, places[k] - 14), (346, places[k] - 14), width=1)
        d.text(346, places[k] + 5, part, anchor="end", muted=True)
    for key, (x, color, name, left) in lines.items():
        stop(d, key, left, 24, color)
        d.text(left + 14, 29, name, anchor="start")
        rows = [y for y, (_, who) in zip(places, STOPS, strict=True) if key in who]
        d.line((x, rows[0]), (x, rows[-1]), color=color, width=3)
        for y in rows:
            stop(d, key, x, y, color)
    for y, (name, who) in zip(places, STOPS, strict=True):
        d.text(132, y + 5, name, anchor="start", muted=not who)
    d.line((14, 48), (346, 48))


def stop(d, kind, x, y, color):
    """Draw a stop: a disc, a square or a diamond, told apart without colors."""
    if kind == "S":
        d.normal((x, y), color=color, r=7)
    elif kind == "P":
        d.add("rect", x=x - 6.5, y=y - 6.5, width=13, height=13, fill=color)
    else:
        corners = f"M{x} {y - 9} L{x + 9} {y} L{x} {y + 9} L{x - 9} {y} Z"
        d.path(corners, color, solid=True, width=1)


if __name__ == "__main__":
    main()
