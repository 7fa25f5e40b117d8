"""Hypersphere collapse: when training has mapped all data (nearly) to one point."""

from __future__ import annotations

import warnings

from torch import Tensor

from deepsvdd.core._engine.feeds import Feed
from deepsvdd.errors import CollapseWarning

COLLAPSED_SPREAD = 1e-4  # of ‖c‖
COLLAPSED_SCORES = 0.01  # of the number of distinct training samples


def warn_if_collapsed(spread: float, c: Tensor, d2: Tensor, feed: Feed) -> bool:
    """Warn when a trained network maps the training data (nearly) to one point.

    Either the spread of the representations, their root mean squared distance from
    their mean, has vanished against the norm of the center c (d,) (healthy trainings
    end above 1 % of it, constant maps at rounding error), or far fewer of the squared
    distances d2 (n,) than of the samples are distinct.
    """
    norm = c.norm().item()
    distinct = len(d2.unique())
    collapsed = spread <= COLLAPSED_SPREAD * norm or distinct == 1
    if not collapsed and distinct <= COLLAPSED_SCORES * len(d2):
        # Slow: asked only in doubt.
        collapsed = distinct <= COLLAPSED_SCORES * feed.n_distinct()
    if collapsed:
        warnings.warn(
            f"hypersphere collapse: the training data's representations spread by "
            f"{spread:.2g} around a center of norm {norm:.2g}, with {distinct} "
            f"distinct scores for {len(d2)} samples, so scores live in rounding; use a "
            "network without bias terms and bounded activations, a smaller learning "
            "rate, and samples that differ",
            CollapseWarning,
            stacklevel=2,
        )
    return collapsed
