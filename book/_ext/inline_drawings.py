"""The drawings of ``book/figures/drawn``: in a page as SVG, in the theme's colors.

A picture cannot follow the switch between light and dark; a part of the page does. So
a page gets the file's text. The readers' notebooks, which are written before, and other
viewers of the chapters show the file as the picture that it is.
"""

from html import escape
from pathlib import Path

from docutils import nodes

FOLDER = "figures/drawn/"


def inline(text, alt):
    """Return a file's text as a part of a page, with its description."""
    role = f'<svg class="drawn" role="img" aria-label="{escape(alt)}" '
    return text.strip().replace("<svg ", role, 1)


def replace(app, doctree, page):
    """Put the drawings of a page into it."""
    if app.builder.format != "html":
        return
    for image in list(doctree.findall(nodes.image)):
        if image["uri"].startswith(FOLDER):
            text = Path(app.srcdir, image["uri"]).read_text("utf-8")
            image.replace_self(nodes.raw("", inline(text, image["alt"]), format="html"))


def setup(app):
    """Come after the readers' notebooks."""
    app.connect("doctree-resolved", replace, priority=1000)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
