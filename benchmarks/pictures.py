"""Pictures of more than 64 pixels: ``python -m benchmarks.pictures --help``.

``memory`` measures what a fit takes at 64, 128 and 256 pixels. ``defects`` asks whether
Deep SVDD finds small defects in textures, beside what a few lines find: in photographs
that come with scikit-image (``pip install scikit-image``), 200 crops of one as normal
data; to be found are crops of a part not trained on with a scratch or a blotch, and
crops of the other photographs. Settings were fixed before the first test AUC was seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.neighbors import NearestNeighbors

from benchmarks.comparisons import in_process
from deepsvdd import DeepSVDD, Phase, Recipe, get_recipe
from deepsvdd.core.metrics import roc_auc
from deepsvdd.reproduction.provenance import peak_memory

TEXTURES = ("brick", "grass", "gravel")
SIDE, N_TRAIN, N_TEST = 128, 200, 100
STRENGTH = 60  # of a defect, gray levels of 255
Pictures = NDArray[np.uint8]  # (n, 1, h, w)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pictures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", choices=("memory", "defects"))
    parser.add_argument("--texture", choices=TEXTURES, nargs="+", default=TEXTURES)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    options = parser.parse_args(arguments)
    if options.experiment == "memory":
        print_memory()
        return
    for name in options.texture:
        print_defects(name, options.seeds)


# ----------------------------------------------------------------------------- memory


def print_memory(sides: Sequence[int] = (64, 128, 256)) -> None:
    """Print the peak memory of a fit by the side of its color pictures."""
    usual = get_recipe("fast", "deep_LeNet").training.batch_size
    print(f"side  MB, batch {usual}  MB more a picture")
    statement = "from benchmarks.pictures import print_peak; print_peak({}, {})"
    for side in sides:
        few, many = (in_process(statement.format(side, n)) for n in (2, usual))
        print(f"{side:4} {many:13.0f} {(many - few) / (usual - 2):18.1f}", flush=True)


def print_peak(side: int, batch: int) -> None:
    """Fit one batch of noise, and print the most memory that this process had (MB)."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (batch, 3, side, side), np.uint8)
    step = Phase(n_epochs=1, batch_size=batch)
    DeepSVDD("deep_LeNet", recipe=Recipe(step, step), device="cpu").fit(x)
    print(peak_memory())


# ---------------------------------------------------------------------------- defects


def print_defects(name: str, seeds: Sequence[int]) -> None:
    """Print test AUC of all methods with one texture as the normal one."""
    x_train, tests = problem(name)
    print(f"{name}: test AUC in %, seeds {', '.join(map(str, seeds))}")
    print(f"  {'':34}" + "".join(f"{kind:>26}" for kind in tests if kind != "normal"))
    for method, (score_with, chance) in METHODS.items():
        start, rows = time.process_time(), []
        for seed in seeds if chance else seeds[:1]:
            scores = score_with(x_train, tests, seed)
            rows.append([auc(scores, kind) for kind in tests if kind != "normal"])
        seconds = (time.process_time() - start) / len(rows)
        columns = zip(*rows, strict=True)
        cells = [" ".join(f"{100 * v:5.1f}" for v in column) for column in columns]
        text = "".join(f"{cell:>26}" for cell in cells)
        print(f"  {method:34}{text}   {seconds:5.0f} CPU s", flush=True)


