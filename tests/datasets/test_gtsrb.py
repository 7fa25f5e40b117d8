"""GTSRB's own files: what is cut out of them, and every way in which they are wrong."""

import shutil

import numpy as np
import pytest
from PIL import Image

from deepsvdd import load_dataset
from deepsvdd.datasets.gtsrb import CLASSES, Sign, read_gtsrb, read_table, write_table
from deepsvdd.errors import DataUnavailableError

HEADER = "Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"
REGION = (6, 5, 41, 47)
GREEN, RED = (20, 200, 30), (200, 10, 20)


def picture(path, inside=RED, size=(46, 53), region=REGION):
    """A green image with one color in the region."""
    image = Image.new("RGB", size, GREEN)
    image.paste(inside, region)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)


def tint(class_id):
    return (5 * class_id, 255 - 5 * class_id, 40)


def real(root, training="GTSRB/Training", n_classes=43):
    """Write what stands in the place of the real data set: all classes, no marker."""
    folder = root / "gtsrb"
    for class_id in range(n_classes):
        images = folder / training / f"{class_id:05d}"
        lines = [HEADER]
        for k in range(2):
            picture(images / f"00000_{k:05d}.ppm", tint(class_id))
            lines.append(f"00000_{k:05d}.ppm;46;53;6;5;41;47;{class_id}")
        (images / f"GT-{class_id:05d}.csv").write_text("\r\n".join(lines) + "\r\n")
    lines = [HEADER]
    for k, class_id in enumerate([42, 14, 3]):
        picture(folder / "GTSRB" / "Final_Test" / "Images" / f"{k:05d}.ppm")
        lines.append(f"{k:05d}.ppm;46;53;6;5;41;47;{class_id}")
    (folder / "GT-final_test.csv").write_text("\r\n".join(lines) + "\r\n")
    return folder


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    root = tmp_path_factory.mktemp("original")
    real(root)
    return root


@pytest.fixture
def folder(original, tmp_path):
    """A copy of the folder gtsrb, to be damaged."""
    shutil.copytree(original / "gtsrb", tmp_path / "gtsrb")
    return tmp_path / "gtsrb"


def refused(folder, match):
    """The message of load_dataset: one sentence that tells how to mend it."""
    with pytest.raises(ValueError, match=match) as error:
        load_dataset("gtsrb", folder.parent, download=False)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"'{folder}")
    assert not (folder.parent / "gtsrb.npz").exists()
    return str(error.value)


MEND = "delete '.*gtsrb', then load or draw the signs again$"


def test_there_are_43_different_classes():
    assert len(CLASSES) == len(set(CLASSES)) == 43
    assert CLASSES[14] == "stop"
    assert CLASSES[13] == "yield"
    assert CLASSES[17] == "no entry"
    assert CLASSES[38] == "keep right"


