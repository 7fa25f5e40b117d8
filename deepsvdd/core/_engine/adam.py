"""Torch's Adam, without the compiler that it brings along."""

from __future__ import annotations

import inspect
from typing import Any

import torch

_ADD, _ZERO, _STEP = (
    inspect.unwrap(method)
    for method in (
        torch.optim.Adam.add_param_group,
        torch.optim.Adam.zero_grad,
        torch.optim.Adam.step,
    )
)


class Adam(torch.optim.Adam):
    """The same optimizer, for loops that torch.compile does not see.

    Torch wraps three methods so that its compiler leaves them alone; to do so, the
    first call imports the compiler, 870 modules, which takes longer than an epoch.
    """

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add parameters, with settings of their own."""
        _ADD(self, param_group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients."""
        _ZERO(self, set_to_none)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Take one step."""
        return _STEP(self, closure)
