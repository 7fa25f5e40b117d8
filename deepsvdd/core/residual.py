"""A residual network φ for images, larger than the paper's, by the same rules."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core.layers import NormPool2d, conv_norm_pool


class ResNet(nn.Module):
    """[3×3 convolution, norm, pooling, activation]³ with residual blocks, linear head.

    A stem without pooling comes first; the first and the last stage end in a block of
    two convolutions that is added to what it is given. Like the paper's networks it has
    no bias terms, no bounded activation and no affine normalization. A color image of
    32×32 pixels takes it 3.4 times as many operations as "cifar10_LeNet".

    Parameters
    ----------
    channels : int
        Of the images.
    widths : tuple of int
        Output channels of the stages; the stem has half the first.
    rep_dim : int
        Dimension D of the representation.

    References
    ----------
    He et al., "Deep residual learning for image recognition", CVPR 2016; the order of
    stages and blocks is that of Page, "How to train your ResNet", 2018.
    """

    def __init__(self, channels: int, widths: tuple[int, ...], rep_dim: int) -> None:
        super().__init__()
        stem = widths[0] // 2
        self.stem = conv3(channels, stem)
        self.stem_norm = NormPool2d(stem, pool=False)
        self.convs = nn.ModuleList(
            conv3(i, o) for i, o in zip((stem, *widths), widths, strict=False)
        )
        self.norms = nn.ModuleList(NormPool2d(width) for width in widths)
        last = len(widths) - 1
        self.blocks = nn.ModuleList(
            Block(width) if index in (0, last) else nn.Identity()
            for index, width in enumerate(widths)
        )
        self.head = nn.Linear(widths[-1], rep_dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to representations (B, D)."""
        x = F.leaky_relu(self.stem_norm(self.stem(x)))
        for conv, norm, block in zip(self.convs, self.norms, self.blocks, strict=True):
            x = block(F.leaky_relu(conv_norm_pool(conv, norm, x)))
        return self.head(x.amax(dim=(2, 3)))


class Block(nn.Module):
    """x + [3×3 convolution, norm, activation]² (x).

    Parameters
    ----------
    width : int
        Channels of x.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(conv3(width, width) for _ in range(2))
        self.norms = nn.ModuleList(NormPool2d(width, pool=False) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to its shape."""
        y = x
        for conv, norm in zip(self.convs, self.norms, strict=True):
            y = F.leaky_relu(norm(conv(y)))
        return x + y


def conv3(channels: int, width: int) -> nn.Conv2d:
    """Make a 3×3 convolution without bias terms."""
    return nn.Conv2d(channels, width, 3, padding=1, bias=False)
