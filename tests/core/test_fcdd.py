"""FCDD: Deep SVDD whose representation is a map."""

import numpy as np
import pytest
import torch

from deepsvdd import FCDD, DeepSVDD, ModelFileError, load_detector
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.objectives import fcdd_loss, map_scores, pseudo_huber
from deepsvdd.datasets.defects import plant
from tests.toys import SHORT, STILL, Streamed, random, short

pytestmark = pytest.mark.usefixtures("one_thread")


def fcdd(**parameters):
    return FCDD(**({"recipe": SHORT, "random_state": 0} | parameters))


def labels_for(x, anomalies=(0, 3, 7)):
    y = np.zeros(len(x), dtype=int)
    y[list(anomalies)] = -1
    return y


@pytest.fixture(scope="module")
def fitted(images, one_thread):
    return fcdd().fit(images)


# --------------------------------------------------------------------------- objective


def test_pseudo_huber_by_its_definition():
    z, c = random(5, 7, dtype=torch.float64), random(7, seed=1, dtype=torch.float64)
    torch.testing.assert_close(pseudo_huber(z, c), ((z - c) ** 2 + 1).sqrt() - 1)
    near, far = torch.tensor([[1e-4]]), torch.tensor([[1e4]])
    torch.testing.assert_close(pseudo_huber(near, near * 0), near**2 / 2)
    torch.testing.assert_close(pseudo_huber(far, near * 0), far - 1)


def test_the_loss_is_a_cross_entropy():
    scores = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    label = torch.tensor([0.0, 1.0, -1.0])
    p = 1 - torch.exp(-scores)  # of an anomaly
    expected = torch.nn.functional.binary_cross_entropy(p, (label < 0).double())
    torch.testing.assert_close(fcdd_loss(scores, label), expected)
    weight = torch.tensor([0.0, 0.0, 3.0])
    torch.testing.assert_close(fcdd_loss(scores, label, weight), -torch.log(p[2]))


def test_an_outlier_on_the_center_has_a_finite_loss_and_gradient():
    z = torch.full((1, 4), 1e-6, requires_grad=True)
    loss = fcdd_loss(map_scores(z, torch.zeros(4)), torch.tensor([-1.0]))
    loss.backward()
    assert loss.isfinite()
    assert (z.grad < 0).all()  # outward


# ---------------------------------------------------------------------------- training


def test_the_mean_of_the_map_is_the_score(fitted, images):
    maps = fitted.score_map(images)
    side = images.shape[-1] // 4
    assert maps.shape == (len(images), side, side)
    np.testing.assert_allclose(
        maps.mean(axis=(1, 2)), fitted.anomaly_score(images), rtol=1e-5
    )


def test_all_places_have_one_center(fitted):
    center = fitted.members_[0].center
    assert (center == center[0]).all()
    assert abs(center[0]) >= 0.1


def test_maps_find_planted_defects_that_were_not_trained_on(mnist):
    threes = mnist.x_train[mnist.y_train == 3]
    detector = FCDD(random_state=0).fit(threes[:400])
    rng = np.random.default_rng(0)
    planted, masks = plant(threes[-40:], "square", rng)
    heat = detector.explain(planted)
    assert heat.shape == masks.shape
    assert roc_auc(masks.ravel().astype(int), heat.ravel()) > 0.75
    scores = detector.anomaly_score(np.concatenate([threes[-40:], planted]))
    assert roc_auc(np.repeat([0, 1], 40), scores) > 0.75


def test_synthetic_outliers_have_no_part_in_anything_but_the_loss(images):
    """Extrema, center, baseline and threshold are those of the images."""
    detector = fcdd(recipe=STILL, n_members=2).fit(images)
    other = fcdd(recipe=STILL, n_members=2).fit(images)
    for a, b in ((detector.typical_, other.typical_),):
        assert torch.equal(a, b)
    plain = short(recipe=STILL).fit(images)
    assert torch.equal(detector.typical_, plain.typical_)
    assert detector.preprocessor_.minimum == plain.preprocessor_.minimum
    assert detector.label_counts_["anomaly"] == 0
    assert (detector.predict(images) == -1).sum() == len(images) // 10


