"""GEOM: its score is the classifier's cross-entropy, and it finds what is odd."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from deepsvdd import GEOM
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.networks import output_of
from deepsvdd.successors.base import LEAST
from deepsvdd.successors.classified import Recognizer, geom_loss
from deepsvdd.successors.transformations import Geometric
from tests.successors.conftest import trained
from tests.toys import Tiny, random

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
