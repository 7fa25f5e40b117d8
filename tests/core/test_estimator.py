"""DeepSVDD as an estimator: scikit-learn's rules, inputs, threshold, scores, seeds."""

import copy
import pickle
from dataclasses import replace
from importlib.util import find_spec
from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator

from deepsvdd import (
    Autoencoder,
    CollapseWarning,
    DeepSVDD,
    Recipe,
    TrainingDivergedError,
    get_recipe,
)
from deepsvdd.core import recipes
from tests.toys import (
    SHORT,
    STEP,
    STILL,
    Flat,
    Unflat,
    make_images,
    make_vectors,
    short,
    states_equal,
)

pytestmark = pytest.mark.usefixtures("one_thread")


# ---------------------------------------------------------------- scikit-learn's rules

# Skipped by scikit-learn itself, not by us: name of the check → why.
SKIPPED = {
    "check_array_api_input": "needs SCIPY_ARRAY_API=1 in the environment",
}
if find_spec("pandas") is None:
    SKIPPED["check_classifier_data_not_an_array"] = "hands over tables of pandas"


# Failing, and why.
FAILING = {
    "check_sample_weight_equivalence_on_dense_data": "a sample twice is twice as often "
    "in a batch, which one of weight 2 is not: another order, other roundings, and "
    "batch normalization counts samples",
}


@pytest.mark.filterwarnings("ignore::deepsvdd.CollapseWarning")
@pytest.mark.parametrize(
    "check",
    [pair[1] for pair in estimator_checks_generator(short())],
    ids=lambda check: getattr(check, "func", check).__name__,
)
def test_scikit_learns_check(check):
    name = getattr(check, "func", check).__name__
    if name in FAILING:
        with pytest.raises(AssertionError):
            check(short())
        return
    try:
        check(short())
    except SkipTest:
        if name not in SKIPPED:
            pytest.fail(f"{name} was skipped without our knowing why")
        pytest.skip(SKIPPED[name])


def test_unfitted_says_so(images):
    for method in ("anomaly_score", "predict", "represent", "decision_function"):
        with pytest.raises(NotFittedError, match="fit"):
            getattr(DeepSVDD(), method)(images)
    with pytest.raises(NotFittedError):
        DeepSVDD().save("never.safetensors")


@pytest.mark.parametrize("value", [SHORT, Flat()], ids=["recipe", "module"])
def test_parameters_that_are_objects_survive_get_set_and_clone(value, images):
    name = "recipe" if isinstance(value, Recipe) else "network"
    detector = DeepSVDD().set_params(**{name: value})
    assert detector.get_params()[name] is value
    copied = clone(detector)
    if name == "recipe":
        assert copied.recipe == value
    else:
        assert copied.network is not value
        assert states_equal(copied.network, value)
    assert repr(copied)
    copied.set_params(recipe=SHORT, pretrain=False).fit(images)
    assert not hasattr(detector, "members_")


def test_set_params_takes_effect_at_the_next_fit(images):
    detector = short(objective="soft-boundary").set_params(objective="one-class")
    assert detector.fit(images).members_[0].radius == 0


def test_fit_changes_no_parameter(images):
    network = Autoencoder(Flat(), Unflat())
    before = copy.deepcopy(network)
    detector = short(network=network, contamination=0.2)
    parameters = detector.get_params()
    detector.fit(images)
    assert detector.get_params() == parameters
    assert detector.network is network
    assert states_equal(network, before)


@pytest.mark.parametrize("error", [TrainingDivergedError, KeyboardInterrupt])
def test_a_fit_that_fails_leaves_the_former_one_whole(error, vectors, monkeypatch):
    frame = pytest.importorskip("pandas").DataFrame(vectors, columns=list("abcde"))
    detector = short().fit(frame)
    expected = detector.anomaly_score(frame)

    def fail(*arguments, **parameters):
        raise error

    monkeypatch.setattr("deepsvdd.core.trainer.train_hyperspheres", fail)
    with pytest.raises(error):
        detector.fit(make_images())
    np.testing.assert_array_equal(detector.anomaly_score(frame), expected)
    with pytest.raises(error):
        short().fit(vectors)


def test_images_after_a_table_have_no_names_of_columns(vectors, images):
    frame = pytest.importorskip("pandas").DataFrame(vectors, columns=list("abcde"))
    detector = short().fit(frame)
    assert list(detector.feature_names_in_) == list("abcde")
    assert not hasattr(detector.fit(images), "feature_names_in_")


