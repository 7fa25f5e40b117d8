"""``deepsvdd pavement``: a folder of photographs to practice on."""

from __future__ import annotations

from pathlib import Path

import click

from deepsvdd.cli import options as shared


@click.command(name="pavement", short_help="Write a folder of pictures to practice on.")
@click.argument("folder", type=shared.output_path(folder=True))
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def command(folder: Path, seed: int) -> None:
    """Write photographs of a brick pavement into the new FOLDER, with all their faults.

    Four pictures of each of 144 places, with weeds, gravel or bricks laid across on 30
    of them. The pixels are those of real photographs; what a program made of them, the
    README in FOLDER says. Chapter 16 of the book goes from there to a report; it sorts
    the folder first, as nothing should be trained on it as it is.

    \b
    deepsvdd pavement pavement
    deepsvdd pavement another --seed 1
    """
    from deepsvdd.datasets.pavement import write_pavement

    written = write_pavement(folder, seed)
    n = len(list((written / "photographs").rglob("*.*")))
    click.echo(f"{written}: {n} files in '{written / 'photographs'}'")
