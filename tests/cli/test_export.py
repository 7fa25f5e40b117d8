"""``deepsvdd export``: a model file as ONNX."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from deepsvdd import DeepSVDD
from deepsvdd.cli.export import class_of_run
from tests.cli import fails, succeeds
from tests.toys import Tiny, make_images, make_vectors, short

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


def test_export_of_images(grey):
    detector, path, x = grey
    output = succeeds("export", path, "m.onnx", "--normal", "boots").stdout
    lines = {line.split()[0]: line for line in output.splitlines()}
    assert "m.onnx: DeepSVDD, 1 member(s)" in output
    assert "input (batch, 1, 28, 28), float32" in lines["x"]
    assert "p_value" not in lines
    assert f"{detector.threshold_:.6g}" in lines["threshold"]
    session = onnxruntime.InferenceSession("m.onnx")
    assert session.get_modelmeta().custom_metadata_map["normal"] == "boots"
    images = x.reshape(-1, 1, 28, 28).astype(np.float32)
    score, label = session.run(None, {"x": images})
    np.testing.assert_allclose(score, detector.anomaly_score(x), rtol=1e-4)
    np.testing.assert_array_equal(label, detector.predict(x))


def test_what_was_normal_is_known_of_a_run(trained):
    model = trained / "model.safetensors"
    assert class_of_run(model) == "fashion_mnist, class 3"
    assert class_of_run(trained / "other.safetensors") is None
    shutil.copy(model, "model.safetensors")
    assert class_of_run(Path("model.safetensors")) is None
    for foreign in ("{}", "[]", "no JSON"):
        Path("config.json").write_text(foreign)
        assert class_of_run(Path("model.safetensors")) is None
    succeeds("export", model, "m.onnx")
    session = onnxruntime.InferenceSession("m.onnx")
    told = session.get_modelmeta().custom_metadata_map["normal"]
    assert told == "fashion_mnist, class 3"


def test_export_of_a_calibrated_table(tmp_path):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame(make_vectors(120), columns=list("edcba"))
    table[:60].to_csv("good.csv", index=False)
    table[60:].to_csv("more.csv", index=False)
    succeeds("fit", "good.csv", "m.safetensors", "--calibrate", "more.csv")
    output = succeeds("export", "m.safetensors", "m.onnx").stdout
    assert "p_value      output (batch,): " in output
    session = onnxruntime.InferenceSession("m.onnx")
    told = session.get_modelmeta().custom_metadata_map
    columns = json.loads(told["input"])["columns"]
    assert columns == list("edcba")
    new = pandas.DataFrame(make_vectors(30, seed=5), columns=list("abcde"))
    _, label, p_value = session.run(None, {"x": new[columns].to_numpy()})
    detector = DeepSVDD.load("m.safetensors")
    np.testing.assert_array_equal(label, detector.predict(new[columns]))
    np.testing.assert_array_equal(p_value, detector.p_values(new[columns]))


def test_an_output_that_is_no_new_file(grey):
    _, path, _ = grey
    shutil.copy(path, "model.onnx")  # a model file under a wrong name
    before = Path("model.onnx").read_bytes()
    message = fails("export", "model.onnx", "./model.onnx")
    assert "output must be another file than the inputs" in message
    assert Path("model.onnx").read_bytes() == before
    Path("folder.onnx").mkdir()
    assert "it is not a regular file" in fails("export", path, "folder.onnx")
    assert "path must end in .onnx; got 'm.bin'" in fails("export", path, "m.bin")
    assert "a file stands where a folder" in fails("export", path, "model.onnx/m.onnx")
    assert "it is empty: name a file" in fails("export", path, "", code=2)


def test_a_model_that_is_none(tmp_path):
    Path("scores.csv").write_text("sample,score\n")
    assert "scores.csv" in fails("export", "scores.csv", "m.onnx")
    assert "nothing.safetensors" in fails("export", "nothing.safetensors", "m.onnx")
    assert not Path("m.onnx").exists()


def test_without_the_extra(grey, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    message = fails("export", grey[1], "m.onnx")
    assert "needs onnxscript: pip install 'deepsvdd[export]'" in message


def test_a_network_of_ones_own_is_exported_from_python(tmp_path):
    detector = short(network=Tiny(), pretrain=False).fit(make_images())
    detector.save("own")
    assert "load it in Python with DeepSVDD.load" in fails("export", "own", "m.onnx")
    DeepSVDD.load("own", network=Tiny()).export_onnx("m.onnx")
    assert Path("m.onnx").stat().st_size > 0
