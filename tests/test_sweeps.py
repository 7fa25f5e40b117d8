import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepsvdd import DeepSVDD, sweeps, training
from deepsvdd.datasets import Split, one_vs_rest
from deepsvdd.engines import run_locally
from deepsvdd.metrics import average_precision, roc_auc
from deepsvdd.results import ResultsFile, key_of, read_results
from deepsvdd.sweeps import (
    METHODS,
    Settings,
    Task,
    check_file,
    find_recipe,
    plan,
    run_on,
    sweep,
)

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = Settings(device="cpu")
BOTH = ("one-class", "soft-boundary")


def small(split):
    """A problem that trains in a moment: 400 training and 500 test images."""
    return Split(
        x_train=split.x_train[:400],
        x_test=split.x_test[:500],
        y_test=split.y_test[:500],
        normal_classes=split.normal_classes,
    )


@pytest.fixture(scope="module")
def few(threes):
    return small(threes)


def task(*methods, seeds=(0,), recipe="fast:2+4", **settings):
    return Task("mnist", 3, methods, recipe, seeds, replace(CPU, **settings))


@pytest.fixture(scope="module")
def runs(few):
    """Both objectives and the autoencoder, of one seed."""
    return {line["method"]: (line, s) for line, s in run_on(task(*BOTH, "dcae"), few)}


# -------------------------------------------------------------------------------- a run


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

    monkeypatch.setattr(sweeps, "pretrain_autoencoders", counted)
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


@pytest.mark.parametrize("method", [m for m in METHODS if m not in sweeps.OBJECTIVES])
def test_every_other_method_runs(few, method):
    recipe = "fast:40+0" if method == "dcae" else None
    ((line, scores),) = run_on(task(method, recipe=recipe), few)
    assert line["method"] == method
    assert line["auc"] > 0.6
    assert line["test_seconds"] > 0
    assert scores is None


# ----------------------------------------------------------------------------- planning


def test_recipes_have_short_forms():
    assert find_recipe("fast", "mnist_LeNet").pretraining.n_epochs == 10
    recipe = find_recipe("fast:7+5", "cifar10_LeNet")
    assert (recipe.pretraining.n_epochs, recipe.training.n_epochs) == (7, 5)
    for wrong in ("slow", "fast:", "fast:7", "fast:7+x", "fast:1+2+3", "fast:-1+2"):
        with pytest.raises(ValueError, match="recipe must be"):
            find_recipe(wrong, "mnist_LeNet")


def test_a_grid_has_every_run_once():
    tasks = plan(["mnist"], None, [*METHODS, "dcae"], ["fast", "quick"], [0, 1], CPU)
    keys = [key for each in tasks for key in each.run_keys()]
    assert len(set(keys)) == len(keys)
    lines = [
        each.line(m, s) for each in tasks for m in each.methods for s in each.seeds
    ]
    count = {m: sum(line["method"] == m for line in lines) for m in METHODS}
    assert count["one-class"] == count["dcae"] == 10 * 2 * 2
    assert count["iforest"] == 10 * 2
    assert count["pca"] == 10  # has no chance in it
    assert [li["seed"] for li in lines] == sorted(li["seed"] for li in lines)


def test_what_is_named_twice_is_planned_once():
    once = plan(["mnist"], [3], ["one-class"], ["fast"], [0], CPU)
    twice = plan(["mnist"], [3, "3"], ["one-class"], ["fast", "fast"], [0], CPU)
    assert twice == once


@pytest.mark.parametrize("nu", [0, -0.1, 1.1, math.nan, True, "0.1"])
def test_a_nu_that_cannot_be_is_refused_before_anything_is_planned(nu):
    with pytest.raises(ValueError, match=r"nu must be a number in \(0, 1\]; got"):
        Settings(nu=nu)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"methods": ["svm"]}, "method must be one of"),
        ({"classes": [10]}, "normal_class must be an integer from 0 to 9"),
        ({"recipes": ["slow"]}, "recipe must be one of"),
    ],
)
def test_a_grid_that_cannot_be_run_is_refused(changed, message):
    grid = {
        "datasets": ["mnist"],
        "classes": [3],
        "methods": ["one-class"],
        "recipes": ["fast"],
        "seeds": [0],
        "settings": CPU,
    }
    with pytest.raises(ValueError, match=message):
        plan(**(grid | changed))


