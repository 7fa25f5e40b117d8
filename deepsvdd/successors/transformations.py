"""Transformations T_1, …, T_K of a sample, for networks that tell them apart.

Axis letters: B batch, K transformations, C channels, S side of a square image.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

QUARTER = 4  # an image moves by a quarter of its side
SETS = ("rotations", "rotations+shifts", "rotations+flips")  # of images
LINEAR = "linear"  # of vectors
N_LINEAR = 16


class Geometric(nn.Module):
    """Rotations by multiples of 90°, alone or after another change.

    Parameters
    ----------
    kind : {"rotations", "rotations+shifts", "rotations+flips"}
        4 rotations; 20, each after no shift or one of a quarter of the side to the
        right, left, top or bottom; or 8, each after no flip or one left to right.

    References
    ----------
    Golan and El-Yaniv, "Deep anomaly detection using geometric transformations",
    NeurIPS 2018, arXiv 1805.10917, take all 72 of rotations, shifts along both axes and
    flips; the four rotations are those of Gidaris et al., ICLR 2018.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        before: dict[str, list[Callable[[Tensor], Tensor]]] = {
            "rotations": [],
            "rotations+shifts": SHIFTS,
            "rotations+flips": [flipped],
        }
        self.changes = [unchanged, *before[kind]]

    def __len__(self) -> int:
        """Count the transformations."""
        return 4 * len(self.changes)

    def forward(self, x: Tensor) -> Tensor:
        """Transform images (B, C, S, S); returns (B, K, C, S, S)."""
        views = [
            torch.rot90(change(x), turns, (-2, -1))
            for change in self.changes
            for turns in range(4)
        ]
        return torch.stack(views, dim=1)


def unchanged(x: Tensor) -> Tensor:
    """Leave images as they are."""
    return x


def flipped(x: Tensor) -> Tensor:
    """Mirror images (B, C, S, S) left to right."""
    return x.flip(-1)


def shift_by(right: int, down: int) -> Callable[[Tensor], Tensor]:
    """Build a shift by quarters of the side; what comes in is mirrored at the edge."""

    def shifted(x: Tensor) -> Tensor:
        side = x.shape[-1]
        step = side // QUARTER
        wide = F.pad(x, (step,) * 4, mode="reflect")
        rows = wide.narrow(-2, step - down * step, side)
        return rows.narrow(-1, step - right * step, side)

    return shifted


SHIFTS = [shift_by(1, 0), shift_by(-1, 0), shift_by(0, 1), shift_by(0, -1)]


class Linear(nn.Module):
    """Fixed random linear maps of vectors.

    Parameters
    ----------
    n_features : int
        Length D of a vector, and of its images.
    n_maps : int, default=16
        Number K of maps; their entries are drawn from torch's generator.

    References
    ----------
    Bergman and Hoshen, "Classification-based anomaly detection for general data", ICLR
    2020, arXiv 2005.02359, Section 4: matrices of normal numbers. There they map to a
    dimension of its own, here to that of the vectors, divided by √D so that lengths
    stay about what they are.
    """

    maps: Tensor

    def __init__(self, n_features: int, n_maps: int = N_LINEAR) -> None:
        super().__init__()
        maps = torch.empty(n_maps, n_features, n_features).normal_()
        self.register_buffer("maps", maps / n_features**0.5)

    def __len__(self) -> int:
        """Count the transformations."""
        return len(self.maps)

    def forward(self, x: Tensor) -> Tensor:
        """Transform vectors (B, D); returns (B, K, D)."""
        return torch.einsum("kij,bj->bki", self.maps, x)


def transformations_for(kind: str, input_shape: tuple[int, ...]) -> Geometric | Linear:
    """Make the transformations of a name, as for :func:`suited`."""
    kind = suited(kind, input_shape)
    return Linear(input_shape[0]) if kind == LINEAR else Geometric(kind)


def suited(kind: str, input_shape: tuple[int, ...]) -> str:
    """Check the name of transformations; "auto" suits it to the samples.

    Parameters
    ----------
    kind : {"auto", "rotations", "rotations+shifts", "rotations+flips", "linear"}
    input_shape : (c, h, w) or (d,)

    Raises
    ------
    ValueError
        If the samples are none that can be transformed so.
    """
    images = len(input_shape) == 3
    if kind == "auto":
        kind = "rotations" if images else LINEAR
    if images != (kind in SETS):
        what = "images" if images else "vectors"
        usable = f"one of {SETS}" if images else repr(LINEAR)
        raise ValueError(
            f"transformations must be {usable} for {what} of shape {input_shape}; got "
            f"{kind!r}"
        )
    if images and input_shape[1] != input_shape[2]:
        raise ValueError(
            "X must hold square images for rotations by 90°; got shape "
            f"{input_shape}: crop or pad them"
        )
    return kind
