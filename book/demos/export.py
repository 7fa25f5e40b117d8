"""Compute what the live pages show, by running the chapters' own cells.

    python book/demos/export.py                  all of it
    python book/demos/export.py scores           chapter 10: scores of two detectors
    python book/demos/export.py points           chapter 2: moons, cloud
    python book/demos/export.py digit            quick start: the network, and threes;
                                                 the same of every other digit
    python book/demos/export.py seeds            chapter 7: distances by five seeds

The files go to ``book/demos/data`` with how they were made: versions, settings, date.
Nothing that is trained here is trained otherwise than in the chapter, whose cells are
executed from the top to the one that defines what is needed.
"""

from __future__ import annotations

import argparse
import ast
import functools
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import save_file
from sklearn.base import clone
from tqdm import tqdm

from deepsvdd import DeepSVDD, Split
from deepsvdd.files import atomic_write
from deepsvdd.reproduction.provenance import provenance

BOOK = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
FIGURES = 5  # significant decimal digits of a score
N_SHOWN, COLUMNS = 200, 20  # training images that a page shows the nearest of


def names_of(chapter: str, wanted: str) -> dict[str, Any]:
    """Run a chapter's code cells up to the one that binds a name.

    Parameters
    ----------
    chapter : str
        Name of the notebook.
    wanted : str
        Name of a variable.

    Returns
    -------
    dict
        All names that are bound then.

    Raises
    ------
    SystemExit
        If no cell of the chapter binds the name.
    """
    names: dict[str, Any] = {"display": print}
    for cell in nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells:
        # Cells that only draw are folded, those that only check are not shown.
        if cell.cell_type != "code" or cell.metadata.get("tags"):
            continue
        exec(re.sub(r"^%.*$", "", cell.source, flags=re.MULTILINE), names)
        if wanted in names:
            return names
    raise SystemExit(f"no cell of {chapter} binds {wanted}")


def define(names: dict[str, Any], chapter: str, wanted: set[str]) -> None:
    """Add what a chapter's later cells define, without running the rest of them.

    Parameters
    ----------
    names : dict
        Names that are bound; the wanted ones are added.
    chapter : str
        Name of the notebook.
    wanted : set of str
        Functions, or variables that one assignment binds.
    """
    for cell in nbformat.read(BOOK / f"{chapter}.ipynb", as_version=4).cells:
        if cell.cell_type != "code" or cell.metadata.get("tags"):
            continue
        for node in ast.parse(re.sub(r"^%.*$", "", cell.source, flags=re.M)).body:
            bound = (
                {node.name}
                if isinstance(node, ast.FunctionDef)
                else {
                    target.id
                    for target in getattr(node, "targets", ())
                    if isinstance(target, ast.Name)
                }
            )
            if bound & wanted:
                exec(ast.unparse(node), names)


def steps(scores: NDArray[np.floating[Any]], unit: float) -> list[int]:
    """Write scores in ascending order: the first, then differences, in a unit."""
    whole = np.rint(np.sort(scores.astype(np.float64)) / unit).astype(int)
    return np.diff(whole, prepend=0).tolist()


@functools.cache
def origin() -> dict[str, Any]:
    """Say where and when this ran; once, as what it writes changes the checkout."""
    return {"by": "book/demos/export.py"} | provenance(torch.device("cpu"))


def write_json(name: str, content: dict[str, Any]) -> None:
    """Write a file of the folder, whole or not at all, a line for each entry."""
    lines = [
        f"{json.dumps(key)}: {json.dumps(value, separators=(',', ':'))}"
        for key, value in content.items()
    ]
    DATA.mkdir(exist_ok=True)
    with atomic_write(DATA / name) as temporary:
        temporary.write_text("{" + ",\n".join(lines) + "}\n", encoding="utf-8")


def scores() -> None:
    """Write the test scores of chapter 10's network and of the nearest neighbor."""
    chapter = "10-evaluation"
    names = names_of(chapter, "nearest")
    normal = names["labels"] == 0
    made = origin() | {"of": f"book/{chapter}.ipynb"}
    content: dict[str, Any] = {"made": made, "detectors": []}
    for name, found in (
        ("network", names["scores"][0]),
        ("nearest neighbor", names["nearest"]),
    ):
        unit = float(f"{found.max():.0e}") / 10**FIGURES
        groups = {"normal": found[normal], "anomalous": found[~normal]}
        content["detectors"].append(
            {"name": name, "unit": unit}
            | {kind: steps(group, unit) for kind, group in groups.items()}
        )
    write_json("scores.json", content)


