"""Where settings come from: options, recipes, config files, the authors' too."""

import json
from pathlib import Path

import pytest

from deepsvdd import Recipe, get_recipe
from deepsvdd.cli import train
from tests.cli import (
    AUTHORS_OPTIONS,
    config_of,
    fails,
    invoke,
    scores_of,
    succeeds,
    train_words,
)

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")

# What a config.json of the authors' code looks like.
AUTHORS_CONFIG = AUTHORS_OPTIONS | {
    "dataset_name": "fashion_mnist",
    "net_name": "mnist_LeNet",
    "xp_path": "../log/mnist_test",
    "data_path": "../data",
    "device": "cpu",
    "lr": 0.0001,
    "n_epochs": 2,
    "lr_milestone": [1],
    "batch_size": 20,
    "ae_n_epochs": 1,
    "ae_weight_decay": 0.0005,
    "normal_class": 3,
}


def write_config(content, name="config.json"):
    text = content if isinstance(content, str) else json.dumps(content)
    Path(name).write_text(text)
    return name


def test_precedence_option_recipe_config_default(settings_of):
    config = write_config({"lr": 0.5, "nu": 0.3, "batch_size": 7})
    default = settings_of()
    assert (default["lr"], default["nu"], default["batch_size"]) == (0.001, 0.1, 128)

    loaded = settings_of("--load_config", config)
    assert (loaded["lr"], loaded["nu"], loaded["batch_size"]) == (0.5, 0.3, 7)
    assert loaded["ae_lr"] == 0.001

    fast = get_recipe("fast", "mnist_LeNet")
    both = settings_of("--load_config", config, "--recipe", "fast")
    assert both["lr"] == fast.training.lr
    assert both["batch_size"] == fast.training.batch_size
    assert both["nu"] == 0.3  # no recipe sets it
    assert train.recipe_of(both) == fast

    words = ("--load_config", config, "--recipe", "fast", "--lr", 0.25, "--nu", 0.1)
    all_three = settings_of(*words)
    assert all_three["lr"] == 0.25
    assert all_three["nu"] == 0.1  # given, though it equals the default
    assert all_three["batch_size"] == fast.training.batch_size


@pytest.mark.parametrize("name", ["fast", "paper"])
@pytest.mark.parametrize("network", ["mnist_LeNet", "cifar10_LeNet", "mlp"])
def test_recipes(name, network, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "run", seen.append)
    succeeds("train", "mnist", network, "out", "--recipe", name)
    assert train.recipe_of(seen[0]) == get_recipe(name, network)


def test_without_recipe_the_defaults_are_the_authors(settings_of):
    assert train.recipe_of(settings_of()) == Recipe()


def test_load_config_restores_everything_to_the_bit(data, no_pictures):
    words = (
        *("--normal_class", "5", "--objective", "soft-boundary", "--nu", 0.2),
        *("--lr", 0.01, "--lr_milestone", 1, "--lr_milestone", 2, "--batch_size", 3),
        *("--optimizer_name", "amsgrad", "--ae_schedule", "one-cycle"),
        *("--n_members", 2, "--warm_up_epochs", 1, "--radius_every", 2),
        *("--weight_decay", 1e-3, "--device", "cpu"),
    )
    succeeds(*train_words("a", data, *words))
    config = "a/config.json"
    succeeds("train", "fashion_mnist", "mnist_LeNet", "b", "--load_config", config)
    first, second = config_of("a"), config_of("b")
    assert first.pop("xp_path") != second.pop("xp_path")
    assert first == second
    assert scores_of("a") == scores_of("b")
    more = ("--load_config", config, "--seed", 1)
    succeeds("train", "fashion_mnist", "mnist_LeNet", "c", *more)
    assert scores_of("a") != scores_of("c")


def test_load_config_of_a_run_with_a_recipe(data, no_pictures):
    words = ("--recipe", "fast", "--n_epochs", 2, "--ae_n_epochs", 1, "--seed", 3)
    succeeds("train", "fashion_mnist", "mlp", "a", data, *words)
    succeeds("train", "fashion_mnist", "mlp", "b", "--load_config", "a/config.json")
    assert scores_of("a") == scores_of("b")


