"""How the estimator's networks are built and trained: members, starts, one's own."""

import copy
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn

from deepsvdd import (
    ArchitectureError,
    Autoencoder,
    CollapseWarning,
    DeepSVDD,
    FewSamplesWarning,
    Phase,
    TrainingDivergedError,
    build_autoencoder,
    pretrain_autoencoder,
    train_hypersphere,
)
from deepsvdd.core import recipes
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.objectives import initial_center
from tests.toys import (
    SHORT,
    STILL,
    Flat,
    Unflat,
    make_images,
    make_vectors,
    short,
    states_equal,
)

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------ members


def test_members_are_the_single_networks_of_consecutive_seeds(images):
    many = short(n_members=3, random_state=5).fit(images)
    for m, member in enumerate(many.members_):
        (single,) = short(random_state=5 + m).fit(images).members_
        assert states_equal(member.encoder, single.encoder)
        assert torch.equal(member.center, single.center)
        assert member.mean_distance == single.mean_distance
        assert member.history["training"]["loss"] == single.history["training"]["loss"]


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


# --------------------------------------------------------------------------- warm start


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


@pytest.mark.parametrize("pretrain", [True, False])
def test_warm_start_keeps_the_extrema(pretrain, images, vectors):
    """The networks know that scale: another would show them other data."""
    for x in (vectors, images / 255):
        detector = short().fit(x)
        before = detector.preprocessor_
        scores = detector.anomaly_score(x)
        more = np.concatenate([x[:30], x[:1] * 0 + 30.0 * np.arange(12)[: x.shape[-1]]])
        detector.set_params(warm_start=True, pretrain=pretrain, recipe=STILL).fit(more)
        assert torch.equal(detector.preprocessor_.minimum, before.minimum)
        assert torch.equal(detector.preprocessor_.maximum, before.maximum)
        if not pretrain:
            np.testing.assert_array_equal(detector.anomaly_score(x), scores)
        detector.set_params(warm_start=False).fit(more)
        assert not torch.equal(detector.preprocessor_.maximum, before.maximum)


def test_warm_start_of_a_loaded_model_keeps_its_extrema(vectors, tmp_path):
    detector = short().fit(vectors)
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m").set_params(warm_start=True, recipe=STILL)
    loaded.set_params(pretrain=False).fit(vectors[:20])
    np.testing.assert_array_equal(
        loaded.anomaly_score(vectors), detector.anomaly_score(vectors)
    )


def test_warm_start_with_data_of_another_shape_says_so(vectors, images):
    detector = short(warm_start=True).fit(vectors)
    scores = detector.anomaly_score(vectors)
    for other in (vectors[:, :3], images):
        with pytest.raises(ValueError, match="warm_start needs network, preprocessing"):
            detector.fit(other)
    detector.set_params(preprocessing="none")
    with pytest.raises(ValueError, match="warm_start needs network, preprocessing"):
        detector.fit(vectors)
    np.testing.assert_array_equal(detector.anomaly_score(vectors), scores)


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


class Own(Flat):
    """Of somebody's own, with what makes it odd."""

    def __init__(self, forward):
        super().__init__()
        self.odd = forward

    def forward(self, x):
        return self.odd(super().forward, x)


def change(plain, x):
    x += 1
    return plain(x)


def fail(plain, x):
    raise KeyError("weights")


