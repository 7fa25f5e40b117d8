"""GOAD: centers of the training data, a margin, smoothed probabilities."""

import numpy as np
import pytest
import torch

from deepsvdd import GOAD
from deepsvdd.core import moments
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core.metrics import roc_auc
from deepsvdd.successors.base import LEAST
from deepsvdd.successors.clustered import MARGIN, SMOOTHING, Clusters, goad_loss
from deepsvdd.successors.transformations import Linear
from tests.toys import linear, random

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def clusters():
    torch.manual_seed(0)
    return Clusters(linear(5, 3), 3, Linear(5, 4))


def test_the_loss_by_hand(clusters):
    x = random(7, 5)
    loss = goad_loss(clusters.train(), x, torch.zeros(1, 4), None, None)
    f = clusters.features(x)
    centers = f.mean(dim=0)
    total = 0.0
    for sample in f:
        for t in range(4):
            d2 = (sample[t] - centers).square().sum(dim=1)
            nearest = min(d2[m] for m in range(4) if m != t)
            total += max(d2[t] + MARGIN - nearest, torch.tensor(0.0))
    torch.testing.assert_close(loss, total / (7 * 4))


def test_centers_are_the_means_of_the_training_data(clusters):
    x = random(300, 5)
    clusters.measure(InMemory(x))
    torch.testing.assert_close(clusters.centers, clusters.features(x).mean(dim=0))


def test_centers_are_those_of_all_processes(clusters, monkeypatch):
    """Each process reads its share, and sums are shared: here by one like it."""
    x = random(60, 5)

    class Half(InMemory):
        def in_order(self, size):
            return super().subset(torch.arange(30)).in_order(size)

    monkeypatch.setattr(moments, "total", lambda value: 2 * value)
    clusters.measure(Half(x))
    mean = clusters.features(x[:30]).mean(dim=0)
    torch.testing.assert_close(clusters.centers, mean)


def test_distances_are_no_bfloat16(clusters):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert clusters.train()(random(4, 5)).dtype == torch.float32


def test_the_score_by_hand(clusters):
    x = random(30, 5)
    clusters.measure(InMemory(x))
    z = clusters.eval()(x[:1])
    for t in range(4):
        d2 = (clusters.features(x[:1])[0, t] - clusters.centers).square().sum(dim=1)
        p = torch.exp(-d2)
        p = (p[t] / p.sum() + SMOOTHING) / (1 + 4 * SMOOTHING)
        torch.testing.assert_close(z[0, t] ** 2, LEAST - p.log())


def test_a_far_sample_has_a_finite_score(vectors):
    detector = GOAD(random_state=0).fit(vectors)
    far = detector.anomaly_score(1e6 * vectors[:3])
    assert np.isfinite(far).all()
    # ε bounds it: the doubt of one transformation is at most −log of its share
    bound = 16 * np.log((1 + 16 * SMOOTHING) / SMOOTHING)
    assert (far <= bound + 1e-3).all()


def test_it_finds_what_breaks_a_relation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    x[:, 3:] = 0.3 * x[:, :3]  # normal: three columns follow the others
    odd = rng.normal(size=(100, 6)) * np.repeat([1, 0.3], 3)
    detector = GOAD(recipe="quick", random_state=0).fit(x[:200])
    scores = detector.anomaly_score(np.concatenate([x[200:], odd]))
    assert roc_auc(np.repeat([0, 1], 100), scores) > 0.9
