"""A stack of networks against the same networks, one by one."""

import copy
import time

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import (
    Autoencoder,
    DeepSVDD,
    Phase,
    Recipe,
    build_autoencoder,
    pretrain_autoencoder,
    pretrain_autoencoders,
    train_hypersphere,
    train_hyperspheres,
)
from deepsvdd.core import detector as detector_module
from deepsvdd.core._engine.checkpoints import Checkpoint
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core._engine.stacking import Stack
from tests.toys import random, small_encoder

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = {
    "mnist_LeNet": (1, 28, 28),
    "cifar10_LeNet": (3, 32, 32),
    "deep_LeNet": (1, 66, 40),
    "mlp": (20,),
}
SEEDS = (3, 1, 4)
EPOCH = Phase(lr=1e-3, n_epochs=1, batch_size=16)
RECIPE = Recipe(EPOCH, EPOCH, warm_up_epochs=1, radius_every=1)


def networks(name, dtype=torch.float32):
    made = []
    for seed in SEEDS:
        torch.manual_seed(seed)
        made.append(build_autoencoder(name, SHAPES[name]).to(dtype))
    return made


def data(name, n=50, dtype=torch.float32):
    return random(n, *SHAPES[name]).sigmoid().to(dtype)


def difference(a, b):
    """Largest relative difference, in norm, of any weight or statistic."""
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return max(
        ((x - y).double().norm() / y.double().norm().clamp(min=1e-9)).item()
        for x, y in pairs
    )


@pytest.mark.parametrize(
    ("name", "objective"),
    [
        ("mnist_LeNet", "one-class"),
        ("mnist_LeNet", "soft-boundary"),
        ("cifar10_LeNet", "soft-boundary"),
        ("deep_LeNet", "one-class"),
        ("mlp", "one-class"),
    ],
)
def test_an_epoch_of_a_stack_is_an_epoch_of_each_network(name, objective):
    # In double precision: rounding grows by the way of max-pooling's ties.
    x = data(name, dtype=torch.float64)
    together, alone = networks(name, torch.float64), networks(name, torch.float64)
    histories = pretrain_autoencoders(together, x, EPOCH, seeds=SEEDS)
    for network, seed, history in zip(alone, SEEDS, histories, strict=True):
        expected = pretrain_autoencoder(network, x, EPOCH, seed=seed)
        assert history["loss"] == pytest.approx(expected["loss"], rel=1e-6)
    for a, b in zip(together, alone, strict=True):
        assert difference(a, b) < 1e-4
    settings = {"objective": objective, "nu": 0.2}
    spheres = train_hyperspheres(
        [a.encoder for a in together], x, RECIPE, seeds=SEEDS, **settings
    )
    for network, seed, sphere in zip(alone, SEEDS, spheres, strict=True):
        expected = train_hypersphere(network.encoder, x, RECIPE, seed=seed, **settings)
        torch.testing.assert_close(sphere.center, expected.center, rtol=1e-4, atol=1e-6)
        assert sphere.radius == pytest.approx(expected.radius, rel=1e-4)
        assert sphere.mean_distance == pytest.approx(expected.mean_distance, rel=1e-4)
        assert difference(sphere.encoder, expected.encoder) < 1e-4
        for column in ("epoch", "loss", "radius", "learning_rate"):
            assert sphere.history["training"][column] == pytest.approx(
                expected.history["training"][column], rel=1e-4
            )


def test_an_epoch_of_real_digits_in_single_precision(threes):
    x = torch.from_numpy(threes.x_train[:1000]).float() / 255
    together, alone = networks("mnist_LeNet"), networks("mnist_LeNet")
    phase = Phase(lr=1e-4, n_epochs=1, batch_size=200)
    recipe = Recipe(phase, phase)
    pretrain_autoencoders(together, x, phase, seeds=SEEDS)
    encoders = [network.encoder for network in together]
    train_hyperspheres(encoders, x, recipe, seeds=SEEDS)
    for network, encoder, seed in zip(alone, encoders, SEEDS, strict=True):
        pretrain_autoencoder(network, x, phase, seed=seed)
        train_hypersphere(network.encoder, x, recipe, seed=seed)
        assert difference(encoder, network.encoder) < 1e-4


def test_the_networks_of_a_stack_differ_and_do_not_see_each_other():
    x = data("mlp")
    three = networks("mlp")
    pretrain_autoencoders(three, x, EPOCH, seeds=SEEDS)
    two = networks("mlp")[:2]
    pretrain_autoencoders(two, x, EPOCH, seeds=SEEDS[:2])
    assert difference(two[0], three[0]) < 1e-6
    assert difference(three[0], three[1]) > 1e-2


