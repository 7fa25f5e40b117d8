"""One class of a data set against the rest."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.datasets import Dataset, one_vs_rest


def tiny(y_train, y_test, n_classes=4):
    """Images that carry their own number, so that one can tell who is who."""
    y_train, y_test = np.array(y_train, np.int64), np.array(y_test, np.int64)
    return Dataset(
        name="tiny",
        x_train=np.arange(len(y_train), dtype=np.uint8).reshape(-1, 1, 1, 1),
        y_train=y_train,
        x_test=np.arange(len(y_test), dtype=np.uint8).reshape(-1, 1, 1, 1),
        y_test=y_test,
        classes=tuple("abcdefgh"[:n_classes]),
    )


TINY = tiny([0, 1, 2, 3, 2, 1], [3, 2, 1, 0])
labels = st.lists(st.integers(0, 3), min_size=1, max_size=30)


@given(labels, labels, st.sets(st.integers(0, 3), min_size=1, max_size=3))
def test_split_by_definition(y_train, y_test, normal):
    dataset = tiny([*y_train, *range(4)], y_test)
    split = one_vs_rest(dataset, normal)
    train = [i for i, label in enumerate(dataset.y_train) if label in normal]
    assert split.x_train.ravel().tolist() == train
    assert split.x_test is dataset.x_test
    assert split.y_test.tolist() == [int(label not in normal) for label in y_test]
    assert split.y_test.dtype == np.int64
    assert split.normal_classes == tuple(sorted(normal))


@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.randoms())
def test_order_repetition_and_spelling_do_not_matter(normal, random):
    spellings = [
        random.choice([i, "abcd"[i], np.uint8(i), np.str_("abcd"[i])]) for i in normal
    ]
    one, other = one_vs_rest(TINY, spellings), one_vs_rest(TINY, set(normal))
    assert one.normal_classes == other.normal_classes
    np.testing.assert_array_equal(one.x_train, other.x_train)
    np.testing.assert_array_equal(one.y_test, other.y_test)


@pytest.mark.parametrize(
    "normal",
    [1, "b", np.int64(1), [1], ("b",), {1}, range(1, 2), np.array([1]), [1, "b"]],
)
def test_ways_to_name_a_class(normal):
    split = one_vs_rest(TINY, normal)
    assert split.normal_classes == (1,)
    assert type(split.normal_classes[0]) is int
    assert split.x_train.ravel().tolist() == [1, 5]
    assert split.y_test.tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize(
    "normal", [4, -1, "e", "A", "ab", 1.0, True, None, [0, 7], b"a"]
)
def test_unknown_class(normal):
    message = "normal_class must be an integer from 0 to 3 or one of 'a', 'b', 'c', 'd'"
    with pytest.raises(ValueError, match=message):
        one_vs_rest(TINY, normal)


@pytest.mark.parametrize("normal", [[], (), np.array([], int)])
def test_no_class(normal):
    with pytest.raises(ValueError, match="must name at least one class"):
        one_vs_rest(TINY, normal)


def test_all_classes():
    with pytest.raises(ValueError, match="must leave at least one of the 4 classes"):
        one_vs_rest(TINY, range(4))


def test_class_without_training_images():
    dataset = replace(TINY, y_train=np.zeros(6, np.int64))
    with pytest.raises(ValueError, match=r"'tiny' has none of class 2 \('c'\)"):
        one_vs_rest(dataset, [0, "c"])


def test_split_is_frozen_and_short_to_print():
    split = one_vs_rest(TINY, 1)
    assert repr(split) == "Split(normal_classes=(1,))"
    with pytest.raises(FrozenInstanceError):
        split.x_train = None
