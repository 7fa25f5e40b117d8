"""DeepSAD: Deep SVDD without labels, and what labels and weights change."""

from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import estimator_checks_generator

from deepsvdd import DeepSAD, DeepSVDD, ModelFileError, load_detector
from deepsvdd.core import detector as detectors
from tests.core.test_estimator import FAILING, SKIPPED
from tests.toys import SHORT, STILL, Flat, Streamed, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")


def sad(**parameters):
    return DeepSAD(**({"recipe": SHORT, "random_state": 0} | parameters))


def labels_for(x, anomalies=(0, 3, 7), normal=(1, 20)):
    y = np.zeros(len(x), dtype=int)
    y[list(anomalies)], y[list(normal)] = -1, 1
    return y


def same(one, other, x):
    np.testing.assert_array_equal(one.anomaly_score(x), other.anomaly_score(x))
    assert one.threshold_ == other.threshold_


# ---------------------------------------------------------------- scikit-learn's rules


class Lenient(DeepSAD):
    """Takes the classes that scikit-learn's checks give as y for no labels."""

    def fit(self, X, y=None, sample_weight=None):
        usual = y is None or np.isin(np.asarray(y, dtype=float), (-1, 0, 1)).all()
        return super().fit(X, y if usual else None, sample_weight)


@pytest.mark.filterwarnings("ignore::deepsvdd.CollapseWarning")
@pytest.mark.parametrize(
    "check",
    [pair[1] for pair in estimator_checks_generator(sad())],
    ids=lambda check: getattr(check, "func", check).__name__,
)
def test_scikit_learns_check(check):
    name = getattr(check, "func", check).__name__
    estimator = Lenient(recipe=SHORT, random_state=0)
    if name in FAILING:
        with pytest.raises(AssertionError):
            check(estimator)
        return
    try:
        check(estimator)
    except SkipTest:
        if name not in SKIPPED:
            pytest.fail(f"{name} was skipped without our knowing why")
        pytest.skip(SKIPPED[name])


# -------------------------------------------------------------- without and with labels


@pytest.mark.parametrize("case", ["images", "vectors", "two members", "no pretraining"])
@pytest.mark.parametrize("y", [None, 0])
def test_without_labels_it_is_deep_svdd_to_the_bit(case, y, images, vectors):
    x = vectors if case == "vectors" else images
    more = {"two members": {"n_members": 2}, "no pretraining": {"pretrain": False}}
    more = more.get(case, {})
    y = None if y is None else np.zeros(len(x))
    same(sad(**more).fit(x, y), short(**more).fit(x), x)


def test_what_is_known(images):
    detector = sad().fit(images, labels_for(images))
    assert detector.label_counts_ == {"normal": 2, "anomaly": 3, "unlabeled": 35}
    assert sad().fit(images).label_counts_["unlabeled"] == 40
    svdd = short().fit(images)
    assert not np.array_equal(
        detector.anomaly_score(images), svdd.anomaly_score(images)
    )


def test_before_training_known_anomalies_are_as_if_not_there(images):
    """Extrema, center, unit and threshold are those of the others."""
    y = labels_for(images)
    still = {"recipe": STILL, "pretrain": False, "n_members": 2}
    same(sad(**still).fit(images, y), sad(**still).fit(images[y >= 0]), images)


