"""Comparisons of ways to go faster: those that the package takes, and others.

Chapter 9 quotes them: what does not help is worth knowing, too.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from benchmarks.comparisons import (
    Sides,
    comparison,
    in_process,
    one_epoch,
    pretraining,
)
from benchmarks.setting import Setting, Unavailable, fresh_autoencoder
from benchmarks.timing import Measure, timed
from deepsvdd import get_recipe, pretrain_autoencoder
from deepsvdd.core import layers
from deepsvdd.core._engine.devices import autocast
from deepsvdd.core.representations import SCORING_BATCH, represent
from deepsvdd.reproduction.executors import cores

IMAGES = 2000  # of a training here: these comparisons are between neighbors


@contextlib.contextmanager
def threads(n: int) -> Any:
    """Let torch take n threads for each operation of this thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def at_once(work: Callable[[Any], Any], parts: list[Any]) -> list[Any]:
    """Do a part a core, each in a thread of its own with single-threaded operations."""

    def alone(part: Any) -> Any:
        with threads(1):
            return work(part)

    before = torch.get_num_threads()
    with ThreadPoolExecutor(len(cores())) as pool:
        results = list(pool.map(alone, parts))
    torch.set_num_threads(before)  # torch notes it for threads to come, too
    return results


@comparison("members", repetitions=(5, 2))
def members(setting: Setting) -> Sides:
    """Pretrain a network a core for one epoch: in turn, or each in its own thread."""
    phase = one_epoch(get_recipe("paper", setting.network).pretraining)
    x = setting.x[:IMAGES]
    networks = [fresh_autoencoder(setting, i) for i in range(len(cores()))]

    def train(network: nn.Module) -> None:
        pretrain_autoencoder(network, x, phase)

    return Sides(
        {
            "in turn": timed(lambda: [train(network) for network in networks]),
            "at once": timed(lambda: at_once(train, networks)),
        }
    )


@comparison("score-ways", repetitions=(7, 2))
def score_ways(setting: Setting) -> Sides:
    """Apply the network to preprocessed images: ways to use cores, caches and bits."""
    network, x = fresh_autoencoder(setting).eval().encoder, setting.x

    def by(size: int) -> Measure:
        return timed(lambda: represent(network, x, size))

    def dense() -> Tensor:
        """Convolution and pooling channels last, not in oneDNN's layout."""
        onednn = torch.backends.mkldnn
        with mock.patch.object(onednn, "is_available", return_value=False):
            return represent(network, x)

    def short() -> Tensor:
        apply = autocast(network, x.device, "bf16")
        with torch.no_grad():
            return torch.cat([apply(batch) for batch in x.split(SCORING_BATCH)])

    def split() -> list[Tensor]:
        parts = list(x.chunk(len(cores())))
        return at_once(lambda part: represent(network, part), parts)

    torch.testing.assert_close(dense(), represent(network, x), rtol=1e-4, atol=1e-4)
    return Sides(
        {
            f"{SCORING_BATCH} images at a time": by(SCORING_BATCH),
            "1000 at a time": by(1000),
            "a part a core": timed(split),
            "channels last": timed(dense),
            "bf16": timed(short),
        }
    )


@comparison("layouts", repetitions=(5, 2))
def layouts(setting: Setting) -> Sides:
    """Pretrain for one epoch, with the channels of a pixel side by side or not."""
    x = setting.x[:IMAGES]
    network = fresh_autoencoder(setting).to(memory_format=torch.contiguous_format)
    phase = one_epoch(get_recipe("paper", setting.network).pretraining)
    planes = x.contiguous()

    def contiguous() -> float:
        return pretrain_autoencoder(network, planes, phase)["seconds"][0]

    return Sides(
        {"channels last": pretraining(setting, x), "channels first": contiguous}
    )


COMPILING = """
import time
import torch
from benchmarks.setting import Setting
from benchmarks.ways import steps

network, step = steps(Setting.load({images}), compiled={compiled})
began = time.perf_counter()
step()
first = time.perf_counter() - began
for _ in range(3):
    step()
began = time.perf_counter()
for _ in range(20):
    step()
print({first} and first or (time.perf_counter() - began) / 20)
"""


def steps(setting: Setting, compiled: bool) -> tuple[nn.Module, Callable[[], None]]:
    """Build an autoencoder and its step of 200 images; compiled in torch's own norms.

    The package's gradient of normalization and pooling is Python that a compiler does
    not look into; torch's is what it is made for.
    """
    network = fresh_autoencoder(setting).train()
    x, apply = setting.x[:200], network
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    if compiled:
        for norm in network.modules():
            if isinstance(norm, layers.NormPool2d):
                norm.fused = False
        apply = torch.compile(network)

    def step() -> None:
        optimizer.zero_grad()
        (apply(x) - x).square().flatten(1).sum(dim=1).mean().backward()
        optimizer.step()

    return network, step


@comparison("compiled", repetitions=(1, 1), warm_up=False)
def compiled(setting: Setting) -> Sides:
    """Pretrain with torch.compile: a step, and the first one of a process."""
    if not (shutil.which("c++") or shutil.which("g++")):
        raise Unavailable("torch.compile needs a C++ compiler")
    folder = tempfile.mkdtemp()  # the compiler's cache, empty at first

    def of(is_compiled: bool, first: bool) -> Measure:
        code = COMPILING.format(
            images=setting.images or IMAGES, compiled=is_compiled, first=first
        )

        def measure() -> float:
            with mock.patch.dict("os.environ", TORCHINDUCTOR_CACHE_DIR=folder):
                return in_process(code)

        return measure

    return Sides(
        {
            "a step": of(False, False),
            "a step, compiled": of(True, False),
            "the first step, from the cache": of(True, True),
            "the first step of the package": of(False, True),
        }
    )
