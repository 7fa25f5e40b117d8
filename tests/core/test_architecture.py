"""The guard: what can collapse is refused, all else accepted, nothing is changed."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from deepsvdd import ArchitectureError, Autoencoder
from deepsvdd.core.architecture import check_architecture, gradient_names
from tests.toys import batch, build


def net(*layers):
    return nn.Sequential(nn.Linear(4, 6, bias=False), *layers)


class Calls(nn.Module):
    """A bias-free layer, then a function call that no module shows."""

    def __init__(self, function):
        super().__init__()
        self.layer = nn.Linear(4, 6, bias=False)
        self.function = function

    def forward(self, x):
        return self.function(self.layer(x))


EXAMPLE = torch.linspace(-1, 1, 8).view(2, 4)

BIASED = {
    "linear": nn.Linear(6, 3),
    "norm": nn.BatchNorm1d(6),
    "layer norm": nn.LayerNorm(6),
    "nested": nn.Sequential(nn.Sequential(nn.ReLU(), nn.Linear(6, 3))),
}
BOUNDED = {
    "sigmoid": (nn.Sigmoid(), torch.sigmoid),
    "tanh": (nn.Tanh(), torch.tanh),
    "hardtanh": (nn.Hardtanh(), F.hardtanh),
    "relu6": (nn.ReLU6(), F.relu6),
    "hardsigmoid": (nn.Hardsigmoid(), F.hardsigmoid),
    "softmax": (nn.Softmax(dim=1), lambda x: x.softmax(1)),
    "elu": (nn.ELU(), F.elu),
    "selu": (nn.SELU(), F.selu),
    "celu": (nn.CELU(), F.celu),
}
UNBOUNDED = {
    "relu": (nn.ReLU(), torch.relu),
    "leaky": (nn.LeakyReLU(), F.leaky_relu),
    "leaky in place": (nn.LeakyReLU(inplace=True), F.leaky_relu_),
    "prelu": (nn.PReLU(), lambda x: torch.maximum(x, 0.2 * x)),
    "softplus": (nn.Softplus(), F.softplus),
    "scaling norm": (nn.LayerNorm(6, bias=False), lambda x: 3 * x),
    "norm": (nn.BatchNorm1d(6, affine=False), torch.abs),
}


@pytest.mark.parametrize("layer", BIASED.values(), ids=BIASED)
def test_bias_is_refused(layer):
    network = net(nn.ReLU(), layer)
    with pytest.raises(ArchitectureError, match=r"Proposition 2") as error:
        check_architecture(network, EXAMPLE)
    message = str(error.value)
    assert "bias=False" in message
    assert "allow_collapse=True" in message
    assert "Proposition 3" not in message
    (name,) = (n for n, _ in network.named_parameters() if n.endswith("bias"))
    assert name in message


def test_an_offset_by_another_name_is_refused():
    network = net()
    network.shift = nn.Parameter(torch.zeros(6))
    with pytest.raises(ArchitectureError, match=r"shift.*Proposition 2"):
        check_architecture(network, EXAMPLE)


@pytest.mark.parametrize("form", ["module", "call"])
@pytest.mark.parametrize("name", BOUNDED)
def test_bounded_activation_is_refused(name, form):
    module, function = BOUNDED[name]
    network = net(module) if form == "module" else Calls(function)
    with pytest.raises(ArchitectureError, match=r"Proposition 3") as error:
        check_architecture(network, EXAMPLE)
    message = str(error.value)
    assert "leaky ReLU" in message
    assert "allow_collapse=True" in message
    assert "Proposition 2" not in message


@pytest.mark.parametrize("form", ["module", "call"])
@pytest.mark.parametrize("name", UNBOUNDED)
def test_unbounded_activation_is_accepted(name, form):
    module, function = UNBOUNDED[name]
    network = net(module) if form == "module" else Calls(function)
    check_architecture(network, EXAMPLE)


def test_relu_written_as_a_clamp_is_accepted():
    check_architecture(Calls(lambda x: x.clamp(min=0)), EXAMPLE)


def test_clamp_to_a_range_is_refused():
    with pytest.raises(ArchitectureError, match="Proposition 3"):
        check_architecture(Calls(lambda x: x.clamp(-1, 1)), EXAMPLE)


def test_arctangent_is_refused():
    with pytest.raises(ArchitectureError, match="Proposition 3"):
        check_architecture(Calls(torch.atan), EXAMPLE)


def test_both_problems_are_named_at_once():
    with pytest.raises(ArchitectureError, match=r"Proposition 2.*Proposition 3"):
        check_architecture(net(nn.Tanh(), nn.Linear(6, 3)), EXAMPLE)


@pytest.mark.parametrize(
    "name", ["mnist_LeNet", "cifar10_LeNet", "gtsrb_LeNet", "deep_LeNet", "mlp"]
)
def test_named_networks_are_accepted(name):
    check_architecture(build(name).encoder, batch(name))


def test_elu_network_is_refused_to_the_letter():
    name = "cifar10_LeNet_ELU"
    with pytest.raises(ArchitectureError, match="Elu"):
        check_architecture(build(name).encoder, batch(name))


def test_decoders_may_be_what_encoders_must_not():
    network = Autoencoder(net(nn.ReLU()), nn.Sequential(nn.Linear(6, 4), nn.Sigmoid()))
    check_architecture(network.encoder, EXAMPLE)


@pytest.mark.parametrize("training", [True, False])
def test_check_changes_nothing(training):
    encoder = build("mnist_LeNet").encoder.train(training)
    x = batch("mnist_LeNet")
    state = copy.deepcopy(encoder.state_dict())
    encoder.head.weight.grad = torch.ones_like(encoder.head.weight)
    random_state, before = torch.get_rng_state(), x.clone()
    check_architecture(encoder, x)
    assert all(module.training is training for module in encoder.modules())
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, state[key])
    assert (encoder.head.weight.grad == 1).all()
    assert all(conv.weight.grad is None for conv in encoder.convs)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert torch.equal(x, before)
    assert x.grad is None
    assert not x.requires_grad


def test_check_leaves_a_frozen_part_in_evaluation_mode():
    network = net(nn.BatchNorm1d(6, affine=False)).train()
    network[1].eval()
    check_architecture(network, EXAMPLE)
    assert network.training
    assert not network[1].training


def test_check_sees_through_no_grad():
    with torch.no_grad(), pytest.raises(ArchitectureError, match="Tanh"):
        check_architecture(net(nn.Tanh()), EXAMPLE)


def test_gradient_names_lists_the_operations():
    names = gradient_names(net(nn.ReLU(), nn.Tanh()), EXAMPLE)
    assert {"Relu", "Tanh"} <= names
    assert "Sigmoid" not in names
