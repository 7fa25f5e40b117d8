"""A run is the estimator's, or a baseline's, and its line says what it was."""

from dataclasses import replace

import numpy as np
import pytest

from deepsvdd import DeepSVDD, training
from deepsvdd.core.metrics import average_precision, roc_auc
from deepsvdd.core.training import OBJECTIVES
from deepsvdd.reproduction.runs import run_on
from deepsvdd.reproduction.tasks import METHODS, Task, find_recipe
from tests.toys import BOTH, CPU, small

pytestmark = pytest.mark.usefixtures("one_thread")


def task(*methods, seeds=(0,), recipe="fast:2+4", **settings):
    return Task("mnist", 3, methods, recipe, seeds, replace(CPU, **settings))


@pytest.fixture(scope="module")
def runs(few):
    """Both objectives and the autoencoder, of one seed."""
    return {line["method"]: (line, s) for line, s in run_on(task(*BOTH, "dcae"), few)}


@pytest.mark.parametrize("objective", BOTH)
def test_a_run_is_the_estimators(runs, few, objective):
    recipe = find_recipe("fast:2+4", "mnist_LeNet")
    detector = DeepSVDD(
        recipe=recipe, objective=objective, random_state=0, device="cpu"
    ).fit(few.x_train)
    scores = detector.anomaly_score(few.x_test)
    line, kept = runs[objective]
    (member,) = detector.members_
    distance = np.sqrt(scores + member.radius**2) / member.mean_distance
    np.testing.assert_allclose(kept, distance, rtol=1e-5)
    assert line["auc"] == pytest.approx(roc_auc(few.y_test, scores), abs=1e-6)
    assert line["average_precision"] == pytest.approx(
        average_precision(few.y_test, scores), abs=1e-5
    )
    assert line["radius"] == member.radius


def test_methods_of_a_seed_share_one_pretraining(few, monkeypatch):
    calls = []

    def counted(*arguments, **options):
        calls.append(arguments)
        return training.pretrain_autoencoders(*arguments, **options)

    monkeypatch.setattr("deepsvdd.reproduction.runs.pretrain_autoencoders", counted)
    alone = {line["method"]: line for line, _ in run_on(task("dcae"), few)}
    assert len(calls) == 1
    together = {li["method"]: li for li, _ in run_on(task(*BOTH, "dcae"), few)}
    assert len(calls) == 2
    assert together["dcae"]["auc"] == alone["dcae"]["auc"]


def test_a_line_says_what_was_run(runs):
    for method, (line, scores) in runs.items():
        assert line["dataset"] == "mnist"
        assert line["normal_class"] == 3
        assert line["method"] == method
        assert line["recipe"] == "fast:2+4"
        assert line["epochs"] == [2, 4]
        assert line["network"] == "mnist_LeNet"
        assert line["n_train"] == 400
        assert line["provenance"]["versions"]["torch"]
        assert line["pretrain_seconds"] > 0
        assert 0 < line["untrained_auc"] < 1
        assert (scores is None) == (method == "dcae")
    assert runs["one-class"][0]["nu"] is None
    assert runs["soft-boundary"][0]["nu"] == 0.1
    assert runs["one-class"][0]["collapsed"] is False


def test_the_control_is_the_network_before_training(few):
    (line, _), *_ = run_on(task("one-class", recipe="fast:0+0"), few)
    assert line["auc"] == pytest.approx(line["untrained_auc"], abs=1e-9)
    (other, _), *_ = run_on(task("one-class"), few)
    assert other["untrained_auc"] == line["untrained_auc"]


def test_collapse_is_written_down_and_does_not_warn(threes):
    same = np.repeat(threes.x_train[:1], 400, axis=0)
    few = replace(small(threes), x_train=same)
    (line, _), *_ = run_on(task("one-class", recipe="fast:0+1"), few)
    assert line["collapsed"] is True


def test_a_stack_of_seeds_gives_what_seeds_alone_give(few):
    stacked = run_on(task("one-class", seeds=(0, 1)), few)
    for line, scores in stacked:
        ((single, alone),) = run_on(task("one-class", seeds=(line["seed"],)), few)
        np.testing.assert_allclose(scores, alone, rtol=0.02)
        assert line["untrained_auc"] == pytest.approx(single["untrained_auc"], abs=1e-4)


@pytest.mark.parametrize("method", ["one-class", "dcae", "pca"])
def test_a_control_is_compared_with_the_normal_test_images(few, method):
    recipe = None if method == "pca" else "fast:2+4"
    ((line, _),) = run_on(task(method, recipe=recipe), few)
    assert "control_auc" not in line
    # An image and itself are a tie, unless rounding, which depends on the batch, breaks
    # it: each of these n pairs, of n², then counts half a pair more or less.
    tie = 0.5 / (few.y_test == 0).sum()
    for label, control, bound in ((1, line["auc"], 1e-4), (0, 0.5, tie)):
        images = few.x_test[few.y_test == label]
        ((again, _),) = run_on(task(method, recipe=recipe), few, images)
        assert again["auc"] == line["auc"]
        assert again["control_auc"] == pytest.approx(control, abs=bound)


@pytest.mark.parametrize("method", [m for m in METHODS if m not in OBJECTIVES])
def test_every_other_method_runs(few, method):
    recipe = "fast:40+0" if method == "dcae" else None
    ((line, scores),) = run_on(task(method, recipe=recipe), few)
    assert line["method"] == method
    if not method.startswith(("brightness", "png", "jpeg")):  # which promise nothing
        assert line["auc"] > 0.6
    assert line["test_seconds"] > 0
    assert scores is None
