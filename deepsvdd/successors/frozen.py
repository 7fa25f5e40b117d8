"""``FrozenFeatures``: distances between features of a network that stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from deepsvdd.core._engine.feeds import Feed
from deepsvdd.core._engine.isolation import drawn_from
from deepsvdd.core.architecture import check_module, check_output
from deepsvdd.core.input_checks import Samples, is_one_of
from deepsvdd.core.known import Known
from deepsvdd.core.networks import NETWORKS, encoder_in
from deepsvdd.core.recipes import FAST_LATER, Recipe, is_whole, require, shortened
from deepsvdd.core.training import (
    Hypersphere,
    finished,
    settle_all,
    without_anomalies,
)
from deepsvdd.errors import reason_of
from deepsvdd.successors.backbones import (
    AUTO,
    RANDOM,
    Names,
    backbone,
    backbone_names,
)
from deepsvdd.successors.bank import CRITERIA, Bank, KeepsFeatures, in_order
from deepsvdd.successors.base import width_of

if TYPE_CHECKING:
    from typing_extensions import Self

NORMALIZATIONS = ("imagenet", "none")
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean, std, of colors
POOLS = (nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
OUTPUT = "output"


class Features(nn.Module):
    """f(x): what a network makes of images or vectors, up to one of its layers.

    Parameters
    ----------
    network : Module
        Its copy is used, in evaluation mode and without gradients of its weights.
    layer : str
        As for :class:`FrozenFeatures`.
    side : int or None
        Images are resized to it before.
    normalization : {"imagenet", "none"}
        Of images with values from 0 to 1.

    Raises
    ------
    ValueError
        If the network has no such layer, or cannot be cut there.
    """

    def __init__(
        self, network: nn.Module, layer: str, side: int | None, normalization: str
    ) -> None:
        super().__init__()
        first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
        self.channels = first.in_channels if first is not None else 1
        self.side = side
        self.normalization = normalization
        self.network = cut(network, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map images (b, c, h, w) or vectors (b, d) to features (b, d')."""
        if x.ndim == 4:
            if x.shape[1] == 1:
                x = x.expand(-1, self.channels, -1, -1)
            if self.side is not None:
                size = (self.side, self.side)
                x = F.interpolate(x, size, mode="bilinear", antialias=True)
            if self.normalization == "imagenet":
                mean, std = (x.new_tensor(v).view(1, 3, 1, 1) for v in IMAGENET)
                x = (x - mean) / std
        f = self.network(x)
        if isinstance(f, dict):  # of torchvision's extractor
            f = f[OUTPUT]
        return f.mean(dim=(2, 3)) if f.ndim == 4 else f.flatten(1)


def cut(network: nn.Module, layer: str) -> nn.Module:
    """Copy a network as far as one of its layers, and freeze it."""
    from torchvision.models.feature_extraction import create_feature_extractor

    network = copy.deepcopy(network).eval()
    if layer == "auto":
        names = [n for n, m in network.named_modules() if isinstance(m, POOLS)]
        if not names:
            raise ValueError(
                "layer must name one of the network's, or be 'output', for a network "
                f"without an adaptive pooling layer; got 'auto' for "
                f"{type(network).__name__}"
            )
        layer = names[-1]
    if layer != OUTPUT:
        known = [name for name, _ in network.named_modules() if name]
        if layer not in known:
            raise ValueError(
                f"layer must be 'auto', 'output' or one of {', '.join(known)}; got "
                f"{layer!r}"
            )
        try:
            network = create_feature_extractor(network, {layer: OUTPUT})
        except Exception as error:  # of any kind: it is the user's network
            raise ValueError(
                f"layer must be 'output' for {type(network).__name__}, which cannot be "
                f"cut at {layer!r} ({reason_of(error)}); got {layer!r}"
            ) from None
    return network.requires_grad_(False)


class Compared(nn.Module):
    """φ(x), of which the square is how far f(x) is from the training data's features.

    Parameters
    ----------
    features_of : Module
        f, maps samples (b, ...) to vectors (b, d).
    bank : Bank
        Of such vectors.
    """

    def __init__(self, features_of: nn.Module, bank: Bank) -> None:
        super().__init__()
        self.features_of = features_of
        self.bank = bank

    def forward(self, x: Tensor) -> Tensor:
        """Map samples (b, ...) to (b, 1)."""
        return self.bank(self.features_of(x))

    def measure(self, feed: Feed) -> None:
        """Keep the features of the training data."""
        self.eval()
        self.bank.keep(in_order(self.features_of, feed))


