"""The grading process: runs the tests, which reach the submission by a channel only.

`deepsvdd.course.running` starts one of these for each assignment. It runs the cells
that do not depend on a submission once, and forks a process for each submission. There
the names that solutions define stand for functions on the other side
(`deepsvdd.course.worker`); everything else in a test is here: data, references,
comparisons, marks. Where a test puts a function in the place of a student's own, as
``patch.dict(globals(), ...)`` does, the student's code calls that one as well.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from deepsvdd.course import walls
from deepsvdd.course.channel import (
    STATUS,
    Closed,
    Peer,
    Refused,
    RemoteError,
    There,
)
from deepsvdd.course.notebook import (
    OUT_OF_TIME,
    PATIENCE,
    Notebook,
    tensors_if,
    warm_up,
)
from deepsvdd.course.source import free_names, names_in
from deepsvdd.course.supervision import LAST, Supervisor, state_of

START = 180.0  # s for a process to start
OWN_MEMORY = 4096  # MiB, for what a submission may send


class NotStarted(RuntimeError):
    """There is no process for the submission."""


class Student:
    """A submission's process, as the tests know it; started anew when it has ended.

    Parameters
    ----------
    control : where to ask for a process
    limits : ``cell_seconds`` and ``memory``
    isolated : whether it is in a sandbox
    given : the course's functions, which both sides have by their names
    """

    def __init__(
        self,
        control: socket.socket,
        limits: dict[str, Any],
        isolated: bool,
        given: dict[str, Any],
    ) -> None:
        self.control, self.limits, self.isolated = control, limits, isolated
        self.given = given
        self.blocked: set[str] = set()  # functions that took too long
        self.left = 0.0  # seconds of work
        self.alive = False

    def start(self) -> None:
        """Ask for a process, and wait until it is there."""
        here, there = socket.socketpair()
        status, theirs = os.pipe()
        if hasattr(socket, "SO_PASSCRED"):
            here.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            socket.send_fds(self.control, [b"+"], [there.fileno(), theirs])
            there.close()
            os.close(theirs)
            here.settimeout(START)
            hello, about, _, _ = here.recvmsg(4, socket.CMSG_SPACE(12))
            (process,) = STATUS.unpack(hello)
        except (OSError, struct.error) as error:
            raise NotStarted(str(error)) from None
        here.settimeout(None)
        if about:  # the number that it has in this name space
            (process,) = STATUS.unpack(about[0][2][:4])
        above = state_of(process)
        self.status, self.process = status, process
        self.peer = Asking(here, self)
        self.peer.given = self.given
        self.supervisor = Supervisor(
            process, above.parent if above else process, self.limits["memory"]
        )
        self.supervisor.start()
        self.alive, self.left = True, self.limits["cell_seconds"]
        self.ask("begin", memory=self.limits["memory"], isolated=self.isolated)

    def refill(self) -> None:
        """Grant the time for a cell."""
        self.left = self.limits["cell_seconds"]

    def ask(self, request: str, **values: Any) -> Any:
        """Ask, within the time that is left; raise what went wrong there."""
        if not self.alive:
            raise self.end
        supervisor, peer = self.supervisor, self.peer
        if supervisor.until is not None:  # a call from within a call
            return self.translated(peer.ask, request, **values)
        kept = set(peer.kept)
        left = max(self.left, 0.1)
        # The signals within come first; then the process is ended.
        supervisor.begin(left + 2 * LAST, PATIENCE * left + 2 * LAST)
        try:
            return self.translated(peer.ask, request, seconds=left, **values)
        finally:
            supervisor.end()
            self.left -= supervisor.seconds() - supervisor.used if self.alive else 0
            for number in set(peer.kept) - kept:  # valid for this call only
                del peer.kept[number]

    def translated(self, ask: Any, request: str, **values: Any) -> Any:
        """Return the answer, with errors as a notebook would show them."""
        try:
            return ask(request, **values)
        except RemoteError as error:
            kind = getattr(builtins, error.kind, None)
            own: Exception = error
            if isinstance(kind, type) and issubclass(kind, Exception):
                with contextlib.suppress(Exception):  # those that want more arguments
                    own = kind(str(error))
            raise own from None
        except Closed:
            self.end = self.death()
            raise self.end from None

    def death(self) -> RemoteError:
        """Close everything; return why the process ended, as far as one knows."""
        self.alive = False
        self.peer.sock.close()
        code = b""
        deadline = time.monotonic() + LAST
        os.set_blocking(self.status, False)
        while not code and time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                code = os.read(self.status, 4)
                break
            time.sleep(0.01)
        self.close()
        if self.supervisor.verdict:
            return RemoteError(*self.supervisor.verdict)
        if len(code) < 4:
            return RemoteError("Died", "its output ended")
        number = STATUS.unpack(code)[0]
        if os.WIFSIGNALED(number):
            return RemoteError("Died", signal.Signals(os.WTERMSIG(number)).name)
        if os.WEXITSTATUS(number) == OUT_OF_TIME:
            return RemoteError("OutOfTime", "")
        return RemoteError("Died", f"exit status {os.WEXITSTATUS(number)}")

    def close(self) -> None:
        """End the process."""
        if not hasattr(self, "supervisor"):
            return
        self.alive = False
        self.supervisor.over.set()
        self.supervisor.signal(signal.SIGKILL)
        self.peer.sock.close()
        with contextlib.suppress(OSError):
            os.close(self.status)  # its guardian notices, and ends what is left


class Asking(Peer):
    """The tests' side of the channel."""

    def __init__(self, sock: socket.socket, student: Student) -> None:
        super().__init__(sock, self.answer, tensors=tensors_if)
        self.student = student

    def ask_about(self, request: str, **values: Any) -> Any:
        """Ask within the student's time."""
        return self.student.ask(request, **values)

    def answer(self, request: str, values: dict[str, Any]) -> Any:
        """Call a function that a test has handed over; nothing else can be asked."""
        with self.student.supervisor.held():
            if request == "gradient":
                from deepsvdd.course.tensors import gradient

                return gradient(self, **values)
            target = values.get("target")
            if request != "call" or not any(target is f for f in self.kept.values()):
                raise Refused("that cannot be asked for")
            return target(*values["arguments"], **values["named"])  # type: ignore[misc]


