"""What ``deepsvdd score`` can read: arrays of any layout, images, folders of them."""

import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli import agrees, fails, invoke, succeeds, table_of

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


def odd_files(x):
    """A folder of two pictures, and of much that is none; its names, in order."""
    Path("pictures").mkdir()
    for i in range(3):
        Image.fromarray(x[i]).save(f"pictures/{i}.png")
    content = Path("pictures/1.png").read_bytes()
    Path("pictures/1.png").write_bytes(content[: len(content) // 2])
    Path("pictures/text.png").write_text("no image")
    Path("pictures/empty.jpg").write_bytes(b"")
    Path("pictures/garbage.pgm").write_bytes(b"P5 4 x 255")
    Path("pictures/._0.png").write_bytes(b"\0\5\x16\7")
    Path("pictures/folder.png").mkdir()
    Path("pictures/.ipynb_checkpoints").mkdir()
    Image.fromarray(x[0]).save("pictures/.ipynb_checkpoints/0.png")
    names = {"0.png", "1.png", "2.png", "text.png", "empty.jpg", "garbage.pgm"}
    names |= {"._0.png", "folder.png", str(Path(".ipynb_checkpoints", "0.png"))}
    if hasattr(os, "mkfifo"):
        os.mkfifo("pictures/pipe.png")
        os.symlink("/dev/zero", "pictures/zero.png")
        names |= {"pipe.png", "zero.png"}
    return sorted(names, key=Path)


def test_odd_files_are_named_counted_and_have_rows_without_a_score(grey):
    model, path, x = grey
    names = odd_files(x)
    result = invoke("score", path, "pictures")
    assert result.exit_code == 3
    rows = table_of(result.stdout)
    assert [row[0] for row in rows] == names
    expected = model.anomaly_score(x[[0, 2]])
    scored = [row for row in rows if row[2] != "unscored"]
    assert [row[0] for row in scored] == ["0.png", "2.png"]
    np.testing.assert_allclose([float(row[1]) for row in scored], expected, rtol=1e-6)
    for name, score, label in rows:
        if label == "unscored":
            assert score == ""
            assert f"warning: left out: '{Path('pictures', name)}'" in result.stderr
    odd = len(names) - 2
    assert f"warning: {odd} of {len(names)} files were left out" in result.stderr
    assert all(len(line) < 176 for line in result.stderr.splitlines())


def test_strict_stops_at_the_first_odd_file(grey):
    _, path, x = grey
    odd_files(x)
    message = fails("score", path, "pictures", "--strict", "-o", "s.csv")
    assert f"'{Path('pictures', '._0.png')}'" in message or ".ipynb" in message
    assert not Path("s.csv").exists()
    Path("more").mkdir()
    Image.fromarray(x[0]).save("more/a.png")
    succeeds("score", path, "more", "--strict")


def test_a_picture_of_too_many_pixels(grey, monkeypatch):
    _, path, x = grey
    Path("pictures").mkdir()
    Image.fromarray(x[0]).save("pictures/a.png")
    Image.new("L", (1000, 1000)).save("pictures/b.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)
    result = invoke("score", path, "pictures")
    assert result.exit_code == 3
    assert table_of(result.stdout)[1] == ["b.png", "", "unscored"]
    assert "exceeds limit of" in result.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="names of bytes")
def test_names_that_are_not_utf8(grey):
    _, path, x = grey
    Path("pictures").mkdir()
    Image.fromarray(x[0]).save(os.fsdecode(b"pictures/bad\xff.png"))
    succeeds("score", path, "pictures", "-o", "s.csv")
    assert Path("s.csv").read_bytes().splitlines()[1].startswith(b"bad\xff.png,")


def test_what_is_read_in_part_is_told_once_and_counted(grey):
    _, path, x = grey
    Path("pictures").mkdir()
    pages = [Image.fromarray(image) for image in x[:3]]
    for name in ("a.tif", "b.tif", "c.tif"):
        pages[0].save(f"pictures/{name}", save_all=True, append_images=pages[1:])
    pages[0].save("pictures/d.tif")
    result = succeeds("score", path, "pictures")
    assert result.stderr == (
        "warning: 3 of 4 files have more pages or frames than the one that is read, "
        "the first\n"
    )


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
    model, path, x = grey
    Image.fromarray(x[0].astype(dtype)).save("deep.tif")
    result = succeeds("score", path, "deep.tif")
    agrees(result, model.anomaly_score(x[:1]), model.threshold_, ["deep.tif"])
    assert "1 of 1 files have 32-bit or signed pixels" in result.stderr


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
    for name in ("x.npy", "x.npz"):
        message = fails("score", path, name)
        assert f"cannot read '{name}': it holds objects of Python" in message


def test_a_damaged_compressed_array(grey):
    _, path, x = grey
    np.savez_compressed("x.npz", x_test=x)
    content = bytearray(Path("x.npz").read_bytes())
    content[200:260] = b"\xff" * 60
    Path("x.npz").write_bytes(content)
    assert "x.npz" in fails("score", path, "x.npz")


def test_nan_in_the_data(grey):
    model, path, x = grey
    np.save("x.npy", np.full((2, 28, 28), np.nan))
    assert "nan" in fails("score", path, "x.npy").lower()
    some = x[:3].astype(np.float32)
    some[1, 4, 5] = np.nan
    some[2, 0, 0] = 1e16
    np.save("x.npy", some)
    result = invoke("score", path, "x.npy")
    assert result.exit_code == 3
    rows = table_of(result.stdout)
    np.testing.assert_allclose(float(rows[0][1]), model.anomaly_score(x[:1]), rtol=1e-6)
    assert rows[1:] == [["1", "", "unscored"], ["2", "", "unscored"]]
    assert "'x.npy' has nan at index (1, 0, 4, 5)" in result.stderr
    assert "at index (2, 0, 0, 0)" in result.stderr
    assert "(1, 0, 4, 5)" in fails("score", path, "x.npy", "--strict")


def declaring(shape, file):
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    file.write(b"few")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_arrays_that_declare_more_than_they_hold(grey, name):
    _, path, _ = grey
    if name == "x.npy":
        with Path(name).open("wb") as file:
            declaring((10**12, 28, 28), file)
    else:
        with zipfile.ZipFile(name, "w") as archive, archive.open("x.npy", "w") as file:
            declaring((10**12, 28, 28), file)
    message = fails("score", path, name)
    assert f"cannot read '{name}': it declares an array of shape (1000000000000," in (
        message
    )
    assert "it declares" in fails("fit", name, "m.safetensors")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_arrays_of_less_than_nothing(grey, name):
    _, path, _ = grey
    if name == "x.npy":
        with Path(name).open("wb") as file:
            declaring((-3, 28, 28), file)
        assert "it declares" in fails("score", path, name)
    else:
        np.savez(name)
        assert "cannot read 'x.npz': it holds no array" in fails("score", path, name)


@pytest.mark.parametrize(
    "array",
    [
        np.array([["1", "2"], ["3", "4"]]),
        np.array([[b"1", b"2"]]),
        np.zeros(3, dtype=[("a", "f4"), ("b", "f4")]),
        np.zeros((2, 2), complex),
        np.zeros((2, 2), "datetime64[s]"),
    ],
    ids=lambda array: array.dtype.kind,
)
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_arrays_of_what_is_no_number(grey, array, suffix):
    _, path, _ = grey
    name = f"x{suffix}"
    (np.save if suffix == ".npy" else np.savez)(name, array)
    assert f"'{name}' must hold real numbers; got" in fails("score", path, name)
    assert "must hold real numbers" in fails("fit", name, "m.safetensors")


@pytest.mark.parametrize("name", ["x.npy", "x.npz", "x.csv", "x.png", "m.safetensors"])
def test_files_without_a_byte(grey, name):
    _, path, x = grey
    Path(name).write_bytes(b"")
    np.save("good.npy", x)
    if name == "m.safetensors":
        assert name in fails("score", name, "good.npy")
        return
    message = fails("score", path, name)
    assert name in message
    assert "Aborted" not in message
    assert "Aborted" not in fails("fit", name, "new.safetensors")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX pipes")
def test_pipes_and_devices_are_not_waited_for(grey):
    _, path, _ = grey
    os.mkfifo("x.npy")
    os.symlink("/dev/zero", "x.csv")
    for name in ("x.npy", "x.csv", "/dev/zero"):
        assert "a pipe or device" in fails("score", path, name)
        assert "a pipe or device" in fails("fit", name, "m.safetensors")
