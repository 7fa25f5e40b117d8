"""Print the built book into one PDF: ``make pdf``.

    python book/paper.py                         _build/html to _build/deepsvdd-book.pdf
    python book/paper.py HTML PDF PAGE…          some pages, as 03-deep-svdd

A browser prints the pages, as print.css says. Then they are put behind a contents, and
numbered; links between them lead to places of the PDF, others to the published book.
"""

import argparse
import html
import io
from pathlib import Path

import yaml
from browser import chromium, served
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, FloatObject, NameObject, NullObject

BOOK = Path(__file__).parent
CONFIG = yaml.safe_load((BOOK.parent / "_config.yml").read_text("utf-8"))
CITATION = yaml.safe_load((BOOK.parent / "CITATION.cff").read_text("utf-8"))
PAPER = {
    "format": "A4",
    "margin": {"top": "18mm", "bottom": "22mm", "left": "18mm", "right": "18mm"},
    "print_background": True,
}
# Chromium writes down the places that a link of the same page leads to, and no others.
NOTE_PLACES = """ids => {
  const box = document.createElement("div");
  box.style.cssText = "font-size: 1px; line-height: 0; color: transparent";
  for (const id of ids) {
    if (document.getElementById(id)) {
      const link = document.createElement("a");
      link.href = "#" + id;
      link.textContent = ".";
      box.append(link);
    }
  }
  document.querySelector("article").append(box);
}"""
SECTIONS = """[...document.querySelectorAll("article section > h2")].map(
  heading => [heading.firstChild.textContent, heading.parentElement.id]
)"""
LINKS = "[...document.querySelectorAll('article a[href]')].map(a => a.href)"
FRONT = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
  body {{ font: 11pt/1.5 sans-serif }}
  header {{ margin-top: 6cm; break-after: page }}
  h1 {{ font-size: 26pt; line-height: 1.2 }}
  h2 {{ font-size: 13pt; margin: 1.2em 0 0.2em; break-after: avoid }}
  p.entry {{ display: flex; gap: 1em; margin: 0; justify-content: space-between }}
  a {{ color: inherit; text-decoration: none }}
</style>
<header><h1>{title}</h1><p>{author}</p><p>Version {version}, {license} license<br>
{address}</p></header><h1>Contents</h1>{entries}</html>"""


class Printed:
    """A page of the book as the browser printed it."""

    def __init__(self, name, title, data, sections=()):
        self.name, self.title, self.sections = name, title, sections
        self.reader = PdfReader(io.BytesIO(data))
        self.places = self.reader.named_destinations
        self.first = 0  # the number of its first sheet in the PDF, from 0

    def place(self, anchor):
        """Return a sheet's number in the PDF and the height on it, or None for top."""
        found = self.places.get(f"/{anchor}") or self.places.get(anchor)
        if found is None:
            return self.first, None
        sheet = self.reader.get_destination_page_number(found)
        return self.first + sheet, found.top


def parts():
    """List the parts of the book: a caption, and its pages."""
    toc = yaml.safe_load((BOOK / "_toc.yml").read_text("utf-8"))
    listed = [(part["caption"], part["chapters"]) for part in toc["parts"]]
    return [
        (None, [toc["root"]]),
        *((caption, [page["file"] for page in pages]) for caption, pages in listed),
    ]


def anchors(browser, site, names):
    """Collect the places that pages link to, by the page in which they are."""
    page = browser.new_page()
    found = {name: set() for name in names}
    for name in names:
        page.goto(f"{site}/{name}.html", wait_until="domcontentloaded")
        for link in page.evaluate(LINKS):
            address, _, anchor = link.partition("#")
            target = address.removeprefix(f"{site}/").removesuffix(".html")
            if anchor and target in found:
                found[target].add(anchor)
    page.close()
    return found


def print_pages(browser, site, names):
    """Print pages; return them, and the address of the published book."""
    places = anchors(browser, site, names)
    page = browser.new_page(color_scheme="light")
    printed = []
    for name in names:
        page.goto(f"{site}/{name}.html", wait_until="networkidle")
        page.evaluate("window.MathJax?.startup.promise.then(() => null)")
        sections = page.evaluate(SECTIONS)
        wanted = places[name] | {anchor for _, anchor in sections}
        page.evaluate(NOTE_PLACES, sorted(wanted))
        title = page.title().rpartition(" — ")[0]
        printed.append(Printed(name, title, page.pdf(**PAPER), sections))
    own = page.evaluate("document.querySelector('link[rel=canonical]').href")
    page.close()
    return printed, own.rpartition("/")[0]


