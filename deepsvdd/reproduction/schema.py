"""What a line of results may hold: each field's meaning, type and range, once.

Lines are checked by it when they are written and when they are read. Fields that are
not listed are free: a later version may add some.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Callable
from typing import Any, NamedTuple

from deepsvdd.core._engine.devices import PRECISIONS
from deepsvdd.core.known import LABEL_WEIGHTS, is_label_weight
from deepsvdd.core.recipes import is_number, is_whole
from deepsvdd.datasets import CLASS_NAMES

Line = dict[str, Any]

# Names become parts of file names and of tables.
_NAME = re.compile(r"\w[\w .,:+=()-]{0,59}", re.ASCII)
MAX_SEED = 2**32 - 1  # the largest that NumPy and scikit-learn take
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 60


class Field(NamedTuple):
    """What one field may hold."""

    domain: str  # "a number from 0 to 1"
    holds: Callable[[Any], bool]


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _is_fraction(value: object) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_amount(value: object) -> bool:
    return is_number(value) and 0 <= value < float("inf")


def _is_count(value: object) -> bool:
    return is_whole(value) and 0 <= value < 2**63


def _is_seed(value: object) -> bool:
    return is_whole(value) and 0 <= value <= MAX_SEED


def _is_list_of(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(map(holds, value))


def _or_none(field: Field) -> Field:
    return Field(
        f"{field.domain}, or null", lambda value: value is None or field.holds(value)
    )


def _is_provenance(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    machine = value.get("machine", {})
    return (
        (value.get("commit") is None or _is_text(value["commit"]))
        and isinstance(machine, dict)
        and _is_text(machine.get("device", ""))
    )


NAME = Field("a name of up to 60 letters, digits, spaces and .,:+=()-", _is_name)
FRACTION = Field("a number from 0 to 1", _is_fraction)
AMOUNT = Field("a number from 0 on", _is_amount)
COUNT = Field("a whole number from 0 on", _is_count)
SEED = Field(f"a whole number from 0 to {MAX_SEED}", _is_seed)
FLAG = Field("true or false", lambda value: isinstance(value, bool))
OBJECT = Field("an object", lambda value: isinstance(value, dict))

REQUIRED = ("dataset", "normal_class", "method", "seed", "auc")
FIELDS = {
    "dataset": NAME,
    "normal_class": COUNT,  # and one of the data set's
    "method": NAME,
    "recipe": _or_none(NAME),
    "nu": _or_none(
        Field("a number in (0, 1]", lambda value: _is_fraction(value) and value > 0)
    ),
    "eta": _or_none(Field(LABEL_WEIGHTS, is_label_weight)),
    "precision": _or_none(
        Field(f"one of {PRECISIONS}", lambda value: value in list(PRECISIONS))
    ),
    "seed": SEED,
    "network": NAME,
    "preprocessing": NAME,
    "auc": FRACTION,
    "average_precision": FRACTION,
    "untrained_auc": FRACTION,
    "control_auc": FRACTION,
    "labeled_class": COUNT,
    "n_labeled": COUNT,
    "seen_auc": FRACTION,
    "unseen_auc": FRACTION,
    "untrained_seen_auc": FRACTION,
    "untrained_unseen_auc": FRACTION,
    "n_train": COUNT,
    "epochs": Field(
        "two whole numbers",
        lambda value: _is_list_of(_is_count)(value) and len(value) == 2,
    ),
    "pretrain_seconds": AMOUNT,
    "train_seconds": AMOUNT,
    "test_seconds": AMOUNT,
    "radius": AMOUNT,
    "collapsed": FLAG,
    "selected": OBJECT,
    "n_members": COUNT,
    "members": Field("a list of seeds", _is_list_of(_is_seed)),
    "auc_of_first_members": Field(
        "a list of numbers from 0 to 1", _is_list_of(_is_fraction)
    ),
    "n_normal": COUNT,
    "n_adversarial": COUNT,
    "median_distance": AMOUNT,
    "attack": OBJECT,
    "classifier": OBJECT,
    "provenance": Field(
        "an object whose commit is text or null and whose machine's device is text",
        _is_provenance,
    ),
}


def check_line(line: object, where: str = "a line of results") -> Line:
    """Refuse what is no line of results.

    Parameters
    ----------
    line : object
        As :func:`json.loads` makes it.
    where : str
        What the message calls it.

    Returns
    -------
    dict
        The line.

    Raises
    ------
    ValueError
        If it is no object, lacks a field that every line has, or a field is of another
        type or out of its range; the message names field, range and value.
    """
    wanted = f"{', '.join(REQUIRED[:-1])} and {REQUIRED[-1]}"
    if not isinstance(line, dict):
        raise ValueError(
            f"{where} must be a JSON object with {wanted}; got {shown(line)}"
        )
    lacking = [name for name in REQUIRED if name not in line]
    if lacking:
        raise ValueError(
            f"{where} must be a JSON object with {wanted}; it has no {lacking[0]}"
        )
    for name, value in line.items():
        if name in FIELDS and not FIELDS[name].holds(value):
            domain = FIELDS[name].domain
            raise ValueError(
                f"{where} must have {domain} as {name}; got {shown(value)}"
            )
    classes = CLASS_NAMES.get(line["dataset"])
    if classes and line["normal_class"] >= len(classes):
        raise ValueError(
            f"{where} must have a whole number from 0 to {len(classes) - 1}, a class "
            f"of {line['dataset']}, as normal_class; got {shown(line['normal_class'])}"
        )
    return line


def shown(value: object) -> str:
    """Write a value for a message, shortened if it is long."""
    return _SHORT.repr(value)
