"""The recipes hold the paper's figures, and settings that make no sense are refused."""

import math
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.core.networks import NETWORKS
from deepsvdd.core.recipes import LATER, MEANT_FOR, RECIPES, Phase, Recipe, get_recipe

NAN, INFINITY = float("nan"), float("inf")

# setting, value, what the message says that it may be
REFUSED = [
    ("optimizer_name", "sgd", "('adam', 'amsgrad')"),
    ("optimizer_name", "Adam", "('adam', 'amsgrad')"),
    ("schedule", "cosine", "('step', 'one-cycle')"),
    ("lr", 0.0, "a positive number"),
    ("lr", -1e-3, "a positive number"),
    ("lr", NAN, "a positive number"),
    ("lr", INFINITY, "a positive number"),
    ("n_epochs", -1, "a whole number from 0 on"),
    ("batch_size", 0, "a whole number from 1 on"),
    ("batch_size", -5, "a whole number from 1 on"),
    ("weight_decay", -1e-6, "0 or more"),
    ("weight_decay", NAN, "0 or more"),
    ("weight_decay", INFINITY, "0 or more"),
    ("lr_milestones", (0,), "a tuple of increasing epochs from 1 on"),
    ("lr_milestones", (-3, 5), "a tuple of increasing epochs from 1 on"),
    ("lr_milestones", (5, 5), "a tuple of increasing epochs from 1 on"),
    ("lr_milestones", (5, 9, 7), "a tuple of increasing epochs from 1 on"),
]


@pytest.mark.parametrize(("name", "value", "domain"), REFUSED)
def test_phase_refuses(name, value, domain):
    with pytest.raises(ValueError, match=f"^{name} must be ") as error:
        Phase(**{name: value})
    assert str(error.value) == f"{name} must be {domain}; got {value!r}"


@pytest.mark.parametrize(
    ("name", "value", "domain"),
    [
        ("pretraining", 5, "a Phase"),
        ("training", {"lr": 1e-3}, "a Phase"),
        ("warm_up_epochs", -1, "a whole number from 0 on"),
        ("radius_every", 0, "a whole number from 1 on"),
    ],
)
def test_recipe_refuses(name, value, domain):
    with pytest.raises(ValueError, match=f"^{name} must be ") as error:
        Recipe(**{name: value})
    assert str(error.value) == f"{name} must be {domain}; got {value!r}"


@pytest.mark.parametrize(
    "settings",
    [{"lr": "fast"}, {"n_epochs": None}, {"batch_size": "8"}, {"lr_milestones": 5}],
)
def test_wrong_types_in_a_phase_are_named(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))} must be"):
        Phase(**settings)


def test_a_change_is_validated_too():
    with pytest.raises(ValueError, match="lr must be a positive number; got -1"):
        replace(get_recipe("paper").training, lr=-1)


@given(
    lr=st.floats(1e-10, 1e10),
    n_epochs=st.integers(0, 10**6),
    batch_size=st.integers(1, 10**6),
    weight_decay=st.floats(0, 1e6),
    lr_milestones=st.sets(st.integers(1, 1000)).map(lambda s: tuple(sorted(s))),
    optimizer_name=st.sampled_from(["adam", "amsgrad"]),
    schedule=st.sampled_from(["step", "one-cycle"]),
)
def test_phase_accepts_all_else_and_keeps_it(**settings):
    phase = Phase(**settings)
    assert {name: getattr(phase, name) for name in settings} == settings


def test_settings_are_frozen():
    with pytest.raises(FrozenInstanceError):
        Phase().lr = 1.0
    with pytest.raises(FrozenInstanceError):
        get_recipe("paper").warm_up_epochs = 3


def test_defaults_are_the_seeds():
    assert Phase() == Phase(
        optimizer_name="adam",
        lr=1e-3,
        n_epochs=50,
        lr_milestones=(),
        batch_size=128,
        weight_decay=1e-6,
        schedule="step",
    )
    assert (Recipe().pretraining.n_epochs, Recipe().training.n_epochs) == (100, 50)


@pytest.mark.parametrize("network", NETWORKS)
def test_paper_trains_150_epochs_with_a_drop_at_50(network):
    recipe = get_recipe("paper", network)
    assert recipe.training == Phase(
        optimizer_name="adam",
        lr=1e-4,
        n_epochs=150,
        lr_milestones=(50,),
        batch_size=64 if network in ("gtsrb_LeNet", "deep_LeNet") else 200,
        weight_decay=1e-6,
        schedule="step",
    )
    assert (recipe.warm_up_epochs, recipe.radius_every) == (10, 5)


