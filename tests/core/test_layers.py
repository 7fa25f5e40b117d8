"""The two fast layers compute what the plain layers that they stand for compute."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepsvdd.core.layers import (
    Norm1d,
    NormPool2d,
    UpConvTranspose2d,
    conv_norm_pool,
    settle,
)

LAYOUTS = ("contiguous", "channels_last", "strided")


class PlainNormPool(nn.BatchNorm2d):
    """Batch norm without affine parameters, then max-pooling, by torch's layers."""

    def __init__(self, channels, pool=True):
        super().__init__(channels, eps=1e-4, affine=False)
        self.pool = pool

    def forward(self, x):
        x = super().forward(x)
        return F.max_pool2d(x, 2) if self.pool else x


class PlainUpConv(nn.ConvTranspose2d):
    """Nearest up-sampling, then the transposed convolution, by torch's layers."""

    def __init__(self, in_channels, out_channels):
        super().__init__(in_channels, out_channels, 5, padding=2, bias=False)

    def forward(self, x):
        return super().forward(F.interpolate(x, scale_factor=2, mode="nearest"))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def images(shape, layout="contiguous", seed=0, dtype=torch.float64):
    """Random images (b, c, h, w), off-center and scaled, in a memory layout."""
    b, c, h, w = shape
    if layout == "strided":  # every second pixel of larger images
        large = torch.randn((b, c, 2 * h, 2 * w), generator=generator(seed))
        x = large[:, :, ::2, ::2]
    else:
        x = torch.randn(shape, generator=generator(seed))
    x = 3.0 * x.to(dtype) + 2.0
    if layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    assert x.shape == shape
    return x


def step(layer, x, layout="contiguous"):
    """One forward and backward pass: everything that it computes or changes."""
    x = x.detach().requires_grad_()
    y = layer(x)
    grad = images(tuple(y.shape), layout, seed=99, dtype=y.dtype)
    y.backward(grad)
    found = {"y": y.detach(), "x.grad": x.grad}
    found |= {f"{name}.grad": p.grad for name, p in layer.named_parameters()}
    return found | {name: value.clone() for name, value in layer.state_dict().items()}


def assert_same(found, expected, **tolerance):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name],
            value,
            msg=lambda text, name=name: f"{name}: {text}",
            check_stride=False,
            **tolerance,
        )


exact = {"rtol": 1e-10, "atol": 1e-10}


@st.composite
def cases(draw, smallest):
    """Shape (b, c, h, w) with batches of one and odd sizes, layouts, a seed."""
    b, c = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    h, w = draw(st.integers(smallest, 9)), draw(st.integers(smallest, 9))
    layouts = draw(st.tuples(st.sampled_from(LAYOUTS), st.sampled_from(LAYOUTS)))
    return (b, c, h, w), *layouts, draw(st.integers(0, 1000))


# Norm and pooling --------------------------------------------------------------------


@settings(max_examples=25)
@given(cases(smallest=2), st.booleans())
def test_norm_pool_trains_like_batch_norm_then_max_pool(case, pool):
    shape, layout, grad_layout, seed = case
    layer = NormPool2d(shape[1], pool).double()
    plain = PlainNormPool(shape[1], pool).double()
    for k in range(3):  # running statistics accumulate
        x = images(shape, layout, seed + k)
        assert_same(step(layer, x, grad_layout), step(plain, x, grad_layout), **exact)
    assert layer.num_batches_tracked == 3


@given(cases(smallest=2), st.booleans())
def test_norm_pool_evaluates_like_batch_norm_then_max_pool(case, pool):
    shape, layout, grad_layout, seed = case
    layer = NormPool2d(shape[1], pool).double()
    layer(images((4, *shape[1:]), seed=seed + 1))  # running statistics of some batch
    before = copy.deepcopy(layer.state_dict())
    plain = PlainNormPool(shape[1], pool).double()
    plain.load_state_dict(before)
    layer.eval(), plain.eval()
    x = images(shape, layout, seed)
    assert_same(step(layer, x, grad_layout), step(plain, x, grad_layout), **exact)
    assert_same(layer.state_dict(), before, rtol=0, atol=0)  # evaluation changes none


@pytest.mark.parametrize("shape", [(1, 3, 2, 2), (1, 1, 5, 5), (3, 5, 2, 9)])
def test_norm_pool_of_the_smallest_maps(shape):
    x = images(shape, "channels_last")
    assert_same(
        step(NormPool2d(shape[1]).double(), x),
        step(PlainNormPool(shape[1]).double(), x),
        **exact,
    )


