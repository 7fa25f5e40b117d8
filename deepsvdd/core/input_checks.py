"""What users may give to the estimator: its parameters, and samples."""

from __future__ import annotations

import math
from collections.abc import Iterator
from os import PathLike
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from deepsvdd.core._engine.devices import PRECISIONS
from deepsvdd.core._engine.feeds import as_images, read_images
from deepsvdd.core.metrics import as_numpy
from deepsvdd.core.networks import LENETS, VECTOR_NETWORKS
from deepsvdd.core.preprocessing import METHODS
from deepsvdd.core.recipes import (
    RECIPES,
    Recipe,
    Variant,
    is_number,
    is_whole,
    require,
    settings_by_name,
)
from deepsvdd.datasets.samples import image_batch

Samples = ArrayLike | Tensor | Dataset[Any]


def check_parameters(detector: Any) -> None:
    """Check an estimator's parameters, but not the data.

    Raises
    ------
    ValueError
        Naming a parameter, what it may be, and what it is.
    """
    detector.check_own()
    valid = is_whole(detector.n_members) and detector.n_members >= 1
    require("n_members", valid, "a whole number from 1 on", detector)
    valid = is_number(detector.contamination) and 0 < detector.contamination <= 0.5
    domain = "a number in (0, 0.5]"
    if hasattr(detector, "nu"):  # "auto" is ν
        valid = valid or is_one_of(detector.contamination, ("auto",))
        domain = f"'auto' or {domain}"
    require("contamination", valid, domain, detector)
    valid = detector.threshold is None or (
        is_number(detector.threshold) and math.isfinite(detector.threshold)
    )
    require("threshold", valid, "None or a finite number", detector)
    names = detector.networks
    valid = is_one_of(detector.network, ("auto", *names))
    valid = valid or isinstance(detector.network, nn.Module)
    require("network", valid, f"'auto', a module or one of {names}", detector)
    check_widths(detector)
    valid = is_one_of(detector.preprocessing, ("auto", *METHODS))
    require("preprocessing", valid, f"'auto' or one of {METHODS}", detector)
    valid = is_one_of(detector.precision, PRECISIONS)
    require("precision", valid, PRECISIONS, detector)
    valid = is_whole(detector.checkpoint_every) and detector.checkpoint_every >= 1
    require("checkpoint_every", valid, "a whole number from 1 on", detector)
    valid = is_whole(detector.n_workers) and detector.n_workers >= 0
    require("n_workers", valid, "a whole number from 0 on", detector)
    seed = detector.random_state
    valid = seed is None or seed is np.random
    valid = valid or isinstance(seed, np.random.RandomState)
    valid = valid or (is_whole(seed) and 0 <= seed < 2**32)
    domain = "None, a whole number from 0 to 2³² − 1 or a RandomState"
    require("random_state", valid, domain, detector)
    if detector.checkpoint_dir is not None and not is_whole(seed):
        # Another seed each time: no fit would find its checkpoints again.
        raise ValueError(
            "checkpoint_dir needs random_state to be a whole number; got "
            f"random_state={seed!r}"
        )
    for flag in ("pretrain", "allow_collapse", "warm_start", "verbose"):
        valid = isinstance(getattr(detector, flag, False), bool | np.bool_)
        require(flag, valid, "True or False", detector)
    valid = isinstance(detector.recipe, Recipe | Variant | str)
    require("recipe", valid, f"a Recipe or one of {', '.join(RECIPES)}", detector)
    first_layer = settings_by_name(detector.recipe)["first_layer"] or "random"
    if detector.network in VECTOR_NETWORKS and first_layer != "random":
        raise ValueError(
            "first_layer must be 'random' for a network without a convolution; got "
            f"{first_layer!r} for {detector.network!r}"
        )


def check_widths(detector: Any) -> None:
    """Raise ValueError unless a network's widths are sizes, or left to the network."""
    widths = getattr(detector, "widths", None)  # FCDD has none to choose
    if widths is None:
        return
    valid = isinstance(widths, list | tuple) and len(widths) > 0
    valid = valid and all(is_whole(width) and width >= 1 for width in widths)
    require("widths", valid, "None or whole numbers from 1 on, (64, 32)", detector)
    if isinstance(detector.network, nn.Module):
        raise ValueError(
            "widths must be None for a network of your own, which has its own; got "
            f"{widths!r}"
        )
    if detector.network in LENETS:
        LENETS[detector.network].widened(widths)


def is_one_of(value: object, choices: tuple[str, ...]) -> bool:
    """Tell whether a value is one of some words; an array of one is not."""
    return isinstance(value, str) and value in choices


