"""``deepsvdd train``: the authors' command line, option for option, and some more."""

from __future__ import annotations

import json
import logging
import secrets
import shutil
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from deepsvdd.datasets import (
    DATASETS,
    PREPROCESSING,
    Split,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.devices import PRECISIONS, resolve_device
from deepsvdd.distributed import from_first, process_group, rank
from deepsvdd.errors import ModelFileError
from deepsvdd.estimator import DeepSVDD
from deepsvdd.experiments import (
    mean_and_std,
    phase_seconds,
    provenance,
    test_results,
    untrained_aucs,
)
from deepsvdd.files import write_text
from deepsvdd.networks import NETWORKS
from deepsvdd.published import paper_auc
from deepsvdd.recipes import (
    FIRST_LAYERS,
    OPTIMIZERS,
    RECIPES,
    SCHEDULES,
    Phase,
    Recipe,
    get_recipe,
)
from deepsvdd.training import OBJECTIVES

# Options of one training phase (with the prefix ae_: pretraining) and their fields.
# An option that is repeated for several values is named in the singular.
PHASE_FIELDS = {
    field.name.replace("milestones", "milestone"): field.name for field in fields(Phase)
}
# JSON's types of an option's values; a whole number will do for a float.
JSON_KINDS: dict[type, tuple[type, ...]] = {
    type(click.BOOL): (bool,),
    type(click.INT): (int,),
    click.IntRange: (int,),
    type(click.FLOAT): (float, int),
    type(click.STRING): (str, int),  # the authors' normal_class is a number
}
NO_DEFAULT = ("recipe", "data_path", "load_config", "load_model")
SHOWN = 32  # images in normals.png and outliers.png, as in the authors' code

Settings = dict[str, Any]
log = logging.getLogger("deepsvdd")


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
            help=f"Optimiser for {what}.",
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
@click.argument("xp_path", type=click.Path(file_okay=False, path_type=Path))
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
    mnist_LeNet, cifar10_LeNet, cifar10_LeNet_ELU, gtsrb_LeNet or mlp. Everything is
    written to the folder XP_PATH: model.safetensors, results.json, config.json,
    log.txt, and pictures.

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


# --------------------------------------------------------------------------- settings


def resolve_settings(ctx: click.Context) -> Settings:
    """Merge what settings come from: option > --recipe > --load_config > default."""
    from_file = read_config(ctx, ctx.params["load_config"])
    from_recipe: Settings = {}
    if ctx.params["recipe"]:
        network = ctx.params["net_name"]
        from_recipe = recipe_settings(get_recipe(ctx.params["recipe"], network))
    settings = dict(ctx.params)
    for name in settings:
        if ctx.get_parameter_source(name) == ParameterSource.DEFAULT:
            settings[name] = from_recipe.get(name, from_file.get(name, settings[name]))
    given = ctx.get_parameter_source("pretrain") != ParameterSource.DEFAULT
    restored = "pretrain" in from_file and from_file.get("load_model")
    if settings["load_model"] and not (given or restored):
        settings["pretrain"] = False
    if settings["seed"] == -1:
        settings["seed"] = interrupted_seed(settings)
    return settings


def checkpoint_folder(settings: Settings) -> Path:
    """Where a run keeps its checkpoints until it is done."""
    folder: Path = settings["xp_path"]
    return folder / "checkpoints"


def interrupted_seed(settings: Settings) -> int:
    """Draw a seed, or find the one that a run to be resumed has drawn."""
    if settings["checkpoint_every"] and checkpoint_folder(settings).exists():
        config = json.loads((settings["xp_path"] / "config.json").read_text())
        return int(config["seed"])
    return secrets.randbelow(2**31)


def recipe_settings(recipe: Recipe) -> Settings:
    """Express a recipe in options."""
    phases = {"": recipe.training, "ae_": recipe.pretraining}
    return {
        "warm_up_epochs": recipe.warm_up_epochs,
        "radius_every": recipe.radius_every,
        "first_layer": recipe.first_layer,
        **{
            prefix + name: getattr(phase, field)
            for prefix, phase in phases.items()
            for name, field in PHASE_FIELDS.items()
        },
    }


def recipe_of(settings: Settings) -> Recipe:
    """Build the recipe that options describe."""

    def phase(prefix: str) -> Phase:
        values = {f: settings[prefix + name] for name, f in PHASE_FIELDS.items()}
        values["lr_milestones"] = tuple(values["lr_milestones"])
        try:
            return Phase(**values)
        except ValueError as error:  # starts with the field's name
            raise ValueError(f"{prefix}{error}") from None

    return Recipe(
        pretraining=phase("ae_"),
        training=phase(""),
        warm_up_epochs=settings["warm_up_epochs"],
        radius_every=settings["radius_every"],
        first_layer=settings["first_layer"],
    )


def read_config(ctx: click.Context, path: Path | None) -> Settings:
    """Read a config.json, ours or the authors', and check every value in it."""
    if path is None:
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"load_config {str(path)!r} is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise ValueError(f"load_config {str(path)!r} must hold a JSON object")
    parameters = {parameter.name: parameter for parameter in ctx.command.params}
    unknown = sorted(set(content) - set(parameters))
    if unknown:
        raise ValueError(f"load_config {str(path)!r} has unknown settings: {unknown}")
    content.pop("recipe", None)  # its values stand in the file one by one
    return {
        name: json_value(ctx, parameters[name], value)
        for name, value in content.items()
    }


def json_value(ctx: click.Context, parameter: click.Parameter, value: object) -> object:
    """Check one value of a config file as click checks the same option's text."""
    if value is None and parameter.name in NO_DEFAULT:
        return None
    kinds = JSON_KINDS.get(type(parameter.type), (str,))
    values = value if parameter.multiple and isinstance(value, list) else [value]
    if not all(type(v) in kinds for v in values):  # True is no whole number
        raise click.BadParameter(f"load_config has {value!r}", ctx=ctx, param=parameter)
    return parameter.type_cast_value(ctx, value)


def class_list(text: str) -> list[int | str]:
    """Read ``3``, ``cat`` or ``3,5``."""
    parts = [part.strip() for part in str(text).split(",")]
    return [
        int(part) if part.removeprefix("-").isdecimal() else part
        for part in parts
        if part
    ]


# ------------------------------------------------------------------------------- run


def run(settings: Settings) -> None:
    """Carry out one experiment and write all that comes of it.

    Under torchrun, all processes train, and the first one does the rest.
    """
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
    """Write the settings to the run's folder, and begin its log."""
    folder: Path = settings["xp_path"]
    write_json(folder / "config.json", printable(settings))
    log_to(folder / "log.txt")
    for name, value in sorted(printable(settings).items()):
        log.info("%s: %s", name, value)


def evaluate(settings: Settings, detector: DeepSVDD, split: Split, name: str) -> None:
    """Test a trained detector; write model, results and pictures."""
    folder: Path = settings["xp_path"]
    for line in describe_training(detector):
        report(line)
    problems = Problems()
    with problems:
        detector.save(folder / "model.safetensors")
        shutil.rmtree(checkpoint_folder(settings), ignore_errors=True)
    results = {"dataset": name} | test_results(detector, split)
    results["untrained_auc"] = untrained_aucs(detector, split)
    results["provenance"] = provenance(resolve_device(settings["device"]))
    with problems:
        write_json(folder / "results.json", results)
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


# ------------------------------------------------------------------------- reporting


def report(line: str) -> None:
    """Print a line, and log it."""
    click.echo(line)
    if line:
        log.info(line)


class RunLog(logging.FileHandler):
    """A log file whose failure is worth one warning, not a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Give up on the file."""
        log.removeHandler(self)
        _, error, _ = sys.exc_info()
        click.secho(f"warning: no more log in '{self.baseFilename}': {error}", err=True)


def log_to(path: Path) -> None:
    """Send the package's log, a line an epoch, to a file of this run alone."""
    handler = RunLog(path, mode="w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for old in log.handlers[:]:
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def describe_split(name: str, split: Split, classes: tuple[str, ...]) -> str:
    """Say what is normal, and how many images there are."""
    normal = " and ".join(classes[index] for index in split.normal_classes)
    anomalies = int(split.y_test.sum())
    return (
        f"{name}, normal: {normal}; {len(split.x_train)} training "
        f"images; test: {len(split.y_test) - anomalies} normal, {anomalies} anomalies"
    )


def describe_training(detector: DeepSVDD) -> list[str]:
    """Summarise each phase: epochs, seconds, last loss of the first member."""
    lines = []
    members = len(detector.members_)
    for phase, history in detector.members_[0].history.items():
        if history["epoch"]:
            lines.append(
                f"{phase:<12} {len(history['epoch']):4d} epochs"
                f"{f' × {members} members' if members > 1 else ''}  "
                f"{phase_seconds(detector, phase):7.1f} s   "
                f"last loss {history['loss'][-1]:.4g}"
            )
    return lines


def describe_results(settings: Settings, split: Split, results: Settings) -> list[str]:
    """Lay the test AUC beside the untrained network's and the paper's, in per cent."""
    low, high = (100 * bound for bound in results["auc_interval"])
    control, spread = mean_and_std(results["untrained_auc"])
    objective = settings["objective"]
    members = settings["n_members"]
    name = f"{objective}, {members} members" if members > 1 else objective
    lines = [
        f"scoring      {len(split.y_test):,} images in {results['test_time']:.2f} s",
        "",
        "test AUC in %",
        f"  Deep SVDD, {name:<22}{100 * results['test_auc']:6.1f}"
        f"        95 % bootstrap interval {low:.1f}–{high:.1f}",
        f"  {'untrained network':<33}{100 * control:6.1f} ± {100 * spread:<4.1f} "
        f"{len(results['untrained_auc'])} seeds",
    ]
    paper = paper_auc(results["dataset"], split.normal_classes, objective)
    # The paper's stop signs stand against adversarial ones, not against other signs.
    if paper and results["dataset"] != "gtsrb":
        mean, std = paper
        lines.append(
            f"  {f'paper, {objective}':<33}{mean:6.1f} ± {std:<4.1f} 10 seeds, Table 1"
        )
    lines += [
        "",
        f"average precision {100 * results['average_precision']:.1f} %; with 95 % of "
        f"the anomalies found, {100 * results['fpr_at_95_tpr']:.1f} % false alarms",
    ]
    if results["test_auc"] <= max(results["untrained_auc"]):
        lines.append("warning: no better than the best untrained network")
    return lines


def printable(settings: Settings) -> Settings:
    """Make settings fit for JSON: paths as text, and without load_config itself."""
    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in settings.items()
        if name != "load_config"
    }


def write_json(path: Path, content: Settings) -> None:
    """Write a JSON file whole or not at all."""
    write_text(path, json.dumps(content, indent=1) + "\n")


# -------------------------------------------------------------------------- pictures


def draw_extremes(
    folder: Path, detector: DeepSVDD, split: Split, results: Settings
) -> None:
    """Draw the most normal and the most anomalous images of the normal class."""
    from deepsvdd import plots

    normal = [row for row in results["test_scores"] if row[1] == 0]
    indices = [row[0] for row in normal]
    shown = min(SHOWN, len(normal))
    lowest, highest = plots.extremes([row[2] for row in normal], shown)
    for name, title, chosen in (
        ("normals", f"{shown} most normal test images of the normal class", lowest),
        (
            "outliers",
            f"{shown} most anomalous test images of the normal class",
            highest,
        ),
    ):
        images = split.x_test[[indices[i] for i in chosen]]
        draw(folder / f"{name}.png", plots.image_grid, images, title=title)


def draw_curves(
    folder: Path, detector: DeepSVDD, split: Split, results: Settings
) -> None:
    """Draw ROC curve, score histograms and loss curves."""
    from deepsvdd import plots

    scores = [row[2] for row in results["test_scores"]]
    draw(folder / "roc.png", plots.roc_curve, split.y_test, scores)
    draw(
        folder / "scores.png",
        plots.score_histogram,
        split.y_test,
        scores,
        threshold=results["threshold"],
    )
    for phase, history in detector.members_[0].history.items():
        if history["epoch"]:
            draw(folder / f"{phase}_loss.png", plots.learning_curves, history)


def draw(path: Path, plot: Callable[..., Any], *data: Any, **options: Any) -> None:
    """Draw one picture to one file."""
    import matplotlib

    matplotlib.use("Agg")  # files only: works without a display
    import matplotlib.pyplot as plt

    from deepsvdd import plots

    axes = plot(*data, **options)
    try:
        plots.save(axes, path)
    finally:
        plt.close(axes.figure)
