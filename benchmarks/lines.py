"""Files of JSON lines, to which a benchmark adds one for each of its runs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any


def parser(
    name: str, description: str | None, experiments: Iterable[str] = ()
) -> argparse.ArgumentParser:
    """Return a parser of ``python -m benchmarks.NAME [EXPERIMENT] OUTPUT``."""
    made = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if names := sorted(experiments):
        made.add_argument("experiment", choices=names)
    made.add_argument("output", type=Path, help="file of JSON lines, appended to")
    return made


def read(path: Path) -> list[dict[str, Any]]:
    """Read all lines; none if there is no such file."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def left(path: Path, jobs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the jobs without a line: one that has all of the job's settings."""
    lines = [line.items() for line in read(path)]
    return [job for job in jobs if not any(job.items() <= line for line in lines)]
