"""``deepsvdd signs``: draw traffic signs where the real ones cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepsvdd.cli import options as shared
from deepsvdd.files import require_writable


def number(name: str, default: int, what: str) -> Any:
    """Declare a number of signs."""
    return click.option(
        f"--{name}",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help=what,
    )


@click.command(name="signs", short_help="Draw a set of traffic signs, not GTSRB's.")
@click.argument("folder", type=shared.output_path(folder=True))
@number("n_train", 780, "Stop signs for training.")
@number("n_test", 270, "Stop signs for testing.")
@number("n_other_train", 300, "Signs of each other type for training.")
@number("n_other_test", 100, "Signs of each other type for testing.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(folder: Path, **options: Any) -> None:
    """Draw traffic signs of twelve types into FOLDER, in the format of GTSRB.

    For computers that cannot get the photographs of the German Traffic Sign Recognition
    Benchmark. The same commands read both; but these are drawings, and results on them
    are no results on GTSRB. What is loaded from FOLDER is called "drawn signs".

    \b
    Draw (under a minute), and train on the stop signs:
      deepsvdd signs signs
      deepsvdd train gtsrb gtsrb_LeNet runs/s signs --recipe fast --normal_class stop
    A small set, to try something:
      deepsvdd signs small --n_train 100 --n_test 50 --n_other_train 20 --seed 1
    """
    from deepsvdd.datasets.signs import SIGNS, write_signs

    require_writable(folder / "gtsrb" / "drawn.json")
    target = write_signs(folder, **options, verbose=True)
    n_train, n_test = (
        options[f"n_{part}"] + (len(SIGNS) - 1) * options[f"n_other_{part}"]
        for part in ("train", "test")
    )
    click.echo(
        f"{target}: {n_train} training and {n_test} test signs of {len(SIGNS)} types, "
        "drawn, not GTSRB"
    )