def test_pickle_and_deepcopy_keep_scores(on_images, images):
    scores = on_images.anomaly_score(images)
    for other in (pickle.loads(pickle.dumps(on_images)), copy.deepcopy(on_images)):
        np.testing.assert_array_equal(other.anomaly_score(images), scores)


# ---------------------------------------------------------------------- kinds of input


@pytest.mark.parametrize(("gain", "offset"), [(1 / 255, 0), (1 / 128, -1), (7.5, 300)])
def test_gain_and_offset_of_images_do_not_matter(on_images, images, gain, offset):
    other = images.astype(np.float64) * gain + offset
    scores = on_images.anomaly_score(images)
    np.testing.assert_allclose(on_images.anomaly_score(other), scores, rtol=1e-3)
    fitted = short().fit(other)
    np.testing.assert_allclose(fitted.anomaly_score(other), scores, rtol=1e-2)


def test_the_network_is_chosen_by_shape(on_images, on_vectors):
    assert on_images.network_ == "mnist_LeNet"
    assert on_vectors.network_ == "mlp_BN"
    large = short(recipe=STILL, pretrain=False).fit(make_images(4, (40, 40)))
    assert large.network_ == "cifar10_LeNet"
    assert short(network="mlp").fit(make_images(8)).input_shape_ == (1, 12, 12)


