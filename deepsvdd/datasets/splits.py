"""What a data set is, and its split into a normal class and the rest."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]
Class = int | str


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, as published.

    Attributes
    ----------
    name : str
    x_train, x_test : uint8 arrays, shape (n, c, h, w)
        Pixels from 0 to 255; gray images have one channel.
    y_train, y_test : int64 arrays, shape (n,)
        Indices into `classes`.
    classes : tuple of str

    Notes
    -----
    The arrays of :func:`load_dataset` are shared by all callers and read-only: copy
    before you write to them.
    """

    name: str
    x_train: Images = field(repr=False)  # (n, c, h, w)
    y_train: Labels = field(repr=False)  # (n,)
    x_test: Images = field(repr=False)  # (m, c, h, w)
    y_test: Labels = field(repr=False)  # (m,)
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Split:
    """A one-vs-rest anomaly detection problem.

    Attributes
    ----------
    x_train : uint8 array, shape (n, c, h, w)
        Training images of the normal classes only.
    x_test : uint8 array, shape (m, c, h, w)
        All test images.
    y_test : int64 array, shape (m,)
        0 normal, 1 anomaly.
    normal_classes : tuple of int
        Indices of the normal classes, ascending.
    """

    x_train: Images = field(repr=False)  # (n, c, h, w)
    x_test: Images = field(repr=False)  # (m, c, h, w)
    y_test: Labels = field(repr=False)  # (m,)
    normal_classes: tuple[int, ...]


def one_vs_rest(dataset: Dataset, normal_class: Class | Iterable[Class]) -> Split:
    """Declare one or more classes normal and all others anomalies.

    The set-up of Ruff et al. (2018), section 4: train on the normal classes' training
    images, test on the full test set.

    In the book: sec-one-vs-rest (01-anomaly-detection).

    Parameters
    ----------
    dataset : Dataset
    normal_class : int, str, or several of them
        Index or name of the normal class. Repetitions count once.

    Returns
    -------
    Split

    Raises
    ------
    ValueError
        Unknown class, no class, all classes, or a class without training images.

    Examples
    --------
    >>> from deepsvdd import load_dataset
    >>> split = one_vs_rest(load_dataset("mnist"), 3)
    >>> split.x_train.shape, split.x_test.shape, int(split.y_test.sum())
    ((6131, 1, 28, 28), (10000, 1, 28, 28), 8990)
    """
    normal = _class_indices(dataset, normal_class)
    return Split(
        x_train=dataset.x_train[np.isin(dataset.y_train, normal)],
        x_test=dataset.x_test,
        y_test=np.isin(dataset.y_test, normal, invert=True).astype(np.int64),
        normal_classes=normal,
    )


def _class_indices(dataset: Dataset, given: Any) -> tuple[int, ...]:
    several = isinstance(given, Iterable) and not isinstance(given, str)
    labels = list(given) if several else [given]
    indices = sorted({_class_index(dataset.classes, label) for label in labels})
    if not indices:
        raise ValueError(f"normal_class must name at least one class, got {given!r}")
    if len(indices) == len(dataset.classes):
        raise ValueError(
            f"normal_class must leave at least one of the {len(indices)} classes of "
            f"{dataset.name!r} to be the anomalies, got all of them"
        )
    for index in indices:
        if index not in dataset.y_train:
            raise ValueError(
                f"normal_class must have training images, but {dataset.name!r} has "
                f"none of class {index} ({dataset.classes[index]!r})"
            )
    return tuple(indices)


def _class_index(classes: tuple[str, ...], label: Any) -> int:
    if isinstance(label, str) and label in classes:
        return classes.index(label)
    is_integer = isinstance(label, int | np.integer) and not isinstance(label, bool)
    if is_integer and 0 <= label < len(classes):
        return int(label)
    raise ValueError(
        f"normal_class must be an integer from 0 to {len(classes) - 1} or one of "
        f"{', '.join(map(repr, classes))}, got {label!r}"
    )
