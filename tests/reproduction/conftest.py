"""The problem that runs and sweeps are tried on."""

import pytest

from tests.toys import small


@pytest.fixture(scope="module")
def few(threes):
    return small(threes)
