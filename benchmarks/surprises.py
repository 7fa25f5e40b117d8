"""What one would guess, and what is: ``python -m benchmarks.surprises OUTPUT``.

Measures on the genuine data sets what the appendix *Surprises* tells: ``copies``, the
nearest pairs of CIFAR-10's test and training images, as they are and mirrored, and what
the AUC is without them; ``cues``, how far one number an image goes, as brightness or
the size of its file; ``extrema``, on how few images the scale of a class hangs, and
``trimmed``, what training without these does. Nothing here is chosen: all is reported.
Appends a line a measurement to a file, and goes on where it stopped.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from benchmarks.lines import append, left, parser
from deepsvdd import (
    Dataset,
    DeepSVDD,
    Preprocessor,
    get_recipe,
    global_contrast_normalization,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import shortened
from deepsvdd.reproduction.provenance import provenance

DATASETS = ("mnist", "fashion_mnist", "cifar10")
CLASSES = range(10)
CHUNK = 500  # test images at a time against all training images
LIMITS = (8, 16, 20)  # gray levels, root mean square
WAYS = ("plain", "mirrored", "either")
EXTREME = 5  # images that are left out
SEEDS = range(2)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("surprises", __doc__)
    options.add_argument(
        "--only", choices=PARTS, nargs="+", default=list(PARTS), help="default: all"
    )
    given = options.parse_args(arguments)
    jobs = [{"part": part} | job for part in given.only for job in PARTS[part][0]()]
    origin = provenance(torch.device("cpu"))
    for job in tqdm(left(given.output, jobs), unit="measurement"):
        settings = {key: value for key, value in job.items() if key != "part"}
        found = PARTS[job["part"]][1](**settings)
        append(given.output, job | found | {"provenance": origin})


@cache
def data(name: str) -> Dataset:
    return load_dataset(name)


def flat(images: NDArray[np.uint8]) -> Tensor:
    """Bring images (n, c, h, w) to rows (n, c·h·w), in single precision."""
    return torch.tensor(images).flatten(1).float()


# ---------------------------------------------------------------------------- distance


def nearest(x: Tensor, training: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Find each row's nearest training row of each class.

    Parameters
    ----------
    x : Tensor of shape (m, d)
    training : Tensor of shape (n, d)
    labels : Tensor of shape (n,), 0 to 9

    Returns
    -------
    Tensors of shape (m, 10)
        Euclidean distances, and the training rows' numbers.
    """
    squares = training.square().sum(dim=1)
    of_class = [torch.nonzero(labels == k).squeeze(1) for k in CLASSES]
    normal = [training[own].T for own in of_class]
    distances, rows = [], []
    for part in x.split(CHUNK):
        found = [
            (squares[own] - 2 * part @ x_k).min(dim=1)
            for own, x_k in zip(of_class, normal, strict=True)
        ]
        d2 = torch.stack([f.values for f in found], dim=1)
        distances.append((d2 + part.square().sum(dim=1, keepdim=True)).clamp(min=0))
        numbers = zip(of_class, found, strict=True)
        rows.append(torch.stack([own[f.indices] for own, f in numbers], dim=1))
    return torch.cat(distances).sqrt(), torch.cat(rows)


@cache
def photographs(mirrored: bool) -> tuple[Tensor, Tensor]:
    """Find the nearest training images of CIFAR-10's test images, or of their mirrors.

    Returns
    -------
    Tensors of shape (10,000, 10)
        Root mean squares over pixels and channels, in gray levels, and numbers of
        training images.
    """
    set_ = data("cifar10")
    test = set_.x_test[..., ::-1] if mirrored else set_.x_test
    training = flat(set_.x_train)
    labels = torch.tensor(set_.y_train)
    distances, rows = nearest(flat(test.copy()), training, labels)
    return distances / training.shape[1] ** 0.5, rows


def exact(test: int, training: int, mirrored: bool) -> float:
    """Return one root mean square in whole numbers, free of rounding."""
    set_ = data("cifar10")
    image = set_.x_test[test][..., ::-1] if mirrored else set_.x_test[test]
    difference = image.astype(int) - set_.x_train[training].astype(int)
    return float(np.square(difference).mean() ** 0.5)


