"""Model files: the same scores after a round trip, and no damage goes unnoticed."""

import errno
import json
import os
import pickle
import struct
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import nn

from deepsvdd import Autoencoder, DeepSVDD, ModelFileError, Phase, Recipe
from deepsvdd.classifiers import Classifier
from deepsvdd.persistence import read_model, read_model_tar, write_model

pytestmark = pytest.mark.usefixtures("one_thread")

STEP = Phase(n_epochs=1, batch_size=16, lr_milestones=(1,))
SHORT = Recipe(pretraining=STEP, training=STEP, warm_up_epochs=0, radius_every=1)


def make_images(n=30, shape=(12, 12), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def short(**parameters):
    return DeepSVDD(**({"recipe": SHORT, "random_state": 0} | parameters))


class Tiny(nn.Module):
    """A custom network of so few weights that every byte of its file can be damaged."""

    def __init__(self, width=2):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.head = nn.Linear(4, width, bias=False)

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.norm(x), 2).flatten(1))


CASES = {
    "one-class": ({}, (12, 12)),
    "soft-boundary": ({"objective": "soft-boundary", "nu": 0.2}, (12, 12)),
    "ensemble": ({"n_members": 3}, (12, 12)),
    "mlp": ({}, (7,)),
    "mlp on images": ({"network": "mlp", "preprocessing": "gcn_l2"}, (12, 12)),
    "custom": ({"network": Tiny(), "pretrain": False}, (12, 12)),
    "ELU": ({"network": "cifar10_LeNet_ELU"}, (3, 8, 8)),
    "no preprocessing": ({"preprocessing": "none"}, (5,)),
}


