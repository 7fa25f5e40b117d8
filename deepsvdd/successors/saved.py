"""Model files of any estimator, read without knowing which."""

from __future__ import annotations

from os import PathLike
from typing import Any

from torch import Tensor, nn

from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core.deep_sad import DeepSAD
from deepsvdd.core.detector import Detector
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.fcdd import FCDD
from deepsvdd.core.model_file import read_contents, read_detector
from deepsvdd.successors.classified import GEOM
from deepsvdd.successors.clustered import GOAD
from deepsvdd.successors.exposed import HSC
from deepsvdd.successors.frozen import FrozenFeatures
from deepsvdd.successors.surrounded import DROCC

CLASSES: dict[str, type[Detector]] = {
    each.kind: each
    for each in (DeepSVDD, DeepSAD, FCDD, GEOM, GOAD, DROCC, HSC, FrozenFeatures)
}


def load_detector(
    path: str | PathLike[str],
    *,
    network: nn.Module | None = None,
    device: str = "auto",
) -> Detector:
    """Read a model that ``save`` wrote, of whichever class it is.

    Parameters
    ----------
    path : path-like
        The file.
    network : Module, optional
        The encoder's architecture, for a model with a network of your own only.
    device : str, default="auto"
        Where to score.

    Returns
    -------
    DeepSVDD, DeepSAD, FCDD, GEOM, GOAD, DROCC, HSC or FrozenFeatures
        Fitted; it gives the very scores that the saved one gave.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is truncated, altered, foreign or of a later version, or does not
        fit ``network``.
    ValueError
        If a network is given for a model with one of the package's own.
    """
    with usual_modes():
        kind, parameters, fitted = read_detector(
            path, network, resolve_device(device), CLASSES
        )
        return CLASSES[kind]._of(parameters, fitted, device)


def model_contents(
    path: str | PathLike[str],
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and metadata of a model file, and check them; build nothing.

    Raises
    ------
    FileNotFoundError, ModelFileError
        As :func:`load_detector` does.
    """
    return read_contents(path, CLASSES)
