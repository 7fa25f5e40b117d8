"""Sweeps with a few labeled anomalies: which, how trained, and what is told."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from deepsvdd import DeepSAD, Phase, Recipe
from deepsvdd.cli import main
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.networks import seeded_autoencoder
from deepsvdd.datasets import one_vs_rest
from deepsvdd.reproduction import runs
from deepsvdd.reproduction.few_labels import (
    labeled_class,
    labeled_method,
    quality_by_class,
    train_classifier,
)
from deepsvdd.reproduction.results import ResultsFile, key_of
from deepsvdd.reproduction.runs import run_task
from deepsvdd.reproduction.sweeps import sweep
from deepsvdd.reproduction.tasks import Settings, plan
from tests.toys import CPU, some_digits

pytestmark = pytest.mark.usefixtures("one_thread")

METHODS = ("one-class", "deep-sad:0", "deep-sad:5", "classifier:5")


@pytest.fixture(scope="module")
def digits(mnist):
    return some_digits(mnist, 3000)


@pytest.fixture
def few(digits, monkeypatch):
    """All that sweeps load is few digits."""
    monkeypatch.setattr("deepsvdd.reproduction.tasks.load", lambda *_: digits)
    monkeypatch.setattr(runs, "load", lambda *_: digits)
    return digits


def planned(methods, seeds=(0,), classes=(3,), settings=CPU):
    return plan(["mnist"], classes, methods, ["fast:1+1"], seeds, settings)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("deep-sad:0", ("deep-sad", 0)),
        ("deep-sad:20", ("deep-sad", 20)),
        ("classifier:1", ("classifier", 1)),
        *((wrong, None) for wrong in ("deep-sad", "deep-sad:", "deep-sad:-1")),
        *((wrong, None) for wrong in ("classifier:0", "deep-sad:05", "deep-sad:1000")),
        *((wrong, None) for wrong in ("one-class", "one-class:5", "deep-sad:1 ")),
    ],
)
def test_methods_with_labels(method, expected):
    assert labeled_method(method) == expected


def test_the_labeled_class_goes_around(digits):
    index = [labeled_class(digits, 8, seed).index for seed in range(10)]
    assert index == [9, 0, 1, 2, 3, 4, 5, 6, 7, 9]
    labeled = labeled_class(digits, 3, 0)
    assert (digits.y_test[labeled.seen] == 4).all()
    assert (digits.y_test[~labeled.seen] != 4).all()
    fours = digits.x_train[digits.y_train == 4]
    assert len(labeled.images) == len(fours)
    assert {image.tobytes() for image in labeled.images} == {f.tobytes() for f in fours}
    again = labeled_class(digits, 3, 0)
    np.testing.assert_array_equal(again.images, labeled.images)


def test_a_line_tells_what_it_is_of(few):
    (task,) = planned(METHODS)
    lines = {line["method"]: line for line, _ in run_task(task)}
    assert set(lines) == set(METHODS)
    assert lines["deep-sad:0"]["auc"] == lines["one-class"]["auc"]
    for method in METHODS[1:]:
        line = lines[method]
        assert line["labeled_class"] == 4
        assert line["n_labeled"] == int(method.split(":")[1])
        assert line.get("eta") == (1.0 if "sad" in method else None)
        assert line["untrained_auc"] == lines["one-class"]["untrained_auc"]
        assert {"untrained_seen_auc", "untrained_unseen_auc", "provenance"} <= set(line)
        # All pairs are those with seen and with unseen anomalies.
        y = few.y_test
        seen, all_ = (y == 4).sum(), (y != 3).sum()
        mean = seen * line["seen_auc"] + (all_ - seen) * line["unseen_auc"]
        assert line["auc"] == pytest.approx(mean / all_, abs=1e-9)
    assert lines["deep-sad:5"]["auc"] != lines["deep-sad:0"]["auc"]
    assert lines["classifier:5"]["train_seconds"] > 0


def test_a_run_is_the_estimators(few):
    """Network, pretraining, labels: all of it, but for rounding."""
    (task,) = planned(["deep-sad:5"])
    ((line, _),) = run_task(task)
    split = one_vs_rest(few, 3)
    labeled = labeled_class(few, 3, 0)
    x = np.concatenate([split.x_train, labeled.images[:5]])
    y = np.repeat([0, -1], [len(split.x_train), 5])
    recipe = runs.find_recipe("fast:1+1", "mnist_LeNet")
    detector = DeepSAD(recipe=recipe, random_state=0, device="cpu").fit(x, y)
    scores = detector.anomaly_score(split.x_test)
    assert line["auc"] == pytest.approx(roc_auc(split.y_test, scores), abs=2e-3)


def test_a_sweep_goes_on_and_another_eta_is_another_run(few, tmp_path):
    path = tmp_path / "r.jsonl"

    def here(function, tasks):
        for index, task in enumerate(tasks):
            yield index, function(task)

    def carry_out(*arguments, **options):
        with ResultsFile(path) as file:
            sweep(planned(*arguments, **options), file, here)
        return len(path.read_text().splitlines())

    assert carry_out(["deep-sad:1"]) == 1
    assert carry_out(["deep-sad:1", "deep-sad:5"]) == 2
    assert carry_out(["deep-sad:1", "deep-sad:5"]) == 2
    eta = Settings(device="cpu", eta=5.0)
    assert carry_out(["deep-sad:5", "classifier:5"], settings=eta) == 4
    for weight in ("balanced", int((few.y_train == 3).sum()) / 5):
        carry_out(["deep-sad:5"], settings=replace(eta, eta=weight))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len({key_of(line) for line in lines}) == 6
    assert lines[4]["eta"] == "balanced"
    assert lines[4]["auc"] == lines[5]["auc"] != lines[1]["auc"]
    said = CliRunner().invoke(main, ["report", str(path)]).output
    assert "### mnist, fast:1+1: a few labeled anomalies, test AUC in %" in said
    assert "### mnist, fast:1+1, eta=5.0: a few labeled anomalies" in said


def test_what_cannot_be_is_refused_before_training(digits, few):
    with pytest.raises(
        ValueError, match=r"method must be one of .*deep-sad:K .0 to 999"
    ):
        planned(["deep-sad:x"])
    with pytest.raises(ValueError, match=r"label at most .* smallest class of mnist"):
        planned(["deep-sad:999"])
    with pytest.raises(ValueError, match=r"eta must be a positive number or .*; got 0"):
        Settings(eta=0)


def test_labels_go_with_the_data_sets_own_test_images(few):
    (task,) = planned(["deep-sad:1"])
    split = one_vs_rest(few, 3)
    split = replace(split, x_test=split.x_test[:90], y_test=split.y_test[:90])
    with pytest.raises(ValueError, match="method must be one without labels where"):
        runs.run_on(task, split)


def test_a_classifier_learns_what_it_was_shown():
    """Bright or dark images, two of them labeled."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand((300, 1, 28, 28), generator=generator)
    bright = torch.rand((2, 1, 28, 28), generator=generator) + 0.5
    encoder = seeded_autoencoder("mnist_LeNet", (1, 28, 28), 0, x.device).encoder
    phase = Phase(n_epochs=8, batch_size=50, schedule="one-cycle", lr=3e-3)
    recipe = Recipe(training=phase)
    run = train_classifier(encoder, x, bright, recipe, seed=0, precision="float32")
    new = torch.rand((50, 1, 28, 28), generator=generator)
    scores = run.scores(torch.cat([new, new + 0.5])).numpy()
    assert roc_auc(np.repeat([0, 1], 50), scores) > 0.95
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_quality_by_class(digits):
    split, labeled = one_vs_rest(digits, 3), labeled_class(digits, 3, 0)
    scores = np.where(digits.y_test == 3, 0.0, np.where(labeled.seen, 1.0, -1.0))
    assert quality_by_class(split, labeled, scores) == {
        "seen_auc": 1.0,
        "unseen_auc": 0.0,
    }
