"""What the tests share: hypothesis's settings, and the bundled MNIST, read once."""

import os

import pytest
import torch
from hypothesis import settings

from deepsvdd import load_dataset, one_vs_rest

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
