"""From a feed to trained networks: built, begun, pretrained, trained; or several."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from torch import Tensor, nn

from deepsvdd.core._engine.checkpoints import (
    PHASES,
    Checkpoint,
    fingerprint_of,
    plan_checkpoints,
)
from deepsvdd.core._engine.dictionaries import begin
from deepsvdd.core._engine.distributed import from_first, n_processes
from deepsvdd.core._engine.feeds import Feed, InMemory
from deepsvdd.core._engine.isolation import global_seed
from deepsvdd.core.architecture import (
    check_architecture,
    check_module,
    check_output,
    check_reconstruction,
)
from deepsvdd.core.known import NOTHING, Known
from deepsvdd.core.networks import Autoencoder, output_of, seeded_autoencoder
from deepsvdd.core.preprocessing import BATCH, at_a_time
from deepsvdd.core.pretraining import pretrain_autoencoders
from deepsvdd.core.recipes import Recipe, Variant, resolved
from deepsvdd.core.training import (
    Hypersphere,
    Objective,
    settle_all,
    train_hyperspheres,
    without_anomalies,
)
from deepsvdd.errors import FewSamplesWarning

FEW = 50  # samples; see FewSamplesWarning
OTHER_START = (
    "warm_start needs network, preprocessing and the samples' shape of the previous "
    "fit; this fit has others: set warm_start=False"
)


@dataclass(frozen=True)
class Trainer:
    """How the networks of a detector are built and trained.

    Attributes
    ----------
    network : str or Module
        Name, or a module of the user's own.
    widths : sequence of int or None
        Of a named network's layers, if not its own.
    network_name : str
        "custom" for a module.
    input_shape : (c, h, w) or (d,)
        Shape of one sample.
    recipe : Recipe
    objective, nu, pretrain, allow_collapse, precision, checkpoint_dir, \
    checkpoint_every, verbose
        As for :class:`deepsvdd.DeepSVDD`.
    eta, eps
        As for :class:`deepsvdd.DeepSAD`.
    around : callable
        Puts what the estimator adds around the network of a seed.
    at_origin : bool
        Whether the center is the origin, and not the mean representation.
    lean : bool
        Whether φ takes the memory of a network, and not several times that.
    """

    network: str | nn.Module
    widths: Sequence[int] | None
    network_name: str
    input_shape: tuple[int, ...]
    recipe: Recipe
    objective: str | Objective
    nu: float
    pretrain: bool
    allow_collapse: bool
    precision: str
    checkpoint_dir: str | PathLike[str] | None
    checkpoint_every: int
    verbose: bool
    eta: float = 1.0
    eps: float = 1e-6
    around: Callable[[nn.Module, int], nn.Module] = lambda encoder, seed: encoder
    at_origin: bool = False
    lean: bool = True

    @classmethod
    def of(cls, detector: Any) -> Trainer:
        """Take over what an estimator says, once it knows its data."""
        return cls(
            network=detector.network,
            widths=detector.widths,
            network_name=detector.network_,
            input_shape=detector.input_shape_,
            recipe=detector.recipe_,
            objective=getattr(detector, "objective", "one-class"),  # Deep SAD has none
            nu=getattr(detector, "nu", 0.1),
            eta=getattr(detector, "eta_", 1.0),
            eps=getattr(detector, "eps", 1e-6),
            pretrain=getattr(detector, "pretrain", False),  # FCDD never does
            allow_collapse=getattr(detector, "allow_collapse", False),
            precision=detector.precision,
            checkpoint_dir=detector.checkpoint_dir,
            checkpoint_every=detector.checkpoint_every,
            verbose=detector.verbose,
            around=lambda encoder, seed: detector.around(
                encoder, vars(detector), detector.input_shape_, seed
            ),
            at_origin=getattr(detector, "at_origin", False),
            lean=detector.lean,
        )

    def fit(
        self,
        feed: Feed,
        jobs: list[tuple[int, Hypersphere | None]],
        known: Known = NOTHING,
    ) -> list[Hypersphere]:
        """Pretrain and train the networks of some seeds, all at once.

        Everything is drawn from generators of its own; only layers of a user's own
        module, and DROCC, draw from torch's global one, which begins at the first seed
        for them, and then is as it was.

        Parameters
        ----------
        feed : Feed
            Training data, preprocessed.
        jobs : list of (int, Hypersphere or None)
            The seed of each network, and an earlier one to start from.
        known : Known
            Labels and weights of the samples. Known anomalies have no part in
            pretraining, nor in a dictionary to begin with.

        Returns
        -------
        list of Hypersphere
        """
        seeds = [seed for seed, _ in jobs]
        known = known.to(feed.device)
        normal, weights = without_anomalies(feed, known.labels, known.weights)
        drawn = global_seed(seeds[0], feed.device) if self.draws else nullcontext()
        with drawn:
            (example,) = normal.read([torch.arange(2)])
            autoencoders = [self._prepare(normal, example.cpu(), *job) for job in jobs]
            checkpoints = self._checkpoints(autoencoders, feed, seeds, known)
            histories: list[dict[str, Any]] = [{} for _ in jobs]
            if self.pretrain:
                pretraining = pretrain_autoencoders(
                    autoencoders,
                    normal,
                    self.recipe.pretraining,
                    seeds=seeds,
                    verbose=self.verbose,
                    precision=self.precision,
                    checkpoint=checkpoints["pretraining"],
                    weights=weights,
                )
                histories = [{"pretraining": history} for history in pretraining]
            kept = [
                start.center.float().to(feed.device)
                if start and not self.pretrain
                else None
                for _, start in jobs
            ]
            if self.at_origin:
                pairs = zip(autoencoders, jobs, strict=True)
                # Without a center to compute, training would leave it for its end.
                settle_all([a.encoder for a, (_, start) in pairs if not start], normal)
                width = output_of(autoencoders[0].encoder, example).shape[1]
                kept = [torch.zeros(width, device=feed.device) for _ in jobs]
            members = train_hyperspheres(
                [autoencoder.encoder for autoencoder in autoencoders],
                feed,
                self.recipe,
                objective=self.objective,
                nu=self.nu,
                centers=kept,
                seeds=seeds,
                verbose=self.verbose,
                precision=self.precision,
                checkpoint=checkpoints["training"],
                labels=known.labels,
                weights=known.weights,
                eta=self.eta,
                eps=self.eps,
            )
        for member, history in zip(members, histories, strict=True):
            member.history = history | member.history
            if len(self.input_shape) == 1:
                member.double()
        return members

    @property
    def draws(self) -> bool:
        """Whether training may draw from torch's global generator."""
        return (
            isinstance(self.network, nn.Module)
            or getattr(self.objective, "draws", False)
            # A checkpoint brings the generator's state along.
            or self.checkpoint_dir is not None
        )

    def n_side_by_side(self, feed: Feed, known: Known) -> int:
        """Tell how many calls of `fit` may run at the same time, each in a thread.

        One, if they would draw from one generator, read images twice, copy those that
        are not labeled, or hold the activations of large ones.
        """
        apart = isinstance(feed, InMemory) and feed.device.type == "cpu"
        small = at_a_time(BATCH, self.input_shape) == BATCH
        alone = n_processes() == 1 and not self.draws and known.labels is None
        fits = self.lean and apart and small and alone
        return torch.get_num_threads() if fits else 1

    def _prepare(
        self, feed: Feed, example: Tensor, seed: int, start: Hypersphere | None
    ) -> Autoencoder:
        """Build one network on the feed's device, from a seed or an earlier one."""
        autoencoder = self._build(example, seed)
        if start is not None:
            restart(autoencoder.encoder, start)
        else:
            begin(autoencoder.encoder, self.recipe.first_layer, feed, seed)
        return autoencoder.to(memory_format=torch.channels_last).to(feed.device)

    def _build(self, example: Tensor, seed: int) -> Autoencoder:
        """Build the network, check it, and wrap it as an autoencoder's encoder."""
        if isinstance(self.network, nn.Module):
            check_module(self.network)
            module = copy.deepcopy(self.network).float().cpu()
            if not isinstance(module, Autoencoder):
                if self.pretrain:
                    raise ValueError(
                        "pretrain must be False for a network without a decoder; got "
                        f"{type(module).__name__}: pass Autoencoder(encoder, decoder)"
                    )
                module = Autoencoder(module, nn.Identity())
        else:
            module = seeded_autoencoder(
                self.network_name,
                self.input_shape,
                seed,
                torch.device("cpu"),
                self.widths,
            )
        check_output(module.encoder, example)
        module.encoder = self.around(module.encoder, seed)
        if self.pretrain:
            check_reconstruction(module, example)
        # By the letter of Proposition 3 the authors' ELU network is forbidden as well.
        if not self.allow_collapse and self.network_name != "cifar10_LeNet_ELU":
            check_architecture(module.encoder, example)
        return module

    def _checkpoints(
        self,
        autoencoders: list[Autoencoder],
        feed: Feed,
        seeds: list[int],
        known: Known,
    ) -> dict[str, Checkpoint | None]:
        """Plan the checkpoints of both phases, if there are to be any."""
        if self.checkpoint_dir is None:
            return dict.fromkeys(PHASES)
        settings: tuple[Any, ...] = (
            self.network_name,
            self.recipe,
            self.objective,
            self.nu,
            self.pretrain,
            self.precision,
        )
        if not known.nothing:
            settings = (*settings, self.eta, self.eps, known.fingerprint())
        return dict(
            plan_checkpoints(
                Path(self.checkpoint_dir),
                seeds,
                every=self.checkpoint_every,
                fingerprint=fingerprint_of(settings, autoencoders, feed),
            )
        )


