"""Walls that a process builds around itself before a submission runs in it.

Inside of bubblewrap (`deepsvdd.course.sandbox`), each submission gets name spaces of
its own: no other process, no network, empty folders of bounded size; no privilege, few
system calls beyond what Python and PyTorch need. Where there is no sandbox and the
grader trusts the submissions, an audit hook stops mistakes, and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

MEGABYTE = 2**20
HOME = "/home/student"
DISK, SHARED = 256, 256  # MiB of files, and of shared memory
FOLDERS = {HOME: DISK, "/dev/shm": SHARED}
MACHINE = ("/proc/cpuinfo", "/proc/meminfo")  # what libraries ask for
PROCESSES = 64  # and threads, where the system counts by name space
FILES = 512

NEW = {"mount": 1 << 17, "uts": 1 << 26, "ipc": 1 << 27, "user": 1 << 28}
NEW |= {"pid": 1 << 29, "net": 1 << 30}
_NOSUID, _NODEV, _PRIVATE = 2, 4, (1 << 14) | (1 << 18)

# System calls that no notebook needs: name → number on x86-64, on ARM64.
FORBIDDEN = {
    "memfd_create": (319, 279),  # memory that no limit of a folder counts
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "unshare": (272, 97),
    "setns": (308, 268),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "init_module": (175, 105),
    "finit_module": (313, 273),
}
MACHINES = {"x86_64": (0, 0xC000003E, 56), "aarch64": (1, 0xC00000B7, 220)}


def check(result: int) -> None:
    """Raise OSError if a function of the C library failed."""
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def own_name_spaces() -> None:
    """Leave the name spaces of the process that this one was forked from.

    The next process that is forked is the first one of its own name space.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user, group = os.getuid(), os.getgid()
    check(libc.unshare(sum(NEW.values())))
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    check(libc.mount(None, b"/", None, _PRIVATE, None))
    for folder, size in FOLDERS.items():
        mount_empty(libc, folder, size)


def mount_empty(libc: Any, folder: str, size: int) -> None:
    """Put an empty folder of bounded size in the place of another."""
    options = f"size={size}m,nr_inodes=16384,mode=0755".encode()
    flags = _NOSUID | _NODEV
    check(libc.mount(b"tmpfs", folder.encode(), b"tmpfs", flags, options))


def own_processes() -> None:
    """Let /proc show this name space's processes, or none, but never others'."""
    libc = ctypes.CDLL(None, use_errno=True)
    about = {name: Path(name).read_bytes() for name in MACHINE if os.path.exists(name)}
    try:
        check(libc.mount(b"proc", b"/proc", b"proc", _NOSUID | _NODEV, None))
    except OSError:  # some systems do not allow a second one
        mount_empty(libc, "/proc", 8)
        for name, content in about.items():
            Path(name).write_bytes(content)


def give_up_privileges() -> None:
    """Drop all capabilities, for good."""
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, drop_from_bound, ambient, clear_all = 38, 24, 47, 4
    for capability in range(64):
        libc.prctl(drop_from_bound, capability, 0, 0, 0)
    libc.prctl(ambient, clear_all, 0, 0, 0)
    head = struct.pack("Ii", 0x20080522, 0)  # version 3, this process
    check(libc.capset(head, bytes(24)))
    check(libc.prctl(no_new_privileges, 1, 0, 0, 0))


def filter_program() -> bytes | None:
    """Return the filter of system calls, None for a machine that has no table here."""
    column, audit, clone = MACHINES.get(platform.machine(), (0, 0, 0))
    if not audit:
        return None
    load, equal, at_least, has, answer = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, missing = 0x7FFF0000, 0x00050001, 0x00050026  # EPERM, ENOSYS
    steps: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4),  # the machine that the number is for
        (equal, 1, 0, audit),
        (answer, 0, 0, refuse),
        (load, 0, 0, 0),  # the number
        (at_least, 0, 1, 0x40000000),  # a second table of x86-64
        (answer, 0, 0, refuse),
        (equal, 0, 1, 435),  # clone3, which hides its flags: libraries use clone
        (answer, 0, 0, missing),
    ]
    for numbers in FORBIDDEN.values():
        steps += [(equal, 0, 1, numbers[column]), (answer, 0, 0, refuse)]
    steps += [
        (equal, 0, 3, clone),
        (load, 0, 0, 16),  # its flags
        (has, 0, 1, sum(NEW.values())),
        (answer, 0, 0, refuse),
        (answer, 0, 0, allow),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in steps)


