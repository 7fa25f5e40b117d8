"""What a model file must hold, checked wherever one is read: fields, weights."""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Mapping
from dataclasses import fields
from os import PathLike
from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.core._engine.model_format import strip_prefix
from deepsvdd.core.networks import MAP_NETWORK, build_autoencoder
from deepsvdd.core.preprocessing import METHODS
from deepsvdd.core.recipes import Phase, Recipe, is_number, is_whole
from deepsvdd.core.training import OBJECTIVES
from deepsvdd.errors import ModelFileError
from deepsvdd.version import __version__

FIELDS = ("parameters", "input_shape", "preprocessing", "threshold", "members")
# Later than version 0.1, or not in every file.
OPTIONAL = ("estimator", "labels", "n_calibration", "feature_names", "kind")
# Estimators that the files of this version may hold.
KINDS = (
    "DeepSVDD",
    "DeepSAD",
    "FCDD",
    "GEOM",
    "GOAD",
    "DROCC",
    "HSC",
    "FrozenFeatures",
)
LABELS = ("normal", "anomaly", "unlabeled")
TRAINED_ON = "training.hashes"
BASELINE = "training.typical"
CALIBRATION = ("calibration.scores", "calibration.hashes")
PHASES = ("pretraining", "training")
FLOATS = (torch.float32, torch.float64)
EXTREMA = ("preprocessor.minimum", "preprocessor.maximum")


class _Unknown(ValueError):
    """What this version does not know, and a later one may."""


def check_contents(
    path: str | PathLike[str],
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    classes: Mapping[str, Any],
) -> None:
    """Refuse what is no whole model, or one of a later version.

    The file's checksum tells damage; this tells what was written wrongly, by other
    hands, or by a version that knew more.

    Parameters
    ----------
    path : path-like
        For the error.
    tensors : mapping of str to Tensor
    metadata : mapping
        As :func:`deepsvdd.core.model_file.metadata_of` makes it.
    classes : mapping of str to type
        The estimators that may be in it. Parameters that earlier versions did not have
        yet may be missing in the file.

    Raises
    ------
    ModelFileError
        Naming the file, the field, what it may be, and what it is.
    """
    try:
        _check_versions(metadata)
        _check_fields("", metadata, (*FIELDS, "versions"), OPTIONAL)
        kind = metadata.get("estimator", "DeepSVDD")
        _choice("estimator", kind, KINDS)
        _check_parameters(metadata["parameters"], classes[kind])
        _check_values(metadata)
        _check_members(metadata["members"])
        _check_labels(metadata.get("labels"))
        _check_tensors(tensors, metadata, classes[kind])
    except ValueError as error:
        advice = "restore it from a copy, or train again"
        writer = _writer(metadata)
        if isinstance(error, _Unknown) or writer not in (__version__, None):
            advice = (
                f"it was written by deepsvdd {writer or 'of an unknown version'}, this "
                f"is {__version__}: update deepsvdd"
            )
        raise ModelFileError(f"{str(path)!r}: {error}; {advice}") from None


def require_field(name: str, valid: bool, domain: object, value: object) -> None:
    """Raise ValueError naming a field, what it may be, and what it is."""
    if not valid:
        raise ValueError(f"{name} must be {domain}; got {reprlib.repr(value)}")


def is_finite(value: object, least: float = -math.inf) -> bool:
    """Tell whether a value is a finite number, and not below the least."""
    return is_number(value) and math.isfinite(value) and value >= least


def misfit(encoder: nn.Module, state: Mapping[str, Tensor]) -> str | None:
    """Say which of some weights do not fit a network, or None if all do."""
    expected = encoder.state_dict()
    for name in {**expected, **state}:
        if name not in state:
            return f"{name} is missing"
        if name not in expected:
            return f"{name} is none of its weights"
        value, own = state[name], expected[name]
        # Rows of a bank of features are as many as were measured.
        bank = own.ndim == 2 and not len(own) and own.shape[1:] == value.shape[1:]
        if value.shape != own.shape and not bank:
            shapes = f"{tuple(own.shape)}; got {tuple(value.shape)}"
            return f"{name} must have shape {shapes}"
        if value.is_floating_point() != own.is_floating_point():
            return (
                f"{name} must be of type {_name(own.dtype)}; got {_name(value.dtype)}"
            )
    return None


def _writer(metadata: Any) -> str | None:
    """Name the version that wrote a file, as far as that can be known."""
    versions = metadata.get("versions") if isinstance(metadata, dict) else None
    version = versions.get("deepsvdd") if isinstance(versions, dict) else None
    return version if isinstance(version, str) else None


