"""What the later methods share with Deep SVDD: files, ensembles, promises, refusals."""

import copy
from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

import deepsvdd
from deepsvdd import load_detector
from deepsvdd.core import detector as core_detector
from deepsvdd.successors.base import LEAST, root
from tests.core.test_estimator import FAILING, SKIPPED
from tests.successors.conftest import METHODS, labels_of, trained
from tests.toys import SHORT, STILL, make_images, states_equal

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::deepsvdd.CollapseWarning"),
    pytest.mark.filterwarnings("ignore::deepsvdd.FewSamplesWarning"),
]


def lenient(name):
    """Give HSC labels where scikit-learn's checks give classes, or none."""
    if name != "HSC":
        return METHODS[name](recipe=SHORT, random_state=0)

    class Lenient(METHODS["HSC"]):
        def fit(self, X, y=None, sample_weight=None):
            n = getattr(X, "shape", (0,))[0]
            labels = labels_of(np.zeros(n)) if n > 5 else y
            return super().fit(X, labels, sample_weight)

    return Lenient(recipe=SHORT, random_state=0)


CHECKS = [
    pytest.param(name, check, id=f"{name}-{getattr(check, 'func', check).__name__}")
    for name in ("GEOM", "DROCC")
    for _, check in estimator_checks_generator(lenient(name))
]


@pytest.mark.parametrize(("name", "check"), CHECKS)
def test_scikit_learns_check(name, check):
    title = getattr(check, "func", check).__name__
    if title in FAILING:
        with pytest.raises(AssertionError):
            check(lenient(name))
        return
    try:
        check(lenient(name))
    except SkipTest:
        if title not in SKIPPED:
            pytest.fail(f"{title} was skipped without our knowing why")
        pytest.skip(SKIPPED[title])


@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize("name", METHODS)
def test_a_model_file_gives_the_same_scores(name, kind, images, vectors, tmp_path):
    x = images if kind == "images" else vectors
    detector = trained(name, x, n_members=2)
    detector.save(tmp_path / "model.safetensors")
    again = load_detector(tmp_path / "model.safetensors")
    assert type(again) is METHODS[name]
    np.testing.assert_array_equal(again.anomaly_score(x), detector.anomaly_score(x))
    assert again.threshold_ == detector.threshold_


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_trains_the_same(name, images):
    scores = []
    for state in (1, 2):
        torch.manual_seed(state)  # of no influence
        before = torch.get_rng_state()
        scores.append(trained(name, images).anomaly_score(images))
        assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(*scores)
    other = trained(name, images, random_state=1).anomaly_score(images)
    assert not np.array_equal(other, scores[0])


@pytest.mark.parametrize("name", METHODS)
def test_what_deep_svdd_can_do_they_can(name, images):
    detector = trained(name, images)
    held_out, new = make_images(seed=1), make_images(n=5, seed=2)
    p = detector.calibrate(held_out).p_values(new)
    assert ((p > 0) & (p <= 1)).all()
    assert detector.explain(images[:2], method="gradients").shape == (2, 12, 12)
    assert set(detector.predict(images)) <= {-1, 1}


@pytest.mark.parametrize("name", METHODS)
def test_going_on_from_an_earlier_fit(name, images):
    detector = trained(name, images, warm_start=True)
    before = detector.anomaly_score(images)
    y = labels_of(images) if name == "HSC" else None
    detector.set_params(recipe=STILL).fit(images, y)
    np.testing.assert_allclose(detector.anomaly_score(images), before, rtol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_training_goes_on_from_a_checkpoint(name, images, tmp_path):
    """The checkpoint is known again by the method's settings."""
    whole = trained(name, images)
    for _ in range(2):
        again = trained(name, images, checkpoint_dir=tmp_path, checkpoint_every=1)
    np.testing.assert_array_equal(
        again.anomaly_score(images), whole.anomaly_score(images)
    )


@pytest.mark.parametrize("name", METHODS)
def test_only_the_own_recipes_have_names(name, images):
    with pytest.raises(ValueError, match=r"recipe must be .*'fast', 'quick'.*'paper'"):
        trained(name, images, recipe="paper")


@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize("name", METHODS)
def test_an_onnx_file_gives_the_same_scores(name, kind, images, vectors, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = images[:, None] if kind == "images" else vectors
    detector = trained(name, x, n_members=2)
    detector.export_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    raw = x.astype(np.float32 if kind == "images" else np.float64)
    score, label = session.run(None, {"x": raw})
    np.testing.assert_allclose(score, detector.anomaly_score(x), rtol=1e-4)
    assert (label == detector.predict(x)).mean() > 0.95  # one may be on the threshold


@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize("name", METHODS)
def test_a_stack_trains_as_one_after_the_other(
    name, kind, images, vectors, monkeypatch
):
    x = images if kind == "images" else vectors
    # DROCC begins at noise, of which a stack draws that of all its networks at once.
    monkeypatch.setattr(torch, "randn_like", torch.ones_like)
    alone = trained(name, x, n_members=2)
    monkeypatch.setattr(core_detector, "trains_at_once", lambda device: True)
    stacked = trained(name, x, n_members=2)
    for one, other in zip(alone.members_, stacked.members_, strict=True):
        torch.testing.assert_close(
            *(m.encoder.state_dict() for m in (one, other)), rtol=1e-3, atol=1e-4
        )
    assert not states_equal(*(m.encoder for m in stacked.members_))


@pytest.mark.parametrize("kind", ["images", "vectors"])
@pytest.mark.parametrize("name", METHODS)
def test_without_training_scores_are_those_of_random_weights(
    name, kind, images, vectors
):
    """The control of every table: a network of which nothing but its data is known."""
    x = images if kind == "images" else vectors
    assert trained(name, x, recipe=STILL).anomaly_score(x).std() > 1e-4


@pytest.mark.parametrize("name", METHODS)
def test_networks_that_do_not_suit(name, images):
    with pytest.raises(ValueError, match=r"network must take .* Linear fails"):
        trained(name, images, network=nn.Linear(7, 4, bias=False))
    with pytest.raises(ValueError, match=r"network must give representations \(n, d\)"):
        trained(name, images, network=nn.Conv2d(1, 4, 3, bias=False))


@pytest.mark.parametrize("name", METHODS)
def test_a_network_of_ones_own_comes_back_in_any_precision(name, vectors, tmp_path):
    network = nn.Sequential(nn.Linear(5, 4, bias=False), nn.LeakyReLU())
    fitted = trained(name, vectors, network=network)
    fitted.save(tmp_path / "m.safetensors")
    for given in (network, copy.deepcopy(network).double()):
        again = load_detector(tmp_path / "m.safetensors", network=given)
        np.testing.assert_array_equal(
            again.anomaly_score(vectors), fitted.anomaly_score(vectors)
        )


@pytest.mark.parametrize("name", ["GEOM", "DeepSVDD"])
def test_a_warning_of_few_samples_points_to_the_call_of_fit(name, images):
    estimator = getattr(deepsvdd, name)("auto", recipe="quick", random_state=0)
    estimator.set_params(recipe__training__n_epochs=1)
    with pytest.warns(deepsvdd.FewSamplesWarning) as told:
        estimator.fit(images)
    assert [w.filename for w in told if "fewer than" in str(w.message)] == [__file__]


def test_the_gradient_of_a_root_is_finite():
    values = torch.tensor([0.0, 4.0], requires_grad=True)
    root(values).sum().backward()
    assert values.grad.isfinite().all()
    torch.testing.assert_close(root(values).square(), values + LEAST)
