"""Break what a chapter's checks guard, and name the checks that do not notice.

    python book/perturb.py                 all chapters
    python book/perturb.py 03-deep-svdd    one

A check is an ``assert``, or a True that is printed. Two kinds of mutants are tried,
each in a process of its own:

- a value that the check reads is changed just before it (scaled, negated, reversed,
  made constant). A check that no such change can fail is *blind*: it guards nothing.
- a number that is written in the check's cell is changed, and the cell run again. If
  all of its checks still hold, the number is *free*. Many are (a seed, a size); but
  where a check is to show what a λ does, that λ must not be.

A chapter goes on when a check in a `trying` block fails; here it does not. Blocks that
readers have to complete are left out: their checks are not reached.

A person has to judge the list, so this is no test. It needs `fork`, hence no Windows.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import nbformat
import numpy as np
import torch
from run import BOOK, chosen_chapters

sys.path.insert(0, str(BOOK / "_ext"))
from readers.cells import parsed

sys.path.pop(0)

FAILED, HELD, UNTOUCHED = range(3)  # what became of a mutant
SLOWEST = 5.0  # seconds of a cell that is run again for each of its numbers


def main() -> None:
    chosen = chosen_chapters(__doc__)
    matplotlib.use("agg")
    torch.set_num_threads(1)  # more would not outlive a fork
    os.chdir(BOOK)
    for stem in chosen:
        doubt(stem)


def doubt(stem: str) -> None:
    """Run a chapter, and try its checks cell by cell."""
    print(stem)
    found: dict[str, Any] = {"__name__": "__main__", "display": print}
    n_checks = 0
    for index, cell in enumerate(nbformat.read(BOOK / f"{stem}.ipynb", 4).cells):
        if cell.cell_type != "code" or "google.colab" in cell.source:
            continue
        tree = parsed(cell.source)
        before = dict(found)
        n_here = len(checks(tree))
        n_checks += n_here
        if n_here and not to_complete(tree):
            try_cell(tree, before, index)
        with contextlib.suppress(NotImplementedError):
            run(tree, found)
    print(f"  {n_checks} checks")


def to_complete(tree: ast.Module) -> bool:
    """Tell whether a cell is a reader's to complete: it reaches no check."""
    raised = (node for node in ast.walk(tree) if isinstance(node, ast.Raise))
    return any("NotImplementedError" in ast.unparse(node) for node in raised)


def try_cell(tree: ast.Module, namespace: dict[str, Any], index: int) -> None:
    """Print the blind checks of a cell, and its free numbers."""
    start = time.perf_counter()
    if outcome(tree, namespace) != HELD:
        print(f"  cell {index}: does not hold as it is")
        return
    seconds = time.perf_counter() - start
    for number, check in enumerate(checks(tree)):
        tried = {outcome(m, namespace) for m in changed_values(tree, number)}
        if FAILED not in tried and HELD in tried:
            print(f"  cell {index}, blind: {ast.unparse(check)[:90]}")
    if seconds > SLOWEST:
        return
    for line, value, mutant in changed_numbers(tree):
        if outcome(mutant, namespace) == HELD:
            print(f"  cell {index}, line {line}, free: {value}")


# --------------------------------------------------------------------------- checks


def checks(tree: ast.AST) -> list[ast.stmt]:
    """Find asserts, and prints of something that may be True or False."""
    statements = (node for node in ast.walk(tree) if isinstance(node, ast.stmt))
    return [node for node in statements if told(node)]


def told(node: ast.stmt) -> list[ast.expr]:
    """Return the expressions that a check looks at; none if it is no check."""
    if isinstance(node, ast.Assert):
        return [node.test]
    call = node.value if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and ast.unparse(call.func) == "print":
        return [argument for argument in call.args if may_be_true(argument)]
    return []


def may_be_true(node: ast.expr) -> bool:
    """Tell whether an expression looks like one of True and False."""
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        return name in ("isclose", "allclose", "equal", "array_equal", "all", "any")
    return isinstance(node, ast.Compare | ast.BoolOp)


# -------------------------------------------------------------------------- mutants


