"""The pictures of a pavement in files, as disorderly as such folders are.

What is wrong in the folder, and whether it goes with what is to be found:

- near-duplicates: four pictures of each place, one a day;
- a leak: pictures in which something was found were stored anew, at another quality;
- two cameras, of which one has three channels; a few pictures with a palette, with
  transparency, of 16 bits, of twice the size, or lying on the side;
- copies under other names, which the table does not list, and a row without a file;
- a truncated file, a text that is called a picture, and a hidden one.

Only the leak goes with what was found.
"""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from deepsvdd.datasets.pavement.scene import Place, photograph, places
from deepsvdd.files import cannot_write, require_writable

if TYPE_CHECKING:
    from PIL import Image

DAYS = 4
COLOR_DAY = 4  # taken with the other camera
QUALITY, STORED_ANEW = 92, 50  # of JPEGs; the second of pictures with something in them
N_COPIES, N_STRANGE, N_REPORTED = 6, 8, 5
TURNED = 274  # the tag of EXIF that says how a picture lies
STRANGE = ("palette", "transparency", "deep", "large", "turned")
README = """# A pavement, to practice on

The command `deepsvdd pavement` wrote this folder, for chapter 16 of the book. The
pixels come from three photographs, of a brick wall, of grass and of gravel, which their
authors gave into the public domain (CC0); the license file in the package names them.
That the wall is a pavement, the pieces of grass, of gravel and of bricks laid across,
the days and cameras, and all that is wrong with the files are a program's work. Results
on it are no results on pavements.

- `photographs/`: the pictures
- `photographs.csv`: their places and days, and what was found when somebody looked
- `labels.csv`: a few anomalies that were reported before, for `deepsvdd fit --labels`
- `masks/`: where it lies; in practice somebody would have to paint them
"""


@dataclass(frozen=True, eq=False)
class Picture:
    """One picture to be stored.

    Attributes
    ----------
    name : str
        ``day-1/IMG_0001``, without a suffix.
    place : Place
    day : int
        From 1 on.
    pixels : ndarray of shape (40, 40), uint8
    mask : ndarray of shape (40, 40), bool
    strange : str
        One of STRANGE, or "" for most.
    """

    name: str
    place: Place
    day: int
    pixels: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    strange: str


