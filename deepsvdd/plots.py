"""Pictures of data, scores and training that read well on light and dark pages.

Every function draws on `ax`, or on a new figure if there is none, and returns the
axes. The look is one dictionary, `STYLE`: the functions apply it to what they
create; to give it to axes of your own, make them inside ``with style():``, or write
``plt.style.use(plots.STYLE)`` once at the top of a notebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from deepsvdd.files import atomic_write
from deepsvdd.metrics import (
    as_numpy,
    average_precision,
    check_finite,
    check_labels,
    check_labels_and_scores,
    roc_auc,
)

if TYPE_CHECKING:
    from deepsvdd.metrics import Values

# Okabe and Ito's palette, told apart by colour-blind readers. Lines do without its
# black and yellow, as each vanishes on one of the two backgrounds.
NORMAL, ANOMALY = "#0072B2", "#D55E00"  # blue, vermillion
CENTER = "#F0E442"  # yellow, for marks with a black edge
PALETTE = [NORMAL, ANOMALY, "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
# The one grey with equal contrast, 4.3 : 1, to white and to #121212.
GREY = "#797979"

STYLE: dict[Any, Any] = {
    "figure.facecolor": "none",
    "figure.figsize": (5.0, 3.4),
    "figure.constrained_layout.use": True,
    "axes.facecolor": "none",
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.titlesize": "medium",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.2,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "legend.frameon": False,
    "savefig.facecolor": "auto",
}


@contextmanager
def style() -> Iterator[None]:
    """Give all that is created inside ``with style():`` the look of this module.

    Matplotlib's settings are restored afterwards. Also a decorator: ``@style()``.
    """
    with mpl.rc_context(STYLE):
        yield


def _axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    """Return `ax`, or the axes of a new figure of `size` (width, height) in inches."""
    return plt.subplots(figsize=size)[1] if ax is None else ax


def _spans_a_decade(values: NDArray[np.float64]) -> bool:
    """Whether a logarithmic axis is possible and shows more than a linear one."""
    return bool(values.min() > 0 and values.max() >= 9.99 * values.min())


@style()
def image_grid(
    images: Values,
    ax: Axes | None = None,
    columns: int = 8,
    title: str | None = None,
) -> Axes:
    """Draw images as tiles, row by row, with transparent gaps between them.

    Bytes are shown as they are. Floats, whatever their range, are scaled linearly so
    that the smallest value of the whole grid is black and the largest is white:
    brightness can be compared within one grid, not between two.

    Parameters
    ----------
    images : (n, h, w), (n, 1, h, w) or (n, 3, h, w) array or tensor, uint8 or float
    ax : axes to draw on
    columns : tiles in a row, at least 1; fewer if there are fewer images
    title : text above the grid

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If there are no images, their shape or dtype is another, a value is NaN or
        infinite, or `columns` is less than 1.
    """
    if columns < 1:
        raise ValueError(f"columns must be at least 1, but it is {columns}.")
    canvas = _tile(_as_rgb(as_numpy(images)), columns)
    height, width = canvas.shape[:2]
    ax = _axes(ax, (5.0, 5.0 * height / width + 0.3 * (title is not None)))
    ax.imshow(canvas, interpolation="nearest")
    ax.set_axis_off()
    if title is not None:
        ax.set_title(title)
    return ax


def _as_rgb(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return images of any admitted shape and dtype as (n, h, w, 3) in [0, 1]."""
    if images.ndim == 3:
        images = images[:, None]  # (n, 1, h, w)
    if images.ndim != 4 or images.shape[1] not in (1, 3):
        raise ValueError(
            "images must be of shape (n, h, w), (n, 1, h, w) or (n, 3, h, w), "
            f"but their shape is {images.shape}."
        )
    if images.size == 0:
        raise ValueError(
            f"images must hold at least one image, but their shape is {images.shape}."
        )
    if images.dtype == np.uint8:
        low, high = 0.0, 255.0
    elif images.dtype.kind == "f":
        low, high = float(images.min()), float(images.max())
    else:
        raise ValueError(f"images must be uint8 or float, but are {images.dtype}.")
    if not np.isfinite([low, high]).all():
        raise ValueError(
            f"images must be finite, but their values reach from {low} to {high}."
        )
    scaled = (images.astype(np.float64) - low) / (high - low or 1.0)
    return np.broadcast_to(
        np.moveaxis(scaled, 1, -1), (len(images), *images.shape[2:], 3)
    )


