"""Sweeps: the paper's protocol over data sets, classes, methods and seeds."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepsvdd.baselines import (
    BASELINES,
    CHANCELESS,
    as_in_paper,
    labelled_tenth,
    make_baseline,
)
from deepsvdd.datasets import (
    DRAWN_SIGNS,
    PREPROCESSING,
    Dataset,
    Split,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.devices import resolve_device
from deepsvdd.dictionaries import begin
from deepsvdd.errors import CollapseWarning
from deepsvdd.estimator import channels_last, trains_at_once
from deepsvdd.experiments import command_line, provenance
from deepsvdd.feeds import InMemory
from deepsvdd.files import atomic_write
from deepsvdd.metrics import average_precision, roc_auc
from deepsvdd.networks import Autoencoder, build_autoencoder, default_network
from deepsvdd.preprocessing import Preprocessor
from deepsvdd.recipes import (
    Phase,
    Recipe,
    get_recipe,
    is_number,
    require,
    shortened,
)
from deepsvdd.results import SETTINGS, Line, ResultsFile, key_of
from deepsvdd.training import (
    OBJECTIVES,
    Hypersphere,
    pretrain_autoencoders,
    reconstruction_scores,
    train_hyperspheres,
)

NETWORK_METHODS = (*OBJECTIVES, "dcae")
METHODS = (*NETWORK_METHODS, *BASELINES)

Run = tuple[Line, NDArray[np.float32] | None]  # and its scores, where they are kept


@dataclass(frozen=True)
class Settings:
    """What is the same for all runs of a sweep.

    Attributes
    ----------
    nu : float
        ν of the soft-boundary objective and of the OC-SVM.
    precision : {"float32", "bf16"}
        Of the networks' training.
    device : str
        Of the networks.
    network : str
        "auto" chooses by the data set.
    preprocessing : str
        Of the networks' input; "auto" is the paper's for the data set.
    data_path : str, optional
        Folder of the data sets.
    """

    nu: float = 0.1
    precision: str = "float32"
    device: str = "auto"
    network: str = "auto"
    preprocessing: str = "auto"
    data_path: str | None = None

    def __post_init__(self) -> None:
        """Refuse a ν that no training can have, before there is any."""
        valid = is_number(self.nu) and 0 < self.nu <= 1
        require("nu", valid, "a number in (0, 1]", self)


@dataclass(frozen=True)
class Task:
    """Runs that belong together: they share pretrained autoencoders, or are one.

    Attributes
    ----------
    dataset : str
    normal_class : int
    methods : tuple of str
        Some of "one-class", "soft-boundary" and "dcae", or one baseline, as for
        :func:`deepsvdd.baselines.make_baseline`.
    recipe : str or None
        As for :func:`find_recipe`; None for baselines.
    seeds : tuple of int
        On a GPU, their networks are trained as a stack.
    settings : Settings
    """

    dataset: str
    normal_class: int
    methods: tuple[str, ...]
    recipe: str | None
    seeds: tuple[int, ...]
    settings: Settings = Settings()

    def run_keys(self) -> list[tuple[Any, ...]]:
        """Name the runs as :func:`deepsvdd.results.key_of` does."""
        return [key_of(self.line(m, s)) for m, s in product(self.methods, self.seeds)]

    def line(self, method: str, seed: int) -> Line:
        """Begin the line of a run: what tells it from others."""
        networks = self.recipe is not None
        nu = self.settings.nu if method in ("soft-boundary", "ocsvm") else None
        return {
            "dataset": self.dataset,
            "normal_class": self.normal_class,
            "method": method,
            "recipe": self.recipe,
            "nu": nu,
            "precision": self.settings.precision if networks else None,
            "seed": seed,
        }


def find_recipe(text: str, network: str) -> Recipe:
    """Find a named recipe, for example "fast", or one shortened: "fast:7+5".

    Parameters
    ----------
    text : str
        Name as for :func:`deepsvdd.get_recipe`; after a colon the epochs of pretraining
        and training.
    network : str
        Name of the network.

    Raises
    ------
    ValueError
        If it is neither.

    Examples
    --------
    >>> find_recipe("fast:7+5", "mnist_LeNet").training.n_epochs
    5
    """
    name, colon, epochs = text.partition(":")
    recipe = get_recipe(name, network)
    if not colon:
        return recipe
    numbers = epochs.split("+")
    if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
        raise ValueError(f"recipe must be NAME or NAME:EPOCHS+EPOCHS; got {text!r}")
    return shortened(recipe, int(numbers[0]), int(numbers[1]))


# ----------------------------------------------------------------------------- planning


def plan(
    datasets: Sequence[str],
    classes: Sequence[int | str] | None,
    methods: Sequence[str],
    recipes: Sequence[str],
    seeds: Sequence[int],
    settings: Settings,
) -> list[Task]:
    """List the tasks of a grid, seed by seed, so that early tables have all classes.

    Parameters
    ----------
    datasets, methods, recipes : sequences of str
    classes : sequence of int or str, optional
        Normal classes, numbers or names; by default all of a data set.
    seeds : sequence of int
        Methods without chance in them run with the first one only.
    settings : Settings

    Returns
    -------
    list of Task

    Raises
    ------
    ValueError
        If something of it is unknown.
    """
    loaded = [load(name, settings) for name in datasets]
    normal = {dataset.name: _normal_classes(dataset, classes) for dataset in loaded}
    tasks = tasks_of(normal, methods, recipes, seeds, settings)
    for dataset in loaded if any(task.recipe for task in tasks) else ():
        shape = dataset.x_train.shape[1:]
        network = network_for(dataset.name, shape, settings)
        _built(network, shape, 0, torch.device("cpu"))  # or say why it cannot be
        for recipe in recipes:
            find_recipe(recipe, network)
    return tasks


def tasks_of(
    normal: Mapping[str, Sequence[int]],
    methods: Sequence[str],
    recipes: Sequence[str],
    seeds: Sequence[int],
    settings: Settings,
) -> list[Task]:
    """List the tasks of a grid whose data sets and normal classes are known.

    Parameters
    ----------
    normal : mapping of str to sequence of int
        Normal classes of each data set.
    methods, recipes, seeds, settings
        As for :func:`plan`.
    """
    for method in methods:
        if method not in METHODS:
            raise ValueError(f"method must be one of {METHODS}; got {method!r}")
    learned = tuple(m for m in dict.fromkeys(methods) if m in NETWORK_METHODS)
    baselines = [m for m in dict.fromkeys(methods) if m in BASELINES]
    trained = dict.fromkeys(recipes) if learned else ()
    stacked = trains_at_once(resolve_device(settings.device))
    groups = [tuple(seeds)] if stacked else [(seed,) for seed in seeds]
    tasks = []
    for group, (name, classes) in product(groups, normal.items()):
        for recipe, index in product(trained, classes):
            tasks.append(Task(name, index, learned, recipe, group, settings))
        for method, index, seed in product(baselines, classes, group):
            if method not in CHANCELESS or seed == seeds[0]:
                tasks.append(Task(name, index, (method,), None, (seed,), settings))
    return tasks


def load(name: str, settings: Settings) -> Dataset:
    """Load a data set; drawn signs lie where the real ones would."""
    source = "gtsrb" if name == DRAWN_SIGNS else name
    return load_dataset(source, settings.data_path)


def _normal_classes(dataset: Dataset, classes: Sequence[int | str] | None) -> list[int]:
    if classes is None:
        return np.unique(dataset.y_train).tolist()
    indices = (one_vs_rest(dataset, label).normal_classes[0] for label in classes)
    return list(dict.fromkeys(indices))


def network_for(dataset: str, shape: tuple[int, ...], settings: Settings) -> str:
    """Choose the paper's network for a data set."""
    if settings.network != "auto":
        return settings.network
    if dataset in ("gtsrb", DRAWN_SIGNS):
        return "gtsrb_LeNet"
    return default_network(shape)


