"""Pictures of points: representations in the plane, and values in rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from deepsvdd.core.metrics import as_numpy, check_finite, check_labels
from deepsvdd.core.plots.look import (
    ANOMALY,
    CENTER,
    GREY,
    NORMAL,
    PALETTE,
    new_axes,
    style,
)

if TYPE_CHECKING:
    from deepsvdd.core.metrics import Values


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
    ax = new_axes(ax, (5.6, 3.6))
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
    """Draw at most 2,000 of (n, 2) points, each class in its color and shape."""
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
    ax = new_axes(ax, (5.0, 0.9 + 0.27 * len(labels)))
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
