"""The book: its notebooks as committed, and the built pages in a real browser."""

import ast
import base64
import functools
import importlib
import importlib.util
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections import namedtuple

import nbformat
import numpy as np
import pytest
import yaml
from PIL import Image

from tests import ROOT
from tests.book import cells_of, has_picture, source_of, text_of, tree_of
from tests.book.conftest import findings, watched

tomllib = pytest.importorskip("tomllib")  # in Python from 3.11 on

SPEC = importlib.util.spec_from_file_location("run", ROOT / "book/run.py")
runner = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(runner)
NOTEBOOKS = sorted((ROOT / "book").glob("*.ipynb"))
TOC = yaml.safe_load((ROOT / "book/_toc.yml").read_text("utf-8"))
CHAPTERS = (
    TOC["root"],
    *(entry["file"] for part in TOC["parts"] for entry in part["chapters"]),
)
PAGES = (*CHAPTERS, "search", "genindex")
BOOTSTRAP = """\
# In Colab: install the package. Elsewhere this does nothing.
import sys

repository = "{}"
if "google.colab" in sys.modules:
    %pip install -q git+{{repository}}"""


def repository():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["urls"]["Repository"]


def code_cells(path):
    return cells_of(path, "code")


def test_pictures_are_made_lean_and_stay_the_same():
    rng = np.random.default_rng(0)
    for n_colors, alpha in ((9, 255), (2000, 255), (9, 100)):
        pixels = rng.integers(0, 256, (n_colors, 4))[
            rng.integers(0, n_colors, (90, 80))
        ]
        pixels = pixels.astype(np.uint8)
        pixels[..., 3] = alpha
        written = io.BytesIO()
        Image.fromarray(pixels).save(written, "PNG", compress_level=1)
        before = base64.b64encode(written.getvalue()).decode()
        after = runner.lean(before)
        assert len(after) <= len(before)
        image = Image.open(io.BytesIO(base64.b64decode(after))).convert("RGBA")
        np.testing.assert_array_equal(np.asarray(image), pixels)


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
        for cell in code_cells(path)[1:]:  # the bootstrap cell's address may be long
            lines = "".join(cell["source"]).split("\n")
            assert len(lines) <= 25
            assert max(map(len, lines)) <= 70

    def test_begins_with_the_bootstrap_cell(self, path):
        first = code_cells(path)[0]
        assert "".join(first["source"]) == BOOTSTRAP.format(repository())
        assert first["outputs"] == []

    def test_states_the_run_time_that_was_measured(self, path):
        cells = cells_of(path)
        measured = json.loads((ROOT / "book/runtimes.json").read_text())[path.stem]
        minutes = runner.reading_time({"cells": cells})
        assert runner.card(measured, minutes) in "".join(cells[0]["source"])

    def test_pictures_have_a_description(self, path):
        for cell in code_cells(path):
            if has_picture(cell):
                assert cell["metadata"]["mystnb"]["image"]["alt"]


def names(cells):
    """Return the names that cells write, parameters included, and that they read."""
    written, read = set(), set()
    for text in cells:
        for node in ast.walk(tree_of(text)):
            if isinstance(node, ast.arg):
                written.add(node.arg)
            elif isinstance(node, ast.Name):
                (read if isinstance(node.ctx, ast.Load) else written).add(node.id)
    return written, read


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_depends_on_one_that_may_be_skipped(path):
    tagged, others = [], []
    for cell in code_cells(path)[1:]:
        kind = tagged if runner.needs_data(cell) else others
        kind.append("".join(cell["source"]))
    written, read = names(others)
    assert (names(tagged)[0] - written) & read == set()


