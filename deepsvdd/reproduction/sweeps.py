"""Sweeps: the tasks of a grid, carried out into a file of results; and ensembles."""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.training import (
    OBJECTIVES,
)
from deepsvdd.files import atomic_write, require_writable
from deepsvdd.reproduction.later import later_method
from deepsvdd.reproduction.measures import quality_of
from deepsvdd.reproduction.provenance import command_line
from deepsvdd.reproduction.results import SETTINGS, Line, ResultsFile, key_of
from deepsvdd.reproduction.runs import Run, data_of, run_task
from deepsvdd.reproduction.tasks import Settings, Task, check_file, remaining

SECONDS = ("pretrain_seconds", "train_seconds", "test_seconds")
# What an ensemble's line takes from its members'.
TOLD_BY_MEMBERS = ("untrained_auc", "epochs", "collapsed", "provenance", *SECONDS)
AUC_ERROR = 1e-6  # of an AUC computed twice from the same scores


def sweep(
    tasks: Sequence[Task],
    file: ResultsFile,
    executor: Callable[
        [Callable[[Task], list[Run]], list[Task]], Generator[Any, None, None]
    ],
    *,
    ensembles: bool = False,
    on_run: Callable[[Line], None] = lambda line: None,
    on_failure: Callable[[Task, Exception], None] = lambda task, error: None,
) -> None:
    """Carry out the tasks that a file of results lacks.

    Parameters
    ----------
    tasks : sequence of Task
    file : ResultsFile
        Open. Beside it, the folder ``FILE.scores`` keeps the test scores of Deep SVDD.
    executor : callable
        ``run_locally`` or ``run_on_ray`` of :mod:`deepsvdd.reproduction.executors`,
        with settings.
    ensembles : bool
        Whether to add, for each objective and class, the ensemble of all its seeds.
    on_run : callable
        Called with every line when it has been written, and with that of a run which
        was trained again for its lost scores.
    on_failure : callable
        Called with every task that failed, and why. Repeat the sweep to try it again.

    Raises
    ------
    ValueError
        As :func:`check_file` does, or if a line of an ensemble's member lacks something
        that the ensemble's tells.
    WriteError
        If results or scores cannot be written; see :meth:`ResultsFile.append`.
    """
    check_file(tasks, file)
    if any(task.recipe is not None for task in tasks):
        require_writable(score_folder(file.path) / "scores.npy")
    command = command_line()
    done = {key_of(line) for line in file.lines}
    groups = missing_ensembles(tasks, file) if ensembles else []
    again = lost_scores(tasks, file) if ensembles else set()
    todo = remaining(tasks, done - again)
    with closing(executor(run_task, todo)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, BaseException):
                if not isinstance(outcome, Exception):
                    raise outcome
                on_failure(todo[index], outcome)
                continue
            new = [line for line, _ in outcome if key_of(line) not in done]
            for line in new:
                line["provenance"] = line["provenance"] | {"command": command}
            file.append(*new)  # before the scores, which can be computed again
            done.update(map(key_of, new))
            for line, scores in outcome:
                if scores is not None:
                    write_scores(score_file(file.path, line), scores)
                if line in new or key_of(line) in again:
                    on_run(line)
    for line, keys in groups:
        if done.issuperset(keys):
            file.append(_ensemble(line, keys, file, tasks[0].settings))
            on_run(line)


def lost_scores(tasks: Iterable[Task], file: ResultsFile) -> set[tuple[Any, ...]]:
    """Name the finished runs whose scores a missing ensemble needs, but are lost.

    Lost are scores that are gone, damaged, or not those that gave the run's AUC. The
    runs are trained again; their lines stay as they are.
    """
    held = {key_of(line): line for line in file.lines}
    tasks = list(tasks)
    lost = set()
    for line, keys in missing_ensembles(tasks, file):
        split = data_of(line["dataset"], line["normal_class"], tasks[0].settings)
        for run in (held[key] for key in keys if key in held):
            if not are_scores(score_file(file.path, run), run["auc"], split.y_test):
                lost.add(key_of(run))
    return lost


