"""What the later methods share with Deep SVDD: files, ensembles, promises, refusals."""

from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.utils.estimator_checks import estimator_checks_generator

from deepsvdd import load_detector
from deepsvdd.successors.base import LEAST, root
from tests.core.test_estimator import FAILING, SKIPPED
from tests.successors.conftest import METHODS, labels_of, trained
from tests.toys import SHORT, STILL, make_images

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


def test_the_gradient_of_a_root_is_finite():
    values = torch.tensor([0.0, 4.0], requires_grad=True)
    root(values).sum().backward()
    assert values.grad.isfinite().all()
    torch.testing.assert_close(root(values).square(), values + LEAST)
