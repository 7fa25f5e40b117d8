"""``DeepSVDD``: the method as a scikit-learn outlier detector."""

from __future__ import annotations

import math
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepsvdd.core._engine.devices import channels_last, resolve_device
from deepsvdd.core._engine.distributed import gathered, rank, share
from deepsvdd.core._engine.feeds import Feed, InMemory, Stream
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core._engine.portable import PortableState
from deepsvdd.core._engine.stacking import trains_at_once
from deepsvdd.core.input_checks import Samples, check_parameters, check_samples
from deepsvdd.core.model_file import read_detector, rebuilt_member, write_detector
from deepsvdd.core.model_tar import read_model_tar
from deepsvdd.core.networks import check_network, default_network
from deepsvdd.core.preprocessing import Preprocessor, at_a_time, without_tails
from deepsvdd.core.recipes import Recipe, get_recipe, is_whole
from deepsvdd.core.scoring import (
    check_scores,
    check_threshold,
    rounding_of,
    scores_of,
    threshold_between,
)
from deepsvdd.core.trainer import OTHER_START, Trainer, recipe_for, seeds_of
from deepsvdd.core.training import SCORING_BATCH, represent


class DeepSVDD(PortableState, OutlierMixin, BaseEstimator):
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
        paper's), "mlp", "mlp_BN" (vectors), or "auto" to choose by the data's shape; or
        a module of your own that maps a batch to representations (n, d), an
        :class:`~deepsvdd.Autoencoder` if it is to be pretrained. Your module is copied,
        not changed.
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
    pretrain : bool, default=True
        Pretrain φ as the encoder of an autoencoder.
    n_members : int, default=1
        Train that many networks, with seeds ``random_state``, ``random_state + 1``, …,
        and average their normalized distances. On a GPU they are trained all at once.
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
        too, with pretraining it is computed anew.
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
        with one number of threads, however many fits run beside. Only layers of your
        own that draw while they train, as ``Dropout`` does, share torch's global
        generator with other threads.
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

    _undecided = False  # whether a parameter has taken the threshold's ground away

    def __init__(
        self,
        network: str | nn.Module = "auto",
        objective: str = "one-class",
        nu: float = 0.1,
        recipe: str | Recipe = "fast",
        *,
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

    def fit(self, X: Samples, y: object = None) -> DeepSVDD:
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
            For scikit-learn's conventions.

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
        self.check_parameters()
        device = resolve_device(self.device)
        before = dict(self.__dict__)
        try:
            self._fit(X, device)
        except BaseException:  # Ctrl-C as well: what was fitted before stays whole
            self.__dict__ = before
            raise
        return self

    @usual_modes()
    def _fit(self, X: Samples, device: torch.device) -> None:
        """Set the fitted attributes, one after the other."""
        # Those of an earlier fit: images have none.
        self.__dict__.pop("feature_names_in_", None)
        former = getattr(self, "input_shape_", None)
        samples = self._samples(X, reset=True)
        starts = getattr(self, "members_", []) if self.warm_start else []
        if starts and former not in (None, self.input_shape_):
            raise ValueError(OTHER_START)
        self.network_ = self._network_name()
        check_network(self.network_, self.input_shape_)  # before all is read
        n: int = len(samples)  # type: ignore[arg-type]
        self.recipe_ = recipe_for(self.recipe, self.network_, n, self.n_members)
        # Networks that are kept know one scale: that of their extrema.
        kept = getattr(self, "preprocessor_", None) if starts else None
        self.preprocessor_ = kept or self._fit_preprocessor(samples)
        if self.preprocessor_.method != self._preprocessing_method():
            raise ValueError(OTHER_START)
        feed = self._feed(samples, device)
        jobs = [
            (seed, starts[index] if index < len(starts) else None)
            for index, seed in enumerate(seeds_of(self.random_state, self.n_members))
        ]
        at_once = len(jobs) if trains_at_once(device) else 1
        trainer = Trainer.of(self)
        self.members_ = [
            member
            for first in range(0, len(jobs), at_once)
            for member in trainer.fit(feed, jobs[first : first + at_once])
        ]
        self._set_threshold(samples)

    def _fit_preprocessor(self, samples: Tensor | Dataset[Any]) -> Preprocessor:
        """Compute the extrema of the training data."""
        if isinstance(samples, Tensor):
            return Preprocessor.fit(samples, self._preprocessing_method())
        raw = self._stream(samples, None, torch.device("cpu"))
        return Preprocessor.fit(
            raw.in_order(SCORING_BATCH), self._preprocessing_method()
        )

    def _feed(self, samples: Tensor | Dataset[Any], device: torch.device) -> Feed:
        """Preprocess the samples on the device, or prepare to do so batch by batch."""
        if not isinstance(samples, Tensor):
            return self._stream(samples, self.preprocessor_, device)
        x = self.preprocessor_(samples)
        if self.preprocessor_.method == "standard":
            x = without_tails(x)  # of what is trained on; scored is all as it is
        return InMemory(channels_last(x.float().to(device)))

    def _stream(
        self,
        images: Dataset[Any],
        preprocessor: Preprocessor | None,
        device: torch.device,
    ) -> Stream:
        return Stream(images, self.input_shape_, preprocessor, device, self.n_workers)

    # ------------------------------------------------------------------- scoring

    def anomaly_score(self, X: Samples) -> NDArray[np.float64]:
        """Score samples; larger is more anomalous.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``, as in :meth:`fit`
            A single image (h, w) or (c, h, w) may go without its first axis.

        Returns
        -------
        ndarray of shape (n,)
            ‖φ(x) − c‖² (the paper's Equation 5), minus R² for the soft-boundary
            objective. With several members: the mean of ‖φ(x) − c‖, each divided by its
            mean over the training data.

        Raises
        ------
        ValueError
            If X is unusable; or, an :class:`~deepsvdd.UnscorableError`, if a
            score is no finite number, which no threshold can label: the sample is so
            far from the training data that its score overflows.
        """
        check_is_fitted(self)
        return check_scores(self._score(self._samples(X, reset=False)))

    @usual_modes()
    def _score(
        self, samples: Tensor | Dataset[Any], shared: bool = False
    ) -> NDArray[np.float64]:
        """Score samples (n, ...); shared, of several processes each scores a part."""
        batches = self._preprocessed(samples, shared)
        scores = torch.cat([scores_of(self.members_, x) for x in batches]).double()
        if shared:
            scores = gathered(scores, len(samples))  # type: ignore[arg-type]
        return scores.cpu().numpy()

    def score_samples(self, X: Samples) -> NDArray[np.float64]:
        """Return the negative anomaly score (n,): larger is more normal."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Samples) -> NDArray[np.float64]:
        """Return ``threshold_`` minus the anomaly score (n,): negative for outliers.

        Raises
        ------
        ValueError
            As :meth:`anomaly_score`; or if ``contamination`` was changed after ``fit``.
        """
        check_is_fitted(self)
        check_threshold(self)
        return self.score_samples(X) - self.offset_

    def predict(self, X: Samples) -> NDArray[np.int64]:
        """Return +1 for normal samples and −1 for outliers, shape (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

    @usual_modes()
    def represent(self, X: Samples, member: int = 0) -> NDArray[np.floating]:
        """Return the representations φ(x) of one member's network, shape (n, d).

        Raises
        ------
        ValueError
            If there is no such member.
        """
        check_is_fitted(self)
        if not (is_whole(member) and 0 <= member < len(self.members_)):
            last = len(self.members_) - 1
            raise ValueError(
                f"member must be a whole number from 0 to {last}; got {member!r}"
            )
        encoder = self.members_[member].encoder
        batches = self._preprocessed(self._samples(X, reset=False))
        return torch.cat([represent(encoder, x) for x in batches]).cpu().numpy()

    @property
    def offset_(self) -> float:
        """Score of the decision boundary by scikit-learn's sign."""
        return -self.threshold_

    def _preprocessed(
        self, samples: Tensor | Dataset[Any], shared: bool = False
    ) -> Iterator[Tensor]:
        """Yield batches ready for the networks, so that memory use stays bounded."""
        device = self.members_[0].center.device
        size = at_a_time(SCORING_BATCH, self.input_shape_)
        if isinstance(samples, Tensor):
            own = share(samples) if shared else samples
            for batch in own.split(size):
                yield channels_last(self.preprocessor_(batch.to(device)))
            return
        stream = self._stream(samples, self.preprocessor_, device)
        indices = torch.arange(len(stream))
        own = share(indices) if shared else indices
        yield from stream.read(own.split(size))

    def _set_threshold(self, samples: Tensor | Dataset[Any]) -> None:
        """Fix the decision boundary from the parameters and the training scores."""
        self._undecided = False
        if self.threshold is not None:
            self.threshold_ = float(self.threshold)
            return
        auto = self.contamination == "auto"
        fraction = self.nu if auto else float(self.contamination)
        scores = self._score(samples, shared=True)
        self.threshold_ = threshold_between(
            scores, fraction, rounding_of(self.members_)
        )

    def set_params(self, **params: Any) -> DeepSVDD:
        """Set parameters, for the next ``fit``; a threshold takes effect at once.

        After a change of ``contamination``, whose threshold needs the training data,
        labels are refused until the next ``fit``.
        """
        before = repr((self.threshold, self.contamination))  # of arrays, too
        super().set_params(**params)
        changed = repr((self.threshold, self.contamination)) != before
        if changed and hasattr(self, "members_"):
            self._undecided = self.threshold is None
            if self.threshold is not None:
                check_parameters(self)
                self.threshold_ = float(self.threshold)
        return self

    # ---------------------------------------------------------------- validation

    def check_parameters(self) -> None:
        """Check all parameters but the data's; ``fit`` does it too.

        Raises
        ------
        ValueError
            Naming a parameter, what it may be, and what it is.
        """
        check_parameters(self)

    def _network_name(self) -> str:
        if isinstance(self.network, nn.Module):
            return "custom"
        return (
            default_network(self.input_shape_)
            if self.network == "auto"
            else self.network
        )

    def _preprocessing_method(self) -> str:
        if self.preprocessing != "auto":
            return self.preprocessing
        return "standard" if len(self.input_shape_) == 1 else "gcn_l1"

    def _samples(self, X: Samples, reset: bool) -> Tensor | Dataset[Any]:
        """Validate data; return a tensor (n, c, h, w) or (n, d) on the CPU.

        Images to be streamed are returned as they are; only the first are looked at.
        """
        samples, shape = check_samples(self, X, None if reset else self.input_shape_)
        if reset:
            self.input_shape_: tuple[int, ...] = shape
            self.n_features_in_ = math.prod(shape)
        return samples

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that images are welcome too."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    # --------------------------------------------------------------- persistence

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one file, safetensors with JSON metadata.

        Parameters
        ----------
        path : path-like
            For example ``model.safetensors``. Written whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If ``contamination`` was changed after ``fit``.
        """
        check_is_fitted(self)
        check_threshold(self)
        if rank() == 0:  # one of several processes writes for all
            write_detector(path, self.get_params(deep=False), vars(self))

    @classmethod
    @usual_modes()
    def load(
        cls,
        path: str | PathLike[str],
        *,
        network: nn.Module | None = None,
        device: str = "auto",
    ) -> DeepSVDD:
        """Read a model written by :meth:`save`.

        Parameters
        ----------
        path : path-like
            The file.
        network : Module, optional
            The encoder's architecture, for a model with a network of your own only.
        device : str, default="auto"
            Where to score.

        Returns
        -------
        DeepSVDD
            Fitted; it gives the very scores that the saved one gave.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is truncated, altered, foreign or of a later version, or does
            not fit ``network``.
        ValueError
            If a network is given for a model with one of the package's own.
        """
        parameters, fitted = read_detector(
            path, network, resolve_device(device), cls().get_params(deep=False)
        )
        detector = cls(**parameters).set_params(device=device)
        detector.__dict__.update(fitted)
        return detector

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
        model.preprocessor_ = model._fit_preprocessor(samples)
        member = rebuilt_member(
            model.network if model.network_ == "custom" else model.network_,
            model.input_shape_,
            resolve_device(model.device),
            path=path,
            encoder_state=legacy["encoder"],
            center=legacy["center"],
            radius=legacy["radius"],
        )
        model.members_ = [member]
        d2 = [member.squared_distances(x) for x in model._preprocessed(samples)]
        member.mean_distance = torch.cat(d2).sqrt().mean().item()
        model._set_threshold(samples)
        return model