def test_signs_are_cut_out_and_resized(folder):
    dataset = load_dataset("gtsrb", folder.parent, download=False)
    assert dataset.name == "gtsrb"
    assert dataset.x_train.shape == (86, 3, 32, 32)
    assert dataset.y_train.tolist() == [k // 2 for k in range(86)]
    assert dataset.y_test.tolist() == [42, 14, 3]
    # nothing of the green around the signs is left
    assert (dataset.x_test == np.reshape(RED, (3, 1, 1))).all()
    for x, label in zip(dataset.x_train, dataset.y_train, strict=True):
        assert (x == np.reshape(tint(label), (3, 1, 1))).all()


def test_real_signs_are_kept_as_one_file(folder):
    before = load_dataset("gtsrb", folder.parent, download=False)
    shutil.rmtree(folder)
    after = load_dataset("gtsrb", folder.parent, download=False)
    assert after is not before
    assert after.name == "gtsrb"
    np.testing.assert_array_equal(after.x_train, before.x_train)
    np.testing.assert_array_equal(after.y_test, before.y_test)


def test_a_column_is_x_and_a_row_is_y(folder):
    images = folder / "GTSRB" / "Final_Test" / "Images"
    left, top, right, bottom = (
        10,
        2,
        20,
        40,
    )  # tall: exchanged, it would leave the image
    image = Image.new("RGB", (46, 53), GREEN)
    image.paste(RED, (left, top, right, 21))
    image.paste((0, 0, 250), (left, 21, right, bottom))
    image.save(images / "00000.ppm")
    text = (folder / "GT-final_test.csv").read_text()
    old = "00000.ppm;46;53;6;5;41;47"
    (folder / "GT-final_test.csv").write_text(
        text.replace(old, f"00000.ppm;46;53;{left};{top};{right};{bottom}")
    )
    x = read_gtsrb(folder)["x_test"][0]
    assert (x[:14] == RED).all()
    assert (x[18:] == (0, 0, 250)).all()


def test_the_benchmarks_final_training_images_are_preferred(folder):
    final = folder / "GTSRB" / "Final_Training" / "Images"
    (folder / "GTSRB" / "Training").rename(folder / "moved")
    shutil.copytree(folder / "moved", final)
    assert len(read_gtsrb(folder)["y_train"]) == 86
    shutil.rmtree(folder / "moved" / "00042")
    (folder / "moved").rename(folder / "GTSRB" / "Training")  # incomplete, and unused
    assert len(read_gtsrb(folder)["y_train"]) == 86


def test_without_signs_the_error_names_the_ways_out(tmp_path):
    pytest.importorskip("torchvision")
    with pytest.raises(DataUnavailableError) as error:
        load_dataset("gtsrb", tmp_path, download=False)
    assert "Dataset not found" in str(error.value)
    assert "`deepsvdd signs FOLDER`" in str(error.value)
    assert "put a gtsrb.npz with the arrays" in str(error.value)


@pytest.mark.parametrize("missing", ["Training", "Final_Test"])
def test_one_half_only(folder, missing):
    pytest.importorskip("torchvision")
    shutil.rmtree(folder / "GTSRB" / missing)
    with pytest.raises(DataUnavailableError, match="download=True"):
        load_dataset("gtsrb", folder.parent, download=False)


def test_after_a_download_the_files_are_read(folder, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    away = folder.with_name("server")
    folder.rename(away)

    def download(self):
        if not folder.exists():
            shutil.copytree(away, folder)

    monkeypatch.setattr(torchvision.datasets.GTSRB, "download", download)
    dataset = load_dataset("gtsrb", folder.parent)
    assert dataset.y_test.tolist() == [42, 14, 3]
    assert (folder.parent / "gtsrb.npz").exists()


@pytest.mark.parametrize(
    "table", ["GTSRB/Training/00014/GT-00014.csv", "GT-final_test.csv"]
)
@pytest.mark.parametrize(
    ("change", "match"),
    [
        (None, "says where the signs in '.*' are, cannot be read .no such file"),
        ("", "lists no signs"),
        (HEADER, "lists no signs"),
        (b"\xff\xfe\x00\x81", "cannot be read"),
        (f"{HEADER}\n00000.ppm;46", "line 2 has '00000.ppm;46;None"),
        (f"{HEADER}\n00000.ppm;46;53;a;5;41;47;14", "whole numbers but for the first"),
        ("00000.ppm,46,53,6,5,41,47,14\n" * 2, "must have the columns Filename;Width"),
        (f"{HEADER}\n0.ppm;46;53;6;5;41;47;43", "classes from 0 to 42; line 2 has 43"),
        (f"{HEADER}\n0.ppm;46;53;6;5;41;47;-1", "classes from 0 to 42; line 2 has -1"),
        (f"{HEADER}\n0.ppm;46;53;6;5;41;47;14", f"0.ppm' must be an image.*{MEND}"),
    ],
)
def test_wrong_tables(folder, table, change, match):
    path = folder / table
    if change is None:
        path.unlink()
    else:
        path.write_bytes(change if isinstance(change, bytes) else change.encode())
    message = refused(folder, match)
    assert str(path.parent) in message


@pytest.mark.parametrize(
    "region", ["-1;5;41;47", "6;-1;41;47", "6;5;47;47", "6;5;41;54", "41;5;6;47"]
)
def test_regions_outside_the_image(folder, region):
    path = folder / "GT-final_test.csv"
    path.write_text(f"{HEADER}\n00000.ppm;46;53;{region};14\n")
    refused(folder, f"must hold the region .* but is 46×53 pixels; {MEND}")


@pytest.mark.parametrize("content", [None, b"", b"P6 46 53 255\n", b"nonsense" * 99])
def test_damaged_images(folder, content):
    path = folder / "GTSRB" / "Training" / "00014" / "00000_00001.ppm"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    message = refused(folder, f"must be an image, as its table says.*{MEND}")
    assert str(path) in message


def test_wrong_numbers_of_classes(folder):
    training = folder / "GTSRB" / "Training"
    (training / "00043").mkdir()
    refused(folder, "must hold the 43 class folders 00000 to 00042, got the folder")
    (training / "00043").rmdir()
    shutil.rmtree(training / "00041")
    refused(folder, f"00000 to 00042, got 42 of them; {MEND}")
    for path in training.iterdir():
        shutil.rmtree(path)
    refused(folder, "got 0 of them")
    (folder / "drawn.json").write_text("{}")
    refused(folder, "got 0 of them")


def test_tables_are_read_as_they_were_written(tmp_path):
    signs = [
        Sign(tmp_path / "a.ppm", (30, 31), (5, 6, 25, 26), 0),
        Sign(tmp_path / "b.ppm", (250, 250), (0, 0, 250, 250), 42),
    ]
    write_table(tmp_path / "t.csv", signs)
    assert read_table(tmp_path / "t.csv", tmp_path) == signs
    assert (tmp_path / "t.csv").read_text().splitlines()[:2] == [
        HEADER,
        "a.ppm;30;31;5;6;25;26;0",
    ]