def are_scores(path: Path, auc: float, y_test: NDArray[Any]) -> bool:
    """Tell whether a file holds scores of the test images (m,) with that AUC."""
    try:
        scores = np.load(path, allow_pickle=False)
        return abs(roc_auc(y_test, scores) - auc) < AUC_ERROR
    except Exception:  # damage surfaces as many types, from zipfile to numpy
        return False


def write_scores(path: Path, scores: NDArray[Any]) -> None:
    """Write test scores (m,) whole or not at all."""
    content = io.BytesIO()  # NumPy's own writing says of a full disk less than Python's
    np.save(content, scores)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def score_folder(results: Path) -> Path:
    """Name the folder of all runs' test scores."""
    return results.with_name(results.name + ".scores")


def score_file(results: Path, line: Line) -> Path:
    """Name the file of a run's test scores."""
    parts = [str(line[name]) for name in ("dataset", "normal_class", "method")]
    parts += [str(line[name]) for name in ("recipe", "nu", "precision", "seed")]
    return score_folder(results) / f"{'-'.join(parts).replace(':', '_')}.npy"


def missing_ensembles(
    tasks: Iterable[Task], file: ResultsFile
) -> list[tuple[Line, list[tuple[Any, ...]]]]:
    """Leave out of :func:`ensemble_groups` those whose lines the file holds.

    Raises
    ------
    ValueError
        If a member's line lacks something that the ensemble's tells.
    """
    held = {key_of(line): line for line in file.lines}
    groups = ensemble_groups(tasks)
    missing = [(line, keys) for line, keys in groups if key_of(line) not in held]
    for _, keys in missing:
        for member in (held[key] for key in keys if key in held):
            lacking = [name for name in TOLD_BY_MEMBERS if name not in member]
            if lacking:
                raise ValueError(
                    f"'{file.path}' must tell the {lacking[0]} of {member['dataset']}, "
                    f"class {member['normal_class']}, {member['method']}, seed "
                    f"{member['seed']}, a member of an ensemble: remove its line, and "
                    "it is trained again"
                )
    return missing


def ensemble_groups(
    tasks: Iterable[Task],
) -> list[tuple[Line, list[tuple[Any, ...]]]]:
    """Pair the beginning of each ensemble's line with the keys of its members."""
    members: dict[tuple[Any, ...], list[Line]] = {}
    for task in tasks:
        for method, seed in product(task.methods, task.seeds):
            if method in OBJECTIVES or later_method(method):
                line = task.line(method, seed)
                group = tuple(v for k, v in line.items() if k != "seed")
                members.setdefault(group, []).append(line)
    groups = []
    for lines in members.values():
        if len(lines) > 1:
            name = f"{lines[0]['method']}-x{len(lines)}"
            groups.append((lines[0] | {"method": name}, [key_of(li) for li in lines]))
    return groups


def _ensemble(
    line: Line, keys: list[tuple[Any, ...]], file: ResultsFile, settings: Settings
) -> Line:
    """Average the members' scores, and test the mean."""
    runs = {key_of(run): run for run in file.lines}
    members = [runs[key] for key in keys]
    scores = np.stack([np.load(score_file(file.path, run)) for run in members])
    split = data_of(line["dataset"], line["normal_class"], settings)
    counts = np.arange(1, len(scores) + 1)[:, None]
    means = np.cumsum(scores, axis=0, dtype=np.float64) / counts  # (M, m)
    line |= quality_of(split, means[-1])
    line |= {
        "n_members": len(members),
        "members": [run["seed"] for run in members],
        "auc_of_first_members": [roc_auc(split.y_test, mean) for mean in means],
        "untrained_auc": float(np.mean([run["untrained_auc"] for run in members])),
        "epochs": members[0]["epochs"],
        "collapsed": any(run["collapsed"] for run in members),
        "provenance": members[-1]["provenance"],
    }
    line |= {name: members[0][name] for name in SETTINGS if name in members[0]}
    for name in SECONDS:
        line[name] = sum(run[name] for run in members)
    return line
