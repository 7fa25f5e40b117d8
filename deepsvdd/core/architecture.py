"""What a network must be: trainable, of the right shapes, and safe from collapse."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core.networks import Autoencoder, evaluation_mode, output_of
from deepsvdd.errors import ArchitectureError, reason_of

# Activations with a bound other than 0, by the name of their gradient. A hidden unit
# that saturates there for all inputs is a constant feature: a bias (Proposition 3).
BOUNDED = (
    *("Sigmoid", "Tanh", "Hardtanh", "Hardsigmoid", "Softmax", "Elu", "Celu", "Clamp"),
    *("Atan", "Erf", "Sin", "Cos"),
)


def check_architecture(encoder: nn.Module, example: Tensor) -> None:
    """Refuse networks for which the paper proves that the hypersphere can collapse.

    The activations are read off the gradient graph of one forward pass, so functional
    calls are found as well as modules.

    In the book: prop-bias (04-collapse).

    Parameters
    ----------
    encoder : Module
        The network φ.
    example : Tensor of shape (B, ...)
        A small batch of inputs.

    Raises
    ------
    ArchitectureError
        If the network has bias terms (Proposition 2), affine batch normalization among
        them, or activations with a non-zero bound (Proposition 3).

    Notes
    -----
    Strictly, Proposition 3 covers ELU too, whose infimum is −1. The authors' own
    ``cifar10_LeNet_ELU`` is therefore exempted by name, not by this check.
    """
    problems = []
    biases = [name for name, p in encoder.named_parameters() if is_bias(name, p)]
    if biases:
        problems.append(
            f"bias terms ({', '.join(biases)}), with which a constant map has zero "
            "loss (Proposition 2): build the layers with bias=False, "
            "batch normalization with affine=False"
        )
    bounded = sorted(
        name for name in gradient_names(encoder, example) if name in BOUNDED
    )
    if bounded:
        problems.append(
            f"bounded activations ({', '.join(bounded)}), whose saturation emulates "
            "bias terms (Proposition 3): use ReLU or leaky ReLU"
        )
    if problems:
        raise ArchitectureError(
            f"network has {'; and '.join(problems)}; to train it all the same, pass "
            "allow_collapse=True"
        )


def is_bias(name: str, parameter: nn.Parameter) -> bool:
    """Tell whether a parameter is an offset: so named, or a vector that is no scale."""
    leaf = name.rsplit(".", 1)[-1]
    if not (parameter.requires_grad or parameter.any()):
        return False  # frozen at 0 it adds nothing, and never will
    return "bias" in leaf or (parameter.ndim <= 1 and leaf != "weight")


def gradient_names(encoder: nn.Module, example: Tensor) -> set[str]:
    """Name the differentiable operations of one forward pass (without 'Backward0')."""
    with evaluation_mode(encoder), torch.enable_grad():
        # A sum, that layers which work in place may change it.
        output = encoder(example.clone().requires_grad_() + 0)
    names, stack = set(), [output.grad_fn]
    seen = set()
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        name = node.name().split("Backward")[0]
        if name == "Clamp" and (node._saved_min, node._saved_max) == (0, None):
            name = "Relu"
        names.add(name)
        stack += [parent for parent, _ in node.next_functions]
    return names


def check_module(module: nn.Module) -> None:
    """Raise ValueError unless a module of the user's own can be copied and trained."""
    name = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise ValueError(
            f"network must be a module of plain torch; got {name}, a scripted or "
            "traced one: pass the module that it was made from"
        )
    if hasattr(module, "_orig_mod"):
        raise ValueError(
            f"network must be a module that is not compiled; got {name}: pass the one "
            "that was given to torch.compile"
        )
    tensors = [*module.parameters(), *module.buffers()]
    if any(is_lazy(t) or t.is_meta for t in tensors):
        raise ValueError(
            f"network must have weights with values; got {name} with lazy layers, or "
            "layers on the meta device: apply it to a batch first, or build it on the "
            "CPU"
        )


def check_output(encoder: nn.Module, example: Tensor, trains: bool = True) -> None:
    """Raise ValueError unless a network gives vectors (n, d), and can be trained."""
    name = type(encoder).__name__
    if trains and not any(p.requires_grad for p in encoder.parameters()):
        raise ValueError(f"network must have weights to train; {name} has none")
    before = example.clone()
    try:
        output = output_of(encoder, example)
    except Exception as error:  # of any kind: it is the user's network
        raise ValueError(
            f"network must take float32 batches of shape (n, "
            f"{', '.join(map(str, example.shape[1:]))}); {name} fails: "
            f"{reason_of(error)}"
        ) from None
    if not torch.equal(example, before):
        example.copy_(before)
        raise ValueError(
            f"network must not change its input; {name} does so in place: use "
            "inplace=False in its first layers, and x = x + … in place of x += …"
        )
    given = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    if not isinstance(output, Tensor) or output.ndim != 2 or output.shape[1] == 0:
        raise ValueError(
            f"network must give representations (n, d); {name} gives {given} for "
            f"{len(example)} samples: end it with Flatten and a linear layer"
        )
    if len(output) != len(example):
        raise ValueError(
            f"network must give one representation a sample, (n, d); {name} gives "
            f"{given} for {len(example)} samples"
        )
    if not output.is_floating_point():
        raise ValueError(
            f"network must give floating-point representations; {name} gives "
            f"{str(output.dtype).removeprefix('torch.')}"
        )
    check_connection(encoder, example)


def check_connection(encoder: nn.Module, example: Tensor) -> None:
    """Raise ValueError unless gradients flow from the representations to the input."""
    x = example.clone().requires_grad_()
    with evaluation_mode(encoder), usual_modes():
        output = encoder(x + 0)
        gradient = None
        if output.requires_grad:
            (gradient,) = torch.autograd.grad(output.sum(), x, allow_unused=True)
    if gradient is None:
        raise ValueError(
            "network must give differentiable representations of its input; those of "
            f"{type(encoder).__name__} are cut off from it (no_grad, detach, or a "
            "constant)"
        )


def check_reconstruction(autoencoder: Autoencoder, example: Tensor) -> None:
    """Raise ValueError unless the decoder gives images, or vectors, like the input."""
    try:
        output = output_of(autoencoder, example)
        given = str(tuple(output.shape))
    except Exception as error:  # of any kind: it is the user's decoder
        given = f"an error ({reason_of(error)})"
    if given != str(tuple(example.shape)):
        raise ValueError(
            f"network must have a decoder that gives {tuple(example.shape)}, the shape "
            f"of the samples; {type(autoencoder.decoder).__name__} gives {given}"
        )
