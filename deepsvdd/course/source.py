"""An assignment: the notebook that everything else is made from.

Cells carry nbgrader's metadata. A *solution* is code that a student writes, a *test*
earns its points when it runs without an error, an *answer* is text that a person
marks. Two more kinds, in the metadata ``course``, stay with the instructor: a *rubric*
says how to mark the answer above it, a *variant* is a wrong solution with the marks it
must get.
"""

from __future__ import annotations

import ast
import contextlib
import json
import re
import reprlib
import symtable
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat
from nbformat import NotebookNode

MARKER = "# task: {}"
_BOUND = re.compile(
    r"^(?:def|class)\s+(\w+)|^(\w+)\s*(?::[^=\n]+)?=(?!=)", re.MULTILINE
)
_HIDDEN = ("### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS")
_LARGEST = 64 * 10**6  # bytes of a notebook file


@dataclass(frozen=True)
class Variant:
    """A wrong submission: solutions to put in place, and the marks this must cost."""

    name: str
    mistakes: list[str]
    sources: dict[str, str]  # solution → its wrong text
    marks: dict[str, float]  # test → points; all others get full points


@dataclass(frozen=True, eq=False)
class Assignment:
    """A source notebook, read and checked.

    Parameters
    ----------
    name : the file's name without its suffix
    notebook : all its cells
    """

    name: str
    notebook: NotebookNode

    @cached_property
    def cells(self) -> list[NotebookNode]:
        """The cells that students see, with solutions and hidden tests."""
        return [cell for cell in self.notebook.cells if not role(cell)]

    @cached_property
    def title(self) -> str:
        """The first heading."""
        return next(iter(headings(self.cells)), self.name)

    @cached_property
    def solutions(self) -> dict[str, NotebookNode]:
        """Solution cells by their grade_id."""
        return self._of_kind("solution")

    @cached_property
    def tests(self) -> dict[str, NotebookNode]:
        """Test cells by their grade_id."""
        return self._of_kind("test")

    @cached_property
    def answers(self) -> dict[str, NotebookNode]:
        """Free-text cells by their grade_id."""
        return self._of_kind("answer")

    @cached_property
    def points(self) -> dict[str, float]:
        """Points of tests and answers, in the order of the notebook."""
        return {
            grade_id(cell): float(cell.metadata.nbgrader.points)
            for cell in self.cells
            if kind(cell) in ("test", "answer")
        }

    @cached_property
    def headings(self) -> dict[str, str]:
        """The last heading above each test and answer."""
        found, heading = {}, self.title
        for cell in self.cells:
            heading = (headings([cell]) or [heading])[-1]
            if kind(cell) in ("test", "answer"):
                found[grade_id(cell)] = heading
        return found

    @cached_property
    def variants(self) -> list[Variant]:
        """The wrong submissions, in the order of the notebook."""
        cells = defaultdict(list)
        for cell in self.notebook.cells:
            if role(cell) == "variant":
                cells[cell.metadata.course.name].append(cell)
        return [
            Variant(
                name,
                mistakes=[cell.metadata.course.mistake for cell in group],
                sources={c.metadata.course.replaces: c.source for c in group},
                marks={t: m for c in group for t, m in c.metadata.course.marks.items()},
            )
            for name, group in cells.items()
        ]

    def with_solutions(self, sources: dict[str, str]) -> NotebookNode:
        """Return the notebook with other solutions, as a student might hand it in."""
        notebook = nbformat.from_dict(self.notebook)
        notebook.cells = [nbformat.from_dict(cell) for cell in self.cells]
        for cell in notebook.cells:
            cell.source = sources.get(grade_id(cell), cell.source)
        return notebook

    def _of_kind(self, wanted: str) -> dict[str, NotebookNode]:
        return {grade_id(cell): cell for cell in self.cells if kind(cell) == wanted}


# --- cells ------------------------------------------------------------------------


def role(cell: NotebookNode) -> str:
    """Return 'rubric', 'variant', 'reference' or, for cells that students see, ''."""
    return str(cell.metadata.get("course", {}).get("role", ""))


def grade_id(cell: NotebookNode) -> str:
    """Return the name that nbgrader knows a cell by, or ''."""
    settings = cell.metadata.get("nbgrader", {})
    return str(settings.get("grade_id", "")) if isinstance(settings, dict) else ""


def kind(cell: NotebookNode) -> str:
    """Return 'solution', 'test', 'answer' or, for all others, 'given'."""
    settings = cell.metadata.get("nbgrader", {})
    graded, solved = settings.get("grade", False), settings.get("solution", False)
    if graded:
        return "answer" if solved else "test"
    return "solution" if solved else "given"


def headings(cells: list[NotebookNode]) -> list[str]:
    """Return the headings in Markdown cells."""
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"^#+ +(.+?)\s*$", text, re.MULTILINE)