@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (1, 2, 1, 4), (1, 2, 4, 1)])
def test_norm_without_pooling_of_thin_maps(shape):
    x = images(shape)
    assert_same(
        step(NormPool2d(shape[1], pool=False).double(), x),
        step(PlainNormPool(shape[1], pool=False).double(), x),
        **exact,
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("pool", [True, False])
def test_norm_pool_in_single_precision_at_real_size(layout, pool):
    x = images((50, 8, 28, 28), layout, dtype=torch.float32)
    found, expected = step(NormPool2d(8, pool), x), step(PlainNormPool(8, pool), x)
    assert_same(found, expected, rtol=1e-5, atol=2e-5)


def test_norm_pool_keeps_its_precision_far_from_zero():
    # Σx² − (Σx)²/n, the fast formula, would lose all digits here.
    x = images((20, 4, 14, 14), dtype=torch.float32) / 100 + 50
    reference = step(PlainNormPool(4).double(), x.double())
    found = step(NormPool2d(4), x)
    torch.testing.assert_close(
        found["running_var"].double(), reference["running_var"], rtol=1e-4, atol=0
    )
    torch.testing.assert_close(found["y"].double(), reference["y"], rtol=0, atol=1e-3)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_tied_maxima_send_their_gradient_to_the_same_pixel(layout):
    x = images((4, 3, 7, 8), layout).round().clamp(1, 3)  # three values: many ties
    assert_same(
        step(NormPool2d(3).double(), x), step(PlainNormPool(3).double(), x), **exact
    )


def test_constant_channel_becomes_zero_and_not_nan():
    x = images((4, 2, 6, 6))
    x[:, 0] = 5.0
    found = step(NormPool2d(2).double(), x)
    assert_same(found, step(PlainNormPool(2).double(), x), rtol=1e-7, atol=1e-7)
    assert (found["y"][:, 0] == 0).all()


@pytest.mark.parametrize("pool", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_norm_pool_gradcheck(pool, training):
    layer = NormPool2d(2, pool).double().train(training)
    distinct = torch.randperm(3 * 2 * 5 * 4, generator=generator(0)).double() / 10
    x = distinct.view(3, 2, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(layer, x, fast_mode=True)


def test_norm_pool_updates_statistics_without_gradients_too():
    layer, plain = NormPool2d(3), PlainNormPool(3)
    x = images((4, 3, 6, 6), dtype=torch.float32)
    with torch.no_grad():
        y, expected = layer(x), plain(x)
    torch.testing.assert_close(y, expected, check_stride=False)
    torch.testing.assert_close(layer.running_var, plain.running_var)


def test_norm_pool_leaves_its_input_as_it_was():
    x = images((4, 3, 6, 6), "channels_last")
    before = x.clone()
    step(NormPool2d(3).double(), x)
    assert torch.equal(x, before)


def test_norm_pool_has_no_parameters_and_batch_norms_state():
    layer = NormPool2d(4)
    assert list(layer.parameters()) == []
    assert list(layer.state_dict()) == list(PlainNormPool(4).state_dict())


# Convolution, norm and pooling in scoring --------------------------------------------


def fitted_stage(in_channels, out_channels):
    """A convolution and a norm in evaluation mode, with statistics of some batch."""
    torch.manual_seed(0)
    conv = nn.Conv2d(in_channels, out_channels, 5, padding=2, bias=False)
    norm = NormPool2d(out_channels)
    norm(conv(images((8, in_channels, 9, 8), dtype=torch.float32)))
    return conv, norm.eval()


@settings(max_examples=25)
@given(cases(smallest=2), st.integers(1, 9), st.booleans())
def test_scoring_is_convolution_then_norm_then_pooling(case, out_channels, inference):
    shape, layout, _, seed = case
    conv, norm = fitted_stage(shape[1], out_channels)
    x = images(shape, layout, seed, dtype=torch.float32)
    before = x.clone()
    y = F.conv2d(x.double(), conv.weight.double(), padding=2)
    y = (y - norm.running_mean[:, None, None]) / (
        norm.running_var[:, None, None] + 1e-4
    ).sqrt()
    with torch.inference_mode() if inference else torch.no_grad():
        found = conv_norm_pool(conv, norm, x)
    expected = F.max_pool2d(y, 2).float().detach()
    torch.testing.assert_close(
        found, expected, rtol=1e-4, atol=1e-4, check_stride=False
    )
    assert found.layout == torch.strided
    assert torch.equal(x, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_training_takes_the_way_that_has_gradients(dtype):
    conv, norm = fitted_stage(2, 3)
    conv.to(dtype), norm.to(dtype).train()
    plain = nn.Sequential(conv, PlainNormPool(3).to(dtype))
    plain[1].load_state_dict(norm.state_dict())
    x = images((4, 2, 6, 6), dtype=dtype)
    y, expected = conv_norm_pool(conv, norm, x), plain(x)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5, check_stride=False)
    assert y.requires_grad
    torch.testing.assert_close(norm.running_var, plain[1].running_var)


def test_evaluation_with_gradients_is_the_plain_layers_own():
    # Saliency maps and the check of the architecture differentiate in evaluation mode.
    conv, norm = fitted_stage(2, 3)
    x = images((2, 2, 6, 6), dtype=torch.float32).requires_grad_()
    y, expected = conv_norm_pool(conv, norm, x), norm(conv(x))
    assert y.grad_fn.name() == expected.grad_fn.name()
    assert torch.equal(y, expected)
    inputs = (x, conv.weight)
    found = torch.autograd.grad(y.square().sum(), inputs)
    wanted = torch.autograd.grad(expected.square().sum(), inputs)
    for gradient, reference in zip(found, wanted, strict=True):
        torch.testing.assert_close(gradient, reference, check_stride=False)


def test_scoring_keeps_what_is_no_number():
    conv, norm = fitted_stage(1, 8)
    with torch.no_grad():
        y = conv_norm_pool(conv, norm, torch.full((2, 1, 8, 8), torch.nan))
    assert y.isnan().all()


@pytest.mark.filterwarnings("ignore:TF32")
def test_scoring_under_autocast_is_in_its_precision():
    torch.manual_seed(0)
    conv, norm = nn.Conv2d(3, 8, 5, padding=2, bias=False), NormPool2d(8).eval()
    x = torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        exact = conv_norm_pool(conv, norm, x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = conv_norm_pool(conv, norm, x)
    error = (rounded.float() - exact).norm() / exact.norm()
    assert 1e-4 < error < 1e-1  # eight bits of mantissa, not twenty-four


def test_scoring_works_without_onednn():
    conv, norm = fitted_stage(1, 8)
    x = images((2, 1, 8, 8), dtype=torch.float32)
    expected = norm(conv(x)).detach()
    with torch.no_grad(), torch.backends.mkldnn.flags(enabled=False):
        y = conv_norm_pool(conv, norm, x)
    torch.testing.assert_close(y, expected, rtol=1e-4, atol=1e-5, check_stride=False)


# Up-sampling and convolution ---------------------------------------------------------


def twins(in_channels, out_channels, dtype=torch.float64):
    """A fast and a plain layer with the same weights."""
    torch.manual_seed(0)
    layer = UpConvTranspose2d(in_channels, out_channels)
    plain = PlainUpConv(in_channels, out_channels)
    plain.load_state_dict(layer.state_dict())  # strict: the same names and shapes
    return layer.to(dtype), plain.to(dtype)


@settings(max_examples=20)
@given(cases(smallest=1), st.integers(1, 5), st.booleans())
def test_up_conv_computes_what_the_plain_layers_compute(case, out_channels, training):
    shape, layout, grad_layout, seed = case
    layer, plain = twins(shape[1], out_channels)
    layer.train(training), plain.train(training)
    x = images(shape, layout, seed)
    found, expected = step(layer, x, grad_layout), step(plain, x, grad_layout)
    assert found["y"].shape == (shape[0], out_channels, 2 * shape[2], 2 * shape[3])
    assert_same(found, expected, **exact)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_up_conv_in_single_precision_at_real_size(layout):
    layer, plain = twins(8, 4, torch.float32)
    x = images((20, 8, 14, 14), layout, dtype=torch.float32)
    # the weights' gradients sum 15,680 products, hence the tolerance
    assert_same(step(layer, x), step(plain, x), rtol=1e-4, atol=2e-3)


def test_up_conv_gradcheck():
    layer, _ = twins(2, 2)
    x = images((1, 2, 2, 1)).requires_grad_()

    def apply(x, weight):
        return torch.func.functional_call(layer, {"weight": weight}, x)

    assert torch.autograd.gradcheck(apply, (x, layer.weight), fast_mode=True)


def test_up_conv_starts_from_the_plain_layers_weights():
    torch.manual_seed(5)
    layer = UpConvTranspose2d(3, 2)
    torch.manual_seed(5)
    assert torch.equal(layer.weight, PlainUpConv(3, 2).weight)


def test_states_are_exchangeable_both_ways():
    for layer, plain in (
        (UpConvTranspose2d(3, 2), PlainUpConv(3, 2)),
        (NormPool2d(3), nn.BatchNorm2d(3, eps=1e-4, affine=False)),
    ):
        assert layer.load_state_dict(plain.state_dict()).missing_keys == []
        assert plain.load_state_dict(layer.state_dict()).unexpected_keys == []


def test_up_conv_has_one_parameter_and_no_bias():
    layer = UpConvTranspose2d(3, 2)
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    assert layer.bias is None
    assert not layer(torch.zeros(1, 3, 4, 4)).any()


def test_layers_survive_a_copy():
    for layer in (NormPool2d(3).double(), UpConvTranspose2d(3, 2).double()):
        x = images((2, 3, 6, 6))
        assert_same(step(copy.deepcopy(layer), x), step(layer, x), rtol=0, atol=0)


# ------------------------------------------------------------------------------ vectors


def test_settling_measures_the_training_data_and_changes_nothing_else():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(5, 4, bias=False), Norm1d(4), nn.BatchNorm1d(4))
    network.eval()
    before = copy.deepcopy(network.state_dict())
    x = torch.randn(200, 5) * 3 + 1
    settle(network, x)
    y = network[1](network[0](x))
    torch.testing.assert_close(y.mean(0), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(y.var(0), torch.ones(4), atol=1e-3, rtol=0)
    assert not network.training
    assert network[1].momentum == 0.1
    assert torch.equal(network[0].weight, before["0.weight"])
    assert torch.equal(network[2].weight, before["2.weight"])


def test_settling_leaves_other_networks_alone():
    network = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
    settle(network, torch.randn(9, 5))
    assert network[1].num_batches_tracked == 0
