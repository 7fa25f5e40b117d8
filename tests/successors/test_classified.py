"""GEOM: its score is the classifier's cross-entropy, and it finds what is odd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepsvdd import GEOM, load_detector
from deepsvdd.core import detector as core_detector
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.networks import output_of
from deepsvdd.successors.base import LEAST
from deepsvdd.successors.classified import Recognizer, geom_loss
from deepsvdd.successors.transformations import Geometric
from tests.successors.conftest import trained
from tests.toys import Tiny, make_images, make_vectors, random

pytestmark = pytest.mark.usefixtures("one_thread")


def recognizer():
    torch.manual_seed(0)
    return Recognizer(Tiny(), 16, Geometric("rotations")).eval()


def test_the_loss_is_the_cross_entropy_of_the_transformations():
    with torch.no_grad():
        width = Tiny()(random(1, 1, 12, 12)).shape[1]
    torch.manual_seed(0)
    network = Recognizer(Tiny(), width, Geometric("rotations"))
    x = random(6, 1, 12, 12)
    loss = geom_loss(network, x, torch.zeros(1, 4), None, None)
    by_hand = 0.0
    for turns in range(4):
        logits = network.head(network.encoder(torch.rot90(x, turns, (2, 3))))
        by_hand += F.cross_entropy(logits, torch.full((6,), turns))
    torch.testing.assert_close(loss, by_hand + 4 * LEAST)


def test_the_score_is_the_sum_of_the_doubts(images):
    detector = trained("GEOM", images)
    (member,) = detector.members_
    x = detector.preprocessor_(torch.from_numpy(images[:3])[:, None]).float()
    views = output_of(member.encoder, x)
    assert views.shape == (3, 4)
    expected = views.square().sum(dim=1).double().numpy()
    assert detector.anomaly_score(images[:3]) == pytest.approx(expected, rel=1e-5)


def test_it_tells_threes_from_other_digits(threes):
    """On so few images Deep SVDD has an AUC of about 90 %."""
    detector = GEOM(recipe="quick", random_state=0).fit(threes.x_train[:500])
    scores = detector.anomaly_score(threes.x_test[::10])
    assert roc_auc(threes.y_test[::10], scores) > 0.93


def test_shifts_too(images):
    detector = trained("GEOM", images, transformations="rotations+shifts")
    assert detector.represent(images[:2]).shape == (2, 20)


@pytest.mark.parametrize(
    ("shape", "transformations", "message"),
    [
        ((1, 12, 16), "auto", r"square images .*\(1, 12, 16\)"),
        ((1, 12, 12), "linear", r"for images of shape \(1, 12, 12\); got 'linear'"),
    ],
)
def test_other_shapes_are_refused_before_all_is_read(shape, transformations, message):
    class Images(torch.utils.data.Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, index):
            assert index < 2
            return np.zeros(shape, np.uint8)

    with pytest.raises(ValueError, match=message):
        GEOM(transformations=transformations, n_workers=0).fit(Images())


def test_names_the_transformations_there_are():
    with pytest.raises(ValueError, match=r"transformations must be .*got 'zoom'"):
        GEOM(transformations="zoom").check_parameters()


# Other scores of the same network ----------------------------------------------------

OTHERS = ["density", "both"]


@pytest.mark.parametrize("criterion", OTHERS)
@pytest.mark.parametrize("kind", ["images", "vectors"])
def test_other_scores_are_saved_and_exported(
    kind, criterion, images, vectors, tmp_path
):
    onnxruntime = pytest.importorskip("onnxruntime")
    x = images[:, None] if kind == "images" else vectors
    detector = trained("GEOM", x, criterion=criterion, n_members=2)
    detector.save(tmp_path / "m.safetensors")
    again = load_detector(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.anomaly_score(x), detector.anomaly_score(x))
    new = make_images(seed=1)[:, None] if kind == "images" else make_vectors(seed=1)
    detector.export_onnx(tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx")
    raw = new.astype(np.float32 if kind == "images" else np.float64)
    (given, _) = session.run(None, {"x": raw})
    np.testing.assert_allclose(given, detector.anomaly_score(new), rtol=1e-4)


@pytest.mark.parametrize("criterion", OTHERS)
def test_other_scores_come_from_the_same_training(criterion, images, tmp_path):
    plain, other = trained("GEOM", images), trained("GEOM", images, criterion=criterion)
    for name, value in plain.members_[0].encoder.state_dict().items():
        assert torch.equal(other.members_[0].encoder.state_dict()[name], value)
    whole = other.anomaly_score(images)
    for _ in range(2):
        again = trained(
            *("GEOM", images),
            criterion=criterion,
            checkpoint_dir=tmp_path,
            checkpoint_every=1,
        )
    np.testing.assert_array_equal(again.anomaly_score(images), whole)


@pytest.mark.parametrize("criterion", OTHERS)
def test_a_stack_has_other_scores_too(criterion, images, monkeypatch):
    alone = trained("GEOM", images, criterion=criterion, n_members=2)
    monkeypatch.setattr(core_detector, "trains_at_once", lambda device: True)
    stacked = trained("GEOM", images, criterion=criterion, n_members=2)
    np.testing.assert_allclose(
        stacked.anomaly_score(images), alone.anomaly_score(images), rtol=1e-3
    )


def test_both_is_the_sum_in_units_of_the_training_data(images):
    new = make_images(seed=1)
    expected = 0
    for criterion in ("likelihood", "density"):
        detector = trained("GEOM", images, criterion=criterion)
        unit = detector.members_[0].mean_distance
        expected = expected + detector.anomaly_score(new) / unit**2
    both = trained("GEOM", images, criterion="both").anomaly_score(new)
    np.testing.assert_allclose(both, expected, rtol=1e-4)


@pytest.mark.parametrize("criterion", OTHERS)
def test_the_threshold_is_for_images_that_are_not_kept(criterion, images):
    detector = trained("GEOM", images, criterion=criterion)
    flagged = (detector.predict(make_images(seed=1)) < 0).mean()
    assert 0.02 < flagged < 0.35  # contamination is 0.1


def test_a_round_thing_is_told_by_the_density():
    """Rings look the same after rotations, and so do disks."""
    rng = np.random.default_rng(0)
    side = np.arange(16) - 7.5
    r = np.hypot(*np.meshgrid(side, side))

    def drawn(n, inner):
        edges = inner + rng.normal(0, 0.3, (n, 1, 1))
        shapes = (r > edges) & (r < 6)
        noise = rng.normal(0, 8, (n, 16, 16))
        return np.clip(200 * shapes + noise + 20, 0, 255).astype(np.uint8)

    train, normal, odd = drawn(200, 3), drawn(60, 3), drawn(60, 0)
    auc = {}
    for criterion in ("likelihood", "density"):
        detector = GEOM(criterion=criterion, recipe="quick", random_state=0).fit(train)
        scores = detector.anomaly_score(np.concatenate([normal, odd]))
        auc[criterion] = roc_auc(np.repeat([0, 1], 60), scores)
    assert auc["density"] > 0.95
    assert auc["density"] > auc["likelihood"]


def test_an_unknown_score_is_refused(images):
    with pytest.raises(
        ValueError, match=r"criterion must be one of .*'both'.*; got 'sum'"
    ):
        trained("GEOM", images, criterion="sum")
