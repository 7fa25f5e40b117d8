"""What the estimator takes, in any of its forms, and what it refuses, and how."""

import re
import warnings

import numpy as np
import pytest
import torch

from tests.toys import make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")


# --------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("name", "value", "domain"),
    [
        ("objective", "hard", "soft-boundary"),
        ("objective", None, "soft-boundary"),
        ("nu", 0, r"\(0, 1\]"),
        ("nu", -0.1, r"\(0, 1\]"),
        ("nu", 1.01, r"\(0, 1\]"),
        ("nu", float("nan"), r"\(0, 1\]"),
        ("nu", "0.1", r"\(0, 1\]"),
        ("n_members", 0, "1"),
        ("n_members", -2, "1"),
        ("n_members", 1.5, "1"),
        ("n_members", None, "1"),
        ("contamination", 0, r"\(0, 0.5\]"),
        ("contamination", 0.51, r"\(0, 0.5\]"),
        ("contamination", "some", r"\(0, 0.5\]"),
        ("contamination", None, r"\(0, 0.5\]"),
        ("threshold", float("nan"), "finite"),
        ("threshold", float("inf"), "finite"),
        ("threshold", "high", "finite"),
        ("network", "resnet", "mnist_LeNet"),
        ("network", None, "mnist_LeNet"),
        ("preprocessing", "zca", "gcn_l1"),
        ("recipe", "slow", "fast"),
        ("recipe", None, "fast"),
        ("device", "gpu", "cuda"),
        ("random_state", "zero", "."),
    ],
)
def test_a_parameter_out_of_range_is_named_with_range_and_value(
    name, value, domain, vectors
):
    with pytest.raises(ValueError, match=domain) as raised:
        short(**{name: value}).fit(vectors)
    message = str(raised.value)
    assert repr(value) in message
    assert name.split("_")[0] in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_without_a_gpu_names_the_way_out(device, vectors):
    with pytest.raises(ValueError, match=r"device must.*0 CUDA.*'cpu' or 'auto'"):
        short(device=device).fit(vectors)


@pytest.mark.parametrize("device", ["xpu", "meta", None])
def test_other_devices_are_refused_clearly(device, vectors):
    with pytest.raises(ValueError, match="device must"):
        short(device=device).fit(vectors)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_device_by_name_or_object(device, vectors, on_vectors):
    scores = short(device=device).fit(vectors).anomaly_score(vectors)
    if not torch.cuda.is_available():
        np.testing.assert_array_equal(scores, on_vectors.anomaly_score(vectors))


def test_numpy_numbers_are_numbers(vectors):
    detector = short(
        nu=np.float32(0.25), n_members=np.int64(2), random_state=np.int64(3)
    )
    assert len(detector.fit(vectors).members_) == 2


def test_messages_never_mention_this_machine(vectors):
    with pytest.raises(ValueError, match="nu must be") as raised:
        short(nu=7).fit(vectors)
    assert not re.search(r"/(home|tmp|root|usr)", str(raised.value))


# ------------------------------------------------------------------------------ samples


def test_three_and_four_axes_arrays_and_tensors_are_one_thing(images, on_images):
    scores = on_images.anomaly_score(images)
    for same in (
        images[:, None],
        torch.from_numpy(images),
        torch.from_numpy(images[:, None]),
        list(images),
        images.astype(np.float64),
        images.astype(np.int64),
        np.asfortranarray(images),
        torch.from_numpy(images).float().requires_grad_(),
    ):
        np.testing.assert_array_equal(on_images.anomaly_score(same), scores)
        again = short().fit(same)
        np.testing.assert_allclose(again.anomaly_score(same), scores, rtol=1e-4)
    assert on_images.input_shape_ == (1, 12, 12)
    assert on_images.n_features_in_ == 144


def test_a_single_image_may_lack_the_first_axis(on_images, images):
    one = on_images.anomaly_score(images[:1])
    assert one.shape == (1,)
    for same in (images[0], images[0][None], images[0][None, None]):
        np.testing.assert_array_equal(on_images.anomaly_score(same), one)
    assert on_images.predict(images[0]).shape == (1,)
    assert on_images.represent(images[0]).shape == (1, 32)