def copies_jobs() -> Iterator[dict[str, Any]]:
    yield from ({"way": way} for way in WAYS[:2])


def copies(way: str) -> dict[str, Any]:
    """List the pairs within the widest limit, the nearest first."""
    set_, mirrored = data("cifar10"), way == "mirrored"
    distances, rows = photographs(mirrored)
    pairs = []
    for test in torch.nonzero(distances.amin(dim=1) < max(LIMITS) + 0.1).flatten():
        i, j = int(test), int(rows[test, distances[test].argmin()])
        classes = set_.classes[set_.y_test[i]], set_.classes[set_.y_train[j]]
        pairs.append([round(exact(i, j, mirrored), 3), i, j, *classes])
    return {"pairs": sorted(p for p in pairs if p[0] <= max(LIMITS))}


def dropped_jobs() -> Iterator[dict[str, Any]]:
    yield from ({"way": w, "within": limit} for w, limit in product(WAYS, LIMITS))


def dropped(way: str, within: int) -> dict[str, Any]:
    """Score by the nearest training image; leave out test images that have a copy."""
    plain, mirrored = photographs(False)[0], photographs(True)[0]
    distances = {
        "plain": plain,
        "mirrored": mirrored,
        "either": plain.minimum(mirrored),
    }[way]
    kept = (distances.amin(dim=1) > within).numpy()
    y, scores = data("cifar10").y_test, plain.numpy()
    return {
        "left_out_images": int((~kept).sum()),
        "auc": [roc_auc(y != k, scores[:, k]) for k in CLASSES],
        "auc_without": [roc_auc(y[kept] != k, scores[kept][:, k]) for k in CLASSES],
    }


# -------------------------------------------------------------------------------- cues


def brightness(images: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean of each image (n,)."""
    return images.mean(axis=(1, 2, 3), dtype=np.float64)


def file_sizes(images: NDArray[np.uint8], kind: str) -> NDArray[np.float64]:
    """Return each image's bytes (n,) as a PNG, or as a JPEG of quality 75."""
    sizes = []
    for image in images.transpose(0, 2, 3, 1):
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze()).save(buffer, kind)
        sizes.append(buffer.tell())
    return np.array(sizes, float)


png, jpeg = (partial(file_sizes, kind=kind) for kind in ("PNG", "JPEG"))


