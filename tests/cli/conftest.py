"""Small data sets, a finished run on one, and models to score with."""

import logging
from contextlib import suppress

import numpy as np
import pytest

from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.cli import train
from deepsvdd.core import recipes
from tests import toys
from tests.cli import succeeds, train_words


def fake(folder, name="fashion_mnist", n_train=80, n_test=40, seed=0):
    """A data set of the real one's shape; a bright square's place tells the class."""
    rng = np.random.default_rng(seed)
    side, channels = (28, ()) if name == "fashion_mnist" else (32, (3,))
    arrays = {}
    for part, n in (("train", n_train), ("test", n_test)):
        x = rng.integers(0, 100, (n, side, side, *channels), dtype=np.uint8)
        y = np.arange(n) % 10
        for image, label in zip(x, y, strict=True):
            row, column = 4 + 12 * (label % 2), 4 * (label // 2)
            image[row : row + 8, column : column + 8] += 150
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with small fashion_mnist.npz and cifar10.npz."""
    folder = tmp_path_factory.mktemp("data")
    fake(folder)
    return fake(folder, "cifar10")


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """Every test has a working folder, and gives logging back as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPSVDD_DATA", str(tmp_path / "nothing here"))
    log = logging.getLogger("deepsvdd")
    before = log.handlers[:], log.level, log.propagate
    yield
    for handler in log.handlers[:]:
        if handler not in before[0]:
            log.removeHandler(handler)
            with suppress(OSError):  # of a test's full disk
                handler.close()
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out what takes longest, where it is not the point."""
    for name in ("draw_extremes", "draw_curves"):
        monkeypatch.setattr(train, name, lambda *_: None)


@pytest.fixture
def brief(monkeypatch):
    """Let `fast` take an epoch a phase: of few samples it takes hundreds else."""
    for network in recipes.RECIPES["fast"]:
        monkeypatch.setitem(recipes.RECIPES["fast"], network, toys.SHORT)
    monkeypatch.setattr(recipes, "MEANT_FOR", {"": 0})


@pytest.fixture
def settings_of(monkeypatch):
    """What settings a command comes to, without carrying it out."""
    seen = []
    monkeypatch.setattr(train, "run", seen.append)

    def get(*words):
        succeeds("train", "mnist", "mnist_LeNet", "out", *words)
        return seen.pop()

    return get


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The folder of a finished run, pictures and all, for tests that only read it."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    succeeds(*train_words(folder, data, "--normal_class", 3, "--batch_size", 4))
    return folder


@pytest.fixture(scope="module")
def grey(trained, data):
    """A model for gray images, its path, and test images for it."""
    path = trained / "model.safetensors"
    with np.load(data / "fashion_mnist.npz") as arrays:
        return DeepSVDD.load(path), path, arrays["x_test"]


@pytest.fixture(scope="module")
def colour(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("colour") / "model.safetensors"
    with np.load(data / "cifar10.npz") as arrays:
        x = arrays["x_test"]
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    model = DeepSVDD(recipe=still, pretrain=False, random_state=0)
    model.fit(x.transpose(0, 3, 1, 2)).save(path)
    return model, path, x
