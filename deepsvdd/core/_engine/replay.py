"""A training step that a GPU records once and replays, which spares it the launches."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

log = logging.getLogger("deepsvdd")


def record_on_gpu(work: Callable[[], None]) -> Callable[[], None]:
    """Record what some work launches, without doing it; return a replay."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class ReplayedStep:
    """A training step that is recorded once as a CUDA graph, and then replayed.

    One launch in place of hundreds: a small network's step is mostly launches. Batches
    are copied to where the recording reads; one of another shape takes the usual way.

    Parameters
    ----------
    step : callable
        Does one step on a batch and what belongs to it, a tensor each, changes tensors
        in place, returns nothing, and never waits for the device.
    record : callable, optional
        Turns work into its replay.
    """

    WARM_UP = 3  # steps, taken as usual: libraries choose their algorithms

    def __init__(
        self,
        step: Callable[..., None],
        record: Callable[[Callable[[], None]], Callable[[], None]] = record_on_gpu,
    ) -> None:
        self.step = step
        self.record = record
        self.batch: tuple[Tensor, ...] | None = None
        self.replay: Callable[[], None] | None = None
        self.left = self.WARM_UP

    def __call__(self, *batch: Tensor) -> None:
        """Take the step."""
        if self.batch is None:
            self.batch = tuple(map(torch.empty_like, batch))
        if batch[0].shape != self.batch[0].shape or self.left < 0:
            self.step(*batch)
            return
        if self.left > 0:
            self.left -= 1
            self._beside(batch)
            return
        if self.replay is None and not self._recorded(self.batch):
            self.step(*batch)
            return
        assert self.replay is not None
        for place, values in zip(self.batch, batch, strict=True):
            place.copy_(values)
        self.replay()

    def _beside(self, batch: tuple[Tensor, ...]) -> None:
        """Take a step on a stream of its own, as recording demands of a warm-up."""
        if batch[0].device.type != "cuda":
            self.step(*batch)
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.step(*batch)
        torch.cuda.current_stream().wait_stream(stream)

    def _recorded(self, batch: tuple[Tensor, ...]) -> bool:
        """Record the step; a network that cannot be recorded is trained as usual."""
        try:
            self.replay = self.record(lambda: self.step(*batch))
        except RuntimeError as error:
            log.warning("no CUDA graph of this network: %s", error)
            self.left = -1
        return self.replay is not None
