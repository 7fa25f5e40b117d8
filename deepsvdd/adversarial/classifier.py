"""A small image classifier: what adversarial examples are made against."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core._engine.isolation import drawn_from
from deepsvdd.core._engine.model_format import read_model, write_model
from deepsvdd.core.loop import optimise
from deepsvdd.core.recipes import Phase
from deepsvdd.core.representations import represent
from deepsvdd.datasets import Dataset

N_STEPS = 1000  # of training, whatever the number of images, at least 2 epochs
ARCHITECTURE = "conv 5×5 16 – pool – conv 5×5 32 – pool – dense 128 – linear, ReLU"


class Classifier(nn.Module):
    """Two 5×5 convolutions with pooling, a dense layer, and a linear one; ReLU.

    Parameters
    ----------
    input_shape : (c, h, w)
        Shape of one image.
    n_classes : int
        Number k of classes.

    Attributes
    ----------
    facts : dict
        Of the training: data set, seed, ``test_accuracy`` (a fraction of 1), …
    """

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        channels, height, width = input_shape
        self.layers = nn.Sequential(
            *(nn.Conv2d(channels, 16, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(32 * (height // 4) * (width // 4), 128)),
            *(nn.ReLU(), nn.Linear(128, n_classes)),
        )
        self.input_shape = tuple(input_shape)
        self.n_classes = n_classes
        self.facts: dict[str, Any] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) with pixels in [0, 1] to logits (n, k)."""
        return self.layers(x)

    def classify(self, x: Tensor) -> Tensor:
        """Name the class (n,) of each image (n, c, h, w) with pixels in [0, 1]."""
        return represent(self, x).argmax(dim=1)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write weights and facts to one file, ``….safetensors``."""
        shape = {"input_shape": self.input_shape, "n_classes": self.n_classes}
        metadata = {"kind": "classifier", **shape, "facts": self.facts}
        write_model(path, self.state_dict(), metadata)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Classifier:
        """Read what :meth:`save` wrote.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If it is damaged, or no classifier.
        """
        tensors, metadata = read_model(path, kind="classifier")
        with drawn_from(0):  # replaced below
            classifier = cls(tuple(metadata["input_shape"]), metadata["n_classes"])
        classifier.load_state_dict(tensors)
        classifier.facts = metadata["facts"]
        return classifier.eval()


def default_phase(n_images: int) -> Phase:
    """Choose epochs for a number of training images: about as many steps for all."""
    phase = Phase(lr=3e-3, batch_size=128, schedule="one-cycle")
    n_epochs = max(2, round(N_STEPS * phase.batch_size / n_images))
    return replace(phase, n_epochs=n_epochs)


def train_classifier(
    dataset: Dataset,
    phase: Phase | None = None,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
    verbose: bool = False,
) -> Classifier:
    """Train a classifier on all classes of a data set, and test it.

    Parameters
    ----------
    dataset : Dataset
        Classes without images, as drawn signs have some, are never predicted.
    phase : Phase, optional
        Settings; by default :func:`default_phase`.
    seed : int, default=0
        Of first weights and the order of images: the same seed gives the same bits on
        one CPU with one number of threads.
    device : torch.device or str
        Where to train.
    verbose : bool, default=False
        Show a progress bar, if stderr is a terminal.

    Returns
    -------
    Classifier
        In evaluation mode, with its ``facts``.

    Raises
    ------
    TrainingDivergedError
        If the loss becomes NaN or infinite.
    """
    phase = phase or default_phase(len(dataset.x_train))
    with drawn_from(seed):
        classifier = Classifier(dataset.x_train.shape[1:], len(dataset.classes))
    classifier.to(device)
    images = unit_pixels(dataset.x_train, device)
    labels = torch.tensor(dataset.y_train, device=device)

    def cross_entropy(rows: Tensor) -> Tensor:
        return F.cross_entropy(classifier(images[rows]), labels[rows])

    rows = torch.arange(len(images), device=device)
    optimise(
        classifier,
        cross_entropy,
        rows,
        phase,
        seeds=seed,
        title="classifier",
        verbose=verbose,
    )
    predicted = classifier.classify(unit_pixels(dataset.x_test, device)).cpu().numpy()
    classifier.facts = {
        "dataset": dataset.name,
        "architecture": ARCHITECTURE,
        "seed": seed,
        "n_epochs": phase.n_epochs,
        "n_train": len(images),
        "n_test": len(predicted),
        "test_accuracy": float((predicted == dataset.y_test).mean()),
    }
    return classifier


def unit_pixels(images: Any, device: torch.device | str = "cpu") -> Tensor:
    """Turn pixels from 0 to 255, shape (n, c, h, w), into float32 in [0, 1]."""
    return torch.tensor(images, device=device).float() / 255
