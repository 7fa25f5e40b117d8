"""A picture is read as a viewer shows it, at its own depth, or refused."""

import io
import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from deepsvdd import UnreadableImageError, read_image
from deepsvdd.datasets.image_files import (
    DEEP_COLOURS,
    MORE_PAGES,
    NO_WHITE,
    read_picture,
)

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (32, 32, 3), dtype=np.uint8)
Y, X = np.mgrid[:96, :96]
SMOOTH = (128 + 60 * np.sin(X / 9) + 40 * np.cos(Y / 13)).astype(np.uint8)


def saved(picture, kind, **options):
    file = io.BytesIO()
    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(kind, data):
    crc = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + crc


def with_key(content, level):
    """A gray PNG with a transparent level: older Pillows write none of 16 bits."""
    head = 8 + 12 + 13  # signature, and the header's chunk
    return content[:head] + chunk(b"tRNS", struct.pack(">H", level)) + content[head:]


def png(side, depth, colour, rows):
    header = struct.pack(">IIBBBBB", side, side, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def tiff(side, bits, photometric, pixels, signs=1, samples=1):
    """An uncompressed TIFF of kinds that Pillow does not write."""
    tags = [
        *((256, 3, side), (257, 3, side), (258, 3, bits), (259, 3, 1)),
        *((262, 3, photometric), (277, 3, samples), (278, 3, side)),
        *((279, 4, len(pixels)), (339, 3, signs)),
    ]
    begin = 8 + 2 + 12 * (len(tags) + 1) + 4
    tags = sorted([*tags, (273, 4, begin)])
    entries = b"".join(struct.pack("<HHII", t, kind, 1, v) for t, kind, v in tags)
    head = b"II*\0" + struct.pack("<IH", 8, len(tags))
    return head + entries + struct.pack("<I", 0) + pixels


# -------------------------------------------------------------------------------- depth


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
@pytest.mark.parametrize("top", [100, 1024, 4096, 65536])
def test_every_level_of_16_bits_is_kept(kind, top):
    values = np.arange(1024, dtype=np.int64) * (top - 1) // 1023
    deep = values.reshape(32, 32).astype(np.uint16)
    if kind == "PPM":  # Pillow writes none of 16 bits before 11
        content = b"P5 32 32 65535\n" + deep.astype(">u2").tobytes()
    else:
        content = saved(deep, kind)
    pixels = read_image(content, (1, 32, 32))
    assert pixels.dtype == np.float32
    assert len(np.unique(pixels)) == len(np.unique(deep))
    np.testing.assert_array_equal(pixels[0], deep / np.float32(257))


def test_depths_are_on_one_scale():
    deep = NOISE[..., 0].astype(np.uint16) * 257
    expected = read_image(saved(NOISE[..., 0], "PNG"), (1, 32, 32))
    np.testing.assert_array_equal(read_image(saved(deep, "PNG"), (1, 32, 32)), expected)
    colours = read_image(saved(deep, "PNG"), (3, 32, 32))
    np.testing.assert_array_equal(colours, expected.repeat(3, axis=0))


def test_resizing_keeps_the_depth():
    deep = np.add.outer(np.arange(32), np.arange(32)).astype(np.uint16)
    pixels = read_image(saved(deep, "PNG"), (1, 16, 16), resize=True)
    assert len(np.unique(pixels)) > 30
    np.testing.assert_allclose(pixels[0, 8, 8] * 257, deep[16:18, 16:18].mean(), 1e-5)


def test_tiffs_of_12_bits_and_of_negatives():
    values = np.arange(16, dtype="<u2") * 4000
    pixels = read_image(tiff(4, 16, 0, values.tobytes()), (1, 4, 4))
    np.testing.assert_allclose(pixels.ravel(), (65535 - values) / 257, rtol=1e-6)
    pixels = read_image(tiff(4, 12, 1, b"\xff" * 24), (1, 4, 4))
    np.testing.assert_allclose(pixels, 255, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_known_white_are_read_as_they_are(dtype):
    values = (1000 * np.arange(16)).reshape(4, 4).astype(dtype)
    pixels, notes = read_picture(saved(values, "TIFF"), (1, 4, 4), resize=False)
    assert notes == [NO_WHITE]
    np.testing.assert_array_equal(pixels[0], values)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e20])
def test_pixels_that_are_no_numbers(value):
    content = saved(np.full((4, 4), value, np.float32), "TIFF")
    with pytest.raises(UnreadableImageError, match="holds NaN, infinite numbers or"):
        read_image(content, (1, 4, 4))


