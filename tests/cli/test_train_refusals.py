"""``deepsvdd train`` refuses what cannot be, and fails without losing what is there."""

import errno
import json
import os
import tempfile
from pathlib import Path

import pytest
import torch

from deepsvdd import DeepSVDD
from tests.cli import fails, invoke, succeeds, train_words

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


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
        ("--n_epochs 99999999999999999999", "n_epochs must be at most 1,000,000,000"),
        ("--n_members 1000000", "n_members must be at most 1,000"),
        ("--lr_milestone 9999999999", "lr_milestone must be at most"),
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
    [
        *("--nu 2", "--n_members 0", "--normal_class 10", "--load_model broken.tar"),
        *("--first_layer dictionary", "--recipe fast-dictionary"),  # for vectors
    ],
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


@pytest.mark.parametrize(
    "name", ["model.safetensors", "results.json", "config.json", "log.txt"]
)
def test_a_folder_in_the_place_of_a_result_is_found_before_the_training(
    data, monkeypatch, name
):
    monkeypatch.setattr(DeepSVDD, "fit", None)  # is not called
    Path("out", name).mkdir(parents=True)
    message = fails(*train_words("out", data))
    assert f"cannot write 'out/{name}': " in message
    assert "choose another file name" in message


@pytest.mark.parametrize("name", ["model.safetensors", "results.json"])
def test_what_the_full_disk_does_not_take_is_rescued(
    data, tmp_path, monkeypatch, no_pictures, name
):
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(spare))
    replace = os.replace

    def fail_in_the_run(source, target):
        if str(target).endswith(f"out/{name}"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        replace(source, target)

    monkeypatch.setattr("os.replace", fail_in_the_run)
    words = train_words("out", data, "--checkpoint_every", 1, network="mlp")
    message = fails(*words)
    (rescued,) = spare.glob(f"deepsvdd-*/{name}")
    assert "no space left on the device; free some space or choose" in message
    assert f"it was written to '{rescued}' instead" in message
    if name == "model.safetensors":
        assert DeepSVDD.load(rescued).network_ == "mlp"
        monkeypatch.setattr("os.replace", replace)
        succeeds(*words)  # and the checkpoints have stayed
        assert "resuming after epoch 1" in Path("out/log.txt").read_text("utf-8")
    else:
        assert json.loads(rescued.read_text())["test_auc"] > 0


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
