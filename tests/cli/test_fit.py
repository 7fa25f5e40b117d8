"""``deepsvdd fit``: from a folder or an array to a model that scores."""

import csv
import os

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from deepsvdd import DeepSVDD
from deepsvdd.cli import main

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def images(threes):
    return threes.x_train[:60]


@pytest.fixture(scope="module")
def folder(images, tmp_path_factory):
    root = tmp_path_factory.mktemp("normal")
    for index, image in enumerate(images):
        Image.fromarray(image[0]).save(root / f"{index:03}.png")
    return root


def run(*words, status=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


def test_a_folder_becomes_a_model_that_scores_the_folder(folder, tmp_path):
    model, table = tmp_path / "m.safetensors", tmp_path / "scores.csv"
    output = run("fit", folder, model, "--size", 28, "--grey", "--nu", 0.2)
    assert "mnist_LeNet for samples of 1×28×28, 1 member(s), threshold" in output
    run("score", model, folder, "-o", table)
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 60
    assert sum(row["label"] == "anomaly" for row in rows) == 12  # ν of 60


@pytest.mark.usefixtures("brief")
def test_streaming_and_reading_at_once_give_one_model(folder, images, tmp_path):
    np.save(tmp_path / "x.npy", images)
    sources = {"folder": (folder, "--size", 28, "--grey"), "npy": (tmp_path / "x.npy",)}
    scores = []
    for name, words in sources.items():
        for stream in ((), ("--stream", "--n_workers", 1)):
            model = tmp_path / f"{name}{len(stream)}.safetensors"
            source, *rest = words
            run("fit", source, model, *rest, *stream, "--seed", 3)
            scores.append(DeepSVDD.load(model).anomaly_score(images))
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], rtol=1e-3)


def test_vectors_in_an_npz(tmp_path):
    x = np.random.default_rng(0).normal(size=(80, 6))
    np.savez(tmp_path / "v.npz", x_train=x, other=x[:1])
    model = tmp_path / "m.safetensors"
    assert "mlp_BN for samples of 6" in run("fit", tmp_path / "v.npz", model)
    assert DeepSVDD.load(model).n_features_in_ == 6


@pytest.mark.usefixtures("brief")
def test_checkpoints_are_gone_when_the_model_is_there(folder, tmp_path):
    model = tmp_path / "m.safetensors"
    run("fit", folder, model, "--size", 28, "--grey", "--checkpoint_every", 5)
    assert [path.name for path in tmp_path.iterdir()] == ["m.safetensors"]


@pytest.mark.parametrize(
    ("name", "content", "words", "message"),
    [
        (
            "x.txt",
            b"1 2",
            (),
            "INPUT must be a folder, .npy, .npz, .csv or .parquet; got",
        ),
        ("x.npy", b"not an array", (), "cannot read"),
        ("x.npy", b"not an array", ("--stream",), "cannot read"),
        ("x.npz", b"", ("--stream",), "stream must go without .npz"),
        ("x.npy", b"", ("--grey",), "grey must go with image files only; got"),
        ("x.npz", b"", ("--size", 0), "size must go with image files only; got"),
        ("x.npy", b"", ("--key", "x"), "key must go with .npz files only; got"),
    ],
)
def test_what_cannot_be_read(name, content, words, message, tmp_path):
    (tmp_path / name).write_bytes(content)
    output = run("fit", tmp_path / name, tmp_path / "m.safetensors", *words, status=1)
    assert message in output
    assert not (tmp_path / "m.safetensors").exists()


def test_bad_values_are_refused_before_anything_is_read(folder, tmp_path):
    model = tmp_path / "m.safetensors"
    assert "nu must be a number in (0, 1]" in run(
        "fit", folder, model, "--nu", 2, status=1
    )
    assert "size must be a positive whole number" in run(
        "fit", folder, model, "--size", 0, status=1
    )
    assert "key must go with .npz files only" in run(
        "fit", folder, model, "--key", "x", status=1
    )


