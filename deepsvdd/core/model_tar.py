"""The authors' own model file: a ``model.tar`` of their PyTorch repository, read."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path
from typing import Any

import torch

from deepsvdd.core.model_schema import is_finite, require_field
from deepsvdd.errors import ModelFileError, reason_of


def read_model_tar(path: str | PathLike[str]) -> dict[str, Any]:
    """Read a ``model.tar`` of the authors' PyTorch repository.

    Parameters
    ----------
    path : path-like
        The file, as ``DeepSVDD.save_model`` of that repository writes it.

    Returns
    -------
    dict
        ``network`` (name), ``center`` (Tensor), ``radius`` (float) and ``encoder``
        (state of our encoder). The file holds no preprocessing extrema.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is damaged, holds anything but tensors and numbers, or another network.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file at {str(path)!r}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        state = dict(content["net_dict"])
        center = torch.as_tensor(content["c"], dtype=torch.float32)
        radius = float(content["R"])
        require_field("R", is_finite(radius, 0), "a finite number from 0 on", radius)
        valid = center.ndim == 1 and bool(center.isfinite().all())
        require_field("c", valid, "a list of finite numbers", content["c"])
        for name, value in state.items():
            valid = isinstance(name, str) and isinstance(value, torch.Tensor)
            require_field("net_dict", valid, "tensors by their names", {name: value})
            finite = bool(value.isfinite().all())
            require_field(name, finite, "finite numbers", "NaN or infinity")
        network = {8: "mnist_LeNet", 32: "cifar10_LeNet"}[len(state["conv1.weight"])]
    except Exception as error:  # torch.load raises a dozen unrelated types
        reason = f"{type(error).__name__}: {reason_of(error)}".partition(". ")[0]
        raise ModelFileError(
            f"{str(path)!r} is no readable model.tar of the authors' repository, with "
            f"entries R, c, net_dict and a LeNet's weights ({reason})"
        ) from None
    return {
        "network": network,
        "center": center,
        "radius": radius,
        "encoder": {legacy_name(name): value for name, value in state.items()},
    }


def legacy_name(name: str) -> str:
    """Translate a weight's name: ``bn2d1.running_mean`` → ``norms.0.running_mean``."""
    layer, _, leaf = name.partition(".")
    match = re.fullmatch(r"(conv|bn|bn2d)(\d)", layer)
    if match is None:
        return f"head.{leaf}"
    kind = "convs" if match[1] == "conv" else "norms"
    return f"{kind}.{int(match[2]) - 1}.{leaf}"
