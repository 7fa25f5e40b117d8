"""Detectors as ONNX files: the same scores, labels and p-values, elsewhere."""

import copy
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import NotFittedError
from torch import nn

from deepsvdd import DeepSAD, DeepSVDD, load_detector
from deepsvdd.core.conformal import Calibration, conformal_p_values
from deepsvdd.core.onnx_file import Scorer, root_of, rounded_down
from deepsvdd.errors import OldDependencyError
from deepsvdd.files import WriteError
from deepsvdd.version import __version__
from tests import ROOT
from tests.toys import SHORT, Flat, make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread")
STRICT = {"allow_nan": False, "allow_infinity": False, "width": 64}


@pytest.fixture(scope="module", autouse=True)
def runtime():
    """onnxruntime; `make oldest` has no extras."""
    return pytest.importorskip("onnxruntime")


@pytest.fixture
def run(runtime, tmp_path):
    """A detector's file, and what it gives for raw samples."""

    def export(detector, **options):
        path = tmp_path / "m.onnx"
        detector.export_onnx(path, **options)
        assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]  # weights in it
        session = runtime.InferenceSession(path)

        def outputs(x):
            x = np.asarray(x).reshape(-1, *detector.input_shape_)
            dtype = np.float64 if len(detector.input_shape_) == 1 else np.float32
            found = session.run(None, {"x": x.astype(dtype)})
            names = [output.name for output in session.get_outputs()]
            return dict(zip(names, found, strict=True))

        outputs.session = session
        return outputs

    return export


def agrees(found, detector, x, rtol=1e-4):
    """The scores are within a tolerance of their squared distances, labels equal."""
    expected = detector.anomaly_score(x)
    scale = np.abs(expected) + detector.members_[0].radius ** 2
    assert (np.abs(found["score"] - expected) <= rtol * scale).all()
    np.testing.assert_array_equal(found["label"], detector.predict(x))
    assert found["label"].dtype == np.int64
    assert len(set(found["label"].tolist())) == 2


# ------------------------------------------------------------------- what it computes


def test_all_of_mnist(threes, run):
    """Ten thousand images: scores, labels and p-values."""
    training, held_out = threes.x_train[:1000], threes.x_train[1000:1400]
    detector = short().fit(training).calibrate(held_out)
    outputs = run(detector)
    batches = [outputs(x) for x in np.array_split(threes.x_test, 8)]
    found = {
        name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]
    }
    agrees(found, detector, threes.x_test)
    np.testing.assert_array_equal(found["p_value"], p_values(found, detector))
    one = outputs(threes.x_test[7])
    np.testing.assert_allclose(one["score"], found["score"][7:8], rtol=1e-4)


def p_values(found, detector):
    """What the package makes of the scores that another runtime has found."""
    scores = found["score"].astype(np.float64)
    return conformal_p_values(scores, detector.calibration.scores)


IMAGES = make_images(60, (3, 72, 40))
GRAY = make_images(60)