def recipe_for(
    recipe: str | Recipe | Variant, network: str, n_samples: int, n_members: int
) -> Recipe:
    """Suit a named recipe to the samples; what the user set stays as it is.

    Warns
    -----
    FewSamplesWarning
        If a single network is to learn from fewer than 50 samples.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if n_samples < FEW and n_members == 1:
        warnings.warn(
            f"X holds {n_samples} samples; with fewer than {FEW} the scores of one "
            "network depend on its seed: average several (n_members=5), or use the "
            "distance to the nearest training samples",
            FewSamplesWarning,
            stacklevel=7,
        )
    return resolved(recipe, network, n_samples)


def restart(encoder: nn.Module, start: Hypersphere) -> None:
    """Give a network the weights of an earlier one."""
    try:
        encoder.load_state_dict(start.encoder.state_dict())
    except RuntimeError:
        raise ValueError(OTHER_START) from None


def seeds_of(random_state: Any, n_members: int) -> list[int]:
    """Draw one seed a member; an integer random_state gives consecutive seeds."""
    if isinstance(random_state, int | np.integer):
        return [int(random_state) + m for m in range(n_members)]
    random = check_random_state(random_state)
    drawn = random.randint(2**31 - 1, size=n_members).tolist()
    return from_first(drawn)  # several processes train one network
