"""Take the pictures of the live parts that readers' notebooks have in their places.

    python book/figures/live.py                  all, from the book in _build/html
    python book/figures/live.py roc svdd         some

Each part of ``book/demos`` is started in a browser, in the light theme, and used as a
reader would; the picture leaves out buttons and help. It is written beside this file,
in ``live``, and so is ``alt.json``: what the part says of its pictures to those who do
not see them.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from deepsvdd.files import atomic_write

sys.path.insert(0, str(Path(__file__).parent.parent))
import browser as browsers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator

BOOK = Path(__file__).parent.parent
HTML = BOOK.parent / "_build/html"
FOLDER = Path(__file__).parent / "live"
WINDOW = {"width": 800, "height": 900}
COLORS = 200  # of a picture: fewer would mix those of thin lines
MOST = 40_000  # bytes of a file
LEFT_OUT = """
  .demo-buttons, .demo-controls, .demo-help, .demo-spoken { display: none }
  .demo-stage { background: white; padding: 8px }
"""
LABELS = """box => [...box.querySelectorAll("[role=img], .demo-plane")]
  .map(part => part.getAttribute("aria-label").replace(/[.]$/, "") + ".").join(" ")"""
# What a reader presses first, by name; a part that is drawn at rest needs nothing.
PRESSED = {"playground": ["200 steps", "200 steps"], "seeds": ["All five"]}


def pages() -> dict[str, Path]:
    """Find the page of each live part in the built book."""
    found: dict[str, Path] = {}
    for path in sorted(HTML.glob("*.html")):
        text = path.read_text("utf-8")
        for folder in (BOOK / "demos").glob("*/main.mjs"):
            name = folder.parent.name
            if f'id="demo-{name}"' in text:
                found.setdefault(name, path)
    return found


def use(box: Locator, name: str) -> None:
    """Start a live part, and press what its picture needs."""
    box.get_by_role("button", name="Start").click()
    box.page.wait_for_selector(f"#demo-{name}[data-running]")
    for button in PRESSED.get(name, []):
        box.get_by_role("button", name=button).click()
    if name == "digit":
        box.page.wait_for_selector("#demo-digit[data-still]")
    box.page.wait_for_timeout(700)  # what is said, and what is drawn in the next frames


def shot(browser: Browser, site: str, name: str, page_name: str) -> tuple[bytes, str]:
    """Return the picture of a live part, as PNG, and what it says of itself."""
    page = browser.new_page(viewport=WINDOW, color_scheme="light")
    page.goto(f"{site}/{page_name}", wait_until="networkidle")
    box = page.locator(f"#demo-{name}")
    use(box, name)
    page.add_style_tag(content=LEFT_OUT)
    page.wait_for_timeout(200)
    alt = box.evaluate(LABELS)
    drawn = Image.open(io.BytesIO(box.locator(".demo-stage").screenshot()))
    page.close()
    few = drawn.convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    file = io.BytesIO()
    few.save(file, "PNG", optimize=True)
    return file.getvalue(), alt


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = pages()
    parser.add_argument("name", nargs="*", help=f"some of {', '.join(sorted(known))}")
    chosen = parser.parse_args().name or sorted(known)
    if unknown := sorted(set(chosen) - set(known)):
        parser.error(f"no such live parts in _build/html: {', '.join(unknown)}")
    FOLDER.mkdir(exist_ok=True)
    texts = FOLDER / "alt.json"
    said = json.loads(texts.read_text("utf-8")) if texts.exists() else {}
    with browsers.served(HTML) as site, browsers.chromium() as browser:
        for name in chosen:
            picture, said[name] = shot(browser, site, name, known[name].name)
            if len(picture) > MOST:
                raise SystemExit(f"{name}: {len(picture)} bytes, at most {MOST}")
            with atomic_write(FOLDER / f"{name}.png") as temporary:
                temporary.write_bytes(picture)
    with atomic_write(texts) as temporary:
        text = json.dumps(said, indent=1, ensure_ascii=False, sort_keys=True)
        temporary.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
