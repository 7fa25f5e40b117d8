"""``deepsvdd score --explain``: a picture of each image beside its heat map."""

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepsvdd import FCDD, DeepSVDD, Phase, Recipe, load_detector
from tests.cli import fails, invoke, succeeds

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")
STILL = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))


@pytest.fixture
def pictures():
    """A folder with pictures, one of them in a subfolder, and one that is none."""
    rng = np.random.default_rng(0)
    for name in ("a.png", "sub/b.png", "c.png"):
        path = Path("in") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (28, 28), dtype=np.uint8)).save(path)
    return "in"


@pytest.fixture(scope="module")
def maps(tmp_path_factory, one_thread):
    """The path of an FCDD's file."""
    path = tmp_path_factory.mktemp("fcdd") / "m.safetensors"
    x = np.random.default_rng(1).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    FCDD(recipe=STILL, random_state=0).fit(x).save(path)
    return str(path)


def test_a_picture_for_every_image_under_its_name(maps, pictures):
    Path("in/d.png").write_bytes(b"none")
    result = invoke("score", maps, pictures, "--explain", "out")
    assert result.exit_code == 3
    assert "out: 3 heat maps" in result.output
    found = sorted(str(p.relative_to("out")) for p in Path("out").rglob("*.png"))
    assert found == ["a.png.png", "c.png.png", "sub/b.png.png"]
    with Image.open("out/a.png.png") as image:
        assert image.width > 1.5 * image.height  # the image beside its map
        assert len(np.unique(np.asarray(image)[..., :3].reshape(-1, 3), axis=0)) > 100


def test_scores_are_those_without_pictures(maps, pictures):
    plain = succeeds("score", maps, pictures).stdout
    assert succeeds("score", maps, pictures, "--explain", "out").stdout == plain


def test_rows_of_an_array(grey):
    _, path, x = grey
    np.save("x.npy", x[:2])
    succeeds("score", path, "x.npy", "--explain", "out")
    assert sorted(p.name for p in Path("out").iterdir()) == ["0.png", "1.png"]


def test_a_folder_that_holds_files_is_refused(maps, pictures):
    Path("out").mkdir()
    Path("out/old.txt").write_text("mine")
    message = fails("score", maps, pictures, "--explain", "out")
    assert "explain must be a new or an empty folder; got 'out', which" in message
    assert fails("score", maps, pictures, "--explain", "in/a.png", code=2)


def test_a_model_of_vectors_has_no_heat_maps():
    x = np.random.default_rng(0).normal(size=(30, 4))
    DeepSVDD(recipe=STILL, random_state=0).fit(x).save("v.safetensors")
    np.save("x.npy", x)
    message = fails("score", "v.safetensors", "x.npy", "--explain", "out")
    assert "explain must go with a model of images; this one takes vectors" in message
    assert not Path("out").exists()


def test_without_captum_the_extra_is_named(grey, monkeypatch):
    _, path, x = grey
    np.save("x.npy", x[:2])
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    message = fails("score", path, "x.npy", "--explain", "out")
    assert "pip install 'deepsvdd[explain]'" in message


def test_fit_makes_such_a_model(pictures):
    words = ["--grey", "--size", "28", "--objective", "fcdd", "--nu", "0.2"]
    succeeds("fit", pictures, "m.safetensors", *words)
    detector = load_detector("m.safetensors")
    assert isinstance(detector, FCDD)
    assert detector.contamination == 0.2
    assert "FCDD, outliers: confetti" in succeeds("info", "m.safetensors").output
    for words, said in {
        "--network mnist_LeNet": "network must be auto with fcdd; got 'mnist_LeNet'",
        "--eta 2": "eta must go with deep-sad; got 2.0 with fcdd: leave it out",
    }.items():
        message = fails("fit", pictures, "n", "--objective", "fcdd", *words.split())
        assert said in message