def test_a_network_of_other_widths(folder, images, tmp_path):
    model = tmp_path / "m.safetensors"
    words = ("--size", 28, "--grey", "--widths", "8,4,16", "--seed", 1)
    run("fit", folder, model, *words, "--recipe", "quick")
    fitted = DeepSVDD.load(model)
    assert fitted.widths in ((8, 4, 16), [8, 4, 16])
    assert fitted.represent(images[:2]).shape == (2, 16)
    np.save(tmp_path / "v.npy", np.random.default_rng(0).normal(size=(80, 6)))
    run("fit", tmp_path / "v.npy", model, "--widths", "12,5")
    assert DeepSVDD.load(model).represent(np.zeros((1, 6))).shape == (1, 5)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--widths", "8;4"), "widths must be like 64,32 or 16,8,64; got '8;4'"),
        (("--widths", "8,0,16"), "widths must be None or whole numbers from 1 on"),
        (("--widths", "8,4,20"), "the representation's dimension, a multiple of 16"),
        (("--widths", "4,4,4,4,4,16"), "widths must have a number of convolutions"),
        (
            ("--widths", "8,4,16", "--objective", "fcdd"),
            "widths must go without fcdd, whose network has its own; got (8, 4, 16)",
        ),
    ],
)
def test_widths_that_no_network_has(words, message, folder, tmp_path):
    output = run("fit", folder, tmp_path / "m", "--size", 28, *words, status=1)
    assert message in " ".join(output.split())
    assert not (tmp_path / "m").exists()


# Large pictures ----------------------------------------------------------------------


