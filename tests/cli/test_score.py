"""``deepsvdd score``: a table of scores, on the screen or in a file."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.adversarial.classifier import Classifier
from tests.cli import agrees, fails, succeeds

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
