"""Small problems to train on, and the training loop written by hand."""

import torch
from torch import nn

from deepsvdd import Dataset, Phase

QUICK = Phase(lr=3e-3, n_epochs=2, batch_size=64, schedule="one-cycle")


def some_digits(mnist, n_train):
    """The first digits of MNIST, with 500 of the test set."""
    return Dataset(
        "mnist",
        *(mnist.x_train[:n_train], mnist.y_train[:n_train]),
        *(mnist.x_test[:500], mnist.y_test[:500]),
        mnist.classes,
    )


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


def linear(d_in, d_out, *, bias=False, seed=0, dtype=torch.float32):
    torch.manual_seed(seed)
    return nn.Linear(d_in, d_out, bias=bias, dtype=dtype)


def toy(dtype=torch.float32, n=23):
    """Linear regression, a convex problem: module, loss function, data."""
    module = linear(4, 3, seed=1, dtype=dtype)
    truth = random(4, 3, seed=2, dtype=dtype)

    def loss_function(batch):
        return (module(batch) - batch @ truth).square().sum(1).mean()

    return module, loss_function, random(n, 4, seed=3, dtype=dtype)


def small_encoder(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(5, 8, bias=False), nn.LeakyReLU(), nn.Linear(8, 4, bias=False)
    )


def states_equal(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    return all(torch.equal(a[key], b[key]) for key in a)


def loop_by_hand(module, loss_function, x, phase, seed):
    """The usual few lines of torch; returns each epoch's mean loss."""
    optimizer = torch.optim.Adam(
        module.parameters(),
        lr=phase.lr,
        weight_decay=phase.weight_decay,
        amsgrad=phase.optimizer_name == "amsgrad",
        fused=True,
    )
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for epoch in range(phase.n_epochs):
        if epoch in phase.lr_milestones:
            optimizer.param_groups[0]["lr"] *= 0.1
        order = torch.randperm(len(x), generator=generator)
        total = 0.0
        chunks = list(order.split(phase.batch_size))
        if len(chunks) > 1 and len(chunks[-1]) == 1:
            chunks[-2:] = [torch.cat(chunks[-2:])]
        for chunk in chunks:
            loss = loss_function(x[chunk])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(chunk)
        losses.append(total / len(x))
    return losses
