"""Tensors and networks that cross the channel (`deepsvdd.course.channel`).

A tensor crosses as an array. If it takes gradients, those flow back across the channel:
``backward`` here asks the other side for its part. A network crosses as a description:
PyTorch's own layers, their settings and their weights, from which the other side builds
the same. A layer of a class that somebody wrote stays where it is; the other side holds
its weights, and asks for its outputs.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn

from deepsvdd.course.channel import Coder, Parts, Peer, Refused, There
from deepsvdd.course.channel import decode as decode_value

_INTERNAL = set(vars(nn.Module()))
_NAME = re.compile(r"[A-Za-z_]\w{0,60}")
_SETTING = (type(None), bool, int, float, str, tuple, list)


# --- tensors ------------------------------------------------------------------------


def encode(coder: Coder, value: Any, depth: int) -> Any:
    """Return a tensor, a network or a random generator as JSON, else None."""
    if isinstance(value, Tensor):
        return tensor_tree(coder, value)
    if isinstance(value, nn.Module):
        coder.sent.append(value)
        return {"network": describe(coder, value, {}, depth)}
    return None


def tensor_tree(coder: Coder, value: Tensor) -> dict[str, Any]:
    """Return a tensor as JSON; its numbers go to the buffers."""
    coder.sent.append(value)
    tree: dict[str, Any] = {"tensor": plain(coder, value)}
    if value.requires_grad and coder.leaves is None:  # a request: gradients may return
        coder.linked.append(value)
        tree["leaf"] = True
    elif value.requires_grad:
        tree["out"] = coder.peer.keep((value, list(coder.leaves or ())))
    return tree


def plain(coder: Coder, value: Tensor) -> list[Any]:
    """Put a tensor's numbers into the buffers; return the place and the type."""
    if value.layout is not torch.strided or value.is_quantized:
        raise Refused("a sparse or quantized tensor")
    kind = str(value.dtype).removeprefix("torch.")
    value = value.detach().cpu().resolve_conj().resolve_neg()
    if value.dtype is torch.bfloat16:
        value = value.view(torch.int16)
    return [coder._array(value.numpy()), kind]


def of_plain(tree: list[Any], parts: Parts) -> Tensor:
    """Return the tensor that `plain` wrote."""
    from deepsvdd.course.channel import array_of

    number, kind = tree
    value = torch.from_numpy(array_of(parts.buffers[number]))
    return value.view(torch.bfloat16) if kind == "bfloat16" else value


def decode(peer: Peer, tree: dict[str, Any], parts: Parts, depth: int) -> Any:
    """Return the tensor or network that the other side described."""
    if "network" in tree:
        network = build(peer, tree["network"], parts, {}, depth)
        parts.received.append((network, snapshot(network)))
        return network
    value = of_plain(tree["tensor"], parts)
    if tree.get("leaf"):
        value.requires_grad_()
        parts.leaves.append(value)
    elif number := tree.get("out"):
        value = Bridge.apply(peer, int(number), value, *parts.linked)
        if not value.requires_grad:
            value.requires_grad_()
    parts.received.append((value, value._version))
    return value


class Bridge(torch.autograd.Function):
    """A result of the other side, as a function of tensors that were sent there."""

    @staticmethod
    def forward(ctx: Any, peer: Peer, number: int, value: Tensor, *_: Tensor) -> Tensor:
        """Return the result."""
        ctx.peer, ctx.number = peer, number
        return value

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        """Ask the other side for the gradients of what was sent."""
        with torch.no_grad():
            found = ctx.peer.ask_about(
                "gradient", number=ctx.number, along=gradients[0]
            )
        return None, None, None, *found


def gradient(peer: Peer, number: int, along: Tensor) -> list[Tensor | None]:
    """Return the gradients of a result that was kept, along a direction."""
    value, leaves = peer.kept[number]
    if not leaves:
        return []
    return list(
        torch.autograd.grad(value, leaves, along, retain_graph=True, allow_unused=True)
    )


# --- networks -----------------------------------------------------------------------


class Elsewhere(nn.Module):
    """A layer of a class that somebody wrote on the other side."""

    def __init__(self, peer: Peer, number: int, name: str) -> None:
        super().__init__()
        self.there = There(peer, number, "", name)

    def forward(self, *inputs: Any) -> Any:
        """Ask the other side, for the weights as they are here."""
        weights = dict(self.named_parameters())
        return self.there._ask(
            "forward", inputs=inputs, weights=weights, training=self.training
        )

    def __getitem__(self, key: Any) -> Any:
        """Return a layer, for classes that have this."""
        return list(self.children())[key]


def known(module: nn.Module) -> bool:
    """Tell whether a layer is one of PyTorch's own."""
    kind = type(module)
    return getattr(nn, kind.__name__, None) is kind and "forward" not in vars(module)


def describe(
    coder: Coder, module: nn.Module, seen: dict[int, int], depth: int
) -> dict[str, Any]:
    """Return a network as JSON."""
    if depth > 40:
        raise Refused("a network that is nested too deeply")

    def all_of(tensors: dict[str, Tensor | None]) -> list[Any]:
        trees: list[Any] = []
        for name, value in tensors.items():
            if value is None:
                trees.append([name, None])
            elif id(value) in seen:  # weights that two layers share
                trees.append([name, seen[id(value)]])
            else:
                seen[id(value)] = len(seen)
                trees.append([name, plain(coder, value), value.requires_grad])
        return trees

    if isinstance(module, Elsewhere):
        kind: Any = {"yours": module.there._number}
    elif known(module):
        kind = type(module).__name__
    else:
        kind = {"mine": coder.peer.keep(module), "name": type(module).__name__}
    settings = {
        name: value
        for name, value in vars(module).items()
        if name not in _INTERNAL and isinstance(value, _SETTING)
    }
    tree: dict[str, Any] = {
        "kind": kind,
        "settings": coder.encode(settings if isinstance(kind, str) else {}, depth + 1),
        "weights": all_of(dict(module._parameters)),
        "buffers": all_of(dict(module._buffers)),
        "training": module.training,
        "layers": [
            [name, None if layer is None else describe(coder, layer, seen, depth + 1)]
            for name, layer in module._modules.items()
        ],
    }
    if not coder.peer.trusting:  # hooks of the tests'
        hooks = (module._forward_pre_hooks, module._forward_hooks)
        if any(hooks):
            tree["hooks"] = [[coder.encode(f) for f in h.values()] for h in hooks]
    return tree


