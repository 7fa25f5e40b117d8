"""``FCN``: a network whose representation is a small map of the image.

Each number of the map depends on one square of the image only, its *receptive field*,
and lies where that square lies. So what is odd in the map says where the image is odd
(:class:`deepsvdd.FCDD`).

Axis letters: B batch, C channels, H and W height and width of images, U and V of maps.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core.layers import NormPool2d, conv_norm_pool

KERNEL = 5  # pixels, the side of a convolution's window
WIDTHS = (8, 16, 32)  # channels of the stages
SMALLEST, LARGEST = 8, 256  # sides of images in pixels
TWO_STAGES = 64  # sides up to which two stages do


class FCN(nn.Module):
    """A fully convolutional network: the stages of a LeNet, and a 1×1 convolution.

    Two stages of [5×5 convolution, norm, 2×2 pooling, activation] for images of up to
    64 pixels a side, three for larger ones, up to 256. No dense layer, which would mix
    what comes from different places, and no bias terms, as in all networks here.

    Parameters
    ----------
    input_shape : (C, H, W)
        Shape of one image.

    Attributes
    ----------
    grid : (U, V)
        Shape of the map: (7, 7) for 28×28 pixels, (8, 8) for 32×32.

    References
    ----------
    Liznerski et al., "Explainable Deep One-Class Classification", ICLR 2021, Section 3.
    """

    def __init__(self, input_shape: tuple[int, ...]) -> None:
        super().__init__()
        sides = input_shape[1:]
        depth = 2 if max(sides) <= TWO_STAGES else 3
        widths = (input_shape[0], *WIDTHS[:depth])
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, KERNEL, padding=KERNEL // 2, bias=False)
            for i, o in pairwise(widths)
        )
        self.norms = nn.ModuleList(NormPool2d(width) for width in widths[1:])
        self.head = nn.Conv2d(widths[-1], 1, 1, bias=False)
        self.grid = tuple(side >> depth for side in sides)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to maps in rows, (B, U · V)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = F.leaky_relu(conv_norm_pool(conv, norm, x))  # (B, width, H/2, W/2)
        return self.head(x).flatten(1)  # (B, U · V)


def receptive_field(depth: int) -> int:
    """Side in pixels of the square that one number of a map depends on.

    Of stages of a 5×5 convolution and a 2×2 pooling: 16 for two, 36 for three.
    """
    side, step = 1, 1
    for _ in range(depth):
        side += (KERNEL - 1) * step + step
        step *= 2
    return side


def enlarged(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """Draw maps (n, U, V) at the size (H, W) of their images.

    Each number spreads as a Gaussian around the center of its receptive field, up to
    the field's border; its standard deviation is a quarter of the field's side. A pixel
    gets the mean of the numbers, weighted by what reaches it, so that a map that is the
    same everywhere stays so.

    Parameters
    ----------
    maps : Tensor of shape (n, U, V)
    size : (H, W)
        In pixels, 2^depth times U and V, up to 2^depth − 1 more.

    Returns
    -------
    Tensor of shape (n, H, W)

    References
    ----------
    Liznerski et al. (2021), Section 3.2 and Algorithm 1: a transposed convolution with
    a Gaussian kernel as large as the receptive field, whose deviation they choose for
    each data set. It leaves the pixels near the border darker; the weighted mean does
    not.
    """
    rows, columns = (
        spread_of(cells, side).to(maps)
        for cells, side in zip(maps.shape[1:], size, strict=True)
    )
    return rows @ maps @ columns.mT


def spread_of(cells: int, side: int) -> Tensor:
    """Weights (side, cells) of a map's numbers along one axis; each row sums to 1."""
    depth = round(math.log2(side // cells))
    step, field = 2**depth, receptive_field(depth)
    centers = torch.arange(cells) * step + (step - 1) / 2
    away = torch.arange(side)[:, None] - centers
    weights = torch.exp(-0.5 * (away / (field / 4)) ** 2)
    weights = weights.masked_fill(away.abs() > field / 2, 0)
    return weights / weights.sum(dim=1, keepdim=True)
