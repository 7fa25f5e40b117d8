"""Reading labels of some of the samples that ``fit`` trains on."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepsvdd.cli.left_out import warn

WORDS = {"normal": 1, "anomaly": -1, "unlabeled": 0, "": 0, "unscored": 0}
NUMBERS = {"1": 1, "+1": 1, "-1": -1, "0": 0}
COLUMNS = ("sample", "label")


def read_labels(path: Path) -> dict[str, int]:
    """Read a table of labels.

    Parameters
    ----------
    path : Path
        CSV with the columns ``sample``, the names that ``deepsvdd score`` gives to
        samples, and ``label``: 1 or normal, -1 or anomaly, 0 or unlabeled; others are
        not read.

    Returns
    -------
    dict of str to int
        Name of a sample to +1, −1 or 0.

    Raises
    ------
    ValueError
        If the file is no such table, or a sample has two labels.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"cannot read '{path}': {error}") from None
    if not rows or any(name not in rows[0] for name in COLUMNS):
        got = f"the columns {', '.join(map(str, rows[0]))}" if rows else "no rows"
        raise ValueError(
            f"'{path}' must have the columns sample and label, and rows; got {got:.80}"
        )
    labels: dict[str, int] = {}
    for row, values in enumerate(rows, start=2):
        name, text = values["sample"], (values["label"] or "").strip()
        label = (WORDS | NUMBERS).get(text.lower())
        if label is None or name is None:
            raise ValueError(
                f"'{path}' must have 1 (normal), -1 (anomaly) or 0 (unlabeled) as "
                f"label; got {text!r:.40} in line {row}"
            )
        if labels.setdefault(name, label) != label:
            raise ValueError(
                f"'{path}' must give a sample one label; got {labels[name]} and "
                f"{label} for {name!r:.80}"
            )
    return labels


def labels_of(
    names: Sequence[str], given: dict[str, int], path: Path
) -> NDArray[np.int64]:
    """Return the label of each sample (n,), 0 where none is given.

    Raises
    ------
    ValueError
        If labels are given for samples, and none of them is here.
    """
    unknown = sorted(given.keys() - set(names))
    if unknown and len(unknown) == len(given):
        raise ValueError(
            f"'{path}' must name samples of INPUT, such as {names[0]!r:.60}; got "
            f"{unknown[0]!r:.60}"
        )
    if unknown:
        warn(
            f"{len(unknown)} labels of '{path}' are of samples that are not used, such "
            f"as {unknown[0]!r:.60}"
        )
    return np.array([given.get(name, 0) for name in names])
