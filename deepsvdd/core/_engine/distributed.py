"""Several processes as one: what ``torchrun`` started, as the training sees it.

All processes hold the same network and draw the same order of samples; each computes
its share of every batch. Without a process group, each function here does what is right
for the only process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from deepsvdd.errors import ProcessLostError

_LOST = ("gloo", "nccl", "connection", "timed out", "peer")  # in torch's own messages


def n_processes() -> int:
    """Count the processes that train together."""
    return dist.get_world_size() if _is_group() else 1


def rank() -> int:
    """Return this process's number; number 0 logs and saves."""
    return dist.get_rank() if _is_group() else 0


def _is_group() -> bool:
    return dist.is_available() and dist.is_initialized()


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that ``torchrun`` started; without it, do nothing.

    GPUs talk by NCCL, one process a GPU; processors by gloo.

    Raises
    ------
    ValueError
        If there are GPUs, but fewer than processes on this machine.
    RuntimeError
        If a reading process, which imports the main script, comes here by that.
    ProcessLostError
        If another process of the group ends before its time.

    Examples
    --------
    A script for ``torchrun --nproc_per_node 2 script.py``::

        if __name__ == "__main__":
            with process_group():
                DeepSVDD(random_state=0).fit(images).save("model.safetensors")
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        yield
        return
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RuntimeError(
            "the script must begin its work under if __name__ == '__main__': with "
            "n_workers > 0, the processes that read images import it"
        )
    cuda, local = torch.cuda.is_available(), int(os.environ["LOCAL_RANK"])
    if cuda:
        if local >= torch.cuda.device_count():
            raise ValueError(
                f"nproc_per_node must be at most {torch.cuda.device_count()}, the "
                f"GPUs of this machine; got {os.environ['LOCAL_WORLD_SIZE']}"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("nccl" if cuda else "gloo")
    lost = ProcessLostError(
        f"process {rank()} of {n_processes()} lost another one, which was killed or "
        "failed (its own message says why): start the same command again; with "
        "checkpoints, it goes on from the last one"
    )

    def stop(*_: object) -> None:  # torchrun ends those that are left
        raise lost

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    except RuntimeError as error:
        if not any(word in str(error).lower() for word in _LOST):
            raise
        raise lost from error
    finally:
        signal.signal(signal.SIGTERM, before)
    # Gloo's threads take Python's lock to let go of the last tensors. Torch 2.4 keeps
    # it while it destroys the group, and would wait for them forever: they go first.
    time.sleep(0.2)
    dist.destroy_process_group()


# ------------------------------------------------------------------------------- data


def share(items: Tensor) -> Tensor:
    """Take this process's share of what lies along the first axis (n, ...)."""
    return items[rank() :: n_processes()]


def gathered(values: Tensor, n: int) -> Tensor:
    """Undo :func:`share`: put everybody's values (..., k) together to (..., n)."""
    if n_processes() == 1:
        return values
    longest = -(-n // n_processes())
    padded = F.pad(values, (0, longest - values.shape[-1])).contiguous()
    parts = [torch.empty_like(padded) for _ in range(n_processes())]
    dist.all_gather(parts, padded)
    return torch.stack(parts, dim=-1).flatten(-2)[..., :n]


def total(value: Tensor, operation: str = "SUM") -> Tensor:
    """Add up everybody's value; or take their "MIN" or "MAX"."""
    if n_processes() > 1:
        value = value.clone()
        dist.all_reduce(value, getattr(dist.ReduceOp, operation))
    return value


def from_first(value: Any) -> Any:
    """Hand the first process's object, as pickle takes it, to all."""
    if n_processes() > 1:
        box = [value]
        dist.broadcast_object_list(box, src=0)
        (value,) = box
    return value


# --------------------------------------------------------------------------- gradients


class _Loss(nn.Module):
    """A loss function with the module that it evaluates, as torch's wrapper wants."""

    def __init__(self, module: nn.Module, function: Any) -> None:
        super().__init__()
        self.module = module
        self.function = function

    def forward(self, *batch: Tensor) -> Tensor:
        return self.function(*batch)


def data_parallel(module: nn.Module, loss_function: Any) -> Any:
    """Make a loss function's gradients the mean of everybody's."""
    if n_processes() == 1:
        return loss_function
    with warnings.catch_warnings():  # older versions do not know its new name
        warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
        return DistributedDataParallel(
            _Loss(module, loss_function), broadcast_buffers=False
        )


@contextmanager
def synchronised_norms(module: nn.Module) -> Iterator[None]:
    """Inside ``with``, batch normalizations use the statistics of everybody's batch."""
    norms: list[Any] = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    # The package's own layer pools around its normalization; torch's is nothing else.
    names = ["normalise" if hasattr(m, "normalise") else "forward" for m in norms]
    if n_processes() == 1:
        norms, names = [], []
    for norm, name in zip(norms, names, strict=True):
        setattr(norm, name, partial(_batch_norm, norm, getattr(norm, name)))
        norm.fused = False
    try:
        yield
    finally:
        for norm, name in zip(norms, names, strict=True):
            delattr(norm, name)
            norm.fused = True


class _Total(torch.autograd.Function):
    """:func:`total` with a gradient.

    Everybody's loss depends on everybody's summand, so the gradients add up as well.
    """

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        return total(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return total(gradient)


def _batch_norm(norm: Any, alone: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply a batch normalization to this process's share (b, C, ...) of a batch.

    torch's own SyncBatchNorm computes the same, but on GPUs only.
    """
    if not norm.training:
        return alone(x)
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [-1 if axis == 1 else 1 for axis in range(x.ndim)]
    values = x.float() if x.dtype == torch.bfloat16 else x
    count = total(torch.tensor(values.numel() / values.shape[1], device=x.device))
    mean = _Total.apply(values.sum(axes)) / count  # (C,)
    centred = values - mean.view(shape)
    var = _Total.apply(centred.square().sum(axes)) / count  # (C,)
    y = centred * torch.rsqrt(var + norm.eps).view(shape)
    if norm.track_running_stats:
        norm.num_batches_tracked.add_(1)
        momentum = norm.momentum or 1 / norm.num_batches_tracked
        unbiased = var.detach() * (count / (count - 1).clamp(min=1))
        norm.running_mean.lerp_(mean.detach(), float(momentum))
        norm.running_var.lerp_(unbiased, float(momentum))
    if norm.affine:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    return y
