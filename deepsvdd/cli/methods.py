"""What ``fit --method`` names: the estimators, and which options each has."""

from __future__ import annotations

from inspect import signature
from typing import Any

from deepsvdd.core.deep_sad import DeepSAD
from deepsvdd.core.detector import Detector
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.fcdd import FCDD
from deepsvdd.core.outliers import LearnsFromOutliers
from deepsvdd.core.recipes import is_number
from deepsvdd.core.training import OBJECTIVES
from deepsvdd.successors.backbones import backbone_names
from deepsvdd.successors.frozen import FrozenFeatures
from deepsvdd.successors.methods import METHODS as LATER

METHODS: dict[str, tuple[type[Detector], dict[str, Any]]] = {
    **{name: (DeepSVDD, {"objective": name}) for name in OBJECTIVES},
    "deep-sad": (DeepSAD, {}),
    "fcdd": (FCDD, {}),
    **LATER,
    "frozen": (FrozenFeatures, {}),
}
PLAIN, LABELED = "one-class", "deep-sad"  # with labels, the former is the latter
# Options of some methods only.
OWN = ("eta", "transformations", "radius", "outliers", "weights", "side")
# What others leave out where it says nothing: nothing is trained.
IDLE = {"network": "auto", "recipe": "fast", "precision": "float32", "n_members": 1}
OF_TRAINING = ("checkpoint_every", "verbose")  # not options of a user's, as they stand
CONFETTI, FROZEN = "confetti", "frozen"


def build(method: str, labels: bool, options: dict[str, Any]) -> Detector:
    """Make the estimator of a method, with options of the command line.

    Parameters
    ----------
    method : str
        One of ``METHODS``.
    labels : bool
        Whether some samples have labels.
    options : dict
        By name; those that only some methods have may be None. "outliers" is "confetti"
        or the path of other samples. "nu" is for all, as the share to be flagged.

    Raises
    ------
    ValueError
        Naming an option that the method does not have, or lacks.
    """
    if labels and method == PLAIN:
        method = LABELED
    cls, preset = METHODS[method]
    check_labels(method, labels)
    parameters = {**preset}
    for name, value in options.items():
        if name == "nu":
            parameters |= share_of(method, value)
        elif name == "outliers":
            parameters |= outliers_of(method, value, labels)
        elif name == "backbone":
            parameters |= backbone_of(method, value)
        elif name == "network" and method == FROZEN:
            if value != "auto":
                raise ValueError(f"network must be auto with {method}; got {value!r}")
        elif has(method, name):
            if name not in OWN or value is not None:
                parameters[name] = value
        elif name in IDLE and value != IDLE[name]:
            raise ValueError(
                f"{name} must be {IDLE[name]} with {method}; got {value!r}"
            )
        elif name not in (*IDLE, *OF_TRAINING) and value is not None:
            refuse(method, name, value)
    return cls(**parameters)


def has(method: str, option: str) -> bool:
    """Tell whether a method has an option, and has not decided on it by its name."""
    cls, preset = METHODS[method]
    return option in signature(cls).parameters and option not in preset


def refuse(method: str, option: str, value: Any) -> None:
    """Raise ValueError: a method does not have that option."""
    if option == "widths":
        raise ValueError(
            f"widths must go without {method}, whose network has its own; got {value}"
        )
    those = [name for name in METHODS if has(name, option)]
    raise ValueError(
        f"{option} must go with {listed(those)}; got {value!r} with {method}: leave it "
        "out"
    )


def check_labels(method: str, labels: bool) -> None:
    """Raise ValueError unless labels are given to those, and only those, that learn.

    HSC may have other outliers instead.
    """
    learning = [
        name
        for name, (cls, _) in METHODS.items()
        if issubclass(cls, DeepSAD | LearnsFromOutliers)
    ]
    if labels and method not in learning:
        raise ValueError(
            f"method must be {listed([PLAIN, *learning])} with labels; got {method!r}"
        )
    if method == LABELED and not labels:
        raise ValueError(f"labels must be given with {method}: name some anomalies")


def backbone_of(method: str, given: str | None) -> dict[str, str]:
    """Take the name of a network of torchvision's, which one method needs."""
    if method != FROZEN:
        if given is not None:
            raise ValueError(
                f"backbone must go with {FROZEN}; got {given!r} with {method}: leave "
                "it out"
            )
        return {}
    if given not in backbone_names():
        raise ValueError(
            f"backbone must be a network of torchvision's with {FROZEN}, such as "
            f"resnet18; got {given!r}"
        )
    return {"network": given}


def share_of(method: str, nu: float) -> dict[str, float]:
    """Take ν for what the method has of it."""
    if has(method, "nu"):
        return {"nu": nu}
    if not (is_number(nu) and 0 < nu <= 0.5):
        raise ValueError(f"nu must be a number in (0, 0.5] with {method}; got {nu}")
    return {"contamination": nu}


def outliers_of(method: str, given: str | None, labels: bool) -> dict[str, str]:
    """Tell an estimator whether its outliers are made or known."""
    if not has(method, "outliers"):
        if given is not None:
            refuse(method, "outliers", given)
        return {}
    if given is not None:
        return {"outliers": CONFETTI if given == CONFETTI else "known"}
    default = signature(METHODS[method][0]).parameters["outliers"].default
    if default != CONFETTI and not labels:
        raise ValueError(
            f"outliers must be given with {method}: a folder or file of something "
            f"else than what is normal, or {CONFETTI}; or labels that name some"
        )
    return {}


def listed(names: list[str]) -> str:
    """Write "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last
