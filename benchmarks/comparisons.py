"""What is compared: one function a comparison, entered into a registry.

To add one, write a function that takes a :class:`Setting`, prepares two or more sides
outside the clock, and returns them as a :class:`Sides`; the first is what the others
are compared with. Raise :class:`Unavailable` where it cannot be done (no GPU)::

    @comparison("svdd-epoch-bf16", repetitions=(7, 3))
    def svdd_epoch_bf16(setting: Setting) -> Sides:
        ...
        return Sides({"float32": timed(one), "bfloat16": timed(other)})
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from benchmarks import plain
from benchmarks.timing import Measure, stopwatch, timed
from deepsvdd import (
    Autoencoder,
    DeepSVDD,
    Hypersphere,
    Phase,
    Preprocessor,
    Recipe,
    Split,
    build_autoencoder,
    get_recipe,
    load_dataset,
    one_vs_rest,
    pretrain_autoencoder,
    train_hypersphere,
)
from deepsvdd.metrics import roc_auc
from deepsvdd.objectives import initial_center

ROOT = Path(__file__).resolve().parent.parent
NETWORK = "mnist_LeNet"
DIGIT = 3
TOLERANCE = {"rtol": 1e-4, "atol": 1e-4}


class Unavailable(Exception):
    """A comparison cannot be made here; the message says why."""


@dataclass(frozen=True)
class Setting:
    """The data of one run, as either side wants it.

    Attributes
    ----------
    split : Split
        Digit 3 of MNIST against the others.
    """

    split: Split

    @classmethod
    def load(cls, images: int | None = None) -> Setting:
        """Take the bundled MNIST, or its first `images` training and test images."""
        split = one_vs_rest(load_dataset("mnist"), normal_class=DIGIT)
        return cls(
            replace(
                split,
                x_train=split.x_train[:images],
                x_test=split.x_test[:images],
                y_test=split.y_test[:images],
            )
        )

    @cached_property
    def preprocessor(self) -> Preprocessor:
        return Preprocessor.fit(torch.tensor(self.split.x_train), "gcn_l1")

    @cached_property
    def x(self) -> Tensor:
        """Training images (n, 1, 28, 28) as :class:`DeepSVDD` trains on them."""
        x = self.preprocessor(torch.tensor(self.split.x_train))
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


@dataclass(frozen=True)
class Sides:
    """Alternatives that do the same work, ready to be measured.

    Attributes
    ----------
    measures : dict
        Name of the side to a function that does the work and returns what it took. The
        first side is what the others are compared with.
    notes : dict
        Filled by the measures: name of the side to what else is worth printing.
    """

    measures: dict[str, Measure]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """An entry of the registry: a function, and how to use it."""

    prepare: Callable[[Setting], Sides]
    repetitions: tuple[int, int]  # as a rule, with --quick
    unit: str
    warm_up: bool

    @property
    def title(self) -> str:
        return (self.prepare.__doc__ or "").partition("\n")[0].rstrip(".")


COMPARISONS: dict[str, Comparison] = {}


def comparison(
    name: str, repetitions: tuple[int, int], unit: str = "s", warm_up: bool = True
) -> Callable[[Callable[[Setting], Sides]], Callable[[Setting], Sides]]:
    """Enter a function into the registry."""

    def register(prepare: Callable[[Setting], Sides]) -> Callable[[Setting], Sides]:
        COMPARISONS[name] = Comparison(prepare, repetitions, unit, warm_up)
        return prepare

    return register


# ------------------------------------------------------------------- the same function


def plain_twin(package: Autoencoder) -> plain.Autoencoder:
    """Build the plain autoencoder with the weights and statistics of the package's."""
    twin = plain.Autoencoder()
    state = package.state_dict()
    names = {
        "encoder.convs.{}.weight": "encoder.conv{}.weight",
        "encoder.norms.{}.": "encoder.norm{}.",
        "decoder.deconvs.{}.weight": "decoder.conv{}.weight",
        "decoder.norms.{}.": "decoder.norm{}.",
        "encoder.head.weight": "encoder.head.weight",
    }
    renamed = {}
    for theirs, ours in names.items():
        for i in range(3):
            prefix, target = theirs.format(i), ours.format(i + 1)
            for key in state:
                if key.startswith(prefix):
                    renamed[key.replace(prefix, target)] = state[key]
    twin.load_state_dict(renamed)  # strict: complains about any that is missing
    return twin


