"""What explanations add to a detector: where an image, or a row, is odd."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepsvdd.core._engine.devices import tensor_cores
from deepsvdd.core._engine.feeds import read_images
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core.explanations import (
    averaged,
    integrated_gradients,
    occlusion,
    without_columns,
)
from deepsvdd.core.input_checks import Samples, is_one_of
from deepsvdd.core.networks import evaluation_mode
from deepsvdd.core.preprocessing import Preprocessor, at_a_time
from deepsvdd.core.recipes import is_whole
from deepsvdd.core.representations import SCORING_BATCH
from deepsvdd.core.scoring import scores_of
from deepsvdd.core.training import Hypersphere

METHODS: tuple[str, ...] = ("gradients", "occlusion")
TYPICAL = 1000  # training samples whose mean, or median, is the baseline


class Explained:
    """Heat maps of images, contributions of columns, for a detector to inherit.

    Attributes
    ----------
    typical_ : Tensor of shape (c, h, w) or (d,)
        What is not odd, preprocessed: of a thousand training samples, evenly spaced and
        without known anomalies, the mean image, or the median of each column.
    """

    input_shape_: tuple[int, ...]
    members_: list[Hypersphere]
    preprocessor_: Preprocessor
    typical_: Tensor

    explanations: tuple[str, ...] = METHODS  # the methods that this class knows

    if TYPE_CHECKING:

        def _samples(self, X: Samples, reset: bool) -> Tensor | Dataset[Any]: ...
        def _preprocessed(
            self, samples: Tensor | Dataset[Any], shared: bool = False
        ) -> Iterator[Tensor]: ...

    @usual_modes()
    def explain(
        self,
        X: Samples,
        method: str = "auto",
        *,
        baseline: ArrayLike | Tensor | None = None,
        window: int | None = None,
        signed: bool | None = None,
    ) -> NDArray[np.floating]:
        """Tell where images are odd, or which columns make rows odd.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``, as in ``fit``
            Images or vectors.
        method : {"auto", "gradients", "occlusion", "map"}, default="auto"
            "gradients" divides the difference of the scores of sample and baseline
            among all pixels or columns, by integrated gradients; it needs the extra
            ``explain``. "occlusion" replaces a part of the sample, a window of an image
            or a column of a row, by the baseline's, and tells how far the score falls.
            "map", of :class:`~deepsvdd.FCDD` only, is the network's own map, enlarged.
            "auto" is "map" where there is one, else "gradients".
        baseline : array of shape (c, h, w), (h, w) or (d,), optional
            A sample without anything odd, as it is before preprocessing; by default
            ``typical_``.
        window : int, optional
            Of images: side in pixels of the squares that are covered, or over which
            gradients are averaged. By default a seventh of the shorter side, rounded.
        signed : bool, optional
            Whether values are negative where the sample is *less* odd for what is
            there. By default only those of vectors are; of images one gets the
            magnitude, how much the score depends on a place. A "map" has no signs.

        Returns
        -------
        ndarray of shape (n, h, w) or (n, d)
            Larger where odder; in units of the score, but of a "map", see
            :meth:`deepsvdd.FCDD.score_map`. Signed "gradients" of a row, or of an image
            with a window of 1, add up to its score less that of the baseline.

        Raises
        ------
        ValueError
            If X or a parameter is unusable, if the model was written by a version that
            kept no baseline, or if captum is needed, and not installed.

        Notes
        -----
        Contributions of columns add up (Sundararajan et al., ICML 2017, Proposition 1),
        and columns that are odd only together share the blame; replacing single columns
        tells neither.

        What is covered is covered *after* preprocessing, so that the contrast of the
        rest stays as it is. A place can raise the score by being there or lower it, and
        both speak of a defect: the network need not answer to a defect by a larger
        distance. Magnitudes found planted defects in training images more often than
        signed values, and gradients more often than occlusion, which is why they are
        the default.
        """
        check_is_fitted(self)
        method = self._method(method)
        side = self._window(window, method)
        vectors = len(self.input_shape_) == 1
        signed = vectors if signed is None else signed
        if method == "map" and signed:
            raise ValueError(
                "signed must be False for method 'map', which has no signs"
            )
        samples = self._samples(X, reset=False)
        base = None if method == "map" else self._baseline(baseline)
        with tensor_cores(self.members_[0].center.device, False):
            parts = [
                self._explained(x, method, base, side, signed).cpu()
                for x in self._preprocessed(samples)
            ]
        return torch.cat(parts).numpy()

    def _explained(
        self,
        x: Tensor,
        method: str,
        baseline: Tensor | None,
        window: int,
        signed: bool,
    ) -> Tensor:
        """Explain one preprocessed batch (b, ...)."""
        assert baseline is not None  # for the type checker: a map is FCDD's business
        if method == "gradients":
            found = integrated_gradients(self._traced_score, x, baseline)
            found = found if x.ndim == 2 else found.sum(dim=1)
            found = found if signed else found.abs()
            return found if x.ndim == 2 else averaged(found, window)
        if x.ndim == 2:
            found = without_columns(self._plain_score, x, baseline)
        else:
            found = occlusion(self._plain_score, x, baseline, window)
        return found if signed else found.abs()

    def _plain_score(self, x: Tensor) -> Tensor:
        return scores_of(self.members_, x)

    def _traced_score(self, x: Tensor) -> Tensor:
        """Score preprocessed samples so that gradients flow back to them."""

        def apply(encoder: nn.Module, x: Tensor) -> Tensor:
            with evaluation_mode(encoder):
                return encoder(x)

        return scores_of(self.members_, x, apply)

    def _method(self, method: str) -> str:
        known = ("auto", *self.explanations)
        if not is_one_of(method, known):
            raise ValueError(
                f"method must be one of {', '.join(known)}; got {method!r}"
            )
        if method != "auto":
            return method
        return "map" if "map" in self.explanations else "gradients"

    def _window(self, window: int | None, method: str) -> int:
        if len(self.input_shape_) == 1 or method == "map":
            if window is not None:
                what = "vectors" if method != "map" else "method 'map'"
                raise ValueError(f"window must be None for {what}; got {window!r}")
            return 1
        shorter = min(self.input_shape_[1:])
        if window is None:
            return max(round(shorter / 7), 1)
        if not (is_whole(window) and 1 <= window <= shorter):
            raise ValueError(
                f"window must be a whole number from 1 to {shorter}, the images' "
                f"shorter side; got {window!r}"
            )
        return int(window)

    def _baseline(self, given: ArrayLike | Tensor | None) -> Tensor:
        """Preprocess a baseline, or take the one that training left."""
        center = self.members_[0].center
        if given is None:
            if not hasattr(self, "typical_"):
                raise ValueError(
                    "baseline must be given for a model of a version that kept none; "
                    "got None: pass a sample without anything odd, or fit again"
                )
            return self.typical_.to(center)
        samples = self._samples(_one(given, self.input_shape_), reset=False)
        return next(iter(self._preprocessed(samples)))[0].to(center)

    def _keep_typical(
        self, samples: Tensor | Dataset[Any], normal: Tensor | None
    ) -> None:
        """Note the mean image, or the median row, of samples that may be normal."""
        n: int = len(samples)  # type: ignore[arg-type]
        rows = torch.arange(n) if normal is None else normal.cpu()
        rows = rows[:: -(-len(rows) // TYPICAL)]
        if isinstance(samples, Tensor) and samples.ndim == 2:
            self.typical_ = self.preprocessor_(samples[rows]).median(dim=0).values
            return
        total = torch.zeros(self.input_shape_, dtype=torch.float64)
        for part in rows.split(at_a_time(SCORING_BATCH, self.input_shape_)):
            batch = (
                samples[part]
                if isinstance(samples, Tensor)
                else read_images(samples, part.tolist(), self.input_shape_)
            )
            total += self.preprocessor_(batch).double().sum(dim=0)
        self.typical_ = (total / len(rows)).float()


def _one(sample: ArrayLike | Tensor, shape: tuple[int, ...]) -> Any:
    """Make a data set of one sample, whose shape must be that of the others."""
    array = np.asarray(sample.detach().cpu() if isinstance(sample, Tensor) else sample)
    valid = (shape, shape[1:]) if shape[0] == 1 and len(shape) == 3 else (shape,)
    if array.shape not in valid:
        raise ValueError(
            f"baseline must be one sample of shape {shape}, as in fit; got shape "
            f"{array.shape}"
        )
    return array.reshape(1, *shape)
