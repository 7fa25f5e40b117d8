"""Attacks, on classifiers whose boundary is known."""

import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deepsvdd.adversarial.attacks import (
    Evading,
    boundary_attack,
    gradient_attack,
    lengths,
    margin,
    starting_points,
    within,
)

pytestmark = pytest.mark.usefixtures("one_thread")
foolbox = pytest.importorskip("foolbox")


class Plane(nn.Module):
    """Class 0 where the mean pixel is below a half, else class 1."""

    def forward(self, x):
        height = x.mean(dim=(1, 2, 3)) - 0.5
        return torch.stack([-height, height], dim=1)


def dark(n=3, side=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = 0.2 + 0.2 * torch.rand(n, 1, side, side, generator=generator)
    return images, torch.zeros(n, dtype=torch.int64)


def gap(images):
    """Distance from the plane: pixels each move by (0.5 − mean), √pixels as far."""
    return (0.5 - images.mean(dim=(1, 2, 3))) * images[0].numel() ** 0.5


# --------------------------------------------------------------- the Boundary Attack


def test_a_walk_approaches_the_distance_from_a_plane():
    images, labels = dark()
    starts = torch.ones_like(images)
    walk = boundary_attack(Plane(), images, labels, starts, n_steps=1500)
    assert (Plane()(walk.x).argmax(dim=1) == 1).all()
    torch.testing.assert_close(walk.distance, lengths(walk.x - images))
    assert (walk.distance >= gap(images) * (1 - 1e-4)).all()
    assert (walk.distance <= 1.1 * gap(images)).all()


def test_a_walk_is_recorded_and_never_moves_away():
    images, labels = dark()
    calls = []
    walk = boundary_attack(
        *(Plane(), images, labels, torch.ones_like(images)),
        n_steps=200,
        keep_frames=True,
        on_query=lambda: calls.append(1),
    )
    # One query for the starts, one a step, and another one every other step.
    assert walk.n_queries == len(calls) == 1 + 200 + 100
    assert walk.queries[0] == 1
    assert walk.queries[-1] == walk.n_queries
    assert walk.distances.shape == (len(walk.queries), len(images))
    assert (walk.distances.diff(dim=0) <= 0).all()
    torch.testing.assert_close(walk.distances[-1], walk.distance)
    for frame, distance in zip(walk.frames, walk.distances, strict=True):
        torch.testing.assert_close(lengths(frame - images), distance)
    assert torch.equal(walk.frames[-1], walk.x)


def test_a_seed_decides_the_walk_and_leaves_the_global_generator_alone():
    images, labels = dark()

    def walk(seed):
        return boundary_attack(
            *(Plane(), images, labels, torch.ones_like(images)), n_steps=50, seed=seed
        ).x

    state = torch.get_rng_state()
    first = walk(1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(walk(1), first)
    assert not torch.equal(walk(2), first)


def test_a_start_must_be_adversarial():
    images, labels = dark()
    with pytest.raises(
        ValueError, match=r"3.* of 3 starting_points are not adversarial"
    ):
        boundary_attack(Plane(), images, labels, images)


def test_steps_are_checked():
    images, labels = dark()
    with pytest.raises(ValueError, match="n_steps must be at least 1; got 0"):
        boundary_attack(Plane(), images, labels, torch.ones_like(images), n_steps=0)


def test_without_foolbox_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "foolbox", None)
    images, labels = dark()
    with pytest.raises(ValueError, match=r"pip install 'deepsvdd\[adversarial\]'"):
        boundary_attack(Plane(), images, labels, torch.ones_like(images))


def test_starts_are_the_first_candidates_of_another_class():
    images, labels = dark()
    drawn = iter((0.3, 0.4, 0.7, 0.9))
    starts, found = starting_points(
        *(Plane(), images, labels),
        lambda n: torch.full((n, *images.shape[1:]), next(drawn)),
    )
    assert found.all()
    assert torch.equal(starts, torch.full_like(images, 0.7))


def test_where_nothing_is_adversarial_there_is_no_start():
    images, labels = dark()
    starts, found = starting_points(
        Plane(), images, labels, lambda n: torch.zeros(n, *images.shape[1:])
    )
    assert not found.any()
    assert torch.equal(starts, images)


# --------------------------------------------------------------- attacks by gradient


@given(st.floats(0.01, 5), st.integers(0, 5))
def test_within_is_the_nearest_point_of_the_ball(budget, seed):
    images, _ = dark(seed=seed)
    far = images + torch.randn(
        images.shape, generator=torch.Generator().manual_seed(seed)
    )
    near = within(far, images, budget)
    assert (lengths(near - images) <= budget * (1 + 1e-5)).all()
    assert ((near >= 0) & (near <= 1)).all()
    again = within(near, images, budget)
    torch.testing.assert_close(again, near)


def test_a_gradient_attack_reaches_the_best_point_of_a_ball():
    images, labels = dark()
    model, budget = Plane(), 0.7
    x = gradient_attack(margin(model, labels), images, budget)
    raised = (x - images).mean(dim=(1, 2, 3))
    # Against a plane the best way is straight on: every pixel by budget/√pixels.
    torch.testing.assert_close(raised, torch.full((3,), budget / 4), rtol=1e-3, atol=0)


def test_a_gradient_attack_needs_the_distance_of_the_plane():
    images, labels = dark()
    model = Plane()
    for factor, fooled in ((0.9, False), (1.1, True)):
        for image, label, far in zip(images, labels, gap(images), strict=True):
            x = gradient_attack(
                margin(model, label[None]), image[None], factor * float(far)
            )
            assert bool(model(x).argmax() == 1) is fooled


@pytest.mark.parametrize("budget", [0, -1, float("inf"), float("nan")])
def test_the_budget_is_checked(budget):
    images, labels = dark()
    with pytest.raises(ValueError, match="budget must be a positive number"):
        gradient_attack(margin(Plane(), labels), images, budget)


def test_margin_is_negative_where_the_classifier_errs():
    logits = torch.tensor([[3.0, 1.0, 2.0], [0.0, 5.0, 1.0]])
    labels = torch.tensor([0, 2])
    loss = margin(nn.Identity(), labels)
    assert loss(logits).tolist() == [1.0, -4.0]


def test_a_guarded_classifier_counts_what_is_flagged_as_right():
    images = torch.stack([torch.full((1, 4, 4), v) for v in (0.2, 0.6, 0.9)])
    labels = torch.zeros(3, dtype=torch.int64)
    guarded = Evading(Plane(), labels, lambda x: x.amax(dim=(1, 2, 3)) > 0.8)
    assert guarded(images).argmax(dim=1).tolist() == [0, 1, 0]
