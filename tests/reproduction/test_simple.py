"""The simplest detectors, by hand."""

import io

import numpy as np
import pytest
from PIL import Image

from deepsvdd.reproduction.baselines import make_baseline
from deepsvdd.reproduction.simple import bytes_of


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)


def test_the_nearest_neighbor_by_hand(images):
    train, test = images[:20], images[20:]
    detector = make_baseline("1nn", preprocessing="none").fit(train)
    flat = [part.reshape(len(part), -1).astype(float) for part in (train, test)]
    by_hand = [np.linalg.norm(flat[0] - x, axis=1).min() for x in flat[1]]
    np.testing.assert_allclose(detector.anomaly_score(test), by_hand, rtol=1e-4)
    assert detector.anomaly_score(train).max() < 1e-3


def test_brightness_has_a_sign_or_two_sides(images):
    train, test = images[:20], images[20:]
    signed = make_baseline("brightness", preprocessing="none").fit(train)
    mean = test.reshape(10, -1).mean(axis=1)
    np.testing.assert_allclose(signed.anomaly_score(test), mean, rtol=1e-5)
    both = make_baseline("brightness-2", preprocessing="none").fit(train)
    median = np.median(train.reshape(20, -1).mean(axis=1))
    assert both.selected_["median"] == pytest.approx(median)
    np.testing.assert_allclose(
        both.anomaly_score(test), np.abs(mean - median), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_those_of_the_file(form, channels, images):
    image = images[0, :channels]
    file = io.BytesIO()
    pixels = image[0] if channels == 1 else image.transpose(1, 2, 0)
    Image.fromarray(pixels).save(file, form)
    assert bytes_of(image, form) == len(file.getvalue())


def test_noise_takes_more_bytes_than_a_flat_image(images):
    flat = np.full((15, 3, 8, 8), 7, dtype=np.uint8)
    detector = make_baseline("png").fit(np.concatenate([flat, images[:1]]))
    scores = detector.anomaly_score(np.concatenate([flat[:2], images[:2]]))
    assert scores[:2].max() < scores[2:].min()


def test_files_hold_whole_numbers(images):
    with pytest.raises(ValueError, match="uint8 images for JPEG files; got float32"):
        make_baseline("jpeg").fit(images.astype(np.float32) / 255)
