"""Processors: which to use, in which precision, and how to spare a GPU its launches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

PRECISIONS = ("float32", "bf16")

log = logging.getLogger("deepsvdd")


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


def channels_last(x: Tensor) -> Tensor:
    """Lay images (n, c, h, w) out channels last, which convolutions here prefer."""
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def autocast(
    function: Callable[[Tensor], Tensor], device: torch.device, precision: str
) -> Callable[[Tensor], Tensor]:
    """Make a function compute in a precision.

    Raises
    ------
    ValueError
        If the precision is none of :data:`PRECISIONS`.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision must be one of {PRECISIONS}; got {precision!r}")
    if precision == "float32":
        return function
    return torch.autocast(device.type, dtype=torch.bfloat16)(function)


@contextmanager
def tensor_cores(device: torch.device, use: bool) -> Iterator[None]:
    """Let a GPU round factors to TF32 (10 bits of mantissa), or forbid it.

    Training bears it; scores are not to depend on it. A CPU has no such choice.
    """
    if device.type != "cuda":
        yield
        return
    backends: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = use
    try:
        yield
    finally:
        for backend, value in zip(backends, before, strict=True):
            backend.allow_tf32 = value


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
        Does one step on a batch, changes tensors in place, returns nothing, and never
        waits for the device.
    record : callable, optional
        Turns work into its replay.
    """

    WARM_UP = 3  # steps, taken as usual: libraries choose their algorithms

    def __init__(
        self,
        step: Callable[[Tensor], None],
        record: Callable[[Callable[[], None]], Callable[[], None]] = record_on_gpu,
    ) -> None:
        self.step = step
        self.record = record
        self.batch: Tensor | None = None
        self.replay: Callable[[], None] | None = None
        self.left = self.WARM_UP

    def __call__(self, batch: Tensor) -> None:
        """Take the step."""
        if self.batch is None:
            self.batch = torch.empty_like(batch)
        if batch.shape != self.batch.shape or self.left < 0:
            self.step(batch)
            return
        if self.left > 0:
            self.left -= 1
            self._beside(batch)
            return
        if self.replay is None and not self._recorded():
            self.step(batch)
            return
        assert self.replay is not None
        self.batch.copy_(batch)
        self.replay()

    def _beside(self, batch: Tensor) -> None:
        """Take a step on a stream of its own, as recording demands of a warm-up."""
        if batch.device.type != "cuda":
            self.step(batch)
            return
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.step(batch)
        torch.cuda.current_stream().wait_stream(stream)

    def _recorded(self) -> bool:
        """Record the step; a network that cannot be recorded is trained as usual."""
        try:
            self.replay = self.record(lambda: self.step(self.batch))  # type: ignore[arg-type]
        except RuntimeError as error:
            log.warning("no CUDA graph of this network: %s", error)
            self.left = -1
        return self.replay is not None
