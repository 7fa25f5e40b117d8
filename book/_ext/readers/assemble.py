"""A reader's notebook, put together of Markdown, code and links."""

from docutils import nodes
from nbformat import v4

from deepsvdd import __version__
from readers.cells import (
    DROPPED,
    FOLDED,
    SOLUTION,
    bootstrap,
    code_cell,
    needed,
    solution,
    tags,
)
from readers.plain import Plain

HELPERS = (
    "# Used below. The chapter makes it in a cell that this notebook leaves out.\n"
)


def neighbours(app, page, *, title, address, colab):
    """Write the links to the pages before and after one, and to its published form."""
    _, before, after = app.env.collect_relations().get(page, (None, None, None))
    links = [f"[This page in the book]({address(page)})"]
    for word, other in (("previous", before), ("next", after)):
        if other:
            link = f"{word}: [{title(other)}]({address(other)})"
            if opened := colab(other):
                link += f" ([notebook]({other}.ipynb), [Colab]({opened}))"
            links.append(link)
    return " · ".join(links)


def pieces(document, plain):
    """Yield headings and blocks of a document in order, with the cell each comes from.

    Yields
    ------
    (str, int, str or Node)
        "text", the number of the Markdown cell, and Markdown; or "code", the number of
        the code cell, and its node.
    """

    def walk(node, level):
        for child in node.children:
            if child.line:
                plain.cell = child.line // 10_000 - 1
            if isinstance(child, nodes.section):
                yield from walk(child, level + 1)
            elif isinstance(child, nodes.title):
                yield (
                    "text",
                    plain.cell,
                    f"{'#' * level} {plain.inlines(child).strip()}",
                )
            elif child.get("nb_element") == "cell_code":
                plain.cell = child["cell_index"]
                yield "code", plain.cell, child
            elif text := plain.block(child):
                yield "text", plain.cell, text

    yield from walk(document, 0)


def prompt(cell):
    """Say what is folded: what the page says, without "Show the"."""
    text = cell.metadata.get("mystnb", {}).get("code_prompt_show", "Solution")
    text = text.removeprefix("Show ").removeprefix("the ")
    return text[:1].upper() + text[1:]


def caption(node, plain):
    """Write the caption of a cell's picture, if it has one."""
    for figure in node.findall(nodes.figure):
        return plain.caption(figure)
    return ""


def assemble(document, source, place, title, links):
    """Put a reader's notebook together.

    Parameters
    ----------
    document : docutils.nodes.document
        The page, its references resolved.
    source : NotebookNode
        The page's notebook.
    place : Place
    title : str
        With the number.
    links : str
        Markdown, to other pages.

    Returns
    -------
    NotebookNode
    """
    plain = Plain(place)
    code = {k: cell for k, cell in enumerate(source.cells) if cell.cell_type == "code"}
    runs = dict(
        zip(
            code,
            needed(
                [(c.source, not tags(c) & {DROPPED, SOLUTION}) for c in code.values()]
            ),
            strict=True,
        )
    )
    cells, last = [], None
    shown = {}  # a page has no node of a cell that it leaves out

    def say(text, number):
        """Add to the Markdown cell of a number, or begin it."""
        nonlocal last
        if last == number and cells[-1].cell_type == "markdown":
            cells[-1].source += f"\n\n{text}"
        else:
            cells.append(v4.new_markdown_cell(text))
        last = number

    def left_out(before):
        """Add what later cells need of code cells that are not shown."""
        nonlocal last
        for k in [k for k in code if k < before and k not in shown]:
            shown[k] = False
            if runs[k]:
                cells.append(code_cell(code[k], HELPERS + runs[k], folded=True))
                last = None

    for kind, number, what in pieces(document, plain):
        left_out(number)
        if kind == "text":
            say(what, number)
            continue
        cell = code[number]
        shown[number] = True
        if SOLUTION in tags(cell):
            say(solution(cell, prompt(cell)), number)
            if runs[number]:
                cells.append(code_cell(cell, HELPERS + runs[number], folded=True))
        else:
            cells.append(code_cell(cell, folded=FOLDED in tags(cell)))
            cells[-1].source = bootstrap(cell.source, __version__)
            if text := caption(what, plain):
                say(text, number)
        last = None if cells[-1].cell_type == "code" else last
    left_out(len(source.cells))

    head, _, rest = cells[0].source.partition("\n\n")
    cells[0].source = f"# {title}\n\n{links}\n\n{rest}"
    assert head.startswith("# "), f"{place.page} must begin with its title"
    cells.append(v4.new_markdown_cell(links))
    for k, cell in enumerate(cells):
        cell.id = f"cell-{k}"
    return v4.new_notebook(
        cells=cells,
        metadata={
            "kernelspec": source.metadata.get("kernelspec", {}),
            "language_info": source.metadata.get("language_info", {}),
            "colab": {"provenance": [], "toc_visible": True},
        },
    )
