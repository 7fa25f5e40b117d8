"""``deepsvdd train`` after a kill: it goes on, or refuses and destroys nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deepsvdd.core._engine.checkpoints import Checkpoint
from tests import ROOT
from tests.cli import config_of, fails, invoke, results_of, scores_of, succeeds

pytestmark = pytest.mark.usefixtures("one_thread", "_clean", "no_pictures")

WORDS = ("--n_epochs", 2, "--ae_n_epochs", 2, "--checkpoint_every", 1)


class Killed(BaseException):
    pass


def command(data, *more, folder="out", network="mlp"):
    return ("train", "fashion_mnist", network, folder, data, *WORDS, *more)


def kept(folder="out"):
    """The files that a refused run must not touch."""
    names = ("config.json", "log.txt")
    files = [Path(folder, n) for n in names] + sorted(Path(folder).glob("*/*.pt"))
    return {path: path.read_bytes() for path in files if path.exists()}


@pytest.fixture
def interrupted(data, monkeypatch):
    """The seed that a run has drawn which was killed after three epochs of four."""
    done, save = [], Checkpoint.save

    def save_and_die(self, state):
        save(self, state)
        done.append(1)
        if len(done) == 3:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "save", save_and_die)
        with pytest.raises(Killed):
            invoke(*command(data))
    assert len(list(Path("out/checkpoints").iterdir())) == 2
    return config_of("out")["seed"]


def resumed(*words):
    succeeds(*words)
    log = Path("out/log.txt").read_text("utf-8")
    assert log.count("one-class epoch 1/2") == 1  # the log goes on as well
    assert "one-class: resuming after epoch 1" in log
    assert not Path("out/checkpoints").exists()


def test_the_same_command_goes_on_with_the_seed_that_was_drawn(data, interrupted):
    resumed(*command(data))
    assert config_of("out")["seed"] == interrupted
    succeeds(*command(data, "--seed", interrupted, folder="left alone"))
    assert scores_of("out") == scores_of("left alone")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "--seed 5",
            "seed must be {seed}, as in the run that was interrupted in 'out'",
        ),
        ("--nu 0.2", "nu must be 0.1, as in the run"),
        ("--normal_class 4", "normal_class must be '0', as in"),
        ("--ae_lr_milestone 1", "ae_lr_milestone must be [], as in"),
        ("--checkpoint_every 0", "checkpoint_every must be 1 or more to go on"),
    ],
)
def test_other_settings_are_refused_and_the_advice_works(
    data, interrupted, words, message
):
    before = kept()
    error = fails(*command(data, *words.split()))
    assert message.format(seed=interrupted) in error
    assert "delete 'out/checkpoints' to start afresh" in error
    assert kept() == before
    if "--load_config" in error:
        resumed(*command(data)[:4], "--load_config", "out/config.json")
    else:
        resumed(*command(data))
    assert config_of("out")["seed"] == interrupted


def test_other_data_are_refused_and_the_command_before_still_goes_on(
    data, interrupted, tmp_path
):
    from tests.cli.conftest import fake

    before = kept()
    other = fake(tmp_path / "other", seed=1)
    message = fails(*command(other))
    assert "is a checkpoint of other settings, data or versions" in message
    after = kept()
    for path, content in before.items():
        assert after[path].startswith(content)  # the log says more
    assert config_of("out")["data_path"] == str(data)
    resumed(*command(data)[:4], "--load_config", "out/config.json")


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[1]", b"[" * 100_000, b"{}", b'{"seed": "a"}',
                b'{"seed": -1}', b'{"seed": 1.5}', b'{"seed": null}', b"\xff"],
    ids=lambda content: str(content)[:20],
)  # fmt: skip
def test_a_config_that_does_not_tell_the_seed_is_a_sentence(data, interrupted, content):
    path = Path("out/config.json")
    path.unlink() if content is None else path.write_bytes(content)
    message = fails(*command(data))
    assert "seed must be given, as 'out/config.json' does not tell" in message
    assert "or delete 'out/checkpoints' to start afresh" in message
    (name,) = {path.name.split("-")[1] for path in Path("out/checkpoints").iterdir()}
    resumed(*command(data, "--seed", name))  # what the message says
    assert config_of("out")["seed"] == interrupted


def test_starting_afresh_as_the_messages_say(data, interrupted):
    for path in Path("out/checkpoints").iterdir():
        path.unlink()
    succeeds(*command(data, "--seed", 5))
    assert config_of("out")["seed"] == 5
    assert "resuming" not in Path("out/log.txt").read_text("utf-8")


def test_a_flipped_bit_is_refused(data, interrupted):
    before = kept()
    path = Path(f"out/checkpoints/seed-{interrupted}-training.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    message = fails(*command(data))
    assert f"'{path}' is no checkpoint, or a damaged one" in message
    assert kept()[Path("out/config.json")] == before[Path("out/config.json")]
    path.unlink()
    succeeds(*command(data))
    assert results_of("out")["test_auc"] > 0


@pytest.mark.skipif(os.name == "nt", reason="Windows: left alone")
def test_what_a_kill_leaves_in_the_folder_is_removed(data):
    Path("out").mkdir()
    code = (
        "import os, signal; from deepsvdd.files import atomic_write\n"
        "with atomic_write('out/config.json') as temporary:\n"
        "    temporary.touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], env=environment)
    (left,) = Path("out").iterdir()
    succeeds(*command(data, "--seed", 0))
    assert not left.exists()
