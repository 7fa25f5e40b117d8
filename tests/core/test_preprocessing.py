"""Contrast normalization and scaling do what the paper's preprocessing does."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd import DataUnavailableError, load_dataset, one_vs_rest
from deepsvdd.core.preprocessing import (
    METHODS,
    Preprocessor,
    as_float,
    at_a_time,
    global_contrast_normalization,
    without_tails,
)

NORMS = ("l1", "l2")
seeds = st.integers(0, 1000)


def pixels(shape=(6, 3, 5, 4), seed=0):
    """Random uint8 images."""
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    )


def formula(x, norm):
    """Contrast normalization of each image, in NumPy's double precision."""
    flat = x.double().numpy().reshape(len(x), -1)
    flat = flat - flat.mean(axis=1, keepdims=True)
    if norm == "l1":
        contrast = np.abs(flat).mean(axis=1, keepdims=True)
    else:
        contrast = np.sqrt((flat**2).mean(axis=1, keepdims=True))
    return (flat / contrast).reshape(x.shape)


# Contrast ----------------------------------------------------------------------------


@given(seeds, st.sampled_from(NORMS))
def test_images_get_zero_mean_and_unit_contrast(seed, norm):
    y = global_contrast_normalization(pixels(seed=seed).double(), norm).flatten(1)
    power = 1 if norm == "l1" else 2
    torch.testing.assert_close(y.mean(1), torch.zeros_like(y[:, 0]))
    torch.testing.assert_close(y.abs().pow(power).mean(1), torch.ones_like(y[:, 0]))


@given(seeds, st.sampled_from(NORMS))
def test_contrast_normalisation_is_the_formula(seed, norm):
    x = pixels(seed=seed)
    found = global_contrast_normalization(x, norm)
    np.testing.assert_allclose(found.numpy(), formula(x, norm), rtol=0, atol=2e-6)


def test_l1_is_the_default():
    x = pixels()
    assert torch.equal(
        global_contrast_normalization(x), global_contrast_normalization(x, "l1")
    )


@given(seeds, st.floats(1e-3, 1e3), st.floats(-1e3, 1e3), st.sampled_from(NORMS))
def test_gain_and_offset_make_no_difference(seed, gain, offset, norm):
    x = pixels(seed=seed).double()
    torch.testing.assert_close(
        global_contrast_normalization(gain * x + offset, norm),
        global_contrast_normalization(x, norm),
        rtol=1e-6,
        atol=1e-6,
    )


def test_pixels_in_either_unit_agree():
    x = pixels()
    torch.testing.assert_close(
        global_contrast_normalization(x),
        global_contrast_normalization(x.float() / 255),
        rtol=1e-5,
        atol=1e-5,
    )


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
@pytest.mark.parametrize("value", [0, 7, 255])
def test_constant_images_become_zero_and_not_nan(norm, dtype, value):
    x = pixels((3, 3, 32, 32)).to(dtype)
    x[1] = value
    y = global_contrast_normalization(x, norm)
    assert (y[1] == 0).all()
    assert y[[0, 2]].isfinite().all()
    assert (y[[0, 2]] != 0).any()


@pytest.mark.parametrize("value", [0.1, -1 / 3, 1e-20, 1e20])
def test_rounding_in_a_constant_image_is_not_contrast(value):
    y = global_contrast_normalization(torch.full((1, 1, 28, 28), value))
    assert (y == 0).all()


