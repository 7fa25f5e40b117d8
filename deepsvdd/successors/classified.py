"""``GEOM``: a classifier of transformations, whose doubt is the anomaly score."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core.objectives import one_class_loss, squared_distances
from deepsvdd.core.training import Objective
from deepsvdd.successors.base import Transforming, root
from deepsvdd.successors.transformations import Geometric, Linear


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
    """

    def __init__(
        self, encoder: nn.Module, width: int, transformations: Geometric | Linear
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.transformations = transformations
        self.head = nn.Linear(width, len(transformations))

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to (b, K)."""
        views = self.transformations(x)  # (b, K, ...)
        logits = self.head(self.encoder(views.flatten(0, 1)))  # (b · K, K)
        logits = logits.to(self.head.weight.dtype)  # not bfloat16: as all losses
        doubts = -F.log_softmax(logits, dim=-1).unflatten(0, views.shape[:2])
        return root(doubts.diagonal(dim1=-2, dim2=-1))


def geom_loss(
    network: nn.Module, batch: Tensor, c: Tensor, label: Any, weight: Tensor | None
) -> Tensor:
    """Cross-entropy of the transformations, summed over them, mean over the batch."""
    return one_class_loss(squared_distances(network(batch), c), weight)


class GEOM(Transforming):
    """Recognize how a sample was transformed (Golan and El-Yaniv, NeurIPS 2018).

    A classifier learns to tell the rotations of normal images apart. Images of
    something else, which it has never seen upright, it cannot turn back as surely: the
    score is the sum of −log p(t | T_t x) over the transformations t.

    It assumes that normal samples look different when transformed. A round thing, or
    one that is its own mirror image upside down, gives it nothing to learn.

    Parameters
    ----------
    network : str or Module, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`, like all parameters below but
        ``transformations``.
    transformations : str, default="auto"
        For images "rotations" (by 0°, 90°, 180°, 270°), "rotations+shifts" (20) or
        "rotations+flips" (8); for vectors "linear" (16 random maps).
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
    NeurIPS 2018, arXiv 1805.10917.
    """

    kind = "GEOM"
    objective = Objective("GEOM", geom_loss)
    layers = Recognizer
