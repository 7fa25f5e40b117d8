"""What users may give to the estimator: its parameters, and samples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import validate_data
from torch import Tensor, nn
from torch.utils.data import Dataset

from deepsvdd.core._engine.devices import PRECISIONS
from deepsvdd.core._engine.feeds import as_images, read_images
from deepsvdd.core.metrics import as_numpy
from deepsvdd.core.networks import NETWORKS
from deepsvdd.core.preprocessing import METHODS
from deepsvdd.core.recipes import RECIPES, Recipe, is_number, is_whole, require
from deepsvdd.core.training import OBJECTIVES
from deepsvdd.datasets.samples import image_batch, refuse_foreign

Samples = ArrayLike | Tensor | Dataset[Any]


def check_parameters(detector: Any) -> None:
    """Check an estimator's parameters, but not the data.

    Raises
    ------
    ValueError
        Naming a parameter, what it may be, and what it is.
    """
    require("objective", detector.objective in OBJECTIVES, OBJECTIVES, detector)
    valid = is_number(detector.nu) and 0 < detector.nu <= 1
    require("nu", valid, "a number in (0, 1]", detector)
    valid = is_whole(detector.n_members) and detector.n_members >= 1
    require("n_members", valid, "a whole number from 1 on", detector)
    valid = detector.contamination == "auto" or (
        is_number(detector.contamination) and 0 < detector.contamination <= 0.5
    )
    require("contamination", valid, "'auto' or a number in (0, 0.5]", detector)
    valid = detector.threshold is None or (
        is_number(detector.threshold) and math.isfinite(detector.threshold)
    )
    require("threshold", valid, "None or a finite number", detector)
    valid = isinstance(detector.network, nn.Module) or detector.network in (
        "auto",
        *NETWORKS,
    )
    require("network", valid, f"'auto', a module or one of {NETWORKS}", detector)
    valid = detector.preprocessing in ("auto", *METHODS)
    require("preprocessing", valid, f"'auto' or one of {METHODS}", detector)
    require("precision", detector.precision in PRECISIONS, PRECISIONS, detector)
    valid = is_whole(detector.checkpoint_every) and detector.checkpoint_every >= 1
    require("checkpoint_every", valid, "a whole number from 1 on", detector)
    valid = is_whole(detector.n_workers) and detector.n_workers >= 0
    require("n_workers", valid, "a whole number from 0 on", detector)
    seed = detector.random_state
    valid = not is_number(seed) or (is_whole(seed) and 0 <= seed < 2**32)
    require("random_state", valid, "None or a whole number from 0 to 2³² − 1", detector)
    if detector.checkpoint_dir is not None and not is_whole(seed):
        # Another seed each time: no fit would find its checkpoints again.
        raise ValueError(
            "checkpoint_dir needs random_state to be a whole number; got "
            f"random_state={seed!r}"
        )
    for flag in ("pretrain", "allow_collapse", "warm_start", "verbose"):
        valid = isinstance(getattr(detector, flag), bool | np.bool_)
        require(flag, valid, "True or False", detector)
    valid = isinstance(detector.recipe, Recipe | str)
    require("recipe", valid, f"a Recipe or one of {', '.join(RECIPES)}", detector)


def check_samples(
    detector: Any, X: Samples, expected: tuple[int, ...] | None
) -> tuple[Tensor | Dataset[Any], tuple[int, ...]]:
    """Validate samples, to train an estimator on or for one that is trained.

    Parameters
    ----------
    detector : DeepSVDD
        For scikit-learn, which notes names and number of the columns of vectors.
    X : array, Tensor or Dataset
        As for :meth:`deepsvdd.DeepSVDD.fit`.
    expected : (c, h, w), (d,) or None
        Shape of the samples trained on; None: any, X is to be trained on.

    Returns
    -------
    samples : Tensor of shape (n, c, h, w) or (n, d) on the CPU, or Dataset
        Images to be streamed as they are; only the first are looked at.
    shape : (c, h, w) or (d,)
        Of one sample.

    Raises
    ------
    ValueError
        If X is unusable.
    """
    refuse_foreign(X)
    least = 2 if expected is None else 1
    streamed = as_images(X)
    if streamed is not None:
        n: int = len(streamed)  # type: ignore[arg-type]
        if n < least:
            raise ValueError(f"X must hold at least {least} images; got {n}")
        first = read_images(streamed, range(least), expected)
        return streamed, tuple(first.shape[1:])
    raw: Any = as_numpy(X) if isinstance(X, Tensor) else X
    images = np.asarray(raw).ndim > 2 if expected is None else len(expected) > 1
    if images:
        array = image_batch(raw, expected)
        if len(array) < least:
            raise ValueError(f"X must hold at least 2 images to fit; got {len(array)}")
    else:
        array = validate_data(
            detector,
            raw,
            reset=expected is None,
            dtype=np.float64,
            ensure_min_samples=least,
        )
    # torch warns of read-only arrays, as the bundled data are, and refuses views
    # that run backwards, as mirrored images do.
    usable = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.from_numpy(array if usable else array.copy()), array.shape[1:]
