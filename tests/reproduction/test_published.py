"""The paper's numbers: all there, and those that can be checked are right."""

import statistics

import pytest

from deepsvdd import load_dataset
from deepsvdd.reproduction.published import paper_auc, paper_table

METHODS = ("one-class", "soft-boundary", "DCAE", "IF", "KDE", "OC-SVM/SVDD")
GAN = "AnoGAN"


def test_every_cell_of_the_table_is_there():
    """2 data sets × 10 classes × 7 methods, and the 6 of the stop signs."""
    table = paper_table()
    cells = {
        (dataset, digit, method)
        for dataset in ("mnist", "cifar10")
        for digit in range(10)
        for method in (*METHODS, GAN)
    }
    signs = {("gtsrb", 14, method) for method in METHODS}
    assert set(table) == cells | signs
    assert len(table) == 146


@pytest.mark.parametrize(
    ("dataset", "normal_class", "method", "expected"),
    [
        ("mnist", 0, "OC-SVM/SVDD", (98.6, 0.0)),
        ("mnist", 1, "one-class", (99.7, 0.1)),
        ("mnist", 2, "KDE", (79.0, 0.0)),
        ("mnist", 3, "one-class", (91.9, 1.5)),
        ("mnist", 3, "soft-boundary", (90.3, 2.1)),
        ("mnist", 5, "AnoGAN", (88.3, 2.9)),
        ("mnist", 8, "IF", (89.9, 0.4)),
        ("mnist", 9, "DCAE", (90.4, 1.8)),
        ("cifar10", 0, "AnoGAN", (67.1, 2.5)),
        ("cifar10", 3, "one-class", (59.1, 1.4)),
        ("cifar10", 6, "IF", (42.9, 0.6)),
        ("cifar10", 9, "OC-SVM/SVDD", (75.9, 0.3)),
        ("gtsrb", 14, "one-class", (80.3, 2.8)),
        ("gtsrb", 14, "KDE", (60.5, 1.7)),
    ],
)
def test_single_values(dataset, normal_class, method, expected):
    assert paper_table()[dataset, normal_class, method] == expected
    assert paper_auc(dataset, (normal_class,), method) == expected


@pytest.mark.parametrize(("dataset", "mean"), [("mnist", 94.80), ("cifar10", 64.81)])
def test_the_one_class_means(dataset, mean):
    values = [paper_table()[dataset, c, "one-class"][0] for c in range(10)]
    assert round(statistics.mean(values), 2) == mean


def test_values_are_per_cent():
    for mean, std in paper_table().values():
        assert 40 < mean <= 100
        assert 0 <= std < 6


def test_kernel_methods_have_no_spread_on_mnist():
    table = paper_table()
    for digit in range(10):
        assert table["mnist", digit, "KDE"][1] == 0
        assert table["mnist", digit, "OC-SVM/SVDD"][1] <= 0.1


def test_methods_are_named_as_our_objectives():
    from deepsvdd.core.training import OBJECTIVES

    for objective in OBJECTIVES:
        assert paper_auc("mnist", (0,), objective)


def test_indices_are_those_of_the_data_sets():
    assert load_dataset("mnist").classes[3] == "3"
    from deepsvdd.datasets.loading import _SOURCES

    assert _SOURCES["cifar10"].classes[3] == "cat"  # 59.1, as in the paper


@pytest.mark.parametrize(
    ("dataset", "classes", "method"),
    [
        ("fashion_mnist", (3,), "one-class"),
        ("mnist", (3, 5), "one-class"),
        ("mnist", (), "one-class"),
        ("mnist", (10,), "one-class"),
        ("gtsrb", (14,), "AnoGAN"),
        ("mnist", (3,), "GAN"),
    ],
)
def test_what_the_paper_does_not_have_is_none(dataset, classes, method):
    assert paper_auc(dataset, classes, method) is None
