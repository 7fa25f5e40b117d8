"""Small problems to train on, networks, detectors; and the training loop by hand."""

import json
import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deepsvdd import Dataset, DeepSVDD, Phase, Recipe, Split, build_autoencoder
from deepsvdd.reproduction.tasks import Settings

QUICK = Phase(lr=3e-3, n_epochs=2, batch_size=64, schedule="one-cycle")


def some_digits(mnist, n_train):
    """The first digits of MNIST, with 500 of the test set."""
    return Dataset(
        "mnist",
        *(mnist.x_train[:n_train], mnist.y_train[:n_train]),
        *(mnist.x_test[:500], mnist.y_test[:500]),
        mnist.classes,
    )


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def linear(d_in, d_out, *, bias=False, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Linear(d_in, d_out, bias=bias, dtype=dtype)


def toy(dtype=torch.float32, n=23):
    """Linear regression, a convex problem: module, loss function, data."""
    module = linear(4, 3, seed=1, dtype=dtype)
    truth = random(4, 3, seed=2, dtype=dtype)

    def loss_function(batch):
        return (module(batch) - batch @ truth).square().sum(1).mean()

    return module, loss_function, random(n, 4, seed=3, dtype=dtype)


def small_encoder(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.LeakyReLU(), nn.Linear(8, 4, bias=False)
    )


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


def loop_by_hand(module, loss_function, x, phase, seed):
    """The usual few lines of torch; returns each epoch's mean loss."""
    optimizer = torch.optim.Adam(
        module.parameters(),
        lr=phase.lr,
        weight_decay=phase.weight_decay,
        amsgrad=phase.optimizer_name == "amsgrad",
        fused=True,
    )
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for epoch in range(phase.n_epochs):
        if epoch in phase.lr_milestones:
            optimizer.param_groups[0]["lr"] *= 0.1
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        chunks = list(order.split(phase.batch_size))
        if len(chunks) > 1 and len(chunks[-1]) == 1:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        for chunk in chunks:
            loss = loss_function(x[chunk])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chunk)
        losses.append(total / len(x))
    return losses


# --------------------------------------------------------------- problems for detectors


def make_images(n=40, shape=(12, 12), seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, *shape), dtype=np.uint8)


def make_vectors(n=60, d=5, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


STEP = Phase(n_epochs=1, batch_size=16, schedule="one-cycle")
SHORT = Recipe(pretraining=STEP, training=STEP, warm_up_epochs=0, radius_every=1)
STILL = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))


def short(**parameters):
    return DeepSVDD(**({"recipe": SHORT, "random_state": 0} | parameters))


class Flat(nn.Module):
    """A network of somebody's own: images to representations of size 6."""

    def __init__(self, n_in=144, bias=False, activation=None):
        super().__init__()
        self.flatten = nn.Flatten()
        self.first = nn.Linear(n_in, 8, bias=bias)
        self.activation = activation or nn.LeakyReLU()
        self.second = nn.Linear(8, 6, bias=False)

    def forward(self, x):
        return self.second(self.activation(self.first(self.flatten(x))))


class Unflat(nn.Sequential):
    def __init__(self, shape=(1, 12, 12)):
        super().__init__(nn.Linear(6, int(np.prod(shape))), nn.Unflatten(1, shape))


# -------------------------------------------------------------------------- model files


class Tiny(nn.Module):
    """A custom network of so few weights that every byte of its file can be damaged."""

    def __init__(self, width=2):
        super().__init__()
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.head = nn.Linear(4, width, bias=False)

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.norm(x), 2).flatten(1))


def header_of(content):
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length])


class Evil:
    """Unpickling it leaves a trace."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


# ----------------------------------------------------------------------- named networks

SHAPES = {
    "mnist_LeNet": (1, 28, 28),
    "cifar10_LeNet": (3, 32, 32),
    "cifar10_LeNet_ELU": (3, 32, 32),
    "gtsrb_LeNet": (3, 32, 32),
    "deep_LeNet": (3, 72, 40),
    "mlp": (30,),
}


def build(name, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    return build_autoencoder(name, SHAPES[name]).to(dtype)


def batch(name, n=4, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((n, *SHAPES[name]), generator=generator, dtype=dtype)


# ------------------------------------------------------------------------------- sweeps

CPU = Settings(device="cpu")
BOTH = ("one-class", "soft-boundary")


def small(split):
    """A problem that trains in a moment: 400 training and 500 test images."""
    return Split(
        x_train=split.x_train[:400],
        x_test=split.x_test[:500],
        y_test=split.y_test[:500],
        normal_classes=split.normal_classes,
    )
