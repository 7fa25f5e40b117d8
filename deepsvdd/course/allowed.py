"""Which libraries the functions of a task use, and which of them the text allows.

It reads what stands there: names that imports bind, and functions that call each other.
Who wants to deceive it can; it is meant for those who overlooked the sentence.
"""

from __future__ import annotations

import ast
import contextlib
import sys
from collections.abc import Iterator

from nbformat import NotebookNode

from deepsvdd.course.source import Assignment, grade_id, kind


def below(assignment: Assignment) -> dict[str, list[str]]:
    """Return the tests of each solution: those below it, up to the next one."""
    found: dict[str, list[str]] = {}
    for cell in assignment.cells:
        if kind(cell) == "solution":
            found[grade_id(cell)] = []
        elif kind(cell) == "test" and found:
            found[list(found)[-1]].append(grade_id(cell))
    return found


def allowed(cell: NotebookNode) -> list[str] | None:
    """Return the modules that a task may use besides Python's own, None if any."""
    only = cell.metadata.get("course", {}).get("only")
    return None if only is None else list(only)


def foreign(
    sources: list[str], around: list[str], given: list[str], only: list[str]
) -> list[str]:
    r"""Return what a task's functions use of libraries that are not allowed.

    Parameters
    ----------
    sources : the task's cells
    around : other code of the student's, in which imports and helpers may stand
    given : code of the course's, of which the imports count
    only : modules, functions or classes, with their full names

    Examples
    --------
    >>> foreign(["def f(x):\n    return g(x)"], ["from a.b import g"], [], ["numpy"])
    ['a.b.g']
    """
    trees = [parsed(source) for source in sources]
    imports: dict[str, str] = {}
    helpers: dict[str, ast.AST] = {}
    for text in given:
        for node in ast.walk(parsed(text)):
            imports.update(imported(node))
    for tree in (*map(parsed, around), *trees):
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                helpers[node.name] = node
        for node in ast.walk(tree):
            imports.update(imported(node))
    waiting: list[ast.AST] = [
        node
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    ]
    seen: list[ast.AST] = []
    used: set[str] = set()
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.append(node)
        for name in names_used(node):
            first, _, rest = name.partition(".")
            if first in imports:
                used.add(".".join(filter(None, (imports[first], rest))))
            elif first in helpers:
                waiting.append(helpers[first])
    return sorted(name for name in used if not is_allowed(name, only))


def is_allowed(name: str, only: list[str]) -> bool:
    """Tell whether a full name is Python's own, or one of those that are allowed."""
    if name.split(".")[0] in sys.stdlib_module_names:
        return True
    return any(f"{name}.".startswith(f"{each}.") for each in only)


def imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the names that an import binds, and what they stand for."""
    if isinstance(node, ast.Import):
        for each in node.names:
            top = each.name.split(".")[0]
            yield (each.asname, each.name) if each.asname else (top, top)
    elif isinstance(node, ast.ImportFrom):
        for each in node.names:
            yield each.asname or each.name, f"{node.module}.{each.name}"


def names_used(node: ast.AST) -> Iterator[str]:
    """Yield names with the attributes behind them: ``np.linalg.svd``."""
    inner: set[ast.AST] = set()
    bound = {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}
    for each in ast.walk(node):
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            bound.add(each.id)
    for each in ast.walk(node):
        if each in inner:
            continue
        parts: list[str] = []
        below: ast.AST = each
        while isinstance(below, ast.Attribute):
            parts.append(below.attr)
            below = below.value
            inner.add(below)
        if isinstance(below, ast.Name) and below.id not in bound:
            yield ".".join([below.id, *reversed(parts)])


def parsed(source: str) -> ast.Module:
    """Return code as a tree; an empty one if it cannot be read."""
    lines = [x for x in source.split("\n") if not x.lstrip().startswith(("%", "!"))]
    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse("\n".join(lines))
    return ast.Module([], [])
