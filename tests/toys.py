"""Small problems to train on, networks, detectors; and the training loop by hand."""

import json
import struct

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from deepsvdd import Dataset, DeepSVDD, Phase, Recipe, Split, build_autoencoder
from deepsvdd.adversarial.examples import AdversarialSet
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
    "cifar10_ResNet": (3, 32, 32),
    "mlp": (30,),
    "mlp_BN": (30,),
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


# --------------------------------------------------------------- adversarial examples


def few_images(name="mnist", shape=(1, 28, 28), seed=0):
    rng = np.random.default_rng(seed)

    def images(n):
        return rng.integers(0, 256, size=(n, *shape)).astype(np.uint8)

    labels = np.arange(40) % 4
    return Dataset(name, images(40), labels, images(40), labels, tuple("abcd"))


def made_up_examples(data, rows=(2, 6, 10), shift=0.25):
    rows = np.array(rows)
    n = len(rows)
    return AdversarialSet(
        x=(data.x_test[rows] * 0.9 + shift).astype(np.float32),
        original=data.x_test[rows],
        index=rows,
        predicted=np.zeros(n, dtype=np.int64),
        predicted_rounded=np.zeros(n, dtype=np.int64),
        distance=np.arange(1.0, n + 1),
        queries=np.full(n, 9),
        metadata={
            "dataset": data.name,
            "normal_class": 2,
            "attack": {"name": "none"},
            "classifier": {"test_accuracy": 1.0},
        },
    )


# -------------------------------------------------------------------- files of results


def a_run(seed=0, **more):
    """A line of results."""
    return {
        "dataset": "mnist",
        "normal_class": 3,
        "method": "kde",
        "seed": seed,
        **({"auc": 0.9} | more),
    }


NESTED = '{"dataset": ' + 100_000 * "[" + 100_000 * "]" + "}"
# What other hands may have made of a line: the fields that they changed, what is told.
BROKEN_FIELDS = {
    "auc text": ({"auc": "good"}, "auc"),
    "auc null": ({"auc": None}, "auc"),
    "auc NaN": ({"auc": float("nan")}, "auc"),
    "auc Infinity": ({"auc": float("inf")}, "auc"),
    "auc 93 (per cent)": ({"auc": 93}, "auc"),
    "auc -1": ({"auc": -1}, "auc"),
    "auc bool": ({"auc": True}, "auc"),
    "seed text": ({"seed": "a"}, "seed"),
    "seed null": ({"seed": None}, "seed"),
    "seed list": ({"seed": [1]}, "seed"),
    "seed huge": ({"seed": 10**400}, "seed"),
    "class text": ({"normal_class": "three"}, "normal_class"),
    "class null": ({"normal_class": None}, "normal_class"),
    "class -1": ({"normal_class": -1}, "normal_class"),
    "class 99": ({"normal_class": 99}, "normal_class"),
    "class float": ({"normal_class": 3.0}, "normal_class"),
    "class list": ({"normal_class": [3]}, "normal_class"),
    "dataset null": ({"dataset": None}, "dataset"),
    "dataset number": ({"dataset": 5}, "dataset"),
    "dataset list": ({"dataset": ["mnist"]}, "dataset"),
    "dataset '../../evil'": ({"dataset": "../../evil"}, "dataset"),
    "dataset surrogate": ({"dataset": "\ud800"}, "dataset"),
    "dataset long": ({"dataset": 300 * "a"}, "dataset"),
    "method null": ({"method": None}, "method"),
    "method list": ({"method": []}, "method"),
    "method with /": ({"method": "a/b"}, "method"),
    "pipe in names": ({"method": "a|b"}, "method"),
    "recipe number": ({"recipe": 5}, "recipe"),
    "recipe with \\": ({"recipe": "a\\b"}, "recipe"),
    "nu text": ({"nu": "0.1"}, "nu"),
    "nu 0": ({"nu": 0}, "nu"),
    "eta 0": ({"eta": 0}, "eta"),
    "precision list": ({"precision": []}, "precision"),
    "network null": ({"network": None}, "network"),
    "preprocessing object": ({"preprocessing": {}}, "preprocessing"),
    "provenance null": ({"provenance": None}, "provenance"),
    "provenance text": ({"provenance": "here"}, "provenance"),
    "commit number": ({"provenance": {"commit": 5}}, "provenance"),
    "machine null": ({"provenance": {"machine": None}}, "provenance"),
    "device list": ({"provenance": {"machine": {"device": []}}}, "provenance"),
    "untrained text": ({"untrained_auc": "low"}, "untrained_auc"),
    "untrained null": ({"untrained_auc": None}, "untrained_auc"),
    "control bool": ({"control_auc": False}, "control_auc"),
    "collapsed text": ({"collapsed": "no"}, "collapsed"),
    "epochs number": ({"epochs": 10}, "epochs"),
    "epochs of three": ({"epochs": [1, 2, 3]}, "epochs"),
    "seconds negative": ({"train_seconds": -1}, "train_seconds"),
    "seconds huge": ({"test_seconds": float("inf")}, "test_seconds"),
    "members of text": ({"members": ["a"]}, "members"),
    "n_members float": ({"n_members": 2.5}, "n_members"),
    "attack text": ({"attack": "none"}, "attack"),
}
# And of a file whose first line is whole: the rest of it.
BROKEN_TEXTS = {
    "half a line within": '{"dataset": "mni\n' + json.dumps(a_run(2)),
    "a list": "[1]",
    "a number": "5",
    "null": "null",
    "an empty line": "\n" + json.dumps(a_run(2)),
    "deep nesting": NESTED,
    "a field is missing": '{"dataset": "mnist"}',
    "a number of 5000 digits": '{"seed": ' + 5000 * "9" + "}",
    "not UTF-8": b'{"dataset": "\xff"}',
}


class Streamed(torch.utils.data.Dataset):
    """Images that come one by one, as from a disk."""

    def __init__(self, images):
        self.images = images

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index]
