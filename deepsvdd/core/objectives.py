"""The Deep SVDD objectives, radius, center and score as pure functions.

Shapes: ``z`` representations (n, d), ``c`` center (d,), ``d2`` squared distances (n,).
For a stack of M networks each has one more axis: (M, n, d), (M, 1, d), (M, n).
The weight decay term of both objectives, (λ/2) Σ ‖W‖², is the optimizer's.
"""

from __future__ import annotations

import torch
from torch import Tensor


def squared_distances(z: Tensor, c: Tensor) -> Tensor:
    """Squared distance of each representation to the center, ‖φ(x) − c‖².

    In the book: sec-one-class (03-deep-svdd).

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Representations φ(x).
    c : Tensor of shape (d,)
        Center of the hypersphere.

    Returns
    -------
    Tensor of shape (n,)
        The anomaly score s(x) of the paper's Equation 5.
    """
    return (z - c).square().sum(dim=-1)


def one_class_loss(d2: Tensor) -> Tensor:
    """Mean squared distance to the center (Equation 4): (1/n) Σ ‖φ(x) − c‖².

    In the book: sec-one-class (03-deep-svdd).
    """
    return d2.mean(dim=-1)


def soft_boundary_loss(d2: Tensor, radius: Tensor | float, nu: float) -> Tensor:
    """Volume plus violations (Equation 3): R² + 1/(νn) Σ max(0, ‖φ(x) − c‖² − R²).

    In the book: sec-soft-boundary (03-deep-svdd).
    """
    square = torch.as_tensor(radius**2, dtype=d2.dtype, device=d2.device)
    violations = torch.relu(d2 - square.unsqueeze(-1))
    return square + violations.mean(dim=-1) / nu


def count_of(fraction: float, n: int) -> int:
    """⌊fraction · n⌋, not off by one for rounding: 0.1 of 30 is 3."""
    return int(fraction * n + 1e-9)


def optimal_radius(d2: Tensor, nu: float) -> Tensor:
    """Radius that minimizes the soft-boundary loss for a fixed network.

    The loss is convex in R², with derivative 1 − #{i : ‖φ(x_i) − c‖² > R²}/(νn), which
    changes sign at the (1 − ν)-quantile. Taking an order statistic there makes the
    ν-property (Proposition 4) exact: at most νn samples outside, and at least νn
    outside or on the boundary.

    In the book: prop-best-radius (03-deep-svdd).

    Parameters
    ----------
    d2 : Tensor of shape (n,)
        Squared distances of *all* training samples: a mini-batch's quantile is noise.
    nu : float in (0, 1]
        Upper bound on the fraction of training samples outside.

    Returns
    -------
    Tensor of shape ()
        The radius R.
    """
    n = d2.shape[-1]
    return d2.kthvalue(max(n - count_of(nu, n), 1)).values.sqrt()


def initial_center(z: Tensor, eps: float = 0.1) -> Tensor:
    r"""Center c: mean of the representations, with no coordinate near zero.

    A coordinate of c at zero could be matched by zero weights alone (Section 3.3), so
    coordinates with \|c_j\| < eps move to ±eps, keeping their sign; an exact zero goes
    to +eps.

    In the book: sec-center (03-deep-svdd).

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Representations of the training data by the network before training.
    eps : float, default=0.1
        Smallest magnitude allowed.

    Returns
    -------
    Tensor of shape (d,)
        The center, fixed from here on.
    """
    return away_from_zero(z.mean(dim=-2), eps)


def away_from_zero(c: Tensor, eps: float = 0.1) -> Tensor:
    """Move coordinates of c (..., d) nearer to zero than eps to ±eps."""
    sign = torch.where(c < 0, -1.0, 1.0).to(c.dtype)
    return torch.where(c.abs() < eps, eps * sign, c)
