"""Networks φ for Deep SVDD, and the autoencoders that pretrain them.

The encoder inside an :class:`Autoencoder` *is* the Deep SVDD network; there is no
second copy. Networks follow the paper's Section 4: no bias terms, unbounded
activations, a linear head, batch normalization without affine parameters.

Axis letters: B batch, C channels, H height, W width, D representation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from deepsvdd.core._engine.devices import tensor_cores
from deepsvdd.core._engine.isolation import drawn_from, usual_modes
from deepsvdd.core.fcn import FCN, LARGEST, SMALLEST
from deepsvdd.core.layers import Norm1d, NormPool2d, UpConvTranspose2d, conv_norm_pool
from deepsvdd.core.residual import ResNet

Shape = tuple[int, ...]
GRID = 4  # the LeNet decoders start from a GRID × GRID map


@dataclass(frozen=True)
class LeNetConfig:
    """What distinguishes one LeNet-type network from another.

    Attributes
    ----------
    channels : tuple of int
        Output channels of each 5×5 convolution; 2×2 pooling follows each.
    rep_dim : int
        Dimension D of the representation, a multiple of 16.
    activation : callable
        Elementwise, unbounded and increasing (so that it commutes with pooling).
    xavier : bool
        Initialize the convolutions with Xavier's uniform rule instead of torch's
        default, and normalize the code before decoding, as the authors do for CIFAR-10.
    dense : int
        Units of a dense layer, with the activation, before the head, a multiple of 16;
        0 for none.
    residual : bool
        Whether it is a :class:`~deepsvdd.core.residual.ResNet` of these channels.
    deepens : bool
        Whether the depth follows the size of the images: they pass only as many of the
        last convolutions as leave at most 8×8 of their pixels.
    """

    channels: tuple[int, ...]
    rep_dim: int
    activation: Callable[[Tensor], Tensor] = F.leaky_relu  # slope 0.01
    xavier: bool = False
    dense: int = 0
    residual: bool = False
    deepens: bool = False

    def widened(self, widths: Sequence[int] | None) -> LeNetConfig:
        """Take other channels and another dimension D, if they are given.

        Raises
        ------
        ValueError
            If a decoder cannot mirror them.
        """
        if widths is None:
            return self
        *channels, rep_dim = widths
        side = GRID**2
        if not channels or (rep_dim % side and not self.dense):
            raise ValueError(
                "widths must be channels of at least one convolution, then the "
                f"representation's dimension, a multiple of {side}; got {tuple(widths)}"
            )
        return replace(self, channels=tuple(channels), rep_dim=rep_dim, deepens=False)

    def suited_to(self, input_shape: Shape) -> LeNetConfig:
        """Leave out the convolutions that images (C, H, W) are too small for."""
        if not self.deepens:
            return self
        depth = doublings_to(input_shape[1:]) - 1
        return replace(self, channels=self.channels[-depth:], deepens=False)


def doublings_to(sides: Iterable[int]) -> int:
    """Count the doublings that make a GRID × GRID map as large as an image."""
    return math.ceil(math.log2(max(sides) / GRID))


class LeNet(nn.Module):
    """The paper's encoder: [5×5 convolution, norm, pooling, activation]*, linear head.

    Parameters
    ----------
    input_shape : (C, H, W)
        Shape of one image.
    config : LeNetConfig
        Widths, representation, activation.
    """

    def __init__(self, input_shape: Shape, config: LeNetConfig) -> None:
        super().__init__()
        widths = (input_shape[0], *config.channels)
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 5, padding=2, bias=False) for i, o in pairwise(widths)
        )
        self.norms = nn.ModuleList(NormPool2d(width) for width in config.channels)
        h, w = (side >> len(config.channels) for side in input_shape[1:])
        features = config.channels[-1] * h * w
        sizes = (features, config.dense) if config.dense else (features,)
        self.dense = nn.ModuleList(nn.Linear(*s, bias=False) for s in pairwise(sizes))
        self.head = nn.Linear(sizes[-1], config.rep_dim, bias=False)
        self.activation = config.activation
        if config.xavier:
            xavier_(self.convs, config.activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (B, C, H, W) to representations (B, D)."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.activation(conv_norm_pool(conv, norm, x))  # (B, width, H/2, W/2)
        x = x.flatten(1)
        for layer in self.dense:
            x = self.activation(layer(x))  # (B, dense)
        return self.head(x)  # (B, D)


class LeNetDecoder(nn.Module):
    """Mirror of :class:`LeNet`: nearest up-sampling and transposed 5×5 convolutions.

    The code, or a dense layer's output if the encoder has one, is read as a 4×4 map, a
    sixteenth of its length in channels. The last ⌈log₂(side/4)⌉ stages
    double the resolution; the map is cropped to half the image before the last one
    (for 28×28 images: 4 → 8 → 16, cropped to 14 → 28).

    Parameters
    ----------
    input_shape : (C, H, W)
        Shape of the images to reconstruct.
    config : LeNetConfig
        That of the encoder.
    """

    def __init__(self, input_shape: Shape, config: LeNetConfig) -> None:
        super().__init__()
        self.size = input_shape[1:]
        widths = (*reversed(config.channels), input_shape[0])
        plain = len(widths) - doublings_to(self.size)
        start = (config.dense or config.rep_dim) // GRID**2
        self.deconvs = nn.ModuleList(
            UpConvTranspose2d(i, o)
            if stage >= plain
            else nn.ConvTranspose2d(i, o, 5, padding=2, bias=False)
            for stage, (i, o) in enumerate(zip((start, *widths), widths, strict=False))
        )
        self.norms = nn.ModuleList(NormPool2d(o, pool=False) for o in widths[:-1])
        self.code_norm: nn.Module = nn.Identity()
        self.dense: nn.Module = nn.Identity()
        if config.dense:
            self.dense = nn.Linear(config.rep_dim, config.dense, bias=False)
        self.activation = config.activation
        if config.xavier:
            self.code_norm = nn.BatchNorm1d(config.rep_dim, eps=1e-4, affine=False)
            xavier_(self.deconvs, config.activation)

    def forward(self, z: Tensor) -> Tensor:
        """Map representations (B, D) to images (B, C, H, W) in [0, 1]."""
        x = self.dense(self.code_norm(z))  # (B, D) or (B, dense)
        x = x.view(len(z), -1, GRID, GRID)  # (B, D / 16, 4, 4)
        *deconvs, last = self.deconvs
        doubles = isinstance(last, UpConvTranspose2d)
        half = [math.ceil(side / 2) if doubles else side for side in self.size]
        for deconv, norm in zip(deconvs, self.norms, strict=True):
            x = norm(crop(deconv(self.activation(x)), half))
        return torch.sigmoid(crop(last(self.activation(x)), self.size))


def crop(x: Tensor, size: Iterable[int]) -> Tensor:
    """Cut the central part of at most ``size`` (height, width) out of (B, C, H, W)."""
    for axis, side in zip((2, 3), size, strict=True):
        if x.shape[axis] > side:
            x = x.narrow(axis, (x.shape[axis] - side) // 2, side)
    return x


def xavier_(convs: Iterable[nn.Module], activation: Callable[[Tensor], Tensor]) -> None:
    """Initialize convolutions in place as the authors do for CIFAR-10."""
    leaky = activation is F.leaky_relu
    gain = nn.init.calculate_gain("leaky_relu") if leaky else 1.0
    for conv in convs:
        nn.init.xavier_uniform_(conv.weight, gain=gain)  # type: ignore[arg-type]


WIDTHS = (128, 64, 32)  # of the layers of `mlp`


class MLP(nn.Sequential):
    """Encoder for vectors (images are flattened): bias-free linear layers, leaky ReLU.

    Parameters
    ----------
    n_features : int
        Length of one (flattened) sample.
    widths : tuple of int
        Sizes of the layers; the last is the representation's dimension D.
    normed : bool, default=False
        Normalize after each hidden layer, as the LeNets do.
    """

    def __init__(
        self,
        n_features: int,
        widths: tuple[int, ...] = WIDTHS,
        normed: bool = False,
    ) -> None:
        *hidden, head = pairwise((n_features, *widths))
        layers: list[nn.Module] = [nn.Flatten()]
        for i, o in hidden:
            norm = [Norm1d(o)] if normed else []
            layers += [nn.Linear(i, o, bias=False), *norm, nn.LeakyReLU()]
        super().__init__(*layers, nn.Linear(*head, bias=False))


class MLPDecoder(nn.Sequential):
    """Mirror of :class:`MLP`; it may have bias terms, only the encoder must not.

    Parameters
    ----------
    input_shape : tuple of int
        Shape of one sample.
    widths : tuple of int
        Those of the encoder.
    """

    def __init__(self, input_shape: Shape, widths: tuple[int, ...] = WIDTHS) -> None:
        sizes = (*reversed(widths), math.prod(input_shape))
        layers: list[nn.Module] = []
        for i, o in pairwise(sizes):
            layers += [nn.Linear(i, o), nn.LeakyReLU()]
        super().__init__(*layers[:-1], nn.Unflatten(1, input_shape))


class Autoencoder(nn.Module):
    """Deep convolutional autoencoder (DCAE): the Deep SVDD network and a decoder.

    In the book: sec-autoencoder (06-pretraining).

    Parameters
    ----------
    encoder : Module
        The network φ, mapping a batch to representations (B, D).
    decoder : Module
        Maps representations back to the shape of the input.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        """Reconstruct a batch; output and input have one shape."""
        return self.decoder(self.encoder(x))


