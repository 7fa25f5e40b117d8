"""The training loop against loops written by hand, and what is built upon it."""

import io
import logging
import math
import sys
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deepsvdd import CollapseWarning, DeepSVDD, TrainingDivergedError, build_autoencoder
from deepsvdd.objectives import initial_center, optimal_radius, squared_distances
from deepsvdd.preprocessing import Preprocessor
from deepsvdd.recipes import Phase, Recipe
from deepsvdd.training import (
    Hypersphere,
    batch_bounds,
    batches,
    optimise,
    pretrain_autoencoder,
    represent,
    resolve_device,
    train_hypersphere,
    warn_if_collapsed,
)

COLUMNS = ["epoch", "loss", "radius", "learning_rate", "seconds"]


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def linear(d_in, d_out, *, bias=False, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Linear(d_in, d_out, bias=bias, dtype=dtype)


def toy(dtype=torch.float32, n=23):
    """Linear regression, a convex problem: module, loss function, data."""
    module = linear(4, 3, seed=1, dtype=dtype)
    truth = random(4, 3, seed=2, dtype=dtype)

    def loss_function(batch):
        return (module(batch) - batch @ truth).square().sum(1).mean()

    return module, loss_function, random(n, 4, seed=3, dtype=dtype)


def small_encoder(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.LeakyReLU(), nn.Linear(8, 4, bias=False)
    )


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def digits(threes):
    """500 preprocessed images of the digit 3."""
    raw = torch.from_numpy(threes.x_train[:500])
    return Preprocessor.fit(raw, "gcn_l1")(raw)


# The loop ----------------------------------------------------------------------------

PHASES = {
    "plain": Phase(lr=0.03, n_epochs=5, batch_size=7, weight_decay=0.0),
    "decay": Phase(lr=0.03, n_epochs=5, batch_size=7, weight_decay=0.1),
    "amsgrad": Phase("amsgrad", lr=0.3, n_epochs=8, batch_size=5, weight_decay=1e-3),
    "milestones": Phase(lr=0.03, n_epochs=6, batch_size=7, lr_milestones=(2, 5)),
    "whole": Phase(lr=0.03, n_epochs=4, batch_size=1000),
    "one over": Phase(lr=0.03, n_epochs=3, batch_size=11),  # 23 = 11 + 12
}


def loop_by_hand(module, loss_function, x, phase, seed):
    """The usual few lines of torch; returns each epoch's mean loss."""
    optimizer = torch.optim.Adam(
        module.parameters(),
        lr=phase.lr,
        weight_decay=phase.weight_decay,
        amsgrad=phase.optimizer_name == "amsgrad",
        fused=True,
    )
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for epoch in range(phase.n_epochs):
        if epoch in phase.lr_milestones:
            optimizer.param_groups[0]["lr"] *= 0.1
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        chunks = list(order.split(phase.batch_size))
        if len(chunks) > 1 and len(chunks[-1]) == 1:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        for chunk in chunks:
            loss = loss_function(x[chunk])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chunk)
        losses.append(total / len(x))
    return losses


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_optimise_is_the_loop_by_hand_to_the_bit(phase):
    module, loss_function, x = toy()
    history = optimise(module, loss_function, x, phase, seed=5)
    expected, loss_function, _ = toy()
    losses = loop_by_hand(expected, loss_function, x, phase, seed=5)
    assert torch.equal(module.weight, expected.weight)
    assert history["loss"] == pytest.approx(losses, rel=1e-5)


def adam_in_numpy(w, gradient, phase):
    """Kingma and Ba's Algorithm 1, and Reddi et al.'s maximum for AMSGrad."""
    m, v, largest = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t in range(1, phase.n_epochs + 1):
        g = gradient(w) + phase.weight_decay * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        largest = np.maximum(largest, v)
        second = largest if phase.optimizer_name == "amsgrad" else v
        rate = phase.lr * 0.1 ** sum(t > milestone for milestone in phase.lr_milestones)
        w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
    return w


