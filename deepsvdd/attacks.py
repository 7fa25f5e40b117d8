"""Adversarial examples: the Boundary Attack on a classifier, and attacks by gradient.

Inside this module pixels lie in [0, 1], and distances are Euclidean in that unit.
"""

from __future__ import annotations

import json
import math
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
from torch import Tensor, nn

from deepsvdd.classifiers import Classifier, unit_pixels
from deepsvdd.datasets import Dataset, one_vs_rest
from deepsvdd.files import atomic_write
from deepsvdd.networks import evaluation_mode
from deepsvdd.persistence import checksum

STARTS = ("images", "noise")
TRIES = 100  # starts drawn for one image before it is given up
ADAPT_EVERY = 2  # steps; foolbox's 10 are for longer walks


# ------------------------------------------------------------------ the Boundary Attack


@dataclass(frozen=True, eq=False)
class Walk:
    """What the Boundary Attack did to a batch of images.

    Attributes
    ----------
    x : Tensor of shape (n, c, h, w)
        The closest adversarial images found, pixels in [0, 1].
    distance : Tensor of shape (n,)
        Their Euclidean distances from the originals.
    n_queries : int
        How often the classifier was asked about each image.
    queries : list of int
        Numbers of queries at which the walk was recorded, about evenly spaced on a
        logarithmic axis.
    distances : Tensor of shape (len(queries), n)
        The distances there.
    frames : Tensor of shape (len(queries), n, c, h, w), or of no frames
        The images there, if asked for.
    """

    x: Tensor
    distance: Tensor
    n_queries: int
    queries: list[int]
    distances: Tensor
    frames: Tensor


