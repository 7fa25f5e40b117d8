"""The built book, served on this machine, and a browser to look at it."""

import contextlib
import fcntl
import os
import subprocess
import sys

import pytest

from tests import PATIENCE, ROOT
from tests.book import live

sys.path.insert(0, str(ROOT / "book"))
import browser as browsers

AXE = ROOT / "_build/npm/node_modules/axe-core/axe.min.js"
# Rules that the theme breaks, and we cannot mend.
THEME_RULES = ("label-content-name-mismatch", "region")
# Contrast takes axe milliseconds an element, and highlighted code has thousands of them
# in ten looks: of each look, one is examined (axe leaves out what is folded away).
EXAMINE = """async theme => {
  const looks = new Set();
  for (const word of document.querySelectorAll("pre span, dt.sig span")) {
    if (!word.checkVisibility()) continue;
    const own = getComputedStyle(word);
    const ground = getComputedStyle(word.closest("pre, dt"));
    const look = [
      own.color, own.backgroundColor, own.fontSize, own.fontWeight, own.opacity,
      ground.backgroundColor, ground.opacity, !!word.closest("a")
    ].join();
    word.toggleAttribute("data-seen", looks.has(look));
    looks.add(look);
  }
  const off = Object.fromEntries(theme.map(id => [id, {enabled: false}]));
  const contrast = {runOnly: ["color-contrast"], resultTypes: ["violations"]};
  const others = {
    rules: {...off, "color-contrast": {enabled: false}}, resultTypes: ["violations"]
  };
  const found = [
    ...(await axe.run({exclude: ["[data-seen]"]}, contrast)).violations,
    ...(await axe.run(others)).violations
  ];
  return Object.fromEntries(
    found.map(({id, nodes}) => [id, nodes.slice(0, 3).map(n => n.html.slice(0, 200))])
  );
}"""
BUILD = "from jupyter_book.cli.main import main; main()"


def build_book():
    """Build the book as `make book` does."""
    subprocess.run(["make", "vendor"], cwd=ROOT, check=True)
    command = [sys.executable, "-c", BUILD, "build", "book"]
    options = ["-W", "--keep-going", "--all"]
    done = subprocess.run(
        [*command, *options], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The folder with the built book, which all processes of a run build once."""
    if browsers.browser_path() is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse(browsers.NO_BROWSER)
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID")
    if run is None:
        build_book()
    else:
        folder = tmp_path_factory.getbasetemp().parent
        done = folder / f"book-{run}"
        with (folder / "book.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                build_book()
                done.touch()
    return ROOT / "_build/html"


@pytest.fixture(scope="module")
def site(built):
    """The address of the built book."""
    with browsers.served(built) as address:
        yield address


@pytest.fixture(scope="module")
def browser(built):
    with browsers.chromium() as browser:
        yield browser


@contextlib.contextmanager
def watched(browser, own, **options):
    """Open a page that notes errors, and requests to anywhere but its own site."""
    page = browser.new_page(**options)
    page.set_default_timeout(1000 * PATIENCE)  # a busy machine is slow
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
            if r.url.startswith((own, "data:", "blob:"))
            else page.problems.append(r.url)
        ),
    )
    yield page
    page.close()


def findings(page):
    """What axe finds on a page, by rule: the beginnings of up to three elements."""
    page.add_script_tag(path=AXE)
    return page.evaluate(EXAMINE, THEME_RULES)


@pytest.fixture
def page(browser, site):
    with watched(browser, site) as page:
        yield page


# --- the live parts: read once, by the tests that ask for them ------------------------


@pytest.fixture
def scores():
    return live.scores()


@pytest.fixture
def detector():
    return live.detector()


@pytest.fixture
def threes():
    return live.digits()
