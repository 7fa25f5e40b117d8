"""How a picture in a file becomes numbers: as a viewer shows it, at its own depth."""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from deepsvdd.datasets.samples import LARGEST
from deepsvdd.errors import UnreadableImageError

if TYPE_CHECKING:
    from PIL import Image

Shape = tuple[int, ...]
Pixels = NDArray[Any]  # uint8, or float32 where a picture has more levels
Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]

WHITE = 255.0  # of all pictures, whatever their depth
MORE_PAGES = "have more pages or frames than the one that is read, the first"
DEEP_COLOURS = "have colors of 16 bits, of which Pillow reads the upper 8"
NO_WHITE = "have 32-bit or signed pixels, which are read as they are, not from 0 to 255"
_BITS, _PHOTOMETRIC = 258, 262  # tags of TIFF
_STRIPS = ((273, 279), (324, 325))  # where strips or tiles are, and how long
# Markers of JPEG: any; one with a length; the one after the data of pixels.
_MARKER = re.compile(rb"\xff+([^\xff])")
_WITH_LENGTH = re.compile(rb"[\xc0-\xcf\xda-\xef\xfe]")
_AFTER_DATA = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
LOOKAHEAD = b"\xff\x00" * 8  # libjpeg looks further than it needs; ones are no code
SPARE = 4  # bytes that cameras may leave unused at the end of a JPEG


def read_image(source: Source, shape: Shape, resize: bool = False) -> Pixels:
    """Read one picture as the command line does, for a model's ``fit`` and scores.

    As a viewer shows it: turned as its EXIF data say, transparent parts on white, the
    first page or frame. At its own depth: white is 255 for all, and pictures with 16
    bits of gray have fractions. Pillow has no colors of 16 bits, and gives their upper
    8. Pixels of 32 bits or with a sign, as TIFF may have, have no known white, and are
    read as they are.

    Parameters
    ----------
    source : path-like, bytes or binary file
        A file in a format that Pillow reads: its path, its content, or a file object.
    shape : (c, h, w)
        Of a model's images, ``detector.input_shape_``: c = 1 is gray, c = 3 color.
    resize : bool, default=False
        Whether a picture of another size is resized (bilinear) or refused.

    Returns
    -------
    ndarray of shape (c, h, w)
        uint8; float32 for pictures of more than 8 bits.

    Raises
    ------
    UnreadableImageError
        If the source is no picture, or damaged, or a single pixel to be enlarged, or
        of another size and not to be resized. A ValueError. Damage that leaves a JPEG
        as many pixels as before cannot be told; nor can damage to a BMP, GIF or PGM
        that keeps its length, as these have no checksums.
    ValueError
        If the shape is none of images.

    Warns
    -----
    UserWarning
        If something of the picture was left out.

    Examples
    --------
    >>> from io import BytesIO
    >>> from PIL import Image
    >>> posted = BytesIO()
    >>> Image.new("RGB", (40, 20), "red").save(posted, "PNG")
    >>> read_image(posted.getvalue(), (3, 2, 2), resize=True)[0]
    array([[255, 255],
           [255, 255]], dtype=uint8)
    """
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1:
        raise ValueError(f"shape must be (1, h, w) or (3, h, w); got {shape}")
    pixels, notes = read_picture(source, shape, resize)
    for note in notes:
        warnings.warn(f"{_name(source)}: pictures like it {note}", stacklevel=2)
    return pixels


def read_picture(
    source: Source, shape: Shape, resize: bool, check: bool = True
) -> tuple[Pixels, list[str]]:
    """Read one picture, and tell what was left out of it, for :func:`read_image`.

    The check for damage that Pillow passes over takes about as long as the reading.
    """
    from PIL import Image

    try:
        with _opened(source) as file, Image.open(file) as image:
            notes = _notes(image)
            if check:
                _check_whole(image, file)
            image.load()
            picture = _shown(image, shape[0])
        return _pixels(_resized(picture, shape, resize), shape[0]), notes
    except MemoryError:
        raise
    except Exception as error:  # damage surfaces as a dozen types, from struct to zlib
        raise UnreadableImageError(f"{_name(source)} {_reason(error)}") from None


def _name(source: Source) -> str:
    """Tell what to call a source in a message."""
    if isinstance(source, str | os.PathLike):
        return f"'{os.fspath(source)}'"
    name = getattr(source, "name", None)
    return f"'{name}'" if isinstance(name, str) else "the picture"


def _reason(error: Exception) -> str:
    if isinstance(error, _Unfit):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read: {error.strerror.lower()}"
    if type(error).__name__ == "UnidentifiedImageError":
        return "cannot be read: it is no picture that Pillow knows"
    return f"cannot be read: {str(error) or type(error).__name__}"


class _Unfit(ValueError):
    """Continues a sentence that begins with the name of a file."""


@contextmanager
def _opened(source: Source) -> Iterator[IO[bytes]]:
    """Open a source to be read from any place; never wait for a pipe."""
    if isinstance(source, bytes | bytearray | memoryview):
        yield BytesIO(source)
    elif isinstance(source, str | os.PathLike):
        mode = os.stat(source).st_mode
        if not stat.S_ISREG(mode):
            kind = "a folder" if stat.S_ISDIR(mode) else "a pipe or device"
            raise _Unfit(f"is {kind}, not a file")
        with open(source, "rb") as file:
            yield file
    else:
        yield source if source.seekable() else BytesIO(source.read())


# ------------------------------------------------------------------------ what is there


