"""Evaluation, the untrained control, and where a result came from."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

import deepsvdd
from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd import experiments as ex
from deepsvdd.datasets import Split

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = Phase(n_epochs=2, batch_size=16)
SHORT = Recipe(pretraining=STEP, training=STEP, warm_up_epochs=0, radius_every=1)
CPU = torch.device("cpu")


def blobs(rng, n, where):
    """Images with a bright square left (normal) or right (anomalous), and noise."""
    x = rng.integers(0, 120, (n, 1, 12, 12), dtype=np.uint8)
    x[:, :, 4:8, where : where + 4] += 130
    return x


@pytest.fixture(scope="module")
def split():
    rng = np.random.default_rng(0)
    x_test = np.concatenate([blobs(rng, 30, 1), blobs(rng, 20, 7)])
    y_test = np.repeat([0, 1], [30, 20])
    order = rng.permutation(50)
    return Split(blobs(rng, 60, 1), x_test[order], y_test[order], (0,))


@pytest.fixture(scope="module")
def detector(split):
    soft = {"objective": "soft-boundary", "n_members": 2}
    return DeepSVDD(recipe=SHORT, random_state=0, **soft).fit(split.x_train)


@pytest.fixture(scope="module")
def results(detector, split):
    return ex.test_results(detector, split)


def test_results_hold_what_the_authors_code_writes_and_more(results):
    assert set(results) == {
        *("train_time", "test_auc", "test_time", "test_scores"),  # the authors'
        *("pretrain_time", "average_precision", "fpr_at_95_tpr", "auc_interval"),
        *("threshold", "radius", "collapsed"),
    }


def test_results_are_json_to_the_bit(results):
    text = json.dumps(results, allow_nan=False)
    assert json.loads(text) == results


def test_test_scores_are_triples_in_the_order_of_the_test_set(results, detector, split):
    triples = results["test_scores"]
    assert [row[0] for row in triples] == list(range(50))
    assert [row[1] for row in triples] == split.y_test.tolist()
    scores = detector.anomaly_score(split.x_test)
    np.testing.assert_array_equal([row[2] for row in triples], scores)
    assert [type(value) for value in triples[0]] == [int, int, float]


def test_quality_agrees_with_scikit_learn(results, split):
    scores = [row[2] for row in results["test_scores"]]
    assert results["test_auc"] == pytest.approx(roc_auc_score(split.y_test, scores))
    assert results["average_precision"] == pytest.approx(
        average_precision_score(split.y_test, scores)
    )
    low, high = results["auc_interval"]
    assert 0 <= low <= results["test_auc"] <= high <= 1


def test_results_describe_the_detector(results, detector):
    assert results["threshold"] == detector.threshold_
    assert results["radius"] == [member.radius for member in detector.members_]
    assert len(results["radius"]) == 2
    assert results["collapsed"] is False


def test_times_are_the_sums_of_the_epochs(results, detector):
    for phase, name in (("pretraining", "pretrain_time"), ("training", "train_time")):
        seconds = [
            second
            for member in detector.members_
            for second in member.history[phase]["seconds"]
        ]
        assert len(seconds) == 4
        assert results[name] == pytest.approx(sum(seconds))
        assert results[name] > 0
    assert results["test_time"] > 0


def test_no_pretraining_takes_no_time(split):
    detector = DeepSVDD(recipe=SHORT, random_state=0, pretrain=False)
    assert ex.phase_seconds(detector.fit(split.x_train), "pretraining") == 0


def test_collapse_of_one_member_is_reported(detector, split, monkeypatch):
    monkeypatch.setattr(detector.members_[1], "collapsed", True)
    assert ex.test_results(detector, split)["collapsed"] is True


# ------------------------------------------------------------------ untrained control


def test_untrained_control_by_hand(split):
    detector = DeepSVDD(recipe=SHORT, objective="soft-boundary", n_members=3)
    aucs = ex.untrained_aucs(detector, split, n_seeds=3)
    still = Phase(n_epochs=0)
    for seed, auc in enumerate(aucs):
        bare = DeepSVDD(
            recipe=Recipe(pretraining=still, training=still),
            pretrain=False,
            random_state=seed,
        ).fit(split.x_train)
        assert bare.members_[0].history["training"]["epoch"] == []
        expected = roc_auc_score(split.y_test, bare.anomaly_score(split.x_test))
        assert auc == pytest.approx(expected)
    assert len(set(aucs)) == 3


def test_untrained_control_uses_network_and_preprocessing(split):
    default = ex.untrained_aucs(DeepSVDD(), split, 1)
    for parameters in ({"network": "mlp"}, {"preprocessing": "none"}):
        assert ex.untrained_aucs(DeepSVDD(**parameters), split, 1) != default


@pytest.mark.parametrize(
    "recipe", ["quick-dictionary", replace(SHORT, first_layer="dictionary")]
)
def test_untrained_control_begins_as_the_detector_does(split, recipe):
    (auc,) = ex.untrained_aucs(DeepSVDD(recipe=recipe), split, 1)
    begun = Recipe(*2 * [Phase(n_epochs=0)], first_layer="dictionary")
    bare = DeepSVDD(recipe=begun, pretrain=False, random_state=0).fit(split.x_train)
    assert auc == roc_auc_score(split.y_test, bare.anomaly_score(split.x_test))
    assert [auc] != ex.untrained_aucs(DeepSVDD(), split, 1)


def test_untrained_control_is_reproducible_and_leaves_the_detector_alone(
    detector, split
):
    before = detector.anomaly_score(split.x_test)
    parameters = detector.get_params()
    state = torch.get_rng_state()
    first = ex.untrained_aucs(detector, split, 2)
    assert ex.untrained_aucs(detector, split, 2) == first
    assert all(type(auc) is float and 0 <= auc <= 1 for auc in first)
    assert detector.get_params() == parameters
    np.testing.assert_array_equal(detector.anomaly_score(split.x_test), before)
    assert torch.equal(torch.get_rng_state(), state)


def test_five_seeds_by_default(split):
    assert len(ex.untrained_aucs(DeepSVDD(network="mlp"), split)) == 5


def test_the_control_of_a_warm_started_detector_is_untrained(split):
    detector = DeepSVDD(recipe=SHORT, random_state=0).fit(split.x_train)
    warm = detector.set_params(warm_start=True)
    assert ex.untrained_aucs(warm, split, 1) == ex.untrained_aucs(DeepSVDD(), split, 1)


def test_the_control_of_a_detector_with_checkpoints_leaves_them_alone(split, tmp_path):
    folder = {"checkpoint_dir": tmp_path, "checkpoint_every": 1}
    detector = DeepSVDD(recipe=SHORT, random_state=0, **folder).fit(split.x_train)
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    aucs = ex.untrained_aucs(detector, split, 1)
    assert aucs == ex.untrained_aucs(DeepSVDD(), split, 1)
    assert files == {path: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_network_of_ones_own_is_drawn_anew_for_each_seed(split):
    size = split.x_train[0].size
    network = nn.Sequential(nn.Flatten(), nn.Linear(size, 8, bias=False))
    before = network[1].weight.clone()
    detector = DeepSVDD(network=network, pretrain=False, recipe=SHORT)
    aucs = ex.untrained_aucs(detector, split, 3)
    assert len(set(aucs)) == 3
    assert aucs == ex.untrained_aucs(detector, split, 3)
    assert torch.equal(network[1].weight, before)


def test_mean_and_std():
    mean, std = ex.mean_and_std([0.5, 0.7, 0.9])
    assert mean == pytest.approx(0.7)
    assert std == pytest.approx(0.2)


def test_the_spread_of_one_value_is_unknown_without_a_warning(recwarn):
    mean, std = ex.mean_and_std([0.5])
    assert mean == 0.5
    assert std == 0 or math.isnan(std)
    assert not recwarn.list


# ------------------------------------------------------------------------- provenance


def test_provenance_entries():
    about = ex.provenance(CPU)
    assert set(about) == {"commit", "versions", "machine", "command", "date"}
    assert about["versions"] == {
        "deepsvdd": deepsvdd.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
        "torchvision": version("torchvision"),
    }
    assert set(about["machine"]) == {"device", "threads", "system"}
    assert about["machine"]["device"]
    assert about["machine"]["threads"] == torch.get_num_threads()
    date = datetime.fromisoformat(about["date"])
    assert date.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - date) < timedelta(minutes=1)
    assert json.loads(json.dumps(about)) == about


def test_the_command_can_be_pasted_and_tells_no_folder(monkeypatch):
    argv = ["/somewhere/bin/deepsvdd", "train", "my data", "--nu", "0.1"]
    monkeypatch.setattr(sys, "argv", argv)
    assert ex.provenance(CPU)["command"] == "deepsvdd train 'my data' --nu 0.1"


def test_the_command_of_python_m_can_be_pasted(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/lib/deepsvdd/__main__.py", "info", "m"])
    words = ex.provenance(CPU)["command"]
    assert words in ("deepsvdd info m", "python -m deepsvdd info m")


def copy_of_the_package(folder, code):
    """What the code prints with the package imported from a copy in that folder."""
    source = Path(deepsvdd.__file__).parent
    if not (folder / "deepsvdd").exists():
        ignored = shutil.ignore_patterns("data", "__pycache__")
        shutil.copytree(source, folder / "deepsvdd", ignore=ignored)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return done.stdout.split()


COMMITS = "from deepsvdd.experiments import _commit; print(_commit())"


def git(folder, *words):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_of_a_checkout_and_its_changes(tmp_path):
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    code = "print(__import__('deepsvdd').__version__)"
    copy_of_the_package(tmp_path, code)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    code = (
        f"{COMMITS}; open('deepsvdd/version.py', 'a').write('# new'); print(_commit())"
    )
    clean, dirty = copy_of_the_package(tmp_path, code)
    assert len(clean) == 40
    assert dirty == f"{clean}-dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_an_installation_inside_somebody_elses_repository_has_no_commit(tmp_path):
    """A project with its .venv inside, as most have: its commit is not ours."""
    (tmp_path / ".gitignore").write_text(".venv/\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "mine")
    site = tmp_path / ".venv"
    site.mkdir()
    assert copy_of_the_package(site, COMMITS) == ["None"]


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert ex.provenance(CPU)["commit"] is None


def test_without_proc_there_is_still_a_processor(monkeypatch):
    def missing(self, **_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert ex.provenance(CPU)["machine"]["device"]