def preprocessing_for(dataset: str, settings: Settings) -> str:
    """Choose the paper's preprocessing for a data set of images."""
    if settings.preprocessing != "auto":
        return settings.preprocessing
    named = PREPROCESSING[dataset]
    return "gcn_l1" if named == "auto" else named


def setup_of(task: Task, shape: tuple[int, ...]) -> Line:
    """Name a task's preprocessing of images (c, h, w), and its network, if any."""
    preprocessing = preprocessing_for(task.dataset, task.settings)
    if task.recipe is None:
        own = as_in_paper(task.methods[0], shape[0])["preprocessing"]
        return {"preprocessing": own if preprocessing == "gcn_l1" else preprocessing}
    network = network_for(task.dataset, shape, task.settings)
    return {"network": network, "preprocessing": preprocessing}


def planned_lines(
    tasks: Iterable[Task], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[Line]:
    """Begin the lines of all runs, given the shape of each data set's images."""
    for task in tasks:
        setup = setup_of(task, shapes[task.dataset])
        for method, seed in product(task.methods, task.seeds):
            yield task.line(method, seed) | setup


def check_file(tasks: Sequence[Task], file: ResultsFile) -> None:
    """Refuse a file whose runs are the tasks' by name, but of other networks or data.

    Raises
    ------
    ValueError
        See :meth:`deepsvdd.results.ResultsFile.refuse_others`.
    """
    shapes = {t.dataset: load(t.dataset, t.settings).x_train.shape[1:] for t in tasks}
    file.refuse_others(planned_lines(tasks, shapes))


def remaining(tasks: Iterable[Task], done: set[tuple[Any, ...]]) -> list[Task]:
    """Leave out the runs that are done; a task keeps the methods that miss some."""
    left = []
    for task in tasks:
        methods = tuple(
            method
            for method in task.methods
            if not done.issuperset(replace(task, methods=(method,)).run_keys())
        )
        if methods:
            left.append(replace(task, methods=methods))
    return left


# ------------------------------------------------------------------------------ running


def run_task(task: Task) -> list[Run]:
    """Train and test.

    Parameters
    ----------
    task : Task

    Returns
    -------
    list of (dict, ndarray of shape (m,) or None)
        A run's line of results, and for Deep SVDD the distances ‖φ(x) − c‖ of the test
        images in units of their mean over the training data, which ensembles average.
    """
    return run_on(task, data_of(task.dataset, task.normal_class, task.settings))


def data_of(dataset: str, normal_class: int, settings: Settings) -> Split:
    """Load a data set, and declare one of its classes normal."""
    return one_vs_rest(load(dataset, settings), normal_class)


def run_on(task: Task, split: Split, control: NDArray[Any] | None = None) -> list[Run]:
    """Run a task on given data; :func:`run_task` loads what the task names.

    Of ``control``, other images that might pass for anomalies, the lines tell the AUC
    against the normal test images as ``control_auc``.
    """
    if task.recipe is None:
        return [_baseline_run(task, split, control)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollapseWarning)  # the line says so
        return _network_runs(task, split, control)


def _baseline_run(task: Task, split: Split, control: NDArray[Any] | None) -> Run:
    (method,), (seed,) = task.methods, task.seeds
    shape = split.x_train.shape[1:]
    parameters = as_in_paper(method, shape[0]) | setup_of(task, shape)
    if method == "ocsvm":
        parameters["nu"] = task.settings.nu
    detector = make_baseline(method, random_state=seed, **parameters)
    labelled = None
    if detector.uses_labels:
        shown, _ = labelled_tenth(split.y_test, seed)
        labelled = split.x_test[shown], split.y_test[shown]
    _, seconds = timed(detector.fit, split.x_train, labelled)
    scores, test_seconds = timed(detector.anomaly_score, split.x_test)
    line = task.line(method, seed) | _quality(split, scores)
    if control is not None:
        line |= _control(split, scores, detector.anomaly_score(control))
    line |= {"train_seconds": seconds, "test_seconds": test_seconds}
    line |= {"preprocessing": detector.preprocessing, "selected": detector.selected_}
    return line | {"provenance": _provenance(torch.device("cpu"))}, None


def _network_runs(task: Task, split: Split, control: NDArray[Any] | None) -> list[Run]:
    settings = task.settings
    device = resolve_device(settings.device)
    shape = split.x_train.shape[1:]
    setup = setup_of(task, shape)
    network = setup["network"]
    recipe = find_recipe(task.recipe or "", network)
    images = torch.tensor(split.x_train)
    preprocessor = Preprocessor.fit(images, setup["preprocessing"])

    def prepared(images: Tensor) -> Tensor:
        return channels_last(preprocessor(images).to(device))

    x, x_test = prepared(images), prepared(torch.tensor(split.x_test))
    x_control = None if control is None else prepared(torch.tensor(control))

    autoencoders = [_built(network, shape, seed, device) for seed in task.seeds]
    for autoencoder, seed in zip(autoencoders, task.seeds, strict=True):
        begin(autoencoder.encoder, recipe.first_layer, InMemory(x), seed)
    before = [
        roc_auc(split.y_test, sphere.squared_distances(x_test))
        for sphere in _untrained(autoencoders, x, task.seeds)
    ]
    common: Any = {"seeds": task.seeds, "precision": settings.precision}
    histories = pretrain_autoencoders(autoencoders, x, recipe.pretraining, **common)
    origin = _provenance(device)
    runs: list[Run] = []
    for method in task.methods:
        detectors: list[Any] = autoencoders
        if method in OBJECTIVES:
            detectors = train_hyperspheres(
                [copy.deepcopy(autoencoder.encoder) for autoencoder in autoencoders],
                InMemory(x),
                recipe,
                objective=method,
                nu=settings.nu,
                **common,
            )
        for seed, detector, history, untrained in zip(
            task.seeds, detectors, histories, before, strict=True
        ):
            scores, seconds = timed(_scores, detector, x_test)
            quality = _quality(split, scores)
            if x_control is not None:
                quality |= _control(split, scores, _scores(detector, x_control))
            runs.append(
                (
                    task.line(method, seed)
                    | quality
                    | {"untrained_auc": untrained}
                    | _training(recipe, history, detector)
                    | {"test_seconds": seconds}
                    | setup
                    | {"provenance": origin},
                    scores if method in OBJECTIVES else None,
                )
            )
    return runs


def _built(
    network: str, shape: tuple[int, ...], seed: int, device: torch.device
) -> Autoencoder:
    """Draw the weights that the estimator draws from a seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = build_autoencoder(network, shape)
    return autoencoder.to(memory_format=torch.channels_last).to(device)


def _untrained(
    autoencoders: list[Autoencoder], x: Tensor, seeds: tuple[int, ...]
) -> list[Hypersphere]:
    """Give each network its center, and no training."""
    nothing = Recipe(training=Phase(n_epochs=0))
    encoders = [copy.deepcopy(autoencoder.encoder) for autoencoder in autoencoders]
    return train_hyperspheres(encoders, x, nothing, seeds=seeds)


def _scores(detector: Hypersphere | Autoencoder, x: Tensor) -> NDArray[np.float32]:
    """Score test images (m, ...): normalised distances, or reconstruction errors."""
    if isinstance(detector, Hypersphere):
        scores = detector.squared_distances(x).sqrt() / detector.mean_distance
    else:
        scores = reconstruction_scores(detector, x)
    return scores.float().cpu().numpy()


def _quality(split: Split, scores: NDArray[Any]) -> Line:
    return {
        "auc": roc_auc(split.y_test, scores),
        "average_precision": average_precision(split.y_test, scores),
        "n_train": len(split.x_train),
    }


def _control(split: Split, scores: NDArray[Any], control_scores: NDArray[Any]) -> Line:
    normal = scores[split.y_test == 0]
    labels = np.repeat([0, 1], [len(normal), len(control_scores)])
    return {"control_auc": roc_auc(labels, np.concatenate([normal, control_scores]))}


def _training(
    recipe: Recipe, pretraining: dict[str, Any], detector: Hypersphere | Autoencoder
) -> Line:
    """Describe how one network was trained."""
    line: Line = {
        "epochs": [recipe.pretraining.n_epochs, recipe.training.n_epochs],
        "pretrain_seconds": sum(pretraining["seconds"]),
    }
    if isinstance(detector, Hypersphere):
        line["train_seconds"] = sum(detector.history["training"]["seconds"])
        line["radius"] = detector.radius
        line["collapsed"] = detector.collapsed
    return line


def timed(function: Callable[..., Any], *arguments: Any) -> tuple[Any, float]:
    """Call a function; return its result and the seconds it took."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - start


@lru_cache(maxsize=4)
def _provenance(device: torch.device) -> dict[str, Any]:
    """Ask git and the system once a process: all runs of a sweep are of one commit."""
    return provenance(device)


# ---------------------------------------------------------------------------- the sweep


def sweep(
    tasks: Sequence[Task],
    file: ResultsFile,
    engine: Callable[[Callable[[Task], list[Run]], list[Task]], Iterator[Any]],
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
    engine : callable
        :func:`deepsvdd.engines.run_locally` or ``run_on_ray``, with settings.
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
    for index, outcome in engine(run_task, todo):
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
    line |= _quality(split, means[-1])
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
