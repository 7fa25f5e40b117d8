"""Pretraining and Deep SVDD training against loops written by hand."""

import math
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import CollapseWarning, DeepSVDD, TrainingDivergedError, build_autoencoder
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core.collapse import warn_if_collapsed
from deepsvdd.core.objectives import initial_center, optimal_radius, squared_distances
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.core.pretraining import pretrain_autoencoder, reconstruction_scores
from deepsvdd.core.recipes import Phase, Recipe
from deepsvdd.core.training import (
    Hypersphere,
    mean_representation,
    represent,
    train_hypersphere,
)
from tests.toys import linear, loop_by_hand, random, small_encoder, states_equal

COLUMNS = ["epoch", "loss", "radius", "learning_rate", "seconds"]


@pytest.fixture(scope="module")
def digits(threes):
    """500 preprocessed images of the digit 3."""
    raw = torch.from_numpy(threes.x_train[:500])
    return Preprocessor.fit(raw, "gcn_l1")(raw)


# Randomness --------------------------------------------------------------------------


def trained(seed, digits):
    torch.manual_seed(0)
    network = build_autoencoder("mnist_LeNet", (1, 28, 28))
    phase = Phase(n_epochs=1, batch_size=50)
    pretrain_autoencoder(network, digits[:100], phase, seed=seed)
    return network, train_hypersphere(
        network.encoder, digits[:100], Recipe(training=phase), seed=seed
    )


def test_same_seed_same_bits_and_other_seed_other_bits(digits):
    (first, a), (second, b), (third, c) = (trained(s, digits) for s in (1, 1, 2))
    assert states_equal(first, second)
    assert torch.equal(a.center, b.center)
    assert a.mean_distance == b.mean_distance
    assert a.history["training"]["loss"] == b.history["training"]["loss"]
    assert not states_equal(first, third)
    assert a.history["training"]["loss"] != c.history["training"]["loss"]


def test_training_does_not_touch_the_global_random_state(digits):
    network = build_autoencoder("mnist_LeNet", (1, 28, 28))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    phase = Phase(n_epochs=1, batch_size=50)
    pretrain_autoencoder(network, digits[:100], phase)
    train_hypersphere(network.encoder, digits[:100], Recipe(training=phase))
    assert torch.equal(torch.get_rng_state(), before)


def test_fit_does_not_touch_the_global_random_states():
    torch.manual_seed(7), np.random.seed(7)  # noqa: NPY002
    before, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    phase = Phase(n_epochs=1)
    model = DeepSVDD(recipe=Recipe(phase, phase), random_state=3, n_members=2)
    model.fit(random(40, 5).numpy())
    assert torch.equal(torch.get_rng_state(), before)
    assert (np.random.get_state()[1] == legacy).all()  # noqa: NPY002
    first, second = model.members_
    assert not states_equal(first.encoder, second.encoder)


# Representations ---------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_represent_evaluates_batch_by_batch_and_restores_the_mode(training, digits):
    torch.manual_seed(0)
    encoder = build_autoencoder("mnist_LeNet", (1, 28, 28)).encoder
    encoder(digits[:50])
    encoder.train(training)
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    z = represent(encoder, digits[:70], batch_size=32)
    assert encoder.training is training
    assert all(torch.equal(v, before[k]) for k, v in encoder.state_dict().items())
    expected = encoder.eval()(digits[:70])
    torch.testing.assert_close(z, expected.detach())
    assert not z.requires_grad
    (z * torch.ones(1, requires_grad=True)).sum().backward()  # no inference tensor


def test_represent_leaves_a_frozen_part_in_evaluation_mode():
    encoder = nn.Sequential(small_encoder(), nn.BatchNorm1d(4, affine=False)).train()
    encoder[1].eval()
    represent(encoder, random(6, 5))
    assert encoder.training
    assert not encoder[1].training


# Pretraining -------------------------------------------------------------------------


def test_pretraining_minimises_the_summed_squared_error():
    x = random(20, 1, 3, 2)
    network = nn.Sequential(nn.Flatten(), linear(6, 6), nn.Unflatten(1, (1, 3, 2)))
    with torch.no_grad():
        per_sample = ((network(x) - x).numpy() ** 2).sum(axis=(1, 2, 3))
    phase = Phase(lr=1e-9, n_epochs=1, batch_size=20)
    history = pretrain_autoencoder(network, x, phase)
    assert history["loss"] == pytest.approx([per_sample.mean()], rel=1e-5)


