"""Draw the most normal and the most anomalous test images of every class.

For each class in turn a detector is trained on its training images, and the 32 test
images of that class with the lowest scores and the 32 with the highest are shown. A
finished class is written to DATASET.json at once, so that a run that was stopped goes
on where it was; with all classes there, the pictures are drawn from that file.

    python book/figures/extremes.py mnist
    python book/figures/extremes.py cifar10 DATA --epochs 7 --precision bf16
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from tqdm import tqdm

from deepsvdd import DeepSVDD, Recipe, get_recipe, load_dataset, one_vs_rest
from deepsvdd.core._engine.devices import PRECISIONS, resolve_device
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.networks import default_network
from deepsvdd.core.plots import extremes
from deepsvdd.core.recipes import shortened
from deepsvdd.datasets import DATASETS, Dataset
from deepsvdd.files import atomic_write
from deepsvdd.reproduction.provenance import provenance

SHOWN, COLUMNS = 32, 8  # images of each kind, in rows of eight
PER_PICTURE = 5  # classes
GAP, MARGIN, LINE = 2, 18, 24  # pixels: between tiles, between blocks, of text
COLORS, SHADES = 240, 16  # of the pictures' palette: for images, for text
GREY = 0x66  # on white, which the style sheet puts behind it on dark pages

Run = dict[str, Any]


def main() -> None:
    """Train what is missing, then draw."""
    options = parse()
    dataset = load_dataset(options.dataset, root=options.data)
    path = options.output / f"{dataset.name}.json"
    run = resume(path, settings_of(options, dataset))
    origin = provenance(resolve_device("cpu"))  # now: later the files may be others
    missing = [name for name in dataset.classes if name not in run["classes"]]
    bar = tqdm(missing, desc=dataset.name, unit="class", disable=not missing)
    for name in bar:
        run["classes"][name] = train(dataset, name, run["settings"])
        run["classes"][name]["provenance"] = origin
        write_json(path, run)
    for start in range(0, len(dataset.classes), PER_PICTURE):
        names = dataset.classes[start : start + PER_PICTURE]
        picture = f"{dataset.name}_{start}-{start + len(names) - 1}.png"
        write_picture(options.output / picture, draw(dataset, names, run["classes"]))


def parse() -> argparse.Namespace:
    """Read the command line."""
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("dataset", choices=DATASETS)
    parser.add_argument("data", nargs="?", help="folder with DATASET.npz, if not MNIST")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path(__file__).with_name("extremes"),
        help="folder to write to (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0, help="(default: %(default)s)")
    parser.add_argument(
        "--epochs", type=int, help="of each phase, instead of the fast recipe's"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="of the training"
    )
    return parser.parse_args()


def settings_of(options: argparse.Namespace, dataset: Dataset) -> Run:
    """Collect what decides the scores."""
    network = default_network(dataset.x_train.shape[1:])
    recipe = get_recipe("fast", network)
    if options.epochs is not None:
        recipe = shortened(recipe, options.epochs, options.epochs)
    return {
        "dataset": dataset.name,
        "network": network,
        "objective": "one-class",
        "recipe": json.loads(json.dumps(asdict(recipe))),
        "precision": options.precision,
        "seed": options.seed,
    }


def resume(path: Path, settings: Run) -> Run:
    """Read the classes that are done; refuse those of other settings."""
    if not path.exists():
        return {"settings": settings, "classes": {}}
    run: Run = json.loads(path.read_text(encoding="utf-8"))
    if run["settings"] != settings:
        raise SystemExit(
            f"{path} holds a run with other settings, {run['settings']}: "
            "repeat those, remove the file, or name another --output"
        )
    return run


def train(dataset: Dataset, name: str, settings: Run) -> Run:
    """Train on one class; return its AUC and the indices of its extreme test images."""
    split = one_vs_rest(dataset, name)
    detector = DeepSVDD(
        network=settings["network"],
        objective=settings["objective"],
        recipe=Recipe.from_dict(settings["recipe"]),
        precision=settings["precision"],
        random_state=settings["seed"],
        device="cpu",
    ).fit(split.x_train)
    scores = detector.anomaly_score(split.x_test)
    normal = np.flatnonzero(split.y_test == 0)
    lowest, highest = extremes(scores[normal], SHOWN)
    return {
        "auc": round(roc_auc(split.y_test, scores), 4),
        "collapsed": detector.members_[0].collapsed,
        "most_normal": normal[lowest].tolist(),
        "most_anomalous": normal[highest].tolist(),
    }


def write_json(path: Path, run: Run) -> None:
    """Write the whole file or nothing, a line for each class."""
    rows = [
        f"{json.dumps(name)}: {json.dumps(row)}" for name, row in run["classes"].items()
    ]
    settings, classes = json.dumps(run["settings"]), ",\n".join(rows)
    with atomic_write(path) as temporary:
        temporary.write_text(
            f'{{"settings": {settings},\n"classes": {{\n{classes}\n}}}}\n',
            encoding="utf-8",
        )


# ---------------------------------------------------------------------------- picture


def draw(dataset: Dataset, names: tuple[str, ...], rows: Run) -> Image.Image:
    """Draw classes below each other, most normal images left, most anomalous right.

    At the right of each title line is the AUC on the whole test set.
    """
    tile = dataset.x_test.shape[-1] + GAP
    block = COLUMNS * tile, SHOWN // COLUMNS * tile  # width, height
    width, height = 2 * block[0] + MARGIN - GAP, len(names) * (block[1] + LINE)
    pixels = np.zeros((height, width, 3), np.uint8)
    shown = np.zeros((height, width), bool)
    text = Image.new("L", (width, height))
    pen, font = ImageDraw.Draw(text), ImageFont.load_default(size=15)
    for row, name in enumerate(names):
        top = row * (block[1] + LINE)
        auc = f"AUC {100 * rows[name]['auc']:.1f} %"
        pen.text((width, top + 2), auc, 255, font, anchor="ra")
        for kind in ("most_normal", "most_anomalous"):
            left = (kind == "most_anomalous") * (block[0] + MARGIN)
            title = kind.replace("_", " ")
            if kind == "most_normal":
                title = f"{name}: {title}"
            pen.text((left, top + 2), title, 255, font)
            for k, index in enumerate(rows[name][kind]):
                y = top + LINE + k // COLUMNS * tile
                x = left + k % COLUMNS * tile
                place = slice(y, y + tile - GAP), slice(x, x + tile - GAP)
                pixels[place] = dataset.x_test[index].transpose(1, 2, 0)
                shown[place] = True
    return palette_image(pixels, shown, np.asarray(text))


def palette_image(
    pixels: NDArray[np.uint8], shown: NDArray[np.bool_], text: NDArray[np.uint8]
) -> Image.Image:
    """Reduce a picture to 240 colors and 16 opacities of gray, a third of the bytes.

    Where no image is shown (h, w), the picture is gray and as opaque as the text.
    """
    reduced = Image.fromarray(pixels).quantize(COLORS, dither=Image.Dither.NONE)
    colors = (reduced.getpalette() or [])[: 3 * COLORS]
    opacity = text // (256 // SHADES)
    indices = np.where(shown, np.asarray(reduced), COLORS + opacity)
    picture = Image.fromarray(indices.astype(np.uint8), "P")
    colors += [0] * (3 * COLORS - len(colors))
    picture.putpalette(colors + [GREY] * 3 * SHADES)
    shades = (255 * s // (SHADES - 1) for s in range(SHADES))
    picture.info["transparency"] = bytes([255] * COLORS + list(shades))
    return picture


def write_picture(path: Path, picture: Image.Image) -> None:
    """Write a PNG, whole or not at all."""
    with atomic_write(path) as temporary:
        picture.save(temporary, format="PNG", optimize=True)


if __name__ == "__main__":
    main()
