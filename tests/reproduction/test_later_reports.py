"""Tables of the later methods: derived rows, means of some classes, ensembles."""

import math

import numpy as np
import pytest
from scipy import stats

from deepsvdd.reproduction.later_reports import (
    as_markdown,
    aucs_by_class,
    derived,
    summarise_later,
)


def run(method, normal_class, auc, seed=0, **more):
    return {
        "dataset": "mnist",
        "normal_class": normal_class,
        "method": method,
        "recipe": None,
        "seed": seed,
        "auc": auc,
        "train_seconds": 2.0,
    } | more


def network(method, normal_class, auc, seed, **more):
    own = {"recipe": "fast", "untrained_auc": 0.5, "pretrain_seconds": 1.0}
    return run(method, normal_class, auc, seed, **(own | more))


GEOM = [
    network("geom", c, 0.9 + 0.01 * c + 0.001 * seed, seed, density_auc=0.8)
    for c in (0, 1)
    for seed in range(3)
]


def by_method(lines):
    return {row.method: row for row in summarise_later(lines)}


def test_a_sign_that_labels_choose_and_a_density_stand_behind_their_runs():
    lines = derived([run("brightness", 0, 0.3), run("png-2", 0, 0.3), GEOM[0]])
    assert [(line["method"], line["auc"]) for line in lines] == [
        ("brightness", 0.3),
        ("brightness, better sign", 0.7),
        ("png-2", 0.3),
        ("geom", 0.9),
        ("geom-density", 0.8),
    ]
    assert "untrained_auc" not in lines[-1]
    assert GEOM[0]["untrained_auc"] == 0.5


def test_a_criterion_with_runs_of_its_own_is_not_derived():
    own = network("geom-density", 0, 0.7, 0)
    found = derived([GEOM[0], own, GEOM[1]])
    assert [line["method"] for line in found] == [
        *("geom", "geom-density", "geom", "geom-density")
    ]
    assert [line["auc"] for line in found][1] == 0.7


def test_a_row_has_the_mean_of_the_classes_that_have_run():
    row = by_method(GEOM)["geom"]
    assert (row.dataset, row.recipe, row.n_classes, row.n_seeds) == (
        "mnist",
        "fast",
        2,
        3,
    )
    assert row.mean == pytest.approx(90.6)
    # A seed moves both classes alike, by 0.1 points.
    width = 0.1 / math.sqrt(3) * stats.t.ppf(0.975, 2)
    assert row.half_width == pytest.approx(width)
    assert (row.untrained, row.seconds) == (50.0, 3.0)
    assert math.isnan(row.ensemble)
    assert math.isnan(row.paper)


@pytest.mark.parametrize(("classes", "there"), [((0, 1), True), ((0,), False)])
def test_an_ensemble_counts_where_it_has_the_same_classes(classes, there):
    together = [
        network("geom-x3", c, 0.95, 0, n_members=3, members=[0, 1, 2]) for c in classes
    ]
    rows = by_method(GEOM + together)
    assert list(rows) == ["geom"]
    assert (rows["geom"].ensemble == pytest.approx(95.0)) is there


def test_the_largest_ensemble_of_a_class_counts():
    together = [
        network(f"geom-x{n}", c, 0.95 + n / 100, 0, n_members=n, members=[*range(n)])
        for n in (3, 2)
        for c in (0, 1)
    ]
    assert by_method(GEOM + together)["geom"].ensemble == pytest.approx(98.0)


def test_the_table_names_a_recipe_that_is_not_the_usual_one():
    lines = [
        network("goad", 0, 0.9, 0, recipe="fast:0+1"),
        network("one-class", 0, 0.9, 0, precision="bf16"),
    ]
    titles = [
        row.split("|")[1].strip()
        for row in as_markdown(summarise_later(lines)).splitlines()[2:]
    ]
    assert titles[0] == "GOAD, fast:0+1"
    assert titles[1] == "Deep SVDD, fast, bf16"


def test_the_table_says_classes_seeds_and_the_paper_s_of_the_same_classes():
    lines = [
        *derived([run("brightness", c, auc) for c, auc in ((3, 0.2), (8, 0.6))]),
        *[network("one-class", c, 0.9, 0) for c in (3, 8)],
        *[network("hsc:fashion_mnist", 3, 0.97, seed) for seed in (0, 1)],
    ]
    table = as_markdown(summarise_later(lines)).splitlines()[2:]
    assert [[cell.strip() for cell in row.strip("|").split("|")] for row in table] == [
        ["brightness", "(40.0)", "", "", "2", "2 × 1"],
        ["brightness, better sign", "(70.0)", "", "", "2", "2 × 1"],
        ["Deep SVDD", "(90.0)", "", "50.0", "3", "2 × 1"],
        ["Deep SVDD, paper", f"{(91.9 + 93.9) / 2:.1f}", "", "", "", "2 × 10"],
        ["HSC with Fashion-MNIST", "(97.0)", "", "50.0", "3", "1 × 2"],
    ]


def test_runs_of_one_name_with_different_networks_are_refused():
    lines = [
        network("geom", 0, 0.9, seed, network=name) for seed, name in enumerate("ab")
    ]
    with pytest.raises(ValueError, match="report them apart"):
        summarise_later(lines)


def test_classes_have_the_mean_of_their_seeds():
    found = aucs_by_class(GEOM, "geom")
    assert list(found) == [0, 1]
    np.testing.assert_allclose(list(found.values()), [90.1, 91.1])


def test_a_mean_over_all_classes_has_no_parentheses():
    lines = [run("1nn", c, 0.9) for c in range(10)]
    assert "| 90.0 |" in as_markdown(summarise_later(lines))