def problem(name: str) -> tuple[Pictures, dict[str, Pictures]]:
    """Cut out training pictures, and test pictures by kind."""
    rng = np.random.default_rng(0)
    x_train = crops(photograph(name)[:320], N_TRAIN, rng)
    below = {texture: photograph(texture)[320:] for texture in TEXTURES}
    others = [crops(below[t], N_TEST // 2, rng) for t in TEXTURES if t != name]
    return x_train, {
        "normal": crops(below[name], N_TEST, rng),
        "scratches": damaged(crops(below[name], N_TEST, rng), scratch, rng),
        "blotches": damaged(crops(below[name], N_TEST, rng), blotch, rng),
        "other textures": np.concatenate(others),
    }


def photograph(name: str) -> NDArray[np.uint8]:
    """Load a texture (512, 512) of scikit-image."""
    try:
        from skimage import data
    except ImportError:
        reason = "the textures need scikit-image: pip install scikit-image"
        raise SystemExit(reason) from None
    return getattr(data, name)()


def crops(image: NDArray[np.uint8], n: int, rng: np.random.Generator) -> Pictures:
    """Cut n squares out of an image (h, w), anywhere."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (SIDE, SIDE))
    rows, columns = (rng.integers(0, stop, n) for stop in windows.shape[:2])
    return windows[rows, columns][:, None]


def damaged(
    x: Pictures,
    defect: Callable[[np.random.Generator], NDArray[np.float64]],
    rng: np.random.Generator,
) -> Pictures:
    """Give each picture a defect, darker or brighter than it."""
    masks = np.stack([defect(rng) for _ in x])[:, None]
    signs = rng.choice((-1, 1), (len(x), 1, 1, 1))
    return np.clip(x + STRENGTH * signs * masks, 0, 255).round().astype(np.uint8)


def blotch(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a soft spot of 6 pixels' standard deviation, (h, w), 1 at its center."""
    y, x = np.mgrid[:SIDE, :SIDE]
    row, column = rng.uniform(16, SIDE - 16, 2)
    return np.exp(-((y - row) ** 2 + (x - column) ** 2) / (2 * 6**2))


def scratch(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw a line of 50 pixels, about 3 wide, (h, w)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    row, column = rng.uniform(32, SIDE - 32, 2)
    angle = rng.uniform(0, np.pi)
    along = (y - row) * np.sin(angle) + (x - column) * np.cos(angle)
    across = (y - row) * np.cos(angle) - (x - column) * np.sin(angle)
    return np.where(np.abs(along) <= 25, np.exp(-(across**2) / 2), 0)


def auc(scores: dict[str, NDArray], kind: str) -> float:
    labels = np.repeat([0, 1], [len(scores["normal"]), len(scores[kind])])
    return roc_auc(labels, np.concatenate([scores["normal"], scores[kind]]))


def shrunk(x: Pictures, side: int) -> Pictures:
    """Resize as ``deepsvdd fit --size`` does."""
    small = [
        Image.fromarray(image[0]).resize((side, side), Image.Resampling.BILINEAR)
        for image in x
    ]
    return np.stack([np.asarray(image) for image in small])[:, None]


Scores = dict[str, NDArray]


def deep_svdd(network: str, side: int, trained: bool = True) -> Callable[..., Scores]:
    """Make a method: Deep SVDD on the pictures as they are, or shrunk."""
    recipe = get_recipe("fast", "deep_LeNet")  # as many steps for all
    if not trained:
        recipe = Recipe(Phase(n_epochs=0), Phase(n_epochs=0))

    def score(x_train: Pictures, tests: dict[str, Pictures], seed: int) -> Scores:
        detector = DeepSVDD(network, recipe=recipe, random_state=seed, device="cpu")
        detector.fit(shrunk(x_train, side))
        return {k: detector.anomaly_score(shrunk(x, side)) for k, x in tests.items()}

    return score


def neighbors(x_train: Pictures, tests: dict[str, Pictures], seed: int) -> Scores:
    """Score by the distance to the fifth nearest training picture of 32×32 pixels."""
    tree = NearestNeighbors(n_neighbors=5).fit(vectors(x_train))
    return {k: tree.kneighbors(vectors(x))[0][:, -1] for k, x in tests.items()}


def vectors(x: Pictures) -> NDArray[np.float64]:
    return shrunk(x, 32).reshape(len(x), -1) / 255


def brightness(x_train: Pictures, tests: dict[str, Pictures], seed: int) -> Scores:
    """Score by how far the mean gray is from that of the training pictures."""
    return {k: np.abs(x.mean((1, 2, 3)) - x_train.mean()) for k, x in tests.items()}


# Name, how to score, and whether seeds matter.
METHODS = {
    "mean brightness": (brightness, False),
    "5-NN, 32×32 pixels": (neighbors, False),
    "deep_LeNet, untrained": (deep_svdd("deep_LeNet", SIDE, trained=False), True),
    "cifar10_LeNet, shrunk to 64": (deep_svdd("cifar10_LeNet", 64), True),
    "deep_LeNet, 128": (deep_svdd("deep_LeNet", SIDE), True),
}


if __name__ == "__main__":
    main()
