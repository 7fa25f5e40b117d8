"""Images that are read when they are needed, not held in memory; folders of them.

How a picture in a file becomes numbers is in :mod:`deepsvdd.datasets.image_files`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from mmap import ALLOCATIONGRANULARITY
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from deepsvdd.datasets.image_files import Pixels, Shape, read_picture
from deepsvdd.datasets.image_files import read_image as read_image
from deepsvdd.errors import UnreadableImageError

LARGEST_SIDE = 4096  # of images to be trained on, in pixels: memory has an end
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}


class ImageFolder(Dataset[Pixels]):
    """The image files of a folder and its subfolders, in the order of their names.

    Each is read as :func:`deepsvdd.read_image` reads it. Hidden files and folders,
    whose names begin with a dot, are left out, and so is what is no file: a folder
    called ``x.png``, a pipe.

    Parameters
    ----------
    folder : path-like
        Searched for files with the suffixes of images.
    size : int or (int, int)
        Side, or height and width, in pixels from 1 to 4096, that images are resized to.
    grey : bool, default=False
        One channel instead of three.

    Attributes
    ----------
    files : list of Path
    left_out : dict of Path to str
        What was found and is not read, and why.
    shape : (c, h, w)
        Shape of every image.

    Raises
    ------
    ValueError
        If the folder holds no image, or the size is none.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        size: int | tuple[int, int],
        *,
        grey: bool = False,
    ) -> None:
        sides = size if isinstance(size, tuple) else (size, size)
        if len(sides) != 2 or not all(
            isinstance(side, int) and 0 < side <= LARGEST_SIDE for side in sides
        ):
            raise ValueError(
                f"size must be a positive whole number up to {LARGEST_SIDE} or two of "
                f"them; got {size!r}"
            )
        found = find_images(Path(folder))
        self.files = [file for file, reason in found.items() if not reason]
        self.left_out = {file: reason for file, reason in found.items() if reason}
        self.shape: Shape = (1 if grey else 3, *sides)
        self._whole: set[Path] = set()  # need not be checked for damage in every epoch

    def __len__(self) -> int:
        """Count the images."""
        return len(self.files)

    def __getitem__(self, index: int) -> Pixels:
        """Read one image, (c, h, w)."""
        file = self.files[index]
        try:
            check = file not in self._whole
            pixels, _ = read_picture(file, self.shape, resize=True, check=check)
        except UnreadableImageError as error:
            raise UnreadableImageError(
                f"X holds an unreadable image, {error}"
            ) from None
        self._whole.add(file)
        return pixels


class ImageArray(Dataset[NDArray[Any]]):
    """Images in one array, best a memory-mapped one: ``np.load(path, mmap_mode="r")``.

    Parameters
    ----------
    array : array of shape (n, h, w) or (n, c, h, w)
        Only what is asked for is read from it.
    """

    def __init__(self, array: NDArray[Any]) -> None:
        self.array = array

    def __len__(self) -> int:
        """Count the images."""
        return len(self.array)

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Read one image, (h, w) or (c, h, w)."""
        return np.asarray(self.array[index])

    def __getitems__(self, indices: Sequence[int]) -> NDArray[Any]:
        """Read several images at once, (b, ...)."""
        return np.asarray(self.array[np.asarray(indices)])

    def __reduce__(self) -> tuple[Any, ...]:
        """Hand a memory map to other processes by its place in the file.

        NumPy would pickle all its values.
        """
        place = _place(self.array)
        return (ImageArray, (self.array,)) if place is None else (_mapped, place)


def _place(array: NDArray[Any]) -> tuple[Any, ...] | None:
    """Tell which bytes of which file an array is; None if it is not one of a file."""
    mapping = getattr(array, "_mmap", None)
    # In mode "c", what was assigned is in memory only.
    if mapping is None or array.filename is None or array.mode == "c":  # type: ignore[attr-defined]
        return None
    begin = np.frombuffer(mapping, np.uint8).__array_interface__["data"][0]
    # A mapping begins where a page does; slices keep the offset of the whole array.
    page = array.offset - array.offset % ALLOCATIONGRANULARITY  # type: ignore[attr-defined]
    offset = page + array.__array_interface__["data"][0] - begin
    file = os.fspath(array.filename)  # type: ignore[attr-defined]
    return file, array.dtype, array.shape, array.strides, offset


def _mapped(
    file: str, dtype: Any, shape: Shape, strides: Shape, offset: int
) -> ImageArray:
    """Map the bytes that :func:`_place` told."""
    values = np.memmap(file, np.uint8, "r")
    return ImageArray(np.ndarray(shape, dtype, values, offset, strides))


def find_images(folder: Path) -> dict[Path, str]:
    """Find what has the suffix of an image in a folder and its subfolders, sorted.

    Returns
    -------
    dict of Path to str
        Why it is not to be opened: it is hidden, or no file; "" for an image.

    Raises
    ------
    ValueError
        If there is nothing to be opened.
    """
    found: dict[Path, str] = {}

    def note(error: OSError) -> None:  # of a subfolder that may not be read
        found[Path(error.filename)] = (error.strerror or str(error)).lower()

    for place, folders, files in os.walk(folder, onerror=note):
        for name in (*folders, *files):
            path = Path(place, name)
            if path.suffix.lower() in SUFFIXES:
                found[path] = _odd(path, folder)
    if not any(reason == "" for reason in found.values()):
        odd = "".join(f"; '{path}': {why}" for path, why in list(found.items())[:1])
        raise ValueError(
            f"no image files ({', '.join(sorted(SUFFIXES))}) in '{folder}'{odd}"
        )
    return dict(sorted(found.items()))


def _odd(path: Path, folder: Path) -> str:
    """Tell why something with the name of an image is not to be opened, if so."""
    if any(part.startswith(".") for part in path.relative_to(folder).parts):
        return "it is hidden"
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return (error.strerror or str(error)).lower()
    return "" if stat.S_ISREG(mode) else "it is no regular file"