class Own(There):
    """A function that a solution defines, or one of the course's that runs there."""

    def __init__(self, judge: Judge, name: str) -> None:
        self._judge, self._number, self._what = judge, 0, "function"
        self.__name__ = name

    @property
    def _peer(self) -> Any:  # type: ignore[override]
        return self._judge.student.peer

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Call it there, with the stand-ins that are in place here."""
        judge, student = self._judge, self._judge.student
        if self.__name__ in student.blocked:
            raise RemoteError("OutOfTime", "as before")
        try:
            return student.ask(
                "call",
                target=self,
                arguments=arguments,
                named=named,
                stand_ins=judge.stand_ins(),
            )
        except RemoteError as error:
            if error.kind == "OutOfTime":
                student.blocked.add(self.__name__)
            raise


class Judge:
    """The assignment's own cells, run once; for each submission, its tests.

    Parameters
    ----------
    cells : the assignment's, see `deepsvdd.course.submission.script`
    own : names that solutions define
    modules : what the tests import
    """

    def __init__(
        self, cells: list[dict[str, Any]], own: list[str], modules: Iterable[str] = ()
    ) -> None:
        self.notebook, self.own = Notebook(own), own
        self.student: Any = None
        self.proxies = {name: Own(self, name) for name in own}
        self.ran: set[str] = set()
        self.secret: set[str] = set()  # names that only this side knows
        self.values: dict[str, Any] = {}  # what solutions define that is no function
        for cell in cells:
            if cell["kind"] in ("given", "reference") and not cell.get("skip"):
                known = set(self.notebook.given)
                report = self.notebook.run(cell["source"], given=True)
                if cell["kind"] == "reference":
                    self.secret |= set(self.notebook.given) - known
                if "error" not in report:
                    self.ran.add(cell["source"])
                elif cell["kind"] == "reference":
                    print(cell["name"], report, file=sys.stderr)
                self.there(cell)
        warm_up(modules)

    def there(self, cell: dict[str, Any]) -> None:
        """Let names that a cell bound stand for the other side's."""
        for name in cell.get("there", ()):
            self.notebook.given[name] = self.notebook.names[name] = Own(self, name)

    def stand_ins(self) -> dict[str, Any]:
        """Return what a test has put in the place of a student's functions."""
        names = self.notebook.names
        return {
            name: names[name]
            for name, proxy in self.proxies.items()
            if name in names and names[name] is not proxy and name not in self.values
        }

    def run(self, job: dict[str, Any], control: socket.socket) -> Iterator[Any]:
        """Run a submission's cells; yield a number at the start of each, then a report.

        Parameters
        ----------
        job : ``cells``, ``limits``, ``isolated``, ``keep``, ``draw``
        control : where to ask for a process
        """
        given = self.notebook.given
        shared = {
            name: value
            for name, value in given.items()
            if name not in self.secret and not isinstance(value, There)
        }
        if "DRAW" in given:
            given["DRAW"] = job["draw"]
        self.student = Student(control, job["limits"], job["isolated"], shared)
        self.student.start()
        cells = job["cells"]
        done: list[tuple[dict[str, Any], int | None]] = []
        before_student = True
        for number, cell in enumerate(cells):
            yield number
            if not self.student.alive:
                self.replay(done)
            self.student.refill()
            before_student &= cell["kind"] == "given"
            if cell["kind"] == "test":
                report = self.test(cell, job["keep"])
            elif cell["kind"] == "reference":
                report = {"text": ""}
            elif cell.get("skip") and not job["keep"] and not wanted(cells, number):
                report = {"text": "", "skipped": True}
            else:
                first = number if before_student else None
                report = self.there_run(cell, job["keep"], first)
                if self.student.alive:
                    done.append((cell, first))
            yield report
        self.student.close()

    def there_run(
        self, cell: dict[str, Any], keep: bool, first: int | None
    ) -> dict[str, Any]:
        """Run a cell on the other side, and here too if it is the course's."""
        is_given = cell["kind"] == "given"
        try:
            report = self.student.ask(
                "run", source=cell["source"], given=is_given, keep=keep, number=first
            )
            report = cleaned(report)
        except RemoteError as error:
            report = {"error": error.kind, "message": str(error)}
        except Exception as error:  # what is no report
            report = {"error": type(error).__name__, "message": str(error)[:2000]}
        if is_given and cell["source"] not in self.ran and not cell.get("skip"):
            with contextlib.suppress(RemoteError):
                self.propose()
                self.notebook.run(cell["source"], given=True)
                self.there(cell)
        return report

    def replay(self, done: list[tuple[dict[str, Any], int | None]]) -> None:
        """Start the submission anew, and run what has run well before."""
        blocked = self.student.blocked
        self.student.start()
        self.student.blocked = blocked
        for cell, first in list(done):
            self.student.refill()
            given = cell["kind"] == "given"
            with contextlib.suppress(RemoteError, Refused):
                self.student.ask(
                    "run", source=cell["source"], given=given, keep=False, number=first
                )
            if not self.student.alive:  # not this time
                done.remove((cell, first))
                self.student.start()

    def propose(self) -> None:
        """Let the names of solutions stand for what the submission has defined."""
        names = self.notebook.names
        kinds = self.student.ask("restore")
        self.values = {}
        for name, proxy in self.proxies.items():
            names.pop(name, None)
            if kinds.get(name) == "function":
                names[name] = proxy
            elif name in kinds:
                with contextlib.suppress(Exception):
                    names[name] = self.values[name] = self.student.ask(
                        "value", name=name
                    )

    def test(self, cell: dict[str, Any], keep: bool) -> dict[str, Any]:
        """Run a test."""
        try:
            self.propose()
        except Exception as error:
            kind = str(getattr(error, "kind", type(error).__name__))
            return {"error": kind, "message": str(error)}
        self.notebook.restore()
        return self.notebook.run(cell["source"], keep=keep)


