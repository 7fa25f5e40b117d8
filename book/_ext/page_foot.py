"""The foot of each page: when it was last changed, and how to cite it.

The date is that of the page's last commit. Where git cannot know it (no git, no
checkout, a shallow one, whose oldest commit seems to have made every file) there is
none. What is cited comes from CITATION.cff and _config.yml.
"""

import subprocess
from datetime import date
from html import escape
from pathlib import Path

import yaml

CITATION = Path(__file__).parents[2] / "CITATION.cff"


def git(folder, *words):
    """Return what a command of git prints, or "" where it fails or is missing."""
    command = ["git", "-C", str(folder), "-c", "core.quotePath=off", *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")
    except OSError:
        return ""
    return done.stdout if done.returncode == 0 else ""


def last_changes(folder):
    """Return the date of the last commit of each file, by its name in a folder."""
    if git(folder, "rev-parse", "--is-shallow-repository").strip() != "false":
        return {}
    log = git(folder, "log", "--format=@%cs", "--name-only", "--relative", "--", ".")
    found, day = {}, None
    for line in log.splitlines():
        if line.startswith("@"):
            day = date.fromisoformat(line[1:])
        elif line:
            found.setdefault(line, day)  # the log begins with the newest
    return found


def last_change(app, page):
    """Return the date of a page's last commit, or None."""
    if not hasattr(app, "last_changes"):  # one call of git for all pages
        app.last_changes = last_changes(app.srcdir)
    return app.last_changes.get(app.env.doc2path(page, base=False))


def foot(title, address, book, year, changed=None):
    """Return a page's foot as HTML."""
    cited = yaml.safe_load(CITATION.read_text("utf-8"))
    authors = "; ".join(
        author.get("name") or f"{author['family-names']}, {author['given-names']}"
        for author in cited["authors"]
    )
    parts = ['<footer class="page-foot" aria-label="About this page">']
    if changed:
        day = f"{changed.day} {changed:%B %Y}"
        parts += f'<p>Last changed on <time datetime="{changed}">{day}</time>.</p>'
    parts += (
        f"<p>Cite this page: {escape(authors)} ({escape(str(year))}). "
        f"“{escape(title)}”. In <em>{escape(book)}</em>, version "
        f'{escape(str(cited["version"]))}. <a href="{escape(address)}">'
        f"{escape(address)}</a>. {escape(cited['license'])} license.</p></footer>"
    )
    return "".join(parts)


def add_foot(app, page, template, context, doctree):
    """Add the foot to pages that somebody wrote, not to the index or the search."""
    if doctree is None or app.builder.format != "html":
        return
    title = app.env.titles[page].astext()
    if number := app.env.toc_secnumbers.get(page, {}).get(""):
        title = f"{'.'.join(map(str, number))}. {title}"
    context["body"] += foot(
        title=title,
        address=app.config.html_baseurl + app.builder.get_target_uri(page),
        book=app.config.html_title,
        year=app.config.copyright,
        changed=last_change(app, page),
    )


def setup(app):
    """Come before the templates, after everything that makes the body."""
    app.connect("html-page-context", add_foot, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
