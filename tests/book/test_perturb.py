"""The tool that breaks what the book's checks guard."""

import os
import sys

import nbformat
import pytest

from tests import ROOT

sys.path.insert(0, str(ROOT / "book"))
import perturb

sys.path.pop(0)
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

# The first printed True is a check that any λ passes, as Adam's first step does.
CELL = """\
import numpy as np
lam = 0.3
g = np.array([1.0, -2.0])
print("same", np.allclose(np.sign(g * lam), np.sign(g)))
assert g.any() or True
"""
BETTER = CELL.replace("np.sign(g * lam), np.sign(g)", "g * lam, [0.3, -0.6]")


@pytest.fixture
def doubted(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(perturb, "BOOK", tmp_path)

    def doubt(*codes):
        cells = [nbformat.v4.new_code_cell(code) for code in codes]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "toy.ipynb")
        perturb.doubt("toy")
        return capsys.readouterr().out

    return doubt


def test_names_what_guards_nothing_and_numbers_that_matter_to_no_check(doubted):
    said = doubted(CELL)
    assert "cell 0, blind: assert g.any() or True" in said
    assert "blind: print" not in said  # other signs would be noticed
    assert "line 2, free: 0.3" in said
    assert "2 checks" in said


def test_turns_flags_of_torch_round(doubted):
    said = doubted("import torch\n", "found = torch.ones(3) > 0\nassert found.all()\n")
    assert "blind" not in said


def test_is_silent_about_a_check_that_notices(doubted):
    said = doubted(BETTER)
    assert "free" not in said
    assert "blind: print" not in said


TRIED = """\
from deepsvdd.course.practice import trying
def half(x):
    {}
with trying("half"):
    got = half(4)
    assert got == 2, "half of 4 is 2"
"""


def test_sees_what_a_chapter_forgives(doubted):
    """A block that a reader completes says "not right yet", and raises nothing."""
    first, rest = TRIED.split("\n", 1)
    said = doubted(first, rest.format("return x / 2"))
    assert "blind" not in said
    assert "1 checks" in said
    said = doubted(first, rest.format("raise NotImplementedError"))
    assert "cell" not in said