def test_pretraining_calls_back_and_goes_on_training(digits):
    network = build_autoencoder("mnist_LeNet", (1, 28, 28))
    seen = []

    def on_epoch(epoch, autoencoder):
        seen.append((epoch, autoencoder is network, autoencoder.training))
        represent(autoencoder, digits[:20])
        autoencoder.eval()  # as a callback may leave it

    phase = Phase(n_epochs=3, batch_size=50)
    updates = network.encoder.norms[0]
    pretrain_autoencoder(network, digits[:100], phase, on_epoch=on_epoch)
    assert seen == [(0, True, True), (1, True, True), (2, True, True)]
    assert updates.num_batches_tracked == 3 * 2  # every batch was one in training mode
    assert not network.training


def test_a_callback_does_not_change_the_result(digits):
    phase, weights = Phase(n_epochs=2, batch_size=50), []
    for on_epoch in (None, lambda epoch, sphere: sphere.squared_distances(digits[:9])):
        torch.manual_seed(0)
        encoder = build_autoencoder("mnist_LeNet", (1, 28, 28)).encoder
        recipe = Recipe(training=phase)
        train_hypersphere(encoder, digits[:100], recipe, on_epoch=on_epoch)
        weights.append(encoder.head.weight)
    assert torch.equal(*weights)


def test_reconstruction_scores_are_summed_squared_errors(digits):
    torch.manual_seed(0)
    autoencoder = build_autoencoder("mnist_LeNet", (1, 28, 28)).train()
    autoencoder(digits[:50])
    scores = reconstruction_scores(autoencoder, digits)  # several batches
    assert autoencoder.training
    autoencoder.eval()
    with torch.no_grad():
        expected = (autoencoder(digits) - digits).square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(scores, expected)


# The hypersphere ---------------------------------------------------------------------


def recipe_of(n_epochs, warm_up=0, every=1, **settings):
    settings = {"lr": 0.01, "batch_size": 16} | settings
    return Recipe(
        training=Phase(n_epochs=n_epochs, **settings),
        warm_up_epochs=warm_up,
        radius_every=every,
    )


def test_center_is_computed_once_before_training_and_then_fixed():
    encoder, x = small_encoder(), random(50, 5) + 1
    expected = initial_center(represent(encoder, x).double()).float()
    centers = []
    sphere = train_hypersphere(
        encoder, x, recipe_of(3), on_epoch=lambda e, s: centers.append(s.center.clone())
    )
    assert len(centers) == 3
    for center in (*centers, sphere.center):
        assert torch.equal(center, expected)


def test_center_may_be_given():
    center = torch.tensor([1.0, 2.0, 3.0, 4.0])
    sphere = train_hypersphere(
        small_encoder(), random(50, 5), recipe_of(1), center=center
    )
    assert torch.equal(sphere.center, center)


def test_one_class_training_is_the_loop_by_hand():
    x = random(50, 5) + 1
    encoder, expected = small_encoder(), small_encoder()
    recipe = recipe_of(3, weight_decay=0.01)
    sphere = train_hypersphere(encoder, x, recipe, seed=4)
    c = initial_center(mean_representation(expected, InMemory(x))[None])
    losses = loop_by_hand(
        expected,
        lambda b: (expected(b) - c).square().sum(1).mean(),
        x,
        recipe.training,
        seed=4,
    )
    assert states_equal(encoder, expected)
    assert sphere.history["training"]["loss"] == pytest.approx(losses, rel=1e-5)
    assert sphere.history["training"]["radius"] == [0.0] * 3
    assert sphere.radius == 0.0
    assert not sphere.collapsed
    assert sphere.encoder is encoder
    assert not encoder.training
    distances = (encoder(x) - c).norm(dim=1)
    assert sphere.mean_distance == pytest.approx(distances.mean().item(), rel=1e-5)
    torch.testing.assert_close(
        sphere.squared_distances(x), distances.square().detach(), rtol=1e-4, atol=1e-6
    )


def test_training_pulls_the_data_to_the_center():
    encoder, x = small_encoder(), random(100, 5) + 1
    c = initial_center(represent(encoder, x))
    before = Hypersphere(encoder, c).squared_distances(x).mean()
    sphere = train_hypersphere(encoder, x, recipe_of(20))
    assert sphere.squared_distances(x).mean() < 0.5 * before