def front(browser, chapters, address):
    """Print the title and the contents; their own length moves the chapters."""
    pages, length = {chapter.name: chapter for chapter in chapters}, 0
    page = browser.new_page()
    while True:
        first = length
        for chapter in chapters:
            chapter.first = first
            first += len(chapter.reader.pages)
        entries = []
        for caption, names in parts():
            shown = [pages[name] for name in names if name in pages]
            if caption and shown:
                entries.append(f"<h2>{html.escape(caption)}</h2>")
            entries += (
                f'<p class="entry"><a href="http://contents/{chapter.name}">'
                f"{html.escape(chapter.title)}</a><span>{chapter.first + 1}</span>"
                for chapter in shown
            )
        page.set_content(
            FRONT.format(
                title=html.escape(CONFIG["title"]),
                author=html.escape(CONFIG["author"]),
                version=CITATION["version"],
                license=CITATION["license"],
                address=html.escape(address),
                entries="\n".join(entries),
            )
        )
        printed = Printed("", "Contents", page.pdf(**PAPER))
        if len(printed.reader.pages) == length:
            page.close()
            return printed
        length = len(printed.reader.pages)


def numbers(browser, count):
    """Print empty sheets with their numbers."""
    page = browser.new_page()
    page.set_content('<p style="break-after: page">&nbsp;</p>' * count)
    label = '<p style="font-size: 9px; width: 100%; text-align: center">{}</p>'
    numbered = {
        "display_header_footer": True,
        "header_template": "<span></span>",
        "footer_template": label.format('<span class="pageNumber"></span>'),
    }
    return PdfReader(io.BytesIO(page.pdf(**PAPER | numbered)))


def redirect(writer, chapter, chapters, site, address):
    """Turn a chapter's links into places of the PDF, or of the published book."""
    pages = {other.name: other for other in chapters}
    for number in range(chapter.first, chapter.first + len(chapter.reader.pages)):
        for item in writer.pages[number].get("/Annots") or ():
            annotation = item.get_object()
            action = annotation.get("/A", {})
            uri = str(action.get("/URI", ""))
            inside = annotation.get("/Dest") or action.get("/D")
            if isinstance(inside, str):
                go_to(writer, annotation, *chapter.place(inside.removeprefix("/")))
            elif uri.startswith((f"{site}/", "http://contents/")):
                target, _, anchor = uri.partition("#")
                target = target.split("/", 3)[3]
                if other := pages.get(target.removesuffix(".html")):
                    go_to(writer, annotation, *other.place(anchor))
                else:
                    action[NameObject("/URI")] = type(action["/URI"])(
                        uri.replace(site, address, 1)
                    )


def go_to(writer, annotation, sheet, top):
    """Let a link lead to a sheet of the PDF."""
    height = NullObject() if top is None else FloatObject(top)
    page = writer.pages[sheet].indirect_reference
    annotation.pop("/A", None)
    annotation[NameObject("/Dest")] = ArrayObject(
        [page, NameObject("/XYZ"), NullObject(), height, NullObject()]
    )


def add_outline(writer, chapters):
    """Give the PDF an outline: parts, their chapters, the chapters' sections."""
    pages = {chapter.name: chapter for chapter in chapters}

    def add(title, sheet, parent):
        return writer.add_outline_item(title=title, page_number=sheet, parent=parent)

    for caption, names in parts():
        shown = [pages[name] for name in names if name in pages]
        part = add(caption, shown[0].first, None) if caption and shown else None
        for chapter in shown:
            item = add(chapter.title, chapter.first, part)
            for title, anchor in chapter.sections:
                add(title, chapter.place(anchor)[0], item)


def print_book(folder, target, names):
    """Print pages of the built book in a folder into one PDF."""
    writer = PdfWriter()
    with served(folder) as site, chromium() as browser:
        chapters, address = print_pages(browser, site, names)
        contents = front(browser, chapters, address)
        for printed in (contents, *chapters):
            writer.append(printed.reader, import_outline=False)
        stamps = numbers(browser, len(writer.pages))
    for number, page in enumerate(writer.pages):
        if number:
            page.merge_page(stamps.pages[number])
    for printed in (contents, *chapters):
        redirect(writer, printed, chapters, site, address)
    add_outline(writer, chapters)
    writer.add_metadata({"/Title": CONFIG["title"], "/Author": CONFIG["author"]})
    writer.compress_identical_objects()
    target.parent.mkdir(parents=True, exist_ok=True)
    writer.write(target)


def main():
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    build = BOOK.parent / "_build"
    parser.add_argument("html", nargs="?", type=Path, default=build / "html")
    parser.add_argument(
        "pdf", nargs="?", type=Path, default=build / "deepsvdd-book.pdf"
    )
    parser.add_argument("page", nargs="*")
    given = parser.parse_args()
    names = given.page or [name for _, pages in parts() for name in pages]
    print_book(given.html, given.pdf, names)


if __name__ == "__main__":
    main()
