"""Model files from elsewhere: each fault is a sentence that names file and field."""

import copy
import json
import math

import numpy as np
import pytest
import torch
from safetensors.torch import save

from deepsvdd import DeepSVDD, ModelFileError
from deepsvdd.core._engine.model_format import checksum, read_model
from deepsvdd.core.model_schema import misfit
from deepsvdd.version import __version__
from tests.cli import fails, invoke, succeeds
from tests.toys import Flat, Tiny, make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")

LATER = "9.0.0"


@pytest.fixture(scope="module")
def parts(tmp_path_factory, one_thread):
    """Tensors and metadata of a good file, and images."""
    path = tmp_path_factory.mktemp("good") / "good.safetensors"
    x = make_images()
    short().fit(x).save(path)
    return (*read_model(path), x)


def forged(folder, parts, change):
    """Write a file that is whole as far as its checksum can tell."""
    tensors, metadata = dict(parts[0]), copy.deepcopy(parts[1])
    metadata = change(tensors, metadata) or metadata
    text = metadata if isinstance(metadata, str) else json.dumps(metadata)
    header = {"format": "deepsvdd-model", "format_version": "1", "metadata": text}
    header["sha256"] = checksum(tensors, text)
    path = folder / "forged.safetensors"
    path.write_bytes(save(tensors, header))
    return path


def put(*place, value):
    """Set a field of the metadata."""

    def change(tensors, metadata):
        target = metadata
        for name in place[:-1]:
            target = target[name]
        target[place[-1]] = value

    return change


def without(name):
    return lambda tensors, metadata: metadata.pop(name) and None


def tensor(name, value):
    def change(tensors, metadata):
        tensors[name] = value(tensors.get(name))

    return change


def no_extrema(tensors, metadata):
    for name in ("minimum", "maximum"):
        del tensors[f"preprocessor.{name}"]


def reversed_extrema(tensors, metadata):
    low, high = "preprocessor.minimum", "preprocessor.maximum"
    tensors[low], tensors[high] = tensors[high], tensors[low]


def doubled(tensors, metadata):
    metadata["members"] *= 2


def by_a_later_version(*place):
    def change(tensors, metadata):
        metadata["versions"]["deepsvdd"] = LATER
        put(*place, "new_option", value=0.5)(tensors, metadata)

    return change


def calibrated(change=None, **tensors_):
    """Add a calibration of three samples, and change something about it."""

    def add(tensors, metadata):
        metadata["n_calibration"] = 3
        tensors["calibration.scores"] = torch.tensor([0.0, 1, 2], dtype=torch.float64)
        tensors["calibration.hashes"] = torch.tensor([-5, 0, 9])
        tensors.update({f"calibration.{k}": v for k, v in tensors_.items()})
        if change:
            change(tensors, metadata)

    return add


