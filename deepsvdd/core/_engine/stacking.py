"""Many networks of one architecture as one module, trained side by side on a GPU.

A small network leaves a GPU idle: launching a kernel takes longer than running it. In a
stack each kernel does its work for all networks at once, convolutions as one grouped
convolution; the networks do not see each other.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from deepsvdd.core._engine.distributed import n_processes
from deepsvdd.core.layers import NormPool2d


class Stack(nn.Module):
    """M networks of one architecture, their weights stacked along a new first axis.

    Parameters
    ----------
    networks : sequence of Module
        Of equal architecture, on one device; they keep their own weights until
        :meth:`write_back`.

    Raises
    ------
    ValueError
        If the networks differ in architecture.
    """

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        shapes = [
            {name: t.shape for name, t in network.state_dict().items()}
            for network in networks
        ]
        if any(one != shapes[0] for one in shapes):
            raise ValueError("networks of a stack must be of one architecture")
        parameters, buffers = stack_module_state(list(networks))
        self._networks = list(networks)  # in a list: not parts of this module
        self._names: tuple[list[str], list[str]] = (list(parameters), list(buffers))
        self._skeleton = [copy.deepcopy(networks[0]).train()]
        for module in self._skeleton[0].modules():
            if isinstance(module, NormPool2d):
                module.fused = False  # a hand-written gradient knows no stack
        self.weights = nn.ParameterList(
            # Frozen ones stay so: the list alone would make all of them trainable.
            nn.Parameter(value, requires_grad=value.requires_grad)
            for value in parameters.values()
        )
        for index, value in enumerate(buffers.values()):
            self.register_buffer(f"buffer_{index}", value)

    def __len__(self) -> int:
        """Count the networks."""
        return len(self._networks)

    def forward(self, x: Tensor) -> Tensor:
        """Map one batch a network, (M, b, ...), to outputs (M, b, ...)."""
        skeleton = self._skeleton[0].train(self.training)
        names, buffer_names = self._names
        parameters = dict(zip(names, self.weights, strict=True))
        buffers = dict(zip(buffer_names, self.buffers(), strict=True))

        def one(parameters: Any, buffers: Any, x: Tensor) -> Tensor:
            return functional_call(skeleton, (parameters, buffers), (x,))

        # Dropout and its like draw a mask for each network.
        return vmap(one, randomness="different")(parameters, buffers, x)

    def write_back(self) -> None:
        """Give every network its weights and statistics of the stack."""
        values = [*self.weights, *self.buffers()]
        names = [name for part in self._names for name in part]
        with torch.no_grad():
            for m, network in enumerate(self._networks):
                own = dict(network.named_parameters()) | dict(network.named_buffers())
                for name, value in zip(names, values, strict=True):
                    own[name].copy_(value[m])
                network.train(self.training)


def as_one(
    networks: Sequence[nn.Module], seeds: Sequence[int]
) -> tuple[nn.Module, Sequence[int] | int]:
    """Stack networks; one alone stays as it is, and trains faster."""
    if len(networks) == 1:
        return networks[0], seeds[0]
    return Stack(networks), seeds


def trains_at_once(device: torch.device) -> bool:
    """Tell whether to train members as a stack: a CPU gains nothing by it."""
    return device.type == "cuda" and n_processes() == 1
