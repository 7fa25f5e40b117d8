"""Independent work on several cores: each in a thread of its own.

The threads of one operation wait for each other after each of thousands of small
operations; those of independent work never do. Torch lets go of Python's lock while it
computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import TypeVar

import torch

from deepsvdd.core._engine.memory import memory_kept

Item = TypeVar("Item")
Result = TypeVar("Result")

_end: ContextVar[threading.Event | None] = ContextVar("end", default=None)


class Ended(Exception):
    """Nobody waits for the result any more."""


def side_by_side(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Do the same work on several items, as many at a time as torch has threads.

    Each has its share of these, so that ``torch.set_num_threads`` bounds all of them
    together. An error, or Ctrl-C, ends the others at their next step of training.

    Parameters
    ----------
    work : callable
        Maps an item to a result. It sees no context of the caller: neither torch's
        modes nor ``contextvars``.
    items : sequence

    Returns
    -------
    list
        The results, in the items' order.
    """
    n_threads = torch.get_num_threads()
    n_workers = min(len(items), n_threads)
    if n_workers < 2:
        return [work(item) for item in items]
    end = threading.Event()

    def begin() -> None:
        torch.set_num_threads(n_threads // n_workers)
        _end.set(end)

    def unless_ended(item: Item) -> Result:
        go_on()
        return work(item)

    try:
        with memory_kept(), ThreadPoolExecutor(n_workers, initializer=begin) as pool:
            futures = [pool.submit(unless_ended, item) for item in items]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            finally:  # also after Ctrl-C
                end.set()
            for future in futures:
                if future in done:
                    future.result()  # the first one's error, if any
            return [future.result() for future in futures]
    finally:
        torch.set_num_threads(n_threads)  # torch notes it for later threads, too


def go_on() -> None:
    """Raise Ended if this is work whose result nobody waits for any more."""
    end = _end.get()
    if end is not None and end.is_set():
        raise Ended
