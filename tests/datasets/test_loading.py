"""Data sets: where they come from, and what is refused."""

import errno
import hashlib
import io
import os
import pickle
import re
import socket
import subprocess
import sys
import warnings
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from deepsvdd.datasets import load_dataset
from deepsvdd.datasets import loading as datasets
from deepsvdd.errors import DataUnavailableError

MNIST_SHA256 = {
    "x_train": "741c988805d008ac6e4c904b69001ba184c24b2c540a4ef403f4c71b676cf757",
    "y_train": "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13",
    "x_test": "6d87418db22cc8025d05968bec9bd5c3932904b23485740db143a061a2c9d161",
    "y_test": "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5",
}
SHAPES = {"fashion_mnist": (28, 28), "cifar10": (32, 32, 3)}
TORCHVISION = {"fashion_mnist": "FashionMNIST", "cifar10": "CIFAR10"}


@pytest.fixture(autouse=True)
def _fresh(monkeypatch, tmp_path):
    """No test sees the user's data, another test's cache, or the network."""
    monkeypatch.setenv("DEEPSVDD_DATA", str(tmp_path / "default"))
    monkeypatch.setattr(socket, "getaddrinfo", no_network)
    datasets._from_torchvision.cache_clear()


def no_network(*args, **kwargs):
    raise socket.gaierror(-2, "Name or service not known")


def fake(name="cifar10", n_train=20, n_test=10, seed=0):
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, n in (("train", n_train), ("test", n_test)):
        shape = (n, *SHAPES[name])
        arrays[f"x_{part}"] = rng.integers(0, 256, shape, dtype=np.uint8)
        arrays[f"y_{part}"] = (np.arange(n) % 10).astype(np.uint8)
    return arrays


def save(folder, name, arrays):
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)


def assert_holds(dataset, arrays):
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(getattr(dataset, f"x_{part}"), x)
        np.testing.assert_array_equal(getattr(dataset, f"y_{part}"), y)


def one_sentence(error):
    text = str(error.value)
    return "\n" not in text and not re.search(r"[.!?] [A-Z]", text)


# The bundled MNIST


def test_mnist_is_the_published_one():
    mnist = load_dataset("mnist")
    for key, digest in MNIST_SHA256.items():
        content = getattr(mnist, key).astype(np.uint8).tobytes()
        assert hashlib.sha256(content).hexdigest() == digest, key
    notice = Path(datasets.__file__).with_name("bundled") / "LICENSE-MNIST.md"
    assert all(digest in notice.read_text("utf-8") for digest in MNIST_SHA256.values())


def test_mnist_has_the_one_layout():
    mnist = load_dataset("mnist")
    assert mnist.x_train.shape == (60000, 1, 28, 28)
    assert mnist.x_test.shape == (10000, 1, 28, 28)
    assert mnist.y_train.shape == (60000,)
    assert mnist.x_train.dtype == mnist.x_test.dtype == np.uint8
    assert mnist.y_train.dtype == mnist.y_test.dtype == np.int64
    assert mnist.classes == tuple("0123456789")
    assert repr(mnist).startswith("Dataset(name='mnist', classes=('0', '1'")


def test_second_load_is_the_same_object_and_cannot_be_changed():
    mnist = load_dataset("mnist")
    assert load_dataset("mnist") is mnist
    assert load_dataset("mnist", root="elsewhere", download=False) is mnist
    for key in MNIST_SHA256:
        with pytest.raises(ValueError, match="read-only"):
            getattr(mnist, key)[0] = 0
    with pytest.raises(FrozenInstanceError):
        mnist.x_train = None


@pytest.fixture
def bundle(monkeypatch, tmp_path):
    path = tmp_path / "mnist.npz"
    path.write_bytes((datasets._BUNDLED / "mnist.npz").read_bytes())
    monkeypatch.setattr(datasets, "_BUNDLED", tmp_path)
    return path


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content.replace(b"\r\n", b"\n"),  # Git's autocrlf
        lambda content: b"version https://git-lfs.github.com/spec/v1\n",
        lambda content: b"",
    ],
)
def test_a_damaged_bundle_is_not_used(bundle, damage):
    bundle.write_bytes(damage(bundle.read_bytes()))
    with pytest.raises(DataUnavailableError, match="wrong SHA-256") as error:
        load_dataset("mnist")
    assert "`git checkout -- deepsvdd/datasets/bundled/mnist.npz`" in str(error.value)
    assert "reinstalling the package" in str(error.value)
    assert f"({bundle.stat().st_size} bytes" in str(error.value)
    assert one_sentence(error)


