"""A few labeled anomalies: Deep SAD, and a classifier trained on the same labels.

The anomalies are training images of one other class, which the seed chooses. All test
images are scored, and the normal ones compared with those of the labeled class, which
is *seen*, with all other anomalies, which are not, and with both together.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core._engine.isolation import drawn_from
from deepsvdd.core.known import weight_of_label
from deepsvdd.core.layers import vector_norms
from deepsvdd.core.loop import History, optimise
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import Recipe
from deepsvdd.core.representations import represent
from deepsvdd.core.training import (
    Hypersphere,
    settle_all,
    train_hyperspheres,
)
from deepsvdd.datasets import Dataset, Split
from deepsvdd.reproduction.results import Line

KINDS = ("deep-sad", "classifier")
MOST = 999  # labeled anomalies
FORMS = f"deep-sad:K (0 to {MOST} labeled anomalies) and classifier:K (from 1 on)"


def labeled_method(method: str) -> tuple[str, int] | None:
    """Split ``deep-sad:5`` into its kind and its number of labels; else None.

    Examples
    --------
    >>> labeled_method("deep-sad:5")
    ('deep-sad', 5)
    >>> labeled_method("classifier:0") is None  # nothing to tell apart
    True
    """
    found = re.fullmatch(rf"({'|'.join(KINDS)}):(0|[1-9]\d{{0,2}})", method)
    if not found:
        return None
    kind, count = found[1], int(found[2])
    return None if kind == "classifier" and count == 0 else (kind, count)


@dataclass(frozen=True, eq=False)
class LabeledClass:
    """The class whose images are labeled anomalies.

    Attributes
    ----------
    index : int
        Of the class.
    images : array of shape (k, c, h, w)
        Its training images in the order in which they are labeled: with few labels the
        first ones, with more the same and others.
    seen : bool array of shape (m,)
        Which test images are of it.
    """

    index: int
    images: NDArray[Any]
    seen: NDArray[np.bool_]


def labeled_class(dataset: Dataset, normal_class: int, seed: int) -> LabeledClass:
    """Choose the class to label by the seed, and the order of its images.

    Over seeds 0, 1, … it is the class after the normal one, the one after that, and so
    on around: over all normal classes, each is labeled equally often.
    """
    classes = np.unique(dataset.y_train)
    others = [c for c in classes if c > normal_class]
    others += [c for c in classes if c < normal_class]
    index = int(others[seed % len(others)])
    rows = np.flatnonzero(dataset.y_train == index)
    order = np.random.default_rng(seed).permutation(len(rows))
    images = dataset.x_train[rows[order][:MOST]]
    return LabeledClass(index, images, dataset.y_test == index)


def check_labels_exist(dataset: Dataset, methods: Sequence[str]) -> None:
    """Refuse more labels than the smallest class has images.

    Raises
    ------
    ValueError
        Naming the method.
    """
    least = int(np.unique(dataset.y_train, return_counts=True)[1].min())
    for method in methods:
        named = labeled_method(method)
        if named and named[1] > least:
            raise ValueError(
                f"method must label at most {least} images, those of the smallest "
                f"class of {dataset.name}; got {method!r}"
            )


def joined(x: Tensor, anomalies: Tensor) -> tuple[Tensor, Tensor | None]:
    """Put labeled anomalies (k, ...) behind x (n, ...); return labels (n + k,) too."""
    if not len(anomalies):
        return x, None
    labels = torch.cat([torch.zeros(len(x)), -torch.ones(len(anomalies))])
    return torch.cat([x, anomalies]), labels.to(x.device)


def train_deep_sad(
    encoders: Sequence[nn.Module],
    x: Tensor,
    anomalies: Tensor,
    recipe: Recipe,
    *,
    eta: float | str,
    seeds: Sequence[int],
    precision: str,
) -> list[Hypersphere]:
    """Train Deep SAD on unlabeled images (n, ...) and known anomalies (k, ...)."""
    data, labels = joined(x, anomalies)
    return train_hyperspheres(
        encoders,
        InMemory(data),
        recipe,
        labels=labels,
        eta=weight_of_label(eta, len(anomalies), len(x)),
        seeds=seeds,
        precision=precision,
    )


@dataclass(frozen=True, eq=False)
class ClassifierRun:
    """A trained classifier: its network and how it was trained."""

    network: nn.Module
    history: History

    def scores(self, x: Tensor) -> Tensor:
        """Return the logit of "anomaly" of each image: (m,)."""
        return represent(self.network, x)[:, 0]


def train_classifier(
    encoder: nn.Module,
    x: Tensor,
    anomalies: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    precision: str,
) -> ClassifierRun:
    """Train the same network, with a linear head, to tell known anomalies from others.

    Cross-entropy, with the few anomalies as heavy as all the others together; the same
    pretraining, epochs, batches and rates as Deep SAD.

    Parameters
    ----------
    encoder : Module
        Pretrained; trained in place.
    x, anomalies : Tensors of shape (n, ...) and (k, ...), k ≥ 1
    recipe : Recipe
        Its ``training`` phase.
    seed : int
        Of the head and of the order of the samples.
    precision : {"float32", "bf16"}
    """
    with torch.no_grad():
        width = represent(encoder, x[:2]).shape[1]
    with drawn_from(seed):
        head = nn.Linear(width, 1)
    network = nn.Sequential(encoder, head.to(x.device))
    data, labels = joined(x, anomalies)
    assert labels is not None
    balance = torch.tensor(len(x) / len(anomalies), device=x.device)

    def loss(batch: Tensor, label: Tensor) -> Tensor:
        logits = network(batch)[:, 0].float()
        return F.binary_cross_entropy_with_logits(
            logits, (label < 0).float(), pos_weight=balance
        )

    (history,) = optimise(
        network,
        loss,
        InMemory(data),
        recipe.training,
        seeds=seed,
        title="classifier",
        precision=precision,
        beside=(labels,),
    )
    if vector_norms(encoder):
        settle_all([encoder], InMemory(x))
    return ClassifierRun(network.eval(), history)


def quality_by_class(split: Split, labeled: LabeledClass, scores: NDArray[Any]) -> Line:
    """Evaluate scores (m,) against the labeled class, and against all other anomalies.

    The second is missing where there is none.
    """
    line: Line = {}
    anomalous = split.y_test == 1
    for name, chosen in (("seen", labeled.seen), ("unseen", ~labeled.seen)):
        rows = ~anomalous | chosen
        if (anomalous & chosen).any():
            line[f"{name}_auc"] = roc_auc(split.y_test[rows], scores[rows])
    return line
