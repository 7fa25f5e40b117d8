"""Drawn signs: what they show, drawn again, in GTSRB's format, all or nothing."""

import errno
import json
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from deepsvdd import load_dataset, one_vs_rest
from deepsvdd.datasets import gtsrb, signs
from deepsvdd.datasets.signs import (
    SIGNS,
    STOP,
    draw_sign,
    image_rng,
    template,
    write_signs,
)

COUNTS = {"n_train": 33, "n_test": 3, "n_other_train": 2, "n_other_test": 1}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signs")
    assert write_signs(folder, **COUNTS, seed=5) == folder / "gtsrb"
    return folder


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder): path.read_bytes() for path in files}


def drawn(class_id, index, seed=0):
    return draw_sign(class_id, image_rng(seed, "train", class_id, index))


def cut(photograph):
    return np.asarray(photograph.image.crop(photograph.region), dtype=float)


# Single signs ------------------------------------------------------------------------


def test_twelve_types_and_stop_is_gtsrbs_14():
    assert len(SIGNS) == 12
    assert STOP == 14
    assert gtsrb.CLASSES[STOP] == "stop"
    assert set(SIGNS) < set(range(len(gtsrb.CLASSES)))


@pytest.mark.parametrize("class_id", SIGNS)
@pytest.mark.parametrize("halvings", [0, 3])
def test_templates_are_opaque_inside_and_transparent_around(class_id, halvings):
    alpha = np.asarray(template(class_id, halvings))[..., 3]
    side = signs.SIZE // 2**halvings
    assert alpha.shape == (side, side)
    assert alpha[side // 2, side // 2] == 255
    # No sign is a square: at least two corners show what is behind it.
    assert sum(alpha[y, x] == 0 for y in (0, -1) for x in (0, -1)) >= 2
    assert 0.3 < (alpha > 127).mean() < 0.9


def test_a_sign_that_is_not_drawn():
    with pytest.raises(ValueError, match=r"class_id must be one of 1, .*; got 3"):
        draw_sign(3, np.random.default_rng(0))


def test_templates_differ():
    pictures = [np.asarray(template(k, 4), dtype=float) for k in SIGNS]
    for i, one in enumerate(pictures):
        for other in pictures[:i]:
            assert np.abs(one - other).mean() > 1


def test_the_stop_sign_has_eight_sides_and_white_letters():
    picture = np.asarray(template(STOP)).astype(int)
    inside = picture[..., 3] > 127
    # area of the regular octagon over that of its bounding square: 2 (√2 − 1)
    rows, columns = np.nonzero(inside)
    box = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert inside.sum() / box == pytest.approx(2 * (2**0.5 - 1), abs=0.01)
    middle = picture[signs.SIZE // 2]  # the row through the letters
    white = (middle[:, :3] > 200).all(1).astype(int)
    assert (np.diff(white) == 1).sum() >= 5  # rim, S, T, O twice, P


@given(st.sampled_from(list(SIGNS)), st.integers(0, 2**40), st.integers(0, 10**6))
def test_any_image_can_be_drawn_again(class_id, seed, index):
    one = drawn(class_id, index, seed)
    two = drawn(class_id, index, seed)
    assert one.region == two.region
    assert one.image.tobytes() == two.image.tobytes()


@given(st.sampled_from(list(SIGNS)), st.integers(0, 10**6))
def test_region_lies_inside_and_is_most_of_the_image(class_id, index):
    image, (left, top, right, bottom) = drawn(class_id, index)
    assert image.mode == "RGB"
    assert 0 <= left < right <= image.width == image.height >= bottom > top >= 0
    # GTSRB's images have 15 to 250 pixels, and a margin of 10 % and at least 5.
    assert 15 <= image.width <= 250
    assert image.width - max(right - left, bottom - top) >= 4
    assert max(right - left, bottom - top) > 0.45 * image.width


def test_seed_part_type_and_number_each_matter():
    keys = [
        (0, "train", 14, 0),
        (1, "train", 14, 0),
        (0, "test", 14, 0),
        (0, "train", 14, 1),
        (0, "train", 17, 0),
    ]
    draws = {image_rng(*key).integers(2**62) for key in keys}
    assert len(draws) == len(keys)


def reds(class_id, n=60):
    """Red less the mean of green and blue in the region, as a share of brightness."""
    pixels = [cut(drawn(class_id, index)) for index in range(n)]
    means = np.array([p.reshape(-1, 3).mean(0) for p in pixels])
    return (means[:, 0] - means[:, 1:].mean(1)) / means.mean(1)


def test_regions_hold_the_sign():
    stop, no_entry, arrow = reds(STOP), reds(17), reds(35)
    assert np.median(stop) > 0.4
    assert np.median(no_entry) > 0.4
    assert np.median(arrow) < -0.2
    # nearly every single one, in all that weather
    assert (stop > 0.1).mean() > 0.95
    assert (arrow < 0.05).mean() > 0.9


def test_the_sign_is_in_the_region_and_not_beside_it():
    """Inside the region it is redder than in the frame around it."""
    more = []
    for index in range(60):
        photograph = drawn(STOP, index)
        pixels = np.asarray(photograph.image, dtype=float)
        red = pixels[..., 0] - pixels[..., 1:].mean(-1)
        left, top, right, bottom = photograph.region
        inside = np.zeros(red.shape, dtype=bool)
        inside[top:bottom, left:right] = True
        more.append(red[inside].mean() > red[~inside].mean())
    assert np.mean(more) > 0.95


def test_light_size_and_sharpness_vary():
    pictures = [drawn(STOP, index) for index in range(100)]
    light = [cut(p).mean() for p in pictures]
    sizes = [p.image.width for p in pictures]
    assert np.percentile(light, 90) > 2.5 * np.percentile(light, 10)
    assert np.percentile(sizes, 90) > 2 * np.percentile(sizes, 10)


# A set of them -----------------------------------------------------------------------


def test_same_seed_same_set_to_the_byte(root, tmp_path):
    again = write_signs(tmp_path / "again", **COUNTS, seed=5)
    other = write_signs(tmp_path / "other", **COUNTS, seed=6)
    assert contents(again) == contents(root / "gtsrb")
    assert contents(other).keys() == contents(again).keys()
    first = again / "GTSRB" / "Training" / "00014" / "00000_00000.ppm"
    assert first.read_bytes() != other.joinpath(*first.parts[-4:]).read_bytes()


def test_any_file_can_be_drawn_again_alone(root):
    folder = root / "gtsrb" / "GTSRB" / "Training" / "00014"
    photograph = draw_sign(STOP, image_rng(5, "train", STOP, 31))
    with Image.open(folder / "00001_00001.ppm") as image:  # 31 = 30 + 1
        assert image.tobytes() == photograph.image.tobytes()
    line = gtsrb.read_table(folder / "GT-00014.csv", folder)[31]
    assert line.file.name == "00001_00001.ppm"
    assert line.region == photograph.region


def test_torchvisions_own_class_reads_it(root):
    torchvision = pytest.importorskip("torchvision")
    ours = load_dataset("gtsrb", root, download=False)
    train = torchvision.datasets.GTSRB(root, split="train")
    test = torchvision.datasets.GTSRB(root, split="test")
    assert len(train) == len(ours.y_train) == 33 + 11 * 2
    assert len(test) == len(ours.y_test) == 3 + 11
    # torchvision numbers the class folders that there are; ours are GTSRB's numbers
    present = sorted(SIGNS)
    assert [present[label] for _, label in train] == ours.y_train.tolist()
    assert [label for _, label in test] == ours.y_test.tolist()
    # and what was cut out comes from the same files
    table = root / "gtsrb" / "GT-final_test.csv"
    listed = gtsrb.read_table(table, root / "gtsrb" / "GTSRB" / "Final_Test" / "Images")
    for (image, _), line, x in zip(test, listed, ours.x_test, strict=True):
        assert image.size == line.size
        small = image.crop(line.region).resize((32, 32), Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(np.asarray(small).transpose(2, 0, 1), x)


def test_what_is_loaded_says_that_it_is_drawn(root):
    dataset = load_dataset("gtsrb", root)
    assert dataset.name == "drawn signs"
    assert dataset.classes == gtsrb.CLASSES
    assert len(dataset.classes) == 43
    assert set(dataset.y_train) == set(dataset.y_test) == set(SIGNS)
    assert load_dataset("gtsrb", root) is dataset
    assert not (root / "gtsrb.npz").exists()  # it could not say so


def test_one_type_against_the_rest(root):
    dataset = load_dataset("gtsrb", root)
    split = one_vs_rest(dataset, "stop")
    assert split.normal_classes == (14,)
    assert split.x_train.shape == (33, 3, 32, 32)
    assert split.y_test.tolist().count(0) == 3
    with pytest.raises(ValueError, match=r"'drawn signs' has none of class 0"):
        one_vs_rest(dataset, 0)


def test_a_set_tells_what_it_is_and_how_to_draw_it_again(root):
    about = json.loads((root / "gtsrb" / "drawn.json").read_text())
    assert {name: about[name] for name in COUNTS} == COUNTS
    assert about["seed"] == 5
    assert about["what"] == "drawn traffic signs, not GTSRB"
    assert about["classes"] == {str(k): gtsrb.CLASSES[k] for k in SIGNS}
    assert "# Drawn, not GTSRB" in (root / "gtsrb" / "README.md").read_text()


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("count", [0, -3])
def test_impossible_numbers(tmp_path, name, count):
    message = f"^{name} must be a whole number from 1 on; got {count}$"
    with pytest.raises(ValueError, match=message):
        write_signs(tmp_path, **COUNTS | {name: count})
    assert os.listdir(tmp_path) == []


def test_impossible_seed(tmp_path):
    with pytest.raises(ValueError, match="seed must be a whole number from 0 on; got"):
        write_signs(tmp_path, **COUNTS, seed=-1)


@pytest.mark.parametrize("name", ["gtsrb", "gtsrb.npz"])
def test_signs_that_are_there_are_left_alone(tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(ValueError, match=f"'.*{name}' exists; name another folder"):
        write_signs(tmp_path, **COUNTS)
    assert os.listdir(tmp_path) == [name]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "full")])
def test_a_set_is_whole_or_not_there(tmp_path, monkeypatch, error):
    save, calls = Image.Image.save, []

    def fail_at_last(image, path, *args, **kwargs):
        calls.append(path)
        if getattr(path, "parts", ())[-2:] == ("Images", "00013.ppm"):  # the last one
            raise error
        save(image, path, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", fail_at_last)
    with pytest.raises((KeyboardInterrupt, OSError)) as caught:
        write_signs(tmp_path, **COUNTS)
    assert len(calls) > 50
    if isinstance(error, OSError):
        assert "no space left on the device; free some space" in str(caught.value)
        assert str(tmp_path) in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_the_rest_of_a_killed_run_is_no_set_and_no_obstacle(root, tmp_path):
    left = tmp_path / "gtsrb.unfinished" / "GTSRB" / "Training" / "00042"
    left.mkdir(parents=True)
    with pytest.raises(RuntimeError, match="does not exist"):
        load_dataset("gtsrb", tmp_path, download=False)
    write_signs(tmp_path, **COUNTS, seed=5)
    assert os.listdir(tmp_path) == ["gtsrb"]
    assert contents(tmp_path) == contents(root)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="a file stands where a folder is needed"):
        write_signs(tmp_path / "file", **COUNTS)
