"""What a training run says: on the terminal, and in its log.txt."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from deepsvdd.cli.config import Settings
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.evaluation import (
    mean_and_std,
    phase_seconds,
)
from deepsvdd.datasets import (
    Split,
)
from deepsvdd.files import cannot_write
from deepsvdd.reproduction.published import paper_auc

log = logging.getLogger("deepsvdd")


def report(line: str) -> None:
    """Print a line, and log it."""
    click.echo(line)
    if line:
        log.info(line)


class RunLog(logging.FileHandler):
    """A log file whose failure is worth one warning, not a traceback a line."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Give up on the file."""
        log.removeHandler(self)
        _, error, _ = sys.exc_info()
        click.secho(f"warning: no more log in '{self.baseFilename}': {error}", err=True)


def log_to(path: Path, append: bool = False) -> None:
    """Send the package's log, a line an epoch, to a file of this run alone.

    Raises
    ------
    WriteError
        If the file cannot be opened.
    """
    try:
        handler = RunLog(path, mode="a" if append else "w", encoding="utf-8")
    except OSError as error:
        raise cannot_write(path, error) from None
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for old in log.handlers[:]:
        log.removeHandler(old)
        old.close()
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False


def describe_split(name: str, split: Split, classes: tuple[str, ...]) -> str:
    """Say what is normal, and how many images there are."""
    normal = " and ".join(classes[index] for index in split.normal_classes)
    anomalies = int(split.y_test.sum())
    return (
        f"{name}, normal: {normal}; {len(split.x_train)} training "
        f"images; test: {len(split.y_test) - anomalies} normal, {anomalies} anomalies"
    )


def describe_training(detector: DeepSVDD) -> list[str]:
    """Summarize each phase: epochs, seconds, last loss of the first member."""
    lines = []
    members = len(detector.members_)
    for phase, history in detector.members_[0].history.items():
        if history["epoch"]:
            lines.append(
                f"{phase:<12} {len(history['epoch']):4d} epochs"
                f"{f' × {members} members' if members > 1 else ''}  "
                f"{phase_seconds(detector, phase):7.1f} s   "
                f"last loss {history['loss'][-1]:.4g}"
            )
    return lines


def describe_results(settings: Settings, split: Split, results: Settings) -> list[str]:
    """Lay the test AUC beside the untrained network's and the paper's, in per cent."""
    low, high = (100 * bound for bound in results["auc_interval"])
    control, spread = mean_and_std(results["untrained_auc"])
    objective = settings["objective"]
    members = settings["n_members"]
    name = f"{objective}, {members} members" if members > 1 else objective
    lines = [
        f"scoring      {len(split.y_test):,} images in {results['test_time']:.2f} s",
        "",
        "test AUC in %",
        f"  Deep SVDD, {name:<22}{100 * results['test_auc']:6.1f}"
        f"        95 % interval {low:.1f}–{high:.1f}",
        f"  {'untrained network':<33}{100 * control:6.1f} ± {100 * spread:<4.1f} "
        f"{len(results['untrained_auc'])} seeds",
    ]
    paper = paper_auc(results["dataset"], split.normal_classes, objective)
    # The paper's stop signs stand against adversarial ones, not against other signs.
    if paper and results["dataset"] != "gtsrb":
        mean, std = paper
        lines.append(
            f"  {f'paper, {objective}':<33}{mean:6.1f} ± {std:<4.1f} 10 seeds, Table 1"
        )
    lines += [
        "",
        f"average precision {100 * results['average_precision']:.1f} %; with 95 % of "
        f"the anomalies found, {100 * results['fpr_at_95_tpr']:.1f} % false alarms",
    ]
    if results["test_auc"] <= max(results["untrained_auc"]):
        lines.append("warning: no better than the best untrained network")
    return lines