def _check_versions(metadata: Mapping[str, Any]) -> None:
    if "versions" in metadata:
        versions = metadata["versions"]
        valid = isinstance(versions, dict) and isinstance(versions.get("deepsvdd"), str)
        require_field("versions", valid, "an object with deepsvdd", versions)


def _check_fields(
    place: str, given: Any, required: Collection[str], known: Collection[str]
) -> None:
    """Check that an object has the fields that it must, and none that is unknown."""
    require_field(place or "its metadata", isinstance(given, dict), "an object", given)
    dot = f"{place}." if place else ""
    for name in required:
        if name not in given:
            raise ValueError(f"{dot}{name} is missing")
    for name in given:
        if name not in known and name not in required:
            raise _Unknown(f"{dot}{name} is not known here")


def _choice(name: str, value: object, choices: Collection[str]) -> None:
    if not (isinstance(value, str) and value in choices):
        got = reprlib.repr(value)
        raise _Unknown(f"{name} must be one of {', '.join(choices)}; got {got}")


def _check_parameters(given: Any, cls: Any) -> None:
    """Check the estimator's parameters, by the rules of the estimator."""
    place = "parameters"
    defaults = cls().get_params(deep=False)
    _check_fields(place, given, cls.required, defaults)
    own = () if cls.networks == (MAP_NETWORK,) else ("custom",)
    _choice(f"{place}.network", given["network"], (*cls.networks, *own))
    if "objective" in cls.required:
        _choice(f"{place}.objective", given["objective"], OBJECTIVES)
    folder = given.get("checkpoint_dir")
    require_field(f"{place}.checkpoint_dir", folder is None, "null", folder)
    recipe = given["recipe"]
    _check_fields(f"{place}.recipe", recipe, PHASES, [f.name for f in fields(Recipe)])
    for phase in PHASES:
        where = f"{place}.recipe.{phase}"
        known = [field.name for field in fields(Phase)]
        _check_fields(where, recipe[phase], ("lr_milestones",), known)
        epochs = recipe[phase]["lr_milestones"]
        require_field(
            f"{where}.lr_milestones", isinstance(epochs, list), "a list", epochs
        )
    try:
        values = defaults | given | {"recipe": Recipe.from_dict(recipe)}
        if given["network"] == "custom":
            values["network"] = nn.Identity()  # the user's own is not in the file
        cls.with_parameters(values).check_parameters()
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _check_values(metadata: Mapping[str, Any]) -> None:
    """Check shape, preprocessing, threshold and names of columns."""
    shape = metadata["input_shape"]
    valid = isinstance(shape, list) and len(shape) in (1, 3)
    valid = valid and all(is_whole(side) and side > 0 for side in shape)
    domain = "[channels, height, width] or [features], positive whole numbers"
    require_field("input_shape", valid, domain, shape)
    _choice("preprocessing", metadata["preprocessing"], METHODS)
    threshold = metadata["threshold"]
    require_field("threshold", is_finite(threshold), "a finite number", threshold)
    names = metadata.get("feature_names")
    valid = names is None or (
        isinstance(names, list)
        and [len(names)] == shape
        and all(isinstance(name, str) for name in names)
    )
    domain = "null or a name for each feature"
    require_field("feature_names", valid, domain, names)


def _check_labels(counts: Any) -> None:
    """Check the numbers of labels that a Deep SAD was trained with."""
    valid = counts is None or (
        isinstance(counts, dict)
        and set(counts) == set(LABELS)
        and all(is_whole(count) and count >= 0 for count in counts.values())
    )
    domain = f"null or whole numbers of {', '.join(LABELS)}"
    require_field("labels", valid, domain, counts)


def _check_members(members: Any) -> None:
    """Check what is known of each network beside its weights."""
    valid = isinstance(members, list) and len(members) > 0
    require_field("members", valid, "a list of at least one", members)
    for m, member in enumerate(members):
        place = f"members.{m}"
        known = ("radius", "mean_distance", "collapsed", "history")
        _check_fields(place, member, known[:2], known)
        radius, mean = member["radius"], member["mean_distance"]
        domain = "a finite number from 0 on"
        require_field(f"{place}.radius", is_finite(radius, 0), domain, radius)
        valid = is_finite(mean, 0) and mean > 0
        require_field(f"{place}.mean_distance", valid, "a positive number", mean)
        collapsed = member.get("collapsed", False)
        valid = isinstance(collapsed, bool)
        require_field(f"{place}.collapsed", valid, "true or false", collapsed)
        history = member.get("history", {})
        _check_fields(f"{place}.history", history, (), PHASES)
        for phase, columns in history.items():
            valid = isinstance(columns, dict)
            valid = valid and all(isinstance(c, list) for c in columns.values())
            where = f"{place}.history.{phase}"
            require_field(where, valid, "an object of lists", columns)


