"""The classifier that adversarial examples are made against."""

import numpy as np
import pytest
import torch

from deepsvdd import DeepSVDD, ModelFileError
from deepsvdd.adversarial.classifier import (
    Classifier,
    default_phase,
    train_classifier,
    unit_pixels,
)
from tests.toys import QUICK, some_digits

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def digits(mnist):
    return some_digits(mnist, 3000)


@pytest.fixture(scope="module")
def classifier(digits):
    return train_classifier(digits, QUICK)


def test_it_learns_and_says_how_well(classifier, digits):
    predicted = classifier.classify(unit_pixels(digits.x_test)).numpy()
    accuracy = (predicted == digits.y_test).mean()
    assert accuracy > 0.85  # chance is 0.1
    assert classifier.facts["test_accuracy"] == accuracy
    assert classifier.facts["dataset"] == "mnist"
    assert (classifier.facts["n_train"], classifier.facts["n_test"]) == (3000, 500)


def test_a_seed_decides_it(classifier, digits):
    state = torch.get_rng_state()
    again = train_classifier(digits, QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    x = unit_pixels(digits.x_test[:5])
    assert torch.equal(again(x), classifier(x))
    assert not torch.equal(train_classifier(digits, QUICK, seed=1)(x), again(x))


def test_it_comes_back_from_its_file(classifier, digits, tmp_path):
    classifier.save(tmp_path / "c.safetensors")
    loaded = Classifier.load(tmp_path / "c.safetensors")
    assert loaded.facts == classifier.facts
    x = unit_pixels(digits.x_test[:5])
    assert torch.equal(loaded(x), classifier(x))


def test_a_detector_is_no_classifier(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 3))
    DeepSVDD(random_state=0).fit(x).save(tmp_path / "d.safetensors")
    with pytest.raises(ModelFileError, match="holds a model, but no classifier"):
        Classifier.load(tmp_path / "d.safetensors")


def test_epochs_make_up_for_few_images():
    assert default_phase(60_000).n_epochs == 2
    assert default_phase(4_000).n_epochs == 32
    assert default_phase(10**9).n_epochs == 2


def test_pixels_are_scaled_by_the_type_not_by_the_images():
    x = unit_pixels(np.full((1, 1, 2, 2), 51, dtype=np.uint8))
    assert x.dtype == torch.float32
    assert torch.allclose(x, torch.full((1, 1, 2, 2), 0.2))