ODD = {
    "half the rows": (lambda f, x: f(x)[::2], r"one representation a sample.*\(1, 6\)"),
    "one row": (lambda f, x: f(x).mean(0, keepdim=True), "one representation a sample"),
    "no axis": (lambda f, x: f(x).sum(), r"representations \(n, d\); Own gives \(\)"),
    "no columns": (lambda f, x: f(x)[:, :0], r"\(n, d\); Own gives \(2, 0\)"),
    "whole numbers": (lambda f, x: f(x).long(), "floating-point .*gives int64"),
    "detached": (lambda f, x: f(x).detach(), "cut off from it"),
    "constant": (lambda f, x: torch.ones(len(x), 3), "cut off from it"),
    "changes its input": (change, "must not change its input; Own does so in place"),
    "an exception": (fail, "must take float32 batches .*Own fails: 'weights'"),
    "no words": (lambda f, x: 1 / 0, "Own fails: division by zero"),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_networks_are_named_in_one_sentence(odd, images):
    forward, match = ODD[odd]
    before = images.copy()
    with pytest.raises(ValueError, match=match) as raised:
        short(network=Own(forward), pretrain=False).fit(images)
    assert str(raised.value).startswith("network must")
    assert "\n" not in str(raised.value)
    np.testing.assert_array_equal(images, before)


def test_layers_that_work_in_place_are_fine_behind_the_first(images):
    network = Flat(activation=nn.LeakyReLU(inplace=True))
    assert short(network=network, pretrain=False).fit(images).network_ == "custom"


def test_a_bias_frozen_at_0_is_none(images):
    network = Flat(bias=True)
    nn.init.zeros_(network.first.bias)
    network.first.bias.requires_grad_(False)
    (member,) = short(network=network, pretrain=False).fit(images).members_
    assert not member.encoder.first.bias.any()
    with torch.no_grad():
        network.first.bias[2] = 1
    with pytest.raises(ArchitectureError, match=r"first\.bias"):
        short(network=network, pretrain=False).fit(images)


def test_modules_that_cannot_be_copied_or_trained(images):
    example = torch.zeros(2, 1, 12, 12)
    lazy = nn.Sequential(nn.Flatten(), nn.LazyLinear(3, bias=False))
    frozen = Flat().requires_grad_(False)
    for network, words in (
        (torch.jit.trace(Flat(), example), "scripted or traced"),
        (torch.compile(Flat()), "not compiled; got OptimizedModule"),
        (lazy, "lazy layers"),
        (Flat().to("meta"), "meta device"),
        (frozen, "must have weights to train; Flat has none"),
    ):
        with pytest.raises(ValueError, match=words) as raised:
            short(network=network, pretrain=False).fit(images)
        assert str(raised.value).startswith("network must")
        assert "\n" not in str(raised.value)


# ---------------------------------------------------------------------- what went wrong


def test_divergence_is_an_error_with_a_hint(vectors):
    wild = replace(SHORT, training=Phase(lr=1e30, n_epochs=3))
    with pytest.raises(TrainingDivergedError, match="lower the learning rate"):
        short(recipe=wild).fit(vectors)


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


# -------------------------------------------------------------------------- few samples


def test_so_few_samples_that_the_seed_decides(monkeypatch):
    monkeypatch.setitem(recipes.RECIPES["fast"], "mlp_BN", SHORT)
    message = "X holds 49 samples; with fewer than 50 .* average several .n_members=5"
    with pytest.warns(FewSamplesWarning, match=message) as caught:
        DeepSVDD(random_state=0).fit(make_vectors(49))
    assert caught[0].filename == __file__  # the user's line, not one of ours
    with warnings.catch_warnings():
        warnings.simplefilter("error", FewSamplesWarning)
        DeepSVDD(random_state=0).fit(make_vectors(50))
        DeepSVDD(random_state=0, n_members=2).fit(make_vectors(49))
        short().fit(make_vectors(49))  # who builds a recipe knows


# ------------------------------------------------------------------------------ vectors


@pytest.mark.parametrize("factor", [1, 10, 10_000])
def test_one_wrong_row_does_not_turn_a_detector(factor):
    cells = load_breast_cancer()
    benign, malignant = (cells.data[cells.target == label] for label in (1, 0))
    order = np.random.default_rng(0).permutation(len(benign))
    train, held_out = benign[order[:214]].copy(), benign[order[214:]]
    train[0] *= factor
    detector = DeepSVDD(random_state=0).fit(train)
    labels = np.repeat([0, 1], [len(held_out), len(malignant)])
    scores = detector.anomaly_score(np.concatenate([held_out, malignant]))
    assert roc_auc(labels, scores) > 0.85  # 0.94; with extrema 0.41 and 0.16
    assert (detector.predict(malignant) == -1).mean() > 0.8


# ------------------------------------------------------------------------------ history


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