@pytest.mark.parametrize(
    ("warm_up", "every", "set_after"),
    [(3, 2, [2, 4, 6]), (1, 1, range(8)), (2, 5, [1, 6]), (8, 1, [7]), (9, 1, [])],
)
def test_radius_is_0_in_the_warm_up_and_then_set_from_all_distances(
    warm_up, every, set_after
):
    x, nu = random(50, 5) + 1, 0.2
    radii, optima = [], []

    def on_epoch(epoch, sphere):
        radii.append(sphere.radius)
        optima.append(optimal_radius(sphere.squared_distances(x), nu).item())

    sphere = train_hypersphere(
        small_encoder(),
        x,
        recipe_of(8, warm_up, every),
        objective="soft-boundary",
        nu=nu,
        on_epoch=on_epoch,
    )
    expected, radius = [], 0.0
    for epoch, optimum in enumerate(optima):
        radius = optimum if epoch in set_after else radius
        expected.append(radius)
    assert radii == expected == sphere.history["training"]["radius"]
    assert len(set(optima)) == 8  # else the test would tell nothing
    assert sphere.radius == optimal_radius(sphere.squared_distances(x), nu).item()


def test_without_warm_up_the_first_radius_does_not_wait():
    sphere = train_hypersphere(
        small_encoder(),
        random(50, 5) + 1,
        recipe_of(6, warm_up=0, every=5),
        objective="soft-boundary",
    )
    assert sphere.history["training"]["radius"][0] > 0


def test_soft_boundary_training_is_the_loop_by_hand():
    x, nu = random(48, 5) + 1, 0.25
    encoder, expected = small_encoder(), small_encoder()
    recipe = recipe_of(6, warm_up=2, every=3)  # R is set after epochs 1 and 4
    train_hypersphere(encoder, x, recipe, objective="soft-boundary", nu=nu, seed=4)

    c = initial_center(mean_representation(expected, InMemory(x))[None])
    radius, steps = torch.tensor(0.0), []

    def loss_function(batch):
        if len(steps) in (6, 15):  # three batches an epoch
            d2 = squared_distances(represent(expected, x), c)
            radius.copy_(d2.sort().values[48 - 12 - 1].sqrt())
        steps.append(1)
        d2 = (expected(batch) - c).square().sum(1)
        return radius**2 + torch.relu(d2 - radius**2).mean() / nu

    loop_by_hand(expected, loss_function, x, recipe.training, seed=4)
    assert len(steps) == 18
    assert states_equal(encoder, expected)


@pytest.mark.parametrize("nu", [0.01, 0.1, 0.33, 1.0])
@pytest.mark.parametrize("n_epochs", [0, 4])
def test_final_radius_has_the_nu_property(nu, n_epochs):
    x = random(70, 5) + 1
    sphere = train_hypersphere(
        small_encoder(), x, recipe_of(n_epochs, 9), objective="soft-boundary", nu=nu
    )
    distances = sphere.squared_distances(x).sqrt()
    outside = (distances > sphere.radius).sum().item()
    outside_or_on = (distances >= sphere.radius).sum().item()
    assert outside <= nu * 70 + 1e-9
    assert outside_or_on >= nu * 70 - 1e-9
    assert sphere.radius > 0


def test_no_epochs_leave_the_untrained_control():
    encoder, x = small_encoder(), random(50, 5) + 1
    sphere = train_hypersphere(encoder, x, recipe_of(0))
    assert states_equal(encoder, small_encoder())
    assert sphere.history == {"training": {column: [] for column in COLUMNS}}
    assert sphere.mean_distance > 0


def test_unknown_objective_is_refused():
    with pytest.raises(ValueError, match="soft_boundary"):
        train_hypersphere(
            small_encoder(), random(50, 5), recipe_of(1), objective="soft_boundary"
        )


# Collapse ----------------------------------------------------------------------------


def with_bias_to_collapse(bias):
    """Two-dimensional data in a linear map, trained for a long time."""
    x = random(64, 2) + torch.tensor([2.0, -1.0])
    recipe = recipe_of(
        400, lr=0.1, lr_milestones=(200, 300), batch_size=64, weight_decay=0.0
    )
    return train_hypersphere(linear(2, 2, bias=bias), x, recipe), x


def test_training_with_bias_terms_ends_in_collapse_and_says_so():
    with pytest.warns(CollapseWarning, match="hypersphere collapse") as record:
        sphere, x = with_bias_to_collapse(bias=True)
    assert sphere.collapsed
    message = str(record[0].message)
    assert "bias terms and bounded activations" in message
    assert "for 64 samples" in message
    # Proposition 2: the weights vanish, the bias becomes the center, the loss is zero
    assert sphere.encoder.weight.abs().max() < 1e-3
    torch.testing.assert_close(sphere.encoder.bias, sphere.center, rtol=1e-3, atol=0)
    assert sphere.squared_distances(x).max() < 1e-6
    # whatever comes, it scores like the training data
    assert sphere.squared_distances(torch.tensor([[-9.0, 9.0]])).item() < 1e-4