@pytest.mark.parametrize(
    ("network", "n_epochs", "drop", "weight_decay"),
    [
        ("mnist_LeNet", 150, 50, 0.5e-3),
        ("cifar10_LeNet", 350, 250, 0.5e-6),
        ("cifar10_LeNet_ELU", 350, 250, 0.5e-6),
        ("gtsrb_LeNet", 350, 250, 0.5e-6),
        ("deep_LeNet", 350, 250, 0.5e-6),
    ],
)
def test_paper_pretrains_by_data_set(network, n_epochs, drop, weight_decay):
    assert get_recipe("paper", network).pretraining == Phase(
        optimizer_name="adam",
        lr=1e-4,
        n_epochs=n_epochs,
        lr_milestones=(drop,),
        batch_size=64 if network in ("gtsrb_LeNet", "deep_LeNet") else 200,
        weight_decay=weight_decay,
        schedule="step",
    )


@pytest.mark.parametrize(
    ("network", "pretraining_lr"),
    [("mnist_LeNet", 3e-3), ("cifar10_LeNet", 1e-3), ("cifar10_LeNet_ELU", 1e-3)],
)
def test_fast_recipe_of_images_is_the_measured_one(network, pretraining_lr):
    recipe = get_recipe("fast", network)
    phase = Phase(n_epochs=10, batch_size=200, schedule="one-cycle")
    assert recipe.pretraining == replace(phase, lr=pretraining_lr)
    assert recipe.training == replace(phase, lr=1e-3)


def test_fast_recipe_of_stop_signs_has_the_steps_of_a_digits():
    digits, signs = get_recipe("fast", "mnist_LeNet"), get_recipe("fast", "gtsrb_LeNet")
    for a, b in (
        (digits.pretraining, signs.pretraining),
        (digits.training, signs.training),
    ):
        # about 6,000 images of a digit in MNIST, 780 stop signs in GTSRB
        steps = a.n_epochs * 6000 / a.batch_size, b.n_epochs * 780 / b.batch_size
        assert steps[0] == pytest.approx(steps[1], rel=0.05)
        assert b.batch_size == 64
        assert replace(b, n_epochs=a.n_epochs, batch_size=a.batch_size) == a


def test_fast_recipe_of_large_pictures_takes_small_batches():
    # As many steps from 200 pictures as 20 epochs of batches of 200 take from 2,000.
    phase = Phase(lr=1e-3, n_epochs=20, batch_size=20, schedule="one-cycle")
    recipe = get_recipe("fast", "deep_LeNet")
    assert (recipe.pretraining, recipe.training) == (phase, phase)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_ever_leaves_the_warm_up(name, network):
    recipe = get_recipe(name, network)
    assert recipe.warm_up_epochs < recipe.training.n_epochs


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("name", [n for n in RECIPES if not n.startswith("paper")])
@given(n=st.integers(2, 20_000))
def test_few_samples_get_as_many_steps_as_many(name, network, n):
    meant_for = MEANT_FOR.get(network, MEANT_FOR[""])
    recipe, suits = get_recipe(name, network), get_recipe(name, network, n)
    if n >= meant_for:
        assert suits == recipe
        return
    for phase, own in (
        (recipe.pretraining, suits.pretraining),
        (recipe.training, suits.training),
    ):
        assert own == replace(phase, batch_size=own.batch_size, n_epochs=own.n_epochs)
        assert own.batch_size <= phase.batch_size
        assert own.batch_size <= max(n // 4, 50)
        if phase.n_epochs:
            whole = phase.n_epochs * meant_for / phase.batch_size
            steps = own.n_epochs * math.ceil(n / own.batch_size)
            assert 0.8 * whole <= steps <= 2.6 * whole
    assert 0 <= suits.warm_up_epochs < suits.training.n_epochs
    assert suits.radius_every >= recipe.radius_every


@pytest.mark.parametrize("n", [2, 400, 6000])
def test_the_papers_recipe_counts_epochs_however_few_samples_there_are(n):
    assert get_recipe("paper", "mnist_LeNet", n) == get_recipe("paper", "mnist_LeNet")


@pytest.mark.parametrize("n", [5000, 5421, 6742])
def test_a_class_of_the_papers_data_sets_is_trained_as_ever(n):
    for name in ("fast", "quick"):
        assert get_recipe(name, "cifar10_LeNet", n) == get_recipe(name, "cifar10_LeNet")


def test_variants_are_of_networks_or_methods_that_exist():
    later = {f"{method}{kind}" for method in LATER for kind in ("", " of vectors")}
    for variants in RECIPES.values():
        assert set(variants) - {""} <= {*NETWORKS, *later}


def test_a_network_without_a_variant_gets_the_common_recipe():
    for name in RECIPES:
        assert get_recipe(name, "custom") == get_recipe(name) == RECIPES[name][""]


@pytest.mark.parametrize("name", ["papers", "FAST", "", None])
def test_unknown_recipe(name):
    with pytest.raises(
        ValueError, match="recipe must be one of paper, fast, quick"
    ) as error:
        get_recipe(name)
    assert repr(name) in str(error.value)
