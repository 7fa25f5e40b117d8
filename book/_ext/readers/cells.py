"""Which code a reader's notebook keeps, and how a cell is folded."""

import ast
import re
import symtable

from nbformat import v4

DROPPED = "remove-cell"
SOLUTION = "hide-cell"
FOLDED = "hide-input"


def tags(cell):
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", ()))


def parsed(source):
    """Parse a cell's code; lines of IPython's own are none of Python's."""
    lines = source.split("\n")
    plain = [
        f"{line[: len(line) - len(line.lstrip())]}pass"
        if line.lstrip().startswith(("%", "!"))
        else line
        for line in lines
    ]
    return ast.parse("\n".join(plain))


def names_in(node):
    """Return the names that a statement binds at the top, and those it reads there.

    Python's own symbol tables tell a function's variables from the notebook's.
    """
    top = symtable.symtable(ast.unparse(node), "cell", "exec")
    bound = {
        s.get_name() for s in top.get_symbols() if s.is_assigned() or s.is_imported()
    }
    read = {s.get_name() for s in top.get_symbols() if s.is_referenced()}
    inner = list(top.get_children())
    for table in inner:
        inner += table.get_children()
        read |= {s.get_name() for s in table.get_symbols() if s.is_global()}
    if isinstance(node, ast.For):
        read -= bound  # a loop's variables are its own,
    read |= {n.target.id for n in ast.walk(node) if is_sum(n)} & bound  # but in n += 1
    return bound, read


def is_sum(node):
    """Tell whether a node changes a variable in place."""
    return isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name)


def maybe(node):
    """Tell whether a statement may leave the names that it can bind as they were."""
    return isinstance(node, ast.For | ast.While | ast.If | ast.Try | ast.AugAssign)


def needed(cells):
    """Choose what to run of each code cell, given which of them are shown.

    Parameters
    ----------
    cells : list of (str, bool)
        Source of each code cell in order, and whether it is shown as it is.

    Returns
    -------
    list of str
        The source of a cell that is shown; of the others, the statements without which
        a later one that is kept would lack a name.
    """
    parts = [
        [(node, *names_in(node)) for node in parsed(source).body] for source, _ in cells
    ]
    bound_anyway = {
        name
        for statements, (_, shown) in zip(parts, cells, strict=True)
        for _, bound, _ in statements
        if shown
        for name in bound
    }
    late, before = set(), None  # what functions read, when they are called: at any time
    while late != before:
        before = set(late)
        chosen = choose(parts, [shown for _, shown in cells], late - bound_anyway)
        late |= {
            name
            for statements in chosen
            for node, _, read in statements
            if isinstance(node, ast.FunctionDef)
            for name in read
        }
    return [
        source if shown else "\n".join(text_of(source, node) for node, *_ in statements)
        for (source, shown), statements in zip(cells, chosen, strict=True)
    ]


def choose(parts, shown, wanted):
    """Go back through the cells, and keep statements that bind what is wanted later."""
    kept = []
    for statements, all_of_it in zip(reversed(parts), reversed(shown), strict=True):
        chosen = []
        for node, bound, read in reversed(statements):
            if all_of_it or (bound & wanted and "glue" not in read):
                wanted = (wanted - (set() if maybe(node) else bound)) | read
                chosen.append((node, bound, read))
        kept.append(chosen[::-1])
    return kept[::-1]


def text_of(source, node):
    """Return the lines of a statement, its decorators among them."""
    decorators = getattr(node, "decorator_list", ())
    first = min(part.lineno for part in (node, *decorators))
    return "\n".join(source.split("\n")[first - 1 : node.end_lineno])


def bootstrap(source, version):
    """Let the set-up for Colab take the release that the text is about, if it is one.

    Between releases it takes the repository. Neither brings a torch of its own: Colab's
    satisfies the package's lower bounds.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        return source
    return source.replace("-q git+{repository}", f"-q deepsvdd=={version}")


def code_cell(cell, source=None, folded=False):
    """Copy a code cell with its outputs; folded, Jupyter and Colab hide its code."""
    copy = v4.new_code_cell(
        source or cell.source,
        id=cell.get("id") or v4.new_code_cell().id,
        execution_count=cell.execution_count if source is None else None,
        outputs=cell.outputs if source is None else [],
    )
    if folded:
        copy.metadata = {"cellView": "form", "jupyter": {"source_hidden": True}}
    return copy


def printed(cell):
    """Return the text that a cell printed, or gave as its value."""
    parts = []
    for output in cell.outputs:
        if output.output_type == "stream" and output.name == "stdout":
            parts.append(output.text)
        elif "data" in output and "image/png" not in output.data:
            parts.append(output.data.get("text/plain", ""))
    return "".join(parts).rstrip("\n")


def draws(cell):
    """Tell whether a cell has a picture among its outputs."""
    return any("image/png" in output.get("data", ()) for output in cell.outputs)


def solution(cell, summary="Solution"):
    """Turn a solution into Markdown that every viewer folds.

    Code cells can be folded in Jupyter and in Colab only, each in its own way, and not
    on the page of a repository, where the solution would stand beside the exercise.
    """
    text = f"```python\n{cell.source}\n```"
    if said := printed(cell):
        text += f"\n\nIt prints:\n\n```text\n{said}\n```"
    note = "To run it, copy it into a cell of your own"
    note += ": it also draws a picture." if draws(cell) else "."
    return details(summary, f"{text}\n\n{note}")


def details(summary, text):
    """Fold Markdown under a line of HTML."""
    return f"<details>\n<summary>{summary}</summary>\n\n{text}\n\n</details>"
