"""The first layer's start as a dictionary of patches."""

import numpy as np
import pytest
import torch

from deepsvdd import DeepSVDD, ImageArray, Phase, Recipe, build_autoencoder, get_recipe
from deepsvdd.core._engine.dictionaries import begin_with_dictionary, learn_dictionary
from deepsvdd.core._engine.feeds import InMemory
from deepsvdd.core.recipes import RECIPES
from deepsvdd.reproduction.runs import run_on
from deepsvdd.reproduction.tasks import Settings, Task, find_recipe

pytestmark = pytest.mark.usefixtures("one_thread")


def stripes(n, side=12, seed=0):
    """Images of vertical stripes, of random phase: every patch is one of few."""
    phases = np.random.default_rng(seed).integers(4, size=n)
    columns = (np.arange(side)[None, :] + phases[:, None]) // 2 % 2
    images = np.repeat(columns[:, None, :], side, axis=1)[:, None]
    return torch.tensor(images, dtype=torch.float32)


def test_atoms_look_like_the_patches():
    atoms = learn_dictionary(stripes(60), 4, (5, 5), seed=0)
    assert atoms.shape == (4, 1, 5, 5)
    torch.testing.assert_close(atoms.flatten(1).norm(dim=1), torch.ones(4).double())
    # All rows of a striped patch are the same row, so nearly all of an atom is too.
    rows = atoms.mean(dim=2, keepdim=True)
    assert (atoms - rows).norm() < 0.2 * atoms.norm()


def test_of_colours_a_filter_sees_each_channel_as_it_is():
    grey = stripes(60)
    images = torch.cat([grey, 1 - grey, grey], dim=1)
    atoms = learn_dictionary(images, 4, (5, 5), seed=0)
    torch.testing.assert_close(atoms[:, 0], atoms[:, 2], atol=0.02, rtol=0)
    torch.testing.assert_close(atoms[:, 0], -atoms[:, 1], atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        ("mnist_LeNet", (1, 28, 28)),
        ("cifar10_LeNet", (3, 32, 32)),
        ("deep_LeNet", (3, 66, 40)),
    ],
)
def test_only_the_first_filters_change_and_a_seed_decides_how(network, shape):
    rng = torch.Generator().manual_seed(0)
    feed = InMemory(torch.rand((40, *shape), generator=rng))
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(0)
        encoder = build_autoencoder(network, shape).encoder
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        state = torch.get_rng_state()
        begin_with_dictionary(encoder, feed, seed)
        assert torch.equal(torch.get_rng_state(), state)
        after = encoder.state_dict()
        changed = [name for name in after if not torch.equal(before[name], after[name])]
        assert changed == ["convs.0.weight"]
        states.append(after["convs.0.weight"].clone())
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_constant_images_leave_numbers():
    atoms = learn_dictionary(torch.ones(10, 1, 8, 8), 8, (5, 5), seed=0)
    assert atoms.isfinite().all()


def test_seeds_beyond_scikit_learns_begin_again():
    expected = learn_dictionary(stripes(10), 4, (5, 5), seed=3)
    assert torch.equal(learn_dictionary(stripes(10), 4, (5, 5), 2**32 + 3), expected)


def test_a_network_without_a_convolution_is_refused():
    X = np.random.default_rng(0).normal(size=(50, 6))
    with pytest.raises(ValueError, match="first_layer must be 'random' for a network"):
        DeepSVDD(recipe="fast-dictionary").fit(X)


def test_every_recipe_has_a_twin_with_a_dictionary():
    for name in ("paper", "fast", "quick"):
        for network in ("mnist_LeNet", "cifar10_LeNet", "gtsrb_LeNet", "deep_LeNet"):
            twin = get_recipe(f"{name}-dictionary", network)
            assert twin.first_layer == "dictionary"
            plain = get_recipe(name, network)
            assert plain.first_layer == "random"
            assert (twin.pretraining, twin.training) == (
                plain.pretraining,
                plain.training,
            )
    assert len(RECIPES) == 6
    with pytest.raises(ValueError, match="first_layer must be"):
        Recipe(first_layer="ones")


def test_images_that_are_streamed_give_the_same_start(threes, tmp_path):
    path = tmp_path / "threes.npy"
    np.save(path, threes.x_train[:60])
    nothing = Phase(n_epochs=0)
    recipe = Recipe(nothing, nothing, first_layer="dictionary")
    first = [
        DeepSVDD(recipe=recipe, pretrain=False, random_state=0, n_workers=0)
        .fit(images)
        .members_[0]
        .encoder.convs[0]
        .weight
        for images in (threes.x_train[:60], ImageArray(np.load(path, mmap_mode="r")))
    ]
    torch.testing.assert_close(*first)


def test_the_estimator_and_the_sweep_begin_alike(threes):
    few = type(threes)(
        threes.x_train[:300], threes.x_test[:200], threes.y_test[:200], (3,)
    )
    task = Task(
        "mnist", 3, ("one-class",), "fast-dictionary:0+1", (5,), Settings(device="cpu")
    )
    ((line, scores),) = run_on(task, few)
    recipe = find_recipe("fast-dictionary:0+1", "mnist_LeNet")
    detector = DeepSVDD(recipe=recipe, random_state=5, device="cpu").fit(few.x_train)
    own = np.sqrt(detector.anomaly_score(few.x_test))
    np.testing.assert_allclose(
        scores * detector.members_[0].mean_distance, own, rtol=1e-3
    )
    assert line["recipe"] == "fast-dictionary:0+1"
