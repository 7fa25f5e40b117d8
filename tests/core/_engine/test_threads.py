"""How many threads a training takes: by measuring, where somebody asks for it."""

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import Phase, get_recipe, optimise
from deepsvdd.core._engine import threads
from deepsvdd.core._engine.threads import Threads, are_measured, measured_threads
from deepsvdd.core.loop import batch_bounds
from tests.toys import random, states_equal


@pytest.fixture(autouse=True)
def _nobody_sets_a_number(monkeypatch):
    for name in threads.SET_BY_USERS:
        monkeypatch.delenv(name, raising=False)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


class Machine:
    """One on which a step takes known seconds, by its number of threads."""

    def __init__(self, **seconds):
        self.seconds = {int(count[1:]): value for count, value in seconds.items()}
        self.now, self.steps = 0.0, 0

    def step(self):
        self.steps += 1
        self.now += self.seconds[torch.get_num_threads()]

    def threads(self, n_steps=10_000):
        return Threads(self.step, n_steps, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({"t1": 1.0, "t2": 0.6, "t4": 0.4}, 4),  # quiet
        ({"t1": 1.0, "t2": 0.6, "t4": 0.59}, 2),  # two cores
        ({"t1": 1.0, "t2": 2.0, "t4": 9.0}, 1),  # busy
        ({"t1": 1.0, "t2": 0.95, "t4": 0.1}, 1),  # four are not tried then
    ],
)
def test_the_number_is_the_fastest_that_is_worth_it(seconds, chosen):
    machine = Machine(**seconds)
    machine.threads()
    assert torch.get_num_threads() == chosen


def test_a_machine_that_changes_is_measured_anew():
    machine = Machine(t1=1.0, t2=0.6, t4=0.4)
    chooser = machine.threads()
    for _ in range(5):
        chooser.after_epoch(400.0)
    assert torch.get_num_threads() == 4
    machine.seconds = {1: 1.5, 2: 3.0, 4: 9.0}  # other programs begin
    chooser.after_epoch(9000.0)
    assert torch.get_num_threads() == 1
    chooser.after_epoch(1500.0)  # with one thread: what is usual now
    before = machine.steps
    chooser.after_epoch(1600.0)
    assert machine.steps == before
    machine.seconds = {1: 1.0, 2: 0.6, 4: 0.4}  # they end
    chooser.after_epoch(1000.0)
    assert torch.get_num_threads() == 4


def test_measuring_takes_a_small_share_of_the_time():
    machine = Machine(t1=1.0, t2=0.6, t4=0.4)
    chooser, trained = machine.threads(), 0.0
    for epoch in range(300):  # a machine that changes all the time
        seconds = 3.0 if epoch % 2 else 9.0
        trained += seconds
        chooser.after_epoch(seconds)
    once = (threads.STEPS + 1) * (1.0 + 0.6 + 0.4)
    assert machine.now > once
    assert machine.now <= threads.SHARE * trained + once
    few = Machine(t1=1.0, t2=0.6, t4=0.4)
    assert not few.threads(n_steps=90).useful  # `quick` on a digit
    assert few.steps == 0
    assert torch.get_num_threads() == 4


def test_the_shortest_training_of_make_run_is_measured():
    fewest = 5421  # images of a digit, of fives
    phase = get_recipe("fast", "mnist_LeNet").training
    n_steps = len(batch_bounds(fewest, phase.batch_size)) * phase.n_epochs
    assert Machine(t1=1.0, t2=0.6, t4=0.4).threads(n_steps).useful


def test_each_phase_may_have_more_threads_than_the_one_before():
    with measured_threads():
        Machine(t1=1.0, t2=9.0, t4=9.0).threads()
        assert torch.get_num_threads() == 1  # busy
        Machine(t1=1.0, t2=0.6, t4=0.4).threads()
        assert torch.get_num_threads() == 4


class Layers(nn.Sequential):
    """Some that keep statistics, and draw."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            nn.Linear(4, 64, bias=False),
            nn.BatchNorm1d(64),
            nn.Dropout(0.2),
            nn.Linear(64, 3, bias=False),
        )


def trained(seed=7):
    network, x = Layers(), random(90, 4)
    phase = Phase(n_epochs=3, batch_size=20)
    torch.manual_seed(seed)
    (history,) = optimise(network, lambda b: network(b).square().mean(), x, phase)
    return network, history["loss"]


@pytest.mark.parametrize(("worth", "chosen"), [(0.0, 1), (1e9, 4)])
def test_measuring_leaves_no_trace_in_a_training(monkeypatch, caplog, worth, chosen):
    monkeypatch.setattr(threads, "SHARE", 1e6)  # it is a short one
    monkeypatch.setattr(threads, "WORTH", worth)
    with measured_threads(), caplog.at_level("INFO", logger="deepsvdd"):
        network, losses = trained()
        assert torch.get_num_threads() == chosen
    assert f"threads: {chosen} of 4, by measuring" in caplog.text
    assert torch.get_num_threads() == 4
    torch.set_num_threads(chosen)
    expected, usual = trained()
    assert states_equal(network, expected)
    np.testing.assert_array_equal(losses, usual)


def test_without_asking_nothing_is_measured(monkeypatch):
    monkeypatch.setattr(threads, "SHARE", 1e6)
    monkeypatch.setattr(Threads, "choose", lambda self: pytest.fail("it measures"))
    assert not are_measured()
    trained()
    monkeypatch.setenv("OMP_NUM_THREADS", "4")  # a user's own choice
    with measured_threads():
        assert not are_measured()
        trained()
