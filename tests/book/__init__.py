"""The book's tests: its sources as committed, and the built pages in a browser."""

import ast
import json

from IPython.core.inputtransformer2 import TransformerManager


def cells_of(path, kind=None):
    """Return the cells of a notebook: all, or the "code" or "markdown" ones."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return [cell for cell in cells if kind in (None, cell["cell_type"])]


def source_of(cell):
    return "".join(cell["source"])


def tree_of(source):
    """Parse a code cell as IPython would run it: a magic is a call there."""
    return ast.parse(TransformerManager().transform_cell(source))


def has_picture(cell):
    """Tell whether a code cell has put out a picture."""
    return any("image/png" in output.get("data", ()) for output in cell["outputs"])


def text_of(path):
    """Return the Markdown of a notebook."""
    return "\n\n".join(map(source_of, cells_of(path, "markdown")))
