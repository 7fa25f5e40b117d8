"""Processors: which to use, and in which precision."""

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
    if resolved.type == "cpu" and resolved.index:
        raise ValueError(f"device must be 'cpu', of which there is one; got {device!r}")
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
    function: Callable[..., Tensor], device: torch.device, precision: str
) -> Callable[..., Tensor]:
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
