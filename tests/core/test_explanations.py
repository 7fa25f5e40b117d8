"""Occlusion and integrated gradients, of scores that are known."""

import sys

import pytest
import torch

from deepsvdd.core.explanations import (
    averaged,
    integrated_gradients,
    occlusion,
    starts,
    without_columns,
)
from tests.toys import random


def quadratic(weights):
    """Score x by (w · x)², whose shares are known in closed form."""
    return lambda x: (x.flatten(1) @ weights.flatten()).square()


def test_occlusion_is_captums():
    from captum.attr import Occlusion

    x, weights = random(3, 2, 12, 12), random(2, 12, 12, seed=1)
    baseline = random(2, 12, 12, seed=2)
    theirs = Occlusion(quadratic(weights)).attribute(
        x, (2, 4, 4), (2, 2, 2), baselines=baseline[None]
    )
    ours = occlusion(quadratic(weights), x, baseline, 4)
    assert ours.shape == (3, 12, 12)
    torch.testing.assert_close(ours, theirs[:, 0], rtol=1e-4, atol=1e-3)


def test_windows_reach_the_border():
    assert starts(28, 4) == list(range(0, 25, 2))
    assert starts(10, 4) == [0, 2, 4, 6]
    assert starts(9, 4) == [0, 2, 4, 5]
    assert starts(5, 5) == [0]
    assert starts(3, 1) == [0, 1, 2]


def test_what_is_like_the_baseline_has_no_part():
    x, baseline = random(2, 1, 8, 8), random(1, 8, 8, seed=1)
    x[:, :, :4] = baseline[:, :4]
    score = quadratic(random(1, 8, 8, seed=2))
    shares = integrated_gradients(score, x, baseline)
    assert (shares[:, :, :4] == 0).all()
    falls = occlusion(score, x, baseline, 2)
    assert (falls[:, :3] == 0).all()
    assert (falls[:, 5:] != 0).any()


def test_shares_add_up_and_are_those_of_the_closed_form():
    """Of (w · x)² column j gets w_j (x_j − b_j) w · (x + b)."""
    w = random(5, dtype=torch.float64)
    x, b = random(4, 5, seed=1, dtype=w.dtype), random(5, seed=2, dtype=w.dtype)
    score = quadratic(w)
    shares = integrated_gradients(score, x, b)
    torch.testing.assert_close(shares, w * (x - b) * ((x + b) @ w)[:, None])
    torch.testing.assert_close(shares.sum(1), score(x) - score(b[None]))


def test_replacing_columns_of_a_sum_gives_its_terms():
    x, b = random(4, 3), random(3, seed=1)
    falls = without_columns(lambda x: x.square().sum(1), x, b)
    torch.testing.assert_close(falls, x.square() - b.square())


@pytest.mark.parametrize("window", [1, 2, 3, 4, 5])
def test_averaging_leaves_a_constant_alone_and_spreads_a_point(window):
    flat = torch.full((1, 9, 9), 2.0)
    torch.testing.assert_close(averaged(flat, window), flat)
    point = torch.zeros(1, 9, 9)
    point[0, 4, 4] = 1
    spread = averaged(point, window)
    assert (spread > 0).sum() == window**2
    torch.testing.assert_close(spread.sum(), torch.tensor(1.0))


def test_without_captum_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(
        ValueError, match=r"pip install 'deepsvdd\[explain\]'"
    ) as caught:
        integrated_gradients(quadratic(random(3)), random(2, 3), random(3))
    assert "method='occlusion'" in str(caught.value)
