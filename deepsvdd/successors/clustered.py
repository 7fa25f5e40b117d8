"""``GOAD``: one cluster a transformation, and the distances to all their centers."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core.moments import Moments
from deepsvdd.core.objectives import mean_of
from deepsvdd.core.training import Objective
from deepsvdd.successors.base import Transforming, root
from deepsvdd.successors.transformations import Geometric, Linear

MARGIN = 1.0  # s of the paper
MEASURED = 250  # samples at a time
SMOOTHING = 1e-3  # ε: what an unlikely transformation is given of probability


class Clusters(nn.Module):
    """φ(x)_t = √(−log P(t | T_t x)), P from distances to a center a transformation.

    In training it returns all squared distances ‖f(T_t x) − c_m‖², (b, K · K), to the
    centers of the batch itself, as batch normalization takes the batch's mean.

    Parameters
    ----------
    encoder : Module
        f, maps samples (b, ...) to vectors (b, d).
    width : int
        Their length d.
    transformations : Geometric or Linear
        K of them.
    """

    transformations: Geometric | Linear
    centers: Tensor

    def __init__(
        self, encoder: nn.Module, width: int, transformations: Geometric | Linear
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.transformations = transformations
        self.register_buffer("centers", torch.zeros(len(transformations), width))

    def features(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to their transformed features (b, K, d)."""
        views = self.transformations(x)
        f = self.encoder(views.flatten(0, 1)).to(self.centers.dtype)  # not bfloat16
        return f.unflatten(0, views.shape[:2])

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to (b, K), in training to (b, K · K)."""
        f = self.features(x)
        centers = f.mean(dim=0) if self.training else self.centers  # (K, d)
        d2 = (f.unsqueeze(2) - centers).square().sum(dim=-1)  # (b, K, K)
        if self.training:
            return d2.flatten(1)
        k = len(self.transformations)
        likely = torch.softmax(-d2, dim=-1)
        smoothed = (likely + SMOOTHING) / (1 + k * SMOOTHING)
        return root(-smoothed.diagonal(dim1=1, dim2=2).log())

    @torch.no_grad()
    def measure(self, feed: Feed) -> None:
        """Set the centers to the mean features of the training data."""
        self.eval()
        moments = Moments()  # of all processes
        for batch in feed.in_order(MEASURED):
            moments.add(self.features(batch).flatten(1))
        mean, _ = moments.finish(len(feed))
        self.centers.copy_(mean.view_as(self.centers))


def goad_loss(
    network: nn.Module, batch: Tensor, c: Tensor, label: Any, weight: Tensor | None
) -> Tensor:
    """Triplet loss with centers: nearer to the own center than to any other, by s."""
    d2 = network(batch)
    k = round(d2.shape[-1] ** 0.5)
    d2 = d2.unflatten(-1, (k, k))  # (..., b, K, K)
    own = d2.diagonal(dim1=-2, dim2=-1)
    eye = torch.eye(k, dtype=torch.bool, device=d2.device)
    others = d2.masked_fill(eye, torch.inf).amin(dim=-1)
    return mean_of(F.relu(own + MARGIN - others).mean(dim=-1), weight)


class GOAD(Transforming):
    """Tell transformations apart by clusters (Bergman and Hoshen, ICLR 2020).

    The features of each transformation gather around a center of their own, far from
    the others'. A sample is anomalous where its transformations come to lie between
    the clusters: the score is the sum of −log P(t | T_t x), with P in proportion to
    exp(−‖f(T_t x) − c_m‖²).

    It is Deep SVDD with one sphere a transformation, and made for vectors too, where
    there is nothing to rotate: random linear maps stand for it.

    Parameters
    ----------
    network : str or Module, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`, like all parameters below but
        ``transformations``.
    transformations : str, default="auto"
        As for :class:`~deepsvdd.GEOM`.
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
    The center-triplet loss with s = 1. In training the centers are the batch's means;
    afterwards those of the training data, in both each sample counts once, whatever its
    weight. The paper's images go through a wide residual network with a cross-entropy
    beside the triplet loss, which is left out.

    ε = 0.001 is added to the probabilities, (P + ε) / (1 + K ε), and bounds the score.
    The paper's Equation 6 adds it to each exp(−‖f(T_t x) − c_m‖²) before they are
    divided by their sum, so that far from all centers all are alike. The loss knows
    only differences of squared distances, and leaves exp(−‖f(T_t x) − c_t‖²) below ε
    for many a normal sample: they would be alike, too.

    References
    ----------
    Bergman and Hoshen, "Classification-based anomaly detection for general data", ICLR
    2020, arXiv 2005.02359, Equations 3 to 6.
    """

    kind = "GOAD"
    objective = Objective("GOAD", goad_loss)
    layers = Clusters
