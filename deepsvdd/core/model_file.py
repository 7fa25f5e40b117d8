"""A fitted detector in one file, and back: what of it is stored, and under which names.

The file's format, safetensors with JSON in its header, is that of
:mod:`deepsvdd.core._engine.model_format`, which knows nothing of detectors.
"""

from __future__ import annotations

import copy
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepsvdd.core._engine.model_format import read_model, strip_prefix, write_model
from deepsvdd.core.networks import Autoencoder, build_autoencoder
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.core.recipes import Recipe
from deepsvdd.core.training import Hypersphere, represent
from deepsvdd.errors import ModelFileError
from deepsvdd.version import __version__


def write_detector(
    path: str | PathLike[str], parameters: dict[str, Any], fitted: Mapping[str, Any]
) -> None:
    """Write a fitted detector to one file, whole or not at all.

    Parameters
    ----------
    path : path-like
    parameters : dict
        The estimator's parameters.
    fitted : mapping
        Its fitted attributes by name.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    tensors = {
        "preprocessor.minimum": fitted["preprocessor_"].minimum,
        "preprocessor.maximum": fitted["preprocessor_"].maximum,
    }
    for m, member in enumerate(fitted["members_"]):
        tensors[f"members.{m}.center"] = member.center
        for name, value in member.encoder.state_dict().items():
            tensors[f"members.{m}.encoder.{name}"] = value
    write_model(path, tensors, metadata_of(parameters, fitted))


def metadata_of(
    parameters: dict[str, Any], fitted: Mapping[str, Any]
) -> dict[str, Any]:
    """Describe a fitted detector in JSON's terms."""
    import sklearn

    seed = parameters["random_state"]
    stored = parameters | {
        "network": fitted["network_"],
        "recipe": asdict(fitted["recipe_"]),
        "random_state": int(seed) if isinstance(seed, int | np.integer) else None,
        "device": "auto",
        "checkpoint_dir": None,
    }
    names = fitted.get("feature_names_in_")
    return {
        "parameters": stored,
        "input_shape": list(fitted["input_shape_"]),
        "feature_names": None if names is None else names.tolist(),
        "preprocessing": fitted["preprocessor_"].method,
        "threshold": fitted["threshold_"],
        "members": [
            {
                "radius": member.radius,
                "mean_distance": member.mean_distance,
                "collapsed": member.collapsed,
                "history": member.history,
            }
            for member in fitted["members_"]
        ],
        "versions": {
            "deepsvdd": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scikit-learn": sklearn.__version__,
            "python": platform.python_version(),
        },
    }


def read_detector(
    path: str | PathLike[str], network: nn.Module | None, device: torch.device
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read what :func:`write_detector` wrote.

    Parameters
    ----------
    path : path-like
    network : Module or None
        The encoder's architecture, for a model with a network of the user's own.
    device : torch.device
        Where to put the networks.

    Returns
    -------
    parameters, fitted : dict
        Of the estimator: its parameters, and its fitted attributes by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is truncated, altered or foreign, or does not fit ``network``.
    """
    tensors, metadata = read_model(path)
    parameters = metadata["parameters"]
    parameters["recipe"] = Recipe.from_dict(parameters["recipe"])
    name = parameters["network"]
    if name == "custom":
        if network is None:
            raise ModelFileError(
                f"{str(path)!r} holds a network of its author's own: load it in "
                "Python with DeepSVDD.load(path, network=its architecture)"
            )
        parameters["network"] = network
    shape = tuple(metadata["input_shape"])
    fitted = {
        "input_shape_": shape,
        "n_features_in_": math.prod(shape),
        "network_": name,
        "recipe_": parameters["recipe"],
        "preprocessor_": Preprocessor(
            metadata["preprocessing"],
            tensors["preprocessor.minimum"],
            tensors["preprocessor.maximum"],
        ),
        "threshold_": metadata["threshold"],
        "members_": [
            rebuilt_member(
                parameters["network"],
                shape,
                device,
                encoder_state=strip_prefix(tensors, f"members.{m}.encoder."),
                center=tensors[f"members.{m}.center"],
                **member,
            )
            for m, member in enumerate(metadata["members"])
        ],
    }
    if names := metadata.get("feature_names"):
        fitted["feature_names_in_"] = np.asarray(names, dtype=object)
    return parameters, fitted


def rebuilt_member(
    network: str | nn.Module,
    input_shape: tuple[int, ...],
    device: torch.device,
    *,
    encoder_state: dict[str, Tensor],
    center: Tensor,
    radius: float,
    mean_distance: float = 1.0,
    collapsed: bool = False,
    history: dict[str, Any] | None = None,
) -> Hypersphere:
    """Put a stored network back together on a device.

    Raises
    ------
    ModelFileError
        If weights or center do not fit the network.
    """
    name = network if isinstance(network, str) else "custom"
    with torch.random.fork_rng(devices=[]):
        if isinstance(network, nn.Module):
            module = copy.deepcopy(network)
            encoder = module.encoder if isinstance(module, Autoencoder) else module
        else:
            encoder = build_autoencoder(network, input_shape).encoder
    encoder = encoder.to(center.dtype)
    try:
        encoder.load_state_dict(encoder_state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelFileError(
            f"the weights do not fit the network {name!r} for samples of "
            f"shape {input_shape} ({reason})"
        ) from None
    length = represent(encoder, torch.zeros(1, *input_shape).to(center)).shape
    if center.shape != length[1:]:
        raise ModelFileError(
            f"the center has shape {tuple(center.shape)}, but the network "
            f"{name!r} gives representations of shape {tuple(length[1:])}"
        )
    encoder = encoder.to(memory_format=torch.channels_last).to(device).eval()
    return Hypersphere(
        encoder, center.to(device), radius, mean_distance, collapsed, history or {}
    )
