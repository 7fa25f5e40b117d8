"""Calibration of a detector: p-values, choices, thresholds; samples seen before."""

import copy
import pickle
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from deepsvdd import (
    DeepSAD,
    DeepSVDD,
    NotCalibratedError,
    OverlapWarning,
    load_detector,
)
from deepsvdd.core._engine.model_format import read_model, write_model
from tests.toys import SHORT, Streamed, make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def held_out():
    return make_images(60, seed=1)


@pytest.fixture(scope="module")
def new():
    return make_images(25, seed=2)


@pytest.fixture(scope="module")
def calibrated(on_images, held_out):
    return copy.deepcopy(on_images).calibrate(held_out)


def test_p_values_are_ranks_among_the_held_out_scores(calibrated, held_out, new):
    scores = calibrated.anomaly_score(held_out)
    expected = [
        (1 + (scores >= score).sum()) / 61 for score in calibrated.anomaly_score(new)
    ]
    np.testing.assert_allclose(calibrated.p_values(new), expected, rtol=1e-15)
    np.testing.assert_array_equal(calibrated.calibration.scores, np.sort(scores))


def test_the_more_anomalous_the_smaller(calibrated, new):
    order = np.argsort(calibrated.anomaly_score(new))
    assert (np.diff(calibrated.p_values(new)[order]) <= 0).all()


def test_randomized_p_values_repeat_with_a_seed(calibrated, new):
    first, again = (calibrated.p_values(new, randomized=True, seed=5) for _ in "ab")
    np.testing.assert_array_equal(first, again)
    other = calibrated.p_values(new, randomized=True)
    assert not np.array_equal(first, other)
    assert (first < calibrated.p_values(new)).all()
    with pytest.raises(ValueError, match="seed must be None or a whole number"):
        calibrated.p_values(new, randomized=True, seed=-1)


def test_calibration_changes_no_label_and_no_score(on_images, calibrated, new):
    np.testing.assert_array_equal(calibrated.predict(new), on_images.predict(new))
    assert not hasattr(on_images, "calibration_")


def test_select_is_benjamini_and_hochbergs_procedure(calibrated, new):
    p = np.sort(calibrated.p_values(new))
    fdr = 0.9
    below = np.flatnonzero(p <= fdr * np.arange(1, 26) / 25)
    expected = below[-1] + 1 if len(below) else 0
    chosen = calibrated.select(new, fdr)
    assert chosen.dtype == bool
    assert chosen.sum() == expected > 0


def test_select_refuses_what_no_p_value_reaches(calibrated, new):
    message = r"fdr must be at least 1/\(n \+ 1\) = 0.0164 with n = 60 .* takes 99:"
    with pytest.raises(ValueError, match=message):
        calibrated.select(new, fdr=0.01)
    with pytest.raises(ValueError, match=r"fdr must be a number in \(0, 1\); got 2"):
        calibrated.select(new, fdr=2)


def test_a_threshold_is_a_held_out_score(calibrated, held_out):
    threshold = calibrated.threshold_for(false_alarms=0.05, confidence=0.95)
    assert threshold == calibrated.anomaly_score(held_out).max()  # of 60; 59 are enough
    lower = calibrated.threshold_for(false_alarms=0.2)
    assert lower < threshold
    detector = copy.deepcopy(calibrated).set_params(threshold=lower)
    assert detector.threshold_ == lower
    above = detector.anomaly_score(held_out) > lower
    np.testing.assert_array_equal(detector.predict(held_out) == -1, above)


def test_a_threshold_says_how_many_samples_it_takes(calibrated):
    with pytest.raises(ValueError, match="takes at least 299 calibration samples; got"):
        calibrated.threshold_for()
    with pytest.raises(ValueError, match=r"false_alarms must be a number in \(0, 1\)"):
        calibrated.threshold_for(false_alarms=1)
    with pytest.raises(ValueError, match=r"confidence must be a number in \(0, 1\)"):
        calibrated.threshold_for(confidence=95)


