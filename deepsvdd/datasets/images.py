"""Images that are read when they are needed, not held in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from mmap import ALLOCATIONGRANULARITY
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm"}
Shape = tuple[int, ...]


class ImageFolder(Dataset[NDArray[np.uint8]]):
    """The image files of a folder and its subfolders, in the order of their names.

    Parameters
    ----------
    folder : path-like
        Searched for files with the suffixes of images.
    size : int or (int, int)
        Side, or height and width, in pixels, that images are resized to.
    grey : bool, default=False
        One channel instead of three.

    Attributes
    ----------
    files : list of Path
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
        if len(sides) != 2 or not all(isinstance(s, int) and s > 0 for s in sides):
            raise ValueError(
                f"size must be a positive whole number or two of them; got {size!r}"
            )
        self.files = find_images(Path(folder))
        self.shape: Shape = (1 if grey else 3, *sides)

    def __len__(self) -> int:
        """Count the images."""
        return len(self.files)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Read one image, (c, h, w)."""
        try:
            return read_image(self.files[index], self.shape, resize=True)
        except (OSError, SyntaxError) as error:  # Pillow's for broken files
            raise ValueError(
                f"X holds an unreadable image, '{self.files[index]}': {error}"
            ) from None


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


def find_images(folder: Path) -> list[Path]:
    """List the image files of a folder and its subfolders, sorted."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise ValueError(
            f"no image files ({', '.join(sorted(SUFFIXES))}) in '{folder}'"
        )
    return files


def read_image(file: Path, shape: Shape, resize: bool) -> NDArray[np.uint8]:
    """Read one image as the model takes it: grey or RGB, of its size."""
    from PIL import Image

    channels, height, width = shape
    with Image.open(file) as image:
        picture = eight_bits(image, file).convert("L" if channels == 1 else "RGB")
        if picture.size != (width, height):
            if not resize:
                raise ValueError(
                    f"'{file}' is {image.width}×{image.height}, the model takes "
                    f"{width}×{height}: add --resize"
                )
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        pixels = np.asarray(picture)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def eight_bits(image: Image.Image, file: Path) -> Image.Image:
    """Scale 16-bit greys to 8 bits, where Pillow's own conversion would clip them.

    Mode "I" has 16 bits of a PNG or PGM, but up to 32 of a TIFF, where nothing tells
    which number is white.
    """
    from PIL import Image

    if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
        raise ValueError(
            f"'{file}' holds floating-point or 32-bit pixels: save them as .npy"
        )
    if not image.mode.startswith("I"):
        return image
    return Image.fromarray((np.asarray(image) / 257).round().astype(np.uint8))
