"""``deepsvdd fit --outliers``: which samples are learned from, and which are none."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsvdd import FCDD, HSC, load_detector
from deepsvdd.cli.left_out import LeftOut
from deepsvdd.cli.outliers import Outliers, outliers_of
from deepsvdd.core._engine.feeds import read_images
from deepsvdd.core.recipes import RECIPES
from deepsvdd.datasets.images import ImageArray
from tests.cli import fails, invoke, succeeds
from tests.toys import SHORT, make_images, make_vectors

pytestmark = pytest.mark.usefixtures("one_thread", "_clean", "_short")
SIDE = 16
IMAGES, OTHERS = (make_images(n, (SIDE, SIDE), s) for n, s in ((40, 0), (30, 1)))
HSC_ = ("--method", "hsc", "--outliers")
SMALL = ("--size", SIDE, "--grey")


@pytest.fixture
def _short(monkeypatch):
    for name in RECIPES["fast"]:
        monkeypatch.setitem(RECIPES["fast"], name, SHORT)


def folder(name, images):
    Path(name, "sub").mkdir(parents=True)
    for index, image in enumerate(images):
        place = "sub/" if index % 2 else ""
        Image.fromarray(image).save(f"{name}/{place}{index:03}.png")
    return Path(name)


def ours(x, others, **parameters):
    """The detector that the command should make, from Python."""
    y = np.repeat([0, -1], [len(x), len(others)])
    detector = HSC(random_state=0, **parameters)
    return detector.fit(np.concatenate([x, others]), y).anomaly_score(x)


def in_order(images):
    """Images as a folder's sorted names have them: those of "sub" come last."""
    return np.concatenate([images[::2], images[1::2]])


@pytest.mark.parametrize("stream", [(), ("--stream", "--n_workers", 0)])
def test_a_folder_of_anything_else(stream):
    normal, others = folder("in", IMAGES), folder("other", OTHERS)
    words = (*SMALL, *stream)
    said = succeeds("fit", normal, "m", *HSC_, others, *words).stdout
    assert "outliers: 30 of 'other'" in said
    assert "labels" not in said
    expected = ours(in_order(IMAGES), in_order(OTHERS))
    scores = load_detector("m").anomaly_score(in_order(IMAGES))
    np.testing.assert_allclose(scores, expected, rtol=1e-4)
    assert "objective    HSC, outliers: known" in succeeds("info", "m").stdout
    assert load_detector("m").label_counts_["anomaly"] == 30


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("own", [(40, SIDE, SIDE), (40, 1, SIDE, SIDE)])
def test_an_array_has_its_channels_first_or_last_or_none(own, stream):
    normal = IMAGES.reshape(own)
    normal = ImageArray(normal) if stream else normal
    expected = np.concatenate([IMAGES, OTHERS])[:, None]
    for shape in ((30, 16, 16), (30, 1, 16, 16), (30, 16, 16, 1)):
        np.save("o.npy", OTHERS.reshape(shape))
        left_out = LeftOut(False, "samples")
        made, *counts = outliers_of("o.npy", None, 0, stream).beside(normal, left_out)
        assert counts == [30, 30]
        if stream:
            made = read_images(made, range(70)).numpy()
        np.testing.assert_array_equal(made, expected)


def test_images_of_an_array_that_are_streamed():
    np.save("x.npy", IMAGES)
    np.save("o.npy", OTHERS)
    words = ("--stream", "--n_workers", 0)
    succeeds("fit", "x.npy", "m", *HSC_, "o.npy", *words)
    scores = load_detector("m").anomaly_score(IMAGES)
    np.testing.assert_allclose(scores, ours(IMAGES, OTHERS), rtol=1e-4)


def test_a_folder_of_outliers_is_brought_to_the_shape_of_an_array():
    np.save("x.npy", make_images(40, (12, 16)))
    others = folder("other", make_images(5, (30, 20)))
    assert "outliers: 5 of" in succeeds("fit", "x.npy", "m", *HSC_, others).stdout
    assert load_detector("m").input_shape_ == (1, 12, 16)


def test_at_most_as_many_as_normal_samples_are_drawn_by_the_seed():
    x, others = np.zeros((4, 3)), np.arange(60.0).reshape(20, 3)
    np.save("o.npy", others)
    drawn = {}
    for seed in (0, 0, 1):
        chosen = outliers_of("o.npy", None, seed, False)
        data, n_outliers, n_read = chosen.beside(x, LeftOut(False, "samples"))
        assert (n_outliers, n_read, data.shape) == (4, 20, (8, 3))
        np.testing.assert_array_equal(data[:4], x)
        rows = data[4:, 0] / 3
        assert (np.diff(rows) > 0).all()
        assert drawn.setdefault(seed, rows.tolist()) == rows.tolist()
    assert drawn[0] != drawn[1]


def test_only_drawn_files_are_opened():
    others = folder("other", OTHERS)
    (others / "zzz.png").write_bytes(b"broken")
    (others / "._a.png").write_bytes(b"hidden")
    counts = set()
    for seed in range(39, 43):
        left_out = LeftOut(False, "files")
        x, n_outliers, n_read = Outliers(others, None, seed, False).beside(
            IMAGES[:4], left_out
        )
        drawn = 30 in np.random.default_rng(seed).permutation(31)[:4]
        assert (n_outliers, n_read) == (4 - drawn, 5)  # and the hidden one
        assert x.shape == (8 - drawn, 1, SIDE, SIDE)
        counts.add(len(left_out.reasons))
    assert counts == {1, 2}


