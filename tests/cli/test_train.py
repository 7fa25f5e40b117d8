"""``deepsvdd train``: every file it writes, and every kind of run."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from deepsvdd import DeepSVDD
from deepsvdd.core._engine import threads
from tests.cli import (
    AUTHORS_OPTIONS,
    PNG,
    SHORT,
    config_of,
    fails,
    results_of,
    scores_of,
    succeeds,
    train_words,
)

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")

PICTURES = ("normals", "outliers", "roc", "scores", "training_loss", "pretraining_loss")


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


def test_threads_are_chosen_by_measuring_unless_a_user_has_set_them(
    data, no_pictures, monkeypatch
):
    chosen = []
    monkeypatch.setattr(
        threads.Threads, "choose", lambda self: chosen.append(self.most)
    )
    monkeypatch.setattr(threads, "SHARE", 1e6)  # it is a short one
    words = train_words("out", data, network="mlp")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        succeeds(*words)
        assert chosen == []
        for name in threads.SET_BY_USERS:
            monkeypatch.delenv(name, raising=False)
        succeeds(*words)
        assert chosen == [2, 2]  # for pretraining and training
    finally:
        torch.set_num_threads(before)


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
        ("9" * 30, "0 to 9"),
        ("9" * 5000, "of 5000 characters"),
        ("x" * 100_000, "of 100000 characters"),
    ],
)
def test_impossible_normal_classes(data, given, words):
    message = fails(*train_words("out", data, f"--normal_class={given}"))
    assert "normal_class must" in message
    assert words in message
    assert len(message) < 300