def test_damage_after_a_good_load_is_noticed(bundle):
    load_dataset("mnist")
    bundle.write_bytes(b"")
    with pytest.raises(DataUnavailableError, match="wrong SHA-256"):
        load_dataset("mnist")


def test_a_missing_bundle(bundle):
    bundle.unlink()
    with pytest.raises(DataUnavailableError, match=r"cannot read .*mnist.npz") as error:
        load_dataset("mnist")
    assert "git checkout" in str(error.value)
    assert one_sentence(error)


def test_import_is_light():
    code = "import sys, deepsvdd.datasets; print('torchvision' in sys.modules)"
    root = Path(datasets.__file__).parents[2]
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "False"


# NAME.npz in a folder


@pytest.mark.parametrize("name", SHAPES)
def test_npz_in_root(tmp_path, name):
    arrays = fake(name)
    save(tmp_path, name, arrays)
    dataset = load_dataset(name, root=tmp_path, download=False)
    assert_holds(dataset, arrays)
    assert dataset.x_train.flags.c_contiguous
    assert dataset.y_train.dtype == np.int64
    assert len(dataset.classes) == 10
    assert load_dataset(name, root=str(tmp_path)) is dataset


def test_gray_images_may_have_a_channel_axis(tmp_path):
    arrays = fake("fashion_mnist")
    arrays["x_train"] = arrays["x_train"][..., None]
    save(tmp_path, "fashion_mnist", arrays)
    dataset = load_dataset("fashion_mnist", root=tmp_path)
    assert_holds(dataset, arrays)


def test_a_changed_file_is_read_again(tmp_path):
    save(tmp_path, "cifar10", fake(seed=1))
    before = load_dataset("cifar10", root=tmp_path)
    save(tmp_path, "cifar10", fake(seed=2, n_test=11))
    after = load_dataset("cifar10", root=tmp_path)
    assert len(before.x_test) == 10
    assert_holds(after, fake(seed=2, n_test=11))


def test_default_folders(tmp_path, monkeypatch):
    for seed, folder in enumerate(["variable", "xdg/deepsvdd", "h/.cache/deepsvdd"]):
        save(tmp_path / folder, "cifar10", fake(seed=seed))
    monkeypatch.setenv("DEEPSVDD_DATA", str(tmp_path / "variable"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "h"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "h"))
    monkeypatch.delenv("LOCALAPPDATA", raising=False)
    assert_holds(load_dataset("cifar10"), fake(seed=0))
    assert_holds(load_dataset("cifar10", root="~/.cache/deepsvdd"), fake(seed=2))
    monkeypatch.delenv("DEEPSVDD_DATA")
    assert_holds(load_dataset("cifar10"), fake(seed=1))
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert_holds(load_dataset("cifar10"), fake(seed=2))


def without(key):
    return lambda arrays: {k: v for k, v in arrays.items() if k != key}


def changed(key, change):
    return lambda arrays: arrays | {key: change(arrays[key])}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without("y_test"), "the arrays x_train, .* but it lacks y_test"),
        (lambda arrays: {}, "but it lacks x_train, y_train, x_test, y_test"),
        (
            changed("x_train", lambda x: x / 255),
            r"x_train must be uint8 of shape \(n, 32, 32, 3\), "
            r"got float64 of shape \(20, 32, 32, 3\)",
        ),
        (
            changed("x_test", lambda x: x.transpose(0, 3, 1, 2)),
            r"x_test must be .*got uint8 of shape \(10, 3, 32, 32\)",
        ),
        (changed("x_test", lambda x: x[..., 0]), r"got uint8 of shape \(10, 32, 32\)"),
        (changed("x_test", lambda x: np.uint8(3)), r"got uint8 of shape \(\)"),
        (
            changed("y_train", lambda y: y[:-1]),
            r"y_train must be integers of shape \(20,\), one for each image, "
            r"got uint8 of shape \(19,\)",
        ),
        (changed("y_train", lambda y: y[:, None]), r"got uint8 of shape \(20, 1\)"),
        (changed("y_test", lambda y: y * 1.0), "y_test must be integers.*got float64"),
        (
            changed("y_test", lambda y: np.where(y == 3, 10, y)),
            "y_test must hold labels from 0 to 9, got 10",
        ),
        (changed("y_test", lambda y: y.astype(np.int8) - 1), "from 0 to 9, got -1"),
        (
            changed("x_train", lambda x: np.array([None, x[0]], dtype=object)),
            "cannot be decoded .*copy or create it again",
        ),
    ],
)
def test_wrong_arrays_are_refused(tmp_path, change, message):
    save(tmp_path, "cifar10", change(fake()))
    with pytest.raises(ValueError, match=message) as error:
        load_dataset("cifar10", root=tmp_path)
    assert str(error.value).startswith(f"'{tmp_path / 'cifar10.npz'}'")
    assert one_sentence(error)


