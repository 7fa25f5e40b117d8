"""Labels and weights of training samples: what is taken, and what is refused."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.core.known import NOTHING, Known, check_labels, check_weights

GOOD = [0, 1, -1, 0, 0]


@pytest.mark.parametrize(
    "kind", [list, tuple, np.array, torch.tensor, lambda y: np.array(y, float)]
)
def test_labels_of_any_kind(kind):
    np.testing.assert_array_equal(check_labels(kind(GOOD), 5), GOOD)


def test_labels_of_a_tables_column():
    series = pytest.importorskip("pandas").Series(GOOD, index=list("abcde"))
    np.testing.assert_array_equal(check_labels(series, 5), GOOD)


@pytest.mark.parametrize("y", [None, [0, 0, 0], np.zeros(3)])
def test_no_labels(y):
    assert check_labels(y, 3) is None


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([0, 1], r"a label for each of the 5 samples, shape \(5,\); got shape \(2,\)"),
        ([[0]] * 5, r"got shape \(5, 1\)"),
        ([0, 0, 2, 0, 0], "-1 .known anomaly., 0 .unlabeled. only; got 2 at index 2"),
        ([0, 0, 0, 0.5, 0], "got 0.5 at index 3"),
        ([0, np.nan, 0, 0, 0], "got nan at index 1"),
        ([True, False] + 3 * [True], "got True at index 0"),
        (["1", "0", "0", "0", "0"], "got '1' at index 0"),
        ([-1] * 5, "at least 2 samples that are no known anomalies.* got 5 labels"),
        ([-1, -1, 1, -1, -1], "got 4 labels of -1 for 5 samples"),
    ],
)
def test_labels_that_are_refused(y, message):
    with pytest.raises(ValueError, match=message) as raised:
        check_labels(y, 5)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 1], r"a weight for each of the 3 samples"),
        ([1, -1, 1], "finite numbers from 0 on; got -1 at index 1"),
        ([1, np.inf, 1], "got inf at index 1"),
        (["a", "b", "c"], "got a at index 0"),
        ([0, 0, 1], "above zero for at least 2 samples; got 1"),
    ],
)
def test_weights_that_are_refused(weights, message):
    with pytest.raises(ValueError, match="sample_weight must.*" + message):
        check_weights(weights, 3)


@pytest.mark.parametrize("weights", [None, [2, 2, 2], np.full(3, 0.1)])
def test_equal_weights_are_none(weights):
    assert check_weights(weights, 3) is None


@given(st.lists(st.sampled_from((-1, 0, 1)), min_size=1, max_size=20))
def test_counts_and_indices(labels):
    known = Known.of(np.array(labels), None)
    counts = known.counts(len(labels))
    assert counts == tuple(labels.count(label) for label in (1, -1, 0))
    normal = known.normal()
    expected = [i for i, label in enumerate(labels) if label >= 0]
    assert (normal is None) == (-1 not in labels)
    if normal is not None:
        assert normal.tolist() == expected


def test_weights_are_1_on_average_and_all_is_in_the_fingerprint():
    weights = np.array([1.0, 2.0, 6.0])
    known = Known.of(None, weights)
    torch.testing.assert_close(known.weights, torch.tensor([1 / 3, 2 / 3, 2.0]))
    others = (NOTHING, Known.of(weights, None), Known.of(weights, weights))
    prints = {each.fingerprint() for each in (known, *others)}
    assert len(prints) == 4
    assert NOTHING.nothing
    assert not known.nothing
