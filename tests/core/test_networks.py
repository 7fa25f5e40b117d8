"""Networks are the paper's, written in the textbook's order."""

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepsvdd import build_autoencoder
from deepsvdd.core.networks import LENETS, NETWORKS, crop, default_network
from tests.toys import batch, build

ACTIVATIONS = {
    "mnist_LeNet": lambda x: F.leaky_relu(x, 0.01),
    "cifar10_LeNet": lambda x: F.leaky_relu(x, 0.01),
    "cifar10_LeNet_ELU": lambda x: F.elu(x, 1.0),
    "gtsrb_LeNet": lambda x: F.leaky_relu(x, 0.01),
    "deep_LeNet": lambda x: F.leaky_relu(x, 0.01),
    "cifar10_ResNet": lambda x: F.leaky_relu(x, 0.01),
}
LIMITS = {
    "mnist_LeNet": (4, 32),
    "cifar10_LeNet": (8, 64),
    "gtsrb_LeNet": (4, 32),
    "deep_LeNet": (32, 256),
    "cifar10_ResNet": (8, 64),
}


def weights(module):
    return sum(p.numel() for p in module.parameters())


# Sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "encoder", "decoder"),
    [
        # 25·1·8 + 25·8·4 + 4·7·7·32; 25·2·4 + 25·4·8 + 25·8·1
        ("mnist_LeNet", 200 + 800 + 6272, 200 + 800 + 200),
        # 25·3·32 + 25·32·64 + 25·64·128 + 128·4·4·128;
        # 25·8·128 + 25·128·64 + 25·64·32 + 25·32·3
        (
            "cifar10_LeNet",
            2400 + 51200 + 204800 + 262144,
            25600 + 204800 + 51200 + 2400,
        ),
        (
            "cifar10_LeNet_ELU",
            2400 + 51200 + 204800 + 262144,
            25600 + 204800 + 51200 + 2400,
        ),
        # 25·3·16 + 25·16·32 + 32·8·8·64 + 64·32;
        # 32·64 + 25·4·32 + 25·32·16 + 25·16·3
        (
            "gtsrb_LeNet",
            1200 + 12800 + 131072 + 2048,
            2048 + 3200 + 12800 + 1200,
        ),
        # at 72×40: 25·3·16 + 25·16·32 + 25·32·64 + 25·64·128 + 128·4·2·128;
        # 25·8·128 + 25·128·64 + 25·64·32 + 25·32·16 + 25·16·3
        (
            "deep_LeNet",
            1200 + 12800 + 51200 + 204800 + 131072,
            25600 + 204800 + 51200 + 12800 + 1200,
        ),
        # 9·3·32 + 9·32·64 + 2·9·64·64 + 9·64·128 + 9·128·256 + 2·9·256·256 + 256·128;
        # 25·8·256 + 25·256·128 + 25·128·64 + 25·64·3
        (
            "cifar10_ResNet",
            864 + 18432 + 73728 + 73728 + 294912 + 1179648 + 32768,
            51200 + 819200 + 204800 + 4800,
        ),
        # 30·128 + 128·64 + 64·32; the same backwards, and the biases
        ("mlp", 3840 + 8192 + 2048, 2048 + 64 + 8192 + 128 + 3840 + 30),
        # 30·128 + 128·128 + 128·128; the same backwards, and the biases
        ("mlp_BN", 3840 + 2 * 16384, 2 * (16384 + 128) + 3840 + 30),
    ],
)
def test_parameter_counts(name, encoder, decoder):
    network = build(name)
    assert weights(network.encoder) == encoder
    assert weights(network.decoder) == decoder


def test_mnist_network_has_7272_weights():
    assert weights(build("mnist_LeNet").encoder) == 7272


@pytest.mark.parametrize(
    ("name", "d"),
    [
        ("mnist_LeNet", 32),
        ("cifar10_LeNet", 128),
        ("cifar10_LeNet_ELU", 128),
        ("gtsrb_LeNet", 32),
        ("deep_LeNet", 128),
        ("cifar10_ResNet", 128),
        ("mlp", 32),
        ("mlp_BN", 128),
    ],
)
@pytest.mark.parametrize("training", [True, False])
def test_shapes(name, d, training):
    network, x = build(name).train(training), batch(name)
    assert network.encoder(x).shape == (4, d)
    assert network(x).shape == x.shape