def test_faint_contrast_is_contrast():
    x = torch.full((1, 1, 28, 28), 0.5)
    x[0, 0, 3, 4] += 1 / 255
    assert global_contrast_normalization(x).abs().mean().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("given_type", "expected"),
    [
        (torch.uint8, torch.float32),
        (torch.int64, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_types_in_and_out(given_type, expected):
    x = pixels().to(given_type)
    before = x.clone()
    assert as_float(x).dtype == expected
    assert global_contrast_normalization(x).dtype == expected
    for method in METHODS:
        data = x.flatten(1) if method == "standard" else x
        assert Preprocessor.fit(data, method)(data).dtype == expected
    assert torch.equal(x, before)  # nothing works in place


def test_layout_makes_no_difference():
    x = pixels().float()
    for other in (
        x.contiguous(memory_format=torch.channels_last),
        x.expand(1, *x.shape)[0],
    ):
        torch.testing.assert_close(
            global_contrast_normalization(other), global_contrast_normalization(x)
        )


@pytest.mark.parametrize("norm", ["L1", "linf", "", None])
def test_unknown_norm(norm):
    with pytest.raises(ValueError, match="norm must be 'l1' or 'l2'") as error:
        global_contrast_normalization(pixels(), norm)
    assert repr(norm) in str(error.value)


# Scaling -----------------------------------------------------------------------------


@given(seeds, st.sampled_from(["gcn_l1", "gcn_l2", "minmax"]))
def test_training_images_reach_exactly_from_0_to_1(seed, method):
    x = pixels(seed=seed)
    y = Preprocessor.fit(x, method)(x)
    assert y.shape == x.shape
    assert y.min() == 0
    assert y.max() == 1


@given(seeds)
def test_every_feature_of_training_vectors_reaches_from_0_to_1(seed):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(9, 4)) * 10.0 ** np.arange(-2, 2) + 5)
    y = Preprocessor.fit(x, "minmax")(x)
    assert (y.amin(0) == 0).all()
    assert (y.amax(0) == 1).all()


@pytest.mark.parametrize("method", ["gcn_l1", "gcn_l2"])
def test_scaling_is_the_formula(method):
    train, test = pixels(seed=0), pixels(seed=1)
    norm = method.removeprefix("gcn_")
    reference = formula(train, norm)
    low, high = reference.min(), reference.max()
    fitted = Preprocessor.fit(train, method)
    np.testing.assert_allclose(fitted.minimum.item(), low, rtol=1e-5)
    np.testing.assert_allclose(fitted.maximum.item(), high, rtol=1e-5)
    expected = (formula(test, norm) - low) / (high - low)
    np.testing.assert_allclose(fitted(test).numpy(), expected, rtol=0, atol=1e-5)


def test_extrema_come_from_the_training_data_alone():
    train = torch.tensor([[0.0, 10.0], [2.0, 20.0]])
    fitted = Preprocessor.fit(train, "minmax")
    beyond = torch.tensor([[4.0, 0.0], [-1.0, 15.0]])
    assert fitted(beyond).tolist() == [[2.0, -1.0], [-0.5, 0.5]]
    assert fitted.minimum.tolist() == [0.0, 10.0]
    assert fitted.maximum.tolist() == [2.0, 20.0]


def test_an_image_is_processed_alike_alone_and_in_company():
    train = pixels((50, 1, 28, 28))
    fitted = Preprocessor.fit(train, "gcn_l1")
    together = fitted(train)
    for i in range(len(train)):
        assert torch.equal(fitted(train[i : i + 1]), together[i : i + 1])


def test_images_share_extrema_and_vectors_have_their_own():
    images = Preprocessor.fit(pixels(), "minmax")
    vectors = Preprocessor.fit(pixels().flatten(1), "minmax")
    assert images.minimum.shape == images.maximum.shape == ()
    assert vectors.minimum.shape == vectors.maximum.shape == (60,)


def test_constant_feature_maps_to_its_offset():
    fitted = Preprocessor.fit(torch.tensor([[5.0, 0.0], [5.0, 4.0]]), "minmax")
    new = torch.tensor([[5.0, 2.0], [7.5, 4.0]])
    assert fitted(new).tolist() == [[0.0, 0.5], [2.5, 1.0]]


def test_none_only_changes_the_type():
    x = pixels()
    assert torch.equal(Preprocessor.fit(x, "none")(x), x.float())


@pytest.mark.parametrize("method", ["gcn_l1", "gcn_l2", "minmax"])
def test_data_without_contrast(method):
    with pytest.raises(ValueError, match=r"X must hold .* got 4 constant samples"):
        Preprocessor.fit(torch.full((4, 1, 5, 5), 3.0), method)


def test_a_single_vector_has_no_range():
    with pytest.raises(ValueError, match="X must hold"):
        Preprocessor.fit(torch.tensor([[1.0, 2.0]]), "minmax")


# Standardization ---------------------------------------------------------------------


