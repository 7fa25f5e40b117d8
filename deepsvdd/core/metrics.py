"""How well a score separates anomalies from normal samples.

One convention throughout: a larger score means more anomalous, and a label is
0 for normal, 1 for an anomaly. Every function accepts NumPy arrays, lists and
tensors. scikit-learn is imported where it is used, so that importing this
module costs nothing.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    import torch

    Values: TypeAlias = ArrayLike | torch.Tensor

FloatArray: TypeAlias = NDArray[np.float64]
IntArray: TypeAlias = NDArray[np.int64]

FEWEST = 5  # samples of a kind that intervals of the AUC were tried with


def as_numpy(values: Values) -> NDArray[Any]:
    """Return `values` as a NumPy array, from any device and with gradients cut.

    Parameters
    ----------
    values : array-like or tensor, any shape

    Returns
    -------
    ndarray, same shape; bfloat16, which NumPy lacks, becomes float32
    """
    # Recognized by its method: importing torch to ask would cost seconds.
    if hasattr(values, "detach"):
        values = values.detach().cpu()
        if str(values.dtype) == "torch.bfloat16":
            values = values.float()
    return np.asarray(values)


def check_finite(values: Values, name: str) -> FloatArray:
    """Return `values` as a one-dimensional array of finite numbers.

    Parameters
    ----------
    values : (n,) array-like or tensor
    name : the parameter's name, for the error message

    Returns
    -------
    (n,) float64 array

    Raises
    ------
    ValueError
        If `values` is not one-dimensional, not numeric, or holds NaN or infinity.
    """
    array = as_numpy(values)
    if array.ndim != 1:
        raise ValueError(
            f"{name} must be one-dimensional, of shape (n,), "
            f"but its shape is {array.shape}."
        )
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be real numbers, but its dtype is {array.dtype}."
        )
    array = array.astype(np.float64)
    wrong = np.flatnonzero(~np.isfinite(array))
    if wrong.size:
        raise ValueError(
            f"{name} must be finite, but {name}[{wrong[0]}] is {array[wrong[0]]}."
        )
    return array


def check_labels(labels: Values) -> IntArray:
    """Return `labels` as an array of zeros and ones.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)

    Returns
    -------
    (n,) int64 array

    Raises
    ------
    ValueError
        As `check_finite`, and if a label is neither 0 nor 1.
    """
    array = check_finite(labels, "labels")
    wrong = np.flatnonzero((array != 0) & (array != 1))
    if wrong.size:
        raise ValueError(
            "labels must be 0 (normal) or 1 (anomaly), "
            f"but labels[{wrong[0]}] is {array[wrong[0]]:g}."
        )
    return array.astype(np.int64)


def check_labels_and_scores(
    labels: Values, scores: Values
) -> tuple[IntArray, FloatArray]:
    """Return labels and scores as arrays on which every metric is defined.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous

    Returns
    -------
    labels : (n,) int64 array
    scores : (n,) float64 array

    Raises
    ------
    ValueError
        If either is not a one-dimensional array of finite numbers, their lengths
        differ, a label is neither 0 nor 1, or one of the two classes is missing.
    """
    label_array = check_labels(labels)
    score_array = check_finite(scores, "scores")
    if len(label_array) != len(score_array):
        raise ValueError(
            "labels and scores must have equal lengths, "
            f"but these are {len(label_array)} and {len(score_array)}."
        )
    present = np.unique(label_array).tolist()
    if len(present) < 2:
        raise ValueError(
            "labels must contain both 0 (normal) and 1 (anomaly), "
            f"but the values present are {present}."
        )
    return label_array, score_array


def roc_auc(labels: Values, scores: Values) -> float:
    """Area under the ROC curve, the figure of merit of the paper's Table 1.

    It is the probability that a random anomaly scores above a random normal
    sample, ties counting one half, whatever the share of anomalies.

    In the book: auc-is-a-probability (01-anomaly-detection).

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous

    Returns
    -------
    float in [0, 1]; 0.5 is chance

    Raises
    ------
    ValueError
        See `check_labels_and_scores`.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.3, 0.9])
    0.75
    """
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(*check_labels_and_scores(labels, scores)))


def average_precision(labels: Values, scores: Values) -> float:
    """Average precision: the area under the precision-recall curve, as a step sum.

    Unlike the AUC it depends on the share of anomalies, which is what chance
    reaches: 0.9 when nine of ten test classes are anomalies.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous

    Returns
    -------
    float in (0, 1]

    Raises
    ------
    ValueError
        See `check_labels_and_scores`.
    """
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(*check_labels_and_scores(labels, scores)))


def fpr_at_tpr(
    labels: Values,
    scores: Values,
    tpr: float = 0.95,
) -> float:
    """Share of normal samples flagged when a share `tpr` of the anomalies is found.

    The threshold is the highest one that still finds that share, hence a point
    of the ROC curve itself: nothing is interpolated.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous
    tpr : share of anomalies to find, in (0, 1]

    Returns
    -------
    float in [0, 1]; 0 is perfect

    Raises
    ------
    ValueError
        If `tpr` is outside (0, 1], or as in `check_labels_and_scores`.
    """
    from sklearn.metrics import roc_curve

    if not 0 < tpr <= 1:
        raise ValueError(f"tpr must be in (0, 1], but it is {tpr}.")
    label_array, score_array = check_labels_and_scores(labels, scores)
    # By default scikit-learn drops collinear points: the one sought may be among them.
    fprs, tprs, _ = roc_curve(label_array, score_array, drop_intermediate=False)
    return float(fprs[np.argmax(tprs >= tpr)])


def auc_interval(
    labels: Values, scores: Values, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval of the AUC over the choice of test samples.

    It keeps its promise where anomalies are few, which DeLong's interval and the
    bootstrap do not: with ten of them at an AUC of 95 %, these cover the truth in about
    three quarters of all test sets (``benchmarks/intervals.py`` compares seven). It
    inverts Wilson's test, as for a share, at the number of independent samples that
    DeLong's variance stands for, with one sample more of each kind, whose AUC is one
    half; with Student's t for the normal distribution. The interval says nothing about
    training: another seed may differ by more.

    In the book: sec-bootstrap (10-evaluation).

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous
    level : coverage of the interval, in (0, 1)

    Returns
    -------
    low, high : float in [0, 1]

    Raises
    ------
    ValueError
        If `level` is out of range, or as in `check_labels_and_scores`.

    Warns
    -----
    UserWarning
        If there are fewer than five samples of a kind: no simulation vouches for it.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988 (variance). Wilson, Journal
    of the American Statistical Association 22, 1927 (the test). Agresti and Coull, The
    American Statistician 52, 1998 (samples more). Put together here.
    """
    from scipy.stats import t

    _check_level(level)
    label_array, score_array = check_labels_and_scores(labels, scores)
    normal, anomalous = score_array[label_array == 0], score_array[label_array == 1]
    fewest = min(normal.size, anomalous.size)
    if fewest < FEWEST:
        warnings.warn(
            f"labels hold {normal.size} normal samples and {anomalous.size} anomalies: "
            f"from fewer than {FEWEST} of a kind, an interval of the AUC is a guess",
            stacklevel=2,
        )
    shares = placements(normal, anomalous)
    variances = [np.append(s, 0.5).var(ddof=1) / (s.size + 1) for s in shares]
    auc, variance = shares[0].mean(), sum(variances)
    if variance == 0:  # all scores are equal
        return 0.0, 1.0
    # Satterthwaite's degrees of freedom; one sample more leaves as many as there are.
    free = variance**2 / sum(
        v**2 / s.size for v, s in zip(variances, shares, strict=True)
    )
    shrunk = (auc * fewest + 0.5) / (fewest + 1)
    size = shrunk * (1 - shrunk) / variance
    z2 = t.ppf((1 + level) / 2, free) ** 2 / size
    center = (auc + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * (auc * (1 - auc) + z2 / 4)) / (1 + z2)
    return float(max(center - half, 0.0)), float(min(center + half, 1.0))


