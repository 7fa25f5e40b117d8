"""Evaluation, and the untrained control."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.core import evaluation as ex
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
