"""Which heat maps find defects: ``python -m benchmarks.heat_maps OUTPUT``.

Trains on one class of MNIST or Fashion-MNIST, plants a defect of known place into each
of 100 test images of that class, and measures by a pixel-wise AUC how well a heat map
tells the pixels that have changed from the others. The maps: FCDD's own; gradients and
occlusion of Deep SVDD, as magnitudes and signed; and controls that have learned
nothing: a random map, networks that were not trained, and the absolute differences to
the mean training image and to the nearest one. Also how well scores tell images with
defects from the same images without. Nothing is chosen by these numbers. Appends a line
a data set, class and seed to a file, and goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.lines import append, left, parser, read
from deepsvdd import FCDD, DeepSVDD, get_recipe, load_dataset, one_vs_rest
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import shortened
from deepsvdd.datasets.defects import KINDS, plant
from deepsvdd.reproduction.provenance import provenance

DATASETS = ("mnist", "fashion_mnist")
CLASSES = (1, 3, 8)
SEEDS = range(3)
N_TRAIN, N_IMAGES = 2000, 100

Images = NDArray[Any]  # (n, 1, 28, 28), or (n, 28, 28)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("heat_maps", __doc__)
    options.add_argument("--datasets", nargs="+", default=DATASETS)
    options.add_argument("--classes", type=int, nargs="+", default=CLASSES)
    options.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    options.add_argument("--n_train", type=int, default=N_TRAIN)
    given = options.parse_args(arguments)
    jobs = [
        {
            "dataset": dataset,
            "normal_class": label,
            "seed": seed,
            "n_train": given.n_train,
        }
        for dataset, seed, label in product(given.datasets, given.seeds, given.classes)
    ]
    origin = provenance(torch.device("cpu"))
    for job in tqdm(left(given.output, jobs), unit="class"):
        append(given.output, job | judged(**job) | {"provenance": origin})
    lines = read(given.output)
    for dataset in dict.fromkeys(line["dataset"] for line in lines):
        summarise(dataset, [line for line in lines if line["dataset"] == dataset])


def judged(dataset: str, normal_class: int, seed: int, n_train: int) -> dict[str, Any]:
    """Measure all maps, and the scores, on all kinds of defects."""
    split = one_vs_rest(load_dataset(dataset), normal_class)
    train = split.x_train[:n_train]
    whole = split.x_test[split.y_test == 0][:N_IMAGES]
    detectors = fitted(train, seed)
    pixels: dict[str, dict[str, float]] = {}
    scores: dict[str, dict[str, float]] = {}
    for index, kind in enumerate(KINDS):
        rng = np.random.default_rng([seed, normal_class, index])
        planted, masks = plant(whole, kind, rng)
        labels = masks.ravel().astype(int)
        for name, heat in maps(detectors, train, planted, rng).items():
            pixels.setdefault(name, {})[kind] = roc_auc(labels, heat.ravel())
        both = np.concatenate([whole, planted])
        odd = np.repeat([0, 1], len(whole))
        for name in ("FCDD", "Deep SVDD"):
            found = detectors[name].anomaly_score(both)
            scores.setdefault(name, {})[kind] = roc_auc(odd, found)
        away = difference(both, train.mean(axis=0)).reshape(len(both), -1).mean(axis=1)
        scores.setdefault("difference to the mean", {})[kind] = roc_auc(odd, away)
    return {"n_images": len(whole), "pixel_auc": pixels, "score_auc": scores}


def fitted(train: Images, seed: int) -> dict[str, Any]:
    """Train both networks, and build two that are not trained."""
    still = shortened(get_recipe("fast"), 0, 0)
    return {
        "FCDD": FCDD(random_state=seed).fit(train),
        "Deep SVDD": DeepSVDD(random_state=seed).fit(train),
        "untrained FCDD": FCDD(recipe=still, random_state=seed).fit(train),
        "untrained": DeepSVDD(recipe=still, random_state=seed).fit(train),
    }


def maps(
    detectors: dict[str, Any], train: Images, images: Images, rng: np.random.Generator
) -> dict[str, Images]:
    """Make all maps of some images."""
    svdd = detectors["Deep SVDD"]
    return {
        "FCDD": detectors["FCDD"].explain(images),
        "gradients": svdd.explain(images),
        "gradients, signed": svdd.explain(images, signed=True),
        "occlusion": svdd.explain(images, "occlusion"),
        "occlusion, signed": svdd.explain(images, "occlusion", signed=True),
        "FCDD, untrained": detectors["untrained FCDD"].explain(images),
        "gradients, untrained": detectors["untrained"].explain(images),
        "difference to the mean": difference(images, train.mean(axis=0)),
        "difference to the nearest": difference(images, nearest(images, train)),
        "random": rng.random(images.shape),
    }


def difference(images: Images, other: Images) -> Images:
    """Take the absolute difference of gray levels."""
    return np.abs(images.astype(np.float64) - other)


def nearest(images: Images, train: Images) -> Images:
    """Find the training image nearest to each image, pixel by pixel."""
    x, y = (torch.from_numpy(a.reshape(len(a), -1)).float() for a in (images, train))
    return train[torch.cdist(x, y).argmin(dim=1).numpy()]


def summarise(dataset: str, lines: list[dict[str, Any]]) -> None:
    """Print the mean over classes, and the deviation over seeds, of each map."""
    print(f"\n{dataset}: pixel-wise AUC in %,")
    print("mean over classes ± standard deviation over seeds")
    print(f"{'':26}" + "".join(f"{kind:>14}" for kind in KINDS))
    for name in lines[0]["pixel_auc"]:
        cells = []
        for kind in KINDS:
            by_seed = [
                np.mean(
                    [x["pixel_auc"][name][kind] for x in lines if x["seed"] == seed]
                )
                for seed in sorted({line["seed"] for line in lines})
            ]
            cells.append(f"{100 * np.mean(by_seed):.1f} ± {100 * np.std(by_seed):.1f}")
        print(f"{name:26}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
