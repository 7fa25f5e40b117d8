"""``DeepSVDD``: the method as a scikit-learn outlier detector."""

from __future__ import annotations

import copy
import hashlib
import math
import platform
from collections.abc import Iterator
from dataclasses import asdict
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepsvdd.checkpoints import Checkpoint
from deepsvdd.devices import PRECISIONS, resolve_device
from deepsvdd.dictionaries import begin
from deepsvdd.distributed import from_first, gathered, n_processes, rank, share
from deepsvdd.errors import ModelFileError
from deepsvdd.feeds import (
    Feed,
    InMemory,
    Stream,
    as_images,
    read_images,
)
from deepsvdd.metrics import as_numpy
from deepsvdd.networks import (
    NETWORKS,
    Autoencoder,
    build_autoencoder,
    check_architecture,
    default_network,
)
from deepsvdd.objectives import count_of
from deepsvdd.persistence import (
    read_model,
    read_model_tar,
    strip_prefix,
    write_model,
)
from deepsvdd.preprocessing import METHODS, Preprocessor
from deepsvdd.recipes import RECIPES, Recipe, get_recipe, is_number, is_whole, require
from deepsvdd.samples import image_batch
from deepsvdd.training import (
    OBJECTIVES,
    SCORING_BATCH,
    Hypersphere,
    evaluate,
    pretrain_autoencoders,
    represent,
    train_hyperspheres,
)
from deepsvdd.version import __version__

Samples = ArrayLike | Tensor | Dataset[Any]