CENTER, HEAD = "members.0.center", "members.0.encoder.head.weight"
LOW = "preprocessor.minimum"
NAN = math.nan
# What was done to the file → what the sentence must say.
FAULTS = {
    "baseline other": (
        tensor("training.typical", lambda t: t[:, :3]),
        "training.typical must be of shape",
    ),
    "no parameters": (without("parameters"), "parameters is missing"),
    "no shape": (without("input_shape"), "input_shape is missing"),
    "no preprocessing": (without("preprocessing"), "preprocessing is missing"),
    "no threshold": (without("threshold"), "threshold is missing"),
    "no members": (without("members"), "members is missing"),
    "no versions": (without("versions"), "versions is missing"),
    "metadata a list": (lambda t, m: "[1]", "its metadata must be an object"),
    "metadata no JSON": (lambda t, m: "{", "its metadata must be an object"),
    "metadata nested": (lambda t, m: "[" * 99999, "its metadata must be an object"),
    "parameters a list": (put("parameters", value=[1]), "parameters must be an object"),
    "versions text": (put("versions", value="1"), "versions must be an object"),
    "members empty": (put("members", value=[]), "members must be a list of at least"),
    "members an object": (put("members", value={}), "members must be a list"),
    "a member a number": (put("members", 0, value=3), "members.0 must be an object"),
    "2 members": (doubled, "the tensor members.1.center is missing"),
    "threshold null": (put("threshold", value=None), "threshold must be a finite"),
    "threshold text": (put("threshold", value="1"), "threshold must be a finite"),
    "threshold true": (put("threshold", value=True), "threshold must be a finite"),
    "threshold NaN": (put("threshold", value=NAN), "threshold must be a finite"),
    "radius NaN": (put("members", 0, "radius", value=NAN), "members.0.radius must be"),
    "radius -1": (put("members", 0, "radius", value=-1), "members.0.radius must be"),
    "unit 0": (put("members", 0, "mean_distance", value=0), "mean_distance must be"),
    "collapsed 3": (put("members", 0, "collapsed", value=3), "collapsed must be true"),
    "history text": (put("members", 0, "history", value="a"), "history must be an"),
    "names": (put("feature_names", value=["a"]), "feature_names must be null or"),
    "shape other": (put("input_shape", value=[1, 16, 16]), "encoder.head.weight must"),
    "shape huge": (
        put("input_shape", value=[1, 10**9, 10**9]),
        "input_shape must be one",
    ),
    "shape negative": (put("input_shape", value=[1, -12, 12]), "input_shape must be"),
    "shape text": (put("input_shape", value="1"), "input_shape must be"),
    "shape of 2": (put("input_shape", value=[12, 12]), "input_shape must be"),
    "shape float": (put("input_shape", value=[1, 12.5, 12]), "input_shape must be"),
    "other network": (
        put("parameters", "network", value="cifar10_LeNet"),
        "do not fit the network 'cifar10_LeNet'",
    ),
    "nu 7": (put("parameters", "nu", value=7), "parameters: nu must be a number"),
    "folder": (
        put("parameters", "checkpoint_dir", value="/"),
        "parameters.checkpoint_dir must be null",
    ),
    "epochs -1": (
        put("parameters", "recipe", "training", "n_epochs", value=-1),
        "parameters: n_epochs must be a whole number",
    ),
    "milestones 3": (
        put("parameters", "recipe", "training", "lr_milestones", value=3),
        "lr_milestones must be a list",
    ),
    "no extrema": (no_extrema, f"the tensor {LOW} is missing"),
    "extrema 3x3": (tensor(LOW, lambda t: torch.zeros(3, 3)), f"{LOW} must be of sh"),
    "reversed": (reversed_extrema, "maximum must not be below preprocessor.minimum"),
    "extrema inf": (tensor(LOW, lambda t: t - math.inf), f"{LOW} must hold finite"),
    "center of 7": (tensor(CENTER, lambda t: t[:7].clone()), f"{CENTER} must be of s"),
    "center NaN": (tensor(CENTER, lambda t: t * NAN), f"{CENTER} must hold finite"),
    "center bf16": (tensor(CENTER, torch.Tensor.bfloat16), f"{CENTER} must be of type"),
    "center half": (tensor(CENTER, torch.Tensor.half), f"{CENTER} must be of type"),
    "a foreign estimator": (
        put("estimator", value="DeepX"),
        "estimator must be one of DeepSVDD, DeepSAD, FCDD, GEOM, GOAD, DROCC, HSC, "
        "FrozenFeatures; got 'DeepX'",
    ),
    "estimator a list": (put("estimator", value=["a"]), "estimator must be one of"),
    "labels a number": (put("labels", value=3), "labels must be null or whole"),
    "labels -1": (
        put("labels", value={"normal": 0, "anomaly": -1, "unlabeled": 5}),
        "labels must be null or whole numbers of normal, anomaly, unlabeled",
    ),
    "calibration text": (put("n_calibration", value="3"), "n_calibration must be a"),
    "calibration lost": (
        put("n_calibration", value=3),
        "calibration.scores must be there with n_calibration above 0, and only then",
    ),
    "calibration of 4": (
        calibrated(put("n_calibration", value=4)),
        "calibration.scores must be of shape (4,); got (3,)",
    ),
    "calibration unsorted": (
        calibrated(scores=torch.tensor([0.0, 2, 1], dtype=torch.float64)),
        "calibration.scores must hold finite numbers that ascend",
    ),
    "calibration NaN": (
        calibrated(scores=torch.tensor([0, 1, NAN], dtype=torch.float64)),
        "calibration.scores must hold finite numbers that ascend",
    ),
    "calibration float32": (
        calibrated(scores=torch.tensor([0.0, 1, 2])),
        "calibration.scores must be of type float64; got 'float32'",
    ),
    "hashes of 2": (
        calibrated(hashes=torch.tensor([1, 2])),
        "calibration.hashes must be of shape (3,)",
    ),
    "hashes of floats": (
        tensor("training.hashes", lambda t: t.double()),
        "training.hashes must be of type int64",
    ),
    "hashes of a matrix": (
        tensor("training.hashes", lambda t: t[:, None].clone()),
        "training.hashes must be of shape (n,)",
    ),
    "center int": (tensor(CENTER, torch.Tensor.long), f"{CENTER} must be of type"),
    "weights int": (tensor(HEAD, torch.Tensor.long), "head.weight must be of type flo"),
    "weights NaN": (tensor(HEAD, lambda t: t * NAN), f"{HEAD} must hold finite"),
    "weights of 3": (tensor(HEAD, lambda t: t[:3].clone()), "head.weight must have sh"),
    "a foreign weight": (
        tensor("members.0.encoder.extra", lambda t: torch.zeros(3)),
        "extra is none of its weights",
    ),
}
# … and here, that it may be of a later version.
LATER_FIELDS = {
    "parameter": (by_a_later_version("parameters"), "parameters.new_option"),
    "recipe": (by_a_later_version("parameters", "recipe"), "recipe.new_option"),
    "phase": (
        by_a_later_version("parameters", "recipe", "training"),
        "recipe.training.new_option",
    ),
    "member": (by_a_later_version("members", 0), "members.0.new_option"),
    "field": (by_a_later_version(), "new_option"),
    "tensor": (tensor("quantiles", lambda t: torch.zeros(3)), "the tensor quantiles"),
    "network": (put("parameters", "network", value="resnet18"), "network must be one"),
    "preprocessing": (put("preprocessing", value="zca"), "preprocessing must be one"),
    "objective": (
        put("parameters", "objective", value="multi"),
        "parameters.objective must be one of",
    ),
}


