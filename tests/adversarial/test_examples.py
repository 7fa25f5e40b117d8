"""Whole sets of adversarial examples, of a small classifier of digits."""

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd.adversarial.attacks import boundary_attack
from deepsvdd.adversarial.classifier import Classifier, train_classifier
from deepsvdd.adversarial.examples import (
    ARRAYS,
    AdversarialSet,
    attack_class,
    read_part,
    write_part,
)
from tests.toys import QUICK, few_images, made_up_examples, some_digits

pytestmark = pytest.mark.usefixtures("one_thread")
foolbox = pytest.importorskip("foolbox")


@pytest.fixture(scope="module")
def digits(mnist):
    return some_digits(mnist, 4000)


@pytest.fixture(scope="module")
def classifier(digits):
    return train_classifier(digits, QUICK)


def test_examples_are_wrong_close_and_of_the_class(classifier, digits):
    found = attack_class(classifier, digits, 3, 4, n_steps=200)
    assert len(found) == 4
    assert (digits.y_test[found.index] == 3).all()
    assert np.array_equal(digits.x_test[found.index], found.original)
    assert (found.predicted != 3).all()
    pixels = torch.from_numpy(found.x) / 255
    assert classifier.classify(pixels).tolist() == found.predicted.tolist()
    rounded = torch.from_numpy(found.x).round() / 255
    survived = (classifier.classify(rounded) != 3).float().mean()
    assert found.survive_rounding == pytest.approx(survived.item())
    difference = (found.x - found.original).reshape(4, -1) / 255
    np.testing.assert_allclose(
        found.distance, np.linalg.norm(difference, axis=1), rtol=1e-4
    )
    assert found.queries.tolist() == [301] * 4
    assert found.metadata["attack"]["foolbox"] == foolbox.__version__


def test_more_steps_come_closer(classifier, digits):
    few, more = (
        attack_class(classifier, digits, 3, 4, n_steps=n).distance for n in (20, 400)
    )
    assert (more < few).all()


def test_an_interrupted_attack_goes_on_where_it_was(
    classifier, digits, tmp_path, monkeypatch
):
    settings = {"n_steps": 60, "batch_size": 2, "parts": tmp_path / "parts"}
    whole = attack_class(classifier, digits, 3, 4, **settings | {"parts": None})

    def interrupted(*arguments, **_):
        if len(list((tmp_path / "parts").glob("*"))):
            raise KeyboardInterrupt
        return boundary_attack(*arguments, **_)

    with monkeypatch.context() as patch:
        patch.setattr("deepsvdd.adversarial.examples.boundary_attack", interrupted)
        with pytest.raises(KeyboardInterrupt):
            attack_class(classifier, digits, 3, 4, **settings)
    (first,) = (tmp_path / "parts").iterdir()
    written = first.stat().st_mtime_ns

    resumed = attack_class(classifier, digits, 3, 4, **settings)
    assert first.stat().st_mtime_ns == written
    assert np.array_equal(resumed.x, whole.x)
    assert resumed.metadata == whole.metadata
    attack_class(classifier, digits, 3, 4, **settings | {"n_steps": 61})
    assert len(list((tmp_path / "parts").iterdir())) == 4  # another attack's own parts


def test_an_attack_that_finds_nothing_says_so(digits):
    stubborn = Classifier((1, 28, 28), 10)
    for parameter in stubborn.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        stubborn.layers[-1].bias[3] = 1  # whatever it sees, it says 3
    with pytest.raises(
        ValueError, match="found no adversarial example of any of the 2"
    ):
        attack_class(stubborn, digits, 3, 2, n_steps=5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1; got 0"),
        ({"n": 10_000}, "n must be at most"),
        ({"n_steps": 0}, "n_steps must be at least 1"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
        ({"start": "nowhere"}, "start must be one of"),
        ({"normal_class": "eleven"}, "normal_class must be an integer from 0 to 9"),
    ],
)
def test_arguments_are_checked(classifier, digits, arguments, message):
    with pytest.raises(ValueError, match=message):
        attack_class(classifier, digits, **{"normal_class": 3, "n": 2} | arguments)


def test_the_classifier_must_be_of_the_data_set(digits):
    other = Classifier((3, 32, 32), 43)
    with pytest.raises(ValueError, match="classifier must be for images of shape"):
        attack_class(other, digits, 3, 2)