def check_samples(
    detector: Any,
    X: Samples,
    expected: tuple[int, ...] | None,
    rows: range | None = None,
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
    rows : range, optional
        Where X stands in what the user gave, if it is a part, for the errors.

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
    X = opened(X)
    least = 2 if expected is None else 1
    streamed = as_images(X)
    if streamed is not None:
        n: int = len(streamed)  # type: ignore[arg-type]
        if n < least:
            raise ValueError(f"X must hold at least {least} images; got {n}")
        first = first_images(streamed, least, expected)
        return streamed, tuple(first.shape[1:])
    raw: Any = as_numpy(X) if isinstance(X, Tensor) else X
    images = np.asarray(raw).ndim > 2 if expected is None else len(expected) > 1
    if images:
        array = image_batch(raw, expected, rows)
        if len(array) < least:
            raise ValueError(f"X must hold at least 2 images to fit; got {len(array)}")
    else:
        array = vectors(detector, raw, fitting=expected is None, rows=rows)
    # torch warns of read-only arrays, as the bundled data are, and refuses views
    # that run backwards, as mirrored images do.
    usable = array.flags.writeable and min(array.strides, default=0) >= 0
    return torch.from_numpy(array if usable else array.copy()), array.shape[1:]


def opened(X: Any) -> Any:
    """Take samples out of what holds them, or say how; anything else stays as it is."""
    if type(X) is TensorDataset:  # nothing to stream: it is in memory
        return X.tensors[0]
    if isinstance(X, str | PathLike):
        raise ValueError(
            f"X must be an array or a data set; got the path {str(X)!r}: read it, for "
            "example by np.load, or use ImageFolder"
        )
    if isinstance(X, DataLoader):
        raise ValueError(
            "X must be an array or a data set; got a DataLoader: pass its data set, "
            "loader.dataset"
        )
    if type(X).__name__ == "LazyFrame":
        raise ValueError(
            "X must be an array or a table; got a LazyFrame, not computed yet: pass "
            "X.collect()"
        )
    if isinstance(X, np.ma.MaskedArray):
        if np.ma.is_masked(X):
            raise ValueError(
                f"X must have no masked values; got {np.ma.count_masked(X)}: leave "
                "their samples out, or replace them, for example by X.filled(0)"
            )
        return X.data
    if isinstance(X, Tensor) and (X.is_meta or X.layout != torch.strided):
        kind = "on the meta device" if X.is_meta else "a sparse one: pass X.to_dense()"
        raise ValueError(f"X must be a dense tensor with values; got {kind}")
    if type(X) in (dict, set) or isinstance(X, Iterator):  # some tables are dicts
        raise ValueError(
            f"X must be an array or a data set; got a {type(X).__name__}: pass an "
            "array of its values"
        )
    return X


def first_images(
    images: Dataset[Any], n: int, expected: tuple[int, ...] | None
) -> Tensor:
    """Read the first n images of a data set (n, c, h, w); vectors are refused."""
    item: Any = images[0]
    item = item[0] if isinstance(item, tuple | list) else item
    if getattr(item, "ndim", None) == 1:
        raise ValueError(
            f"X must hold images where it is a data set; got vectors of shape "
            f"{tuple(item.shape)}: pass them as an array (n, d)"
        )
    return read_images(images, range(n), expected)


def vectors(
    detector: Any, raw: Any, fitting: bool, rows: range | None = None
) -> NDArray[np.float64]:
    """Validate vectors (n, d), with scikit-learn's rules and words.

    Of a part of the data, ``rows`` tells where it stands in them.
    """
    names = getattr(raw, "columns", None)
    types = raw.dtypes if names is not None else ()  # of a table's columns
    for name, dtype in zip(names if names is not None else (), types, strict=False):
        kind = str(dtype).lower()
        if kind.startswith(("datetime", "date", "time", "duration", "period")):
            raise ValueError(
                f"X must hold numbers; got the column {name!r} of type {dtype}: leave "
                "it out, or turn it into a number"
            )
    dtype = getattr(raw, "dtype", None)
    if getattr(dtype, "kind", None) in ("M", "m", "S", "U", "V"):
        raise ValueError(f"X must hold real numbers; got dtype {dtype}")
    if getattr(dtype, "kind", None) == "c":
        raise ValueError(f"Complex data not supported: got dtype {dtype} in X")
    array = validate_data(
        detector,
        raw,
        reset=fitting,
        dtype=np.float64,
        ensure_all_finite=False,  # scikit-learn says so at length
        ensure_min_samples=2 if fitting else 1,
    )
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        row, column = bad[0].tolist()
        place, among = row, "in all"
        if rows is not None:
            place, among = rows[row], f"in the {len(rows)} rows read with it"
        raise ValueError(
            f"X must hold finite numbers, no NaN or infinity; got {array[row, column]} "
            f"at index ({place}, {column}), and {len(bad)} such values {among}"
        )
    if fitting:
        check_range(array)
    return array


def check_range(x: NDArray[np.float64]) -> None:
    """Raise ValueError where a column of x (n, d) has a range that overflows."""
    with np.errstate(over="ignore"):
        wide = np.flatnonzero(~np.isfinite(np.ptp(x, axis=0)))
    if wide.size:
        low, high = x[:, wide[0]].min(), x[:, wide[0]].max()
        raise ValueError(
            f"X must have columns whose range is a finite number; column {wide[0]} "
            f"goes from {low:.3g} to {high:.3g}: divide it by a power of ten"
        )