@pytest.mark.parametrize("name", ["adam", "amsgrad"])
def test_optimise_is_adam_by_its_formulas(name):
    phase = Phase(
        name, lr=0.2, n_epochs=30, lr_milestones=(20,), batch_size=99, weight_decay=0.3
    )
    module, loss_function, x = toy(torch.float64)
    start, data = module.weight.detach().numpy().copy(), x.numpy()
    truth = random(4, 3, seed=2, dtype=torch.float64).numpy()

    def gradient(w):
        return 2 / len(data) * (data @ w.T - data @ truth).T @ data

    optimise(module, loss_function, x, phase)
    expected = adam_in_numpy(start, gradient, phase)
    np.testing.assert_allclose(module.weight.detach().numpy(), expected, rtol=1e-9)


def test_amsgrad_differs_from_adam():
    found = []
    for name in ("adam", "amsgrad"):
        module, loss_function, x = toy()
        phase = Phase(name, lr=0.5, n_epochs=20, batch_size=6)
        optimise(module, loss_function, x, phase)
        found.append(module.weight.detach())
    assert not torch.allclose(*found)


def test_weight_decay_is_the_gradient_of_half_lambda_the_squared_norm():
    lam, phase = 0.4, Phase(lr=0.05, n_epochs=20, batch_size=8, weight_decay=0.0)
    module, loss_function, x = toy(torch.float64)
    optimise(module, loss_function, x, replace(phase, weight_decay=lam))
    explicit, data_loss, _ = toy(torch.float64)

    def penalised(batch):
        return data_loss(batch) + lam / 2 * explicit.weight.square().sum()

    optimise(explicit, penalised, x, phase)
    torch.testing.assert_close(module.weight, explicit.weight, rtol=1e-9, atol=1e-12)


def test_optimise_solves_a_convex_problem():
    module, loss_function, x = toy(torch.float64)
    phase = Phase(lr=0.1, n_epochs=100, batch_size=8, weight_decay=0.0)
    history = optimise(module, loss_function, x, replace(phase, lr_milestones=(75,)))
    truth = random(4, 3, seed=2, dtype=torch.float64)
    torch.testing.assert_close(module.weight.T, truth, rtol=0, atol=1e-3)
    assert history["loss"][-1] < 1e-5 * history["loss"][0]


def test_milestones_drop_the_rate_at_exactly_their_epoch():
    module, loss_function, x = toy()
    phase = Phase(lr=0.02, n_epochs=7, lr_milestones=(2, 5), batch_size=10)
    rates = optimise(module, loss_function, x, phase)["learning_rate"]
    assert rates == pytest.approx([0.02] * 2 + [0.002] * 3 + [0.0002] * 2)


def test_milestone_beyond_the_last_epoch_does_nothing():
    module, loss_function, x = toy()
    phase = Phase(lr=0.02, n_epochs=3, lr_milestones=(3, 50), batch_size=10)
    assert optimise(module, loss_function, x, phase)["learning_rate"] == [0.02] * 3


def test_one_cycle_goes_up_once_and_down_once():
    module, loss_function, x = toy()
    phase = Phase(lr=0.02, n_epochs=40, batch_size=10, schedule="one-cycle")
    rates = np.array(optimise(module, loss_function, x, phase)["learning_rate"])
    peak = rates.argmax()
    assert (np.diff(rates[: peak + 1]) > 0).all()
    assert (np.diff(rates[peak:]) < 0).all()
    assert 0 < peak < 20
    assert rates[0] == pytest.approx(0.02 / 25)
    assert rates[peak] == pytest.approx(0.02, rel=0.02)
    assert rates[-1] < 0.02 / 100


