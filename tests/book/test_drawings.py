"""The book's drawings: what they look like, and where they stand."""

import importlib.util
import os
import re
import sys
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deepsvdd import build_autoencoder
from deepsvdd.course.timetable import read_timetable
from tests import ROOT
from tests.book import text_of
from tests.book.conftest import browsers

pytest.importorskip("sphinx")
sys.path.insert(0, str(ROOT / "book/figures"))
sys.path.insert(0, str(ROOT / "book/_ext"))
import drawn
import inline_drawings
import pen

sys.path.pop(0)
sys.path.pop(0)

FILES = sorted((ROOT / "book/figures/drawn").glob("*.svg"))
NAMES = [path.stem for path in FILES]
each_file = pytest.mark.parametrize("path", FILES, ids=NAMES)
PHONE = 358  # pixels that a text is wide on a phone of 390
FIGURE = re.compile(
    r"^```\{figure\} figures/drawn/(\w+)\.svg\n"
    r":name: ([\w-]+)\n:alt: (.+)\n\n([\s\S]+?)\n```$",
    re.MULTILINE,
)


# --- the files ------------------------------------------------------------------------


def test_the_files_are_what_the_script_draws():
    assert sorted(drawn.DRAWINGS) == NAMES
    for path in FILES:
        assert path.read_text("utf-8") == drawn.render(path.stem), path.stem


def elements(path):
    return list(ElementTree.fromstring(path.read_text("utf-8")).iter())


def tag(element):
    return element.tag.partition("}")[2]


def is_mark(element):
    """Tell whether an element has the full strength of its color."""
    return float(element.get("fill-opacity", 1)) > 0.5


@each_file
def test_colors_are_the_houses(path):
    lines = {pen.GREY, pen.NORMAL, pen.ANOMALY, pen.HELD_OUT}
    for element in elements(path):
        look, kind = element.get("class"), tag(element)
        fill, stroke = element.get("fill", "none"), element.get("stroke", "none")
        if kind == "text":
            assert (look, fill) in {("ink", pen.INK), ("muted", pen.MUTED)}
        elif look in ("ground", "paper"):
            assert (fill, stroke) == (pen.GROUND, "none")
        elif look:  # a line in the color of words
            assert look in ("edge", "edge ink")
            assert stroke == pen.INK
        else:
            assert fill in lines | {pen.CENTER, "none"}
            # A yellow disc has a dark edge, and a yellow box a gray one.
            edges = {pen.INK, pen.GREY} if fill == pen.CENTER else lines | {"none"}
            assert stroke in edges


def channels(color):
    """Return red, green and blue of #rrggbb, or #rgb, from 0 to 1."""
    if len(color) == 4:
        color = "#" + "".join(2 * digit for digit in color[1:])
    return [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]


def luminance(color):
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color
    ]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def over(color, opacity, ground):
    return [opacity * c + (1 - opacity) * g for c, g in zip(color, ground, strict=True)]


def theme(scheme):
    """Return the colors of a scheme's ground, words and pale words."""
    sheets = ""
    for package in ("pydata_sphinx_theme", "sphinx_book_theme"):
        folder = Path(importlib.util.find_spec(package).origin).parent
        (sheet,) = folder.rglob(f"static/styles/{package.replace('_', '-')}.css")
        sheets += sheet.read_text("utf-8")
    blocks = "".join(
        re.findall(rf"html\[data-theme=[\"']?{scheme}[\"']?\]\s*\{{([^}}]*)\}}", sheets)
    )
    names = ("background", "text-base", "text-muted")
    last = [re.findall(rf"--pst-color-{n}:\s*(#\w+)", blocks)[-1] for n in names]
    return [channels(color) for color in last]


