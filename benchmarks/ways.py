"""Comparisons of ways to go faster: those that the package takes, and others.

Chapter 9 quotes them: what does not help is worth knowing, too.
"""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable
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
from benchmarks.setting import Setting, Unavailable, fresh_autoencoder, plain_twin
from benchmarks.timing import Measure, timed
from deepsvdd import get_recipe, pretrain_autoencoder
from deepsvdd.core import layers
from deepsvdd.core._engine.devices import autocast
from deepsvdd.core._engine.side_by_side import side_by_side
from deepsvdd.core.representations import SCORING_BATCH, represent
from deepsvdd.reproduction.executors import cores

IMAGES = 2000  # of a training here: these comparisons are between neighbors


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
            "at once": timed(lambda: side_by_side(train, networks)),
        }
    )


@comparison("score-ways", repetitions=(7, 2))
def score_ways(setting: Setting) -> Sides:
    """Apply the network to preprocessed images: ways to use cores, caches and bits."""
    autoencoder, x = fresh_autoencoder(setting).eval(), setting.x
    network = autoencoder.encoder

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
        parts = x.chunk(len(cores()))
        return side_by_side(lambda part: represent(network, part), parts)

    torch.testing.assert_close(dense(), represent(network, x), rtol=1e-4, atol=1e-4)
    sides = {}
    if "x86" in torch.backends.quantized.supported_engines:
        twin = in_eight_bits(plain_twin(autoencoder).encoder, x[:SCORING_BATCH])
        sides["int8"] = timed(lambda: represent(twin, x))
    return Sides(
        {
            f"{SCORING_BATCH} images at a time": by(SCORING_BATCH),
            "1000 at a time": by(1000),
            "a part a core": timed(split),
            "channels last": timed(dense),
            "bf16": timed(short),
        }
        | sides
    )


@comparison("cifar10-score-ways", repetitions=(3, 1))
def cifar10_score_ways(setting: Setting) -> Sides:
    """Apply the network for CIFAR-10 to preprocessed images, in the same ways."""
    return score_ways(setting.cifar10)


def in_eight_bits(network: nn.Module, x: Tensor) -> nn.Module:
    """Quantize a network of textbook layers, calibrated by some images (B, C, H, W)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own plans for where this lives
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        observed = prepare_fx(network.eval(), get_default_qconfig_mapping(), (x,))
        with torch.no_grad():
            observed(x)
        return convert_fx(observed)


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


def time_step(images: int, is_compiled: bool, first: bool) -> None:
    """Print the seconds of a step of 200 images, the first one or a later one."""
    step = step_of(Setting.load(images), is_compiled)
    measure = timed(step)
    seconds = measure()
    if not first:
        for _ in range(3):
            step()
        seconds = timed(lambda: [step() for _ in range(20)])() / 20
    print(seconds)


def step_of(setting: Setting, is_compiled: bool) -> Callable[[], None]:
    """Build an autoencoder's step of 200 images; compiled, with torch's own norms.

    The package's gradient of normalization and pooling is Python that a compiler does
    not look into; torch's is what it is made for.
    """
    network = fresh_autoencoder(setting).train()
    x, apply = setting.x[:200], network
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4, fused=True)
    if is_compiled:
        for norm in network.modules():
            if isinstance(norm, layers.NormPool2d):
                norm.fused = False
        apply = torch.compile(network)

    def step() -> None:
        optimizer.zero_grad()
        (apply(x) - x).square().flatten(1).sum(dim=1).mean().backward()
        optimizer.step()

    return step


@comparison("compiled", repetitions=(1, 1), warm_up=False)
def compiled(setting: Setting) -> Sides:
    """Pretrain with torch.compile: a step, and the first one of a process."""
    if not (shutil.which("c++") or shutil.which("g++")):
        raise Unavailable("torch.compile needs a C++ compiler")
    images = setting.images or IMAGES
    code = "from benchmarks.ways import time_step; time_step({}, {}, {})"
    cache = tempfile.TemporaryDirectory()  # the compiler's; lasts as long as `of`

    def of(is_compiled: bool, first: bool) -> Measure:
        def measure() -> float:
            with mock.patch.dict("os.environ", TORCHINDUCTOR_CACHE_DIR=cache.name):
                return in_process(code.format(images, is_compiled, first))

        return measure

    return Sides(
        {
            "a step": of(False, False),
            "a step, compiled": of(True, False),
            "the first step, from the cache": of(True, True),
            "the first step of the package": of(False, True),
        }
    )
