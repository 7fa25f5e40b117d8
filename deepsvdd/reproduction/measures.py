"""What a line of results says of scores: quality, seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsvdd.core.metrics import average_precision, roc_auc
from deepsvdd.datasets import Split
from deepsvdd.reproduction.results import Line


def quality_of(split: Split, scores: NDArray[Any]) -> Line:
    """Evaluate the scores of a split's test images (m,)."""
    return {
        "auc": roc_auc(split.y_test, scores),
        "average_precision": average_precision(split.y_test, scores),
        "n_train": len(split.x_train),
    }


def control_of(
    split: Split, scores: NDArray[Any], control_scores: NDArray[Any]
) -> Line:
    """Evaluate the normal test images' scores against those of a control (k,)."""
    normal = scores[split.y_test == 0]
    labels = np.repeat([0, 1], [len(normal), len(control_scores)])
    return {"control_auc": roc_auc(labels, np.concatenate([normal, control_scores]))}


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Call a function; return its result and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start