def _tile(images: NDArray[np.float64], columns: int) -> NDArray[np.float64]:
    """Arrange (n, h, w, 3) images on one RGBA canvas, transparent between them."""
    n, h, w, _ = images.shape
    gap = max(1, h // 14)  # 2 pixels for MNIST and CIFAR-10
    columns = min(columns, n)
    rows = -(-n // columns)
    canvas = np.zeros((rows * (h + gap) - gap, columns * (w + gap) - gap, 4))
    for k, image in enumerate(images):
        top, left = k // columns * (h + gap), k % columns * (w + gap)
        canvas[top : top + h, left : left + w, :3] = image
        canvas[top : top + h, left : left + w, 3] = 1.0
    return canvas


def extremes(scores: Values, n: int = 32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Find the most normal and the most anomalous samples.

    Parameters
    ----------
    scores : (m,) array-like or tensor, larger = more anomalous
    n : how many of each, from 1 to m

    Returns
    -------
    lowest : (n,) indices, the most normal first
    highest : (n,) indices, the most anomalous first
        Equal scores keep the order of the samples in both.

    Raises
    ------
    ValueError
        If `n` is out of range or the scores are not finite numbers.

    Examples
    --------
    >>> lowest, highest = extremes([0.3, 0.1, 0.9, 0.2], n=2)
    >>> lowest.tolist(), highest.tolist()
    ([1, 3], [2, 0])
    """
    values = check_finite(scores, "scores")
    if not 1 <= n <= len(values):
        raise ValueError(
            f"n must be from 1 to the number of scores, {len(values)}, but it is {n}."
        )
    return (
        np.argsort(values, kind="stable")[:n],
        np.argsort(-values, kind="stable")[:n],
    )


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
        See `deepsvdd.metrics.check_labels_and_scores`.
    """
    from sklearn import metrics

    label_array, score_array = check_labels_and_scores(labels, scores)
    fpr, tpr, _ = metrics.roc_curve(label_array, score_array)
    ax = _axes(ax, (4.2, 4.0))
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
        See `deepsvdd.metrics.check_labels_and_scores`.
    """
    from sklearn import metrics

    label_array, score_array = check_labels_and_scores(labels, scores)
    precision, recall, _ = metrics.precision_recall_curve(label_array, score_array)
    base = label_array.mean()
    ax = _axes(ax, (4.2, 4.0))
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
        See `deepsvdd.metrics.check_labels_and_scores`.
    """
    label_array, score_array = check_labels_and_scores(labels, scores)
    edges, scale = _bins(score_array, [] if threshold is None else [threshold])
    ax = _axes(ax)
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
    ax = _axes(ax)
    # A line through one point would be invisible.
    epochs = np.asarray(history["epoch"]) + 1  # a history counts from 0
    ax.plot(epochs, values, marker="o" if values.size == 1 else None)
    if _spans_a_decade(values):
        ax.set_yscale("log")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    ax.set(xlabel="epoch", ylabel=quantity.replace("_", " "))
    return ax


@style()
def representation_projection(
    representations: Values,
    labels: Values,
    center: Values | None = None,
    ax: Axes | None = None,
    radius: float | None = None,
) -> Axes:
    """Scatter representations in the plane in which the normal ones vary most.

    The plane comes from a principal component analysis of the normal samples; of
    two-dimensional representations the coordinates themselves are drawn. At most
    2,000 samples, drawn with a fixed seed, are shown.

    Parameters
    ----------
    representations : (n, d) array-like or tensor, d at least 2
    labels : (n,) array-like or tensor of 0 (normal) and 1 (anomaly)
    center : (d,) array-like or tensor, marked by a star
    ax : axes to draw on
    radius : radius of the circle to draw about the center
        For d = 2 only: a projected hypersphere would seem to hold points that lie
        outside of it.

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If the shapes do not fit, a value is not finite, fewer than two samples are
        normal, or there is a radius but no center or d is not 2.
    """
    points, label_array = _check_points(representations, labels)
    d = points.shape[1]
    if radius is not None and (center is None or d != 2):
        raise ValueError(
            "radius must come with a center and two-dimensional representations, "
            f"but center is {'missing' if center is None else 'given'} and d is {d}."
        )
    middle = None if center is None else check_finite(center, "center")
    if middle is not None and middle.shape != (d,):
        raise ValueError(
            f"center must be of shape ({d},), but its shape is {middle.shape}."
        )
    origin, plane, names = _plane(points[label_array == 0])
    ax = _axes(ax, (5.6, 3.6))
    _scatter(ax, (points - origin) @ plane, label_array)
    if middle is not None:
        x, y = (middle - origin) @ plane
        if radius is not None:
            angle = np.linspace(0, 2 * np.pi, 200)
            circle = x + radius * np.cos(angle), y + radius * np.sin(angle)
            ax.plot(*circle, color=GREY, linewidth=2, label="radius")
        ax.plot(x, y, "*", color=CENTER, mec="black", markersize=12, label="center")
    ax.set(xlabel=names[0], ylabel=names[1])
    ax.set_aspect("equal", adjustable="datalim")
    # The points may be anywhere, so the legend is outside.
    ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.3)
    return ax


def _check_points(
    representations: Values, labels: Values
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (n, d) representations and (n,) labels, or say what is wrong."""
    points = as_numpy(representations)
    label_array = check_labels(labels)
    if points.ndim != 2 or points.shape[1] < 2 or len(points) != len(label_array):
        raise ValueError(
            f"representations must be of shape ({len(label_array)}, d), one a label, "
            f"with d at least 2, but their shape is {points.shape}."
        )
    check_finite(points.ravel(), "representations")
    if (label_array == 0).sum() < 2:
        raise ValueError(
            "labels must hold at least two normal samples (0), "
            f"but hold {(label_array == 0).sum()}."
        )
    return points.astype(np.float64), label_array


def _plane(
    normal: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[str]]:
    """Return origin (d,), axes (d, 2) and their names for (n, d) normal samples."""
    if normal.shape[1] == 2:
        return np.zeros(2), np.eye(2), ["coordinate 1", "coordinate 2"]
    from sklearn.decomposition import PCA

    with np.errstate(invalid="ignore"):  # a collapsed network has no variance: 0 / 0
        pca = PCA(2, svd_solver="full").fit(normal)
    shares = np.nan_to_num(pca.explained_variance_ratio_)
    names = [
        f"principal component {k} ({100 * share:.0f} % of variance)"
        for k, share in enumerate(shares, start=1)
    ]
    return pca.mean_, pca.components_.T, names


def _scatter(ax: Axes, points: NDArray[np.float64], labels: NDArray[np.int64]) -> None:
    """Draw at most 2,000 of (n, 2) points, each class in its colour and shape."""
    chosen = np.random.default_rng(0).permutation(len(points))[:2000]
    points, labels = points[chosen], labels[chosen]
    # The anomalies, usually the majority, go below.
    for kind, color, marker, name in (
        (0, NORMAL, "o", "normal"),
        (1, ANOMALY, "^", "anomaly"),
    ):
        ax.scatter(
            points[labels == kind, 0],
            points[labels == kind, 1],
            s=12,
            color=color,
            marker=marker,
            alpha=0.7,
            linewidths=0,
            zorder=2 - 0.5 * kind,
            label=name,
        )


@style()
def dots(
    labels: Sequence[str],
    series: Mapping[str, Sequence[tuple[float, float]]],
    *,
    xlabel: str = "",
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Compare values by position on one axis: a row a label, a mark a series.

    Parameters
    ----------
    labels : sequence of n str
        Rows, from the top.
    series : mapping of str to n pairs of float
        Value and spread (drawn as a bar to both sides) in each row; NaN draws nothing.
    xlabel, title : str
    ax : Axes, optional

    Returns
    -------
    Axes

    Raises
    ------
    ValueError
        If a series has not n pairs.
    """
    for name, pairs in series.items():
        if len(pairs) != len(labels):
            raise ValueError(
                f"series must have {len(labels)} pairs each; {name!r} has {len(pairs)}"
            )
    ax = _axes(ax, (5.0, 0.9 + 0.27 * len(labels)))
    shift = np.linspace(-0.2, 0.2, len(series)) if len(series) > 1 else [0.0]
    colors = [*PALETTE[: len(series) - 1], GREY] if len(series) > 2 else PALETTE
    for (name, pairs), marker, color, offset in zip(
        series.items(), "osxD^v", colors, shift, strict=False
    ):
        values, spreads = np.array(pairs, dtype=float).reshape(-1, 2).T
        rows = np.arange(len(labels)) + offset
        spread = np.where(spreads > 0, spreads, np.nan)
        look: dict[str, Any] = {
            "fmt": marker,
            "color": color,
            "markersize": 5,
            "linewidth": 1.2,
        }
        if name == "paper":
            look["markerfacecolor"] = "none"
        ax.errorbar(values, rows, xerr=spread, label=name, **look)
    ax.set_yticks(range(len(labels)), labels)
    ax.set_ylim(len(labels) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    ax.set_title(title)
    ax.grid(axis="y", visible=False)
    if len(series) > 1:
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def save(figure: Figure | Axes, path: str | PathLike[str], dpi: int = 150) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Parameters
    ----------
    figure : figure, or any axes of it
    path : file to write, ending in ``.png``
    dpi : resolution in dots per inch

    Raises
    ------
    ValueError
        If `path` does not end in ``.png``.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"path must end in .png, but it is {str(path)!r}.")
    # Twice, as the axes may be in a subfigure; a figure is its own figure.
    root = figure.figure.figure
    with atomic_write(path) as temporary:
        root.savefig(temporary, format="png", dpi=dpi, bbox_inches="tight")