@pytest.mark.parametrize("n_epochs", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [2, 23])
def test_one_cycle_of_few_steps(n_epochs, n):
    module, loss_function, x = toy(n=n)
    phase = Phase(lr=0.02, n_epochs=n_epochs, batch_size=30, schedule="one-cycle")
    rates = optimise(module, loss_function, x, phase)["learning_rate"]
    assert len(rates) == n_epochs
    assert all(0 < rate <= 0.02 for rate in rates)


def test_one_cycle_advances_every_batch():
    module, loss_function, x = toy()
    before = module.weight.detach().clone()
    # one epoch, 23 steps: were the rate to move by epochs, it would stay at 0.02/25,
    # and 23 steps of Adam could move no weight by more than 23 · 0.0008 or so
    phase = Phase(lr=0.02, n_epochs=1, batch_size=1, schedule="one-cycle")
    optimise(module, loss_function, x, phase)
    assert (module.weight - before).abs().max() > 0.05


@pytest.mark.parametrize("schedule", ["step", "one-cycle"])
def test_no_epochs_change_nothing(schedule):
    module, loss_function, x = toy()
    before = module.weight.detach().clone()
    history = optimise(module, loss_function, x, Phase(n_epochs=0, schedule=schedule))
    assert history == {column: [] for column in COLUMNS}
    assert torch.equal(module.weight, before)
    assert not module.training


def test_history_has_a_row_an_epoch():
    module, loss_function, x = toy()
    history = optimise(
        module,
        loss_function,
        x,
        Phase(n_epochs=4, batch_size=10),
        on_epoch=lambda epoch: 10.0 + epoch,
    )
    assert list(history) == COLUMNS
    assert history["epoch"] == [0, 1, 2, 3]
    assert history["radius"] == [10.0, 11.0, 12.0, 13.0]
    assert all(len(values) == 4 for values in history.values())
    assert all(0 < seconds < 60 for seconds in history["seconds"])
    assert all(type(value) in (int, float) for row in history.values() for value in row)


def test_loss_is_the_mean_over_samples_and_not_over_batches():
    # Batches of 2 and 3: a mean of batch means would weigh the samples unequally.
    module, x = linear(1, 1), torch.arange(5.0)[:, None]
    phase = Phase(lr=1e-12, n_epochs=3, batch_size=2)
    history = optimise(module, lambda b: b.mean() + 0 * module.weight.sum(), x, phase)
    assert history["loss"] == pytest.approx([2.0] * 3)


# Batches -----------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 100))
def test_batches_cover_everything_and_none_is_a_single_sample(n, size):
    bounds = batch_bounds(n, size)
    assert [i for start, stop in bounds for i in range(start, stop)] == list(range(n))
    lengths = [stop - start for start, stop in bounds]
    assert all(length == size for length in lengths[:-1])
    assert lengths[-1] <= size + 1
    if size > 1 and n > 1:
        assert min(lengths) > 1


@pytest.mark.parametrize(
    ("n", "size", "lengths"),
    [(10, 5, [5, 5]), (11, 5, [5, 6]), (12, 5, [5, 5, 2]), (1, 5, [1]), (5, 5, [5])],
)
def test_batch_lengths(n, size, lengths):
    assert [stop - start for start, stop in batch_bounds(n, size)] == lengths


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 99))
def test_batches_yield_every_sample_once(n, size, seed):
    x = torch.arange(n)
    generator = torch.Generator().manual_seed(seed)
    first = torch.cat(list(batches(x, size, generator)))
    second = torch.cat(list(batches(x, size, generator)))
    assert first.sort().values.tolist() == second.sort().values.tolist() == x.tolist()
    if n > 15:
        assert first.tolist() != second.tolist()  # shuffled anew


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


# Divergence --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_loss_that_is_no_number(value):
    module, _, x = toy()
    calls = []

    def loss_function(batch):
        calls.append(1)
        loss = module(batch).square().mean()
        return loss + value if len(calls) > 6 else loss  # epoch 2's first of 3 batches

    phase = Phase(lr=0.125, n_epochs=9, batch_size=10)
    with pytest.raises(TrainingDivergedError) as error:
        optimise(module, loss_function, x, phase, title="toy training")
    message = str(error.value)
    assert f"loss is {value} in epoch 2 of toy training" in message
    assert "at learning rate 0.125" in message
    assert "lower the learning rate" in message
    assert "[0, 1]" in message
    assert len(calls) == 9  # the epoch is finished, the next one not begun


