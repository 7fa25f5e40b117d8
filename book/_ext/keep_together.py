"""Keep together what a line must not tear apart.

Numbers and their signs ("95 %", "91.9 ± 1.5", "5 × 5", "7 + 7"), and a formula and the
comma, bracket or hyphen behind it: browsers break lines behind a formula, which is a
box to them, whatever character follows.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

SPACE = re.compile(r"(?<=\d) (?=[%±×+])|(?<=[±×+]) (?=\d)")
BEHIND_FORMULA = re.compile(r"[-,.;:!?)\]’”]+(th\b)?")


class KeepTogether(SphinxPostTransform):
    """Make such spaces no-break ones, in text, not in code; join formulas."""

    default_priority = 900

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if SPACE.search(text) and not in_code(text):
                kept = nodes.Text(SPACE.sub("\N{NO-BREAK SPACE}", text))
                text.parent.replace(text, kept)
        for formula in list(self.document.findall(nodes.math)):
            join(formula)


def join(formula):
    """Put a formula and the signs behind it into a span (see book.css)."""
    line = formula.parent
    place = line.index(formula)
    text = line[place + 1] if place + 1 < len(line) else None
    if isinstance(text, nodes.Text) and (signs := BEHIND_FORMULA.match(text)):
        together = nodes.inline("", "", classes=["together"])
        rest = nodes.Text(text[signs.end() :])
        line[place : place + 2] = [together, rest]
        together += [formula, nodes.Text(signs[0])]


def in_code(node):
    """Tell whether a node is part of something that is shown as it was typed."""
    while node := node.parent:
        if isinstance(node, nodes.literal | nodes.literal_block | nodes.raw):
            return True
    return False


def setup(app):
    """Look at the text when all of it is there."""
    app.add_post_transform(KeepTogether)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
