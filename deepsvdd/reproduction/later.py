"""Runs of the later methods: one estimator a class and seed, and its untrained control.

``hsc:NAME`` learns from the training images of another data set as outliers, as many as
there are normal ones; its results are those of a method that has seen more than the
others.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import Recipe, shortened
from deepsvdd.datasets import Dataset, Split
from deepsvdd.reproduction.measures import quality_of, timed
from deepsvdd.reproduction.results import Line
from deepsvdd.successors.base import Successor
from deepsvdd.successors.classified import GEOM
from deepsvdd.successors.clustered import GOAD
from deepsvdd.successors.exposed import HSC
from deepsvdd.successors.frozen import FrozenFeatures
from deepsvdd.successors.surrounded import DROCC

CLASSES: dict[str, tuple[type[Successor], dict[str, Any]]] = {
    "geom": (GEOM, {}),
    "geom-shifts": (GEOM, {"transformations": "rotations+shifts"}),
    "goad": (GOAD, {}),
    "drocc": (DROCC, {}),
    "drocc-random": (DROCC, {"n_steps": 0}),
}
EXPOSED = "hsc"
LATER_FORMS = f"{', '.join(CLASSES)} and hsc:DATASET (outliers of another data set)"


def later_method(method: str) -> tuple[str, str | None] | None:
    """Split ``hsc:fashion_mnist`` into name and data set of the outliers; else None.

    Examples
    --------
    >>> later_method("hsc:fashion_mnist")
    ('hsc', 'fashion_mnist')
    >>> later_method("geom")
    ('geom', None)
    >>> later_method("one-class") is None
    True
    """
    if method in CLASSES:
        return method, None
    found = re.fullmatch(rf"{EXPOSED}:(\w+)", method)
    return (EXPOSED, found[1]) if found else None


def kind_of_method(method: str) -> str:
    """Name the class of a later method, by which recipes know it."""
    return CLASSES[method][0].kind if method in CLASSES else HSC.kind


def check_outliers(method: str, own: Dataset, outliers: Dataset) -> None:
    """Refuse outliers of another shape, or of the data set itself.

    Raises
    ------
    ValueError
        Naming the method.
    """
    shape, given = own.x_train.shape[1:], outliers.x_train.shape[1:]
    if outliers.name == own.name or shape != given:
        raise ValueError(
            f"method must take its outliers from another data set with images of shape "
            f"{shape} for {own.name}; got {method!r}, of shape {given}"
        )


def run_later(
    method: str,
    split: Split,
    outliers: NDArray[Any] | None,
    recipe: Recipe,
    *,
    seed: int,
    network: str,
    preprocessing: str,
    precision: str,
    device: str,
) -> tuple[Line, NDArray[np.float32]]:
    """Train and test one detector, and the same before any training.

    Parameters
    ----------
    method : str
        As for :func:`later_method`.
    split : Split
    outliers : array of shape (k, c, h, w), optional
        To learn from, with "hsc:NAME" alone; as many as there are normal images are
        drawn by the seed.
    recipe : Recipe
        Its ``training`` counts.
    seed, network, preprocessing, precision, device
        Of the estimator.

    Returns
    -------
    line : dict
        AUC, average precision, the untrained AUC, seconds; of DROCC, the radius by its
        rule; of GEOM, the AUC of a kernel density on its network's features.
    scores : ndarray of shape (m,)
        Of the test images, as ensembles average them: ‖φ(x) − c‖ in units of its mean
        over the training data.
    """
    cls, more = CLASSES.get(method, (HSC, {}))
    common: dict[str, Any] = {"network": network, "preprocessing": preprocessing}
    common |= {"random_state": seed, "precision": precision, "device": device} | more
    x, y = split.x_train, None
    if outliers is not None:
        rows = np.random.default_rng(seed).permutation(len(outliers))[: len(x)]
        y = np.repeat([0, -1], [len(x), len(rows)])
        x = np.concatenate([x, outliers[rows]])
    # Without a step, but with what is measured on the data, as GOAD's centers.
    control = cls(recipe=shortened(recipe, 0, 0), **common).fit(x, y)
    untrained = roc_auc(split.y_test, control.anomaly_score(split.x_test))
    detector, seconds = timed(cls(recipe=recipe, **common).fit, x, y)
    scores, test_seconds = timed(detector.anomaly_score, split.x_test)
    (member,) = detector.members_
    line: Line = quality_of(split, scores) | {
        "untrained_auc": untrained,
        "epochs": [0, recipe.training.n_epochs],
        "pretrain_seconds": 0.0,
        "train_seconds": seconds,
        "test_seconds": test_seconds,
        "radius": float(getattr(detector, "radius_", 0.0)),
        "collapsed": member.collapsed,
    }
    if isinstance(detector, GEOM):
        line["density_auc"] = density_auc(detector, split)
    if outliers is not None:
        line["n_labeled"] = len(x) - len(split.x_train)
    return line, (np.sqrt(scores) / member.mean_distance).astype(np.float32)


def density_auc(detector: GEOM, split: Split) -> float:
    """Evaluate the kernel density on the features of a network that knows rotations."""
    (member,) = detector.members_
    other = FrozenFeatures(
        member.encoder.encoder,  # type: ignore[arg-type]
        layer="output",
        score="density",
        preprocessing=detector.preprocessor_.method,
        device=detector.device,
    )
    scores = other.fit(split.x_train).anomaly_score(split.x_test)
    return roc_auc(split.y_test, scores)
