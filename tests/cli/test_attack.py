"""``deepsvdd attack`` and ``deepsvdd adversarial``: from digits to a table of AUCs."""

import json
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from deepsvdd import Dataset
from deepsvdd.adversarial.examples import AdversarialSet
from deepsvdd.cli import main
from tests.toys import made_up_examples

pytestmark = pytest.mark.usefixtures("one_thread")
pytest.importorskip("foolbox")


@pytest.fixture(autouse=True)
def few_digits(mnist, monkeypatch):
    digits = Dataset(
        "mnist",
        *(mnist.x_train[:2000], mnist.y_train[:2000]),
        *(mnist.x_test[:300], mnist.y_test[:300]),
        mnist.classes,
    )
    for module in ("attack", "adversarial"):
        monkeypatch.setattr(
            f"deepsvdd.cli.{module}.load_dataset", lambda name, path: digits
        )


def run(*words, status=0):
    result = CliRunner().invoke(main, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result.output


ATTACK = ("--normal_class", 3, "--n", 2, "--steps", 20)


def test_examples_are_made_and_detectors_tested_on_them(tmp_path):
    examples, results = tmp_path / "three.npz", tmp_path / "r.jsonl"
    output = run("attack", "mnist", examples, *ATTACK, "--epochs", 2)
    assert "classifier of mnist, test accuracy" in output
    assert "2 adversarial examples of class '3', median distance" in output
    found = AdversarialSet.load(examples)
    assert len(found) == 2
    assert found.metadata["provenance"]["versions"]["torch"]
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"three.npz", "three.classifier.safetensors"}  # no parts are left

    # The classifier is there now, and is not trained again.
    again = run("attack", "mnist", examples, *ATTACK)
    assert again == output
    assert np.array_equal(AdversarialSet.load(examples).x, found.x)
    assert "epochs must be 2, as" in run(
        "attack", "mnist", examples, *ATTACK, "--epochs", 3, status=1
    )

    words = ("--recipe", "fast:1+1", "--seeds", 4, "--method", "one-class")
    output = run("adversarial", "mnist", examples, results, *words)
    assert "mnist, one-class, seed 4: AUC" in output
    (line,) = map(json.loads, results.read_text().splitlines())
    assert line["n_adversarial"] == 2
    assert line["attack"] == found.metadata["attack"]


def test_without_foolbox_nothing_is_begun(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "foolbox", None)
    output = run("attack", "mnist", tmp_path / "x.npz", *ATTACK, status=1)
    assert "pip install 'deepsvdd[adversarial]'" in output
    assert list(tmp_path.iterdir()) == []


def test_bad_values_are_refused(tmp_path):
    output = run("attack", "mnist", tmp_path / "x.bin", *ATTACK, status=1)
    assert "OUTPUT must end in .npz" in output
    assert list(tmp_path.iterdir()) == []
    for given in ("eleven", 99):
        words = ("attack", "mnist", tmp_path / "x.npz", "--normal_class", given)
        output = run(*words, status=1)
        assert "normal_class must be an integer from 0 to 9" in output
    for name in ("n", "steps", "batch_size"):
        output = run(*words, f"--{name}", 0, status=2)
        assert f"'--{name}': 0 is not in the range x>=1" in output
    words = ("attack", "mnist", tmp_path / "x.npz", "--normal_class", 3, "--n", 301)
    output = run(*words, status=1)
    assert "n must be at most" in output
    assert "the test images of class '3'; got 301" in output
    output = run(*words[:3], *ATTACK, "--seed", 2**32, status=2)
    assert "4294967296 is not in the range" in output
    assert list(tmp_path.iterdir()) == []  # no classifier was trained
    (tmp_path / "y.npz").write_bytes(b"no examples")
    output = run(
        "adversarial", "mnist", tmp_path / "y.npz", tmp_path / "r.jsonl", status=1
    )
    assert "must be a file of adversarial examples" in output


def test_attack_never_replaces_what_it_reads(tmp_path, monkeypatch):
    for name in ("fashion_mnist.npz", "x.npz"):
        (tmp_path / name).write_bytes(b"data")
    data = ("--data_path", tmp_path)
    for words in (
        ("fashion_mnist", tmp_path / "fashion_mnist.npz", *data),
        ("mnist", tmp_path / "x.npz", "--classifier", tmp_path / "x.npz"),
    ):
        output = run("attack", *words, "--normal_class", 3, status=1)
        assert "output must be another file than the inputs" in output
    assert "cannot write" in run(
        "attack", "mnist", tmp_path / "x.npz" / "y.npz", *ATTACK, status=1
    )
    assert (tmp_path / "x.npz").read_bytes() == b"data"


def test_outputs_that_cannot_be_are_refused_before_anything_is_trained(tmp_path):
    (tmp_path / "file").touch()
    for words in (
        (tmp_path / "file" / "x.npz", *ATTACK),
        (tmp_path / "x.npz", *ATTACK, "--classifier", tmp_path / "file" / "c"),
    ):
        output = run("attack", "mnist", *words, status=1)
        assert "a file stands where a folder is needed" in output
    same = (tmp_path / "x.npz", *ATTACK, "--classifier", tmp_path / "x.npz")
    assert "output must be another file" in run("attack", "mnist", *same, status=1)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def examples(tmp_path, mnist):
    """Made up, of test images of the digit 3."""
    path = tmp_path / "three.npz"
    rows = np.flatnonzero(mnist.y_test[:300] == 3)[:3]
    found = made_up_examples(mnist, rows, shift=0)
    found.metadata["normal_class"] = 3
    found.save(path)
    return path


def test_examples_are_not_overwritten_by_results(tmp_path, examples):
    before = examples.read_bytes()
    link = tmp_path / "link.jsonl"
    link.symlink_to(examples)
    for output in (examples, link):
        told = run("adversarial", "mnist", examples, output, status=1)
        assert f"which is the input '{examples}'" in told
    assert examples.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--recipe", ""), "recipe must be one of paper, fast, quick"),
        (("--recipe", "fast:1+" + 5000 * "9"), "recipe must be NAME or NAME:EPOCHS"),
        (("--seeds", "0-999999999999"), "seeds must be at most 10000 numbers"),
        (("--seeds", "4294967296"), "none above 4294967295"),
        (("--nu", "nan"), "nu must be a number in (0, 1]"),
        (("--device", "tpu"), "device must be 'auto', 'cpu', 'cuda' or 'cuda:N'"),
    ],
)
def test_experiments_that_cannot_be_are_refused(tmp_path, examples, options, message):
    output = run("adversarial", "mnist", examples, tmp_path / "r", *options, status=1)
    assert message in output
    assert output.count("\n") <= 2
    assert list(tmp_path.iterdir()) == [examples]


def test_a_foreign_file_is_left_as_it_is(tmp_path, examples):
    other = tmp_path / "notes.txt"
    other.write_text("my notes")
    output = run("adversarial", "mnist", examples, other, "--method", "pca", status=1)
    assert "must be a JSON object with dataset" in output
    assert other.read_text() == "my notes"
