"""Layers that :mod:`deepsvdd.core.networks` is made of.

Those for images compute what plain ones compute, in a fraction of the time: exact
rewritings, tested against the plain composition in values, gradients and running
statistics.

Axis letters: B batch, C channels, H height, W width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


class NormPool2d(nn.BatchNorm2d):
    """Batch normalization without affine parameters, then 2×2 max-pooling.

    An affine map is a bias term by another name (Proposition 2), hence none here.
    The normalization is increasing in every channel, so it commutes with the maximum:
    pooling first leaves a quarter of the values to normalize. In training on the CPU a
    hand-written gradient exploits that; elsewhere torch's own kernels do the work.

    Parameters
    ----------
    channels : int
        Number of channels C of the input (B, C, H, W).
    pool : bool, default=True
        Whether to pool; the decoder only normalizes.

    Attributes
    ----------
    fused : bool
        Whether the ways that suit one network in one process may be taken.
    """

    def __init__(self, channels: int, pool: bool = True) -> None:
        super().__init__(channels, eps=1e-4, affine=False)
        self.pool = pool
        self.fused = True

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C, H // 2, W // 2); without pooling, to its shape."""
        if self.training and self.fused and x.device.type == "cpu":
            assert self.num_batches_tracked is not None  # for the type checker
            self.num_batches_tracked.add_(1)
            statistics = (self.running_mean, self.running_var, self.momentum)
            if x.dtype == torch.bfloat16:
                x = x.float()  # sums of thousands need more than 8 bits
            return _NormPool.apply(x, self.pool, self.eps, *statistics)
        if self.training:  # pooled values would give other statistics
            x = self.normalise(x)
            return F.max_pool2d(x, 2) if self.pool else x
        return self.normalise(F.max_pool2d(x, 2) if self.pool else x)

    def normalise(self, x: Tensor) -> Tensor:
        """Only normalize (B, C, H, W)."""
        return super().forward(x)


class Norm1d(nn.BatchNorm1d):
    """Batch normalization of vectors (B, D) without affine parameters, for tables.

    Where nothing was trained before the center is computed, its running statistics
    would be nobody's: :func:`settle` measures them.

    Parameters
    ----------
    width : int
        Length D of the vectors.
    """

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-4, affine=False)


def vector_norms(network: nn.Module) -> list[Norm1d]:
    """Find all :class:`Norm1d` of a network."""
    return [module for module in network.modules() if isinstance(module, Norm1d)]


