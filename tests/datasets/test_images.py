"""What a folder of images is: its visible files, without what is none."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsvdd import ImageFolder
from deepsvdd.datasets.images import find_images


@pytest.fixture
def odd(tmp_path):
    """A folder with two images, and with what should not decide over it."""
    for name in ("b.png", "deep/a.PNG", ".ipynb_checkpoints/b-checkpoint.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8), 90).save(tmp_path / name)
    (tmp_path / "._b.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "notes.txt").write_text("none")
    os.symlink("nowhere", tmp_path / "link.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
        os.symlink("/dev/zero", tmp_path / "zero.png")
    return tmp_path


@pytest.mark.skipif(sys.platform == "win32", reason="pipes, links")
def test_what_is_found_and_what_is_left_out(odd):
    found = {str(p.relative_to(odd)): why for p, why in find_images(odd).items()}
    assert found == {
        "._b.png": "it is hidden",
        ".ipynb_checkpoints/b-checkpoint.png": "it is hidden",
        "b.png": "",
        "deep/a.PNG": "",
        "folder.png": "it is no regular file",
        "link.png": "no such file or directory",
        "pipe.png": "it is no regular file",
        "zero.png": "it is no regular file",
    }
    assert list(found) == sorted(found)


@pytest.mark.skipif(sys.platform == "win32", reason="pipes, links")
def test_a_folder_of_images_has_the_visible_ones(odd):
    images = ImageFolder(odd, 4)
    assert [path.name for path in images.files] == ["b.png", "a.PNG"]
    assert len(images) == 2
    assert len(images.left_out) == 6
    assert images.left_out[odd / "folder.png"] == "it is no regular file"


def test_a_hidden_folder_that_is_named_is_read(tmp_path):
    folder = tmp_path / ".hidden"
    folder.mkdir()
    Image.new("L", (8, 8)).save(folder / "a.png")
    assert list(find_images(folder).values()) == [""]


def test_a_folder_without_images(tmp_path):
    (tmp_path / "._b.png").write_bytes(b"")
    with pytest.raises(ValueError, match=r"no image files .* '.*_b.png': it is hidden"):
        find_images(tmp_path)


def test_a_subfolder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def closed(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr("os.scandir", closed)
    assert find_images(tmp_path)[tmp_path / "closed"] == "permission denied"


@pytest.mark.parametrize("size", [0, 4097, 100_000, (8, 100_000)])
def test_sizes_have_a_range(tmp_path, size):
    with pytest.raises(
        ValueError, match="size must be a positive whole number up to 4"
    ):
        ImageFolder(tmp_path, size)


def test_an_unreadable_image_is_named(tmp_path):
    (tmp_path / "a.png").write_bytes(b"none")
    with pytest.raises(
        ValueError, match=r"X holds an unreadable image, '.*a.png' cann"
    ):
        ImageFolder(tmp_path, 8)[0]


def test_pictures_of_16_bits_among_others_share_their_scale(tmp_path):
    picture = np.arange(64, dtype=np.uint8).reshape(8, 8)
    Image.fromarray(picture).save(tmp_path / "a.png")
    Image.fromarray(picture.astype(np.uint16) * 257).save(tmp_path / "b.png")
    first, second = ImageFolder(tmp_path, 8, grey=True)
    np.testing.assert_array_equal(first, second)


def test_a_picture_is_checked_for_damage_once(tmp_path, monkeypatch):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    checked = []
    monkeypatch.setattr(
        "deepsvdd.datasets.image_files._check_whole", lambda *_: checked.append(1)
    )
    images = ImageFolder(tmp_path, 8)
    for _ in range(3):
        assert images[0].shape == (3, 8, 8)
    assert checked == [1]