class DeepSVDD(OutlierMixin, BaseEstimator):
    """Deep Support Vector Data Description (Ruff et al., ICML 2018).

    Learns a network φ that maps normal data close to a center c, and scores a sample
    by its squared distance from there. Train it on normal data: anomalies among it
    cost accuracy.

    In the book: sec-package (03-deep-svdd).

    Parameters
    ----------
    network : str or Module, default="auto"
        "mnist_LeNet", "cifar10_LeNet", "cifar10_LeNet_ELU", "gtsrb_LeNet" (images),
        "mlp" (vectors), or "auto" to choose by the data's shape; or a module of your
        own that maps a batch to representations (n, d), an
        :class:`~deepsvdd.networks.Autoencoder` if it is to be pretrained. Your module
        is copied, not changed.
    objective : {"one-class", "soft-boundary"}, default="one-class"
        Equation 4 or Equation 3 of the paper.
    nu : float in (0, 1], default=0.1
        ν: fraction of the training data that may lie outside the hypersphere
        (soft-boundary), and that ``contamination="auto"`` leaves outside.
    recipe : str or Recipe, default="fast"
        Training settings. "fast" takes seconds on a CPU; so does "quick" with
        ``n_members=3``, and is better; "paper" is that of the authors' commands. For
        images, "fast-dictionary" begins as the paper's code does, unlike its text; see
        chapter 11 of the book for what that changes. See :func:`deepsvdd.get_recipe`.
    pretrain : bool, default=True
        Pretrain φ as the encoder of an autoencoder.
    n_members : int, default=1
        Train that many networks, with seeds ``random_state``, ``random_state + 1``, …,
        and average their normalised distances. On a GPU they are trained all at once.
    preprocessing : str, default="auto"
        "gcn_l1" (paper; "auto" for images), "gcn_l2", "minmax" ("auto" for vectors) or
        "none". Extrema come from the training data.
    contamination : "auto" or float in (0, 0.5], default="auto"
        Fraction of the training data to lie beyond the threshold of :meth:`predict`.
        "auto" means ν; the threshold of a single soft-boundary network is then R, up to
        the gap between R and the nearest training sample outside.
    threshold : float, optional
        Anomaly score above which a sample is an outlier; overrides contamination.
    allow_collapse : bool, default=False
        Accept networks that the paper's propositions forbid.
    warm_start : bool, default=False
        Go on from the networks of the previous ``fit`` (or of a loaded model): without
        pretraining the center stays too, with pretraining it is computed anew.
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
        Processes that read images, where they are streamed.
    random_state : int, RandomState or None, default=None
        Seeds weights and sample order: the same integer gives the same bits on one CPU
        with one number of threads.
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

        Under ``torchrun`` (within :func:`deepsvdd.distributed.process_group`) several
        processes train one network; each must call it with the same arguments.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``
            Images (n, h, w) or (n, c, h, w), or vectors (n, d), n ≥ 2; integers or
            floats of any scale, for images up to ±10¹⁵. Images in a memory-mapped
            array, or in a map-style data set such as
            :class:`deepsvdd.images.ImageFolder`, are streamed: read while training.
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

    def _fit(self, X: Samples, device: torch.device) -> None:
        """Set the fitted attributes, one after the other."""
        # Those of an earlier fit: images have none.
        self.__dict__.pop("feature_names_in_", None)
        samples = self._samples(X, reset=True)
        self.network_ = self._network_name()
        self.recipe_ = (
            self.recipe
            if isinstance(self.recipe, Recipe)
            else get_recipe(self.recipe, self.network_)
        )
        self.preprocessor_ = self._fit_preprocessor(samples)
        feed = self._feed(samples, device)

        starts = getattr(self, "members_", []) if self.warm_start else []
        jobs = [
            (seed, starts[index] if index < len(starts) else None)
            for index, seed in enumerate(self._seeds())
        ]
        at_once = len(jobs) if trains_at_once(device) else 1
        self.members_ = [
            member
            for first in range(0, len(jobs), at_once)
            for member in self._fit_members(feed, jobs[first : first + at_once])
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
        return InMemory(channels_last(self.preprocessor_(samples).float().to(device)))

    def _stream(
        self,
        images: Dataset[Any],
        preprocessor: Preprocessor | None,
        device: torch.device,
    ) -> Stream:
        return Stream(images, self.input_shape_, preprocessor, device, self.n_workers)

    def _fit_members(
        self, feed: Feed, jobs: list[tuple[int, Hypersphere | None]]
    ) -> list[Hypersphere]:
        """Pretrain and train the networks of some seeds, all at once.

        The global random state stays as it was.
        """
        seeds = [seed for seed, _ in jobs]
        devices = [feed.device] if feed.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            (example,) = feed.read([torch.arange(2)])
            # The first comes last: what its seed has not drawn, the training draws.
            autoencoders = [
                self._prepare(feed, example.cpu(), *job) for job in jobs[::-1]
            ][::-1]
            checkpoints = self._checkpoints(autoencoders, feed, seeds)
            histories: list[dict[str, Any]] = [{} for _ in jobs]
            if self.pretrain:
                pretraining = pretrain_autoencoders(
                    autoencoders,
                    feed,
                    self.recipe_.pretraining,
                    seeds=seeds,
                    verbose=self.verbose,
                    precision=self.precision,
                    checkpoint=checkpoints["pretraining"],
                )
                histories = [{"pretraining": history} for history in pretraining]
            kept = [
                start.center.float().to(feed.device)
                if start and not self.pretrain
                else None
                for _, start in jobs
            ]
            members = train_hyperspheres(
                [autoencoder.encoder for autoencoder in autoencoders],
                feed,
                self.recipe_,
                objective=self.objective,
                nu=self.nu,
                centers=kept,
                seeds=seeds,
                verbose=self.verbose,
                precision=self.precision,
                checkpoint=checkpoints["training"],
            )
        for member, history in zip(members, histories, strict=True):
            member.history = history | member.history
            if len(self.input_shape_) == 1:
                # Double precision costs vectors little and makes a score independent of
                # the batch that it is computed in.
                member.encoder.double()
                member.center = member.center.double()
        return members

    def _prepare(
        self, feed: Feed, example: Tensor, seed: int, start: Hypersphere | None
    ) -> Autoencoder:
        """Build one network on the feed's device, from a seed or an earlier one."""
        torch.manual_seed(seed)
        autoencoder = self._build(example)
        if start is not None:
            restart(autoencoder.encoder, start)
        else:
            begin(autoencoder.encoder, self.recipe_.first_layer, feed, seed)
        return autoencoder.to(memory_format=torch.channels_last).to(feed.device)

    def _build(self, example: Tensor) -> Autoencoder:
        """Build the network, check it, and wrap it as an autoencoder's encoder."""
        if isinstance(self.network, nn.Module):
            module = copy.deepcopy(self.network).float()
            if not isinstance(module, Autoencoder):
                if self.pretrain:
                    raise ValueError(
                        "pretrain must be False for a network without a decoder; got "
                        f"{type(module).__name__}: pass Autoencoder(encoder, decoder)"
                    )
                module = Autoencoder(module, nn.Identity())
        else:
            module = build_autoencoder(self.network_, self.input_shape_)
        check_output(module.encoder, example)
        if self.pretrain:
            check_reconstruction(module, example)
        # By the letter of Proposition 3 the authors' ELU network is forbidden as well.
        if not self.allow_collapse and self.network_ != "cifar10_LeNet_ELU":
            check_architecture(module.encoder, example)
        return module

    def _checkpoints(
        self, autoencoders: list[Autoencoder], feed: Feed, seeds: list[int]
    ) -> dict[str, Checkpoint | None]:
        """Plan the checkpoints of both phases of members trained together.

        Their fingerprint covers what decides the result: architecture, first weights,
        data, settings.
        """
        phases = ("pretraining", "training")
        if self.checkpoint_dir is None:
            return dict.fromkeys(phases)
        settings = (
            self.network_,
            self.recipe_,
            self.objective,
            self.nu,
            self.pretrain,
            self.precision,
        )
        digest = hashlib.sha256(
            repr((settings, __version__, torch.__version__)).encode()
        )
        for autoencoder in autoencoders:
            digest.update(repr(autoencoder).encode())
            for tensor in autoencoder.state_dict().values():
                digest.update(tensor.cpu().contiguous().numpy().tobytes())
        digest.update(feed.fingerprint())
        folder = Path(self.checkpoint_dir)
        name = f"seed-{'-'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))}"
        return {
            phase: Checkpoint(
                folder / f"{name}-{phase}.pt",
                every=self.checkpoint_every,
                fingerprint=digest.hexdigest(),
            )
            for phase in phases
        }

    def _seeds(self) -> list[int]:
        """Draw one seed a member; an integer random_state gives consecutive seeds."""
        if isinstance(self.random_state, int | np.integer):
            return [int(self.random_state) + m for m in range(self.n_members)]
        random = check_random_state(self.random_state)
        drawn = random.randint(2**31 - 1, size=self.n_members).tolist()
        return from_first(drawn)  # several processes train one network

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
        """
        check_is_fitted(self)
        return self._score(self._samples(X, reset=False))

    def _score(
        self, samples: Tensor | Dataset[Any], shared: bool = False
    ) -> NDArray[np.float64]:
        """Score samples (n, ...); shared, of several processes each scores a part."""
        batches = self._preprocessed(samples, shared)
        scores = torch.cat([self._score_batch(x) for x in batches]).double()
        if shared:
            scores = gathered(scores, len(samples))  # type: ignore[arg-type]
        return scores.cpu().numpy()

    def _score_batch(self, x: Tensor) -> Tensor:
        """Score one preprocessed batch (b, ...); returns (b,)."""
        if len(self.members_) == 1:
            (member,) = self.members_
            return member.squared_distances(x) - member.radius**2
        distances = [
            member.squared_distances(x).sqrt() / member.mean_distance
            for member in self.members_
        ]
        return torch.stack(distances).mean(dim=0)

    def score_samples(self, X: Samples) -> NDArray[np.float64]:
        """Return the negative anomaly score (n,): larger is more normal."""
        return -self.anomaly_score(X)

    def decision_function(self, X: Samples) -> NDArray[np.float64]:
        """Return ``threshold_`` minus the anomaly score (n,): negative for outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Samples) -> NDArray[np.int64]:
        """Return +1 for normal samples and −1 for outliers, shape (n,)."""
        return np.where(self.decision_function(X) >= 0, 1, -1)

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
        if isinstance(samples, Tensor):
            own = share(samples) if shared else samples
            for batch in own.split(SCORING_BATCH):
                yield channels_last(self.preprocessor_(batch.to(device)))
            return
        stream = self._stream(samples, self.preprocessor_, device)
        indices = torch.arange(len(stream))
        own = share(indices) if shared else indices
        yield from stream.read(own.split(SCORING_BATCH))

    def _set_threshold(self, samples: Tensor | Dataset[Any]) -> None:
        """Fix the decision boundary from the parameters and the training scores."""
        if self.threshold is not None:
            self.threshold_ = float(self.threshold)
            return
        auto = self.contamination == "auto"
        fraction = self.nu if auto else float(self.contamination)
        scores = self._score(samples, shared=True)
        self.threshold_ = threshold_between(scores, fraction)

    # ---------------------------------------------------------------- validation

    def check_parameters(self) -> None:
        """Check all parameters but the data's; ``fit`` does it too.

        Raises
        ------
        ValueError
            Naming a parameter, what it may be, and what it is.
        """
        require("objective", self.objective in OBJECTIVES, OBJECTIVES, self)
        valid = is_number(self.nu) and 0 < self.nu <= 1
        require("nu", valid, "a number in (0, 1]", self)
        valid = is_whole(self.n_members) and self.n_members >= 1
        require("n_members", valid, "a whole number from 1 on", self)
        valid = self.contamination == "auto" or (
            is_number(self.contamination) and 0 < self.contamination <= 0.5
        )
        require("contamination", valid, "'auto' or a number in (0, 0.5]", self)
        valid = self.threshold is None or (
            is_number(self.threshold) and math.isfinite(self.threshold)
        )
        require("threshold", valid, "None or a finite number", self)
        valid = isinstance(self.network, nn.Module) or self.network in (
            "auto",
            *NETWORKS,
        )
        require("network", valid, f"'auto', a module or one of {NETWORKS}", self)
        valid = self.preprocessing in ("auto", *METHODS)
        require("preprocessing", valid, f"'auto' or one of {METHODS}", self)
        require("precision", self.precision in PRECISIONS, PRECISIONS, self)
        valid = is_whole(self.checkpoint_every) and self.checkpoint_every >= 1
        require("checkpoint_every", valid, "a whole number from 1 on", self)
        valid = is_whole(self.n_workers) and self.n_workers >= 0
        require("n_workers", valid, "a whole number from 0 on", self)
        seed = self.random_state
        valid = not is_number(seed) or (is_whole(seed) and 0 <= seed < 2**32)
        require("random_state", valid, "None or a whole number from 0 to 2³² − 1", self)
        if self.checkpoint_dir is not None and not is_whole(seed):
            # Another seed each time: no fit would find its checkpoints again.
            raise ValueError(
                "checkpoint_dir needs random_state to be a whole number; got "
                f"random_state={seed!r}"
            )
        for flag in ("pretrain", "allow_collapse", "warm_start", "verbose"):
            valid = isinstance(getattr(self, flag), bool | np.bool_)
            require(flag, valid, "True or False", self)
        valid = isinstance(self.recipe, Recipe | str)
        require("recipe", valid, f"a Recipe or one of {', '.join(RECIPES)}", self)

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
        return "minmax" if len(self.input_shape_) == 1 else "gcn_l1"

    def _samples(self, X: Samples, reset: bool) -> Tensor | Dataset[Any]:
        """Validate data; return a tensor (n, c, h, w) or (n, d) on the CPU.

        Images to be streamed are returned as they are; only the first are looked at.
        """
        streamed = as_images(X)
        if streamed is not None:
            return self._streamed(streamed, reset)
        raw: Any = as_numpy(X) if isinstance(X, Tensor) else X
        images = np.asarray(raw).ndim > 2 if reset else len(self.input_shape_) > 1
        if images:
            array = image_batch(raw, None if reset else self.input_shape_)
            if reset and len(array) < 2:
                raise ValueError(
                    f"X must hold at least 2 images to fit; got {len(array)}"
                )
        else:
            array = validate_data(
                self, raw, reset=reset, dtype=np.float64, ensure_min_samples=1 + reset
            )
        if reset:
            self.input_shape_: tuple[int, ...] = array.shape[1:]
            self.n_features_in_ = math.prod(self.input_shape_)
        # torch warns of read-only arrays, as the bundled data are, and refuses views
        # that run backwards, as mirrored images do.
        usable = array.flags.writeable and min(array.strides, default=0) >= 0
        return torch.from_numpy(array if usable else array.copy())

    def _streamed(self, images: Dataset[Any], reset: bool) -> Dataset[Any]:
        """Validate the first images of a data set, of which the others are to be."""
        n: int = len(images)  # type: ignore[arg-type]
        if n < 1 + reset:
            raise ValueError(f"X must hold at least {1 + reset} images; got {n}")
        expected = None if reset else self.input_shape_
        first = read_images(images, range(1 + reset), expected)
        if reset:
            self.input_shape_ = tuple(first.shape[1:])
            self.n_features_in_ = math.prod(self.input_shape_)
        return images

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
        """
        check_is_fitted(self)
        if rank() > 0:
            return  # one of several processes writes for all
        tensors = {
            "preprocessor.minimum": self.preprocessor_.minimum,
            "preprocessor.maximum": self.preprocessor_.maximum,
        }
        for m, member in enumerate(self.members_):
            tensors[f"members.{m}.center"] = member.center
            for name, value in member.encoder.state_dict().items():
                tensors[f"members.{m}.encoder.{name}"] = value
        write_model(path, tensors, self._metadata())

    def _metadata(self) -> dict[str, Any]:
        """Describe the fitted model in JSON's terms."""
        import sklearn

        seed = self.random_state
        parameters = self.get_params(deep=False) | {
            "network": self.network_,
            "recipe": asdict(self.recipe_),
            "random_state": int(seed) if isinstance(seed, int | np.integer) else None,
            "device": "auto",
            "checkpoint_dir": None,
        }
        names = getattr(self, "feature_names_in_", None)
        return {
            "parameters": parameters,
            "input_shape": list(self.input_shape_),
            "feature_names": None if names is None else names.tolist(),
            "preprocessing": self.preprocessor_.method,
            "threshold": self.threshold_,
            "members": [
                {
                    "radius": member.radius,
                    "mean_distance": member.mean_distance,
                    "collapsed": member.collapsed,
                    "history": member.history,
                }
                for member in self.members_
            ],
            "versions": {
                "deepsvdd": __version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "scikit-learn": sklearn.__version__,
                "python": platform.python_version(),
            },
        }

    @classmethod
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
            The encoder's architecture, for a model with a network of your own.
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
            If the file is truncated, altered or foreign, or does not fit ``network``.
        """
        tensors, metadata = read_model(path)
        parameters = metadata["parameters"]
        parameters["recipe"] = Recipe.from_dict(parameters["recipe"])
        if parameters["network"] == "custom":
            if network is None:
                raise ModelFileError(
                    f"{str(path)!r} holds a network of its author's own: load it in "
                    "Python with DeepSVDD.load(path, network=its architecture)"
                )
            parameters["network"] = network
        model = cls(**parameters).set_params(device=device)
        model.input_shape_ = tuple(metadata["input_shape"])
        model.n_features_in_ = math.prod(model.input_shape_)
        if names := metadata.get("feature_names"):
            model.feature_names_in_ = np.asarray(names, dtype=object)
        model.network_ = model._network_name()
        model.recipe_ = model.recipe
        model.preprocessor_ = Preprocessor(
            metadata["preprocessing"],
            tensors["preprocessor.minimum"],
            tensors["preprocessor.maximum"],
        )
        model.threshold_ = metadata["threshold"]
        model.members_ = [
            model._rebuild_member(
                encoder_state=strip_prefix(tensors, f"members.{m}.encoder."),
                center=tensors[f"members.{m}.center"],
                **member,
            )
            for m, member in enumerate(metadata["members"])
        ]
        return model

    @classmethod
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
        member = model._rebuild_member(
            legacy["encoder"], legacy["center"], legacy["radius"]
        )
        model.members_ = [member]
        d2 = [member.squared_distances(x) for x in model._preprocessed(samples)]
        member.mean_distance = torch.cat(d2).sqrt().mean().item()
        model._set_threshold(samples)
        return model

    def _rebuild_member(
        self,
        encoder_state: dict[str, Tensor],
        center: Tensor,
        radius: float,
        mean_distance: float = 1.0,
        collapsed: bool = False,
        history: dict[str, Any] | None = None,
    ) -> Hypersphere:
        """Put a stored network back together on this model's device."""
        device = resolve_device(self.device)
        with torch.random.fork_rng(devices=[]):
            if isinstance(self.network, nn.Module):
                module = copy.deepcopy(self.network)
                encoder = module.encoder if isinstance(module, Autoencoder) else module
            else:
                encoder = build_autoencoder(self.network_, self.input_shape_).encoder
        encoder = encoder.to(center.dtype)
        try:
            encoder.load_state_dict(encoder_state)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise ModelFileError(
                f"the weights do not fit the network {self.network_!r} for samples of "
                f"shape {self.input_shape_} ({reason})"
            ) from None
        length = represent(encoder, torch.zeros(1, *self.input_shape_).to(center)).shape
        if center.shape != length[1:]:
            raise ModelFileError(
                f"the center has shape {tuple(center.shape)}, but the network "
                f"{self.network_!r} gives representations of shape {tuple(length[1:])}"
            )
        encoder = encoder.to(memory_format=torch.channels_last).to(device).eval()
        return Hypersphere(
            encoder, center.to(device), radius, mean_distance, collapsed, history or {}
        )


