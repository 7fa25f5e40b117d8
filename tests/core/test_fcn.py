"""The fully convolutional network, and how its maps are enlarged."""

import pytest
import torch
import torch.nn.functional as F

from deepsvdd.core.fcn import FCN, enlarged, receptive_field, spread_of
from deepsvdd.core.networks import output_of


@pytest.mark.parametrize(
    ("shape", "grid"),
    [
        ((1, 28, 28), (7, 7)),
        ((3, 32, 32), (8, 8)),
        ((1, 8, 64), (2, 16)),
        ((3, 256, 100), (32, 12)),
    ],
)
def test_the_map_is_as_large_as_it_says(shape, grid):
    network = FCN(shape)
    assert network.grid == grid
    assert network(torch.zeros(2, *shape)).shape == (2, grid[0] * grid[1])
    heat = enlarged(torch.zeros(2, *grid), shape[1:])
    assert heat.shape == (2, *shape[1:])


@pytest.mark.parametrize(("side", "depth"), [(48, 2), (96, 3)])
def test_a_number_depends_on_its_receptive_field_and_nothing_else(side, depth):
    torch.manual_seed(0)
    network = FCN((1, side, side)).eval()
    for norm in network.norms:  # or means of zero would hide what is there
        norm.running_mean += 0.1
    x = torch.rand(1, 1, side, side, requires_grad=True)
    cells, step = network.grid[0], 2**depth
    row = cells // 2
    network(x).view(cells, cells)[row, row].backward()
    seen = (x.grad[0, 0] != 0).any(dim=1).nonzero()[:, 0]
    first, last = seen.min().item(), seen.max().item()
    field = receptive_field(depth)
    center = row * step + (step - 1) / 2
    assert center - field / 2 <= first
    assert last <= center + field / 2
    # Pooling chooses: of a random image not every border pixel is felt.
    assert last - first + 1 >= field - 2 * step


def test_receptive_fields():
    assert [receptive_field(depth) for depth in (1, 2, 3)] == [6, 16, 36]


def test_enlarging_is_a_transposed_convolution_where_nothing_is_cut_off():
    """Liznerski et al., Algorithm 1; the weighted mean only divides by what reaches."""
    maps = torch.rand(2, 16, 16, dtype=torch.float64)
    away = torch.arange(16) - 7.5
    kernel = torch.exp(-0.5 * (away / 4) ** 2).double()
    kernel = (kernel[:, None] * kernel)[None, None]
    spread = F.conv_transpose2d(maps[:, None], kernel, stride=4, padding=6)[:, 0]
    weight = F.conv_transpose2d(
        torch.ones_like(maps[:, None]), kernel, stride=4, padding=6
    )[:, 0]
    torch.testing.assert_close(enlarged(maps, (64, 64)), (spread / weight))


def test_a_flat_map_stays_flat_and_a_peak_stays_where_it_is():
    flat = enlarged(torch.full((1, 7, 7), 0.3), (28, 28))
    torch.testing.assert_close(flat, torch.full((1, 28, 28), 0.3))
    peak = torch.zeros(1, 7, 7)
    peak[0, 2, 5] = 1
    heat = enlarged(peak, (28, 28))[0]
    row, column = divmod(int(heat.argmax()), 28)
    assert 8 <= row < 12
    assert 20 <= column < 24


@pytest.mark.parametrize(("cells", "side"), [(7, 28), (7, 31), (12, 100)])
def test_weights_are_a_mean(cells, side):
    weights = spread_of(cells, side)
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(side))


def test_scoring_gives_what_training_code_gives():
    torch.manual_seed(0)
    network, x = FCN((1, 28, 28)).eval(), torch.rand(3, 1, 28, 28)
    torch.testing.assert_close(output_of(network, x), network(x).detach())
