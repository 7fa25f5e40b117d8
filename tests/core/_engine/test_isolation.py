"""Torch's global state changes nothing in a fit, and a fit changes nothing in it."""

import copy
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import DeepSVDD, build_autoencoder
from deepsvdd.core._engine.isolation import drawn_from, global_seed, usual_modes
from deepsvdd.core.networks import NETWORKS, seeded_autoencoder
from tests.toys import SHAPES, SHORT, make_images, make_vectors, short, states_equal

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")


# -------------------------------------------------------------------------------- seeds


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32 + 5])
def test_a_seed_gives_the_weights_that_manual_seed_gives(name, seed):
    """Committed results rest on these weights."""
    torch.manual_seed(seed)
    expected = build_autoencoder(name, SHAPES[name])
    state = torch.get_rng_state()
    ours = seeded_autoencoder(name, SHAPES[name], seed, CPU)
    assert states_equal(ours, expected)
    assert torch.equal(torch.get_rng_state(), state)


LAYERS = {
    "linear": lambda: nn.Linear(3, 4),
    "convolution": lambda: nn.ConvTranspose2d(2, 3, 5),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(4, 4)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(9)),
    "embedding": lambda: nn.Embedding(3, 2),
    "recurrent": lambda: nn.GRU(3, 2),
    "attention": lambda: nn.MultiheadAttention(4, 2),
    "by hand": lambda: nn.Parameter(torch.randn(3) + torch.rand(3)),
    "in place": lambda: torch.zeros(5).bernoulli_(0.5),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_all_ways_to_draw_weights(layer):
    def values(made):
        tensors = made.state_dict().values() if isinstance(made, nn.Module) else [made]
        return torch.cat([tensor.flatten() for tensor in tensors])

    torch.manual_seed(3)
    expected = values(LAYERS[layer]())
    state = torch.get_rng_state()
    with drawn_from(3):
        ours = values(LAYERS[layer]())
    assert torch.equal(ours, expected)
    assert torch.equal(torch.get_rng_state(), state)


def test_fits_in_threads_are_those_of_one_after_the_other():
    x = make_vectors()
    seeds = [0, 1, 2, 3] * 3

    def weights(seed):
        detector = short(random_state=seed).fit(x)
        return detector.members_[0].encoder.state_dict()

    expected = [weights(seed) for seed in seeds[:4]]
    state = torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(weights, seeds))
    for index, one in enumerate(found):
        for name, value in one.items():
            assert torch.equal(value, expected[index % 4][name])
    assert torch.equal(torch.get_rng_state(), state)


class Dropping(nn.Module):
    """A network of somebody's own that draws in every step."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(5, 8, bias=False)
        self.drop = nn.Dropout(0.5)
        self.second = nn.Linear(8, 3, bias=False)

    def forward(self, x):
        return self.second(self.drop(torch.relu(self.first(x))))


def test_dropout_is_seeded_and_leaves_the_global_generator_alone():
    x, network = make_vectors(), Dropping()
    state = torch.get_rng_state()
    first, same, other = (
        short(network=network, pretrain=False, random_state=seed).fit(x)
        for seed in (1, 1, 2)
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert states_equal(first.members_[0].encoder, same.members_[0].encoder)
    assert not states_equal(first.members_[0].encoder, other.members_[0].encoder)


def test_a_resumed_fit_leaves_the_global_generator_alone(tmp_path):
    settings = {"checkpoint_dir": tmp_path, "random_state": 0, "recipe": SHORT}
    DeepSVDD(**settings).fit(make_vectors())
    torch.manual_seed(77)
    state = torch.get_rng_state()
    DeepSVDD(**settings).fit(make_vectors())
    assert torch.equal(torch.get_rng_state(), state)


def test_global_seed_is_taken_back():
    state = torch.get_rng_state()
    with global_seed(5, CPU):
        drawn = torch.rand(2)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(2), drawn)


# -------------------------------------------------------------------------------- modes


@contextmanager
def double_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "default dtype": double_by_default,
    "no grad": torch.no_grad,
    "inference": torch.inference_mode,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "default device": lambda: torch.device("meta"),
}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["images", "vectors", "soft", "several"])
def test_modes_around_change_nothing(mode, kind, tmp_path):
    x = make_vectors() if kind == "vectors" else make_images()
    parameters = {
        "soft": {"objective": "soft-boundary", "preprocessing": "none"},
        "several": {"n_members": 2},
    }.get(kind, {})
    expected = short(**parameters).fit(x)
    expected.save(tmp_path / "m")
    scores, z = expected.anomaly_score(x), expected.represent(x)
    with MODES[mode]():
        inside = short(**parameters).fit(x)
        loaded = DeepSVDD.load(tmp_path / "m")
        for detector in (inside, loaded, copy.deepcopy(inside)):
            np.testing.assert_array_equal(detector.anomaly_score(x), scores)
            np.testing.assert_array_equal(detector.represent(x), z)
            assert detector.threshold_ == expected.threshold_
    np.testing.assert_array_equal(inside.anomaly_score(x), scores)
    assert inside.members_[0].history["training"]["loss"] == pytest.approx(
        expected.members_[0].history["training"]["loss"], rel=1e-12
    )
    inside.set_params(warm_start=True).fit(x)  # its tensors can be trained


@pytest.mark.parametrize("mode", MODES)
def test_modes_are_as_before_afterwards(mode):
    def present():
        return (
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.is_grad_enabled(),
            torch.is_inference_mode_enabled(),
            torch.is_autocast_enabled("cpu"),
        )

    with MODES[mode]():
        before = present()
        with usual_modes():
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not torch.is_autocast_enabled("cpu")
            assert torch.get_default_device() == CPU
        assert present() == before


def test_bfloat16_is_trained_in_all_the_same():
    x = make_vectors()
    full, half = (
        short(precision=precision).fit(x).members_[0].history["training"]["loss"]
        for precision in ("float32", "bf16")
    )
    assert full != half
    assert full == pytest.approx(half, rel=0.1)
