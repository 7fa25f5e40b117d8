"""One training loop: it pretrains the autoencoder and trains both Deep SVDD objectives.

The data set lives as one tensor on the training device; a batch is an indexed read.
"""

from __future__ import annotations

import logging
import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.checkpoints import Checkpoint
from deepsvdd.errors import CollapseWarning, TrainingDivergedError
from deepsvdd.networks import evaluation_mode
from deepsvdd.objectives import (
    initial_center,
    one_class_loss,
    optimal_radius,
    soft_boundary_loss,
    squared_distances,
)
from deepsvdd.recipes import Phase, Recipe

OBJECTIVES = ("one-class", "soft-boundary")
PRECISIONS = ("float32", "bf16")
SCORING_BATCH = 250  # its activations fit a processor's cache

log = logging.getLogger("deepsvdd")

Schedule = torch.optim.lr_scheduler.LRScheduler
History = dict[str, list[float]]  # columns of equal length, a row an epoch
COLUMNS = ("epoch", "loss", "radius", "learning_rate", "seconds")


def resolve_device(device: str | torch.device) -> torch.device:
    """Turn "auto", "cpu", "cuda", "cuda:1", ... into a device that exists.

    Raises
    ------
    ValueError
        If the device is unknown to torch or not on this machine.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except (RuntimeError, TypeError):
        resolved = torch.device("meta")
    if resolved.type not in ("cpu", "cuda"):
        raise ValueError(
            f"device must be 'auto', 'cpu', 'cuda' or 'cuda:N'; got {device!r}"
        )
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device must be on this machine, where torch finds "
            f"{torch.cuda.device_count()} CUDA GPU(s); got {device!r}: use 'cpu' or "
            "'auto'"
        )
    return resolved


def represent(network: nn.Module, x: Tensor, batch_size: int = SCORING_BATCH) -> Tensor:
    """Apply a network in evaluation mode, batch by batch.

    Parameters
    ----------
    network : Module
        Encoder, or autoencoder.
    x : Tensor of shape (n, ...)
        Preprocessed data, on the network's device.
    batch_size : int
        Samples at a time.

    Returns
    -------
    Tensor of shape (n, d)
        Its outputs, without gradients.
    """
    with evaluation_mode(network), torch.inference_mode():
        outputs = torch.cat([network(batch) for batch in x.split(batch_size)])
    return outputs.clone()  # an ordinary tensor, usable in later training


def optimise(
    module: nn.Module,
    loss_function: Callable[[Tensor], Tensor],
    x: Tensor,
    phase: Phase,
    *,
    seed: int = 0,
    title: str = "training",
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int], float] | None = None,
    checkpoint: Checkpoint | None = None,
    state: dict[str, Tensor] | None = None,
) -> History:
    """Minimise a loss over a module's parameters: the one training loop.

    Parameters
    ----------
    module : Module
        What is trained, in place.
    loss_function : callable
        Maps a batch (b, ...) of ``x`` to the loss, a scalar averaged over the batch.
    x : Tensor of shape (n, ...)
        Training data, whole, on the module's device.
    phase : Phase
        Optimiser, learning rate, epochs, batch size, weight decay.
    seed : int, default=0
        Seeds the order of the samples.
    title : str
        Names the phase in the progress bar and in errors.
    verbose : bool, default=False
        Show a progress bar with loss and remaining time, if stderr is a terminal.
    precision : {"float32", "bf16"}, default="float32"
        "bf16" computes convolutions and matrix products in bfloat16; weights,
        statistics and losses stay in float32.
    on_epoch : callable, optional
        Called after every epoch with its number from 0; returns the radius R to record.
    checkpoint : Checkpoint, optional
        Saves the state of the phase, and goes on from one that was saved.
    state : dict of Tensor, optional
        What else belongs to the state; restored in place.

    Returns
    -------
    dict of lists
        ``epoch``, ``loss`` (mean over the epoch's samples), ``radius``,
        ``learning_rate`` (at the epoch's start), ``seconds``.

    Raises
    ------
    TrainingDivergedError
        If the loss becomes NaN or infinite.
    ModelFileError
        If the checkpoint is damaged or of another run.

    Notes
    -----
    Each epoch is also a line of the logger "deepsvdd", level INFO.
    """
    from tqdm import trange

    loss_function = autocast(loss_function, x.device, precision)
    optimizer = torch.optim.Adam(
        module.parameters(),
        lr=phase.lr,
        weight_decay=phase.weight_decay,
        amsgrad=phase.optimizer_name == "amsgrad",
        fused=True,
    )
    run = Run(
        module=module,
        optimizer=optimizer,
        schedule=make_schedule(optimizer, phase, len(x)),
        generator=torch.Generator(x.device).manual_seed(seed),
        state=state or {},
    )
    if checkpoint and (saved := checkpoint.load()):
        run.restore(saved)
        log.info("%s: resuming after epoch %d", title, run.n_epochs)
    bar = trange(
        run.n_epochs,
        phase.n_epochs,
        initial=run.n_epochs,
        total=phase.n_epochs,
        desc=title,
        unit="epoch",
        disable=None if verbose else True,
    )
    for epoch in bar:
        start, rate = time.perf_counter(), optimizer.param_groups[0]["lr"]
        module.train()  # after a callback that may have evaluated it
        loss = train_epoch(run, loss_function, x, phase)
        check_finite(loss, title, epoch, rate)
        radius = on_epoch(epoch) if on_epoch else 0.0
        row = (epoch, loss, radius, rate, time.perf_counter() - start)
        for column, value in zip(COLUMNS, row, strict=True):
            run.history[column].append(value)
        log.info(
            "%s epoch %d/%d: loss %.6g, radius %.6g, learning rate %.3g, %.3f s",
            title,
            epoch + 1,
            phase.n_epochs,
            *row[1:],
        )
        bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        if checkpoint and checkpoint.due(epoch, phase.n_epochs):
            checkpoint.save(run.snapshot())
    module.eval()
    return run.history


@dataclass
class Run:
    """All that changes while a phase is trained, and so all that a checkpoint holds."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    generator: torch.Generator
    state: dict[str, Tensor]
    history: History = field(default_factory=lambda: {name: [] for name in COLUMNS})

    @property
    def n_epochs(self) -> int:
        """Epochs done."""
        return len(self.history["epoch"])

    def snapshot(self) -> dict[str, Any]:
        """Collect the state; also the global generator's, for dropout and its like."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generator": self.generator.get_state(),
            "global_generator": torch.get_rng_state(),
            "state": self.state,
            "history": self.history,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to a state."""
        self.module.load_state_dict(saved["module"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.generator.set_state(saved["generator"])
        torch.set_rng_state(saved["global_generator"])
        for name, value in self.state.items():
            value.copy_(saved["state"][name])
        self.history = saved["history"]


def train_epoch(
    run: Run, loss_function: Callable[[Tensor], Tensor], x: Tensor, phase: Phase
) -> float:
    """Take one step a batch through all samples x (n, ...); return their mean loss."""
    total = torch.zeros((), device=x.device)
    for batch in batches(x, phase.batch_size, run.generator):
        run.optimizer.zero_grad(set_to_none=True)
        loss = loss_function(batch)
        loss.backward()
        run.optimizer.step()
        total += loss.detach() * len(batch)
        if phase.schedule == "one-cycle":
            run.schedule.step()
    if phase.schedule == "step":
        run.schedule.step()
    return total.item() / len(x)  # the epoch's one wait for the device


def autocast(
    function: Callable[[Tensor], Tensor], device: torch.device, precision: str
) -> Callable[[Tensor], Tensor]:
    """Make a function compute in a precision."""
    if precision == "float32":
        return function
    return torch.autocast(device.type, dtype=torch.bfloat16)(function)


def make_schedule(
    optimizer: torch.optim.Optimizer, phase: Phase, n_samples: int
) -> Schedule:
    """Build the schedule: "one-cycle" moves every batch, "step" after epochs."""
    if phase.schedule == "one-cycle":
        steps = phase.n_epochs * len(batch_bounds(n_samples, phase.batch_size))
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, max_lr=phase.lr, total_steps=max(steps, 1) + 1
        )
    milestones = list(phase.lr_milestones)
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)


def batch_bounds(n_samples: int, batch_size: int) -> list[tuple[int, int]]:
    """Cut n samples into batches; a last batch of one joins the batch before it.

    Batch normalisation has no variance to offer to a single vector.
    """
    starts = list(range(0, n_samples, batch_size))
    if len(starts) > 1 and n_samples - starts[-1] == 1:
        starts.pop()
    return list(zip(starts, [*starts[1:], n_samples], strict=True))


def batches(x: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield all samples once, shuffled, in batches (b, ...)."""
    order = torch.randperm(len(x), generator=generator, device=x.device)
    for start, stop in batch_bounds(len(x), batch_size):
        yield x[order[start:stop]]


def check_finite(loss: float, title: str, epoch: int, lr: float) -> None:
    """Raise TrainingDivergedError with a hint unless the loss is a number."""
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"loss is {loss} in epoch {epoch} of {title} at learning rate {lr:g}: "
            "lower the learning rate, and check that the data is scaled to about [0, 1]"
        )


def pretrain_autoencoder(
    autoencoder: nn.Module,
    x: Tensor,
    phase: Phase,
    *,
    seed: int = 0,
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int, nn.Module], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train an autoencoder to reconstruct x: summed squared error, mean over samples.

    Parameters
    ----------
    autoencoder : Module
        Trained in place; its encoder is the Deep SVDD network.
    x : Tensor of shape (n, ...)
        Preprocessed training data.
    phase : Phase
        Settings.
    seed, verbose, precision, checkpoint
        As in :func:`optimise`.
    on_epoch : callable, optional
        Called with the epoch's number and the autoencoder after every epoch.

    Returns
    -------
    dict of lists
        As from :func:`optimise`.
    """

    def reconstruction_error(batch: Tensor) -> Tensor:
        return (autoencoder(batch) - batch).square().flatten(1).sum(dim=1).mean()

    def after(epoch: int) -> float:
        if on_epoch:
            on_epoch(epoch, autoencoder)
        return 0.0

    return optimise(
        autoencoder,
        reconstruction_error,
        x,
        phase,
        seed=seed,
        title="pretraining",
        verbose=verbose,
        precision=precision,
        on_epoch=after,
        checkpoint=checkpoint,
    )


@dataclass
class Hypersphere:
    """One trained Deep SVDD network: φ, center c and radius R.

    Attributes
    ----------
    encoder : Module
        The network φ.
    center : Tensor of shape (d,)
        Center c.
    radius : float
        Radius R; 0 for the one-class objective, which has none.
    mean_distance : float
        Mean distance ‖φ(x) − c‖ of the training data, the unit of ensemble scores.
    collapsed : bool
        Whether training ended in hypersphere collapse.
    history : dict
        ``"pretraining"`` and ``"training"``, each as from :func:`optimise`.
    """

    encoder: nn.Module
    center: Tensor
    radius: float = 0.0
    mean_distance: float = 1.0
    collapsed: bool = False
    history: dict[str, History] = field(default_factory=dict)

    def squared_distances(self, x: Tensor) -> Tensor:
        """Score preprocessed data (n, ...): ‖φ(x) − c‖², shape (n,)."""
        return squared_distances(represent(self.encoder, x), self.center)


def train_hypersphere(
    encoder: nn.Module,
    x: Tensor,
    recipe: Recipe,
    *,
    objective: str = "one-class",
    nu: float = 0.1,
    center: Tensor | None = None,
    seed: int = 0,
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int, Hypersphere], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> Hypersphere:
    """Train Deep SVDD from the encoder's present weights.

    Parameters
    ----------
    encoder : Module
        The network φ, pretrained or not; trained in place.
    x : Tensor of shape (n, ...)
        Preprocessed training data.
    recipe : Recipe
        Its ``training`` phase and radius settings.
    objective : {"one-class", "soft-boundary"}
        Equation 4 or 3.
    nu : float in (0, 1]
        Soft-boundary: fraction of training samples that may lie outside.
    center : Tensor of shape (d,), optional
        Center of an earlier training to go on with; by default computed from ``x``.
    seed, verbose, precision, checkpoint
        As in :func:`optimise`.
    on_epoch : callable, optional
        Called with the epoch's number and the present hypersphere after every epoch.

    Returns
    -------
    Hypersphere
        Network, center, radius and training history.

    Warns
    -----
    CollapseWarning
        If the representations of the training data have (nearly) become one point.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"objective must be one of {OBJECTIVES}; got {objective!r}")
    if not 0 < nu <= 1:
        raise ValueError(f"nu must be a number in (0, 1]; got {nu!r}")
    c = initial_center(represent(encoder, x)) if center is None else center
    check_finite(c.sum().item(), "center, before training", 0, recipe.pretraining.lr)
    radius = torch.zeros((), device=x.device)
    sphere = Hypersphere(encoder, c)
    soft = objective == "soft-boundary"

    def loss_function(batch: Tensor) -> Tensor:
        d2 = squared_distances(encoder(batch), c)
        return soft_boundary_loss(d2, radius, nu) if soft else one_class_loss(d2)

    def after(epoch: int) -> float:
        since = epoch + 1 - max(recipe.warm_up_epochs, 1)
        if soft and since >= 0 and since % recipe.radius_every == 0:
            # On *all* training samples: one mini-batch's quantile is a noisy R.
            radius.copy_(optimal_radius(sphere.squared_distances(x), nu))
        if soft or on_epoch:
            sphere.radius = radius.item()
        if on_epoch:
            on_epoch(epoch, sphere)
        return sphere.radius

    history = optimise(
        encoder,
        loss_function,
        x,
        recipe.training,
        seed=seed,
        title=objective,
        verbose=verbose,
        precision=precision,
        on_epoch=after,
        checkpoint=checkpoint,
        state={"radius": radius},
    )
    z = represent(encoder, x)
    d2 = squared_distances(z, c)
    last = recipe.training.n_epochs - 1
    check_finite(d2.sum().item(), f"{objective}, after it", last, recipe.training.lr)
    sphere.radius = optimal_radius(d2, nu).item() if soft else 0.0
    sphere.mean_distance = d2.sqrt().mean().item()
    sphere.collapsed = warn_if_collapsed(z, c, x)
    sphere.history["training"] = history
    return sphere


COLLAPSED_SPREAD = 1e-4  # of ‖c‖
COLLAPSED_SCORES = 0.01  # of the number of distinct training samples


def warn_if_collapsed(z: Tensor, c: Tensor, x: Tensor) -> bool:
    """Warn when a trained network maps the training data (nearly) to one point.

    Either the spread of the representations z (n, d), their root mean squared distance
    from their mean, has vanished against the center's norm (healthy trainings end above
    1 % of it, constant maps at rounding error), or far fewer scores than samples x
    (n, ...) are distinct.
    """
    spread = (z - z.mean(dim=0)).square().sum(dim=1).mean().sqrt().item()
    norm = c.norm().item()
    distinct = len(squared_distances(z, c).unique())
    collapsed = spread <= COLLAPSED_SPREAD * norm or distinct == 1
    if not collapsed and distinct <= COLLAPSED_SCORES * len(x):
        samples = len(x.flatten(1).unique(dim=0))  # slow: asked only in doubt
        collapsed = distinct <= COLLAPSED_SCORES * samples
    if collapsed:
        warnings.warn(
            f"hypersphere collapse: the training data's representations spread by "
            f"{spread:.2g} around a center of norm {norm:.2g}, with {distinct} "
            f"distinct scores for {len(z)} samples, so scores mean nothing; use a "
            "network without bias terms and bounded activations, a smaller learning "
            "rate, and samples that differ",
            CollapseWarning,
            stacklevel=2,
        )
    return collapsed
