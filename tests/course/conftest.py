"""The small assignment, read, its release, and processes to grade it in."""

import os
import shutil

import pytest

from deepsvdd.course import build
from deepsvdd.course.running import Bench
from deepsvdd.course.sandbox import why_not
from deepsvdd.course.source import Assignment
from tests.course import toy_notebook


@pytest.fixture(scope="session")
def toy():
    return Assignment("9-toy", toy_notebook())


@pytest.fixture(scope="session")
def given(toy):
    return build.release(toy)


@pytest.fixture(scope="session")
def bench(toy):
    """In a sandbox where there is one."""
    with Bench(toy, trust=True) as bench:
        yield bench


@pytest.fixture(scope="session")
def isolated():
    """Skip where there is no sandbox; in CI, bubblewrap at least has to be there."""
    if reason := why_not():
        if os.environ.get("CI") and shutil.which("bwrap") is None:
            pytest.fail(f"no sandbox: {reason}")
        pytest.skip(f"no sandbox: {reason}")
