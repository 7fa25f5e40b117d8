"""Reading what to train on or to score: arrays, tables, images, folders of images."""

from __future__ import annotations

import math
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from deepsvdd.cli import tables
from deepsvdd.cli.left_out import LeftOut
from deepsvdd.datasets.image_files import read_picture
from deepsvdd.datasets.images import ImageFolder, find_images
from deepsvdd.datasets.samples import LARGEST
from deepsvdd.errors import UnreadableImageError

UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error)
ARRAYS = (".npy", ".npz")
PICTURES_AT_ONCE, VECTORS_AT_ONCE = 250, 10_000  # samples that are scored, and written


@dataclass
class Batch:
    """Some samples to score, in order.

    Attributes
    ----------
    names : list of str
        Files, rows, or indices.
    usable : ndarray of bool
        Which of them can be scored.
    samples : array or DataFrame (b, ...)
        Those only.
    """

    names: list[str]
    usable: NDArray[np.bool_]
    samples: Any


def kind_of(path: Path) -> str:
    """Tell "arrays", "tables" or "images" by the name; a folder is of images.

    Raises
    ------
    ValueError
        If it is a pipe or a device, which might never end.
    """
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        return "images"
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(
            f"INPUT must be a file or a folder; got '{path}', a pipe or device"
        )
    suffix = path.suffix.lower()
    if suffix in ARRAYS:
        return "arrays"
    return "tables" if suffix in tables.SUFFIXES else "images"


def input_files(path: Path) -> dict[Path, str]:
    """List the files that are read, and why some of them are not, if so."""
    return find_images(path) if path.is_dir() else {path: ""}


def refuse_idle(path: Path, *, key: str | None, **of_images: object) -> None:
    """Raise ValueError if an option is given that this kind of input has no use for."""
    idle = {} if kind_of(path) == "images" else of_images
    if path.is_dir() or path.suffix.lower() != ".npz":
        idle = {**idle, "key": key}
    for name, value in idle.items():
        if value is not None and value is not False:
            kind = ".npz files" if name == "key" else "image files"
            raise ValueError(
                f"{name} must go with {kind} only; got '{path}': leave it out"
            )


# -------------------------------------------------------------------------- in batches


def read_batches(
    path: Path,
    files: dict[Path, str],
    shape: tuple[int, ...],
    columns: list[str] | None,
    left_out: LeftOut,
    *,
    key: str | None,
    resize: bool,
) -> Iterator[Batch]:
    """Read samples for a model, some at a time.

    Parameters
    ----------
    path : Path
        ``.npy``, ``.npz``, ``.csv``, ``.parquet``, an image, or a folder that is
        searched for images.
    files : dict of Path to str
        Its :func:`input_files`.
    shape : (c, h, w) or (d,)
        What the model takes.
    columns : list of str, optional
        The names of the columns that it was trained on.
    left_out : LeftOut
        Learns what cannot be used.
    key : str, optional
        Name of the array in an ``.npz``.
    resize : bool
        Whether images of other sizes are resized (bilinear) or left out.

    Raises
    ------
    ValueError
        If the whole is of no use.
    """
    refuse_idle(path, key=key, resize=resize)
    kind = kind_of(path)
    if kind == "images":
        yield from picture_batches(path, files, shape, left_out, resize)
        return
    if kind == "tables":
        if len(shape) != 1:
            raise ValueError(f"this model takes images {shape}; got the table '{path}'")
        samples: Any = tables.read_table(path, columns)
        as_samples(path, samples.to_numpy(), shape)
        names = [str(name) for name in samples.index]
    else:
        samples = as_samples(path, read_array(path, key), shape)
        names = [str(index) for index in range(len(samples))]
    size = VECTORS_AT_ONCE if len(shape) == 1 else PICTURES_AT_ONCE
    for start in range(0, len(samples), size):
        part = slice(start, start + size)
        usable = usable_rows(samples[part], path, left_out, start)
        yield Batch(names[part], usable, samples[part][usable])


def picture_batches(
    path: Path,
    files: dict[Path, str],
    shape: tuple[int, ...],
    left_out: LeftOut,
    resize: bool,
) -> Iterator[Batch]:
    """Read image files (c, h, w)."""
    if len(shape) != 3:
        raise ValueError(
            f"this model takes vectors {shape}; got '{path}': give it .npy, .npz, .csv "
            "or .parquet"
        )
    if shape[0] not in (1, 3):
        raise ValueError(
            f"this model takes images of {shape[0]} channels, which files do not have; "
            f"got '{path}': give it .npy or .npz"
        )
    found = list(files.items())
    for start in range(0, len(found), PICTURES_AT_ONCE):
        some = dict(found[start : start + PICTURES_AT_ONCE])
        names, images, usable = [], [], []
        for file, pixels in readable(some, shape, left_out, resize):
            names.append(str(file.relative_to(path)) if path.is_dir() else file.name)
            usable.append(pixels is not None)
            if pixels is not None:
                images.append(pixels)
        samples = np.stack(images) if images else np.empty((0, *shape))
        yield Batch(names, np.array(usable), samples)