@pytest.mark.parametrize(
    "ask",
    [
        lambda detector, x: detector.p_values(x),
        lambda detector, x: detector.select(x),
        lambda detector, x: detector.threshold_for(),
        lambda detector, x: detector.calibration,
    ],
)
def test_before_calibration(ask, on_images, new):
    with pytest.raises(NotCalibratedError, match=r"call calibrate\(X\) with"):
        ask(on_images, new)
    with pytest.raises(NotFittedError):
        ask(short(), new)
    with pytest.raises(NotFittedError):
        short().calibrate(new)


def test_a_new_fit_forgets_it(calibrated, images, new):
    detector = copy.deepcopy(calibrated).fit(images)
    with pytest.raises(NotCalibratedError):
        detector.p_values(new)


@pytest.mark.parametrize("kind", [DeepSVDD, DeepSAD])
def test_there_is_no_predict_proba_and_it_says_why(kind, images):
    detector = kind(recipe=SHORT, random_state=0).fit(images)
    assert not hasattr(detector, "predict_proba")
    with pytest.raises(AttributeError, match=r"no predict_proba.*and use p_values"):
        detector.predict_proba(images)


# ------------------------------------------------------------------ samples seen before


@pytest.mark.parametrize("streamed", [False, True])
def test_training_samples_among_the_held_out(streamed, on_images, images, held_out):
    detector = copy.deepcopy(on_images).set_params(n_workers=0)
    kind = Streamed if streamed else np.asarray
    with pytest.raises(
        ValueError, match=r"X must be held out; got 40 of 40 .* split the data before"
    ):
        detector.calibrate(kind(images))
    mixed = np.concatenate([held_out, images[:7].astype(np.float64)])
    with pytest.warns(OverlapWarning, match="^7 of 67 calibration samples were part"):
        detector.calibrate(kind(mixed))
    assert len(detector.calibration) == 67


def test_p_values_of_samples_that_were_seen(calibrated, images, held_out, new):
    with pytest.warns(OverlapWarning, match="^40 of 40 samples were part .* of fit"):
        calibrated.p_values(images)
    with pytest.warns(OverlapWarning, match="^60 of 60 samples .* data of calibrate"):
        calibrated.select(held_out)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrated.p_values(new)


def test_vectors_and_tables():
    pandas = pytest.importorskip("pandas")
    names = list("abcde")
    x, other, new = (make_vectors(60, seed=s) for s in range(3))
    detector = short().fit(pandas.DataFrame(x, columns=names))
    detector.calibrate(pandas.DataFrame(other, columns=names))
    p = detector.p_values(pandas.DataFrame(new, columns=names))
    assert ((p > 0) & (p <= 1)).all()
    with pytest.raises(ValueError, match="held out"):
        detector.calibrate(pandas.DataFrame(x, columns=names))


# --------------------------------------------------------------------- kept with models


def test_it_is_in_the_file_and_in_pickles(calibrated, new, held_out, images, tmp_path):
    calibrated.save(tmp_path / "m")
    expected = calibrated.p_values(new)
    for other in (
        load_detector(tmp_path / "m"),
        DeepSVDD.load(tmp_path / "m"),
        pickle.loads(pickle.dumps(calibrated)),
    ):
        np.testing.assert_array_equal(other.p_values(new), expected)
        with pytest.warns(OverlapWarning):
            other.p_values(held_out)
        with pytest.raises(ValueError, match="held out"):
            other.calibrate(images)
    assert read_model(tmp_path / "m")[1]["n_calibration"] == 60


def test_a_model_of_version_0_1_can_be_calibrated(
    on_images, held_out, images, tmp_path
):
    """It does not know its training samples, and can tell none."""
    on_images.save(tmp_path / "m")
    tensors, metadata = read_model(tmp_path / "m")
    del tensors["training.hashes"]
    for name in ("estimator", "labels", "n_calibration"):
        del metadata[name]
    write_model(tmp_path / "old", tensors, metadata)
    loaded = load_detector(tmp_path / "old")
    assert type(loaded) is DeepSVDD
    loaded.calibrate(held_out).calibrate(images)
    loaded.save(tmp_path / "new")
    assert len(load_detector(tmp_path / "new").calibration) == len(images)
