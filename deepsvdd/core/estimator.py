"""``DeepSVDD``: the method as a scikit-learn outlier detector."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core.detector import Detector
from deepsvdd.core.input_checks import Samples, is_one_of
from deepsvdd.core.known import NOTHING
from deepsvdd.core.model_file import rebuilt_member
from deepsvdd.core.model_tar import read_model_tar
from deepsvdd.core.recipes import Recipe, Variant, get_recipe, is_number, require
from deepsvdd.core.training import OBJECTIVES


class DeepSVDD(Detector):
    """Deep Support Vector Data Description (Ruff et al., ICML 2018).

    Learns a network φ that maps normal data close to a center c, and scores a sample
    by its squared distance from there. Train it on normal data: anomalies among it
    cost accuracy.

    In the book: sec-package (03-deep-svdd).

    Parameters
    ----------
    network : str or Module, default="auto"
        "mnist_LeNet", "cifar10_LeNet", "cifar10_LeNet_ELU", "gtsrb_LeNet" (images),
        "deep_LeNet" (images of more than 64 pixels a side, up to 256; ours, not the
        paper's), "cifar10_ResNet" (larger; ours), "mlp", "mlp_BN" (vectors), or "auto"
        to choose by the data's shape; or a module of your own that maps a batch to
        representations (n, d), an :class:`~deepsvdd.Autoencoder` if it is to be
        pretrained. Your module is copied, not changed.
    objective : {"one-class", "soft-boundary"}, default="one-class"
        Equation 4 or Equation 3 of the paper.
    nu : float in (0, 1], default=0.1
        ν: fraction of the training data that may lie outside the hypersphere
        (soft-boundary), and that ``contamination="auto"`` leaves outside.
    recipe : str or Recipe, default="fast"
        Training settings. "fast" takes seconds on a CPU; so does "quick" with
        ``n_members=3``, and is better; few samples get as many steps of both as
        thousands. "paper" is that of the authors' commands, and counts epochs. For
        images, "fast-dictionary" begins as the paper's code does, unlike its text; see
        chapter 11 of the book for what that changes. See :func:`deepsvdd.get_recipe`.
        Its settings have names, for :meth:`set_params` and grid searches:
        ``recipe__training__lr``, ``recipe__pretraining__n_epochs``, …
    widths : sequence of int, optional
        Sizes of the network's layers, if not its own: for vectors, of each layer,
        (64, 32); for images, output channels of each convolution, then the
        representation's dimension, a multiple of 16, (16, 8, 64). Not for a module of
        your own.
    pretrain : bool, default=True
        Pretrain φ as the encoder of an autoencoder.
    n_members : int, default=1
        Train that many networks, with seeds ``random_state``, ``random_state + 1``, …,
        and average their normalized distances. On a GPU they are trained all at once,
        on a CPU as many at a time as torch has threads, which they share: with more
        than one, the last digits of a member depend on the number of members.
    preprocessing : str, default="auto"
        "gcn_l1" (paper; "auto" for images), "gcn_l2", "minmax", "standard" ("auto" for
        vectors: every column's training data has mean 0 and standard deviation 1, but
        for its most extreme hundredth at either end, which is also clipped before
        training) or "none". What is measured comes from the training data.
    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of the training data to lie beyond the threshold of :meth:`predict`.
        "auto" means ν; the threshold of a single soft-boundary network is then R, up to
        the gap between R and the nearest training sample outside. Where none lies
        beyond, the threshold is a few float32 roundings above the largest training
        score, so that no label depends on the batch in which its sample is scored.
    threshold : float, optional
        Anomaly score above which a sample is an outlier; overrides contamination. Set
        by :meth:`set_params`, it takes effect at once.
    allow_collapse : bool, default=False
        Accept networks that the paper's propositions forbid.
    warm_start : bool, default=False
        Go on from the networks of the previous ``fit`` (or of a loaded model), with the
        extrema of that fit, whose scale they know. Without pretraining the center stays
        too, with pretraining it is computed anew. See the notes on new data.
    device : str, default="auto"
        "cpu", "cuda", "cuda:1", …; "auto" takes a GPU where there is one.
    precision : {"float32", "bf16"}, default="float32"
        Of the convolutions and matrix products in training; scores are always computed
        in full precision. bfloat16 is faster on GPUs, and on processors with
        instructions for it (AVX-512 BF16, AMX); others emulate it, far more slowly.
    checkpoint_dir : path-like, optional
        Folder for checkpoints. A ``fit`` that was killed, repeated with the same
        parameters and data, goes on from there, on one CPU to the very same bits. It
        needs a whole number as ``random_state``.
    checkpoint_every : int, default=10
        Epochs between two checkpoints.
    n_workers : int, default=2
        Processes that read images, where they are streamed. In a thread, and in a
        worker of a pool, none are started.
    random_state : int, RandomState or None, default=None
        Seeds weights and sample order: the same integer gives the same bits on one CPU
        with one number of threads, however many fits run beside. That number is torch's
        (``torch.set_num_threads``); beside other programs 1 may be fastest. Only layers
        of your own that draw while they train, as ``Dropout`` does, share torch's
        global generator with other threads.
    verbose : bool, default=False
        Show progress bars, if standard error is a terminal.

    Attributes
    ----------
    members_ : list of Hypersphere
        Trained networks with center, radius, and history.
    preprocessor_ : Preprocessor
        With the training data's extrema.
    threshold_ : float
        Anomaly score of the decision boundary; ``offset_`` is its negative.
    input_shape_ : tuple of int
        Shape of one sample, (c, h, w) or (d,).
    network_ : str
        Name of the network, "custom" for a module of your own.
    recipe_ : Recipe
        The settings used.
    n_features_in_ : int
        Numbers in one sample.
    feature_names_in_ : ndarray of str
        Names of the columns, where X was a table with names.

    Notes
    -----
    A scikit-learn ``Pipeline`` that ends in this estimator has no ``anomaly_score``;
    ``-pipeline.score_samples(X)`` is the same.

    There is no ``partial_fit``. To go on with new data, fit again on old and new
    together, as many of the old as can be kept, from where the detector stands::

        detector.set_params(warm_start=True, pretrain=False)
        detector.set_params(recipe__training__n_epochs=3)
        detector.fit(np.concatenate([old, new]))

    Preprocessing and center stay what they were; the threshold is found anew, as the
    network's scores have changed, and it is for the data of this fit: of new data alone
    it would flag what was normal before. A threshold that was set stays. Calibration is
    dropped: ``calibrate`` again, on samples of neither fit. Where new data have another
    scale than old ones, the extrema no longer suit them: fit anew, without warm start.

    References
    ----------
    Ruff et al., "Deep One-Class Classification", ICML 2018.

    Examples
    --------
    >>> from deepsvdd import DeepSVDD, load_dataset, one_vs_rest
    >>> threes = one_vs_rest(load_dataset("mnist"), normal_class=3)
    >>> detector = DeepSVDD(random_state=0).fit(threes.x_train)  # doctest: +SKIP
    >>> detector.anomaly_score(threes.x_test)  # doctest: +SKIP
    """

    kind = "DeepSVDD"
    required = ("network", "objective", "nu", "recipe")

    def __init__(
        self,
        network: str | nn.Module = "auto",
        objective: str = "one-class",
        nu: float = 0.1,
        recipe: str | Recipe | Variant = "fast",
        *,
        widths: Sequence[int] | None = None,
        pretrain: bool = True,
        n_members: int = 1,
        preprocessing: str = "auto",
        contamination: str | float = "auto",
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
        self.objective = objective
        self.nu = nu
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

    # ------------------------------------------------------------------ training

    def check_own(self) -> None:
        """Check objective and ν."""
        valid = is_one_of(self.objective, OBJECTIVES)
        require("objective", valid, OBJECTIVES, self)
        valid = is_number(self.nu) and 0 < self.nu <= 1
        require("nu", valid, "a number in (0, 1]", self)

    def fit(
        self, X: Samples, y: object = None, sample_weight: ArrayLike | None = None
    ) -> DeepSVDD:
        """Train on normal data.

        Under ``torchrun`` (within :func:`deepsvdd.process_group`) several processes
        train one network; each must call it with the same arguments.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``
            Images (n, h, w) or (n, c, h, w), or vectors (n, d), n ≥ 2; integers or
            floats of any scale, for images up to ±10¹⁵. Images in a map-style data set,
            such as :class:`deepsvdd.ImageFolder` or :class:`deepsvdd.ImageArray`, are
            streamed: read while training. So is a memory-mapped array of more than 2²⁸
            pixels; a smaller one is read whole.
        y : ignored
            For scikit-learn's conventions; :class:`~deepsvdd.DeepSAD` learns from it.
        sample_weight : array of shape (n,), optional
            Numbers from 0 on: how often each sample counts in losses, center, radius
            and threshold, beside the others. One of weight 0 might as well not be
            there. Extrema, and the statistics of "standard" and of batch normalization,
            count all others alike.

        Returns
        -------
        DeepSVDD
            The estimator itself.

        Raises
        ------
        ValueError
            If a parameter or the data is unusable; the message names it.
        ArchitectureError
            If the paper's propositions forbid the network.
        TrainingDivergedError
            If the loss becomes NaN or infinite.
        """
        return self._fit_whole(X, None, sample_weight)

    @classmethod
    @usual_modes()
    def from_model_tar(
        cls, path: str | PathLike[str], X: ArrayLike | Tensor, **parameters: Any
    ) -> DeepSVDD:
        """Read a ``model.tar`` of the authors' PyTorch repository.

        Parameters
        ----------
        path : path-like
            The file.
        X : array or Tensor of shape (n, h, w) or (n, c, h, w)
            The normal class's training images: that file lacks the extrema that scaling
            needs and the scores that a threshold needs.
        **parameters
            As for the class. ``network="cifar10_LeNet_ELU"`` must be said: the weights
            do not tell it from ``"cifar10_LeNet"``.

        Returns
        -------
        DeepSVDD
            Fitted.

        Raises
        ------
        FileNotFoundError, ModelFileError
            If there is no such file, or it is not such a file.
        """
        legacy = read_model_tar(path)
        soft = legacy["radius"] > 0
        defaults = {
            "network": legacy["network"],
            "objective": "soft-boundary" if soft else "one-class",
        }
        model = cls(**(defaults | parameters))
        model.check_parameters()
        samples = model._samples(X, reset=True)
        model.network_ = model._network_name()
        model.recipe_ = get_recipe("paper", model.network_)
        model._measure(samples, NOTHING)
        member = rebuilt_member(
            model.network if model.network_ == "custom" else model.network_,
            model.input_shape_,
            resolve_device(model.device),
            path=path,
            widths=model.widths,
            encoder_state=legacy["encoder"],
            center=legacy["center"],
            radius=legacy["radius"],
            named=cls.named,
        )
        model.members_ = [member]
        d2 = [member.squared_distances(x) for x in model._preprocessed(samples)]
        member.mean_distance = torch.cat(d2).sqrt().mean().item()
        model._set_threshold(samples, NOTHING)
        return model
