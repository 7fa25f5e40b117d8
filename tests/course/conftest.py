"""The small assignment, read, and its release."""

import pytest

from deepsvdd.course import build
from deepsvdd.course.source import Assignment
from tests.course import toy_notebook


@pytest.fixture(scope="module")
def toy():
    return Assignment("9-toy", toy_notebook())


@pytest.fixture(scope="module")
def given(toy):
    return build.release(toy)
