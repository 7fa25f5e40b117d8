"""The page on production: its programs run as they stand there."""

import ast
import json
import re
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager

import numpy as np
import pytest

from tests import ROOT

TEXT = (ROOT / "book/deploy.md").read_text("utf-8")
EXPORT, SCORE, SERVE = re.findall(r"^```python\n(.*?)^```$", TEXT, re.M | re.S)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, one_thread):
    """Where the first program has left its file, and the detector behind it."""
    folder = tmp_path_factory.mktemp("deploy")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = {}
        exec(EXPORT, names)
    return folder, names["detector"]


def python(folder, name, source, *words):
    (folder / name).write_text(source, "utf-8")
    command = [sys.executable, "-I", name, *map(str, words)]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_programs_fit_the_page_and_import_nothing_of_ours():
    for source in (EXPORT, SCORE, SERVE):
        assert max(map(len, source.splitlines())) <= 70
    for source in (SCORE, SERVE):
        imported = {
            name
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
        }
        assert imported <= {"json", "sys", "http.server", "numpy", "onnxruntime"}


def test_scoring_without_the_package(folder):
    place, detector = folder
    process = python(place, "score.py", SCORE)
    told, problems = process.communicate()
    assert process.returncode == 0, problems
    assert told.startswith("digit 3 ['batch', 1, 28, 28]\n")
    noise = np.random.default_rng(0).integers(0, 256, (5, 1, 28, 28))
    assert told.splitlines()[1] == str(detector.predict(noise))


@contextmanager
def serving(place):
    process = python(place, "serve.py", SERVE, "three.onnx", 0)
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def asked(address, body=None):
    """The status and the content of an answer."""
    data = (
        body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    )
    try:
        with urllib.request.urlopen(address, data) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_serving(folder, mnist):
    place, detector = folder
    x = mnist.x_test[:20]
    with serving(place) as address:
        status, about = asked(address)
        assert (status, about["normal"]) == (200, "digit 3")
        status, found = asked(address, {"x": x.reshape(-1, 1, 28, 28).tolist()})
        assert status == 200
        np.testing.assert_allclose(found["score"], detector.anomaly_score(x), 1e-4)
        assert found["label"] == detector.predict(x).tolist()
        np.testing.assert_allclose(found["p_value"], detector.p_values(x), atol=0.005)
        bad = {
            b"no JSON": "Expecting value",
            b'{"y": []}': "x",
            b'{"x": []}': "x must be ['batch', 1, 28, 28]; got (0,)",
            b'{"x": [[1], [2, 3]]}': "inhomogeneous",
        }
        nan = np.full((1, 1, 28, 28), np.nan).tolist()
        for body, message in (*bad.items(), ({"x": nan}, "x must be finite")):
            status, content = asked(address, body)
            assert status == 400
            assert message in content["error"]
        assert asked(address, {"x": x[:1].reshape(1, 1, 28, 28).tolist()})[0] == 200


def test_what_the_page_says_of_files_is_there():
    names = re.findall(r"findings/[\w-]+\.sh", TEXT)
    assert len(names) == 2
    for name in names:
        assert (ROOT / name).exists()


def test_the_times_are_those_that_were_measured():
    measured = json.loads((ROOT / "book/results/one-image.json").read_text("utf-8"))
    sides = measured["comparisons"]["one-image"]["sides"]
    for name in ("package", "onnxruntime"):
        assert f"{1000 * sides[name]['median']:.1f} ms" in " ".join(TEXT.split())
