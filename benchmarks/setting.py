"""What both sides work on: data and networks, checked to be the same for either.

A :class:`Setting` holds one class of a data set as the package takes it and as the
plain loop does; :func:`plain_twin` gives the plain network the package's weights; and
:func:`check_agreement` asserts that the two then compute one function.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from benchmarks import plain
from deepsvdd import (
    Autoencoder,
    DataUnavailableError,
    Preprocessor,
    Split,
    load_dataset,
    one_vs_rest,
)
from deepsvdd.core.networks import seeded_autoencoder

NETWORKS = {"mnist": "mnist_LeNet", "cifar10": "cifar10_LeNet"}
NORMAL_CLASS = 3  # a digit; of CIFAR-10, the cats
CPU = torch.device("cpu")
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


class Unavailable(Exception):
    """A comparison cannot be made here; the message says why."""


@dataclass(frozen=True)
class Setting:
    """The data of one run, as either side wants it.

    Attributes
    ----------
    split : Split
        One class of MNIST or CIFAR-10 against the others.
    name : str
        Of the data set.
    device : torch.device
        Where the package trains; the plain loop stays on the CPU.
    images, folder : optional
        How many images to use, and where CIFAR-10 lies.
    """

    split: Split
    name: str = "mnist"
    device: torch.device = CPU
    images: int | None = None
    folder: str | None = None

    @classmethod
    def load(
        cls,
        images: int | None = None,
        name: str = "mnist",
        folder: str | None = None,
        device: torch.device | None = None,
    ) -> Setting:
        """Take a data set, or its first `images` training and test images."""
        try:
            dataset = load_dataset(name, root=folder, download=False)
        except DataUnavailableError:
            raise Unavailable(
                f"no {name}: name a folder that holds {name}.npz with --data"
            ) from None
        split = one_vs_rest(dataset, normal_class=NORMAL_CLASS)
        split = replace(
            split,
            x_train=split.x_train[:images],
            x_test=split.x_test[:images],
            y_test=split.y_test[:images],
        )
        return cls(split, name, device or CPU, images, folder)

    @cached_property
    def cifar10(self) -> Setting:
        """The same setting with CIFAR-10, if it is there."""
        return self.load(self.images, "cifar10", self.folder, self.device)

    @property
    def network(self) -> str:
        return NETWORKS[self.name]

    @cached_property
    def preprocessor(self) -> Preprocessor:
        return Preprocessor.fit(torch.tensor(self.split.x_train), "gcn_l1")

    @cached_property
    def x(self) -> Tensor:
        """Training images (n, c, h, w) as :class:`DeepSVDD` trains on them."""
        x = self.preprocessor(torch.tensor(self.split.x_train)).to(self.device)
        return x.contiguous(memory_format=torch.channels_last)

    @cached_property
    def extrema(self) -> tuple[float, float]:
        return self.preprocessor.minimum.item(), self.preprocessor.maximum.item()

    @cached_property
    def train_images(self) -> plain.Images:
        labels = torch.zeros(len(self.split.x_train), dtype=torch.int64).numpy()
        return plain.Images(self.split.x_train, labels, *self.extrema)

    @cached_property
    def test_images(self) -> plain.Images:
        return plain.Images(self.split.x_test, self.split.y_test, *self.extrema)


# -------------------------------------------------------------------- the same function


def fresh_autoencoder(setting: Setting, seed: int = 0) -> Autoencoder:
    shape = setting.split.x_train.shape[1:]
    return seeded_autoencoder(setting.network, shape, seed, setting.device)


def plain_twin(package: Autoencoder) -> plain.Autoencoder:
    """Build the plain autoencoder with the weights and statistics of the package's."""
    state = package.state_dict()
    twin = plain.Autoencoder(state["encoder.convs.0.weight"].shape[1])
    names = {
        "encoder.convs.{}.weight": "encoder.conv{}.weight",
        "encoder.norms.{}.": "encoder.norm{}.",
        "decoder.deconvs.{}.weight": "decoder.conv{}.weight",
        "decoder.norms.{}.": "decoder.norm{}.",
        "encoder.head.weight": "encoder.head.weight",
        "decoder.code_norm.": "decoder.code_norm.",
    }
    renamed = {}
    for theirs, ours in names.items():
        for i in range(4):
            prefix, target = theirs.format(i), ours.format(i + 1)
            for key in state:
                if key.startswith(prefix):
                    renamed[key.replace(prefix, target)] = state[key]
    twin.load_state_dict(renamed)  # strict: complains about any that is missing
    return twin


def check_agreement(setting: Setting) -> None:
    """Assert that both sides compute one function, or a comparison means nothing.

    On one batch: the preprocessed images; reconstructions, loss and its gradients in
    training; running statistics after it; representations and reconstructions in
    evaluation.

    Raises
    ------
    AssertionError
        If any two differ by more than 1e-4, in double precision: a chain of maxima and
        normalizations makes much of a rounding error.
    """
    x = setting.x[: plain.BATCH_SIZE].cpu()
    batch, _ = next(iter(plain.test_loader(setting.train_images)))
    torch.testing.assert_close(batch, x, **TOLERANCE)

    x = x.double()
    ours = fresh_autoencoder(setting).cpu().double()
    with torch.no_grad():
        ours.train()(x)  # away from the initial running statistics
    theirs = plain_twin(ours).double()
    losses = [plain.reconstruction_loss(net.train()(x), x) for net in (ours, theirs)]
    torch.testing.assert_close(*losses, **TOLERANCE)
    for loss in losses:
        loss.backward()
    gradients = plain_twin(_gradients_as_weights(ours, setting)).parameters()
    for a, b in zip(gradients, theirs.parameters(), strict=True):
        torch.testing.assert_close(a.data.double(), b.grad, **TOLERANCE)
    for a, b in zip(plain_twin(ours).double().buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
    with torch.no_grad():
        z = [net.eval().encoder(x) for net in (ours, theirs)]
        torch.testing.assert_close(*z, **TOLERANCE)
        torch.testing.assert_close(ours(x), theirs(x), **TOLERANCE)


def _gradients_as_weights(autoencoder: Autoencoder, setting: Setting) -> Autoencoder:
    twin = fresh_autoencoder(setting).cpu().double()
    twin.load_state_dict(autoencoder.state_dict())
    for weight, original in zip(
        twin.parameters(), autoencoder.parameters(), strict=True
    ):
        weight.data = original.grad
    return twin