@pytest.fixture(scope="module", params=CASES, ids=CASES)
def fitted(request):
    parameters, shape = CASES[request.param]
    x = make_images(shape=shape)
    x = x / 255 if len(shape) == 1 else x
    return short(**parameters).fit(x), x


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The path of a small model file, its bytes, and the detector."""
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    detector = short(network=Tiny(), pretrain=False).fit(make_images())
    detector.save(path)
    return path, path.read_bytes(), detector


def network_of(detector):
    return Tiny() if detector.network_ == "custom" else None


# -------------------------------------------------------------------------- round trip


def test_a_loaded_model_is_the_saved_one(fitted, tmp_path):
    detector, x = fitted
    path = tmp_path / "deep" / "er" / "model.safetensors"
    detector.save(path)
    loaded = DeepSVDD.load(path, network=network_of(detector))
    for method in ("anomaly_score", "predict", "decision_function", "represent"):
        ours, theirs = getattr(loaded, method)(x), getattr(detector, method)(x)
        np.testing.assert_array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype
    assert loaded.threshold_ == detector.threshold_
    assert loaded.offset_ == detector.offset_
    assert loaded.input_shape_ == detector.input_shape_
    assert loaded.n_features_in_ == detector.n_features_in_
    assert loaded.network_ == detector.network_
    assert loaded.recipe_ == detector.recipe_
    assert loaded.preprocessor_.method == detector.preprocessor_.method
    for one, other in zip(loaded.members_, detector.members_, strict=True):
        assert torch.equal(one.center, other.center)
        assert one.center.dtype == other.center.dtype
        assert (one.radius, one.mean_distance) == (other.radius, other.mean_distance)
        assert one.history == other.history
        assert one.collapsed == other.collapsed
        assert not one.encoder.training
    assert os.listdir(path.parent) == ["model.safetensors"]


def test_saving_a_loaded_model_gives_the_same_content(fitted, tmp_path):
    detector, _ = fitted
    detector.save(tmp_path / "a")
    loaded = DeepSVDD.load(tmp_path / "a", network=network_of(detector))
    loaded.save(tmp_path / "b")
    (tensors, metadata), (same_tensors, same_metadata) = (
        read_model(tmp_path / name) for name in "ab"
    )
    assert metadata == same_metadata
    assert tensors.keys() == same_tensors.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == same_tensors[name].dtype
        assert torch.equal(tensor, same_tensors[name])


def test_vectors_are_in_double_precision(tmp_path):
    x = make_images(shape=(7,)) / 255
    detector = short().fit(x)
    detector.save(tmp_path / "m")
    tensors = load_file(tmp_path / "m")
    floats = {t.dtype for t in tensors.values() if t.is_floating_point()}
    assert floats == {torch.float64}


def test_a_loaded_model_can_be_trained_on(model, tmp_path):
    x = make_images()
    detector = short().fit(x)
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m").set_params(warm_start=True, pretrain=False)
    scores = loaded.anomaly_score(x)
    center = loaded.members_[0].center.clone()
    loaded.fit(x)
    assert torch.equal(loaded.members_[0].center, center)
    assert not np.array_equal(loaded.anomaly_score(x), scores)


def test_a_loaded_model_trains_anew_to_the_same_bits(tmp_path):
    x = make_images()
    detector = short(objective="soft-boundary").fit(x)
    detector.save(tmp_path / "m")
    again = DeepSVDD.load(tmp_path / "m").fit(x)
    np.testing.assert_array_equal(again.anomaly_score(x), detector.anomaly_score(x))


def test_parameters_come_back(tmp_path):
    parameters = {
        "objective": "soft-boundary",
        "nu": 0.3,
        "n_members": 2,
        "preprocessing": "gcn_l2",
        "contamination": 0.2,
        "random_state": 7,
        "allow_collapse": True,
        "recipe": SHORT,
    }
    detector = DeepSVDD(**parameters).fit(make_images())
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m").get_params()
    assert {name: loaded[name] for name in parameters} == parameters
    assert loaded["network"] == "mnist_LeNet"  # what "auto" was
    assert loaded["recipe"].training.lr_milestones == (1,)


@pytest.mark.parametrize(
    "parameters",
    [
        {"nu": np.float32(0.25)},
        {"n_members": np.int64(2)},
        {"threshold": np.float32(1)},
        {"contamination": Fraction(1, 4)},
        {"recipe": Recipe(pretraining=STEP, training=Phase(n_epochs=np.int64(1)))},
    ],
    ids=lambda p: next(iter(p)),
)
def test_parameters_that_are_no_numbers_of_json_can_be_saved(parameters, tmp_path):
    x = make_images(shape=(5,))
    detector = short(**parameters).fit(x)
    detector.save(tmp_path / "m")
    loaded = DeepSVDD.load(tmp_path / "m")
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


@pytest.mark.parametrize("seed", [None, np.random.RandomState(3), np.int64(3)])
def test_any_random_state_can_be_saved(seed, tmp_path):
    detector = short(random_state=seed).fit(make_images(shape=(5,)))
    detector.save(tmp_path / "m")
    expected = 3 if isinstance(seed, np.int64) else None
    assert DeepSVDD.load(tmp_path / "m").random_state == expected


def test_scores_are_the_same_in_another_process(tmp_path):
    x = make_images()
    detector = short().fit(x)
    detector.save(tmp_path / "m")
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np; from deepsvdd import DeepSVDD;"
        "m, x, out = sys.argv[1:];"
        "np.save(out, DeepSVDD.load(m).anomaly_score(np.load(x)))"
    )
    files = [str(tmp_path / name) for name in ("m", "x.npy", "s.npy")]
    subprocess.run([sys.executable, "-c", code, *files], check=True, timeout=100)
    scores = np.load(tmp_path / "s.npy")
    np.testing.assert_allclose(scores, detector.anomaly_score(x), rtol=1e-6)


def test_device_is_not_carried_along(model):
    path, _, _ = model
    assert DeepSVDD.load(path, network=Tiny()).device == "auto"
    assert DeepSVDD.load(path, network=Tiny(), device="cpu").device == "cpu"
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="'cpu' or 'auto'"):
            DeepSVDD.load(path, network=Tiny(), device="cuda")


# --------------------------------------------------------------------- custom networks


def test_a_custom_network_must_be_given(model):
    path, _, _ = model
    with pytest.raises(ModelFileError, match="network="):
        DeepSVDD.load(path)


@pytest.mark.parametrize("other", [Tiny(3), nn.Linear(3, 2), nn.Flatten()])
def test_a_custom_network_that_does_not_fit(model, other):
    path, _, _ = model
    with pytest.raises(ModelFileError, match="do not fit the network"):
        DeepSVDD.load(path, network=other)


def test_the_given_network_is_copied(model):
    path, _, detector = model
    network = Tiny()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loaded = DeepSVDD.load(path, network=network)
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name])
    x = make_images(seed=1)
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


def test_a_custom_autoencoder_may_be_given_whole(model):
    path, _, detector = model
    whole = Autoencoder(Tiny(), nn.Identity())
    loaded = DeepSVDD.load(path, network=whole)
    x = make_images(seed=1)
    np.testing.assert_array_equal(loaded.anomaly_score(x), detector.anomaly_score(x))


# ------------------------------------------------------------------------ the metadata


def header_of(content):
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


def test_the_metadata_is_plain_json_with_what_was_promised(tmp_path):
    detector = short(objective="soft-boundary", n_members=2).fit(make_images())
    detector.save(tmp_path / "m")
    header = header_of((tmp_path / "m").read_bytes())["__metadata__"]
    assert header["format"] == "deepsvdd-model"
    assert header["format_version"] == "1"
    assert len(header["sha256"]) == 64
    metadata = json.loads(header["metadata"], parse_constant=pytest.fail)
    assert set(metadata) >= {
        *("parameters", "input_shape", "preprocessing", "threshold"),
        *("members", "versions"),
    }
    assert set(metadata["parameters"]) == set(detector.get_params(deep=False))
    assert metadata["parameters"]["random_state"] == 0
    assert metadata["parameters"]["recipe"]["training"]["lr_milestones"] == [1]
    assert metadata["input_shape"] == [1, 12, 12]
    assert metadata["preprocessing"] == "gcn_l1"
    assert metadata["threshold"] == detector.threshold_
    assert len(metadata["members"]) == 2
    for entry, member in zip(metadata["members"], detector.members_, strict=True):
        assert entry["radius"] == member.radius
        assert entry["mean_distance"] == member.mean_distance
        assert entry["collapsed"] is False
        assert entry["history"] == member.history
    assert metadata["versions"]["torch"] == torch.__version__
    assert set(metadata["versions"]) >= {"deepsvdd", "torch", "numpy", "python"}


def test_the_extrema_are_tensors_of_the_file(tmp_path):
    detector = short().fit(make_images())
    detector.save(tmp_path / "m")
    tensors = load_file(tmp_path / "m")
    assert tensors["preprocessor.minimum"] == detector.preprocessor_.minimum
    assert tensors["preprocessor.maximum"] == detector.preprocessor_.maximum
    assert tensors["members.0.center"].shape == (32,)


# ------------------------------------------------------------------------------ damage


def damaged(tmp_path, content):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    return path


def refused(path):
    """The one error that damage may give, in one line, with the file's name."""
    with pytest.raises(ModelFileError) as raised:
        read_model(path)
    message = str(raised.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_truncated(model, tmp_path, share):
    _, content, _ = model
    message = refused(damaged(tmp_path, content[: int(share * len(content))]))
    assert "truncated" in message


@pytest.mark.parametrize("lost", [1, 2, 4, 8])
def test_the_last_bytes_are_missing(model, tmp_path, lost):
    _, content, _ = model
    refused(damaged(tmp_path, content[:-lost]))


@pytest.mark.parametrize("more", [b"\0", b"extra", b"\0" * 4096])
def test_something_is_appended(model, tmp_path, more):
    _, content, _ = model
    refused(damaged(tmp_path, content + more))


def is_padding(content, position):
    """Safetensors fills its header up with spaces; JSON has no meaning for them."""
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length]
    return len(header.rstrip(b" ")) <= position - 8 < length


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
def test_no_flipped_byte_goes_unnoticed(model, tmp_path, mask):
    """Length, names, types, offsets, metadata, checksum, tensors."""
    _, content, _ = model
    path = tmp_path / "damaged.safetensors"
    unnoticed = []
    for position in range(0, len(content), 1 if mask == 0x01 else 7):
        if is_padding(content, position):
            continue
        changed = bytearray(content)
        changed[position] ^= mask
        path.write_bytes(changed)
        try:
            read_model(path)
        except ModelFileError:
            continue
        unnoticed.append(position)
    assert not unnoticed


