"""Training settings: what a phase and a recipe are, and the named recipes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, TypeGuard

OPTIMIZERS = ("adam", "amsgrad")
SCHEDULES = ("step", "one-cycle")
FIRST_LAYERS = ("random", "dictionary")


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether a value is a real number; True and False are none here."""
    return isinstance(value, Real) and not isinstance(value, bool)


def is_whole(value: object) -> TypeGuard[int]:
    """Tell whether a value is a whole number; True and False are none here."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def require(name: str, valid: bool, domain: object, owner: object) -> None:
    """Raise ValueError naming a setting, what it may be, and what it is."""
    if not valid:
        raise ValueError(f"{name} must be {domain}; got {getattr(owner, name)!r}")


@dataclass(frozen=True)
class Phase:
    """Settings of one training phase; the defaults are those of the authors' code.

    Attributes
    ----------
    optimizer_name : {"adam", "amsgrad"}
        Adam or its AMSGrad variant.
    lr : float
        Initial learning rate ("step") or its maximum ("one-cycle").
    n_epochs : int
        Passes over the training data.
    lr_milestones : tuple of int
        With the "step" schedule, epochs (counted from 0) from which on the rate is a
        tenth of what it was.
    batch_size : int
        Samples a step.
    weight_decay : float
        λ; adds λ W to the gradient, the derivative of (λ/2) ‖W‖² (Equations 3 and 4).
    schedule : {"step", "one-cycle"}
        How the learning rate moves.
    """

    optimizer_name: str = "adam"
    lr: float = 1e-3
    n_epochs: int = 50
    lr_milestones: tuple[int, ...] = ()
    batch_size: int = 128
    weight_decay: float = 1e-6
    schedule: str = "step"

    def __post_init__(self) -> None:
        """Refuse settings that no training can have."""
        require("optimizer_name", self.optimizer_name in OPTIMIZERS, OPTIMIZERS, self)
        require("schedule", self.schedule in SCHEDULES, SCHEDULES, self)
        valid = is_number(self.lr) and 0 < self.lr < math.inf
        require("lr", valid, "a positive number", self)
        valid = is_whole(self.n_epochs) and self.n_epochs >= 0
        require("n_epochs", valid, "a whole number from 0 on", self)
        valid = is_whole(self.batch_size) and self.batch_size >= 1
        require("batch_size", valid, "a whole number from 1 on", self)
        valid = is_number(self.weight_decay) and 0 <= self.weight_decay < math.inf
        require("weight_decay", valid, "0 or more", self)
        epochs = self.lr_milestones
        valid = isinstance(epochs, tuple) and all(map(is_whole, epochs))
        valid = valid and all(a < b for a, b in pairwise((0, *epochs)))
        require("lr_milestones", valid, "a tuple of increasing epochs from 1 on", self)


@dataclass(frozen=True)
class Recipe:
    """Settings of a whole training.

    In the book: sec-learning-rate (07-one-class).

    Attributes
    ----------
    pretraining, training : Phase
        Autoencoder pretraining, then Deep SVDD.
    warm_up_epochs : int
        Soft-boundary only: epochs with R = 0 before the radius is first set.
    radius_every : int
        Soft-boundary only: epochs between updates of R, the other block of the
        block-coordinate descent (Section 3.3). R is set once more after the last epoch.
    first_layer : {"random", "dictionary"}
        Filters that the first convolution begins with: random ones, or a dictionary of
        the training images' patches (:mod:`deepsvdd.core._engine.dictionaries`).
    """

    pretraining: Phase = Phase(n_epochs=100)
    training: Phase = Phase(n_epochs=50)
    warm_up_epochs: int = 10
    radius_every: int = 5
    first_layer: str = "random"

    def __post_init__(self) -> None:
        """Refuse settings that no training can have."""
        for name in ("pretraining", "training"):
            require(name, isinstance(getattr(self, name), Phase), "a Phase", self)
        valid = is_whole(self.warm_up_epochs) and self.warm_up_epochs >= 0
        require("warm_up_epochs", valid, "a whole number from 0 on", self)
        valid = is_whole(self.radius_every) and self.radius_every >= 1
        require("radius_every", valid, "a whole number from 1 on", self)
        require("first_layer", self.first_layer in FIRST_LAYERS, FIRST_LAYERS, self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """Rebuild a recipe from what :func:`dataclasses.asdict` made of it, or JSON."""
        phases = {}
        for name in ("pretraining", "training"):
            milestones = tuple(values[name]["lr_milestones"])
            phases[name] = Phase(**(values[name] | {"lr_milestones": milestones}))
        return cls(**(values | phases))


# As in the commands of the authors' PyTorch port; the text of the paper (Section 4.1)
# gives other numbers of epochs. Pretraining's weight decay differs between data sets.
PAPER = Recipe(
    pretraining=Phase(
        lr=1e-4, n_epochs=150, lr_milestones=(50,), batch_size=200, weight_decay=5e-4
    ),
    training=Phase(lr=1e-4, n_epochs=150, lr_milestones=(50,), batch_size=200),
)
PAPER_CIFAR10 = replace(
    PAPER,
    pretraining=Phase(
        lr=1e-4, n_epochs=350, lr_milestones=(250,), batch_size=200, weight_decay=5e-7
    ),
)

# Section 4.3: smaller batches for a small class, 780 stop signs.
PAPER_GTSRB = Recipe(
    pretraining=replace(PAPER_CIFAR10.pretraining, batch_size=64),
    training=replace(PAPER.training, batch_size=64),
)

# Few epochs at a high, annealed learning rate. R is updated every epoch since there are
# few of them, from the third on since at R = 0 the first ones only pull inwards.
FAST = Recipe(
    pretraining=Phase(lr=3e-3, n_epochs=10, batch_size=200, schedule="one-cycle"),
    training=Phase(lr=1e-3, n_epochs=10, batch_size=200, schedule="one-cycle"),
    warm_up_epochs=2,
    radius_every=1,
)
FAST_CIFAR10 = replace(
    FAST,
    pretraining=Phase(lr=1e-3, n_epochs=10, batch_size=200, schedule="one-cycle"),
)
# 25 epochs of 780 stop signs are as many steps as 10 of a digit's 6,000.
FAST_GTSRB = replace(
    FAST,
    pretraining=replace(FAST.pretraining, n_epochs=25, batch_size=64),
    training=replace(FAST.training, n_epochs=25, batch_size=64),
)
# Pictures of more than 64 pixels come by the hundred, and each takes memory: small
# batches, so that 200 of them still make 200 steps a phase.
FAST_DEEP = replace(
    FAST_CIFAR10,
    pretraining=replace(FAST_CIFAR10.pretraining, n_epochs=20, batch_size=20),
    training=replace(FAST_CIFAR10.training, n_epochs=20, batch_size=20),
)
# Without pretraining, which made detectors of vectors worse on tables that no result of
# ours reports; so did more steps (benchmarks/tables.py).
FAST_VECTORS = Recipe(
    pretraining=Phase(n_epochs=0, batch_size=64, schedule="one-cycle"),
    training=Phase(n_epochs=2, batch_size=64, schedule="one-cycle"),
    warm_up_epochs=1,
    radius_every=1,
)


def shortened(recipe: Recipe, pretraining: int, training: int) -> Recipe:
    """Give both phases other numbers of epochs."""
    return replace(
        recipe,
        pretraining=replace(recipe.pretraining, n_epochs=pretraining),
        training=replace(recipe.training, n_epochs=training),
    )


# Of the later methods (:mod:`deepsvdd.successors`), which pretrain nothing.
FAST_LATER = Recipe(
    pretraining=Phase(n_epochs=0, batch_size=64, schedule="one-cycle"),
    training=Phase(lr=1e-3, n_epochs=15, batch_size=64, schedule="one-cycle"),
)
FAST_LATER_VECTORS = shortened(FAST_LATER, 0, 5)
# For methods that transform images a rule that sees normal data only chose the rate,
# and about how many steps (benchmarks/later.py; book/results/later-rule.jsonl).
FAST_TRANSFORMED = shortened(
    replace(FAST_LATER, training=replace(FAST_LATER.training, lr=3e-3)), 0, 8
)
TRANSFORMED = ("GEOM", "GOAD")
LATER = ("GEOM", "GOAD", "DROCC", "HSC")

QUICK_VECTORS = replace(shortened(FAST_VECTORS, 0, 1), warm_up_epochs=0)

# Samples that the epochs of `fast` and `quick` are meant for. It is the number of steps
# that counts, and fewer samples give fewer of them.
VECTORS = {"mlp": 6400, "mlp_BN": 6400}
MEANT_FOR = {"": 5000, "gtsrb_LeNet": 780, "deep_LeNet": 200} | VECTORS

# Quick is for several members: three trainings of 3 + 3 epochs beat one of 10 + 10 by a
# rule that sees normal data only (benchmarks/quality.py; book/results/recipes.jsonl).
RECIPES = {
    "paper": {
        "": PAPER,
        "cifar10_LeNet": PAPER_CIFAR10,
        "cifar10_LeNet_ELU": PAPER_CIFAR10,
        "gtsrb_LeNet": PAPER_GTSRB,
        # Ours, so the paper has none for it: the authors' protocol for color images,
        # with the batches of their small class.
        "deep_LeNet": PAPER_GTSRB,
    },
    "fast": {
        "": FAST,
        "cifar10_LeNet": FAST_CIFAR10,
        "cifar10_LeNet_ELU": FAST_CIFAR10,
        "gtsrb_LeNet": FAST_GTSRB,
        "deep_LeNet": FAST_DEEP,
        "mlp": FAST_VECTORS,
        "mlp_BN": FAST_VECTORS,
    },
    "quick": {
        "": shortened(FAST, 3, 3),
        "cifar10_LeNet": shortened(FAST_CIFAR10, 3, 3),
        "cifar10_LeNet_ELU": shortened(FAST_CIFAR10, 3, 3),
        "gtsrb_LeNet": shortened(FAST_GTSRB, 8, 8),
        "deep_LeNet": shortened(FAST_DEEP, 7, 7),
        "mlp": QUICK_VECTORS,
        "mlp_BN": QUICK_VECTORS,
    },
}
for _method in LATER:
    _vectors = f"{_method} of vectors"
    _fast = FAST_TRANSFORMED if _method in TRANSFORMED else FAST_LATER
    _third = math.ceil(_fast.training.n_epochs / 3)
    RECIPES["fast"] |= {_method: _fast, _vectors: FAST_LATER_VECTORS}
    RECIPES["quick"] |= {
        _method: shortened(_fast, 0, _third),
        _vectors: shortened(FAST_LATER_VECTORS, 0, 2),
    }
# With the first layer of the authors' Theano code, on which the paper's tables rest.
RECIPES |= {
    f"{name}-dictionary": {
        network: replace(recipe, first_layer="dictionary")
        for network, recipe in variants.items()
        if network not in VECTORS and not network.startswith(LATER)
    }
    for name, variants in RECIPES.items()
}

SMALLEST_BATCH = 50


def suited(recipe: Recipe, n_samples: int, meant_for: int) -> Recipe:
    """Suit a recipe to few samples: smaller batches, more epochs, as many steps.

    The batch shrinks to a quarter of the samples, but not below 50. The epochs grow
    until as many samples are seen as in the recipe's own training, or twice as many
    steps are taken; those of the soft boundary's radius grow alike. Chosen by a rule
    that sees normal data only (``python -m benchmarks.quality budget``).

    Parameters
    ----------
    recipe : Recipe
        As it is meant for `meant_for` samples.
    n_samples, meant_for : int
        Numbers of training samples.

    Returns
    -------
    Recipe
        From `meant_for` samples on the recipe itself.
    """
    if n_samples >= meant_for:
        return recipe
    pretraining, training = (
        suited_phase(phase, n_samples, meant_for)
        for phase in (recipe.pretraining, recipe.training)
    )
    growth = training.n_epochs / max(recipe.training.n_epochs, 1)
    return replace(
        recipe,
        pretraining=pretraining,
        training=training,
        warm_up_epochs=round(growth * recipe.warm_up_epochs),
        radius_every=max(round(growth * recipe.radius_every), 1),
    )


def suited_phase(phase: Phase, n_samples: int, meant_for: int) -> Phase:
    """Suit one phase to few samples; see :func:`suited`."""
    batch = min(phase.batch_size, max(SMALLEST_BATCH, n_samples // 4))
    seen = phase.n_epochs * meant_for
    steps = seen / max(batch, phase.batch_size / 2)
    n_epochs = max(math.ceil(steps / math.ceil(n_samples / batch)), phase.n_epochs)
    return replace(phase, batch_size=batch, n_epochs=n_epochs)


def get_recipe(name: str, network: str = "", n_samples: int | None = None) -> Recipe:
    """Return a named recipe, as it is for a network and for so many samples.

    Parameters
    ----------
    name : {"paper", "fast", "quick"}, or one of them and "-dictionary"
        The authors' commands; one of few epochs that reaches nearly its AUC; or a third
        of that, for several members, whose mean is better than one ``fast`` network.
        "fast-dictionary" is "fast" with a first layer that begins with a dictionary of
        image patches; so are the others.
    network : str, default=""
        Name of the network; some have variants of their own.
    n_samples : int, optional
        Number of training samples. "fast" and "quick" are budgets of steps, which few
        samples reach by more epochs of smaller batches (:func:`suited`); "paper" counts
        epochs. By default as for the thousands of images of the paper's data sets.

    Returns
    -------
    Recipe
        Change a setting with :func:`dataclasses.replace`.

    Raises
    ------
    ValueError
        If there is no recipe of that name.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe must be one of {', '.join(RECIPES)}; got {name!r}")
    recipe = RECIPES[name].get(network, RECIPES[name][""])
    if n_samples is None or name.startswith("paper"):
        return recipe
    return suited(recipe, n_samples, MEANT_FOR.get(network, MEANT_FOR[""]))


