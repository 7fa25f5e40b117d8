"""Memory that is freed within `memory_kept` is used again, not asked for anew."""

import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from deepsvdd import Phase, optimise
from deepsvdd.core._engine import memory
from deepsvdd.core._engine.memory import KEPT, USUAL, glibc, memory_kept
from tests.toys import random

FAULTS = """
import resource

from deepsvdd.core._engine.memory import memory_kept


def faults_of(n_blocks):
    "Page faults of filling blocks, each freed before the next."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(n_blocks):
        b"x" * 2**26  # bytes; from 32 MB on, glibc maps a block by itself
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


given_back = faults_of(10)
with memory_kept():
    faults_of(2)
    print(given_back, faults_of(10))
"""


@pytest.fixture
def told(monkeypatch):
    """What glibc is told, in order."""
    calls = []
    monkeypatch.setattr(memory, "set_thresholds", lambda *pair: calls.append(pair))
    return calls


@pytest.mark.skipif(glibc() is None, reason="the C library is not glibc, or is set")
def test_blocks_are_used_again():
    done = subprocess.run(
        [sys.executable, "-c", FAULTS], capture_output=True, check=True, text=True
    )
    given_back, kept = map(int, done.stdout.split())
    assert kept < 0.5 * given_back


def test_glibc_is_told_at_the_outermost_entry_and_exit(told):
    with memory_kept(), memory_kept():
        assert told == [KEPT]
    assert told == [KEPT, USUAL]


def test_glibc_is_told_once_by_threads_that_overlap(told):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with memory_kept():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=other)
    with memory_kept():
        thread.start()
        inside.wait(10)
    assert told == [KEPT]  # the other is still there
    leave.set()
    thread.join()
    assert told == [KEPT, USUAL]


def test_glibc_is_told_after_an_error(told):
    with pytest.raises(ZeroDivisionError), memory_kept():
        _ = 1 / 0
    assert told == [KEPT, USUAL]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
        ("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=131072"),
    ],
)
def test_a_users_own_setting_stays(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert glibc.__wrapped__() is None


def test_other_settings_of_glibc_do_not_matter(monkeypatch):
    here = glibc.__wrapped__()
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.pthread.rseq=1")
    assert (glibc.__wrapped__() is None) == (here is None)


def test_without_glibc_nothing_happens(monkeypatch):
    monkeypatch.setattr(memory, "glibc", lambda: None)
    with memory_kept():
        assert np.ones(3).sum() == 3


def test_training_keeps_memory(told):
    module = torch.nn.Linear(3, 2)

    def loss(batch):
        assert told == [KEPT]
        return module(batch).square().mean()

    optimise(module, loss, random(8, 3), Phase(n_epochs=1, batch_size=4))
    assert told == [KEPT, USUAL]
