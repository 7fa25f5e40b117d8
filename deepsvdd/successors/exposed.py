"""``HSC``: the hypersphere classifier, which learns from outliers of another kind."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike

import numpy as np
from torch import Tensor, nn

from deepsvdd.core.objectives import fcdd_loss, huber_of, squared_distances
from deepsvdd.core.outliers import LearnsFromOutliers
from deepsvdd.core.recipes import Recipe, Variant
from deepsvdd.core.training import Objective
from deepsvdd.successors.base import Successor


def hsc_loss(
    network: nn.Module, batch: Tensor, c: Tensor, label: Tensor, weight: Tensor | None
) -> Tensor:
    """Pull normal samples to the center, push outliers away from it.

    The mean of h for a sample that may be normal, −log(1 − exp(−h)) for an outlier,
    with h(x) = √(‖φ(x) − c‖² + 1) − 1: the cross-entropy of a classifier whose
    probability of "normal" is exp(−h).
    """
    h = huber_of(squared_distances(network(batch), c))
    return fcdd_loss(h, label, weight)


class HSC(LearnsFromOutliers, Successor):
    """Hypersphere classifier, trained with outlier exposure (Ruff et al., 2021).

    Deep SVDD's sphere, with a loss that knows two sides: normal samples are pulled to
    the center, outliers pushed away. Outliers are no anomalies: they are images of
    anything else, of which there are many, so that the network learns what normal
    samples have that others have not. What it reports is worth as much as the outliers
    are near to the anomalies that will come.

    Parameters
    ----------
    network : str or Module, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`, like all parameters below but ``outliers``.
    outliers : {"known", "confetti"}, default="known"
        "known": those that ``y`` names by −1, for example images of another data set;
        "confetti" adds as many synthetic ones as there are samples that may be normal,
        as for :class:`~deepsvdd.FCDD`; for images only.
    recipe : str or Recipe, default="fast"
        Training settings; only its ``training`` is of use.
    widths : sequence of int, optional
    n_members : int, default=1
    preprocessing : str, default="auto"
    contamination : float in (0, 0.5], default=0.1
        Fraction of the training data, without outliers, to lie beyond the threshold of
        :meth:`predict`.
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
    label_counts_ : dict of str to int
        How many samples were "normal", "anomaly" and "unlabeled", without confetti.
    members_, preprocessor_, threshold_, input_shape_, network_, recipe_, \
    n_features_in_, feature_names_in_
        As of :class:`~deepsvdd.DeepSVDD`.

    Notes
    -----
    The score is ‖φ(x) − c‖², which orders samples as h does. The center is the mean
    representation before training, as Deep SVDD's; the paper's is the origin of a
    network with bias terms. Outliers have no part in preprocessing, center and
    threshold.

    References
    ----------
    Ruff et al., "Rethinking assumptions in deep anomaly detection", ICML 2021 workshop,
    arXiv 2006.00339, Equation 3; Hendrycks et al., "Deep anomaly detection with outlier
    exposure", ICLR 2019.
    """

    kind = "HSC"
    required = ("network", "outliers", "recipe")
    objective = Objective("HSC", hsc_loss, learns_from_outliers=True)
    at_origin = False

    def __init__(
        self,
        network: str | nn.Module = "auto",
        outliers: str = "known",
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
        Successor.__init__(
            self,
            network,
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
        self.outliers = outliers

    def check_own(self) -> None:
        """Check where outliers come from, and the recipe's name."""
        LearnsFromOutliers.check_own(self)
        Successor.check_own(self)
