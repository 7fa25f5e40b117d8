"""DeepSVDD as an estimator: scikit-learn's rules, shapes, scores, seeds, refusals."""

import copy
import pickle
import re
import warnings
from dataclasses import replace
from unittest import SkipTest

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.estimator_checks import estimator_checks_generator
from torch import nn

from deepsvdd import (
    ArchitectureError,
    Autoencoder,
    CollapseWarning,
    DeepSVDD,
    Phase,
    Recipe,
    TrainingDivergedError,
    build_autoencoder,
    get_recipe,
    pretrain_autoencoder,
    train_hypersphere,
)
from deepsvdd.objectives import initial_center

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = Phase(n_epochs=1, batch_size=16, schedule="one-cycle")
SHORT = Recipe(pretraining=STEP, training=STEP, warm_up_epochs=0, radius_every=1)
STILL = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))


def make_images(n=40, shape=(12, 12), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def make_vectors(n=60, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def short(**parameters):
    return DeepSVDD(**({"recipe": SHORT, "random_state": 0} | parameters))


class Flat(nn.Module):
    """A network of somebody's own: images to representations of size 6."""

    def __init__(self, n_in=144, bias=False, activation=None):
        super().__init__()
        self.flatten = nn.Flatten()
        self.first = nn.Linear(n_in, 8, bias=bias)
        self.activation = activation or nn.LeakyReLU()
        self.second = nn.Linear(8, 6, bias=False)

    def forward(self, x):
        return self.second(self.activation(self.first(self.flatten(x))))


class Unflat(nn.Sequential):
    def __init__(self, shape=(1, 12, 12)):
        super().__init__(nn.Linear(6, int(np.prod(shape))), nn.Unflatten(1, shape))


@pytest.fixture(scope="module")
def images():
    return make_images()


@pytest.fixture(scope="module")
def vectors():
    return make_vectors()


@pytest.fixture(scope="module")
def on_images(images):
    return short().fit(images)


@pytest.fixture(scope="module")
def on_vectors(vectors):
    return short().fit(vectors)


@pytest.fixture(scope="module")
def soft(images):
    return short(objective="soft-boundary").fit(images)


@pytest.fixture(scope="module")
def ensemble(images):
    return short(n_members=3).fit(images)


def states_equal(one, other):
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


# ---------------------------------------------------------------- scikit-learn's rules

# Skipped by scikit-learn itself, not by us: name of the check → why.
SKIPPED = {
    "check_array_api_input": "needs SCIPY_ARRAY_API=1 in the environment",
}


@pytest.mark.filterwarnings("ignore::deepsvdd.CollapseWarning")
@pytest.mark.parametrize(
    "check",
    [pair[1] for pair in estimator_checks_generator(short())],
    ids=lambda check: getattr(check, "func", check).__name__,
)
def test_scikit_learns_check(check):
    name = getattr(check, "func", check).__name__
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

    monkeypatch.setattr("deepsvdd.estimator.train_hyperspheres", fail)
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


def test_three_and_four_axes_arrays_and_tensors_are_one_thing(images, on_images):
    scores = on_images.anomaly_score(images)
    for same in (
        images[:, None],
        torch.from_numpy(images),
        torch.from_numpy(images[:, None]),
        list(images),
        images.astype(np.float64),
        images.astype(np.int64),
        np.asfortranarray(images),
        torch.from_numpy(images).float().requires_grad_(),
    ):
        np.testing.assert_array_equal(on_images.anomaly_score(same), scores)
        again = short().fit(same)
        np.testing.assert_allclose(again.anomaly_score(same), scores, rtol=1e-4)
    assert on_images.input_shape_ == (1, 12, 12)
    assert on_images.n_features_in_ == 144


@pytest.mark.parametrize(("gain", "offset"), [(1 / 255, 0), (1 / 128, -1), (7.5, 300)])
def test_gain_and_offset_of_images_do_not_matter(on_images, images, gain, offset):
    other = images.astype(np.float64) * gain + offset
    scores = on_images.anomaly_score(images)
    np.testing.assert_allclose(on_images.anomaly_score(other), scores, rtol=1e-3)
    fitted = short().fit(other)
    np.testing.assert_allclose(fitted.anomaly_score(other), scores, rtol=1e-2)


def test_a_single_image_may_lack_the_first_axis(on_images, images):
    one = on_images.anomaly_score(images[:1])
    assert one.shape == (1,)
    for same in (images[0], images[0][None], images[0][None, None]):
        np.testing.assert_array_equal(on_images.anomaly_score(same), one)
    assert on_images.predict(images[0]).shape == (1,)
    assert on_images.represent(images[0]).shape == (1, 32)


def test_colour_images():
    x = make_images(12, (3, 16, 16))
    detector = short(network="mnist_LeNet").fit(x)
    assert detector.input_shape_ == (3, 16, 16)
    one = detector.anomaly_score(x[:1])
    np.testing.assert_array_equal(detector.anomaly_score(x[0]), one)
    with pytest.raises(ValueError, match=r"\(3, 16, 16\)"):
        detector.anomaly_score(x[:, 0])
    with pytest.raises(ValueError, match=r"\(3, 16, 16\)"):
        detector.anomaly_score(x.transpose(0, 2, 3, 1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_last_is_refused_with_the_fix(channels):
    with pytest.raises(ValueError, match=r"transpose\(0, 3, 1, 2\)"):
        short().fit(make_images(4, (12, 12, channels)))


def test_the_fix_for_channels_last_works():
    x = make_images(6, (12, 12, 3)).transpose(0, 3, 1, 2)
    assert short().fit(x).input_shape_ == (3, 12, 12)


def test_the_network_is_chosen_by_shape(on_images, on_vectors):
    assert on_images.network_ == "mnist_LeNet"
    assert on_vectors.network_ == "mlp"
    large = short(recipe=STILL, pretrain=False).fit(make_images(4, (40, 40)))
    assert large.network_ == "cifar10_LeNet"
    assert short(network="mlp").fit(make_images(8)).input_shape_ == (1, 12, 12)


def test_named_recipes_depend_on_the_network(monkeypatch, images):
    monkeypatch.setitem(
        __import__("deepsvdd.recipes", fromlist=["RECIPES"]).RECIPES["fast"], "", SHORT
    )
    assert DeepSVDD().fit(images).recipe_ == get_recipe("fast", "mnist_LeNet") == SHORT


@pytest.mark.parametrize(
    ("shape", "match"),
    [
        ((3, 13, 12), r"\(1, 12, 12\)"),
        ((3, 2, 12, 12), r"\(1, 12, 12\)"),
        ((3, 144), r"\(1, 12, 12\)"),
        ((144,), r"\(1, 12, 12\)"),
        ((1, 1, 1, 12, 12), r"\(1, 12, 12\)"),
    ],
)
def test_wrong_shape_at_scoring_names_both_shapes(on_images, shape, match):
    with pytest.raises(ValueError, match=match) as raised:
        on_images.predict(np.ones(shape))
    assert str(shape) in str(raised.value)


def test_wrong_vectors_at_scoring(on_vectors):
    with pytest.raises(ValueError, match=r"(?s)4 features.*5 features"):
        on_vectors.predict(np.ones((3, 4)))
    with pytest.raises(ValueError, match="2D array"):
        on_vectors.predict(np.ones(5))


@pytest.mark.parametrize("shape", [(40, 40), (3, 3)])
def test_images_that_a_network_cannot_take(shape):
    with pytest.raises(ValueError, match=r"sides of 4 to 32 pixels.*resize"):
        short(network="mnist_LeNet").fit(make_images(4, shape))
    with pytest.raises(ValueError, match="takes images"):
        short(network="mnist_LeNet").fit(make_vectors())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_nan_and_infinity_are_refused(bad, kind, on_images, on_vectors):
    x = (make_images() if kind == "images" else make_vectors()).astype(float)
    x[3, 2] = bad
    detector = on_images if kind == "images" else on_vectors
    with pytest.raises(ValueError, match=r"(?i)nan|inf"):
        short().fit(x)
    with pytest.raises(ValueError, match=r"(?i)nan|inf"):
        detector.predict(x)


@pytest.mark.parametrize("x", [make_images(), make_vectors()], ids=["images", "vec"])
def test_too_few_samples(x):
    for n in (0, 1):
        with pytest.raises(ValueError, match=r"(?i)sample|image"):
            short().fit(x[:n])
    detector = short().fit(x[:2])
    assert np.isfinite(detector.anomaly_score(x)).all()
    with pytest.raises(ValueError, match=r"(?i)0 sample|image"):
        detector.predict(x[:0])


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


@pytest.mark.parametrize("name", ["on_images", "on_vectors"])
def test_views_with_negative_strides(name, images, vectors, request):
    """A mirrored image, the commonest augmentation, is such a view."""
    detector = request.getfixturevalue(name)
    x = images[:, :, ::-1] if name == "on_images" else vectors[::-1]
    np.testing.assert_array_equal(
        detector.anomaly_score(x), detector.anomaly_score(x.copy())
    )
    short().fit(x)


def test_bfloat16_tensors_are_data_too(images, on_images):
    x = torch.from_numpy(images).bfloat16()
    scores = on_images.anomaly_score(x)
    np.testing.assert_array_equal(scores, on_images.anomaly_score(x.float()))


# ------------------------------------------------------------------- parameter checks


@pytest.mark.parametrize(
    ("name", "value", "domain"),
    [
        ("objective", "hard", "soft-boundary"),
        ("objective", None, "soft-boundary"),
        ("nu", 0, r"\(0, 1\]"),
        ("nu", -0.1, r"\(0, 1\]"),
        ("nu", 1.01, r"\(0, 1\]"),
        ("nu", float("nan"), r"\(0, 1\]"),
        ("nu", "0.1", r"\(0, 1\]"),
        ("n_members", 0, "1"),
        ("n_members", -2, "1"),
        ("n_members", 1.5, "1"),
        ("n_members", None, "1"),
        ("contamination", 0, r"\(0, 0.5\]"),
        ("contamination", 0.51, r"\(0, 0.5\]"),
        ("contamination", "some", r"\(0, 0.5\]"),
        ("contamination", None, r"\(0, 0.5\]"),
        ("threshold", float("nan"), "finite"),
        ("threshold", float("inf"), "finite"),
        ("threshold", "high", "finite"),
        ("network", "resnet", "mnist_LeNet"),
        ("network", None, "mnist_LeNet"),
        ("preprocessing", "zca", "gcn_l1"),
        ("recipe", "slow", "fast"),
        ("recipe", None, "fast"),
        ("device", "gpu", "cuda"),
        ("random_state", "zero", "."),
    ],
)
def test_a_parameter_out_of_range_is_named_with_range_and_value(
    name, value, domain, vectors
):
    with pytest.raises(ValueError, match=domain) as raised:
        short(**{name: value}).fit(vectors)
    message = str(raised.value)
    assert repr(value) in message
    assert name.split("_")[0] in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_cuda_without_a_gpu_names_the_way_out(device, vectors):
    with pytest.raises(ValueError, match=r"device must.*0 CUDA.*'cpu' or 'auto'"):
        short(device=device).fit(vectors)


@pytest.mark.parametrize("device", ["xpu", "meta", None])
def test_other_devices_are_refused_clearly(device, vectors):
    with pytest.raises(ValueError, match="device must"):
        short(device=device).fit(vectors)


@pytest.mark.parametrize("device", ["cpu", torch.device("cpu")])
def test_device_by_name_or_object(device, vectors, on_vectors):
    scores = short(device=device).fit(vectors).anomaly_score(vectors)
    if not torch.cuda.is_available():
        np.testing.assert_array_equal(scores, on_vectors.anomaly_score(vectors))


def test_numpy_numbers_are_numbers(vectors):
    detector = short(
        nu=np.float32(0.25), n_members=np.int64(2), random_state=np.int64(3)
    )
    assert len(detector.fit(vectors).members_) == 2


@pytest.mark.parametrize(
    "settings",
    [{"lr": "fast"}, {"n_epochs": None}, {"batch_size": "8"}, {"lr_milestones": 5}],
)
def test_wrong_types_in_a_phase_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        Phase(**settings)


def test_divergence_is_an_error_with_a_hint(vectors):
    wild = replace(SHORT, training=Phase(lr=1e30, n_epochs=3))
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        short(recipe=wild).fit(vectors)


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


def test_members_are_the_single_networks_of_consecutive_seeds(images):
    many = short(n_members=3, random_state=5).fit(images)
    for m, member in enumerate(many.members_):
        (single,) = short(random_state=5 + m).fit(images).members_
        assert states_equal(member.encoder, single.encoder)
        assert torch.equal(member.center, single.center)
        assert member.mean_distance == single.mean_distance
        assert member.history["training"]["loss"] == single.history["training"]["loss"]


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


def test_the_center_is_that_of_the_pretrained_network(images):
    """The estimator does what its documented parts do, in the documented order."""
    detector = short(random_state=3).fit(images)
    x = detector.preprocessor_(torch.from_numpy(images[:, None]))
    x = x.contiguous(memory_format=torch.channels_last)
    torch.manual_seed(3)
    autoencoder = build_autoencoder("mnist_LeNet", (1, 12, 12))
    autoencoder = autoencoder.to(memory_format=torch.channels_last)
    pretrain_autoencoder(autoencoder, x, SHORT.pretraining, seed=3)
    autoencoder.eval()
    with torch.no_grad():
        c = initial_center(autoencoder.encoder(x))
    assert torch.allclose(detector.members_[0].center, c, atol=1e-6)
    sphere = train_hypersphere(autoencoder.encoder, x, SHORT, seed=3)
    assert states_equal(sphere.encoder, detector.members_[0].encoder)


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


def test_fit_leaves_the_data_alone(images, vectors):
    for x in (images.copy(), vectors.copy(), images.astype(np.float32)):
        before = x.copy()
        short().fit(x)
        np.testing.assert_array_equal(x, before)


def test_read_only_arrays(images, on_images):
    x = images.copy()
    x.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        detector = short().fit(x)
        scores = detector.anomaly_score(x)
    np.testing.assert_array_equal(scores, on_images.anomaly_score(images))


# ------------------------------------------------------------------------- warm start


def test_warm_start_goes_on_from_the_weights_and_keeps_the_center(images):
    detector = short(n_members=2).fit(images)
    before = copy.deepcopy(detector.members_)
    detector.set_params(warm_start=True, pretrain=False, recipe=STILL).fit(images)
    for old, new in zip(before, detector.members_, strict=True):
        assert states_equal(old.encoder, new.encoder)
        assert torch.equal(old.center, new.center)
    detector.set_params(recipe=SHORT).fit(images)
    for old, new in zip(before, detector.members_, strict=True):
        assert not states_equal(old.encoder, new.encoder)
        assert torch.equal(old.center, new.center)
        assert "pretraining" not in new.history


def test_warm_start_with_pretraining_computes_the_center_anew(images):
    detector = short().fit(images)
    old = copy.deepcopy(detector.members_[0])
    detector.set_params(warm_start=True, recipe=STILL).fit(images)
    (new,) = detector.members_
    assert states_equal(old.encoder, new.encoder)
    x = detector.preprocessor_(torch.from_numpy(images[:, None]))
    with torch.no_grad():
        expected = initial_center(new.encoder(x))
    assert torch.allclose(new.center, expected, atol=1e-6)
    assert not torch.allclose(new.center, old.center, atol=1e-6)


def test_without_warm_start_fit_starts_anew(images):
    detector = short().fit(images)
    scores = detector.anomaly_score(images)
    np.testing.assert_array_equal(detector.fit(images).anomaly_score(images), scores)


def test_warm_start_of_vectors_and_of_more_members(vectors):
    detector = short(warm_start=True, pretrain=False).fit(vectors)
    first = copy.deepcopy(detector.members_[0])
    detector.set_params(n_members=2, recipe=STILL).fit(vectors)
    assert len(detector.members_) == 2
    assert states_equal(detector.members_[0].encoder, first.encoder)
    assert not states_equal(detector.members_[1].encoder, first.encoder)


def test_warm_start_with_data_of_another_shape_says_so(vectors):
    detector = short(warm_start=True).fit(vectors)
    with pytest.raises(ValueError, match="warm_start"):
        detector.fit(vectors[:, :3])


# ---------------------------------------------------------------- networks of one's own


def test_custom_encoder_without_pretraining(images):
    network = Flat()
    detector = short(network=network, pretrain=False, recipe=STILL).fit(images)
    (member,) = detector.members_
    assert detector.network_ == "custom"
    assert member.encoder is not network
    assert states_equal(member.encoder, network)  # its weights are the start
    assert detector.represent(images).shape == (len(images), 6)
    detector.set_params(recipe=SHORT).fit(images)
    assert not states_equal(detector.members_[0].encoder, network)
    assert "pretraining" not in detector.members_[0].history


def test_custom_encoder_with_pretraining_says_what_is_missing(images):
    with pytest.raises(ValueError, match=r"pretrain must be False.*Autoencoder\("):
        short(network=Flat()).fit(images)


def test_custom_autoencoder(images):
    detector = short(network=Autoencoder(Flat(), Unflat())).fit(images)
    (member,) = detector.members_
    assert isinstance(member.encoder, Flat)
    assert len(member.history["pretraining"]["loss"]) == 1


def test_custom_network_for_vectors(vectors):
    network = nn.Sequential(nn.Linear(5, 3, bias=False))
    detector = short(network=network, pretrain=False).fit(vectors)
    assert np.isfinite(detector.anomaly_score(vectors)).all()


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Flat(bias=True), r"bias terms \(first.bias\).*Proposition 2.*bias=False"),
        (Flat(activation=nn.Tanh()), "bounded activations.*Tanh.*Proposition 3"),
        (Flat(activation=nn.Sigmoid()), "Sigmoid"),
        (Flat(activation=nn.ELU()), "Elu"),
        (Flat(activation=nn.BatchNorm1d(8)), "activation.bias.*affine=False"),
    ],
)
def test_forbidden_networks_are_refused_and_can_be_forced(network, words, images):
    with pytest.raises(ArchitectureError, match=words) as raised:
        short(network=network, pretrain=False).fit(images)
    assert "allow_collapse=True" in str(raised.value)
    forced = short(network=network, pretrain=False, allow_collapse=True).fit(images)
    assert np.isfinite(forced.anomaly_score(images)).all()


@pytest.mark.parametrize("activation", [nn.ReLU(), nn.LeakyReLU(), nn.Identity()])
def test_allowed_activations(activation, images):
    short(network=Flat(activation=activation), pretrain=False).fit(images)


def test_the_authors_elu_network_needs_no_permission():
    x = make_images(6, (3, 8, 8))
    assert short(network="cifar10_LeNet_ELU").fit(x).members_[0].encoder is not None


class Maps(nn.Module):
    """Ends in a map instead of a vector."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 6, stride=6, bias=False)

    def forward(self, x):
        return self.conv(x)


@pytest.mark.parametrize(
    ("decoder", "given"),
    [
        (nn.Sequential(nn.Linear(6, 1), nn.Unflatten(1, (1, 1, 1))), r"(2, 1, 1, 1)"),
        (nn.Linear(6, 144), r"(2, 144)"),
        (nn.Linear(5, 144), "an error"),
    ],
)
def test_a_decoder_must_give_what_the_encoder_took(decoder, given, images):
    network = Autoencoder(Flat(), decoder)
    with pytest.raises(ValueError, match=r"gives \(2, 1, 12, 12\).*") as caught:
        short(network=network).fit(images)
    assert f"Linear gives {given}".split()[1:][0] in str(caught.value)
    assert given in str(caught.value)


def test_an_encoder_must_give_a_tensor(images):
    class Two(Flat):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(ValueError, match=r"representations \(n, d\); Two gives tuple"):
        short(network=Two(), pretrain=False).fit(images)


def test_representations_must_be_vectors(images):
    with pytest.raises(ValueError, match=r"\(n, d\)|Flatten|representation"):
        short(network=Maps(), pretrain=False).fit(images)


# --------------------------------------------------------------------------- collapse


class Constant(nn.Module):
    """What Proposition 2 warns of: a bias term that is all there is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(2, 144))
        self.bias = nn.Parameter(torch.ones(2))

    def forward(self, x):
        return nn.functional.linear(x.flatten(1), self.weight, self.bias)


def test_collapse_is_reported_with_numbers_and_a_fix(images):
    detector = short(
        network=Constant(), pretrain=False, allow_collapse=True, recipe=STILL
    )
    with pytest.warns(CollapseWarning, match="collapse.*bias"):
        detector.fit(images)
    assert detector.members_[0].collapsed


def test_healthy_training_gives_no_warning(images, vectors):
    for x in (images, vectors):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert not short().fit(x).members_[0].collapsed


# ---------------------------------------------------------------------------- history


def test_history_has_one_row_an_epoch(soft, on_images):
    for detector in (soft, on_images):
        history = detector.members_[0].history
        assert list(history) == ["pretraining", "training"]
        for phase in history.values():
            assert phase["epoch"] == [0]
            assert {len(column) for column in phase.values()} == {1}
            assert np.isfinite(phase["loss"]).all()
    assert soft.members_[0].history["training"]["radius"][0] > 0
    assert on_images.members_[0].history["training"]["radius"] == [0.0]


def test_messages_never_mention_this_machine(vectors):
    with pytest.raises(ValueError, match="nu must be") as raised:
        short(nu=7).fit(vectors)
    assert not re.search(r"/(home|tmp|root|usr)", str(raised.value))