def test_colour_images():
    x = make_images(12, (3, 16, 16))
    detector = short(network="mnist_LeNet").fit(x)
    assert detector.input_shape_ == (3, 16, 16)
    one = detector.anomaly_score(x[:1])
    np.testing.assert_array_equal(detector.anomaly_score(x[0]), one)
    with pytest.raises(ValueError, match=r"\(3, 16, 16\)"):
        detector.anomaly_score(x[:, 0])
    with pytest.raises(ValueError, match=r"\(3, 16, 16\)"):
        detector.anomaly_score(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_last_is_refused_with_the_fix(channels):
    with pytest.raises(ValueError, match=r"transpose\(0, 3, 1, 2\)"):
        short().fit(make_images(4, (12, 12, channels)))


def test_the_fix_for_channels_last_works():
    x = make_images(6, (12, 12, 3)).transpose(0, 3, 1, 2)
    assert short().fit(x).input_shape_ == (3, 12, 12)


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((3, 13, 12), r"\(1, 12, 12\)"),
        ((3, 2, 12, 12), r"\(1, 12, 12\)"),
        ((3, 144), r"\(1, 12, 12\)"),
        ((144,), r"\(1, 12, 12\)"),
        ((1, 1, 1, 12, 12), r"\(1, 12, 12\)"),
    ],
)
def test_wrong_shape_at_scoring_names_both_shapes(on_images, shape, match):
    with pytest.raises(ValueError, match=match) as raised:
        on_images.predict(np.ones(shape))
    assert str(shape) in str(raised.value)


def test_wrong_vectors_at_scoring(on_vectors):
    with pytest.raises(ValueError, match=r"(?s)4 features.*5 features"):
        on_vectors.predict(np.ones((3, 4)))
    with pytest.raises(ValueError, match="2D array"):
        on_vectors.predict(np.ones(5))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_nan_and_infinity_are_refused(bad, kind, on_images, on_vectors):
    x = (make_images() if kind == "images" else make_vectors()).astype(float)
    x[3, 2] = bad
    detector = on_images if kind == "images" else on_vectors
    with pytest.raises(ValueError, match=r"(?i)nan|inf"):
        short().fit(x)
    with pytest.raises(ValueError, match=r"(?i)nan|inf"):
        detector.predict(x)


@pytest.mark.parametrize("x", [make_images(), make_vectors()], ids=["images", "vec"])
def test_too_few_samples(x):
    for n in (0, 1):
        with pytest.raises(ValueError, match=r"(?i)sample|image"):
            short().fit(x[:n])
    detector = short().fit(x[:2])
    assert np.isfinite(detector.anomaly_score(x)).all()
    with pytest.raises(ValueError, match=r"(?i)0 sample|image"):
        detector.predict(x[:0])


@pytest.mark.parametrize("name", ["on_images", "on_vectors"])
def test_views_with_negative_strides(name, images, vectors, request):
    """A mirrored image, the commonest augmentation, is such a view."""
    detector = request.getfixturevalue(name)
    x = images[:, :, ::-1] if name == "on_images" else vectors[::-1]
    np.testing.assert_array_equal(
        detector.anomaly_score(x), detector.anomaly_score(x.copy())
    )
    short().fit(x)


def test_bfloat16_tensors_are_data_too(images, on_images):
    x = torch.from_numpy(images).bfloat16()
    scores = on_images.anomaly_score(x)
    np.testing.assert_array_equal(scores, on_images.anomaly_score(x.float()))


def test_fit_leaves_the_data_alone(images, vectors):
    for x in (images.copy(), vectors.copy(), images.astype(np.float32)):
        before = x.copy()
        short().fit(x)
        np.testing.assert_array_equal(x, before)


def test_read_only_arrays(images, on_images):
    x = images.copy()
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = short().fit(x)
        scores = detector.anomaly_score(x)
    np.testing.assert_array_equal(scores, on_images.anomaly_score(images))
