"""Run the cells of one notebook where they can do no harm.

`deepsvdd.course.grade` starts this module in a process and an empty folder of its own,
sends a job as JSON to its standard input and reads one line of JSON per cell. Three
fences, the inner ones wherever the system offers them: an audit hook refuses the
network, other programs and writing outside the folder; on Linux, name spaces take the
network away and make every other folder read-only; resource limits bound memory and
files.

The fences protect the grader's machine from mistakes and from mischief written in
Python. They are no protection against an attack by compiled code, and tests run in the
same process as the code that they test: who sets out to forge marks may succeed.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import io
import json
import os
import resource
import signal
import struct
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

MEGABYTE = 2**20
KEPT_TEXT = 20_000  # characters of output that a cell may leave
KEPT_PICTURES = 4 * MEGABYTE  # characters of JSON, as pictures are Base64
PATIENCE = 5  # seconds that may pass for each second of a cell's work
OUT_OF_TIME = 124  # exit status, as timeout(1) has it
FORKS = 16  # enough for a data loader, too few for a fork bomb

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DEVICES = ("/dev/null", "/dev/shm")
# Audit events: https://docs.python.org/3/library/audit_events.html
NETWORK = {"socket.bind", "socket.connect", "socket.sendto", "socket.sendmsg"}
LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"}
CHANGES = {
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.truncate", "os.utime", "os.setxattr"),
    "shutil.rmtree",
}


class OutOfTime(BaseException):
    """A cell ran too long. Not an Exception: `except Exception` lets it pass."""


class Bounded(io.StringIO):
    """Keeps the beginning of what is printed, however much that is."""

    def write(self, text: str) -> int:
        """Keep what fits; say that all was written."""
        super().write(text[: max(0, KEPT_TEXT - self.tell())])
        return len(text)


# --- fences -----------------------------------------------------------------------


def limit_resources(memory: int) -> None:
    """Bound the memory (MiB) and the size of files.

    RLIMIT_DATA counts memory that is used; RLIMIT_AS would also count the gigabytes of
    address space that torch reserves. Only Linux enforces it.
    """
    limits = {
        resource.RLIMIT_DATA: memory * MEGABYTE,
        resource.RLIMIT_FSIZE: 256 * MEGABYTE,
        resource.RLIMIT_CORE: 0,
    }
    for kind, limit in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


def make_read_only(folder: str) -> None:
    """Make all but `folder` read-only, for this process's name space of mounts.

    Needs Linux 5.12; raises OSError where that cannot be done.
    """
    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def set_read_only(path: str, on: bool, recursive: bool) -> None:
        mount_setattr, here, flag = 442, -100, 1  # MOUNT_ATTR_RDONLY
        change = struct.pack("4Q", flag * on, flag * (not on), 0, 0)
        recurse = 0x8000 if recursive else 0
        check(
            libc.syscall(
                mount_setattr, here, path.encode(), recurse, change, len(change)
            )
        )

    check(libc.mount(folder.encode(), folder.encode(), None, 4096, None))  # MS_BIND
    set_read_only("/", True, recursive=True)
    set_read_only(folder, False, recursive=False)
    # Shared memory of its own, which goes with the process.
    check(libc.mount(b"tmpfs", b"/dev/shm", b"tmpfs", 0, b"size=256m"))
    os.chdir(folder)  # the new mount of it


def watch(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that keeps Python code within `folder`."""
    forks = FORKS

    def no_more_forks() -> None:
        nonlocal forks
        forks = 0

    os.register_at_fork(after_in_child=no_more_forks)

    def inside(path: object) -> bool:
        if isinstance(path, int):  # a file that is open already
            return True
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return any(
            real == top or real.startswith(top + os.sep) for top in (folder, *DEVICES)
        )

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal forks
        if event == "open":
            path, _, flags = arguments
            if flags & WRITES and not inside(path):
                raise PermissionError("a graded notebook writes into its folder only")
            if str(path).endswith(".ipynb") and not inside(path):
                raise PermissionError("a graded notebook reads no other notebook")
        elif event in CHANGES:
            paths = [p for p in arguments if isinstance(p, str | bytes | os.PathLike)]
            if not all(map(inside, paths)):
                raise PermissionError("a graded notebook changes its own files only")
        elif event in NETWORK:
            address = arguments[1]
            if not (isinstance(address, str | bytes) and inside(address)):
                raise PermissionError("a graded notebook has no network")
        elif event in LOOKUPS:
            raise PermissionError("a graded notebook has no network")
        elif event in PROGRAMS:
            raise PermissionError("a graded notebook starts no other programs")
        elif event in ("os.fork", "os.forkpty"):
            forks -= 1
            if forks < 0:
                raise PermissionError("a graded notebook starts few processes")
        elif event in ("os.kill", "os.killpg"):
            multiprocessing = sys.modules.get("multiprocessing")
            children = multiprocessing.active_children() if multiprocessing else []
            if arguments[0] not in {os.getpid(), *(child.pid for child in children)}:
                raise PermissionError("a graded notebook ends its own processes only")

    return hook


# --- cells ------------------------------------------------------------------------