SCHEMES = {
    "picture": lambda: [channels(c) for c in (pen.GROUND, pen.INK, pen.MUTED)],
    "light": lambda: theme("light"),
    "dark": lambda: theme("dark"),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_words_and_lines_can_be_seen(scheme):
    ground, ink, muted = SCHEMES[scheme]()
    washes = {
        (e.get("fill"), float(e.get("fill-opacity")))
        for path in FILES
        for e in elements(path)
        if e.get("fill-opacity") and not is_mark(e)
    }
    assert len(washes) > 4
    for words in (ink, muted):
        assert contrast(words, ground) >= 4.5
    for color, opacity in washes:
        assert contrast(ink, over(channels(color), opacity, ground)) >= 4.5
    for color in (pen.GREY, pen.NORMAL, pen.ANOMALY, pen.HELD_OUT):
        assert contrast(channels(color), ground) >= 3


@each_file
def test_words_are_large_enough_for_a_phone(path):
    root, *parts = elements(path)
    width = float(root.get("viewBox").split()[2])
    assert width == pen.WIDTH
    sizes = [float(e.get("font-size", 99)) for e in (root, *parts)]
    assert min(sizes) * PHONE / width >= 11


LAYOUT = """() => {
  const box = (e) => e.getBoundingClientRect()
  const frame = box(document.querySelector("svg"))
  const words = [...document.querySelectorAll("text")]
  const found = []
  words.forEach((word, k) => {
    const a = box(word)
    if (a.left < frame.left || a.right > frame.right ||
        a.top < frame.top || a.bottom > frame.bottom)
      found.push(`outside: ${word.textContent}`)
    for (const other of words.slice(0, k)) {
      const b = box(other)
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left)
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
      // Lines of one text touch: a line's box is higher than its letters.
      if (wide > 0 && high > 4)
        found.push(`${word.textContent} on ${other.textContent}`)
    }
  })
  return found
}"""


def test_no_word_is_cut_off_or_covers_another():
    if browsers.browser_path() is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(browsers.NO_BROWSER)
    with browsers.chromium() as browser:
        page = browser.new_page(viewport={"width": 390, "height": 844})
        for path in FILES:
            text = path.read_text("utf-8")
            page.set_content(text)
            assert page.evaluate(LAYOUT) == [], path.stem
            # On another machine letters may be wider: these are the widest.
            page.set_content(text.replace("sans-serif", "DejaVu Sans"))
            assert page.evaluate(LAYOUT) == [], path.stem
        page.set_content('<svg width="90"><text>Cut off</text></svg>')
        assert page.evaluate(LAYOUT) == ["outside: Cut off"]  # it finds what it seeks


def test_the_drawn_network_is_the_packages():
    autoencoder = build_autoencoder("mnist_LeNet", (1, 28, 28))
    halves = (autoencoder.encoder, autoencoder.decoder)
    weights = [sum(w.numel() for w in half.parameters()) for half in halves]
    first, second = (conv.out_channels for conv in autoencoder.encoder.convs)
    words = "|".join(
        "".join(element.itertext())
        for element in elements(ROOT / "book/figures/drawn/network.svg")
        if tag(element) == "text"
    )
    for number in weights:
        assert f"{number:,}" in words
    for shape in (f"{first} × 14 × 14", f"{second} × 7 × 7", f"{second} × 8 × 8"):
        assert shape in words
    code = autoencoder.encoder.head.out_features
    assert f"{code} numbers" in words
    assert f"{code // 16} × 4 × 4" in words


def test_mathematics_is_written_as_such():
    italic = 'font-style="italic" font-family="serif"'
    assert pen.spans("for $d_i^2$ and") == (
        f'for <tspan {italic} font-size="14">d</tspan>'
        f'<tspan dy="4" {italic} font-size="11.5">i</tspan>'
        '<tspan dy="-9" font-family="serif" font-size="11.5">2</tspan>'
        '<tspan dy="5"> and</tspan>'
    )
    assert pen.spans("a < b") == "a &lt; b"


# --- in the chapters ------------------------------------------------------------------


def texts():
    """Return the Markdown of each chapter."""
    return {
        path.stem: text_of(path) for path in sorted((ROOT / "book").glob("*.ipynb"))
    }


def figures():
    """Return chapter, label, description and caption of each drawing, by its name."""
    found = [
        (match[1], (chapter, *match.groups()[1:]))
        for chapter, text in texts().items()
        for match in FIGURE.finditer(text)
    ]
    assert len(dict(found)) == len(found), "a drawing stands in two places"
    return dict(found)


@pytest.mark.parametrize("name", NAMES)
def test_a_drawing_has_its_place(name):
    chapter, label, alt, caption = figures()[name]
    assert label == f"fig-{name}"
    assert len(alt) > 100
    assert "$" not in alt
    assert "`" not in alt
    assert caption.endswith(".")
    text = FIGURE.sub("", texts()[chapter])
    assert f"{{numref}}`{label}`" in text


def test_the_teachers_path_is_the_instructors_plan():
    plan = read_timetable(ROOT / "book/timetable.yml")["six weeks"]
    read = {reading.page for session in plan for reading in session.read}
    numbers = {int(page[:2]) for page in read if page[:2].isdigit()}
    assert numbers == {int(n) for n in stops("T") if n.isdigit()}
    assert "quickstart" in read
    assert "Quick" in stops("T")


def stops(kind):
    return [name.split()[0] for name, who in drawn.STOPS if kind in who]


# --- in the pages ---------------------------------------------------------------------


def test_a_page_has_the_drawing_itself():
    made = inline_drawings.inline('<svg viewBox="0 0 1 1">\n</svg>\n', 'a "b" < c')
    assert made == (
        '<svg class="drawn" role="img" aria-label="a &quot;b&quot; &lt; c" '
        'viewBox="0 0 1 1">\n</svg>'
    )


LOOK = """() => [...document.querySelectorAll("figure svg.drawn")].map((svg) => {
  const look = (what) => getComputedStyle(svg.querySelector(what)).fill
  return {
    label: svg.getAttribute("aria-label"),
    width: svg.getBoundingClientRect().width,
    ground: look(".ground"),
    ink: look(".ink"),
    number: svg.closest("figure").querySelector(".caption-number").textContent,
  }
})"""


def test_drawings_follow_the_theme_and_fit(page, site):
    # Pages and their styles are all that it takes.
    page.route(
        "**/*",
        lambda route: (
            route.continue_()
            if route.request.resource_type in ("document", "stylesheet")
            else route.abort()
        ),
    )
    places, numbers = figures(), set()
    for chapter in sorted({place[0] for place in places.values()}):
        page.goto(f"{site}/{chapter}.html", wait_until="load", timeout=120_000)
        own = {
            unescape(alt) for where, _, alt, _ in places.values() if where == chapter
        }
        for scheme, width in (("light", 390), ("dark", 390), ("dark", 1280)):
            page.set_viewport_size({"width": width, "height": 844})
            page.evaluate(f"document.documentElement.dataset.theme = '{scheme}'")
            shown = page.evaluate(LOOK)
            assert {look["label"] for look in shown} == own
            ink = ", ".join(str(round(255 * c)) for c in theme(scheme)[1])
            for look in shown:
                assert look["width"] == {390: PHONE, 1280: 480}[width]
                assert (look["ground"], look["ink"]) == ("none", f"rgb({ink})")
                numbers.add(look["number"])
    assert len(numbers) == len(NAMES)
    assert all(re.fullmatch(r"Fig\. [\d.]+ ", number) for number in numbers)