# ---------------------------------------------------------------- settings by name

PHASES = ("pretraining", "training")
PHASE_SETTINGS = tuple(setting.name for setting in fields(Phase))
RECIPE_SETTINGS = tuple(setting.name for setting in fields(Recipe))


@dataclass(frozen=True)
class Variant:
    """A recipe by its name, with some settings of one's own.

    The others are those of the name: suited to network and samples, as the recipe is.
    It is what ``set_params(recipe__training__lr=0.01)`` makes of ``recipe="fast"``.

    Attributes
    ----------
    name : str
        As for :func:`get_recipe`.
    changes : dict
        Values by names such as "training__lr", "pretraining__n_epochs", "radius_every".

    Raises
    ------
    ValueError
        If there is no such recipe or setting, or no training can have the value.

    Examples
    --------
    >>> from deepsvdd import DeepSVDD
    >>> detector = DeepSVDD().set_params(recipe__training__n_epochs=20)
    >>> detector.recipe
    Variant(name='fast', changes={'training__n_epochs': 20})
    """

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse settings that no training can have."""
        changed(get_recipe(self.name), self.changes)


def setting_names() -> list[str]:
    """List what can be set by name, from "pretraining" to "training__schedule"."""
    within = [f"{phase}__{name}" for phase in PHASES for name in PHASE_SETTINGS]
    return [*RECIPE_SETTINGS, *within]


def changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Give settings of a recipe other values, by their names.

    Raises
    ------
    ValueError
        If there is no such setting, or no training can have the value.
    """
    # Whole phases first: "training" is shorter than "training__lr".
    for name in sorted(changes):
        phase, _, setting = name.partition("__")
        known = PHASE_SETTINGS if setting else RECIPE_SETTINGS
        if (setting and phase not in PHASES) or (setting or phase) not in known:
            owner = phase if setting and phase in PHASES else "a recipe"
            own = PHASE_SETTINGS if owner in PHASES else RECIPE_SETTINGS
            raise ValueError(
                f"recipe__{name} is no setting; {owner} has {', '.join(own)}"
            )
        value = changes[name]
        if setting:
            name, value = phase, replace(getattr(recipe, phase), **{setting: value})
        recipe = replace(recipe, **{name: value})
    return recipe


