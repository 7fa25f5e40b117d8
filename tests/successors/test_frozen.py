import copy

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import FrozenFeatures, load_detector
from deepsvdd.core.networks import build_autoencoder
from deepsvdd.successors.frozen import IMAGENET, Features
from tests.toys import make_images, make_vectors

pytestmark = pytest.mark.usefixtures("one_thread")
SCORES = ("neighbors", "center", "density")


class Pooled(nn.Module):
    """A small network of the usual kind: convolution, pooling, classes."""

    def __init__(self, channels=3):
        super().__init__()
        self.conv = nn.Conv2d(channels, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        return self.fc(self.pool(self.norm(self.conv(x)).relu()).flatten(1))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Pooled()


@pytest.fixture(scope="module")
def images():
    return make_images()


def test_the_features_are_those_of_the_last_pooling_layer(network):
    x = torch.rand(4, 1, 12, 12)
    features = Features(network, "auto", None, "imagenet")
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
    normed = (x.expand(-1, 3, -1, -1) - mean) / std
    own = copy.deepcopy(network).eval()
    expected = own.norm(own.conv(normed)).relu().mean(dim=(2, 3))
    torch.testing.assert_close(features.eval()(x), expected)
    assert "fc" not in " ".join(features.state_dict())


def test_images_are_resized(network):
    features = Features(network, "auto", 24, "none").eval()
    x = torch.rand(2, 3, 12, 12)
    larger = nn.functional.interpolate(x, (24, 24), mode="bilinear", antialias=True)
    same = Features(network, "auto", None, "none").eval()
    torch.testing.assert_close(features(x), same(larger))


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("layer", ["auto", "conv", "output"])
def test_a_file_gives_the_same_scores(network, images, score, layer, tmp_path):
    before = copy.deepcopy(network.state_dict())
    detector = FrozenFeatures(network, layer, score).fit(images)
    assert network.training  # as it was given
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    detector.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors", network=Pooled())
    np.testing.assert_array_equal(
        again.anomaly_score(images), detector.anomaly_score(images)
    )
    assert again.threshold_ == detector.threshold_


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_an_onnx_file_gives_the_same_scores(kind, score, network, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = make_images()[:, None] if kind == "images" else make_vectors()
    encoder = network if kind == "images" else "auto"
    detector = FrozenFeatures(encoder, score=score, random_state=0).fit(x)
    detector.export_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    raw = x.astype(np.float32 if kind == "images" else np.float64)
    (given, _) = session.run(None, {"x": raw})
    # A sample's distance to itself is 0 but for rounding.
    new = detector.anomaly_score(x)
    np.testing.assert_allclose(given, new, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("score", SCORES)
def test_the_threshold_is_for_samples_that_are_not_kept(score):
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(400, 4)), rng.normal(size=(400, 4))
    detector = FrozenFeatures(score=score, random_state=0).fit(x)
    flagged = (detector.predict(new) < 0).mean()
    assert 0.04 < flagged < 0.2  # contamination is 0.1


def test_features_of_a_network_that_learned_something_else(images):
    autoencoder = build_autoencoder("mnist_LeNet", (1, 12, 12))
    detector = FrozenFeatures(autoencoder.encoder, "output", "density").fit(images)
    assert detector.anomaly_score(images).shape == (len(images),)
    assert detector.preprocessor_.method == "gcn_l1"
    whole = FrozenFeatures(autoencoder, "output", "density").fit(images)
    np.testing.assert_array_equal(
        whole.anomaly_score(images), detector.anomaly_score(images)
    )


def test_networks_of_torchvision_get_what_their_weights_expect(images):
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    detector = FrozenFeatures(models.resnet18(), side=32).fit(images[:20])
    assert detector.preprocessor_.method == "minmax"
    features = detector.members_[0].encoder.features_of
    assert features.normalization == "imagenet"
    assert detector.members_[0].encoder.rows.shape == (20, 512)


def test_what_deep_svdd_can_do_it_can(network, images):
    detector = FrozenFeatures(network).fit(images)
    held_out, new = make_images(seed=1), make_images(n=5, seed=2)
    p = detector.calibrate(held_out).p_values(new)
    assert ((p > 0) & (p <= 1)).all()
    assert detector.explain(images[:2], method="gradients").shape == (2, 12, 12)


class NoPool(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 12)

    def forward(self, x):
        return self.conv(x).flatten(1)


class Decides(NoPool):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"network": NoPool()}, "layer must name one of the network's, or be 'output'"),
        ({"layer": "fcc"}, "layer must be 'auto', 'output' or one of conv, norm, pool"),
        ({"network": Decides(), "layer": "conv"}, "layer must be 'output' for Decides"),
        ({"layer": ""}, "layer must be 'auto', 'output' or a layer's name; got ''"),
        ({"score": "far"}, "score must be one of"),
        ({"n_neighbors": 0}, "n_neighbors must be a whole number from 1 on; got 0"),
        ({"side": 0}, "side must be None or a whole number from 1 on; got 0"),
        ({"normalization": "mean"}, "normalization must be one of"),
        ({"network": "resnet"}, "network must be 'auto', a module or one of"),
        ({"network": Pooled(5)}, "network must take float32 batches"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(settings, told, network, images):
    with pytest.raises(ValueError, match=told):
        FrozenFeatures(**({"network": network} | settings)).fit(
            np.stack([images] * 3, 1)
        )


def test_vectors_have_no_side():
    with pytest.raises(ValueError, match="side must be None for vectors; got 8"):
        FrozenFeatures(side=8).fit(make_vectors())
