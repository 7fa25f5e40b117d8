"""What the later methods share: parameters, recipes, and the origin as their center."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deepsvdd.core._engine.isolation import drawn_from
from deepsvdd.core.detector import Detector
from deepsvdd.core.input_checks import Samples, is_one_of
from deepsvdd.core.networks import output_of
from deepsvdd.core.recipes import Recipe, Variant, require
from deepsvdd.core.trainer import recipe_for
from deepsvdd.core.training import Objective
from deepsvdd.successors.transformations import (
    LINEAR,
    SETS,
    suited,
    transformations_for,
)

if TYPE_CHECKING:
    from typing_extensions import Self

LEAST = 1e-6  # keeps the gradient of a root finite
RECIPES = ("fast", "quick")  # of the later methods; "paper" is Deep SVDD's


def root(values: Tensor) -> Tensor:
    """Take √(v + 10⁻⁶), of which the gradient is finite at 0."""
    return (values + LEAST).sqrt()


def spread(n: int, k: int) -> Tensor:
    """Choose at most k of n rows from beginning to end, as data may be in order."""
    return torch.linspace(0, n - 1, min(n, k)).long()


@contextmanager
def drawing(encoder: nn.Module, seed: int) -> Iterator[None]:
    """Draw layers by a seed inside ``with``; nothing if the encoder has no values."""
    if any(p.is_meta for p in encoder.parameters()):
        yield
    else:
        with drawn_from(seed):
            yield


def width_of(encoder: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Find the length of an encoder's vectors."""
    dtype = next((p.dtype for p in encoder.parameters()), torch.float32)
    return output_of(encoder, torch.zeros(1, *input_shape, dtype=dtype)).shape[1]


class Successor(Detector):
    """A detector after Deep SVDD; classes add loss and layers.

    Attributes
    ----------
    objective : Objective
    """

    objective: Objective | Any
    allow_collapse = True  # a constant φ is no optimum of theirs
    at_origin = True

    def __init__(
        self,
        network: str | nn.Module = "auto",
        recipe: str | Recipe | Variant = "fast",
        *,
        widths: Sequence[int] | None = None,
        n_members: int = 1,
        preprocessing: str = "auto",
        contamination: float = 0.1,
        threshold: float | None = None,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "float32",
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_every: int = 10,
        n_workers: int = 2,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        self.network = network
        self.recipe = recipe
        self.widths = widths
        self.n_members = n_members
        self.preprocessing = preprocessing
        self.contamination = contamination
        self.threshold = threshold
        self.warm_start = warm_start
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.checkpoint_every = checkpoint_every
        self.n_workers = n_workers
        self.random_state = random_state
        self.verbose = verbose

    def fit(
        self, X: Samples, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Train on normal data.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``
            As for :meth:`deepsvdd.DeepSVDD.fit`.
        y : ignored
        sample_weight : array of shape (n,), optional
            As for :meth:`deepsvdd.DeepSVDD.fit`.

        Returns
        -------
        estimator
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data is unusable.
        TrainingDivergedError
            If the loss becomes NaN or infinite.
        """
        return self._fit_whole(X, None, sample_weight)

    def check_own(self) -> None:
        """Check the recipe's name, as not all are recipes for this method."""
        name = self.recipe.name if isinstance(self.recipe, Variant) else self.recipe
        if isinstance(name, str) and name not in RECIPES:
            raise ValueError(
                f"recipe must be a Recipe or one of {RECIPES} for {self.kind}; got "
                f"{name!r}"
            )

    def _recipe(self, n: int) -> Recipe:
        key = self.kind if len(self.input_shape_) == 3 else f"{self.kind} of vectors"
        return recipe_for(self.recipe, key, n, self.n_members)


class Transforming(Successor):
    """A successor that transforms its samples, and puts layers behind a network.

    Attributes
    ----------
    layers : callable
        Maps encoder, its width and transformations to φ.
    of_layers : tuple of str
        Parameters that it takes beside these.
    """

    required = ("network", "transformations", "recipe")
    lean = False
    layers: ClassVar[Callable[..., nn.Module]]
    of_layers: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        network: str | nn.Module = "auto",
        transformations: str = "auto",
        recipe: str | Recipe | Variant = "fast",
        *,
        widths: Sequence[int] | None = None,
        n_members: int = 1,
        preprocessing: str = "auto",
        contamination: float = 0.1,
        threshold: float | None = None,
        warm_start: bool = False,
        device: str = "auto",
        precision: str = "float32",
        checkpoint_dir: str | PathLike[str] | None = None,
        checkpoint_every: int = 10,
        n_workers: int = 2,
        random_state: int | np.random.RandomState | None = None,
        verbose: bool = False,
    ) -> None:
        super().__init__(
            network,
            recipe,
            widths=widths,
            n_members=n_members,
            preprocessing=preprocessing,
            contamination=contamination,
            threshold=threshold,
            warm_start=warm_start,
            device=device,
            precision=precision,
            checkpoint_dir=checkpoint_dir,
            checkpoint_every=checkpoint_every,
            n_workers=n_workers,
            random_state=random_state,
            verbose=verbose,
        )
        self.transformations = transformations

    def check_own(self) -> None:
        """Check the transformations' name, too."""
        super().check_own()
        names = ("auto", *SETS, LINEAR)
        valid = is_one_of(self.transformations, names)
        require("transformations", valid, f"one of {names}", self)

    def _check_shape(self) -> None:
        super()._check_shape()
        suited(self.transformations, self.input_shape_)

    @classmethod
    def around(
        cls,
        encoder: nn.Module,
        parameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        seed: int = 0,
    ) -> nn.Module:
        """Put transformations before a network, and the method's layers behind it."""
        width = width_of(encoder, input_shape)
        with drawing(encoder, seed):
            made = transformations_for(parameters["transformations"], input_shape)
            own = {name: parameters[name] for name in cls.of_layers}
            return cls.layers(encoder, width, made, **own)