def test_message_names_the_rate_of_that_epoch():
    module, _, x = toy()
    epochs = []

    def loss_function(batch):
        return module(batch).mean() * (math.nan if len(epochs) == 3 else 1)

    phase = Phase(lr=0.1, n_epochs=9, lr_milestones=(2,), batch_size=99)
    with pytest.raises(TrainingDivergedError, match=r"epoch 3 .* learning rate 0\.01:"):
        optimise(
            module, loss_function, x, phase, on_epoch=lambda e: epochs.append(e) or 0
        )


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


# Progress ----------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("verbose", [True, False])
def test_no_progress_bar_without_a_terminal(verbose, capfd):
    module, loss_function, x = toy()
    optimise(module, loss_function, x, Phase(n_epochs=3), verbose=verbose)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("verbose", [True, False])
def test_progress_bar_on_a_terminal_if_verbose(verbose, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    module, loss_function, x = toy()
    optimise(
        module, loss_function, x, Phase(n_epochs=3), verbose=verbose, title="learning"
    )
    shown = terminal.getvalue()
    if verbose:
        assert "learning" in shown
        assert "3/3" in shown
        assert "loss=" in shown
    else:
        assert shown == ""


def test_every_epoch_is_logged(caplog):
    module, loss_function, x = toy()
    with caplog.at_level(logging.INFO, logger="deepsvdd"):
        history = optimise(
            module, loss_function, x, Phase(n_epochs=3), title="learning"
        )
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == [
        f"learning epoch {k}/3" for k in (1, 2, 3)
    ]
    for line, loss in zip(lines, history["loss"], strict=True):
        assert f"loss {loss:.6g}" in line
        assert "learning rate 0.001" in line


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
    expected = initial_center(represent(encoder, x))
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
    c = initial_center(represent(expected, x))
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

    c, radius, steps = initial_center(represent(expected, x)), torch.tensor(0.0), []

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
    x = random(4, 5)
    with pytest.warns(CollapseWarning, match="1 distinct scores for 4 samples"):
        assert warn_if_collapsed(z, torch.tensor([2.0, 2.0]), x)


@pytest.mark.parametrize("values", [1000, 2])
def test_few_scores_are_collapse_only_if_the_samples_are_more(values):
    z = torch.tensor([[1.0, 0.0], [5.0, 0.0]]).repeat(500, 1)  # two scores
    x = (torch.arange(1000.0) % values)[:, None]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        collapsed = warn_if_collapsed(z, torch.tensor([2.0, 2.0]), x)
    assert collapsed is (values == 1000)
    assert [w.category for w in caught] == [CollapseWarning] * collapsed


# Devices -----------------------------------------------------------------------------


def test_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("available", [True, False])
def test_auto_takes_a_gpu_where_there_is_one(available, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto").type == ("cuda" if available else "cpu")


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:x", "cuda:-1", ""])
def test_unknown_device(name):
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu'") as error:
        resolve_device(name)
    assert repr(name) in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_cuda_without_a_gpu(name):
    with pytest.raises(ValueError, match=r"torch finds 0 CUDA GPU") as error:
        resolve_device(name)
    assert repr(name) in str(error.value)
    assert "use 'cpu' or 'auto'" in str(error.value)


def test_second_of_one_gpu(monkeypatch):
    fake = SimpleNamespace(count=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: fake.count)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match=r"torch finds 1 CUDA GPU"):
        resolve_device("cuda:1")


def test_meta_is_no_device_to_train_on():
    with pytest.raises(ValueError, match="device must be"):
        resolve_device("meta")
