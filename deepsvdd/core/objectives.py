"""The objectives of all estimators, radius, center and score as pure functions.

Shapes: ``z`` representations (n, d), ``c`` center (d,), ``d2`` squared distances (n,),
``weight`` of the samples (n,), 1 on average over the training data.
For a stack of M networks each has one more axis: (M, n, d), (M, 1, d), (M, n).
The weight decay term of both objectives, (λ/2) Σ ‖W‖², is the optimizer's.
"""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-12


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


def mean_of(values: Tensor, weight: Tensor | None = None) -> Tensor:
    """Average over the samples (..., n), each as often as its weight says."""
    return (values if weight is None else weight * values).mean(dim=-1)


def one_class_loss(d2: Tensor, weight: Tensor | None = None) -> Tensor:
    """Mean squared distance to the center (Equation 4): (1/n) Σ ‖φ(x) − c‖².

    In the book: sec-one-class (03-deep-svdd).
    """
    return mean_of(d2, weight)


def soft_boundary_loss(
    d2: Tensor, radius: Tensor | float, nu: float, weight: Tensor | None = None
) -> Tensor:
    """Volume plus violations (Equation 3): R² + 1/(νn) Σ max(0, ‖φ(x) − c‖² − R²).

    In the book: sec-soft-boundary (03-deep-svdd).
    """
    square = torch.as_tensor(radius**2, dtype=d2.dtype, device=d2.device)
    violations = torch.relu(d2 - square.unsqueeze(-1))
    return square + mean_of(violations, weight) / nu


def deep_sad_loss(
    d2: Tensor,
    label: Tensor,
    eta: float = 1.0,
    eps: float = 1e-6,
    weight: Tensor | None = None,
) -> Tensor:
    """Pull what may be normal to the center, push known anomalies away from it.

    The mean of ‖φ(x) − c‖² for an unlabeled sample, η ‖φ(x) − c‖² for a known normal
    one, η / (‖φ(x) − c‖² + ε) for a known anomaly: Equation 7 of Deep SAD.

    Parameters
    ----------
    d2 : Tensor of shape (n,)
        Squared distances to the center.
    label : Tensor of shape (n,)
        0 unlabeled, +1 known normal, −1 known anomaly.
    eta : float, default=1.0
        η, the weight of a labeled sample beside an unlabeled one's 1.
    eps : float, default=1e-6
        ε, so that an anomaly on the center has a finite loss; that of the authors'
        code, which adds it to the distances of known normal samples as well.
    weight : Tensor of shape (n,), optional

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    Ruff et al., "Deep Semi-Supervised Anomaly Detection", ICLR 2020, arXiv 1906.02694.
    """
    labeled = eta * (d2 + eps) ** label
    return mean_of(torch.where(label == 0, d2, labeled), weight)


def pseudo_huber(z: Tensor, c: Tensor) -> Tensor:
    """Oddness of each number of a map, √((φ − c)² + 1) − 1: squares that become linear.

    Near the center it is half the square, far from it the distance less 1, so that one
    very odd place does not drown the others.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Maps φ(x) of a fully convolutional network, d = U · V numbers each.
    c : Tensor of shape (d,)
        Their center.

    Returns
    -------
    Tensor of shape (n, d)
        A(x), 0 or more.

    References
    ----------
    Liznerski et al., "Explainable Deep One-Class Classification", ICLR 2021, Section 3.
    """
    return huber_of((z - c).square())


def huber_of(square: Tensor) -> Tensor:
    """Turn squares s into √(s + 1) − 1, as subtracting would cancel digits."""
    return square / ((square + 1).sqrt() + 1)


def map_scores(z: Tensor, c: Tensor) -> Tensor:
    """Score of FCDD: the mean over the map of :func:`pseudo_huber`, (n, d) to (n,)."""
    return pseudo_huber(z, c).mean(dim=-1)


def fcdd_loss(scores: Tensor, label: Tensor, weight: Tensor | None = None) -> Tensor:
    """Make maps of normal samples flat, and those of anomalies odd somewhere.

    The mean of a(x) for a sample that may be normal, −log(1 − exp(−a(x))) for an
    anomaly: the cross-entropy of an anomaly's probability 1 − exp(−a).

    Parameters
    ----------
    scores : Tensor of shape (n,)
        a(x), by :func:`map_scores`.
    label : Tensor of shape (n,)
        −1 for anomalies, synthetic ones among them; 0 or 1 for others.
    weight : Tensor of shape (n,), optional

    Returns
    -------
    Tensor of shape ()

    References
    ----------
    Liznerski et al. (2021), Section 3, the objective of FCDD.
    """
    # A score of exactly 0 would have an infinite loss.
    anomalous = -torch.log(-torch.expm1(-scores) + TINY)
    return mean_of(torch.where(label < 0, anomalous, scores), weight)


def count_of(fraction: float, n: int) -> int:
    """⌊fraction · n⌋, not off by one for rounding: 0.1 of 30 is 3."""
    return int(fraction * n + 1e-9)


def optimal_radius(d2: Tensor, nu: float, weight: Tensor | None = None) -> Tensor:
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
    weight : Tensor of shape (n,), optional
        Then it bounds their share of all weight.

    Returns
    -------
    Tensor of shape ()
        The radius R.
    """
    if weight is not None:
        ordered, order = d2.sort(dim=-1)
        outside = exceeding(nu, weight.expand_as(d2).gather(-1, order))
        last = d2.shape[-1] - 1 - outside.clamp(max=d2.shape[-1] - 1)
        return ordered.gather(-1, last.unsqueeze(-1)).squeeze(-1).sqrt()
    n = d2.shape[-1]
    return d2.kthvalue(max(n - count_of(nu, n), 1)).values.sqrt()


def exceeding(fraction: float, weight: Tensor) -> Tensor:
    """Count the last of some weights (..., n) that are a fraction of all, at most.

    For equal weights that is :func:`count_of`; rounding takes no sample away.
    """
    double = weight.double()
    from_behind = double.flip(-1).cumsum(-1)
    room = fraction * double.sum(-1, keepdim=True)
    return (from_behind <= room * (1 + 1e-9) + 1e-9).sum(-1)


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
