"""The book: its notebooks as committed, and the built pages in a real browser."""

import contextlib
import functools
import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

tomllib = pytest.importorskip("tomllib")  # in Python from 3.11 on

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
PAGES = ("welcome", "quickstart", "references", "search", "genindex")
VENDOR = ROOT / "book/_extra/vendor/mathjax/tex-chtml.js"
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


def repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"]


def code_cells(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


# --- the notebooks ----------------------------------------------------------------


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_was_run_from_top_to_bottom_without_an_error(self, path):
        counts = [cell["execution_count"] for cell in code_cells(path)]
        assert counts == list(range(1, len(counts) + 1))
        outputs = [output for cell in code_cells(path) for output in cell["outputs"]]
        assert not [o for o in outputs if o["output_type"] == "error"]
        assert not re.search(r"/(home|root|Users|tmp|work)/", json.dumps(outputs))

    def test_code_fits_the_page(self, path):
        for cell in code_cells(path):
            lines = "".join(cell["source"]).split("\n")
            assert len(lines) <= 25
            assert max(map(len, lines)) <= 70

    def test_begins_with_the_bootstrap_cell(self, path):
        first = "".join(code_cells(path)[0]["source"])
        assert f'repository = "{repository()}"' in first
        assert 'if "google.colab" in sys.modules:' in first

    def test_pictures_have_a_description(self, path):
        for cell in code_cells(path):
            if any("image/png" in o.get("data", {}) for o in cell["outputs"]):
                assert cell["metadata"]["mystnb"]["image"]["alt"]


def test_every_notebook_is_in_the_table_of_contents():
    toc = (ROOT / "book/_toc.yml").read_text("utf-8")
    assert all(f"file: {path.stem}\n" in toc + "\n" for path in NOTEBOOKS)


def test_the_configuration_names_the_repository():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    assert config["repository"]["url"] == repository()


# --- the built book ---------------------------------------------------------------


def browser_path():
    for name in ("chromium", "google-chrome"):
        if path := shutil.which(name):
            return path
    with contextlib.suppress(Exception):
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            if Path(playwright.chromium.executable_path).exists():
                return playwright.chromium.executable_path
    return None


@pytest.fixture(scope="module")
def site():
    """Build the book as `make book` does, and serve it on this machine."""
    if browser_path() is None:
        reason = "no browser: apt-get install chromium, or playwright install chromium"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    if not VENDOR.exists():
        subprocess.run(["make", "vendor"], cwd=ROOT, check=True)
    build = "from jupyter_book.cli.main import main; main()"
    words = ["build", "book", "-W", "--keep-going", "--all"]
    done = subprocess.run(
        [sys.executable, "-c", build, *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=ROOT / "_build/html"
    )
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser(site):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_path(), args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    """A page that notes errors, and requests to anywhere else."""
    page = browser.new_page()
    page.problems = []
    page.on(
        "console",
        lambda m: page.problems.append(m.text) if m.type == "error" else None,
    )
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on(
        "request",
        lambda r: (
            None
            if r.url.startswith((site, "data:", "blob:"))
            else page.problems.append(r.url)
        ),
    )
    yield page
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_alone_and_fits_a_phone(page, site, name):
    page.set_viewport_size({"width": 390, "height": 844})
    response = page.goto(f"{site}/{name}.html", wait_until="networkidle")
    assert response.ok
    assert page.problems == []
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    assert page.evaluate("[...document.images].every(i => i.alt && i.naturalWidth)")


def test_mathematics_is_rendered(page, site):
    page.goto(f"{site}/quickstart.html", wait_until="networkidle")
    assert page.locator("mjx-container").count() > 5
    assert page.locator("mjx-merror").count() == 0


def test_internal_links_and_anchors_resolve(page, site):
    targets = set()
    for name in ("welcome", "quickstart", "references"):
        page.goto(f"{site}/{name}.html")
        links = page.evaluate(
            "[...document.querySelectorAll('a[href]')].map(a=>a.href)"
        )
        targets |= {link for link in links if link.startswith(site)}
    for target in sorted(targets):
        address, _, anchor = target.partition("#")
        assert page.request.get(address).ok, target
        if anchor and address.endswith(".html"):
            page.goto(address)
            assert page.evaluate("id => !!document.getElementById(id)", anchor), target


def test_search_finds_a_term(page, site):
    page.goto(f"{site}/search.html?q=threshold", wait_until="networkidle")
    page.wait_for_selector("#search-results li", timeout=10_000)
    assert "quickstart" in page.inner_html("#search-results")


def test_the_theme_can_be_switched(page, site):
    page.goto(f"{site}/welcome.html", wait_until="networkidle")
    before = page.evaluate("document.documentElement.dataset.mode")
    page.locator("button.theme-switch-button").first.click()
    assert page.evaluate("document.documentElement.dataset.mode") != before