def bound_names(source: str) -> set[str]:
    r"""Return what code defines at its left margin, by def, class or assignment.

    Examples
    --------
    >>> sorted(bound_names("def f(x):\n    y = x\nz: int = 3\nz == 3"))
    ['f', 'z']
    """
    return {first or second for first, second in _BOUND.findall(source)}


def names_in(source: str) -> set[str]:
    r"""Return all names that trusted code binds at module level.

    Examples
    --------
    >>> sorted(names_in("import a.b\nfor i, (j, _) in x:\n    k = lambda z: z"))
    ['_', 'a', 'i', 'j', 'k']
    """
    lines = [line for line in source.split("\n") if not line.lstrip().startswith("%")]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
            return
        if isinstance(node, ast.Import | ast.ImportFrom):
            found.update((a.asname or a.name).split(".")[0] for a in node.names)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.add(node.id)
        if not isinstance(node, ast.Lambda | ast.comprehension):
            for child in ast.iter_child_nodes(node):
                visit(child)

    with contextlib.suppress(SyntaxError):
        visit(ast.parse("\n".join(lines)))
    return found


def free_names(source: str) -> set[str]:
    r"""Return the names that code uses and functions in it do not bind.

    Examples
    --------
    >>> sorted(free_names("y = x\ndef f(a):\n    return a + b + y"))
    ['b', 'x', 'y']
    """
    lines = (re.sub(r"^\s*[%!].*", "pass", line) for line in source.split("\n"))
    found: set[str] = set()

    def visit(table: symtable.SymbolTable, top: bool = False) -> None:
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (symbol.is_global() or top):
                found.add(symbol.get_name())
        for child in table.get_children():
            visit(child)

    with contextlib.suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        visit(symtable.symtable("\n".join(lines), "cell", "exec"), top=True)
    return found


def is_hidden(source: str, line: int) -> bool:
    """Say whether a line of a test cell, counted from 1, is in its hidden part."""
    above = "\n".join(source.split("\n")[:line])
    return above.rfind(_HIDDEN[0]) > above.rfind(_HIDDEN[1])


def essence(source: str) -> str:
    """Return a text without what editors change: blank lines and trailing spaces."""
    lines = (line.rstrip() for line in source.split("\n"))
    return "\n".join(line for line in lines if line)


# --- reading ----------------------------------------------------------------------


def read_notebook(path: Path) -> NotebookNode:
    """Read a notebook of any version, in UTF-8, UTF-16 or UTF-32.

    Raises
    ------
    ValueError
        If the file is empty or no notebook.
    """
    if (size := path.stat().st_size) > _LARGEST:
        raise ValueError(f"'{path.name}' is larger than 64 MB: delete its outputs")
    content = path.read_bytes()
    try:
        # Some editors put a byte order mark in front, which nbformat does not know.
        text = content.decode(json.detect_encoding(content))
        notebook = nbformat.reads(text, as_version=4)
        for cell in notebook.cells:
            texts = isinstance(cell.source, str) and isinstance(cell.cell_type, str)
            if not texts or not isinstance(cell.metadata, dict):
                raise TypeError("a cell without text")
    except Exception as error:  # nbformat raises whatever the content leads to
        reason = "it is empty" if size == 0 else type(error).__name__
        if isinstance(error, UnicodeDecodeError):
            reason = "its text is neither UTF-8 nor UTF-16; save it anew in Jupyter"
        elif isinstance(error, nbformat.ValidationError):
            reason = str(error).split("\n")[0][:100]
        raise ValueError(f"'{path.name}' is no readable notebook: {reason}") from None
    return notebook


def read_assignment(path: Path) -> Assignment:
    """Read a source notebook, and check what the tools rely on.

    Raises
    ------
    ValueError
        If metadata are incomplete, of wrong types, or contradict each other; the
        message names cell and field.
    """
    assignment = Assignment(path.stem, read_notebook(path))
    wrong = wrong_types(assignment.notebook)
    if problem := next(wrong, None) or next(problems(assignment), None):
        raise ValueError(f"{path.name}: {problem}")
    return assignment


def read_assignments(paths: list[Path]) -> list[Assignment]:
    """Read source notebooks, and those in folders.

    Raises
    ------
    ValueError
        If there are none, or one is wrong.
    """
    files = [
        f for p in paths for f in (sorted(p.glob("*.ipynb")) if p.is_dir() else [p])
    ]
    if not files:
        names = ", ".join(map(str, paths))
        raise ValueError(f"SOURCES must hold notebooks (.ipynb), not {names}")
    return [read_assignment(path) for path in files]