@pytest.mark.parametrize("name", LIMITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_autoencoder_takes_every_square_size(name, channels):
    smallest, largest = LIMITS[name]
    sides = range(smallest, largest + 1)
    if largest > 64:  # those around each change of depth, and some between
        sides = [s for s in sides if s % 16 == 8 or min(s % 64, -s % 64) <= 1]
    wrong = []
    for side in sides:
        x = torch.empty((2, channels, side, side), device="meta")  # shapes only
        with torch.device("meta"):
            network = build_autoencoder(name, x.shape[1:]).to("meta").eval()
        if network(x).shape != x.shape:
            wrong.append((side, tuple(network(x).shape)))
    assert wrong == []


@pytest.mark.parametrize("name", LIMITS)
@settings(max_examples=100)
@given(data=st.data())
def test_autoencoder_takes_oblong_images(name, data):
    sides = st.integers(*LIMITS[name])
    h, w = data.draw(sides), data.draw(sides)
    x = torch.empty((2, 1, h, w), device="meta")
    with torch.device("meta"):
        network = build_autoencoder(name, x.shape[1:]).to("meta").eval()
    assert network(x).shape == x.shape


def test_mlp_flattens_images_and_restores_them():
    network = build_autoencoder("mlp", (1, 5, 4))
    x = torch.rand(3, 1, 5, 4)
    assert network.encoder(x).shape == (3, 32)
    assert network(x).shape == x.shape


# The depth that follows the size -----------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("side", "widths", "map_side"),
    [
        (32, (64, 128), 8),
        (64, (32, 64, 128), 8),
        (65, (16, 32, 64, 128), 4),
        (96, (16, 32, 64, 128), 6),
        (128, (16, 32, 64, 128), 8),
        (200, (8, 16, 32, 64, 128), 6),
        (256, (8, 16, 32, 64, 128), 8),
    ],
)
def test_depth_follows_the_size(side, widths, map_side, channels):
    network = build_autoencoder("deep_LeNet", (channels, side, side))
    encoder, decoder = network.encoder, network.decoder
    assert tuple(conv.out_channels for conv in encoder.convs) == widths
    assert encoder.head.in_features == 128 * map_side**2
    mirrored = tuple(deconv.out_channels for deconv in decoder.deconvs)
    assert mirrored == (*reversed(widths), channels)
    assert weights(encoder) < 1.4e6
    x = torch.rand(2, channels, side, side)
    with torch.no_grad():
        assert network.eval().encoder(x).shape == (2, 128)
        assert network(x).shape == x.shape


def test_depth_follows_the_longer_side():
    encoder = build_autoencoder("deep_LeNet", (3, 40, 200)).encoder
    assert len(encoder.convs) == 5
    assert encoder.head.in_features == 128 * 1 * 6


def test_at_64_pixels_it_is_the_papers_network():
    torch.manual_seed(0)
    ours = build_autoencoder("deep_LeNet", (3, 64, 64)).state_dict()
    torch.manual_seed(0)
    theirs = build_autoencoder("cifar10_LeNet", (3, 64, 64)).state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("side", [65, 128, 256])
def test_deep_networks_have_no_bias(side):
    encoder = build_autoencoder("deep_LeNet", (3, side, side)).encoder.eval()
    with torch.no_grad():
        for p in encoder.parameters():
            p.zero_()
        assert not encoder(torch.rand(2, 3, side, side)).any()


@pytest.mark.parametrize(
    ("name", "shape", "instead"),
    [
        ("cifar10_LeNet", (3, 128, 96), "use 'deep_LeNet', 'mlp' or"),
        ("mnist_LeNet", (1, 33, 33), "use 'cifar10_LeNet', 'mlp' or"),
        ("deep_LeNet", (3, 31, 31), "use 'cifar10_LeNet', 'mlp' or"),
        ("deep_LeNet", (3, 257, 257), "use 'mlp' or"),
        ("cifar10_LeNet", (3, 300, 100), "use 'mlp' or"),
        ("mnist_LeNet", (30,), "use 'mlp' or"),
    ],
)
def test_another_network_is_named_only_if_it_takes_the_images(name, shape, instead):
    with pytest.raises(ValueError, match=f"resize them, or {instead} an encoder"):
        build_autoencoder(name, shape)


# -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lenet", "MNIST_LeNet", "", None])
def test_unknown_network(name):
    with pytest.raises(ValueError, match="network must be one of") as error:
        build_autoencoder(name, (1, 28, 28))
    for word in (*NETWORKS, repr(name)):
        assert word in str(error.value)


