"""The authors' model.tar: their scores, and nothing else is taken for one."""

import pickle
from math import nan

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepsvdd import DeepSVDD, ModelFileError
from deepsvdd.core.model_tar import read_model_tar
from tests.toys import Evil, make_images

pytestmark = pytest.mark.usefixtures("one_thread")


class TheirMNIST(nn.Module):
    """The layers and names of the authors' MNIST network, written anew."""

    sizes = (8, 4)
    norm_name = "bn"
    final = 4 * 7 * 7
    rep_dim = 32

    def __init__(self):
        super().__init__()
        channels = self.channels
        for i, size in enumerate(self.sizes, start=1):
            conv = nn.Conv2d(channels, size, 5, padding=2, bias=False)
            norm = nn.BatchNorm2d(size, eps=1e-4, affine=False)
            setattr(self, f"conv{i}", conv)
            setattr(self, f"{self.norm_name}{i}", norm)
            channels = size
        self.fc1 = nn.Linear(self.final, self.rep_dim, bias=False)

    channels = 1
    activation = staticmethod(F.leaky_relu)

    def forward(self, x):
        for i in range(1, len(self.sizes) + 1):
            x = getattr(self, f"{self.norm_name}{i}")(getattr(self, f"conv{i}")(x))
            x = F.max_pool2d(self.activation(x), 2)
        return self.fc1(x.flatten(1))


class TheirCIFAR10(TheirMNIST):
    """The same for CIFAR-10."""

    sizes = (32, 64, 128)
    norm_name = "bn2d"
    final = 128 * 4 * 4
    rep_dim = 128
    channels = 3


class TheirELU(TheirCIFAR10):
    """The ELU variant has the same names."""

    activation = staticmethod(F.elu)


def their_model(network, seed=0):
    """Weights and running statistics that are not those of a fresh network."""
    torch.manual_seed(seed)
    net = network()
    net.train()
    with torch.no_grad():
        for _ in range(3):
            side = 28 if network is TheirMNIST else 32
            net(torch.rand(16, network.channels, side, side) * 2)
    return net.eval()


def their_file(path, net, radius=0.0, **changes):
    center = torch.linspace(-1, 1, net.rep_dim).tolist()  # a list, as theirs
    content = {
        "R": radius,
        "c": center,
        "net_dict": net.state_dict(),
        "ae_net_dict": {"conv1.weight": net.conv1.weight.detach()},
    }
    torch.save(content | changes, path)
    return center


def their_scores(net, center, x, radius):
    """Their preprocessing and score, one image at a time."""
    images = []
    for image in x.astype(np.float64) / 255:
        image = image - image.mean()
        images.append(image / np.abs(image).mean())
    images = np.stack(images)
    images = (images - images.min()) / (images.max() - images.min())
    with torch.no_grad():
        z = net(torch.from_numpy(images).float())
    return ((z - torch.tensor(center)) ** 2).sum(dim=1).numpy() - radius**2


@pytest.mark.parametrize(
    ("network", "name", "side"),
    [
        (TheirMNIST, "mnist_LeNet", 28),
        (TheirCIFAR10, "cifar10_LeNet", 32),
        (TheirELU, "cifar10_LeNet_ELU", 32),
    ],
)
@pytest.mark.parametrize("radius", [0.0, 0.75])
def test_the_authors_model_gives_the_authors_scores(
    tmp_path, network, name, side, radius
):
    net = their_model(network)
    x = make_images(20, (network.channels, side, side))
    center = their_file(tmp_path / "model.tar", net, radius)
    given = {"network": name} if name.endswith("ELU") else {}
    detector = DeepSVDD.from_model_tar(tmp_path / "model.tar", x, **given)
    assert detector.network_ == name
    assert detector.objective == ("soft-boundary" if radius else "one-class")
    expected = their_scores(net, center, x, radius)
    np.testing.assert_allclose(detector.anomaly_score(x), expected, rtol=1e-4)
    assert (detector.predict(x) == -1).sum() == 2  # nu = 0.1 of 20

    detector.save(tmp_path / "ours.safetensors")
    loaded = DeepSVDD.load(tmp_path / "ours.safetensors")
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


def test_parameters_for_the_authors_model(tmp_path):
    x = make_images(20, (28, 28))
    their_file(tmp_path / "model.tar", their_model(TheirMNIST))
    load = DeepSVDD.from_model_tar
    detector = load(tmp_path / "model.tar", x, contamination=0.5)
    assert (detector.predict(x) == -1).sum() == 10
    assert load(tmp_path / "model.tar", x, threshold=3).threshold_ == 3
    with pytest.raises(ValueError, match="nu must be"):
        load(tmp_path / "model.tar", x, nu=2)


