"""``deepsvdd score``: a table of scores, on the screen or in a file."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.adversarial.classifier import Classifier
from tests.cli import agrees, fails, invoke, succeeds, table_of

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


def test_score_to_a_file_equals_score_to_the_screen(grey, data):
    model, path, x = grey
    np.save("data.npy", x)
    printed = succeeds("score", path, "data.npy").stdout
    result = succeeds("score", path, "data.npy", "-o", "new folder/scores.csv")
    assert Path("new folder/scores.csv").read_text(encoding="utf-8") == printed
    n = (model.predict(x) == -1).sum()
    assert f"40 samples, {n} above the threshold" in result.output


def test_score_with_another_threshold(grey):
    model, path, x = grey
    np.save("data.npy", x)
    scores = model.anomaly_score(x)
    threshold = float(np.median(scores))
    words = ("score", path, "data.npy", "--threshold", repr(threshold))
    agrees(succeeds(*words), scores, threshold)


def test_a_threshold_that_is_no_number(grey):
    _, path, x = grey
    np.save("data.npy", x)
    message = fails("score", path, "data.npy", "--threshold", "nan")
    assert "threshold must be a number; got nan" in message


def test_scores_of_vectors_in_double_precision():
    x = np.random.default_rng(0).normal(size=(30, 4))
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    model = DeepSVDD(recipe=still, random_state=0).fit(x)
    model.save("m.safetensors")
    np.save("x.npy", x)
    result = succeeds("score", "m.safetensors", "x.npy")
    agrees(result, model.anomaly_score(x), model.threshold_)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("x.png")
    message = fails("score", "m.safetensors", "x.png")
    assert "vectors" in message
    assert ".npy" in message


@pytest.mark.parametrize("command", ["score", "info"])
def test_models_that_are_none(command):
    np.save("x.npy", np.zeros((2, 28, 28)))
    Path("broken.safetensors").write_bytes(b"broken")
    Path("folder").mkdir()
    Classifier((1, 28, 28), 2).save("classifier.safetensors")
    more = ("x.npy",) if command == "score" else ()
    names = ("missing.safetensors", "broken.safetensors", "classifier.safetensors")
    for name in (*names, "folder"):
        assert name in fails(command, name, *more)


def test_score_cannot_write(grey):
    _, path, x = grey
    np.save("x.npy", x)
    Path("folder").mkdir()
    message = fails("score", path, "x.npy", "-o", "folder")
    assert "cannot write 'folder'" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_score_on_a_gpu_that_is_not_there(grey):
    _, path, x = grey
    np.save("x.npy", x)
    assert "use 'cpu'" in fails("score", path, "x.npy", "--device", "cuda")


def test_on_one_cpu_there_is_no_sixth(grey):
    _, path, x = grey
    np.save("x.npy", x)
    message = fails("score", path, "x.npy", "--device", "cpu:5")
    assert "device must be 'cpu', of which there is one; got 'cpu:5'" in message


# ----------------------------------------------------------------- what is written when


@pytest.mark.parametrize("kind", ["model", "data", "symlink", "hard link", "picture"])
def test_an_output_never_replaces_an_input(grey, monkeypatch, kind):
    _, path, x = grey
    np.save("x.npy", x)
    source = "x.npy"
    output = {"model": path, "data": "./x.npy", "picture": "p/a.png"}.get(kind, "link")
    if kind in ("symlink", "hard link"):
        (os.symlink if kind == "symlink" else os.link)("x.npy", output)
    if kind == "picture":
        source = "p"
        Path("p").mkdir()
        Image.fromarray(x[0]).save(output)
    before = Path(output).read_bytes()
    message = fails("score", path, source, "-o", output)
    assert "output must be another file than the inputs" in message
    assert Path(output).read_bytes() == before


def test_an_output_that_cannot_be_written_is_told_before_reading(grey, monkeypatch):
    _, path, x = grey
    np.save("x.npy", x)
    monkeypatch.setattr(DeepSVDD, "load", lambda *_, **__: pytest.fail("read"))
    for output in (".", "x.npy/s.csv", "n" * 300):
        assert "cannot write" in fails("score", path, "x.npy", "-o", output)
    assert "it is empty" in fails("score", path, "x.npy", "-o", "", code=2)


@pytest.fixture
def interrupted(grey, monkeypatch):
    """A scoring that is interrupted at its second batch."""
    monkeypatch.setattr("deepsvdd.cli.inputs.PICTURES_AT_ONCE", 10)
    anomaly_score, batches = DeepSVDD.anomaly_score, []

    def score(self, X):
        batches.append(len(X))
        if len(batches) == 2:
            raise KeyboardInterrupt
        return anomaly_score(self, X)

    monkeypatch.setattr(DeepSVDD, "anomaly_score", score)
    np.save("x.npy", grey[2])
    return grey[1]


def test_an_interruption_keeps_what_was_scored(interrupted):
    Path("s.csv").write_text("old")
    result = invoke("score", interrupted, "x.npy", "-o", "s.csv")
    assert result.exit_code == 1
    assert "not finished: the rows that were scored are in" in result.stderr
    assert Path("s.csv").read_text() == "old"
    assert len(table_of(Path("s.csv.part").read_text())) == 10


def test_an_interruption_keeps_what_was_printed(interrupted):
    result = invoke("score", interrupted, "x.npy")
    assert result.exit_code == 1
    assert len(table_of(result.stdout)) == 10


def test_the_part_is_no_more_when_all_is_there(grey):
    _, path, x = grey
    np.save("x.npy", x)
    Path("s.csv.part").write_text("of an interrupted command")
    succeeds("score", path, "x.npy", "-o", "s.csv")
    assert len(table_of(Path("s.csv").read_text())) == 40
    assert not Path("s.csv.part").exists()


def test_nothing_is_written_if_nothing_can_be_scored(grey):
    _, path, _ = grey
    np.save("x.npy", np.full((2, 28, 28), np.nan))
    assert "no usable sample in 'x.npy'; first: " in fails(
        "score", path, "x.npy", "-o", "s.csv"
    )
    assert sorted(os.listdir()) == ["x.npy"]


# ----------------------------------------------------------------- what becomes a label


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_score_that_is_no_number_becomes_no_label(grey, monkeypatch, value):
    model, path, x = grey
    np.save("x.npy", x[:3])
    scores = model.anomaly_score(x[:3])
    scores[1] = value
    monkeypatch.setattr(DeepSVDD, "anomaly_score", lambda *_: scores)
    result = invoke("score", path, "x.npy")
    assert result.exit_code == 3
    rows = table_of(result.stdout)
    assert rows[1] == ["1", "", "unscored"]
    assert all(row[1] and row[2] != "unscored" for row in (rows[0], rows[2]))
    assert f"that its score is {value}" in result.stderr
    assert "its score is" in fails("score", path, "x.npy", "--strict")


def test_vectors_beyond_what_can_be_scored():
    x = np.random.default_rng(0).normal(size=(30, 4))
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    DeepSVDD(recipe=still, random_state=0).fit(x).save("m.safetensors")
    x[7] = 1e300
    np.save("x.npy", x)
    result = invoke("score", "m.safetensors", "x.npy")
    rows = table_of(result.stdout)
    assert (result.exit_code, rows[7]) == (3, ["7", "", "unscored"])
    assert sum(row[2] == "unscored" for row in rows) == 1
