"""A fitted detector in one file, and back: what of it is stored, and under which names.

The file's format, safetensors with JSON in its header, is that of
:mod:`deepsvdd.core._engine.model_format`, which knows nothing of detectors.
"""

from __future__ import annotations

import copy
import math
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from os import PathLike
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deepsvdd.core._engine.isolation import drawn_from
from deepsvdd.core._engine.model_format import read_model, strip_prefix, write_model
from deepsvdd.core.conformal import Calibration
from deepsvdd.core.model_schema import (
    BASELINE,
    CALIBRATION,
    KINDS,
    TRAINED_ON,
    check_contents,
    misfit,
)
from deepsvdd.core.networks import encoder_in
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.core.recipes import Recipe
from deepsvdd.core.representations import represent
from deepsvdd.core.training import MAPS, Hypersphere
from deepsvdd.errors import ModelFileError, reason_of
from deepsvdd.version import __version__


def write_detector(
    path: str | PathLike[str],
    kind: str,
    parameters: dict[str, Any],
    fitted: Mapping[str, Any],
    measured: Sequence[str],
) -> None:
    """Write a fitted detector to one file, whole or not at all.

    Parameters
    ----------
    path : path-like
    kind : str
        The estimator's class.
    parameters : dict
        The estimator's parameters.
    fitted : mapping
        Its fitted attributes by name.
    measured : sequence of str
        Those of them that the class adds, positive numbers.

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
    if "typical_" in fitted:  # a model of version 0.1 has none
        tensors[BASELINE] = fitted["typical_"]
    arrays = {TRAINED_ON: fitted.get("training_hashes_")}
    if calibration := fitted.get("calibration_"):
        arrays |= dict(
            zip(CALIBRATION, (calibration.scores, calibration.hashes), strict=True)
        )
    for name, array in arrays.items():
        if array is not None:  # a model of version 0.1 does not know
            tensors[name] = torch.from_numpy(array)
    write_model(path, tensors, metadata_of(kind, parameters, fitted, measured))


def metadata_of(
    kind: str,
    parameters: dict[str, Any],
    fitted: Mapping[str, Any],
    measured: Sequence[str],
) -> dict[str, Any]:
    """Describe a fitted detector in JSON's terms."""
    import sklearn

    seed, widths = parameters["random_state"], parameters.get("widths")
    stored = parameters | {
        "network": fitted["network_"],
        "recipe": asdict(fitted["recipe_"]),
        "random_state": int(seed) if isinstance(seed, int | np.integer) else None,
        "device": "auto",
    }
    if "checkpoint_dir" in parameters:
        stored["checkpoint_dir"] = None
    if widths is not None:
        stored["widths"] = [int(width) for width in widths]
    names = fitted.get("feature_names_in_")
    return {
        "estimator": kind,
        "labels": fitted.get("label_counts_"),
        "measured": {name: float(fitted[name]) for name in measured},
        "n_calibration": len(fitted.get("calibration_", ())),
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


def read_contents(
    path: str | PathLike[str], classes: Mapping[str, Any]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read and check a detector's file, without building its networks.

    Parameters
    ----------
    path : path-like
    classes : mapping of str to type
        The estimators that may be in it.

    Returns
    -------
    tensors, metadata : dict
        By name; what the file's version did not have yet has defaults.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If it is truncated, altered, foreign, of a later version, or no whole model, or
        holds an estimator of another class.
    """
    tensors, metadata = read_model(path)
    kind = metadata.setdefault("estimator", "DeepSVDD")  # alone in version 0.1
    if isinstance(kind, str) and kind in KINDS and kind not in classes:
        raise ModelFileError(
            f"{str(path)!r} holds a {kind}: read it with {kind}.load, or with "
            "deepsvdd.load_detector, which reads all"
        )
    check_contents(path, tensors, metadata, classes)
    defaults = classes[kind]().get_params(deep=False)
    metadata["parameters"] = {**defaults, **metadata["parameters"]}
    return tensors, metadata


def read_detector(
    path: str | PathLike[str],
    network: nn.Module | None,
    device: torch.device,
    classes: Mapping[str, Any],
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Read what :func:`write_detector` wrote.

    Parameters
    ----------
    path : path-like
    classes
        As for :func:`read_contents`.
    network : Module or None
        The encoder's architecture, for a model with a network of the user's own.
    device : torch.device
        Where to put the networks.

    Returns
    -------
    kind : str
        The estimator's class.
    parameters, fitted : dict
        Of the estimator: its parameters, and its fitted attributes by name.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is truncated, altered or foreign, or does not fit ``network``.
    ValueError
        If a network is given for a model with one of the package's own.
    """
    tensors, metadata = read_contents(path, classes)
    cls = classes[metadata["estimator"]]
    parameters = metadata["parameters"]
    parameters["recipe"] = Recipe.from_dict(parameters["recipe"])
    if parameters.get("widths") is not None:
        parameters["widths"] = tuple(parameters["widths"])
    name = parameters["network"]
    if name == "custom":
        if network is None:
            raise ModelFileError(
                f"{str(path)!r} holds a network of its author's own: load it in "
                "Python with DeepSVDD.load(path, network=its architecture)"
            )
        parameters["network"] = network
    elif network is not None:
        raise ValueError(
            f"network must be None for {str(path)!r}, which holds the package's own "
            f"{name!r}; got {type(network).__name__}"
        )
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
                path=path,
                widths=parameters.get("widths"),
                encoder_state=strip_prefix(tensors, f"members.{m}.encoder."),
                center=tensors[f"members.{m}.center"],
                maps=getattr(cls, "objective", None) == MAPS,
                around=lambda encoder: cls.around(encoder, parameters, shape),
                named=cls.named,
                **member,
            )
            for m, member in enumerate(metadata["members"])
        ],
    }
    if names := metadata.get("feature_names"):
        fitted["feature_names_in_"] = np.asarray(names, dtype=object)
    if counts := metadata.get("labels"):
        fitted["label_counts_"] = counts
    fitted |= metadata.get("measured") or {}
    if BASELINE in tensors:
        fitted["typical_"] = tensors[BASELINE]
    if TRAINED_ON in tensors:
        fitted["training_hashes_"] = tensors[TRAINED_ON].numpy()
    if CALIBRATION[0] in tensors:
        fitted["calibration_"] = Calibration(
            *(tensors[name].numpy() for name in CALIBRATION)
        )
    return metadata["estimator"], parameters, fitted


