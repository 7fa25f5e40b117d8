"""The submission's side: runs a student's cells, and calls what they define.

`deepsvdd.course.sandbox` starts this module inside of its walls. It imports what the
assignment imports, runs the cells above the first task, and waits. For each submission
it forks a process with walls of its own, which takes requests over a channel
(`deepsvdd.course.channel`): run this cell; call this function with these values. It
never sees a test.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deepsvdd.course import walls
from deepsvdd.course.channel import STATUS, Peer, There
from deepsvdd.course.notebook import Notebook, alarm, tensors_if, warm_up


class Worker:
    """Serves what the grading process asks for.

    Parameters
    ----------
    notebook : with the first cells run already
    done : what these reported
    sock : the channel
    """

    def __init__(
        self, notebook: Notebook, done: list[dict[str, Any]], sock: socket.socket
    ) -> None:
        self.notebook, self.done = notebook, done
        self.peer = Peer(sock, self.serve, trusting=True, tensors=tensors_if)
        self.peer.names = notebook.names
        self.forms: dict[str, Any] = {}  # kinds of named tuples that functions return

    def serve(self, request: str, values: dict[str, Any]) -> Any:
        """Do what is asked; see the methods below."""
        seconds = values.pop("seconds", None)
        if seconds is None:
            return getattr(self, request)(**values)
        with alarm(seconds, lambda: self.peer.waiting):
            return getattr(self, request)(**values)

    def begin(self, memory: int, isolated: bool) -> None:
        """Limit what the submission may use from here on."""
        walls.limit_resources(memory, isolated)
        self.share()

    def share(self) -> None:
        """Let the course's functions cross the channel by their names."""
        self.peer.given.update(self.notebook.given)

    def run(
        self, source: str, given: bool, keep: bool, number: int | None
    ) -> dict[str, Any]:
        """Run a cell, or report what came of it when it ran before the fork."""
        if number is not None and number < len(self.done):
            return self.done[number]
        try:
            report = self.notebook.run(source, given, keep)
        except BaseException as error:  # between two lines of ours
            report = {"error": type(error).__name__, "message": ""}
        if given:
            self.share()
        return report

    def restore(self) -> dict[str, str]:
        """Put back the course's names; tell what kind of things the student's are."""
        self.notebook.restore()
        for number in [n for n, v in self.peer.kept.items() if isinstance(v, tuple)]:
            del self.peer.kept[number]  # graphs of gradients
        names = self.notebook.names
        return {
            name: "function" if callable(names[name]) else "value"
            for name in self.notebook.own
            if name in names
        }

    def value(self, name: str) -> Any:
        """Return what a name of the student's stands for."""
        return self.notebook.names[name]

    def call(
        self,
        target: Any,
        arguments: tuple[Any, ...],
        named: dict[str, Any],
        stand_ins: dict[str, Any],
    ) -> Any:
        """Call a function, while stand-ins take the place of others."""
        names = self.notebook.names
        own = {each: names.get(each, There) for each in stand_ins}
        names.update({each: self.formed(each, f) for each, f in stand_ins.items()})
        try:
            result = target(*arguments, **named)
        finally:
            for each, function in own.items():
                if function is There:
                    names.pop(each, None)
                else:
                    names[each] = function
        if isinstance(result, tuple) and hasattr(type(result), "_fields"):
            name = getattr(target, "__name__", "")
            self.forms[str(name)] = type(result)
        return result

    def formed(self, name: str, function: Any) -> Any:
        """Let a stand-in return the kind of tuple that the student's own returns."""
        form = self.forms.get(name)
        if form is None or not callable(function):
            return function

        def stand_in(*arguments: Any, **named: Any) -> Any:
            result = function(*arguments, **named)
            fits = isinstance(result, tuple) and len(result) == len(form._fields)
            return form(*result) if fits else result

        return stand_in

    def forward(self, target: Any, **values: Any) -> Any:
        """Return what a layer of the student's makes of inputs."""
        from deepsvdd.course.tensors import forward

        return forward(target, **values)

    def gradient(self, number: int, along: Any) -> Any:
        """Return the gradients of a result."""
        from deepsvdd.course.tensors import gradient

        return gradient(self.peer, number, along)

    def attribute(self, target: Any, name: str) -> Any:
        """Return an attribute of an object."""
        return getattr(target, name)

    def item(self, target: Any, key: Any) -> Any:
        """Return an item of an object."""
        return target[key]

    def items(self, target: Any) -> Any:
        """Return all items of an object."""
        return list(target)

    def length(self, target: Any) -> int:
        """Return the length of an object."""
        return len(target)


