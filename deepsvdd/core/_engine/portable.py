"""Tensors in a form that any machine can read back: values, without their device."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepsvdd.core._engine.devices import resolve_device


class PortableState:
    """A class whose pickles, with networks in ``members_``, any machine can read."""

    device: Any
    members_: list[Any]

    def __getstate__(self) -> dict[str, Any]:
        """Hand out all attributes, tensors without their device."""
        return portable(super().__getstate__())  # type: ignore[arg-type]

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Put the networks on the device that the parameters name, if it is here."""
        super().__setstate__(state)  # type: ignore[misc]
        try:
            device = resolve_device(self.device)
        except ValueError:
            return
        for member in getattr(self, "members_", []):
            member.encoder.to(device)
            member.center = member.center.to(device)


def portable(state: dict[str, Any]) -> dict[str, Any]:
    """Copy what is to be pickled, with tensors that come back on the CPU.

    Torch pickles a GPU's tensors so that they return to that GPU, and where there is
    none, not at all.

    Parameters
    ----------
    state : dict
        Of modules, tensors, dataclasses and containers of them, and anything else.
    """
    memo = {
        id(tensor): _Carried(tensor)
        for tensor in _tensors_of(state)
        if tensor.layout == torch.strided and not tensor.is_meta
    }
    return copy.deepcopy(state, memo)


def _tensors_of(value: Any) -> Iterator[Tensor]:
    """Find the tensors in modules, dataclasses and containers."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from value.parameters()
        yield from value.buffers()
    else:
        parts: Any = value if isinstance(value, list | tuple) else ()
        if isinstance(value, dict):
            parts = value.values()
        elif is_dataclass(value):
            parts = [getattr(value, field.name) for field in fields(value)]
        for part in parts:
            yield from _tensors_of(part)


class _Carried:
    """Stands for a tensor in a pickle, and is unpickled as that tensor."""

    def __init__(self, tensor: Tensor) -> None:
        values = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        layout = torch.empty_like(tensor, device="meta").stride()  # channels last, say
        kind = (isinstance(tensor, nn.Parameter), tensor.requires_grad)
        form = (tensor.dtype, tuple(tensor.shape), layout)
        self.parts = (values.numpy(), *form, *kind)

    def __reduce__(self) -> tuple[Any, ...]:
        return _tensor, self.parts


def _tensor(
    values: NDArray[Any],
    dtype: torch.dtype,
    shape: tuple[int, ...],
    layout: tuple[int, ...],
    is_parameter: bool,
    requires_grad: bool,
) -> Tensor:
    """Rebuild a tensor from its bytes."""
    given = torch.tensor(values, device="cpu").view(dtype).reshape(shape)
    tensor = torch.empty_strided(shape, layout, dtype=dtype, device="cpu").copy_(given)
    if is_parameter:
        return nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_(requires_grad)
