"""A killed run, repeated, ends in the very bits of one that was left alone."""

import errno
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd import DeepSVDD, ModelFileError, Phase, Recipe
from deepsvdd.core._engine.checkpoints import Checkpoint
from deepsvdd.core._engine.model_format import read_model
from tests import ROOT

RECIPE = Recipe(
    pretraining=Phase(n_epochs=4, batch_size=100, schedule="one-cycle"),
    training=Phase(n_epochs=4, batch_size=100, lr_milestones=(2,)),
    warm_up_epochs=1,
    radius_every=1,
)


class Killed(Exception):
    pass


def soft(**parameters):
    settings = {"recipe": RECIPE, "objective": "soft-boundary", "random_state": 0}
    return DeepSVDD(**(settings | parameters))


@pytest.mark.parametrize("saves", [1, 3, 4, 6])
def test_an_interrupted_fit_goes_on_to_the_same_bits(
    threes, tmp_path, monkeypatch, saves
):
    x = threes.x_train[:300]
    expected = soft().fit(x)
    done, save = [], Checkpoint.save

    def save_and_die(self, state):
        save(self, state)
        done.append(1)
        if len(done) == saves:
            raise Killed

    detector = soft(checkpoint_dir=tmp_path, checkpoint_every=1)
    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            detector.fit(x)
    resumed = soft(checkpoint_dir=tmp_path, checkpoint_every=1).fit(x)
    np.testing.assert_array_equal(resumed.anomaly_score(x), expected.anomaly_score(x))
    for phase in ("pretraining", "training"):
        losses = [d.members_[0].history[phase]["loss"] for d in (resumed, expected)]
        assert losses[0] == losses[1]


def test_checkpoints_without_a_seed_are_refused(threes, tmp_path):
    with pytest.raises(ValueError, match="checkpoint_dir needs random_state to be a"):
        soft(checkpoint_dir=tmp_path, random_state=None).fit(threes.x_train[:100])


def test_a_checkpoint_of_another_architecture_is_refused(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 5))

    def fit(activation):
        torch.manual_seed(0)
        layers = nn.Linear(5, 8, bias=False), activation, nn.Linear(8, 4, bias=False)
        network = nn.Sequential(*layers)
        return soft(network=network, pretrain=False, checkpoint_dir=tmp_path).fit(x)

    fit(nn.LeakyReLU())
    with pytest.raises(ModelFileError):
        fit(nn.ReLU())


def test_a_checkpoint_of_other_data_or_settings_is_refused(threes, tmp_path):
    folder = {"checkpoint_dir": tmp_path, "checkpoint_every": 1}
    soft(**folder).fit(threes.x_train[:300])
    with pytest.raises(ModelFileError, match="other settings, data or versions"):
        soft(**folder).fit(threes.x_train[1:301])
    with pytest.raises(ModelFileError, match="other settings, data or versions"):
        soft(nu=0.2, **folder).fit(threes.x_train[:300])


def test_a_damaged_checkpoint_is_refused(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.pt", every=1, fingerprint="x")
    assert checkpoint.load() is None
    checkpoint.save({"a": torch.ones(3)})
    assert torch.equal(checkpoint.load()["a"], torch.ones(3))
    content = checkpoint.path.read_bytes()
    for damaged in (content[: len(content) // 2], content[:20], content + b"\0", b""):
        checkpoint.path.write_bytes(damaged)
        with pytest.raises(ModelFileError, match="damaged one"):
            checkpoint.load()


def test_no_flipped_bit_of_a_checkpoint_loads_another_state(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c.pt", every=1, fingerprint="x")
    checkpoint.save({"weights": torch.arange(20.0), "epoch": 3})
    content = checkpoint.path.read_bytes()
    for place in {*range(100), *range(0, len(content), 7), len(content) - 1}:
        flipped = bytearray(content)
        flipped[place] ^= 1 << place % 8
        checkpoint.path.write_bytes(flipped)
        with pytest.raises(ModelFileError, match="damaged one"):
            checkpoint.load()


def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoint = Checkpoint(tmp_path / "c.pt", every=1, fingerprint="x")
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", fail)
        with pytest.raises(OSError, match="no space left") as caught:
            checkpoint.save({"epoch": 1})
        assert "checkpoint stays" not in str(caught.value)
    checkpoint.save({"epoch": 1})
    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match=r"no space left .*the last checkpoint stays"):
        checkpoint.save({"epoch": 2})
    assert checkpoint.load() == {"epoch": 1}


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_what_a_kill_leaves_is_removed_at_the_next_start(tmp_path):
    code = (
        "import os, signal, sys; from deepsvdd.files import atomic_write\n"
        "with atomic_write(sys.argv[1]) as temporary:\n"
        "    temporary.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    checkpoint = Checkpoint(tmp_path / "c.pt", every=1, fingerprint="x")
    subprocess.run([sys.executable, "-c", code, checkpoint.path], cwd=ROOT)
    (left,) = os.listdir(tmp_path)
    assert left.startswith(".tmp-")
    assert checkpoint.load() is None
    assert os.listdir(tmp_path) == []


DYING = """
import os, signal
from deepsvdd.cli import main
from deepsvdd.core._engine.checkpoints import Checkpoint
done, save = [], Checkpoint.save
def save_two(*arguments):
    if len(done) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    done.append(save(*arguments))
Checkpoint.save = save_two
main()
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_command_that_was_killed_resumes(tmp_path):
    words = "--recipe fast --normal_class 5 --n_epochs 1 --ae_n_epochs 3 --seed 1"

    def train(folder, *program):
        command = [sys.executable, *program, "train", "mnist", "mnist_LeNet"]
        command += [folder, *words.split(), "--checkpoint_every", "1"]
        done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.DEVNULL)
        return done.returncode

    log = tmp_path / "killed/log.txt"
    assert train("killed", "-c", DYING) == -signal.SIGKILL
    assert not (tmp_path / "killed/model.safetensors").exists()

    assert train("killed", "-m", "deepsvdd") == 0
    assert "resuming after epoch 2" in log.read_text()
    assert train("left alone", "-m", "deepsvdd") == 0
    resumed, _ = read_model(tmp_path / "killed/model.safetensors")
    expected, _ = read_model(tmp_path / "left alone/model.safetensors")
    assert all(torch.equal(resumed[name], expected[name]) for name in expected)
    assert not (tmp_path / "killed/checkpoints").exists()


def test_bf16_trains_to_nearly_the_same(threes):
    x = threes.x_train[:300]
    losses = [
        soft(precision=precision).fit(x).members_[0].history["pretraining"]["loss"]
        for precision in ("float32", "bf16")
    ]
    assert losses[1] == pytest.approx(losses[0], rel=0.05)
    assert losses[1] != losses[0]