def test_broken_outliers_are_named_and_left_out():
    normal, others = folder("in", IMAGES), folder("other", OTHERS)
    (others / "000.png").write_bytes(b"broken")
    result = invoke("fit", normal, "m", *HSC_, others, *SMALL)
    assert result.exit_code == 3
    assert f"left out: '{others / '000.png'}'" in result.stderr
    assert "1 of 70 files were left out" in result.stderr
    assert "outliers: 29 of 'other'" in result.stdout


def test_rows_with_nan_are_no_outliers():
    np.save("v.npy", make_vectors())
    rows = make_vectors(10, seed=1)
    rows[3, 2] = np.nan
    np.savez("o.npz", x=rows, y=rows[:, 0])
    result = invoke("fit", "v.npy", "m", *HSC_, "o.npz")
    assert result.exit_code == 3
    assert "'o.npz' has nan at index (3, 2)" in result.stderr
    assert "outliers: 9 of 'o.npz'" in result.stdout


def test_tables_go_by_the_names_of_their_columns():
    pd = pytest.importorskip("pandas")
    x, others = make_vectors(), make_vectors(20, seed=1)
    names = list("abcde")
    pd.DataFrame(x, columns=names).to_csv("x.csv", index=False)
    pd.DataFrame(others, columns=names)[names[::-1]].to_csv("o.csv", index=False)
    np.save("o.npy", others)
    expected = ours(x, others)
    for source in ("o.csv", "o.npy"):
        succeeds("fit", "x.csv", "m", *HSC_, source)
        detector = load_detector("m")
        assert detector.feature_names_in_.tolist() == names
        scores = detector.anomaly_score(pd.DataFrame(x, columns=names))
        np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_beside_labels():
    np.save("x.npy", IMAGES)
    np.save("o.npy", OTHERS)
    with open("l.csv", "w") as file:
        file.write("sample,label\n3,-1\n5,1\n")
    words = ("fit", "x.npy", "m", "--method", "hsc", "--labels", "l.csv")
    said = succeeds(*words).stdout
    assert "labels: 1 normal, 1 anomaly, 38 unlabeled" in said
    assert load_detector("m").outliers == "known"
    said = succeeds(*words, "--outliers", "o.npy").stdout
    assert "labels: 1 normal, 1 anomaly, 38 unlabeled" in said
    assert "outliers: 30 of 'o.npy'" in said
    assert load_detector("m").label_counts_ == {
        "normal": 1,
        "anomaly": 31,
        "unlabeled": 38,
    }


def test_confetti_and_heat_maps():
    np.save("x.npy", IMAGES)
    np.save("o.npy", OTHERS)
    assert "outliers" not in succeeds("fit", "x.npy", "m", *HSC_, "confetti").stdout
    assert load_detector("m").outliers == "confetti"
    succeeds("fit", "x.npy", "m", "--method", "fcdd", "--outliers", "o.npy")
    detector = load_detector("m")
    assert isinstance(detector, FCDD)
    assert detector.outliers == "known"
    assert detector.label_counts_["anomaly"] == 30


@pytest.mark.parametrize(
    ("source", "others", "message"),
    [
        ("x.npy", "v.npy", "'v.npy' must hold samples of shape (1, 16, 16), as in fit"),
        ("v.npy", "w.npy", "must hold samples of shape (5,), as in fit; got an array"),
        ("v.npy", "in", "outliers must be samples of shape (5,), as INPUT has them;"),
        ("x.npy", "none", "outliers must be confetti, a folder, .npy, .npz, .csv or"),
        ("x.npy", "in/000.png", "parquet that exists; got 'in/000.png'"),
        ("v.npy", "confetti", "outliers must be 'known' for vectors; got 'confetti'"),
        ("x.npy", "x.txt", "outliers must be confetti, a folder, .npy, .npz"),
        ("v.npy", "nan.npy", "no usable outlier in 'nan.npy'; first: 'nan.npy' has"),
        ("last.npy", "in", "X must have its channels second, (n, c, h, w)"),
        ("x.npy", "empty", "no image files"),
    ],
)
def test_what_is_none_is_one_sentence(source, others, message, tmp_path):
    np.save("x.npy", IMAGES)
    np.save("last.npy", np.zeros((9, 16, 16, 3)))
    np.save("v.npy", make_vectors())
    np.save("w.npy", make_vectors(d=4))
    np.save("nan.npy", np.full((3, 5), np.nan))
    (tmp_path / "x.txt").write_text("1 2")
    (tmp_path / "empty").mkdir()
    folder("in", OTHERS)
    assert message in fails("fit", source, "m", *HSC_, others)


def test_the_model_never_replaces_an_outlier():
    np.save("x.npy", IMAGES)
    others = folder("in", OTHERS)
    before = (others / "000.png").read_bytes()
    message = fails("fit", "x.npy", others / "000.png", *HSC_, others)
    assert "output must be another file than the inputs" in message
    assert (others / "000.png").read_bytes() == before
