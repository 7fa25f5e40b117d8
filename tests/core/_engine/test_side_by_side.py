"""Independent work on several cores: results, threads, errors, Ctrl-C."""

import threading
import time
import warnings
from concurrent import futures

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import GEOM, DeepSAD, DeepSVDD, TrainingDivergedError
from deepsvdd.core._engine import side_by_side as module
from deepsvdd.core._engine.side_by_side import Ended, go_on, side_by_side
from deepsvdd.core.trainer import Trainer
from tests.toys import SHORT, Flat, states_equal

LONG = 60.0  # seconds that nothing here may take


@pytest.fixture(autouse=True)
def _four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def until_ended():
    """Work without an end of its own."""
    began = time.monotonic()
    while time.monotonic() - began < LONG:
        go_on()
        time.sleep(0.001)
    raise AssertionError("nobody has ended this")


def test_results_come_in_the_order_of_the_items():
    def slow_first(item):
        time.sleep(0.05 if item == 0 else 0)
        return item * item

    assert side_by_side(slow_first, range(7)) == [k * k for k in range(7)]


@pytest.mark.parametrize(
    ("n_items", "share", "in_threads"),
    [(1, 4, False), (2, 2, True), (3, 1, True), (4, 1, True), (9, 1, True)],
)
def test_threads_are_shared(n_items, share, in_threads):
    def seen(_):
        apart = threading.current_thread() is not threading.main_thread()
        return torch.get_num_threads(), apart

    assert side_by_side(seen, range(n_items)) == [(share, in_threads)] * n_items
    assert torch.get_num_threads() == 4
    # What torch noted for threads to come is as before, too.
    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 4


def test_calls_that_overlap_share_the_same_threads():
    """Torch notes for threads to come what any thread sets."""
    inside, leave = threading.Barrier(3), threading.Event()

    def slow(_):
        inside.wait(LONG)
        assert leave.wait(LONG)
        return torch.get_num_threads()

    with futures.ThreadPoolExecutor(1) as pool:
        first = pool.submit(side_by_side, slow, range(2))
        inside.wait(LONG)  # two threads of two each are at work
        second = side_by_side(lambda _: torch.get_num_threads(), range(4))
        leave.set()
        assert (first.result(), second) == ([2, 2], [1, 1, 1, 1])
    assert torch.get_num_threads() == 4
    with futures.ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == 4


def test_work_within_work_is_done_in_turn():
    def outer(_):
        return side_by_side(lambda _: threading.current_thread().name, range(3))

    assert all(len(set(names)) == 1 for names in side_by_side(outer, range(2)))


def test_where_no_thread_can_be_started_all_is_done_in_turn(monkeypatch):
    def refused(self, *arguments):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(module.ThreadPoolExecutor, "submit", refused)
    assert side_by_side(lambda item: -item, range(3)) == [0, -1, -2]
    assert torch.get_num_threads() == 4


def test_one_thread_does_all_in_turn():
    torch.set_num_threads(1)
    names = side_by_side(lambda _: threading.current_thread().name, range(3))
    assert names == [threading.current_thread().name] * 3


def test_they_run_at_the_same_time():
    all_here = threading.Barrier(4)
    assert side_by_side(lambda _: all_here.wait(LONG) >= 0, range(4)) == [True] * 4


def test_an_error_ends_the_others():
    def work(item):
        if item == 1:
            raise ZeroDivisionError
        until_ended()

    began = time.monotonic()
    with pytest.raises(ZeroDivisionError):
        side_by_side(work, range(12))
    assert time.monotonic() - began < LONG / 2
    assert torch.get_num_threads() == 4
    go_on()  # this thread is none of them


def test_ctrl_c_ends_all(monkeypatch):
    begun, ended = threading.Event(), []

    def work(_):
        begun.set()
        try:
            until_ended()
        except Ended:
            ended.append(True)
            raise

    def interrupted(*arguments):
        assert begun.wait(LONG)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        side_by_side(work, range(2))
    assert ended
    assert torch.get_num_threads() == 4


def test_training_ends_at_its_next_step(monkeypatch, images):
    steps = []

    def third():
        steps.append(threading.current_thread().name)
        if len(steps) == 3:
            raise Ended

    monkeypatch.setattr("deepsvdd.core.loop.go_on", third)
    torch.set_num_threads(1)
    with pytest.raises(Ended):
        DeepSVDD(recipe=SHORT, random_state=0).fit(images)
    assert len(steps) == 3