def fresh_autoencoder() -> Autoencoder:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        autoencoder = build_autoencoder(NETWORK, (1, 28, 28))
    return autoencoder.to(memory_format=torch.channels_last)


def check_agreement(setting: Setting) -> None:
    """Assert that both sides compute one function, or a comparison means nothing.

    On one batch: the preprocessed images; reconstructions, loss and its gradients in
    training; running statistics after it; representations and reconstructions in
    evaluation.

    Raises
    ------
    AssertionError
        If any two differ by more than 1e-4.
    """
    x = setting.x[: plain.BATCH_SIZE]
    batch, _ = next(iter(plain.test_loader(setting.train_images)))
    torch.testing.assert_close(batch, x, **TOLERANCE)

    ours = fresh_autoencoder()
    with torch.no_grad():
        ours.train()(x)  # away from the initial running statistics
    theirs = plain_twin(ours)
    losses = [plain.reconstruction_loss(net.train()(x), x) for net in (ours, theirs)]
    torch.testing.assert_close(*losses, **TOLERANCE)
    for loss in losses:
        loss.backward()
    gradients = plain_twin(_gradients_as_weights(ours)).parameters()
    for a, b in zip(gradients, theirs.parameters(), strict=True):
        torch.testing.assert_close(a.data, b.grad, **TOLERANCE)
    for a, b in zip(plain_twin(ours).buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b, **TOLERANCE)
    with torch.no_grad():
        z = [net.eval().encoder(x) for net in (ours, theirs)]
        torch.testing.assert_close(*z, **TOLERANCE)
        torch.testing.assert_close(ours(x), theirs(x), **TOLERANCE)


def _gradients_as_weights(autoencoder: Autoencoder) -> Autoencoder:
    twin = fresh_autoencoder()
    twin.load_state_dict(autoencoder.state_dict())
    for weight, original in zip(
        twin.parameters(), autoencoder.parameters(), strict=True
    ):
        weight.data = original.grad
    return twin


# --------------------------------------------------------------------------- training


def one_epoch(phase: Phase) -> Phase:
    return replace(phase, n_epochs=1)


def adam(network: nn.Module, phase: Phase) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), lr=phase.lr, weight_decay=phase.weight_decay
    )


@comparison("autoencoder-epoch", repetitions=(7, 3))
def autoencoder_epoch(setting: Setting) -> Sides:
    """Pretrain the autoencoder for one epoch of the paper's protocol."""
    phase = get_recipe("paper", NETWORK).pretraining
    ours = fresh_autoencoder()
    theirs = plain_twin(ours)
    loader = plain.train_loader(setting.train_images)
    optimizer = adam(theirs, phase)

    def package() -> float:
        history = pretrain_autoencoder(ours, setting.x, one_epoch(phase))
        return history["seconds"][0]

    def plain_loop() -> None:
        plain.autoencoder_epoch(theirs, loader, optimizer)

    return Sides({"plain": timed(plain_loop), "package": package})


@comparison("svdd-epoch", repetitions=(7, 3))
def svdd_epoch(setting: Setting) -> Sides:
    """Train Deep SVDD, one-class, for one epoch of the paper's protocol."""
    recipe = get_recipe("paper", NETWORK)
    recipe = replace(recipe, training=one_epoch(recipe.training))
    ours = fresh_autoencoder()
    theirs = plain_twin(ours).encoder
    loader = plain.train_loader(setting.train_images)
    optimizer = adam(theirs, recipe.training)
    center = plain.initial_center(theirs, loader)

    def package() -> float:
        sphere = train_hypersphere(ours.encoder, setting.x, recipe, center=center)
        return sphere.history["training"]["seconds"][0]

    def plain_loop() -> None:
        plain.svdd_epoch(theirs, center, loader, optimizer)

    return Sides({"plain": timed(plain_loop), "package": package})


@comparison("fit", repetitions=(3, 1), warm_up=False)
def fit(setting: Setting) -> Sides:
    """Train with the fast recipe and score the test images, from pixels to AUC."""
    split, recipe = setting.split, get_recipe("fast", NETWORK)
    notes: dict[str, str] = {}

    def package() -> float:
        with stopwatch() as watch:
            detector = DeepSVDD(recipe="fast", device="cpu", random_state=0)
            scores = detector.fit(split.x_train).anomaly_score(split.x_test)
        notes["package"] = f"AUC {100 * roc_auc(split.y_test, scores):.2f} %"
        return watch.seconds

    def plain_loop() -> float:
        with torch.random.fork_rng(devices=[]), stopwatch() as watch:
            torch.manual_seed(0)
            labels, scores = plain_fit(setting, recipe)
        notes["plain"] = f"AUC {100 * roc_auc(labels, scores):.2f} %"
        return watch.seconds

    return Sides({"plain": plain_loop, "package": package}, notes)


