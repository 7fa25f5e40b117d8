"""`explain` of the estimators: shapes, units, baselines, errors."""

import re

import numpy as np
import pytest
import torch

from deepsvdd import FCDD, DeepSVDD, load_detector
from tests.toys import SHORT, Streamed, short

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("method", ["gradients", "occlusion"])
@pytest.mark.parametrize("kind", ["on_images", "soft", "ensemble"])
def test_maps_of_images(method, kind, images, request):
    detector = request.getfixturevalue(kind)
    heat = detector.explain(images[:5], method)
    assert heat.shape == (5, *images.shape[-2:])
    assert np.isfinite(heat).all()
    assert (heat >= 0).all()
    assert heat.max() > 0
    assert (detector.explain(images[:5], method, signed=True) < 0).any()


@pytest.mark.parametrize("kind", ["on_images", "soft", "ensemble"])
def test_gradients_of_an_image_add_up_to_its_score_less_the_baselines(
    kind, images, request
):
    detector = request.getfixturevalue(kind)
    heat = detector.explain(images[:4], baseline=images[7], window=1, signed=True)
    scores = detector.anomaly_score(images)
    np.testing.assert_allclose(
        heat.sum(axis=(1, 2)), scores[:4] - scores[7], rtol=2e-2, atol=1e-3
    )


def test_contributions_of_columns_add_up(on_vectors, vectors):
    found = on_vectors.explain(vectors[:9])
    assert found.shape == vectors[:9].shape
    middle = np.median(vectors, axis=0)
    given = on_vectors.explain(vectors[:9], baseline=middle)
    scores = on_vectors.anomaly_score(np.vstack([vectors[:9], middle]))
    error = 1e-3 * scores.max()
    np.testing.assert_allclose(given.sum(1), scores[:9] - scores[9], atol=error)
    # What training has left is such a row, too.
    differences = scores[:9] - found.sum(1)
    np.testing.assert_allclose(differences, differences[0], atol=2 * error)


def test_the_column_that_is_odd_is_found():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 6))
    detector = DeepSVDD(random_state=0).fit(x)
    odd = rng.normal(size=(30, 6))
    columns = rng.integers(6, size=30)
    odd[np.arange(30), columns] += 8
    for method in ("gradients", "occlusion"):
        found = detector.explain(odd, method).argmax(axis=1)
        assert (found == columns).mean() > 0.8


def test_the_baseline_is_the_mean_image_or_the_median_row(images, vectors):
    detector = short().fit(images)
    x = detector.preprocessor_(torch.as_tensor(images)).float()
    np.testing.assert_allclose(
        detector.typical_, x.mean(0).reshape(detector.typical_.shape), atol=1e-5
    )
    rows = short().fit(vectors)
    z = rows.preprocessor_(torch.as_tensor(vectors))
    torch.testing.assert_close(rows.typical_, z.median(dim=0).values)


def test_streamed_images_have_the_same_baseline_and_maps(images):
    one, other = short().fit(images), short(n_workers=0).fit(Streamed(images))
    torch.testing.assert_close(one.typical_, other.typical_)
    np.testing.assert_allclose(
        one.explain(images[:3]), other.explain(Streamed(images[:3])), rtol=1e-4
    )


def test_a_file_keeps_the_baseline(on_images, images, tmp_path):
    on_images.save(tmp_path / "m")
    loaded = load_detector(tmp_path / "m")
    np.testing.assert_array_equal(
        loaded.explain(images[:3]), on_images.explain(images[:3])
    )
    del loaded.typical_  # as of a file of version 0.1
    loaded.save(tmp_path / "n")
    old = load_detector(tmp_path / "n")
    with pytest.raises(ValueError, match="baseline must be given for a model of a"):
        old.explain(images[:3])
    assert old.explain(images[:3], baseline=images[5]).shape[0] == 3


def test_explaining_changes_nothing(on_images, images):
    before = on_images.anomaly_score(images)
    encoder = on_images.members_[0].encoder
    gradients = [
        None if p.grad is None else p.grad.clone() for p in encoder.parameters()
    ]
    with torch.no_grad():
        heat = on_images.explain(images[:3])
    np.testing.assert_array_equal(heat, on_images.explain(images[:3]))
    np.testing.assert_array_equal(on_images.anomaly_score(images), before)
    assert all(
        before is p.grad or torch.equal(before, p.grad)
        for before, p in zip(gradients, encoder.parameters(), strict=True)
    )
    assert not encoder.training


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("on_images", {"method": "map"}, "method must be one of auto, gradients, occ"),
        ("on_images", {"window": 0}, "window must be a whole number from 1 to "),
        ("on_images", {"window": 2.5}, "shorter side; got 2.5"),
        ("on_images", {"baseline": np.zeros((2, 3))}, "baseline must be one sample of"),
        ("on_vectors", {"window": 3}, "window must be None for vectors; got 3"),
        ("on_vectors", {"baseline": np.zeros(99)}, "got shape (99,)"),
    ],
)
def test_options_that_are_refused(kind, options, message, images, vectors, request):
    x = images if kind == "on_images" else vectors
    with pytest.raises(ValueError, match=re.escape(message)):
        request.getfixturevalue(kind).explain(x[:2], **options)


def test_a_map_has_neither_window_nor_signs(images):
    detector = FCDD(recipe=SHORT, random_state=0).fit(images)
    assert (detector.explain(images[:2]) == detector.explain(images[:2], "map")).all()
    with pytest.raises(ValueError, match="window must be None for method 'map'"):
        detector.explain(images[:2], window=3)
    with pytest.raises(ValueError, match="signed must be False for method 'map'"):
        detector.explain(images[:2], signed=True)
    assert (detector.explain(images[:2], "gradients", signed=True) < 0).any()
