"""What the shallow detectors share: preprocessing, projection, distances, folds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn import decomposition
from sklearn.base import BaseEstimator
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.model_selection import KFold
from sklearn.utils.validation import check_is_fitted

from deepsvdd.core.metrics import as_numpy
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.datasets.samples import image_batch

if TYPE_CHECKING:
    from deepsvdd.core.metrics import Values

Array = NDArray[Any]

MIN_IMAGES = 10  # two a fold
CHUNK = 1000  # test images whose distances to all training images are held at once


class Baseline(BaseEstimator, ABC):
    """What the baselines share: preprocessing, flattening, projection.

    Parameters
    ----------
    preprocessing : {"gcn_l1", "gcn_l2", "minmax", "none"}
        As in :class:`deepsvdd.Preprocessor`, fitted on the training images.
    variance : float in (0, 1], optional
        Project the pixels on as many principal components as keep this share of the
        training images' variance. 1 keeps the pixels; None is the method's own choice,
        0.95 for "iforest" and "pca", 1 for the others.
    random_state : int
        Seed of whatever is drawn.

    Attributes
    ----------
    selected_ : dict
        What the data have decided, ready for JSON: ``gamma`` and ``nu``, or
        ``bandwidth``; ``n_components`` where there is a projection.
    """

    uses_labels: ClassVar[bool] = False
    own_variance: ClassVar[float] = 1.0

    def __init__(
        self,
        *,
        preprocessing: str = "gcn_l1",
        variance: float | None = None,
        random_state: int = 0,
    ) -> None:
        self.preprocessing = preprocessing
        self.variance = variance
        self.random_state = random_state

    def fit(
        self, X: ArrayLike, labeled: tuple[ArrayLike, Values] | None = None
    ) -> Baseline:
        """Learn from normal images, and choose the settings.

        Parameters
        ----------
        X : array-like of shape (n, c, h, w) or (n, h, w)
            At least 10 images of the normal class.
        labeled : (images, labels), optional
            For "ocsvm-paper" alone, and needed there: images (m, c, h, w) of both
            kinds, with labels (m,), 0 for normal and 1 for an anomaly.

        Returns
        -------
        Baseline
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data are out of range, or labels are given to a
            method that must not see them, or withheld from the one that needs them.
        """
        share = self.own_variance if self.variance is None else self.variance
        if not 0 < share <= 1:
            raise ValueError(f"variance must be in (0, 1], or None; got {share!r}")
        if (labeled is not None) != self.uses_labels:
            needs = "needs" if self.uses_labels else "must not see"
            raise ValueError(f"{type(self).__name__} {needs} labeled images")
        images = as_batch(X)
        if len(images) < MIN_IMAGES:
            raise ValueError(
                f"X must hold at least {MIN_IMAGES} images; got {len(images)}"
            )
        self.shape_ = images.shape[1:]
        self.preprocessor_ = Preprocessor.fit(torch.tensor(images), self.preprocessing)
        self.projection_: Any = None
        self.selected_: dict[str, float] = {}
        if share < 1:
            # Faster than the decomposition of the data, of which there are many more.
            pca = decomposition.PCA(share, svd_solver="covariance_eigh")
            self.projection_ = pca.fit(self._pixels(images))
            self.selected_["n_components"] = int(pca.n_components_)
        self._learn(images, labeled)
        return self

    def anomaly_score(self, X: ArrayLike) -> NDArray[np.float64]:
        """Score images (m, c, h, w), or one: (m,), larger = more anomalous."""
        check_is_fitted(self)
        images = as_batch(X, self.shape_)
        scores = [
            self._score(images[start : start + CHUNK])
            for start in range(0, len(images), CHUNK)
        ]
        return np.concatenate(scores).astype(np.float64)

    def _pixels(self, images: Array) -> Array:
        """Preprocess and flatten: (n, c·h·w)."""
        return self.preprocessor_(torch.tensor(images)).flatten(1).numpy()

    def _vectors(self, images: Array) -> Array:
        """Preprocess, flatten and project: (n, d)."""
        pixels = self._pixels(images)
        return self.projection_.transform(pixels) if self.projection_ else pixels

    @abstractmethod
    def _learn(self, images: Array, labeled: Any) -> None:
        """Fit to images (n, c, h, w), and add the choices to ``selected_``."""

    @abstractmethod
    def _score(self, images: Array) -> Array:
        """Score images (m, c, h, w): (m,)."""


def as_batch(X: Any, expected: tuple[int, ...] | None = None) -> Array:
    """Turn images, or a tensor of any kind, into an array (n, c, h, w) for torch."""
    # torch refuses views that run backwards, as mirrored images do.
    return np.ascontiguousarray(image_batch(as_numpy(X), expected))


def folds(n: int, random_state: int) -> Iterator[tuple[Array, Array]]:
    """Yield the indices of four fifths and of one, five times: (n − m,) and (m,)."""
    return KFold(5, shuffle=True, random_state=random_state).split(np.zeros(n))


def squared_distances(x: Array, y: Array | None = None) -> Array:
    """Squared Euclidean distances between all rows: (n, m), or (n, n) of one array."""
    return euclidean_distances(x, y, squared=True)
