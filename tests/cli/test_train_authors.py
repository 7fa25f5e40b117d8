"""``deepsvdd train`` is the authors' command: theirs run here as they stand."""

import os
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from deepsvdd import DeepSVDD, Phase, get_recipe
from deepsvdd.cli import train
from tests import PATIENCE
from tests.cli import AUTHORS_OPTIONS, PNG, SHORT, config_of, results_of, succeeds

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")

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
        timeout=PATIENCE,
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
