"""The one training loop against a loop written by hand."""

import io
import logging
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd import TrainingDivergedError
from deepsvdd.core.loop import batch_bounds, optimise
from deepsvdd.core.recipes import Phase
from tests.toys import linear, loop_by_hand, random, toy

pytestmark = pytest.mark.usefixtures("one_thread")

COLUMNS = ["epoch", "loss", "radius", "learning_rate", "seconds"]


# The loop ----------------------------------------------------------------------------

PHASES = {
    "plain": Phase(lr=0.03, n_epochs=5, batch_size=7, weight_decay=0.0),
    "decay": Phase(lr=0.03, n_epochs=5, batch_size=7, weight_decay=0.1),
    "amsgrad": Phase("amsgrad", lr=0.3, n_epochs=8, batch_size=5, weight_decay=1e-3),
    "milestones": Phase(lr=0.03, n_epochs=6, batch_size=7, lr_milestones=(2, 5)),
    "whole": Phase(lr=0.03, n_epochs=4, batch_size=1000),
    "one over": Phase(lr=0.03, n_epochs=3, batch_size=11),  # 23 = 11 + 12
}


@pytest.mark.parametrize("phase", PHASES.values(), ids=PHASES)
def test_optimise_is_the_loop_by_hand_to_the_bit(phase):
    module, loss_function, x = toy()
    (history,) = optimise(module, loss_function, x, phase, seeds=5)
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
    (history,) = optimise(module, loss_function, x, replace(phase, lr_milestones=(75,)))
    truth = random(4, 3, seed=2, dtype=torch.float64)
    torch.testing.assert_close(module.weight.T, truth, rtol=0, atol=1e-3)
    assert history["loss"][-1] < 1e-5 * history["loss"][0]


def test_milestones_drop_the_rate_at_exactly_their_epoch():
    module, loss_function, x = toy()
    phase = Phase(lr=0.02, n_epochs=7, lr_milestones=(2, 5), batch_size=10)
    rates = optimise(module, loss_function, x, phase)[0]["learning_rate"]
    assert rates == pytest.approx([0.02] * 2 + [0.002] * 3 + [0.0002] * 2)


def test_milestone_beyond_the_last_epoch_does_nothing():
    module, loss_function, x = toy()
    phase = Phase(lr=0.02, n_epochs=3, lr_milestones=(3, 50), batch_size=10)
    assert optimise(module, loss_function, x, phase)[0]["learning_rate"] == [0.02] * 3


def test_one_cycle_goes_up_once_and_down_once():
    module, loss_function, x = toy()
    phase = Phase(lr=0.02, n_epochs=40, batch_size=10, schedule="one-cycle")
    rates = np.array(optimise(module, loss_function, x, phase)[0]["learning_rate"])
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
    rates = optimise(module, loss_function, x, phase)[0]["learning_rate"]
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
    (history,) = optimise(
        module, loss_function, x, Phase(n_epochs=0, schedule=schedule)
    )
    assert history == {column: [] for column in COLUMNS}
    assert torch.equal(module.weight, before)
    assert not module.training


def test_history_has_a_row_an_epoch():
    module, loss_function, x = toy()
    (history,) = optimise(
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
    (history,) = optimise(
        module, lambda b: b.mean() + 0 * module.weight.sum(), x, phase
    )
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


@given(st.integers(1, 200), st.integers(2, 50), st.integers(2, 8))
def test_every_process_gets_a_share_of_every_batch(n, size, processes):
    for start, stop in batch_bounds(n, max(size, processes), processes):
        assert stop - start >= min(n, processes)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 99))
def test_an_epoch_visits_every_sample_once_in_an_order_of_its_own(n, size, seed):
    module, seen = linear(1, 1), []

    def loss_function(batch):
        seen.extend(batch[:, 0].tolist())
        return module(batch).mean()

    x = torch.arange(float(n))[:, None]
    optimise(module, loss_function, x, Phase(n_epochs=2, batch_size=size), seeds=seed)
    first, second = seen[:n], seen[n:]
    assert sorted(first) == sorted(second) == x[:, 0].tolist()
    if n > 15:
        assert first != second


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
        (history,) = optimise(
            module, loss_function, x, Phase(n_epochs=3), title="learning"
        )
    lines = [record.getMessage() for record in caplog.records]
    assert [line.split(":")[0] for line in lines] == [
        f"learning epoch {k}/3" for k in (1, 2, 3)
    ]
    for line, loss in zip(lines, history["loss"], strict=True):
        assert f"loss {loss:.6g}" in line
        assert "learning rate 0.001" in line
