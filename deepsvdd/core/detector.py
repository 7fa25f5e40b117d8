"""What the detectors share: all but their parameters.

Training, scoring, the threshold and checks; what calibration adds is in
:mod:`deepsvdd.core.calibrated`, what explanations do in :mod:`deepsvdd.core.explained`,
what model files and export do in :mod:`deepsvdd.core.stored`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepsvdd.core._engine.devices import channels_last, resolve_device
from deepsvdd.core._engine.distributed import gathered, share
from deepsvdd.core._engine.feeds import Feed, InMemory, Stream, as_images, some_images
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core._engine.portable import PortableState
from deepsvdd.core._engine.side_by_side import side_by_side
from deepsvdd.core._engine.stacking import trains_at_once
from deepsvdd.core.calibrated import Calibrated
from deepsvdd.core.explained import Explained
from deepsvdd.core.fingerprints import Watched, hashes_of
from deepsvdd.core.input_checks import Samples, check_parameters, check_samples
from deepsvdd.core.known import Known, check_labels, check_weights
from deepsvdd.core.networks import (
    NETWORKS,
    build_autoencoder,
    check_network,
    default_network,
)
from deepsvdd.core.preprocessing import BATCH, Preprocessor, at_a_time, without_tails
from deepsvdd.core.recipes import (
    Recipe,
    Variant,
    is_whole,
    settings_by_name,
    with_settings,
)
from deepsvdd.core.representations import SCORING_BATCH, joined, represent
from deepsvdd.core.scoring import (
    check_scores,
    check_threshold,
    rounding_of,
    scores_apart,
    scores_of,
    threshold_between,
)
from deepsvdd.core.stored import Stored
from deepsvdd.core.trainer import OTHER_START, Trainer, recipe_for, seeds_of
from deepsvdd.core.training import Hypersphere

if TYPE_CHECKING:
    from typing_extensions import Self

BLOCK = 2**20  # numbers that are checked and converted at a time, to be scored


class Detector(
    Calibrated, Explained, Stored, PortableState, OutlierMixin, BaseEstimator
):
    """What is the same for all detectors, whose classes add ``__init__`` and ``fit``.

    Attributes
    ----------
    networks : tuple of str
        Names that its parameter ``network`` may have.
    lean : bool
        Whether φ takes the memory of a network, and not several times that: threads do
        not each hold it then.
    """

    networks: ClassVar[tuple[str, ...]] = NETWORKS
    lean: ClassVar[bool] = True
    network: str | nn.Module
    widths: Sequence[int] | None
    recipe: str | Recipe | Variant
    n_members: int
    preprocessing: str
    contamination: str | float
    threshold: float | None
    warm_start: bool
    device: str
    n_workers: int
    random_state: Any
    members_: list[Hypersphere]
    training_hashes_: NDArray[np.int64]

    _undecided = False  # whether a parameter has taken the threshold's ground away

    # ------------------------------------------------------------------ training

    def _fit_whole(self, X: Samples, y: Any, sample_weight: Any) -> Self:
        """Train, or leave all as it was."""
        self.check_parameters()
        device = resolve_device(self.device)
        before = dict(self.__dict__)
        try:
            self._fit(X, device, y, sample_weight)
        except BaseException:  # Ctrl-C as well: what was fitted before stays whole
            self.__dict__ = before
            raise
        return self

    @usual_modes()
    def _fit(
        self, X: Samples, device: torch.device, y: Any, sample_weight: Any
    ) -> None:
        """Set the fitted attributes, one after the other."""
        # Those of an earlier fit: images have no names, and scores are others now.
        for name in ("feature_names_in_", "calibration_"):
            self.__dict__.pop(name, None)
        former = getattr(self, "input_shape_", None)
        samples = self._samples(X, reset=True)
        starts = getattr(self, "members_", []) if self.warm_start else []
        if starts and former not in (None, self.input_shape_):
            raise ValueError(OTHER_START)
        self.network_ = self._network_name()
        self._check_shape()
        samples, known = counted(samples, y, sample_weight)
        n: int = len(samples)  # type: ignore[arg-type]
        self._note(known, n)
        self.recipe_ = self._recipe(n)
        samples, known = self._beside_outliers(samples, known)
        # Networks that are kept know one scale: that of their extrema.
        kept = getattr(self, "preprocessor_", None) if starts else None
        seen = getattr(self, "training_hashes_", None) if starts else None
        self._measure(samples, known, kept)
        if seen is not None:
            self.training_hashes_ = np.union1d(seen, self.training_hashes_)
        if self.preprocessor_.method != self._preprocessing_method():
            raise ValueError(OTHER_START)
        feed = self._feed(samples, device, known)
        jobs = [
            (seed, starts[index] if index < len(starts) else None)
            for index, seed in enumerate(seeds_of(self.random_state, self.n_members))
        ]
        self.members_ = self._train(feed, jobs, known)
        self._set_threshold(samples, known)

    def _train(
        self, feed: Feed, jobs: list[tuple[int, Hypersphere | None]], known: Known
    ) -> list[Hypersphere]:
        """Train the networks of some seeds, and from earlier ones, where there are."""
        stacked = len(jobs) if trains_at_once(feed.device) else 1
        stacks = [jobs[k : k + stacked] for k in range(0, len(jobs), stacked)]
        trainer = Trainer.of(self)

        def train(stack: list[tuple[int, Hypersphere | None]]) -> list[Hypersphere]:
            return trainer.fit(feed, stack, known)

        n, trained = trainer.n_side_by_side(feed, known), []
        for first in range(0, len(stacks), n):  # in rounds: the last has more threads
            trained += side_by_side(train, stacks[first : first + n])
        return [member for stack in trained for member in stack]

    @classmethod
    def named(
        cls, name: str, input_shape: tuple[int, ...], widths: Sequence[int] | None
    ) -> nn.Module:
        """Build the network of a name, with any weights: a model file has others."""
        return build_autoencoder(name, input_shape, widths).encoder

    @classmethod
    def around(
        cls,
        encoder: nn.Module,
        parameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        seed: int = 0,
    ) -> nn.Module:
        """Put what the class adds around a network, freshly initialized.

        Parameters
        ----------
        encoder : Module
            Maps samples to vectors.
        parameters : mapping
            The estimator's.
        input_shape : (c, h, w) or (d,)
            Of one sample.
        seed : int
            Of what is drawn.

        Returns
        -------
        Module
            φ, of which the score is ‖φ(x) − c‖²; here the encoder itself.
        """
        return encoder

    def _check_shape(self) -> None:
        """Refuse samples of a shape that cannot be used, before all are read."""
        check_network(self.network_, self.input_shape_, self.widths)

    def _recipe(self, n: int) -> Recipe:
        """Suit the recipe to network and number of samples."""
        return recipe_for(self.recipe, self.network_, n, self.n_members)

    def _note(self, known: Known, n: int) -> None:
        """Note what was known of n samples, if the class has labels."""

    def _beside_outliers(
        self, samples: Tensor | Dataset[Any], known: Known
    ) -> tuple[Tensor | Dataset[Any], Known]:
        """Add outliers to learn from, if the class makes any."""
        return samples, known

    def _measure(
        self,
        samples: Tensor | Dataset[Any],
        known: Known,
        kept: Preprocessor | None = None,
    ) -> None:
        """Note extrema and mean of what may be normal, and the hashes of all."""
        method, normal = self._preprocessing_method(), known.normal()
        if isinstance(samples, Tensor):
            own: Any = samples if normal is None else samples[normal]
            self.preprocessor_ = kept or Preprocessor.fit(own, method)
            hashes = hashes_of(samples)
        elif normal is not None:
            if kept is None:
                kept = Preprocessor.fit(self._raw(chosen(samples, normal)), method)
            self.preprocessor_, hashes = kept, self._hashes(samples)
        else:
            # Read once for both, as reading is what takes time.
            hashed = Watched(self._raw(samples))
            self.preprocessor_ = kept or Preprocessor.fit(hashed, method)
            hashes = self._everybodys(hashed, samples)
        self.training_hashes_ = np.sort(hashes.numpy())
        self._keep_typical(samples, normal)

    def _hashes(self, samples: Tensor | Dataset[Any]) -> Tensor:
        """Hash samples (n, ...), to know them again: int64 (n,)."""
        if isinstance(samples, Tensor):
            return hashes_of(samples)
        return self._everybodys(Watched(self._raw(samples)), samples)

    def _everybodys(self, hashed: Watched, samples: Dataset[Any]) -> Tensor:
        """Put the hashes of all processes' shares together, on the CPU."""
        device = resolve_device(self.device)  # where processes can talk
        n: int = len(samples)  # type: ignore[arg-type]
        return gathered(hashed.finish().to(device), n).cpu()

    def _raw(self, images: Any) -> Iterator[Tensor]:
        """Read this process's share of images as they are."""
        return self._stream(images, None, torch.device("cpu")).in_order(SCORING_BATCH)

    def _feed(
        self, samples: Tensor | Dataset[Any], device: torch.device, known: Known
    ) -> Feed:
        """Preprocess the samples on the device, or prepare to do so batch by batch."""
        if not isinstance(samples, Tensor):
            return self._stream(samples, self.preprocessor_, device)
        if samples.ndim == 4:
            return InMemory(self._whole(samples, device))
        x = self.preprocessor_(samples)
        if self.preprocessor_.method == "standard":
            # Of what is trained on; scored is all as it is.
            x = without_tails(x, known.normal())
        return InMemory(x.float().to(device))

    def _whole(self, images: Tensor, device: torch.device) -> Tensor:
        """Preprocess images (n, c, h, w) part by part, as for networks.

        So memory holds all of them once; at once, there would be three copies.
        """
        size = at_a_time(BATCH, images.shape[1:])
        parts = (self._ready(part).float() for part in images.split(size))
        first = next(parts)
        strides = (math.prod(images.shape[1:]), *first.stride()[1:])  # laid out alike
        whole = first.new_empty_strided(images.shape, strides, device=device)
        whole[: len(first)] = first
        for number, part in enumerate(parts, start=1):
            whole[number * size : number * size + len(part)] = part
        return whole

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
        scores = [
            self._score(self._samples(block, reset=False, rows=rows))
            for block, rows in blocks_of(X, self.input_shape_)
        ]
        return check_scores(np.concatenate(scores))

    @usual_modes()
    def _score(
        self, samples: Tensor | Dataset[Any], shared: bool = False
    ) -> NDArray[np.float64]:
        """Score samples (n, ...); shared, of several processes each scores a part."""
        n: int = len(samples)  # type: ignore[arg-type]
        # Of larger samples a block holds one batch, and threads would hold much.
        small = 2 * SCORING_BATCH * math.prod(self.input_shape_) <= BLOCK
        on_cpu = self.members_[0].center.device.type == "cpu"
        # A user's own module may keep something from one batch to the next.
        apart = self.lean and small and on_cpu and self.network_ != "custom"
        if isinstance(samples, Tensor) and apart and n > SCORING_BATCH:
            own = share(samples) if shared else samples
            scores = scores_apart(self.members_, self._ready, own).double()
        else:
            batches = self._preprocessed(samples, shared)
            scores = joined((scores_of(self.members_, x) for x in batches), n).double()
        if shared:
            scores = gathered(scores, n)
        return scores.cpu().numpy()

    def score_samples(self, X: Samples) -> NDArray[np.float64]:
        """Return the negative anomaly score (n,): larger is more normal.

        scikit-learn's name for it, and so the one that a pipeline passes on, which has
        no ``anomaly_score``:

        >>> import numpy as np
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import PowerTransformer
        >>> from deepsvdd import DeepSVDD
        >>> x = np.random.default_rng(0).lognormal(size=(200, 4))
        >>> pipeline = make_pipeline(PowerTransformer(), DeepSVDD(random_state=0))
        >>> scores = -pipeline.fit(x).score_samples(x)  # larger is more anomalous
        """
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
        samples = self._samples(X, reset=False)
        n: int = len(samples)  # type: ignore[arg-type]
        batches = self._preprocessed(samples)
        return joined((represent(encoder, x) for x in batches), n).cpu().numpy()

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
                yield self._ready(batch.to(device))
            return
        stream = self._stream(samples, self.preprocessor_, device)
        indices = torch.arange(len(stream))
        own = share(indices) if shared else indices
        yield from stream.read(own.split(size))

    def _ready(self, batch: Tensor) -> Tensor:
        """Preprocess a batch, on its device, in the layout that networks like."""
        return channels_last(self.preprocessor_(batch))

    def _set_threshold(self, samples: Tensor | Dataset[Any], known: Known) -> None:
        """Fix the decision boundary from the parameters and the training scores.

        Those of known anomalies do not count.
        """
        self._undecided = False
        if self.threshold is not None:
            self.threshold_ = float(self.threshold)
            return
        auto = self.contamination == "auto"
        fraction = self.nu if auto else float(self.contamination)
        normal, weights = known.normal(), known.weights
        if normal is not None:
            samples = chosen(samples, normal)
            weights = None if weights is None else weights[normal]
        scores = self._score(samples, shared=True)
        self.threshold_ = threshold_between(
            scores,
            fraction,
            rounding_of(self.members_),
            None if weights is None else weights.numpy(),
        )

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters by name.

        Parameters
        ----------
        deep : bool, default=True
            With the settings of the recipe, such as ``recipe__training__lr``; None are
            those of a recipe by name, which the samples decide.
        """
        params: dict[str, Any] = super().get_params(deep)
        if deep:
            settings = settings_by_name(self.recipe)
            params |= {f"recipe__{name}": value for name, value in settings.items()}
        return params

    def set_params(self, **params: Any) -> Self:
        """Set parameters, for the next ``fit``; a threshold takes effect at once.

        Settings of the recipe have names, too: ``recipe__training__lr=0.001``,
        ``recipe__pretraining__n_epochs=20``, ``recipe__radius_every=2``; grid searches
        find them by these. Of a recipe by name the others still suit the samples, and
        None takes back what was set.

        After a change of ``contamination``, whose threshold needs the training data,
        labels are refused until the next ``fit``.

        Raises
        ------
        ValueError
            If there is no such parameter or setting.
        """
        mark = "recipe__"
        settings = {
            name.removeprefix(mark): params.pop(name)
            for name in list(params)
            if name.startswith(mark)
        }
        if settings:
            base = params.get("recipe", self.recipe)
            params["recipe"] = with_settings(base, settings)
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

    def check_own(self) -> None:
        """Check the parameters that this class has beside the common ones."""

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

    def _samples(
        self, X: Samples, reset: bool, rows: range | None = None
    ) -> Tensor | Dataset[Any]:
        """Validate data; return a tensor (n, c, h, w) or (n, d) on the CPU.

        Images to be streamed are returned as they are; only the first are looked at.
        Errors know where X stands in the data, if it is not all of them.
        """
        expected = None if reset else self.input_shape_
        samples, shape = check_samples(self, X, expected, rows)
        if reset:
            self.input_shape_: tuple[int, ...] = shape
            self.n_features_in_ = math.prod(shape)
        return samples

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that images are welcome too."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


def blocks_of(
    X: Samples, shape: tuple[int, ...]
) -> Iterator[tuple[Samples, range | None]]:
    """Cut an array or a tensor into blocks, which are checked and converted in turn.

    So the memory for it does not grow with X. Batches of scoring are cut as they would
    be of the whole.

    Yields
    ------
    block : array, Tensor, or X itself
    rows : range or None
        Where it stands in X; None if it is all there is.
    """
    size = at_a_time(SCORING_BATCH, shape)
    size *= max(BLOCK // (size * math.prod(shape)), 1)
    plain = type(X) in (np.ndarray, np.memmap) or (
        isinstance(X, Tensor) and X.layout == torch.strided
    )
    own: Any = tuple(X.shape) if plain else ()  # type: ignore[union-attr]
    # Not one image, of which the first axis are channels or rows; other shapes are
    # refused whole.
    gray = shape[0] == 1 and own[1:] == shape[1:] != () and own != shape
    many = own[1:] == shape or gray
    n = own[0] if many else 0
    if n <= size or as_images(X) is not None:
        yield X, None
        return
    for first in range(0, n, size):
        rows = range(first, min(first + size, n))
        yield X[rows.start : rows.stop], rows  # type: ignore[index]


def counted(
    samples: Tensor | Dataset[Any], y: Any, sample_weight: Any
) -> tuple[Tensor | Dataset[Any], Known]:
    """Check labels and weights, and leave out samples of weight 0."""
    n: int = len(samples)  # type: ignore[arg-type]
    labels, weights = check_labels(y, n), check_weights(sample_weight, n)
    if weights is not None and not weights.all():
        rows = np.flatnonzero(weights)
        samples = chosen(samples, torch.from_numpy(rows))
        weights = check_weights(weights[rows], len(rows))
        if labels is not None:
            labels = check_labels(labels[rows], len(rows))
    return samples, Known.of(labels, weights)


def chosen(samples: Tensor | Dataset[Any], rows: Tensor) -> Tensor | Dataset[Any]:
    """Choose some samples, by their indices (k,)."""
    return samples[rows] if isinstance(samples, Tensor) else some_images(samples, rows)
