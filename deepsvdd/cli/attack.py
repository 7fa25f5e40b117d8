"""``deepsvdd attack``: make adversarial examples of one class."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from deepsvdd.adversarial.attacks import import_foolbox
from deepsvdd.adversarial.classifier import Classifier, default_phase, train_classifier
from deepsvdd.adversarial.examples import STARTS, attack_class
from deepsvdd.cli import options as shared
from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.datasets import (
    DATASETS,
    Dataset,
    dataset_file,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.files import refuse_output_as_input, require_writable
from deepsvdd.reproduction.provenance import provenance


@click.command(name="attack", short_help="Make adversarial examples of one class.")
@click.argument("dataset_name", type=click.Choice(DATASETS), metavar="DATASET")
@click.argument("output", type=shared.output_path())
@click.option("--normal_class", required=True, help="Class to attack, number or name.")
@click.option(
    "--n",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Images to attack.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=5000,
    show_default=True,
    help="Of the walk: more come closer to the original.",
)
@click.option(
    "--start",
    type=click.Choice(STARTS),
    default="images",
    show_default=True,
    help="Begin with images of other classes, or with noise.",
)
@click.option(
    "--batch_size",
    type=click.IntRange(1),
    default=20,
    show_default=True,
    help="Images attacked, and then kept, at a time.",
)
@click.option("--seed", type=shared.SEED, default=0, show_default=True)
@click.option(
    "--classifier",
    "classifier_file",
    type=shared.output_path(),
    help="File of the classifier; if there is none, one is trained and saved there.  "
    "[default: beside OUTPUT]",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    help="Of the classifier's training.  [default: about 1000 steps]",
)
@shared.data_path
@shared.device
def command(
    dataset_name: str,
    output: Path,
    normal_class: str,
    classifier_file: Path | None,
    epochs: int | None,
    data_path: str | None,
    device: str,
    **options: Any,
) -> None:
    """Fool a classifier with test images of one class, and write them to OUTPUT (.npz).

    A small convolutional classifier is trained on all classes; then the Boundary Attack
    (Brendel et al., 2018), which asks it for decisions only, looks for the images
    closest to the originals that it gets wrong. Needs foolbox:
    pip install 'deepsvdd[adversarial]'.

    OUTPUT holds the images x (n, c, h, w), pixels from 0 to 255 but not whole numbers,
    their originals, distances, queries, and how all came to be. An attack that was
    interrupted goes on when the same command is repeated.

    \b
    Threes that are no threes to a classifier (some minutes), and their scores:
      deepsvdd attack mnist threes.npz --normal_class 3
      deepsvdd score model.safetensors threes.npz --key x
    Stop signs, drawn if the real ones are not at hand, with the paper's effort:
      deepsvdd signs signs
      deepsvdd attack gtsrb stop.npz --normal_class stop --data_path signs --steps 25000
    """
    import_foolbox()
    if output.suffix != ".npz":
        raise ValueError(f"OUTPUT must end in .npz; got '{output}'")
    file = classifier_file or output.with_suffix(".classifier.safetensors")
    for written in (output, file):
        require_writable(written)
        refuse_output_as_input(written, dataset_file(dataset_name, data_path))
    refuse_output_as_input(output, file)
    dataset = load_dataset(dataset_name, data_path)
    label = shared.class_label(normal_class)
    refuse_more_images(dataset, label, options["n"])
    where = resolve_device(device)
    classifier = obtain_classifier(file, dataset, options["seed"], epochs, where)
    click.echo(
        f"{file}: classifier of {dataset.name}, test accuracy "
        f"{classifier.facts['test_accuracy']:.1%}"
    )
    parts = output.with_name(output.name + ".parts")
    found = attack_class(
        classifier.to(where),
        dataset,
        label,
        n_steps=options.pop("steps"),
        parts=parts,
        verbose=True,
        **options,
    )
    found.metadata["provenance"] = provenance(where)
    found.save(output)
    shutil.rmtree(parts, ignore_errors=True)
    median = sorted(found.distance)[len(found) // 2]
    click.echo(
        f"{output}: {len(found)} adversarial examples of class "
        f"{found.metadata['class_name']!r}, median distance {median:.3g} (pixels from "
        f"0 to 1), {found.queries.max()} queries at most; "
        f"{found.survive_rounding:.0%} survive rounding to 8 bits"
    )


def refuse_more_images(dataset: Dataset, label: int | str, n: int) -> None:
    """Raise ValueError, before minutes of training, if there are no n test images."""
    (index,) = one_vs_rest(dataset, label).normal_classes
    held = int((dataset.y_test == index).sum())
    if n > held:
        raise ValueError(
            f"n must be at most {held}, the test images of class "
            f"{dataset.classes[index]!r}; got {n}"
        )


def obtain_classifier(
    file: Path, dataset: Dataset, seed: int, epochs: int | None, device: torch.device
) -> Classifier:
    """Load the classifier, or train and save it."""
    phase = default_phase(len(dataset.x_train))
    if epochs:
        phase = replace(phase, n_epochs=epochs)
    if not file.exists():
        classifier = train_classifier(
            dataset, phase, seed=seed, device=device, verbose=True
        )
        classifier.save(file)
        return classifier
    classifier = Classifier.load(file)
    trained = classifier.facts["dataset"]
    if trained != dataset.name:
        raise ValueError(
            f"classifier must be one of {dataset.name!r}, but '{file}' holds one of "
            f"{trained!r}: name another file"
        )
    if epochs and classifier.facts["n_epochs"] != epochs:
        raise ValueError(
            f"epochs must be {classifier.facts['n_epochs']}, as '{file}' was trained, "
            f"got {epochs}: leave it out, or name another file"
        )
    return classifier
