"""What calibration on held-out normal samples adds to a detector: promises."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from deepsvdd.core.conformal import (
    Calibration,
    check_level,
    check_reachable,
    conformal_p_values,
    discoveries,
    rank_for,
    samples_for,
)
from deepsvdd.core.fingerprints import among
from deepsvdd.core.input_checks import Samples
from deepsvdd.core.recipes import is_whole
from deepsvdd.core.scoring import check_scores
from deepsvdd.errors import NotCalibratedError, OverlapWarning

if TYPE_CHECKING:
    from typing_extensions import Self


class Calibrated:
    """Conformal p-values, selection and thresholds, for a detector to inherit."""

    calibration_: Calibration

    def calibrate(self, X: Samples) -> Self:
        """Score held-out normal samples, for promises: p-values and thresholds.

        The scores stay with the model, and in its file, until the next ``fit``; labels
        of :meth:`predict` do not change. Calling it again replaces them.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``, as in ``fit``
            Normal samples that were not trained on, drawn as future ones will be: the
            promises are about samples like these. Training samples have too low scores,
            and break the promises; they are known by their hashes. A model from a file
            of version 0.1 does not know its own.

        Returns
        -------
        estimator
            The estimator itself.

        Raises
        ------
        ValueError
            If X is unusable, or more than half of it was trained on.

        Warns
        -----
        OverlapWarning
            If some of X were trained on, or are equal to samples that were.

        Examples
        --------
        >>> import numpy as np
        >>> from deepsvdd import DeepSVDD
        >>> x = np.random.default_rng(0).normal(size=(500, 4))
        >>> detector = DeepSVDD(random_state=0).fit(x[:200]).calibrate(x[200:499])
        >>> new = np.array([[9.0, 9.0, 9.0, 9.0], [0.1, 0.0, 0.2, 0.0]])
        >>> float(detector.p_values(new)[0])  # 1 / (299 + 1)
        0.00333
        >>> detector.select(new, fdr=0.1)
        array([ True, False])
        >>> limit = detector.threshold_for(false_alarms=0.01, confidence=0.95)
        >>> detector.set_params(threshold=limit).predict(new)
        array([-1,  1])
        """
        scores, hashes = self._scores_and_hashes(X)
        trained = int(among(hashes, getattr(self, "training_hashes_", None)).sum())
        if 2 * trained > len(hashes):
            raise ValueError(
                f"X must be held out; got {trained} of {len(hashes)} samples that "
                "were trained on: split the data before fit"
            )
        if trained:
            warn_of_overlap(f"{trained} of {len(hashes)} calibration samples", "fit")
        self.calibration_ = Calibration(np.sort(scores), np.sort(hashes))
        return self

    def p_values(
        self, X: Samples, *, randomized: bool = False, seed: int | None = None
    ) -> NDArray[np.float64]:
        """Tell how rare scores as high as these are among normal samples.

        Of a normal sample, p ≤ α has a probability of at most α, for every α, on
        average over the calibration samples.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``, as in ``fit``
        randomized : bool, default=False
            Break ties at random, so that the probability is exactly α. Then p-values
            can be below 1/(n + 1) by luck alone.
        seed : int, optional
            Of that; by default each call draws anew.

        Returns
        -------
        ndarray of shape (m,)
            (1 + number of calibration scores not below) / (n + 1): from 1/(n + 1), with
            n calibration samples, to 1.

        Raises
        ------
        NotCalibratedError
            Before :meth:`calibrate`.
        ValueError
            If X is unusable, or ``seed`` is no whole number from 0 on.

        Warns
        -----
        OverlapWarning
            If some of X were trained or calibrated on: nothing is promised of them.

        References
        ----------
        Bates et al., "Testing for outliers with conformal p-values", Annals of
        Statistics 2023.
        """
        calibration = self.calibration
        if not (seed is None or (is_whole(seed) and seed >= 0)):
            raise ValueError(
                f"seed must be None or a whole number from 0 on; got {seed!r}"
            )
        scores, hashes = self._scores_and_hashes(X)
        for name, known in (
            ("fit", getattr(self, "training_hashes_", None)),
            ("calibrate", calibration.hashes),
        ):
            if count := int(among(hashes, known).sum()):
                warn_of_overlap(f"{count} of {len(hashes)} samples", name)
        uniform = (
            np.random.default_rng(seed).random(len(scores)) if randomized else None
        )
        return conformal_p_values(scores, calibration.scores, uniform)

    def select(self, X: Samples, fdr: float = 0.1) -> NDArray[np.bool_]:
        """Choose anomalies from many samples, of which few are to be false.

        Benjamini and Hochberg's procedure on the p-values of all of X together. On
        average over calibration and test samples, at most the share ``fdr`` of those
        chosen is normal (times the share of X that is normal).

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``, as in ``fit``
            All samples among which to choose; what is chosen depends on all of them.
        fdr : float in [1/(n + 1), 1), default=0.1
            Share of false discoveries, with n calibration samples. To choose k of m
            samples takes about m/(k · fdr) calibration samples.

        Returns
        -------
        ndarray of bool, shape (m,)
            Which are chosen.

        Raises
        ------
        NotCalibratedError
            Before :meth:`calibrate`.
        ValueError
            If X is unusable, or ``fdr`` is smaller than the smallest p-value.

        Warns
        -----
        OverlapWarning
            As :meth:`p_values` does.

        References
        ----------
        Benjamini and Hochberg, "Controlling the false discovery rate", 1995.
        """
        level = check_level("fdr", fdr)
        check_reachable("fdr", level, len(self.calibration))
        return discoveries(self.p_values(X), level)

    def threshold_for(
        self, false_alarms: float = 0.01, confidence: float = 0.95
    ) -> float:
        """Find the lowest threshold that promises few false alarms.

        A calibration score, by its rank: of n scores from one distribution, the share
        of the distribution above the k-th smallest follows a Beta law. Make it the
        detector's own by ``set_params(threshold=…)``.

        Parameters
        ----------
        false_alarms : float in (0, 1), default=0.01
            Share of normal samples that may score above.
        confidence : float in (0, 1), default=0.95
            Probability, over the draw of the calibration samples, that the share is no
            larger.

        Returns
        -------
        float

        Raises
        ------
        NotCalibratedError
            Before :meth:`calibrate`.
        ValueError
            If the calibration samples are too few; the message says how many it takes.

        References
        ----------
        Wilks, "Determination of sample sizes for setting tolerance limits", 1941.
        """
        share = check_level("false_alarms", false_alarms)
        sure = check_level("confidence", confidence)
        calibration = self.calibration
        rank = rank_for(len(calibration), share, sure)
        if rank is None:
            raise ValueError(
                f"false_alarms={share:g} with confidence={sure:g} takes at least "
                f"{samples_for(share, sure):,} calibration samples; got "
                f"{len(calibration):,}: calibrate on more, or ask for less"
            )
        return float(calibration.scores[rank - 1])

    @property
    def predict_proba(self) -> Any:
        """None: scores are no probabilities; :meth:`p_values` are, of another kind.

        Raises
        ------
        AttributeError
            Always, so that scikit-learn sees that there is none.
        """
        raise AttributeError(
            f"{type(self).__name__} has no predict_proba, as distances are no "
            "probabilities of being an anomaly: calibrate on held-out normal samples, "
            "and use p_values"
        )

    @property
    def calibration(self) -> Calibration:
        """What :meth:`calibrate` kept: ``scores`` (n,), ascending, and ``hashes``.

        Raises
        ------
        NotCalibratedError
            Before :meth:`calibrate`.
        """
        check_is_fitted(self)
        if not hasattr(self, "calibration_"):
            raise NotCalibratedError(
                f"this {type(self).__name__} is not calibrated: call calibrate(X) with "
                "normal samples that were not trained on"
            )
        return self.calibration_

    def _scores_and_hashes(
        self, X: Samples
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Score samples (n, ...) and hash them."""
        check_is_fitted(self)
        detector: Any = self
        samples = detector._samples(X, reset=False)
        scores = check_scores(detector._score(samples))
        return scores, detector._hashes(samples).numpy()


def warn_of_overlap(what: str, method: str) -> None:
    """Warn of samples that the detector has seen before."""
    warnings.warn(
        f"{what} were part of the data of {method}, and nothing is promised of those: "
        "leave them out (or ignore this, if equal samples come by chance)",
        OverlapWarning,
        stacklevel=3,
    )