def test_named_recipes_depend_on_the_network_and_the_number_of_samples(
    monkeypatch, images
):
    monkeypatch.setitem(recipes.RECIPES["fast"], "", SHORT)
    monkeypatch.setitem(recipes.MEANT_FOR, "", len(images))
    assert DeepSVDD().fit(images).recipe_ == get_recipe("fast", "mnist_LeNet") == SHORT
    few = images[: len(images) // 4]
    assert DeepSVDD().fit(few).recipe_ == get_recipe("fast", "", len(few)) != SHORT


@pytest.mark.parametrize("shape", [(40, 40), (3, 3)])
def test_images_that_a_network_cannot_take(shape):
    with pytest.raises(ValueError, match=r"sides of 4 to 32 pixels.*resize"):
        short(network="mnist_LeNet").fit(make_images(4, shape))
    with pytest.raises(ValueError, match="takes images"):
        short(network="mnist_LeNet").fit(make_vectors())


def test_one_constant_image_among_many_is_fine(images):
    x = images.copy()
    x[7] = 130
    detector = short().fit(x)
    assert np.isfinite(detector.anomaly_score(x)).all()
    assert np.isfinite(detector.anomaly_score(np.zeros((1, 12, 12)))).all()


@pytest.mark.parametrize("shape", [(5, 12, 12), (5, 3)])
def test_all_constant_is_an_error_that_says_so(shape):
    with pytest.raises(ValueError, match="constant"):
        short().fit(np.full(shape, 7.0))


def test_a_constant_feature_of_vectors_is_fine(vectors):
    x = np.hstack([vectors, np.full((len(vectors), 1), 3.0)])
    assert np.isfinite(short().fit(x).anomaly_score(x)).all()


# -------------------------------------------------------------------------- threshold


@pytest.mark.parametrize("contamination", [0.05, 0.1, 0.3, 0.5])
@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_contamination_is_the_exact_fraction_of_outliers(
    contamination, objective, images
):
    detector = short(objective=objective, contamination=contamination).fit(images)
    outliers = (detector.predict(images) == -1).sum()
    assert outliers == round(contamination * len(images))


@pytest.mark.parametrize("nu", [0.1, 0.3, 0.7])
def test_auto_contamination_is_nu(nu, images):
    detector = short(nu=nu).fit(images)
    assert (detector.predict(images) == -1).mean() == pytest.approx(nu)


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_with_nu_1_almost_all_training_samples_are_outliers(objective, vectors):
    detector = short(nu=1.0, objective=objective).fit(vectors)
    assert (detector.predict(vectors) == -1).sum() >= len(vectors) - 1


def test_contamination_too_small_for_one_sample_marks_none(images):
    detector = short(contamination=0.01).fit(images)
    assert (detector.predict(images) == 1).all()


def test_the_threshold_is_midway_between_two_scores(images):
    """On a score itself, rounding would decide the label of that sample."""
    detector = short(contamination=0.25).fit(images)
    scores = np.sort(detector.anomaly_score(images))
    assert detector.threshold_ == pytest.approx((scores[29] + scores[30]) / 2)


def test_contamination_with_members(images):
    detector = short(n_members=2, contamination=0.25).fit(images)
    assert (detector.predict(images) == -1).mean() == 0.25


def test_threshold_overrides_contamination(images, on_images):
    scores = on_images.anomaly_score(images)
    cut = float(np.median(scores))
    detector = short(threshold=cut, contamination=0.01).fit(images)
    assert detector.threshold_ == cut
    np.testing.assert_array_equal(detector.predict(images) == -1, scores > cut)


@pytest.mark.parametrize("name", ["on_images", "soft", "ensemble"])
def test_the_four_scores_are_one(name, images, request):
    detector = request.getfixturevalue(name)
    score = detector.anomaly_score(images)
    assert score.shape == (len(images),)
    assert score.dtype == np.float64
    np.testing.assert_array_equal(detector.score_samples(images), -score)
    decision = detector.decision_function(images)
    np.testing.assert_array_equal(decision, detector.threshold_ - score)
    np.testing.assert_array_equal(decision, -score - detector.offset_)
    labels = detector.predict(images)
    assert set(labels) == {-1, 1}
    np.testing.assert_array_equal(labels == -1, decision < 0)
    np.testing.assert_array_equal(labels == -1, score > detector.threshold_)


def test_soft_boundarys_threshold_is_the_radius_up_to_the_next_sample(soft, images):
    scores = np.sort(soft.anomaly_score(images))
    outside = scores[scores > 1e-6]
    assert len(outside) == round(0.1 * len(images))
    assert 0 <= soft.threshold_ <= outside[0]


# ------------------------------------------------------------------- scores, by hand


def distances_by_hand(member, x):
    """Not the package's: contrast, scaling, network, distance, sample by sample."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    flat = flat - flat.mean(axis=1, keepdims=True)
    flat = flat / np.abs(flat).mean(axis=1, keepdims=True)
    flat = (flat - flat.min()) / (flat.max() - flat.min())
    batch = torch.from_numpy(flat.reshape(len(x), 1, *x.shape[-2:])).float()
    with torch.no_grad():
        z = torch.cat([member.encoder(one[None]) for one in batch])
    return np.linalg.norm(z.double().numpy() - member.center.double().numpy(), axis=1)


def test_one_class_score_by_hand(on_images, images):
    (member,) = on_images.members_
    assert not member.encoder.training
    assert member.radius == 0
    d = distances_by_hand(member, images)
    np.testing.assert_allclose(on_images.anomaly_score(images), d**2, rtol=1e-4)
    assert member.mean_distance == pytest.approx(d.mean(), rel=1e-4)


def test_soft_boundary_score_by_hand(soft, images):
    (member,) = soft.members_
    d = distances_by_hand(member, images)
    expected = d**2 - member.radius**2
    assert member.radius > 0
    # R is the distance of the training sample of rank n - nu n
    assert member.radius == pytest.approx(np.sort(d)[len(d) - 4 - 1], rel=1e-4)
    np.testing.assert_allclose(soft.anomaly_score(images), expected, atol=1e-4)
    assert (expected > 1e-4).mean() == pytest.approx(0.1)


def test_ensemble_score_by_hand(ensemble, images):
    d = [distances_by_hand(member, images) for member in ensemble.members_]
    expected = np.mean([one / one.mean() for one in d], axis=0)
    np.testing.assert_allclose(ensemble.anomaly_score(images), expected, rtol=1e-4)


def test_ensemble_of_soft_boundary_networks_has_positive_scores(images):
    detector = short(n_members=2, objective="soft-boundary").fit(images)
    assert (detector.anomaly_score(images) > 0).all()
    assert all(member.radius > 0 for member in detector.members_)


def test_represent(ensemble, images):
    z = ensemble.represent(images, member=1)
    assert z.shape == (len(images), 32)
    d2 = ((z - ensemble.members_[1].center.numpy()) ** 2).sum(axis=1)
    expected = distances_by_hand(ensemble.members_[1], images) ** 2
    np.testing.assert_allclose(d2, expected, rtol=1e-3)


@pytest.mark.parametrize("name", ["on_images", "soft", "ensemble", "on_vectors"])
def test_scores_do_not_depend_on_the_batch(name, images, vectors, request):
    detector = request.getfixturevalue(name)
    x = vectors if name == "on_vectors" else images
    whole = detector.anomaly_score(x)
    parts = [detector.anomaly_score(part) for part in np.split(x, [1, 2, 17])]
    exact = 1e-12 if name == "on_vectors" else 1e-5
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=exact, atol=exact)
    shuffled = np.random.default_rng(1).permutation(len(x))
    np.testing.assert_allclose(
        detector.anomaly_score(x[shuffled]), whole[shuffled], rtol=exact, atol=exact
    )


def test_more_samples_than_one_scoring_batch(on_images, images):
    x = np.tile(images, (30, 1, 1))[:1100]
    expected = np.tile(on_images.anomaly_score(images), 30)[:1100]
    np.testing.assert_allclose(on_images.anomaly_score(x), expected, rtol=1e-5)


@pytest.mark.parametrize("member", [3, -1, 1.5])
def test_represent_names_the_members_that_there_are(ensemble, images, member):
    match = rf"member must be a whole number from 0 to \d; got {member}"
    with pytest.raises(ValueError, match=match):
        ensemble.represent(images, member)


def test_members_that_collapsed_to_their_centers_score_zero_and_not_nan(images):
    network = Flat()
    with torch.no_grad():
        network.second.weight.zero_()
    detector = DeepSVDD(network, recipe=STILL, pretrain=False, n_members=2)
    with pytest.warns(CollapseWarning):
        detector.fit(images)
    for member in detector.members_:
        member.center.zero_()
    assert all(member.mean_distance > 0 for member in detector.members_)
    np.testing.assert_array_equal(detector.anomaly_score(images), 0)


def test_separates_what_is_easy_to_separate():
    rng = np.random.default_rng(0)
    normal = rng.normal(size=(300, 8))
    odd = rng.normal(size=(50, 8)) + 12
    recipe = Recipe(
        pretraining=replace(STEP, n_epochs=5), training=replace(STEP, n_epochs=5)
    )
    detector = short(recipe=recipe).fit(normal[:250])
    assert detector.anomaly_score(odd).min() > detector.anomaly_score(normal).max()
    assert (detector.predict(odd) == -1).all()


# -------------------------------------------------------------------- reproducibility


@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_same_seed_same_bits_other_seed_other_scores(objective, images):
    first, same, other = (
        short(objective=objective, random_state=seed).fit(images).anomaly_score(images)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert not np.allclose(first, other, rtol=1e-2)


def test_random_state_objects_and_none(vectors):
    seeded = [
        short(random_state=np.random.RandomState(4)).fit(vectors).anomaly_score(vectors)
        for _ in range(2)
    ]
    np.testing.assert_array_equal(*seeded)
    free = [
        short(random_state=None).fit(vectors).anomaly_score(vectors) for _ in range(2)
    ]
    assert not np.array_equal(*free)


def test_numpys_global_state_does_not_matter_to_an_integer_seed(vectors, on_vectors):
    np.random.seed(99)  # noqa: NPY002
    torch.manual_seed(99)
    again = short().fit(vectors).anomaly_score(vectors)
    np.testing.assert_array_equal(again, on_vectors.anomaly_score(vectors))


@pytest.mark.parametrize("pretrain", [True, False])
def test_global_random_state_is_left_alone(pretrain, images, tmp_path):
    torch.manual_seed(17)
    np.random.seed(17)  # noqa: NPY002
    before = torch.get_rng_state()
    numpy_before = np.random.get_state()  # noqa: NPY002
    detector = short(n_members=2, pretrain=pretrain).fit(images)
    detector.predict(images)
    detector.save(tmp_path / "m.safetensors")
    DeepSVDD.load(tmp_path / "m.safetensors")
    assert torch.equal(torch.get_rng_state(), before)
    for one, other in zip(
        np.random.get_state(),  # noqa: NPY002
        numpy_before,
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_scoring_changes_nothing(on_images, images):
    before = copy.deepcopy(on_images.members_[0].encoder)
    x = images.copy()
    scores = on_images.anomaly_score(x)
    np.testing.assert_array_equal(x, images)
    np.testing.assert_array_equal(on_images.anomaly_score(x), scores)
    assert states_equal(on_images.members_[0].encoder, before)
