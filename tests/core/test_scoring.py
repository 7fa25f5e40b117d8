"""From networks to labels: none for what is no number, none that rounding decides."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import DeepSVDD, UnscorableError, get_recipe
from deepsvdd.core import detector as detector_module
from deepsvdd.core.recipes import shortened
from deepsvdd.core.scoring import check_scores, rounding_of, threshold_between
from deepsvdd.core.training import Hypersphere
from tests.cli import invoke
from tests.toys import make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")


# ---------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("value", [1e300, -1e200])
def test_scores_that_overflow_are_no_labels(value, on_vectors, vectors, tmp_path):
    x = vectors.copy()
    x[[7, 9]] = value
    match = "finite scores; got 2 of 60 with NaN or infinite ones, the first at index 7"
    for method in ("anomaly_score", "score_samples", "decision_function", "predict"):
        with pytest.raises(UnscorableError, match=match) as raised:
            getattr(on_vectors, method)(x)
        assert "\n" not in str(raised.value)
    with pytest.raises(UnscorableError) as raised:
        on_vectors.anomaly_score(x)
    expected = on_vectors.anomaly_score(np.delete(x, [7, 9], axis=0))
    np.testing.assert_allclose(np.delete(raised.value.scores, [7, 9]), expected)
    on_vectors.save(tmp_path / "m.safetensors")
    np.save(tmp_path / "x.npy", x)
    # The command line names them, and scores the others.
    result = invoke("score", tmp_path / "m.safetensors", tmp_path / "x.npy")
    assert result.exit_code == 3
    assert result.stdout.count("unscored") == 2
    assert "9,,unscored" in result.stdout.splitlines()


@pytest.mark.parametrize("kind", ["on_vectors", "on_images"])
def test_blocks_score_as_the_whole_and_errors_know_where_they_stand(
    kind, monkeypatch, request
):
    detector = request.getfixturevalue(kind)
    x = make_vectors(1100) if kind == "on_vectors" else make_images(1100)
    expected = detector.anomaly_score(x)
    monkeypatch.setattr(detector_module, "BLOCK", 1)  # so a block is a batch, of 250
    cut = [rows for _, rows in detector_module.blocks_of(x, detector.input_shape_)]
    assert cut == [range(k, min(k + 250, 1100)) for k in range(0, 1100, 250)]
    np.testing.assert_array_equal(detector.anomaly_score(x), expected)
    np.testing.assert_array_equal(detector.anomaly_score(torch.tensor(x)), expected)
    wrong = x.astype(np.float32)
    wrong[1003, 2] = np.nan
    with pytest.raises(ValueError, match=r"nan at index \(1003, .* (rows|images) read"):
        detector.anomaly_score(wrong)


@pytest.mark.parametrize(
    ("own", "shape"),
    [
        ((3, 1024, 1024), (3, 1024, 1024)),  # one image of three channels
        ((256, 256), (1, 256, 256)),  # of 256 rows
        ((5000, 4, 4), (3, 4, 4)),  # none
        ((5000,), (5,)),
    ],
)
def test_what_is_not_many_samples_is_not_cut(own, shape, monkeypatch):
    monkeypatch.setattr(detector_module, "BLOCK", 1)
    x = np.zeros(own, np.uint8)
    ((block, rows),) = detector_module.blocks_of(x, shape)
    assert block is x
    assert rows is None


def test_a_network_that_gives_nan_labels_nothing(images):
    detector = short().fit(images)
    with torch.no_grad():
        detector.members_[0].encoder.head.weight[3] = math.nan
    with pytest.raises(ValueError, match="got 40 of 40"):
        detector.predict(images)


def test_check_scores_hands_through_what_is_fine():
    scores = np.array([0.0, -3.0, 1e300])
    assert check_scores(scores) is scores


# -------------------------------------------------------------------------- threshold


def test_threshold_between():
    scores = np.array([3.0, 1.0, 2.0, 4.0])
    assert threshold_between(scores, 0.25) == 3.5
    assert threshold_between(scores, 0.5) == 2.5
    assert threshold_between(scores, 1) == 1.5
    assert threshold_between(scores, 0.1) == 4
    assert threshold_between(scores, 0.1, lambda score: 1e-3 * score) == 4.004
    assert threshold_between(scores, 0.25, lambda score: 0.1) == 3.5
    assert threshold_between(np.ones(4), 0.5, lambda score: 0.1) == 1.1  # all alike


def sphere(center, radius=0.0, mean=1.0, dtype=torch.float32):
    return Hypersphere(nn.Identity(), torch.tensor(center, dtype=dtype), radius, mean)


def test_rounding_grows_with_center_distance_and_radius():
    small, far, double = (
        rounding_of([member])(1.0)
        for member in (
            sphere([0.1]),
            sphere([100.0]),
            sphere([100.0], dtype=torch.float64),
        )
    )
    assert 0 < double < small < far < 1e-2
    assert rounding_of([sphere([1.0], radius=9.0)])(-81.0) > 0  # at the center itself
    assert rounding_of([sphere([1.0], radius=9.0)])(0) > rounding_of([sphere([1.0])])(0)
    two = [sphere([1.0], mean=2.0), sphere([1.0], mean=0.5)]
    assert 0 < rounding_of(two)(1.0) < 1e-4


DATA = {"images": partial(make_images, 90), "vectors": partial(make_vectors, 90)}


@pytest.mark.parametrize("kind", DATA)
@pytest.mark.parametrize(
    "parameters",
    [{}, {"objective": "soft-boundary", "nu": 0.001}, {"n_members": 2}],
    ids=["one-class", "soft-boundary", "several"],
)
@pytest.mark.parametrize("n", [9, 90])
def test_a_training_sample_has_one_label_alone_and_in_the_batch(kind, parameters, n):
    """Where none is to be an outlier, none is, however it is scored."""
    for seed in range(3):
        x = DATA[kind](seed=seed)[:n]
        recipe = shortened(get_recipe("fast", "mlp"), 2, 2)
        settings = {"recipe": recipe, "contamination": 0.01, "random_state": seed}
        detector = DeepSVDD(**settings | parameters).fit(x)
        assert (detector.predict(x) == 1).all()
        top = np.argsort(detector.anomaly_score(x))[-3:]
        assert all(detector.predict(x[i : i + 1])[0] == 1 for i in top)
        pairs = np.concatenate([x, x[::-1]])
        assert (detector.predict(pairs) == 1).all()
        largest = detector.anomaly_score(x).max()
        assert detector.threshold_ == pytest.approx(largest, rel=1e-2, abs=1e-4)


def test_equal_samples_at_the_threshold_have_one_label(images):
    x = np.concatenate([images[:1]] * 30 + [images[1:11]])
    detector = short(contamination=0.5).fit(x)
    labels = detector.predict(x)[:30]
    assert len(set(labels)) == 1
    assert {detector.predict(x[i])[0] for i in range(3)} == set(labels)


# ------------------------------------------------------------------ changed afterwards


def test_a_threshold_takes_effect_at_once(images, tmp_path):
    detector = short().fit(images)
    scores = detector.anomaly_score(images)
    cut = float(np.median(scores))
    assert detector.set_params(threshold=cut) is detector
    assert detector.threshold_ == -detector.offset_ == cut
    np.testing.assert_array_equal(detector.predict(images) == -1, scores > cut)
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(images), detector.predict(images))
    loaded.set_params(threshold=scores.max() + 1)
    assert (loaded.predict(images) == 1).all()
    for wrong in ("high", np.array([1.0, 2.0]), math.nan):
        with pytest.raises(ValueError, match="threshold must be None or a finite"):
            detector.set_params(threshold=wrong)


def test_a_threshold_assigned_to_the_model_itself(images):
    detector = short().fit(images)
    detector.threshold_ = -1.0
    assert (detector.predict(images) == -1).all()
    detector.set_params(verbose=False, threshold=None)  # as it was
    assert (detector.predict(images) == -1).all()
    detector.threshold_ = math.nan
    with pytest.raises(ValueError, match="threshold_ must be a finite number; got nan"):
        detector.predict(images)


def test_contamination_waits_for_the_next_fit(images, tmp_path):
    detector = short().fit(images)
    detector.set_params(contamination=0.1)  # another word for what it was
    match = r"contamination takes effect at the next fit.*got 0.1 after fit: fit again"
    for use in (detector.predict, detector.decision_function):
        with pytest.raises(ValueError, match=match):
            use(images)
    with pytest.raises(ValueError, match=match):
        detector.save(tmp_path / "m")
    assert detector.anomaly_score(images).shape == (40,)  # needs no threshold
    detector.set_params(threshold=1.0).predict(images)
    detector.set_params(threshold=None, contamination=0.25)
    with pytest.raises(ValueError, match=r"got 0.25 after fit"):
        detector.predict(images)
    assert (detector.fit(images).predict(images) == -1).mean() == 0.25
