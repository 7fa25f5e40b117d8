"""``deepsvdd info``: what is in a model file."""

import json

import numpy as np
import pytest

from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.core._engine.model_format import read_model, write_model
from deepsvdd.version import __version__
from tests.cli import fails, succeeds
from tests.toys import Tiny, make_images, short

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


def test_info(trained):
    path = trained / "model.safetensors"
    output = succeeds("info", path).stdout
    lines = {line.split()[0]: line for line in output.splitlines()}
    weights = 8 * 25 + 4 * 8 * 25 + 196 * 32
    assert f"mnist_LeNet, {weights:,} weights" in lines["network"]
    assert "(1, 28, 28), gcn_l1" in lines["input"]
    assert "one-class" in lines["objective"]
    assert "n_epochs 1" in lines["training"]
    assert "n_epochs 1" in lines["pretraining"]
    assert lines["seed"].endswith(" 0")
    assert f"deepsvdd {__version__}" in lines["versions"]
    threshold = DeepSVDD.load(path).threshold_
    assert f"{threshold:.6g}" in lines["threshold"]


def test_info_as_json_is_all_metadata(trained):
    path = trained / "model.safetensors"
    printed = json.loads(succeeds("info", path, "--json").stdout)
    assert printed == read_model(path)[1]
    assert printed["members"][0]["history"]["training"]["loss"]


def test_info_of_a_network_of_ones_own(tmp_path):
    """It needs no architecture, as nothing is built."""
    short(network=Tiny(), pretrain=False).fit(make_images()).save("m")
    assert "network      custom, 8 weights" in succeeds("info", "m").stdout


def test_info_of_a_file_of_a_later_version():
    """What is checked, and said, is what loading checks: see test_model_schema."""
    short().fit(make_images()).save("m")
    tensors, metadata = read_model("m")
    metadata["parameters"]["new_option"] = 1
    write_model("m", tensors, metadata)
    assert "parameters.new_option is not known here" in fails("info", "m")


def test_info_without_pretraining():
    x = np.random.default_rng(0).normal(size=(30, 4))
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    DeepSVDD(recipe=still, pretrain=False, n_members=2).fit(x).save("m")
    lines = succeeds("info", "m").stdout.splitlines()
    assert "pretraining  none" in lines
    assert "members      2" in lines
    assert "seed         None" in lines
