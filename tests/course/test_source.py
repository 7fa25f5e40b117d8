"""Assignments are read, and submissions recognized, whatever editors did to them."""

import json

import nbformat
import pytest

from deepsvdd.course.source import (
    bound_names,
    essence,
    is_hidden,
    problems,
    read_assignment,
    read_notebook,
)
from tests.course import (
    FULL,
    MEAN_VALUE,
    toy_notebook,
)


def test_the_toy_is_what_we_think(toy):
    assert list(problems(toy)) == []
    assert list(toy.solutions) == ["mean", "spread"]
    assert toy.points == FULL | {"why": 2.0}
    assert toy.title == "Toy: sums"
    assert toy.headings["spread-value"] == "The spread"
    assert [v.name for v in toy.variants] == ["median", "both"]
    assert toy.variants[1].sources.keys() == {"mean", "spread"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nb: nb.cells[4].metadata.nbgrader.update(points=0), "points must"),
        (lambda nb: nb.cells[4].metadata.nbgrader.update(grade_id="mean"), "unique"),
        (lambda nb: nb.cells[4].metadata.nbgrader.update(grade_id="A b"), "'A b'"),
        (lambda nb: nb.cells[12].metadata.course.update(replaces="x"), "no solution"),
        (
            lambda nb: nb.cells[12].metadata.course.update(marks={"x": 0}),
            "no test cell",
        ),
        (lambda nb: nb.cells[12].metadata.course.update(marks={}), "must lose marks"),
        (lambda nb: nb.cells[12].metadata.course.pop("mistake"), "lacks mistake"),
        (lambda nb: nb.cells[11].metadata.course.update(role="key"), "'key'"),
    ],
)
def test_a_wrong_source_is_named(tmp_path, change, message):
    notebook = toy_notebook()
    change(notebook)
    nbformat.write(notebook, tmp_path / "9-toy.ipynb")
    with pytest.raises(ValueError, match=r"9-toy.ipynb: ") as caught:
        read_assignment(tmp_path / "9-toy.ipynb")
    assert message in str(caught.value)


def in_group(index, group, **fields):
    return lambda nb: nb["cells"][index]["metadata"][group].update(fields)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nb: nb.pop("cells"), "no readable notebook: The notebook is invalid"),
        (lambda nb: nb.update(cells=[]), "cells must be a list of cells"),
        (lambda nb: nb.update(cells={}), "cells must be a list of cells"),
        (lambda nb: nb["cells"][4].update(metadata=[1]), "no readable notebook"),
        (lambda nb: nb["cells"][4].pop("cell_type"), "no readable notebook"),
        (
            lambda nb: nb["cells"][4]["metadata"].update(nbgrader=[1]),
            "cell 5: nbgrader must be an object, but it is [1]",
        ),
        (
            lambda nb: nb["cells"][12]["metadata"].update(course="variant"),
            "cell 13: course must be an object, but it is 'variant'",
        ),
        (
            in_group(4, "nbgrader", points="2"),
            "cell 5 (mean-value): nbgrader.points must be a number from 0 on, but it "
            "is '2'",
        ),
        (in_group(4, "nbgrader", points=None), "nbgrader.points must be a number"),
        (in_group(4, "nbgrader", points=True), "nbgrader.points must be a number"),
        (in_group(4, "nbgrader", points=10**400), "nbgrader.points must be a number"),
        (
            lambda nb: nb["cells"][4]["metadata"]["nbgrader"].pop("points"),
            "points must be positive, but 'mean-value' has none",
        ),
        (in_group(4, "nbgrader", grade="yes"), "nbgrader.grade must be true or false"),
        (in_group(4, "nbgrader", grade_id=7), "nbgrader.grade_id must be text"),
        (in_group(12, "course", role=["variant"]), "course.role must be text"),
        (in_group(12, "course", name=[1]), "course.name must be text"),
        (in_group(12, "course", mistake=None), "course.mistake must be text"),
        (in_group(12, "course", replaces=["mean"]), "course.replaces must be text"),
        (in_group(12, "course", marks=["mean-even"]), "course.marks must be numbers"),
        (in_group(12, "course", marks={"mean-even": "0"}), "must be numbers from 0"),
        (in_group(12, "course", marks={"mean-even": None}), "must be numbers from 0"),
        (lambda nb: nb["metadata"].update(kernelspec=[1]), "kernelspec must be an"),
    ],
)
def test_a_source_of_wrong_types_is_named_by_cell_and_field(tmp_path, change, message):
    content = json.loads(nbformat.writes(toy_notebook()))
    change(content)
    path = tmp_path / "9-toy.ipynb"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"9-toy\.ipynb") as caught:
        read_assignment(path)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_a_notebook_in_the_encodings_of_windows_is_read(toy, tmp_path, encoding):
    path = tmp_path / "a.ipynb"
    notebook = nbformat.from_dict(toy.notebook)
    notebook.cells[1].source += "  # Größe ν"
    path.write_text(nbformat.writes(notebook), encoding)
    assert read_notebook(path) == notebook


def test_a_notebook_in_no_encoding_is_told_the_fix(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_bytes(nbformat.writes(toy_notebook()).encode() + "ü".encode("latin-1"))
    with pytest.raises(ValueError, match="neither UTF-8 nor UTF-16; save it anew"):
        read_notebook(path)


def test_names_that_code_binds():
    source = (
        "import x\ndef f(a):\n    b = a\nclass C: pass\nd: int = 3\ne == d\ng.h = 1"
    )
    assert bound_names(source) == {"f", "C", "d"}


def test_hidden_lines_are_those_between_the_marks():
    lines = [is_hidden(MEAN_VALUE, number) for number in range(1, 5)]
    assert lines == [False, True, True, False]


@pytest.mark.parametrize(
    "content", ["", "not JSON", "[]", "{}", "[" * 100_000, '{"cells": [1]}', "\0" * 9]
)
def test_what_is_no_notebook_is_an_error_of_one_line(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match="no readable notebook") as caught:
        read_notebook(path)
    assert "\n" not in str(caught.value)


def test_essence_ignores_what_editors_change():
    assert essence("a  \n\n  b\n") == essence("a\n  b")
    assert essence("a b") != essence("a  b")