def is_points(value: object) -> bool:
    """Tell whether a value is a number that points can be."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 <= value <= 1e9  # type: ignore[operator]


def is_marks(value: object) -> bool:
    """Tell whether a value is points by the names of tests."""
    return isinstance(value, dict) and all(map(is_points, value.values()))


def is_text(value: object) -> bool:
    """Tell whether a value is text."""
    return isinstance(value, str)


def is_flag(value: object) -> bool:
    """Tell whether a value is true or false."""
    return isinstance(value, bool)


def is_texts(value: object) -> bool:
    """Tell whether a value is a list of texts."""
    return isinstance(value, list) and all(map(is_text, value))


def is_variants(value: object) -> bool:
    """Tell whether a value is a list of parameters by name, each list not empty."""
    return isinstance(value, list) and all(
        isinstance(each, dict) and each and all(map(str.isidentifier, each))
        for each in value
    )


TEXT = (is_text, "text")
FLAG = (is_flag, "true or false")
# What the tools rely on in a cell's metadata.
FIELDS: dict[str, dict[str, tuple[Callable[[object], bool], str]]] = {
    "nbgrader": {
        "grade_id": TEXT,
        "grade": FLAG,
        "solution": FLAG,
        "points": (is_points, "a number from 0 on"),
    },
    "course": {
        "role": TEXT,
        "name": TEXT,
        "mistake": TEXT,
        "replaces": TEXT,
        "marks": (is_marks, "numbers from 0 on, by the names of tests"),
        "skip": FLAG,
        "there": (is_texts, "a list of names"),
        "only": (is_texts, "a list of modules"),
        "variants": (is_variants, "a list of objects, from parameters to values"),
        "goals": (is_texts, "a list of goals"),
    },
}


def wrong_types(notebook: NotebookNode) -> Iterator[str]:
    """Yield the metadata of a source that are of other types, a sentence each."""
    if not isinstance(notebook.cells, list) or not notebook.cells:
        yield "cells must be a list of cells, but there are none"
        return
    if not isinstance(notebook.metadata.get("kernelspec", {}), dict):
        yield "the notebook's metadata: kernelspec must be an object"
    for number, cell in enumerate(notebook.cells, 1):
        where = f"cell {number}" + (f" ({name})" if (name := grade_id(cell)) else "")
        for group, fields in FIELDS.items():
            values = cell.metadata.get(group, {})
            if not isinstance(values, dict):
                found = reprlib.repr(values)
                yield f"{where}: {group} must be an object, but it is {found}"
                continue
            for field_name, (valid, domain) in fields.items():
                if field_name in values and not valid(values[field_name]):
                    found = reprlib.repr(values[field_name])
                    name = f"{group}.{field_name}"
                    yield f"{where}: {name} must be {domain}, but it is {found}"


def problems(assignment: Assignment) -> Iterator[str]:
    """Yield what is wrong with a source whose types are right, a sentence each."""
    names = [name for cell in assignment.notebook.cells if (name := grade_id(cell))]
    for name in sorted({name for name in names if names.count(name) > 1}):
        yield f"grade_id must be unique, but two cells are called '{name}'"
    for cell in assignment.cells:
        name = grade_id(cell)
        if kind(cell) != "given" and not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
            yield f"grade_id must be words joined by hyphens, but one is '{name}'"
        if kind(cell) in ("solution", "test") and cell.cell_type != "code":
            yield f"solutions and tests must be code, but '{name}' is not"
        graded = kind(cell) in ("test", "answer")
        if graded and not cell.metadata.nbgrader.get("points", 0) > 0:
            yield f"points must be positive, but '{name}' has none"
    own = set().union(*(bound_names(c.source) for c in assignment.solutions.values()))
    for cell in assignment.cells:
        bound = own & names_in(cell.source) if cell.cell_type == "code" else set()
        if bound and kind(cell) in ("test", "given"):
            where = grade_id(cell) or "a given cell"
            yield f"{min(bound)} is the student's name, but {where} binds it"
    for cell in assignment.notebook.cells:
        if role(cell) not in ("", "rubric", "variant", "reference"):
            yield (
                "course.role must be rubric, variant or reference, but one is "
                f"'{role(cell)}'"
            )
        if role(cell) == "variant":
            missing = {"name", "mistake", "replaces", "marks"} - set(
                cell.metadata.course
            )
            if missing:
                yield f"a variant lacks {', '.join(sorted(missing))}"
    for variant in assignment.variants:
        where = f"variant '{variant.name}'"
        for name in sorted(set(variant.sources) - set(assignment.solutions)):
            yield f"{where} replaces '{name}', which is no solution cell"
        for name in sorted(set(variant.marks) - set(assignment.tests)):
            yield f"{where} has marks for '{name}', which is no test cell"
        if not any(
            variant.marks[name] < assignment.points[name]
            for name in set(variant.marks) & set(assignment.tests)
        ):
            yield f"{where} must lose marks, but gets full marks"