def changed_values(tree: ast.Module, number: int) -> Iterator[ast.Module]:
    """Yield mutants with one name of a check changed just before it."""
    check = checks(tree)[number]
    names = {
        node.id
        for part in told(check)
        for node in ast.walk(part)
        if isinstance(node, ast.Name)
    }
    for name in sorted(names):
        for kind in CHANGES:
            mutant = copy.deepcopy(tree)
            target = checks(mutant)[number]
            change = ast.parse(f"{name} = __changed__({kind!r}, {name})").body
            blocks = (
                block
                for parent in ast.walk(mutant)
                for _, block in ast.iter_fields(parent)
                if isinstance(block, list) and target in block
            )
            block = next(blocks)
            at = block.index(target)
            block[at:at] = change
            yield ast.fix_missing_locations(mutant)


def changed_numbers(tree: ast.Module) -> Iterator[tuple[int, Any, ast.Module]]:
    """Yield (line, number, mutant) for each number of a cell outside of checks."""
    inside = {id(n) for check in checks(tree) for n in ast.walk(check)}
    nodes = [
        place
        for place, node in enumerate(ast.walk(tree))
        if isinstance(node, ast.Constant)
        and type(node.value) in (int, float)
        and id(node) not in inside
    ]
    for place in nodes:
        mutant = copy.deepcopy(tree)
        node: Any = list(ast.walk(mutant))[place]
        value = node.value
        node.value = value + 1 if isinstance(value, int) else 2 * value + 0.1
        yield node.lineno, value, mutant


CHANGES: dict[str, Callable[[Any], Any]] = {
    "scaled": lambda x: 1.5 * x + 0.1,
    "negated": lambda x: -x,
    "constant": lambda x: 0 * x + 0.5,
    "reversed": lambda x: torch.flip(x, [0]) if torch.is_tensor(x) else np.flip(x),
}


class UntouchedError(Exception):
    """A value of a kind that is not changed: a module, a text."""


def changed(kind: str, value: Any) -> Any:
    """Change numbers, arrays, collections of them, and what functions return."""
    if isinstance(value, bool | np.bool_):
        return not value
    if isinstance(value, dict):
        return {key: changed(kind, item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        items = [changed(kind, item) for item in value]
        return items[::-1] if kind == "reversed" else items
    if callable(value) and getattr(value, "__module__", None) == "__main__":
        return lambda *args, **named: changed(kind, value(*args, **named))
    arrays = np.ndarray | torch.Tensor
    if isinstance(value, arrays) and value.dtype in (bool, torch.bool):
        return ~value
    numeric = isinstance(value, int | float | np.number | np.ndarray)
    if not (numeric or torch.is_tensor(value)):
        raise UntouchedError
    return CHANGES[kind](value)


# ------------------------------------------------------------------------- running


class Seen(ast.NodeTransformer):
    """Pass what a check prints through a function that keeps it."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        shown = told(node)
        if shown and isinstance(node.value, ast.Call):
            node.value.args = [
                ast.Call(ast.Name("__seen__", ast.Load()), [argument], [])
                if argument in shown
                else argument
                for argument in node.value.args
            ]
        return node


def run(tree: ast.Module, namespace: dict[str, Any]) -> list[Any]:
    """Run a cell in silence; return what its prints told."""
    told_here: list[Any] = []

    def seen(value: Any) -> Any:
        told_here.append(value)
        return value

    namespace |= {"__seen__": seen, "__changed__": changed}
    if "trying" in namespace:
        namespace["trying"] = contextlib.nullcontext
    watched = ast.fix_missing_locations(Seen().visit(copy.deepcopy(tree)))
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(watched, "<cell>", "exec"), namespace)
    return told_here


def outcome(tree: ast.Module, namespace: dict[str, Any]) -> int:
    """Run a cell in a copy of this process; tell what became of its checks."""
    sys.stdout.flush()
    child = os.fork()
    if not child:
        status = FAILED
        try:
            signal.alarm(60)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            held = [
                bool(np.all(torch.as_tensor(value).numpy()))
                for value in run(tree, namespace)
                if isinstance(value, bool | np.bool_ | np.ndarray | torch.Tensor)
            ]
            status = HELD if all(held) else FAILED
        except UntouchedError:
            status = UNTOUCHED
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    main()
