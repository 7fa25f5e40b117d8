"""What is known of the training samples beside their values: labels and weights."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepsvdd.core.metrics import as_numpy
from deepsvdd.core.recipes import is_number

LABELS = (-1, 0, 1)


@dataclass(frozen=True, eq=False)
class Known:
    """Labels and weights of n training samples, where there are any.

    Attributes
    ----------
    labels : Tensor of shape (n,), optional
        float32: 0 unlabeled, +1 known normal, −1 known anomaly.
    weights : Tensor of shape (n,), optional
        float32: as often a sample counts, 1 on average.
    """

    labels: Tensor | None = None
    weights: Tensor | None = None

    @classmethod
    def of(cls, labels: NDArray[Any] | None, weights: NDArray[Any] | None) -> Known:
        """Take over what was checked; weights are brought to 1 on average."""
        if weights is not None:
            weights = weights / weights.mean()
        return cls(
            *(
                None if values is None else torch.from_numpy(values.astype(np.float32))
                for values in (labels, weights)
            )
        )

    def normal(self) -> Tensor | None:
        """Return the indices of samples that may be normal; None if all may be."""
        if self.labels is None or not (self.labels < 0).any():
            return None
        return (self.labels >= 0).nonzero()[:, 0]

    def counts(self, n: int) -> tuple[int, int, int]:
        """Count normal, anomalous and unlabeled ones of n samples."""
        if self.labels is None:
            return 0, 0, n
        normal, anomalies = (int((self.labels == label).sum()) for label in (1, -1))
        return normal, anomalies, n - normal - anomalies

    def counts_by_name(self, n: int) -> dict[str, int]:
        """Count the same by name, as estimators and model files keep it."""
        names = ("normal", "anomaly", "unlabeled")
        return dict(zip(names, self.counts(n), strict=True))

    def to(self, device: torch.device) -> Known:
        """Put both on a device."""
        if self.nothing:
            return self
        return Known(
            *(None if v is None else v.to(device) for v in (self.labels, self.weights))
        )

    @property
    def nothing(self) -> bool:
        """Whether nothing is known."""
        return self.labels is None and self.weights is None

    def fingerprint(self) -> str:
        """Tell these labels and weights from others."""
        digest = hashlib.sha256()
        for values in (self.labels, self.weights):
            digest.update(b"-" if values is None else values.cpu().numpy().tobytes())
        return digest.hexdigest()


NOTHING = Known()
BALANCED = "balanced"
LABEL_WEIGHTS = f"a positive number or {BALANCED!r}"  # η of Deep SAD


def is_label_weight(value: Any) -> bool:
    """Tell whether a value can be η of Deep SAD."""
    if is_number(value):
        return bool(0 < value < math.inf)
    return isinstance(value, str) and value == BALANCED


def weight_of_label(eta: float | str, n_labeled: int, n_unlabeled: int) -> float:
    """Resolve η; "balanced": all labels together count as much as all other samples.

    Parameters
    ----------
    eta : float or "balanced"
    n_labeled, n_unlabeled : int
        Numbers of training samples with and without a label.

    Returns
    -------
    float
        η; of "balanced", n_unlabeled / n_labeled, and 1 if either is none.

    Examples
    --------
    >>> weight_of_label("balanced", 5, 500)
    100.0
    """
    if eta != BALANCED:
        return float(eta)
    return n_unlabeled / n_labeled if n_labeled and n_unlabeled else 1.0


def check_labels(y: Any, n: int) -> NDArray[np.float32] | None:
    """Take labels of n training samples; None if there are none but 0.

    Parameters
    ----------
    y : array of shape (n,), or None
        +1 known normal, −1 known anomaly, 0 unlabeled.
    n : int

    Returns
    -------
    ndarray of shape (n,), float32, or None

    Raises
    ------
    ValueError
        If they are of another length, or others than these; or if fewer than two
        samples are not known anomalies.
    """
    if y is None:
        return None
    labels = _column(y, "y", "a label", n)
    valid = np.isin(labels, LABELS)
    if labels.dtype.kind in "bSU":  # True may be either; "1" is equal to 1 for NumPy
        valid[:] = False
    wrong = np.flatnonzero(~valid)
    if wrong.size:
        got = labels[wrong[0]].item()
        raise ValueError(
            "y must hold +1 (known normal), -1 (known anomaly), 0 (unlabeled) only; "
            f"got {got!r:.40} at index {wrong[0]}"
        )
    labels = labels.astype(np.float32)
    anomalies = int((labels < 0).sum())
    if n - anomalies < 2:
        raise ValueError(
            "y must leave at least 2 samples that are no known anomalies, to learn "
            f"what is normal; got {anomalies} labels of -1 for {n} samples"
        )
    return labels if labels.any() else None


def check_weights(sample_weight: Any, n: int) -> NDArray[np.float64] | None:
    """Take weights of n training samples; None if all are equal.

    Parameters
    ----------
    sample_weight : array of shape (n,), or None
        Numbers from 0 on.
    n : int

    Returns
    -------
    ndarray of shape (n,), float64, or None

    Raises
    ------
    ValueError
        If they are of another shape, no such numbers, or fewer than two are positive.
    """
    if sample_weight is None:
        return None
    weights = _column(sample_weight, "sample_weight", "a weight", n)
    try:
        weights = weights.astype(np.float64)
    except (TypeError, ValueError):
        weights = np.full(n, np.nan)
    wrong = np.flatnonzero(~(np.isfinite(weights) & (weights >= 0)))
    if wrong.size:
        got = np.asarray(sample_weight)[wrong[0]]
        raise ValueError(
            f"sample_weight must hold finite numbers from 0 on; got {got!s:.40} at "
            f"index {wrong[0]}"
        )
    positive = int((weights > 0).sum())
    if positive < 2:
        raise ValueError(
            f"sample_weight must be above zero for at least 2 samples; got {positive}"
        )
    return None if (weights == weights[0]).all() else weights


def _column(values: Any, name: str, what: str, n: int) -> NDArray[Any]:
    """Take one value for each of n samples."""
    column = as_numpy(values)
    if column.shape != (n,):
        raise ValueError(
            f"{name} must hold {what} for each of the {n} samples, shape ({n},); got "
            f"shape {column.shape}"
        )
    return column
