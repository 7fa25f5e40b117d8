"""``deepsvdd report``: tables and figures from files of results."""

from __future__ import annotations

from pathlib import Path

import click

from deepsvdd.cli.pictures import draw
from deepsvdd.files import write_text
from deepsvdd.reproduction import reports
from deepsvdd.reproduction.results import Line, read_results


@click.command(name="report", short_help="Tables and figures of a sweep's results.")
@click.argument(
    "files",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for tables.md, tables.csv and the figures.",
)
def command(files: tuple[Path, ...], output: Path | None) -> None:
    """Lay results of `deepsvdd sweep` beside the paper's.

    Prints Markdown: for each data set and recipe a table of the test AUCs, mean and
    standard deviation over seeds, with the untrained network's; and one of differences
    from the paper with their 95 % intervals, bold where the difference exceeds it.

    \b
    deepsvdd report mnist.jsonl
    deepsvdd report mnist.jsonl cifar10.jsonl -o report/
    """
    lines = read_results(files)
    if not lines:
        raise ValueError(f"'{files[0]}' holds no results: run deepsvdd sweep first")
    rows = reports.summarise(lines)
    text = f"{reports.as_markdown(rows)}\n{reports.seeds_of(lines)}\n"
    click.echo(text, nl=False)
    if output is None:
        return
    write_text(output / "tables.md", text)
    write_text(output / "tables.csv", reports.as_csv(rows))
    draw_all(output, rows, lines)
    names = ", ".join(sorted(path.name for path in output.iterdir()))
    click.echo(f"\nwritten to {output}: {names}")


def draw_all(output: Path, rows: list[reports.Row], lines: list[Line]) -> None:
    """Draw each table: one picture a method, and one of all means."""
    for dataset, recipe in reports.tables(rows):
        own = reports.of_table(rows, dataset, recipe)
        stem = "-".join(filter(None, (dataset, recipe))).replace(":", "_")
        stem = stem.replace(", ", "-")
        for method in dict.fromkeys(row.method for row in own):
            draw(output / f"{stem}-{method}.png", reports.draw_classes, own, method)
        if any(row.normal_class == reports.MEAN for row in own):
            draw(output / f"{stem}-means.png", reports.draw_methods, own)
