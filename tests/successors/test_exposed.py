"""HSC: its loss by hand, outliers that are known or made, and refusals."""

import numpy as np
import pytest
import torch

from deepsvdd import HSC
from deepsvdd.core.metrics import roc_auc
from deepsvdd.successors.exposed import hsc_loss
from tests.successors.conftest import labels_of, trained
from tests.toys import SHORT, linear, random

pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_loss_by_hand():
    network, x, c = linear(4, 3), random(5, 4), random(1, 3, seed=1)
    label = torch.tensor([0.0, -1, 1, -1, 0])
    loss = hsc_loss(network, x, c, label, None)
    h = ((network(x) - c).square().sum(dim=1) + 1).sqrt() - 1
    by_hand = torch.where(label < 0, -torch.log(1 - torch.exp(-h)), h).mean()
    torch.testing.assert_close(loss, by_hand, rtol=1e-4, atol=0)


def test_outliers_of_another_kind_help(threes):
    """Zeros and ones are exposed; the others are told apart from threes, too."""
    normal = threes.x_train[:300]
    test, y = threes.x_test[::10], threes.y_test[::10]
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (150, 1, 28, 28), dtype=np.uint8)
    x = np.concatenate([normal, noise])
    labels = np.repeat([0, -1], [300, 150])
    detector = HSC(recipe="quick", random_state=0).fit(x, labels)
    assert detector.label_counts_ == {"normal": 0, "anomaly": 150, "unlabeled": 300}
    assert roc_auc(y, detector.anomaly_score(test)) > 0.7


def test_confetti_is_made_where_there_are_no_outliers(images):
    detector = HSC(outliers="confetti", recipe=SHORT, random_state=0).fit(images)
    assert detector.label_counts_["anomaly"] == 0
    assert len(detector.anomaly_score(images)) == len(images)


def test_without_outliers_it_says_what_to_do(images):
    with pytest.raises(ValueError, match=r"y must name anomalies \(-1\).*confetti"):
        HSC().fit(images)


def test_outliers_have_no_part_in_preprocessing_and_threshold(vectors):
    far = np.concatenate([vectors, vectors + 100])
    y = np.repeat([0, -1], len(vectors))
    detector = HSC(recipe=SHORT, random_state=0).fit(far, y)
    alone = detector.anomaly_score(vectors)
    assert (alone > detector.threshold_).sum() == len(vectors) // 10


def test_names_where_outliers_can_come_from():
    with pytest.raises(ValueError, match=r"outliers must be .*got 'any'"):
        HSC(outliers="any").check_parameters()


def test_labels_are_checked(images):
    with pytest.raises(ValueError, match="y must hold"):
        HSC(recipe=SHORT).fit(images, labels_of(images)[:-1])
    assert trained("HSC", images).label_counts_["anomaly"] == len(images) // 5


def test_confetti_is_for_images(vectors):
    with pytest.raises(ValueError, match=r"outliers must be 'known' for vectors"):
        HSC(outliers="confetti").fit(vectors)
