"""The sandbox in which submissions run, by bubblewrap; and where there is none.

A sandbox is one process in bubblewrap's name spaces, which has imported what the
assignment imports and run the cells that stand before the first task. It holds nothing
that is secret: no hidden test, no other submission, no result. For each submission it
forks a process, which builds walls of its own (`deepsvdd.course.walls`).
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from deepsvdd.course.walls import FOLDERS, HOME, MEGABYTE

OLDEST = (0, 8)  # of bubblewrap
PROGRAM = "deepsvdd.course.worker"
VISIBLE = ("/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/etc/alternatives")
MACHINE = "/sys/devices/system/cpu"  # PyTorch asks what the processor can do
USER = "1000"
PACKAGES = "/opt/packages"
OF_PACKAGES = ("site-packages", "dist-packages")


class NoSandbox(ValueError):
    """Submissions cannot be isolated on this machine."""


@functools.cache
def why_not() -> str:
    """Return in a few words why there is no sandbox on this machine; '' if there is."""
    if sys.platform != "linux":
        return "only Linux has one"
    program = shutil.which("bwrap")
    if program is None:
        return "bubblewrap is not installed (Debian, Ubuntu: apt install bubblewrap)"
    said = subprocess.run([program, "--version"], capture_output=True, text=True)
    version = tuple(map(int, re.findall(r"\d+", said.stdout)[:2]))
    if version < OLDEST:
        found = ".".join(map(str, version))
        return f"bubblewrap must be 0.8 or newer, and this is {found}"
    tried = subprocess.run(
        [*walls(), sys.executable, "-c", "import deepsvdd.course.walls as w\n" + TRIAL],
        capture_output=True,
        text=True,
        env={},
    )
    if tried.returncode == 0:
        return ""
    said_last = (tried.stderr.strip().split("\n") or [""])[-1][:200]
    return f"this system allows no user name spaces ({said_last})"


TRIAL = "w.own_name_spaces()"


def require(trust: bool) -> None:
    """Raise `NoSandbox` if there is no sandbox and submissions are not trusted."""
    if not trust and (reason := why_not()):
        raise NoSandbox(
            f"submissions cannot be isolated here: {reason}; on a machine that holds "
            "nothing of value, or if you trust them, add --trust"
        )


def walls() -> list[str]:
    """Return bubblewrap's command: what a submission sees, and nothing else."""
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session"]
    command += ["--uid", USER, "--gid", USER, "--clearenv"]
    packages = [PACKAGES, *(p for p in sys.path if p.endswith(OF_PACKAGES))]
    shown = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(packages)}
    for name, value in (environment(HOME) | shown).items():
        command += ["--setenv", name, value]
    for name in sorted(os.listdir("/")):
        path = Path("/", name)
        if name == "usr" or re.fullmatch(r"s?bin|lib\w*", name):
            if path.is_symlink():
                command += ["--symlink", os.readlink(path), str(path)]
            else:
                command += ["--ro-bind", str(path), str(path)]
    command += ["--proc", "/proc", "--dev", "/dev"]
    for folder, size in FOLDERS.items():
        command += ["--size", str(size * MEGABYTE), "--tmpfs", folder]
    folders = python_folders()
    for seen in (*VISIBLE, MACHINE, *folders):
        command += ["--ro-bind-try", seen, seen]
    # Not where it lies: that may be a copy of the repository, with the hidden tests.
    package = Path(__file__).resolve().parents[1]
    command += ["--ro-bind", str(package), f"{PACKAGES}/{package.name}"]
    if not any(folder.startswith("/tmp/") for folder in folders):
        command += ["--symlink", HOME.lstrip("/"), "/tmp"]
    return [*command, "--remount-ro", "/", "--chdir", HOME, "--"]


def python_folders() -> list[str]:
    """Return the folders of Python and of its packages, but not those of the system."""
    folders = {sys.prefix, sys.base_prefix, sys.exec_prefix}
    folders |= {
        sysconfig.get_paths()[name] for name in ("stdlib", "purelib", "platlib")
    }
    folders |= {path for path in sys.path if path.endswith(OF_PACKAGES)}
    folders.add(os.path.dirname(os.path.realpath(sys.executable)))
    found = {os.path.abspath(f) for f in folders if os.path.isdir(f)}
    found |= {os.path.realpath(f) for f in found}
    return sorted(f for f in found if f != "/" and not f"{f}/".startswith("/usr/"))


def environment(folder: str) -> dict[str, str]:
    """Return a worker's environment: nothing of the grader's but what Python needs."""
    keep = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SYSTEMROOT")
    homes = ("HOME", "TMPDIR", "IPYTHONDIR", "MPLCONFIGDIR")
    return {
        **{name: os.environ[name] for name in keep if name in os.environ},
        **dict.fromkeys(homes, folder),
        "USER": "student",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # as in Jupyter
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "OMP_NUM_THREADS": "1",  # marks must not depend on the number of cores
    }


class Sandbox:
    """The process that submissions are forked from.

    Parameters
    ----------
    job : what it has to prepare, see `deepsvdd.course.worker.prepare`
    isolated : whether to build walls; without, submissions are trusted
    """

    def __init__(self, job: dict[str, Any], isolated: bool) -> None:
        self.control, theirs = socket.socketpair()
        self.folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.complaints = tempfile.TemporaryFile()  # noqa: SIM115
        program = [sys.executable, "-m", PROGRAM, str(theirs.fileno())]
        self.process = subprocess.Popen(
            [*walls(), *program] if isolated else program,
            cwd=self.folder.name,
            env=environment(self.folder.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self.complaints,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(job | {"isolated": isolated}).encode())
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it did not start: whoever asks for a worker is told

    def complaint(self) -> str:
        """Return what the process said last, if it did not start."""
        self.complaints.seek(0)
        return self.complaints.read()[-1000:].decode(errors="replace").strip()

    def close(self) -> None:
        """End it, and all that was forked from it."""
        self.control.close()
        self.process.kill()
        self.process.wait()
        self.complaints.close()
        self.folder.cleanup()
