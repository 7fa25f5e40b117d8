"""Sets of adversarial examples: made for one class, batch by batch, and kept in a file.

A run that was killed goes on with the next batch.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepsvdd.adversarial.attacks import (
    boundary_attack,
    import_foolbox,
    lengths,
    starting_points,
)
from deepsvdd.adversarial.classifier import Classifier, unit_pixels
from deepsvdd.core._engine.model_format import checksum
from deepsvdd.core.networks import evaluation_mode
from deepsvdd.core.recipes import is_whole
from deepsvdd.datasets import Dataset, one_vs_rest
from deepsvdd.errors import reason_of
from deepsvdd.files import atomic_write
from deepsvdd.reproduction.schema import shown

STARTS = ("images", "noise")


@dataclass(frozen=True, eq=False)
class AdversarialSet:
    """Adversarial examples of one class, and where they come from.

    Attributes
    ----------
    x : float32 array of shape (n, c, h, w)
        Pixels from 0 to 255 but not whole numbers: rounded, some would be classified
        correctly again.
    original : uint8 array of shape (n, c, h, w)
        Test images that they were made from.
    index : int64 array of shape (n,)
        Rows of the originals in the data set's test images.
    predicted : int64 array of shape (n,)
        Classes that the classifier gives.
    predicted_rounded : int64 array of shape (n,)
        Classes that it gives after rounding to whole numbers.
    distance : float64 array of shape (n,)
        Euclidean distances from the originals, pixels in [0, 1].
    queries : int64 array of shape (n,)
        Queries of the walk, without the few that found its start.
    metadata : dict
        JSON: ``dataset``, ``normal_class``, ``classifier``, ``attack``, and what a
        caller adds.
    """

    x: NDArray[np.float32] = field(repr=False)
    original: NDArray[np.uint8] = field(repr=False)
    index: NDArray[np.int64] = field(repr=False)
    predicted: NDArray[np.int64] = field(repr=False)
    predicted_rounded: NDArray[np.int64] = field(repr=False)
    distance: NDArray[np.float64] = field(repr=False)
    queries: NDArray[np.int64] = field(repr=False)
    metadata: dict[str, Any]

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.x)

    @property
    def survive_rounding(self) -> float:
        """Share of examples that are adversarial after rounding to whole numbers."""
        wrong = self.predicted_rounded != self.metadata["normal_class"]
        return float(wrong.mean())

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one ``.npz`` file, whole or not at all.

        Raises
        ------
        ValueError
            If the name does not end in ``.npz``.
        WriteError
            If the file cannot be written.
        """
        if Path(path).suffix != ".npz":
            raise ValueError(f"path must end in .npz; got '{os.fspath(path)}'")
        arrays = {name: getattr(self, name) for name in ARRAYS}
        text = np.array(json.dumps(self.metadata))
        with atomic_write(path) as temporary:
            np.savez_compressed(temporary, **arrays, metadata=text)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> AdversarialSet:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ValueError
            If it is damaged or something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ARRAYS}
                examples = cls(**arrays, metadata=json.loads(str(file["metadata"])))
            check_arrays(examples)
            check_metadata(examples.metadata)
            return examples
        except FileNotFoundError:
            raise
        except Exception as error:  # damage surfaces as many types, from zlib to numpy
            raise ValueError(
                f"'{os.fspath(path)}' must be a file of adversarial examples, as "
                f"deepsvdd attack writes, but cannot be read ({reason_of(error)})"
            ) from error


ARRAYS = tuple(f.name for f in fields(AdversarialSet) if f.name != "metadata")
_IMAGES = ("x", "original")
MAX = 1e18  # of rows and distances
_TYPES = {"x": np.float32, "original": np.uint8, "distance": np.float64}  # others int64


def check_arrays(examples: AdversarialSet) -> None:
    """Raise ValueError if arrays are of other types or shapes than a set's, or odd."""
    arrays = {name: getattr(examples, name) for name in ARRAYS}
    n = len(examples.index)
    shape = examples.original.shape
    if not n or len(shape) != 4:
        raise ValueError(
            "original must have the shape (n, c, h, w) with an image at least; got "
            f"{shape}"
        )
    for name, array in arrays.items():
        dtype = _TYPES.get(name, np.int64)
        expected = (n, *shape[1:]) if name in _IMAGES else (n,)
        if array.dtype != dtype or array.shape != expected:
            raise ValueError(
                f"{name} must be {np.dtype(dtype)} of shape {expected}; got "
                f"{array.dtype} of {array.shape}"
            )
    for name, top in (("x", 255.0), ("distance", MAX), ("index", MAX)):
        array = arrays[name]
        if not ((array >= 0) & (array <= top)).all():  # as NaN is not
            raise ValueError(
                f"{name} must hold numbers from 0 to {top:g} only; got "
                f"{array.min():g} to {array.max():g}"
            )


