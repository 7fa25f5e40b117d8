"""Who resembles whom: copies are found, right answers of two people are not accused."""

import csv

import nbformat
import pytest
from click.testing import CliRunner

from deepsvdd.course import similarity
from deepsvdd.course.cli import main
from deepsvdd.course.collection import collect
from tests.course import MEAN, cell, handed_in, toy_notebook

pytest.importorskip("copydetect")

LONG = """\
def mean(values):
    odd_constant = 17.25
    running = [odd_constant]
    for position, each in enumerate(values):
        running.append(running[-1] + each * 2 - each)
    total = running[len(values)] - odd_constant
    return total / max(len(values), 1)
"""
RENAMED = LONG.replace("running", "xs").replace("each", "q").replace("position", "i")
OTHER = """\
import statistics
from functools import reduce

def mean(values):
    if not values:
        raise ValueError("no values <b>at all</b>")
    size = statistics.mode([len(values)])
    return reduce(lambda a, b: a + b, map(float, values)) / size
"""


@pytest.fixture
def place(given, tmp_path):
    nbformat.write(toy_notebook(), tmp_path / "9-toy.ipynb")
    sources = {"ada": LONG, "bo": RENAMED, "cy": OTHER, "di": LONG}
    for name, source in sources.items():
        notebook = handed_in(given, mean=source)
        notebook.cells.insert(2, cell("y = 1"))
        (tmp_path / "in").mkdir(exist_ok=True)
        nbformat.write(notebook, tmp_path / f"in/{name}-9-toy.ipynb")
    return tmp_path


def run(place, *options):
    words = ["similar", str(place / "in"), str(place / "out")]
    return CliRunner().invoke(
        main, [*words, "--sources", str(place / "9-toy.ipynb"), *options]
    )


def test_copies_come_first_and_other_people_s_work_last(place):
    done = run(place)
    assert done.exit_code == 0, done.output
    assert "9-toy-similar.html: 6 pairs of 4 submissions" in done.output
    with open(place / "out/9-toy-similar.csv", newline="") as file:
        rows = {(row["student"], row["other"]): row for row in csv.DictReader(file)}
    same, renamed = rows["ada", "di"], rows["ada", "bo"]
    assert same["structure %"] == same["wording %"] == "100.0"
    assert float(renamed["structure %"]) > 80  # the names are others, the code is not
    assert float(renamed["wording %"]) < float(renamed["structure %"])
    for pair in (("ada", "cy"), ("bo", "cy"), ("cy", "di")):
        assert float(rows[pair]["structure %"]) < 40
    assert next(iter(rows)) == ("ada", "di")


def test_the_page_shows_pairs_side_by_side_and_says_that_it_is_no_proof(place):
    run(place, "--most=4")
    page = (place / "out/9-toy-similar.html").read_text()
    assert "Similarity is no proof of anything" in page
    assert page.count('class="pair"') == 4
    assert "<mark>" in page
    shown = page.replace("<mark>", "").replace("</mark>", "")
    assert "no values &lt;b&gt;at all&lt;/b&gt;" in shown
    assert "odd_constant = 17.25" in shown
    assert "def spread" in shown
    assert "SEED = 3" not in shown  # what everybody was given
    assert "<script" not in page


def test_what_everybody_was_given_counts_for_nothing(toy, given, tmp_path):
    for name in ("ada", "bo"):
        notebook = nbformat.from_dict(given)
        nbformat.write(notebook, tmp_path / f"{name}-9-toy.ipynb")
    files = collect(tmp_path, tmp_path / "into", [toy]).files
    (pair,), median = similarity.compare_all(toy, files, 1)
    assert (pair.structure, pair.wording, median) == (0, 0, 0)


def test_one_submission_is_told_to_be_too_few(place):
    for name in ("bo", "cy", "di"):
        (place / f"in/{name}-9-toy.ipynb").unlink()
    done = run(place)
    assert done.exit_code == 1
    assert done.output == (
        "Error: SUBMISSIONS must hold two notebooks of one assignment\n"
    )


def test_code_that_cannot_be_read_is_compared_all_the_same(toy, given, tmp_path):
    broken = "def mean(values:\n    return (((\n" + "x = '\n" * 20
    for name, source in (("ada", broken), ("bo", broken), ("cy", MEAN)):
        nbformat.write(handed_in(given, mean=source), tmp_path / f"{name}-9-toy.ipynb")
    files = collect(tmp_path, tmp_path / "into", [toy]).files
    pairs, _ = similarity.compare_all(toy, files, 3)
    assert (pairs[0].one, pairs[0].other, pairs[0].wording) == ("ada", "bo", 100)
