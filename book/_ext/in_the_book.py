"""Turn what docstrings say of the book into what the page of the package can show.

"In the book: sec-center (03-deep-svdd)." is for readers of the source; here it becomes
a link. Fields of named tuples have no text of their own, and are left out.
"""

import re

PLACE = re.compile(r"^In the book: ([\w-]+) \([\w-]+\)\.$")


def link(app, what, name, thing, options, lines):
    """Replace the label of a section, or else of a proposition, by a reference."""
    for number, line in enumerate(lines):
        if place := PLACE.match(line.strip()):
            role = "ref" if place[1].startswith("sec-") else "prf:ref"
            lines[number] = f"In the book: :{role}:`{place[1]}`."


def skip(app, what, name, thing, skip, options):
    """Leave out "Alias for field number 0"."""
    said = str(getattr(thing, "__doc__", ""))
    return True if said.startswith("Alias for field number") else None


def setup(app):
    """Look at docstrings before napoleon does."""
    app.connect("autodoc-process-docstring", link, priority=400)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
