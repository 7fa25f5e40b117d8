"""What the tests share: settings, the bundled MNIST, read once, and a Ray cluster."""

import os
import signal
import sys

import pytest
import torch
from hypothesis import settings

from deepsvdd import load_dataset, one_vs_rest
from tests import ROOT

# The first call of anything in torch is slow, so no deadlines. In continuous
# integration the examples are the same every time: red stays red, green stays green.
settings.register_profile(
    "deepsvdd",
    deadline=None,
    derandomize=bool(os.environ.get("CI")),
    max_examples=50,
)
settings.load_profile("deepsvdd")


@pytest.fixture(scope="session")
def mnist():
    """MNIST as published."""
    return load_dataset("mnist")


@pytest.fixture(scope="session")
def threes(mnist):
    """Digit 3 against the rest."""
    return one_vs_rest(mnist, 3)


@pytest.fixture(scope="module")
def one_thread():
    """Tiny networks gain nothing from threads, and lose a lot on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two Ray nodes of one core each, on this machine.

    Only one at a time: tests that run side by side kill each other's workers else.
    """
    fcntl = pytest.importorskip("fcntl")  # not in Windows
    ray = pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    from deepsvdd.reproduction.executors import start_patiently

    path = os.pathsep.join([str(ROOT), *sys.path])
    with (
        pytest.MonkeyPatch.context() as patch,
        (tmp_path_factory.getbasetemp().parent / "ray.lock").open("w") as lock,
    ):
        patch.setenv("PYTHONPATH", path)
        fcntl.flock(lock, fcntl.LOCK_EX)
        one = {"num_cpus": 1}
        made = start_patiently(
            lambda: Cluster(initialize_head=True, head_node_args=one), ray.shutdown
        )
        start_patiently(lambda: made.add_node(**one), lambda: None)
        yield made
        ray.shutdown()
        made.shutdown()


@pytest.fixture
def ctrl_c():
    """Ctrl-C ends the processes that a test starts, though it ends no background job.

    A shell starts those with the signal ignored, and so would they start others.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