@pytest.mark.parametrize("name", LIMITS)
def test_images_of_impossible_size(name):
    smallest, largest = LIMITS[name]
    ok = largest
    for shape in [
        (1, smallest - 1, ok),
        (1, ok, smallest - 1),
        (1, largest + 1, ok),
        (1, ok, largest + 1),
        (28,),
        (28, 28),
        (1, 3, 28, 28),
    ]:
        with pytest.raises(ValueError, match=f"sides of {smallest} to {largest}") as e:
            build_autoencoder(name, shape)
        assert repr(name) in str(e.value)
        assert str(shape) in str(e.value)


@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ((7,), "mlp_BN"),
        ((1, 28, 28), "mnist_LeNet"),
        ((1, 32, 32), "mnist_LeNet"),
        ((1, 33, 20), "cifar10_LeNet"),
        ((1, 20, 33), "cifar10_LeNet"),
        ((3, 32, 32), "cifar10_LeNet"),
        ((3, 8, 8), "cifar10_LeNet"),
        ((3, 64, 64), "cifar10_LeNet"),
        ((1, 65, 65), "deep_LeNet"),
        ((3, 65, 40), "deep_LeNet"),
        ((3, 40, 256), "deep_LeNet"),
        ((3, 256, 256), "deep_LeNet"),
    ],
)
def test_default_network_can_take_the_shape(shape, name):
    assert default_network(shape) == name
    build_autoencoder(name, shape)


# Against the textbook ----------------------------------------------------------------


def batch_norm(x, norm, training):
    """Batch norm by its formula's function, leaving the layer's statistics alone."""
    mean, var = norm.running_mean.clone(), norm.running_var.clone()
    return F.batch_norm(x, mean, var, training=training, eps=1e-4)


def textbook_encoder(name, encoder, x, training):
    """Convolution, norm, activation, pooling; then the linear head."""
    activation = ACTIVATIONS[name]
    if name == "cifar10_ResNet":
        return textbook_resnet(encoder, x, training)
    for conv, norm in zip(encoder.convs, encoder.norms, strict=True):
        x = F.conv2d(x, conv.weight, padding=2)
        x = F.max_pool2d(activation(batch_norm(x, norm, training)), 2)
    x = x.flatten(1)
    if name == "gtsrb_LeNet":
        x = activation(x @ encoder.dense[0].weight.T)
    return x @ encoder.head.weight.T


def textbook_resnet(encoder, x, training):
    """Stem; convolution, norm, activation, pooling; blocks in the first and last."""

    def layer(x, conv, norm):
        y = F.conv2d(x, conv.weight, padding=1)
        return F.leaky_relu(batch_norm(y, norm, training), 0.01)

    x = layer(x, encoder.stem, encoder.stem_norm)
    for stage, (conv, norm) in enumerate(
        zip(encoder.convs, encoder.norms, strict=True)
    ):
        x = F.max_pool2d(layer(x, conv, norm), 2)
        if stage != 1:
            block = encoder.blocks[stage]
            y = layer(x, block.convs[0], block.norms[0])
            x = x + layer(y, block.convs[1], block.norms[1])
    return F.max_pool2d(x, 4).flatten(1) @ encoder.head.weight.T


def textbook_decoder(name, decoder, z, training):
    """Norm, activation, up-sampling, transposed convolution."""
    activation = ACTIVATIONS[name]
    if name == "mnist_LeNet":  # 4 → 8, → 16 less 2, → 28
        x, up, paddings = z.view(-1, 2, 4, 4), (True, True, True), (2, 3, 2)
    elif name == "deep_LeNet":  # the width is cropped twice: 32 − 12, 40 − 20
        z = batch_norm(z, decoder.code_norm, training)
        x, up, paddings = z.view(-1, 8, 4, 4), (True,) * 5, (2, 2, (2, 8), (16, 12), 2)
    elif name == "gtsrb_LeNet":  # 64 values; 4 → 8 → 16 → 32
        z = z @ decoder.dense.weight.T
        x, up, paddings = z.view(-1, 4, 4, 4), (True, True, True), (2, 2, 2)
    else:  # 4, → 8, → 16, → 32
        z = batch_norm(z, decoder.code_norm, training)
        x, up, paddings = z.view(-1, 8, 4, 4), (False, True, True, True), (2, 2, 2, 2)
    stages = zip(decoder.deconvs, up, paddings, strict=True)
    for stage, (deconv, doubles, padding) in enumerate(stages):
        x = activation(x)
        if doubles:
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        x = F.conv_transpose2d(x, deconv.weight, padding=padding)
        if stage < len(decoder.deconvs) - 1:
            x = batch_norm(x, decoder.norms[stage], training)
    return torch.sigmoid(x)


