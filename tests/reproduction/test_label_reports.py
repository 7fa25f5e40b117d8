"""Tables of runs with labels: means over classes and seeds, errors over seeds."""

import math

import pytest

from deepsvdd.reproduction.label_reports import as_markdown, summarise_labels
from tests.toys import a_run


def labeled(method, seed, auc, normal_class=3, **more):
    line = a_run(seed, method=method, auc=auc, recipe="fast", normal_class=normal_class)
    line |= {"seen_auc": auc + 0.05, "unseen_auc": auc - 0.05, "untrained_auc": 0.5}
    return line | {"untrained_seen_auc": 0.4, "untrained_unseen_auc": 0.6} | more


RUNS = [
    labeled("deep-sad:5", 0, 0.8),
    labeled("deep-sad:5", 1, 0.9),
    labeled("deep-sad:5", 0, 0.6, normal_class=4),
    labeled("deep-sad:5", 1, 0.7, normal_class=4),
    labeled("deep-sad:20", 0, 0.9),
    labeled("classifier:5", 0, 0.5),
    a_run(0),
]


def test_means_and_errors():
    row = summarise_labels(RUNS)[0]
    assert (row.method, row.n_classes, row.n_seeds) == ("deep-sad:5", 2, 2)
    assert row.means == pytest.approx({"seen": 80, "unseen": 70, "all": 75})
    # The seeds' means are 70 and 80.
    assert row.errors["all"] == pytest.approx(math.sqrt(50) / math.sqrt(2))
    assert row.untrained == pytest.approx({"seen": 40, "unseen": 60, "all": 50})


def test_the_order_is_by_kind_and_number_of_labels():
    methods = [row.method for row in summarise_labels(RUNS)]
    assert methods == ["deep-sad:5", "deep-sad:20", "classifier:5"]


def test_markdown():
    text = as_markdown(RUNS)
    assert (
        "| deep-sad:5 | 2 | 2 | 80.0 ± 5.0 | 70.0 ± 5.0 | 75.0 ± 5.0 | 40.0 |" in text
    )
    assert "| deep-sad:20 | 1 | 1 | 95.0 | 85.0 | 90.0 | 40.0 |" in text
    assert as_markdown([a_run(0)]) == ""


def test_a_class_that_is_all_there_is_has_no_unseen_one():
    run = labeled("deep-sad:1", 0, 0.8)
    del run["unseen_auc"], run["untrained_unseen_auc"]
    (row,) = summarise_labels([run])
    assert math.isnan(row.means["unseen"])
    assert "| 85.0 |  | 80.0 |" in as_markdown([run])