@pytest.fixture
def photographs(tmp_path):
    """100 color pictures of 80 to 130 pixels a side: gray gradients and noise."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    for index in range(100):
        height, width = rng.integers(80, 131, 2)
        gradient = np.linspace(40, 200, width)[None, :, None]
        pixels = gradient + rng.normal(0, 20, (height, width, 3))
        picture = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
        picture.save(folder / f"{index:03}.jpg")
    return folder


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("stream", [(), ("--stream", "--n_workers", 1)])
def test_a_folder_of_large_colour_pictures(stream, photographs, tmp_path):
    model, table = tmp_path / "m.safetensors", tmp_path / "scores.csv"
    output = run("fit", photographs, model, "--size", 72, *stream)
    assert "deep_LeNet for samples of 3×72×72, 1 member(s)" in output
    run("score", model, photographs, "--resize", "-o", table)
    rows = list(csv.DictReader(table.open()))
    assert len(rows) == 100
    scores = np.array([float(row["score"]) for row in rows])
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 90
    detector = DeepSVDD.load(model)
    assert detector.network_ == "deep_LeNet"
    assert (scores > detector.threshold_).sum() == 10  # ν of 100
    assert "deep_LeNet, 532,144 weights" in run("info", model)


def test_pictures_that_are_too_large_are_refused_with_the_range(photographs, tmp_path):
    output = run("fit", photographs, tmp_path / "m", "--size", 257, status=1)
    assert "sides of 32 to 256 pixels; got samples of shape (3, 257, 257)" in output
    assert not (tmp_path / "m").exists()


# --------------------------------------------------------------------------- odd inputs


@pytest.fixture
def odd(images, tmp_path):
    """Forty good pictures, a broken one, a hidden one, and a folder named as one."""
    folder = tmp_path / "odd"
    (folder / "folder.png").mkdir(parents=True)
    for index, image in enumerate(images[:40]):
        Image.fromarray(image[0]).save(folder / f"{index:03}.png")
    (folder / "broken.png").write_bytes((folder / "000.png").read_bytes()[:60])
    (folder / "._000.png").write_bytes(b"\0\5\x16\7")
    return folder


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("stream", [(), ("--stream", "--n_workers", 0)])
def test_odd_files_are_named_and_left_out(odd, images, tmp_path, stream):
    words = ("--size", 28, "--grey", *stream)
    model, clean = tmp_path / "m.safetensors", tmp_path / "clean.safetensors"
    output = run("fit", odd, model, *words, status=3)
    for name in ("broken.png", "._000.png", "folder.png"):
        assert f"left out: '{odd / name}'" in output
    assert "warning: 3 of 43 files were left out" in output
    for name in ("broken.png", "._000.png"):
        (odd / name).unlink()
    (odd / "folder.png").rmdir()
    assert "left out" not in run("fit", odd, clean, *words)
    expected = DeepSVDD.load(clean).anomaly_score(images)
    np.testing.assert_array_equal(DeepSVDD.load(model).anomaly_score(images), expected)


def test_strict_stops_before_training(odd, tmp_path):
    model = tmp_path / "m.safetensors"
    output = run("fit", odd, model, "--strict", "--grey", status=1)
    assert "(without --strict, it would be left out)" in output
    assert not model.exists()


def test_too_few_that_can_be_read(odd, tmp_path):
    for index in range(1, 40):
        (odd / f"{index:03}.png").unlink()
    output = run("fit", odd, tmp_path / "m.safetensors", status=1)
    assert "must hold at least 2 readable images; got 1; first: " in output


@pytest.mark.usefixtures("brief")
def test_rows_with_nan_are_left_out(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4))
    x[3, 1] = np.nan
    np.save(tmp_path / "x.npy", x)
    words = ("fit", tmp_path / "x.npy", tmp_path / "m.safetensors")
    output = run(*words, status=3)
    assert "has nan at index (3, 1)" in output
    assert "1 of 60 samples were left out" in output
    assert "has nan at index (3, 1)" in run(*words, "--strict", status=1)


# ------------------------------------------------------------ before the first second


def untouched(path):
    status = path.stat()
    return status.st_mtime_ns, status.st_size, path.read_bytes()


@pytest.fixture
def no_training(monkeypatch):
    def fit(self, X):
        raise AssertionError("began to train")

    monkeypatch.setattr(DeepSVDD, "fit", fit)


@pytest.mark.parametrize("kind", ["itself", "spelling", "symlink", "hard link"])
def test_a_model_never_replaces_the_data(tmp_path, no_training, kind):
    data = tmp_path / "x.npy"
    np.save(data, np.zeros((9, 4)))
    target = tmp_path / "link.npy"
    if kind == "itself":
        target = data
    elif kind == "spelling":
        (tmp_path / "a").mkdir()
        target = tmp_path / "a" / ".." / "x.npy"
    else:
        (os.symlink if kind == "symlink" else os.link)(data, target)
    before = untouched(data)
    output = run("fit", data, target, status=1)
    assert "output must be another file than the inputs" in output
    assert untouched(data) == before


def test_a_model_never_replaces_a_picture(odd, no_training):
    output = run("fit", odd, odd / "000.png", status=1)
    assert "output must be another file than the inputs" in output


@pytest.mark.parametrize("name", ["odd", "odd/000.png/m", ""])
def test_a_model_that_cannot_be_written_is_told_before(odd, no_training, name):
    target = odd.parent / name if name else ""
    output = run("fit", odd, target, status=2 if name == "" else 1)
    assert ("it is empty" if name == "" else "cannot write") in output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--size", 100000), "size must be a positive whole number up to 4096"),
        (("--size", 4000), "with sides of 32 to 256 pixels"),
        (
            ("--size", 28, "--network", "gtsrb_LeNet", "--device", "cpu:5"),
            "device must",
        ),
    ],
)
def test_values_out_of_range_are_told_before(
    folder, tmp_path, no_training, words, message
):
    assert message in run("fit", folder, tmp_path / "m.safetensors", *words, status=1)


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("network", ["mlp", "mnist_LeNet"])
def test_networks_named_for_others_take_colours(odd, tmp_path, network):
    """They do: the name tells what the paper had them for, not what they can."""
    for name in ("broken.png", "._000.png"):
        (odd / name).unlink()
    (odd / "folder.png").rmdir()
    output = run("fit", odd, tmp_path / "m.safetensors", "--network", network)
    assert f"{network} for samples of 3×32×32" in output


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
        RuntimeError("CUDA out of memory. Tried to allocate"),
    ],
)
def test_running_out_of_memory_is_one_sentence(folder, tmp_path, monkeypatch, error):
    def fit(self, X):
        raise error

    monkeypatch.setattr(DeepSVDD, "fit", fit)
    output = run("fit", folder, tmp_path / "m.safetensors", status=1)
    assert output == (
        "Error: out of memory: use smaller or fewer images, or --stream with fit, or "
        "end other programs\n"
    )