class Notebook:
    """An IPython shell that runs cells and guards what the course's cells defined.

    Parameters
    ----------
    own : names that solutions define; all others that the course's cells bind are put
        back before each test
    keep : whether to return outputs
    """

    def __init__(self, own: list[str], keep: bool) -> None:
        from IPython.core.interactiveshell import InteractiveShell
        from traitlets.config import Config

        class Shell(InteractiveShell):
            def enable_gui(self, gui: str | None = None) -> None:
                """Do nothing: pictures are collected, not shown."""

            def ask_exit(self) -> None:
                """End the cell, not the notebook."""
                raise SystemExit

            def system(self, cmd: str) -> None:
                """Skip `!command` and `%pip`: what is installed is installed."""

            def showtraceback(self, *_: object, **__: object) -> None:
                """Do nothing: `describe` says what counts."""

        config = Config()
        config.HistoryManager.enabled = False
        config.InteractiveShell.colors = "nocolor"
        self.shell = Shell.instance(config=config)
        self.own, self.keep = set(own), keep
        self.given: dict[str, Any] = {}
        self.guarded: dict[ModuleType, dict[str, Any]] = {}
        self.guard(builtins)

    def guard(self, module: ModuleType) -> None:
        """Remember a module's functions, which a submission may overwrite."""
        self.guarded.setdefault(
            module, {name: f for name, f in vars(module).items() if callable(f)}
        )

    def restore(self) -> None:
        """Put back what the course's cells rely on."""
        for module, functions in self.guarded.items():
            for name, function in functions.items():
                if vars(module).get(name) is not function:
                    setattr(module, name, function)
        self.shell.user_ns.update(self.given)

    def run(self, kind: str, source: str, limit: float) -> dict[str, Any]:
        """Run a cell of kind given, student or test; return what came of it."""
        from IPython.utils.capture import capture_output

        if kind == "test":
            self.restore()
        before = dict(self.shell.user_ns)
        text = Bounded()
        with (
            contextlib.redirect_stdout(text),
            contextlib.redirect_stderr(text),
            capture_output(stdout=False, stderr=False) as shown,
            alarm(limit),
        ):
            result = self.shell.run_cell(source, store_history=True)
        error = result.error_before_exec or result.error_in_exec
        if kind == "given":
            self.remember(before)
        report = {"text": text.getvalue()} | describe(error, self.shell.user_ns)
        if self.keep:
            report |= {"outputs": outputs_of(shown.outputs)}
        return report

    def remember(self, before: dict[str, Any]) -> None:
        """Note what a cell of the course bound, and the modules it came from."""
        for name, value in self.shell.user_ns.items():
            known = name in before and before[name] is value
            if known or name.startswith("_") or name in {"In", "Out", *self.own}:
                continue
            self.given[name] = value
            home = sys.modules.get(str(getattr(value, "__module__", "")))
            module = value if isinstance(value, ModuleType) else home
            if isinstance(module, ModuleType) and module.__name__ != "__main__":
                self.guard(module)


@contextlib.contextmanager
def alarm(limit: float) -> Iterator[None]:
    """Raise `OutOfTime` after so many seconds of work, or `PATIENCE` times that.

    Seconds of work, as a busy machine must not cost marks; the other limit ends what
    waits without working. Who catches the exception gets it again, and is then ended.
    """
    rings = 0

    def ring(*_: object) -> None:
        nonlocal rings
        rings += 1
        if rings > 3:
            os._exit(OUT_OF_TIME)
        raise OutOfTime

    signal.signal(signal.SIGPROF, ring)
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_PROF, limit, 1)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE * limit, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def describe(error: BaseException | None, names: dict[str, Any]) -> dict[str, Any]:
    """Return an error's type, text and place in the cell.

    ``line`` is the cell's line that raised, ``direct`` whether it was the cell's own
    code and not a function that it called. `names` are the notebook's.
    """
    if error is None:
        return {}
    report: dict[str, Any] = {"error": type(error).__name__, "message": ""}
    with contextlib.suppress(Exception):  # a submission's own class may fail here
        report["message"] = str(error)[:2000]
    entry, cell = error.__traceback__, None
    while entry is not None:
        code = entry.tb_frame.f_code
        if code.co_name == "<module>" and entry.tb_frame.f_globals is names:
            cell = cell or code.co_filename
        report["direct"] = code.co_filename == cell
        if report["direct"]:
            report["line"] = entry.tb_lineno
        entry = entry.tb_next
    return report


def outputs_of(shown: list[Any]) -> list[dict[str, Any]]:
    """Return displayed objects as (data, metadata), as long as there is room."""
    kept, room = [], KEPT_PICTURES
    for output in shown:
        data = {"data": output.data, "metadata": output.metadata or {}}
        room -= len(json.dumps(data, default=str))
        if room > 0:
            kept.append(data)
    return kept


# --- the process ------------------------------------------------------------------


def main() -> None:
    """Read a job, run its cells, write a line for each."""
    job = json.load(sys.stdin)
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")

    process = os.getpid()

    def tell(report: dict[str, Any]) -> None:
        if os.getpid() != process:  # forked by a cell, and come back out of it
            os._exit(1)
        print(json.dumps(report, default=str), file=channel, flush=True)

    folder = os.path.realpath(os.getcwd())
    if job["namespaces"]:
        with contextlib.suppress(OSError, AttributeError):
            make_read_only(folder)
    notebook = Notebook(job["own"], job["keep"])
    limit_resources(job["memory"])
    sys.addaudithook(watch(folder))
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):  # compiled code prints past sys.stdout
        os.dup2(null, descriptor)

    for number, cell in enumerate(job["cells"]):
        # The token tells the grader that a line was not printed by a cell.
        tell({"token": job["token"], "start": number})
        try:
            report = notebook.run(cell["kind"], cell["source"], job["cell_seconds"])
        except OutOfTime:  # between two lines of ours
            report = {"error": "OutOfTime", "message": ""}
        tell({"token": job["token"], "end": number} | report)
    os._exit(0)  # threads of the submission may still run


if __name__ == "__main__":
    main()
