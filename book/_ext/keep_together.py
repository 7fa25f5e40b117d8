"""Keep together what a line must not tear apart.

Numbers and their signs ("95 %", "91.9 ± 1.5", "5 × 5", "7 + 7"), and a formula and the
comma, bracket or hyphen behind it: browsers may break a line behind a formula.
"""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

SPACE = re.compile(r"(?<=\d) (?=[%±×+])|(?<=[±×+]) (?=\d)")
BEHIND_FORMULA = re.compile(r"[-,.;:!?)\]’”]")


class KeepTogether(SphinxPostTransform):
    """Replace such spaces by no-break ones in text, not in code; join formulas."""

    default_priority = 900

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if in_code(text):
                continue
            kept = SPACE.sub("\N{NO-BREAK SPACE}", text)
            if BEHIND_FORMULA.match(kept) and is_formula(previous(text)):
                kept = "\N{WORD JOINER}" + kept
            if kept != text:
                text.parent.replace(text, nodes.Text(kept))


def previous(node):
    """Return the sibling before a node, or None."""
    siblings = node.parent.children
    place = next(k for k, sibling in enumerate(siblings) if sibling is node)
    return siblings[place - 1] if place else None


def is_formula(node):
    """Tell whether a node is a formula within a line."""
    return isinstance(node, nodes.math)


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
