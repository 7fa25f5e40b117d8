"""Pretraining: an autoencoder whose encoder becomes the network φ; its own score."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.core._engine.checkpoints import Checkpoint
from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core._engine.stacking import Stack, as_one
from deepsvdd.core.loop import History, optimise
from deepsvdd.core.networks import output_of
from deepsvdd.core.objectives import mean_of
from deepsvdd.core.preprocessing import at_a_time
from deepsvdd.core.recipes import Phase
from deepsvdd.core.representations import SCORING_BATCH


def pretrain_autoencoder(
    autoencoder: nn.Module,
    x: Tensor | Feed,
    phase: Phase,
    *,
    seed: int = 0,
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int, nn.Module], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> History:
    """Train an autoencoder to reconstruct x: summed squared error, mean over samples.

    In the book: sec-autoencoder (06-pretraining).

    Parameters
    ----------
    autoencoder : Module
        Trained in place; its encoder is the Deep SVDD network.
    x : Tensor of shape (n, ...), or Feed
        Preprocessed training data.
    phase : Phase
        Settings.
    seed, verbose, precision, checkpoint
        As in :func:`deepsvdd.optimise`.
    on_epoch : callable, optional
        Called with the epoch's number and the autoencoder after every epoch.

    Returns
    -------
    dict of lists
        One network's history, as :func:`deepsvdd.optimise` has it.
    """

    def after(epoch: int) -> float:
        if on_epoch:
            on_epoch(epoch, autoencoder)
        return 0.0

    (history,) = pretrain_autoencoders(
        [autoencoder],
        x,
        phase,
        seeds=[seed],
        verbose=verbose,
        precision=precision,
        on_epoch=after,
        checkpoint=checkpoint,
    )
    return history


def reconstruction_scores(autoencoder: nn.Module, x: Tensor) -> Tensor:
    """Score by the reconstruction error: the paper's baseline DCAE (Section 4.1).

    Parameters
    ----------
    autoencoder : Module
        Pretrained; applied in evaluation mode.
    x : Tensor of shape (n, ...)
        Preprocessed data, on its device.

    Returns
    -------
    Tensor of shape (n,)
        Summed squared error of each sample, without gradients.
    """
    errors = [
        (output_of(autoencoder, batch) - batch).square().flatten(1).sum(dim=1)
        for batch in x.split(at_a_time(SCORING_BATCH, x.shape[1:]))
    ]
    return torch.cat(errors)


def pretrain_autoencoders(
    autoencoders: Sequence[nn.Module],
    x: Tensor | Feed,
    phase: Phase,
    *,
    seeds: Sequence[int],
    verbose: bool = False,
    precision: str = "float32",
    on_epoch: Callable[[int], Any] | None = None,
    checkpoint: Checkpoint | None = None,
    weights: Tensor | None = None,
) -> list[History]:
    """Pretrain M autoencoders of one architecture at once, as a stack.

    The result is that of pretraining one after the other, but for rounding.

    In the book: sec-stacks (09-gpu).

    Parameters
    ----------
    autoencoders : sequence of M Module
        Trained in place.
    x : Tensor of shape (n, ...), or Feed
        Preprocessed training data, the same for all or a stacked feed.
    phase : Phase
        Settings.
    seeds : sequence of M int
        Seeds of the order of the samples, one a network.
    verbose, precision, on_epoch, checkpoint
        As in :func:`deepsvdd.optimise`.
    weights : Tensor of shape (n,), optional
        Of the samples, 1 on average.

    Returns
    -------
    list of dict of lists
        One history per network.
    """
    module, seeds_ = as_one(autoencoders, seeds)
    axis = 2 if isinstance(module, Stack) else 1

    def reconstruction_error(batch: Tensor, weight: Tensor | None = None) -> Tensor:
        errors = (module(batch) - batch).square().flatten(axis)
        return mean_of(errors.sum(dim=-1), weight)

    histories = optimise(
        module,
        reconstruction_error,
        x,
        phase,
        seeds=seeds_,
        title="pretraining",
        verbose=verbose,
        precision=precision,
        on_epoch=on_epoch,
        checkpoint=checkpoint,
        beside=() if weights is None else (weights,),
    )
    if isinstance(module, Stack):
        module.write_back()
    return histories