@given(seeds, st.integers(5, 300))
def test_standardised_columns_have_mean_0_and_deviation_1_within_the_tails(seed, n):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 3)) * [1e-3, 1, 1e6] + [0, -5, 1e6])
    common = without_tails(x)
    y = Preprocessor.fit(x, "standard")(common)
    torch.testing.assert_close(y.mean(0), torch.zeros(3).double(), atol=1e-8, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(3).double())
    # all but the tails, an hundredth each and one sample at least, stay as they are
    changed = (common != x).sum(0)
    assert (changed <= 2 * max(math.ceil(n / 100), 1)).all()
    assert (common.amax(0) <= x.amax(0)).all()
    assert (common.amin(0) >= x.amin(0)).all()


@given(seeds, st.sampled_from([5, 50, 214]), st.sampled_from([10.0, 1e4, -1e12]))
def test_one_wrong_row_does_not_move_the_scale(seed, n, factor):
    rng = np.random.default_rng(seed)
    x = torch.from_numpy(rng.normal(size=(n, 4)) + 3)
    wrong = x.clone()
    wrong[0] *= factor
    fitted = Preprocessor.fit(wrong, "standard")
    rest = x[1:]
    assert (fitted.minimum >= rest.amin(0)).all()
    assert (fitted.minimum <= rest.amax(0)).all()
    assert (fitted.maximum - fitted.minimum <= rest.amax(0) - rest.amin(0)).all()
    assert (without_tails(wrong).abs() <= rest.abs().amax(0)).all()


def test_constant_and_rare_columns_are_scaled_sanely():
    x = torch.zeros(400, 3)
    x[:, 0] = torch.linspace(-1, 1, 400)
    x[0, 1] = 1  # a binary column with a single 1
    x[:, 2] = 7
    fitted = Preprocessor.fit(x, "standard")
    y = fitted(torch.tensor([[0.0, 1.0, 7.0], [0.0, 0.0, 9.0]]))
    assert y[0, 1].item() == pytest.approx(1 / x[:, 1].std(correction=0).item())
    assert y[:, 2].tolist() == [0, 2]  # the offset, in its own unit


def test_standardising_is_for_vectors():
    with pytest.raises(ValueError, match="another than 'standard' for images"):
        Preprocessor.fit(pixels(), "standard")


@pytest.mark.parametrize("method", ["gcn", "auto", "L1", None])
def test_unknown_method(method):
    with pytest.raises(ValueError, match="preprocessing must be") as error:
        Preprocessor.fit(pixels(), method)
    for name in (*METHODS, repr(method)):
        assert name in str(error.value)


# The constants of the authors' code, recomputed --------------------------------------


def assert_extrema(dataset, normal_class, minimum, maximum):
    split = one_vs_rest(dataset, normal_class)
    fitted = Preprocessor.fit(torch.from_numpy(split.x_train), "gcn_l1")
    assert fitted.minimum.item() == pytest.approx(minimum, abs=1e-4)
    assert fitted.maximum.item() == pytest.approx(maximum, abs=1e-4)


def test_extrema_of_genuine_mnist(mnist):
    assert_extrema(mnist, 3, -0.7645772, 12.895052)


@pytest.fixture
def cifar10():
    try:
        return load_dataset("cifar10", download=False)
    except DataUnavailableError as error:
        pytest.skip(f"needs CIFAR-10: {error}")


@pytest.mark.parametrize(
    ("normal_class", "minimum", "maximum"),
    [("cat", -10.59917, 11.093188), ("airplane", -28.9408, 13.80296)],
)
def test_extrema_of_genuine_cifar10(cifar10, normal_class, minimum, maximum):
    assert_extrema(cifar10, normal_class, minimum, maximum)


# Large images ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "n"),
    [
        ((30,), 250),
        ((10**6,), 250),
        ((1, 28, 28), 250),
        ((3, 64, 64), 250),
        ((3, 65, 63), 250),
        ((3, 65, 65), 242),
        ((3, 128, 128), 62),
        ((3, 256, 256), 15),
        ((3, 4000, 4000), 1),
    ],
)
def test_of_large_images_fewer_are_taken_at_a_time(shape, n):
    assert at_a_time(250, shape) == n


def test_extrema_do_not_depend_on_how_many_are_taken_at_a_time(monkeypatch):
    x = pixels((7, 1, 70, 66))
    whole = Preprocessor.fit(x, "gcn_l1")
    monkeypatch.setattr("deepsvdd.core.preprocessing.BATCH", 3)
    parts = Preprocessor.fit(x, "gcn_l1")
    assert torch.equal(whole.minimum, parts.minimum)
    assert torch.equal(whole.maximum, parts.maximum)
