"""The book's live parts where they are not live: notebooks, and a build that fails."""

import json
import re

import pytest
from PIL import Image

from tests import ROOT
from tests.book import cells_of, source_of
from tests.book.live import PAGES


@pytest.mark.parametrize("name", PAGES)
def test_readers_notebooks_link_to_the_live_page(built, name):
    page = PAGES[name]
    if not (ROOT / f"book/{page}.ipynb").exists():
        pytest.skip(f"{page} is no notebook")
    notebook = built / f"notebooks/{page}.ipynb"
    text = "\n".join(map(source_of, cells_of(notebook, "markdown")))
    assert re.search(rf"\[Try it in the book\]\([^)]+/{page}.html#demo-{name}\)", text)
    address = rf"https://\S+/raw/main/book/figures/live/{name}\.png"
    (alt,) = re.findall(rf"^!\[(.+)\]\({address}\)$", text, re.MULTILINE)
    assert len(alt) > 50


def test_every_demo_has_a_picture_for_notebooks():
    folder = ROOT / "book/figures/live"
    assert {path.stem for path in folder.glob("*.png")} == set(PAGES)
    assert set(json.loads((folder / "alt.json").read_text("utf-8"))) == set(PAGES)
    for path in folder.glob("*.png"):
        assert path.stat().st_size <= 40_000
        with Image.open(path) as picture:
            assert picture.width >= 500
            assert len(picture.convert("RGB").getcolors()) > 10  # something is drawn


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("```{demo} nothing\n:title: T\n\nText.\n```", "must be one of known, as"),
        ("```{demo} known\n\nText.\n```", "a demo needs a title"),
        ("```{demo} known\n:title: T\n```", "a demo needs a title"),
        ("```{demo} known\n:title: T\n\n- item\n```", "begin with a paragraph"),
    ],
)
def test_a_demo_that_cannot_work_stops_the_build(tmp_path, written, told):
    from sphinx.testing.util import SphinxTestApp

    (tmp_path / "conf.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT / 'book/_ext')!r})\n"
        "extensions = ['myst_parser', 'demo']\n"
    )
    made = tmp_path / "_extra/vendor/demos"
    made.mkdir(parents=True)
    (made / "known.js").write_text("0")
    (tmp_path / "index.md").write_text(f"# T\n\n{written}\n")
    app = SphinxTestApp(srcdir=tmp_path, warningiserror=False)
    try:
        app.build()
        assert told in app.warning.getvalue()
    finally:
        app.cleanup()
