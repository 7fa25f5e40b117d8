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
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.data import DataLoader
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import plain
from benchmarks.setting import (
    TOLERANCE,
    Setting,
    Unavailable,
    check_agreement,
    fresh_autoencoder,
    plain_twin,
)
from benchmarks.timing import Measure, stopwatch, timed
from deepsvdd import (
    DeepSVDD,
    Hypersphere,
    ImageArray,
    Phase,
    Recipe,
    get_recipe,
    pretrain_autoencoder,
    pretrain_autoencoders,
    train_hypersphere,
)
from deepsvdd.core._engine.devices import PRECISIONS
from deepsvdd.core._engine.feeds import Stream, as_feed
from deepsvdd.core._engine.replay import ReplayedStep
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.training import mean_representation
from deepsvdd.errors import OldDependencyError
from deepsvdd.reproduction import provenance

ROOT = Path(__file__).resolve().parent.parent


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


# --------------------------------------------------------------------------- training


def one_epoch(phase: Phase) -> Phase:
    return replace(phase, n_epochs=1)


def adam(network: nn.Module, phase: Phase) -> torch.optim.Adam:
    return torch.optim.Adam(
        network.parameters(), lr=phase.lr, weight_decay=phase.weight_decay
    )


def pretraining(setting: Setting, x: Tensor | None = None, **options: Any) -> Measure:
    """Measure one epoch of the package's pretraining by the paper's protocol."""
    phase = one_epoch(get_recipe("paper", setting.network).pretraining)
    network = fresh_autoencoder(setting)
    x = setting.x if x is None else x
    return lambda: pretrain_autoencoder(network, x, phase, **options)["seconds"][0]


@comparison("autoencoder-epoch", repetitions=(7, 3))
def autoencoder_epoch(setting: Setting) -> Sides:
    """Pretrain the autoencoder for one epoch of the paper's protocol."""
    phase = get_recipe("paper", setting.network).pretraining
    theirs = plain_twin(fresh_autoencoder(setting))
    loader = plain.train_loader(setting.train_images)
    optimizer = adam(theirs, phase)

    def plain_loop() -> None:
        plain.autoencoder_epoch(theirs, loader, optimizer)

    return Sides({"plain": timed(plain_loop), "package": pretraining(setting)})


@comparison("svdd-epoch", repetitions=(7, 3))
def svdd_epoch(setting: Setting) -> Sides:
    """Train Deep SVDD, one-class, for one epoch of the paper's protocol."""
    recipe = get_recipe("paper", setting.network)
    recipe = replace(recipe, training=one_epoch(recipe.training))
    ours = fresh_autoencoder(setting)
    theirs = plain_twin(ours).encoder
    loader = plain.train_loader(setting.train_images)
    optimizer = adam(theirs, recipe.training)
    center = plain.initial_center(theirs, loader)

    def package() -> float:
        sphere = train_hypersphere(
            ours.encoder, setting.x, recipe, center=center.to(setting.device)
        )
        return sphere.history["training"]["seconds"][0]

    def plain_loop() -> None:
        plain.svdd_epoch(theirs, center, loader, optimizer)

    return Sides({"plain": timed(plain_loop), "package": package})


@comparison("cifar10-autoencoder", repetitions=(3, 1))
def cifar10_autoencoder_epoch(setting: Setting) -> Sides:
    """Pretrain on CIFAR-10 for one epoch, in either precision."""
    check_agreement(setting.cifar10)
    sides = autoencoder_epoch(setting.cifar10).measures
    low = pretraining(setting.cifar10, precision="bf16")
    return Sides(sides | {"package, bf16": low})


@comparison("cifar10-svdd", repetitions=(3, 1))
def cifar10_svdd_epoch(setting: Setting) -> Sides:
    """Train Deep SVDD on CIFAR-10 for one epoch."""
    return svdd_epoch(setting.cifar10)


# ----------------------------------------------------------------------- what it takes


