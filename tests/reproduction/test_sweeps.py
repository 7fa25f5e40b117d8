"""A sweep goes on where it stopped, and its ensembles are the estimator's."""

import errno
import json
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from deepsvdd import DeepSVDD
from deepsvdd.core.metrics import roc_auc
from deepsvdd.datasets import one_vs_rest
from deepsvdd.reproduction import runs, sweeps
from deepsvdd.reproduction.executors import run_locally
from deepsvdd.reproduction.results import ResultsFile, key_of, read_results
from deepsvdd.reproduction.sweeps import are_scores, score_file, sweep
from deepsvdd.reproduction.tasks import find_recipe, plan
from tests.toys import BOTH, CPU, small

pytestmark = pytest.mark.usefixtures("one_thread")


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
    for module in (runs, sweeps):
        monkeypatch.setattr(module, "data_of", data_of)
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


DAMAGE = {
    "zeros": lambda path, other: np.save(path, np.zeros(len(np.load(path)))),
    "another run's": lambda path, other: path.write_bytes(other.read_bytes()),
    "other order": lambda path, other: np.save(path, np.load(path)[::-1]),
    "too few": lambda path, other: np.save(path, np.load(path)[1:]),
    "NaN": lambda path, other: np.save(path, np.load(path) * np.nan),
    "infinite": lambda path, other: np.save(path, np.load(path) + np.inf),
    "text": lambda path, other: np.save(path, np.load(path).astype(str)),
    "pickled": lambda path, other: np.save(path, np.array([{}, None])),
    "two-dimensional": lambda path, other: np.save(path, np.load(path)[:, None]),
    "an archive": lambda path, other: path.write_bytes(b"PK\5\6" + bytes(18)),
    "cut": lambda path, other: path.write_bytes(path.read_bytes()[:500]),
    "empty": lambda path, other: path.write_bytes(b""),
    "no array": lambda path, other: path.write_bytes(b"my notes"),
}


def test_damaged_scores_are_found(tmp_path, quick):
    path = carry_out(tmp_path / "a.jsonl", tasks=GRID[::2])  # class 3
    lines = {line["seed"]: line for line in read_results([path])[::2]}
    mine, other = (score_file(path, lines[seed]) for seed in (0, 1))
    y_test = runs.data_of("mnist", 3, CPU).y_test
    whole = mine.read_bytes()
    assert are_scores(mine, lines[0]["auc"], y_test)
    for kind, damage in DAMAGE.items():
        mine.write_bytes(whole)
        damage(mine, other)
        assert not are_scores(mine, lines[0]["auc"], y_test), kind


def test_damaged_scores_are_computed_again(tmp_path, quick):
    tasks = GRID[::2]
    whole = results_of(carry_out(tmp_path / "whole.jsonl", tasks=tasks, ensembles=True))
    path = carry_out(tmp_path / "a.jsonl", tasks=tasks)
    DAMAGE["zeros"](score_file(path, read_results([path])[0]), None)
    quick.clear()
    carry_out(path, tasks=tasks, ensembles=True)
    assert [each.seeds for each in quick] == [(0,)]
    assert results_of(path) == whole


@pytest.mark.parametrize("name", ["untrained_auc", "epochs", "train_seconds"])
def test_members_whose_lines_lack_something_are_named(tmp_path, quick, name):
    path = carry_out(tmp_path / "a.jsonl", tasks=GRID[::2])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    del lines[0][name]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    quick.clear()
    with pytest.raises(ValueError, match=rf"must tell the {name} of mnist, class 3, "):
        carry_out(path, ensembles=True)
    assert not quick


def test_scores_that_cannot_be_kept_are_known_before_the_training(tmp_path, quick):
    (tmp_path / "a.jsonl.scores").write_text("")
    with pytest.raises(OSError, match="a file stands where a folder is needed"):
        carry_out(tmp_path / "a.jsonl")
    assert not quick
    assert not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize("what", ["results", "scores"])
def test_a_full_disk_stops_the_sweep_and_loses_no_run(
    tmp_path, quick, monkeypatch, what
):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ended = []

    def executor(function, tasks):
        try:
            yield from here(function, tasks)
        finally:
            ended.append(True)

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    if what == "results":
        monkeypatch.setattr("deepsvdd.reproduction.results.os.write", full)
    else:
        monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(OSError, match="no space left on the device"):
        carry_out(tmp_path / "a.jsonl", executor)
    assert len(quick) == 1
    assert ended  # at once, and not when the error is forgotten
    (place,) = tmp_path.glob("*.jsonl")
    assert len(results_of(place)) == 2  # what the task has computed
    assert (place.name == "a.jsonl") == (what == "scores")


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