def filter_system_calls() -> None:
    """Refuse system calls that no notebook needs, for this process and its children."""
    program = filter_program()
    if program is None:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    content = ctypes.create_string_buffer(program)
    head = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(content))
    set_filter, by_program = 22, 2
    check(libc.prctl(set_filter, by_program, head, 0, 0))


def limit_resources(memory: int, isolated: bool) -> None:
    """Bound the memory (MiB, beyond what libraries take now), files and processes.

    RLIMIT_DATA counts memory that is used; RLIMIT_AS would also count the gigabytes of
    address space that torch reserves. Only Linux enforces it.
    """
    limits = {
        resource.RLIMIT_DATA: memory * MEGABYTE + data_size(),
        resource.RLIMIT_FSIZE: DISK * MEGABYTE,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: FILES,
    }
    if isolated:
        limits[resource.RLIMIT_NPROC] = PROCESSES
    for kind, limit in limits.items():
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (limit, limit))


def data_size() -> int:
    """Return the bytes of data that this process has reserved."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


# --- without a sandbox --------------------------------------------------------------

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
DEVICES = ("/dev/null", "/dev/shm")
FORKS, FORKS_A_SECOND = 16, 4  # enough for data loaders
# Audit events: https://docs.python.org/3/library/audit_events.html
NETWORK = {"socket.bind", "socket.connect", "socket.sendto"}
LOOKUPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"}
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn"}
CHANGES = {
    *("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink"),
    *("os.chmod", "os.chown", "os.truncate", "os.utime", "os.setxattr"),
    "shutil.rmtree",
}


class Forks:
    """Counts forks: some at once, and more as time goes by; none in a child.

    So a data loader may start its workers again for each epoch, and nobody can fill
    the machine from Python.
    """

    def __init__(self) -> None:
        self.left, self.since, self.barred = float(FORKS), time.monotonic(), False
        os.register_at_fork(after_in_child=self.bar)

    def bar(self) -> None:
        """Allow no more."""
        self.barred = True

    def __call__(self, event: str, _: tuple[Any, ...]) -> None:
        """Refuse a fork, as an audit hook."""
        if event not in ("os.fork", "os.forkpty"):
            return
        now = time.monotonic()
        self.left = min(FORKS, self.left + FORKS_A_SECOND * (now - self.since)) - 1
        self.since = now
        if self.barred or self.left < 0:
            raise PermissionError("a graded notebook starts few processes")


def watch(folder: str) -> Callable[[str, tuple[Any, ...]], None]:
    """Return an audit hook that keeps Python code within `folder`."""

    def inside(path: object) -> bool:
        if isinstance(path, int):  # a file that is open already
            return True
        real = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        return any(
            real == top or real.startswith(top + os.sep) for top in (folder, *DEVICES)
        )

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
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
            if not isinstance(address, str | bytes):  # of another machine
                raise PermissionError("a graded notebook has no network")
        elif event in LOOKUPS:
            raise PermissionError("a graded notebook has no network")
        elif event in PROGRAMS:
            raise PermissionError("a graded notebook starts no other programs")
        elif event in ("os.kill", "os.killpg"):
            multiprocessing = sys.modules.get("multiprocessing")
            children = multiprocessing.active_children() if multiprocessing else []
            if arguments[0] not in {os.getpid(), *(child.pid for child in children)}:
                raise PermissionError("a graded notebook ends its own processes only")

    return hook
