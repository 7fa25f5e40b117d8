"""DROCC: the shell, the ascent, the rule for the radius."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd import DROCC
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.objectives import squared_distances
from deepsvdd.successors.surrounded import (
    RULE_ROWS,
    Logit,
    both,
    drocc_loss,
    lengths,
    onto_shell,
    usual_gap,
    worst,
)
from tests.successors.conftest import trained
from tests.toys import linear, random

pytestmark = pytest.mark.usefixtures("one_thread")
ORIGIN = torch.zeros(1, 1)


@pytest.fixture
def logit():
    torch.manual_seed(0)
    return Logit(linear(6, 4), 4)


@given(st.floats(0.1, 10), st.floats(1.1, 3), st.integers(0, 100))
def test_changes_come_onto_the_shell_in_their_direction(radius, gamma, seed):
    change = random(20, 1, 3, 3, seed=seed) * 10
    moved = onto_shell(change, radius, gamma, 1)
    norms = moved.flatten(1).norm(dim=1)
    assert (norms >= radius * (1 - 1e-5)).all()
    assert (norms <= gamma * radius * (1 + 1e-5)).all()
    cosine = torch.cosine_similarity(moved.flatten(1), change.flatten(1))
    torch.testing.assert_close(cosine, torch.ones(20))
    inside = lengths(change, 1).flatten()
    kept = (inside >= radius) & (inside <= gamma * radius)
    torch.testing.assert_close(moved[kept], change[kept])


def test_the_ascent_finds_points_that_look_more_normal(logit):
    x = random(50, 6)
    found = []
    for n_steps in (0, 10):
        torch.manual_seed(0)
        change = worst(logit, x, ORIGIN, 1.0, 2.0, 0.5, n_steps)
        found.append(squared_distances(logit(x + change), ORIGIN).mean().item())
        assert not change.requires_grad
    assert found[1] < 0.8 * found[0]


def test_the_ascent_begins_where_all_is_surely_anomalous(logit):
    """1 − p is 1 in float32 there, and the cross-entropy has no gradient."""
    torch.nn.init.constant_(logit.head.bias, -40)
    x = random(20, 6)
    torch.manual_seed(0)
    start = worst(logit, x, ORIGIN, 1.0, 2.0, 0.5, 0)
    torch.manual_seed(0)
    found = worst(logit, x, ORIGIN, 1.0, 2.0, 0.5, 5)
    before, after = (
        squared_distances(logit(x + change), ORIGIN) for change in (start, found)
    )
    assert before.min() > 30
    assert (after < before).all()


def test_the_loss_is_the_two_cross_entropies(logit):
    x = random(30, 6)
    torch.manual_seed(1)
    loss = drocc_loss(
        logit, x, ORIGIN, None, radius=1, gamma=2, mu=3, step=0.5, n_steps=2
    )
    torch.manual_seed(1)
    around = x + worst(logit, x, ORIGIN, 1, 2, 0.5, 2)
    p, q = (
        torch.sigmoid(logit.head(logit.encoder(part)))[:, 0] for part in (x, around)
    )
    by_hand = -p.log().mean() - 3 * (1 - q).log().mean()
    torch.testing.assert_close(loss, by_hand, rtol=1e-4, atol=1e-5)


def test_both_halves_share_the_statistics_of_a_batch(logit):
    """Else batch normalization would tell them apart."""
    norm = torch.nn.BatchNorm1d(6, affine=False)
    network = torch.nn.Sequential(norm, logit).train()
    x = random(40, 6)
    own, around = both(network, x, x + 5, ORIGIN)
    assert norm.num_batches_tracked == 1
    assert own.shape == around.shape == (40,)
    assert not torch.allclose(own, around)


def test_the_radius_is_the_usual_gap():
    x = torch.tensor([[0.0, 0], [0, 1], [0, 3], [0, 6], [0, 10]])
    assert usual_gap(InMemory(x)) == 2  # of 1, 1, 2, 3, 4
    assert usual_gap(InMemory(torch.cat([x, x]))) == 2  # copies are no neighbors


def test_the_radius_is_found_or_given(vectors):
    found = trained("DROCC", vectors)
    x = found.preprocessor_(torch.from_numpy(vectors))
    assert found.radius_ > 0
    assert found.radius_ == pytest.approx(2 * usual_gap(InMemory(x)), rel=0.2)
    assert trained("DROCC", vectors, radius=0.5).radius_ == 0.5


def test_it_finds_what_breaks_a_relation():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 6))
    x[:, 3:] = 0.3 * x[:, :3]
    odd = rng.normal(size=(100, 6)) * np.repeat([1, 0.3], 3)
    detector = DROCC(random_state=0).fit(x[:200])
    scores = detector.anomaly_score(np.concatenate([x[200:], odd]))
    assert roc_auc(np.repeat([0, 1], 100), scores) > 0.9


def test_equal_samples_have_no_gap():
    x = np.tile([[0.0, 1, 2]], (2 * RULE_ROWS + 1, 1))
    x[1] = 5.0  # between the first two rows that are looked at
    with pytest.raises(ValueError, match=r"radius must be given .* 'auto'"):
        DROCC(random_state=0).fit(x)


@pytest.mark.parametrize(
    ("name", "value"),
    [("radius", 0), ("radius", "big"), ("gamma", 1), ("mu", -1), ("n_steps", 1.5)],
)
def test_parameters_out_of_range(name, value):
    with pytest.raises(ValueError, match=rf"{name} must be .*got {value!r}"):
        DROCC(**{name: value}).check_parameters()