@comparison("precision", repetitions=(5, 2))
def precision(setting: Setting) -> Sides:
    """Pretrain for one epoch in single precision and in bfloat16."""
    return Sides({p: pretraining(setting, precision=p) for p in PRECISIONS})


@comparison("threads", repetitions=(5, 2))
def threads(setting: Setting) -> Sides:
    """Pretrain for one epoch with one thread, two, four, ... of the CPU."""
    if setting.device.type != "cpu":
        raise Unavailable("training runs on a GPU")
    available = torch.get_num_threads()
    counts = [n for n in (1, 2, 4, 8, 16, 32, 64) if n < available] + [available]

    def with_threads(n: int) -> Measure:
        epoch = pretraining(setting)

        def measure() -> float:
            torch.set_num_threads(n)
            try:
                return epoch()
            finally:
                torch.set_num_threads(available)

        return measure

    return Sides({f"{n} thread{'s' * (n > 1)}": with_threads(n) for n in counts})


@comparison("floor", repetitions=(5, 2))
def floor(setting: Setting) -> Sides:
    """Pretrain for one epoch, against what its arithmetic and its memory must take.

    The floor of the arithmetic: its operations at the rate of a large matrix product.
    That of the memory: all bytes that the operations read and write, at the rate of a
    large copy; caches can beat it.
    """
    flops, n_bytes = work_of_an_epoch(setting)
    a = torch.rand(2048, 2048, device=setting.device)
    b = torch.rand(2**26, device=setting.device)
    c = torch.empty_like(b).copy_(b)  # touched, so that its memory exists

    def seconds_of(work: Callable[[], Any]) -> float:
        def done() -> None:
            work()
            if setting.device.type == "cuda":
                torch.cuda.synchronize()

        return timed(done)()

    def arithmetic() -> float:
        return flops * seconds_of(lambda: a @ a) / (2 * len(a) ** 3)

    def memory() -> float:
        return n_bytes * seconds_of(lambda: c.copy_(b)) / (2 * b.nbytes)

    notes = {
        "arithmetic": f"{flops / 1e9:,.0f} GFLOP",
        "memory": f"{n_bytes / 1e9:,.0f} GB",
    }
    measures = {"package": pretraining(setting)}
    return Sides(measures | {"arithmetic": arithmetic, "memory": memory}, notes)


def work_of_an_epoch(setting: Setting) -> tuple[float, float]:
    """Count the operations, and the bytes in and out of them, of one epoch."""
    network, x = fresh_autoencoder(setting).train(), setting.x[: plain.BATCH_SIZE]
    with FlopCounterMode(display=False) as flops, ByteCounter() as traffic:
        (network(x) - x).square().flatten(1).sum(dim=1).mean().backward()
    batches = len(setting.x) / len(x)
    return flops.get_total_flops() * batches, traffic.n_bytes * batches


class ByteCounter(TorchDispatchMode):
    """Adds up the sizes of all tensors that operations read and write, not of views."""

    def __init__(self) -> None:
        super().__init__()
        self.n_bytes = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = tree_leaves((args, kwargs, result))
            self.n_bytes += sum(t.nbytes for t in tensors if isinstance(t, Tensor))
        return result


@comparison("images", repetitions=(3, 1))
def images(setting: Setting) -> Sides:
    """Pretrain for one epoch on more and more images."""
    counts = [n for n in (500, 1000, 2000, 4000, 8000, 16000) if n <= len(setting.x)]
    counts = counts or [len(setting.x)]
    return Sides({f"{n} images": pretraining(setting, setting.x[:n]) for n in counts})


