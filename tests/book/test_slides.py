"""The slides: sources that name what exists, and pages that hold what is on them."""

import os
import subprocess
import sys

import pytest
from pypdf import PdfReader

from tests import ROOT
from tests.book.conftest import browsers, watched

sys.path.insert(0, str(ROOT / "book/slides"))
import decks

SLIDES = ROOT / "book/slides"

DECKS = sorted(path.stem for path in SLIDES.glob("[0-9]*.md"))
# How far down and to the right a slide's contents reach, and where its foot begins, in
# its own pixels, 1280 × 720.
REACH = """() => [...document.querySelectorAll("section")].map(section => {
  const box = section.getBoundingClientRect(), scale = box.height / 720;
  const all = [...section.querySelectorAll("*")].map(e => e.getBoundingClientRect());
  const places = [...section.querySelectorAll(":scope > .where")];
  const rest = [...section.children].filter(e => !e.matches(".where, footer"));
  const bottom = Math.max(...rest.map(e => e.getBoundingClientRect().bottom));
  const foot = Math.min(...places.map(e => e.getBoundingClientRect().top));
  return {
    heading: section.querySelector("h1, h2").textContent,
    bottom: (bottom - box.top) / scale,
    right: (Math.max(...all.map(e => e.right)) - box.left) / scale,
    foot: places.length ? (foot - box.top) / scale : 690,
    pictures: [...section.querySelectorAll("img")].map(
      e => [e.alt.length, e.naturalWidth]
    ),
  };
})"""


def slides_of(deck):
    text = (SLIDES / f"{deck}.md").read_text("utf-8").split("---\n", 2)[2]
    return text.split("\n## ")[1:]


@pytest.mark.parametrize("deck", DECKS)
def test_a_deck_has_a_lesson_with_questions_and_places(deck):
    slides = slides_of(deck)
    assert 8 <= len(slides) + 1 <= 14  # with the title
    assert sum("\n? " in slide for slide in slides) >= len(slides) - 3
    assert sum("\n@ " in slide for slide in slides) == len(slides)
    assert sum("(fig-" in slide for slide in slides) >= 5
    source = decks.marp_source((SLIDES / f"{deck}.md").read_text("utf-8"), "")
    assert "(fig-" not in source
    assert "\n? " not in source


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("![](fig-none)", "no figure fig-none"),
        ("@ 03-deep-sad", "no page 03-deep-sad"),
        ("@ 03-deep-svdd: The end", "no section 'The end'"),
        ("@ task 11 of 1-metrics", "no task 11"),
    ],
)
def test_a_slide_about_nothing_is_refused(line, message):
    text = f"---\ntitle: T\nsubtitle: s\n---\n\n## Slide\n\n{line}\n"
    with pytest.raises(ValueError, match=message):
        decks.marp_source(text, "")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folder with all decks."""
    if not decks.MARP.exists():
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("Marp is not installed: `make vendor`")
    if browsers.browser_path() is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(browsers.NO_BROWSER)
    out = tmp_path_factory.mktemp("slides")
    command = [sys.executable, str(SLIDES / "decks.py"), str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def browser():
    with browsers.chromium() as browser:
        yield browser


@pytest.mark.parametrize("deck", DECKS)
def test_slides_hold_what_is_on_them_and_need_no_network(deck, made, browser):
    address = (made / f"slides-{deck}.html").as_uri()
    with watched(browser, address, viewport={"width": 1280, "height": 720}) as page:
        page.goto(address)
        found = page.evaluate(REACH)
        assert page.problems == []
        assert page.locator("mjx-container").count() or deck in "56"
        page.keyboard.press("ArrowRight")
        page.wait_for_url("**#2")
    assert len(found) == len(slides_of(deck)) + 1
    for slide in found:
        assert slide["bottom"] < slide["foot"], slide["heading"]
        assert slide["right"] <= 1281, slide["heading"]
        assert all(alt > 20 and wide > 1 for alt, wide in slide["pictures"])


@pytest.mark.parametrize("deck", DECKS)
def test_a_deck_is_on_paper_too(deck, made):
    pages = PdfReader(made / f"slides-{deck}.pdf").pages
    assert len(pages) == len(slides_of(deck)) + 1
    assert "To take home" in pages[-1].extract_text()
