"""Independent work on several cores: each in a thread of its own.

The threads of one operation wait for each other after each of thousands of small
operations; those of independent work never do. Torch lets go of Python's lock while it
computes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TypeVar

import torch

from deepsvdd.core._engine.memory import memory_kept

Item = TypeVar("Item")
Result = TypeVar("Result")

GLANCE = 0.5  # seconds; on Windows Ctrl-C waits for the end of a wait


class Ended(Exception):
    """Nobody waits for the result any more."""


@dataclass
class Work:
    """What the threads of one call know of it."""

    n_workers: int
    end: threading.Event = field(default_factory=threading.Event)


_mine: ContextVar[Work | None] = ContextVar("mine", default=None)
_lock = threading.Lock()
_n_calls = 0  # that have changed torch's number of threads, in all threads
_usual = 1  # this number before the first of them


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
    within = _mine.get() is not None  # whoever works side by side has no more threads
    if within or len(items) < 2 or torch.get_num_threads() < 2:
        return [work(item) for item in items]
    with shared_threads() as n_threads:
        mine = Work(min(len(items), n_threads))

        def begin() -> None:
            torch.get_num_threads()  # else its first use would bring another number
            torch.set_num_threads(n_threads // mine.n_workers)
            _mine.set(mine)

        def unless_ended(item: Item) -> Result:
            go_on()
            return work(item)

        with memory_kept(), ThreadPoolExecutor(mine.n_workers, initializer=begin) as p:
            futures: list[Future[Result]] = []
            try:
                for item in items:
                    futures.append(p.submit(unless_ended, item))
                while True:
                    done, left = wait(futures, GLANCE, FIRST_EXCEPTION)
                    if not left or any(future.exception() for future in done):
                        break
            except RuntimeError:  # at the end of a program no thread can be started
                futures.clear()
            finally:  # also after Ctrl-C
                mine.end.set()
            for future in futures:
                if future in done:
                    future.result()  # the first one's error, if any
    return [f.result() for f in futures] or [work(item) for item in items]


@contextmanager
def shared_threads() -> Iterator[int]:
    """Tell how many threads there are to share, whatever is set within.

    Torch notes the number that is set anywhere for threads to come: calls that overlap
    share the number before the first of them, and the last one brings it back.
    """
    global _n_calls, _usual
    with _lock:
        _usual = _usual if _n_calls else torch.get_num_threads()
        _n_calls += 1
        usual = _usual
    try:
        yield usual
    finally:
        with _lock:
            _n_calls -= 1
        torch.set_num_threads(usual)


def n_at_once() -> int:
    """Count the works that share the machine with this one, itself included."""
    mine = _mine.get()
    return mine.n_workers if mine is not None else 1


def go_on() -> None:
    """Raise Ended if this is work whose result nobody waits for any more."""
    mine = _mine.get()
    if mine is not None and mine.end.is_set():
        raise Ended
