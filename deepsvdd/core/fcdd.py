"""``FCDD``: Deep SVDD whose representation is a map of where an image is odd."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core.explained import METHODS
from deepsvdd.core.fcn import enlarged
from deepsvdd.core.input_checks import Samples
from deepsvdd.core.networks import MAP_NETWORK
from deepsvdd.core.objectives import pseudo_huber
from deepsvdd.core.outliers import LearnsFromOutliers
from deepsvdd.core.recipes import Recipe
from deepsvdd.core.representations import represent
from deepsvdd.core.training import MAPS


class FCDD(LearnsFromOutliers):
    """Fully convolutional data description (Liznerski et al., ICLR 2021).

    Its network has convolutions and pooling only. The representation φ(x) is a small
    map of the image, and A(x) = √((φ(x) − c)² + 1) − 1, number by number, says how odd
    each place is. The mean of A(x) is the anomaly score a(x): the explanation *is* the
    score, not a second guess at it.

    It learns from outliers. The loss is the mean of a(x) over samples that may be
    normal, and of −log(1 − exp(−a(x))) over outliers
    (:func:`deepsvdd.core.objectives.fcdd_loss`). By default these are made of the
    training images by confetti, rectangles of any shade; others, known anomalies or
    images of something else, are named by ``y``.

    Parameters
    ----------
    outliers : {"confetti", "known"}, default="confetti"
        "confetti" adds as many synthetic outliers as there are samples that may be
        normal to the known ones, if there are any; "known" takes those of ``y`` alone.
    recipe : str or Recipe, default="fast"
        Training settings, of which those of pretraining are of no use; epochs are as
        for the images without the outliers.
    n_members : int, default=1
        Train that many networks, and average their normalized scores and maps.
    preprocessing : str, default="auto"
        "gcn_l1", "gcn_l2", "minmax" or "none".
    contamination : float in (0, 0.5], default=0.1
        Fraction of the training data, without outliers, to lie beyond the threshold of
        :meth:`predict`.
    threshold : float, optional
        Anomaly score above which a sample is an outlier; overrides contamination.
    warm_start : bool, default=False
        Go on from the networks of the previous ``fit``, and their centers.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", …
    precision : {"float32", "bf16"}, default="float32"
        Of the convolutions in training.
    checkpoint_dir : path-like, optional
        Folder for checkpoints.
    checkpoint_every : int, default=10
        Epochs between two checkpoints.
    n_workers : int, default=2
        Processes that read images, where they are streamed.
    random_state : int, RandomState or None, default=None
        Seeds weights, sample order and confetti.
    verbose : bool, default=False
        Show progress bars, if standard error is a terminal.

    Attributes
    ----------
    label_counts_ : dict of str to int
        How many samples were "normal", "anomaly" and "unlabeled", without confetti.
    typical_, members_, preprocessor_, threshold_, input_shape_, network_, recipe_, \
    n_features_in_
        As of :class:`~deepsvdd.DeepSVDD`.

    Notes
    -----
    What differs from the paper: the network has no bias terms, and the center c is the
    mean of the first maps, over samples and places, and stays; in the paper it is the
    last layer's bias, and learned. The network is a LeNet's, not a pretrained VGG's
    beginning. Synthetic outliers are drawn once, not anew in every epoch.

    References
    ----------
    Liznerski et al., "Explainable Deep One-Class Classification", ICLR 2021, arXiv
    2007.01760.

    Examples
    --------
    >>> from deepsvdd import FCDD, load_dataset, one_vs_rest
    >>> threes = one_vs_rest(load_dataset("mnist"), normal_class=3)
    >>> detector = FCDD(random_state=0).fit(threes.x_train)  # doctest: +SKIP
    >>> detector.explain(threes.x_test[:5]).shape  # doctest: +SKIP
    (5, 28, 28)
    """

    kind = "FCDD"
    required = ("network", "outliers", "recipe")
    networks = (MAP_NETWORK,)
    network = MAP_NETWORK
    widths = None  # those of the network
    objective = MAPS
    explanations = (*METHODS, "map")

    def __init__(
        self,
        outliers: str = "confetti",
        recipe: str | Recipe = "fast",
        *,
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
        self.outliers = outliers
        self.recipe = recipe
        self.n_members = n_members
        self.preprocessing = preprocessing
        self.contamination = contamination
        self.threshold = threshold
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.n_workers = n_workers
        self.random_state = random_state
        self.verbose = verbose

    @usual_modes()
    def score_map(self, X: Samples) -> NDArray[np.floating]:
        """Return the maps A(x) that the scores are the means of, shape (n, u, v).

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``, as in :meth:`fit`

        Returns
        -------
        ndarray of shape (n, u, v)
            (7, 7) for 28×28 pixels: a number for every four pixels, or eight of images
            of more than 64. Of several networks the mean of their maps, each divided by
            the square of its mean root score over the training data.
        """
        check_is_fitted(self)
        batches = self._preprocessed(self._samples(X, reset=False))
        return torch.cat([self._maps(x) for x in batches]).cpu().numpy()

    def _maps(self, x: Tensor) -> Tensor:
        """Compute the maps (b, u, v) of a preprocessed batch."""
        maps = []
        for member in self.members_:
            odd = pseudo_huber(represent(member.encoder, x), member.center)
            grid: Any = member.encoder.grid
            unit = member.mean_distance**2 if len(self.members_) > 1 else 1.0
            maps.append(odd.view(-1, *grid) / unit)
        return torch.stack(maps).mean(dim=0)

    def _explained(
        self,
        x: Tensor,
        method: str,
        baseline: Tensor | None,
        window: int,
        signed: bool,
    ) -> Tensor:
        if method == "map":
            return enlarged(self._maps(x), self.input_shape_[1:])
        return super()._explained(x, method, baseline, window, signed)

    @classmethod
    def with_parameters(cls, parameters: Mapping[str, Any]) -> FCDD:
        """Make one with the parameters of a model file, which names the network."""
        return cls(**{k: v for k, v in parameters.items() if k != "network"})