# ------------------------------------------------------------------------------- sweeps


@pytest.fixture
def quick(monkeypatch, mnist):
    """Sweeps in this process, on few images; counts the tasks."""
    started = []

    def run(each):
        started.append(each)
        return working(each)

    def data_of(name, normal_class, settings):
        return small(one_vs_rest(mnist, normal_class))

    working = sweeps.run_task
    monkeypatch.setattr(sweeps, "run_task", run)
    monkeypatch.setattr(sweeps, "data_of", data_of)
    return started


def here(function, tasks):
    for index, each in enumerate(tasks):
        try:
            yield index, function(each)
        except ValueError as error:
            yield index, error


GRID = plan(["mnist"], [3, 4], BOTH, ["fast:1+1"], [0, 1], CPU)


def results_of(path):
    changing = {"provenance", "pretrain_seconds", "train_seconds", "test_seconds"}
    return {
        key_of(line): {k: v for k, v in line.items() if k not in changing}
        for line in read_results([path])
    }


def carry_out(path, engine=here, tasks=GRID, **options):
    with ResultsFile(path) as file:
        sweep(tasks, file, engine, **options)
    return path


def test_a_sweep_that_was_stopped_goes_on(tmp_path, quick):
    whole = results_of(carry_out(tmp_path / "whole.jsonl", ensembles=True))
    assert len(whole) == 8 + 4
    assert len(quick) == 4

    def stops(function, tasks):
        for count, outcome in enumerate(here(function, tasks)):
            if count == 1:
                raise KeyboardInterrupt
            yield outcome

    path = tmp_path / "parts.jsonl"
    for expected in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            carry_out(path, stops)
        assert len(results_of(path)) == expected
    carry_out(path, ensembles=True)
    assert results_of(path) == whole
    assert len(path.read_text().splitlines()) == 12
    quick.clear()
    carry_out(path, ensembles=True)
    assert not quick
    assert len(path.read_text().splitlines()) == 12


def test_only_the_missing_method_is_run(tmp_path, quick):
    path = carry_out(tmp_path / "a.jsonl")
    lines = path.read_text().splitlines(keepends=True)
    kept = [li for li in lines if json.loads(li)["method"] != "soft-boundary"]
    path.write_text("".join(kept))
    quick.clear()
    carry_out(path)
    assert [each.methods for each in quick] == [("soft-boundary",)] * 4
    assert len(results_of(path)) == 8


def test_runs_of_another_network_are_not_taken_for_done(tmp_path, quick):
    path = carry_out(tmp_path / "a.jsonl", ensembles=True)
    before = path.read_text()
    quick.clear()
    for changed in ({"network": "mlp"}, {"preprocessing": "minmax"}):
        settings = replace(CPU, **changed)
        tasks = [replace(each, settings=settings) for each in GRID]
        ((name, value),) = changed.items()
        message = f"a.jsonl' and this command must have one {name} for .*'{value}': "
        with pytest.raises(ValueError, match=message):
            carry_out(path, tasks=tasks)
    carry_out(path, tasks=[replace(GRID[0], settings=replace(CPU, nu=0.2))])
    assert path.read_text().startswith(before)
    assert [each.methods for each in quick] == [("soft-boundary",)]  # a run of its own


