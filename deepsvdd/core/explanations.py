"""Why a score is high: which pixels, or columns, it would be lower without.

Functions of a score that maps preprocessed samples (b, ...) to (b,). What is *not odd*
is a baseline, a sample with which parts of others are replaced: the mean training
image, or the training data's medians.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

Score = Callable[[Tensor], Tensor]  # (b, ...) to (b,)

AT_ONCE = 250  # samples to score
STEPS, STEPS_OF_ROWS = 64, 256  # points of an integral along a line: images, rows


def occlusion(score: Score, x: Tensor, baseline: Tensor, window: int) -> Tensor:
    """Cover each window of each image by the baseline's; note how the score falls.

    Parameters
    ----------
    score : callable
    x : Tensor of shape (n, c, h, w)
        Preprocessed images.
    baseline : Tensor of shape (c, h, w)
    window : int
        Side in pixels of the square that is covered; it moves by half its side, and to
        the border.

    Returns
    -------
    Tensor of shape (n, h, w)
        At each pixel the mean of s(x) − s(x, covered) over the windows that cover it.

    References
    ----------
    Zeiler and Fergus, "Visualizing and Understanding Convolutional Networks", ECCV
    2014, Section 4.2.
    """
    height, width = x.shape[2:]
    falls = x.new_zeros(len(x), height, width)
    covers = x.new_zeros(height, width)
    before = score(x)
    for top in starts(height, window):
        for left in starts(width, window):
            place = (..., slice(top, top + window), slice(left, left + window))
            covered = x.clone()
            covered[place] = baseline[place]
            falls[place] += (before - score(covered)).to(x)[:, None, None]
            covers[place] += 1
    return falls / covers


def starts(length: int, window: int) -> list[int]:
    """List where windows begin along a side, half a window from each other."""
    last = length - window
    return sorted({*range(0, last, max(window // 2, 1)), last})


def without_columns(score: Score, x: Tensor, baseline: Tensor) -> Tensor:
    """Replace one column at a time by the baseline's; note how the score falls.

    Parameters
    ----------
    score : callable
    x : Tensor of shape (n, d)
    baseline : Tensor of shape (d,)

    Returns
    -------
    Tensor of shape (n, d)
        s(x) − s(x with column j replaced). They do not add up to anything.
    """
    before = score(x)
    falls = []
    for column in range(x.shape[1]):
        replaced = x.clone()
        replaced[:, column] = baseline[column]
        falls.append(before - score(replaced))
    return torch.stack(falls, dim=1)


def integrated_gradients(score: Score, x: Tensor, baseline: Tensor) -> Tensor:
    """Divide s(x) − s(baseline) among the numbers of each sample.

    The integral of the gradient along the straight line from the baseline to x, times
    x − baseline: a number's share. The shares add up to the difference of the scores,
    but for what a quadrature of 64 points, of rows 256, misses. By captum.

    Parameters
    ----------
    score : callable
        Differentiable.
    x : Tensor of shape (n, ...)
    baseline : Tensor of shape (...)

    Returns
    -------
    Tensor of shape (n, ...)

    Raises
    ------
    ValueError
        If captum is not installed.

    References
    ----------
    Sundararajan, Taly and Yan, "Axiomatic Attribution for Deep Networks", ICML 2017,
    Equation 1 and Proposition 1.
    """
    try:
        from captum.attr import IntegratedGradients
    except ImportError:
        raise ValueError(
            "method 'gradients' needs the package captum: pip install "
            "'deepsvdd[explain]', or use method='occlusion'"
        ) from None
    with torch.enable_grad():
        found = IntegratedGradients(score).attribute(
            x,
            baseline[None],
            n_steps=STEPS if x.ndim > 2 else STEPS_OF_ROWS,
            internal_batch_size=AT_ONCE,
        )
    return found.detach()


def averaged(maps: Tensor, window: int) -> Tensor:
    """Average maps (n, h, w) over the square of ``window`` pixels around each pixel."""
    if window == 1:
        return maps
    before = window // 2
    pad = (before, window - 1 - before) * 2
    total = F.avg_pool2d(F.pad(maps[:, None], pad), window, stride=1)
    inside = F.avg_pool2d(F.pad(torch.ones_like(maps[:1, None]), pad), window, stride=1)
    return (total / inside)[:, 0]
