"""The command line: the authors' commands, every file, every way to go wrong."""

import csv
import errno
import io
import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch import nn

from deepsvdd import DeepSVDD, Phase, Recipe, get_recipe
from deepsvdd.classifiers import Classifier
from deepsvdd.cli import COMMANDS, main, train
from deepsvdd.persistence import read_model
from deepsvdd.version import __version__

pytestmark = pytest.mark.usefixtures("one_thread")

PNG = b"\x89PNG\r\n\x1a\n"
PICTURES = ("normals", "outliers", "roc", "scores", "training_loss", "pretraining_loss")
SHORT = ("--n_epochs", "1", "--ae_n_epochs", "1")

# The commands of the README of the authors' PyTorch repository, but for their `python
# main.py` and the final semicolon.
README_MNIST = (
    "mnist mnist_LeNet ../log/mnist_test ../data --objective one-class --lr 0.0001 "
    "--n_epochs 150 --lr_milestone 50 --batch_size 200 --weight_decay 0.5e-6 "
    "--pretrain True --ae_lr 0.0001 --ae_n_epochs 150 --ae_lr_milestone 50 "
    "--ae_batch_size 200 --ae_weight_decay 0.5e-3 --normal_class 3"
)
README_CIFAR10 = (
    "cifar10 cifar10_LeNet ../log/cifar10_test ../data --objective one-class "
    "--lr 0.0001 --n_epochs 150 --lr_milestone 50 --batch_size 200 "
    "--weight_decay 0.5e-6 --pretrain True --ae_lr 0.0001 --ae_n_epochs 350 "
    "--ae_lr_milestone 250 --ae_batch_size 200 --ae_weight_decay 0.5e-6 "
    "--normal_class 3"
)
# The options of the authors' main.py and their defaults.
AUTHORS_OPTIONS = {
    "load_config": None,
    "load_model": None,
    "objective": "one-class",
    "nu": 0.1,
    "device": "auto",  # theirs: cuda
    "seed": -1,
    "optimizer_name": "adam",
    "lr": 0.001,
    "n_epochs": 50,
    "lr_milestone": (),
    "batch_size": 128,
    "weight_decay": 1e-6,
    "pretrain": True,
    "ae_optimizer_name": "adam",
    "ae_lr": 0.001,
    "ae_n_epochs": 100,
    "ae_lr_milestone": (),
    "ae_batch_size": 128,
    "ae_weight_decay": 1e-6,
    "n_jobs_dataloader": 0,
    "normal_class": 0,
}
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