def test_known_outliers(images):
    y = labels_for(images)
    known = fcdd(outliers="known").fit(images, y)
    assert known.label_counts_ == {"normal": 0, "anomaly": 3, "unlabeled": 37}
    both = fcdd().fit(images, y, sample_weight=np.ones(len(images)))
    scores = [d.anomaly_score(images) for d in (known, both, fcdd().fit(images))]
    assert not np.array_equal(scores[0], scores[1])
    assert not np.array_equal(scores[1], scores[2])


def test_the_seed_draws_the_confetti_and_streaming_changes_nothing(images):
    one, two = fcdd().fit(images), fcdd().fit(images)
    np.testing.assert_array_equal(one.anomaly_score(images), two.anomaly_score(images))
    streamed = fcdd(n_workers=0).fit(Streamed(images))
    np.testing.assert_allclose(
        streamed.anomaly_score(images), one.anomaly_score(images), rtol=1e-4
    )


def test_several_members_have_a_mean_map(images):
    detector = fcdd(n_members=2).fit(images)
    maps = detector.score_map(images)
    parts = []
    for member in detector.members_:
        one = fcdd().fit(images)
        one.members_ = [member]
        parts.append(one.score_map(images) / member.mean_distance**2)
    np.testing.assert_allclose(maps, np.mean(parts, axis=0), rtol=1e-4)


def test_promises_and_files(fitted, images, tmp_path):
    held_out = images[::-1] // 2
    fitted.calibrate(held_out)
    assert fitted.p_values(images // 3).shape == (len(images),)
    fitted.save(tmp_path / "m")
    for loaded in (load_detector(tmp_path / "m"), FCDD.load(tmp_path / "m")):
        assert type(loaded) is FCDD
        np.testing.assert_array_equal(
            loaded.anomaly_score(images), fitted.anomaly_score(images)
        )
        np.testing.assert_array_equal(loaded.explain(images), fitted.explain(images))
        assert loaded.outliers == "confetti"
        assert len(loaded.calibration) == len(held_out)
    with pytest.raises(ModelFileError, match="holds a FCDD: read it with FCDD"):
        DeepSVDD.load(tmp_path / "m")


def test_an_exported_file_gives_the_same_scores(fitted, images, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    fitted.export_onnx(tmp_path / "m.onnx")  # which compares them, too
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    (first,) = session.get_inputs()
    x = images[:, None].astype(np.float32)
    names = [output.name for output in session.get_outputs()]
    found = dict(zip(names, session.run(None, {first.name: x}), strict=True))
    np.testing.assert_allclose(
        found["score"], fitted.anomaly_score(images), rtol=1e-4, atol=1e-7
    )


def test_a_warm_start_goes_on(images):
    detector = fcdd(warm_start=True).fit(images)
    center = detector.members_[0].center.clone()
    before = detector.anomaly_score(images)
    detector.fit(images)
    assert torch.equal(detector.members_[0].center, center)
    assert not np.array_equal(detector.anomaly_score(images), before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"outliers": "noise"}, "outliers must be .*; got 'noise'"),
        ({"outliers": "known"}, "y must name anomalies"),
        ({"contamination": "auto"}, r"contamination must be a number in \(0, 0.5\]"),
        ({"preprocessing": "standard"}, "preprocessing must be another than"),
    ],
)
def test_parameters_that_are_refused(parameters, message, images):
    with pytest.raises(ValueError, match=message):
        fcdd(**parameters).fit(images)


def test_vectors_and_tiny_images_are_refused(vectors):
    with pytest.raises(ValueError, match="FCDD takes images with sides of 8 to 256"):
        fcdd().fit(vectors)
    with pytest.raises(ValueError, match=r"got samples of shape \(1, 7, 7\)"):
        fcdd().fit(np.random.default_rng(0).random((20, 7, 7)))
    with pytest.raises(ValueError, match="network must be 'auto', a module or one of"):
        short(network="fcdd").fit(np.zeros((4, 28, 28)))