def refused(path, words, x):
    """By load, and by both commands, alike: one short sentence."""
    with pytest.raises(ModelFileError) as raised:
        DeepSVDD.load(path)
    message = str(raised.value)
    assert words in message
    assert str(path) in message
    assert "\n" not in message
    assert len(message.replace(str(path), "")) < 250
    np.save(path.with_name("x.npy"), x)
    for command in (("info", path), ("score", path, path.with_name("x.npy"))):
        assert words in fails(*command)
    return message


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_named(fault, parts, tmp_path):
    change, words = FAULTS[fault]
    message = refused(forged(tmp_path, parts, change), words, parts[2])
    assert "restore it" in message or "written by deepsvdd" in message


@pytest.mark.parametrize("field", LATER_FIELDS)
def test_a_later_versions_file_says_so(field, parts, tmp_path):
    change, words = LATER_FIELDS[field]
    message = refused(forged(tmp_path, parts, change), words, parts[2])
    assert f"this is {__version__}: update deepsvdd" in message
    writer = LATER if "new_option" in words else __version__
    assert f"written by deepsvdd {writer}" in message


def test_the_good_file_is_good(parts, tmp_path):
    path = forged(tmp_path, parts, lambda tensors, metadata: None)
    assert np.isfinite(DeepSVDD.load(path).anomaly_score(parts[2])).all()
    succeeds("info", path)


def test_a_calibration_from_elsewhere_is_good(parts, tmp_path):
    path = forged(tmp_path, parts, calibrated())
    assert DeepSVDD.load(path).calibration.scores.tolist() == [0, 1, 2]
    assert "3 samples, smallest p-value 0.25" in succeeds("info", path).stdout


def test_files_of_earlier_versions_are_read(parts, tmp_path):
    """Parameters, names of columns and settings of recipes were fewer once."""

    def earlier(tensors, metadata):
        metadata["versions"] = {"deepsvdd": "0.1.0"}
        del metadata["feature_names"]
        del metadata["members"][0]["collapsed"]
        for name in ("precision", "checkpoint_dir", "n_workers", "warm_start"):
            del metadata["parameters"][name]
        del metadata["parameters"]["recipe"]["first_layer"]
        del metadata["parameters"]["recipe"]["training"]["schedule"]

    now = forged(tmp_path, parts, lambda tensors, metadata: None)
    expected = DeepSVDD.load(now).anomaly_score(parts[2])
    path = forged(tmp_path, parts, earlier)
    loaded = DeepSVDD.load(path)
    np.testing.assert_array_equal(loaded.anomaly_score(parts[2]), expected)
    assert loaded.precision == "float32"
    succeeds("info", path)


def test_all_kinds_of_detectors_have_whole_files(tmp_path):
    for number, (parameters, x) in enumerate(
        [
            ({"objective": "soft-boundary", "n_members": 2}, make_images()),
            ({"preprocessing": "none"}, make_vectors()),
            ({"network": "mlp", "preprocessing": "gcn_l2"}, make_images()),
            ({"network": Flat(), "pretrain": False}, make_images()),
            ({"network": "cifar10_LeNet_ELU"}, make_images(shape=(3, 8, 8))),
            ({"random_state": None, "threshold": 3}, make_vectors()),
        ]
    ):
        path = tmp_path / f"{number}.safetensors"
        detector = short(**parameters).fit(x)
        detector.save(path)
        assert invoke("info", path).exit_code == 0
        network = Flat() if detector.network_ == "custom" else None
        loaded = DeepSVDD.load(path, network=network)
        np.testing.assert_array_equal(loaded.predict(x), detector.predict(x))


def test_a_network_for_a_model_that_has_one_is_refused(parts, tmp_path):
    path = forged(tmp_path, parts, lambda tensors, metadata: None)
    match = "network must be None for .*'mnist_LeNet'; got Flat"
    with pytest.raises(ValueError, match=match):
        DeepSVDD.load(path, network=Flat())


def test_a_given_network_that_takes_other_samples(tmp_path):
    class Fussy(Tiny):
        def forward(self, x):
            raise AssertionError

    path = tmp_path / "m.safetensors"
    short(network=Tiny(), pretrain=False).fit(make_images()).save(path)
    match = r"must take samples of shape \(1, 12, 12\); it fails: AssertionError"
    with pytest.raises(ModelFileError, match=match):
        DeepSVDD.load(path, network=Fussy())


def test_misfit_names_the_first_weight():
    state = Flat().state_dict()
    assert misfit(Flat(), state) is None
    assert misfit(Flat(), {}) == "first.weight is missing"
    assert "must have shape (6, 8); got (2, 8)" in misfit(
        Flat(), state | {"second.weight": torch.zeros(2, 8)}
    )