def _check_tensors(
    tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], cls: Any
) -> None:
    """Check names, types, shapes and values of all tensors."""
    shape = tuple(metadata["input_shape"])
    n_members = len(metadata["members"])
    own = [f"members.{m}." for m in range(n_members)]
    required = (*EXTREMA, *(f"{prefix}center" for prefix in own))
    for name in required:
        if name not in tensors:
            raise ValueError(f"the tensor {name} is missing")
    seen = (TRAINED_ON, *CALIBRATION)
    for name in tensors:
        encoders = tuple(f"{prefix}encoder." for prefix in own)
        if name not in (*required, *seen, BASELINE) and not name.startswith(encoders):
            raise _Unknown(f"the tensor {name} is not known here")
    _check_seen(tensors, metadata.get("n_calibration", 0))
    for name, value in tensors.items():
        if name in seen:
            continue
        valid = value.dtype in FLOATS or (
            name not in required and not value.is_floating_point()
        )
        domain = "of type float32 or float64"
        require_field(name, valid, domain, _name(value.dtype))
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(
                f"{name} must hold finite numbers; it holds NaN or infinity"
            )
    low, high = (tensors[name] for name in EXTREMA)
    shapes = ((), shape) if len(shape) == 1 else ((),)
    for name, value in zip(EXTREMA, (low, high), strict=True):
        given = tuple(value.shape)
        domain = f"of shape {' or '.join(map(str, shapes))}"
        require_field(name, given in shapes and low.shape == high.shape, domain, given)
    if not (low <= high).all():
        raise ValueError(
            f"{EXTREMA[1]} must not be below {EXTREMA[0]}; somewhere it is"
        )
    parameters = metadata["parameters"]
    _check_weights(tensors, parameters, shape, own, cls)
    if BASELINE in tensors:
        given = tuple(tensors[BASELINE].shape)
        require_field(BASELINE, given == shape, f"of shape {shape}", given)


def _check_seen(tensors: Mapping[str, Tensor], n_calibration: Any) -> None:
    """Check the hashes of training samples, and the calibration."""
    valid = is_whole(n_calibration) and n_calibration >= 0
    require_field("n_calibration", valid, "a whole number from 0 on", n_calibration)
    for name in CALIBRATION:
        if (name in tensors) != (n_calibration > 0):
            given = "is" if name in tensors else "is not"
            raise ValueError(
                f"the tensor {name} must be there with n_calibration above 0, and only "
                f"then; it {given}, with {n_calibration}"
            )
    for name in (TRAINED_ON, *CALIBRATION):
        if name not in tensors:
            continue
        value = tensors[name]
        dtype = torch.float64 if name == CALIBRATION[0] else torch.int64
        require_field(
            name, value.dtype == dtype, f"of type {_name(dtype)}", _name(value.dtype)
        )
        shape = tuple(value.shape)
        valid = len(shape) == 1 and shape[0] > 0
        domain = "of shape (n,)"
        if name != TRAINED_ON:
            valid = shape == (n_calibration,)
            domain = f"of shape ({n_calibration},)"
        require_field(name, valid, domain, shape)
        if not (value[1:] >= value[:-1]).all() or not value.isfinite().all():
            raise ValueError(
                f"{name} must hold finite numbers that ascend; it does not"
            )


def _check_weights(
    tensors: Mapping[str, Tensor],
    parameters: Mapping[str, Any],
    shape: tuple[int, ...],
    prefixes: Collection[str],
    cls: Any,
) -> None:
    """Check the weights of a named network against its architecture."""
    network = parameters["network"]
    if network == "custom":  # known when the user gives it
        return
    with torch.device("meta"):  # nothing is allocated, or drawn
        try:
            widths = parameters.get("widths")
            encoder = build_autoencoder(network, shape, widths).encoder
            encoder = cls.around(encoder, parameters, shape)
        except ValueError:
            raise ValueError(
                f"input_shape must be one that the network {network!r} takes; got "
                f"{list(shape)}"
            ) from None
        length = encoder.eval()(torch.zeros(1, *shape)).shape[1]
    for prefix in prefixes:
        problem = misfit(encoder, strip_prefix(dict(tensors), f"{prefix}encoder."))
        if problem:
            raise ValueError(
                f"the weights do not fit the network {network!r} for samples of shape "
                f"{shape}: {prefix}encoder.{problem}"
            )
        center = tensors[f"{prefix}center"]
        given = tuple(center.shape)
        require_field(
            f"{prefix}center", given == (length,), f"of shape ({length},)", given
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