def encoder_in(network: nn.Module) -> nn.Module:
    """Return the network φ: of an autoencoder its encoder, else the network itself."""
    return network.encoder if isinstance(network, Autoencoder) else network


LENETS = {
    "mnist_LeNet": LeNetConfig(channels=(8, 4), rep_dim=32),
    "cifar10_LeNet": LeNetConfig(channels=(32, 64, 128), rep_dim=128, xavier=True),
    "cifar10_LeNet_ELU": LeNetConfig(
        channels=(32, 64, 128), rep_dim=128, activation=F.elu, xavier=True
    ),
    # As in the authors' code; the paper's Section 4.3 describes it as three modules of
    # 16, 32 and 64 filters with a dense layer of 32 units.
    "gtsrb_LeNet": LeNetConfig(channels=(16, 32), rep_dim=32, dense=64),
    # Ours, not the paper's. Up to 64 pixels it is cifar10_LeNet; where the side doubles
    # a stage is put in front, of half the channels. So all but the first two stages
    # cost the same, time and memory of an image grow by less than its pixels, and the
    # weights stay 1.3 million, of which the head has most.
    "deep_LeNet": LeNetConfig(
        channels=(8, 16, 32, 64, 128), rep_dim=128, xavier=True, deepens=True
    ),
    # Ours as well, for the methods after Deep SVDD: larger, by the same rules.
    "cifar10_ResNet": LeNetConfig(
        channels=(64, 128, 256), rep_dim=128, xavier=True, residual=True
    ),
}
VECTOR_NETWORKS = ("mlp", "mlp_BN")
NETWORKS = (*LENETS, *VECTOR_NETWORKS)
MAP_NETWORK = "fcdd"  # of FCDD alone, which is trained without a decoder