def settle(network: nn.Module, x: Tensor) -> None:
    """Set the running statistics of all :class:`Norm1d` of a network to those of x.

    Parameters
    ----------
    network : Module
        Changed in place; without such layers it stays as it is.
    x : Tensor of shape (n, d)
        Training data, n ≥ 2.
    """
    norms = vector_norms(network)
    if not norms:
        return
    training, momenta = network.training, [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    with torch.no_grad():
        network.train()(x)
    network.train(training)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def conv_norm_pool(conv: Any, norm: Any, x: Tensor) -> Tensor:
    """Apply a ``Conv2d`` and a pooling :class:`NormPool2d` to x (B, C, H, W).

    Scoring on the CPU takes another way to the same numbers: convolution and pooling in
    oneDNN's own memory layout, which suits few channels better than channels last.
    """
    scoring = norm.fused and not (norm.training or torch.is_grad_enabled())
    suitable = x.device.type == "cpu" and x.dtype == torch.float32
    suitable = suitable and not torch.is_autocast_enabled("cpu")  # or it would be idle
    onednn = torch.backends.mkldnn.is_available() and torch.backends.mkldnn.enabled
    # Its pooling would turn NaN into a number.
    if not (scoring and suitable and onednn and x.isfinite().all()):
        return norm(conv(x))
    y = F.conv2d(x.to_mkldnn(), conv.weight.to_mkldnn(), padding=conv.padding)
    return norm.normalise(F.max_pool2d(y, 2).to_dense())


def _rows(x: Tensor) -> Tensor:
    """View a channels-last image batch (B, C, H, W) as a matrix (B·H, W·C).

    With few channels, per-channel arithmetic has an inner loop of length C = 4 or 8 and
    leaves the processor's vector units idle; on these rows the inner loop is W·C long.
    """
    b, c, h, w = x.shape
    return x.permute(0, 2, 3, 1).reshape(b * h, w * c)


def _channel_sum(rows: Tensor, channels: int) -> Tensor:
    """Sum a matrix of rows (B·H, W·C) to one number a channel (C,)."""
    return rows.sum(0).view(-1, channels).sum(0)


class _NormPool(torch.autograd.Function):
    """The training step of :class:`NormPool2d` on the CPU, in channels-last layout."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        pool: bool,
        eps: float,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
    ) -> Tensor:
        b, c, h, w = x.shape
        count = b * h * w
        rows = _rows(x.contiguous(memory_format=torch.channels_last))  # (B·H, W·C)
        mean = _channel_sum(rows, c) / count  # (C,)
        rows = rows - mean.repeat(w)
        # Not vector_norm, whose reduction of the first axis is ten times slower here.
        var = _channel_sum(rows.square(), c) / count  # (C,)
        running_mean.lerp_(mean, momentum)
        running_var.lerp_(var * (count / max(count - 1, 1)), momentum)

        centred = rows.view(b, h, w, c).permute(0, 3, 1, 2)
        scale = torch.rsqrt(var + eps)
        if pool:
            y, index = torch.ops.aten.max_pool2d_with_indices(centred, [2, 2], [2, 2])
        else:
            y, index = centred.clone(memory_format=torch.channels_last), None
        _rows(y).mul_(scale.repeat(y.shape[3]))
        ctx.save_for_backward(centred, y, scale, index)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        # d/dx of (x - mean) * scale is scale * (g - mean(g) - y * mean(g * y)). Behind
        # a max-pool g is zero but for the maxima: the pooled values suffice for both.
        centred, y, scale, index = ctx.saved_tensors
        b, c, h, w = centred.shape
        count, pooled_w = b * h * w, y.shape[3]
        grad = grad.contiguous(memory_format=torch.channels_last)
        rows = _rows(grad)
        grad_mean = _channel_sum(rows, c) / count
        grad_y_mean = _channel_sum(rows * _rows(y), c) / count
        scaled = (rows * scale.repeat(pooled_w)).view(b, -1, pooled_w, c)
        dx = scaled.permute(0, 3, 1, 2)
        if index is not None:
            dx = torch.ops.aten.max_pool2d_with_indices_backward(
                dx, centred, [2, 2], [2, 2], [0, 0], [1, 1], False, index
            )
        dx_rows = _rows(dx)
        dx_rows.addcmul_(_rows(centred), (-scale * scale * grad_y_mean).repeat(w))
        dx_rows.sub_((scale * grad_mean).repeat(w))
        return dx, None, None, None, None, None


# The rows of each matrix list which of a kernel's five taps fall on the same
# low-resolution pixel when the output pixel has parity 0 (even) or 1 (odd).
_TAPS = torch.tensor(
    [
        [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]],
        [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]],
    ],
    dtype=torch.float32,
)  # (parity, 3, 5)


class UpConvTranspose2d(nn.ConvTranspose2d):
    """Nearest up-sampling by 2, then a transposed 5×5 convolution without bias.

    Up-sampled pixels come in equal 2×2 blocks, so the 25 products per output pixel are
    9 different ones: a 3×3 convolution at the low resolution gives all four parities of
    the output as channels, and a pixel shuffle interleaves them.

    Parameters
    ----------
    in_channels, out_channels : int
        Channels before and after.
    """

    _taps: Tensor

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 5, padding=2, bias=False)
        self.register_buffer("_taps", _TAPS.clone(), persistent=False)

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, 2 H, 2 W)."""
        taps = self._taps.to(self.weight.dtype)
        kernel = self.weight.flip(2, 3)  # (C_in, C_out, 5, 5) as a correlation
        kernel = torch.einsum("pay,qbx,ioyx->opqiab", taps, taps, kernel)
        kernel = kernel.reshape(4 * self.out_channels, self.in_channels, 3, 3)
        return F.pixel_shuffle(F.conv2d(x, kernel, padding=1), 2)
