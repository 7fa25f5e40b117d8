"""``deepsvdd report``: tables and figures from files of results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepsvdd.cli.pictures import draw
from deepsvdd.files import refuse_output_as_input, write_text
from deepsvdd.reproduction import label_reports, reports
from deepsvdd.reproduction.results import read_results


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
@click.option(
    "--skip_broken",
    is_flag=True,
    help="Leave out lines that are no results, and do not stop at the first.",
)
def command(files: tuple[Path, ...], output: Path | None, skip_broken: bool) -> None:
    """Lay results of `deepsvdd sweep` beside the paper's.

    Prints Markdown: for each data set and recipe a table of the test AUCs, mean and
    standard deviation over seeds, with the untrained network's; and one of differences
    from the paper with their 95 % intervals, bold where the difference exceeds it.

    \b
    deepsvdd report mnist.jsonl
    deepsvdd report mnist.jsonl cifar10.jsonl -o report/
    """
    lines = read_results(files, skip_broken)
    if not lines:
        raise ValueError(f"'{files[0]}' holds no results: run deepsvdd sweep first")
    rows = reports.summarise(lines)
    text = f"{reports.as_markdown(rows)}\n"
    if labels := label_reports.as_markdown(lines):
        text += f"{labels}\n"
    text += f"{reports.seeds_of(lines)}\n"
    click.echo(text, nl=False)
    if output is None:
        return
    tables = {"tables.md": text, "tables.csv": reports.as_csv(rows)}
    drawn = pictures(rows)
    for name in (*tables, *drawn):
        refuse_output_as_input(output / name, *files)
    for name, content in tables.items():
        write_text(output / name, content)
    for name, (plot, *data) in drawn.items():
        draw(output / name, plot, *data)
    names = ", ".join(sorted(path.name for path in output.iterdir()))
    click.echo(f"\nwritten to {output}: {names}")


def pictures(rows: list[reports.Row]) -> dict[str, tuple[Any, ...]]:
    """Plan a table's pictures, one a method, and one of all means: name to drawing."""
    planned: dict[str, tuple[Any, ...]] = {}
    for dataset, recipe in reports.tables(rows):
        own = reports.of_table(rows, dataset, recipe)
        stem = "-".join(filter(None, (dataset, recipe))).replace(":", "_")
        stem = stem.replace(", ", "-")
        for method in dict.fromkeys(row.method for row in own):
            name = f"{stem}-{method.replace(':', '_')}.png"
            planned[name] = (reports.draw_classes, own, method)
        if any(row.normal_class == reports.MEAN for row in own):
            planned[f"{stem}-means.png"] = (reports.draw_methods, own)
    return planned