class FrozenFeatures(KeepsFeatures):
    """Distances between features of a network that was trained for something else.

    Nothing is trained. A network that has learned to tell a thousand kinds of things
    apart, or the rotations of these very images, has features in which a simple
    distance says more than in pixels: that to the nearest training samples, to their
    mean, or their kernel density.

    It assumes that what the network was trained for needed what tells anomalies from
    normal samples. With random weights it is a control.

    Parameters
    ----------
    network : str or Module, default="auto"
        A network of torchvision's by its name, "resnet18" for example; or one of your
        own, with its weights. Another name, as for :class:`~deepsvdd.DeepSVDD`, stands
        for a network with random weights: a control.
    layer : str, default="auto"
        Whose output the features are: "output" of the whole network, or a layer's
        name; "auto" is the last adaptive pooling layer of torchvision's or your own,
        before the layers that name classes, and the output of the package's. Of maps
        the mean over all places is taken.
    criterion : {"neighbors", "center", "density"}, default="neighbors"
        Mean squared distance to the ``n_neighbors`` nearest training samples; squared
        distance to the mean of all; or −log of the kernel density, up to a constant.
    n_neighbors : int, default=2
        k.
    weights : str, default="auto"
        Of a network of torchvision's by its name: "auto" are torchvision's best, which
        it downloads once; or a file with its ``state_dict``; or "random", a control.
    side : int, optional
        Images are resized to side × side pixels before the network; most of
        torchvision's were trained on 224.
    normalization : {"auto", "imagenet", "none"}, default="auto"
        "imagenet" gives color channels the mean and standard deviation that
        torchvision's weights expect; "auto" does so for networks of torchvision.
    preprocessing : str, default="auto"
        As for :class:`~deepsvdd.DeepSVDD`; "auto" is "minmax" with "imagenet".
    contamination : float in (0, 0.5], default=0.1
        As for :class:`~deepsvdd.DeepSVDD`, like all below. A training sample does not
        count as its own neighbor.
    threshold : float, optional
    device : str, default="auto"
    n_workers : int, default=2
    random_state : int, RandomState or None, default=None
        Draws the weights of a network with a name.

    Attributes
    ----------
    members_, preprocessor_, threshold_, input_shape_, network_, recipe_, \
    n_features_in_, feature_names_in_
        As of :class:`~deepsvdd.DeepSVDD`.

    Notes
    -----
    Of more than 20,000 training samples 20,000 are kept to compare with. A model file
    holds the network's weights; of a module of your own not its architecture: give it
    to ``load``.

    References
    ----------
    Reiss et al., "PANDA: Adapting pretrained features for anomaly detection and
    segmentation", CVPR 2021, arXiv 2010.05903, whose starting point it is: k nearest
    neighbors with k = 2; Sohn et al., "Learning and evaluating representations for deep
    one-class classification", ICLR 2021, arXiv 2011.02578: kernel density on features
    of a network that was trained to recognize rotations.

    Examples
    --------
    >>> from deepsvdd import FrozenFeatures
    >>> detector = FrozenFeatures("resnet18", side=224)
    >>> detector.fit(images)  # downloads 45 MB, the first time  # doctest: +SKIP
    """

    kind = "FrozenFeatures"
    lean = False
    networks = Names()
    required = ("network", "layer", "criterion", "n_neighbors", "recipe")
    recipe: Recipe = shortened(FAST_LATER, 0, 0)  # nothing is trained
    widths = None
    n_members = 1
    precision = "float32"
    warm_start = False
    verbose = False
    checkpoint_dir = None
    checkpoint_every = 1

    def __init__(
        self,
        network: str | nn.Module = "auto",
        layer: str = "auto",
        criterion: str = "neighbors",
        n_neighbors: int = 2,
        *,
        weights: str = "auto",
        side: int | None = None,
        normalization: str = "auto",
        preprocessing: str = "auto",
        contamination: float = 0.1,
        threshold: float | None = None,
        device: str = "auto",
        n_workers: int = 2,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.network = network
        self.layer = layer
        self.criterion = criterion
        self.n_neighbors = n_neighbors
        self.weights = weights
        self.side = side
        self.normalization = normalization
        self.preprocessing = preprocessing
        self.contamination = contamination
        self.threshold = threshold
        self.device = device
        self.n_workers = n_workers
        self.random_state = random_state

    def fit(
        self, X: Samples, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Keep the features of normal data.

        Parameters
        ----------
        X : array, Tensor or ``torch.utils.data.Dataset``
            As for :meth:`deepsvdd.DeepSVDD.fit`.
        y : ignored
        sample_weight : array of shape (n,), optional
            Samples of weight 0 are left out, and the threshold goes by the others'; in
            the features kept each counts once.

        Returns
        -------
        FrozenFeatures
            Itself.

        Raises
        ------
        ValueError
            If a parameter or the data is unusable.
        """
        return self._fit_whole(X, None, sample_weight)

    def check_own(self) -> None:
        """Check layer, criterion, neighbors, weights, side and normalization."""
        valid = isinstance(self.layer, str) and self.layer != ""
        require("layer", valid, "'auto', 'output' or a layer's name", self)
        require(
            "criterion", is_one_of(self.criterion, CRITERIA), f"one of {CRITERIA}", self
        )
        valid = is_whole(self.n_neighbors) and self.n_neighbors >= 1
        require("n_neighbors", valid, "a whole number from 1 on", self)
        valid = isinstance(self.weights, str) and self.weights != ""
        require("weights", valid, "'auto', 'random' or a file", self)
        by_name = isinstance(self.network, str) and self.network in backbone_names()
        if self.weights != AUTO and not by_name:
            raise ValueError(
                "weights must be 'auto' for a network that is none of torchvision's by "
                f"its name; got {self.weights!r}"
            )
        valid = self.side is None or (is_whole(self.side) and self.side >= 1)
        require("side", valid, "None or a whole number from 1 on", self)
        names = ("auto", *NORMALIZATIONS)
        valid = is_one_of(self.normalization, names)
        require("normalization", valid, f"one of {names}", self)

    @classmethod
    def with_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Make one with the parameters of a model file, which has a recipe."""
        return cls(**{k: v for k, v in parameters.items() if k != "recipe"})

    def _recipe(self, n: int) -> Recipe:
        return self.recipe

    def _preprocessing_method(self) -> str:
        images = len(self.input_shape_) == 3
        scaled = images and normalization_of(vars(self)) == "imagenet"
        if self.preprocessing == "auto" and scaled:
            return "minmax"
        return super()._preprocessing_method()

    def _train(
        self, feed: Feed, jobs: list[tuple[int, Hypersphere | None]], known: Known
    ) -> list[Hypersphere]:
        """Keep features; there is nothing to train."""
        ((seed, _),) = jobs
        known = known.to(feed.device)
        normal, weights = without_anomalies(feed, known.labels, known.weights)
        encoder: nn.Module
        if isinstance(self.network, nn.Module):
            check_module(self.network)
            encoder = encoder_in(copy.deepcopy(self.network).float().cpu())
        else:
            with drawn_from(seed):
                encoder = self.named(
                    self.network_, self.input_shape_, None, self.weights
                )
        encoder = self.around(encoder, vars(self), self.input_shape_)
        encoder = encoder.to(memory_format=torch.channels_last).to(feed.device)
        settle_all([encoder], normal)
        c = torch.zeros(1, device=feed.device)
        phase = self.recipe.training
        member = finished(encoder, c, normal, weights, self.kind, 0.1, phase, {})
        if len(self.input_shape_) == 1:
            member.double()
        return [member]

    @classmethod
    def named(
        cls,
        name: str,
        input_shape: tuple[int, ...],
        widths: Sequence[int] | None,
        weights: str = RANDOM,
    ) -> nn.Module:
        """Build a network by its name: the package's, or torchvision's."""
        if name in NETWORKS:
            return super().named(name, input_shape, widths)
        return backbone(name, weights)

    @classmethod
    def around(
        cls,
        encoder: nn.Module,
        parameters: Mapping[str, Any],
        input_shape: tuple[int, ...],
        seed: int = 0,
    ) -> nn.Module:
        """Cut a network, and put the bank of features behind it."""
        layer = parameters["layer"]
        if layer == "auto" and parameters["network"] in ("auto", *NETWORKS):
            layer = OUTPUT
        normalization = normalization_of(parameters)
        if len(input_shape) == 1 and parameters["side"] is not None:
            raise ValueError(
                f"side must be None for vectors; got {parameters['side']!r}"
            )
        features = Features(encoder, layer, parameters["side"], normalization)
        weight = next(features.parameters(), torch.zeros(()))
        if not weight.is_meta:  # else it has no values
            example = torch.zeros(1, *input_shape, dtype=weight.dtype)
            check_output(features, example, trains=False)
        width = width_of(features, input_shape)
        bank = Bank(width, parameters["criterion"], parameters["n_neighbors"])
        return Compared(features, bank)


def normalization_of(parameters: Mapping[str, Any]) -> str:
    """Tell "imagenet" for networks of torchvision's, unless another one is set."""
    given: str = parameters["normalization"]
    if given != "auto":
        return given
    network = parameters["network"]
    theirs = type(network).__module__.startswith("torchvision.")
    if isinstance(network, str):
        theirs = network not in ("auto", *NETWORKS)
    return "imagenet" if theirs else "none"