def test_the_same_training_without_bias_terms_does_not_collapse():
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        sphere, _ = with_bias_to_collapse(bias=False)
    assert not sphere.collapsed


def test_a_healthy_fit_of_digits_is_not_called_collapsed(threes):
    phase = Phase(lr=1e-3, n_epochs=2, batch_size=100)
    model = DeepSVDD(recipe=Recipe(phase, phase), random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        model.fit(threes.x_train[:500])
    (member,) = model.members_
    assert model.network_ == "mnist_LeNet"
    assert not member.collapsed


class Constant(nn.Module):
    """Maps everything to one learnt point, up to noise of a relative size."""

    def __init__(self, noise=0.0):
        super().__init__()
        self.point = nn.Parameter(torch.tensor([3.0, 4.0]))
        self.noise = noise

    def forward(self, x):
        return self.point + self.noise * 5 * x[:, :2]


@pytest.mark.parametrize("noise", [0.0, 1e-8, 1e-5])
def test_constant_maps_are_collapsed(noise):
    with pytest.warns(CollapseWarning, match="smaller learning rate"):
        sphere = train_hypersphere(Constant(noise), random(100, 5), recipe_of(0))
    assert sphere.collapsed


def test_a_small_but_real_spread_is_not_collapse():
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        sphere = train_hypersphere(Constant(0.01), random(100, 5), recipe_of(0))
    assert not sphere.collapsed


def test_zero_map_is_collapsed():
    encoder = linear(5, 3)
    nn.init.zeros_(encoder.weight)
    with pytest.warns(CollapseWarning):
        sphere = train_hypersphere(encoder, random(20, 5), recipe_of(0))
    assert sphere.collapsed
    assert (sphere.center == 0.1).all()


def test_one_score_for_all_is_collapse_whatever_the_spread():
    # On a circle around the center: spread in plenty, but nothing to rank by.
    angles = torch.arange(4) * torch.pi / 2
    z = torch.stack([angles.cos().round(), angles.sin().round()], 1) + 2
    c = torch.tensor([2.0, 2.0])
    d2 = squared_distances(z, c)
    with pytest.warns(CollapseWarning, match="1 distinct scores for 4 samples"):
        assert warn_if_collapsed(1.0, c, d2, InMemory(random(4, 5)))


@pytest.mark.parametrize("values", [1000, 2])
def test_few_scores_are_collapse_only_if_the_samples_are_more(values):
    d2 = torch.tensor([5.0, 13.0]).repeat(500)  # two scores
    x = (torch.arange(1000.0) % values)[:, None]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        collapsed = warn_if_collapsed(2.0, torch.tensor([2.0, 2.0]), d2, InMemory(x))
    assert collapsed is (values == 1000)
    assert [w.category for w in caught] == [CollapseWarning] * collapsed


# Divergence --------------------------------------------------------------------------


def test_a_rate_far_too_high_diverges():
    recipe = Recipe(training=Phase(lr=1e25, n_epochs=5, batch_size=10))
    with pytest.raises(TrainingDivergedError, match="of one-class at learning rate"):
        train_hypersphere(small_encoder(), random(30, 5), recipe)


def test_divergence_in_the_very_last_step_is_noticed():
    # The losses of the one epoch were finite; the weights after it are useless.
    recipe = Recipe(training=Phase(lr=1e25, n_epochs=1, batch_size=30))
    with pytest.raises(TrainingDivergedError):
        train_hypersphere(small_encoder(), random(30, 5), recipe)


def test_data_that_is_no_number():
    x = random(30, 5)
    x[3, 2] = math.nan
    network = nn.Sequential(small_encoder(), nn.Linear(4, 5))
    with pytest.raises(
        TrainingDivergedError, match="loss is nan in epoch 0 of pretraining"
    ):
        pretrain_autoencoder(network, x, Phase(n_epochs=2))


# Large images ------------------------------------------------------------------------


class Counts(nn.Module):
    """Remembers how many samples came at a time."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        self.seen.append(len(x))
        return x


@pytest.mark.parametrize("score", [represent, reconstruction_scores])
def test_of_large_images_fewer_are_scored_at_a_time(score):
    images = torch.zeros(70, 1, 130, 130)  # 60 have the pixels of 250 of 64×64
    network = Counts()
    assert len(score(network, images)) == 70
    assert network.seen == [60, 10]
