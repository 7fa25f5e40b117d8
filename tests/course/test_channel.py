"""What crosses the channel between tests and submissions, and what does not."""

import socket
import threading
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.svm import OneClassSVM
from torch import nn

from deepsvdd.course import tensors
from deepsvdd.course.channel import Parts, Peer, RemoteError, There


class Mine(nn.Module):
    """A layer of a class that nobody else has."""

    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return torch.tanh(self.inner(x))


def fit(network, x, c):
    network.train()
    adam = torch.optim.SGD(network.parameters(), 0.1)
    for _ in range(3):
        loss = FUNCTIONS["loss"](network(x), c)
        adam.zero_grad()
        loss.backward()
        adam.step()
    network.eval()
    return loss.item()


def squares(z, c):
    return (z - c).square().sum(dim=1).mean()


def add_one(x):
    x += 1


class Yes:
    """Equals everything."""

    def __eq__(self, other):
        return True

    __hash__ = None


FUNCTIONS = {
    "same": lambda value: value,
    "loss": squares,
    "fit": fit,
    "add_one": add_one,
    "mine": Mine,
    "yes": Yes,
    "apply": lambda function, x: function(x),
    "support": lambda machine: (machine.support_, machine.offset_[0], machine.nu),
    "layers": lambda: nn.Sequential(nn.Linear(4, 3, bias=False), nn.PReLU()),
    "fail": lambda: 1 / 0,
}


@pytest.fixture
def there():
    """Functions on another side, by name."""
    here, other = socket.socketpair()

    def serve(peer, request, values):
        if request != "call":
            return getattr(tensors, request)(
                *([peer] if request == "gradient" else [values.pop("target")]), **values
            )
        own = dict(FUNCTIONS)
        FUNCTIONS.update(values.get("stand_ins", {}))
        try:
            return values["target"](*values["arguments"], **values["named"])
        finally:
            FUNCTIONS.update(own)

    far = Peer(
        other,
        lambda *request: serve(far, *request),
        trusting=True,
        tensors=lambda _: tensors,
    )
    near = Peer(here, lambda *request: serve(near, *request), tensors=lambda _: tensors)
    far.names = FUNCTIONS
    thread = threading.Thread(target=far.loop)
    thread.start()
    yield lambda name: There(near, 0, name, "function")
    here.close()
    thread.join()
    other.close()


plain = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
plain |= st.complex_numbers() | st.binary()
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=8,
)


@given(value=values)
@settings(max_examples=25)
def test_plain_values_come_back_as_they_were(value):
    here, other = socket.socketpair()
    with here, other:
        near, far = Peer(here, None), Peer(other, None, trusting=True)
        near._send({}, value)
        header, buffers = far._read()
        got = far._decoded(header["values"], Parts(buffers))
    assert repr(got) == repr(value)


def test_arrays_keep_their_types(there):
    for value in (
        np.arange(6, dtype=np.uint8).reshape(2, 3),
        np.array(["a", "bc"]),
        np.float32(1.5),
        np.bool_(True),
        np.asfortranarray(np.eye(3)),
        np.array(2.0),
    ):
        got = there("same")(value)
        assert type(got) is type(value)
        assert got.dtype == value.dtype
        assert np.array_equal(got, value)
    assert there("same")({1, 2}) == {1, 2}
    assert there("same")(SimpleNamespace(a=1)).a == 1
    assert there("same")(torch.ones(2, dtype=torch.bfloat16)).dtype is torch.bfloat16


def test_objects_do_not_cross(there):
    with pytest.raises(TypeError, match="an array of objects"):
        there("same")(np.array([object()]))
    deep = []
    deep.append(deep)
    with pytest.raises(TypeError, match="nested too deeply"):
        there("same")(deep)
    got = there("yes")()
    assert isinstance(got, There)
    assert not got == 3  # noqa: SIM201


def test_errors_come_with_their_names(there):
    with pytest.raises(RemoteError, match="division by zero") as error:
        there("fail")()
    assert error.value.kind == "ZeroDivisionError"
    with pytest.raises(RemoteError, match="'nothing' is not defined") as error:
        there("nothing")()
    assert error.value.kind == "NameError"


def test_what_is_changed_in_place_is_changed_here(there):
    array, tensor = np.zeros(3), torch.zeros(2)
    there("add_one")(array)
    there("add_one")(tensor)
    assert array.tolist() == [1, 1, 1]
    assert tensor.tolist() == [1, 1]


def test_gradients_flow_back(there):
    z = torch.randn(5, 3, requires_grad=True)
    loss = there("loss")(z, torch.zeros(3))
    loss.backward()
    assert torch.allclose(z.grad, 2 * z / 5)


def test_a_network_is_trained_in_place_with_a_stand_in(there):
    network, seen, calls = nn.Sequential(nn.Linear(4, 3, bias=False)), [], []
    before = network[0].weight.clone()
    network.register_forward_pre_hook(lambda m, x: seen.append((m.training, len(x[0]))))

    def stand_in(z, c):
        calls.append(len(z))
        return squares(z, c)

    function = there("fit")
    values = {"arguments": (network, torch.randn(6, 4), torch.ones(3)), "named": {}}
    loss = function._ask("call", **values, stand_ins={"loss": stand_in})
    assert isinstance(loss, float)
    assert calls == [6, 6, 6]
    assert seen == [(True, 6)] * 3
    assert not network.training
    assert not torch.equal(network[0].weight, before)


def test_a_network_comes_as_what_it_is(there):
    network = there("layers")()
    assert isinstance(network[0], nn.Linear)
    x = torch.ones(2, 4)
    assert torch.equal(network(x), network[1](x @ network[0].weight.T))


def test_a_layer_of_ones_own_stays_there_and_can_be_trained(there):
    network = there("mine")()
    ((name, weight),) = network.named_parameters()
    assert name == "inner.weight"
    x = torch.ones(2, 4)
    assert torch.allclose(network(x), torch.tanh(x @ weight.T))
    with torch.no_grad():
        weight.zero_()
    assert not network(x).any()
    network(x).sum().backward()
    assert torch.equal(weight.grad, torch.full((3, 4), 2.0))
    there("fit")(network, x, torch.ones(3))
    assert weight.any()


def test_a_fitted_estimator_is_built_there_but_never_here(there):
    x = np.random.default_rng(0).normal(size=(20, 2))
    machine = OneClassSVM(nu=0.3).fit(x)
    support, offset, nu = there("support")(machine)
    assert np.array_equal(support, machine.support_)
    assert (offset, nu) == (machine.offset_[0], 0.3)
    assert isinstance(there("same")(machine), There)


def test_a_function_can_be_called_while_it_is_lent(there):
    assert there("apply")(lambda x: 2 * x, 4) == 8


def test_names_are_not_looked_up_for_the_other_side():
    here, other = socket.socketpair()
    with here, other:
        near = Peer(here, None)
        near.names = {"secret": 1}
        for tree in (
            {"yours": 0, "name": "secret"},
            {"given": "secret"},
            {"object": "os:_Environ", "state": {"d": []}},
        ):
            with pytest.raises(TypeError):
                near._decoded(tree, Parts([]))
