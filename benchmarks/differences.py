"""Which difference between the paper's code and its port moves the AUC?

``python -m benchmarks.differences --help``. One-class Deep SVDD on MNIST, with one
choice of the authors' Theano code at a time, or with all of them; or with the port's λ.
The test AUC is the very question here; no recipe is chosen by it. A line is appended
for each run, and the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from deepsvdd import build_autoencoder, get_recipe, load_dataset, one_vs_rest
from deepsvdd.core._engine.devices import channels_last
from deepsvdd.core._engine.dictionaries import begin
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.networks import Autoencoder
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.core.pretraining import pretrain_autoencoder
from deepsvdd.core.recipes import Phase, Recipe
from deepsvdd.core.training import train_hypersphere
from deepsvdd.reproduction.provenance import provenance
from deepsvdd.reproduction.results import Line, ResultsFile, key_of

# What the Theano code does where the port, and this package, do otherwise.
CHOICES = {
    "dictionary": "filters of the first layer begin as a dictionary of patches",
    "glorot": "other weights begin by Glorot's rule",
    "norms": "batch normalisation learns a scale and a shift",
    "batches": "images that do not fill a last batch are left out",
    "pretraining": "constant rate and twice the weight decay in pretraining",
}
VARIANTS = {name: (name,) for name in (*CHOICES, "lambda")} | {"all": tuple(CHOICES)}


def main(arguments: Sequence[str] | None = None) -> None:
    described = CHOICES | {"all": "all of these", "lambda": "the port's weight decay"}
    lines = [f"  {name:12} {text}" for name, text in described.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.differences",
        description=__doc__,
        epilog="\n".join(["variants:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("output", type=Path, help="file of JSON lines, appended to")
    parser.add_argument("variants", nargs="+", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--recipe", choices=("fast", "paper"), default="fast")
    parser.add_argument("--digits", default=range(10), type=int, nargs="+", metavar="D")
    parser.add_argument("--seeds", default=range(3), type=int, nargs="+", metavar="S")
    options = parser.parse_args(arguments)
    origin = provenance(torch.device("cpu"))
    jobs = list(product(options.variants, options.seeds, options.digits))
    with ResultsFile(options.output) as file:
        done = {key_of(line) for line in file.lines}
        for variant, seed, digit in tqdm(jobs, unit="run"):
            line = {
                "dataset": "mnist",
                "normal_class": digit,
                "method": "one-class",
                "recipe": f"{options.recipe} + {variant}",
                "seed": seed,
            }
            if key_of(line) in done:
                continue
            recipe = get_recipe(options.recipe, "mnist_LeNet")
            line |= run(digit, recipe, VARIANTS[variant], seed)
            file.append(line | {"provenance": origin})


def run(digit: int, recipe: Recipe, choices: Collection[str], seed: int) -> Line:
    """Train one network with some of the choices, and test it."""
    split = one_vs_rest(load_dataset("mnist"), digit)
    images = torch.tensor(split.x_train)
    size = recipe.training.batch_size
    if "batches" in choices:
        order = np.random.default_rng(seed).permutation(len(images))
        images = images[order[: len(images) // size * size]]
    preprocessor = Preprocessor.fit(images, "gcn_l1")
    x = channels_last(preprocessor(images))
    x_test = channels_last(preprocessor(torch.tensor(split.x_test)))
    if "pretraining" in choices:
        phase = replace(recipe.pretraining, lr_milestones=(), weight_decay=1e-3)
        recipe = replace(recipe, pretraining=phase)
    if "lambda" in choices:
        phase = replace(recipe.training, weight_decay=recipe.training.weight_decay / 2)
        recipe = replace(recipe, training=phase)

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        autoencoder = build_autoencoder("mnist_LeNet", (1, 28, 28))
        if "glorot" in choices:
            glorot_(autoencoder)
    if "norms" in choices:
        learn_norms_(autoencoder)
    autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if "dictionary" in choices:
        begin(autoencoder.encoder, "dictionary", InMemory(x), seed)

    def auc(recipe: Recipe) -> tuple[float, Any]:
        sphere = train_hypersphere(autoencoder.encoder, x, recipe, seed=seed)
        scores = sphere.squared_distances(x_test)
        return roc_auc(split.y_test, scores.numpy()), sphere

    untrained, _ = auc(Recipe(training=Phase(n_epochs=0)))
    pretrain_autoencoder(autoencoder, x, recipe.pretraining, seed=seed)
    trained, sphere = auc(recipe)
    return {
        "auc": trained,
        "untrained_auc": untrained,
        "collapsed": sphere.collapsed,
        "n_train": len(x),
        "epochs": [recipe.pretraining.n_epochs, recipe.training.n_epochs],
    }


def glorot_(autoencoder: Autoencoder) -> None:
    """Draw the weights as the Theano code does: a gain in convolutions only."""
    for module in autoencoder.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            gain = nn.init.calculate_gain("leaky_relu", 0.01)
            nn.init.xavier_uniform_(module.weight, gain)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)


class LearnedNorm(nn.BatchNorm2d):
    """Batch normalization with scale and shift, then perhaps 2×2 max-pooling."""

    fused = False

    def __init__(self, norm: Any) -> None:
        super().__init__(norm.num_features, eps=norm.eps)
        self.pool = norm.pool

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return F.max_pool2d(x, 2) if self.pool else x


def learn_norms_(autoencoder: Autoencoder) -> None:
    """Let the normalizations of both halves learn a scale and a shift.

    The shift is a bias term (Proposition 2), which the paper's text rules out.
    """
    halves: list[Any] = [autoencoder.encoder, autoencoder.decoder]
    for half in halves:
        half.norms = nn.ModuleList(LearnedNorm(norm) for norm in half.norms)


if __name__ == "__main__":
    main()
