"""A browser for the book's tests and its PDF, and a server for it to look at."""

import contextlib
import functools
import http.server
import shutil
import threading
from pathlib import Path

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)
NO_BROWSER = "no browser: apt-get install chromium, or playwright install chromium"


def browser_path():
    """Return the path of a Chromium, or None."""
    for name in ("chromium", "google-chrome"):
        if path := shutil.which(name):
            return path
    with contextlib.suppress(Exception):
        from playwright.sync_api import sync_playwright

        with sync_playwright() as playwright:
            if Path(playwright.chromium.executable_path).exists():
                return playwright.chromium.executable_path
    return None


@contextlib.contextmanager
def chromium():
    """Start the browser."""
    from playwright.sync_api import sync_playwright

    path = browser_path()
    if path is None:
        raise SystemExit(NO_BROWSER)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A server that logs nothing."""

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder, handler=Quiet):
    """Serve a folder on this machine; the value is its address."""
    handler = functools.partial(handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
