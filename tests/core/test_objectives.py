"""The objectives, the radius and the center against their formulas."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.core.objectives import (
    count_of,
    deep_sad_loss,
    initial_center,
    one_class_loss,
    optimal_radius,
    soft_boundary_loss,
    squared_distances,
)

# ν as a fraction, so that νn can be compared with a count exactly
nus = st.integers(1, 100).flatmap(
    lambda q: st.integers(1, q).map(lambda p: Fraction(p, q))
)
# few different values: ties at the boundary are the rule
tied = st.lists(st.integers(0, 4), min_size=1, max_size=40)
untied = st.lists(st.floats(0, 1e3, width=32), min_size=1, max_size=40)


def representations(n=7, d=3, seed=0):
    """Float64 z (n, d) and c (d,), as tensors."""
    rng = np.random.default_rng(seed)
    return torch.from_numpy(rng.normal(size=(n, d))), torch.from_numpy(
        rng.normal(size=d)
    )


def exactly(d2, radius, nu):
    """The soft-boundary loss in rational arithmetic."""
    square = Fraction(radius) ** 2
    violations = [max(Fraction(0), Fraction(float(v)) - square) for v in d2]
    return square + sum(violations) / (Fraction(nu) * len(d2))


# Losses ------------------------------------------------------------------------------


def test_squared_distances_are_the_formulas():
    z, c = representations()
    expected = ((z.numpy() - c.numpy()) ** 2).sum(axis=1)
    found = squared_distances(z, c)
    assert found.shape == (7,)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)


def test_gradient_of_squared_distances():
    z, c = representations()
    z.requires_grad_(), c.requires_grad_()
    squared_distances(z, c).sum().backward()
    torch.testing.assert_close(z.grad, 2 * (z - c).detach())
    torch.testing.assert_close(c.grad, -2 * (z - c).detach().sum(0))
    assert torch.autograd.gradcheck(squared_distances, (z, c))


def test_one_class_loss_is_the_mean_and_pulls_every_sample():
    z, c = representations()
    z.requires_grad_()
    loss = one_class_loss(squared_distances(z, c))
    assert loss.item() == pytest.approx(
        np.mean(((z.detach().numpy() - c.numpy()) ** 2).sum(axis=1)), rel=1e-14
    )
    loss.backward()
    torch.testing.assert_close(z.grad, 2 * (z - c).detach() / len(z))


@given(untied, st.floats(0, 40), st.floats(0.01, 1))
def test_soft_boundary_loss_is_the_formula(d2, radius, nu):
    values = torch.tensor(d2, dtype=torch.float64)
    expected = float(exactly(d2, radius, nu))
    assert soft_boundary_loss(values, radius, nu).item() == pytest.approx(
        expected, rel=1e-12, abs=1e-12
    )
    as_tensor = torch.tensor(radius, dtype=torch.float64)
    assert soft_boundary_loss(values, as_tensor, nu).item() == pytest.approx(
        expected, rel=1e-12, abs=1e-12
    )


def test_soft_boundary_pulls_only_the_samples_outside():
    z, c = representations(n=20)
    z.requires_grad_()
    d2, nu = squared_distances(z, c), 0.25
    radius = d2.detach().median().sqrt() * 1.01
    soft_boundary_loss(d2, radius, nu).backward()
    outside = (d2 > radius**2).detach()
    assert 0 < outside.sum() < 20
    pull = 2 * (z - c).detach() / (nu * len(z))
    torch.testing.assert_close(z.grad, pull * outside[:, None])


def test_soft_boundary_derivative_in_the_radius():
    d2 = torch.arange(1.0, 11.0, dtype=torch.float64)
    radius = torch.tensor(2.5, dtype=torch.float64, requires_grad=True)
    soft_boundary_loss(d2, radius, nu=0.2).backward()
    outside = 4  # 7, 8, 9 and 10 exceed 6.25
    assert radius.grad.item() == pytest.approx(2 * 2.5 * (1 - outside / (0.2 * 10)))
    assert torch.autograd.gradcheck(
        lambda d2, r: soft_boundary_loss(d2, r, 0.2), (d2.requires_grad_(), radius)
    )


def test_soft_boundary_with_radius_zero_is_the_one_class_loss_over_nu():
    d2 = representations()[0].square().sum(1)
    found = soft_boundary_loss(d2, 0.0, nu=0.1)
    assert found.item() == pytest.approx(one_class_loss(d2).item() / 0.1, rel=1e-14)


# Counts ------------------------------------------------------------------------------


@given(st.integers(1, 1000), st.integers(0, 10**5))
def test_count_of_is_the_exact_floor(thousandths, n):
    assert count_of(thousandths / 1000, n) == thousandths * n // 1000


@given(st.integers(1, 10**4), st.data())
def test_count_of_k_in_n_is_k(n, data):
    k = data.draw(st.integers(0, n))
    assert count_of(k / n, n) == k


# Radius ------------------------------------------------------------------------------


@given(st.one_of(tied, untied), nus, st.sampled_from([torch.float32, torch.float64]))
def test_radius_has_the_nu_property(d2, nu, dtype):
    values = torch.tensor(d2, dtype=dtype)
    radius = optimal_radius(values, float(nu))
    # as distances: squaring a rounded root may miss the square it came from
    distances = values.sqrt()
    outside = int((distances > radius).sum())
    outside_or_on = int((distances >= radius).sum())
    assert outside <= nu * len(d2) <= outside_or_on


@given(st.one_of(tied, untied), nus)
def test_radius_minimises_the_soft_boundary_loss(d2, nu):
    # The loss is piecewise linear in R², with corners at 0 and at the distances: no
    # corner and no point between corners may be lower.
    values = torch.tensor(d2, dtype=torch.float64)
    corners = np.unique([0.0, *d2, 2 * max(d2) + 1])
    grid = np.concatenate([corners, (corners[1:] + corners[:-1]) / 2])
    losses = [float(exactly(d2, Fraction(np.sqrt(r2)), nu)) for r2 in grid]
    found = float(exactly(d2, Fraction(optimal_radius(values, float(nu)).item()), nu))
    assert found <= min(losses) * (1 + 1e-12) + 1e-12


@pytest.mark.parametrize(
    ("nu", "expected"), [(0.01, 10), (0.1, 9), (0.15, 9), (0.2, 8), (0.9, 1), (1.0, 1)]
)
def test_radius_of_ten_distances(nu, expected):
    distances = torch.arange(1.0, 11.0)[torch.randperm(10)]
    assert optimal_radius(distances.square(), nu).item() == expected


@pytest.mark.parametrize("nu", [0.01, 0.5, 1.0])
def test_radius_of_one_sample_is_its_distance(nu):
    radius = optimal_radius(torch.tensor([9.0]), nu)
    assert radius.shape == ()
    assert radius.item() == 3.0


def test_radius_is_not_off_by_one_for_rounding():
    # 0.29 · 100 = 28.999999999999996 in floating point
    distances = torch.arange(1.0, 101.0, dtype=torch.float64)
    assert optimal_radius(distances.square(), 0.29).item() == 71


# Center ------------------------------------------------------------------------------

coordinates = st.lists(
    st.one_of(
        st.floats(-1, 1, width=32),
        st.sampled_from([0.0, -0.0, 0.1, -0.1, 0.05, -0.05, 1e-30, -1e-30]),
    ),
    min_size=1,
    max_size=8,
)


@given(coordinates, st.sampled_from([torch.float32, torch.float64]))
def test_center_moves_only_coordinates_near_zero(mean, dtype):
    z = torch.tensor([mean], dtype=dtype)
    c = initial_center(z)
    near = z[0].abs() < 0.1
    assert c.dtype == dtype
    assert torch.equal(c[~near], z[0][~near])
    np.testing.assert_allclose(c[near].abs().numpy(), 0.1, rtol=1e-6)
    nonzero = z[0] != 0
    assert torch.equal(c[nonzero].sign(), z[0][nonzero].sign())
    assert (c[~nonzero] > 0).all()


@pytest.mark.parametrize("eps", [0.1, 0.3, 0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_coordinate_of_the_center_is_below_eps(eps, dtype):
    z = torch.tensor([[0.0, 0.01, -0.01]], dtype=dtype)
    expected = torch.tensor([eps, eps, -eps], dtype=dtype)
    assert torch.equal(initial_center(z, eps), expected)


def test_center_is_the_mean():
    z = representations(n=50, d=4)[0] + torch.tensor([2.0, -3.0, 1.0, -1.0])
    np.testing.assert_allclose(
        initial_center(z).numpy(), z.numpy().mean(axis=0), rtol=1e-14
    )


def test_center_of_dead_features_is_not_the_all_zero_solution():
    # Proposition 1: with c at the output of all-zero weights, these are optimal.
    assert (initial_center(torch.zeros(5, 3)) == 0.1).all()
    assert (initial_center(torch.zeros(5, 3), eps=0.25) == 0.25).all()


def test_center_does_not_change_its_input():
    z = torch.full((2, 3), 0.01)
    initial_center(z)
    assert (z == 0.01).all()


# Weights -----------------------------------------------------------------------------


@given(
    d2=st.lists(st.floats(0, 100, width=32), min_size=1, max_size=12),
    data=st.data(),
)
def test_a_weight_is_a_number_of_repetitions(d2, data):
    counts = data.draw(
        st.lists(st.integers(1, 4), min_size=len(d2), max_size=len(d2)), "counts"
    )
    nu = data.draw(st.sampled_from((0.1, 0.3, 0.5, 1.0)), "nu")
    values = torch.tensor(d2, dtype=torch.float64)
    weight = torch.tensor(counts, dtype=torch.float64)
    repeated = values.repeat_interleave(torch.tensor(counts))
    weight /= weight.mean()
    for loss in (one_class_loss, lambda d, w=None: soft_boundary_loss(d, 2.0, nu, w)):
        torch.testing.assert_close(loss(values, weight), loss(repeated))
    radius = optimal_radius(values, nu, weight)
    assert radius.square().item() == pytest.approx(
        optimal_radius(repeated, nu).square().item(), abs=1e-9
    )


def test_equal_weights_change_nothing():
    d2 = torch.rand(3, 17, dtype=torch.float64)
    ones = torch.ones(17, dtype=torch.float64)
    assert torch.equal(one_class_loss(d2, ones), one_class_loss(d2))
    torch.testing.assert_close(optimal_radius(d2, 0.2, ones), optimal_radius(d2, 0.2))


# Deep SAD ----------------------------------------------------------------------------


def test_deep_sad_loss_is_the_papers():
    d2 = torch.tensor([4.0, 4.0, 4.0, 0.0], dtype=torch.float64, requires_grad=True)
    label = torch.tensor([0.0, 1.0, -1.0, -1.0], dtype=torch.float64)
    loss = deep_sad_loss(d2, label, eta=3.0, eps=0.5)
    expected = (4 + 3 * 4.5 + 3 / 4.5 + 3 / 0.5) / 4
    assert loss.item() == pytest.approx(expected, rel=1e-14)
    loss.backward()
    slopes = [1 / 4, 3 / 4, -3 / 4.5**2 / 4, -3 / 0.5**2 / 4]
    np.testing.assert_allclose(d2.grad.numpy(), slopes, rtol=1e-14)


def test_without_labels_deep_sad_is_deep_svdd_to_the_bit():
    ours = torch.rand(50, requires_grad=True)
    theirs = ours.detach().clone().requires_grad_()
    loss, expected = deep_sad_loss(ours, torch.zeros(50)), one_class_loss(theirs)
    assert torch.equal(loss, expected)
    loss.backward(), expected.backward()
    assert torch.equal(ours.grad, theirs.grad)


def test_deep_sad_of_a_stack_is_that_of_each():
    d2, label = torch.rand(3, 8), torch.tensor([0.0, -1, 1, 0, -1, 0, 0, 1])
    weight = torch.rand(8)
    together = deep_sad_loss(d2, label.expand(3, 8), 2.0, 1e-3, weight)
    each = [deep_sad_loss(row, label, 2.0, 1e-3, weight) for row in d2]
    torch.testing.assert_close(together, torch.stack(each))