def write_pavement(folder: str | os.PathLike[str], seed: int = 0) -> Path:
    """Write a folder of photographs with its tables, all of it or nothing.

    In the book: sec-folder (16-your-own-data).

    Parameters
    ----------
    folder : path-like
        A new one.
    seed : int, default=0
        From 0 on; another one lays another pavement. The book's is 0.

    Returns
    -------
    Path
        The folder, with ``photographs/``, ``photographs.csv``, ``labels.csv``,
        ``masks/`` and ``README.md``.

    Raises
    ------
    ValueError
        If the seed is no whole number from 0 on, or the folder exists.
    WriteError
        If the files cannot be written.

    Examples
    --------
    >>> from tempfile import mkdtemp
    >>> folder = write_pavement(mkdtemp() + "/pavement")
    >>> len(list((folder / "photographs").glob("*/IMG_*")))
    583
    """
    if not _is_seed(seed):
        raise ValueError(f"seed must be a whole number from 0 on; got {seed!r}")
    target = Path(folder)
    if target.exists():
        raise ValueError(f"folder must be a new one; '{target}' exists")
    require_writable(target)
    # Only the last step gives the folder its name: a killed run leaves none behind.
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(unfinished, seed)
        os.replace(unfinished, target)
    except OSError as error:
        raise cannot_write(error.filename or target, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def pictures(seed: int) -> list[Picture]:
    """Take all pictures, in the order of their names: four of each place, one a day.

    Parameters
    ----------
    seed : int
        As for ``write_pavement``.

    Returns
    -------
    list of Picture
    """
    laid = places(seed)
    shuffle = np.random.default_rng([seed, 2])
    taken: list[tuple[str, Place, int, NDArray[np.uint8], NDArray[np.bool_]]] = []
    for day in range(1, DAYS + 1):
        for place in shuffle.permutation(len(laid)):
            rng = np.random.default_rng([seed, 3, place, day])
            name = f"day-{day}/IMG_{len(taken) + 1:04d}"
            taken.append((name, laid[place], day, *photograph(laid[place], rng)))
    kinds = np.repeat(STRANGE, N_STRANGE).tolist()
    strange = dict(zip(shuffle.permutation(len(taken)), kinds, strict=False))
    return [Picture(*one, strange.get(i, "")) for i, one in enumerate(taken)]


def _is_seed(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, Integral):
        return False
    return int(value) >= 0


def _write(folder: Path, seed: int) -> None:
    rng = np.random.default_rng([seed, 4])
    rows: list[tuple[object, ...]] = []
    for picture in pictures(seed):
        suffix, content = stored(picture)
        name = picture.name + suffix
        found = picture.place.found
        rows.append((name, picture.place.number, picture.day, found))
        _put(folder / "photographs" / name, content)
        if found:
            _put(folder / "masks" / f"{picture.name}.png", _png(picture.mask))
    _table(folder / "photographs.csv", ("sample", "place", "day", "found"), rows)
    odd = [place.number for place in places(seed) if place.found]
    reported = set(rng.permutation(odd)[:N_REPORTED].tolist())
    labels = [(row[0], -1) for row in rows if row[1] in reported]
    _table(folder / "labels.csv", ("sample", "label"), labels)
    (folder / "README.md").write_text(README, encoding="utf-8")
    _disorder(folder / "photographs", [str(row[0]) for row in rows], rng)


def _disorder(folder: Path, names: list[str], rng: np.random.Generator) -> None:
    """Copy some files, and spoil some."""
    spoiled, missing, *copied = rng.permutation(names)[: 2 + N_COPIES]
    for name in copied:
        path = folder / name
        shutil.copy(path, path.with_stem(f"{path.stem} (1)"))
    whole = (folder / spoiled).read_bytes()
    _put(folder / "day-2/IMG_0577.jpg", whole[: len(whole) // 2])
    _put(folder / "day-3/IMG_0578.jpg", b"See the other folder.\n")
    _put(folder / "day-3/._IMG_0578.jpg", b"\0\5\x16\7")
    (folder / missing).unlink()


def stored(picture: Picture) -> tuple[str, bytes]:
    """Encode a picture.

    Equal pictures have equal bytes with the same version of Pillow; another one may
    bring another JPEG library, and with it files of other sizes.

    Parameters
    ----------
    picture : Picture

    Returns
    -------
    suffix : {".jpg", ".png"}
    content : bytes
        Of the file.
    """
    from PIL import Image

    image = Image.fromarray(picture.pixels)
    if picture.strange == "palette":
        return ".png", _png(image.quantize(64))
    if picture.strange == "transparency":
        return ".png", _png(image.convert("RGBA"))
    if picture.strange == "deep":
        return ".png", _png(Image.fromarray(picture.pixels.astype(np.uint16) * 257))
    if picture.strange == "large":
        image = image.resize((2 * image.width, 2 * image.height))
    exif = Image.Exif()
    if picture.strange == "turned":
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[TURNED] = 6  # to be turned by 90° clockwise
    quality = STORED_ANEW if picture.place.found else QUALITY
    image = image.convert("RGB" if picture.day == COLOR_DAY else "L")
    content = BytesIO()
    image.save(content, "JPEG", quality=quality, exif=exif)
    return ".jpg", content.getvalue()


def _png(image: Image.Image | NDArray[np.bool_]) -> bytes:
    from PIL import Image

    content = BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(content, "PNG")
    return content.getvalue()


def _put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _table(
    path: Path, head: tuple[str, ...], rows: Iterable[tuple[object, ...]]
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(head)
        writer.writerows(rows)