def placements(
    normal: FloatArray, anomalous: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """How each sample fares against all samples of the other kind.

    Either mean is the AUC, and the variances of both make up its own (DeLong, DeLong
    and Clarke-Pearson, 1988).

    Parameters
    ----------
    normal, anomalous : arrays of shapes (n,) and (m,)
        Finite scores, larger = more anomalous.

    Returns
    -------
    of_anomalies : array of shape (m,)
        Shares of the normal samples that score below each; ties count one half.
    of_normal : array of shape (n,)
        Shares of the anomalies that score above each; ties count one half.
    """
    return _share_below(anomalous, normal), 1 - _share_below(normal, anomalous)


def _share_below(scores: FloatArray, others: FloatArray) -> FloatArray:
    """Share of the others that is below each score, ties counting half."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, scores, "left")
    upto = np.searchsorted(ordered, scores, "right")
    return (below + upto) / (2 * others.size)


def _check_level(level: float) -> None:
    """Refuse a coverage that no interval can have."""
    if not 0 < level < 1:
        raise ValueError(f"level must be in (0, 1), but it is {level}.")


def bootstrap_auc(
    labels: Values,
    scores: Values,
    n_resamples: int = 1000,
    level: float = 0.95,
    random_state: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the AUC over the choice of test samples.

    Normal samples and anomalies are resampled separately, as their numbers are
    given by the test set. The interval says nothing about training: another seed
    may differ by more. With fewer than about a hundred anomalies it is too short, and
    too low: :func:`auc_interval` is not.

    In the book: sec-bootstrap (10-evaluation).

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous
    n_resamples : number of resamples, at least 1
    level : coverage of the interval, in (0, 1)
    random_state : seed of the resampling

    Returns
    -------
    low, high : float in [0, 1]

    Raises
    ------
    ValueError
        If `n_resamples` or `level` is out of range, or as in
        `check_labels_and_scores`.

    References
    ----------
    Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3.
    """
    if n_resamples < 1:
        raise ValueError(f"n_resamples must be at least 1, but it is {n_resamples}.")
    _check_level(level)
    label_array, score_array = check_labels_and_scores(labels, scores)
    # The AUC knows scores only by their order. With ranks sorted once, a resample
    # costs one count per rank instead of a sort.
    ranks = np.unique(score_array, return_inverse=True)[1]
    normal, anomalous = ranks[label_array == 0], ranks[label_array == 1]
    rng = np.random.default_rng(random_state)
    aucs = [
        _auc_of_ranks(
            rng.choice(normal, normal.size), rng.choice(anomalous, anomalous.size)
        )
        for _ in range(n_resamples)
    ]
    low, high = np.quantile(aucs, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _auc_of_ranks(normal: IntArray, anomalous: IntArray) -> float:
    """Share of (normal, anomaly) pairs in the right order, ties counting half."""
    size = max(normal.max(), anomalous.max()) + 1
    normals = np.bincount(normal, minlength=size)  # (ranks,)
    anomalies = np.bincount(anomalous, minlength=size)  # (ranks,)
    beaten = np.cumsum(normals) - normals / 2  # (ranks,)
    return float(anomalies @ beaten / (normal.size * anomalous.size))


def evaluate(labels: Values, scores: Values) -> dict[str, float]:
    """All the figures of a results table at once, ready for JSON.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous

    Returns
    -------
    dict
        With keys ``roc_auc``, ``roc_auc_low`` and ``roc_auc_high``
        (:func:`auc_interval`, 95 %), ``average_precision`` and ``fpr_at_95_tpr``.

    Raises
    ------
    ValueError
        See `check_labels_and_scores`.
    """
    low, high = auc_interval(labels, scores)
    return {
        "roc_auc": roc_auc(labels, scores),
        "roc_auc_low": low,
        "roc_auc_high": high,
        "average_precision": average_precision(labels, scores),
        "fpr_at_95_tpr": fpr_at_tpr(labels, scores),
    }
