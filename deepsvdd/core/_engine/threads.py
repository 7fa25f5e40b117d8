"""How many threads a training takes: as many as torch has, or by measuring.

A second thread of a processor's core shortens a step by a third where nothing else
runs. Beside other programs the threads wait for each other's turn, a thousand times a
second, and one alone is faster. Only measuring tells.

Sums over a batch have another order with another number of threads, so the last digits
of a result depend on it. Therefore nobody measures unless asked, and the command line,
which asks, leaves the number alone that a user has set.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

SET_BY_USERS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
STEPS = 3  # that are timed, after one to warm up: few enough for the shortest recipes
WORTH = 0.9  # of the time before; for less gain no thread more is taken
CHANGED = 1.3  # times as long as before, or as short: the machine is another now
SHARE = 0.03  # of the time of training, for all measuring

log = logging.getLogger("deepsvdd")
# The most threads that a training may take, where somebody has asked for measuring.
_most: ContextVar[int] = ContextVar("most", default=0)


@contextmanager
def measured_threads() -> Iterator[None]:
    """Let trainings within choose their number of threads by measuring.

    Not where the user has set one, in the environment. Afterwards torch has as many as
    before.
    """
    if any(os.environ.get(name) for name in SET_BY_USERS):
        yield
        return
    before = torch.get_num_threads()
    token = _most.set(before)
    try:
        yield
    finally:
        _most.reset(token)
        torch.set_num_threads(before)


class Threads:
    """Chooses the number of threads of one training, and again when it slows down.

    Parameters
    ----------
    trial : callable
        Takes a step and undoes it.
    n_steps : int
        Steps of the whole training.
    clock : callable
        Tells the seconds.
    """

    def __init__(
        self,
        trial: Callable[[], None],
        n_steps: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.trial, self.clock = trial, clock
        # Not what torch has now: that may be the choice of the phase before.
        self.most = _most.get() or torch.get_num_threads()
        # Else measuring would take longer than its share.
        self.useful = self.most > 1 and n_steps * SHARE >= 2 * (STEPS + 1)
        self.usual: float | None = None  # seconds of an epoch with this number
        self.trained = self.measured = 0.0  # seconds
        if self.useful:
            self.choose()

    def choose(self) -> None:
        """Measure with one thread, two, four, …, as long as it becomes faster."""
        began, best = self.clock(), 0.0
        counts = [2**k for k in range(self.most.bit_length()) if 2**k < self.most]
        for count in (*counts, self.most):
            torch.set_num_threads(count)
            seconds = self.seconds_of_steps()
            if best and seconds > WORTH * best:
                break
            best, chosen = seconds, count
        torch.set_num_threads(chosen)
        self.usual = None
        self.measured += self.clock() - began
        log.info("threads: %d of %d, by measuring", chosen, self.most)

    def seconds_of_steps(self) -> float:
        """Time some steps, after one that starts threads and allocates."""
        self.trial()
        began = self.clock()
        for _ in range(STEPS):
            self.trial()
        return self.clock() - began

    def after_epoch(self, seconds: float) -> None:
        """Measure anew if an epoch took much more or less time than those before."""
        if not self.useful:
            return
        self.trained += seconds
        if self.usual is None:
            self.usual = seconds
        change = seconds / max(self.usual, 1e-9)
        if not 1 / CHANGED <= change <= CHANGED:
            if self.measured <= SHARE * self.trained:
                self.choose()
        else:
            self.usual = min(self.usual, seconds)


def are_measured() -> bool:
    """Tell whether somebody has asked for measuring."""
    return _most.get() > 0


def without_effect(
    module: torch.nn.Module, loss: Callable[[], torch.Tensor]
) -> Callable[[], None]:
    """Make a trial of a loss: its gradient, and all that was as it was.

    Parameters
    ----------
    module : Module
        What is trained, between two steps.
    loss : callable
        Returns the loss of a batch.
    """

    def trial() -> None:
        module.train()
        buffers = [(own, own.clone()) for own in module.buffers()]
        state = torch.get_rng_state()
        loss().backward()
        module.zero_grad(set_to_none=True)
        torch.set_rng_state(state)
        for own, before in buffers:
            own.copy_(before)

    return trial
