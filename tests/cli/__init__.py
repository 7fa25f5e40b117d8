"""What tests of the command line say, and where they look for what came of it."""

import csv
import io
import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from deepsvdd.cli import main

PNG = b"\x89PNG\r\n\x1a\n"
SHORT = ("--n_epochs", "1", "--ae_n_epochs", "1")
# The options of the authors' main.py and their defaults.
AUTHORS_OPTIONS = {
    "load_config": None,
    "load_model": None,
    "objective": "one-class",
    "nu": 0.1,
    "device": "auto",  # theirs: cuda
    "seed": -1,
    "optimizer_name": "adam",
    "lr": 0.001,
    "n_epochs": 50,
    "lr_milestone": (),
    "batch_size": 128,
    "weight_decay": 1e-6,
    "pretrain": True,
    "ae_optimizer_name": "adam",
    "ae_lr": 0.001,
    "ae_n_epochs": 100,
    "ae_lr_milestone": (),
    "ae_batch_size": 128,
    "ae_weight_decay": 1e-6,
    "n_jobs_dataloader": 0,
    "normal_class": 0,
}


def invoke(*words, charset="utf-8"):
    words = [str(word) for word in words]
    return CliRunner(charset=charset).invoke(main, words)


def succeeds(*words):
    result = invoke(*words)
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    return result


def fails(*words, code=1):
    """The message of a command that must fail decently."""
    result = invoke(*words)
    if not isinstance(result.exception, SystemExit):
        raise result.exception or AssertionError("no failure: " + result.output)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    try:
        told = result.stderr
    except ValueError:  # click before 8.2 mixes both
        told = result.output
    assert any(line.startswith("Error: ") for line in told.splitlines())
    assert ("Usage:" in told) == (code == 2)
    return told


def train_words(folder, data, *more, network="mnist_LeNet", name="fashion_mnist"):
    return ("train", name, network, folder, data, "--seed", 0, *SHORT, *more)


def results_of(folder):
    return json.loads((Path(folder) / "results.json").read_text())


def config_of(folder):
    return json.loads((Path(folder) / "config.json").read_text())


def scores_of(folder):
    return [row[2] for row in results_of(folder)["test_scores"]]


def table_of(text):
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["sample", "score", "label"]
    return rows[1:]


def agrees(result, scores, threshold, names=None):
    rows = table_of(result.stdout)
    assert [row[0] for row in rows] == (names or [str(i) for i in range(len(scores))])
    # Scores of images are float32: alone or in a batch, sums may round differently.
    np.testing.assert_allclose([float(row[1]) for row in rows], scores, rtol=1e-6)
    expected = ["anomaly" if score > threshold else "normal" for score in scores]
    assert [row[2] for row in rows] == expected
