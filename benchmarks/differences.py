"""What the paper's code does differently, one thing at a time, and what that changes.

``python -m benchmarks.differences FILE`` trains one-class Deep SVDD on MNIST with the
recipe ``paper`` and with variants of it that follow the authors' Theano code, appends a
line a run to FILE, and goes on where it stopped. A diagnosis, not a search: nothing in
the package is chosen by it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.feature_extraction.image import PatchExtractor
from torch import Tensor, nn
from tqdm import tqdm

from deepsvdd import get_recipe, load_dataset, one_vs_rest
from deepsvdd.experiments import provenance
from deepsvdd.feeds import InMemory
from deepsvdd.metrics import roc_auc
from deepsvdd.networks import Autoencoder, build_autoencoder
from deepsvdd.preprocessing import Preprocessor
from deepsvdd.recipes import Recipe
from deepsvdd.results import ResultsFile
from deepsvdd.training import pretrain_autoencoders, train_hyperspheres

NETWORK = "mnist_LeNet"


def glorot(autoencoder: Autoencoder, images: Tensor) -> None:
    """Draw weights by Glorot's uniform rule, as Lasagne does."""
    for module in autoencoder.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.xavier_uniform_(module.weight, nn.init.calculate_gain("leaky_relu"))
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)


def dictionary(autoencoder: Autoencoder, images: Tensor) -> None:
    """Begin with a dictionary of image patches as the first layer's filters."""
    filters = autoencoder.encoder.convs[0].weight
    seed = int(torch.randint(2**31, ()))
    some = images[torch.randperm(len(images))[:500], 0].numpy()
    patches = PatchExtractor(patch_size=filters.shape[2:]).transform(some)
    patches = patches.reshape(len(patches), -1)
    patches = (patches - patches.mean(axis=0)) / patches.std(axis=0)
    learner = MiniBatchDictionaryLearning(
        len(filters), alpha=1, max_iter=1, batch_size=10, random_state=seed
    )
    # The authors' 1,000 steps of ten patches.
    rows = np.random.default_rng(seed).integers(len(patches), size=(1000, 10))
    for batch in rows:
        learner.partial_fit(patches[batch])
    with torch.no_grad():
        filters.copy_(torch.tensor(learner.components_).view_as(filters))


class AffineNorm(nn.BatchNorm2d):
    """Batch normalisation with Lasagne's learned scale and shift, then pooling."""

    fused = False

    def __init__(self, channels: int, pool: bool) -> None:
        super().__init__(channels, eps=1e-4)
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return F.max_pool2d(x, 2) if self.pool else x


def affine(autoencoder: Autoencoder, images: Tensor) -> None:
    """Let batch normalisation learn a scale and a shift, which is a bias term."""
    for half in (autoencoder.encoder, autoencoder.decoder):
        half.norms = nn.ModuleList(
            AffineNorm(norm.num_features, norm.pool) for norm in half.norms
        )


def constant_rate(recipe: Recipe) -> Recipe:
    """Pretrain at 1e-4 to the end."""
    return replace(recipe, pretraining=replace(recipe.pretraining, lr_milestones=()))


Change = Callable[[Autoencoder, Tensor], None]
VARIANTS: dict[str, tuple[bool, tuple[Change, ...]]] = {  # constant rate, changes
    "paper": (False, ()),
    "all": (True, (glorot, dictionary, affine)),
    "constant rate": (True, ()),
    "initial weights": (False, (glorot, dictionary)),
    "affine norm": (False, (affine,)),
}


def run(variant: str, digit: int, seed: int) -> dict[str, float]:
    """Pretrain, train and test one network."""
    constant, changes = VARIANTS[variant]
    recipe = get_recipe("paper", NETWORK)
    if constant:
        recipe = constant_rate(recipe)
    split = one_vs_rest(load_dataset("mnist"), digit)
    images = torch.tensor(split.x_train)
    preprocessor = Preprocessor.fit(images, "gcn_l1")
    x = preprocessor(images).contiguous(memory_format=torch.channels_last)
    x_test = preprocessor(torch.tensor(split.x_test))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = build_autoencoder(NETWORK, split.x_train.shape[1:])
        for change in changes:
            change(autoencoder, x)
    autoencoder = autoencoder.to(memory_format=torch.channels_last)
    pretrain_autoencoders([autoencoder], x, recipe.pretraining, seeds=(seed,))
    (sphere,) = train_hyperspheres(
        [autoencoder.encoder], InMemory(x), recipe, seeds=(seed,)
    )
    auc = roc_auc(split.y_test, sphere.squared_distances(x_test))
    if not math.isfinite(auc):
        raise ValueError(f"auc must be finite; got {auc}")
    return {"auc": auc}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.differences",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, help="file of JSON lines, appended to")
    numbers: dict[str, Any] = {"type": int, "nargs": "+"}
    parser.add_argument("--digits", default=range(10), metavar="D", **numbers)
    parser.add_argument("--seeds", default=(0,), metavar="S", **numbers)
    parser.add_argument("--variants", default=tuple(VARIANTS), nargs="+")
    options = parser.parse_args(arguments)
    origin = provenance(torch.device("cpu"))
    with ResultsFile(options.output) as file:
        done = {(li["recipe"], li["normal_class"], li["seed"]) for li in file.lines}
        grid = product(options.seeds, options.variants, options.digits)
        todo = [
            (variant, digit, seed)
            for seed, variant, digit in grid
            if (recipe_name(variant), digit, seed) not in done
        ]
        for variant, digit, seed in tqdm(todo, unit="run"):
            line: dict[str, Any] = {
                "dataset": "mnist",
                "normal_class": digit,
                "method": "one-class",
                "recipe": recipe_name(variant),
                "seed": seed,
            }
            file.append(line | run(variant, digit, seed) | {"provenance": origin})
        for variant in options.variants:
            values = [
                100 * line["auc"]
                for line in file.lines
                if line["recipe"] == recipe_name(variant)
            ]
            if values:
                print(f"{variant:16}{np.mean(values):6.1f} %  ({len(values)} runs)")


def recipe_name(variant: str) -> str:
    """Write what a line's ``recipe`` says."""
    return "paper" if variant == "paper" else f"paper, {variant}"


if __name__ == "__main__":
    main()
