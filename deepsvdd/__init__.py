"""Deep SVDD: deep one-class classification, to learn, teach and use.

The names in this module are the public interface, and are kept. They load on first use,
so that ``import deepsvdd`` is instant: torch, scikit-learn, torchvision and matplotlib
stay out until something needs them.

The code behind them is in rooms, the lowest first: each imports only from itself and
from rooms that stand before it in this table. ``_engine`` is a part of ``core``.

============== =====================================================================
room           holds
============== =====================================================================
errors, files, what everything stands on: this package's errors, safe writing of
version        files, the version
datasets       data sets, images, traffic signs, a pavement; the bundled MNIST
core           the method, to be read: preprocessing, networks, objectives, recipes,
               the loop, training, metrics, estimators, model files, plots
core/_engine   what makes it fast: feeds, devices, processes, stacks, checkpoints
successors     later methods: GEOM, GOAD, DROCC, HSC, frozen features; any model file
reproduction   the paper's tables: sweeps, baselines, results, reports
adversarial    the paper's stop signs: classifier, attacks, experiment
cli            the command ``deepsvdd``, a module a subcommand
course         the command ``deepsvdd-course``: assignments, grading, quizzes
============== =====================================================================
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepsvdd.version import __version__ as __version__

if TYPE_CHECKING:
    from deepsvdd.core._engine.distributed import process_group as process_group
    from deepsvdd.core.architecture import check_architecture as check_architecture
    from deepsvdd.core.deep_sad import DeepSAD as DeepSAD
    from deepsvdd.core.estimator import DeepSVDD as DeepSVDD
    from deepsvdd.core.fcdd import FCDD as FCDD
    from deepsvdd.core.loop import optimise as optimise
    from deepsvdd.core.networks import Autoencoder as Autoencoder
    from deepsvdd.core.networks import build_autoencoder as build_autoencoder
    from deepsvdd.core.preprocessing import Preprocessor as Preprocessor
    from deepsvdd.core.preprocessing import (
        global_contrast_normalization as global_contrast_normalization,
    )
    from deepsvdd.core.pretraining import pretrain_autoencoder as pretrain_autoencoder
    from deepsvdd.core.pretraining import pretrain_autoencoders as pretrain_autoencoders
    from deepsvdd.core.recipes import Phase as Phase
    from deepsvdd.core.recipes import Recipe as Recipe
    from deepsvdd.core.recipes import get_recipe as get_recipe
    from deepsvdd.core.representations import represent as represent
    from deepsvdd.core.training import Hypersphere as Hypersphere
    from deepsvdd.core.training import train_hypersphere as train_hypersphere
    from deepsvdd.core.training import train_hyperspheres as train_hyperspheres
    from deepsvdd.datasets.images import ImageArray as ImageArray
    from deepsvdd.datasets.images import ImageFolder as ImageFolder
    from deepsvdd.datasets.images import read_image as read_image
    from deepsvdd.datasets.loading import load_dataset as load_dataset
    from deepsvdd.datasets.splits import Dataset as Dataset
    from deepsvdd.datasets.splits import Split as Split
    from deepsvdd.datasets.splits import one_vs_rest as one_vs_rest
    from deepsvdd.errors import ArchitectureError as ArchitectureError
    from deepsvdd.errors import CollapseWarning as CollapseWarning
    from deepsvdd.errors import DataUnavailableError as DataUnavailableError
    from deepsvdd.errors import FewSamplesWarning as FewSamplesWarning
    from deepsvdd.errors import ModelFileError as ModelFileError
    from deepsvdd.errors import NotCalibratedError as NotCalibratedError
    from deepsvdd.errors import OverlapWarning as OverlapWarning
    from deepsvdd.errors import ProcessLostError as ProcessLostError
    from deepsvdd.errors import TrainingDivergedError as TrainingDivergedError
    from deepsvdd.errors import UnreadableImageError as UnreadableImageError
    from deepsvdd.errors import UnscorableError as UnscorableError
    from deepsvdd.successors.classified import GEOM as GEOM
    from deepsvdd.successors.clustered import GOAD as GOAD
    from deepsvdd.successors.exposed import HSC as HSC
    from deepsvdd.successors.frozen import FrozenFeatures as FrozenFeatures
    from deepsvdd.successors.saved import load_detector as load_detector
    from deepsvdd.successors.surrounded import DROCC as DROCC

_HOMES = {
    "ArchitectureError": "errors",
    "Autoencoder": "core.networks",
    "CollapseWarning": "errors",
    "DROCC": "successors.surrounded",
    "DataUnavailableError": "errors",
    "Dataset": "datasets.splits",
    "DeepSAD": "core.deep_sad",
    "DeepSVDD": "core.estimator",
    "FCDD": "core.fcdd",
    "FewSamplesWarning": "errors",
    "FrozenFeatures": "successors.frozen",
    "GEOM": "successors.classified",
    "GOAD": "successors.clustered",
    "HSC": "successors.exposed",
    "Hypersphere": "core.training",
    "ImageArray": "datasets.images",
    "ImageFolder": "datasets.images",
    "ModelFileError": "errors",
    "NotCalibratedError": "errors",
    "OverlapWarning": "errors",
    "Phase": "core.recipes",
    "Preprocessor": "core.preprocessing",
    "ProcessLostError": "errors",
    "Recipe": "core.recipes",
    "Split": "datasets.splits",
    "TrainingDivergedError": "errors",
    "UnreadableImageError": "errors",
    "UnscorableError": "errors",
    "build_autoencoder": "core.networks",
    "check_architecture": "core.architecture",
    "get_recipe": "core.recipes",
    "global_contrast_normalization": "core.preprocessing",
    "load_dataset": "datasets.loading",
    "load_detector": "successors.saved",
    "one_vs_rest": "datasets.splits",
    "pretrain_autoencoder": "core.pretraining",
    "pretrain_autoencoders": "core.pretraining",
    "process_group": "core._engine.distributed",
    "optimise": "core.loop",
    "read_image": "datasets.images",
    "represent": "core.representations",
    "train_hypersphere": "core.training",
    "train_hyperspheres": "core.training",
}
__all__ = sorted(_HOMES)
# Modules to be read, and used, under a short name: ``from deepsvdd import metrics``.
_MODULES = {
    name: f"core.{name}"
    for name in (
        *("preprocessing", "networks", "objectives", "recipes", "training"),
        *("metrics", "evaluation", "estimator", "conformal", "plots"),
    )
}
_ROOMS = ("datasets", "core", "successors", "reproduction", "adversarial")


def __getattr__(name: str) -> Any:
    """Import a public name, a module or a room when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"deepsvdd.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"deepsvdd.{_MODULES[name]}")
    if name in _ROOMS:
        return import_module(f"deepsvdd.{name}")
    raise AttributeError(f"module 'deepsvdd' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what there is, loaded or not."""
    return sorted([*_HOMES, *_MODULES, *_ROOMS, "__version__"])