def test_zeroed_blocks(model, tmp_path):
    """As a power cut leaves them."""
    _, content, _ = model
    for start in range(0, len(content), 512):
        block = content[start : start + 512]
        changed = content[:start] + bytes(len(block)) + content[start + 512 :]
        refused(damaged(tmp_path, changed))


def test_two_tensors_swapped(model, tmp_path):
    path, _, _ = model
    tensors = load_file(path)
    low, high = "preprocessor.minimum", "preprocessor.maximum"
    tensors[low], tensors[high] = tensors[high].clone(), tensors[low].clone()
    changed = damaged(tmp_path, b"")
    save_file(tensors, changed, metadata=header_of(path.read_bytes())["__metadata__"])
    assert "altered or damaged" in refused(changed)


def test_edited_metadata(model, tmp_path):
    path, content, _ = model
    header = header_of(content)["__metadata__"]
    header["metadata"] = header["metadata"].replace('"threshold": ', '"threshold": 1')
    changed = damaged(tmp_path, b"")
    save_file(load_file(path), changed, metadata=header)
    message = refused(changed)
    assert "SHA-256" in message
    assert "restore" in message


def test_foreign_safetensors(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(3)}, path)
    assert "not one of a deepsvdd model" in refused(path)
    save_file({"weight": torch.ones(3)}, path, metadata={"format": "pt"})
    assert "not one of a deepsvdd model" in refused(path)
    save_file({"weight": torch.ones(3).bfloat16()}, path, metadata={"format": "pt"})
    refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\0" * 8, b"\0" * 100, b"\xff" * 100, b"not a model\n" * 50],
    ids=["empty", "a zero", "8 zeros", "100 zeros", "ones", "text"],
)
def test_not_a_model_at_all(tmp_path, content):
    assert "no deepsvdd model" in refused(damaged(tmp_path, content))


