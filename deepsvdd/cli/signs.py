"""``deepsvdd signs``: draw traffic signs where the real ones cannot be had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

COUNT = click.IntRange(1)


@click.command(name="signs", short_help="Draw a set of traffic signs, not GTSRB's.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--n_train", type=COUNT, default=780, show_default=True, help="Stop signs."
)
@click.option(
    "--n_test", type=COUNT, default=270, show_default=True, help="Stop signs."
)
@click.option(
    "--n_other_train",
    type=COUNT,
    default=300,
    show_default=True,
    help="Signs of each other type.",
)
@click.option(
    "--n_other_test",
    type=COUNT,
    default=100,
    show_default=True,
    help="Signs of each other type.",
)
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(folder: Path, **options: Any) -> None:
    """Draw traffic signs of twelve types into FOLDER, in the format of GTSRB.

    For computers that cannot get the photographs of the German Traffic Sign Recognition
    Benchmark. The same commands read both; but these are drawings, and results on them
    are no results on GTSRB. What is loaded from FOLDER is called "drawn signs".

    \b
    Draw (half a minute), and train on the stop signs:
      deepsvdd signs signs
      deepsvdd train gtsrb gtsrb_LeNet runs/s signs --recipe fast --normal_class stop
    A small set, to try something:
      deepsvdd signs small --n_train 100 --n_test 50 --n_other_train 20 --seed 1
    """
    from deepsvdd.signs import SIGNS, write_signs

    target = write_signs(folder, **options, verbose=True)
    n_train, n_test = (
        options[f"n_{part}"] + (len(SIGNS) - 1) * options[f"n_other_{part}"]
        for part in ("train", "test")
    )
    click.echo(
        f"{target}: {n_train} training and {n_test} test signs of {len(SIGNS)} types, "
        "drawn, not GTSRB"
    )