def normalized(x: NDArray[np.uint8], normal: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Bring images to bytes as Deep SVDD sees them, on the scale of the normal ones."""
    preprocessor = Preprocessor.fit(torch.tensor(normal), "gcn_l1")
    scaled = preprocessor(torch.tensor(x)).clamp(0, 1)
    return (255 * scaled).round().to(torch.uint8).numpy()


def of_one_number(
    measure: Callable[[NDArray[Any]], NDArray[np.float64]], two_sided: bool = False
) -> Callable[[Dataset], list[float]]:
    """Score by a number, or by how far it is from the normal training images' mean."""

    def aucs(set_: Dataset) -> list[float]:
        values, of_training = measure(set_.x_test), measure(set_.x_train)
        found = []
        for k in CLASSES:
            center = of_training[set_.y_train == k].mean()
            score = np.abs(values - center) if two_sided else values
            found.append(roc_auc(set_.y_test != k, score))
        return found

    return aucs


def of_nearest(
    prepare: Callable[[Tensor], Tensor],
) -> Callable[[Dataset], list[float]]:
    """Score by the distance to the nearest normal training image."""

    def aucs(set_: Dataset) -> list[float]:
        x, training = (
            prepare(torch.tensor(images).float()).flatten(1)
            for images in (set_.x_test, set_.x_train)
        )
        labels = torch.tensor(set_.y_train)
        scores = nearest(x, training, labels)[0].numpy()
        return [roc_auc(set_.y_test != k, scores[:, k]) for k in CLASSES]

    return aucs


def jpeg_after_gcn(set_: Dataset) -> list[float]:
    """Score by the bytes of a JPEG of the image after contrast normalization."""
    found = []
    for k in CLASSES:
        images = normalized(set_.x_test, set_.x_train[set_.y_train == k])
        found.append(roc_auc(set_.y_test != k, jpeg(images)))
    return found


CUES: dict[str, Callable[[Dataset], list[float]]] = {
    "brightness": of_one_number(brightness),
    "brightness, two-sided": of_one_number(brightness, two_sided=True),
    "PNG bytes": of_one_number(png),
    "PNG bytes, two-sided": of_one_number(png, two_sided=True),
    "JPEG bytes": of_one_number(jpeg),
    "JPEG bytes after GCN": jpeg_after_gcn,
    "nearest image": of_nearest(lambda x: x),
    "nearest image after GCN": of_nearest(global_contrast_normalization),
}


def cues_jobs() -> Iterator[dict[str, Any]]:
    yield from ({"dataset": d, "cue": cue} for d, cue in product(DATASETS, CUES))


def cues(dataset: str, cue: str) -> dict[str, Any]:
    """Return ten AUCs; a number's are those of "the larger, the more anomalous"."""
    return {"auc": CUES[cue](data(dataset))}


# ----------------------------------------------------------------------------- extrema


def extremes(normal: NDArray[np.uint8]) -> tuple[Tensor, Tensor, NDArray[np.int64]]:
    """Return the minimum and the maximum of each image after GCN, and who is extreme.

    The last is the images' numbers (n,), the most extreme first: one after the other,
    whichever shortens the span most.
    """
    x = global_contrast_normalization(torch.tensor(normal))
    low, high = x.flatten(1).aminmax(dim=1)
    kept, order = np.arange(len(normal)), []
    for _ in range(EXTREME):
        lows, highs = low[kept].sort().values, high[kept].sort().values
        from_below = lows[1] - lows[0] > highs[-1] - highs[-2]
        worst = low[kept].argmin() if from_below else high[kept].argmax()
        order.append(kept[worst])
        kept = np.delete(kept, worst)
    return low, high, np.r_[order, kept]


def extrema_jobs() -> Iterator[dict[str, Any]]:
    for dataset, k in product(("mnist", "cifar10"), CLASSES):
        yield {"dataset": dataset, "normal_class": k}


def extrema(dataset: str, normal_class: int) -> dict[str, Any]:
    """Return the scale of a class with all of its images, and without the extreme."""
    set_ = data(dataset)
    low, high, order = extremes(set_.x_train[set_.y_train == normal_class])
    rest = order[EXTREME:]
    return {
        "all": [float(low.min()), float(high.max())],
        "rest": [float(low[rest].min()), float(high[rest].max())],
    }


def trimmed_jobs() -> Iterator[dict[str, Any]]:
    for seed, left_out in product(SEEDS, (0, EXTREME)):
        yield {"normal_class": 2, "left_out": left_out, "seed": seed}


def trimmed(normal_class: int, left_out: int, seed: int) -> dict[str, Any]:
    """Train Deep SVDD on CIFAR-10 with, and without, the extreme images."""
    split = one_vs_rest(data("cifar10"), normal_class)
    order = np.sort(extremes(split.x_train)[2][left_out:])
    recipe = shortened(get_recipe("fast", "cifar10_LeNet"), 7, 7)
    detector = DeepSVDD(recipe=recipe, random_state=seed, device="cpu")
    detector.fit(split.x_train[order])
    return {"auc": roc_auc(split.y_test, detector.anomaly_score(split.x_test))}


PARTS: dict[str, tuple[Callable[[], Iterator[dict[str, Any]]], Callable[..., Any]]] = {
    "copies": (copies_jobs, copies),
    "without copies": (dropped_jobs, dropped),
    "cues": (cues_jobs, cues),
    "extrema": (extrema_jobs, extrema),
    "trimmed": (trimmed_jobs, trimmed),
}


if __name__ == "__main__":
    main()