class Evil:
    """Unpickling it leaves a trace."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    trace = tmp_path / "trace"
    refused(damaged(tmp_path, pickle.dumps(Evil(trace))))
    torch.save(Evil(trace), tmp_path / "evil.safetensors")
    refused(tmp_path / "evil.safetensors")
    assert not trace.exists()


@pytest.mark.parametrize("version", ["2", "10", "0", ""])
def test_another_format_version(model, tmp_path, version):
    path, content, _ = model
    header = header_of(content)["__metadata__"] | {"format_version": version}
    changed = damaged(tmp_path, b"")
    save_file(load_file(path), changed, metadata=header)
    message = refused(changed)
    assert "format" in message
    assert "upgrade" in message


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_no_file(tmp_path, what):
    path = tmp_path / "there"
    if what == "folder":
        path.mkdir()
    for read in (DeepSVDD.load, read_model, read_model_tar):
        with pytest.raises(FileNotFoundError, match="there"):
            read(path)


def test_load_takes_strings_and_paths(model):
    path, _, _ = model
    for same in (path, str(path)):
        assert DeepSVDD.load(same, network=Tiny()).network_ == "custom"


# ------------------------------------------------------------- writing goes wrong

FAILURES = [
    (errno.ENOSPC, "no space left"),
    (errno.EACCES, "permission denied"),
    (errno.EROFS, "read-only"),
]


@pytest.mark.parametrize(("number", "words"), FAILURES)
@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_model_and_no_litter(
    tmp_path, monkeypatch, number, words, function
):
    x = make_images()
    path = tmp_path / "model.safetensors"
    old = short().fit(x)
    old.save(path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    def fail_halfway(self, content):
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        fail()

    with monkeypatch.context() as patch:
        if function == "write":
            patch.setattr("pathlib.Path.write_bytes", fail_halfway)
        else:
            patch.setattr(f"os.{function}", fail)
        with pytest.raises(OSError, match=words) as raised:
            short(random_state=1).fit(x).save(path)
    assert raised.value.errno == number
    assert "model.safetensors" in str(raised.value)
    assert "choose another folder" in str(raised.value) or "may write" in str(
        raised.value
    )
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]
    np.testing.assert_array_equal(
        DeepSVDD.load(path).anomaly_score(x), old.anomaly_score(x)
    )


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder(tmp_path, model):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OSError, match=r"permission denied.*may write"):
        model[2].save(folder / "model.safetensors")
    folder.chmod(0o700)
    assert not any(folder.iterdir())


def test_a_folder_in_the_place_of_the_file(tmp_path, model):
    with pytest.raises(OSError, match="not a regular file"):
        model[2].save(tmp_path)


def test_write_and_read_are_inverse(tmp_path):
    tensors = {
        "a": torch.arange(6).reshape(2, 3).T,  # not contiguous
        "b": torch.tensor(1.5),
        "c": torch.zeros(0, 3, dtype=torch.float64),
    }
    tensors["shared"] = tensors["a"]
    metadata = {"ν": [1, 2.5, None, True], "nested": {"text": 'quotes " and \\'}}
    write_model(tmp_path / "m", tensors, metadata)
    read, same = read_model(tmp_path / "m")
    assert same == metadata
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype


# ---------------------------------------------------- model.tar of the authors' code


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
    ):
        torch.save(wrong, path)
        with pytest.raises(ModelFileError, match="R, c, net_dict"):
            read_model_tar(path)


@pytest.mark.parametrize("length", [1, 31, 33])
def test_a_center_of_the_wrong_length_is_refused(tmp_path, length):
    """A center of one number would even be broadcast in silence."""
    their_file(tmp_path / "model.tar", their_model(TheirMNIST), c=[0.1] * length)
    with pytest.raises(ModelFileError, match=r"center|\bc\b"):
        DeepSVDD.from_model_tar(tmp_path / "model.tar", make_images(4, (28, 28)))


def test_a_classifier_is_no_detector(tmp_path):
    Classifier((1, 8, 8), 2).save(tmp_path / "c.safetensors")
    assert "holds a model, but no detector" in refused(tmp_path / "c.safetensors")


def test_models_of_the_two_kinds_are_not_mixed_up(tmp_path, model):
    their_file(tmp_path / "model.tar", their_model(TheirMNIST))
    with pytest.raises(ModelFileError, match=r"model\.tar"):
        DeepSVDD.load(tmp_path / "model.tar")
    path, _, _ = model
    with pytest.raises(ModelFileError, match=r"model\.tar"):
        DeepSVDD.from_model_tar(path, make_images(4, (28, 28)))
