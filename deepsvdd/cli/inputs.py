"""Reading what to train on or to score: arrays, image files, folders of images."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from deepsvdd.datasets.images import find_images, read_image

UNREADABLE = (OSError, EOFError, zipfile.BadZipFile, zlib.error)
Named = tuple[list[str], NDArray]


def read_input(
    path: Path, shape: tuple[int, ...], key: str | None, resize: bool
) -> Named:
    """Read samples for a model.

    Parameters
    ----------
    path : Path
        ``.npy``, ``.npz``, an image, or a folder that is searched for images.
    shape : (c, h, w) or (d,)
        What the model takes.
    key : str, optional
        Name of the array in an ``.npz``.
    resize : bool
        Whether images of other sizes are resized (bilinear) or refused.

    Returns
    -------
    names, samples
        A name a sample (file name, or index), and the array (n, ...).

    Raises
    ------
    ValueError
        If there is nothing to read, or it cannot be read.
    """
    refuse_idle(path, key=key, resize=resize)
    if path.suffix.lower() in (".npy", ".npz"):
        samples = read_array(path, key)
        if samples.shape == shape or (1, *samples.shape) == shape:
            samples = samples[None]  # a single one
        samples = channels_first(samples, shape)
        return [str(index) for index in range(len(samples))], samples
    if len(shape) != 3:
        raise ValueError(f"this model takes vectors {shape}: give it .npy or .npz")
    if path.is_dir():
        files = find_images(path)
    else:
        files = [path]
    return read_images(files, path, shape, resize)


def refuse_idle(path: Path, *, key: str | None, **of_images: object) -> None:
    """Raise ValueError if an option is given that this kind of input has no use for."""
    suffix = "" if path.is_dir() else path.suffix.lower()
    idle = of_images if suffix in (".npy", ".npz") else {}
    if suffix != ".npz":
        idle = {**idle, "key": key}
    for name, value in idle.items():
        if value is not None and value is not False:
            kind = ".npz files" if name == "key" else "image files"
            raise ValueError(
                f"{name} must go with {kind} only; got '{path}': leave it out"
            )


def read_array(
    path: Path, key: str | None, usual: tuple[str, ...] = ("x_test", "x", "X")
) -> NDArray:
    """Read one array from .npy or .npz; never unpickles."""
    try:
        content = np.load(path, allow_pickle=False)
        if isinstance(content, np.ndarray):
            return np.atleast_1d(content)
        if key is None:
            named = [name for name in usual if name in content.files]
            key = named[0] if named else content.files[0]
            if not named and len(content.files) > 1:
                raise ValueError(f"name one of its arrays {content.files} with --key")
        if key not in content.files:
            raise ValueError(f"it has no array {key!r}, only {content.files}")
        return np.atleast_1d(content[key])
    except (*UNREADABLE, ValueError, IndexError) as error:
        raise ValueError(f"cannot read '{path}': {error}") from None


def channels_first(samples: NDArray, shape: tuple[int, ...]) -> NDArray:
    """Turn images (n, h, w, c), as data files have them, to (n, c, h, w)."""
    if len(shape) == 3 and samples.shape[1:] == (*shape[1:], shape[0]) != shape:
        return samples.transpose(0, 3, 1, 2)
    return samples


def read_images(
    files: list[Path], root: Path, shape: tuple[int, ...], resize: bool
) -> Named:
    """Read image files (c, h, w); a broken one is named and left out."""
    names, images = [], []
    for file in files:
        try:
            images.append(read_image(file, shape, resize))
        except (OSError, SyntaxError) as error:  # Pillow's for broken files
            click.secho(f"warning: skipped '{file}': {error}", fg="yellow", err=True)
            continue
        names.append(str(file.relative_to(root)) if root.is_dir() else file.name)
    if not images:
        raise ValueError(f"no readable image in '{root}'")
    return names, np.stack(images)