def rebuilt_member(
    network: str | nn.Module,
    input_shape: tuple[int, ...],
    device: torch.device,
    *,
    path: str | PathLike[str],
    widths: Sequence[int] | None,
    encoder_state: dict[str, Tensor],
    center: Tensor,
    radius: float,
    mean_distance: float = 1.0,
    collapsed: bool = False,
    history: dict[str, Any] | None = None,
    maps: bool = False,
    around: Callable[[nn.Module], nn.Module] = lambda encoder: encoder,
    named: Callable[..., nn.Module],
) -> Hypersphere:
    """Put a stored network back together on a device.

    Raises
    ------
    ModelFileError
        If weights or center do not fit the network.
    """
    name = network if isinstance(network, str) else "custom"
    if isinstance(network, nn.Module):
        encoder = encoder_in(copy.deepcopy(network))
    else:
        with drawn_from(0):
            encoder = named(network, input_shape, widths)
    encoder = around(encoder.to("cpu", center.dtype)).to(center.dtype)
    if problem := misfit(encoder, encoder_state):
        raise ModelFileError(
            f"{str(path)!r}: the weights do not fit the network {name!r} for samples "
            f"of shape {input_shape}: {problem}"
        )
    encoder.load_state_dict(encoder_state)
    try:
        length = represent(encoder, torch.zeros(1, *input_shape).to(center)).shape
    except Exception as error:  # of any kind: it is the user's network
        raise ModelFileError(
            f"{str(path)!r}: the network {name!r} must take samples of shape "
            f"{input_shape}; it fails: {reason_of(error)}"
        ) from None
    if center.shape != length[1:]:
        raise ModelFileError(
            f"{str(path)!r}: the center has shape {tuple(center.shape)}, but the "
            f"network {name!r} gives representations of shape {tuple(length[1:])}"
        )
    encoder = encoder.to(memory_format=torch.channels_last).to(device).eval()
    return Hypersphere(
        *(encoder, center.to(device), radius, mean_distance, collapsed),
        history=history or {},
        maps=maps,
    )
