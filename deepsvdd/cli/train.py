"""``deepsvdd train``: the authors' command line, option for option, and some more."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from deepsvdd.cli import options as shared
from deepsvdd.cli.config import (
    Settings,
    checkpoint_folder,
    class_list,
    is_interrupted,
    printable,
    recipe_of,
    resolve_settings,
    write_json,
)
from deepsvdd.cli.pictures import draw_curves, draw_extremes
from deepsvdd.cli.run_log import (
    describe_results,
    describe_split,
    describe_training,
    log_to,
    report,
)
from deepsvdd.core._engine.devices import PRECISIONS, resolve_device
from deepsvdd.core._engine.distributed import from_first, process_group, rank
from deepsvdd.core._engine.threads import measured_threads
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.evaluation import (
    test_results,
    untrained_aucs,
)
from deepsvdd.core.networks import NETWORKS
from deepsvdd.core.recipes import (
    FIRST_LAYERS,
    OPTIMIZERS,
    RECIPES,
    SCHEDULES,
    Phase,
    Recipe,
)
from deepsvdd.core.training import OBJECTIVES
from deepsvdd.datasets import (
    DATASETS,
    PREPROCESSING,
    Split,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.errors import ModelFileError
from deepsvdd.files import (
    refuse_output_as_input,
    remove_leftovers,
    require_writable,
    write_or_rescue,
)
from deepsvdd.reproduction.provenance import provenance

log = logging.getLogger("deepsvdd")
# In the folder of a run.
MODEL, RESULTS, CONFIG = "model.safetensors", "results.json", "config.json"


def option(name: str, **attributes: Any) -> Callable[[Any], Any]:
    """Declare --like_this, and --like-this with it; both name the same setting."""
    spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
    attributes.setdefault("show_default", True)
    return click.option(*spellings, name, **attributes)


def phase_options(prefix: str, what: str, phase: Phase) -> Callable[[Any], Any]:
    """Declare the options of one training phase."""
    declared = (
        option(
            f"{prefix}optimizer_name",
            type=click.Choice(OPTIMIZERS),
            default=phase.optimizer_name,
            help=f"Optimizer for {what}.",
        ),
        option(
            f"{prefix}lr",
            type=float,
            default=phase.lr,
            help=f"Learning rate for {what}: initial (step), largest (one-cycle).",
        ),
        option(
            f"{prefix}n_epochs",
            type=int,
            default=phase.n_epochs,
            help=f"Epochs of {what}.",
        ),
        option(
            f"{prefix}lr_milestone",
            type=int,
            multiple=True,
            default=phase.lr_milestones,
            show_default=False,
            help="Epoch from which on the rate is a tenth; repeat for more of them.",
        ),
        option(
            f"{prefix}batch_size",
            type=int,
            default=phase.batch_size,
            help=f"Batch size for {what}.",
        ),
        option(
            f"{prefix}weight_decay",
            type=float,
            default=phase.weight_decay,
            help=f"Weight decay λ for {what}.",
        ),
        option(
            f"{prefix}schedule",
            type=click.Choice(SCHEDULES),
            default=phase.schedule,
            help=f"Learning-rate schedule for {what}.",
        ),
    )

    def decorate(function: Any) -> Any:
        for declaration in reversed(declared):
            function = declaration(function)
        return function

    return decorate


@click.command(name="train", short_help="Train, test, and write results and pictures.")
@click.argument("dataset_name", metavar="DATASET", type=click.Choice(DATASETS))
@click.argument("net_name", metavar="NET", type=click.Choice(NETWORKS))
@click.argument("xp_path", type=shared.output_path(folder=True))
@click.argument("data_path", required=False, type=click.Path(file_okay=False))
@option(
    "recipe",
    type=click.Choice(tuple(RECIPES)),
    show_default=False,
    help="Set all training options at once; an option given as well wins. "
    "Without it, the defaults below hold, which are those of the authors' code.",
)
@option("normal_class", default="0", help="Class (number or name), or several: 3,5.")
@option("objective", type=click.Choice(OBJECTIVES), default="one-class")
@option("nu", type=float, default=0.1, help="ν, the share of training data outside.")
@option(
    "seed",
    type=click.IntRange(-1, 2**32 - 1),
    default=-1,
    help="-1 draws one, and writes it down.",
)
@option("n_members", type=int, default=1, help="Networks to train and average.")
@option("device", default="auto", help="auto, cpu, cuda, cuda:1, …")
@phase_options("", "Deep SVDD training", Recipe().training)
@option(
    "warm_up_epochs", type=int, default=10, help="Soft-boundary: epochs with R = 0."
)
@option("radius_every", type=int, default=5, help="Soft-boundary: epochs per R update.")
@option(
    "first_layer",
    type=click.Choice(FIRST_LAYERS),
    default="random",
    help="Filters at the start; dictionary: of image patches, as in the paper's code.",
)
@option("pretrain", type=bool, default=True, help="Pretrain as an autoencoder.")
@phase_options("ae_", "autoencoder pretraining", Recipe().pretraining)
@option(
    "load_config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="config.json of an earlier run: restores all its settings.",
)
@option(
    "load_model",
    type=click.Path(exists=True, dir_okay=False),
    help="Start from this model (ours, or the authors' model.tar); pretrains only if "
    "--pretrain True is given too.",
)
@option(
    "precision",
    type=click.Choice(PRECISIONS),
    default="float32",
    help="Of convolutions and matrix products in training.",
)
@option(
    "checkpoint_every",
    type=int,
    default=0,
    help="Save the state every so many epochs; the same command, run again after a "
    "kill, goes on from there. 0: never.",
)
@option(
    "n_jobs_dataloader",
    type=int,
    default=0,
    help="Accepted for the authors' commands; the data is one tensor, nobody loads it.",
)
@click.pass_context
def command(ctx: click.Context, **_: Any) -> None:
    """Train Deep SVDD on one class of DATASET and test it on all of them.

    DATASET is mnist (bundled), fashion_mnist, cifar10 or gtsrb (from
    DATA_PATH/NAME.npz, or downloaded there once; by default $DEEPSVDD_DATA or your
    cache folder; gtsrb also from the signs that `deepsvdd signs` draws). NET is
    mnist_LeNet, cifar10_LeNet, cifar10_LeNet_ELU, gtsrb_LeNet, deep_LeNet or mlp.
    Everything is written to the folder XP_PATH: model.safetensors, results.json,
    config.json, log.txt, and pictures. How many threads are fastest is measured, unless
    OMP_NUM_THREADS is set: the last digits of a result depend on their number.

    \b
    A few seconds on a CPU:
      deepsvdd train mnist mnist_LeNet runs/a --recipe fast --normal_class 3 --seed 0
    The paper's protocol, soft-boundary:
      deepsvdd train mnist mnist_LeNet runs/b --recipe paper --objective soft-boundary
    Three short trainings, averaged: as long as one, and better:
      deepsvdd train mnist mnist_LeNet runs/q --recipe quick --n_members 3 --seed 0
    Six networks, averaged (above the paper's AUC):
      deepsvdd train mnist mnist_LeNet runs/c --recipe fast --n_members 6
    Stop signs, drawn if you do not have the real ones:
      deepsvdd signs signs
      deepsvdd train gtsrb gtsrb_LeNet runs/s signs --recipe fast --normal_class stop
    The same run again, from its settings, with another seed:
      deepsvdd train mnist mnist_LeNet runs/d --load_config runs/a/config.json --seed 1
    In several processes, one a GPU if there are GPUs, that train one network:
      torchrun --nproc_per_node 2 -m deepsvdd train mnist mnist_LeNet runs/e --seed 0
    """
    run(resolve_settings(ctx))


def run(settings: Settings) -> None:
    """Carry out one experiment and write all that comes of it.

    Under torchrun, all processes train, and the first one does the rest.
    """
    with measured_threads():
        with process_group():
            first = rank() == 0
            settings["seed"] = from_first(settings["seed"])
            detector, split, name = train(settings, first)
        if first:
            evaluate(settings, detector, split, name)


def train(settings: Settings, first: bool) -> tuple[DeepSVDD, Split, str]:
    """Train, and write down the settings and the log; tell what the data really is."""
    resolve_device(settings["device"])
    detector = build_detector(settings)
    detector.check_parameters()
    model = settings["xp_path"] / MODEL
    refuse_output_as_input(model, settings["load_model"])
    if first:
        for name in (MODEL, RESULTS, CONFIG):
            require_writable(settings["xp_path"] / name)
    dataset = load_dataset(settings["dataset_name"], root=settings["data_path"])
    split = one_vs_rest(dataset, class_list(settings["normal_class"]))
    if settings["load_model"]:
        warm_start(detector, settings["load_model"], split)

    # Only now: a run that is refused leaves an earlier one's files alone.
    if first:
        open_folder(settings)
        report(describe_split(dataset.name, split, dataset.classes))
        if settings["load_model"]:
            report(f"starting from {settings['load_model']}")
    return detector.fit(split.x_train), split, dataset.name


def open_folder(settings: Settings) -> None:
    """Write the settings to the run's folder, and begin its log.

    Those of an interrupted run stay until this one has ended: the training refuses
    checkpoints of other data, say, and then they still tell how to go on.
    """
    folder: Path = settings["xp_path"]
    remove_leftovers(folder)
    resumes = is_interrupted(settings)
    if not resumes:
        write_json(folder / CONFIG, printable(settings))
    log_to(folder / "log.txt", append=resumes)
    for name, value in sorted(printable(settings).items()):
        log.info("%s: %s", name, value)


def evaluate(settings: Settings, detector: DeepSVDD, split: Split, name: str) -> None:
    """Test a trained detector; write model, results and pictures."""
    folder: Path = settings["xp_path"]
    for line in describe_training(detector):
        report(line)
    problems = Problems()
    with problems:
        write_json(folder / CONFIG, printable(settings))
    with problems:
        write_or_rescue(folder / MODEL, detector.save)
        shutil.rmtree(checkpoint_folder(settings), ignore_errors=True)
    results = {"dataset": name} | test_results(detector, split)
    results["untrained_auc"] = untrained_aucs(detector, split)
    results["provenance"] = provenance(resolve_device(settings["device"]))
    with problems:
        write_or_rescue(folder / RESULTS, lambda path: write_json(path, results))
    for line in describe_results(settings, split, results):
        report(line)
    for draw in (draw_extremes, draw_curves):
        with problems:
            draw(folder, detector, split, results)
    report("")
    report(
        f"written to {folder}: {', '.join(sorted(p.name for p in folder.iterdir()))}"
    )
    problems.finish()


class Problems:
    """Collects failed writes, so that one full disk does not take the rest along."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> bool:
        """Keep an OSError's message and go on; let everything else through."""
        if not isinstance(error, OSError):
            return False
        self.messages.append(str(error))
        return True

    def finish(self) -> None:
        """Fail, at last, with everything that went wrong."""
        if self.messages:
            raise OSError("; ".join(self.messages))


def build_detector(settings: Settings) -> DeepSVDD:
    """Turn settings into an estimator."""
    every = settings["checkpoint_every"]
    return DeepSVDD(
        network=settings["net_name"],
        preprocessing=PREPROCESSING[settings["dataset_name"]],
        objective=settings["objective"],
        nu=settings["nu"],
        recipe=recipe_of(settings),
        pretrain=settings["pretrain"],
        n_members=settings["n_members"],
        device=settings["device"],
        precision=settings["precision"],
        checkpoint_dir=checkpoint_folder(settings) if every else None,
        checkpoint_every=every or 1,
        random_state=settings["seed"],
        verbose=True,
    )


def warm_start(detector: DeepSVDD, path: str, split: Split) -> None:
    """Give a detector the networks of a stored model to start from."""
    if Path(path).suffix == ".tar":
        same = {"network": detector.network, "device": detector.device}
        stored = DeepSVDD.from_model_tar(path, split.x_train, **same)
    else:
        stored = DeepSVDD.load(path, device=detector.device)
    shape = split.x_train.shape[1:]
    if (stored.network_, stored.input_shape_) != (detector.network, shape):
        raise ModelFileError(
            f"load_model {path!r} holds {stored.network_} for images of shape "
            f"{stored.input_shape_}; this run trains {detector.network} for {shape}"
        )
    detector.set_params(warm_start=True)
    detector.members_ = stored.members_
    detector.preprocessor_ = stored.preprocessor_