@pytest.mark.parametrize("shape", [(32, 32), (1, 24, 24), (3, 28, 28)])
def test_the_authors_model_with_images_of_another_shape(tmp_path, shape):
    their_file(tmp_path / "model.tar", their_model(TheirMNIST))
    with pytest.raises(ModelFileError, match=r"do not fit.*shape \("):
        DeepSVDD.from_model_tar(tmp_path / "model.tar", make_images(4, shape))


def test_the_authors_model_as_another_network(tmp_path):
    their_file(tmp_path / "model.tar", their_model(TheirMNIST))
    with pytest.raises(ModelFileError, match="do not fit"):
        DeepSVDD.from_model_tar(
            tmp_path / "model.tar", make_images(4, (28, 28)), network="mlp"
        )


def test_a_malicious_model_tar_is_refused_and_not_executed(tmp_path):
    trace = tmp_path / "trace"
    net = their_model(TheirMNIST)
    for changes in (
        {"ae_net_dict": Evil(trace)},
        {"R": Evil(trace)},
        {"net_dict": Evil(trace)},
    ):
        their_file(tmp_path / "model.tar", net, **changes)
        with pytest.raises(ModelFileError, match=r"model.tar"):
            DeepSVDD.from_model_tar(tmp_path / "model.tar", make_images(4, (28, 28)))
        assert not trace.exists()
    (tmp_path / "old.tar").write_bytes(pickle.dumps(Evil(trace)))
    with pytest.raises(ModelFileError):
        read_model_tar(tmp_path / "old.tar")
    assert not trace.exists()
    torch.load(tmp_path / "model.tar", weights_only=False)  # the attack is a real one
    assert trace.exists()


def test_other_things_called_model_tar(tmp_path, model):
    path = tmp_path / "model.tar"
    net = their_model(TheirMNIST)
    their_file(path, net)
    content = path.read_bytes()
    state = net.state_dict()
    wide = state | {"conv1.weight": torch.zeros(16, 3, 5, 5)}  # a network of theirs
    for wrong in (
        b"",
        content[: len(content) // 2],
        content[100:],
        model[1],
        b"hello",
    ):
        path.write_bytes(wrong)
        with pytest.raises(ModelFileError, match="R, c, net_dict"):
            read_model_tar(path)
    for wrong in (
        [1, 2],
        {"R": 0.0, "net_dict": state},
        {"c": [0.0], "net_dict": state},
        {"R": 0.0, "c": [0.0]},
        {"R": 0.0, "c": "center", "net_dict": state},
        {"R": None, "c": [0.0], "net_dict": state},
        {"R": 0.0, "c": [0.0], "net_dict": {}},
        {"R": 0.0, "c": [0.0], "net_dict": wide},
        {"R": float("nan"), "c": [0.0], "net_dict": state},
        {"R": -1.0, "c": [0.0], "net_dict": state},
        {"R": 0.0, "c": [float("nan")], "net_dict": state},
        {"R": 0.0, "c": [[0.0]], "net_dict": state},
        {"R": 0.0, "c": [0.0], "net_dict": state | {3: torch.zeros(2)}},
        {"R": 0.0, "c": [0.0], "net_dict": state | {"conv1.weight": 3}},
        {"R": 0.0, "c": [0.0], "net_dict": state | {"fc1.weight": torch.tensor(nan)}},
    ):
        torch.save(wrong, path)
        with pytest.raises(ModelFileError, match="R, c, net_dict") as raised:
            read_model_tar(path)
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 300 + len(str(path))


@pytest.mark.parametrize("length", [1, 31, 33])
def test_a_center_of_the_wrong_length_is_refused(tmp_path, length):
    """A center of one number would even be broadcast in silence."""
    their_file(tmp_path / "model.tar", their_model(TheirMNIST), c=[0.1] * length)
    with pytest.raises(ModelFileError, match=r"center|\bc\b"):
        DeepSVDD.from_model_tar(tmp_path / "model.tar", make_images(4, (28, 28)))


def test_models_of_the_two_kinds_are_not_mixed_up(tmp_path, model):
    their_file(tmp_path / "model.tar", their_model(TheirMNIST))
    with pytest.raises(ModelFileError, match=r"model\.tar"):
        DeepSVDD.load(tmp_path / "model.tar")
    path, _, _ = model
    with pytest.raises(ModelFileError, match=r"model\.tar"):
        DeepSVDD.from_model_tar(path, make_images(4, (28, 28)))
