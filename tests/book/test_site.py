"""The book as published, as opened from a disk, and on paper, in a real browser."""

import importlib.util
import io
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from tests import ROOT
from tests.book.conftest import browsers, findings, watched

pytest.importorskip("pypdf")
sys.path.insert(0, str(ROOT / "book"))
import offline
import paper
import pypdf

SPEC = importlib.util.spec_from_file_location("publish", ROOT / ".github/publish.py")
publish = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(publish)
FOLDER = "deepsvdd-book"  # as the repository is called, and the site's first folder
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
PICTURES = "[...document.images].every(i => i.naturalWidth)"


class LikeGitHub(browsers.Quiet):
    """A server that shows the site's page 404 for whatever is not there."""

    def do_GET(self):
        if self.path == "/favicon.ico":  # the machine's, not the site's
            self.send_response(204)
            self.end_headers()
        else:
            super().do_GET()

    def send_error(self, code, message=None, explain=None):
        body = Path(self.directory, FOLDER, "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def home(built, tmp_path_factory):
    """The published site: latest, v0.2 and, as its copy, stable."""
    folder = tmp_path_factory.mktemp("published")
    site = folder / FOLDER
    site.mkdir()
    _, own = publish.own_address(built)
    for name, tag in (("latest", "main"), ("v0.2", "v0.2.0")):
        made = folder / "made"
        shutil.copytree(built, made)
        for path in (made / "404.html", made / "sitemap.xml"):
            path.write_text(path.read_text("utf-8").replace(f"/{own}/", f"/{name}/"))
        (made / "students.html").unlink() if name == "v0.2" else None
        publish.publish(made, site, tag)
        shutil.rmtree(made)
    with browsers.served(folder, LikeGitHub) as address:
        yield f"{address}/{FOLDER}"


@pytest.fixture
def visit(browser, home):
    with watched(browser, home) as page:
        yield page


# --- published --------------------------------------------------------------------


def test_the_front_leads_to_stable(visit, home):
    visit.goto(f"{home}/", wait_until="networkidle")
    visit.wait_for_url(f"{home}/stable/welcome.html")
    visit.goto(f"{home}/05-data.html")
    visit.wait_for_url(f"{home}/stable/05-data.html")
    assert visit.problems == []


def test_the_switch_leads_to_the_same_page(visit, home):
    visit.goto(f"{home}/latest/05-data.html#recap", wait_until="networkidle")
    select = visit.get_by_label("Version of the book")
    select.wait_for()  # it comes with versions.json
    shown = select.locator("option").all_text_contents()
    assert shown == ["stable (0.2.0)", "latest", "v0.2"]
    assert select.input_value() == "latest"
    select.select_option("v0.2")
    visit.wait_for_url(f"{home}/v0.2/05-data.html#recap")
    assert visit.get_by_label("Version of the book").input_value() == "v0.2"
    assert visit.problems == []


def test_the_switch_leads_to_the_beginning_where_the_page_is_missing(visit, home):
    visit.goto(f"{home}/latest/students.html", wait_until="networkidle")
    visit.get_by_label("Version of the book").select_option("v0.2")
    visit.wait_for_url(f"{home}/v0.2/welcome.html")
    assert visit.problems == []


def test_the_switch_waits_for_enter(visit, home):
    visit.goto(f"{home}/latest/notation.html", wait_until="networkidle")
    select = visit.get_by_label("Version of the book")
    select.focus()
    # Where the browser tells of it: leaving begins while the key is being handled.
    visit.evaluate(
        "left = 0; window.navigation?.addEventListener('navigate', () => left++)"
    )
    visit.keyboard.press("ArrowDown")
    visit.wait_for_function("document.activeElement.value === 'v0.2'")
    assert visit.evaluate("left") == 0
    assert visit.url == f"{home}/latest/notation.html"
    assert select.input_value() == "v0.2"
    visit.keyboard.press("Enter")
    visit.wait_for_url(f"{home}/v0.2/notation.html")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["stable/notation.html", "no/such/page.html"])
def test_the_switch_and_the_page_404_are_accessible(browser, home, name, scheme):
    size = {"width": 390, "height": 844}
    with watched(browser, home, color_scheme=scheme, viewport=size) as page:
        page.goto(f"{home}/{name}", wait_until="networkidle")
        page.get_by_label("Version of the book").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        assert findings(page) == {}


def test_where_there_are_no_versions_there_is_no_switch(page, site):
    page.goto(f"{site}/05-data.html", wait_until="networkidle")
    assert page.locator("select.versions").count() == 0
    assert page.problems == []


@pytest.mark.parametrize("place", ["nothing", "latest/nothing.html", "v0.2/a/b/"])
def test_the_page_404_has_all_it_needs(visit, home, place):
    failed = []
    visit.on("response", lambda r: None if r.ok else failed.append(r.url))
    visit.goto(f"{home}/{place}", wait_until="networkidle")
    assert failed == [f"{home}/{place}"]
    assert visit.evaluate(PICTURES)
    links = visit.locator("article li a")
    assert links.count() == len([page for _, pages in paper.parts() for page in pages])
    visit.locator("article").get_by_label("Search this book").fill("hypersphere")
    visit.keyboard.press("Enter")
    visit.wait_for_url(f"{home}/stable/search.html?q=hypersphere")
    visit.wait_for_selector("#search-results li")


def test_search_works_below_folders(visit, home):
    visit.goto(f"{home}/latest/search.html?q=threshold", wait_until="networkidle")
    visit.wait_for_selector("#search-results li")
    found = visit.locator("#search-results li a").evaluate_all(
        "a => a.map(x => x.href)"
    )
    assert all(link.startswith(f"{home}/latest/") for link in found)
    assert any("quickstart" in link for link in found)
    assert visit.problems == []


