"""What ``deepsvdd score`` can read: arrays of any layout, images, folders of them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import agrees, fails, succeeds, table_of

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


@pytest.mark.parametrize("shape", [(40, 28, 28), (40, 1, 28, 28), (40, 28, 28, 1)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_score_arrays(grey, shape, suffix):
    model, path, x = grey
    save = np.save if suffix == ".npy" else np.savez
    save(f"data{suffix}", x.reshape(shape))
    result = succeeds("score", path, f"data{suffix}")
    agrees(result, model.anomaly_score(x), model.threshold_)


def test_score_of_colour_images_in_either_layout(colour):
    model, path, x = colour
    scores = model.anomaly_score(x.transpose(0, 3, 1, 2))
    for layout in (x, x.transpose(0, 3, 1, 2)):
        np.save("data.npy", layout)
        agrees(succeeds("score", path, "data.npy"), scores, model.threshold_)


def test_score_the_data_sets_own_file(grey, data):
    model, path, x = grey
    result = succeeds("score", path, data / "fashion_mnist.npz")
    agrees(result, model.anomaly_score(x), model.threshold_)
    words = ("score", path, data / "fashion_mnist.npz", "--key", "x_train")
    assert len(table_of(succeeds(*words).stdout)) == 80


def test_score_keys(grey):
    model, path, x = grey
    np.savez("one.npz", anything=x)
    agrees(succeeds("score", path, "one.npz"), model.anomaly_score(x), model.threshold_)
    np.savez("two.npz", a=x[:3], b=x[:5])
    message = fails("score", path, "two.npz")
    assert "--key" in message
    assert "'a', 'b'" in message
    assert len(table_of(succeeds("score", path, "two.npz", "--key", "b").stdout)) == 5
    message = fails("score", path, "two.npz", "--key", "c")
    assert "no array 'c'" in message
    assert "'a', 'b'" in message


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("x.npy", ("--key", "x"), "key must go with .npz files only; got 'x.npy'"),
        ("x.png", ("--key", "x"), "key must go with .npz files only; got 'x.png'"),
        (".", ("--key", "x"), "key must go with .npz files only; got '.'"),
        ("x.npy", ("--resize",), "resize must go with image files only; got 'x.npy'"),
        ("x.npz", ("--resize",), "resize must go with image files only; got 'x.npz'"),
    ],
)
def test_score_refuses_options_of_other_inputs(grey, name, words, message):
    _, path, x = grey
    np.save("x.npy", x)
    np.savez("x.npz", x=x)
    Image.fromarray(x[0]).save("x.png")
    assert message in fails("score", path, name, *words)


# ------------------------------------------------------------------------------ images


def test_score_images(grey):
    model, path, x = grey
    folder = Path("pictures/deep")
    folder.mkdir(parents=True)
    Image.fromarray(x[0]).save("pictures/a.png")
    Image.fromarray(np.stack([x[1]] * 3, axis=-1)).save("pictures/b.BMP")
    Image.fromarray(x[2]).save(folder / "c.tif")
    Path("pictures/notes.txt").write_text("no image")
    names = ["a.png", "b.BMP", str(Path("deep", "c.tif"))]
    scores = model.anomaly_score(x[:3])
    agrees(succeeds("score", path, "pictures"), scores, model.threshold_, names)
    one = succeeds("score", path, "pictures/a.png")
    agrees(one, scores[:1], model.threshold_, ["a.png"])


def test_score_colour_pictures(colour):
    model, path, x = colour
    Image.fromarray(x[0]).save("a.png")
    scores = model.anomaly_score(x[:1].transpose(0, 3, 1, 2))
    agrees(succeeds("score", path, "a.png"), scores, model.threshold_, ["a.png"])


def test_a_broken_image_is_named_and_left_out(grey):
    model, path, x = grey
    Path("pictures").mkdir()
    for i in range(3):
        Image.fromarray(x[i]).save(f"pictures/{i}.png")
    content = Path("pictures/1.png").read_bytes()
    Path("pictures/1.png").write_bytes(content[: len(content) // 2])
    Path("pictures/text.png").write_text("no image")
    Path("pictures/empty.jpg").write_bytes(b"")
    result = succeeds("score", path, "pictures")
    scores = model.anomaly_score(x[[0, 2]])
    agrees(result, scores, model.threshold_, ["0.png", "2.png"])
    for name in ("1.png", "text.png", "empty.jpg"):
        assert name in result.stderr
    assert result.stderr.count("warning: skipped") == 3


def test_sizes_with_and_without_resize(grey):
    model, path, x = grey
    Path("pictures").mkdir()
    Image.fromarray(np.kron(x[0], np.ones((2, 2), np.uint8))).save("pictures/a.png")
    Image.fromarray(x[1][:20]).save("pictures/b.png")
    message = fails("score", path, "pictures")
    assert "56×56" in message
    assert "28×28" in message
    assert "--resize" in message
    rows = table_of(succeeds("score", path, "pictures", "--resize").stdout)
    assert len(rows) == 2
    original = model.anomaly_score(x[:1])
    np.testing.assert_allclose(float(rows[0][1]), original, rtol=0.5)


def test_pictures_of_16_bits(grey):
    model, path, x = grey
    Image.fromarray(x[0].astype(np.uint16) * 257).save("deep.png")
    scores = model.anomaly_score(x[:1])
    agrees(succeeds("score", path, "deep.png"), scores, model.threshold_, ["deep.png"])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_known_white(grey, dtype):
    _, path, x = grey
    Image.fromarray(x[0].astype(dtype)).save("deep.tif")
    message = fails("score", path, "deep.tif")
    assert "'deep.tif' holds floating-point or 32-bit pixels" in message


def test_nothing_to_score(grey):
    _, path, _ = grey
    Path("empty").mkdir()
    assert "no image files (.bmp" in fails("score", path, "empty")
    Path("text.txt").write_text("hello")
    assert "no readable image" in fails("score", path, "text.txt")
    np.save("none.npy", np.zeros((0, 28, 28)))
    fails("score", path, "none.npy")


# ---------------------------------------------------------------------- strange arrays


@pytest.mark.parametrize("shape", [(5, 27, 28), (5, 3, 28, 28), (5, 784), (5,)])
def test_arrays_of_another_shape(grey, shape):
    _, path, _ = grey
    np.save("data.npy", np.ones(shape))
    message = fails("score", path, "data.npy")
    assert "(1, 28, 28)" in message
    assert str(shape) in message


@pytest.mark.parametrize(
    "shape",
    [
        (1, 28, 28),
        pytest.param(
            (28, 28),
        ),
    ],
)
def test_a_single_image_as_an_array(grey, shape):
    model, path, x = grey
    np.save("one.npy", x[0].reshape(shape))
    scores = model.anomaly_score(x[:1])
    agrees(succeeds("score", path, "one.npy"), scores, model.threshold_)


def test_an_array_without_axes(grey):
    _, path, _ = grey
    np.save("number.npy", np.float64(3))
    fails("score", path, "number.npy")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", b"\x93NUMPY"])
def test_broken_arrays(grey, name, content):
    _, path, _ = grey
    Path(name).write_bytes(content)
    assert name in fails("score", path, name)


def test_pickles_in_arrays_are_not_loaded(grey):
    _, path, _ = grey
    np.save("x.npy", np.array([{}, {}]), allow_pickle=True)
    np.savez("x.npz", np.array([{}, {}]), allow_pickle=True)
    assert "x.npy" in fails("score", path, "x.npy")
    assert "x.npz" in fails("score", path, "x.npz")


def test_a_damaged_compressed_array(grey):
    _, path, x = grey
    np.savez_compressed("x.npz", x_test=x)
    content = bytearray(Path("x.npz").read_bytes())
    content[200:260] = b"\xff" * 60
    Path("x.npz").write_bytes(content)
    assert "x.npz" in fails("score", path, "x.npz")


def test_nan_in_the_data(grey):
    _, path, _ = grey
    np.save("x.npy", np.full((2, 28, 28), np.nan))
    assert "nan" in fails("score", path, "x.npy").lower()
