"""The AUCs that the paper reports, from the one file that holds them."""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path

_TABLE = Path(__file__).with_name("paper_auc.csv")


@lru_cache(maxsize=1)
def paper_table() -> dict[tuple[str, int, str], tuple[float, float]]:
    """Read the paper's results.

    Returns
    -------
    dict
        ``(dataset, normal class, method)`` to the test AUC in per cent, mean and
        standard deviation over 10 seeds. Methods are the columns of the paper's
        Table 1: "one-class", "soft-boundary", "DCAE", "IF", "KDE", "OC-SVM/SVDD" and
        "AnoGAN"; "gtsrb" is the stop-sign experiment of its Section 4.3.

    References
    ----------
    Ruff et al., "Deep One-Class Classification", ICML 2018, Table 1 and Section 4.3.

    Examples
    --------
    >>> paper_table()["mnist", 3, "one-class"]
    (91.9, 1.5)
    """
    with _TABLE.open(newline="") as file:
        return {
            (row["dataset"], int(row["normal_class"]), row["method"]): (
                float(row["mean"]),
                float(row["std"]),
            )
            for row in csv.DictReader(file)
        }


def paper_auc(
    dataset: str, normal_classes: tuple[int, ...], method: str
) -> tuple[float, float] | None:
    """Look up one AUC in per cent, mean and standard deviation; None if there is none.

    The paper has one normal class at a time.

    Examples
    --------
    >>> paper_auc("fashion_mnist", (3,), "one-class") is None
    True
    """
    if len(normal_classes) != 1:
        return None
    return paper_table().get((dataset, normal_classes[0], method))
