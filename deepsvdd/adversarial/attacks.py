"""Adversarial examples: the Boundary Attack on a classifier, and attacks by gradient.

Inside this module pixels lie in [0, 1], and distances are Euclidean in that unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

TRIES = 100  # starts drawn for one image before it is given up
ADAPT_EVERY = 2  # steps; foolbox's 10 are for longer walks


# ------------------------------------------------------------------ the Boundary Attack


@dataclass(frozen=True, eq=False)
class Walk:
    """What the Boundary Attack did to a batch of images.

    Attributes
    ----------
    x : Tensor of shape (n, c, h, w)
        The closest adversarial images found, pixels in [0, 1].
    distance : Tensor of shape (n,)
        Their Euclidean distances from the originals.
    n_queries : int
        How often the classifier was asked about each image.
    queries : list of int
        Numbers of queries at which the walk was recorded, about evenly spaced on a
        logarithmic axis.
    distances : Tensor of shape (len(queries), n)
        The distances there.
    frames : Tensor of shape (len(queries), n, c, h, w), or of no frames
        The images there, if asked for.
    """

    x: Tensor
    distance: Tensor
    n_queries: int
    queries: list[int]
    distances: Tensor
    frames: Tensor


class Watched(nn.Module):
    """A classifier under attack: it counts queries, and keeps what is closest so far.

    Parameters
    ----------
    model : Module
        Maps images (n, c, h, w) to logits (n, k).
    images, labels : Tensors of shape (n, c, h, w) and (n,)
        The originals, in the order in which their candidates will be asked about.
    keep_frames : bool
        Whether to record images besides distances.
    on_query : callable
        Called after every query.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        keep_frames: bool,
        on_query: Callable[[], object],
    ) -> None:
        super().__init__()
        self.model = model
        self.images, self.labels = images, labels
        self.keep_frames, self.on_query = keep_frames, on_query
        self.closest = images.clone()
        self.distance = images.new_full((len(images),), math.inf)
        self.n_queries, self.next_record = 0, 1
        self.queries: list[int] = []
        self.distances: list[Tensor] = []
        self.frames: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Answer, and look at the answer."""
        logits = self.model(x)
        distance = lengths(x - self.images)
        better = (logits.argmax(dim=1) != self.labels) & (distance < self.distance)
        self.closest[better] = x[better]
        self.distance[better] = distance[better]
        self.n_queries += 1
        if self.n_queries == self.next_record:
            self.record()
        self.on_query()
        return logits

    def record(self) -> None:
        """Note the present state, and when to do so again."""
        self.queries.append(self.n_queries)
        self.distances.append(self.distance.clone())
        if self.keep_frames:
            self.frames.append(self.closest.clone())
        self.next_record = max(self.n_queries + 1, math.ceil(1.08 * self.n_queries))


def boundary_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    starts: Tensor,
    *,
    n_steps: int = 5000,
    seed: int = 0,
    keep_frames: bool = False,
    on_query: Callable[[], object] = lambda: None,
) -> Walk:
    """Walk along a classifier's boundary towards images, asking for decisions only.

    foolbox's implementation, by the attack's authors.

    In the book: sec-boundary-attack (12-adversarial).

    Parameters
    ----------
    model : Module
        Maps images (n, c, h, w) with pixels in [0, 1] to logits (n, k), of which only
        the largest counts; in evaluation mode.
    images : Tensor of shape (n, c, h, w)
        What is attacked.
    labels : Tensor of shape (n,)
        The classes that the model must not name any more.
    starts : Tensor of shape (n, c, h, w)
        Adversarial images to begin with, as from :func:`starting_points`.
    n_steps : int, default=5000
        Steps of the walk, of one query each, and every other one of two.
    seed : int, default=0
        Of the directions tried.
    keep_frames : bool, default=False
        Whether to record images besides distances.
    on_query : callable, optional
        Called after every query, for a progress bar.

    Returns
    -------
    Walk

    Raises
    ------
    ValueError
        If foolbox is not installed, a number is out of range, or a start is not
        adversarial.

    References
    ----------
    Brendel, Rauber and Bethge, "Decision-Based Adversarial Attacks", ICLR 2018.
    """
    foolbox = import_foolbox()
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; got {n_steps}")
    watched = Watched(model, images, labels, keep_frames, on_query).eval()
    attack = foolbox.attacks.BoundaryAttack(
        steps=n_steps, update_stats_every_k=ADAPT_EVERY
    )
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)  # foolbox draws from the global generator
        target = foolbox.PyTorchModel(watched, bounds=(0, 1), device=images.device)
        attack.run(
            target,
            images,
            foolbox.criteria.Misclassification(labels),
            starting_points=starts,
        )
    if watched.queries[-1] < watched.n_queries:
        watched.record()
    frames = watched.frames or [images.new_empty((0, *images.shape))]
    return Walk(
        x=watched.closest,
        distance=watched.distance,
        n_queries=watched.n_queries,
        queries=watched.queries,
        distances=torch.stack(watched.distances),
        frames=torch.stack(frames) if watched.frames else frames[0],
    )


def import_foolbox() -> Any:
    """Import foolbox, or say how to get it."""
    try:
        import foolbox
    except ImportError:
        raise ValueError(
            "the Boundary Attack needs the package foolbox: "
            "pip install 'deepsvdd[adversarial]'"
        ) from None
    return foolbox


def starting_points(
    model: nn.Module, images: Tensor, labels: Tensor, draw: Callable[[int], Tensor]
) -> tuple[Tensor, Tensor]:
    """Find adversarial images to start from: drawn until the model gives other classes.

    Parameters
    ----------
    model, images, labels
        As for :func:`boundary_attack`.
    draw : callable
        Maps a number n to n candidates (n, c, h, w).

    Returns
    -------
    starts : Tensor of shape (n, c, h, w)
    found : bool Tensor of shape (n,)
        Where there is one; elsewhere the start is the image itself.
    """
    starts = images.clone()
    found = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for _ in range(TRIES):
        candidates = draw(len(images))
        with torch.no_grad():
            new = (model(candidates).argmax(dim=1) != labels) & ~found
        starts[new] = candidates[new]
        found |= new
        if found.all():
            break
    return starts, found


def lengths(x: Tensor) -> Tensor:
    """Euclidean lengths (n,) of images or differences (n, ...)."""
    return x.flatten(1).norm(dim=1)


# --------------------------------------------------------------- attacks by gradient


def gradient_attack(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    budget: float,
    *,
    n_steps: int = 100,
) -> Tensor:
    """Minimize a loss within a ball around each image: projected gradient descent.

    Unlike the Boundary Attack it needs to know what it attacks, weights and all.

    In the book: sec-adaptive (12-adversarial).

    Parameters
    ----------
    loss : callable
        Maps images (n, c, h, w) with pixels in [0, 1] to losses (n,), differentiable.
    images : Tensor of shape (n, c, h, w)
        Where to start.
    budget : float
        The ball's radius, Euclidean.
    n_steps : int, default=100
        Steps; each is of length 4 · budget / n_steps, against the gradient.

    Returns
    -------
    Tensor of shape (n, c, h, w)
        Of all images on the way, those with the least loss.

    Raises
    ------
    ValueError
        If ``budget`` or ``n_steps`` is out of range.

    References
    ----------
    Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018, in the Euclidean norm.
    """
    if not 0 < budget < math.inf:
        raise ValueError(f"budget must be a positive number; got {budget}")
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; got {n_steps}")
    step = 4 * budget / n_steps
    x, best = images.clone(), images.clone()
    least = images.new_full((len(images),), math.inf)
    for _ in range(n_steps + 1):
        x.requires_grad_()
        with torch.enable_grad():
            losses = loss(x)
            (gradient,) = torch.autograd.grad(losses.sum(), x)
        x, losses = x.detach(), losses.detach()
        better = losses < least
        best[better], least[better] = x[better], losses[better]
        length = lengths(gradient).clamp(min=1e-12).view(-1, 1, 1, 1)
        x = within(x - step * gradient / length, images, budget)
    return best


def within(x: Tensor, images: Tensor, budget: float) -> Tensor:
    """Pull points (n, c, h, w) back into the balls around images, and into [0, 1]."""
    way = x - images
    factor = (budget / lengths(way).clamp(min=1e-12)).clamp(max=1)
    return (images + way * factor.view(-1, 1, 1, 1)).clamp(0, 1)


def margin(model: nn.Module, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the loss of an attack on a classifier, negative where it succeeds.

    Parameters
    ----------
    model : Module
        Maps images to logits (n, k).
    labels : Tensor of shape (n,)
        True classes.

    Returns
    -------
    callable
        Maps images to (n,): the true class's logit minus the largest other one.
    """

    def loss(x: Tensor) -> Tensor:
        logits = model(x)
        true = logits.gather(1, labels[:, None])
        others = logits.scatter(1, labels[:, None], -math.inf)
        return true[:, 0] - others.amax(dim=1)

    return loss


class Evading(nn.Module):
    """A classifier that a detector guards: what is flagged counts as not adversarial.

    The Boundary Attack on it finds images that fool both.

    Parameters
    ----------
    model : Module
        Maps images (n, c, h, w) to logits (n, k).
    labels : Tensor of shape (n,)
        True classes, in the order in which images will be asked about.
    flags : callable
        Maps images to bools (n,), true where the detector raises the alarm.
    """

    def __init__(
        self, model: nn.Module, labels: Tensor, flags: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.model, self.labels, self.flags = model, labels, flags

    def forward(self, x: Tensor) -> Tensor:
        """Give the true class the largest logit where the image is flagged."""
        logits = self.model(x)
        top = logits.amax(dim=1, keepdim=True) + 1
        raised = logits.scatter(1, self.labels[:, None], top)
        return torch.where(self.flags(x)[:, None], raised, logits)


# ------------------------------------------------------------------------ whole sets