def wanted(cells: list[dict[str, Any]], number: int) -> bool:
    """Tell whether a student's cell uses a name that a cell binds."""
    names = names_in(cells[number]["source"])
    own = (cell["source"] for cell in cells[number:] if cell["kind"] == "student")
    return any(names & free_names(source) for source in own)


def cleaned(report: Any) -> dict[str, Any]:
    """Return a report of the other side's with what belongs in one, of bounded size."""
    kept: dict[str, Any] = {"text": str(report.get("text", ""))[:20_000]}
    if "error" in report:
        kept["error"] = str(report["error"])[:80]
        kept["message"] = str(report.get("message", ""))[:2000]
    if isinstance(report.get("outputs"), list):
        kept["outputs"] = report["outputs"][:50]
    return kept


# --- the process --------------------------------------------------------------------


def serve(judge: Judge, control: socket.socket, sock: socket.socket) -> None:
    """Take a job from a socket, and write a line for each cell that starts or ends."""
    with sock.makefile("r", encoding="utf-8") as file:
        job = json.loads(file.readline())
    channel = sock.makefile("w", encoding="utf-8")

    def tell(line: dict[str, Any]) -> None:
        print(json.dumps(line, default=str), file=channel, flush=True)

    walls.limit_resources(OWN_MEMORY, isolated=False)
    tell({"process": os.getpid()})
    try:
        for step in judge.run(job, control):
            tell({"start": step} if isinstance(step, int) else {"report": step})
    except NotStarted as error:
        tell({"failed": str(error)})
    finally:
        if judge.student is not None:
            judge.student.close()
        channel.close()


def main() -> None:
    """Run the assignment's cells, then fork a process for each socket that comes in."""
    job = json.load(sys.stdin)
    control, jobs = (socket.socket(fileno=int(number)) for number in sys.argv[1:3])
    Path(os.environ["MPLCONFIGDIR"]).mkdir(exist_ok=True)
    judge = Judge(job["cells"], job["own"], job["modules"])
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(jobs, 1, 1)
        if not message:
            return
        sock = socket.socket(fileno=descriptors[0])
        if os.fork() == 0:
            try:
                jobs.close()
                serve(judge, control, sock)
            finally:
                os._exit(0)
        sock.close()


if __name__ == "__main__":
    main()