def test_classes_of_equal_size_train_side_by_side():
    sets = [data("mlp") * scale for scale in (1.0, 0.5, 2.0)]
    together, alone = networks("mlp"), networks("mlp")
    feed = InMemory(torch.stack(sets), stacked=True)
    assert len(feed) == 50
    pretrain_autoencoders(together, feed, EPOCH, seeds=SEEDS)
    spheres = train_hyperspheres(
        [a.encoder for a in together], feed, RECIPE, seeds=SEEDS
    )
    for network, x, seed, sphere in zip(alone, sets, SEEDS, spheres, strict=True):
        pretrain_autoencoder(network, x, EPOCH, seed=seed)
        expected = train_hypersphere(network.encoder, x, RECIPE, seed=seed)
        assert difference(sphere.encoder, expected.encoder) < 1e-4
        assert sphere.mean_distance == pytest.approx(expected.mean_distance, rel=1e-4)


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_members_trained_at_once_score_as_members_trained_in_turn(
    objective, threes, monkeypatch
):
    x = threes.x_train[:400]
    phase = Phase(lr=1e-4, n_epochs=1, batch_size=100)
    settings = {
        "recipe": Recipe(phase, phase, warm_up_epochs=0),
        "objective": objective,
        "n_members": 3,
        "random_state": 5,
    }
    in_turn = DeepSVDD(**settings).fit(x)
    monkeypatch.setattr(detector_module, "trains_at_once", lambda device: True)
    at_once = DeepSVDD(**settings).fit(x)
    np.testing.assert_allclose(
        at_once.anomaly_score(threes.x_test[:300]),
        in_turn.anomaly_score(threes.x_test[:300]),
        rtol=1e-3,
    )
    assert at_once.threshold_ == pytest.approx(in_turn.threshold_, rel=1e-3)
    again = DeepSVDD(**settings, warm_start=True)
    again.members_ = at_once.members_
    assert len(again.fit(x).members_) == 3


def test_warm_start_at_once_keeps_the_centers_that_there_are(monkeypatch):
    monkeypatch.setattr(detector_module, "trains_at_once", lambda device: True)
    x = random(60, 5).double().numpy()
    settings = {"recipe": RECIPE, "pretrain": False, "random_state": 0}
    detector = DeepSVDD("mlp", n_members=2, warm_start=True, **settings).fit(x)
    kept = [member.center for member in detector.members_]
    detector.set_params(n_members=3).fit(x)
    for member, center in zip(detector.members_, kept, strict=False):
        torch.testing.assert_close(member.center, center)
    alone = DeepSVDD("mlp", **(settings | {"random_state": 2})).fit(x)
    torch.testing.assert_close(
        detector.members_[2].center, alone.members_[0].center, rtol=1e-4, atol=1e-5
    )


def test_frozen_layers_stay_frozen_in_a_stack():
    encoders = [small_encoder(seed) for seed in range(2)]
    for encoder in encoders:
        encoder[0].weight.requires_grad_(False)
    before = [copy.deepcopy(encoder) for encoder in encoders]
    train_hyperspheres(encoders, random(40, 5), RECIPE, seeds=[0, 1])
    for encoder, old in zip(encoders, before, strict=True):
        assert torch.equal(encoder[0].weight, old[0].weight)
        assert not torch.equal(encoder[2].weight, old[2].weight)


def test_the_time_of_a_stack_is_shared_among_its_networks():
    encoders = [small_encoder(seed) for seed in range(4)]
    start = time.perf_counter()
    spheres = train_hyperspheres(encoders, random(40, 5), RECIPE, seeds=range(4))
    seconds = time.perf_counter() - start
    parts = [sphere.history["training"]["seconds"] for sphere in spheres]
    assert all(part == parts[0] for part in parts)
    assert sum(map(sum, parts)) < seconds


def test_a_stack_resumes_from_a_checkpoint_to_the_same_bits(tmp_path):
    x, phase = data("mlp"), Phase(n_epochs=4, batch_size=16, schedule="one-cycle")
    expected = networks("mlp")
    pretrain_autoencoders(expected, x, phase, seeds=SEEDS)
    checkpoint = Checkpoint(tmp_path / "c.pt", every=1, fingerprint="f")

    class Killed(Exception):
        pass

    def die(epoch):
        if epoch == 2:
            raise Killed
        return 0.0

    with pytest.raises(Killed):
        pretrain_autoencoders(
            networks("mlp"),
            x,
            phase,
            seeds=SEEDS,
            checkpoint=checkpoint,
            on_epoch=die,
        )
    resumed = networks("mlp")
    histories = pretrain_autoencoders(
        resumed, x, phase, seeds=SEEDS, checkpoint=checkpoint
    )
    assert [h["epoch"] for h in histories] == [[0, 1, 2, 3]] * 3
    for a, b in zip(resumed, expected, strict=True):
        assert difference(a, b) == 0.0


def test_dropout_draws_a_mask_for_each_network():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.5))
    stack = Stack([network, copy.deepcopy(network)])
    y = stack(torch.ones(2, 4, 100))
    assert not torch.equal(y[0], y[1])


def test_networks_of_other_architectures_are_refused():
    with pytest.raises(ValueError, match="one architecture"):
        Stack([small_encoder(), nn.Linear(5, 4)])


def test_a_network_of_ones_own_is_stacked_too():
    made = [Autoencoder(small_encoder(s), nn.Linear(4, 5)) for s in SEEDS]
    alone = copy.deepcopy(made)
    x = random(40, 5)
    pretrain_autoencoders(made, x, EPOCH, seeds=SEEDS)
    for network, expected, seed in zip(made, alone, SEEDS, strict=True):
        pretrain_autoencoder(expected, x, EPOCH, seed=seed)
        assert difference(network, expected) < 1e-5
        assert not network.training