def check_metadata(metadata: Any) -> None:
    """Raise ValueError if it lacks what the experiment needs, or has it otherwise."""
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata must be an object; got {shown(metadata)}")
    for name, valid, domain in (
        ("dataset", lambda value: isinstance(value, str), "a text"),
        ("normal_class", is_whole, "a whole number"),
        ("classifier", lambda value: isinstance(value, dict), "an object"),
        ("attack", lambda value: isinstance(value, dict), "an object"),
    ):
        if not valid(metadata.get(name)):
            given = shown(metadata[name]) if name in metadata else "nothing"
            raise ValueError(f"metadata must have {domain} as {name}; got {given}")


def attack_class(
    classifier: Classifier,
    dataset: Dataset,
    normal_class: int | str,
    n: int = 20,
    *,
    n_steps: int = 5000,
    start: str = "images",
    batch_size: int = 20,
    seed: int = 0,
    parts: str | os.PathLike[str] | None = None,
    verbose: bool = False,
) -> AdversarialSet:
    """Make adversarial examples of one class's test images by the Boundary Attack.

    Parameters
    ----------
    classifier : Classifier
        What is to be fooled; it runs where its weights are.
    dataset : Dataset
        That it was trained on.
    normal_class : int or str
        Class to attack: test images of it that are classified correctly, at random.
    n : int, default=20
        How many, as in the paper.
    n_steps : int, default=5000
        As for :func:`boundary_attack`.
    start : {"images", "noise"}, default="images"
        Whether to start from test images of other classes or from uniform noise.
    batch_size : int, default=20
        Images attacked at a time.
    seed : int, default=0
        Of the images chosen, the starts and the walks.
    parts : path-like, optional
        Folder that keeps finished batches: an interrupted attack, repeated with the
        same arguments, goes on from there. Remove it when the set is saved.
    verbose : bool, default=False
        Show a progress bar, if stderr is a terminal.

    Returns
    -------
    AdversarialSet
        Of as many examples as were found; of fewer than n, it warns.

    Raises
    ------
    ValueError
        If an argument is out of range, foolbox is missing, the classifier is not of
        this data set, or nothing was found.
    """
    from tqdm import tqdm

    import_foolbox()
    if start not in STARTS:
        raise ValueError(f"start must be one of {STARTS}; got {start!r}")
    for name, number in (("n", n), ("n_steps", n_steps), ("batch_size", batch_size)):
        if number < 1:
            raise ValueError(f"{name} must be at least 1; got {number}")
    (label,) = one_vs_rest(dataset, normal_class).normal_classes
    settings = {
        "name": "Boundary Attack",
        "start": start,
        "n_steps": n_steps,
        "batch_size": batch_size,
        "seed": seed,
        "foolbox": version("foolbox"),
    }
    device = next(classifier.parameters()).device
    rows = chosen_rows(classifier, dataset, label, n, seed)
    pool = None
    if start == "images":
        pool = unit_pixels(dataset.x_test[dataset.y_test != label], device)
    stem = fingerprint(classifier, dataset.x_test[rows], settings)
    batches = [rows[i : i + batch_size] for i in range(0, n, batch_size)]
    found: list[Part] = []
    bar = tqdm(
        total=len(batches) * n_steps,
        desc="attack",
        unit="step",
        disable=None if verbose else True,
    )
    with bar, evaluation_mode(classifier):
        for k, batch in enumerate(batches):
            file = None if parts is None else Path(parts) / f"{stem}-{k:04}.npz"
            part = read_part(file)
            if part is None:
                images = unit_pixels(dataset.x_test[batch], device)
                part = attack_batch(
                    classifier, images, label, pool, n_steps, seed + k, bar.update
                )
                part["index"] = batch[part.pop("kept")]
                write_part(file, part)
            bar.update((k + 1) * n_steps - bar.n)
            found.append(part)
    arrays = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
    if not len(arrays["x"]):
        raise ValueError(
            f"the attack found no adversarial example of any of the {n} images: "
            f"the classifier calls whatever it began with {label}, too; set start to "
            f"{STARTS[start == 'images']!r}, or train another classifier"
        )
    if len(arrays["x"]) < n:
        warnings.warn(
            f"the attack found adversarial examples of {len(arrays['x'])} images of {n}"
            " only",
            stacklevel=2,
        )
    return AdversarialSet(
        **arrays,
        original=dataset.x_test[arrays["index"]],
        metadata={
            "dataset": dataset.name,
            "normal_class": label,
            "class_name": dataset.classes[label],
            "n_attacked": n,
            "classifier": classifier.facts,
            "attack": settings,
        },
    )


