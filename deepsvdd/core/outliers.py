"""What detectors share that learn from outliers, synthetic or known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset

from deepsvdd.core.detector import Detector, chosen
from deepsvdd.core.input_checks import Samples, is_one_of
from deepsvdd.core.known import Known
from deepsvdd.core.recipes import require
from deepsvdd.core.trainer import seeds_of
from deepsvdd.datasets.defects import Confetti

if TYPE_CHECKING:
    from typing_extensions import Self

OUTLIERS = ("confetti", "known")


class LearnsFromOutliers(Detector):
    """A detector whose training data names outliers, or gets some that are made.

    Attributes
    ----------
    outliers : {"confetti", "known"}
    label_counts_ : dict of str to int
        How many samples were "normal", "anomaly" and "unlabeled", without confetti.
    """

    outliers: str

    def fit(
        self,
        X: Samples,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Train on images, most of them normal.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``
            Images, as for :meth:`deepsvdd.DeepSVDD.fit`.
        y : array of shape (n,), optional
            +1 known normal, −1 known anomaly, or image of something else, to learn from
            as an outlier, 0 unlabeled. None: all unlabeled.
        sample_weight : array of shape (n,), optional
            As for :meth:`deepsvdd.DeepSVDD.fit`; synthetic outliers have a weight of 1.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data is unusable, among them vectors, or if
            ``outliers`` is "known" and ``y`` names none.
        TrainingDivergedError
            If the loss becomes NaN or infinite.
        """
        return self._fit_whole(X, y, sample_weight)

    def fit_predict(
        self, X: Samples, y: ArrayLike | None = None, **kwargs: Any
    ) -> NDArray[np.int64]:
        """Train on images, and label them: +1 normal, −1 outlier, shape (n,)."""
        return self.fit(X, y, **kwargs).predict(X)

    def check_own(self) -> None:
        """Check where outliers come from."""
        require("outliers", is_one_of(self.outliers, OUTLIERS), OUTLIERS, self)

    def _note(self, known: Known, n: int) -> None:
        self.label_counts_ = known.counts_by_name(n)
        if self.outliers == "known" and not self.label_counts_["anomaly"]:
            raise ValueError(
                "y must name anomalies (-1) to learn from with outliers='known'; got "
                "none: label some, or set outliers='confetti'"
            )

    def _beside_outliers(
        self, samples: Tensor | Dataset[Any], known: Known
    ) -> tuple[Tensor | Dataset[Any], Known]:
        """Add synthetic outliers, as known anomalies."""
        if self.outliers == "known":
            return samples, known
        if len(self.input_shape_) != 3:
            raise ValueError(
                f"outliers must be 'known' for vectors; got {self.outliers!r}, which "
                f"is for images, and samples of shape {self.input_shape_}"
            )
        normal = known.normal()
        own = samples if normal is None else chosen(samples, normal)
        (seed,) = seeds_of(self.random_state, 1)
        n: int = len(samples)  # type: ignore[arg-type]
        source = own.numpy() if isinstance(own, Tensor) else own
        made = Confetti(source, seed)
        labels = torch.zeros(n) if known.labels is None else known.labels
        weights = known.weights
        if weights is not None:
            weights = torch.cat([weights, torch.ones(len(made))])
        known = Known(torch.cat([labels, -torch.ones(len(made))]), weights)
        if isinstance(samples, Tensor):
            drawn = np.stack([made[index] for index in range(len(made))])
            return torch.cat([samples, torch.from_numpy(drawn)]), known
        return ConcatDataset([samples, made]), known
