"""Runs of the later methods: what a line tells, outliers of another set, refusals."""

import numpy as np
import pytest

from deepsvdd import DROCC, GEOM, HSC, FrozenFeatures
from deepsvdd.core.metrics import roc_auc
from deepsvdd.reproduction.later import later_method, run_later
from deepsvdd.reproduction.results import ResultsFile, read_results
from deepsvdd.reproduction.runs import run_task
from deepsvdd.reproduction.sweeps import sweep
from deepsvdd.reproduction.tasks import Task, find_recipe, plan, recipe_of
from tests.toys import CPU, SHORT, small

pytestmark = pytest.mark.usefixtures("one_thread")
SETUP = {"network": "mnist_LeNet", "preprocessing": "gcn_l1"}
OWN = {"precision": "float32", "device": "cpu"}


@pytest.fixture(scope="module")
def few(threes):
    return small(threes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("geom", ("geom", None)),
        ("hsc:mnist", ("hsc", "mnist")),
        ("hsc", None),
        ("hsc:", None),
        ("one-class", None),
    ],
)
def test_names(text, expected):
    assert later_method(text) == expected


def test_a_run_is_the_estimators(few):
    line, scores = run_later("geom", few, None, SHORT, seed=1, **SETUP, **OWN)
    detector = GEOM(random_state=1, recipe=SHORT, device="cpu").fit(few.x_train)
    expected = roc_auc(few.y_test, detector.anomaly_score(few.x_test))
    assert line["auc"] == pytest.approx(expected, abs=1e-6)
    assert line["epochs"] == [0, 1]
    assert not line["collapsed"]
    assert line["untrained_auc"] != line["auc"]
    assert roc_auc(few.y_test, scores) == pytest.approx(expected, abs=1e-6)
    (member,) = detector.members_
    features = FrozenFeatures(member.encoder.encoder, "output", "density")
    density = features.fit(few.x_train).anomaly_score(few.x_test)
    assert line["density_auc"] == pytest.approx(roc_auc(few.y_test, density))


def test_the_radius_is_told(few):
    line, _ = run_later("drocc", few, None, SHORT, seed=0, **SETUP, **OWN)
    detector = DROCC(recipe=SHORT, random_state=0, device="cpu").fit(few.x_train)
    assert line["radius"] == pytest.approx(detector.radius_)


def test_outliers_are_drawn_by_the_seed_and_have_no_part_in_the_test(few):
    others = np.random.default_rng(0).integers(0, 256, (500, 1, 28, 28), np.uint8)
    line, _ = run_later("hsc:noise", few, others, SHORT, seed=3, **SETUP, **OWN)
    n = len(few.x_train)
    assert line["n_train"] == line["n_labeled"] == n
    rows = np.random.default_rng(3).permutation(500)[:n]
    x = np.concatenate([few.x_train, others[rows]])
    detector = HSC(recipe=SHORT, random_state=3, device="cpu")
    detector.fit(x, np.repeat([0, -1], n))
    expected = roc_auc(few.y_test, detector.anomaly_score(few.x_test))
    assert line["auc"] == pytest.approx(expected, abs=1e-6)


def test_a_task_of_its_own_for_each(monkeypatch, few):
    made = plan(["mnist"], [3], ["geom", "one-class", "goad"], ["quick"], [0], CPU)
    assert [task.methods for task in made] == [("one-class",), ("geom",), ("goad",)]
    monkeypatch.setattr("deepsvdd.reproduction.runs.data_of", lambda *_: few)
    task = Task("mnist", 3, ("geom",), "quick:0+1", (0, 1), CPU)
    first, second = run_task(task)
    assert first[0]["seed"] == 0
    assert second[0]["seed"] == 1
    assert first[0]["network"] == "mnist_LeNet"
    assert roc_auc(few.y_test, first[1]) == pytest.approx(first[0]["auc"], abs=1e-6)


def enumerated(function, tasks):
    """Carry out tasks in this process."""
    yield from enumerate(map(function, tasks))


def test_an_ensemble_is_the_estimators(monkeypatch, few, tmp_path):
    for module in ("runs", "sweeps"):
        monkeypatch.setattr(f"deepsvdd.reproduction.{module}.data_of", lambda *_: few)
    tasks = plan(["mnist"], [3], ["geom"], ["quick:0+1"], [0, 1], CPU)
    path = tmp_path / "a.jsonl"
    with ResultsFile(path) as file:
        sweep(tasks, file, enumerated, ensembles=True)
    *_, line = read_results([path])
    assert (line["method"], line["members"]) == ("geom-x2", [0, 1])
    recipe = recipe_of("quick:0+1", "mnist_LeNet", "geom")
    detector = GEOM(n_members=2, random_state=0, recipe=recipe, device="cpu")
    scores = detector.fit(few.x_train).anomaly_score(few.x_test)
    assert line["auc"] == pytest.approx(roc_auc(few.y_test, scores), abs=1e-5)


def test_recipes_are_the_methods_own():
    assert recipe_of("quick", "mnist_LeNet", "geom") == find_recipe("quick", "GEOM")
    assert recipe_of("fast", "mnist_LeNet", "dcae") == find_recipe(
        "fast", "mnist_LeNet"
    )
    with pytest.raises(ValueError, match="recipe must be one of fast, quick for goad"):
        recipe_of("paper", "mnist_LeNet", "goad")


def test_outliers_come_from_another_data_set():
    with pytest.raises(ValueError, match=r"another data set .*got 'hsc:mnist'"):
        plan(["mnist"], [3], ["hsc:mnist"], ["fast"], [0], CPU)
    with pytest.raises(ValueError, match="hsc:DATASET"):
        plan(["mnist"], [3], ["hsc"], ["fast"], [0], CPU)