def test_gray_shapes_are_both_named(tmp_path):
    save(tmp_path, "fashion_mnist", fake("cifar10"))
    expected = r"shape \(n, 28, 28\) or \(n, 28, 28, 1\), got uint8"
    with pytest.raises(ValueError, match=expected):
        load_dataset("fashion_mnist", root=tmp_path)


def damaged_files():
    buffer = io.BytesIO()
    np.savez(buffer, **fake(n_train=2, n_test=2))
    good = buffer.getvalue()
    array = io.BytesIO()
    np.save(array, np.zeros(3))
    flipped = bytearray(good)
    flipped[1000] ^= 0xFF  # in the pixels: only zip's CRC can tell
    yield from (b"", b"PK", b"not a zip file", good[:1000], good[:-30])
    yield from (bytes(flipped), array.getvalue(), pickle.dumps({"x_train": 0}))


@pytest.mark.parametrize("content", list(damaged_files()))
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "cifar10.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"cannot be decoded|lacks") as error:
        load_dataset("cifar10", root=tmp_path)
    assert "must be an .npz file with the arrays x_train" in str(error.value)
    assert one_sentence(error)


def test_a_folder_called_npz(tmp_path):
    (tmp_path / "cifar10.npz").mkdir()
    with pytest.raises(DataUnavailableError, match=r"cannot read .*cifar10.npz"):
        load_dataset("cifar10", root=tmp_path)


@pytest.mark.parametrize("name", ["MNIST", "", "cifar100", None])
def test_unknown_name(name):
    with pytest.raises(ValueError, match="must be one of 'mnist', 'fashion_mnist'"):
        load_dataset(name)


# torchvision


def write_torchvision_files(folder, name, arrays):
    """Write the files that torchvision's class finds, in its own format."""
    if name == "cifar10":
        folder = folder / "cifar-10-batches-py"
        folder.mkdir(parents=True)
        x = {p: arrays[f"x_{p}"].transpose(0, 3, 1, 2) for p in ("train", "test")}
        batches = [
            (
                f"data_batch_{i + 1}",
                x["train"][4 * i : 4 * i + 4],
                arrays["y_train"][4 * i : 4 * i + 4],
            )
            for i in range(5)
        ]
        batches.append(("test_batch", x["test"], arrays["y_test"]))
        for file, images, labels in batches:
            entry = {"data": images.reshape(len(images), -1), "labels": labels.tolist()}
            (folder / file).write_bytes(pickle.dumps(entry))
        meta = {"label_names": list(datasets._SOURCES[name].classes)}
        (folder / "batches.meta").write_bytes(pickle.dumps(meta))
        return
    folder = folder / TORCHVISION[name] / "raw"
    folder.mkdir(parents=True)
    for part, stem in (("train", "train"), ("test", "t10k")):
        for key, kind in (("x", "images-idx3"), ("y", "labels-idx1")):
            array = arrays[f"{key}_{part}"]
            shape = b"".join(size.to_bytes(4, "big") for size in array.shape)
            header = bytes([0, 0, 8, array.ndim]) + shape  # 8: unsigned byte
            (folder / f"{stem}-{kind}-ubyte").write_bytes(header + array.tobytes())