def points() -> None:
    """Write some of chapter 2's points: the moons, and the cloud, made smaller."""
    chapter = "02-kernel-svdd"
    names = names_of(chapter, "moons")
    cloud = 0.35 * names["cloud"][-40:]  # the last is the distant one
    write_json(
        "points.json",
        {
            "made": origin() | {"of": f"book/{chapter}.ipynb"},
            "moons": names["moons"][:50].round(2).tolist(),
            "cloud": cloud.round(2).tolist(),
        },
    )


def digit() -> None:
    """Write the quick start's detector, its scores of new threes, and some threes.

    The same for each of the other digits as the normal class: only the digit differs.
    """
    chapter = "quickstart"
    names = names_of(chapter, "scores")
    made = origin() | {"of": f"book/{chapter}.ipynb"}
    for normal_class in tqdm(range(10), desc="digits"):
        if normal_class == 3:
            detector, split = names["detector"], names["split"]
        else:
            split = names["one_vs_rest"](names["mnist"], normal_class=normal_class)
            detector = clone(names["detector"]).fit(split.x_train)
        write_digit(normal_class, detector, split, made)


def write_digit(
    normal_class: int, detector: DeepSVDD, split: Split, made: dict[str, Any]
) -> None:
    """Write three files: the model, training images on one sheet, and all else."""
    folder = DATA / "digits"
    folder.mkdir(parents=True, exist_ok=True)
    del detector.training_hashes_  # most of the file, and of no use to the page
    detector.save(folder / f"{normal_class}.safetensors")
    chosen = np.linspace(0, len(split.x_train) - 1, N_SHOWN).round().astype(int)
    tiles = split.x_train[chosen, 0].reshape(-1, COLUMNS, 28, 28)
    sheet = Image.fromarray(tiles.transpose(0, 2, 1, 3).reshape(-1, COLUMNS * 28))
    with atomic_write(folder / f"{normal_class}.png") as temporary:
        sheet.save(temporary, format="PNG", optimize=True)
    normal = detector.anomaly_score(split.x_test[split.y_test == 0])
    unit = float(f"{detector.threshold_:.0e}") / 10**FIGURES
    write_json(
        f"digits/{normal_class}.json",
        {
            "made": made,
            "digit": normal_class,
            "columns": COLUMNS,
            "chosen": chosen.tolist(),
            "unit": unit,
            "normal": steps(normal, unit),
        },
    )


def seeds() -> None:
    """Write what chapter 7's networks make of its test images, at three stages.

    Distances from the center over their mean on the training images (``units``), as
    whole numbers of ``unit``; a row for each seed, normal images first.
    """
    chapter = "07-one-class"
    names = names_of(chapter, "ONE_CYCLE")
    define(names, chapter, {"NOTHING", "untrained", "normalized"})
    train, chosen = names["train"], names["SEEDS"]
    order = np.argsort(names["y_test"], kind="stable")
    spheres = {
        "untrained": [names["untrained"](seed) for seed in chosen],
        "pretrained": [train(seed, names["NOTHING"]) for seed in chosen],
        "trained": [train(seed, names["ONE_CYCLE"]) for seed in chosen],
    }
    tensors, stages = {}, []
    for name, members in spheres.items():
        d = np.array([names["normalized"](m, names["x_test"]) for m in members])
        unit = float(d.max()) / (2**16 - 1)
        whole = np.rint(d[:, order] / unit).astype(np.uint16)
        # In order: save_file takes no note of strides.
        tensors[name] = np.ascontiguousarray(whole)
        units = [float(f"{member.mean_distance:.6g}") for member in members]
        stages.append({"name": name, "unit": unit, "units": units})
    made = origin() | {"of": f"book/{chapter}.ipynb"}
    normal = int((names["y_test"] == 0).sum())
    kept = {"made": made, "normal": normal, "stages": stages}
    DATA.mkdir(exist_ok=True)
    with atomic_write(DATA / "seeds.safetensors") as temporary:
        save_file(tensors, temporary, {"metadata": json.dumps(kept)})


PARTS: dict[str, Callable[[], None]] = {
    "scores": scores,
    "points": points,
    "digit": digit,
    "seeds": seeds,
}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("part", nargs="*", help=f"some of {', '.join(PARTS)}")
    chosen = parser.parse_args().part or list(PARTS)
    if unknown := sorted(set(chosen) - set(PARTS)):
        parser.error(f"no such parts: {', '.join(unknown)}")
    origin()
    for name in chosen:
        PARTS[name]()


if __name__ == "__main__":
    main()