@comparison("networks", repetitions=(3, 1))
def networks(setting: Setting) -> Sides:
    """Pretrain a stack of M networks for one epoch: seconds a network."""
    gpu = setting.device.type == "cuda"
    x = setting.x if gpu else setting.x[:1000]  # a CPU has nothing to gain
    phase = one_epoch(get_recipe("paper", setting.network).pretraining)

    def stack_of(m: int) -> Measure:
        stack = [fresh_autoencoder(setting, seed) for seed in range(m)]

        def measure() -> float:
            histories = pretrain_autoencoders(stack, x, phase, seeds=range(m))
            return histories[0]["seconds"][0]  # a network's share of the stack's time

        return measure

    sizes = (1, 10, 30, 100) if gpu else (1, 2, 4, 8)
    return Sides({f"{m} network{'s' * (m > 1)}": stack_of(m) for m in sizes})


@comparison("streaming", repetitions=(3, 1))
def streaming(setting: Setting) -> Sides:
    """Pretrain for one epoch on images in memory, and on images read meanwhile."""
    images = setting.split.x_train
    read = Stream(
        ImageArray(images), images.shape[1:], setting.preprocessor, setting.device, 1
    )
    streamed = pretraining(setting, read)
    return Sides({"in memory": pretraining(setting), "streamed": streamed})


@comparison("replay", repetitions=(5, 2))
def replay(setting: Setting) -> Sides:
    """Pretrain for one epoch with steps launched kernel by kernel, and replayed."""
    if setting.device.type != "cuda":
        raise Unavailable("CUDA graphs need a GPU")

    def launched() -> float:
        with mock.patch.object(ReplayedStep, "WARM_UP", 10**9):
            return usual()

    usual, replayed = pretraining(setting), pretraining(setting)
    return Sides({"launched": launched, "replayed": replayed})


# ------------------------------------------------------------------- from end to end


@comparison("fit", repetitions=(3, 1), warm_up=False)
def fit(setting: Setting) -> Sides:
    """Train with the fast recipe and score the test images, from pixels to AUC."""
    split, recipe = setting.split, get_recipe("fast", setting.network)
    notes: dict[str, str] = {}

    def package() -> float:
        with stopwatch() as watch:
            detector = DeepSVDD(recipe="fast", device=setting.device, random_state=0)
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
    detector = DeepSVDD(recipe=untrained(), pretrain=False, device=setting.device)
    detector.fit(split.x_train)
    autoencoder = fresh_autoencoder(setting).eval()
    center = mean_representation(autoencoder.encoder, as_feed(setting.x))
    detector.members_ = [Hypersphere(autoencoder.encoder, center)]
    network, center = plain_twin(autoencoder).encoder, center.cpu()
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
        },
        {"package": f"of {len(split.x_test):,} images"},
    )


def untrained() -> Recipe:
    nothing = Phase(n_epochs=0)
    return Recipe(pretraining=nothing, training=nothing)


# -------------------------------------------------------------- processes of their own


@comparison("one-image", repetitions=(301, 9))
def one_image(setting: Setting) -> Sides:
    """Score one image, as a request brings it: by the package, and as an ONNX file."""
    split = setting.split
    detector = DeepSVDD(recipe=untrained(), pretrain=False, device=setting.device)
    detector.fit(split.x_train)
    image = split.x_test[:1]
    raw = image.reshape(1, *detector.input_shape_).astype("float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        try:
            detector.export_onnx(path)
        except OldDependencyError as reason:
            raise Unavailable(str(reason)) from None
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(path, options)
    return Sides(
        {
            "package": timed(lambda: detector.anomaly_score(image)),
            "onnxruntime": timed(lambda: session.run(None, {"x": raw})),
        }
    )


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
    if provenance.peak_memory() is None:
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
    paper = get_recipe("paper", setting.network)
    recipe = Recipe(one_epoch(paper.pretraining), one_epoch(paper.training))
    if side == "package":
        detector = DeepSVDD(recipe=recipe, device="cpu", random_state=0)
        detector.fit(setting.split.x_train).anomaly_score(setting.split.x_test)
    else:
        plain_fit(setting, recipe)
    print(provenance.peak_memory())


def in_process(statements: str) -> float:
    """Run Python statements in a new process; return the number that they print."""
    command = [sys.executable, "-c", statements]
    done = subprocess.run(
        command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)
