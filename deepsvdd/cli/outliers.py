"""Reading outliers for ``fit`` to learn from: samples of something else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import ConcatDataset, Dataset, Subset

from deepsvdd.cli.inputs import (
    as_samples,
    joined,
    kind_of,
    read_array,
    readable_pictures,
    usable_rows,
)
from deepsvdd.cli.left_out import LeftOut
from deepsvdd.cli.methods import CONFETTI
from deepsvdd.cli.tables import read_table
from deepsvdd.datasets.images import ImageArray, ImageFolder
from deepsvdd.datasets.samples import image_batch


@dataclass(frozen=True)
class Outliers:
    """Where outliers are, and which of them to take.

    Attributes
    ----------
    path : Path
        A folder of images, an array or a table.
    key : str or None
        Name of the array in an ``.npz``.
    seed : int
        Of which are drawn, where there are more than normal samples.
    stream : bool
        Whether images are read while training.
    """

    path: Path
    key: str | None
    seed: int
    stream: bool

    def beside(self, data: Any, left_out: LeftOut) -> tuple[Any, int, int]:
        """Put outliers behind normal samples, at most as many as there are of those.

        Parameters
        ----------
        data : array, DataFrame or Dataset
            The normal samples.
        left_out : LeftOut
            Learns what cannot be used.

        Returns
        -------
        together : as data
        n_outliers : int
            How many it has at its end.
        n_read : int
            How many were read for them, usable or not.

        Raises
        ------
        ValueError
            If there are none, or they are of another shape.
        """
        shape, n = shape_of(data), len(data)
        if kind_of(self.path) == "images":
            others, n_read = self._pictures(shape, n, left_out)
        else:
            others, n_read = self._rows(shape, data, n, left_out)
        if not len(others):
            first = "".join(f"; first: {reason}" for reason in left_out.reasons[:1])
            raise ValueError(f"no usable outlier in '{self.path}'{first}")
        return together(data, others), len(others), n_read

    def _pictures(
        self, shape: tuple[int, ...], n: int, left_out: LeftOut
    ) -> tuple[Any, int]:
        if len(shape) != 3 or shape[0] not in (1, 3):
            raise ValueError(
                f"outliers must be samples of shape {shape}, as INPUT has them; got "
                f"image files, '{self.path}'"
            )
        images = ImageFolder(self.path, (shape[1], shape[2]), grey=shape[0] == 1)
        rows = self._drawn(np.arange(len(images)), n)
        images.files = [images.files[row] for row in rows]
        n_read = len(images.files) + len(images.left_out)
        return readable_pictures(images, left_out, self.stream), n_read

    def _rows(
        self, shape: tuple[int, ...], data: Any, n: int, left_out: LeftOut
    ) -> tuple[Any, int]:
        if kind_of(self.path) == "tables":
            names = getattr(data, "columns", None)
            table: Any = read_table(self.path, None if names is None else list(names))
            as_samples(self.path, table.to_numpy(), shape)
            usable = usable_rows(table, self.path, left_out)
            array = table.to_numpy()
        else:
            array = read_array(self.path, self.key, ("x_train", "x", "X"))
            array = as_samples(self.path, array, shape)
            if self.stream and len(shape) == 3:
                rows = self._drawn(np.arange(len(array)), n)
                return Subset(ImageArray(array), rows.tolist()), len(array)
            usable = usable_rows(array, self.path, left_out)
        return array[self._drawn(np.flatnonzero(usable), n)], len(usable)

    def _drawn(self, rows: NDArray[Any], n: int) -> NDArray[Any]:
        """Draw at most n, in order."""
        return np.sort(np.random.default_rng(self.seed).permutation(rows)[:n])


def outliers_of(
    given: str | None, key: str | None, seed: int, stream: bool
) -> Outliers | None:
    """Take what the option says; None without one, and for confetti.

    Raises
    ------
    ValueError
        If there is nothing of that name, or it is no folder, array or table.
    """
    if given is None or given == CONFETTI:
        return None
    path = Path(given)
    if not path.exists() or (kind_of(path) == "images" and not path.is_dir()):
        raise ValueError(
            f"outliers must be {CONFETTI}, a folder, .npy, .npz, .csv or .parquet that "
            f"exists; got '{given}'"
        )
    return Outliers(path, key if path.suffix == ".npz" else None, seed, stream)


def shape_of(data: Any) -> tuple[int, ...]:
    """Return the shape of a sample, (c, h, w) or (d,), without reading any."""
    if isinstance(data, ImageFolder):
        return data.shape
    array = data.array if isinstance(data, ImageArray) else data
    if array.ndim == 2:
        return (array.shape[1],)
    one = np.broadcast_to(np.uint8(0), (1, *array.shape[1:]))
    return image_batch(one).shape[1:]  # or the error that fit would raise


def together(data: Any, others: Any) -> Any:
    """Put samples of one shape behind others."""
    if isinstance(data, Dataset):
        if isinstance(data, ImageArray) and data.array.ndim == 3:
            data = ImageArray(data.array[:, None])
        return ConcatDataset([data, others])
    if hasattr(data, "columns"):
        return joined([data, type(data)(others, columns=data.columns)])
    if data.ndim == 3:
        data = data[:, None]
    return np.concatenate([data, others])