def build_autoencoder(
    name: str, input_shape: Shape, widths: Sequence[int] | None = None
) -> Autoencoder:
    """Build one of the named networks with its decoder, freshly initialized.

    Weights are drawn from torch's global generator: seed it before.

    Parameters
    ----------
    name : {"mnist_LeNet", "cifar10_LeNet", "cifar10_LeNet_ELU", "gtsrb_LeNet", \
"deep_LeNet", "cifar10_ResNet", "mlp", "mlp_BN"}
        The LeNets are for images: those of the paper's Section 4.2, and the authors'
        own for the traffic signs of Section 4.3, which the text describes otherwise.
        "deep_LeNet", for large images, and "cifar10_ResNet", for more computing time,
        are ours and not the paper's: see the notes.
        The others are for vectors, and ours, too.
    input_shape : (C, H, W) or (d,)
        Shape of one sample.
    widths : sequence of int, optional
        Other sizes than the network's own. For vectors, of the layers; for images,
        output channels of each convolution, whose number is the depth. The last is the
        dimension D of the representation, for images a multiple of 16.

    Returns
    -------
    Autoencoder
        Its ``encoder`` is the Deep SVDD network.

    Raises
    ------
    ValueError
        If the name is unknown or the network cannot take samples of that shape, or have
        those widths.

    Notes
    -----
    Sides in pixels: 4 to 32 for "mnist_LeNet" and "gtsrb_LeNet", 8 to 64 for the
    "cifar10_LeNet"s and "cifar10_ResNet", 32 to 256 for "deep_LeNet", whose depth
    follows the longer side: 3 convolutions to 64 pixels, where it is "cifar10_LeNet"; 4
    to 128; 5 to 256. What pretraining on color images takes on a CPU for each image of
    a batch (measured by ``python -m benchmarks.pictures memory``), and for the 20 of
    the recipe "fast":

    =====  ======  ===========  =====================  ===========
    side   convs   weights φ    memory of one image    of a batch
    =====  ======  ===========  =====================  ===========
    64     3       1,306,976    3 MB                   60 MB
    128    4       1,318,576    7 MB                   140 MB
    256    5       1,321,176    20 MB                  400 MB
    =====  ======  ===========  =====================  ===========
    """
    if name == MAP_NETWORK:
        check_network(name, input_shape)
        return Autoencoder(FCN(input_shape), nn.Identity())
    if name not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}; got {name!r}")
    if name in VECTOR_NETWORKS:
        n_features, normed = math.prod(input_shape), name == "mlp_BN"
        sizes = tuple(widths or (normed_widths(n_features) if normed else WIDTHS))
        mlp = MLP(n_features, sizes, normed)
        return Autoencoder(mlp, MLPDecoder(input_shape, sizes))
    check_network(name, input_shape, widths)
    config = LENETS[name].widened(widths).suited_to(input_shape)
    encoder: nn.Module
    if config.residual:
        encoder = ResNet(input_shape[0], config.channels, config.rep_dim)
    else:
        encoder = LeNet(input_shape, config)
    return Autoencoder(encoder, LeNetDecoder(input_shape, config))


