import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist
from sklearn.neighbors import KernelDensity, NearestNeighbors
from torch import nn

from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.successors import bank as module
from deepsvdd.successors.bank import (
    BANDWIDTHS,
    Bank,
    likeliest_bandwidth,
    squared_gaps,
    unlikely,
)
from deepsvdd.successors.base import LEAST

TRAIN = torch.from_numpy(np.random.default_rng(0).normal(size=(60, 3)))
NEW = torch.from_numpy(np.random.default_rng(1).normal(size=(7, 3)))


def measured(score, k=2, rows=TRAIN):
    bank = Bank(nn.Identity(), 3, score, k).double()
    bank.measure(InMemory(rows))
    bank.own_counts = True
    return bank


def squares(bank, x):
    return bank(x)[:, 0].square().numpy() - LEAST


@pytest.mark.parametrize("k", [1, 2, 5])
def test_neighbors_are_those_of_scikit_learn(k):
    gaps, _ = NearestNeighbors(n_neighbors=k).fit(TRAIN).kneighbors(NEW)
    expected = (gaps**2).mean(axis=1)
    np.testing.assert_allclose(squares(measured("neighbors", k), NEW), expected)


def test_the_center_is_the_mean():
    bank = measured("center")
    assert bank.rows.shape == (1, 3)
    expected = ((NEW - TRAIN.mean(dim=0)) ** 2).sum(dim=1)
    np.testing.assert_allclose(squares(bank, NEW), expected)


def test_the_density_is_that_of_scikit_learn_up_to_a_constant():
    bank = measured("density")
    kde = KernelDensity(bandwidth=bank.bandwidth.item(), rtol=1e-12).fit(TRAIN)
    difference = squares(bank, NEW) + kde.score_samples(NEW)
    np.testing.assert_allclose(difference, difference[0], atol=1e-8)


def test_the_bandwidth_makes_rows_likely_that_were_left_out():
    d2 = squared_gaps(TRAIN, TRAIN).fill_diagonal_(torch.inf)
    gap = (d2.amin(dim=1).median() + LEAST).sqrt().item()

    def likelihood(h):
        rest = [np.delete(TRAIN.numpy(), i, axis=0) for i in range(len(TRAIN))]
        return sum(
            KernelDensity(bandwidth=h, rtol=1e-12).fit(rows).score(TRAIN[i : i + 1])
            for i, rows in enumerate(rest)
        )

    best = max((factor * gap for factor in BANDWIDTHS), key=likelihood)
    assert likeliest_bandwidth(TRAIN).item() == pytest.approx(best)


@pytest.mark.parametrize("score", ["neighbors", "density"])
def test_rows_are_no_neighbors_of_their_own_while_they_are_measured(score):
    bank = Bank(nn.Identity(), 3, score, 2).double()
    bank.measure(InMemory(TRAIN))
    apart = squares(bank, TRAIN)
    i = 5
    rest = torch.cat([TRAIN[:i], TRAIN[i + 1 :]])
    other = measured(score, rows=rest)
    other.bandwidth = bank.bandwidth
    np.testing.assert_allclose(apart[i], squares(other, TRAIN[i : i + 1])[0])
    bank.own_counts = True
    assert (squares(bank, TRAIN) < apart).all()


def test_fewer_rows_than_neighbors_are_asked_for():
    assert np.isfinite(squares(measured("neighbors", 9, TRAIN[:3]), NEW)).all()
    bank = Bank(nn.Identity(), 3, "neighbors", 9).double()
    bank.measure(InMemory(TRAIN[:1]))
    assert np.isfinite(squares(bank, NEW)).all()


def test_of_many_rows_some_are_kept_from_beginning_to_end(monkeypatch):
    monkeypatch.setattr(module, "STORED", 7)
    rows = measured("neighbors").rows
    assert len(rows) == 7
    assert torch.equal(rows[[0, -1]], TRAIN[[0, -1]])


def test_a_state_brings_its_rows():
    full = measured("density")
    empty = Bank(nn.Identity(), 3, "density", 2).double()
    assert empty(NEW).shape == (7, 1)
    empty.load_state_dict(full.state_dict())
    np.testing.assert_array_equal(empty(NEW), full(NEW))


points = arrays(float, (5, 2), elements=st.floats(-1e3, 1e3, width=32))


@given(points, points)
def test_squared_gaps(a, b):
    given = squared_gaps(torch.from_numpy(a), torch.from_numpy(b)).numpy()
    scale = 1 + (a**2).sum() + (b**2).sum()
    np.testing.assert_allclose(given, cdist(a, b) ** 2, atol=1e-12 * scale)


@given(points, st.floats(0.01, 100))
def test_minus_log_density_is_not_negative_and_grows_with_distance(x, h):
    d2 = torch.from_numpy(x).square()
    bandwidth = torch.tensor(h, dtype=torch.float64)
    near, far = unlikely(d2, bandwidth), unlikely(d2 + 1, bandwidth)
    assert (near >= 0).all()
    assert (far >= near).all()
