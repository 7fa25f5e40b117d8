"""Tests, in the rooms of the package; ``book`` has the book's, ``toys`` problems."""

import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600  # s for what hangs, not for what is slow: a busy machine fails no test


def wait_until(condition, process=None):
    """Wait for a state; not if the process that is to bring it about has ended."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, "the process has ended"
        assert time.monotonic() < end, "it hangs"
        time.sleep(0.02)