@pytest.mark.parametrize(
    ("detector", "x"),
    [
        (short(objective="soft-boundary", preprocessing="minmax"), GRAY),
        (short(n_members=3, preprocessing="gcn_l2"), GRAY),
        (short(network="cifar10_LeNet_ELU", preprocessing="none"), GRAY / 255),
        (short(network="deep_LeNet", pretrain=False), IMAGES),
        (short(network=Flat(), pretrain=False), GRAY),
        (DeepSAD(recipe=SHORT, random_state=0), GRAY),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_images(detector, x, run):
    y = (-(np.arange(len(x)) < 3).astype(int),) if detector.kind == "DeepSAD" else ()
    found = run(detector.fit(x, *y))(x)
    assert set(found) == {"score", "label"}
    assert found["score"].dtype == np.float32
    agrees(found, detector, x)


class Bent(nn.Sequential):
    def __init__(self, activation):
        super().__init__(
            nn.Linear(5, 8, bias=False), activation, nn.Linear(8, 3, bias=False)
        )


@pytest.mark.parametrize(
    "detector",
    [
        short(),
        short(n_members=2, network="mlp", preprocessing="minmax"),
        short(
            network=Bent(nn.ELU(0.7)),
            pretrain=False,
            allow_collapse=True,
            objective="soft-boundary",
        ),
    ],
    ids=["standard", "several", "own"],
)
def test_vectors_in_double_precision(detector, vectors, run):
    """Training clips tails of columns; what is scored is not clipped."""
    far = np.concatenate([vectors * 1e6, vectors, vectors + 100])
    detector.fit(vectors).calibrate(make_vectors(90, seed=1))
    found = run(detector)(far)
    assert found["score"].dtype == np.float64
    agrees(found, detector, far, rtol=1e-10)
    np.testing.assert_array_equal(found["p_value"], p_values(found, detector))


def test_what_the_package_refuses_is_an_outlier_without_a_score(on_images, run):
    x = make_images(4).astype(np.float32)
    x[0, 3, 3], x[1, 5, 5], x[2, 0, 0] = np.nan, np.inf, -np.inf
    calibrated = copy.deepcopy(on_images).calibrate(make_images(30, seed=1))
    found = run(calibrated)(x)
    np.testing.assert_array_equal(np.isnan(found["score"]), [1, 1, 1, 0])
    np.testing.assert_array_equal(found["label"][:3], -1)
    np.testing.assert_array_equal(found["p_value"][:3], 1 / 31)


@given(st.lists(st.floats(**STRICT), min_size=1, max_size=20), st.floats(**STRICT))
def test_comparing_in_single_precision_decides_as_in_double(numbers, limit):
    with np.errstate(over="ignore"):
        scores = np.array([*numbers, limit]).astype(np.float32)
    numbers = np.array(numbers)
    single = rounded_down(np.array(limit), torch.float32)
    assert single.dtype == np.float32
    np.testing.assert_array_equal(scores <= single, scores.astype(float) <= limit)
    single = rounded_down(numbers, torch.float32)
    for score in scores:
        np.testing.assert_array_equal(single >= score, numbers >= float(score))


@pytest.mark.parametrize("name", ["on_images", "on_vectors"])
def test_a_score_on_the_threshold_is_normal(name, request):
    """As for predict: only a score above the float64 threshold is an outlier."""
    detector = request.getfixturevalue(name)
    x = torch.from_numpy(make_images(8)[:, None]).float()
    if name == "on_vectors":
        x = torch.from_numpy(make_vectors(8))
    parts = detector.preprocessor_, detector.members_
    with torch.no_grad():
        score = Scorer(*parts, 0.0)(x)[0].double().numpy()
        for limit in (score[3], *np.nextafter(score[3], [-np.inf, np.inf])):
            _, label = Scorer(*parts, float(limit))(x)
            np.testing.assert_array_equal(label, np.where(score <= limit, 1, -1))


@given(
    st.lists(st.integers(-5, 5), min_size=1, max_size=40),
    st.lists(st.integers(-6, 6), min_size=1, max_size=9),
)
def test_p_values_by_bisection(held_out, scores):
    ordered = np.sort(np.array(held_out, dtype=float))
    calibration = Calibration(ordered, np.zeros(len(ordered), dtype=np.int64))
    still = short().fit(make_vectors(4))
    scorer = Scorer(still.preprocessor_, still.members_, 0.0, calibration)
    below = scorer.below(torch.tensor([*scores, np.inf, np.nan], dtype=torch.float64))
    expected = np.searchsorted(ordered, np.array(scores, dtype=float))
    np.testing.assert_array_equal(below[:-2], expected)
    assert (below[-2:] == len(ordered)).all()


# ---------------------------------------------------------------------- without us

FOREIGN = """
import sys
import numpy, onnxruntime
path, samples, results = sys.argv[1:]
session = onnxruntime.InferenceSession(path)
outputs = session.run(None, {"x": numpy.load(samples)})
numpy.savez(results, **dict(zip((o.name for o in session.get_outputs()), outputs)))
loaded = {"deepsvdd", "torch", "sklearn"} & set(sys.modules)
assert not loaded, loaded
"""


def test_a_process_that_knows_nothing_of_us(threes, tmp_path):
    detector = short().fit(threes.x_train[:500]).calibrate(threes.x_train[500:600])
    detector.export_onnx(tmp_path / "m.onnx")
    x = threes.x_test[:500]
    np.save(tmp_path / "x.npy", x.reshape(-1, 1, 28, 28).astype(np.float32))
    words = [sys.executable, "-c", FOREIGN, "m.onnx", "x.npy", "r.npz"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "r.npz") as found:
        agrees(found, detector, x)
        np.testing.assert_array_equal(found["p_value"], p_values(found, detector))


def test_the_file_says_what_it_is(vectors, tmp_path, run):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(vectors, columns=list("abcde"))
    outputs = run(short().fit(table), normal="machines at work")
    described = outputs.session.get_modelmeta()
    told = described.custom_metadata_map
    assert described.producer_name == "deepsvdd"
    assert told["deepsvdd_version"] == __version__
    assert told["normal"] == "machines at work"
    assert told["estimator"] == "DeepSVDD"
    given = json.loads(told["input"])
    assert given["columns"] == list("abcde")
    assert given["shape"] == ["batch", 5]
    assert len(given["mean"]) == len(given["standard_deviation"]) == 5
    assert set(json.loads(told["output"])) == {"score", "label"}
    provenance = json.loads(told["provenance"])
    assert provenance["parameters"]["recipe"]["training"]["batch_size"] == 16
    assert provenance["n_training"] == 60
    assert float(told["threshold"]) == provenance["threshold"]
    (entry,) = outputs.session.get_inputs()
    assert (entry.shape, entry.type) == (["batch", 5], "tensor(double)")
    content = (tmp_path / "m.onnx").read_bytes()
    assert str(ROOT).encode() not in content  # nor where the code lies here
    assert b"history" not in content


def test_a_loaded_model_and_a_threshold_set_later(on_images, images, run, tmp_path):
    on_images.save(tmp_path / "m")
    loaded = load_detector(tmp_path / "m")
    (tmp_path / "m").unlink()
    scores = np.sort(loaded.anomaly_score(images))
    loaded.set_params(threshold=float(scores[[9, 10]].mean()))
    found = run(loaded)(images)
    agrees(found, loaded, images)
    assert (found["label"] == -1).sum() == 30


# -------------------------------------------------------------------------- refusals


def test_before_fit(tmp_path):
    with pytest.raises(NotFittedError):
        DeepSVDD().export_onnx(tmp_path / "m.onnx")


def test_without_a_threshold(on_images, tmp_path):
    detector = copy.deepcopy(on_images).set_params(contamination=0.2)
    with pytest.raises(ValueError, match="contamination takes effect at the next fit"):
        detector.export_onnx(tmp_path / "m.onnx")


def test_names_that_no_onnx_file_has(on_images, tmp_path):
    with pytest.raises(ValueError, match=r"path must end in \.onnx; got '.*m\.bin'"):
        on_images.export_onnx(tmp_path / "m.bin")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(WriteError, match="not a regular file; choose another"):
        on_images.export_onnx(tmp_path / "folder.onnx")
    with pytest.raises(ValueError, match="normal must be None or a text; got 3"):
        on_images.export_onnx(tmp_path / "m.onnx", normal=3)


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_without_a_package_of_the_extra(name, on_images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    message = rf"an export to ONNX needs {name}: pip install 'deepsvdd\[export\]'"
    with pytest.raises(OldDependencyError, match=message):
        on_images.export_onnx(tmp_path / "m.onnx")


def test_with_an_exporter_that_is_too_old(on_images, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "__version__", "2.8.1+cu128")
    with pytest.raises(OldDependencyError, match=r"2\.9 or newer; got 2\.8\.1\+cu128"):
        on_images.export_onnx(tmp_path / "m.onnx")


class Branch(Flat):
    """Its way depends on the values of a batch."""

    def forward(self, x):
        return super().forward(x) * (1 if x.sum() > 0 else 2)


class Drawn(Flat):
    """Its output is another every time."""

    def forward(self, x):
        return super().forward(x) * torch.rand(1)


@pytest.mark.parametrize(
    ("network", "x", "message"),
    [
        (Branch(), GRAY, "torch.onnx.export can trace; Branch is not: Could not"),
        (Drawn(), GRAY, "the same scores in onnxruntime; Drawn gives"),
        (Bent(nn.GELU()), make_vectors(), "onnxruntime can run in float64, on bat"),
    ],
    ids=["untraceable", "unfaithful", "no kernel"],
)
def test_networks_that_cannot_be_exported(network, x, message, tmp_path, capfd):
    detector = short(network=network, pretrain=False, allow_collapse=True).fit(x)
    capfd.readouterr()
    with pytest.raises(ValueError, match=message) as caught:
        detector.export_onnx(tmp_path / "m.onnx")
    told = str(caught.value)
    assert "\n" not in told
    assert len(told) < 300
    assert not list(tmp_path.iterdir())
    assert capfd.readouterr() == ("", "")


def test_the_root_of_an_error():
    outer, deep = RuntimeError("step 3 of 3"), ValueError("\x1b[96mno such\x1b[0m\n2")
    outer.__cause__ = deep
    assert root_of(outer) == "no such"
    assert len(root_of(ValueError("x" * 999))) == 150
