"""Pictures of scores and of training: curves and histograms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from deepsvdd.core.metrics import (
    average_precision,
    check_labels_and_scores,
    roc_auc,
)
from deepsvdd.core.plots.look import ANOMALY, GREY, NORMAL, new_axes, style

if TYPE_CHECKING:
    from deepsvdd.core.metrics import Values


def _spans_a_decade(values: NDArray[np.float64]) -> bool:
    """Whether a logarithmic axis is possible and shows more than a linear one."""
    return bool(values.min() > 0 and values.max() >= 9.99 * values.min())


@style()
def roc_curve(
    labels: Values,
    scores: Values,
    ax: Axes | None = None,
    label: str | None = None,
) -> Axes:
    """Draw the ROC curve, with its area in the legend and the diagonal of chance.

    Call it again on the same axes to compare curves.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous
    ax : axes to draw on
    label : name of the curve in the legend

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        See `deepsvdd.core.metrics.check_labels_and_scores`.
    """
    from sklearn import metrics

    label_array, score_array = check_labels_and_scores(labels, scores)
    fpr, tpr, _ = metrics.roc_curve(label_array, score_array)
    ax = new_axes(ax, (4.2, 4.0))
    if not ax.lines:
        ax.plot([0, 1], [0, 1], color=GREY, linestyle=":", label="chance")
    name = f"{label}, AUC" if label else "AUC"
    ax.plot(fpr, tpr, label=f"{name} {roc_auc(labels, scores):.3f}")
    ax.set(
        xlabel="false positive rate (normal samples flagged)",
        ylabel="true positive rate (anomalies found)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    ax.legend(loc="best")
    return ax


@style()
def pr_curve(
    labels: Values,
    scores: Values,
    ax: Axes | None = None,
    label: str | None = None,
) -> Axes:
    """Draw the precision-recall curve, with its average precision and the base rate.

    The base rate, the share of anomalies in the test set, is what chance reaches.
    Call it again on the same axes to compare curves on the same test set.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous
    ax : axes to draw on
    label : name of the curve in the legend

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        See `deepsvdd.core.metrics.check_labels_and_scores`.
    """
    from sklearn import metrics

    label_array, score_array = check_labels_and_scores(labels, scores)
    precision, recall, _ = metrics.precision_recall_curve(label_array, score_array)
    base = label_array.mean()
    ax = new_axes(ax, (4.2, 4.0))
    if not ax.lines:
        ax.axhline(base, color=GREY, linestyle=":", label=f"base rate {base:.3f}")
    name = f"{label}, AP" if label else "AP"
    ax.step(
        recall,
        precision,
        where="post",
        label=f"{name} {average_precision(labels, scores):.3f}",
    )
    ax.set(
        xlabel="recall (anomalies found)",
        ylabel="precision (flagged that are anomalies)",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    ax.legend(loc="best")
    return ax


@style()
def score_histogram(
    labels: Values,
    scores: Values,
    ax: Axes | None = None,
    threshold: float | None = None,
) -> Axes:
    """Draw how the scores of normal samples and of anomalies are distributed.

    Both histograms share their bins, and each sums to one, however many samples the
    class has. Positive scores that span a decade, as distances do, are shown on a
    logarithmic axis; others on a linear one that ends at their 99.5 % quantile.

    Parameters
    ----------
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    scores : (n,) array-like or tensor, larger = more anomalous
    ax : axes to draw on
    threshold : score to mark, above which samples are flagged

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        See `deepsvdd.core.metrics.check_labels_and_scores`.
    """
    label_array, score_array = check_labels_and_scores(labels, scores)
    edges, scale = _bins(score_array, [] if threshold is None else [threshold])
    ax = new_axes(ax)
    for kind, color, name in ((0, NORMAL, "normal"), (1, ANOMALY, "anomaly")):
        values = score_array[label_array == kind]
        ax.hist(
            values,
            edges.tolist(),
            weights=np.full(values.size, 1 / values.size),
            histtype="stepfilled",
            color=(color, 0.4),
            edgecolor=color,
            label=f"{name} (n = {values.size:,})",
        )
    if threshold is not None:
        name = f"threshold {threshold:.3g}"
        ax.axvline(threshold, ymax=0.71, color=GREY, linestyle="--", label=name)
    hidden = (score_array > edges[-1]).sum()
    note = f" ({hidden:,} largest not shown)" if hidden else ""
    ax.set(
        xscale=scale,
        xlabel=f"anomaly score{note}",
        ylabel="share of the class in each bin",
    )
    ax.margins(y=0.4)  # room for the legend above the highest bar
    ax.legend(loc="upper right")
    return ax


def _bins(
    scores: NDArray[np.float64], marks: list[float]
) -> tuple[NDArray[np.float64], str]:
    """Return the edges of 40 bins that cover scores and marks, and their scale."""
    covered = np.append(scores, marks)
    if _spans_a_decade(covered):
        return np.geomspace(covered.min(), covered.max(), 41), "log"
    # "higher" hides nothing of fewer than 200 scores.
    cut = np.quantile(scores, 0.995, method="higher")
    covered = np.append(scores[scores <= cut], marks)
    return np.histogram_bin_edges(covered, bins=40), "linear"


@style()
def learning_curves(
    history: Mapping[str, Sequence[float]],
    ax: Axes | None = None,
    quantity: str = "loss",
) -> Axes:
    """Draw one recorded quantity over the epochs, the first of which is drawn at 1.

    The axis is logarithmic if the values are positive and span a decade.

    Parameters
    ----------
    history : dict of lists of equal length
        One value an epoch; ``"epoch"`` and `quantity` are among its keys.
    ax : axes to draw on
    quantity : what to draw: ``"loss"``, ``"radius"``, ``"learning_rate"``, …

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the history lacks one of the two or has no epoch.
    """
    for key in ("epoch", quantity):
        if key not in history:
            raise ValueError(
                f"quantity must be recorded in the history, one of {sorted(history)}, "
                f"but {key!r} is not."
            )
    values = np.asarray(history[quantity], dtype=np.float64)
    if values.size == 0:
        raise ValueError("history must hold at least one epoch, but it is empty.")
    ax = new_axes(ax)
    # A line through one point would be invisible.
    epochs = np.asarray(history["epoch"]) + 1  # a history counts from 0
    ax.plot(epochs, values, marker="o" if values.size == 1 else None)
    if _spans_a_decade(values):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel=quantity.replace("_", " "))
    return ax
