"""A small assignment of our own, and submissions to it."""

import nbformat

from deepsvdd.course.grade import grade_notebook
from deepsvdd.course.running import Limits

LIMITS = Limits(seconds=300, cell_seconds=2, memory=512)
MEAN = """\
def mean(values):
    ### BEGIN SOLUTION
    total = sum(values)
    return total / len(values)
    ### END SOLUTION
"""
SPREAD = """\
def spread(values):
    ### BEGIN SOLUTION
    return max(values) - min(values)
    ### END SOLUTION
"""
MEAN_VALUE = """\
assert math.isclose(mean(data), 2), "the mean of 1, 2 and 3 is 2"
### BEGIN HIDDEN TESTS
assert mean([SEED]) == SEED, "try a single value"
### END HIDDEN TESTS
"""
MEAN_EVEN = """\
value = mean([10, 20])
### BEGIN HIDDEN TESTS
secret = 15
assert value == secret
### END HIDDEN TESTS
"""
SPREAD_VALUE = """\
assert spread(data) == 2, "3 and 1 differ by 2"
### BEGIN HIDDEN TESTS
assert spread([5, 1, 9]) == 8, "the order must not matter"
### END HIDDEN TESTS
"""
MEDIAN = "def mean(values):\n    return sorted(values)[len(values) // 2]"
FULL = {"mean-value": 2.0, "mean-even": 1.0, "spread-value": 3.0}
WRONG_MEAN = FULL | {"mean-value": 0.0, "mean-even": 0.0}
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}


def cell(source, name="", points=0, solution=False, **metadata):
    """A cell of an assignment; free text if it begins with #, code otherwise."""
    if name:
        metadata["nbgrader"] = {
            "schema_version": 3,
            "grade_id": name,
            "task": False,
            "grade": points > 0,
            "solution": solution,
            "locked": not solution,
        }
        if points:
            metadata["nbgrader"]["points"] = points
    markdown = source.startswith(("#", "Because")) and "\n" not in source
    new = nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell
    if name:
        metadata["nbgrader"]["cell_type"] = "markdown" if markdown else "code"
    return new(source.strip("\n"), metadata=metadata)


def variant(name, replaces, source, **marks):
    course = {"role": "variant", "name": name, "mistake": "Is wrong.", "marks": marks}
    return cell(source, course=course | {"replaces": replaces})


def toy_notebook():
    notebook = nbformat.v4.new_notebook(metadata={"author_note": "the secret is 15"})
    even = {"mean-even": 0}
    notebook.cells = [
        cell("# Toy: sums"),
        cell("import math\n\nSEED = 3\ndata = [1.0, 2.0, 3.0]", "setup"),
        cell("## The mean"),
        cell(MEAN, "mean", solution=True),
        cell(MEAN_VALUE, "mean-value", 2),
        cell(MEAN_EVEN, "mean-even", 1),
        cell("## The spread"),
        cell(SPREAD, "spread", solution=True),
        cell(SPREAD_VALUE, "spread-value", 3),
        cell("## Why"),
        cell("Because the mean is where squares are least.", "why", 2, solution=True),
        cell("# Rubric", course={"role": "rubric"}),
        variant("median", "mean", MEDIAN, **even),
        variant("both", "mean", MEDIAN, **even),
        variant(
            "both", "spread", "def spread(v):\n    return 2", **{"spread-value": 0}
        ),
    ]
    notebook.metadata |= KERNEL
    notebook.cells[3].outputs = [nbformat.v4.new_output("stream", text="sum / len")]
    return notebook


def handed_in(given, **sources):
    """The release with some of its cells filled in, `spread` at least."""
    sources = {"spread": SPREAD, "why": "Because."} | sources
    notebook = nbformat.from_dict(given)
    for one in notebook.cells:
        name = one.metadata.get("nbgrader", {}).get("grade_id")
        one.source = sources.get(name, one.source)
    return notebook


def mean_of(body, above=""):
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    return f"{above}\ndef mean(values):\n{lines}"


def named(cells, name):
    ids = [one.metadata.get("nbgrader", {}).get("grade_id") for one in cells]
    return cells[ids.index(name)]


def grade(bench, given, notebook, limits=LIMITS):
    return grade_notebook(bench, given, notebook, limits)


class NoBench:
    """Takes the place of the processes to grade in, where none is needed."""

    def __init__(self, assignment, trust):
        self.assignment = assignment

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def earned(result):
    return {name: mark.earned for name, mark in result.marks.items()}


def secret_lines(assignment):
    """Lines of solutions, hidden tests, rubrics and variants, and of nothing else."""
    public, secret = set(), set()
    for one in assignment.notebook.cells:
        hidden = "role" in one.metadata.get("course", {})
        hidden |= one.cell_type == "markdown" and bool(one.metadata.get("nbgrader"))
        for line in map(str.strip, one.source.split("\n")):
            hidden |= line.startswith("### BEGIN")
            (secret if hidden else public).add(line)
            hidden &= not line.startswith("### END")
    shown = "\n".join(public)
    return {line for line in secret if len(line) > 7 and line not in shown}
