"""Pickles of detectors: read on any machine, with the same bits."""

import copy
import io
import pickle

import joblib
import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import DeepSVDD
from deepsvdd.core._engine.portable import portable
from tests.toys import Flat, make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def _on_a_gpu(monkeypatch):
    """What is pickled says that it comes from a GPU, as far as torch is concerned."""
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with monkeypatch.context() as patch:
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
        pickled = pickle.dumps(torch.ones(2))
    with pytest.raises(RuntimeError, match="CUDA"):
        pickle.loads(pickled)
    monkeypatch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")


CASES = {
    "images": ({}, make_images()),
    "vectors": ({"n_members": 2}, make_vectors()),
    "custom": ({"network": Flat(), "pretrain": False}, make_images()),
}


@pytest.mark.usefixtures("_on_a_gpu")
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("way", ["pickle", "joblib", "deepcopy"])
def test_a_gpus_pickle_is_read_where_there_is_none(case, way):
    parameters, x = CASES[case]
    detector = short(**parameters).fit(x)
    if way == "joblib":
        file = io.BytesIO()
        joblib.dump(detector, file)
        other = joblib.load(io.BytesIO(file.getvalue()))
    else:
        other = copy.deepcopy(detector)
        if way == "pickle":
            other = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(other.anomaly_score(x), detector.anomaly_score(x))
    assert other.members_[0].history == detector.members_[0].history
    other.set_params(warm_start=True).fit(x)  # its weights can still be trained


def test_what_was_set_to_a_gpu_says_so_at_the_next_fit():
    detector = short().fit(make_vectors())
    detector.set_params(device="cuda:7")
    other = pickle.loads(pickle.dumps(detector))
    assert other.predict(make_vectors()).shape == (60,)
    with pytest.raises(ValueError, match="device must be on this machine"):
        other.fit(make_vectors())


def test_unfitted_detectors_and_random_states():
    detector = DeepSVDD(Flat(), random_state=np.random.RandomState(3))
    other = pickle.loads(pickle.dumps(detector))
    assert torch.equal(other.network.first.weight, detector.network.first.weight)
    assert other.random_state.randint(99) == np.random.RandomState(3).randint(99)


def test_tensors_come_back_as_they_were():
    shared = nn.Parameter(torch.rand(3))
    convolution = nn.Conv2d(2, 3, 5).to(memory_format=torch.channels_last)
    state = {
        "numbers": [torch.arange(6).reshape(2, 3).T, torch.tensor(1.5)],
        "half": (torch.rand(3).bfloat16(), torch.zeros(0, 2)),
        "module": convolution.requires_grad_(False),
        "shared": [shared, shared],
        "else": {"text": "a", "none": None},
    }
    before = copy.deepcopy(state["numbers"])
    read = pickle.loads(pickle.dumps(portable(state)))
    for one, other in zip(read["numbers"] + list(read["half"]), before, strict=False):
        assert torch.equal(one, other)
    assert torch.equal(read["half"][0], state["half"][0])
    assert read["half"][1].shape == (0, 2)
    weight = read["module"].weight
    assert isinstance(weight, nn.Parameter)
    assert not weight.requires_grad
    assert weight.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(weight, convolution.weight)
    assert read["shared"][0] is read["shared"][1]
    assert read["shared"][0].requires_grad
    assert read["else"] == state["else"]
    assert state["module"] is convolution  # what was given is untouched
