"""Readers' notebooks: each chapter as plain Markdown and code, for Colab and Jupyter.

A chapter's source is written for Sphinx: its roles and directives mean nothing to other
programs. When a page is written, this extension writes ``notebooks/NAME.ipynb`` beside
it, in which all of them are resolved: values, citations, references, numbers, boxes,
exercises, quizzes. Outputs are kept. Code that only checks the text is left out, and
solutions are folded.

``plain`` writes the resolved document as Markdown, ``cells`` chooses what to keep of
the code, ``assemble`` makes the notebook of both. The buttons of a page, Colab and
download, lead to its reader's notebook; the workflow that publishes the book pushes
them to a branch of their own, ``notebooks``.
"""

from pathlib import Path
from urllib.parse import urljoin, urlsplit

import nbformat
from sphinx.util.osutil import ensuredir

from deepsvdd.course.build import release
from deepsvdd.course.source import read_assignments
from readers.assemble import assemble, neighbours
from readers.plain import Place

FOLDER = "notebooks"  # in the site
BRANCH = "notebooks"  # of the repository, with the same files


def is_notebook(app, page):
    """Tell whether a page's source is a notebook."""
    return page in app.env.all_docs and app.env.doc2path(page).endswith(".ipynb")


def title_of(app, page):
    """Return a page's title with its number."""
    number = app.env.toc_secnumbers.get(page, {}).get("", ())
    title = app.env.titles[page].astext()
    return f"{'.'.join(map(str, number))}. {title}" if number else title


def colab(app, page):
    """Return the address that opens a page's notebook in Colab."""
    options = app.config.html_theme_options
    slug = urlsplit(options["repository_url"]).path
    address = options["launch_buttons"]["colab_url"]
    return f"{address}/github{slug}/blob/{BRANCH}/{page}.ipynb"


def write(app, doctree, page):
    """Write the reader's notebook of a page, now that all references are resolved."""
    if not is_notebook(app, page) or app.builder.format != "html":
        return
    source = nbformat.read(app.env.doc2path(page), as_version=4)
    place = Place(
        page=page,
        address=urljoin(app.config.html_baseurl, f"{page}.html"),
        pictures=f"{app.config.html_theme_options['repository_url']}/raw/main/book/",
        numbers=app.env.toc_fignumbers.get(page, {}),
        equations=app.env.get_domain("math").equations,
    )
    links = neighbours(
        app,
        page,
        title=lambda other: title_of(app, other),
        address=lambda other: urljoin(app.config.html_baseurl, f"{other}.html"),
        colab=lambda other: colab(app, other) if is_notebook(app, other) else None,
    )
    notebook = assemble(doctree, source, place, title_of(app, page), links)
    target = Path(app.outdir, FOLDER, f"{page}.ipynb")
    ensuredir(target.parent)
    nbformat.write(notebook, target)


def write_assignments(app, error):
    """Write the assignments as students get them: without solutions."""
    if error or app.builder.format != "html":
        return
    target = Path(app.outdir, FOLDER, "assignments")
    ensuredir(target)
    for assignment in read_assignments([Path(app.srcdir, "assignments")]):
        nbformat.write(release(assignment), target / f"{assignment.name}.ipynb")


def buttons(app, page, template, context, doctree):
    """Let the buttons of a page lead to its reader's notebook."""
    if not is_notebook(app, page):
        return
    download = context["pathto"](f"{FOLDER}/{page}.ipynb", resource=True)
    todo = list(context.get("header_buttons", ()))
    for button in todo:
        todo += button.get("buttons", ())
        if "/blob/main/" in button.get("url", "") and "colab" in button["url"]:
            button["url"] = colab(app, page)
        if button.get("label") == "download-source-button":
            button["url"] = download


def setup(app):
    """Come last, when others have resolved references, and made the buttons."""
    app.connect("doctree-resolved", write, priority=999)
    app.connect("html-page-context", buttons, priority=999)
    app.connect("build-finished", write_assignments)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
