"""What a program around has set in torch does not matter here, and stays as it is.

Torch has one global generator of random numbers, default type and default device, and
per thread a grad mode, inference mode and autocast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_FACTORIES = {torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn}
_DRAWING = {
    *(torch.rand, torch.randn, torch.randint, torch.randperm, torch.normal),
    *(torch.bernoulli, torch.multinomial, Tensor.uniform_, Tensor.normal_),
    *(Tensor.bernoulli_, Tensor.exponential_, Tensor.random_, Tensor.log_normal_),
}


class drawn_from(TorchFunctionMode):
    """Inside ``with``, layers are built in float32 on the CPU, with a seed's weights.

    They are those that follow ``torch.manual_seed(seed)``, but the global generator is
    not touched: threads that build networks at the same time do not mix their draws.
    It holds for the ways in which layers draw: ``torch.nn.init``, and methods of
    tensors.

    Parameters
    ----------
    seed : int
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.generator = torch.Generator("cpu").manual_seed(seed)

    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Add to a call what it leaves to torch's global state."""
        kwargs = dict(kwargs or {})
        if function in _FACTORIES:
            own: dict[str, Any] = {"dtype": torch.float32, "device": "cpu"}
            kwargs |= {k: v for k, v in own.items() if kwargs.get(k) is None}
        if function in _DRAWING or "generator" in kwargs:
            kwargs["generator"] = kwargs.get("generator") or self.generator
        return function(*args, **kwargs)


@contextmanager
def global_seed(seed: int, device: torch.device) -> Iterator[None]:
    """Inside ``with``, torch's global generators begin at a seed; afterwards as before.

    For layers that draw in every step, such as ``nn.Dropout``: they know no other
    generator. All threads share it, so only one may be here for its bits to repeat.
    """
    gpu = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if gpu else []):
        torch.default_generator.manual_seed(seed)
        if gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


@contextmanager
def usual_modes() -> Iterator[None]:
    """Inside ``with``, gradients are computed, in full precision, on the CPU if unsaid.

    So ``torch.no_grad()``, ``torch.inference_mode()``, ``torch.autocast(…)`` and a
    default device around are without effect. All of them belong to one thread.
    """
    with ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in ("cpu", "cuda"):
            if torch.is_autocast_enabled(kind):
                modes.enter_context(torch.autocast(kind, enabled=False))
        # Asked of a tensor: torch 2.4's get_default_device() sees no ``with``.
        if torch.empty(0).device.type != "cpu":
            modes.enter_context(torch.device("cpu"))
        yield
