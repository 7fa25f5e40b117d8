"""Watch a submission's processes from outside, and end them when they take too much."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from deepsvdd.course.walls import MEGABYTE, PROCESSES

TICK = 0.2  # s
IDLE = 20.0  # s without work, after which a call counts as blocked
LAST = 5.0  # s to react to a signal
_JIFFY = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class State:
    """What a process does: threads, whether it sleeps, seconds of work so far."""

    parent: int
    threads: int
    sleeps: bool
    seconds: float


def state_of(process: int) -> State | None:
    """Return what a process does, None if it is gone or the system does not say."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        with open(f"/proc/{process}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        work = sum(map(int, fields[11:15])) / _JIFFY  # that of ended children, too
        return State(int(fields[1]), int(fields[17]), fields[0] == b"S", work)
    return None


def processes() -> dict[int, State]:
    """Return all processes of this machine that can be seen; none but on Linux."""
    with contextlib.suppress(FileNotFoundError):
        numbers = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        states = {number: state_of(number) for number in numbers}
        return {number: state for number, state in states.items() if state}
    return {}


def family(root: int, all_of_them: dict[int, State]) -> dict[int, State]:
    """Return a process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for number, state in all_of_them.items():
        children.setdefault(state.parent, []).append(number)
    found, waiting = {}, [root]
    while waiting:
        number = waiting.pop()
        if number in all_of_them and number not in found:
            found[number] = all_of_them[number]
            waiting += children.get(number, [])
    return found


def memory_of(process: int) -> int:
    """Return a process's part of the memory that is no file's, shared one included."""
    kinds = (b"Pss_Anon:", b"Pss_Shmem:")
    with (
        contextlib.suppress(OSError, ValueError),
        open(f"/proc/{process}/smaps_rollup", "rb") as file,
    ):
        lines = [line.split() for line in file]
        return 1024 * sum(int(line[1]) for line in lines if line[0] in kinds)
    return 0


def resident(process: int) -> int:
    """Return how much memory a process uses at most, quickly."""
    with contextlib.suppress(OSError, ValueError), open(f"/proc/{process}/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


class Supervisor(threading.Thread):
    """Ends a submission that needs too much memory, too many processes or too long.

    Parameters
    ----------
    process : the submission's, as this side numbers it
    root : its oldest ancestor that belongs to it alone
    memory : MiB, for all of its processes together, beyond what they need at the start
    """

    def __init__(self, process: int, root: int, memory: int) -> None:
        super().__init__(daemon=True)
        self.process, self.root = process, root
        self.verdict: tuple[str, str] | None = None
        self.limit = memory * MEGABYTE + memory_of(process)
        self.most = resident(process) + memory * MEGABYTE
        self.lock = threading.Lock()
        self.until: float | None = None  # when a call has to be over
        self.work = self.used = self.idle_since = 0.0
        self.warned = False
        self.over = threading.Event()

    def begin(self, work: float, seconds: float) -> None:
        """Begin to count for a call, which may work and may take so long."""
        used = self.seconds()
        with self.lock:
            self.used, self.idle_since = used, time.monotonic()
            self.work, self.warned = work, False
            self.until = time.monotonic() + seconds

    def end(self) -> None:
        """Stop counting: the call has returned."""
        with self.lock:
            self.until = None

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Do not count while this side works for the submission."""
        with self.lock:
            began, until = time.monotonic(), self.until
            self.until = None
        yield
        with self.lock:
            self.idle_since = time.monotonic()
            self.until = until and until + self.idle_since - began

    def seconds(self) -> float:
        """Return the seconds of work of the process, and of those it waited for."""
        state = state_of(self.process)
        return state.seconds if state else 0.0

    def run(self) -> None:
        """Look again and again."""
        before = 0.0
        while not self.over.wait(TICK):
            members = family(self.root, processes())
            if self.root != self.process:
                members.pop(self.root, None)  # only waits for the others
            if not members:
                continue
            if sum(state.threads for state in members.values()) > PROCESSES:
                self.kill("Died", f"it started more than {PROCESSES} processes")
            memory = sum(map(resident, members))
            if memory > self.most and sum(map(memory_of, members)) > self.limit:
                self.kill("MemoryError", "")
            now = time.monotonic()
            work = sum(state.seconds for state in members.values())
            first = members.get(self.process)
            used = first.seconds if first else 0.0
            with self.lock:
                if work > before + 0.05 or not all(s.sleeps for s in members.values()):
                    self.idle_since = now
                before = max(before, work)
                if self.until is None:
                    self.idle_since = now
                    continue
                late = now > self.until or used - self.used > self.work
                idle = now - self.idle_since
                if idle > IDLE and not self.warned:
                    self.warned = True
                    self.signal(signal.SIGALRM)
            if late or idle > IDLE + LAST:
                self.kill("OutOfTime", "")

    def kill(self, error: str, message: str) -> None:
        """End the submission, and say why."""
        self.verdict = self.verdict or (error, message)
        self.signal(signal.SIGKILL)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the submission's process."""
        with contextlib.suppress(OSError):
            os.kill(self.process, number)