@pytest.mark.parametrize(("colour", "channels"), [(2, 3), (6, 4)])
def test_colours_of_16_bits_lose_the_lower_8_and_it_is_said(colour, channels):
    row = b"\0" + bytes([200, 77]) * channels * 4
    pixels, notes = read_picture(png(4, 16, colour, row * 4), (3, 4, 4), resize=False)
    assert notes == [DEEP_COLOURS]
    assert pixels.dtype == np.uint8
    with pytest.warns(UserWarning, match="of which Pillow reads the upper 8"):
        read_image(png(4, 16, colour, row * 4), (3, 4, 4))


# -------------------------------------------------------------------------------- looks


@pytest.mark.parametrize("hidden", [0, 255, 100])
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_what_looks_alike_is_read_alike(hidden, kind):
    pixels = np.full((8, 8, 4), hidden, np.uint8)
    pixels[..., 3] = 0
    pixels[2:6, 2:6] = (255, 0, 0, 255)
    lossless = {"lossless": True} if kind == "WEBP" else {}
    red = read_image(saved(pixels, kind, **lossless), (3, 8, 8))
    assert red[:, 0, 0].tolist() == [255, 255, 255]
    assert red[:, 4, 4].tolist() == [255, 0, 0]


def test_half_transparent_parts_are_mixed_with_white():
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[..., 3] = 51  # a fifth
    assert np.unique(read_image(saved(pixels, "PNG"), (3, 4, 4))) == [204]


@pytest.mark.parametrize(
    "content",
    [
        saved(Image.new("LA", (4, 4), (100, 0)), "PNG"),
        saved(Image.new("P", (4, 4)), "PNG", transparency=0),
        saved(Image.new("P", (4, 4)), "GIF", transparency=0),
        saved(Image.new("L", (4, 4), 7), "PNG", transparency=7),
        with_key(saved(np.full((4, 4), 7, np.uint16), "PNG"), 7),
    ],
    ids=["LA", "palette", "gif", "key", "deep key"],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_all_kinds_of_transparency(content, channels):
    assert np.unique(read_image(content, (channels, 4, 4))) == [255]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
def test_pictures_are_turned_upright(kind, depth):
    if depth == np.uint16 and kind in ("JPEG", "WEBP"):
        pytest.skip("has no 16 bits")
    sideways = np.zeros((16, 32), depth)
    sideways[:, :16] = np.iinfo(depth).max  # the left half: the top, once turned by 90°
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = read_image(saved(sideways, kind, exif=exif), (1, 32, 16))
    assert pixels[0, :14].min() > 240
    assert pixels[0, 18:].max() < 15


def test_damaged_exif_data_turn_nothing():
    content = saved(SMOOTH, "JPEG", exif=b"Exif\0\0MM\0*\0\0\xff\xff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_image(content, (1, 96, 96)).shape == (1, 96, 96)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_of_several_pages_the_first_is_read_and_it_is_said(kind):
    pages = [Image.new("L", (4, 4), value) for value in (0, 90, 180)]
    content = saved(pages[0], kind, save_all=True, append_images=pages[1:])
    with pytest.warns(UserWarning, match="more pages or frames") as caught:
        assert read_image(content, (1, 4, 4)).max() < 5
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert read_picture(content, (1, 4, 4), resize=False)[1] == [MORE_PAGES]


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "I;16"])
def test_modes_of_colour(mode):
    # As such files come; Pillow before 13 cannot read its own without a compression.
    options = {"compression": "jpeg"} if mode == "YCbCr" else {}
    content = saved(Image.new(mode, (4, 4)), "TIFF", **options)
    assert read_image(content, (3, 4, 4)).shape == (3, 4, 4)


# ------------------------------------------------------------------------------ sources


def test_a_path_bytes_and_files_give_the_same(tmp_path):
    content = saved(NOISE, "PNG")
    path = tmp_path / "a.png"
    path.write_bytes(content)
    expected = NOISE.transpose(2, 0, 1)
    with path.open("rb") as file:
        for source in (path, str(path), content, bytearray(content), file):
            np.testing.assert_array_equal(read_image(source, (3, 32, 32)), expected)

    class Posted(io.RawIOBase):  # as a web service gets it: cannot be wound back
        def __init__(self):
            self.left = io.BytesIO(content)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.left.readinto(buffer)

    np.testing.assert_array_equal(read_image(Posted(), (3, 32, 32)), expected)


def test_another_size_is_resized_or_refused():
    content = saved(NOISE, "PNG")
    with pytest.raises(
        ValueError, match="is 32×32, the model takes 16×8: add --resize"
    ):
        read_image(content, (3, 8, 16))
    assert read_image(content, (3, 8, 16), resize=True).shape == (3, 8, 16)
    with pytest.raises(ValueError, match="is a single pixel"):
        read_image(saved(NOISE[:1, :1], "PNG"), (3, 8, 8), resize=True)
    with pytest.raises(ValueError, match=r"shape must be .* got \(10,\)"):
        read_image(content, (10,))


