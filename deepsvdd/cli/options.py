"""Options that several commands have, and reading what is given to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepsvdd.core._engine.devices import PRECISIONS
from deepsvdd.reproduction.schema import MAX_SEED, shown

SEED = click.IntRange(0, MAX_SEED)
PROCESSES = click.IntRange(1, 1024)  # or threads
MAX_NUMBERS = 10_000  # in a list


class OutputPath(click.Path):
    """A path to write to; an empty text, as of an unset variable, is none."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:
        """Refuse what would be the working folder by mistake."""
        if value == "":
            self.fail("it is empty: name a file or folder", param, ctx)
        return super().convert(value, param, ctx)


def output_path(folder: bool = False) -> OutputPath:
    """Take a path of a file, or a folder, that may be written."""
    # Whether a folder stands in a file's place is told when it is to be written.
    return OutputPath(path_type=Path, file_okay=not folder)


data_path = click.option(
    "--data_path", type=click.Path(file_okay=False), help="Folder of the data sets."
)
device = click.option(
    "--device", default="auto", show_default=True, help="auto, cpu, cuda, …"
)
nu = click.option(
    "--nu", default=0.1, show_default=True, help="ν, where a method has one."
)
RECIPE_HELP = (
    "fast, quick, paper; with a dictionary to begin, fast-dictionary, …; "
    "fast:7+5 for other numbers of epochs."
)
precision = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    show_default=True,
    help="bf16: faster on GPUs and on CPUs with AVX-512 BF16 or AMX, far slower else.",
)


def number_or_text(text: str) -> float | str:
    """Read a number; another text stays, for those to judge who know what it is for."""
    try:
        return float(text)
    except ValueError:
        return text


def whole_numbers(text: str, name: str) -> list[int]:
    """Read ``0-9`` or ``0,3,5-7``: at most 10,000 numbers, none above MAX_SEED."""
    numbers: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        last = last if dash else first
        valid = first.isdecimal() and last.isdecimal()
        low, high = (_number(first), _number(last)) if valid else (1, 0)
        if low > high:
            raise ValueError(f"{name} must be like 0-9 or 0,3,5-7; got {shown(text)}")
        if high > MAX_SEED or len(numbers) + high - low >= MAX_NUMBERS:
            raise ValueError(
                f"{name} must be at most {MAX_NUMBERS} numbers, none above {MAX_SEED}; "
                f"got {shown(text)}"
            )
        numbers += range(low, high + 1)
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} must be different numbers; got {shown(text)}")
    return numbers


def sizes(text: str, name: str) -> tuple[int, ...]:
    """Read ``64,32``: whole numbers, for those to judge who know what they are for."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(f"{name} must be like 64,32 or 16,8,64; got {shown(text)}")
    return tuple(map(_number, parts))


def class_label(text: str) -> int | str:
    """Read a class, by its number or its name."""
    return _number(text) if text.isdecimal() else text


def _number(digits: str) -> int:
    """Read a whole number; of more digits than any valid one has, the first ones."""
    return int(digits.lstrip("0")[:11] or "0")
