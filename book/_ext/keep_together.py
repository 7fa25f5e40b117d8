"""Keep numbers and their signs on one line: "95 %", "91.9 ± 1.5", "5 × 5"."""

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

SPACE = re.compile(r"(?<=\d) (?=[%±×])|(?<=[±×]) (?=\d)")


class KeepTogether(SphinxPostTransform):
    """Replace the spaces by no-break spaces, in text but not in code."""

    default_priority = 900

    def run(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if SPACE.search(text) and not in_code(text):
                kept = nodes.Text(SPACE.sub("\N{NO-BREAK SPACE}", text))
                text.parent.replace(text, kept)


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
