"""What the published copy of the book has besides its pages.

The site holds several versions, a folder each (.github/publish.py). A build knows its
own: "v0.2" if the package's version is a release, else "latest". Its addresses, for
search engines and citations, are in that folder. It brings a page for addresses that
do not exist, and a sitemap.
"""

import re
from html import escape
from pathlib import Path

from page_foot import last_change

from deepsvdd import __version__

NOT_FOUND = """
<h1>Page not found</h1>
<p>There is no page at this address. It may have moved, or belong to another version of
the book. Look for it:</p>
<form action="search.html" method="get" role="search">
<label for="not-found-query">Search this book</label>
<input type="search" id="not-found-query" name="q">
<button type="submit">Search</button>
</form>
<p>Or begin at one of the pages:</p>
"""


def folder_of(version):
    """Return the folder of the site in which a version of the book is published."""
    release = re.fullmatch(r"(\d+\.\d+)\.\d+", version)
    return f"v{release[1]}" if release else "latest"


def set_addresses(app, config):
    """Put the version's folder at the end of the site's address."""
    config.html_baseurl += folder_of(__version__) + "/"
    config.ogp_site_url = config.html_baseurl
    config.ogp_site_name = config.html_title


def pages(app):
    """List the pages in the order of the table of contents, the root first."""
    root = app.config.root_doc
    return [root, *app.env.toctree_includes.get(root, ())]


def not_found(app):
    """Yield the page 404, with all others as links."""
    items = []
    for page in pages(app):
        title = app.env.titles[page].astext()
        number = ".".join(map(str, app.env.toc_secnumbers.get(page, {}).get("", ())))
        label = escape(f"{number}. {title}" if number else title)
        items.append(f'<li><a href="{app.builder.get_target_uri(page)}">{label}</a>')
    body = f'{NOT_FOUND}<ul class="simple">{"</li>".join(items)}</li></ul>'
    yield "404", {"title": "Page not found", "body": body}, "page.html"


def write_sitemap(app, exception):
    """Write the pages' addresses and dates for search engines."""
    if exception or app.builder.format != "html":
        return
    lines = [
        '<?xml version="1.0" encoding="utf-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
    ]
    for page in pages(app):
        address = app.config.html_baseurl + app.builder.get_target_uri(page)
        changed = last_change(app, page)
        date = f"<lastmod>{changed}</lastmod>" if changed else ""
        lines.append(f"<url><loc>{escape(address)}</loc>{date}</url>")
    sitemap = "\n".join([*lines, "</urlset>", ""])
    Path(app.outdir, "sitemap.xml").write_text(sitemap, "utf-8")


def setup(app):
    """Set the addresses before anything reads them."""
    app.connect("config-inited", set_addresses, priority=100)
    app.connect("html-collect-pages", not_found)
    app.connect("build-finished", write_sitemap)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
