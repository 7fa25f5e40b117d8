"""A detector in a file: the same scores after a round trip, and nothing is lost."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from deepsvdd import Autoencoder, DeepSVDD, ModelFileError, Phase, Recipe
from deepsvdd.core._engine.model_format import read_model
from tests import PATIENCE, toys
from tests.toys import Tiny, header_of, make_images

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = Phase(n_epochs=1, batch_size=16, lr_milestones=(1,))
STEPWISE = Recipe(pretraining=STEP, training=STEP, warm_up_epochs=0, radius_every=1)

# The other tests' recipe has no milestones; a file has to keep them, too.
short = partial(toys.short, recipe=STEPWISE)
CASES = {
    "one-class": ({}, (12, 12)),
    "soft-boundary": ({"objective": "soft-boundary", "nu": 0.2}, (12, 12)),
    "ensemble": ({"n_members": 3}, (12, 12)),
    "mlp": ({}, (7,)),
    "mlp on images": ({"network": "mlp", "preprocessing": "gcn_l2"}, (12, 12)),
    "custom": ({"network": Tiny(), "pretrain": False}, (12, 12)),
    "ELU": ({"network": "cifar10_LeNet_ELU"}, (3, 8, 8)),
    "deep": ({"network": "deep_LeNet", "n_members": 3}, (3, 66, 40)),
    "no preprocessing": ({"preprocessing": "none"}, (5,)),
}


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def fitted(request):
    parameters, shape = CASES[request.param]
    x = make_images(shape=shape)
    x = x / 255 if len(shape) == 1 else x
    return short(**parameters).fit(x), x


def network_of(detector):
    return Tiny() if detector.network_ == "custom" else None


# --------------------------------------------------------------------------- round trip


def test_a_loaded_model_is_the_saved_one(fitted, tmp_path):
    detector, x = fitted
    path = tmp_path / "deep" / "er" / "model.safetensors"
    detector.save(path)
    loaded = DeepSVDD.load(path, network=network_of(detector))
    for method in ("anomaly_score", "predict", "decision_function", "represent"):
        ours, theirs = getattr(loaded, method)(x), getattr(detector, method)(x)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert loaded.threshold_ == detector.threshold_
    assert loaded.offset_ == detector.offset_
    assert loaded.input_shape_ == detector.input_shape_
    assert loaded.n_features_in_ == detector.n_features_in_
    assert loaded.network_ == detector.network_
    assert loaded.recipe_ == detector.recipe_
    assert loaded.preprocessor_.method == detector.preprocessor_.method
    for one, other in zip(loaded.members_, detector.members_, strict=True):
        assert torch.equal(one.center, other.center)
        assert one.center.dtype == other.center.dtype
        assert (one.radius, one.mean_distance) == (other.radius, other.mean_distance)
        assert one.history == other.history
        assert one.collapsed == other.collapsed
        assert not one.encoder.training
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_saving_a_loaded_model_gives_the_same_content(fitted, tmp_path):
    detector, _ = fitted
    detector.save(tmp_path / "a")
    loaded = DeepSVDD.load(tmp_path / "a", network=network_of(detector))
    loaded.save(tmp_path / "b")
    (tensors, metadata), (same_tensors, same_metadata) = (
        read_model(tmp_path / name) for name in "ab"
    )
    assert metadata == same_metadata
    assert tensors.keys() == same_tensors.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == same_tensors[name].dtype
        assert torch.equal(tensor, same_tensors[name])


def test_vectors_are_in_double_precision(tmp_path):
    x = make_images(shape=(7,)) / 255
    detector = short().fit(x)
    detector.save(tmp_path / "m")
    tensors = load_file(tmp_path / "m")
    floats = {t.dtype for t in tensors.values() if t.is_floating_point()}
    assert floats == {torch.float64}


def test_a_loaded_model_can_be_trained_on(model, tmp_path):
    x = make_images()
    detector = short().fit(x)
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m").set_params(warm_start=True, pretrain=False)
    scores = loaded.anomaly_score(x)
    center = loaded.members_[0].center.clone()
    loaded.fit(x)
    assert torch.equal(loaded.members_[0].center, center)
    assert not np.array_equal(loaded.anomaly_score(x), scores)


def test_a_loaded_model_trains_anew_to_the_same_bits(tmp_path):
    x = make_images()
    detector = short(objective="soft-boundary").fit(x)
    detector.save(tmp_path / "m")
    again = DeepSVDD.load(tmp_path / "m").fit(x)
    np.testing.assert_array_equal(again.anomaly_score(x), detector.anomaly_score(x))


def test_parameters_come_back(tmp_path):
    parameters = {
        "objective": "soft-boundary",
        "nu": 0.3,
        "n_members": 2,
        "preprocessing": "gcn_l2",
        "contamination": 0.2,
        "random_state": 7,
        "allow_collapse": True,
        "recipe": STEPWISE,
    }
    detector = DeepSVDD(**parameters).fit(make_images())
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m").get_params()
    assert {name: loaded[name] for name in parameters} == parameters
    assert loaded["network"] == "mnist_LeNet"  # what "auto" was
    assert loaded["recipe"].training.lr_milestones == (1,)


@pytest.mark.parametrize(
    "parameters",
    [
        {"nu": np.float32(0.25)},
        {"n_members": np.int64(2)},
        {"threshold": np.float32(1)},
        {"contamination": Fraction(1, 4)},
        {"recipe": Recipe(pretraining=STEP, training=Phase(n_epochs=np.int64(1)))},
    ],
    ids=lambda p: next(iter(p)),
)
def test_parameters_that_are_no_numbers_of_json_can_be_saved(parameters, tmp_path):
    x = make_images(shape=(5,))
    detector = short(**parameters).fit(x)
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


@pytest.mark.parametrize("seed", [None, np.random.RandomState(3), np.int64(3)])
def test_any_random_state_can_be_saved(seed, tmp_path):
    detector = short(random_state=seed).fit(make_images(shape=(5,)))
    detector.save(tmp_path / "m")
    expected = 3 if isinstance(seed, np.int64) else None
    assert DeepSVDD.load(tmp_path / "m").random_state == expected


def test_scores_are_the_same_in_another_process(tmp_path):
    x = make_images()
    detector = short().fit(x)
    detector.save(tmp_path / "m")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np; from deepsvdd import DeepSVDD;"
        "m, x, out = sys.argv[1:];"
        "np.save(out, DeepSVDD.load(m).anomaly_score(np.load(x)))"
    )
    files = [str(tmp_path / name) for name in ("m", "x.npy", "s.npy")]
    command = [sys.executable, "-c", code, *files]
    subprocess.run(command, check=True, timeout=PATIENCE)
    scores = np.load(tmp_path / "s.npy")
    np.testing.assert_allclose(scores, detector.anomaly_score(x), rtol=1e-6)


def test_device_is_not_carried_along(model):
    path, _, _ = model
    assert DeepSVDD.load(path, network=Tiny()).device == "auto"
    assert DeepSVDD.load(path, network=Tiny(), device="cpu").device == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cpu' or 'auto'"):
            DeepSVDD.load(path, network=Tiny(), device="cuda")


def test_load_takes_strings_and_paths(model):
    path, _, _ = model
    for same in (path, str(path)):
        assert DeepSVDD.load(same, network=Tiny()).network_ == "custom"


# ---------------------------------------------------------------------- custom networks


def test_a_custom_network_must_be_given(model):
    path, _, _ = model
    with pytest.raises(ModelFileError, match="network="):
        DeepSVDD.load(path)


@pytest.mark.parametrize("other", [Tiny(3), nn.Linear(3, 2), nn.Flatten()])
def test_a_custom_network_that_does_not_fit(model, other):
    path, _, _ = model
    with pytest.raises(ModelFileError, match="do not fit the network"):
        DeepSVDD.load(path, network=other)


def test_the_given_network_is_copied(model):
    path, _, detector = model
    network = Tiny()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loaded = DeepSVDD.load(path, network=network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    x = make_images(seed=1)
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


def test_a_custom_autoencoder_may_be_given_whole(model):
    path, _, detector = model
    whole = Autoencoder(Tiny(), nn.Identity())
    loaded = DeepSVDD.load(path, network=whole)
    x = make_images(seed=1)
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


# ------------------------------------------------------------------------- the metadata


def test_the_metadata_is_plain_json_with_what_was_promised(tmp_path):
    detector = short(objective="soft-boundary", n_members=2).fit(make_images())
    detector.save(tmp_path / "m")
    header = header_of((tmp_path / "m").read_bytes())["__metadata__"]
    assert header["format"] == "deepsvdd-model"
    assert header["format_version"] == "2"
    assert len(header["sha256"]) == 64
    metadata = json.loads(header["metadata"], parse_constant=pytest.fail)
    assert set(metadata) >= {
        *("parameters", "input_shape", "preprocessing", "threshold"),
        *("members", "versions"),
    }
    assert set(metadata["parameters"]) == set(detector.get_params(deep=False))
    assert metadata["parameters"]["random_state"] == 0
    assert metadata["parameters"]["recipe"]["training"]["lr_milestones"] == [1]
    assert metadata["input_shape"] == [1, 12, 12]
    assert metadata["preprocessing"] == "gcn_l1"
    assert metadata["threshold"] == detector.threshold_
    assert len(metadata["members"]) == 2
    for entry, member in zip(metadata["members"], detector.members_, strict=True):
        assert entry["radius"] == member.radius
        assert entry["mean_distance"] == member.mean_distance
        assert entry["collapsed"] is False
        assert entry["history"] == member.history
    assert metadata["versions"]["torch"] == torch.__version__
    assert set(metadata["versions"]) >= {"deepsvdd", "torch", "numpy", "python"}


def test_the_extrema_are_tensors_of_the_file(tmp_path):
    detector = short().fit(make_images())
    detector.save(tmp_path / "m")
    tensors = load_file(tmp_path / "m")
    assert tensors["preprocessor.minimum"] == detector.preprocessor_.minimum
    assert tensors["preprocessor.maximum"] == detector.preprocessor_.maximum
    assert tensors["members.0.center"].shape == (32,)
