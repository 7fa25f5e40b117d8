"""Testing a fitted detector: its results, and the control that was never trained."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import clone
from torch import Tensor, nn

from deepsvdd.core._engine.isolation import drawn_from
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.metrics import evaluate, roc_auc
from deepsvdd.core.networks import Autoencoder
from deepsvdd.core.recipes import Phase, Recipe, resolved, shortened
from deepsvdd.core.training import Hypersphere, train_hyperspheres
from deepsvdd.datasets import Split


def test_results(detector: DeepSVDD, split: Split) -> dict[str, Any]:
    """Score the test set and evaluate the scores.

    Parameters
    ----------
    detector : DeepSVDD
        Fitted on the split's training images.
    split : Split
        Its test images are scored.

    Returns
    -------
    dict
        What the authors' code writes to ``results.json`` — ``train_time``,
        ``test_auc`` (a fraction of 1), ``test_time`` (seconds) and ``test_scores``
        (index, label, score) — and ``pretrain_time``, ``average_precision``,
        ``fpr_at_95_tpr``, ``auc_interval`` (95 %), ``threshold``,
        ``radius`` (one a member), ``collapsed``.
    """
    start = time.perf_counter()
    scores = detector.anomaly_score(split.x_test)
    test_time = time.perf_counter() - start
    quality = evaluate(split.y_test, scores)
    triples = zip(range(len(scores)), split.y_test, scores, strict=True)
    return {
        "pretrain_time": phase_seconds(detector, "pretraining"),
        "train_time": phase_seconds(detector, "training"),
        "test_time": test_time,
        "test_auc": quality["roc_auc"],
        "auc_interval": [quality["roc_auc_low"], quality["roc_auc_high"]],
        "average_precision": quality["average_precision"],
        "fpr_at_95_tpr": quality["fpr_at_95_tpr"],
        "threshold": detector.threshold_,
        "radius": [member.radius for member in detector.members_],
        "collapsed": any(member.collapsed for member in detector.members_),
        "test_scores": [[i, int(label), float(score)] for i, label, score in triples],
    }


test_results.__test__ = False  # type: ignore[attr-defined]  # not a test for pytest


def phase_seconds(detector: DeepSVDD, phase: str) -> float:
    """Add up the seconds of one phase's epochs over all members."""
    histories = [member.history.get(phase, {}) for member in detector.members_]
    return float(sum(sum(history.get("seconds", [])) for history in histories))


def untrained_aucs(detector: DeepSVDD, split: Split, n_seeds: int = 5) -> list[float]:
    """Measure the control: the same network and scoring with no training at all.

    A random network's distances can separate classes too. What training adds is the
    difference from there, not from 0.5; and one random network says little.

    Parameters
    ----------
    detector : DeepSVDD
        Fitted or not; its network, preprocessing and the recipe's first layer are used:
        with a dictionary the control begins with it, too. Of a module of your own, each
        layer's ``reset_parameters`` draws the weights.
    split : Split
        Training images give center and extrema, test images the AUC.
    n_seeds : int, default=5
        Number of untrained networks.

    Returns
    -------
    list of float
        Their test AUCs, fractions of 1.
    """
    # Every network's variant of a named recipe has the same first layer.
    recipe = resolved(detector.recipe)
    aucs = []
    for seed in range(n_seeds):
        control = clone(detector).set_params(
            recipe=shortened(recipe, 0, 0),
            objective="one-class",
            pretrain=False,
            checkpoint_dir=None,
            n_members=1,
            random_state=seed,
            verbose=False,
            network=redrawn(detector.network, seed),
        )
        control.fit(split.x_train)
        aucs.append(roc_auc(split.y_test, control.anomaly_score(split.x_test)))
    return aucs


def untrained_spheres(
    autoencoders: Sequence[Autoencoder], x: Tensor, seeds: Sequence[int]
) -> list[Hypersphere]:
    """Give networks about to be trained their centers, and no training: that control.

    What :func:`untrained_aucs` does with networks that it draws itself.

    Parameters
    ----------
    autoencoders : sequence of Autoencoder
        Their encoders are copied.
    x : Tensor of shape (n, ...)
        Preprocessed training data.
    seeds : sequence of int
        One a network.
    """
    encoders = [copy.deepcopy(autoencoder.encoder) for autoencoder in autoencoders]
    nothing = Recipe(training=Phase(n_epochs=0))
    return train_hyperspheres(encoders, x, nothing, seeds=seeds)


def redrawn(network: str | nn.Module, seed: int) -> str | nn.Module:
    """Draw the weights of a module of one's own anew, as its layers first did."""
    if isinstance(network, str):
        return network
    network = copy.deepcopy(network)
    with drawn_from(seed):
        layers: list[Any] = list(network.modules())
        for layer in layers:
            if hasattr(layer, "reset_parameters"):
                layer.reset_parameters()
    return network


def mean_and_std(values: list[float]) -> tuple[float, float]:
    """Return mean and sample standard deviation (n − 1); of one value it is NaN."""
    std = float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")
    return float(np.mean(values)), std