# --- the process --------------------------------------------------------------------


def prepare(job: dict[str, Any]) -> tuple[Notebook, list[dict[str, Any]]]:
    """Import what is needed, and run the first cells.

    Parameters
    ----------
    job : ``own``, names that solutions define; ``first``, sources of the cells above
        the first task; ``isolated``, whether there are walls
    """
    import matplotlib.pyplot  # noqa: F401  # once for all: it reads the list of fonts

    notebook = Notebook(job["own"])
    done = [notebook.run(source, given=True, keep=True) for source in job["first"]]
    warm_up()
    return notebook, done


def fork(
    notebook: Notebook,
    done: list[dict[str, Any]],
    isolated: bool,
    channel: int,
    status: int,
) -> None:
    """Fork a process for a submission, and one that waits for it; return at once."""
    if os.fork():
        return
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        folder = walls.HOME
        if isolated:
            walls.own_name_spaces()
            if first := os.fork():
                os.close(channel)
                os.close(status)
                os.waitpid(first, 0)
                os._exit(0)
            walls.own_processes()
        else:
            folder = os.path.realpath(tempfile.mkdtemp(prefix="deepsvdd-"))
        if process := os.fork():
            os.close(channel)
            code = wait_for(process, status)
            if not isolated:
                import shutil

                shutil.rmtree(folder, ignore_errors=True)
            with contextlib.suppress(OSError):
                os.write(status, STATUS.pack(code))
            os._exit(0)
        os.close(status)
        os.setsid()
        os.chdir(folder)
        if isolated:
            walls.give_up_privileges()
            walls.filter_system_calls()
        else:
            os.environ.update(dict.fromkeys(("HOME", "TMPDIR"), folder))
            tempfile.tempdir = None
            sys.addaudithook(walls.watch(folder))
        sys.addaudithook(walls.Forks())
        os.nice(5)  # whoever watches comes first
        sock = socket.socket(fileno=channel)
        sock.send(STATUS.pack(os.getpid()))
        Worker(notebook, done, sock).peer.loop()
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
    finally:
        os._exit(1)  # threads of the submission may still run


def wait_for(process: int, status: int) -> int:
    """Wait until a submission ends, or nobody reads its status any more."""
    watch = select.poll()
    watch.register(status, 0)
    while True:
        found, code = os.waitpid(-1, os.WNOHANG)
        if found == process:
            end_group(process)
            return code
        if found == 0 and watch.poll(0):
            end_group(process)
        if found == 0:
            time.sleep(0.05)


def end_group(process: int) -> None:
    """End a submission's processes, as far as they are in its group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process, signal.SIGKILL)


def main() -> None:
    """Prepare, then fork a process for each pair of descriptors that comes in."""
    job = json.load(sys.stdin)
    control = socket.socket(fileno=int(sys.argv[1]))
    if fonts := job.get("fonts"):
        Path(os.environ["MPLCONFIGDIR"], fonts[0]).write_text(fonts[1])
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):  # compiled code prints past sys.stdout
        os.dup2(null, descriptor)
    notebook, done = prepare(job)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1, 2)
        if not message:
            return
        fork(notebook, done, job["isolated"], *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    main()