def plain_fit(setting: Setting, recipe: Recipe) -> tuple:
    """Pretrain, train and score with the plain loop; return labels and scores (n,)."""
    loader = plain.train_loader(setting.train_images)
    network = plain.Autoencoder()
    optimizer, schedule = one_cycle(network, recipe.pretraining, loader)
    for _ in range(recipe.pretraining.n_epochs):
        plain.autoencoder_epoch(network, loader, optimizer, schedule)
    center = plain.initial_center(network.encoder, loader)
    optimizer, schedule = one_cycle(network.encoder, recipe.training, loader)
    for _ in range(recipe.training.n_epochs):
        plain.svdd_epoch(network.encoder, center, loader, optimizer, schedule)
    return plain.score(network.encoder, center, plain.test_loader(setting.test_images))


def one_cycle(
    network: nn.Module, phase: Phase, loader: DataLoader
) -> tuple[torch.optim.Adam, OneCycleLR]:
    optimizer = adam(network, phase)
    steps = phase.n_epochs * len(loader) + 1
    return optimizer, OneCycleLR(optimizer, max_lr=phase.lr, total_steps=steps)


# ---------------------------------------------------------------------------- scoring


@comparison("score", repetitions=(9, 3))
def score(setting: Setting) -> Sides:
    """Score the test images, from pixels to scores."""
    split = setting.split
    detector = DeepSVDD(recipe=untrained(), pretrain=False, device="cpu")
    detector.fit(split.x_train)
    autoencoder = fresh_autoencoder().eval()
    with torch.no_grad():
        center = initial_center(autoencoder.encoder(setting.x))
    detector.members_ = [Hypersphere(autoencoder.encoder, center)]
    network = plain_twin(autoencoder).encoder
    loader = plain.test_loader(setting.test_images)

    _, theirs = plain.score(network, center, loader)
    ours = detector.anomaly_score(split.x_test)
    torch.testing.assert_close(
        torch.from_numpy(ours), torch.from_numpy(theirs), **TOLERANCE
    )
    return Sides(
        {
            "plain": timed(lambda: plain.score(network, center, loader)),
            "package": timed(lambda: detector.anomaly_score(split.x_test)),
        }
    )


def untrained() -> Recipe:
    nothing = Phase(n_epochs=0)
    return Recipe(pretraining=nothing, training=nothing)


# -------------------------------------------------------------- processes of their own


@comparison("import", repetitions=(7, 2))
def imports(setting: Setting) -> Sides:
    """Import the package, in a process of its own, against importing torch."""

    def seconds_of(statement: str) -> Measure:
        clock = "from time import perf_counter as now; start = now(); "
        return lambda: in_process(f"{clock}{statement}; print(now() - start)")

    statements = ("import torch", "import deepsvdd", "from deepsvdd import DeepSVDD")
    return Sides({statement: seconds_of(statement) for statement in statements})


@comparison("memory", repetitions=(3, 1), unit="MB", warm_up=False)
def memory(setting: Setting) -> Sides:
    """Peak memory of a process that trains one epoch of either phase and scores."""
    if not Path("/proc/self/status").exists():
        raise Unavailable("the peak is read from /proc, which this system lacks")
    images = len(setting.split.x_test)
    statement = "from benchmarks.comparisons import peak_memory; peak_memory({!r}, {})"
    return Sides(
        {
            side: lambda side=side: in_process(statement.format(side, images))
            for side in ("plain", "package")
        }
    )


def peak_memory(side: str, images: int) -> None:
    """Do one side's work and print the most memory that this process ever had (MB)."""
    setting = Setting.load(images)
    paper = get_recipe("paper", NETWORK)
    recipe = Recipe(one_epoch(paper.pretraining), one_epoch(paper.training))
    if side == "package":
        detector = DeepSVDD(recipe=recipe, device="cpu", random_state=0)
        detector.fit(setting.split.x_train).anomaly_score(setting.split.x_test)
    else:
        plain_fit(setting, recipe)
    # Not getrusage: its peak includes the process that started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM"))
    print(int(peak) / 1024)


def in_process(statements: str) -> float:
    """Run Python statements in a new process; return the number that they print."""
    command = [sys.executable, "-c", statements]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)
