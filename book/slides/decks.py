"""Make the slides: a folder of HTML files, which need no network, and of PDFs.

    python book/slides/decks.py OUT            all decks of this folder
    python book/slides/decks.py OUT 1 3        some of them

A deck is Markdown (N.md) for Marp, with a heading for each slide and four kinds of
lines of our own, each a paragraph:

    ![](fig-NAME)                  a figure of the book, with its description
    ![low](fig-NAME)               the same beside more text: less high
    ? Which of the two …           a question to the class
    ! Neither, as …                its answer, for the presenter view (key p)
    @ 03-deep-svdd: The center     where it stands in the book; @ task 2 of 3-deep-svdd
"""

import argparse
import base64
import functools
import html
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

HERE = Path(__file__).parent
BOOK = HERE.parent
MARP = BOOK.parent / "_build/npm/node_modules/.bin/marp"
CONFIG = HERE / "marp.yml"
SITE = yaml.safe_load((BOOK.parent / "_config.yml").read_text("utf-8"))["html"][
    "baseurl"
]
FIGURE = re.compile(r"^!\[(low)?\]\((fig-[\w-]+)\)$", re.M)
DRAWN = re.compile(r"^```\{figure\} (\S+\.svg)\n((?::.*\n)*)", re.M)
HEAD = """\
---
marp: true
lang: en
title: {title}
author: {author}
headingDivider: 2
paginate: true
math: mathjax
footer: {footer}
style: |
{style}
---

<!-- _class: title -->

# {title}

{subtitle}

"""


def pages():
    """Return the notebooks of the book by their names."""
    return {path.stem: path for path in sorted(BOOK.glob("*.ipynb"))}


@functools.cache
def cells_of(path):
    return json.loads(path.read_text("utf-8"))["cells"]


@functools.cache
def figures():
    """Return all figures of the book: name → (address of the picture, description)."""
    found = {}
    for path in pages().values():
        for cell in cells_of(path):
            source = "".join(cell["source"])
            shown = cell["metadata"].get("mystnb", {})
            if name := shown.get("figure", {}).get("name"):
                for output in cell["outputs"]:
                    if png := output.get("data", {}).get("image/png"):
                        png = "".join(png).replace("\n", "")
                        alt = shown.get("image", {}).get("alt", "")
                        found[name] = (f"data:image/png;base64,{png}", alt)
            for drawing, options in DRAWN.findall(source):
                fields = dict(re.findall(r"^:(\w+): (.*)$", options, re.M))
                svg = base64.b64encode((BOOK / drawing).read_bytes()).decode()
                found[fields["name"]] = (
                    f"data:image/svg+xml;base64,{svg}",
                    fields.get("alt", ""),
                )
    return found


def sections_of(path):
    """Return a notebook's headings."""
    text = "\n".join(
        "".join(c["source"]) for c in cells_of(path) if c["cell_type"] == "markdown"
    )
    return re.findall(r"^#+ (.*)$", text, re.M)


def figure(match):
    """Return a picture's markup."""
    low, name = match.groups()
    if name not in figures():
        raise ValueError(f"there is no figure {name}")
    address, alt = figures()[name]
    kind = ' class="low"' if low else ""
    return f'<img{kind} src="{address}" alt="{html.escape(alt)}">'


def place(match):
    """Return a pointer to the book or to an assignment."""
    where = match[1].strip()
    if task := re.fullmatch(r"tasks? ([\d ,toand]+) of (\d-[\w-]+)", where):
        path = BOOK / "assignments" / f"{task[2]}.ipynb"
        there = sections_of(path)
        for number in re.findall(r"\d+", task[1]):
            if not any(heading.startswith(f"Task {number}:") for heading in there):
                raise ValueError(f"{task[2]} has no task {number}")
        word = "task" if task[1].isdigit() else "tasks"
        text = f"Assignment {task[2][0]}, {word} {task[1]}"
        return f'<p class="where">{text}</p>'
    page, _, section = where.partition(": ")
    if page not in pages():
        raise ValueError(f"there is no page {page}")
    if section and section not in sections_of(pages()[page]):
        raise ValueError(f"{page} has no section '{section}'")
    name = f"Chapter {int(page[:2])}" if page[:2].isdigit() else page.capitalize()
    section = html.escape(section.replace(r"$\nu$", "ν"))
    words = f"{name}, <em>{section}</em>" if section else name
    return f'<p class="where"><a href="{SITE}latest/{page}.html">{words}</a></p>'


def marp_source(text, style):
    """Return a deck as Marp reads it.

    Raises
    ------
    ValueError
        If a figure, page, section or task does not exist.
    """
    _, front, body = text.split("---\n", 2)
    about = yaml.safe_load(front)
    config = yaml.safe_load((BOOK.parent / "_config.yml").read_text("utf-8"))
    body = FIGURE.sub(figure, body)
    body = re.sub(
        r"^\? (.*(?:\n(?!\n).*)*)",
        r'<div class="ask">\n\n\1\n\n</div>',
        body,
        flags=re.M,
    )
    body = re.sub(r"^! (.*(?:\n(?!\n).*)*)", r"<!-- \1 -->", body, flags=re.M)
    body = re.sub(r"^@ (.*)$", place, body, flags=re.M)
    return (
        HEAD.format(
            title=json.dumps(about["title"], ensure_ascii=False)[1:-1],
            author=config["author"],
            footer=json.dumps(about["title"], ensure_ascii=False),
            subtitle=about["subtitle"],
            style="\n".join(f"  {line}" for line in style.splitlines()),
        )
        + body.strip()
        + "\n"
    )


def browser():
    """Return the path of a Chromium, or None."""
    sys.path.insert(0, str(BOOK))
    from browser import browser_path

    return browser_path()


def marp(folder, out, *options, path=None):
    """Convert a folder of sources."""
    # As root, and in containers, Chromium has no sandbox; what it shows is our own.
    settings = os.environ | {"CHROME_NO_SANDBOX": "1"}
    if path:
        settings["CHROME_PATH"] = path
    command = [str(MARP), "--no-stdin", "--html", "--config-file", str(CONFIG)]
    command += ["--input-dir", str(folder)]
    done = subprocess.run(
        [*command, "--output", str(out), *options],
        env=settings,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"marp failed: {done.stderr[-1000:]}")


def main():
    """Make the decks that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("decks", nargs="*", help="numbers, such as 1 3")
    arguments = parser.parse_args()
    there = sorted(path.stem for path in HERE.glob("[0-9]*.md"))
    if unknown := sorted(set(arguments.decks) - set(there)):
        parser.error(f"decks must be of {', '.join(there)}; got {', '.join(unknown)}")
    if not MARP.exists():
        raise SystemExit("Marp is not installed: `make course` installs it, by npm")
    style = (HERE / "theme.css").read_text("utf-8")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for deck in arguments.decks or there:
            text = (HERE / f"{deck}.md").read_text("utf-8")
            try:
                source = marp_source(text, style)
            except ValueError as error:
                raise SystemExit(f"book/slides/{deck}.md: {error}") from None
            (Path(folder) / f"slides-{deck}.md").write_text(source, "utf-8")
        marp(folder, arguments.out)
        if path := browser():
            marp(folder, arguments.out, "--pdf", path=path)
        else:
            print("No PDFs, as they need a browser: apt-get install chromium")
    for path in sorted(arguments.out.glob("slides-*")):
        print(path)


if __name__ == "__main__":
    main()
