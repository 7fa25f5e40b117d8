"""The parameters of an assignment, and the variants that a source lists.

They stand in the metadata of the cell that is tagged ``parameters``:
``"course": {"variants": [{"NORMAL": 5, "SEED": 1}, …]}``. All numbers in tests are
computed from the parameters, so that each variant has references of its own.
"""

from __future__ import annotations

import copy
import functools
import re
from typing import Any

from nbformat import NotebookNode

from deepsvdd.course.source import Assignment

TAG = "parameters"


def parameters_cell(assignment: Assignment) -> NotebookNode | None:
    """Return the cell with the parameters, or None."""
    for cell in assignment.cells:
        if TAG in cell.metadata.get("tags", ()):
            return cell
    return None


def choices(assignment: Assignment) -> list[dict[str, Any]]:
    """Return the parameters of each variant; {} is the source as it is, and the first.

    A source without variants has this one alone.
    """
    cell = parameters_cell(assignment)
    listed = cell.metadata.get("course", {}).get("variants", []) if cell else []
    return [{}, *(dict(each) for each in listed)]


@functools.cache
def variant(assignment: Assignment, number: int) -> Assignment:
    """Return an assignment with the parameters of a variant, under the same name.

    Raises
    ------
    ValueError
        If the parameters' cell does not set one of them on a line of its own.
    """
    wanted = choices(assignment)[number]
    if not wanted:
        return assignment
    notebook = copy.deepcopy(assignment.notebook)
    changed = Assignment(assignment.name, notebook)
    cell = parameters_cell(changed)
    assert cell is not None
    for name, value in wanted.items():
        cell.source = with_parameter(cell.source, name, value, assignment.name)
    return changed


def with_parameter(source: str, name: str, value: Any, where: str) -> str:
    r"""Return code in which a parameter has another value.

    Examples
    --------
    >>> with_parameter("SEED = 0  # of all\nN = 3", "SEED", 7, "")
    'SEED = 7  # of all\nN = 3'
    """
    pattern = re.compile(
        rf"^{re.escape(name)} = ([^#\n]*?)(\s*(?:#.*)?)$", re.MULTILINE
    )
    if len(pattern.findall(source)) != 1:
        raise ValueError(
            f"{where}: a variant's parameters must be set in the cell tagged {TAG}, on "
            f"a line of their own, and '{name}' is not"
        )
    return pattern.sub(lambda match: f"{name} = {value!r}{match[2]}", source)


def in_words(assignment: Assignment, number: int) -> str:
    """Return a variant's parameters, as ``NORMAL = 5, SEED = 1``."""
    pairs = choices(assignment)[number].items()
    return ", ".join(f"{name} = {value!r}" for name, value in pairs) or "as it is"
