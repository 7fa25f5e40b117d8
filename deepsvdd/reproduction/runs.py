"""One task of a sweep: networks or a baseline, trained and tested."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepsvdd.core._engine.devices import channels_last, resolve_device
from deepsvdd.core._engine.dictionaries import begin
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core.evaluation import untrained_spheres
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.networks import Autoencoder, seeded_autoencoder
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.core.pretraining import pretrain_autoencoders, reconstruction_scores
from deepsvdd.core.recipes import Recipe
from deepsvdd.core.training import (
    OBJECTIVES,
    Hypersphere,
    train_hyperspheres,
)
from deepsvdd.datasets import (
    Split,
    one_vs_rest,
)
from deepsvdd.errors import CollapseWarning
from deepsvdd.reproduction.baselines import as_in_paper, make_baseline
from deepsvdd.reproduction.few_labels import (
    ClassifierRun,
    LabeledClass,
    labeled_class,
    labeled_method,
    quality_by_class,
    train_classifier,
    train_deep_sad,
)
from deepsvdd.reproduction.later import later_method, run_later
from deepsvdd.reproduction.measures import control_of, quality_of, timed
from deepsvdd.reproduction.provenance import provenance
from deepsvdd.reproduction.results import Line
from deepsvdd.reproduction.support_vectors import labeled_tenth
from deepsvdd.reproduction.tasks import (
    Settings,
    Task,
    find_recipe,
    load,
    recipe_of,
    setup_of,
)

Trained = Hypersphere | Autoencoder | ClassifierRun
Run = tuple[Line, NDArray[np.float32] | None]  # and its scores, where they are kept


def run_task(task: Task) -> list[Run]:
    """Train and test.

    Parameters
    ----------
    task : Task

    Returns
    -------
    list of (dict, ndarray of shape (m,) or None)
        A run's line of results, and for Deep SVDD and later methods the distances
        ‖φ(x) − c‖ of the test images in units of their mean over the training data,
        which ensembles average.
    """
    return run_on(task, data_of(task.dataset, task.normal_class, task.settings))


def data_of(dataset: str, normal_class: int, settings: Settings) -> Split:
    """Load a data set, and declare one of its classes normal."""
    return one_vs_rest(load(dataset, settings), normal_class)


def run_on(task: Task, split: Split, control: NDArray[Any] | None = None) -> list[Run]:
    """Run a task on given data; :func:`run_task` loads what the task names.

    Of ``control``, other images that might pass for anomalies, the lines tell the AUC
    against the normal test images as ``control_auc``.
    """
    if task.recipe is None:
        return [_baseline_run(task, split, control)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)  # the line says so
        if later_method(task.methods[0]):
            return _later_runs(task, split)
        return _network_runs(task, split, control)


def _later_runs(task: Task, split: Split) -> list[Run]:
    """Train and test the detectors of one later method, seed by seed."""
    settings, (method,) = task.settings, task.methods
    setup = setup_of(task, split.x_train.shape[1:])
    recipe = recipe_of(task.recipe or "", setup["network"], method)
    _, source = later_method(method) or ("", None)
    outliers = None if source is None else load(source, settings).x_train
    own = {"precision": settings.precision, "device": settings.device}
    origin = provenance_of(resolve_device(settings.device))
    runs: list[Run] = []
    for seed in task.seeds:
        line, scores = run_later(
            method, split, outliers, recipe, seed=seed, **setup, **own
        )
        told = task.line(method, seed) | line | setup | {"provenance": origin}
        runs.append((told, scores))
    return runs


def _baseline_run(task: Task, split: Split, control: NDArray[Any] | None) -> Run:
    (method,), (seed,) = task.methods, task.seeds
    shape = split.x_train.shape[1:]
    parameters = as_in_paper(method, shape[0]) | setup_of(task, shape)
    if method == "ocsvm":
        parameters["nu"] = task.settings.nu
    detector = make_baseline(method, random_state=seed, **parameters)
    labeled = None
    if detector.uses_labels:
        shown, _ = labeled_tenth(split.y_test, seed)
        labeled = split.x_test[shown], split.y_test[shown]
    _, seconds = timed(detector.fit, split.x_train, labeled)
    scores, test_seconds = timed(detector.anomaly_score, split.x_test)
    line = task.line(method, seed) | quality_of(split, scores)
    if control is not None:
        line |= control_of(split, scores, detector.anomaly_score(control))
    line |= {"train_seconds": seconds, "test_seconds": test_seconds}
    line |= {"preprocessing": detector.preprocessing, "selected": detector.selected_}
    return line | {"provenance": provenance_of(torch.device("cpu"))}, None


def _network_runs(task: Task, split: Split, control: NDArray[Any] | None) -> list[Run]:
    settings = task.settings
    device = resolve_device(settings.device)
    shape = split.x_train.shape[1:]
    setup = setup_of(task, shape)
    network = setup["network"]
    recipe = find_recipe(task.recipe or "", network)
    images = torch.tensor(split.x_train)
    preprocessor = Preprocessor.fit(images, setup["preprocessing"])

    def prepared(images: Tensor) -> Tensor:
        return channels_last(preprocessor(images).to(device))

    x, x_test = prepared(images), prepared(torch.tensor(split.x_test))
    x_control = None if control is None else prepared(torch.tensor(control))

    if any(map(labeled_method, task.methods)):
        labels = {seed: labels_of(task, seed) for seed in task.seeds}
        if len(labels[task.seeds[0]].seen) != len(split.y_test):
            raise ValueError(
                "method must be one without labels where the test images are not the "
                f"data set's own; got {', '.join(task.methods)}"
            )
    autoencoders = [
        seeded_autoencoder(network, shape, seed, device) for seed in task.seeds
    ]
    for autoencoder, seed in zip(autoencoders, task.seeds, strict=True):
        begin(autoencoder.encoder, recipe.first_layer, InMemory(x), seed)
    controls = [
        sphere.squared_distances(x_test).cpu().numpy()
        for sphere in untrained_spheres(autoencoders, x, task.seeds)
    ]
    before = [roc_auc(split.y_test, scores) for scores in controls]
    common: Any = {"seeds": task.seeds, "precision": settings.precision}
    histories = pretrain_autoencoders(autoencoders, x, recipe.pretraining, **common)
    origin = provenance_of(device)
    runs: list[Run] = []
    for method in task.methods:
        if labeled_method(method):
            # One by one: the anomalies of each seed are others.
            for index, seed in enumerate(task.seeds):
                line = _labeled_run(
                    *(task, split, method, seed, recipe, labels[seed]),
                    *(autoencoders[index], controls[index], x, x_test, prepared),
                )
                line |= _training(recipe, histories[index], line.pop("detector"))
                runs.append((line | setup | {"provenance": origin}, None))
            continue
        detectors: list[Any] = autoencoders
        if method in OBJECTIVES:
            detectors = train_hyperspheres(
                [copy.deepcopy(autoencoder.encoder) for autoencoder in autoencoders],
                InMemory(x),
                recipe,
                objective=method,
                nu=settings.nu,
                **common,
            )
        for seed, detector, history, untrained in zip(
            task.seeds, detectors, histories, before, strict=True
        ):
            scores, seconds = timed(_scores, detector, x_test)
            quality = quality_of(split, scores)
            if x_control is not None:
                quality |= control_of(split, scores, _scores(detector, x_control))
            runs.append(
                (
                    task.line(method, seed)
                    | quality
                    | {"untrained_auc": untrained}
                    | _training(recipe, history, detector)
                    | {"test_seconds": seconds}
                    | setup
                    | {"provenance": origin},
                    scores if method in OBJECTIVES else None,
                )
            )
    return runs


def labels_of(task: Task, seed: int) -> LabeledClass:
    """Choose the images that a seed labels, from the data set that a task names."""
    data = load(task.dataset, task.settings)
    return labeled_class(data, task.normal_class, seed)


def _labeled_run(
    task: Task,
    split: Split,
    method: str,
    seed: int,
    recipe: Recipe,
    labeled: LabeledClass,
    autoencoder: Autoencoder,
    untrained: NDArray[Any],
    x: Tensor,
    x_test: Tensor,
    prepared: Callable[[Tensor], Tensor],
) -> Line:
    """Train and test a copy of a pretrained encoder with a few known anomalies.

    ``untrained`` are the scores of the network before all training; the line has the
    detector, too.
    """
    encoder = copy.deepcopy(autoencoder.encoder)
    kind, count = labeled_method(method) or ("", 0)
    anomalies = prepared(torch.tensor(labeled.images[:count]))
    common: Any = {"precision": task.settings.precision}
    detector: Trained
    if kind == "classifier":
        detector = train_classifier(encoder, x, anomalies, recipe, seed=seed, **common)
    else:
        common |= {"eta": task.settings.eta, "seeds": [seed]}
        (detector,) = train_deep_sad([encoder], x, anomalies, recipe, **common)
    scores, seconds = timed(_scores, detector, x_test)
    before = quality_by_class(split, labeled, untrained)
    return (
        task.line(method, seed)
        | quality_of(split, scores)
        | quality_by_class(split, labeled, scores)
        | {"untrained_auc": roc_auc(split.y_test, untrained)}
        | {f"untrained_{name}": auc for name, auc in before.items()}
        | {"labeled_class": labeled.index, "n_labeled": len(anomalies)}
        | {"test_seconds": seconds, "detector": detector}
    )


def _scores(detector: Trained, x: Tensor) -> NDArray[np.float32]:
    """Score test images (m, ...): normalized distances, errors, or logits."""
    if isinstance(detector, ClassifierRun):
        scores = detector.scores(x)
    elif isinstance(detector, Hypersphere):
        scores = detector.squared_distances(x).sqrt() / detector.mean_distance
    else:
        scores = reconstruction_scores(detector, x)
    return scores.float().cpu().numpy()


def _training(recipe: Recipe, pretraining: dict[str, Any], detector: Trained) -> Line:
    """Describe how one network was trained."""
    line: Line = {
        "epochs": [recipe.pretraining.n_epochs, recipe.training.n_epochs],
        "pretrain_seconds": sum(pretraining["seconds"]),
    }
    if isinstance(detector, ClassifierRun):
        line["train_seconds"] = sum(detector.history["seconds"])
    if isinstance(detector, Hypersphere):
        line["train_seconds"] = sum(detector.history["training"]["seconds"])
        line["radius"] = detector.radius
        line["collapsed"] = detector.collapsed
    return line


@lru_cache(maxsize=4)
def provenance_of(device: torch.device) -> dict[str, Any]:
    """Ask git and the system once a process: all runs of a sweep are of one commit."""
    return provenance(device)
