"""Tables of the later methods, beside the simplest detectors with all their signs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deepsvdd.datasets import CLASS_NAMES
from deepsvdd.reproduction.later import later_method
from deepsvdd.reproduction.reports import (
    MEAN,
    half_width,
    has_chance,
    markdown_table,
    recipe_name,
    summarise,
)
from deepsvdd.reproduction.results import Line, key_of

SIGNED = ("brightness", "png", "jpeg")  # cues of which either sign may be odd
BETTER, TWO_SIDED = ", better sign", "-2"
OTHER_SCORES = {"density_auc": "-density", "both_auc": "-both"}  # of GEOM
HEAD = ("method", "AUC in %", "ensemble", "untrained", "seconds", "classes × seeds")
_TITLES = {
    "1nn": "1-NN",
    "1nn-gcn": "1-NN after GCN",
    "png": "PNG bytes",
    "jpeg": "JPEG bytes",
    "kde": "kernel density",
    "ocsvm": "OC-SVM",
    "iforest": "isolation forest",
    "one-class": "Deep SVDD",
    "geom": "GEOM",
    "geom-density": "GEOM, density",
    "geom-both": "GEOM, both",
    "geom-shifts": "GEOM, shifts",
    "goad": "GOAD",
    "drocc": "DROCC",
    "drocc-random": "DROCC without search",
}
_SETS = {"mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "cifar10": "CIFAR-10"}


@dataclass(frozen=True)
class LaterRow:
    """One method, averaged over the normal classes that have run.

    Attributes
    ----------
    dataset, recipe, method : str
    n_classes, n_seeds : int
        Normal classes, and seeds (of the class that has fewest).
    mean, half_width : float
        The test AUC in per cent, and half its 95 % interval over seeds; NaN of one
        seed, 0 of methods without chance.
    untrained, ensemble : float
        Mean AUC of the networks before training, and of the largest ensembles of seeds,
        for the same classes; NaN where there is none.
    seconds : float
        Training of one network: the fastest run, as machines were shared.
    paper : float
        The paper's mean AUC for these classes; NaN where it has none.
    """

    dataset: str
    recipe: str
    method: str
    n_classes: int
    n_seeds: int
    mean: float
    half_width: float
    untrained: float
    ensemble: float
    seconds: float
    paper: float


def derived(lines: Iterable[Line]) -> list[Line]:
    """Add to runs what follows from them, each behind its own.

    Parameters
    ----------
    lines : iterable of dict
        As from :func:`deepsvdd.reproduction.results.read_results`.

    Returns
    -------
    list of dict
        The lines; of brightness and bytes also the AUC with the better sign, a choice
        by test labels; of GEOM those of its other criteria, unless they have runs of
        their own.
    """
    lines = list(lines)
    there = {key_of(line) for line in lines}
    found = []
    for line in lines:
        found.append(line)
        method = line["method"]
        if method in SIGNED:
            auc = max(line["auc"], 1 - line["auc"])
            found.append(line | {"method": method + BETTER, "auc": auc})
        for field, ending in OTHER_SCORES.items():
            if field in line:
                other = line | {"method": method + ending, "auc": line[field]}
                del other["untrained_auc"]  # of the likelihood
                if key_of(other) not in there:
                    found.append(other)
    return found


def summarise_later(lines: Iterable[Line]) -> list[LaterRow]:
    """Average over classes; a row for each data set, recipe and method.

    Parameters
    ----------
    lines : iterable of dict
        Results, ensembles among them.

    Returns
    -------
    list of LaterRow
        In the order in which the methods come first.

    Raises
    ------
    ValueError
        If runs of one recipe and method have different networks or preprocessing.
    """
    lines = list(lines)
    single = [line for line in lines if "n_members" not in line]
    rows = [row for row in summarise(single, partial=True) if row.normal_class == MEAN]
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in single:
        key = line["dataset"], recipe_name(line), line["method"]
        groups.setdefault(key, []).append(line)
    found = []
    for key, own in groups.items():
        row = next(r for r in rows if (r.dataset, r.recipe, r.method) == key)
        classes = {line["normal_class"] for line in own}
        together = _largest([line for line in lines if _ensemble_of(line) == key])
        whole = {line["normal_class"] for line in together} == classes
        spent = [
            line.get("pretrain_seconds", 0.0) + line["train_seconds"]
            for line in own
            if "train_seconds" in line
        ]
        found.append(
            LaterRow(
                *key,
                n_classes=len(classes),
                n_seeds=row.n_seeds,
                mean=row.mean,
                half_width=half_width([row.std], [row.n_seeds]),
                untrained=row.untrained,
                ensemble=_mean([100 * r["auc"] for r in together] if whole else []),
                seconds=min(spent, default=math.nan),
                paper=row.paper_mean,
            )
        )
    return found


def _ensemble_of(line: Line) -> tuple[str, str, str] | None:
    """Name the runs of which a line is the ensemble."""
    if "n_members" not in line:
        return None
    method = line["method"].removesuffix(f"-x{line['n_members']}")
    return line["dataset"], recipe_name(line), method


def _largest(ensembles: Sequence[Line]) -> list[Line]:
    """Keep the ensembles with the most members."""
    most = max((line["n_members"] for line in ensembles), default=0)
    return [line for line in ensembles if line["n_members"] == most]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def title_of(method: str) -> str:
    """Name a method as tables do.

    Examples
    --------
    >>> title_of("hsc:fashion_mnist"), title_of("png-2"), title_of("geom-both")
    ('HSC with Fashion-MNIST', 'PNG bytes, two-sided', 'GEOM, both')
    """
    _, source = later_method(method) or ("", None)
    if source is not None:
        return f"HSC with {_SETS.get(source, source)}"
    for ending in (BETTER, TWO_SIDED):
        if method.endswith(ending):
            own = method.removesuffix(ending)
            return _TITLES.get(own, own) + ending.replace(TWO_SIDED, ", two-sided")
    return _TITLES.get(method, method)


def as_markdown(rows: Iterable[LaterRow]) -> str:
    """Write rows as a table; the paper's Deep SVDD follows where it has the classes.

    Means over some classes only stand in parentheses. A recipe that is not ``fast`` is
    named.
    """
    cells = []
    for row in rows:
        chance = has_chance(row.method.removesuffix(BETTER)) and row.half_width > 0
        text = f"{row.mean:.1f}" + (f" ± {row.half_width:.1f}" if chance else "")
        cells.append(
            [
                _named(row),
                f"({text})" if row.n_classes < len(CLASS_NAMES[row.dataset]) else text,
                _cell(row.ensemble),
                _cell(row.untrained),
                f"{row.seconds:.0f}" if row.seconds == row.seconds else "",
                f"{row.n_classes} × {row.n_seeds}",
            ]
        )
        if row.method == "one-class" and row.paper == row.paper:
            own = ["Deep SVDD, paper", f"{row.paper:.1f}", "", "", ""]
            cells.append([*own, f"{row.n_classes} × 10"])
    return markdown_table(HEAD, cells)


def _named(row: LaterRow) -> str:
    other = [row.recipe] if row.recipe not in ("", "fast") else []
    return ", ".join([title_of(row.method), *other])


def _cell(value: float) -> str:
    return f"{value:.1f}" if value == value else ""


def aucs_by_class(lines: Iterable[Line], method: str) -> dict[int, float]:
    """Mean test AUC in per cent over seeds, by the number of the normal class."""
    found: dict[int, list[float]] = {}
    for line in lines:
        if line["method"] == method:
            found.setdefault(line["normal_class"], []).append(100 * line["auc"])
    return {index: float(np.mean(aucs)) for index, aucs in sorted(found.items())}
