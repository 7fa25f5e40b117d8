"""Settings of the later methods: ``python -m benchmarks.later EXPERIMENT OUTPUT``.

Their papers choose them, and the epoch that counts, by the AUC on test data. Here a
rule chooses that sees no label and no anomaly: it trains on normal images and asks how
well others of them, held out, are told from what is made of them by blending two, by
joining the halves of two, and by swapping the halves of one. It looks at training
images of Fashion-MNIST only; the choice then holds for all data sets.

Beside the rule's AUC stands that against the training images of the other classes,
which chooses nothing, to see what the rule is worth. A run appends a line to a file,
and goes on where it stopped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.lines import append, left, parser, read
from deepsvdd import load_dataset
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import FAST_LATER, Recipe
from deepsvdd.reproduction.provenance import provenance
from deepsvdd.successors.base import Successor
from deepsvdd.successors.classified import GEOM
from deepsvdd.successors.clustered import GOAD
from deepsvdd.successors.surrounded import DROCC, USUAL_GAPS

Array = NDArray[Any]
Job = dict[str, Any]

CLASSES = range(0, 10, 2)  # of Fashion-MNIST
OWN = ("network", "transformations", "step", "n_steps")  # parameters that differ
N_TRAIN, HELD_OUT, OTHERS = 2000, 1000, 1000


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("later", __doc__, EXPERIMENTS)
    options.add_argument("--classes", default=CLASSES, type=int, nargs="+", metavar="C")
    given = options.parse_args(arguments)
    cls, candidates = EXPERIMENTS[given.experiment]
    jobs = [
        {"method": cls.kind, "class": c} | job
        for c in given.classes
        for job in candidates()
    ]
    origin = provenance(torch.device("cpu"))
    for job in tqdm(left(given.output, jobs), unit="run"):
        append(given.output, job | run(cls, job) | {"provenance": origin})
    summarise([line for line in read(given.output) if line["method"] == cls.kind])


def recipe_of(lr: float, n_epochs: int) -> Recipe:
    """Change rate and epochs of the later methods' ``fast``."""
    phase = replace(FAST_LATER.training, lr=lr, n_epochs=n_epochs)
    return replace(FAST_LATER, training=phase)


def geom_jobs() -> Iterator[Job]:
    """Vary transformations, and how long to train: each epoch is 32 steps."""
    for transformations, n_epochs, lr in (
        ("rotations", 4, 1e-3),
        ("rotations", 12, 1e-3),
        ("rotations", 24, 1e-3),
        ("rotations", 12, 3e-3),
        ("rotations", 24, 3e-3),
        ("rotations", 12, 1e-2),
        ("rotations+flips", 12, 1e-3),
        ("rotations+shifts", 4, 1e-3),
    ):
        yield {"transformations": transformations, "n_epochs": n_epochs, "lr": lr}


def goad_jobs() -> Iterator[Job]:
    """Vary transformations and learning rate."""
    for transformations, n_epochs in (("rotations", 12), ("rotations+shifts", 4)):
        for lr in (1e-3, 3e-3):
            yield {"transformations": transformations, "n_epochs": n_epochs, "lr": lr}


def drocc_jobs() -> Iterator[Job]:
    """Vary the radius, in usual gaps, and length and number of the steps of ascent."""
    common = {"n_epochs": 12, "lr": 1e-3}
    for gaps in (0.5, 1, 2, 4):
        yield {"gaps": gaps, "step": 0.5, "n_steps": 0} | common
        yield {"gaps": gaps, "step": 0.05, "n_steps": 5} | common
    for gaps in (1, 2):
        yield {"gaps": gaps, "step": 0.5, "n_steps": 5} | common


EXPERIMENTS: dict[str, tuple[type[Successor], Any]] = {
    "geom": (GEOM, geom_jobs),
    "goad": (GOAD, goad_jobs),
    "drocc": (DROCC, drocc_jobs),
}


def run(cls: type[Successor], job: Job) -> dict[str, float]:
    """Train a detector, and judge it by held-out normal images."""
    data = load_dataset("fashion_mnist")
    own = data.x_train[data.y_train == job["class"]]
    order = np.random.default_rng(0).permutation(len(own))
    train, held_out = own[order[:N_TRAIN]], own[order[-HELD_OUT:]]
    others = data.x_train[data.y_train != job["class"]]
    others = np.random.default_rng(0).permutation(others)[:OTHERS]
    settings = {name: job[name] for name in OWN if name in job}
    if "gaps" in job:
        untrained = cls(recipe=recipe_of(job["lr"], 0), device="cpu").fit(train)
        settings["radius"] = job["gaps"] / USUAL_GAPS * untrained.radius_
    recipe = recipe_of(job["lr"], job["n_epochs"])
    detector = cls(recipe=recipe, random_state=0, device="cpu", **settings)
    start = time.process_time()
    detector.fit(train)
    seconds = time.process_time() - start
    normal = detector.anomaly_score(held_out)

    def auc(images: Array) -> float:
        scores = detector.anomaly_score(np.ascontiguousarray(images))
        labels = np.repeat([0, 1], [len(normal), len(scores)])
        return roc_auc(labels, np.concatenate([normal, scores]))

    made = {name: auc(make(held_out)) for name, make in MADE.items()}
    rule = {"rule": float(np.mean(list(made.values())))}
    return rule | made | {"others": auc(others), "cpu_seconds": seconds}


def blended(images: Array) -> Array:
    """Average each image (n, c, h, w) with the next one."""
    mean = (images.astype(float) + np.roll(images, 1, axis=0)) / 2
    return mean.round().astype(images.dtype)


def joined(images: Array) -> Array:
    """Put the right half of the next image beside each one's left half."""
    half = images.shape[3] // 2
    right = np.roll(images, 1, axis=0)[..., half:]
    return np.concatenate([images[..., :half], right], axis=3)


def swapped(images: Array) -> Array:
    """Swap the left and the right half of each image."""
    return np.roll(images, images.shape[3] // 2, axis=3)


MADE = {"blended": blended, "joined": joined, "swapped": swapped}


def summarise(lines: list[dict[str, Any]]) -> None:
    """Print a row for each candidate; the star is the rule's choice."""
    keys = ("rule", *MADE, "others", "cpu_seconds")
    named = ("method", "class", "provenance", *keys)
    rows: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        name = ", ".join(f"{k} {v}" for k, v in line.items() if k not in named)
        rows.setdefault(name, []).append(line)
    means = {
        name: [float(np.mean([line[key] for line in own])) for key in keys]
        for name, own in rows.items()
    }
    best = max(means, key=lambda name: means[name][0], default=None)
    print(f"{len({line['class'] for line in lines})} classes; AUC in %, mean over them")
    print(f"{'':58}{'rule':>8}" + "".join(f"{key:>9}" for key in keys[1:]))
    for name, (*aucs, seconds) in means.items():
        figures = f"{100 * aucs[0]:8.1f}" + "".join(f"{100 * a:9.1f}" for a in aucs[1:])
        print(f"{name:57}{'*' if name == best else ' '}{figures}{seconds:9.1f}")


if __name__ == "__main__":
    main()
