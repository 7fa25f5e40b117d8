"""What the estimator takes, in any of its forms, and what it refuses, and how."""

import re
import warnings

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, TensorDataset

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
        ("random_state", "zero", "RandomState"),
        ("random_state", True, "whole number"),
        ("random_state", 1.5, "whole number"),
        ("random_state", np.random.default_rng(0), "RandomState"),
        ("objective", np.array("one-class"), "soft-boundary"),
        ("network", np.array(["mlp"]), "mnist_LeNet"),
        ("network", ["mlp"], "mnist_LeNet"),
        ("preprocessing", np.array(["minmax", "none"]), "gcn_l1"),
        ("contamination", np.array(["auto", "auto"]), r"\(0, 0.5\]"),
        ("precision", np.array("bf16"), "float32"),
        ("device", "cpu:5", "of which there is one"),
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


# ------------------------------------------------------- what is none, or holds samples


def sentence(x, match, **parameters):
    with pytest.raises(ValueError, match=match) as raised:
        short(**parameters).fit(x)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_masked_arrays(kind, images, vectors):
    x = images if kind == "images" else vectors
    masked = np.ma.array(x, mask=np.zeros(x.shape, bool))
    scores = short().fit(x).anomaly_score(x)
    np.testing.assert_array_equal(short().fit(masked).anomaly_score(masked), scores)
    masked[3, 2] = np.ma.masked
    sentence(masked, r"no masked values; got \d+: leave .*X.filled")


def test_things_that_only_lead_to_samples(vectors, tmp_path):
    sentence(
        tmp_path, "array or a data set; got the path .*np.load, or use ImageFolder"
    )
    sentence("x.npy", "got the path 'x.npy'")
    data = TensorDataset(torch.tensor(vectors))
    sentence(DataLoader(data), "got a DataLoader: pass its data set, loader.dataset")


def test_tables_of_polars(vectors):
    lazy = type("LazyFrame", (), {})()
    sentence(lazy, r"got a LazyFrame, not computed yet: pass X.collect\(\)")
    frame = pytest.importorskip("polars").DataFrame(vectors)
    sentence(frame.lazy(), "got a LazyFrame")
    scores = short().fit(frame).anomaly_score(frame)
    np.testing.assert_array_equal(scores, short().fit(vectors).anomaly_score(vectors))


def test_tensor_data_sets_of_images_and_vectors(images, vectors):
    for x in (images, vectors):
        data = TensorDataset(torch.from_numpy(x), torch.zeros(len(x)))
        scores = short().fit(data).anomaly_score(data)
        np.testing.assert_array_equal(scores, short().fit(x).anomaly_score(x))


def test_lists_of_pictures(images):
    pictures = [Image.fromarray(image) for image in images]
    scores = short().fit(pictures).anomaly_score(pictures)
    np.testing.assert_array_equal(scores, short().fit(images).anomaly_score(images))


def test_memory_maps_are_arrays(images, vectors, tmp_path):
    for x in (images, vectors):
        np.save(tmp_path / "x.npy", x)
        for mode in ("r", "r+", "c"):
            mapped = np.load(tmp_path / "x.npy", mmap_mode=mode)
            scores = short().fit(mapped).anomaly_score(mapped)
            np.testing.assert_array_equal(scores, short().fit(x).anomaly_score(x))


def test_what_is_no_array_at_all(vectors):
    for x in ({"a": [1]}, {1, 2}, (row for row in vectors)):
        sentence(x, f"array or a data set; got a {type(x).__name__}")
    sentence(torch.zeros(5, 3, device="meta"), "dense tensor .*meta device")
    sentence(torch.from_numpy(vectors).to_sparse(), r"dense tensor .*X.to_dense\(\)")
    sentence(vectors + 1j, "Complex data not supported: got dtype complex128")
    pandas = pytest.importorskip("pandas")
    with pytest.raises(ValueError, match="Series"):
        short().fit(pandas.Series(vectors[:, 0]))


def test_the_first_nan_of_a_table_is_found(vectors, on_vectors):
    x = vectors.copy()
    x[7, 2] = x[9, 4] = np.nan
    match = r"no NaN or infinity; got nan at index \(7, 2\), and 2 such values in all"
    sentence(x, match)
    with pytest.raises(ValueError, match=match):
        on_vectors.predict(x)


@pytest.mark.parametrize("unit", ["datetime64[s]", "timedelta64[s]", "<U3", "S3"])
def test_arrays_of_other_things_than_numbers(unit, vectors):
    sentence((vectors * 99).astype(int).astype(unit), "real numbers; got dtype")


def test_arrays_of_records(vectors):
    records = np.zeros(5, [("a", "f4"), ("b", "f4")])
    sentence(records, "real numbers; got dtype")


def test_columns_of_dates_are_named(vectors):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(vectors, columns=list("abcde"))
    frame["when"] = pandas.Timestamp("2024-02-29")
    sentence(frame, "the column 'when' of type datetime64.*: leave it out")
    frame["when"] = pandas.Timedelta("1 day")
    sentence(frame, "the column 'when' of type timedelta64")
    frame["when"] = pandas.Timestamp("2024-02-29", tz="UTC")
    sentence(frame, "the column 'when' of type datetime64")


def test_a_column_too_wide_for_its_range(vectors):
    x = vectors.copy()
    x[4, 2], x[5, 2] = -1.7e308, 1.7e308
    sentence(x, r"column 2 goes from -1.7e\+308 to 1.7e\+308: divide it by")
    x[4, 2] = 0
    # One wrong number is no reason not to train; its own score is none.
    detector = short().fit(x)
    rest = np.delete(x, 5, axis=0)
    assert np.isfinite(detector.anomaly_score(rest)).all()
    assert np.isfinite(detector.threshold_)
    with pytest.raises(ValueError, match="finite scores; got 1 of 60"):
        detector.anomaly_score(x)
