"""A folder of drawn signs in the format of GTSRB, written all at once or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np

from deepsvdd.datasets.gtsrb import (
    CLASSES,
    DRAWN,
    TEST,
    TEST_TABLE,
    TRAINING,
    Sign,
    training_table,
    write_table,
)
from deepsvdd.datasets.signs.faces import SIGNS, STOP
from deepsvdd.datasets.signs.photographs import draw_sign
from deepsvdd.files import cannot_write
from deepsvdd.version import __version__

README = """# Drawn, not GTSRB

The images in this folder were drawn by a program, `deepsvdd signs`. They have the
folder format and the class numbers of the German Traffic Sign Recognition Benchmark,
so that the same code reads both, but none of its photographs. Never present results on
them as results on GTSRB. `drawn.json` tells the settings that draw them again.
"""


PARTS = ("train", "test")


def image_rng(seed: int, part: str, class_id: int, index: int) -> np.random.Generator:
    """Return the random generator of one image of a set."""
    return np.random.default_rng([seed, PARTS.index(part), class_id, index])


def write_signs(
    folder: str | os.PathLike[str],
    n_train: int = 780,
    n_test: int = 270,
    n_other_train: int = 300,
    n_other_test: int = 100,
    seed: int = 0,
    verbose: bool = False,
) -> Path:
    """Draw a set of signs into ``folder/gtsrb``, all of it or nothing.

    Parameters
    ----------
    folder : path-like
        What to give to ``load_dataset("gtsrb", folder)`` afterwards.
    n_train, n_test : int
        Number of stop signs; by default about as many as the paper has.
    n_other_train, n_other_test : int
        Number of signs of each of the eleven other types.
    seed : int, default=0
        From 0 on; equal seeds draw equal signs.
    verbose : bool, default=False
        Show progress.

    Returns
    -------
    Path
        ``folder/gtsrb``.

    Raises
    ------
    ValueError
        If a number is out of range, or the folder has signs already.
    WriteError
        If the files cannot be written.
    """
    counts = {
        "n_train": n_train,
        "n_test": n_test,
        "n_other_train": n_other_train,
        "n_other_test": n_other_test,
    }
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be a whole number from 1 on; got {count}")
    if seed < 0:
        raise ValueError(f"seed must be a whole number from 0 on; got {seed}")
    target = Path(folder) / "gtsrb"
    for path in (target, target.with_suffix(".npz")):
        if path.exists():
            raise ValueError(
                f"folder must be without signs, but '{path}' exists; name another "
                "folder or delete it first"
            )
    # Only the last step gives the set its name: a killed run leaves none behind.
    unfinished = target.with_name("gtsrb.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        _write(unfinished, counts, seed, verbose)
        os.replace(unfinished, target)
    except OSError as error:
        raise cannot_write(error.filename or target, error) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return target


def _write(folder: Path, counts: dict[str, int], seed: int, verbose: bool) -> None:
    """Draw and write all images, their tables, and what they are."""
    from tqdm import tqdm

    numbers = {
        part: {k: counts[f"n{'' if k == STOP else '_other'}_{part}"] for k in SIGNS}
        for part in PARTS
    }
    with tqdm(
        total=sum(sum(numbers[part].values()) for part in PARTS),
        desc="drawing",
        unit="sign",
        disable=None if verbose else True,
    ) as bar:

        def draw(
            part: str, class_id: int, images: Path, names: list[str]
        ) -> list[Sign]:
            images.mkdir(parents=True, exist_ok=True)
            signs = []
            for index, name in enumerate(names):
                image, region = draw_sign(
                    class_id, image_rng(seed, part, class_id, index)
                )
                image.save(images / name)
                signs.append(Sign(images / name, image.size, region, class_id))
                bar.update()
            return signs

        for class_id, n in numbers["train"].items():
            images = folder / TRAINING / f"{class_id:05d}"
            # GTSRB's names: a track of 30 pictures and the number within it.
            names = [f"{k // 30:05d}_{k % 30:05d}.ppm" for k in range(n)]
            write_table(training_table(images), draw("train", class_id, images, names))
        tested: list[Sign] = []
        for class_id, n in numbers["test"].items():
            names = [f"{len(tested) + k:05d}.ppm" for k in range(n)]
            tested += draw("test", class_id, folder / TEST, names)
        write_table(folder / TEST_TABLE, tested)
    provenance = {
        "what": "drawn traffic signs, not GTSRB",
        "classes": {class_id: CLASSES[class_id] for class_id in SIGNS},
        **counts,
        "seed": seed,
        "deepsvdd": __version__,
    }
    text = json.dumps(provenance, indent=1) + "\n"
    (folder / DRAWN).write_text(text, encoding="utf-8")
    (folder / "README.md").write_text(README, encoding="utf-8")
