"""Training of all estimators, of one network or a stack."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.core._engine.checkpoints import Checkpoint
from deepsvdd.core._engine.distributed import gathered
from deepsvdd.core._engine.feeds import Feed, as_feed
from deepsvdd.core._engine.stacking import Stack, as_one
from deepsvdd.core.collapse import warn_if_collapsed
from deepsvdd.core.layers import settle, vector_norms
from deepsvdd.core.loop import History, check_finite, optimise
from deepsvdd.core.moments import Moments
from deepsvdd.core.objectives import (
    away_from_zero,
    deep_sad_loss,
    fcdd_loss,
    mean_of,
    one_class_loss,
    optimal_radius,
    soft_boundary_loss,
)
from deepsvdd.core.pretraining import pretrain_autoencoder as pretrain_autoencoder
from deepsvdd.core.pretraining import pretrain_autoencoders as pretrain_autoencoders
from deepsvdd.core.recipes import Phase, Recipe
from deepsvdd.core.representations import (
    distance_for,
    distances,
    joined,
    mean_representation,
    represent,
    representations,
)

OBJECTIVES = ("one-class", "soft-boundary")
MAPS = "fcdd"  # the objective of networks whose representations are maps
SETTLING = 10_000  # rows that suffice for means and variances


@dataclass(frozen=True)
class Objective:
    """An objective that has no name here: that of a method after Deep SVDD.

    Attributes
    ----------
    name : str
        For progress bars and errors.
    loss : callable
        Maps network, batch (b, ...), center (d,), labels (b,) or None and weights (b,)
        or None to the batch's mean loss (); for a stack, with an axis more, to (M,).
    learns_from_outliers : bool
        Whether labels must name some (−1).
    draws : bool
        Whether it draws from torch's global generator.
    settings : tuple
        What else the loss depends on, by which checkpoints are known again.
    """

    name: str
    loss: Callable[..., Tensor] = field(repr=False)
    learns_from_outliers: bool = False
    draws: bool = False
    settings: tuple[Any, ...] = ()


@dataclass
class Hypersphere:
    """One trained network: φ, center c and radius R.

    Attributes
    ----------
    encoder : Module
        The network φ.
    center : Tensor of shape (d,)
        Center c.
    radius : float
        Radius R; 0 for the one-class objective, which has none.
    mean_distance : float
        Mean distance ‖φ(x) − c‖ of the training data, the unit of ensemble scores; 1
        where all of them are 0, as after a collapse.
    collapsed : bool
        Whether training ended in hypersphere collapse.
    history : dict
        ``"pretraining"`` and ``"training"``, each as from
        :func:`deepsvdd.optimise`.
    maps : bool
        Whether φ(x) is a map, as of FCDD: the mean of
        :func:`deepsvdd.core.objectives.pseudo_huber` stands for ‖φ(x) − c‖² then.
    """

    encoder: nn.Module
    center: Tensor
    radius: float = 0.0
    mean_distance: float = 1.0
    collapsed: bool = False
    history: dict[str, History] = field(default_factory=dict)
    maps: bool = False

    def squared_distances(
        self, x: Tensor, apply: Callable[[nn.Module, Tensor], Tensor] = represent
    ) -> Tensor:
        """Score preprocessed data (n, ...): ‖φ(x) − c‖², shape (n,).

        Gradients need another way to ``apply`` φ to x.
        """
        return distance_for(self.maps)(apply(self.encoder, x), self.center)

    def double(self) -> None:
        """Compute in double precision from now on, as for vectors.

        It costs them little, and makes a score independent of the batch that it is
        computed in.
        """
        self.encoder.double()
        self.center = self.center.double()


def train_hypersphere(
    encoder: nn.Module,
    x: Tensor | Feed,
    recipe: Recipe,
    *,
    objective: str | Objective = "one-class",
    nu: float = 0.1,
    center: Tensor | None = None,
    seed: int = 0,
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int, Hypersphere], None] | None = None,
    checkpoint: Checkpoint | None = None,
    labels: Tensor | None = None,
    weights: Tensor | None = None,
    eta: float = 1.0,
    eps: float = 1e-6,
) -> Hypersphere:
    """Train Deep SVDD, or with labels Deep SAD, from the encoder's present weights.

    In the book: sec-one-class (03-deep-svdd).

    Parameters
    ----------
    encoder : Module
        The network φ, pretrained or not; trained in place.
    x : Tensor of shape (n, ...), or Feed
        Preprocessed training data.
    recipe : Recipe
        Its ``training`` phase and radius settings.
    objective : {"one-class", "soft-boundary", "fcdd"} or Objective
        Equation 4 or 3; or :func:`deepsvdd.core.objectives.fcdd_loss`, which needs
        labels, for an encoder whose representations are maps; or another one.
    nu : float in (0, 1]
        Soft-boundary: fraction of training samples that may lie outside.
    center : Tensor of shape (d,), optional
        Center of an earlier training to go on with; by default computed from ``x``.
    seed, verbose, precision, checkpoint
        As in :func:`deepsvdd.optimise`.
    on_epoch : callable, optional
        Called with the epoch's number and the present hypersphere after every epoch.
    labels : Tensor of shape (n,), optional
        0 unlabeled, +1 known normal, −1 known anomaly; the one-class objective then is
        Deep SAD's, :func:`deepsvdd.core.objectives.deep_sad_loss`. Known anomalies have
        no part in the center.
    weights : Tensor of shape (n,), optional
        Of the samples, 1 on average.
    eta, eps : float
        η and ε of Deep SAD.

    Returns
    -------
    Hypersphere
        Network, center, radius and training history.

    Warns
    -----
    CollapseWarning
        If the representations of the training data have (nearly) become one point.
    """

    def after(epoch: int, center: Tensor, radius: Tensor) -> None:
        if on_epoch:
            on_epoch(epoch, Hypersphere(encoder, center, radius.item()))

    (sphere,) = train_hyperspheres(
        [encoder],
        x,
        recipe,
        objective=objective,
        nu=nu,
        centers=None if center is None else [center],
        seeds=[seed],
        verbose=verbose,
        precision=precision,
        on_epoch=after,
        checkpoint=checkpoint,
        labels=labels,
        weights=weights,
        eta=eta,
        eps=eps,
    )
    return sphere


def train_hyperspheres(
    encoders: Sequence[nn.Module],
    x: Tensor | Feed,
    recipe: Recipe,
    *,
    seeds: Sequence[int],
    objective: str | Objective = "one-class",
    nu: float = 0.1,
    centers: Sequence[Tensor | None] | None = None,
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int, Tensor, Tensor], None] | None = None,
    checkpoint: Checkpoint | None = None,
    labels: Tensor | None = None,
    weights: Tensor | None = None,
    eta: float = 1.0,
    eps: float = 1e-6,
) -> list[Hypersphere]:
    """Train M encoders of one architecture at once, as a stack.

    The result is that of training one after the other, but for rounding.

    In the book: sec-stacks (09-gpu).

    Parameters
    ----------
    encoders : sequence of M Module
        Trained in place.
    x : Tensor of shape (n, ...), or Feed
        Preprocessed training data, the same for all or a stacked feed.
    recipe, objective, nu, verbose, precision, checkpoint, labels, weights, eta, eps
        As in :func:`train_hypersphere`; labels and weights are the same for all.
    seeds : sequence of M int
        Seeds of the order of the samples, one a network.
    centers : sequence of M Tensor of shape (d,) or None, optional
        Centers of an earlier training; those that are None are computed.
    on_epoch : callable, optional
        Called after every epoch with its number, center(s) and radius or radii.

    Returns
    -------
    list of M Hypersphere
    """
    other = None
    if isinstance(objective, Objective):
        other, name = objective, objective.name
    else:
        name = objective
    if other is None and name not in (known := (*OBJECTIVES, MAPS)):
        raise ValueError(f"objective must be one of {known}; got {name!r}")
    if not 0 < nu <= 1:
        raise ValueError(f"nu must be a number in (0, 1]; got {nu!r}")
    soft, maps = name == "soft-boundary", name == MAPS
    needy = maps or (other is not None and other.learns_from_outliers)
    if needy and (labels is None or not (labels < 0).any()):
        raise ValueError(f"labels must hold anomalies (-1) for {name!r}; got none")
    if labels is not None and soft:
        raise ValueError(f"objective must be 'one-class' with labels; got {name!r}")
    feed = as_feed(x)
    if weights is not None:
        weights = weights.to(feed.device, torch.float32)
    # What is measured is measured on samples that may be normal.
    measured, weights_ = feed, weights
    if labels is not None:
        labels = labels.to(feed.device, torch.float32)
        measured, weights_ = without_anomalies(feed, labels, weights)
    if not centers or any(center is None for center in centers):
        settle_all(encoders, measured)
    network, seeds_ = as_one(encoders, seeds)
    given = centers or [None] * len(encoders)
    c = centers_of(network, measured, given, weights_, maps)
    rate = recipe.pretraining.lr
    check_finite(c.sum().item(), "center, before training", 0, rate)
    radius = torch.zeros(c.shape[:-1], dtype=torch.float32, device=feed.device)
    beside = [values for values in (labels, weights) if values is not None]

    distance = distance_for(maps)

    def loss_function(batch: Tensor, *beside: Tensor) -> Tensor:
        weight = None if weights is None else beside[-1]
        center = c.unsqueeze(-2)
        if other is not None:
            label = None if labels is None else beside[0]
            return other.loss(network, batch, center, label, weight)
        d2 = distance(network(batch), center)  # (b,) or (M, b)
        if maps:
            return fcdd_loss(d2, beside[0], weight)
        if labels is not None:
            return deep_sad_loss(d2, beside[0], eta, eps, weight)
        if soft:
            return soft_boundary_loss(d2, radius, nu, weight)
        return one_class_loss(d2, weight)

    def after(epoch: int) -> Tensor:
        since = epoch + 1 - max(recipe.warm_up_epochs, 1)
        if soft and since >= 0 and since % recipe.radius_every == 0:
            # On *all* training samples: one mini-batch's quantile is a noisy R.
            radius.copy_(optimal_radius(distances(network, feed, c), nu, weights))
        if on_epoch:
            on_epoch(epoch, c, radius)
        return radius

    histories = optimise(
        network,
        loss_function,
        feed,
        recipe.training,
        seeds=seeds_,
        title=name if labels is None or maps or other else "Deep SAD",
        verbose=verbose,
        precision=precision,
        on_epoch=after,
        checkpoint=checkpoint,
        state={"radius": radius},
        beside=beside,
    )
    if isinstance(network, Stack):
        network.write_back()
    if recipe.training.n_epochs:
        settle_all(encoders, measured)
    return [
        finished(encoder, center, own, weights_, name, nu, recipe.training, history)
        for encoder, center, own, history in zip(
            encoders,
            c.reshape(len(encoders), -1),
            measured.members(len(encoders)),
            histories,
            strict=True,
        )
    ]


def without_anomalies(
    feed: Feed, labels: Tensor | None, weights: Tensor | None
) -> tuple[Feed, Tensor | None]:
    """Leave out known anomalies; weights of the rest are 1 on average again."""
    if labels is None or not (labels < 0).any():
        return feed, weights
    normal = (labels >= 0).nonzero()[:, 0]
    if weights is not None:
        weights = weights[normal] / weights[normal].mean()
    return feed.subset(normal), weights


def settle_all(encoders: Sequence[nn.Module], feed: Feed) -> None:
    """Measure on the training data what networks keep of it beside their weights."""
    rows = torch.arange(min(len(feed), SETTLING))
    for encoder, own in zip(encoders, feed.members(len(encoders)), strict=True):
        if vector_norms(encoder):  # else nothing need be read
            (batch,) = own.read([rows])
            settle(encoder, batch)
        if hasattr(encoder, "measure"):  # as GOAD's, for its centers
            encoder.measure(own)  # type: ignore[operator]


def centers_of(
    network: nn.Module,
    feed: Feed,
    given: Sequence[Tensor | None],
    weights: Tensor | None = None,
    maps: bool = False,
) -> Tensor:
    """Return the centers, given or computed: (d,), of a stack (M, d)."""
    kept = [center for center in given if center is not None]
    if len(kept) == len(given):
        return torch.stack(kept) if isinstance(network, Stack) else kept[0]
    mean = mean_representation(network, feed, weights)
    if maps:  # one center for all places, as they share their filters
        mean = mean.mean(dim=-1, keepdim=True).repeat_interleave(mean.shape[-1], -1)
    c = away_from_zero(mean)
    for own, center in zip(c.view(len(given), -1), given, strict=True):
        if center is not None:
            own.copy_(center)
    return c


def finished(
    encoder: nn.Module,
    c: Tensor,
    feed: Feed,
    weights: Tensor | None,
    objective: str,
    nu: float,
    phase: Phase,
    history: History,
) -> Hypersphere:
    """Measure a trained network on its training data, and check it for collapse."""
    moments, distance = Moments(weights), distance_for(objective == MAPS)

    def measured() -> Iterator[Tensor]:
        for z in representations(encoder, feed):
            moments.add(z)
            yield distance(z, c)

    d2 = gathered(joined(measured(), len(feed)), len(feed))
    last = phase.n_epochs - 1
    check_finite(d2.sum().item(), f"{objective}, after it", last, phase.lr)
    _, spread = moments.finish(len(feed))
    soft = objective == "soft-boundary"
    return Hypersphere(
        encoder,
        c,
        radius=optimal_radius(d2, nu, weights).item() if soft else 0.0,
        mean_distance=mean_of(d2.sqrt(), weights).item() or 1.0,
        collapsed=warn_if_collapsed(spread.item(), c, d2, feed),
        history={"training": history},
        maps=objective == MAPS,
    )
