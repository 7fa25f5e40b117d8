"""Tables and figures of results, beside the paper's."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np

from deepsvdd.core.evaluation import mean_and_std
from deepsvdd.datasets import CLASS_NAMES
from deepsvdd.reproduction.baselines import CHANCELESS
from deepsvdd.reproduction.published import paper_auc
from deepsvdd.reproduction.results import SETTINGS, Line, refuse_mixture

PAPER_SEEDS = 10
# The paper's column of each method. Ensembles have none: the paper has single networks.
PAPER_METHOD = {
    "one-class": "one-class",
    "soft-boundary": "soft-boundary",
    "dcae": "DCAE",
    "iforest": "IF",
    "kde": "KDE",
    "ocsvm-paper": "OC-SVM/SVDD",
}
MEAN = "mean"


@dataclass(frozen=True)
class Row:
    """One method on one normal class, or on the mean over all of them.

    AUCs are in per cent; a standard deviation is over seeds, n − 1 in its denominator.

    Attributes
    ----------
    dataset, recipe, method : str
        As of :func:`dataset_name` and :func:`recipe_name`; baselines' recipe is "".
    normal_class : str
        A name, or "mean".
    n_seeds : int
    mean, std : float
        Of the test AUC. Of "mean" rows, the deviation is the mean's standard error,
        from the seeds' means where all classes have the same seeds.
    untrained : float
        Mean AUC of the same networks without training; NaN for baselines.
    paper_mean, paper_std : float
        The paper's, over 10 seeds; NaN where it has none.
    difference, half_width : float
        Ours minus the paper's, and half its 95 % interval (Welch's t); NaN where there
        is none. One run of a method with chance in it has no interval.
    """

    dataset: str
    recipe: str
    normal_class: str
    method: str
    n_seeds: int
    mean: float
    std: float
    untrained: float
    paper_mean: float
    paper_std: float
    difference: float
    half_width: float

    @property
    def differs(self) -> bool:
        """Whether the difference exceeds its interval."""
        return abs(self.difference) > self.half_width


def half_width(errors: Sequence[float], sizes: Sequence[int]) -> float:
    """Half the 95 % interval of a sum of independent means (Welch and Satterthwaite).

    Parameters
    ----------
    errors : sequence of float
        Standard errors of the means; 0 of one without chance, NaN of one unknown.
    sizes : sequence of int
        Numbers of values that they were estimated from.

    Returns
    -------
    float
        NaN if an error is.

    References
    ----------
    Welch, The generalization of Student's problem when several different population
    variances are involved, Biometrika 34, 1947.

    Examples
    --------
    >>> round(half_width([0.3, 0.4], [10, 10]), 2)
    1.06
    """
    from scipy.stats import t

    variances = np.square(errors)
    total = variances.sum()
    if not total > 0:
        return float(total)  # 0 or NaN
    degrees = np.maximum(np.asarray(sizes) - 1, 1)
    freedom = total**2 / (variances**2 / degrees).sum()
    return float(t.ppf(0.975, freedom) * math.sqrt(total))


def summarise(lines: Iterable[Line], partial: bool = False) -> list[Row]:
    """Summarize runs: a row for each method and class, and for its mean over all.

    Parameters
    ----------
    lines : iterable of dict
        As from :func:`deepsvdd.reproduction.results.read_results`.
    partial : bool, default=False
        Make mean rows of those classes that have run, too, where some have not.

    Returns
    -------
    list of Row
        By data set, recipe, method and class. Mean rows only where every class has run,
        unless ``partial``.

    Raises
    ------
    ValueError
        If runs of one recipe and method have different networks or preprocessing.
    """
    groups: dict[tuple[Any, ...], dict[int, list[Line]]] = {}
    for line in lines:
        group = (line["dataset"], adversarial(line), recipe_name(line), line["method"])
        groups.setdefault(group, {}).setdefault(line["normal_class"], []).append(line)
    for classes in groups.values():
        _refuse_mixtures([line for runs in classes.values() for line in runs])
    rows = []
    for (dataset, *_), classes in sorted(groups.items()):
        names = CLASS_NAMES.get(dataset, ())
        own = []
        for index, runs in sorted(classes.items()):
            name = names[index] if index < len(names) else str(index)
            own.append(_row(name, runs))
        rows += own
        if partial or len(own) == len(names):
            rows.append(_mean_row(own, list(classes.values())))
    return rows


def _refuse_mixtures(runs: Sequence[Line]) -> None:
    """Refuse to average over networks, or preprocessing, of several kinds."""
    for setting in SETTINGS:
        known = [run for run in runs if run.get(setting)]
        for run in known[1:]:
            refuse_mixture(known[0], run, "results", "report them apart", [setting])


def adversarial(line: Line) -> bool:
    """Tell whether a run's anomalies are adversarial examples, not other classes."""
    return "n_adversarial" in line


def dataset_name(line: Line) -> str:
    """Name a run's data set, with the anomalies where they are adversarial."""
    name: str = line["dataset"]
    return f"{name}, adversarial" if adversarial(line) else name