@pytest.mark.parametrize("name", ["fast", "paper", "baselines", "dictionary-fast"])
def test_the_books_results_are_those_that_are_planned(tmp_path, name):
    """Their lines are taken for done, whether they have the settings or not."""
    path = tmp_path / "a.jsonl"
    source = Path(__file__).parent.parent / "book" / "results" / f"mnist-{name}.jsonl"
    path.write_bytes(source.read_bytes())
    lines = read_results([path])
    recipes = sorted({li["recipe"] for li in lines if li["recipe"]})
    methods = [m for m in METHODS if any(li["method"] == m for li in lines)]
    seeds = sorted({line["seed"] for line in lines})
    tasks = plan(["mnist"], None, methods, recipes, seeds, CPU)
    with ResultsFile(path) as file:
        check_file(tasks, file)
    planned = {key for each in tasks for key in each.run_keys()}
    assert planned >= {key_of(line) for line in lines if "n_members" not in line}


def test_lost_scores_are_computed_again(tmp_path, quick):
    path = carry_out(tmp_path / "a.jsonl")
    before = path.read_text()
    gone = sorted((tmp_path / "a.jsonl.scores").iterdir())[0]
    gone.unlink()
    quick.clear()
    reported = []
    carry_out(path, ensembles=True, on_run=reported.append)
    assert len(quick) == 1
    assert len(reported) == 1 + 4  # the run that is trained again, and ensembles
    assert gone.exists()
    assert path.read_text().startswith(before)
    assert len(results_of(path)) == 8 + 4


def test_an_ensemble_is_the_estimators(tmp_path, quick, few):
    path = carry_out(tmp_path / "a.jsonl", ensembles=True)
    runs = {(li["method"], li["normal_class"]): li for li in read_results([path])}
    detector = DeepSVDD(
        recipe=find_recipe("fast:1+1", "mnist_LeNet"),
        n_members=2,
        random_state=0,
        device="cpu",
    ).fit(few.x_train)
    expected = roc_auc(few.y_test, detector.anomaly_score(few.x_test))
    line = runs["one-class-x2", 3]
    assert line["auc"] == pytest.approx(expected, abs=1e-4)
    assert line["members"] == [0, 1]
    assert (line["network"], line["preprocessing"]) == ("mnist_LeNet", "gcn_l1")
    assert line["auc_of_first_members"][-1] == line["auc"]
    first = next(
        li["auc"]
        for li in read_results([path])
        if (li["method"], li["normal_class"], li["seed"]) == ("one-class", 3, 0)
    )
    assert line["auc_of_first_members"][0] == pytest.approx(first, abs=1e-6)
    assert math.isfinite(line["untrained_auc"])


def test_a_task_that_fails_does_not_stop_the_others(tmp_path, quick, monkeypatch):
    working = sweeps.run_task

    def run(each):
        if each.normal_class == 3 and each.seeds == (0,):
            raise ValueError("no luck")
        return working(each)

    monkeypatch.setattr(sweeps, "run_task", run)
    failed = []
    path = carry_out(
        tmp_path / "a.jsonl",
        ensembles=True,
        on_failure=lambda each, error: failed.append((each.normal_class, str(error))),
    )
    assert failed == [(3, "no luck")]
    assert len(results_of(path)) == 6 + 2  # no ensemble where a member is missing
    monkeypatch.setattr(sweeps, "run_task", working)
    assert len(results_of(carry_out(path, ensembles=True))) == 8 + 4


def test_the_command_in_a_line_is_the_sweeps(tmp_path, quick, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/bin/deepsvdd", "sweep", "a b.jsonl"])
    path = carry_out(tmp_path / "a.jsonl", tasks=GRID[:1])
    for line in read_results([path]):
        assert line["provenance"]["command"] == "deepsvdd sweep 'a b.jsonl'"


def test_engines_run_real_tasks():
    """In another process: what tasks are made of can be sent there."""
    each = replace(GRID[0], recipe="fast:0+0", methods=("one-class",))
    ((_, outcome),) = run_locally(sweeps.run_task, [each])
    ((line, scores),) = outcome
    assert line["auc"] == pytest.approx(line["untrained_auc"], abs=1e-5)
    assert scores.shape == (10_000,)
