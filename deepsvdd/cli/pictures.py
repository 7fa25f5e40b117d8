"""The pictures that commands draw into files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from deepsvdd.cli.config import Settings
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.datasets import (
    Split,
)

SHOWN = 32  # images in normals.png and outliers.png, as in the authors' code


def draw_extremes(
    folder: Path, detector: DeepSVDD, split: Split, results: Settings
) -> None:
    """Draw the most normal and the most anomalous images of the normal class."""
    from deepsvdd.core import plots

    normal = [row for row in results["test_scores"] if row[1] == 0]
    indices = [row[0] for row in normal]
    shown = min(SHOWN, len(normal))
    lowest, highest = plots.extremes([row[2] for row in normal], shown)
    for name, title, chosen in (
        ("normals", f"{shown} most normal test images of the normal class", lowest),
        (
            "outliers",
            f"{shown} most anomalous test images of the normal class",
            highest,
        ),
    ):
        images = split.x_test[[indices[i] for i in chosen]]
        draw(folder / f"{name}.png", plots.image_grid, images, title=title)


def draw_curves(
    folder: Path, detector: DeepSVDD, split: Split, results: Settings
) -> None:
    """Draw ROC curve, score histograms and loss curves."""
    from deepsvdd.core import plots

    scores = [row[2] for row in results["test_scores"]]
    draw(folder / "roc.png", plots.roc_curve, split.y_test, scores)
    draw(
        folder / "scores.png",
        plots.score_histogram,
        split.y_test,
        scores,
        threshold=results["threshold"],
    )
    for phase, history in detector.members_[0].history.items():
        if history["epoch"]:
            draw(folder / f"{phase}_loss.png", plots.learning_curves, history)


def draw(path: Path, plot: Callable[..., Any], *data: Any, **options: Any) -> None:
    """Draw one picture to one file."""
    import matplotlib

    matplotlib.use("Agg")  # files only: works without a display
    import matplotlib.pyplot as plt

    from deepsvdd.core import plots

    axes = plot(*data, **options)
    try:
        plots.save(axes, path)
    finally:
        plt.close(axes.figure)
