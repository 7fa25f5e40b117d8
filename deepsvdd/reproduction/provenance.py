"""How a result came to be: commit, versions, machine, command and date."""

from __future__ import annotations

import platform
import shlex
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from deepsvdd.version import __version__


def provenance(device: torch.device) -> dict[str, Any]:
    """Describe how a result came to be, so that somebody else can get it again.

    Parameters
    ----------
    device : torch.device
        Where the networks ran.

    Returns
    -------
    dict
        ``commit`` (None outside a checkout; "-dirty" marks uncommitted changes),
        ``versions``, ``machine``, ``command`` and ``date`` (UTC).
    """
    cuda = device.type == "cuda"
    packages = ("numpy", "scikit-learn", "torchvision")
    return {
        "commit": _commit(),
        "versions": {
            "deepsvdd": __version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            **{package: version(package) for package in packages},
        },
        "machine": {
            "device": torch.cuda.get_device_name(device) if cuda else _processor(),
            "threads": torch.get_num_threads(),
            "system": f"{platform.system()} {platform.machine()}",
        },
        "command": command_line(),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _commit() -> str | None:
    """Name the commit of the checkout that this package runs from."""
    # A package installed into a folder of somebody else's repository has no commit.
    if _git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None
    return _git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(*words: str) -> str | None:
    """Run git beside this file; None if it is not there or fails."""
    try:
        done = subprocess.run(
            ["git", *words],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def command_line() -> str:
    """Say how this program was called, so that it can be called again."""
    path = Path(sys.argv[0])
    program = [path.name]
    if path.name == "__main__.py":
        program = ["python", "-m", path.parent.name]
    return shlex.join([*program, *sys.argv[1:]])


def _processor() -> str:
    """Name the processor as its maker does, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def peak_memory(pid: int | str = "self") -> float | None:
    """Read the most memory that a process ever had (MB), where the system tells.

    Not getrusage's figure: that includes the process that started this one.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    return int(peak) / 1024