# ------------------------------------------------------------------------------- damage


def refused(content, shape=(1, 8, 8)):
    message = ""
    try:
        read_picture(content, shape, resize=True)
    except UnreadableImageError as error:
        message = str(error)
    assert message[:12] in ("", "the picture ")
    assert len(message) < 176  # two lines
    return bool(message)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "GIF", "BMP", "PPM", "WEBP"])
def test_truncated_files(kind):
    content = saved(NOISE, kind)
    for length in (0, 3, 30, len(content) // 2, len(content) - 20):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, of what it misses
            assert refused(content[:length])


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "packbits", "jpeg"])
def test_tiffs_without_their_last_strips(compression):
    picture = np.tile(NOISE, (20, 20, 1))
    content = bytearray(saved(picture, "TIFF", compression=compression))
    with Image.open(io.BytesIO(content)) as image:
        strips = image.tag_v2[279]
    # The directory is at the end, or would be lost with the strips: one is made longer.
    if len(strips) == 1:
        place = content.rindex(struct.pack("<HHI", 279, 4, 1)) + 8
    else:
        place = content.index(struct.pack(f"<{len(strips)}I", *strips))
    content[place : place + 4] = struct.pack("<I", len(content) + 1)
    assert refused(bytes(content))


def test_every_damaged_byte_of_a_png_is_seen():
    content = saved(SMOOTH, "PNG")
    for place in range(8, len(content) - 12, 7):
        damaged = bytearray(content)
        damaged[place] ^= 16
        assert refused(bytes(damaged)), place


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"progressive": True}])
def test_jpegs_without_a_part_of_their_data(options):
    content = saved(np.tile(NOISE, (4, 4, 1)), "JPEG", **options)
    half = len(content) // 2
    assert refused(content[:half] + b"\xff" * 40 + content[half + 40 :])
    assert refused(content[:-2])  # no end
    if "progressive" not in options:
        assert refused(content[:half] + content[-2:])  # an end, but too early
        assert refused(content[:half] + content[half + 400 :])
        assert refused(content[:-2] + b"\x55" * 200 + content[-2:])  # too late


def test_jpegs_with_restarts_out_of_order():
    content = saved(SMOOTH, "JPEG", restart_marker_blocks=2)
    assert not refused(content)
    assert refused(content.replace(b"\xff\xd1", b"\xff\xd5", 1))


@pytest.mark.parametrize("side", [1, 7, 8, 17, 64])
@pytest.mark.parametrize(
    "options",
    [{}, {"quality": 1}, {"quality": 100}, {"progressive": True}, {"subsampling": 0}],
)
def test_no_whole_jpeg_is_refused(side, options):
    smooth = SMOOTH[:side, :side]
    noise = RNG.integers(0, 256, (side, side, 3), dtype=np.uint8)
    for picture in (smooth, np.zeros_like(smooth), noise, np.full_like(noise, 255)):
        content = saved(picture, "JPEG", **options)
        assert not refused(content, (3, side, side))
        assert not refused(content + b"what cameras append", (3, side, side))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no picture that Pillow knows"),
        (b"P5 4 x 255\n" + bytes(16), "invalid literal"),
        (b"P5 4 4 70000\n" + bytes(32), "maxval"),
        (b"P2 4 4 255\n 1 2 x", "cannot be read"),
        (png(2**31 - 1, 8, 0, b"x"), "exceeds limit"),
        (b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X", "no picture"),
    ],
)
def test_garbage(content, message):
    with pytest.raises(UnreadableImageError, match=message):
        read_image(content, (1, 4, 4), resize=True)


def test_what_is_no_file_is_never_opened(tmp_path):
    with pytest.raises(UnreadableImageError, match="is a folder, not a file"):
        read_image(tmp_path, (1, 4, 4))
    with pytest.raises(
        UnreadableImageError, match=r"'.*none.png' cannot be read: no su"
    ):
        read_image(tmp_path / "none.png", (1, 4, 4))
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        for path in (tmp_path / "pipe.png", "/dev/zero"):
            with pytest.raises(UnreadableImageError, match="is a pipe or device"):
                read_image(path, (1, 4, 4))


def test_running_out_of_memory_is_no_damage(monkeypatch):
    def load(self):
        raise MemoryError

    content = saved(NOISE, "BMP")
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", load)
    with pytest.raises(MemoryError):
        read_image(content, (3, 32, 32))
