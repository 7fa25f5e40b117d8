"""How threads wait for each other: OpenMP reads it when torch is loaded.

Threads that spin while they wait take the core from the one that is waited for, where
other programs run. Threads that sleep at once have to be woken thousands of times a
second. Between the two: GNU's OpenMP, which torch has on Linux, spins for a while,
longer than most waits of a quiet machine (``python -m benchmarks --only waiting``).
Others sleep.
"""

from __future__ import annotations

from collections.abc import Mapping

PATIENCE = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "50000"}


def patience(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables to set, none where a user has set one of them."""
    return {} if any(name in environment for name in PATIENCE) else PATIENCE