def test_a_set_comes_back_from_its_file(classifier, digits, tmp_path):
    found = attack_class(classifier, digits, 3, 2, n_steps=5)
    found.save(tmp_path / "set.npz")
    loaded = AdversarialSet.load(tmp_path / "set.npz")
    assert loaded.metadata == found.metadata
    for name in ("x", "original", "index", "predicted", "distance", "queries"):
        assert np.array_equal(getattr(loaded, name), getattr(found, name))
    assert loaded.x.dtype == np.float32
    with pytest.raises(ValueError, match=r"path must end in \.npz"):
        found.save(tmp_path / "set.bin")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        AdversarialSet.load(tmp_path / "nothing.npz")
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    (tmp_path / "damaged.npz").write_bytes(b"PK not really")
    for name in ("other.npz", "damaged.npz"):
        with pytest.raises(ValueError, match="must be a file of adversarial examples"):
            AdversarialSet.load(tmp_path / name)


def changed(found, **changes):
    parts = {f.name: getattr(found, f.name) for f in fields(found)}
    return AdversarialSet(**(parts | changes))


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("x", lambda x: x[:1], r"x must be float32 of shape \(3, 1, 28, 28\); got"),
        ("x", lambda x: x[:, :, 1:], "x must be float32 of shape"),
        ("x", lambda x: x * np.nan, "x must hold numbers from 0 to 255 only; got nan"),
        ("x", lambda x: x + 300, "x must hold numbers from 0 to 255 only"),
        ("x", lambda x: x.astype(np.float64), "x must be float32 of shape"),
        ("original", lambda x: x[0], r"original must have the shape \(n, c, h, w\)"),
        ("original", lambda x: x.astype(float), "original must be uint8"),
        ("index", lambda x: x.astype(float), "index must be int64 of shape"),
        ("index", lambda x: x[:2], r"index must be int64|x must be float32"),
        ("index", lambda x: -x, "index must hold numbers from 0 to 1e.18 only"),
        ("index", lambda x: x[:0], "original must have the shape"),
        ("predicted", lambda x: x[None], "predicted must be int64 of shape"),
        ("distance", lambda x: x * np.inf, "distance must hold numbers from 0"),
        ("distance", lambda x: -x, "distance must hold numbers from 0"),
        ("queries", lambda x: x.astype(str), "queries must be int64"),
        ("metadata", lambda x: [x], "metadata must be an object"),
        ("metadata", lambda x: None, "metadata must be an object; got None"),
        ("metadata", lambda x: {}, "metadata must have a text as dataset; got nothing"),
        ("metadata", lambda x: x | {"normal_class": "2"}, "as normal_class; got '2'"),
        ("metadata", lambda x: x | {"normal_class": True}, "as normal_class; got True"),
        ("metadata", lambda x: x | {"attack": 5}, "an object as attack; got 5"),
        ("metadata", lambda x: x | {"classifier": []}, "an object as classifier; got"),
    ],
)
def test_forged_sets_are_refused_when_loaded(tmp_path, name, change, message):
    path = tmp_path / "set.npz"
    found = made_up_examples(few_images())
    changed(found, **{name: change(getattr(found, name))}).save(path)
    with pytest.raises(ValueError, match=message) as told:
        AdversarialSet.load(path)
    assert str(told.value).startswith(f"'{path}' must be a file of adversarial examp")
    assert "\n" not in str(told.value)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "set.npz").touch()
    with pytest.raises(ValueError, match="must be a file of adversarial examples"):
        AdversarialSet.load(tmp_path / "set.npz")


@pytest.mark.parametrize("content", [b"", b"PK", None])
def test_a_damaged_part_is_made_again(tmp_path, content):
    part = {name: np.zeros(1) for name in ARRAYS if name != "original"}
    write_part(tmp_path / "part.npz", part)
    assert read_part(tmp_path / "part.npz").keys() == part.keys()
    if content is None:
        np.savez(tmp_path / "part.npz", x=np.zeros(1))
    else:
        (tmp_path / "part.npz").write_bytes(content)
    with pytest.warns(UserWarning, match="part.npz' is damaged and made again"):
        assert read_part(tmp_path / "part.npz") is None
