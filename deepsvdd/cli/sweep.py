"""``deepsvdd sweep``: many runs, one command, one file of results."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import click
from tqdm import tqdm

from deepsvdd.cli import options as shared
from deepsvdd.cli.interruptions import resumable
from deepsvdd.cli.options import whole_numbers
from deepsvdd.core.networks import NETWORKS
from deepsvdd.datasets import DATASETS, dataset_file
from deepsvdd.errors import reason_of
from deepsvdd.files import refuse_output_as_input, require_writable
from deepsvdd.reproduction.executors import EXECUTORS, run_locally, run_on_ray
from deepsvdd.reproduction.later import LATER_FORMS
from deepsvdd.reproduction.results import Line, ResultsFile, key_of
from deepsvdd.reproduction.sweeps import lost_scores, sweep
from deepsvdd.reproduction.tasks import (
    METHODS,
    Settings,
    Task,
    check_file,
    check_method,
    plan,
)


def class_names(text: str) -> list[int | str] | None:
    """Read ``all``, ``3,5-7`` or ``cat,dog``."""
    if text == "all":
        return None
    if re.fullmatch(r"[\d\s,-]*", text):  # a traffic sign's name is "20 km/h"
        return list(whole_numbers(text, "normal_class"))
    return [part.strip() for part in text.split(",")]


class Method(click.ParamType):
    """A method by its name, with its number of labels where it has some."""

    name = "METHOD"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Refuse what is none before anything is read."""
        try:
            check_method(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        return str(value)


@click.command(name="sweep", short_help="Train and test a grid, and resume it.")
@click.argument("output", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--dataset",
    "datasets",
    type=click.Choice(DATASETS),
    multiple=True,
    default=("mnist",),
    show_default=True,
    help="Repeat for several.",
)
@click.option(
    "--normal_class",
    default="all",
    show_default=True,
    help="all, or numbers (3,5-7), or names (cat,dog).",
)
@click.option(
    "--method",
    "methods",
    type=Method(),
    multiple=True,
    default=("one-class", "soft-boundary"),
    show_default=True,
    help=f"{', '.join(METHODS)}; with K labeled anomalies of one other class, "
    f"deep-sad:K and classifier:K; later methods: {LATER_FORMS}. Repeat for several; "
    "those around Deep SVDD share the pretraining.",
)
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=("fast",),
    show_default=True,
    help=f"{shared.RECIPE_HELP} Repeat for more.",
)
@click.option("--seeds", default="0", show_default=True, help="0-9, or 0,3,5-7.")
@click.option(
    "--ensembles", is_flag=True, help="Add the ensemble of all seeds' networks."
)
@shared.nu
@click.option(
    "--eta",
    type=shared.number_or_text,
    metavar="NUMBER|balanced",
    default=1.0,
    show_default=True,
    help="η of Deep SAD, a label's weight; balanced: the labeled images count as much "
    "as all others.",
)
@click.option(
    "--network",
    type=click.Choice(("auto", *NETWORKS)),
    default="auto",
    show_default=True,
)
@shared.device
@shared.precision
@shared.data_path
@click.option(
    "--executor",
    "--engine",  # its name in 0.1, and in the commands that results tell
    "executor",
    type=click.Choice(EXECUTORS),
    default="local",
    show_default=True,
    help="Processes of this machine, or a Ray cluster (pip install "
    "'deepsvdd[cluster]').",
)
@click.option(
    "--jobs",
    type=shared.PROCESSES,
    help="Local: runs at a time; by default one for every --threads cores.",
)
@click.option(
    "--threads",
    type=shared.PROCESSES,
    default=1,
    show_default=True,
    help="Cores of each run. The last digits of a result depend on it.",
)
@click.option("--address", help="Ray: of the cluster; without it, this machine is one.")
def command(
    output: Path,
    datasets: tuple[str, ...],
    normal_class: str,
    methods: tuple[str, ...],
    recipes: tuple[str, ...],
    seeds: str,
    ensembles: bool,
    executor: str,
    jobs: int | None,
    threads: int,
    address: str | None,
    **settings: Any,
) -> None:
    """Train and test all combinations, and write a line for each run to OUTPUT.

    OUTPUT holds JSON lines: dataset, normal_class, method, recipe, seed, auc, …, and
    provenance. Runs that stand in it are left out: interrupt the command, or lose the
    machine, and the same command goes on. Then see `deepsvdd report OUTPUT`.

    \b
    All digits, both objectives, ten seeds:
      deepsvdd sweep mnist.jsonl --seeds 0-9 --ensembles
    The paper's protocol:
      deepsvdd sweep paper.jsonl --recipe paper --seeds 0-9
    Color images, with shorter training:
      deepsvdd sweep cifar10.jsonl --dataset cifar10 --recipe fast:7+7 --seeds 0-2
    With 20 labeled anomalies, beside a classifier trained on the same labels:
      deepsvdd sweep a.jsonl --method deep-sad:20 --method classifier:20
    On a cluster that runs already:
      deepsvdd sweep all.jsonl --seeds 0-9 --executor ray --address auto
    """
    require_writable(output)
    refuse_output_as_input(
        output, *(dataset_file(name, settings["data_path"]) for name in datasets)
    )
    grid = Settings(**settings)
    if executor == "local":
        if address:
            raise ValueError(f"address is for executor ray; got {address!r}")
        run: Any = partial(run_locally, n_jobs=jobs, n_threads=threads)
    else:
        if jobs:
            raise ValueError(f"jobs is for executor local; got {jobs}")
        n_gpus = int(grid.device.startswith("cuda"))
        run = partial(run_on_ray, address=address, n_threads=threads, n_gpus=n_gpus)
    tasks = plan(
        datasets,
        class_names(normal_class),
        methods,
        recipes,
        whole_numbers(seeds, "seeds"),
        grid,
    )
    with ResultsFile(output) as file, resumable(file):
        failures = carry_out(tasks, file, run, ensembles)
    if failures:
        raise ChildProcessError(
            f"{len(failures)} task(s) failed, the others are in '{output}'; first "
            f"{failures[0]}: the same command tries again what is missing"
        )
    click.echo(f"{output}: {len(file.lines)} runs; next: deepsvdd report {output}")


