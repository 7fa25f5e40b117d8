"""The paper's Section 4.3: whether adversarial examples are anomalies to detectors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deepsvdd.adversarial.attacks import lengths
from deepsvdd.adversarial.examples import AdversarialSet
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.objectives import squared_distances
from deepsvdd.datasets import Dataset, Split, one_vs_rest
from deepsvdd.reproduction.provenance import command_line
from deepsvdd.reproduction.results import Line, ResultsFile, key_of
from deepsvdd.reproduction.runs import run_on
from deepsvdd.reproduction.tasks import (
    NETWORK_METHODS,
    Settings,
    check_trainings,
    planned_lines,
    remaining,
    tasks_of,
)


def adversarial_split(dataset: Dataset, adversarial: AdversarialSet) -> Split:
    """Declare one class normal and its adversarial examples anomalies.

    Parameters
    ----------
    dataset : Dataset
        What the examples were made from.
    adversarial : AdversarialSet

    Returns
    -------
    Split
        Training images of the class; all its test images (label 0), the attacked ones
        among them as in the paper, and then the adversarial ones (label 1). The test
        images are float32, as adversarial ones are no whole numbers.

    Raises
    ------
    ValueError
        If the examples are of another data set, or their originals of another class.
    """
    label = adversarial.metadata["normal_class"]
    rows = np.minimum(adversarial.index, len(dataset.x_test) - 1)
    if not np.array_equal(dataset.x_test[rows], adversarial.original):
        raise ValueError(
            f"adversarial must be made from test images of this {dataset.name!r}; got "
            f"examples of {adversarial.metadata['dataset']!r} with other originals"
        )
    x_train = one_vs_rest(dataset, label).x_train
    if (dataset.y_test[rows] != label).any():
        raise ValueError(
            f"adversarial must be made from test images of its normal_class, {label}; "
            "got originals of other classes"
        )
    normal = dataset.x_test[dataset.y_test == label]
    x_test: Any = np.concatenate([normal.astype(np.float32), adversarial.x])
    y_test = np.repeat([0, 1], [len(normal), len(adversarial)])
    return Split(x_train, x_test, y_test, (label,))


def plain_noise(adversarial: AdversarialSet, seed: int = 0) -> NDArray[np.float32]:
    """Change the originals by random noise of the attack's size: a control.

    A detector that finds these as anomalous as the adversarial examples has noticed the
    noise and not that a classifier errs.

    In the book: sec-noise-control (12-adversarial).

    Parameters
    ----------
    adversarial : AdversarialSet
    seed : int, default=0
        Of the noise, which is Gaussian.

    Returns
    -------
    float32 array of shape (n, c, h, w)
        Pixels from 0 to 255; no image is farther from its original than the adversarial
        example, and some are a little closer, as pixels end at 0 and 255.

    Examples
    --------
    >>> from deepsvdd.adversarial.examples import AdversarialSet
    >>> noisy = plain_noise(AdversarialSet.load("threes.npz"))  # doctest: +SKIP
    """
    original = adversarial.original.astype(np.float64)
    noise = np.random.default_rng(seed).normal(size=original.shape)
    length = lengths(torch.from_numpy(noise)).numpy()
    noise *= (255 * adversarial.distance / length)[:, None, None, None]
    return np.clip(original + noise, 0, 255).astype(np.float32)


def run_experiment(
    dataset: Dataset,
    adversarial: AdversarialSet,
    file: ResultsFile,
    *,
    methods: Sequence[str] = NETWORK_METHODS,
    recipe: str = "fast",
    seeds: Sequence[int] = tuple(range(10)),
    settings: Settings | None = None,
    on_run: Callable[[Line], None] = lambda line: None,
) -> None:
    """Train detectors on normal images, and test them on adversarial ones.

    A line's ``control_auc`` is that of :func:`plain_noise` against the normal images.

    Parameters
    ----------
    dataset, adversarial
        As for :func:`adversarial_split`.
    file : ResultsFile
        Open; runs that it holds are not repeated. A line says which data set the images
        are of: drawn signs are "drawn signs".
    methods : sequence of str
        Some of :data:`deepsvdd.reproduction.tasks.METHODS`.
    recipe : str
        As for :func:`deepsvdd.reproduction.tasks.find_recipe`.
    seeds : sequence of int
    settings : Settings, optional
        As of a sweep.
    on_run : callable
        Called with every line when it has been written.

    Raises
    ------
    ValueError
        If an argument is out of range, the examples are of another data set, or the
        file holds such runs with other examples or another network.
    """
    split = adversarial_split(dataset, adversarial)
    facts = {
        "n_normal": int((split.y_test == 0).sum()),
        "n_adversarial": len(adversarial),
        "median_distance": float(np.median(adversarial.distance)),
        "attack": adversarial.metadata["attack"],
        "classifier": adversarial.metadata["classifier"],
    }
    normal = {dataset.name: split.normal_classes}
    tasks = tasks_of(normal, methods, [recipe], seeds, settings or Settings())
    check_trainings(tasks, dataset)
    shapes = {dataset.name: dataset.x_train.shape[1:]}
    file.refuse_others(line | facts for line in planned_lines(tasks, shapes))
    control = plain_noise(adversarial)
    command = command_line()
    for task in remaining(tasks, {key_of(line) for line in file.lines}):
        lines = [line | facts for line, _ in run_on(task, split, control)]
        for line in lines:
            line["provenance"] = line["provenance"] | {"command": command}
        file.append(*lines)
        for line in lines:
            on_run(line)


# --------------------------------------------------- the detector in an attacker's hand


def score_function(detector: DeepSVDD) -> Callable[[Tensor], Tensor]:
    """Return a detector's anomaly score as a function that has gradients.

    Parameters
    ----------
    detector : DeepSVDD
        Fitted, of one member.

    Returns
    -------
    callable
        Maps images (n, c, h, w) with pixels in [0, 1] to scores (n,), as
        ``detector.anomaly_score`` does of pixels from 0 to 255, preprocessing included.

    Raises
    ------
    ValueError
        If the detector has several members.
    """
    if len(detector.members_) != 1:
        raise ValueError(
            f"detector must have one member; got one with {len(detector.members_)}"
        )
    (member,) = detector.members_
    encoder = member.encoder

    def score(x: Tensor) -> Tensor:
        z = encoder(detector.preprocessor_(255 * x))
        return squared_distances(z, member.center) - member.radius**2

    return score
