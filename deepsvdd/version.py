"""The package's version, which pyproject.toml reads from here, and what it needs."""

from __future__ import annotations

import re

from deepsvdd.errors import OldDependencyError

__version__ = "0.2.0.dev0"


def repository() -> str:
    """Return the repository's address, as pyproject.toml has it."""
    from importlib.metadata import metadata  # slow, and `import deepsvdd` comes here

    urls = metadata("deepsvdd").get_all("Project-URL") or []
    return dict(url.split(", ", 1) for url in urls)["Repository"]


def check_dependencies() -> None:
    """Say which dependencies are too old, before one of them fails obscurely.

    pip sees to the versions when it installs the package, and can be told not to, or to
    replace a dependency afterwards. A dependency that is missing says so itself.

    Raises
    ------
    OldDependencyError
        If a version here is below the range in pyproject.toml.
    """
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        lines = requires("deepsvdd") or []
    except PackageNotFoundError:  # run from its source, without an installation
        return
    old = {}
    for line in lines:
        needed = re.match(r"([\w.-]+)\s*>=\s*([\d.]+)$", line)  # extras have markers
        if not needed:
            continue
        name, lowest = needed.groups()
        try:
            found = version(name)
        except PackageNotFoundError:
            continue
        if numbers_of(found) < numbers_of(lowest):
            old[f"{name}>={lowest}"] = f"{name} {found}"
    if old:
        wanted = " ".join(f"'{requirement}'" for requirement in old)
        raise OldDependencyError(
            f"deepsvdd {__version__} does not work with {', '.join(old.values())}: "
            f"pip install --upgrade {wanted}"
        )


def numbers_of(version: str) -> tuple[int, ...]:
    """Return a version's numbers: "2.4.0a0+cu121" → (2, 4), which is also "2.4"."""
    release = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(n) for n in release[0].split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