def carry_out(
    tasks: list[Task], file: ResultsFile, executor: Any, ensembles: bool
) -> list[str]:
    """Run the sweep with a progress bar; return what failed."""
    check_file(tasks, file)  # before its runs are said to be done
    failures: list[str] = []
    total = sum(len(task.run_keys()) for task in tasks)
    before = len(file.lines)
    wanted = {key for task in tasks for key in task.run_keys()}
    done = sum(key_of(line) in wanted for line in file.lines)
    again = len(lost_scores(tasks, file)) if ensembles else 0
    if done:
        note = f", {again} of them once more, as their scores are lost" if again else ""
        click.echo(f"{file.path}: {done} of {total} runs are done{note}")
    with tqdm(total=total, initial=done - again, unit="run", smoothing=0) as bar:

        def on_run(line: Line) -> None:
            flag = ", COLLAPSED" if line.get("collapsed") else ""
            bar.set_postfix_str(
                f"{line['dataset']} {line['normal_class']} {line['method']}: AUC "
                f"{100 * line['auc']:.1f} %{flag}"
            )
            bar.update("n_members" not in line)

        def on_failure(task: Task, error: Exception) -> None:
            what = f"{task.dataset} {task.normal_class} {'/'.join(task.methods)}"
            failures.append(f"{what}, seed {task.seeds[0]}: {reason_of(error)}")
            bar.write(f"failed: {failures[-1]}")

        sweep(
            tasks,
            file,
            executor,
            ensembles=ensembles,
            on_run=on_run,
            on_failure=on_failure,
        )
    n_collapsed = sum(bool(line.get("collapsed")) for line in file.lines[before:])
    if n_collapsed:
        click.secho(f"warning: {n_collapsed} run(s) collapsed", fg="yellow", err=True)
    return failures