def _notes(image: Image.Image) -> list[str]:
    """Tell what of a picture is not going to be read."""
    notes = []
    # The further pictures of an MPO, a phone's JPEG, are previews and depths.
    if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
        notes.append(MORE_PAGES)
    tiles = getattr(image, "tile", ())  # how each part of the pixels is packed
    raw_mode = str(tiles[0][3]) if tiles else ""
    if "16" in raw_mode and image.mode not in ("I", "F") and "I;" not in image.mode:
        notes.append(DEEP_COLOURS)
    if not _white(image):
        notes.append(NO_WHITE)
    image.seek(0)  # counting the frames of some formats goes through them
    return notes


def _white(image: Image.Image) -> float:
    """Value of white in a picture with one channel; 0 if nothing tells it."""
    if image.mode.startswith("I;16"):
        bits: tuple[int, ...] = getattr(image, "tag_v2", {}).get(_BITS, (16,))
        return float(2 ** bits[0] - 1)
    if image.mode == "I" and image.format != "TIFF":  # 16 bits of a PNG or PGM
        return 65535.0
    return 0.0 if image.mode in ("I", "F") else WHITE


def _check_whole(image: Image.Image, file: IO[bytes]) -> None:
    """Refuse damaged files that Pillow decodes in silence."""
    from PIL import Image

    if image.format == "PNG":  # Pillow passes over the checksums of pixels
        file.seek(0)
        with Image.open(file) as again:
            again.verify()
    elif image.format == "TIFF":
        end = file.seek(0, os.SEEK_END)
        tags: Any = image.tag_v2  # type: ignore[attr-defined]
        for places, lengths in _STRIPS:
            pairs = zip(tags.get(places, ()), tags.get(lengths, ()), strict=False)
            if any(place + length > end for place, length in pairs):
                raise _Unfit("cannot be read: it is truncated")
    elif image.format in ("JPEG", "MPO"):
        file.seek(0)
        if not _is_whole_jpeg(file.read()):
            raise _Unfit("cannot be read: it is a damaged JPEG")


def _is_whole_jpeg(content: bytes) -> bool:
    """Tell whether a JPEG has its markers in order, and pixels that fill its data.

    libjpeg, which decodes it, makes do with less: it fills with gray what is missing.
    """
    place, kinds = 2, b""  # after the marker of the beginning
    while found := _MARKER.match(content, place):
        kind, place = found[1], found.end()
        kinds += kind
        if kind == b"\xd9":
            return _data_end_with_pixels(content, found.start(), kinds)
        if not _WITH_LENGTH.fullmatch(kind):
            return False
        place += int.from_bytes(content[place : place + 2], "big")
        if kind == b"\xda":  # the data of pixels follow, up to the next marker
            begin, end = place, _AFTER_DATA.search(content, place)
            place = end.start() if end else len(content)
            restarts = re.findall(rb"\xff([\xd0-\xd7])", content[begin:place])
            if any(m[0] != 0xD0 + i % 8 for i, m in enumerate(restarts)):
                return False
    return False


def _data_end_with_pixels(content: bytes, end: int, kinds: bytes) -> bool:
    """Tell whether pixels need the data of a JPEG up to its end, and no more.

    After damaged bytes, data are left over or run out. Not to be seen where a later
    scan refines an earlier one.
    """
    if kinds.count(b"\xda") != 1 or not (b"\xc0" in kinds or b"\xc1" in kinds):
        return True
    enough = _has_all_rows(content[:end] + LOOKAHEAD)
    return enough and not _has_all_rows(content[: end - SPARE])


def _has_all_rows(content: bytes) -> bool:
    from PIL import Image

    try:
        with Image.open(BytesIO(content)) as image:
            image.draft("L", (1, 1))  # an eighth of the size: its looks do not matter
            image.load()
    except OSError:
        return False
    return True


# -------------------------------------------------------------------------- as it looks


def _shown(image: Image.Image, channels: int) -> Image.Image:
    """Turn, lay on white, and convert: to "L" or "RGB", or gray with fractions, "F"."""
    from PIL import Image

    white, clear = _white(image), image.info.get("transparency")
    inverted = getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0
    image = _turned(image)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        values = np.asarray(image).astype(np.float32)
        if white:
            # Pillow inverts where 0 is white, but only up to 8 bits.
            values = (white - values if inverted else values) / (white / WHITE)
        if isinstance(clear, int):  # the one gray that a PNG may make transparent
            values[np.asarray(image) == clear] = WHITE
        return Image.fromarray(values)
    if image.has_transparency_data:
        ground = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(ground, image.convert("RGBA"))
    return image.convert("L" if channels == 1 else "RGB")


def _turned(image: Image.Image) -> Image.Image:
    """Turn a picture upright, as its EXIF data say, if they can be read."""
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(image)
    except Exception:  # viewers show pictures with damaged EXIF data, unturned
        return image


def _resized(picture: Image.Image, shape: Shape, resize: bool) -> Image.Image:
    from PIL import Image

    _, height, width = shape
    if picture.size == (width, height):
        return picture
    if not resize:
        raise _Unfit(
            f"is {picture.width}×{picture.height}, the model takes {width}×{height}: "
            "add --resize"
        )
    if picture.size == (1, 1):
        raise _Unfit("is a single pixel, and shows nothing that could be enlarged")
    return picture.resize((width, height), Image.Resampling.BILINEAR)


def _pixels(picture: Image.Image, channels: int) -> Pixels:
    """Return the numbers (c, h, w) of a picture."""
    pixels = np.asarray(picture)
    if pixels.ndim == 3:
        return pixels.transpose(2, 0, 1)
    if not np.isfinite(pixels).all() or np.abs(pixels).max() > LARGEST:
        raise _Unfit("holds NaN, infinite numbers or some beyond ±1e15")
    return np.repeat(pixels[None], channels, axis=0)