def fake(folder, name="fashion_mnist", n_train=80, n_test=40, seed=0):
    """A data set of the real one's shape; a bright square's place tells the class."""
    rng = np.random.default_rng(seed)
    side, channels = (28, ()) if name == "fashion_mnist" else (32, (3,))
    arrays = {}
    for part, n in (("train", n_train), ("test", n_test)):
        x = rng.integers(0, 100, (n, side, side, *channels), dtype=np.uint8)
        y = np.arange(n) % 10
        for image, label in zip(x, y, strict=True):
            row, column = 4 + 12 * (label % 2), 4 * (label // 2)
            image[row : row + 8, column : column + 8] += 150
        arrays |= {f"x_{part}": x, f"y_{part}": y}
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", **arrays)
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A folder with small fashion_mnist.npz and cifar10.npz."""
    folder = tmp_path_factory.mktemp("data")
    fake(folder)
    return fake(folder, "cifar10")


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    """Every test has a working folder, and gives logging back as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPSVDD_DATA", str(tmp_path / "nothing here"))
    log = logging.getLogger("deepsvdd")
    before = log.handlers[:], log.level, log.propagate
    yield
    for handler in log.handlers[:]:
        if handler not in before[0]:
            log.removeHandler(handler)
            with suppress(OSError):  # of a test's full disk
                handler.close()
    log.handlers[:], log.propagate = before[0], before[2]
    log.setLevel(before[1])


@pytest.fixture
def no_pictures(monkeypatch):
    """Leave out what takes longest, where it is not the point."""
    for name in ("draw_extremes", "draw_curves"):
        monkeypatch.setattr(train, name, lambda *_: None)


def invoke(*words, charset="utf-8"):
    words = [str(word) for word in words]
    return CliRunner(charset=charset).invoke(main, words)


def succeeds(*words):
    result = invoke(*words)
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    return result


def fails(*words, code=1):
    """The message of a command that must fail decently."""
    result = invoke(*words)
    if not isinstance(result.exception, SystemExit):
        raise result.exception or AssertionError("no failure: " + result.output)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert any(line.startswith("Error: ") for line in result.stderr.splitlines())
    assert ("Usage:" in result.stderr) == (code == 2)
    return result.stderr


def train_words(folder, data, *more, network="mnist_LeNet", name="fashion_mnist"):
    return ("train", name, network, folder, data, "--seed", 0, *SHORT, *more)


def results_of(folder):
    return json.loads((Path(folder) / "results.json").read_text())


def config_of(folder):
    return json.loads((Path(folder) / "config.json").read_text())


def scores_of(folder):
    return [row[2] for row in results_of(folder)["test_scores"]]


@pytest.fixture
def settings_of(monkeypatch):
    """What settings a command comes to, without carrying it out."""
    seen = []
    monkeypatch.setattr(train, "run", seen.append)

    def get(*words):
        succeeds("train", "mnist", "mnist_LeNet", "out", *words)
        return seen.pop()

    return get


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """The folder of a finished run, pictures and all, for tests that only read it."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    succeeds(*train_words(folder, data, "--normal_class", 3, "--batch_size", 4))
    return folder


# ---------------------------------------------------------------- the authors' commands


@pytest.fixture(scope="module")
def readme_mnist(tmp_path_factory):
    """The README's MNIST command in a process of its own, but for its 300 epochs.

    With a seed: after one epoch, the AUC of drawn ones was 0.58 to 0.87.
    """
    root = tmp_path_factory.mktemp("readme")
    (root / "src").mkdir()
    (root / "log" / "mnist_test").mkdir(parents=True)
    words = ("train", *shlex.split(README_MNIST), *SHORT, "--seed", "1")
    done = subprocess.run(
        [sys.executable, "-m", "deepsvdd", *words],
        cwd=root / "src",
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
    )
    return done, root / "log" / "mnist_test"


def test_the_readmes_mnist_command(readme_mnist):
    done, folder = readme_mnist
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "mnist, normal: 3; 6131 training images" in done.stdout
    assert "1010 normal, 8990 anomalies" in done.stdout
    assert "91.9 ± 1.5" in done.stdout  # the paper's
    assert "untrained network" in done.stdout
    config = config_of(folder)
    assert config["lr"] == 1e-4
    assert config["lr_milestone"] == [50]
    assert config["ae_weight_decay"] == 5e-4
    assert config["n_epochs"] == 1


def test_the_readmes_mnist_results(readme_mnist):
    done, folder = readme_mnist
    results = results_of(folder)
    triples = results["test_scores"]
    assert len(triples) == 10_000
    assert [row[0] for row in triples] == list(range(10_000))
    labels = np.array([row[1] for row in triples])
    assert labels.sum() == 8990
    auc = roc_auc_score(labels, [row[2] for row in triples])
    assert results["test_auc"] == pytest.approx(auc)
    assert auc > 0.6
    assert f"{100 * auc:.1f}" in done.stdout
    assert len(results["untrained_auc"]) == 5


def test_the_readmes_cifar10_command(data, monkeypatch, tmp_path):
    for folder in ("src", "log/cifar10_test"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copytree(data, tmp_path / "data")
    monkeypatch.chdir(tmp_path / "src")
    result = succeeds("train", *shlex.split(README_CIFAR10), *SHORT)
    assert "cifar10, normal: cat; 8 training images" in result.output
    assert "59.1 ± 1.4" in result.output
    folder = tmp_path / "log" / "cifar10_test"
    assert len(results_of(folder)["test_scores"]) == 40
    assert config_of(folder)["ae_lr_milestone"] == [250]
    model = DeepSVDD.load(folder / "model.safetensors")
    assert model.input_shape_ == (3, 32, 32)
    assert (folder / "normals.png").read_bytes().startswith(PNG)


@pytest.mark.parametrize("command", [README_MNIST, README_CIFAR10])
def test_the_readmes_commands_uncut(command, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "run", seen.append)
    succeeds("train", *shlex.split(command))
    recipe = train.recipe_of(seen[0])
    paper = get_recipe("paper", seen[0]["net_name"])
    assert recipe.pretraining == paper.pretraining
    weight_decay = {"weight_decay": 0.5e-6}  # the paper: 1e-6
    assert recipe.training == Phase(**(vars(paper.training) | weight_decay))
    assert (recipe.warm_up_epochs, recipe.radius_every) == (10, 5)


@pytest.mark.parametrize("name", AUTHORS_OPTIONS)
def test_every_option_of_the_authors_has_its_name_and_default(name, settings_of):
    (option,) = (p for p in train.command.params if p.name == name)
    assert f"--{name}" in option.opts
    assert f"--{name.replace('_', '-')}" in option.opts
    expected = AUTHORS_OPTIONS[name]
    value = settings_of()[name]
    if name == "seed":
        assert option.default == -1
        assert value >= 0  # drawn
    elif name == "normal_class":
        assert train.class_list(value) == [expected]
    else:
        assert value == expected


@pytest.mark.parametrize(
    ("words", "name", "value"),
    [
        ("--load_model {model}", "load_model", "{model}"),
        ("--objective soft-boundary", "objective", "soft-boundary"),
        ("--nu 0.01", "nu", 0.01),
        ("--device cpu", "device", "cpu"),
        ("--seed 7", "seed", 7),
        ("--optimizer_name amsgrad", "optimizer_name", "amsgrad"),
        ("--lr 1e-2", "lr", 0.01),
        ("--n_epochs 3", "n_epochs", 3),
        ("--lr_milestone 5 --lr_milestone 9", "lr_milestone", (5, 9)),
        ("--batch_size 7", "batch_size", 7),
        ("--weight_decay 0", "weight_decay", 0.0),
        ("--pretrain False", "pretrain", False),
        ("--pretrain false", "pretrain", False),
        ("--pretrain 0", "pretrain", False),
        ("--pretrain 1", "pretrain", True),
        ("--ae_optimizer_name amsgrad", "ae_optimizer_name", "amsgrad"),
        ("--ae_lr 0.5", "ae_lr", 0.5),
        ("--ae_n_epochs 0", "ae_n_epochs", 0),
        ("--ae_lr_milestone 250", "ae_lr_milestone", (250,)),
        ("--ae_batch_size 1", "ae_batch_size", 1),
        ("--ae_weight_decay 0.5e-3", "ae_weight_decay", 5e-4),
        ("--n_jobs_dataloader 8", "n_jobs_dataloader", 8),
        ("--normal_class 9", "normal_class", "9"),
    ],
)
@pytest.mark.parametrize("dashes", [False, True])
def test_options_with_underscores_or_dashes(
    words, name, value, dashes, settings_of, trained
):
    model = str(trained / "model.safetensors")
    words = [word.format(model=model) for word in words.split()]
    if dashes:
        words = [w.replace("_", "-") if w.startswith("--") else w for w in words]
    value = value.format(model=model) if isinstance(value, str) else value
    assert settings_of(*words)[name] == value


# ---------------------------------------------------------------------- what is written


def test_all_files_are_written_and_whole(trained):
    names = {path.name for path in trained.iterdir()}
    assert names == {
        *("model.safetensors", "results.json", "config.json", "log.txt"),
        *(f"{picture}.png" for picture in PICTURES),
    }
    for picture in PICTURES:
        content = (trained / f"{picture}.png").read_bytes()
        assert content.startswith(PNG)
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert min(image.size) > 100
    log = (trained / "log.txt").read_text(encoding="utf-8")
    assert "normal_class: 3" in log
    assert "pretraining epoch 1/1" in log
    assert "one-class epoch 1/1" in log
    assert "untrained network" in log


def test_results_json(trained, data):
    results = results_of(trained)
    assert set(results) >= {
        *("train_time", "test_auc", "test_time", "test_scores"),
        *("pretrain_time", "average_precision", "fpr_at_95_tpr", "auc_interval"),
        *("threshold", "radius", "collapsed", "untrained_auc", "provenance"),
    }
    model = DeepSVDD.load(trained / "model.safetensors")
    with np.load(data / "fashion_mnist.npz") as arrays:
        expected = model.anomaly_score(arrays["x_test"])
        labels = arrays["y_test"] != 3
    np.testing.assert_array_equal(scores_of(trained), expected)
    assert [row[1] for row in results["test_scores"]] == labels.astype(int).tolist()
    assert results["threshold"] == model.threshold_
    assert set(results["provenance"]) >= {"commit", "versions", "machine", "date"}


def test_config_json_holds_every_setting(trained):
    config = config_of(trained)
    assert set(AUTHORS_OPTIONS) - {"load_config"} <= set(config)
    assert config["seed"] == 0
    assert config["dataset_name"] == "fashion_mnist"
    assert config["net_name"] == "mnist_LeNet"
    assert config["batch_size"] == 4


def test_the_output_names_data_training_and_control(data, tmp_path, no_pictures):
    result = succeeds(*train_words("out", data, "--normal_class", "Ankle boot"))
    assert "normal: Ankle boot; 8 training images" in result.output
    assert "test: 4 normal, 36 anomalies" in result.output
    assert "pretraining     1 epochs" in result.output
    assert "untrained network" in result.output
    assert "paper" not in result.output  # has no Fashion-MNIST
    assert "model.safetensors" in result.output


def test_a_drawn_seed_is_written_down(data, no_pictures):
    words = ("train", "fashion_mnist", "mlp", "out", data, *SHORT)
    succeeds(*words)
    seed = config_of("out")["seed"]
    assert seed >= 0
    succeeds(*words[:3], "again", data, *SHORT, "--seed", seed)
    assert scores_of("again") == scores_of("out")
    succeeds(*words[:3], "other", data, *SHORT)
    assert config_of("other")["seed"] != seed


def test_a_second_run_into_the_same_folder_replaces_the_first(data, no_pictures):
    succeeds(*train_words("out", data, network="mlp"))
    first = scores_of("out")
    succeeds(*train_words("out", data, "--seed", 5, network="mlp"))
    assert config_of("out")["seed"] == 5
    assert scores_of("out") != first
    log = Path("out/log.txt").read_text(encoding="utf-8")
    assert log.count("one-class epoch 1/1") == 1


def test_without_pretraining_to_the_end(data):
    result = succeeds(*train_words("out", data, "--pretrain", "False"))
    assert "pretraining " not in result.output
    assert results_of("out")["pretrain_time"] == 0
    assert Path("out/model.safetensors").exists()
    assert Path("out/training_loss.png").exists()
    assert not Path("out/pretraining_loss.png").exists()


@pytest.mark.parametrize("epochs", [("--n_epochs", 0), ("--ae_n_epochs", 0)])
def test_no_epochs_to_the_end(data, epochs):
    succeeds(*train_words("out", data, *epochs))
    assert results_of("out")["test_auc"] > 0


def test_soft_boundary(data, no_pictures):
    more = ("--objective", "soft-boundary", "--warm_up_epochs", 0, "--nu", 0.25)
    succeeds(*train_words("out", data, *more))
    (radius,) = results_of("out")["radius"]
    assert radius > 0
    model = DeepSVDD.load("out/model.safetensors")
    assert (model.objective, model.nu) == ("soft-boundary", 0.25)
    assert model.members_[0].radius == radius


def test_members(data, no_pictures):
    result = succeeds(*train_words("out", data, "--n_members", 2, network="mlp"))
    assert "2 members" in result.output
    assert len(DeepSVDD.load("out/model.safetensors").members_) == 2
    assert len(results_of("out")["radius"]) == 2


@pytest.mark.parametrize(
    ("network", "name"), [("mlp", "cifar10"), ("cifar10_LeNet_ELU", "cifar10")]
)
def test_other_networks(data, no_pictures, network, name):
    succeeds(*train_words("out", data, network=network, name=name))
    assert DeepSVDD.load("out/model.safetensors").network_ == network


# ------------------------------------------------------------------------ normal class


@pytest.mark.parametrize(
    ("given", "normal"),
    [("3", "Dress"), ("Bag", "Bag"), ("3,5", "Dress and Sandal"), ("5, Dress", "3, 5")],
)
def test_normal_classes(data, no_pictures, given, normal):
    result = succeeds(*train_words("out", data, "--normal_class", given, network="mlp"))
    several = "," in given
    assert f"{16 if several else 8} training images" in result.output
    if normal != "3, 5":
        assert f"normal: {normal};" in result.output
    labels = [row[1] for row in results_of("out")["test_scores"]]
    assert labels.count(0) == (8 if several else 4)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("10", "0 to 9"),
        ("-1", "0 to 9"),
        ("dog", "'Dress'"),
        ("3,dog", "'Dress'"),
        ("", "at least one class"),
        ("0,1,2,3,4,5,6,7,8,9", "all of them"),
        ("3.5", "0 to 9"),
        ("--3", "0 to 9"),
        ("²", "0 to 9"),
    ],
)
def test_impossible_normal_classes(data, given, words):
    message = fails(*train_words("out", data, f"--normal_class={given}"))
    assert "normal_class must" in message
    assert words in message


# ------------------------------------------------------------- config files, precedence


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


# -------------------------------------------------------------------------- load_model


def test_load_model_goes_on_without_pretraining(data, trained, no_pictures):
    model = trained / "model.safetensors"
    words = ("--load_model", model, "--n_epochs", 0, "--normal_class", 3)
    result = succeeds(*train_words("out", data, *words))
    assert f"starting from {model}" in result.output
    assert "pretraining " not in result.output
    assert scores_of("out") == scores_of(trained)
    more = ("--load_model", model, "--normal_class", 3)
    succeeds(*train_words("on", data, *more))
    assert scores_of("on") != scores_of(trained)
    assert config_of("on")["pretrain"] is False


def test_load_model_with_pretraining_asked_for(data, trained, no_pictures):
    words = ("--load_model", trained / "model.safetensors", "--pretrain", "True")
    result = succeeds(*train_words("out", data, *words))
    assert "pretraining     1 epochs" in result.output


def test_load_model_beats_a_configs_pretraining(data, trained, no_pictures):
    model, config = trained / "model.safetensors", trained / "config.json"
    words = ("--load_config", config, "--load_model", model)
    succeeds("train", "fashion_mnist", "mnist_LeNet", "out", data, *words)
    assert config_of("out")["pretrain"] is False


def their_mnist_file(path, radius=0.0):
    """A model.tar as the authors' code writes it."""
    torch.manual_seed(0)
    state = {"conv1.weight": 0.1 * torch.randn(8, 1, 5, 5)}
    state["conv2.weight"] = 0.1 * torch.randn(4, 8, 5, 5)
    for i, width in ((1, 8), (2, 4)):
        norm = nn.BatchNorm2d(width, affine=False)
        state |= {f"bn{i}.{name}": v for name, v in norm.state_dict().items()}
    state["fc1.weight"] = 0.1 * torch.randn(32, 196)
    center = [0.1] * 32
    content = {"R": radius, "c": center, "net_dict": state, "ae_net_dict": {}}
    torch.save(content, path)
    return path


def test_load_model_of_the_authors(data, no_pictures):
    path = their_mnist_file("model.tar")
    words = ("--load_model", path, "--n_epochs", 0, "--normal_class", 3)
    result = succeeds(*train_words("out", data, *words))
    assert "starting from model.tar" in result.output
    with np.load(data / "fashion_mnist.npz") as arrays:
        normal = arrays["x_train"][arrays["y_train"] == 3]
        theirs = DeepSVDD.from_model_tar(path, normal)
        expected = theirs.anomaly_score(arrays["x_test"])
    np.testing.assert_allclose(scores_of("out"), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", ["ours", "authors'"])
@pytest.mark.parametrize(
    ("network", "name"), [("mlp", "fashion_mnist"), ("mnist_LeNet", "cifar10")]
)
def test_load_model_with_another_network_or_shape(data, trained, kind, network, name):
    path = trained / "model.safetensors" if kind == "ours" else "model.tar"
    their_mnist_file("model.tar")
    words = train_words("out", data, "--load_model", path, network=network, name=name)
    message = fails(*words)
    assert network in message
    assert "(3, 32, 32)" in message or "(1, 28, 28)" in message


@pytest.mark.parametrize("name", ["model.safetensors", "model.tar"])
def test_load_model_of_a_broken_file(data, name):
    Path(name).write_bytes(b"not a model")
    assert name in fails(*train_words("out", data, "--load_model", name))


def test_load_model_without_a_file(data):
    message = fails(*train_words("out", data, "--load_model", "nothing"), code=2)
    assert "nothing" in message


# ---------------------------------------------------------------------- usage, refusals


@pytest.mark.parametrize(
    "words",
    [
        "train",
        "train mnist",
        "train mnist mnist_LeNet",
        "train svhn mnist_LeNet out",
        "train mnist resnet out",
        "train mnist mlp out --lr much",
        "train mnist mlp out --objective hard",
        "train mnist mlp out --optimizer_name sgd",
        "train mnist mlp out --schedule cosine",
        "train mnist mlp out --recipe slow",
        "train mnist mlp out --pretrain perhaps",
        "train mnist mlp out --no_such_option 1",
        "train mnist mlp out data more",
        "train mnist mlp out --load_config nothing.json",
        "score",
        "score model",
        "score model nothing",
        "info",
        "nonsense",
        "--nonsense",
    ],
)
def test_usage_errors_exit_with_2(words):
    fails(*words.split(), code=2)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--nu 0", "nu must be a number in (0, 1]; got 0.0"),
        ("--nu 2", "nu must be"),
        ("--nu nan", "nu must be"),
        ("--lr 0", "lr must be a positive number; got 0.0"),
        ("--lr nan", "lr must be"),
        ("--lr inf", "lr must be"),
        ("--n_epochs -1", "n_epochs must be a whole number from 0 on; got -1"),
        ("--batch_size 0", "batch_size must be a whole number from 1 on"),
        ("--weight_decay -1", "weight_decay must be"),
        ("--lr_milestone 5 --lr_milestone 5", "lr_milestone"),
        ("--lr_milestone 0", "lr_milestone"),
        ("--n_members 0", "n_members must be"),
        ("--radius_every 0", "radius_every must be"),
        ("--warm_up_epochs -1", "warm_up_epochs must be"),
        ("--device gpu", "device must be"),
        pytest.param(
            "--device cuda",
            "use 'cpu' or 'auto'",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU"),
        ),
    ],
)
def test_impossible_settings_exit_with_1(data, words, message):
    assert message in fails(*train_words("out", data, *words.split()))
    assert not Path("out/model.safetensors").exists()


