"""A grid is planned: every run once, nothing that cannot be run."""

import math

import pytest

from deepsvdd.reproduction.results import ResultsFile, key_of, read_results
from deepsvdd.reproduction.tasks import (
    METHODS,
    Settings,
    check_file,
    find_recipe,
    plan,
)
from tests import ROOT
from tests.toys import CPU


def test_recipes_have_short_forms():
    assert find_recipe("fast", "mnist_LeNet").pretraining.n_epochs == 10
    recipe = find_recipe("fast:7+5", "cifar10_LeNet")
    assert (recipe.pretraining.n_epochs, recipe.training.n_epochs) == (7, 5)
    for wrong in ("slow", "fast:", "fast:7", "fast:7+x", "fast:1+2+3", "fast:-1+2"):
        with pytest.raises(ValueError, match="recipe must be"):
            find_recipe(wrong, "mnist_LeNet")


def test_a_grid_has_every_run_once():
    tasks = plan(["mnist"], None, [*METHODS, "dcae"], ["fast", "quick"], [0, 1], CPU)
    keys = [key for each in tasks for key in each.run_keys()]
    assert len(set(keys)) == len(keys)
    lines = [
        each.line(m, s) for each in tasks for m in each.methods for s in each.seeds
    ]
    count = {m: sum(line["method"] == m for line in lines) for m in METHODS}
    assert count["one-class"] == count["dcae"] == 10 * 2 * 2
    assert count["iforest"] == 10 * 2
    assert count["pca"] == 10  # has no chance in it
    assert [li["seed"] for li in lines] == sorted(li["seed"] for li in lines)


def test_what_is_named_twice_is_planned_once():
    once = plan(["mnist"], [3], ["one-class"], ["fast"], [0], CPU)
    twice = plan(["mnist"], [3, "3"], ["one-class"], ["fast", "fast"], [0], CPU)
    assert twice == once


@pytest.mark.parametrize("nu", [0, -0.1, 1.1, math.nan, True, "0.1"])
def test_a_nu_that_cannot_be_is_refused_before_anything_is_planned(nu):
    with pytest.raises(ValueError, match=r"nu must be a number in \(0, 1\]; got"):
        Settings(nu=nu)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ["svm"]}, "method must be one of"),
        ({"classes": [10]}, "normal_class must be an integer from 0 to 9"),
        ({"recipes": ["slow"]}, "recipe must be one of"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(changed, message):
    grid = {
        "datasets": ["mnist"],
        "classes": [3],
        "methods": ["one-class"],
        "recipes": ["fast"],
        "seeds": [0],
        "settings": CPU,
    }
    with pytest.raises(ValueError, match=message):
        plan(**(grid | changed))


@pytest.mark.parametrize("name", ["fast", "paper", "baselines", "dictionary-fast"])
def test_the_books_results_are_those_that_are_planned(tmp_path, name):
    """Their lines are taken for done, whether they have the settings or not."""
    path = tmp_path / "a.jsonl"
    source = ROOT / "book" / "results" / f"mnist-{name}.jsonl"
    path.write_bytes(source.read_bytes())
    lines = read_results([path])
    recipes = sorted({li["recipe"] for li in lines if li["recipe"]})
    methods = [m for m in METHODS if any(li["method"] == m for li in lines)]
    seeds = sorted({line["seed"] for line in lines})
    tasks = plan(["mnist"], None, methods, recipes, seeds, CPU)
    with ResultsFile(path) as file:
        check_file(tasks, file)
    planned = {key for each in tasks for key in each.run_keys()}
    assert planned >= {key_of(line) for line in lines if "n_members" not in line}
