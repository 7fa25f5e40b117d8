"""Networks applied to data: representations, their mean, distances to a center."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import torch
from torch import Tensor, nn

from deepsvdd.core._engine.distributed import gathered
from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core._engine.stacking import Stack
from deepsvdd.core.moments import Moments
from deepsvdd.core.networks import output_of
from deepsvdd.core.objectives import map_scores, squared_distances
from deepsvdd.core.preprocessing import at_a_time

SCORING_BATCH = 250  # its activations fit a processor's cache
GPU_SCORING_BATCH = 5000


def represent(network: nn.Module, x: Tensor, batch_size: int = SCORING_BATCH) -> Tensor:
    """Apply a network in evaluation mode, batch by batch.

    Parameters
    ----------
    network : Module
        Encoder, or autoencoder.
    x : Tensor of shape (n, ...)
        Preprocessed data, on the network's device.
    batch_size : int
        Samples at a time; fewer of images larger than 64×64 pixels.

    Returns
    -------
    Tensor of shape (n, d)
        Its outputs, without gradients.
    """
    size = at_a_time(batch_size, x.shape[1:])
    return joined((output_of(network, batch) for batch in x.split(size)), len(x))


def representations(network: nn.Module, feed: Feed) -> Iterator[Tensor]:
    """Yield representations (b, d), of a stack (M, b, d), of this process's share."""
    members = len(network) if isinstance(network, Stack) else 0
    size = SCORING_BATCH
    if feed.device.type == "cuda":
        size = max(GPU_SCORING_BATCH // max(members, 1), size)
    for batch in feed.in_order(size):
        if members and not feed.n_stacked:
            batch = batch.expand(members, *batch.shape)
        yield output_of(network, batch)


def joined(parts: Iterable[Tensor], n: int) -> Tensor:
    """Put what comes of batches (b, ...) in one tensor of at most n rows, as it comes.

    Small results that wait between large ones split the memory for these: it grows.
    """
    whole, end = None, 0
    for part in parts:
        if whole is None:
            whole = part.new_empty((n, *part.shape[1:]))
        whole[end : end + len(part)] = part
        end += len(part)
    assert whole is not None
    return whole[:end]


def mean_representation(
    network: nn.Module, feed: Feed, weights: Tensor | None = None
) -> Tensor:
    """Average the representations over all samples: (d,), of a stack (M, d)."""
    moments = Moments(weights)
    for z in representations(network, feed):
        moments.add(z)
    return moments.finish(len(feed))[0]


def distance_for(maps: bool) -> Callable[[Tensor, Tensor], Tensor]:
    """Return what scores representations: for maps (FCDD) not ‖φ(x) − c‖²."""
    return map_scores if maps else squared_distances


def distances(network: nn.Module, feed: Feed, center: Tensor) -> Tensor:
    """Squared distances of all samples to the center(s): (n,), of a stack (M, n)."""
    center = center.unsqueeze(-2)
    parts = [squared_distances(z, center) for z in representations(network, feed)]
    return gathered(torch.cat(parts, dim=-1), len(feed))