def recipe_name(line: Line) -> str:
    """Name a run's recipe, with precision and ν where they are not the usual ones."""
    parts = [line.get("recipe")]
    if line.get("precision") not in (None, "float32"):
        parts.append(line["precision"])
    if line.get("nu") not in (None, 0.1):
        parts.append(f"nu={line['nu']}")
    if line.get("eta") not in (None, 1.0):
        parts.append(f"eta={line['eta']}")
    return ", ".join(filter(None, parts))


def has_chance(method: str) -> bool:
    """Tell whether a method's result depends on a seed."""
    return method not in CHANCELESS


def _row(name: str, runs: list[Line]) -> Row:
    line, method = runs[0], runs[0]["method"]
    mean, std = mean_and_std([100 * run["auc"] for run in runs])
    if len(runs) == 1 and not has_chance(method):
        std = 0.0
    controls = [100 * run["untrained_auc"] for run in runs if "untrained_auc" in run]
    paper_mean, paper_std = _paper(line) or (math.nan, math.nan)
    errors = [std / math.sqrt(len(runs)), paper_std / math.sqrt(PAPER_SEEDS)]
    return Row(
        dataset_name(line),
        recipe_name(line),
        name,
        method,
        len(runs),
        mean,
        std,
        float(np.mean(controls)) if controls else math.nan,
        paper_mean,
        paper_std,
        mean - paper_mean,
        half_width(errors, [len(runs), PAPER_SEEDS]),
    )


def _paper(line: Line) -> tuple[float, float] | None:
    """Look up the paper's AUC where it has the same anomalies."""
    # Its signs stand against adversarial ones (Section 4.3), all else against classes.
    if adversarial(line) != (line["dataset"] == "gtsrb"):
        return None
    method = PAPER_METHOD.get(line["method"], "")
    return paper_auc(line["dataset"], (line["normal_class"],), method)


def _mean_row(rows: list[Row], classes: list[list[Line]]) -> Row:
    """Average over the classes.

    A seed gives all classes the same first weights, so that its luck is shared: where
    all classes have the same seeds, these are the independent results. Otherwise, and
    of the paper, whose seeds are not known, classes have to be taken for independent.
    """
    first, k = rows[0], len(rows)
    ours = [row.std / math.sqrt(row.n_seeds) / k for row in rows]
    papers = [row.paper_std / math.sqrt(PAPER_SEEDS) / k for row in rows]
    sizes = [row.n_seeds for row in rows]
    by_seed = [{run["seed"]: 100 * run["auc"] for run in runs} for runs in classes]
    seeds = sorted(by_seed[0])
    if len(seeds) > 1 and all(sorted(own) == seeds for own in by_seed):
        means = [np.mean([own[seed] for own in by_seed]) for seed in seeds]
        ours, sizes = (
            [float(np.std(means, ddof=1)) / math.sqrt(len(seeds))],
            [len(seeds)],
        )
    mean = float(np.mean([row.mean for row in rows]))
    paper_mean = float(np.mean([row.paper_mean for row in rows]))
    return Row(
        first.dataset,
        first.recipe,
        MEAN,
        first.method,
        min(sizes),
        mean,
        float(np.linalg.norm(ours)),
        float(np.mean([row.untrained for row in rows])),
        paper_mean,
        float(np.linalg.norm(papers)),
        mean - paper_mean,
        half_width([*ours, *papers], [*sizes, *[PAPER_SEEDS] * k]),
    )


# ------------------------------------------------------------------------------- tables


def as_csv(rows: Iterable[Row]) -> str:
    """Write rows as CSV, a header first."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for row in rows:
        values = [round(v, 3) if isinstance(v, float) else v for v in astuple(row)]
        writer.writerow("" if v != v else v for v in values)
    return text.getvalue()


def as_markdown(rows: Sequence[Row]) -> str:
    """Write a table of AUCs for each data set and recipe, and one beside the paper's.

    Baselines are repeated under every recipe of their data set.
    """
    parts = []
    for dataset, recipe in tables(rows):
        own = of_table(rows, dataset, recipe)
        title = f"{dataset}, {recipe}" if recipe else dataset
        parts.append(f"### {title}: test AUC in %\n\n{auc_table(own)}")
        compared = [row for row in own if row.paper_mean == row.paper_mean]
        if compared:
            parts.append(
                f"### {title}: ours − paper, in points, with 95 % interval\n\n"
                f"{difference_table(compared)}\n\n"
                "**Bold**: the difference exceeds its interval. Without an interval: "
                "one seed only, or a method without chance."
            )
    return "\n\n".join(parts) + "\n"


def tables(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """List pairs of data set and recipe that make a table each."""
    pairs = list(dict.fromkeys((row.dataset, row.recipe) for row in rows))
    learned = {dataset for dataset, recipe in pairs if recipe}
    return [pair for pair in pairs if pair[1] or pair[0] not in learned]


def of_table(rows: Iterable[Row], dataset: str, recipe: str) -> list[Row]:
    """Select a table's rows: those of its recipe, and the baselines."""
    return [r for r in rows if r.dataset == dataset and r.recipe in (recipe, "")]