def normed_widths(n_features: int) -> tuple[int, int, int]:
    """Return the widths of an "mlp_BN": as the columns, from 128 to 512."""
    width = min(max(128, n_features), 512)
    return width, width, width


def seeded_autoencoder(
    name: str,
    input_shape: Shape,
    seed: int,
    device: torch.device,
    widths: Sequence[int] | None = None,
) -> Autoencoder:
    """Build a named network with the weights that belong to a seed.

    They are those of :func:`build_autoencoder` after ``torch.manual_seed(seed)``, but
    torch's global generator is neither used nor changed.
    """
    with drawn_from(seed):
        autoencoder = build_autoencoder(name, input_shape, widths)
    return autoencoder.to(memory_format=torch.channels_last).to(device)


def check_network(
    name: str, input_shape: Shape, widths: Sequence[int] | None = None
) -> None:
    """Raise ValueError if a named network and its decoder cannot take such samples."""
    if name == MAP_NETWORK:
        sides = input_shape[1:]
        if len(input_shape) != 3 or not all(SMALLEST <= s <= LARGEST for s in sides):
            raise ValueError(
                f"FCDD takes images with sides of {SMALLEST} to {LARGEST} pixels; got "
                f"samples of shape {tuple(input_shape)}: use DeepSVDD or DeepSAD for "
                "vectors, and resize other images"
            )
        return
    if name not in LENETS:
        return
    config = LENETS[name].widened(widths)
    if takes(config, input_shape):
        return
    smallest, largest = limits(config)
    if widths is not None and takes(LENETS[name], input_shape):
        depth = len(config.channels)
        raise ValueError(
            f"widths must have a number of convolutions for samples of shape "
            f"{tuple(input_shape)}; {depth} take images with sides of {smallest} to "
            f"{largest} pixels; got {tuple(widths)}"
        )
    auto = default_network(input_shape)
    able = f"{auto!r}, " if auto in LENETS and takes(LENETS[auto], input_shape) else ""
    raise ValueError(
        f"network {name!r} takes images with sides of {smallest} to {largest} pixels; "
        f"got samples of shape {tuple(input_shape)}: resize them, or use {able}'mlp' "
        "or an encoder of your own"
    )


def limits(config: LeNetConfig) -> tuple[int, int]:
    """Return the smallest and the largest side of images, in pixels."""
    depth = len(config.channels)
    return max(GRID, 2**depth), GRID * 2 ** (depth + 1)


def takes(config: LeNetConfig, input_shape: Shape) -> bool:
    """Tell whether a network is for samples of a shape."""
    smallest, largest = limits(config)
    return len(input_shape) == 3 and all(
        smallest <= side <= largest for side in input_shape[1:]
    )


def default_network(input_shape: Shape) -> str:
    """Name the network for samples of a shape: vectors, gray, color, large images."""
    if len(input_shape) == 1:
        return "mlp_BN"
    if max(input_shape[1:]) > 64:
        return "deep_LeNet"
    small = input_shape[0] == 1 and max(input_shape[1:]) <= 32
    return "mnist_LeNet" if small else "cifar10_LeNet"


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Evaluate inside ``with``; afterwards each part trains or not, as before."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def output_of(network: nn.Module, batch: Tensor) -> Tensor:
    """Apply a network to one batch in evaluation mode and full precision."""
    with (
        evaluation_mode(network),
        usual_modes(),
        torch.no_grad(),
        tensor_cores(batch.device, False),
    ):
        return network(batch)
