"""``GEOM``: a classifier of transformations, whose doubt is the anomaly score."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core.input_checks import is_one_of
from deepsvdd.core.objectives import one_class_loss
from deepsvdd.core.recipes import Recipe, Variant, require
from deepsvdd.core.training import Objective
from deepsvdd.successors.bank import Bank, KeepsFeatures, in_order
from deepsvdd.successors.base import LEAST, Transforming, root
from deepsvdd.successors.transformations import Geometric, Linear

CRITERIA = ("likelihood", "density", "both")


class Recognizer(nn.Module):
    """φ(x)_t = √(−log p(t | T_t x)): how badly each transformation is recognized.

    Its squared length is the sum of the cross-entropies, so that the one-class loss
    around the origin *is* the loss of the classifier.

    Parameters
    ----------
    encoder : Module
        Maps samples (b, ...) to vectors (b, d).
    width : int
        Their length d.
    transformations : Geometric or Linear
        K of them.
    criterion : {"likelihood", "density", "both"}
        After training: φ as above; √(−log p(f(x))), with the kernel density of the
        features f; or both, either in units of its mean length over the training data.
    """

    units: Tensor

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        transformations: Geometric | Linear,
        criterion: str = "likelihood",
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.transformations = transformations
        self.head = nn.Linear(width, len(transformations))
        self.criterion = criterion
        if criterion != "likelihood":
            self.bank = Bank(width, "density")
            self.register_buffer("units", torch.ones(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to (b, K); after training, as `criterion` says."""
        views = self.transformations(x)  # (b, K, ...)
        f = self.encoder(views.flatten(0, 1))  # (b · K, d)
        logits = self.head(f).to(self.head.weight.dtype)  # not bfloat16: as all losses
        doubts = -F.log_softmax(logits, dim=-1).unflatten(0, views.shape[:2])
        own = root(doubts.diagonal(dim1=-2, dim2=-1))
        if self.training or self.criterion == "likelihood":
            return own
        rare = self.bank(f.unflatten(0, views.shape[:2])[:, 0])  # (b, 1), of T_1 x
        if self.criterion == "density":
            return rare
        return torch.cat([own / self.units[0], rare / self.units[1]], dim=1)

    def features(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to the features of their first transformation (b, d)."""
        return self.encoder(self.transformations(x)[:, 0])

    def measure(self, feed: Feed) -> None:
        """Keep the features of the training data, and the mean lengths of both."""
        if self.criterion == "likelihood":
            return
        self.eval()
        self.bank.keep(in_order(self.features, feed))
        self.units = torch.ones_like(self.units)
        if self.criterion == "both":
            z = in_order(self, feed)
            lengths = torch.stack([z[:, :-1].norm(dim=1), z[:, -1]])
            self.units = lengths.double().mean(dim=1).clamp(min=LEAST).to(self.units)


def geom_loss(
    network: nn.Module, batch: Tensor, c: Tensor, label: Any, weight: Tensor | None
) -> Tensor:
    """Cross-entropy of the transformations, summed over them, mean over the batch."""
    # Not from c, which is as long as φ(x) after training: the origin of either.
    return one_class_loss(network(batch).square().sum(dim=-1), weight)


class GEOM(KeepsFeatures, Transforming):
    """Recognize how a sample was transformed (Golan and El-Yaniv, NeurIPS 2018).

    A classifier learns to tell the rotations of normal images apart. Images of
    something else, which it has never seen upright, it cannot turn back as surely: the
    score is the sum of −log p(t | T_t x) over the transformations t.

    It assumes that normal samples look different when transformed. A round thing, or
    one that is its own mirror image upside down, gives it nothing to learn.

    Parameters
    ----------
    network : str or Module, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`, like all parameters below but the
        next two.
    transformations : str, default="auto"
        For images "rotations" (by 0°, 90°, 180°, 270°), "rotations+shifts" (20) or
        "rotations+flips" (8); for vectors "linear" (16 random maps).
    criterion : {"likelihood", "density", "both"}, default="likelihood"
        "density" is −log of the kernel density of the network's features, which tells
        something where a transformation changes nothing, of the digit 0 for example;
        "both" the sum of the two, each in units of its mean over the training data.
    recipe : str or Recipe, default="fast"
        Training settings; only its ``training`` is of use.
    widths : sequence of int, optional
    n_members : int, default=1
    preprocessing : str, default="auto"
    contamination : float in (0, 0.5], default=0.1
    threshold : float, optional
    warm_start : bool, default=False
    device : str, default="auto"
    precision : {"float32", "bf16"}, default="float32"
    checkpoint_dir : path-like, optional
    checkpoint_every : int, default=10
    n_workers : int, default=2
    random_state : int, RandomState or None, default=None
    verbose : bool, default=False

    Attributes
    ----------
    members_, preprocessor_, threshold_, input_shape_, network_, recipe_, \
    n_features_in_, feature_names_in_
        As of :class:`~deepsvdd.DeepSVDD`.

    Notes
    -----
    The paper's simple score, without the Dirichlet model of the class probabilities,
    averages p(t | T_t x) itself; here it is −log p, as of GOAD, so that loss and score
    are one. The networks are LeNets, not wide residual networks, and the
    transformations fewer.

    References
    ----------
    Golan and El-Yaniv, "Deep anomaly detection using geometric transformations",
    NeurIPS 2018, arXiv 1805.10917. The density: Sohn et al., "Learning and evaluating
    representations for deep one-class classification", ICLR 2021, arXiv 2011.02578.
    """

    kind = "GEOM"
    objective = Objective("GEOM", geom_loss)
    layers = Recognizer
    of_layers = ("criterion",)

    def __init__(
        self,
        network: str | nn.Module = "auto",
        transformations: str = "auto",
        criterion: str = "likelihood",
        recipe: str | Recipe | Variant = "fast",
        *,
        widths: Sequence[int] | None = None,
        n_members: int = 1,
        preprocessing: str = "auto",
        contamination: float = 0.1,
        threshold: float | None = None,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "float32",
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_every: int = 10,
        n_workers: int = 2,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            network,
            transformations,
            recipe,
            widths=widths,
            n_members=n_members,
            preprocessing=preprocessing,
            contamination=contamination,
            threshold=threshold,
            warm_start=warm_start,
            device=device,
            precision=precision,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            n_workers=n_workers,
            random_state=random_state,
            verbose=verbose,
        )
        self.criterion = criterion

    def check_own(self) -> None:
        """Check the criterion's name, too."""
        super().check_own()
        require(
            "criterion", is_one_of(self.criterion, CRITERIA), f"one of {CRITERIA}", self
        )
