"""Traffic signs as the German Traffic Sign Recognition Benchmark (GTSRB) stores them.

One image a file, with a margin around the sign, and tables that say where in it the
sign is. Below the folder ``gtsrb``, as torchvision has it:

- ``GTSRB/Training/00014/*.ppm``, training images of class 14, and so on, each folder
  with its table ``GT-00014.csv``;
- ``GTSRB/Final_Test/Images/*.ppm``, test images of all classes, with their table
  ``GT-final_test.csv``.

torchvision's download has 26,640 training images, the benchmark's final archive 39,209,
in ``GTSRB/Final_Training/Images``; where that folder exists, it is taken.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

SIDE = 32  # pixels that signs are resized to, as in the paper
CLASSES = (
    *("20 km/h", "30 km/h", "50 km/h", "60 km/h", "70 km/h", "80 km/h"),
    *("end of 80 km/h", "100 km/h", "120 km/h", "no passing"),
    *("no passing by trucks", "priority at the next crossing", "priority road"),
    *("yield", "stop", "no vehicles", "no trucks", "no entry", "general caution"),
    *("curve to the left", "curve to the right", "double curve", "bumpy road"),
    *("slippery road", "road narrows", "road works", "traffic lights"),
    *("pedestrians", "children", "bicycles", "ice or snow", "wild animals"),
    *("end of all limits", "turn right", "turn left", "ahead only"),
    *("ahead or right", "ahead or left", "keep right", "keep left", "roundabout"),
    *("end of no passing", "end of no passing by trucks"),
)
COLUMNS = (
    *("Filename", "Width", "Height"),
    *("Roi.X1", "Roi.Y1", "Roi.X2", "Roi.Y2", "ClassId"),
)
DRAWN = "drawn.json"  # beside GTSRB: the signs are drawn; see deepsvdd.datasets.signs
# Below the folder gtsrb
TRAINING = "GTSRB/Training"
TEST = "GTSRB/Final_Test/Images"
TEST_TABLE = "GT-final_test.csv"
_TRAININGS = ("GTSRB/Final_Training/Images", TRAINING)
Region = tuple[int, int, int, int]  # left, top, right, bottom; the last two excluded


class Sign(NamedTuple):
    """One line of a table: an image file, the sign's place in it, and its class."""

    file: Path
    size: tuple[int, int]  # width, height
    region: Region
    class_id: int


def training_table(folder: Path) -> Path:
    """Name the table of a class's folder."""
    return folder / f"GT-{folder.name}.csv"


def has_images(folder: Path) -> bool:
    """Tell whether a folder ``gtsrb`` has training and test images."""
    train = any((folder / name).is_dir() for name in _TRAININGS)
    return train and (folder / TEST).is_dir()


def read_gtsrb(folder: Path) -> dict[str, NDArray[Any]]:
    """Read all signs of a folder ``gtsrb``, cut out and resized.

    Parameters
    ----------
    folder : Path
        In the form above.

    Returns
    -------
    dict
        uint8 images ``x_train``, ``x_test``, shape (n, 32, 32, 3), int64 labels
        ``y_train``, ``y_test``, shape (n,): the benchmark's class numbers, 0 to 42.

    Raises
    ------
    ValueError
        If class folders, tables or images are missing, damaged or contradictory.
    """
    tables = [training_table(path) for path in _class_folders(folder)]
    signs = {
        "train": [sign for table in tables for sign in read_table(table, table.parent)],
        "test": read_table(folder / TEST_TABLE, folder / TEST),
    }
    arrays = {}
    for part, listed in signs.items():
        arrays[f"x_{part}"] = _cut(listed)
        arrays[f"y_{part}"] = np.array([sign.class_id for sign in listed], np.int64)
    return arrays


def read_table(path: Path, images: Path) -> list[Sign]:
    """Read a table of signs whose files lie in the folder ``images``.

    Raises
    ------
    ValueError
        If the table is missing, empty or has a line that makes no sense.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter=";", skipinitialspace=True))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"'{path}', which says where the signs in '{images}' are, cannot be read "
            f"({str(reason).lower()}); {_again(path)}"
        ) from error
    if not rows:
        raise ValueError(f"'{path}' lists no signs; {_again(path)}")
    return [_sign(path, images, n, row) for n, row in enumerate(rows, start=2)]


def write_table(path: Path, signs: Iterable[Sign]) -> None:
    """Write a table of signs."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=";", lineterminator="\n")
        writer.writerow(COLUMNS)
        for sign in signs:
            writer.writerow([sign.file.name, *sign.size, *sign.region, sign.class_id])


def _class_folders(folder: Path) -> list[Path]:
    """List the folders of the classes: of all 43, unless the signs are drawn."""
    root = next(folder / name for name in _TRAININGS if (folder / name).is_dir())
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    known = {f"{class_id:05d}" for class_id in range(len(CLASSES))}
    wrong = [path.name for path in folders if path.name not in known]
    complete = len(folders) == len(CLASSES) or (folder / DRAWN).is_file()
    if wrong or not folders or not complete:
        found = f"the folder {wrong[0]!r}" if wrong else f"{len(folders)} of them"
        raise ValueError(
            f"'{root}' must hold the {len(CLASSES)} class folders 00000 to "
            f"{len(CLASSES) - 1:05d}, got {found}; {_again(root)}"
        )
    return folders


def _sign(path: Path, images: Path, line: int, row: dict[str, str]) -> Sign:
    """Check one line of a table."""
    try:
        width, height, left, top, right, bottom, label = (
            int(row[name]) for name in COLUMNS[1:]
        )
        sign = Sign(
            images / row["Filename"], (width, height), (left, top, right, bottom), label
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"'{path}' must have the columns {';'.join(COLUMNS)}, whole numbers but "
            f"for the first; line {line} has {';'.join(map(str, row.values()))!r}"
        ) from None
    if not 0 <= label < len(CLASSES):
        raise ValueError(
            f"'{path}' must give classes from 0 to {len(CLASSES) - 1}; line {line} has "
            f"{label}"
        )
    return sign


def _cut(signs: Sequence[Sign]) -> NDArray[np.uint8]:
    """Read the signs alone, resized (bilinear): (n, SIDE, SIDE, 3)."""
    from PIL import Image

    pixels = np.empty((len(signs), SIDE, SIDE, 3), dtype=np.uint8)
    for row, sign in zip(pixels, signs, strict=True):
        try:
            with Image.open(sign.file) as image:
                picture = image.convert("RGB")
        except (OSError, SyntaxError, ValueError) as error:  # Pillow's
            reason = getattr(error, "strerror", None) or error
            raise ValueError(
                f"'{sign.file}' must be an image, as its table says, but cannot be "
                f"read ({str(reason).lower()}); {_again(sign.file)}"
            ) from None
        left, top, right, bottom = sign.region
        width, height = picture.size
        if not (0 <= left < right <= width and 0 <= top < bottom <= height):
            raise ValueError(
                f"'{sign.file}' must hold the region that its table says, from "
                f"{(left, top)} to {(right, bottom)}, but is {width}×{height} pixels; "
                f"{_again(sign.file)}"
            )
        cut = picture.crop(sign.region)
        row[:] = np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
    return pixels


def _again(path: Path) -> str:
    """Tell how to mend an incomplete folder."""
    folder = next((p for p in path.parents if p.name == "gtsrb"), path)
    return f"delete '{folder}', then load or draw the signs again"
