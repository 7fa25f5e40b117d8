"""``DeepSAD``: Deep SVDD that learns from a few labels, too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import nn

from deepsvdd.core.detector import Detector
from deepsvdd.core.input_checks import Samples
from deepsvdd.core.known import (
    LABEL_WEIGHTS,
    Known,
    is_label_weight,
    weight_of_label,
)
from deepsvdd.core.recipes import Recipe, Variant, is_number, require


class DeepSAD(Detector):
    """Deep semi-supervised anomaly detection (Ruff et al., ICLR 2020).

    :class:`~deepsvdd.DeepSVDD` with the one-class objective, and labels for some of the
    training data: known normal samples are pulled to the center like the others, known
    anomalies are pushed away from it. Most samples may be without a label; they should
    be normal, as those of Deep SVDD. Without any label it *is* Deep SVDD, to the bit.

    The loss is the mean over all training samples of ‖φ(x) − c‖² for an unlabeled one,
    η ‖φ(x) − c‖² for a known normal one, and η / (‖φ(x) − c‖² + ε) for a known anomaly
    (:func:`deepsvdd.core.objectives.deep_sad_loss`). Known anomalies have no part in
    anything else: extrema, pretraining, center, the unit of ensemble scores and
    threshold are those of the other samples. The authors' code pretrains on known
    anomalies, and averages them into the center, as well.

    Parameters
    ----------
    network : str or Module, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`, like all parameters below but ``eta``,
        ``eps`` and ``contamination``.
    eta : float or "balanced", default=1.0
        η: how much a labeled sample counts beside an unlabeled one. Above 1, labels
        count more. The paper takes 1 throughout. "balanced": all labeled samples
        together count as much as all unlabeled ones (unlabeled / labeled).
    eps : float, default=1e-6
        ε: keeps the loss of an anomaly on the center finite; that of the authors' code.
    recipe : str or Recipe, default="fast"
        Training settings.
    widths : sequence of int, optional
        Sizes of the network's layers.
    pretrain : bool, default=True
        Pretrain φ as the encoder of an autoencoder.
    n_members : int, default=1
        Train that many networks, and average their normalized distances.
    preprocessing : str, default="auto"
        "gcn_l1", "gcn_l2", "minmax", "standard" or "none".
    contamination : float in (0, 0.5], default=0.1
        Fraction of the training data, without known anomalies, to lie beyond the
        threshold of :meth:`predict`.
    threshold : float, optional
        Anomaly score above which a sample is an outlier; overrides contamination.
    allow_collapse : bool, default=False
        Accept networks that the paper's propositions forbid.
    warm_start : bool, default=False
        Go on from the networks of the previous ``fit``.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", …
    precision : {"float32", "bf16"}, default="float32"
        Of the convolutions and matrix products in training.
    checkpoint_dir : path-like, optional
        Folder for checkpoints.
    checkpoint_every : int, default=10
        Epochs between two checkpoints.
    n_workers : int, default=2
        Processes that read images, where they are streamed.
    random_state : int, RandomState or None, default=None
        Seeds weights and sample order.
    verbose : bool, default=False
        Show progress bars, if standard error is a terminal.

    Attributes
    ----------
    label_counts_ : dict of str to int
        How many samples were "normal", "anomaly" and "unlabeled".
    eta_ : float
        η as a number.
    members_, preprocessor_, threshold_, input_shape_, network_, recipe_, \
    n_features_in_, feature_names_in_
        As of :class:`~deepsvdd.DeepSVDD`.

    Notes
    -----
    A class of its own, and no ``objective`` of :class:`~deepsvdd.DeepSVDD`, because
    scikit-learn's users expect ``y`` to be ignored by an estimator that learns without
    labels: a column of classes that is passed along in a pipeline must not change what
    Deep SVDD learns. Here ``y`` is what the estimator is for, and anything in it but
    these labels is refused.

    References
    ----------
    Ruff et al., "Deep Semi-Supervised Anomaly Detection", ICLR 2020, arXiv 1906.02694.

    Examples
    --------
    >>> import numpy as np
    >>> from deepsvdd import DeepSAD
    >>> X = np.random.default_rng(0).normal(size=(200, 4))
    >>> X[:5] += 4  # known anomalies
    >>> y = np.zeros(200)
    >>> y[:5] = -1
    >>> detector = DeepSAD(random_state=0).fit(X, y)
    >>> detector.label_counts_
    {'normal': 0, 'anomaly': 5, 'unlabeled': 195}
    """

    kind = "DeepSAD"
    required = ("network", "eta", "eps", "recipe")

    def __init__(
        self,
        network: str | nn.Module = "auto",
        eta: float | str = 1.0,
        eps: float = 1e-6,
        recipe: str | Recipe | Variant = "fast",
        *,
        widths: Sequence[int] | None = None,
        pretrain: bool = True,
        n_members: int = 1,
        preprocessing: str = "auto",
        contamination: float = 0.1,
        threshold: float | None = None,
        allow_collapse: bool = False,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "float32",
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_every: int = 10,
        n_workers: int = 2,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.network = network
        self.eta = eta
        self.eps = eps
        self.recipe = recipe
        self.widths = widths
        self.pretrain = pretrain
        self.n_members = n_members
        self.preprocessing = preprocessing
        self.contamination = contamination
        self.threshold = threshold
        self.allow_collapse = allow_collapse
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.n_workers = n_workers
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self,
        X: Samples,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> DeepSAD:
        """Train on data of which some are labeled.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``
            As for :meth:`deepsvdd.DeepSVDD.fit`, with known anomalies among it.
        y : array of shape (n,), optional
            +1 known normal, −1 known anomaly, 0 unlabeled. None: all unlabeled.
        sample_weight : array of shape (n,), optional
            As for :meth:`deepsvdd.DeepSVDD.fit`.

        Returns
        -------
        DeepSAD
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter or the data is unusable, if ``y`` has another length or holds
            anything else, or if fewer than two samples are no known anomalies.
        ArchitectureError
            If the paper's propositions forbid the network.
        TrainingDivergedError
            If the loss becomes NaN or infinite.
        """
        return self._fit_whole(X, y, sample_weight)

    def fit_predict(
        self, X: Samples, y: ArrayLike | None = None, **kwargs: Any
    ) -> NDArray[np.int64]:
        """Train on labeled data, and label it: +1 normal, −1 outlier, shape (n,).

        scikit-learn's own version would not pass the labels on to :meth:`fit`.
        """
        return self.fit(X, y, **kwargs).predict(X)

    def check_own(self) -> None:
        """Check η and ε."""
        require("eta", is_label_weight(self.eta), LABEL_WEIGHTS, self)
        valid = is_number(self.eps) and 0 < self.eps < math.inf
        require("eps", valid, "a positive number", self)

    def _note(self, known: Known, n: int) -> None:
        self.label_counts_ = known.counts_by_name(n)

    @property
    def eta_(self) -> float:
        """η of the last fit as a number, also if it was to be "balanced"."""
        counts = self.label_counts_
        n_labeled = counts["normal"] + counts["anomaly"]
        return weight_of_label(self.eta, n_labeled, counts["unlabeled"])