def trains_at_once(device: torch.device) -> bool:
    """Tell whether to train members as a stack: a CPU gains nothing by it."""
    return device.type == "cuda" and n_processes() == 1


def channels_last(x: Tensor) -> Tensor:
    """Lay images (n, c, h, w) out channels last, which convolutions here prefer."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def check_output(encoder: nn.Module, example: Tensor) -> None:
    """Raise ValueError unless a network can be trained and gives vectors (n, d)."""
    name = type(encoder).__name__
    if not any(True for _ in encoder.parameters()):
        raise ValueError(f"network must have weights to train; {name} has none")
    try:
        output = evaluate(encoder, example)
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"network must take float32 batches of shape (n, "
            f"{', '.join(map(str, example.shape[1:]))}); {name} fails: {reason}"
        ) from None
    given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise ValueError(
            f"network must give representations (n, d); {name} gives {given} for "
            f"{len(example)} samples: end it with Flatten and a linear layer"
        )


def check_reconstruction(autoencoder: Autoencoder, example: Tensor) -> None:
    """Raise ValueError unless the decoder gives images, or vectors, like the input."""
    try:
        output = evaluate(autoencoder, example)
        given = str(tuple(output.shape))
    except (RuntimeError, AttributeError) as error:
        given = f"an error ({str(error).splitlines()[0]})"
    if given != str(tuple(example.shape)):
        raise ValueError(
            f"network must have a decoder that gives {tuple(example.shape)}, the shape "
            f"of the samples; {type(autoencoder.decoder).__name__} gives {given}"
        )


def restart(encoder: nn.Module, start: Hypersphere) -> None:
    """Give a network the weights of an earlier one."""
    try:
        encoder.load_state_dict(start.encoder.state_dict())
    except RuntimeError:
        raise ValueError(
            "warm_start needs the network and the samples' shape of the previous fit; "
            "this fit has others: set warm_start=False"
        ) from None


def threshold_between(scores: NDArray[np.float64], fraction: float) -> float:
    """Place a threshold so that ⌊fraction · n⌋ of the scores (n,) lie above it.

    Midway between two neighbours: on a score itself, rounding would decide its label.
    """
    exceed = min(count_of(fraction, len(scores)), len(scores) - 1)
    ordered = np.sort(scores)[len(scores) - exceed - 1 :][:2]
    return float(ordered.mean())
