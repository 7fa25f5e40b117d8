"""``deepsvdd train --load_model``: from a model of ours, or one of the authors'."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import DeepSVDD
from tests.cli import config_of, fails, scores_of, succeeds, train_words

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


def test_load_model_goes_on_without_pretraining(data, trained, no_pictures):
    model = trained / "model.safetensors"
    words = ("--load_model", model, "--n_epochs", 0, "--normal_class", 3)
    result = succeeds(*train_words("out", data, *words))
    assert f"starting from {model}" in result.output
    assert "pretraining " not in result.output
    assert scores_of("out") == scores_of(trained)
    more = ("--load_model", model, "--normal_class", 3)
    succeeds(*train_words("on", data, *more))
    assert scores_of("on") != scores_of(trained)
    assert config_of("on")["pretrain"] is False


def test_load_model_with_pretraining_asked_for(data, trained, no_pictures):
    words = ("--load_model", trained / "model.safetensors", "--pretrain", "True")
    result = succeeds(*train_words("out", data, *words))
    assert "pretraining     1 epochs" in result.output


def test_load_model_beats_a_configs_pretraining(data, trained, no_pictures):
    model, config = trained / "model.safetensors", trained / "config.json"
    words = ("--load_config", config, "--load_model", model)
    succeeds("train", "fashion_mnist", "mnist_LeNet", "out", data, *words)
    assert config_of("out")["pretrain"] is False


def their_mnist_file(path, radius=0.0):
    """A model.tar as the authors' code writes it."""
    torch.manual_seed(0)
    state = {"conv1.weight": 0.1 * torch.randn(8, 1, 5, 5)}
    state["conv2.weight"] = 0.1 * torch.randn(4, 8, 5, 5)
    for i, width in ((1, 8), (2, 4)):
        norm = nn.BatchNorm2d(width, affine=False)
        state |= {f"bn{i}.{name}": v for name, v in norm.state_dict().items()}
    state["fc1.weight"] = 0.1 * torch.randn(32, 196)
    center = [0.1] * 32
    content = {"R": radius, "c": center, "net_dict": state, "ae_net_dict": {}}
    torch.save(content, path)
    return path


def test_load_model_of_the_authors(data, no_pictures):
    path = their_mnist_file("model.tar")
    words = ("--load_model", path, "--n_epochs", 0, "--normal_class", 3)
    result = succeeds(*train_words("out", data, *words))
    assert "starting from model.tar" in result.output
    with np.load(data / "fashion_mnist.npz") as arrays:
        normal = arrays["x_train"][arrays["y_train"] == 3]
        theirs = DeepSVDD.from_model_tar(path, normal)
        expected = theirs.anomaly_score(arrays["x_test"])
    np.testing.assert_allclose(scores_of("out"), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ours", "authors'"])
@pytest.mark.parametrize(
    ("network", "name"), [("mlp", "fashion_mnist"), ("mnist_LeNet", "cifar10")]
)
def test_load_model_with_another_network_or_shape(data, trained, kind, network, name):
    path = trained / "model.safetensors" if kind == "ours" else "model.tar"
    their_mnist_file("model.tar")
    words = train_words("out", data, "--load_model", path, network=network, name=name)
    message = fails(*words)
    assert network in message
    assert "(3, 32, 32)" in message or "(1, 28, 28)" in message


@pytest.mark.parametrize("name", ["model.safetensors", "model.tar"])
def test_load_model_of_a_broken_file(data, name):
    Path(name).write_bytes(b"not a model")
    assert name in fails(*train_words("out", data, "--load_model", name))


def test_load_model_without_a_file(data):
    message = fails(*train_words("out", data, "--load_model", "nothing"), code=2)
    assert "nothing" in message


def test_the_model_to_start_from_is_not_overwritten(data, no_pictures):
    Path("out").mkdir()
    path = their_mnist_file(Path("out/model.safetensors"))
    before = path.read_bytes()
    words = ("--load_model", path, "--normal_class", 3)
    message = fails(*train_words("out", data, *words))
    assert "output must be another file than the inputs" in message
    assert path.read_bytes() == before
    assert [p.name for p in Path("out").iterdir()] == ["model.safetensors"]
