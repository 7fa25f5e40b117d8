"""Where the tasks of a sweep run: processes of this machine, or a Ray cluster.

Both call the same function with the same number of threads, so both give the same
numbers.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from deepsvdd.core._engine.waiting import patience
from deepsvdd.errors import ProcessLostError

Outcome = Any  # what the function returns, or the Exception that it raised
MAX_LOSSES = 3  # of worker processes in a row, without one task finished


def cores() -> list[int]:
    """Return the numbers of the processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


# ------------------------------------------------------------------------------- local


def run_locally(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    n_jobs: int | None = None,
    n_threads: int = 1,
) -> Generator[tuple[int, Outcome], None, None]:
    """Run tasks in processes that have cores of their own.

    If cores are left free, the operating system may move the processes among all of
    them: another program, or a second sweep, may be using the first ones.

    An interruption (Ctrl-C, the generator's ``close``) ends the processes in the middle
    of their tasks.

    Parameters
    ----------
    function : callable
        Takes a task; importable by name.
    tasks : sequence
        Picklable.
    n_jobs : int, optional
        Processes; by default as many as there are cores for.
    n_threads : int, default=1
        Cores, and threads, of each process. On a CPU many small networks go faster one
        a core than one after another on all cores.

    Yields
    ------
    index : int
        Of a task that has ended; in the order of ending.
    outcome : object
        What the function returned, or the exception that it raised. A task whose
        process dies is started again; if processes only die, the rest of the tasks end
        with :class:`~deepsvdd.errors.ProcessLostError`.
    """
    left = dict(enumerate(tasks))
    if n_jobs is None:
        n_jobs = max(len(cores()) // n_threads, 1)
    losses = 0
    while left and losses < MAX_LOSSES:
        losses += 1
        with _Pool(min(n_jobs, len(left)), n_threads) as pool:
            with _interrupts_held_back(), _patient_threads():
                futures = {pool.submit(function, task): i for i, task in left.items()}
            for future in as_completed(futures):
                error = future.exception()
                if isinstance(error, BrokenProcessPool):
                    continue  # stays in `left`
                losses = 0
                del left[futures[future]]
                yield futures[future], error or future.result()
    lost = ProcessLostError(
        f"{MAX_LOSSES} processes died in a row: is memory short? Run fewer at once"
    )
    yield from ((index, lost) for index in left)


class _Pool(ProcessPoolExecutor):
    """Worker processes that share the cores and end with their parent."""

    def __init__(self, n_jobs: int, n_threads: int) -> None:
        context = multiprocessing.get_context("spawn")  # fork breaks torch's threads
        mine = cores()
        shares = context.SimpleQueue()
        for job in range(n_jobs):
            first = job * n_threads
            share = [mine[i % len(mine)] for i in range(first, first + n_threads)]
            # Two programs that leave cores free would meet on the same first cores.
            shares.put(share if n_jobs * n_threads >= len(mine) else mine)
        # Nothing is ever sent on it: workers end when its other end is closed.
        self._line, self._end = context.Pipe(duplex=False)
        super().__init__(
            n_jobs,
            mp_context=context,
            initializer=_settle,
            initargs=(shares, n_threads, self._line),
        )

    def __exit__(self, kind: Any, *_: Any) -> None:
        """Do not wait for what has not begun, nor, after an error, for the rest."""
        if kind is not None:
            self._end.close()
        self.shutdown(wait=True, cancel_futures=True)
        self._end.close()
        self._line.close()


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: they inherit what is blocked here.

    A terminal sends it to all processes, and each would print where it was. The parent
    alone decides.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _patient_threads() -> Iterator[None]:
    """Start processes whose threads do not spin for long while they wait.

    OpenMP reads it when torch is loaded, so it is of no use to this process, whose
    environment is left as it was.
    """
    own = patience(os.environ)
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


def _settle(shares: Any, n_threads: int, line: Connection) -> None:
    """Prepare a worker process: its cores, its threads, its end."""
    from tqdm import tqdm

    # Its own lock is shared among processes, and an ended one would leave it behind.
    tqdm.set_lock(threading.RLock())
    threading.Thread(target=_end_with, args=(line,), daemon=True).start()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, shares.get())
    set_threads(n_threads)


def set_threads(n_threads: int) -> None:
    """Limit torch and the numerical libraries to some threads."""
    import torch
    from threadpoolctl import threadpool_limits

    torch.set_num_threads(n_threads)
    threadpool_limits(n_threads)


def _end_with(line: Connection) -> None:
    """End this process when its parent hangs up or dies: nobody reads its results."""
    with suppress(OSError):
        line.poll(None)
    os._exit(1)


# --------------------------------------------------------------------------------- ray


def run_on_ray(
    function: Callable[[Any], Any],
    tasks: Sequence[Any],
    address: str | None = None,
    n_threads: int = 1,
    n_gpus: int = 0,
) -> Generator[tuple[int, Outcome], None, None]:
    """Run tasks on a Ray cluster, or on this machine as one.

    The package must be installed on every node.

    Parameters
    ----------
    function, tasks, n_threads
        As in :func:`run_locally`.
    address : str, optional
        Of the cluster: "auto", "10.0.0.1:6379" or "ray://…". Without it, Ray is started
        here, and stopped at the end.
    n_gpus : int, default=0
        GPUs that a task needs.

    Yields
    ------
    index, outcome
        As from :func:`run_locally`. A task whose worker or node dies is run elsewhere.

    Raises
    ------
    ValueError
        If Ray is not installed.
    ConnectionError
        If there is no cluster at the address.
    """
    try:
        import ray
    except ImportError:
        raise ValueError(
            "executor ray needs the package ray: pip install 'deepsvdd[cluster]'"
        ) from None
    started = not ray.is_initialized()
    if started:
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        start_patiently(partial(ray.init, address=address, **quiet), ray.shutdown)
    remote = ray.remote(num_cpus=n_threads, num_gpus=n_gpus, max_retries=MAX_LOSSES)(
        _call
    )
    running = {remote.remote(function, t, n_threads): i for i, t in enumerate(tasks)}
    try:
        while running:
            (done,), _ = ray.wait(list(running))
            try:
                outcome = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                outcome = error.cause
            except ray.exceptions.RayError as error:
                reason = str(error).splitlines()[0]
                outcome = ProcessLostError(f"{MAX_LOSSES + 1} workers died: {reason}")
            yield running.pop(done), outcome
    finally:
        for task in running:
            ray.cancel(task, force=True)
        if started:
            ray.shutdown()


def start_patiently(start: Callable[[], Any], stop: Callable[[], Any]) -> Any:
    """Start a node of Ray, which gives up after 30 seconds: too few on a busy machine.

    Parameters
    ----------
    start : callable
        Starts the node; its value is returned.
    stop : callable
        Ends what a failed start has left.

    Raises
    ------
    ConnectionError
        If the node does not start in three times Ray's patience.
    """
    for _ in range(3):
        try:
            return start()
        except Exception as error:  # Ray raises no class of its own
            if "timed out during startup" not in str(error):
                raise
            stop()
    raise ConnectionError(
        "Ray did not start within three times 30 s: end other programs, or use "
        "--executor local"
    )


def _call(function: Callable[[Any], Any], task: Any, n_threads: int) -> Any:
    set_threads(n_threads)
    return function(task)


EXECUTORS = ("local", "ray")
