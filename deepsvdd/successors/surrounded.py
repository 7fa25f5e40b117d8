"""``DROCC``: normal samples against the worst of what lies around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core.known import Known
from deepsvdd.core.objectives import (
    fcdd_loss,
    one_class_loss,
    squared_distances,
)
from deepsvdd.core.recipes import Recipe, Variant, is_number, is_whole, require
from deepsvdd.core.training import Hypersphere, Objective
from deepsvdd.successors.base import Successor, drawing, root, spread, width_of

USUAL_GAPS = 2.0  # r by the rule: benchmarks/later.py, book/results/later-rule.jsonl
RULE_ROWS = 1000  # samples whose nearest neighbors tell the radius
TINY = 1e-12


class Logit(nn.Module):
    """φ(x) = √(−log p(x)), with p(x) = σ(w · f(x) + b) the probability of "normal".

    Parameters
    ----------
    encoder : Module
        f, maps samples (b, ...) to vectors (b, d).
    width : int
        Their length d.
    """

    def __init__(self, encoder: nn.Module, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to (b, 1)."""
        return root(F.softplus(-self.head(self.encoder(x))))


def drocc_loss(
    network: nn.Module,
    batch: Tensor,
    c: Tensor,
    weight: Tensor | None,
    *,
    radius: float,
    gamma: float,
    mu: float,
    step: float,
    n_steps: int,
) -> Tensor:
    """Cross-entropy of normal samples, and μ times that of the worst ones around them.

    Those are found by gradient ascent on the sphere's shell, from radius r to γ r
    around each sample of the batch, and count as anomalies.
    """
    change = worst(network, batch, c, radius, gamma, step, n_steps)
    own, around = both(network, batch, batch + change, c)
    anomalous = fcdd_loss(around, -torch.ones_like(around), weight)
    return one_class_loss(own, weight) + mu * anomalous