def with_settings(
    recipe: str | Recipe | Variant, changes: Mapping[str, Any]
) -> Recipe | Variant | str:
    """Set settings of what an estimator takes as its recipe.

    Of a recipe by name, None as a value takes back what was set.
    """
    if isinstance(recipe, Recipe):
        return changed(recipe, changes)
    if not isinstance(recipe, str | Variant):
        raise ValueError(
            f"recipe must be a Recipe or one of {', '.join(RECIPES)}; got {recipe!r}"
        )
    before = recipe.changes if isinstance(recipe, Variant) else {}
    name = recipe.name if isinstance(recipe, Variant) else recipe
    own = {k: v for k, v in {**before, **changes}.items() if v is not None}
    return Variant(name, own) if own else name


def settings_by_name(recipe: str | Recipe | Variant) -> dict[str, Any]:
    """Tell the settings of what an estimator takes as its recipe, by their names.

    Those that the samples decide, of a recipe by name, are None.
    """
    names = setting_names()
    if isinstance(recipe, Recipe):
        paths = {name: name.split("__") for name in names}
        return {
            name: getattr(recipe, path[0])
            if len(path) == 1
            else getattr(getattr(recipe, path[0]), path[1])
            for name, path in paths.items()
        }
    changes = recipe.changes if isinstance(recipe, Variant) else {}
    return {name: changes.get(name) for name in names}


def resolved(
    recipe: str | Recipe | Variant, network: str = "", n_samples: int | None = None
) -> Recipe:
    """Return the recipe itself; one by name as :func:`get_recipe` does."""
    if isinstance(recipe, Recipe):
        return recipe
    if isinstance(recipe, Variant):
        suited_to = get_recipe(recipe.name, network, n_samples)
        return changed(suited_to, recipe.changes)
    return get_recipe(recipe, network, n_samples)