@pytest.mark.parametrize(
    "words", ["--lr 0", "--device gpu", "--n_epochs -1", "--nonsense 1"]
)
def test_a_refused_run_leaves_an_earlier_one_alone(data, no_pictures, words):
    refuse_a_second_run(data, words)


@pytest.mark.parametrize(
    "words",
    ["--nu 2", "--n_members 0", "--normal_class 10", "--load_model broken.tar"],
)
def test_a_run_refused_later_leaves_an_earlier_one_alone(data, no_pictures, words):
    """Otherwise config.json tells other settings than those of results.json."""
    Path("broken.tar").write_bytes(b"broken")
    refuse_a_second_run(data, words)


def refuse_a_second_run(data, words):
    succeeds(*train_words("out", data, network="mlp"))
    before = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    result = invoke(*train_words("out", data, *words.split(), network="mlp"))
    assert result.exit_code in (1, 2)
    after = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    assert after == before


@pytest.mark.parametrize("words", ["--ae_lr 0", "--ae_batch_size 0"])
def test_impossible_settings_of_the_pretraining_are_named(data, words):
    assert words.split()[0].strip("-") in fails(*train_words("o", data, *words.split()))


def test_a_wild_learning_rate_is_an_error_with_a_hint(data):
    words = ("--lr", "1e30", "--n_epochs", "3", "--batch_size", "2")
    assert "lower the learning rate" in fails(*train_words("out", data, *words))


