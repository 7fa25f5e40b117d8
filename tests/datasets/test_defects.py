"""Defects that are planted, with their places, and confetti."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.datasets.defects import KINDS, PIECES, Confetti, confetti, plant


def some(shape, dtype=np.uint8, seed=0):
    rng = np.random.default_rng(seed)
    dark = rng.integers(0, 60, shape)
    dark[..., shape[-2] // 3 : shape[-2] // 2, shape[-1] // 3 : shape[-1] // 2] = 240
    return dark.astype(dtype)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(5, 28, 28), (5, 1, 28, 28), (3, 3, 32, 48)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_masks_are_the_pixels_that_have_changed(kind, shape, dtype):
    images = some(shape, dtype)
    before = images.copy()
    planted, masks = plant(images, kind, np.random.default_rng(1))
    np.testing.assert_array_equal(images, before)
    assert planted.shape == shape
    assert planted.dtype == dtype
    assert masks.shape == (shape[0], *shape[-2:])
    differs = planted != images
    differs = differs.any(axis=1) if len(shape) == 4 else differs
    np.testing.assert_array_equal(masks, differs)
    assert masks.any(axis=(1, 2)).all()
    assert masks.mean() < 0.15


@given(st.integers(0, 10_000), st.sampled_from(sorted(KINDS)))
def test_a_defect_is_what_it_is_called(seed, kind):
    image = some((1, 28, 28))
    (planted,), (mask,) = plant(image, kind, np.random.default_rng(seed))
    rows, columns = np.nonzero(mask)
    extent = np.ptp(rows) + 1, np.ptp(columns) + 1
    shades = np.unique(planted[mask])
    assert len(shades) == 1
    if kind == "erased":
        assert shades[0] == image.min()
        assert max(extent) <= 7
    else:
        assert shades[0] >= 127
        assert max(extent) <= (5 if kind == "square" else 11)
        assert mask.sum() >= 2


def test_the_generator_decides():
    images = some((4, 28, 28))
    one, other, third = (
        plant(images, "stroke", np.random.default_rng(seed))[0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, other)
    assert (one != third).any()


def test_what_cannot_be_planted():
    with pytest.raises(ValueError, match="kind must be one of square, stroke, erased"):
        plant(some((1, 28, 28)), "scratch", np.random.default_rng(0))
    images = np.stack([some((28, 28)), np.zeros((28, 28), np.uint8)])
    with pytest.raises(ValueError, match="kind 'erased'; got one at index 1"):
        plant(images, "erased", np.random.default_rng(0))


@given(st.integers(0, 10_000))
def test_confetti_is_small_and_within_the_shades(seed):
    image = some((3, 32, 40), np.float32)
    made = confetti(image, np.random.default_rng(seed))
    changed = (made != image).any(axis=0)
    assert 0 < changed.sum() <= PIECES * 8 * 10
    assert image.min() <= made.min()
    assert made.max() <= image.max()


def test_confetti_of_a_data_set_stays_the_same():
    images = some((4, 28, 28))
    made = Confetti([(image, 0) for image in images], seed=3)
    assert len(made) == 4
    assert made[1].shape == (28, 28)
    assert Confetti(images[:, None], seed=3)[1].shape == (1, 28, 28)
    np.testing.assert_array_equal(made[1], Confetti(images, seed=3)[1])
    assert (made[1] != Confetti(images, seed=4)[1]).any()