def auc_table(rows: Sequence[Row]) -> str:
    """Lay out mean ± standard deviation over seeds: classes down, methods across."""
    methods = list(dict.fromkeys(row.method for row in rows))
    controls = {r.normal_class: f"{r.untrained:.1f}" for r in rows if r.untrained > 0}
    head = ["normal class", *methods]
    cells = {(r.normal_class, r.method): value(r) for r in rows}
    if controls:
        head.append("untrained")
        cells |= {(name, "untrained"): text for name, text in controls.items()}
    return markdown_table(head, _by_class(rows, head[1:], cells))


def difference_table(rows: Sequence[Row]) -> str:
    """Lay out the differences from the paper: classes down, methods across."""
    methods = list(dict.fromkeys(row.method for row in rows))
    cells = {(r.normal_class, r.method): difference(r) for r in rows}
    return markdown_table(["normal class", *methods], _by_class(rows, methods, cells))


def value(row: Row) -> str:
    """Write ``91.9 ± 1.5``, in mean rows and of single runs without the deviation."""
    text = f"{row.mean:.1f}"
    known = row.std == row.std and row.normal_class != MEAN and has_chance(row.method)
    return f"{text} ± {row.std:.1f}" if known else text


def difference(row: Row) -> str:
    """Write ``+0.3 ± 1.2``, in bold where the difference exceeds the interval."""
    rounded = round(row.difference, 1) + 0.0  # −0.0 becomes 0.0
    text = f"{rounded:+.1f}".replace("-", "−")
    if row.half_width > 0:  # 0 without chance, NaN where unknown
        text += f" ± {row.half_width:.1f}"
    return f"**{text}**" if row.differs else text


def _by_class(
    rows: Sequence[Row], columns: Sequence[str], cells: dict[tuple[str, str], str]
) -> list[list[str]]:
    """Arrange cells, the mean last."""
    names = dict.fromkeys(row.normal_class for row in rows)
    ordered = [*(name for name in names if name != MEAN), *({MEAN} & set(names))]
    return [
        [name, *(cells.get((name, column), "") for column in columns)]
        for name in ordered
    ]


def markdown_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1
) -> str:
    """Write a Markdown table: ``left`` columns to the left, the others to the right."""
    rule = [*["---"] * left, *["---:"] * (len(head) - left)]
    lines = ([c.replace("|", r"\|") for c in cells] for cells in [head, rule, *rows])
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def seeds_of(lines: Iterable[Line]) -> str:
    """Say where runs come from: how many, seeds, commits, machines."""
    lines = list(lines)
    origins = [line.get("provenance", {}) for line in lines]
    seeds = sorted({line["seed"] for line in lines})
    commits = sorted({str(origin.get("commit"))[:7] for origin in origins})
    machines = sorted(
        {str(origin.get("machine", {}).get("device")) for origin in origins}
    )
    in_a_row = len(seeds) > 2 and seeds == list(range(seeds[0], seeds[-1] + 1))
    named = f"{seeds[0]}–{seeds[-1]}" if in_a_row else ", ".join(map(str, seeds))
    run = "run" if len(lines) == 1 else "runs"
    seed = "seed" if len(seeds) == 1 else "seeds"
    return (
        f"{len(lines)} {run}, {seed} {named}; "
        f"commit {', '.join(commits)}; {', '.join(machines)}"
    )


# ------------------------------------------------------------------------------ figures


def draw_classes(rows: Sequence[Row], method: str, ax: Any = None) -> Any:
    """Draw a method's AUC per class: ours, the paper's, and without training.

    Parameters
    ----------
    rows : sequence of Row
        Of one table.
    method : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    from deepsvdd.core import plots

    own = [row for row in rows if row.method == method]
    series = {f"ours, {own[0].recipe}" if own[0].recipe else "ours": "mean"}
    if any(row.paper_mean == row.paper_mean for row in own):
        series["paper"] = "paper_mean"
    if any(row.untrained == row.untrained for row in own):
        series["untrained"] = "untrained"
    spread = {"mean": "std", "paper_mean": "paper_std"}
    return plots.dots(
        [row.normal_class for row in own],
        {
            name: [
                (getattr(row, field), getattr(row, spread.get(field, ""), 0.0))
                for row in own
            ]
            for name, field in series.items()
        },
        xlabel="test AUC (%)",
        title=method,
        ax=ax,
    )


def draw_methods(rows: Sequence[Row], ax: Any = None) -> Any:
    """Draw the mean AUC over all classes of every method, best on top.

    Parameters and result as for :func:`draw_classes`.
    """
    from deepsvdd.core import plots

    means = sorted((r for r in rows if r.normal_class == MEAN), key=lambda r: -r.mean)
    if not means:
        raise ValueError("rows must hold a mean over all classes of some method")
    return plots.dots(
        [row.method for row in means],
        {
            "ours": [(row.mean, 0.0) for row in means],
            "paper": [(row.paper_mean, 0.0) for row in means],
            "untrained": [(row.untrained, 0.0) for row in means],
        },
        xlabel="mean test AUC (%)",
        ax=ax,
    )
