"""The folder of photographs to practice on: what is in it, and what is wrong."""

import csv
import hashlib
import re
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from deepsvdd.core.metrics import roc_auc
from deepsvdd.datasets import images
from deepsvdd.datasets.image_files import read_image
from deepsvdd.datasets.pavement import (
    KINDS,
    photograph,
    places,
    texture,
    write_pavement,
)
from deepsvdd.datasets.pavement import folder as module
from deepsvdd.errors import UnreadableImageError
from tests import ROOT

BUNDLED = ROOT / "deepsvdd/datasets/bundled"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_pavement(tmp_path_factory.mktemp("made") / "pavement")


@pytest.fixture(scope="module")
def rows(folder):
    with (folder / "photographs.csv").open() as file:
        return list(csv.DictReader(file))


def content(folder):
    return {
        path.relative_to(folder): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- the photographs --------------------------------------------------------------


def test_the_photographs_are_those_of_the_license():
    text = (BUNDLED / "LICENSE-TEXTURES.md").read_text("utf-8")
    told = dict(re.findall(r"^\| `(\w+\.png)`.*`(\w{64})` \|$", text, re.MULTILINE))
    assert set(told) == {f"{name}.png" for name in KINDS.values()}
    for name, digest in told.items():
        assert hashlib.sha256((BUNDLED / name).read_bytes()).hexdigest() == digest


def test_textures_are_read_only():
    assert texture("brick").shape == (512, 512)
    with pytest.raises(ValueError, match="read-only"):
        texture("brick")[0] = 0


def test_places_do_not_overlap_and_hold_bricks_where_nothing_was_found():
    laid = places(5)
    found = [place.found for place in laid]
    assert {kind: found.count(kind) for kind in {*found}} == (
        {"": 114} | dict.fromkeys(KINDS, 10)
    )
    whole = texture("brick").astype(float)
    windows = []
    for place in laid:
        top, left = (4 + 42 * i for i in divmod(place.number, 12))
        bricks = whole[top : top + 42, left : left + 42]
        windows.append((top, left))
        assert place.mask.any() == bool(place.found)
        far = place.mask if place.found else np.ones_like(place.mask)
        same = np.isclose(place.pixels, bricks)
        assert same.all() if not place.found else not same[far].all()
    for a, b in combinations(windows, 2):
        assert max(abs(a[0] - b[0]), abs(a[1] - b[1])) >= 42


def test_what_was_found_consists_of_pixels_of_its_photograph():
    """Where it covers all, there is a piece of the photograph, as it is or turned."""
    for place in places(5):
        if not place.found:
            continue
        inner = place.mask.copy()
        for axis, step in ((0, 2), (0, -2), (1, 2), (1, -2)):
            inner &= np.roll(place.mask, step, axis)
        y, x = np.argwhere(inner).mean(axis=0).astype(int)
        piece = place.pixels[y - 1 : y + 2, x - 1 : x + 2]
        source = texture(KINDS[place.found]).astype(float)
        windows = np.lib.stride_tricks.sliding_window_view(source, (3, 3))
        turned = np.rot90(piece, -1) if place.found == "crossed" else piece
        assert np.abs(windows - turned).max(axis=(2, 3)).min() < 6


def test_pictures_of_a_place_are_nearly_the_same():
    laid = places(0)
    rng = np.random.default_rng(0)
    taken = [photograph(place, rng)[0] for place in laid[:20] for _ in range(4)]
    flat = np.array([(x - x.mean()).ravel() for x in np.array(taken, float)])
    flat /= np.linalg.norm(flat, axis=1, keepdims=True)
    alike = flat @ flat.T
    place = np.repeat(np.arange(20), 4)
    same = place[:, None] == place
    np.fill_diagonal(alike, np.nan)
    assert np.nanmean(alike[same]) > np.nanmean(alike[~same]) + 0.3


# --- the folder -------------------------------------------------------------------


def test_equal_seeds_write_equal_folders(folder, tmp_path):
    again = write_pavement(tmp_path / "again")
    assert content(again) == content(folder)
    other = write_pavement(tmp_path / "other", seed=1)
    assert (other / "photographs.csv").read_text() != (
        folder / "photographs.csv"
    ).read_text()


def test_it_is_small():
    size = sum((BUNDLED / f"{name}.png").stat().st_size for name in {*KINDS.values()})
    assert size < 600_000


def test_every_place_has_a_picture_a_day(rows):
    assert len(rows) == 576
    assert len({(row["place"], row["day"]) for row in rows}) == 576
    assert {row["found"] for row in rows} == {"", *KINDS}
    by_place = {}
    for row in rows:
        assert by_place.setdefault(row["place"], row["found"]) == row["found"]


def test_labels_are_of_a_few_odd_places_and_whole_places(folder, rows):
    with (folder / "labels.csv").open() as file:
        labels = list(csv.DictReader(file))
    named = {row["sample"] for row in labels}
    assert {row["label"] for row in labels} == {"-1"}
    of = {row["place"] for row in rows if row["sample"] in named}
    assert len(of) == 5
    assert len(labels) == 20
    assert all(row["found"] for row in rows if row["sample"] in named)


def test_most_files_can_be_read_and_look_like_the_pictures(folder):
    close = 0
    for picture in module.pictures(0):
        found = list((folder / "photographs").glob(f"{picture.name}.*"))
        if not found:  # the row without a file
            continue
        pixels = read_image(found[0], (1, 40, 40), resize=True)[0].astype(float)
        difference = np.abs(pixels - picture.pixels)
        close += difference.mean() < 8
    assert close == 575


def test_what_is_wrong_is_there(folder, rows):
    photographs = folder / "photographs"
    names = {row["sample"] for row in rows}
    listed = {name for name in names if (photographs / name).exists()}
    assert len(names - listed) == 1
    files = [path for path in photographs.rglob("*") if path.is_file()]
    extra = {str(path.relative_to(photographs)) for path in files} - listed
    copies = {name for name in extra if " (1)" in name}
    assert len(copies) == 6
    for name in copies:
        original = photographs / name.replace(" (1)", "")
        assert (photographs / name).read_bytes() == original.read_bytes()
    assert extra - copies == {
        *("day-2/IMG_0577.jpg", "day-3/IMG_0578.jpg", "day-3/._IMG_0578.jpg")
    }
    found = images.find_images(photographs)
    assert [path.name for path, why in found.items() if why] == ["._IMG_0578.jpg"]
    broken = []
    for path in (path for path, why in found.items() if not why):
        try:
            read_image(path, (1, 40, 40), resize=True)
        except UnreadableImageError:
            broken.append(path.name)
    assert sorted(broken) == ["IMG_0577.jpg", "IMG_0578.jpg"]


def test_sizes_and_modes_differ(folder, rows):
    modes, sizes, turned = set(), set(), 0
    for row in rows:
        path = folder / "photographs" / row["sample"]
        if path.exists():
            with Image.open(path) as image:
                modes.add(image.mode)
                sizes.add(image.size)
                turned += image.getexif().get(module.TURNED) == 6
    assert {"L", "RGB", "P", "RGBA", "I;16"} <= modes
    assert sizes == {(40, 40), (80, 80)}
    assert turned == 8


def test_only_the_leak_goes_with_what_was_found(folder, rows):
    """Within one camera the files of odd pictures are smaller; nothing else tells."""
    odd, sizes, strange = [], [], []
    for picture in module.pictures(0):
        path = next((folder / "photographs").glob(f"{picture.name}.*"), None)
        if path is None:
            continue
        strange.append((bool(picture.place.found), bool(picture.strange)))
        if not picture.strange and picture.day < module.COLOR_DAY:
            odd.append(bool(picture.place.found))
            sizes.append(path.stat().st_size)
    assert roc_auc(np.array(odd, int), -np.array(sizes)) > 0.8
    flags = np.array(strange)
    shares = [flags[flags[:, 0] == value, 1].mean() for value in (False, True)]
    assert abs(shares[0] - shares[1]) < 0.08


def test_masks_lie_where_the_picture_differs_from_bricks(folder):
    for picture in module.pictures(0):
        path = folder / "masks" / f"{picture.name}.png"
        assert path.exists() == bool(picture.place.found)
        if path.exists():
            with Image.open(path) as image:
                np.testing.assert_array_equal(np.asarray(image), picture.mask)


def test_it_refuses(folder, tmp_path):
    for seed in (-1, 1.5, True):
        with pytest.raises(
            ValueError, match=f"seed must be a whole number from 0 on; got {seed}"
        ):
            write_pavement(tmp_path / "x", seed)
    with pytest.raises(ValueError, match=r"folder must be a new one; '.*' exists"):
        write_pavement(folder)


def test_a_run_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "_disorder", full)
    with pytest.raises(OSError, match="cannot write"):
        write_pavement(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []
