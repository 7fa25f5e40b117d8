"""Tables of results with labeled anomalies: classes seen and not seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from deepsvdd.core.evaluation import mean_and_std
from deepsvdd.reproduction.few_labels import labeled_method
from deepsvdd.reproduction.reports import dataset_name, markdown_table, recipe_name
from deepsvdd.reproduction.results import Line

COLUMNS = ("seen", "unseen", "all")
FIELDS = {"seen": "seen_auc", "unseen": "unseen_auc", "all": "auc"}


@dataclass(frozen=True)
class LabelRow:
    """One method, averaged over normal classes and seeds.

    Attributes
    ----------
    dataset, recipe, method : str
    n_classes, n_seeds : int
        Normal classes, and seeds (of the class that has fewest).
    means, errors, untrained : dict of str to float
        For "seen", "unseen" and "all" anomalies: the test AUC in per cent, its standard
        error over the means of the seeds (NaN of one), and the untrained networks' AUC.
    """

    dataset: str
    recipe: str
    method: str
    n_classes: int
    n_seeds: int
    means: dict[str, float]
    errors: dict[str, float]
    untrained: dict[str, float]


def summarise_labels(lines: Iterable[Line]) -> list[LabelRow]:
    """Average runs with labels; a row for each data set, recipe and method.

    Parameters
    ----------
    lines : iterable of dict
        Results; those of methods without labels do not count.

    Returns
    -------
    list of LabelRow
        By data set and recipe; Deep SAD first, by its number of labels.
    """
    groups: dict[tuple[str, str, str], list[Line]] = {}
    for line in lines:
        if labeled_method(line["method"]) and "seen_auc" in line:
            key = (dataset_name(line), recipe_name(line), line["method"])
            groups.setdefault(key, []).append(line)

    def order(key: tuple[str, str, str]) -> tuple[str, str, bool, int]:
        kind, count = labeled_method(key[2]) or ("", 0)
        return key[0], key[1], kind == "classifier", count

    return [_row(key, groups[key]) for key in sorted(groups, key=order)]


def _row(key: tuple[str, str, str], runs: Sequence[Line]) -> LabelRow:
    seeds: dict[int, set[int]] = {}
    for run in runs:
        seeds.setdefault(run["normal_class"], set()).add(run["seed"])
    means, errors, untrained = {}, {}, {}
    for name, field in FIELDS.items():
        own = [run for run in runs if field in run]
        means[name], errors[name] = _mean(own, field)
        control = f"untrained_{field}"
        values = [100 * run[control] for run in own if control in run]
        untrained[name] = float(np.mean(values)) if values else math.nan
    fewest = min(map(len, seeds.values()))
    return LabelRow(*key, len(seeds), fewest, means, errors, untrained)


def _mean(runs: Sequence[Line], field: str) -> tuple[float, float]:
    """Average over runs, and over the seeds' means for the error.

    A seed gives all classes the same first weights, so that its luck is shared.
    """
    if not runs:
        return math.nan, math.nan
    by_seed: dict[int, list[float]] = {}
    for run in runs:
        by_seed.setdefault(run["seed"], []).append(100 * run[field])
    _, std = mean_and_std([float(np.mean(values)) for values in by_seed.values()])
    mean = float(np.mean([100 * run[field] for run in runs]))
    return mean, std / math.sqrt(len(by_seed))


def as_markdown(lines: Iterable[Line]) -> str:
    """Write a table for each data set and recipe; an empty text without any labels."""
    rows = summarise_labels(lines)
    parts = []
    for dataset, recipe in dict.fromkeys((row.dataset, row.recipe) for row in rows):
        own = [row for row in rows if (row.dataset, row.recipe) == (dataset, recipe)]
        head = ["method", "classes", "seeds", *COLUMNS]
        head += [f"untrained, {name}" for name in COLUMNS]
        body = [
            [
                row.method,
                str(row.n_classes),
                str(row.n_seeds),
                *(_cell(row.means[name], row.errors[name]) for name in COLUMNS),
                *(_cell(row.untrained[name]) for name in COLUMNS),
            ]
            for row in own
        ]
        title = f"### {dataset}, {recipe}: a few labeled anomalies, test AUC in %"
        note = (
            "Normal images against those of the labeled class (seen), of all other "
            "classes (unseen), and against both; ± standard error over seeds."
        )
        parts.append(f"{title}\n\n{markdown_table(head, body)}\n\n{note}\n")
    return "\n".join(parts)


def _cell(mean: float, error: float = math.nan) -> str:
    if math.isnan(mean):
        return ""
    text = f"{mean:.1f}"
    return text if math.isnan(error) else f"{text} ± {error:.1f}"
