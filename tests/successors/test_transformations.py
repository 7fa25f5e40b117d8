"""Transformations: each is what its name says, and they all differ."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.successors.transformations import (
    SETS,
    SHIFTS,
    Geometric,
    Linear,
    transformations_for,
)

IMAGE = torch.arange(64.0).view(1, 1, 8, 8)


@pytest.mark.parametrize(
    ("kind", "n"), [("rotations", 4), ("rotations+shifts", 20), ("rotations+flips", 8)]
)
def test_all_views_differ(kind, n):
    made = Geometric(kind)
    views = made(IMAGE)
    assert len(made) == n
    assert views.shape == (1, n, 1, 8, 8)
    assert len({view.numpy().tobytes() for view in views[0]}) == n
    torch.testing.assert_close(views[0, 0], IMAGE[0])


@given(st.integers(0, 3))
def test_rotations_turn_counterclockwise(turns):
    turned = Geometric("rotations")(IMAGE)[0, turns, 0].numpy()
    np.testing.assert_array_equal(turned, np.rot90(IMAGE[0, 0].numpy(), turns))


def test_shifts_move_by_a_quarter_and_mirror_at_the_edge():
    right, left, down, up = (shift(IMAGE)[0, 0] for shift in SHIFTS)
    image = IMAGE[0, 0]
    torch.testing.assert_close(right[:, 2:], image[:, :6])
    torch.testing.assert_close(right[:, :2], image[:, [2, 1]])
    torch.testing.assert_close(left[:, :6], image[:, 2:])
    torch.testing.assert_close(down[2:], image[:6])
    torch.testing.assert_close(up[:6], image[2:])


def test_linear_maps_keep_lengths_on_average():
    torch.manual_seed(0)
    made = Linear(50, 64)
    x = torch.randn(20, 50)
    views = made(x)
    assert views.shape == (20, 64, 50)
    ratio = views.norm(dim=-1) / x.norm(dim=-1, keepdim=True)
    assert ratio.mean().item() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(views[3, 5], made.maps[5] @ x[3])


@pytest.mark.parametrize("kind", SETS)
def test_vectors_cannot_be_rotated(kind):
    with pytest.raises(ValueError, match=r"must be 'linear' for vectors .*\(5,\)"):
        transformations_for(kind, (5,))


def test_images_need_rotations():
    with pytest.raises(ValueError, match=r"must be one of .*for images .*'linear'"):
        transformations_for("linear", (1, 8, 8))


def test_rectangles_cannot_be_rotated():
    with pytest.raises(ValueError, match=r"square images .*\(1, 8, 12\): crop or pad"):
        transformations_for("auto", (1, 8, 12))


def test_auto_suits_the_samples():
    assert len(transformations_for("auto", (3, 8, 8))) == 4
    assert isinstance(transformations_for("auto", (7,)), Linear)