# ------------------------------------------------------------------- what uses it


def test_members_that_are_trained_at_the_same_time_are_those_of_one_thread(images):
    torch.set_num_threads(3)
    apart = DeepSVDD(recipe=SHORT, n_members=3, random_state=0).fit(images)
    torch.set_num_threads(1)
    in_turn = DeepSVDD(recipe=SHORT, n_members=3, random_state=0).fit(images)
    pairs = zip(apart.members_, in_turn.members_, strict=True)
    assert all(states_equal(a.encoder, b.encoder) for a, b in pairs)
    assert apart.threshold_ == in_turn.threshold_


def where(monkeypatch):
    """Note the threads in which networks are trained."""
    names, usual = [], Trainer.fit

    def fit(self, *arguments):
        names.append(threading.current_thread().name)
        return usual(self, *arguments)

    monkeypatch.setattr(Trainer, "fit", fit)
    return names


def test_the_last_members_share_all_threads(monkeypatch, images):
    torch.set_num_threads(2)
    names, here = where(monkeypatch), threading.current_thread().name
    DeepSVDD(recipe=SHORT, n_members=3, random_state=0).fit(images)
    assert len(names) == 3
    assert [name == here for name in names] == [False, False, True]


@pytest.mark.parametrize("own", ["a module", "checkpoints"])
def test_what_draws_from_one_generator_is_trained_in_turn(
    own, monkeypatch, images, tmp_path
):
    names, here = where(monkeypatch), threading.current_thread().name
    options = {
        "a module": {"network": nn.Sequential(Flat(), nn.Dropout()), "pretrain": False},
        "checkpoints": {"checkpoint_dir": tmp_path},
    }
    detector = DeepSVDD(recipe=SHORT, n_members=2, random_state=0, **options[own])
    detector.fit(images)
    assert names == [here] * 2


def test_a_member_that_diverges_is_named_by_its_seed(images):
    detector = DeepSVDD(recipe=SHORT, n_members=2, random_state=0)
    detector.set_params(recipe__training__lr=1e30)
    with pytest.raises(TrainingDivergedError, match=r"seed [01].*learning rate"):
        detector.fit(images)


def test_labels_and_transformations_are_trained_in_turn(monkeypatch, images):
    """They hold more of the images, and would do so once a thread."""
    names, here = where(monkeypatch), threading.current_thread().name
    y = np.zeros(len(images), dtype=int)
    y[:3] = -1
    DeepSAD(recipe=SHORT, n_members=2, random_state=0).fit(images, y)
    GEOM(recipe="quick", n_members=2, random_state=0).fit(images)
    assert names == [here] * 4


def test_vectors_are_trained_side_by_side(monkeypatch, vectors):
    torch.set_num_threads(2)
    names = where(monkeypatch)
    apart = DeepSVDD(recipe=SHORT, n_members=2, random_state=0).fit(vectors)
    assert threading.current_thread().name not in names
    torch.set_num_threads(1)
    in_turn = DeepSVDD(recipe=SHORT, n_members=2, random_state=0).fit(vectors)
    pairs = zip(apart.members_, in_turn.members_, strict=True)
    assert all(states_equal(a.encoder, b.encoder) for a, b in pairs)


def test_a_first_layer_of_patches_leaves_the_filters_of_warnings(images):
    before = list(warnings.filters)
    DeepSVDD(recipe="quick-dictionary", n_members=4, random_state=0).fit(images)
    assert warnings.filters == before


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_a_core_a_part_gives_the_scores_of_one_thread(kind, request):
    x = request.getfixturevalue(kind)
    torch.set_num_threads(1)
    detector = DeepSVDD(recipe=SHORT, random_state=0).fit(x)
    many = torch.cat([torch.as_tensor(x)] * (1200 // len(x) + 1)).numpy()
    alone = detector.anomaly_score(many)
    for n in (2, 3, 4):
        torch.set_num_threads(n)
        assert (detector.anomaly_score(many) == alone).all()


def test_scoring_leaves_a_network_as_it_is(images):
    detector = DeepSVDD(recipe=SHORT, random_state=0).fit(images)
    many = torch.cat([torch.as_tensor(images)] * (1200 // len(images) + 1))
    scores = detector.anomaly_score(many)
    encoder = detector.members_[0].encoder.train()  # a user who goes on training
    assert (detector.anomaly_score(many) == scores).all()
    assert encoder.training
    assert all(m.training for m in encoder.modules())