def both(
    network: nn.Module, batch: Tensor, around: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """Score samples and what is around them, each (b,) or (M, b), in one batch.

    In two, batch normalization would tell them apart by their means.
    """
    axis = c.ndim - 2  # of the samples: before it that of a stack, if any
    z = network(torch.cat([batch, around], dim=axis))
    own, other = squared_distances(z, c).chunk(2, dim=-1)
    return own, other


def worst(
    network: nn.Module,
    batch: Tensor,
    c: Tensor,
    radius: float,
    gamma: float,
    step: float,
    n_steps: int,
) -> Tensor:
    """Find what to add to samples (b, ...) so that they still pass for normal.

    From a random direction, each step goes `step` times r up the gradient of log p, and
    back between the two spheres. The anomalies' cross-entropy −log(1 − p) has a
    gradient of the same direction, but in float32 it is 0 where p < 10⁻⁸: a search
    would not leave there.
    """
    first = c.ndim - 1  # axes before those of one sample: (b, ...) or (M, b, ...)
    change = onto_shell(torch.randn_like(batch), radius, gamma, first)
    for _ in range(n_steps):
        change.requires_grad_()
        with torch.enable_grad():
            _, d2 = both(network, batch, batch + change, c)
            (gradient,) = torch.autograd.grad(-d2.sum(), change)  # d2 is −log p
        norm = lengths(gradient, first) + TINY
        change = change.detach() + step * radius * gradient / norm
        change = onto_shell(change, radius, gamma, first)
    return change.detach()


def lengths(x: Tensor, first: int) -> Tensor:
    """Lengths of samples, with axes of 1 for their own."""
    flat = x.flatten(first).norm(dim=-1)
    return flat.view(*flat.shape, *(1 for _ in x.shape[first:]))


def onto_shell(change: Tensor, radius: float, gamma: float, first: int) -> Tensor:
    """Bring changes to a length from r to γ r, in their direction."""
    norm = lengths(change, first) + TINY
    return change * (norm.clamp(radius, gamma * radius) / norm)


def usual_gap(feed: Feed) -> float:
    """Find the median distance from a sample to the nearest other; 0 if there is none.

    The unit of DROCC's radius, which sees training samples only: what is twice as far
    from a normal sample as normal samples are from each other counts as anomalous.
    Copies of a sample are no others.
    """
    (x,) = feed.read([spread(len(feed), RULE_ROWS)])
    x = x.flatten(1).double()
    apart = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    gaps = apart.masked_fill(apart == 0, torch.inf).amin(dim=1)
    gaps = gaps[gaps.isfinite()]
    return gaps.median().item() if len(gaps) else 0.0


class DROCC(Successor):
    """Deep robust one-class classification (Goyal et al., ICML 2020).

    A classifier of normal samples needs something to tell them from. DROCC makes it:
    around each sample it searches, by gradient ascent, for the point at a distance of r
    to γ r that most looks normal, and learns to call it anomalous.

    It assumes that normal samples lie on a surface of few dimensions, so that a step of
    length r leaves it. All depends on r. The official code takes a different one for
    each class, and the epoch with the best *test* AUC; here r is twice the median
    distance from a training sample to its nearest neighbor, and the last epoch counts.

    Parameters
    ----------
    network : str or Module, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`, like all parameters below but the next five.
    radius : float or "auto", default="auto"
        r, in units of preprocessed samples; "auto" by the rule above.
    gamma : float, default=2.0
        γ > 1, ratio of the outer radius to the inner.
    mu : float, default=1.0
        μ, weight of the points found.
    step : float, default=0.5
        Length of a step of gradient ascent, in units of r.
    n_steps : int, default=5
        Steps of gradient ascent; with 0 the points around are random ones.
    recipe : str or Recipe, default="fast"
        Training settings; only its ``training`` is of use.
    widths : sequence of int, optional
    n_members : int, default=1
    preprocessing : str, default="auto"
    contamination : float in (0, 0.5], default=0.1
    threshold : float, optional
    warm_start : bool, default=False
    device : str, default="auto"
    precision : {"float32", "bf16"}, default="float32"
    checkpoint_dir : path-like, optional
    checkpoint_every : int, default=10
    n_workers : int, default=2
    random_state : int, RandomState or None, default=None
    verbose : bool, default=False

    Attributes
    ----------
    radius_ : float
        r that was taken.
    members_, preprocessor_, threshold_, input_shape_, network_, recipe_, \
    n_features_in_, feature_names_in_
        As of :class:`~deepsvdd.DeepSVDD`.

    Notes
    -----
    The paper trains on the cross-entropy of normal samples alone for half of the
    epochs before; here both terms count from the beginning. Its ascent takes up to 100
    steps.

    With "mlp_BN", "auto" for vectors, samples and the points found around them share a
    batch's mean and variance in training; for scores these are measured on samples
    alone. Tried on classes of scikit-learn's digits, breast cancer and wine, means and
    variances of both, by way of another ascent at the end, gave the same AUC for most,
    a higher one for malignant, a lower one for a wine; so did the running ones of
    training, for others. Nothing that sees normal samples only tells which is better.
    "mlp" does not normalize: of breast cancer, the farther a sample was from the normal
    ones, the more normal it looked, and AUCs were below 50 %.

    References
    ----------
    Goyal et al., "DROCC: Deep robust one-class classification", ICML 2020, arXiv
    2002.12718, Section 3 and Algorithm 1.
    """

    kind = "DROCC"
    required = ("network", "radius", "gamma", "mu", "step", "n_steps", "recipe")
    measured = ("radius_",)

    def __init__(
        self,
        network: str | nn.Module = "auto",
        radius: float | str = "auto",
        gamma: float = 2.0,
        mu: float = 1.0,
        step: float = 0.5,
        n_steps: int = 5,
        recipe: str | Recipe | Variant = "fast",
        *,
        widths: Sequence[int] | None = None,
        n_members: int = 1,
        preprocessing: str = "auto",
        contamination: float = 0.1,
        threshold: float | None = None,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "float32",
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_every: int = 10,
        n_workers: int = 2,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            network,
            recipe,
            widths=widths,
            n_members=n_members,
            preprocessing=preprocessing,
            contamination=contamination,
            threshold=threshold,
            warm_start=warm_start,
            device=device,
            precision=precision,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            n_workers=n_workers,
            random_state=random_state,
            verbose=verbose,
        )
        self.radius = radius
        self.gamma = gamma
        self.mu = mu
        self.step = step
        self.n_steps = n_steps

    def check_own(self) -> None:
        """Check radius, γ, μ and steps, too."""
        super().check_own()
        valid = is_number(self.radius) and 0 < self.radius < np.inf
        valid = valid or (isinstance(self.radius, str) and self.radius == "auto")
        require("radius", valid, "'auto' or a positive number", self)
        valid = is_number(self.gamma) and 1 < self.gamma < np.inf
        require("gamma", valid, "a number above 1", self)
        valid = is_number(self.mu) and 0 < self.mu < np.inf
        require("mu", valid, "a positive number", self)
        valid = is_number(self.step) and 0 < self.step < np.inf
        require("step", valid, "a positive number", self)
        valid = is_whole(self.n_steps) and self.n_steps >= 0
        require("n_steps", valid, "a whole number from 0 on", self)

    @property
    def objective(self) -> Objective:  # type: ignore[override]
        """The loss, with the radius that was found or given."""

        def loss(
            network: nn.Module, batch: Tensor, c: Tensor, label: Any, weight: Any
        ) -> Tensor:
            return drocc_loss(
                *(network, batch, c, weight),
                radius=self.radius_,
                gamma=self.gamma,
                mu=self.mu,
                step=self.step,
                n_steps=self.n_steps,
            )

        settings = (self.radius_, self.gamma, self.mu, self.step, self.n_steps)
        return Objective(
            f"DROCC, r = {self.radius_:.4g}", loss, draws=True, settings=settings
        )

    def _train(
        self, feed: Feed, jobs: list[tuple[int, Hypersphere | None]], known: Known
    ) -> list[Hypersphere]:
        auto = self.radius == "auto"
        self.radius_ = USUAL_GAPS * usual_gap(feed) if auto else float(self.radius)
        if not self.radius_:
            raise ValueError(
                f"radius must be given for training data of which {RULE_ROWS} "
                "samples, from first to last, are equal; got 'auto', which makes it 0"
            )
        return super()._train(feed, jobs, known)

    @classmethod
    def around(
        cls,
        encoder: nn.Module,
        parameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        seed: int = 0,
    ) -> nn.Module:
        """Put a classifier behind a network."""
        width = width_of(encoder, input_shape)
        with drawing(encoder, seed):
            return Logit(encoder, width)