def readable(
    files: dict[Path, str], shape: tuple[int, ...], left_out: LeftOut, resize: bool
) -> Iterator[tuple[Path, NDArray[Any] | None]]:
    """Read image files; of those that cannot be read: None."""
    for file, reason in files.items():
        if reason:
            left_out.add(f"'{file}': {reason}")
            yield file, None
            continue
        try:
            pixels, notes = read_picture(file, shape, resize)
        except UnreadableImageError as error:
            left_out.add(str(error))
            yield file, None
        else:
            left_out.note(notes)
            yield file, pixels


def readable_pictures(images: ImageFolder, left_out: LeftOut, stream: bool) -> Any:
    """Read a folder's images (n, c, h, w), without those that cannot be.

    Images to be streamed are read once before, so that no bad one ends the training;
    then they are the folder itself.
    """
    files = dict.fromkeys(images.files, "") | images.left_out
    read: list[Any] = []
    images.files = []
    for file, pixels in readable(files, images.shape, left_out, resize=True):
        if pixels is not None:
            images.files.append(file)
            if not stream:
                read.append(pixels)
    return images if stream else np.reshape(read, (len(read), *images.shape))


def joined(tables: list[Any]) -> Any:
    """Put tables of the same columns together."""
    import pandas as pd

    return pd.concat(tables)


def usable_rows(
    samples: Any, path: Path, left_out: LeftOut, offset: int = 0
) -> NDArray[np.bool_]:
    """Tell which samples (n, ...) have only finite numbers, of images up to ±10¹⁵.

    The offset is added to their indices in messages.
    """
    size = PICTURES_AT_ONCE
    parts = [
        _usable(samples[start : start + size], offset + start, path, left_out)
        for start in range(0, len(samples), size)
    ]
    return np.concatenate(parts) if parts else np.ones(0, dtype=bool)


def _usable(
    samples: Any, start: int, path: Path, left_out: LeftOut
) -> NDArray[np.bool_]:
    array = np.asarray(samples)
    if array.dtype.kind != "f":
        return np.ones(len(array), dtype=bool)
    limit = LARGEST if array.ndim > 2 else np.finfo(array.dtype).max
    good = np.abs(array) <= limit  # NaN is not
    usable = good.reshape(len(array), -1).all(axis=1)
    for row in np.flatnonzero(~usable):
        place = tuple(int(i) for i in np.argwhere(~good[row])[0])
        where = f"index {(start + int(row), *place)}"
        if hasattr(samples, "columns"):
            where = f"row {samples.index[row]}, column {samples.columns[place[0]]!r}"
        left_out.add(f"'{path}' has {array[(row, *place)]} at {where}")
    return usable


# ------------------------------------------------------------------------------- arrays


def read_array(
    path: Path, key: str | None, usual: tuple[str, ...] = ("x_test", "x", "X")
) -> NDArray[Any]:
    """Read one array of numbers: .npz whole, .npy as a memory map; never unpickles.

    Raises
    ------
    ValueError
        If it cannot be read, declares more than it holds, or holds what is no number.
    """
    try:
        array = _array(path, key, usual)
    except (*UNREADABLE, ValueError, IndexError, SyntaxError, TypeError) as error:
        reason = "it is empty" if path.stat().st_size == 0 else str(error)
        raise ValueError(f"cannot read '{path}': {reason}") from None
    if array.dtype.kind not in "biuf":
        raise ValueError(
            f"'{path}' must hold real numbers; got an array of {array.dtype!s:.60}"
        )
    return array if array.ndim else np.atleast_1d(array)


def _array(path: Path, key: str | None, usual: tuple[str, ...]) -> NDArray[Any]:
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            _check_header(file, path.stat().st_size)
        return np.load(path, allow_pickle=False, mmap_mode="r")
    with zipfile.ZipFile(path) as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if not names:
            raise ValueError("it holds no array")
        if key is None:
            named = [name for name in usual if name in names]
            if not named and len(names) != 1:
                raise ValueError(f"name one of its arrays {names} with --key")
            key = (named or names)[0]
        if key not in names:
            raise ValueError(f"it has no array {key!r}, only {names}")
        member = archive.infolist()[names.index(key)]
        with archive.open(member) as file:
            _check_header(file, member.file_size)
    with np.load(path, allow_pickle=False) as content:
        return content[key]


def _check_header(file: IO[bytes], size: int) -> None:
    """Refuse an array that declares more than its file of that many bytes holds."""
    form = np.lib.format
    version = form.read_magic(file)
    read = (
        form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("it holds objects of Python, which are not loaded")
    declared = dtype.itemsize * math.prod(shape)
    if declared > size or min(shape, default=0) < 0:
        raise ValueError(
            f"it declares an array of shape {shape}, {declared:,} bytes, and holds "
            f"{size:,}"
        )


def as_samples(path: Path, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Bring an array into the form that a model takes, (n, c, h, w) or (n, d).

    Raises
    ------
    ValueError
        If its samples are of another shape.
    """
    grey = len(shape) == 3 and shape[0] == 1
    if array.shape == shape or (grey and array.shape == shape[1:]):
        array = array[None]  # a single one
    if grey and array.shape[1:] == shape[1:]:
        array = array[:, None]
    elif len(shape) == 3 and array.shape[1:] == (*shape[1:], shape[0]):
        array = array.transpose(0, 3, 1, 2)  # as data files have them
    if array.shape[1:] != shape:
        raise ValueError(
            f"'{path}' must hold samples of shape {shape}, as in fit; got an array of "
            f"shape {array.shape}"
        )
    return array