Part = dict[str, NDArray[Any]]


def chosen_rows(
    classifier: Classifier, dataset: Dataset, label: int, n: int, seed: int
) -> NDArray[np.int64]:
    """Choose n test images of a class, of those that are classified correctly."""
    expected = (dataset.x_train.shape[1:], len(dataset.classes))
    if (classifier.input_shape, classifier.n_classes) != expected:
        raise ValueError(
            f"classifier must be for images of shape {expected[0]} and {expected[1]} "
            f"classes; got one for {classifier.input_shape} and {classifier.n_classes}"
        )
    rows = np.flatnonzero(dataset.y_test == label)
    device = next(classifier.parameters()).device
    predicted = classifier.classify(unit_pixels(dataset.x_test[rows], device))
    right = rows[predicted.cpu().numpy() == label]
    if n > len(right):
        raise ValueError(
            f"n must be at most {len(right)}: of the {len(rows)} test images of class "
            f"{dataset.classes[label]!r}, the classifier knows no more; got {n}"
        )
    return np.sort(np.random.default_rng(seed).choice(right, n, replace=False))


def attack_batch(
    classifier: Classifier,
    images: Tensor,
    label: int,
    pool: Tensor | None,
    n_steps: int,
    seed: int,
    on_query: Callable[[], object],
) -> Part:
    """Attack images (n, c, h, w) of one class, from starts in a pool, or from noise."""
    generator = torch.Generator().manual_seed(seed)

    def draw(size: int) -> Tensor:
        if pool is None:
            noise = torch.rand(size, *images.shape[1:], generator=generator)
            return noise.to(images.device)
        return pool[torch.randint(len(pool), (size,), generator=generator)]

    labels = torch.full((len(images),), label, device=images.device)
    starts, kept = starting_points(classifier, images, labels, draw)
    x, n_queries = images[:0], 0
    if kept.any():
        walk = boundary_attack(
            classifier,
            images[kept],
            labels[kept],
            starts[kept],
            n_steps=n_steps,
            seed=seed,
            on_query=on_query,
        )
        x, n_queries = walk.x, walk.n_queries
    pixels = 255 * x
    distance = lengths(pixels.double() / 255 - images[kept].double())
    part = {
        "kept": kept,
        "x": pixels,
        "predicted": classifier.classify(pixels / 255),
        "predicted_rounded": classifier.classify(pixels.round() / 255),
        "distance": distance,
        "queries": torch.full((len(x),), n_queries),
    }
    # Pixels from 0 to 255 and back: rounding may undo what is adversarial by a hair.
    still = part["predicted"] != label
    part = {
        name: values if name == "kept" else values[still.to(values.device)]
        for name, values in part.items()
    }
    part["kept"] = kept.clone().masked_scatter(kept, still)
    return {name: values.cpu().numpy() for name, values in part.items()}


def fingerprint(
    classifier: Classifier, images: NDArray[np.uint8], settings: dict[str, Any]
) -> str:
    """Hash what decides the result of an attack."""
    tensors = {name: value.cpu() for name, value in classifier.state_dict().items()}
    tensors["images"] = torch.tensor(images)
    return checksum(tensors, json.dumps(settings, sort_keys=True))[:16]


def read_part(file: Path | None) -> Part | None:
    """Read a finished batch, if there is a whole one."""
    if file is None or not file.exists():
        return None
    try:
        with np.load(file, allow_pickle=False) as content:
            return {name: content[name] for name in ARRAYS if name != "original"}
    except Exception as error:  # damage surfaces as many types, from zlib to numpy
        warnings.warn(
            f"'{file}' is damaged and made again ({reason_of(error)})", stacklevel=3
        )
        return None


def write_part(file: Path | None, part: Part) -> None:
    """Keep a finished batch, if there is a place for it."""
    if file is not None:
        with atomic_write(file) as temporary:
            np.savez(temporary, **part)  # type: ignore[arg-type]