def test_a_config_of_the_authors(data, no_pictures):
    config = write_config(AUTHORS_CONFIG)
    words = ("fashion_mnist", "mnist_LeNet", "out", data, "--load_config", config)
    result = succeeds("train", *words)
    assert "normal: Dress" in result.output
    ours = config_of("out")
    assert (ours["lr"], ours["n_epochs"], ours["batch_size"]) == (0.0001, 2, 20)
    assert (ours["lr_milestone"], ours["ae_weight_decay"]) == ([1], 0.0005)
    assert (ours["xp_path"], ours["data_path"]) == ("out", str(data))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not JSON"),
        ("", "not JSON"),
        ("[1, 2]", "object"),
        ("3", "object"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 100_000, "nested too deeply"),
        ({"learning_rate": 1}, "learning_rate"),
        ({"objective": 3, "nope": 1}, "nope"),
    ],
)
def test_a_config_that_is_none(content, words):
    config = write_config(content)
    message = fails("train", "mnist", "mlp", "out", "--load_config", config)
    assert words in message
    assert "config.json" in message


@pytest.mark.parametrize("name", ["objective", "nu", "n_members"])
def test_a_null_in_a_config_is_named(data, name):
    config = write_config({name: None, "n_epochs": 1, "ae_n_epochs": 1})
    words = ("fashion_mnist", "mlp", "out", data, "--load_config", config)
    assert f"--{name}" in fails("train", *words, code=2)


def test_a_config_of_bytes():
    Path("config.json").write_bytes(b"\xff\xfe\x00")
    assert "not JSON" in fails(
        "train", "mnist", "mlp", "out", "--load_config", "config.json"
    )


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_config_in_the_encodings_of_windows(settings_of, encoding):
    Path("config.json").write_text('{"nu": 0.3}', encoding)
    assert settings_of("--load_config", "config.json")["nu"] == 0.3


def nested(depth):
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    "content",
    [
        {"lr": nested(100)},
        {"lr": {"a": {"b": [1] * 10_000}}},
        {"nu": [{}]},
        {"lr_milestone": [nested(50)]},
        {"lr_milestone": {"a": 1}},
        {"normal_class": "3" * 5000},
        {"normal_class": 10**4000},
        {"normal_class": ["3" * 5000]},
        {"device": "x" * 100_000},
        {"objective": "x" * 100_000},
        {"n_epochs": 10**20},
        {"n_epochs": 10**4000},
        {"lr_milestone": [10**20]},
        {"n_members": 10**9},
        {"checkpoint_every": 10**30},
        {"seed": 10**30},
        {"x" * 100_000: 1},
    ],
    ids=lambda content: str(content)[:30],
)
def test_nested_and_huge_values_in_a_config_are_a_short_sentence(data, content):
    config = write_config(content)
    words = ("fashion_mnist", "mlp", "out", data, "--load_config", config)
    result = invoke("train", *words)
    assert isinstance(result.exception, SystemExit), result.exception
    (line,) = [x for x in result.stderr.splitlines() if x.startswith("Error: ")]
    assert len(line) < 300
    assert next(iter(content))[:3] in line
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "content",
    [
        {"lr": "fast"},
        {"n_epochs": "many"},
        {"objective": "hard"},
        {"optimizer_name": "sgd"},
        {"pretrain": "perhaps"},
        {"seed": "x"},
        {"lr_milestone": 50},
        {"load_model": "no such file"},
    ],
    ids=lambda content: next(iter(content)),
)
def test_a_wrong_value_in_a_config_is_named(content):
    config = write_config(content)
    message = fails("train", "mnist", "mlp", "out", "--load_config", config, code=2)
    assert (
        next(iter(content)) in message or str(next(iter(content.values()))) in message
    )


@pytest.mark.parametrize(
    "content",
    [
        {"pretrain": 3},
        {"pretrain": []},
        {"lr": [0.1]},
        {"lr": {}},
        {"lr": None},
        {"n_epochs": None},
        {"n_epochs": 1.5},
        {"batch_size": True},
    ],
    ids=str,
)
def test_a_wrong_type_in_a_config_is_named(content, data, no_pictures):
    """A shortened, but real run: a wrong value must not come through either."""
    config = write_config({"n_epochs": 1, "ae_n_epochs": 1} | content)
    words = ("fashion_mnist", "mlp", "out", data, "--load_config", config)
    result = invoke("train", *words)
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code in (1, 2)
    assert next(iter(content)) in result.stderr
    assert "must" in result.stderr or "Invalid value" in result.stderr
