"""The one training loop: it trains whatever module on whatever loss.

One network or a stack of them, in one process or several, from a tensor or a stream.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.core._engine.adam import Adam
from deepsvdd.core._engine.checkpoints import Checkpoint
from deepsvdd.core._engine.devices import autocast, tensor_cores
from deepsvdd.core._engine.distributed import (
    data_parallel,
    from_first,
    n_processes,
    rank,
    share,
    synchronised_norms,
    total,
)
from deepsvdd.core._engine.feeds import Feed, as_feed
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core._engine.memory import memory_kept
from deepsvdd.core._engine.replay import ReplayedStep
from deepsvdd.core._engine.side_by_side import go_on, n_at_once
from deepsvdd.core._engine.threads import Threads, are_measured, without_effect
from deepsvdd.core.recipes import Phase
from deepsvdd.errors import TrainingDivergedError

log = logging.getLogger("deepsvdd")

Schedule = torch.optim.lr_scheduler.LRScheduler
History = dict[str, list[float]]  # columns of equal length, a row an epoch
COLUMNS = ("epoch", "loss", "radius", "learning_rate", "seconds")


def optimise(
    module: nn.Module,
    loss_function: Callable[..., Tensor],
    x: Tensor | Feed,
    phase: Phase,
    *,
    seeds: Sequence[int] | int = 0,
    title: str = "training",
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int], Any] | None = None,
    checkpoint: Checkpoint | None = None,
    state: dict[str, Tensor] | None = None,
    beside: Sequence[Tensor] = (),
) -> list[History]:
    """Minimize a loss over a module's parameters.

    In the book: sec-training-loop (03-deep-svdd).

    Parameters
    ----------
    module : Module
        What is trained, in place.
    loss_function : callable
        Maps a batch (b, ...) of ``x`` to the loss, a scalar averaged over the batch;
        for a stack, a batch (M, b, ...) to losses (M,).
    x : Tensor of shape (n, ...), or Feed
        Training data.
    phase : Phase
        Optimizer, learning rate, epochs, batch size, weight decay.
    seeds : int, or sequence of M int
        Seed of the order of the samples; for a stack, one a network.
    title : str
        Names the phase in the progress bar and in errors.
    verbose : bool, default=False
        Show a progress bar with loss and remaining time, if stderr is a terminal.
    precision : {"float32", "bf16"}, default="float32"
        "bf16" computes convolutions and matrix products in bfloat16; weights,
        statistics and losses stay in float32.
    on_epoch : callable, optional
        Called after every epoch with its number from 0; returns the radius R to record,
        or radii (M,).
    checkpoint : Checkpoint, optional
        Saves the state of the phase, and goes on from one that was saved.
    state : dict of Tensor, optional
        What else belongs to the state; restored in place.
    beside : sequence of Tensor of shape (n,), optional
        What is known of the samples beside their values, such as labels or weights: the
        loss function gets the batch's part of each as further arguments.

    Returns
    -------
    list of dict of lists
        For each network ``epoch``, ``loss`` (mean over the epoch's samples),
        ``radius``, ``learning_rate`` (at the epoch's start), ``seconds`` (its share of
        the time that all networks took together).

    Raises
    ------
    TrainingDivergedError
        If the loss becomes NaN or infinite.
    ModelFileError
        If the checkpoint is damaged or of another run.

    Notes
    -----
    Each epoch is also a line of the logger "deepsvdd", level INFO. On a GPU the step is
    replayed as a CUDA graph, and the device is waited for once per epoch.
    """
    from tqdm import trange

    if n_at_once() > 1:
        title = f"{title}, seed {seeds}"
    feed = as_feed(x)
    run = Run.begin(module, phase, feed, seeds, state or {})
    saved = checkpoint.load() if checkpoint and rank() == 0 else None
    if saved := from_first(saved):
        run.restore(saved)
        log.info("%s: resuming after epoch %d", title, run.n_epochs)
    bar = trange(
        run.n_epochs,
        phase.n_epochs,
        initial=run.n_epochs,
        total=phase.n_epochs,
        desc=title,
        unit="epoch",
        disable=None if verbose and rank() == 0 else True,
    )
    with (
        usual_modes(),
        memory_kept(),
        synchronised_norms(module),
        tensor_cores(feed.device, True),
    ):
        loss_function = autocast(loss_function, feed.device, precision)
        step = run.step(loss_function)
        threads = run.threads(loss_function, feed, phase, beside)
        for epoch in bar:
            start, rate = time.perf_counter(), run.learning_rate
            module.train()  # after a callback that may have evaluated it
            losses = run.epoch(step, feed, phase, beside)
            for loss in losses:
                check_finite(loss, title, epoch, rate)
            radii = spread(on_epoch(epoch) if on_epoch else 0.0, len(losses))
            seconds = (time.perf_counter() - start) / n_at_once()
            for history, loss, radius in zip(run.histories, losses, radii, strict=True):
                row = (epoch, loss, radius, rate, seconds / len(losses))
                for column, value in zip(COLUMNS, row, strict=True):
                    history[column].append(value)
            mean = sum(losses) / len(losses)
            log.info(
                "%s epoch %d/%d: loss %.6g, radius %.6g, learning rate %.3g, %.3f s",
                title,
                epoch + 1,
                phase.n_epochs,
                mean,
                sum(radii) / len(radii),
                rate,
                seconds,
            )
            bar.set_postfix(loss=f"{mean:.4g}", refresh=False)
            if checkpoint and rank() == 0 and checkpoint.due(epoch, phase.n_epochs):
                checkpoint.save(run.snapshot())
            if threads and epoch + 1 < phase.n_epochs:
                threads.after_epoch(seconds)
    module.eval()
    return run.histories


def spread(value: Any, n: int) -> list[float]:
    """Turn one number, or n of them, into a list of n."""
    return torch.as_tensor(value, dtype=torch.float64).expand(n).tolist()


@dataclass
class Run:
    """All that changes while a phase is trained, and so all that a checkpoint holds."""

    module: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    generators: list[torch.Generator]
    total: Tensor  # () or (M,), sum of the epoch's losses
    state: dict[str, Tensor]
    histories: list[History]

    @classmethod
    def begin(
        cls,
        module: nn.Module,
        phase: Phase,
        feed: Feed,
        seeds: Sequence[int] | int,
        state: dict[str, Tensor],
    ) -> Run:
        """Set everything up for the first epoch."""
        if phase.batch_size < n_processes():
            raise ValueError(
                f"batch_size must be at least {n_processes()}, one sample a process; "
                f"got {phase.batch_size}"
            )
        device = feed.device
        stacked = not isinstance(seeds, int)
        several = [seeds] if isinstance(seeds, int) else list(seeds)
        gpu = device.type == "cuda"
        optimizer = Adam(
            module.parameters(),
            # A recording reads the rate from the device, where the schedule writes it.
            lr=torch.tensor(phase.lr, dtype=torch.float32, device=device)
            if gpu
            else phase.lr,
            weight_decay=phase.weight_decay,
            amsgrad=phase.optimizer_name == "amsgrad",
            fused=True,
            capturable=gpu,
        )
        return cls(
            module=module,
            optimizer=optimizer,
            schedule=make_schedule(optimizer, phase, len(feed)),
            generators=[torch.Generator(device).manual_seed(seed) for seed in several],
            total=torch.zeros(
                len(several) if stacked else (), dtype=torch.float32, device=device
            ),
            state=state,
            histories=[{name: [] for name in COLUMNS} for _ in several],
        )

    @property
    def n_epochs(self) -> int:
        """Epochs done."""
        return len(self.histories[0]["epoch"])

    @property
    def learning_rate(self) -> float:
        """Present learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def step(self, loss_function: Callable[..., Tensor]) -> Callable[..., None]:
        """Build the step: gradient of the loss of a batch, Adam, loss to the total."""
        optimizer, sum_of_losses = self.optimizer, self.total
        parallel_loss = data_parallel(self.module, loss_function)

        def step(batch: Tensor, *beside: Tensor, weight: float = 1.0) -> None:
            optimizer.zero_grad(set_to_none=True)
            loss = parallel_loss(batch, *beside)  # () or (M,)
            # Networks of a stack share no weights: the sum's gradient is each one's.
            (loss.sum() * weight).backward()
            optimizer.step()
            sum_of_losses.add_(loss.detach() * batch.shape[loss.ndim])

        gpu = self.total.device.type == "cuda"
        return ReplayedStep(step) if gpu and n_processes() == 1 else step

    def threads(
        self,
        loss_function: Callable[..., Tensor],
        feed: Feed,
        phase: Phase,
        beside: Sequence[Tensor],
    ) -> Threads | None:
        """Choose the number of threads, if somebody has asked for it."""
        alone = feed.device.type == "cpu" and n_processes() == 1
        if not (are_measured() and alone and not self.total.ndim):
            return None
        part = torch.arange(min(phase.batch_size, len(feed)))
        (batch,) = feed.read([part])
        own = [values[part] for values in beside]
        trial = without_effect(self.module, lambda: loss_function(batch, *own))
        n_batches = len(batch_bounds(len(feed), phase.batch_size))
        return Threads(trial, n_batches * (phase.n_epochs - self.n_epochs))

    def epoch(
        self,
        step: Callable[..., None],
        feed: Feed,
        phase: Phase,
        beside: Sequence[Tensor] = (),
    ) -> list[float]:
        """Take one step a batch through all samples; return mean losses, one a network.

        All processes draw the same order. A share's mean loss is weighted by its size,
        so that the processes' gradients average to that of the whole batch.
        """
        orders = [
            torch.randperm(len(feed), generator=g, device=feed.device)
            for g in self.generators
        ]
        order = torch.stack(orders, dim=-1) if self.total.ndim else orders[0]
        bounds = batch_bounds(len(feed), phase.batch_size, n_processes())
        parts = [share(order[start:stop]) for start, stop in bounds]
        if self.total.ndim:
            parts = [part.mT.contiguous() for part in parts]  # (M, b)
        self.total.zero_()
        for (start, stop), part, batch in zip(
            bounds, parts, feed.read(parts), strict=True
        ):
            go_on()
            own = [values[part] for values in beside]
            if n_processes() == 1:
                step(batch, *own)
            else:
                weight = n_processes() * part.shape[-1] / (stop - start)
                step(batch, *own, weight=weight)
            if phase.schedule == "one-cycle":
                self.schedule.step()
        if phase.schedule == "step":
            self.schedule.step()
        mean = total(self.total) / len(feed)
        return mean.reshape(-1).tolist()  # the epoch's one wait for the device

    def snapshot(self) -> dict[str, Any]:
        """Collect the state; also the global generator's, for dropout and its like."""
        return {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "generators": [generator.get_state() for generator in self.generators],
            "global_generator": torch.get_rng_state(),
            "state": self.state,
            "histories": self.histories,
        }

    def restore(self, saved: dict[str, Any]) -> None:
        """Go back to a state."""
        self.module.load_state_dict(saved["module"])
        self.optimizer.load_state_dict(saved["optimizer"])
        for group in self.optimizer.param_groups:
            if isinstance(group["lr"], Tensor):
                group["lr"] = group["lr"].to(self.total.device)
        self.schedule.load_state_dict(saved["schedule"])
        for generator, value in zip(self.generators, saved["generators"], strict=True):
            generator.set_state(value)
        torch.set_rng_state(saved["global_generator"])
        for name, value in self.state.items():
            value.copy_(saved["state"][name])
        self.histories = saved["histories"]


def make_schedule(
    optimizer: torch.optim.Optimizer, phase: Phase, n_samples: int
) -> Schedule:
    """Build the schedule: "one-cycle" moves every batch, "step" after epochs."""
    if phase.schedule == "one-cycle":
        bounds = batch_bounds(n_samples, phase.batch_size, n_processes())
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=phase.lr,
            total_steps=max(phase.n_epochs * len(bounds), 1) + 1,
            cycle_momentum=False,  # Adam's β₁ stays: Phase speaks of the rate alone
        )
    milestones = list(phase.lr_milestones)
    return torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones)


def batch_bounds(
    n_samples: int, batch_size: int, n_shares: int = 1
) -> list[tuple[int, int]]:
    """Cut n samples into batches; a last one too small joins the batch before it.

    Batch normalization has no variance to offer to a single vector, and each process
    wants a share.
    """
    starts = list(range(0, n_samples, batch_size))
    if len(starts) > 1 and n_samples - starts[-1] < max(2, n_shares):
        starts.pop()
    return list(zip(starts, [*starts[1:], n_samples], strict=True))


def check_finite(loss: float, title: str, epoch: int, lr: float) -> None:
    """Raise TrainingDivergedError with a hint unless the loss is a number."""
    if not math.isfinite(loss):
        raise TrainingDivergedError(
            f"loss is {loss} in epoch {epoch} of {title} at learning rate {lr:g}: "
            "lower the learning rate, and check that the data is scaled to about [0, 1]"
        )