class Watched(nn.Module):
    """A classifier under attack: it counts queries, and keeps what is closest so far.

    Parameters
    ----------
    model : Module
        Maps images (n, c, h, w) to logits (n, k).
    images, labels : Tensors of shape (n, c, h, w) and (n,)
        The originals, in the order in which their candidates will be asked about.
    keep_frames : bool
        Whether to record images besides distances.
    on_query : callable
        Called after every query.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        labels: Tensor,
        keep_frames: bool,
        on_query: Callable[[], object],
    ) -> None:
        super().__init__()
        self.model = model
        self.images, self.labels = images, labels
        self.keep_frames, self.on_query = keep_frames, on_query
        self.closest = images.clone()
        self.distance = images.new_full((len(images),), math.inf)
        self.n_queries, self.next_record = 0, 1
        self.queries: list[int] = []
        self.distances: list[Tensor] = []
        self.frames: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """Answer, and look at the answer."""
        logits = self.model(x)
        distance = lengths(x - self.images)
        better = (logits.argmax(dim=1) != self.labels) & (distance < self.distance)
        self.closest[better] = x[better]
        self.distance[better] = distance[better]
        self.n_queries += 1
        if self.n_queries == self.next_record:
            self.record()
        self.on_query()
        return logits

    def record(self) -> None:
        """Note the present state, and when to do so again."""
        self.queries.append(self.n_queries)
        self.distances.append(self.distance.clone())
        if self.keep_frames:
            self.frames.append(self.closest.clone())
        self.next_record = max(self.n_queries + 1, math.ceil(1.08 * self.n_queries))


def boundary_attack(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    starts: Tensor,
    *,
    n_steps: int = 5000,
    seed: int = 0,
    keep_frames: bool = False,
    on_query: Callable[[], object] = lambda: None,
) -> Walk:
    """Walk along a classifier's boundary towards images, asking for decisions only.

    foolbox's implementation, by the attack's authors.

    In the book: sec-boundary-attack (12-adversarial).

    Parameters
    ----------
    model : Module
        Maps images (n, c, h, w) with pixels in [0, 1] to logits (n, k), of which only
        the largest counts; in evaluation mode.
    images : Tensor of shape (n, c, h, w)
        What is attacked.
    labels : Tensor of shape (n,)
        The classes that the model must not name any more.
    starts : Tensor of shape (n, c, h, w)
        Adversarial images to begin with, as from :func:`starting_points`.
    n_steps : int, default=5000
        Steps of the walk, of one query each, and every other one of two.
    seed : int, default=0
        Of the directions tried.
    keep_frames : bool, default=False
        Whether to record images besides distances.
    on_query : callable, optional
        Called after every query, for a progress bar.

    Returns
    -------
    Walk

    Raises
    ------
    ValueError
        If foolbox is not installed, a number is out of range, or a start is not
        adversarial.

    References
    ----------
    Brendel, Rauber and Bethge, "Decision-Based Adversarial Attacks", ICLR 2018.
    """
    foolbox = import_foolbox()
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; got {n_steps}")
    watched = Watched(model, images, labels, keep_frames, on_query).eval()
    attack = foolbox.attacks.BoundaryAttack(
        steps=n_steps, update_stats_every_k=ADAPT_EVERY
    )
    devices = [images.device] if images.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        torch.manual_seed(seed)  # foolbox draws from the global generator
        target = foolbox.PyTorchModel(watched, bounds=(0, 1), device=images.device)
        attack.run(
            target,
            images,
            foolbox.criteria.Misclassification(labels),
            starting_points=starts,
        )
    if watched.queries[-1] < watched.n_queries:
        watched.record()
    frames = watched.frames or [images.new_empty((0, *images.shape))]
    return Walk(
        x=watched.closest,
        distance=watched.distance,
        n_queries=watched.n_queries,
        queries=watched.queries,
        distances=torch.stack(watched.distances),
        frames=torch.stack(frames) if watched.frames else frames[0],
    )


def import_foolbox() -> Any:
    """Import foolbox, or say how to get it."""
    try:
        import foolbox
    except ImportError:
        raise ValueError(
            "the Boundary Attack needs the package foolbox: "
            "pip install 'deepsvdd[adversarial]'"
        ) from None
    return foolbox


def starting_points(
    model: nn.Module, images: Tensor, labels: Tensor, draw: Callable[[int], Tensor]
) -> tuple[Tensor, Tensor]:
    """Find adversarial images to start from: drawn until the model gives other classes.

    Parameters
    ----------
    model, images, labels
        As for :func:`boundary_attack`.
    draw : callable
        Maps a number n to n candidates (n, c, h, w).

    Returns
    -------
    starts : Tensor of shape (n, c, h, w)
    found : bool Tensor of shape (n,)
        Where there is one; elsewhere the start is the image itself.
    """
    starts = images.clone()
    found = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    for _ in range(TRIES):
        candidates = draw(len(images))
        with torch.no_grad():
            new = (model(candidates).argmax(dim=1) != labels) & ~found
        starts[new] = candidates[new]
        found |= new
        if found.all():
            break
    return starts, found


def lengths(x: Tensor) -> Tensor:
    """Euclidean lengths (n,) of images or differences (n, ...)."""
    return x.flatten(1).norm(dim=1)


# --------------------------------------------------------------- attacks by gradient


def gradient_attack(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    budget: float,
    *,
    n_steps: int = 100,
) -> Tensor:
    """Minimise a loss within a ball around each image: projected gradient descent.

    Unlike the Boundary Attack it needs to know what it attacks, weights and all.

    In the book: sec-adaptive (12-adversarial).

    Parameters
    ----------
    loss : callable
        Maps images (n, c, h, w) with pixels in [0, 1] to losses (n,), differentiable.
    images : Tensor of shape (n, c, h, w)
        Where to start.
    budget : float
        The ball's radius, Euclidean.
    n_steps : int, default=100
        Steps; each is of length 4 · budget / n_steps, against the gradient.

    Returns
    -------
    Tensor of shape (n, c, h, w)
        Of all images on the way, those with the least loss.

    Raises
    ------
    ValueError
        If ``budget`` or ``n_steps`` is out of range.

    References
    ----------
    Madry et al., "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018, in the Euclidean norm.
    """
    if not 0 < budget < math.inf:
        raise ValueError(f"budget must be a positive number; got {budget}")
    if n_steps < 1:
        raise ValueError(f"n_steps must be at least 1; got {n_steps}")
    step = 4 * budget / n_steps
    x, best = images.clone(), images.clone()
    least = images.new_full((len(images),), math.inf)
    for _ in range(n_steps + 1):
        x.requires_grad_()
        with torch.enable_grad():
            losses = loss(x)
            (gradient,) = torch.autograd.grad(losses.sum(), x)
        x, losses = x.detach(), losses.detach()
        better = losses < least
        best[better], least[better] = x[better], losses[better]
        length = lengths(gradient).clamp(min=1e-12).view(-1, 1, 1, 1)
        x = within(x - step * gradient / length, images, budget)
    return best


def within(x: Tensor, images: Tensor, budget: float) -> Tensor:
    """Pull points (n, c, h, w) back into the balls around images, and into [0, 1]."""
    way = x - images
    factor = (budget / lengths(way).clamp(min=1e-12)).clamp(max=1)
    return (images + way * factor.view(-1, 1, 1, 1)).clamp(0, 1)


def margin(model: nn.Module, labels: Tensor) -> Callable[[Tensor], Tensor]:
    """Return the loss of an attack on a classifier, negative where it succeeds.

    Parameters
    ----------
    model : Module
        Maps images to logits (n, k).
    labels : Tensor of shape (n,)
        True classes.

    Returns
    -------
    callable
        Maps images to (n,): the true class's logit minus the largest other one.
    """

    def loss(x: Tensor) -> Tensor:
        logits = model(x)
        true = logits.gather(1, labels[:, None])
        others = logits.scatter(1, labels[:, None], -math.inf)
        return true[:, 0] - others.amax(dim=1)

    return loss


class Evading(nn.Module):
    """A classifier that a detector guards: what is flagged counts as not adversarial.

    The Boundary Attack on it finds images that fool both.

    Parameters
    ----------
    model : Module
        Maps images (n, c, h, w) to logits (n, k).
    labels : Tensor of shape (n,)
        True classes, in the order in which images will be asked about.
    flags : callable
        Maps images to bools (n,), true where the detector raises the alarm.
    """

    def __init__(
        self, model: nn.Module, labels: Tensor, flags: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.model, self.labels, self.flags = model, labels, flags

    def forward(self, x: Tensor) -> Tensor:
        """Give the true class the largest logit where the image is flagged."""
        logits = self.model(x)
        top = logits.amax(dim=1, keepdim=True) + 1
        raised = logits.scatter(1, self.labels[:, None], top)
        return torch.where(self.flags(x)[:, None], raised, logits)


# ------------------------------------------------------------------------ whole sets


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
                return cls(**arrays, metadata=json.loads(str(file["metadata"])))
        except FileNotFoundError:
            raise
        except Exception as error:  # damage surfaces as many types, from zlib to numpy
            raise ValueError(
                f"'{os.fspath(path)}' must be a file of adversarial examples, as "
                f"deepsvdd attack writes, but cannot be read ({error})"
            ) from error


ARRAYS = tuple(f.name for f in fields(AdversarialSet) if f.name != "metadata")


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
    """Read a finished batch, if there is one."""
    if file is None or not file.exists():
        return None
    with np.load(file, allow_pickle=False) as content:
        return dict(content)


def write_part(file: Path | None, part: Part) -> None:
    """Keep a finished batch, if there is a place for it."""
    if file is not None:
        with atomic_write(file) as temporary:
            np.savez(temporary, **part)  # type: ignore[arg-type]
