"""``deepsvdd adversarial``: whether detectors find adversarial examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from deepsvdd.adversarial.examples import AdversarialSet
from deepsvdd.adversarial.experiment import run_experiment
from deepsvdd.cli import options as shared
from deepsvdd.cli.interruptions import resumable
from deepsvdd.cli.options import whole_numbers
from deepsvdd.core.networks import NETWORKS
from deepsvdd.datasets import DATASETS, dataset_file, load_dataset
from deepsvdd.files import refuse_output_as_input, require_writable
from deepsvdd.reproduction.results import Line, ResultsFile
from deepsvdd.reproduction.tasks import METHODS, Settings


@click.command(name="adversarial", short_help="Test detectors on adversarial examples.")
@click.argument("dataset_name", type=click.Choice(DATASETS), metavar="DATASET")
@click.argument(
    "examples", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--method",
    "methods",
    type=click.Choice(METHODS),
    multiple=True,
    default=METHODS,
    help="Repeat for several.  [default: all]",
)
@click.option(
    "--recipe",
    default="fast",
    show_default=True,
    help=shared.RECIPE_HELP,
)
@click.option("--seeds", default="0-9", show_default=True, help="0-9, or 0,3,5-7.")
@shared.nu
@click.option(
    "--network",
    type=click.Choice(("auto", *NETWORKS)),
    default="auto",
    show_default=True,
    help="auto is the paper's for the data set.",
)
@shared.device
@shared.data_path
def command(
    dataset_name: str,
    examples: Path,
    output: Path,
    methods: tuple[str, ...],
    recipe: str,
    seeds: str,
    data_path: str | None,
    **options: Any,
) -> None:
    """Test detectors on EXAMPLES, which deepsvdd attack has written (.npz).

    As in Section 4.3 of the paper: train on the training images of the attacked class;
    test on its test images, which are normal, and on the adversarial examples, which
    are not. OUTPUT gets a line of JSON for every run; runs that it holds already are
    left out, so repeat the command to go on after an interruption.

    \b
    Three commands, about an hour on a laptop; drawn signs are not GTSRB:
      deepsvdd signs signs
      deepsvdd attack gtsrb stop.npz --normal_class stop --data_path signs
      deepsvdd adversarial gtsrb stop.npz results.jsonl --data_path signs
    """
    numbers = whole_numbers(seeds, "seeds")
    settings = Settings(data_path=data_path, **options)
    require_writable(output)
    refuse_output_as_input(output, examples, dataset_file(dataset_name, data_path))
    adversarial = AdversarialSet.load(examples)
    dataset = load_dataset(dataset_name, data_path)
    with ResultsFile(output) as file, resumable(file):
        run_experiment(
            dataset,
            adversarial,
            file,
            methods=methods,
            recipe=recipe,
            seeds=numbers,
            settings=settings,
            on_run=show,
        )
    click.echo(f"{output}: done")


def show(line: Line) -> None:
    """Print one run."""
    click.echo(
        f"{line['dataset']}, {line['method']}, seed {line['seed']}: AUC "
        f"{100 * line['auc']:.1f} %"
        + (
            f" (untrained {100 * line['untrained_auc']:.1f} %)"
            if "untrained_auc" in line
            else ""
        )
    )