def build(
    peer: Peer, tree: dict[str, Any], parts: Parts, seen: dict[int, Tensor], depth: int
) -> nn.Module:
    """Return the network that `describe` described."""
    if depth > 40:
        raise Refused("a network that is nested too deeply")
    module = layer_of(peer, tree["kind"])
    returned = isinstance(tree["kind"], dict) and "yours" in tree["kind"]
    settings = decode_value(peer, tree["settings"], parts, depth + 1)
    for name, setting in settings.items():
        if isinstance(name, str) and name not in _INTERNAL and _NAME.fullmatch(name):
            module.__dict__[name] = setting
    for group in ("weights", "buffers"):
        for name, content, *takes in tree[group]:
            value: Tensor | None = None
            if isinstance(content, int):
                value = seen[content]
            elif content is not None:
                value = of_plain(content, parts)
                if group == "weights":
                    value = nn.Parameter(value, requires_grad=bool(takes[0]))
                seen[len(seen)] = value
            own = module._parameters if group == "weights" else module._buffers
            if returned and value is not None:
                own[name].data.copy_(value)  # type: ignore[union-attr]
            elif group == "weights":
                module.register_parameter(str(name), value)  # type: ignore[arg-type]
            else:
                module.register_buffer(str(name), value)
    for name, layer in tree["layers"]:
        if layer is not None and returned:
            below = build(peer, layer, parts, seen, depth + 1).state_dict()
            module.get_submodule(name).load_state_dict(below)
        elif not returned:
            module.add_module(
                str(name), layer and build(peer, layer, parts, seen, depth + 1)
            )
    module.training = bool(tree["training"])
    if peer.trusting:
        add_hooks(peer, module, tree.get("hooks", ((), ())), parts)
    return module


def layer_of(peer: Peer, kind: Any) -> nn.Module:
    """Return an empty layer of one of PyTorch's classes, or one that is elsewhere."""
    if isinstance(kind, dict) and "mine" in kind:
        return Elsewhere(peer, int(kind["mine"]), str(kind["name"])[:80])
    if isinstance(kind, dict):
        module = peer.kept[int(kind["yours"])]
        if not isinstance(module, nn.Module):
            raise Refused("no network")
        return module
    found = getattr(nn, str(kind), None)
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise Refused("a layer of unknown kind")
    module = found.__new__(found)
    nn.Module.__init__(module)
    return module


def add_hooks(peer: Peer, module: nn.Module, hooks: Any, parts: Parts) -> None:
    """Call the tests' hooks, which see whether the layer is in training mode."""
    from types import SimpleNamespace

    before, after = ([decode_value(peer, f, parts) for f in group] for group in hooks)

    def told(hook: Any) -> Any:
        def call(layer: nn.Module, *values: Any) -> None:
            with torch.no_grad():
                hook(SimpleNamespace(training=layer.training), *values)

        return call

    for hook in before:
        module.register_forward_pre_hook(told(hook))
    for hook in after:
        module.register_forward_hook(told(hook))


# --- changes in place ---------------------------------------------------------------


def snapshot(network: nn.Module) -> list[Any]:
    """Return what tells whether a network was changed: versions and modes."""
    tensors = network.state_dict(keep_vars=True)
    return [
        [(name, id(value), value._version) for name, value in tensors.items()],
        [value.requires_grad for value in network.parameters()],
        [module.training for module in network.modules()],
    ]


def change_of(value: Any, before: Any) -> Any:
    """Return the new content of a tensor or network that was changed, else None."""
    if isinstance(value, Tensor):
        return None if value._version == before else value.detach()
    if snapshot(value) == before:
        return None
    return {
        "weights": {k: v.detach() for k, v in value.state_dict().items()},
        "modes": [module.training for module in value.modules()],
        "takes": [parameter.requires_grad for parameter in value.parameters()],
    }


def copy_into(target: Any, content: Any) -> None:
    """Change a tensor or a network as the other side has done."""
    with torch.no_grad():
        if isinstance(target, Tensor):
            if target.shape == content.shape:
                target.data.copy_(content)
            return
        for name, own in target.state_dict(keep_vars=True).items():
            new = content["weights"].get(name)
            if new is not None and new.shape == own.shape:
                if new.dtype == own.dtype:
                    own.data.copy_(new)
                else:
                    own.data = new
        for module, mode in zip(target.modules(), content["modes"], strict=False):
            module.training = bool(mode)
        for own, takes in zip(target.parameters(), content["takes"], strict=False):
            own.requires_grad_(bool(takes))


def forward(
    module: Any, inputs: tuple[Any, ...], weights: dict[str, Any], training: bool
) -> Any:
    """Return what a layer of this side makes of inputs, for weights of the other's."""
    if not isinstance(module, nn.Module):
        raise Refused("no network")
    module.train(training)
    return torch.func.functional_call(module, weights, inputs)
