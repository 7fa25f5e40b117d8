"""What a sweep has to do: a grid of data sets, classes, methods, recipes and seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch

from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.core._engine.stacking import trains_at_once
from deepsvdd.core.known import LABEL_WEIGHTS, is_label_weight
from deepsvdd.core.networks import default_network, seeded_autoencoder
from deepsvdd.core.recipes import (
    Recipe,
    get_recipe,
    is_number,
    require,
    shortened,
)
from deepsvdd.core.training import (
    OBJECTIVES,
)
from deepsvdd.datasets import (
    DRAWN_SIGNS,
    PREPROCESSING,
    Dataset,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.reproduction.baselines import (
    BASELINES,
    CHANCELESS,
    as_in_paper,
)
from deepsvdd.reproduction.few_labels import (
    FORMS,
    check_labels_exist,
    labeled_method,
)
from deepsvdd.reproduction.later import (
    LATER_FORMS,
    check_outliers,
    kind_of_method,
    later_method,
)
from deepsvdd.reproduction.results import Line, ResultsFile, key_of
from deepsvdd.reproduction.schema import shown
from deepsvdd.successors.base import RECIPES

NETWORK_METHODS = (*OBJECTIVES, "dcae")
METHODS = (*NETWORK_METHODS, *BASELINES)  # and those with labels, of any number


def trains_networks(method: str) -> bool:
    """Tell whether a method trains networks."""
    shared = method in NETWORK_METHODS or labeled_method(method) is not None
    return shared or later_method(method) is not None


def check_method(method: str) -> None:
    """Raise ValueError unless there is such a method."""
    if method not in METHODS and not trains_networks(method):
        raise ValueError(
            f"method must be one of {', '.join(METHODS)}, {FORMS}, {LATER_FORMS}; got "
            f"{shown(method)}"
        )


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
    eta : float or "balanced"
        η of Deep SAD.
    """

    nu: float = 0.1
    precision: str = "float32"
    device: str = "auto"
    network: str = "auto"
    preprocessing: str = "auto"
    data_path: str | None = None
    eta: float | str = 1.0

    def __post_init__(self) -> None:
        """Refuse a ν or η that no training can have, before there is any."""
        valid = is_number(self.nu) and 0 < self.nu <= 1
        require("nu", valid, "a number in (0, 1]", self)
        require("eta", is_label_weight(self.eta), LABEL_WEIGHTS, self)


@dataclass(frozen=True)
class Task:
    """Runs that belong together: they share pretrained autoencoders, or are one.

    Attributes
    ----------
    dataset : str
    normal_class : int
    methods : tuple of str
        Some of "one-class", "soft-boundary", "dcae", "deep-sad:K" and "classifier:K",
        which share the pretraining; or one later method, as for
        :func:`deepsvdd.reproduction.later.later_method`; or one baseline, as for
        :func:`deepsvdd.reproduction.baselines.make_baseline`.
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
        """Name the runs as :func:`deepsvdd.reproduction.results.key_of` does."""
        return [key_of(self.line(m, s)) for m, s in product(self.methods, self.seeds)]

    def line(self, method: str, seed: int) -> Line:
        """Begin the line of a run: what tells it from others."""
        networks = self.recipe is not None
        nu = self.settings.nu if method in ("soft-boundary", "ocsvm") else None
        line = {
            "dataset": self.dataset,
            "normal_class": self.normal_class,
            "method": method,
            "recipe": self.recipe,
            "nu": nu,
            "precision": self.settings.precision if networks else None,
            "seed": seed,
        }
        if (labeled_method(method) or ("", 0))[0] == "deep-sad":
            line["eta"] = self.settings.eta
        return line


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
    if len(numbers) != 2 or not all(re.fullmatch(r"\d{1,6}", n) for n in numbers):
        raise ValueError(
            "recipe must be NAME or NAME:EPOCHS+EPOCHS, with up to 999999 epochs; got "
            f"{shown(text)}"
        )
    return shortened(recipe, int(numbers[0]), int(numbers[1]))


def recipe_of(text: str, network: str, method: str) -> Recipe:
    """Find the recipe of a method: of a later one by its name, not the network's.

    Raises
    ------
    ValueError
        As :func:`find_recipe`; or if a later method has no recipe of that name.
    """
    if later_method(method) is None:
        return find_recipe(text, network)
    if text.partition(":")[0] not in RECIPES:
        raise ValueError(
            f"recipe must be one of {', '.join(RECIPES)} for {method}; got "
            f"{shown(text)}"
        )
    return find_recipe(text, kind_of_method(method))


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
    for dataset in loaded:
        check_trainings(tasks, dataset)
        check_labels_exist(dataset, methods)
        for method in methods:
            _, source = later_method(method) or ("", None)
            if source is not None:
                check_outliers(method, dataset, load(source, settings))
    return tasks


def check_trainings(tasks: Iterable[Task], dataset: Dataset) -> None:
    """Refuse networks and recipes that cannot be, before any of them is trained.

    Raises
    ------
    ValueError
        If a task's network does not take the data set's images, or there is no such
        recipe for it.
    """
    shape = dataset.x_train.shape[1:]
    own = [task for task in tasks if task.dataset == dataset.name]
    trainings = {
        (task.recipe, task.settings, task.methods[0])
        for task in own
        if task.recipe is not None
    }
    for recipe, settings, method in trainings:
        network = network_for(dataset.name, shape, settings)
        seeded_autoencoder(network, shape, 0, torch.device("cpu"))
        recipe_of(recipe, network, method)


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
        check_method(method)
    all_learned = [m for m in dict.fromkeys(methods) if trains_networks(m)]
    learned = tuple(m for m in all_learned if not later_method(m))
    later = [(m,) for m in all_learned if later_method(m)]
    baselines = [m for m in dict.fromkeys(methods) if m in BASELINES]
    together = [*([learned] if learned else []), *later]
    trained = dict.fromkeys(recipes)
    stacked = trains_at_once(resolve_device(settings.device))
    groups = [tuple(seeds)] if stacked else [(seed,) for seed in seeds]
    tasks = []
    for group, (name, classes) in product(groups, normal.items()):
        for recipe, index, own in product(trained, classes, together):
            tasks.append(Task(name, index, own, recipe, group, settings))
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
        See :meth:`deepsvdd.reproduction.results.ResultsFile.refuse_others`.
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
