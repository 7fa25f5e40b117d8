"""Deep SVDD: deep one-class classification, to learn, teach and use.

Names load on first use, so that ``import deepsvdd`` is instant: torch, scikit-learn,
torchvision and matplotlib stay out until something needs them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from deepsvdd.version import __version__ as __version__

if TYPE_CHECKING:
    from deepsvdd.datasets import Dataset as Dataset
    from deepsvdd.datasets import Split as Split
    from deepsvdd.datasets import load_dataset as load_dataset
    from deepsvdd.datasets import one_vs_rest as one_vs_rest
    from deepsvdd.errors import ArchitectureError as ArchitectureError
    from deepsvdd.errors import CollapseWarning as CollapseWarning
    from deepsvdd.errors import DataUnavailableError as DataUnavailableError
    from deepsvdd.errors import ModelFileError as ModelFileError
    from deepsvdd.errors import ProcessLostError as ProcessLostError
    from deepsvdd.errors import TrainingDivergedError as TrainingDivergedError
    from deepsvdd.estimator import DeepSVDD as DeepSVDD
    from deepsvdd.images import ImageArray as ImageArray
    from deepsvdd.images import ImageFolder as ImageFolder
    from deepsvdd.networks import Autoencoder as Autoencoder
    from deepsvdd.networks import build_autoencoder as build_autoencoder
    from deepsvdd.networks import check_architecture as check_architecture
    from deepsvdd.preprocessing import Preprocessor as Preprocessor
    from deepsvdd.preprocessing import (
        global_contrast_normalization as global_contrast_normalization,
    )
    from deepsvdd.recipes import Phase as Phase
    from deepsvdd.recipes import Recipe as Recipe
    from deepsvdd.recipes import get_recipe as get_recipe
    from deepsvdd.training import Hypersphere as Hypersphere
    from deepsvdd.training import pretrain_autoencoder as pretrain_autoencoder
    from deepsvdd.training import pretrain_autoencoders as pretrain_autoencoders
    from deepsvdd.training import represent as represent
    from deepsvdd.training import train_hypersphere as train_hypersphere
    from deepsvdd.training import train_hyperspheres as train_hyperspheres

_HOMES = {
    "ArchitectureError": "errors",
    "Autoencoder": "networks",
    "CollapseWarning": "errors",
    "DataUnavailableError": "errors",
    "Dataset": "datasets",
    "DeepSVDD": "estimator",
    "Hypersphere": "training",
    "ImageArray": "images",
    "ImageFolder": "images",
    "ModelFileError": "errors",
    "Phase": "recipes",
    "Preprocessor": "preprocessing",
    "ProcessLostError": "errors",
    "Recipe": "recipes",
    "Split": "datasets",
    "TrainingDivergedError": "errors",
    "build_autoencoder": "networks",
    "check_architecture": "networks",
    "get_recipe": "recipes",
    "global_contrast_normalization": "preprocessing",
    "load_dataset": "datasets",
    "one_vs_rest": "datasets",
    "pretrain_autoencoder": "training",
    "pretrain_autoencoders": "training",
    "represent": "training",
    "train_hypersphere": "training",
    "train_hyperspheres": "training",
}
__all__ = sorted(_HOMES)
_MODULES = {
    *_HOMES.values(),
    *("distributed", "experiments", "feeds", "metrics", "objectives", "plots"),
}


def __getattr__(name: str) -> Any:
    """Import a public name, or a module, when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f"deepsvdd.{_HOMES[name]}"), name)
    if name in _MODULES:
        return import_module(f"deepsvdd.{name}")
    raise AttributeError(f"module 'deepsvdd' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List what there is, loaded or not."""
    return sorted([*_HOMES, *_MODULES, "__version__"])