def gradients(module, output):
    """Gradients of a fixed random projection of the output, by parameter."""
    generator = torch.Generator().manual_seed(7)
    direction = torch.randn(output.shape, generator=generator, dtype=output.dtype)
    module.zero_grad()
    output.backward(direction)
    return {name: p.grad.clone() for name, p in module.named_parameters()}


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", LENETS)
def test_encoder_and_autoencoder_are_the_textbooks(name, training):
    network = build(name)
    network(batch(name, seed=1))  # gives the running statistics some values
    network.train(training)
    plain = copy.deepcopy(network)  # the layers' statistics move in training
    x = batch(name, n=3, seed=2)

    z = network.encoder(x)
    expected = textbook_encoder(name, plain.encoder, x, training)
    torch.testing.assert_close(z, expected, rtol=1e-9, atol=1e-9)

    y = network.decoder(z)
    expected = textbook_decoder(name, plain.decoder, expected, training)
    torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)
    assert gradients(network, y).keys() == gradients(plain, expected).keys()
    for key, value in gradients(plain, textbook(name, plain, x, training)).items():
        found = gradients(network, network(x))[key]
        torch.testing.assert_close(found, value, rtol=1e-7, atol=1e-9, msg=key)


def textbook(name, network, x, training):
    z = textbook_encoder(name, network.encoder, x, training)
    return textbook_decoder(name, network.decoder, z, training)


def test_reconstructions_are_between_0_and_1():
    network = build("mnist_LeNet")
    y = network(100 * batch("mnist_LeNet"))
    assert 0 <= y.min() < y.max() <= 1


@given(
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
    st.tuples(st.integers(1, 9), st.integers(1, 9)),
)
def test_crop_takes_the_central_part(image, size):
    x = torch.arange(81.0).view(1, 1, 9, 9)[..., : image[0], : image[1]]
    expected = x.numpy()
    for axis in (2, 3):
        excess = max(image[axis - 2] - size[axis - 2], 0)
        cut = slice(excess // 2, image[axis - 2] - (excess - excess // 2))
        expected = expected[:, :, cut] if axis == 2 else expected[..., cut]
    assert crop(x, size).tolist() == expected.tolist()


@pytest.mark.parametrize("name", NETWORKS)
def test_encoder_is_the_autoencoders_own(name):
    network, x = build(name).eval(), batch(name)
    assert torch.equal(network(x), network.decoder(network.encoder(x)))
    with torch.no_grad():
        for p in network.encoder.parameters():
            p.zero_()
    assert not network.encoder(x).any()
    prefixes = {key.split(".")[0] for key in network.state_dict()}
    assert prefixes == {"encoder", "decoder"}  # no second copy


def test_same_seed_same_weights():
    for name in NETWORKS:
        first, second, third = build(name, 3), build(name, 3), build(name, 4)
        for key, value in first.state_dict().items():
            assert torch.equal(value, second.state_dict()[key])
        assert any(
            not torch.equal(value, third.state_dict()[key])
            for key, value in first.state_dict().items()
        )


@pytest.mark.parametrize(
    ("name", "gain"),
    [("cifar10_LeNet", (2 / (1 + 0.01**2)) ** 0.5), ("cifar10_LeNet_ELU", 1.0)],
)
def test_cifar_convolutions_start_with_xaviers_range(name, gain):
    network = build(name)
    for conv in (*network.encoder.convs, *network.decoder.deconvs):
        fan_in_and_out = 25 * (conv.in_channels + conv.out_channels)
        bound = gain * (6 / fan_in_and_out) ** 0.5
        largest = conv.weight.abs().max().item()
        assert 0.99 * bound < largest <= bound * (1 + 1e-6)


# What the propositions forbid --------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_encoders_have_no_bias(name):
    encoder = build(name).encoder
    for module in encoder.modules():
        assert getattr(module, "bias", None) is None
        assert not getattr(module, "affine", False)
    # whatever a bias may be called: without one, all-zero weights give zero
    with torch.no_grad():
        for p in encoder.parameters():
            p.zero_()
    assert not encoder.eval()(batch(name)).any()


@pytest.mark.parametrize("name", NETWORKS)
def test_heads_are_linear(name):
    encoder, x = build(name).encoder.eval(), batch(name)
    head = encoder.head if name in LENETS else encoder[-1]
    assert type(head) is nn.Linear
    z = encoder(x)
    with torch.no_grad():
        head.weight.mul_(-1000.0)
    torch.testing.assert_close(encoder(x), -1000.0 * z)