def test_a_seed_too_large(data):
    fails(*train_words("out", data, "--seed", 2**70), code=2)


def test_data_that_is_not_there(tmp_path, monkeypatch):
    import socket

    def offline(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", offline)
    message = fails(*train_words("out", tmp_path / "empty", name="cifar10"))
    assert "cifar10.npz" in message
    assert "DEEPSVDD_DATA" in message


def test_data_that_is_broken(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"PK not really")
    assert "cifar10.npz" in fails(*train_words("out", tmp_path, name="cifar10"))


def test_the_result_folder_is_a_file(data):
    Path("out").write_text("")
    fails(*train_words("out", data), code=2)
    message = fails(*train_words("out/deeper", data))
    assert "choose another folder" in message


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_the_result_folder_cannot_be_written(data, monkeypatch, number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.replace", fail)
    message = fails(*train_words("out", data))
    assert "cannot write 'out" in message
    assert "choose" in message


@pytest.mark.parametrize("lost", ["results.json", ".png", "model.safetensors"])
def test_a_full_disk_loses_neither_the_model_nor_the_auc(data, monkeypatch, lost):
    replace = os.replace

    def fail_sometimes(source, target):
        if str(target).endswith(lost):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr("os.replace", fail_sometimes)
    result = invoke(*train_words("out", data))
    assert isinstance(result.exception, SystemExit)
    assert result.exit_code == 1
    assert "test AUC" in result.stdout
    assert "free some space" in result.stderr
    assert lost in result.stderr
    assert "Traceback" not in result.output
    names = os.listdir("out")
    assert not [name for name in names if name.startswith(".tmp") or lost in name]
    for other in {"results.json", "model.safetensors"} - {lost}:
        assert other in names
    assert ("roc.png" in names) == (lost != ".png")
    if lost != "model.safetensors":
        assert DeepSVDD.load("out/model.safetensors").network_ == "mnist_LeNet"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_for_the_log_gives_no_tracebacks(data, no_pictures):
    Path("out").mkdir()
    Path("out/log.txt").symlink_to("/dev/full")
    result = invoke(*train_words("out", data, network="mlp"))
    assert "test AUC" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize("charset", ["latin-1", "cp1252", "cp932"])
def test_a_terminal_without_greek_letters_loses_no_results(data, no_pictures, charset):
    """Python encodes pipes so on Windows, or in a locale without UTF-8."""
    assert invoke("train", "--help", charset=charset).exit_code == 0
    words = train_words("out", data, "--n_members", 2, network="mlp")
    assert invoke(*words, charset=charset).exit_code == 0
    assert results_of("out")["test_auc"]


def test_collapse_is_a_warning_in_one_line(data, no_pictures):
    words = ("--weight_decay", 1000, "--lr", 0.1, "--n_epochs", 60, "--batch_size", 2)
    result = succeeds(*train_words("out", data, *words, network="mlp"))
    if results_of("out")["collapsed"]:
        (line,) = [x for x in result.stderr.splitlines() if "collapse" in x]
        assert line.startswith("warning: hypersphere collapse")
    else:
        assert "collapse" not in result.stderr


# ------------------------------------------------------------------------------- score


def table_of(text):
    rows = list(csv.reader(io.StringIO(text)))
    assert rows[0] == ["sample", "score", "label"]
    return rows[1:]


@pytest.fixture(scope="module")
def grey(trained, data):
    """A model for grey images, its path, and test images for it."""
    path = trained / "model.safetensors"
    with np.load(data / "fashion_mnist.npz") as arrays:
        return DeepSVDD.load(path), path, arrays["x_test"]


@pytest.fixture(scope="module")
def colour(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("colour") / "model.safetensors"
    with np.load(data / "cifar10.npz") as arrays:
        x = arrays["x_test"]
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    model = DeepSVDD(recipe=still, pretrain=False, random_state=0)
    model.fit(x.transpose(0, 3, 1, 2)).save(path)
    return model, path, x


def agrees(result, scores, threshold, names=None):
    rows = table_of(result.stdout)
    assert [row[0] for row in rows] == (names or [str(i) for i in range(len(scores))])
    # Scores of images are float32: alone or in a batch, sums may round differently.
    np.testing.assert_allclose([float(row[1]) for row in rows], scores, rtol=1e-6)
    expected = ["anomaly" if score > threshold else "normal" for score in scores]
    assert [row[2] for row in rows] == expected


@pytest.mark.parametrize("shape", [(40, 28, 28), (40, 1, 28, 28), (40, 28, 28, 1)])
@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_score_arrays(grey, shape, suffix):
    model, path, x = grey
    save = np.save if suffix == ".npy" else np.savez
    save(f"data{suffix}", x.reshape(shape))
    result = succeeds("score", path, f"data{suffix}")
    agrees(result, model.anomaly_score(x), model.threshold_)


def test_score_of_colour_images_in_either_layout(colour):
    model, path, x = colour
    scores = model.anomaly_score(x.transpose(0, 3, 1, 2))
    for layout in (x, x.transpose(0, 3, 1, 2)):
        np.save("data.npy", layout)
        agrees(succeeds("score", path, "data.npy"), scores, model.threshold_)


def test_score_the_data_sets_own_file(grey, data):
    model, path, x = grey
    result = succeeds("score", path, data / "fashion_mnist.npz")
    agrees(result, model.anomaly_score(x), model.threshold_)
    words = ("score", path, data / "fashion_mnist.npz", "--key", "x_train")
    assert len(table_of(succeeds(*words).stdout)) == 80


def test_score_keys(grey):
    model, path, x = grey
    np.savez("one.npz", anything=x)
    agrees(succeeds("score", path, "one.npz"), model.anomaly_score(x), model.threshold_)
    np.savez("two.npz", a=x[:3], b=x[:5])
    message = fails("score", path, "two.npz")
    assert "--key" in message
    assert "'a', 'b'" in message
    assert len(table_of(succeeds("score", path, "two.npz", "--key", "b").stdout)) == 5
    message = fails("score", path, "two.npz", "--key", "c")
    assert "no array 'c'" in message
    assert "'a', 'b'" in message


def test_score_to_a_file_equals_score_to_the_screen(grey, data):
    model, path, x = grey
    np.save("data.npy", x)
    printed = succeeds("score", path, "data.npy").stdout
    result = succeeds("score", path, "data.npy", "-o", "new folder/scores.csv")
    assert Path("new folder/scores.csv").read_text(encoding="utf-8") == printed
    n = (model.predict(x) == -1).sum()
    assert f"40 samples, {n} above the threshold" in result.output


def test_score_with_another_threshold(grey):
    model, path, x = grey
    np.save("data.npy", x)
    scores = model.anomaly_score(x)
    threshold = float(np.median(scores))
    words = ("score", path, "data.npy", "--threshold", repr(threshold))
    agrees(succeeds(*words), scores, threshold)


def test_a_threshold_that_is_no_number(grey):
    _, path, x = grey
    np.save("data.npy", x)
    message = fails("score", path, "data.npy", "--threshold", "nan")
    assert "threshold must be a number; got nan" in message


@pytest.mark.parametrize(
    ("name", "words", "message"),
    [
        ("x.npy", ("--key", "x"), "key must go with .npz files only; got 'x.npy'"),
        ("x.png", ("--key", "x"), "key must go with .npz files only; got 'x.png'"),
        (".", ("--key", "x"), "key must go with .npz files only; got '.'"),
        ("x.npy", ("--resize",), "resize must go with image files only; got 'x.npy'"),
        ("x.npz", ("--resize",), "resize must go with image files only; got 'x.npz'"),
    ],
)
def test_score_refuses_options_of_other_inputs(grey, name, words, message):
    _, path, x = grey
    np.save("x.npy", x)
    np.savez("x.npz", x=x)
    Image.fromarray(x[0]).save("x.png")
    assert message in fails("score", path, name, *words)


def test_scores_of_vectors_in_double_precision():
    x = np.random.default_rng(0).normal(size=(30, 4))
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    model = DeepSVDD(recipe=still, random_state=0).fit(x)
    model.save("m.safetensors")
    np.save("x.npy", x)
    result = succeeds("score", "m.safetensors", "x.npy")
    agrees(result, model.anomaly_score(x), model.threshold_)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save("x.png")
    message = fails("score", "m.safetensors", "x.png")
    assert "vectors" in message
    assert ".npy" in message


def test_score_images(grey):
    model, path, x = grey
    folder = Path("pictures/deep")
    folder.mkdir(parents=True)
    Image.fromarray(x[0]).save("pictures/a.png")
    Image.fromarray(np.stack([x[1]] * 3, axis=-1)).save("pictures/b.BMP")
    Image.fromarray(x[2]).save(folder / "c.tif")
    Path("pictures/notes.txt").write_text("no image")
    names = ["a.png", "b.BMP", str(Path("deep", "c.tif"))]
    scores = model.anomaly_score(x[:3])
    agrees(succeeds("score", path, "pictures"), scores, model.threshold_, names)
    one = succeeds("score", path, "pictures/a.png")
    agrees(one, scores[:1], model.threshold_, ["a.png"])


def test_score_colour_pictures(colour):
    model, path, x = colour
    Image.fromarray(x[0]).save("a.png")
    scores = model.anomaly_score(x[:1].transpose(0, 3, 1, 2))
    agrees(succeeds("score", path, "a.png"), scores, model.threshold_, ["a.png"])


def test_a_broken_image_is_named_and_left_out(grey):
    model, path, x = grey
    Path("pictures").mkdir()
    for i in range(3):
        Image.fromarray(x[i]).save(f"pictures/{i}.png")
    content = Path("pictures/1.png").read_bytes()
    Path("pictures/1.png").write_bytes(content[: len(content) // 2])
    Path("pictures/text.png").write_text("no image")
    Path("pictures/empty.jpg").write_bytes(b"")
    result = succeeds("score", path, "pictures")
    scores = model.anomaly_score(x[[0, 2]])
    agrees(result, scores, model.threshold_, ["0.png", "2.png"])
    for name in ("1.png", "text.png", "empty.jpg"):
        assert name in result.stderr
    assert result.stderr.count("warning: skipped") == 3


def test_sizes_with_and_without_resize(grey):
    model, path, x = grey
    Path("pictures").mkdir()
    Image.fromarray(np.kron(x[0], np.ones((2, 2), np.uint8))).save("pictures/a.png")
    Image.fromarray(x[1][:20]).save("pictures/b.png")
    message = fails("score", path, "pictures")
    assert "56×56" in message
    assert "28×28" in message
    assert "--resize" in message
    rows = table_of(succeeds("score", path, "pictures", "--resize").stdout)
    assert len(rows) == 2
    original = model.anomaly_score(x[:1])
    np.testing.assert_allclose(float(rows[0][1]), original, rtol=0.5)


def test_pictures_of_16_bits(grey):
    model, path, x = grey
    Image.fromarray(x[0].astype(np.uint16) * 257).save("deep.png")
    scores = model.anomaly_score(x[:1])
    agrees(succeeds("score", path, "deep.png"), scores, model.threshold_, ["deep.png"])


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_pixels_without_a_known_white(grey, dtype):
    _, path, x = grey
    Image.fromarray(x[0].astype(dtype)).save("deep.tif")
    message = fails("score", path, "deep.tif")
    assert "'deep.tif' holds floating-point or 32-bit pixels" in message


def test_nothing_to_score(grey):
    _, path, _ = grey
    Path("empty").mkdir()
    assert "no image files (.bmp" in fails("score", path, "empty")
    Path("text.txt").write_text("hello")
    assert "no readable image" in fails("score", path, "text.txt")
    np.save("none.npy", np.zeros((0, 28, 28)))
    fails("score", path, "none.npy")


@pytest.mark.parametrize("shape", [(5, 27, 28), (5, 3, 28, 28), (5, 784), (5,)])
def test_arrays_of_another_shape(grey, shape):
    _, path, _ = grey
    np.save("data.npy", np.ones(shape))
    message = fails("score", path, "data.npy")
    assert "(1, 28, 28)" in message
    assert str(shape) in message


@pytest.mark.parametrize(
    "shape",
    [
        (1, 28, 28),
        pytest.param(
            (28, 28),
        ),
    ],
)
def test_a_single_image_as_an_array(grey, shape):
    model, path, x = grey
    np.save("one.npy", x[0].reshape(shape))
    scores = model.anomaly_score(x[:1])
    agrees(succeeds("score", path, "one.npy"), scores, model.threshold_)


def test_an_array_without_axes(grey):
    _, path, _ = grey
    np.save("number.npy", np.float64(3))
    fails("score", path, "number.npy")


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"hello", b"\x93NUMPY"])
def test_broken_arrays(grey, name, content):
    _, path, _ = grey
    Path(name).write_bytes(content)
    assert name in fails("score", path, name)


def test_pickles_in_arrays_are_not_loaded(grey):
    _, path, _ = grey
    np.save("x.npy", np.array([{}, {}]), allow_pickle=True)
    np.savez("x.npz", np.array([{}, {}]), allow_pickle=True)
    assert "x.npy" in fails("score", path, "x.npy")
    assert "x.npz" in fails("score", path, "x.npz")


def test_a_damaged_compressed_array(grey):
    _, path, x = grey
    np.savez_compressed("x.npz", x_test=x)
    content = bytearray(Path("x.npz").read_bytes())
    content[200:260] = b"\xff" * 60
    Path("x.npz").write_bytes(content)
    assert "x.npz" in fails("score", path, "x.npz")


def test_nan_in_the_data(grey):
    _, path, _ = grey
    np.save("x.npy", np.full((2, 28, 28), np.nan))
    assert "nan" in fails("score", path, "x.npy").lower()


@pytest.mark.parametrize("command", ["score", "info"])
def test_models_that_are_none(command):
    np.save("x.npy", np.zeros((2, 28, 28)))
    Path("broken.safetensors").write_bytes(b"broken")
    Path("folder").mkdir()
    Classifier((1, 28, 28), 2).save("classifier.safetensors")
    more = ("x.npy",) if command == "score" else ()
    names = ("missing.safetensors", "broken.safetensors", "classifier.safetensors")
    for name in (*names, "folder"):
        assert name in fails(command, name, *more)


def test_score_cannot_write(grey):
    _, path, x = grey
    np.save("x.npy", x)
    Path("folder").mkdir()
    message = fails("score", path, "x.npy", "-o", "folder")
    assert "cannot write 'folder'" in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_score_on_a_gpu_that_is_not_there(grey):
    _, path, x = grey
    np.save("x.npy", x)
    assert "use 'cpu'" in fails("score", path, "x.npy", "--device", "cuda")


# -------------------------------------------------------------------------------- info


def test_info(trained):
    path = trained / "model.safetensors"
    output = succeeds("info", path).stdout
    lines = {line.split()[0]: line for line in output.splitlines()}
    weights = 8 * 25 + 4 * 8 * 25 + 196 * 32
    assert f"mnist_LeNet, {weights:,} weights" in lines["network"]
    assert "(1, 28, 28), gcn_l1" in lines["input"]
    assert "one-class" in lines["objective"]
    assert "n_epochs 1" in lines["training"]
    assert "n_epochs 1" in lines["pretraining"]
    assert lines["seed"].endswith(" 0")
    assert f"deepsvdd {__version__}" in lines["versions"]
    threshold = DeepSVDD.load(path).threshold_
    assert f"{threshold:.6g}" in lines["threshold"]


def test_info_as_json_is_all_metadata(trained):
    path = trained / "model.safetensors"
    printed = json.loads(succeeds("info", path, "--json").stdout)
    assert printed == read_model(path)[1]
    assert printed["members"][0]["history"]["training"]["loss"]


def test_info_without_pretraining():
    x = np.random.default_rng(0).normal(size=(30, 4))
    still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
    DeepSVDD(recipe=still, pretrain=False, n_members=2).fit(x).save("m")
    lines = succeeds("info", "m").stdout.splitlines()
    assert "pretraining  none" in lines
    assert "members      2" in lines
    assert "seed         None" in lines


# ------------------------------------------------------------------------------- signs

FEW = ("--n_train", 8, "--n_test", 4, "--n_other_train", 1, "--n_other_test", 1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with drawn signs, and what the command said."""
    folder = tmp_path_factory.mktemp("drawn") / "some where"
    return folder, succeeds("signs", folder, *FEW, "--seed", 3).stdout


def test_signs_says_what_it_drew(drawn):
    folder, output = drawn
    assert output == (
        f"{folder / 'gtsrb'}: 19 training and 15 test signs of 12 types, drawn, not "
        "GTSRB\n"
    )
    assert json.loads((folder / "gtsrb" / "drawn.json").read_text())["seed"] == 3


def test_signs_are_not_drawn_over_others(drawn):
    folder, _ = drawn
    message = fails("signs", folder, *FEW)
    assert f"'{folder / 'gtsrb'}' exists; name another folder or delete it" in message


@pytest.mark.parametrize("words", [("--n_train", 0), ("--seed", -1), ("--n_test", "x")])
def test_signs_refuses(words):
    assert words[0] in fails("signs", "folder", *words, code=2)
    assert not Path("folder").exists()


def test_drawn_signs_are_called_so_in_all_that_train_writes(drawn, no_pictures):
    folder, _ = drawn
    words = train_words(
        "out", folder, "--normal_class", "stop", network="gtsrb_LeNet", name="gtsrb"
    )
    output = succeeds(*words).stdout
    expected = "drawn signs, normal: stop; 8 training images; test: 4 normal, 11 anom"
    assert expected in output
    assert expected in Path("out/log.txt").read_text()
    assert "paper" not in output
    results = results_of("out")
    assert results["dataset"] == "drawn signs"
    assert len(results["test_scores"]) == 15
    assert config_of("out")["dataset_name"] == "gtsrb"
    # no contrast normalisation: the paper has none for signs
    info = succeeds("info", "out/model.safetensors").stdout
    assert "(3, 32, 32), minmax" in info


def test_the_papers_stop_signs_stood_against_other_anomalies(drawn, no_pictures):
    """Its AUCs are of adversarial signs: not to be laid beside those of other types."""
    folder, _ = drawn
    shutil.copytree(folder / "gtsrb", "real/gtsrb")
    for class_id in range(43):  # all of GTSRB's classes, none of them marked as drawn
        images = Path(f"real/gtsrb/GTSRB/Training/{class_id:05d}")
        if not images.exists():
            shutil.copytree("real/gtsrb/GTSRB/Training/00014", images)
            (images / "GT-00014.csv").rename(images / f"GT-{class_id:05d}.csv")
    Path("real/gtsrb/drawn.json").unlink()
    words = train_words(
        "out", "real", "--normal_class", 14, network="gtsrb_LeNet", name="gtsrb"
    )
    output = succeeds(*words).stdout
    assert "gtsrb, normal: stop; " in output
    assert results_of("out")["dataset"] == "gtsrb"
    assert "paper" not in output


@pytest.mark.parametrize("recipe", ["paper", "fast", "quick"])
def test_recipes_of_signs_have_small_batches(drawn, recipe, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "run", seen.append)
    succeeds("train", "gtsrb", "gtsrb_LeNet", "out", "--recipe", recipe)
    assert seen[0]["batch_size"] == seen[0]["ae_batch_size"] == 64
    if recipe == "paper":
        assert seen[0]["ae_lr_milestone"] == (250,)


# -------------------------------------------------------------- help, versions, imports


def test_help_lists_the_commands():
    for flag in ("--help", "-h"):
        output = succeeds(flag).stdout
        for command in COMMANDS:
            assert f"\n  {command} " in output
        assert "deepsvdd train mnist" in output


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_examples_in_the_help_keep_their_lines(command):
    lines = succeeds(*command.split(), "--help").stdout.splitlines()
    examples = [line for line in lines if line.strip().startswith("deepsvdd ")]
    assert len(examples) >= 2
    assert not any("\\b" in line for line in lines)
    for line in examples:
        words = shlex.split(line.split("|")[0])
        assert len(words) >= 3
        assert words[1] in COMMANDS


def test_help_names_every_option_with_its_default():
    output = succeeds("train", "--help").stdout
    for name in AUTHORS_OPTIONS:
        assert f"--{name}" in output
    assert "default: 100" in " ".join(output.split())


@pytest.mark.parametrize("example", ["train", "score", "info", "signs"])
def test_every_option_in_the_helps_examples_exists(example):
    command = main.get_command(click.Context(main), example)
    lines = [
        line.split("|")[0].split("deepsvdd ", 1)[1]
        for line in command.help.splitlines()
        if line.strip().startswith("deepsvdd ")
    ]
    assert len(lines) >= 2
    for line in lines:
        name, *words = shlex.split(line)
        command = main.get_command(click.Context(main), name)
        options = {opt for p in command.params for opt in p.opts}
        assert {w for w in words if w.startswith("-")} <= options


def run_python(*words):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=100
    )


def test_version_of_the_module_and_of_the_command():
    done = run_python("-m", "deepsvdd", "--version")
    assert done.returncode == 0
    assert __version__ in done.stdout
    script = shutil.which("deepsvdd", path=str(Path(sys.executable).parent))
    if script:
        done = subprocess.run([script, "--version"], capture_output=True, text=True)
        assert __version__ in done.stdout


def test_exit_codes_of_a_real_process():
    done = run_python("-m", "deepsvdd", "info", "missing")
    assert done.returncode == 1
    assert done.stderr == "Error: no model file at 'missing'\n"
    done = run_python("-m", "deepsvdd", "nonsense")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "code", ["import deepsvdd; dir(deepsvdd)", "import deepsvdd.cli"]
)
def test_importing_loads_nothing_large(code):
    heavy = ("torch", "sklearn", "torchvision", "matplotlib", "scipy", "pandas")
    code += f"; import sys; print([m for m in {heavy} if m in sys.modules])"
    done = run_python("-c", code)
    assert done.stdout == "[]\n", done.stderr


def test_star_import():
    done = run_python("-c", "from deepsvdd import *; print(DeepSVDD.__name__)")
    assert done.stdout == "DeepSVDD\n", done.stderr