def test_a_cell_without_its_data_is_skipped_and_says_why(tmp_path):
    for name in ("conftest.py", "run.py"):
        shutil.copy(ROOT / "book" / name, tmp_path)
    cells = [nbformat.v4.new_code_cell(text) for text in ("1 + 1", "1 / 0")]
    cells[0].execution_count = 1
    cells[0].outputs = [
        nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=1)
    ]
    cells[1].metadata["tags"] = ["needs-data"]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "tiny.ipynb")
    command = [sys.executable, "-m", "pytest", "-rs", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--nbval", "--nbval-current-env", "tiny.ipynb"],
        cwd=tmp_path,
        env=os.environ | {"DEEPSVDD_DATA": str(tmp_path), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert "1 passed, 1 skipped" in done.stdout, done.stdout
    assert "fashion_mnist.npz' does not exist" in done.stdout


def test_every_notebook_is_in_the_table_of_contents():
    assert {path.stem for path in NOTEBOOKS} <= set(CHAPTERS)


def test_run_times_are_of_chapters_that_exist():
    measured = json.loads((ROOT / "book/runtimes.json").read_text())
    assert set(measured) == {path.stem for path in NOTEBOOKS}


def docstrings():
    """Name and docstring of every function and class of the package."""
    for path in sorted((ROOT / "deepsvdd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                yield node.name, ast.get_docstring(node) or ""


def test_docstrings_name_places_of_the_book_that_exist():
    named = {}
    for name, text in docstrings():
        for label, chapter in re.findall(r"In the book: ([\w-]+) \(([\w-]+)\)", text):
            text = "\n".join(map(source_of, cells_of(ROOT / f"book/{chapter}.ipynb")))
            assert f"({label})=" in text or f":label: {label}\n" in text, name
            named[name] = label
    method = (
        *("squared_distances", "one_class_loss", "soft_boundary_loss"),
        *("optimal_radius", "initial_center", "check_architecture", "roc_auc"),
        *("pretrain_autoencoder", "train_hypersphere", "DeepSVDD", "Preprocessor"),
    )
    assert set(method) <= set(named)


def test_pages_link_the_places_that_docstrings_name(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    in_the_book = importlib.import_module("in_the_book")
    lines = ["In the book: sec-a (01-b).", "In the book: c-d (01-b).", "In the book."]
    in_the_book.link(None, "function", "f", None, {}, lines)
    assert lines == [
        "In the book: :ref:`sec-a`.",
        "In the book: :prf:ref:`c-d`.",
        "In the book.",
    ]
    field = namedtuple("Pair", "first").first
    assert in_the_book.skip(None, "class", "first", field, False, {}) is True
    assert in_the_book.skip(None, "class", "f", len, False, {}) is None


def test_lines_break_neither_before_a_sign_nor_behind_a_formula(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "book/_ext"))
    nodes = pytest.importorskip("docutils.nodes")
    keep_together = importlib.import_module("keep_together")
    document = importlib.import_module("docutils.utils").new_document("page")
    document += nodes.paragraph(
        "",
        "",
        nodes.math("", "c"),
        nodes.Text(", of 7 + 7 epochs and 95 %"),
        nodes.literal("", "7 + 7"),
        nodes.Text(", and "),
        nodes.math("", "k"),
        nodes.Text("-th but "),
        nodes.math("", "k"),
        nodes.Text(" of 5 × 5"),
    )
    keep_together.KeepTogether(document).run()
    space = "\N{NO-BREAK SPACE}"
    assert document.astext() == (
        f"c, of 7{space}+{space}7 epochs and 95{space}%7 + 7, and k-th but k of"
        f" 5{space}×{space}5"
    )
    joined = [node.astext() for node in document.findall(nodes.inline)]
    assert joined == ["c,", "k-th"]


def test_the_configuration_names_the_repository():
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
    assert config["repository"]["url"] == repository()


# --- the built book ---------------------------------------------------------------


class Visit:
    """What there is to see of a page, in one visit: to typeset it takes seconds."""

    def __init__(self, page, address):
        responses = []
        page.on("response", lambda response: responses.append(response))
        page.set_viewport_size({"width": 390, "height": 844})
        self.ok = page.goto(address, wait_until="networkidle").ok
        self.sizes = {
            response.url: len(response.body()) for response in responses if response.ok
        }
        self.width = page.evaluate("document.documentElement.scrollWidth")
        self.pictures = page.evaluate(
            "[...document.images].every(i => i.alt && i.naturalWidth)"
        )
        self.links = page.evaluate(
            "[...document.querySelectorAll('a[href]')].map(a => a.href)"
        )
        self.places = set(
            page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
        )
        content = "document.querySelector('meta[{}=\"{}\"]')?.content"
        self.description = page.evaluate(content.format("name", "description"))
        self.preview = page.evaluate(content.format("property", "og:image"))
        self.formulas = page.locator("mjx-container").count()
        self.wrong_formulas = page.locator("mjx-merror").count()
        plain = "article .math:not(:has(mjx-container))"
        self.plain_formulas = page.locator(plain).count()
        self.problems = list(page.problems)
        page.set_viewport_size({"width": 1280, "height": 720})
        page.wait_for_selector("html[data-reachable]", state="attached")
        self.findings = findings(page)


@pytest.fixture(scope="module")
def visits(browser, site):
    """A page by its name, visited when it is first asked for."""

    @functools.cache
    def visit(name):
        with watched(browser, site) as page:
            return Visit(page, f"{site}/{name}.html")

    return visit


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_alone_and_fits_a_phone(visits, name):
    visit = visits(name)
    assert visit.ok
    assert visit.problems == []
    assert visit.width <= 390
    assert visit.pictures


@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(visits, name):
    assert visits(name).findings == {}


def test_unreadable_code_is_found(page, site):
    page.goto(f"{site}/03-deep-svdd.html", wait_until="networkidle")
    page.wait_for_selector("html[data-reachable]", state="attached")
    page.add_style_tag(content="pre span.k { color: #999 !important }")
    assert list(findings(page)) == ["color-contrast"]


@pytest.mark.parametrize("name", CHAPTERS)
def test_page_is_light_and_described(visits, name):
    visit = visits(name)
    # Scripts, styles and fonts are the theme's, and loaded once for all pages.
    shared = ("/_static/", "/vendor/")
    own = [
        size
        for url, size in visit.sizes.items()
        if not any(part in url for part in shared)
    ]
    assert 0 < sum(own) <= 1.5e6
    assert len(visit.description) > 40
    assert visit.preview


def test_mathematics_is_rendered(visits):
    for name in CHAPTERS:
        assert visits(name).wrong_formulas == 0, name
        assert visits(name).plain_formulas == 0, name
    assert visits("quickstart").formulas > 5


def test_internal_links_and_anchors_resolve(page, visits, site):
    links = {link for name in CHAPTERS for link in visits(name).links}
    anchors = {}
    for target in links:
        if target.startswith(site):
            address, _, anchor = target.partition("#")
            anchors.setdefault(address, set()).add(anchor)
    pages = {f"{site}/{name}.html": name for name in PAGES}
    for address in sorted(anchors):
        wanted = anchors[address] - {""}
        if address in pages:
            assert visits(pages[address]).ok, address
            missing = wanted - visits(pages[address]).places
        elif wanted and address.endswith(".html"):
            assert page.goto(address).ok, address
            missing = page.evaluate(
                "ids => ids.filter(id => !document.getElementById(id))", sorted(wanted)
            )
        else:
            assert page.request.get(address).ok, address
            missing = False
        assert not missing, address


def test_wide_figures_scroll_on_a_phone_and_keep_their_type_readable(page, site):
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(f"{site}/10-evaluation.html", wait_until="networkidle")
    page.wait_for_selector("html[data-reachable]", state="attached")
    frame = page.locator("#fig-roc-pr .wide")
    assert frame.evaluate("e => e.scrollWidth - e.clientWidth") > 100
    assert frame.locator("img").evaluate("e => e.clientWidth") == 600
    assert frame.evaluate("e => e.tabIndex") == 0
    caption = page.locator("#fig-roc-pr figcaption")
    assert caption.evaluate("e => e.getBoundingClientRect().right") <= 390


def test_search_finds_a_term(page, site):
    page.goto(f"{site}/search.html?q=threshold", wait_until="networkidle")
    page.wait_for_selector("#search-results li")
    assert "quickstart" in page.inner_html("#search-results")


def test_the_theme_can_be_switched(page, site):
    page.goto(f"{site}/welcome.html", wait_until="networkidle")
    before = page.evaluate("document.documentElement.dataset.mode")
    page.locator("button.theme-switch-button").first.click()
    assert page.evaluate("document.documentElement.dataset.mode") != before


def test_a_guess_is_compared_with_what_was_measured(page, site):
    page.goto(f"{site}/surprises.html", wait_until="networkidle")
    boxes = page.locator(".guess").all()
    written = text_of(ROOT / "book/surprises.ipynb").count("{guess}")
    assert len(boxes) == written >= 8
    for box in boxes:
        slider, says = box.locator("input"), box.locator("output")
        low, high = (float(slider.get_attribute(end)) for end in ("min", "max"))
        answer = box.locator("details strong").first.text_content()
        measured = float(re.match(r"[\d.]+", answer.replace(",", ""))[0])
        assert low <= measured <= high
        assert says.text_content().startswith("Your guess:")
        slider.focus()
        page.keyboard.press("End")
        page.keyboard.press("ArrowLeft")
        guess = float(slider.input_value())
        assert low < guess < high
        box.locator("summary").click()
        slider.wait_for(state="visible")
        page.wait_for_function(
            "b => b.querySelector('input').disabled", arg=box.element_handle()
        )
        found = [float(n) for n in re.findall(r"[\d.]*\d", says.text_content())]
        assert found == [guess, measured]


def test_without_a_script_a_guess_is_a_question_with_a_folded_answer(browser, site):
    with watched(browser, site, java_script_enabled=False) as page:
        page.goto(f"{site}/surprises.html")
        box = page.locator(".guess").first
        assert not box.locator("input").is_visible()
        assert not box.locator("details p").first.is_visible()
        box.locator("summary").click()
        assert box.locator("details p").first.is_visible()


@pytest.mark.parametrize(
    ("options", "text", "told"),
    [
        ("", "12 images", "in bold"),
        (":low: 5\n:high: 5\n", "**5** images", "low must be below high; got 5 and 5"),
        (":step: 101\n", "**5** images", "step must be above 0 and at most 100"),
    ],
)
def test_a_guess_that_cannot_work_stops_the_build(tmp_path, options, text, told):
    from sphinx.testing.util import SphinxTestApp

    (tmp_path / "conf.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(ROOT / 'book/_ext')!r})\n"
        "extensions = ['myst_parser', 'sphinx_design', 'guess']\n"
    )
    (tmp_path / "index.md").write_text(
        f"# T\n\n```{{guess}} How many?\n{options}\n{text}\n```\n"
    )
    app = SphinxTestApp(srcdir=tmp_path, warningiserror=False)
    try:
        app.build()
        assert told in app.warning.getvalue()
    finally:
        app.cleanup()