def test_every_page_has_its_address_and_can_be_cited(built):
    base, folder = publish.own_address(built)
    space = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
    sitemap = ElementTree.parse(built / "sitemap.xml")
    listed = [location.text for location in sitemap.iter(f"{space}loc")]
    pages = [page for _, pages in paper.parts() for page in pages]
    assert listed == [f"{base}{folder}/{page}.html" for page in pages]
    for page, address in zip(pages, listed, strict=True):
        text = (built / f"{page}.html").read_text("utf-8")
        assert f'<link rel="canonical" href="{address}"' in text
        (foot,) = re.findall(r'<footer class="page-foot".*?</footer>', text)
        assert f'<a href="{address}">' in foot
        assert f"version {CITATION['version']}." in foot


# --- from a disk ------------------------------------------------------------------


@pytest.fixture(scope="module")
def unpacked(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("disk")
    offline.pack(built, folder / "deepsvdd-book.zip")
    with zipfile.ZipFile(folder / "deepsvdd-book.zip") as archive:
        archive.extractall(folder)
    return (folder / "deepsvdd-book").as_uri()


def test_the_book_opens_from_a_disk(browser, unpacked):
    with watched(browser, unpacked) as page:
        page.goto(f"{unpacked}/index.html")
        page.wait_for_url(f"{unpacked}/welcome.html")
        page.goto(f"{unpacked}/03-deep-svdd.html", wait_until="networkidle")
        page.wait_for_selector("mjx-container")
        assert page.locator("article .math:not(:has(mjx-container))").count() == 0
        # A formula in a fallback font is not what was typeset.
        assert page.evaluate("document.fonts.check('16px MJXTEX-I')")
        assert page.evaluate(PICTURES)
        assert page.locator("select.versions").count() == 0
        assert page.problems == []


def test_search_works_from_a_disk(browser, unpacked):
    with watched(browser, unpacked) as page:
        page.goto(f"{unpacked}/search.html?q=threshold", wait_until="networkidle")
        page.wait_for_selector("#search-results li")
        assert "quickstart" in page.inner_html("#search-results")


# --- on paper ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["03-deep-svdd", "10-evaluation", "api"])
def test_nothing_is_folded_or_cut_on_paper(page, site, name):
    page.set_viewport_size({"width": 660, "height": 930})  # A4 without its margins
    page.goto(f"{site}/{name}.html", wait_until="networkidle")
    page.emulate_media(media="print", color_scheme="dark")
    folded = page.locator("details:not([open])").count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator("details:not([open])").count() == 0
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    wide = page.evaluate(
        "[...document.querySelectorAll('article pre, article img, article table')]"
        ".filter(x => x.scrollWidth > x.clientWidth + 1 || x.getBoundingClientRect()"
        ".right > innerWidth).map(x => x.outerHTML.slice(0, 200))"
    )
    assert wide == []
    for part in ("#pst-primary-sidebar", ".prev-next-area", ".copybtn", "a.headerlink"):
        assert not page.locator(part).first.is_visible()
    for answer in page.locator(".quiz fieldset > div").all():
        assert answer.is_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() == folded


def test_the_summary_is_one_sheet(page, site):
    page.goto(f"{site}/summary.html", wait_until="networkidle")
    page.wait_for_selector("mjx-container")
    assert len(pypdf.PdfReader(io.BytesIO(page.pdf(**paper.PAPER))).pages) == 1


def text_of(page):
    return re.sub(r"\s+", " ", page.extract_text())


def test_the_pdf_is_a_book(built, tmp_path):
    command = [sys.executable, ROOT / "book/paper.py", built, tmp_path / "book.pdf"]
    subprocess.run([*command, "02-kernel-svdd", "references"], check=True)
    book = pypdf.PdfReader(tmp_path / "book.pdf")
    assert book.metadata.title == paper.CONFIG["title"]
    cover, contents, *pages = book.pages
    assert CITATION["version"] in text_of(cover)
    # Where the contents say that a chapter begins, there it begins.
    (start,) = re.findall(r"References (\d+)", text_of(contents))
    assert "References" in text_of(book.pages[int(start) - 1])
    assert text_of(book.pages[int(start) - 1]).rstrip().endswith(start)
    (link, *_) = (a.get_object() for a in contents["/Annots"])
    assert link["/Dest"][0].get_object() == pages[0].get_object()

    whole = " ".join(map(text_of, pages))
    assert "Hide the solution" not in whole
    assert "a fresh sample, not equal to any of them" in whole.lower()  # a solution
    assert "Right." in whole  # a quiz
    outline = book.outline
    assert [item.title for item in outline if not isinstance(item, list)] == [
        "Part I: Theory",
        "Appendices",
    ]
    titles = [item.title for item in outline[1][1]]
    assert "The dual problem" in titles

    # Citations lead to the bibliography, what is not printed to the site.
    first = int(start) - 1
    targets = [book.get_page_number(d["/Dest"][0].get_object()) for d in linked(pages)]
    assert any(number >= first for number in targets)
    addresses = [
        str(a["/A"]["/URI"]) for p in pages for a in annotations(p) if "/A" in a
    ]
    assert not [address for address in addresses if "127.0.0.1" in address]
    assert any("/03-deep-svdd.html" in address for address in addresses)


def annotations(page):
    return [a.get_object() for a in page.get("/Annots") or ()]


def linked(pages):
    return [a for page in pages for a in annotations(page) if "/Dest" in a]
