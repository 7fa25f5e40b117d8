"""The directive ``{demo}``: a part of a page that the reader can try.

The argument names a folder of ``book/demos``, whose ``main.mjs`` is the program; the
text of the directive says what to try. The page has a button for it: the page's script
(``_static/demos.js``) loads the program when the reader presses it, or when the page's
address has settings for it. ``make vendor`` bundles the programs. Without a script and
on paper the text remains; readers' notebooks have it with a picture, which
``book/figures/live.py`` takes, and a link to the page.
"""

import json
from html import escape
from pathlib import Path
from typing import ClassVar
from urllib.parse import urljoin

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective

PICTURES = "figures/live"
FOLDER = "vendor/demos"  # in the site; the build copies it from _extra


class Demo(SphinxDirective):
    """Show what can be tried, and the button that starts it."""

    required_arguments = 1  # name
    has_content = True
    option_spec: ClassVar = {"title": directives.unchanged_required}

    def run(self):
        """Return text and button as one container."""
        name = self.arguments[0]
        path = Path(self.env.srcdir, "_extra", FOLDER, f"{name}.js")
        if not path.is_file():
            known = sorted(other.stem for other in path.parent.glob("*.js"))
            raise self.error(
                f"the demo must be one of {', '.join(known) or 'none'}, as made by "
                f"`make vendor`; got {name!r}"
            )
        if not (self.content and "title" in self.options):
            raise self.error("a demo needs a title, and a text that says what to try")
        self.env.note_dependency(str(path))  # its size is told
        title = self.options["title"]
        size = f"{max(1, round(path.stat().st_size / 1000))} kB"
        page = f"{self.env.docname}.html#demo-{name}"
        address = urljoin(self.config.html_baseurl, page)
        head = f"{title} " if title.endswith(("?", "!")) else f"{title}. "
        container = nodes.container(classes=["demo"], ids=[f"demo-{name}"])
        container["picture"] = self.picture(name)
        container += nodes.paragraph("", "", nodes.strong(text=head))
        text = self.parse_text_to_nodes("\n".join(self.content))
        if not isinstance(text[0], nodes.paragraph):
            raise self.error("the text of a demo must begin with a paragraph")
        container[0] += text[0].children
        container += text[1:]
        container += nodes.raw(
            "",
            f'<p class="demo-start" hidden data-script="{FOLDER}/{name}.js">'
            f'<button type="button" aria-label="Start: {escape(title)}">Start</button> '
            f"<small>loads {size}, and runs in this page alone</small></p>"
            f'<p class="demo-still">Live at <a href="{escape(address)}">'
            f"{escape(address.partition('://')[2])}</a></p>",
            format="html",
            part="demo",
        )
        return [container]

    def picture(self, name):
        """Return (alt, uri) of the picture for readers' notebooks; None without one."""
        folder = Path(self.env.srcdir, PICTURES)
        texts = folder / "alt.json"
        self.env.note_dependency(str(texts))
        said = json.loads(texts.read_text("utf-8")) if texts.exists() else {}
        return (said[name], f"{PICTURES}/{name}.png") if name in said else None


def setup(app):
    """Register the directive."""
    app.add_directive("demo", Demo)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