@pytest.fixture
def torchvision_files(monkeypatch):
    """Let torchvision read small files: its checksums know only the real ones."""
    cifar = pytest.importorskip("torchvision.datasets.cifar")

    def exists(path, md5=None):
        return os.path.isfile(path)

    monkeypatch.setattr(cifar, "check_integrity", exists)
    return write_torchvision_files


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_torchvision_files_are_found_and_kept_as_npz(
    tmp_path, torchvision_files, name, download
):
    arrays = fake(name)
    torchvision_files(tmp_path, name, arrays)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_holds(load_dataset(name, tmp_path, download), arrays)
    with np.load(tmp_path / f"{name}.npz") as kept:
        assert set(kept) == set(arrays)
        for key in kept:
            np.testing.assert_array_equal(kept[key], arrays[key])
    datasets._from_torchvision.cache_clear()
    classroom = tmp_path / "classroom"
    classroom.mkdir()
    (tmp_path / f"{name}.npz").rename(classroom / f"{name}.npz")
    dataset = load_dataset(name, classroom, download=False)
    assert_holds(dataset, arrays)
    assert load_dataset(name, classroom) is dataset


def test_class_names_are_those_of_torchvision():
    torchvision = pytest.importorskip("torchvision")
    names = datasets._SOURCES["fashion_mnist"].classes
    assert names == tuple(torchvision.datasets.FashionMNIST.classes)


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "no space left"), (errno.EROFS, "read-only")],
)
def test_a_failing_copy_costs_a_warning_only(
    tmp_path, monkeypatch, torchvision_files, number, reason
):
    arrays = fake()
    torchvision_files(tmp_path, "cifar10", arrays)

    def fail(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.replace", fail)
    message = rf"cannot write '.*cifar10.npz': .*{reason}.*; cifar10 is loaded all the"
    with pytest.warns(UserWarning, match=message) as caught:
        dataset = load_dataset("cifar10", tmp_path)
    assert [warning.filename for warning in caught] == [__file__]
    assert_holds(dataset, arrays)
    assert os.listdir(tmp_path) == ["cifar-10-batches-py"]
    assert load_dataset("cifar10", tmp_path) is dataset  # and no second warning


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_without_network_the_error_names_the_ways_out(tmp_path, capfd, name, download):
    pytest.importorskip("torchvision")
    with pytest.raises(DataUnavailableError) as error:
        load_dataset(name, root=tmp_path, download=download)
    text = str(error.value)
    assert text.startswith(f"'{tmp_path / name}.npz' does not exist")
    assert "load it once with a network connection" in text
    assert f"put a {name}.npz with the arrays x_train, y_train, x_test, y_test" in text
    assert "DEEPSVDD_DATA" in text
    assert ("and download=True" in text) is not download
    # Older versions of torchvision print the cause, and raise a summary.
    causes = ("Name or service not known", "Error downloading")
    assert any(cause in text for cause in causes) is download
    assert one_sentence(error)
    assert error.value.__suppress_context__
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [0, 1000])
@pytest.mark.parametrize("file", ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_an_interrupted_download(tmp_path, torchvision_files, file, size):
    torchvision_files(tmp_path, "fashion_mnist", fake("fashion_mnist", 20, 2000))
    path = tmp_path / "FashionMNIST" / "raw" / file
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DataUnavailableError, match="delete an interrupted") as error:
        load_dataset("fashion_mnist", tmp_path)
    assert one_sentence(error)


def test_failures_are_not_remembered(tmp_path, torchvision_files):
    with pytest.raises(DataUnavailableError):
        load_dataset("cifar10", tmp_path)
    torchvision_files(tmp_path, "cifar10", fake())
    assert_holds(load_dataset("cifar10", tmp_path), fake())


def test_a_silent_network_is_given_up(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    monkeypatch.undo()  # the address of this computer must be found
    monkeypatch.setattr(datasets, "_TIMEOUT", 0.2)
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.FashionMNIST, "mirrors", [mirror])
        with pytest.raises(DataUnavailableError, match="timed out"):
            load_dataset("fashion_mnist", tmp_path)
    assert socket.getdefaulttimeout() is None


def test_without_torchvision(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(DataUnavailableError, match="torchvision"):
        load_dataset("cifar10", tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_a_disk_that_cannot_take_the_download(tmp_path, name):
    pytest.importorskip("torchvision")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot write .*a file stands where a folder"):
        load_dataset(name, tmp_path / "file" / "data")


def test_a_disk_that_is_full_during_the_download(tmp_path, monkeypatch):
    utils = pytest.importorskip("torchvision.datasets.utils")

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(utils, "_get_redirect_url", lambda url, **kwargs: url)
    monkeypatch.setattr(utils, "_urlretrieve", full)
    with pytest.raises(OSError, match="no space left on the device; free") as error:
        load_dataset("cifar10", tmp_path)
    assert error.value.errno == errno.ENOSPC
    assert str(tmp_path) in str(error.value)
