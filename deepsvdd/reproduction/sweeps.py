"""Sweeps: the tasks of a grid, carried out into a file of results; and ensembles."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.training import (
    OBJECTIVES,
)
from deepsvdd.files import atomic_write
from deepsvdd.reproduction.provenance import command_line
from deepsvdd.reproduction.results import SETTINGS, Line, ResultsFile, key_of
from deepsvdd.reproduction.runs import Run, data_of, quality_of, run_task
from deepsvdd.reproduction.tasks import Settings, Task, check_file, remaining


def sweep(
    tasks: Sequence[Task],
    file: ResultsFile,
    executor: Callable[[Callable[[Task], list[Run]], list[Task]], Iterator[Any]],
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
        As :func:`check_file` does.
    """
    check_file(tasks, file)
    command = command_line()
    done = {key_of(line) for line in file.lines}
    groups = missing_ensembles(tasks, file) if ensembles else []
    again = lost_scores(tasks, file) if ensembles else set()
    todo = remaining(tasks, done - again)
    for index, outcome in executor(run_task, todo):
        if isinstance(outcome, BaseException):
            if not isinstance(outcome, Exception):
                raise outcome
            on_failure(todo[index], outcome)
            continue
        for line, scores in outcome:
            if scores is not None:
                with atomic_write(score_file(file.path, line)) as temporary:
                    np.save(temporary, scores)
            if key_of(line) not in done:
                line["provenance"] = line["provenance"] | {"command": command}
                file.append(line)
                done.add(key_of(line))
            elif key_of(line) not in again:
                continue
            on_run(line)
    for line, keys in groups:
        if done.issuperset(keys):
            file.append(_ensemble(line, keys, file, tasks[0].settings))
            on_run(line)


def lost_scores(tasks: Iterable[Task], file: ResultsFile) -> set[tuple[Any, ...]]:
    """Name the finished runs whose scores a missing ensemble needs, but are gone.

    They are trained again; their lines stay as they are.
    """
    held = {key_of(line): line for line in file.lines}
    return {
        key
        for _, keys in missing_ensembles(tasks, file)
        for key in keys
        if key in held and not score_file(file.path, held[key]).exists()
    }


def score_file(results: Path, line: Line) -> Path:
    """Name the file of a run's test scores."""
    parts = [str(line[name]) for name in ("dataset", "normal_class", "method")]
    parts += [str(line["recipe"]).replace(":", "_"), str(line["nu"])]
    parts += [str(line["precision"]), str(line["seed"])]
    return results.with_name(results.name + ".scores") / f"{'-'.join(parts)}.npy"


def missing_ensembles(
    tasks: Iterable[Task], file: ResultsFile
) -> list[tuple[Line, list[tuple[Any, ...]]]]:
    """Leave out of :func:`ensemble_groups` those whose lines the file holds."""
    held = {key_of(line) for line in file.lines}
    groups = ensemble_groups(tasks)
    return [(line, keys) for line, keys in groups if key_of(line) not in held]


def ensemble_groups(
    tasks: Iterable[Task],
) -> list[tuple[Line, list[tuple[Any, ...]]]]:
    """Pair the beginning of each ensemble's line with the keys of its members."""
    members: dict[tuple[Any, ...], list[Line]] = {}
    for task in tasks:
        for method, seed in product(task.methods, task.seeds):
            if method in OBJECTIVES:
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
    for name in ("pretrain_seconds", "train_seconds", "test_seconds"):
        line[name] = sum(run[name] for run in members)
    return line