@pytest.mark.parametrize("seed", [0, 1])
def test_known_anomalies_end_farther_out_and_so_do_their_like(seed):
    """A shift of one column that alone would not show."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(400, 6))
    x[:20, 2] += 3
    new = rng.normal(size=(400, 6))
    new[:200, 2] += 3
    y = np.repeat([-1, 0], [20, 380])
    aucs = []
    for labels in (None, y):
        data = x if labels is not None else x[20:]
        scores = DeepSAD(random_state=seed).fit(data, labels).anomaly_score(new)
        aucs.append((scores[:200, None] > scores[None, 200:]).mean())
    assert aucs[1] > aucs[0] + 0.02


def test_eta_counts_labels_and_eps_bounds_them(images):
    y = labels_for(images)
    scores = [
        sad(**more).fit(images, y).anomaly_score(images)
        for more in ({}, {"eta": 5.0}, {"eps": 10.0})
    ]
    assert not np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[0], scores[2])


def test_contamination_is_of_samples_that_are_no_known_anomalies(images):
    y = labels_for(images, anomalies=range(10))
    detector = sad(contamination=0.2).fit(images, y)
    assert (detector.predict(images[10:]) == -1).sum() == 6


def test_fit_predict_passes_the_labels_on(images):
    y = labels_for(images)
    found = sad().fit_predict(images, y)
    np.testing.assert_array_equal(found, sad().fit(images, y).predict(images))


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"eta": 0}, "eta must be a positive number or 'balanced'; got 0"),
        ({"eta": "1"}, "eta must be a positive number or 'balanced'; got '1'"),
        ({"eps": -1e-6}, "eps must be a positive number"),
        ({"contamination": "auto"}, r"contamination must be a number in \(0, 0.5\]"),
    ],
)
def test_parameters_that_are_refused(parameters, message, images):
    with pytest.raises(ValueError, match=message):
        sad(**parameters).fit(images)


def test_labels_that_are_refused_leave_the_former_fit(images):
    detector = sad().fit(images)
    before = detector.anomaly_score(images)
    for y, message in (
        (np.zeros(39), "a label for each of the 40 samples"),
        (np.full(40, 3), "got 3 at index 0"),
        (np.full(40, -1), "at least 2 samples that are no known anomalies"),
    ):
        with pytest.raises(ValueError, match=message):
            detector.fit(images, y)
    np.testing.assert_array_equal(detector.anomaly_score(images), before)


# ------------------------------------------------------------- streams, stacks, vectors


@pytest.mark.parametrize("weighted", [False, True])
def test_streaming_changes_nothing(weighted, images):
    y = labels_for(images)
    weight = np.arange(40) % 4 if weighted else None
    at_once = sad(n_workers=0).fit(images, y, weight)
    streamed = sad(n_workers=0).fit(Streamed(images), y, weight)
    np.testing.assert_allclose(
        streamed.anomaly_score(images), at_once.anomaly_score(images), rtol=1e-4
    )
    np.testing.assert_array_equal(streamed.training_hashes_, at_once.training_hashes_)
    assert streamed.label_counts_ == at_once.label_counts_
    assert len(at_once.training_hashes_) == (30 if weighted else 40)


@pytest.mark.parametrize("weighted", [False, True])
def test_members_trained_at_once_are_those_trained_one_by_one(
    weighted, images, monkeypatch
):
    y = labels_for(images)
    weight = 1 + np.arange(40) % 3 if weighted else None
    detector = sad(n_members=2).fit(images, y, weight)
    monkeypatch.setattr(detectors, "trains_at_once", lambda device: True)
    stacked = sad(n_members=2).fit(images, y, weight)
    np.testing.assert_allclose(
        stacked.anomaly_score(images), detector.anomaly_score(images), rtol=1e-3
    )


def test_known_anomalies_among_vectors_stay_outside(vectors):
    """What is normal is clipped before training, and they would be as well."""
    from deepsvdd.core.preprocessing import without_tails

    x = torch.from_numpy(vectors).clone()
    x[0] = 50.0
    normal = torch.arange(1, len(x))
    clipped = without_tails(x, normal)
    own = without_tails(x[1:])
    assert torch.equal(clipped[1:], own)
    low, high = own.amin(0), own.amax(0)
    torch.testing.assert_close(clipped[0], high + (high - low))


# -------------------------------------------------------------------------- model files


def test_a_file_says_of_which_class_it_is(images, tmp_path):
    y = labels_for(images)
    detector = sad(eta=2.0, n_members=2).fit(images, y)
    detector.save(tmp_path / "m")
    for loaded in (DeepSAD.load(tmp_path / "m"), load_detector(tmp_path / "m")):
        assert type(loaded) is DeepSAD
        assert (loaded.eta, loaded.eps) == (2.0, 1e-6)
        assert loaded.label_counts_ == detector.label_counts_
        np.testing.assert_array_equal(
            loaded.training_hashes_, detector.training_hashes_
        )
        same(loaded, detector, images)
    with pytest.raises(
        ModelFileError, match=r"holds a DeepSAD: read it with DeepSAD\.l"
    ):
        DeepSVDD.load(tmp_path / "m")
    short().fit(images).save(tmp_path / "n")
    assert type(load_detector(tmp_path / "n")) is DeepSVDD
    with pytest.raises(ModelFileError, match="holds a DeepSVDD: read it with"):
        DeepSAD.load(tmp_path / "n")


def test_a_network_of_ones_own_and_a_warm_start(images, tmp_path):
    y = labels_for(images)
    detector = sad(network=Flat(), pretrain=False, warm_start=True).fit(images)
    detector.save(tmp_path / "m")
    loaded = load_detector(tmp_path / "m", network=Flat())
    same(loaded, detector, images)
    center = detector.members_[0].center.clone()
    assert torch.equal(detector.fit(images, y).members_[0].center, center)


def test_a_checkpoint_of_other_labels_is_refused(images, tmp_path):
    y = labels_for(images)
    keep = {"checkpoint_dir": tmp_path, "checkpoint_every": 1}
    detector = sad(**keep).fit(images, y)
    same(sad(**keep).fit(images, y), detector, images)
    with pytest.raises(ModelFileError, match="of other settings, data"):
        sad(**keep).fit(images, -y * (y > 0))
    with pytest.raises(ModelFileError, match="of other settings, data"):
        sad(**keep, eta=2.0).fit(images, y)


# ------------------------------------------------------------------------- the weights


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_a_weight_of_zero_is_absence_and_equal_ones_are_none(objective, images):
    some = np.repeat([2.0, 0.0], [30, 10])
    ours = short(objective=objective).fit(images, sample_weight=some)
    same(ours, short(objective=objective).fit(images[:30]), images)
    equal = short(objective=objective).fit(images, sample_weight=np.full(40, 0.3))
    same(equal, short(objective=objective).fit(images), images)


def test_balanced_labels_count_as_much_as_the_others(images):
    y = labels_for(images)
    n_labeled = int((y != 0).sum())
    balanced = sad(eta="balanced").fit(images, y)
    assert balanced.eta_ == (len(y) - n_labeled) / n_labeled != 1
    same(balanced, sad(eta=balanced.eta_).fit(images, y), images)
    assert sad(eta="balanced").fit(images).eta_ == 1


def test_weights_with_labels_of_samples_that_do_not_count(images):
    y = labels_for(images)
    weight = np.ones(40)
    weight[:5] = 0  # two of the three anomalies
    ours = sad().fit(images, y, sample_weight=weight)
    same(ours, sad().fit(images[5:], y[5:]), images)
    assert ours.label_counts_["anomaly"] == 1
    with pytest.raises(ValueError, match="at least 2 samples that are no known"):
        sad().fit(images, np.repeat([-1, 0], [35, 5]), np.repeat([1, 0], [36, 4]))


@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_without_training_a_weight_is_a_number_of_repetitions(kind, images):
    """Center, unit and threshold; extrema do not count repetitions at all."""
    x = images if kind == "images" else make_vectors(40)
    counts = np.arange(40) % 3 + 1
    still = {"recipe": STILL, "pretrain": False, "n_members": 2, "contamination": 0.25}
    still |= {"preprocessing": "minmax"}
    if kind == "vectors":  # its other network normalizes, by samples and not by weights
        still["network"] = "mlp"
    ours = short(**still).fit(x, sample_weight=counts)
    theirs = short(**still).fit(np.repeat(x, counts, axis=0))
    np.testing.assert_allclose(
        ours.anomaly_score(x), theirs.anomaly_score(x), rtol=1e-4
    )
    above = counts[ours.anomaly_score(x) > ours.threshold_].sum()
    assert 0.25 * counts.sum() - 3 < above <= 0.25 * counts.sum()


def test_heavy_samples_are_fitted_better():
    x = np.random.default_rng(0).normal(size=(300, 5))
    x[:100, 0] += 4
    means = []
    for heavy in (1, 30):
        weight = np.repeat([heavy, 1], [100, 200])
        detector = DeepSVDD(random_state=0).fit(x, sample_weight=weight)
        scores = detector.anomaly_score(x)
        means.append(scores[:100].mean() / scores[100:].mean())
    assert means[1] < 0.7 * means[0]
