"""Adam as it is used here, against torch's own."""

import pytest
import torch

from deepsvdd.core._engine.adam import Adam
from tests.toys import random, small_encoder, states_equal

PLAIN = torch.optim.Adam


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.01},
        {"lr": 0.01, "fused": True, "weight_decay": 0.1, "amsgrad": True},
    ],
)
def test_steps_are_torchs_to_the_bit(options):
    def trained(optimizer_class):
        network, x = small_encoder(), random(12, 5)
        first, *others = network.parameters()
        optimizer = optimizer_class([first], **options)
        optimizer.add_param_group({"params": others, "lr": 0.001})
        schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [2])
        for _ in range(4):
            optimizer.zero_grad(set_to_none=True)
            assert first.grad is None
            network(x).square().sum().backward()
            optimizer.step()
            schedule.step()
        return network, optimizer.state_dict()

    (ours, state), (theirs, expected) = trained(Adam), trained(PLAIN)
    assert states_equal(ours, theirs)
    assert state["param_groups"] == expected["param_groups"]
    for number, values in expected["state"].items():
        for name, value in values.items():
            assert torch.equal(state["state"][number][name], value)


def test_a_closure_has_gradients():
    network, x = small_encoder(), random(12, 5)
    optimizer = Adam(network.parameters(), lr=0.01)

    def closure():
        optimizer.zero_grad()
        loss = network(x).square().sum()
        loss.backward()
        return loss.item()

    assert optimizer.step(closure) > optimizer.step(closure)
