"""Two processes that torchrun starts, against one with the same batches."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deepsvdd.core._engine import distributed
from deepsvdd.core._engine.model_format import read_model
from tests import PATIENCE, wait_until

pytestmark = pytest.mark.usefixtures("one_thread")

WORK = """
import sys
import numpy as np
from deepsvdd import (
    DeepSAD, DeepSVDD, ImageArray, Phase, Recipe, load_dataset, one_vs_rest
)
from deepsvdd.core._engine.distributed import process_group


def main(source, objective, target):
    x = one_vs_rest(load_dataset("mnist"), 3).x_train[:403]
    if source == "stream":
        x = ImageArray(np.load("x.npy", mmap_mode="r"))
    phase = Phase(lr=1e-4, n_epochs=2, batch_size=100, lr_milestones=(1,))
    recipe = Recipe(phase, phase, warm_up_epochs=1, radius_every=1)
    with process_group():
        common = {"recipe": recipe, "random_state": 2, "n_workers": 1}
        if objective == "deep-sad":
            y, weight = np.zeros(403), np.arange(403) % 5
            y[::7], y[::40] = -1, 1
            DeepSAD(**common).fit(x, y, weight).save(target)
        else:
            DeepSVDD(objective=objective, **common).fit(x).save(target)

if __name__ == "__main__":  # the processes that read images import this file
    main(*sys.argv[1:])
"""


def torchrun(*words, processes=2):
    runner = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node")
    return [sys.executable, *runner, str(processes), *words]


def attempt(command, folder):
    return subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        # Gloo warns of machines that do not know their own name.
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        timeout=PATIENCE,  # a deadlock must not hold the whole suite
    )


def run(command, folder):
    done = attempt(command, folder)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


@pytest.mark.parametrize(
    ("source", "objective"),
    [("memory", "soft-boundary"), ("stream", "one-class"), ("stream", "deep-sad")],
)
def test_two_processes_train_what_one_trains(source, objective, threes, tmp_path):
    (tmp_path / "work.py").write_text(WORK)
    np.save(tmp_path / "x.npy", threes.x_train[:403])
    words = ("work.py", source, objective)
    run([sys.executable, *words, "one.safetensors"], tmp_path)
    run(torchrun(*words, "two.safetensors"), tmp_path)
    expected, one = read_model(tmp_path / "one.safetensors")
    tensors, two = read_model(tmp_path / "two.safetensors")
    for name, value in expected.items():
        difference = (tensors[name] - value).double().norm()
        assert difference <= 1e-4 * value.double().norm(), name
    assert two["threshold"] == pytest.approx(one["threshold"], rel=1e-4)
    (a,), (b,) = one["members"], two["members"]
    assert (a["radius"] > 0) is (objective == "soft-boundary")
    for name in ("radius", "mean_distance"):
        assert b[name] == pytest.approx(a[name], rel=1e-4)
    for phase in ("pretraining", "training"):
        losses = [member["history"][phase]["loss"] for member in (a, b)]
        assert losses[1] == pytest.approx(losses[0], rel=1e-4)


STREAM = """
import numpy as np
import torch
from torch.utils.data import Dataset
from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.core._engine.distributed import process_group

class Noise(Dataset):
    def __init__(self, transform):
        self.transform = transform
    def __len__(self):
        return 60
    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return self.transform(torch.rand(1, 28, 28, generator=generator))

def main():
    phase = Phase(n_epochs=1, batch_size=20)
    with process_group():
        DeepSVDD(recipe=Recipe(phase, phase), n_workers=1).fit(Noise(TRANSFORM))
    print("trained")
"""
GUARDED = STREAM + 'if __name__ == "__main__":\n    main()\n'


def test_a_data_set_of_the_script_is_streamed(tmp_path):
    script = GUARDED.replace("TRANSFORM", "torch.sqrt")
    (tmp_path / "work.py").write_text(script)
    done = run(torchrun("work.py"), tmp_path)
    assert done.stdout.count("trained") == 2
    assert "Warning" not in done.stderr


def test_what_the_reading_processes_cannot_take_is_said(tmp_path):
    script = GUARDED.replace("TRANSFORM", "lambda x: x")
    (tmp_path / "work.py").write_text(script)
    done = attempt(torchrun("work.py"), tmp_path)
    assert done.returncode != 0
    assert "X must be a data set that pickle takes" in done.stderr
    assert "set n_workers=0" in done.stderr


def test_a_script_without_a_guard_is_told_so(tmp_path):
    script = STREAM.replace("TRANSFORM", "torch.sqrt") + "main()\n"
    (tmp_path / "work.py").write_text(script)
    done = attempt(torchrun("work.py"), tmp_path)
    assert done.returncode != 0
    assert "under if __name__ == '__main__'" in done.stderr


WITHOUT_SEED = """
import numpy as np
from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.core._engine.distributed import process_group, rank

x = np.random.default_rng(0).normal(size=(60, 5))
phase = Phase(n_epochs=1, batch_size=20)
with process_group():
    detector = DeepSVDD(recipe=Recipe(phase, phase)).fit(x)
    np.save(f"z{rank()}.npy", detector.represent(x))
"""


def test_without_a_seed_all_processes_train_the_same_network(tmp_path):
    (tmp_path / "work.py").write_text(WITHOUT_SEED)
    run(torchrun("work.py"), tmp_path)
    first, second = (np.load(tmp_path / f"z{rank}.npy") for rank in (0, 1))
    np.testing.assert_allclose(first, second, rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_a_lost_process_ends_the_job_and_the_next_one_resumes(tmp_path):
    words = "train mnist mnist_LeNet runs/a --recipe fast --normal_class 5 --seed 1"
    short = "--n_epochs 1 --ae_n_epochs 6 --checkpoint_every 1"
    command = torchrun("-m", "deepsvdd", *words.split(), *short.split())
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    job = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
    )
    log = tmp_path / "runs/a/log.txt"
    wait_until(lambda: log.exists() and "epoch 2/6" in log.read_text(), job)
    os.kill(process_of_rank(job.pid, 1), signal.SIGKILL)
    _, errors = job.communicate(timeout=PATIENCE)
    assert job.returncode != 0
    assert "SIGKILL" in errors or "lost another one" in errors
    assert not (tmp_path / "runs/a/model.safetensors").exists()

    done = run(command, tmp_path)
    assert "resuming after epoch" in log.read_text()
    assert done.stdout.count("test AUC") == 1  # one process speaks
    assert (tmp_path / "runs/a/model.safetensors").exists()


def process_of_rank(job, rank):
    """Find the process that torchrun has started with a rank, in /proc."""
    for folder in Path("/proc").iterdir():
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            variables = (folder / "environ").read_bytes().split(b"\0")
        except (OSError, ValueError, IndexError):
            continue
        if parent == job and f"RANK={rank}".encode() in variables:
            return int(folder.name)
    raise AssertionError("no such process")


def test_alone_every_function_is_that_of_the_only_process():
    values = torch.arange(5.0)
    assert (distributed.n_processes(), distributed.rank()) == (1, 0)
    assert distributed.share(values) is not None
    assert torch.equal(distributed.share(values), values)
    assert torch.equal(distributed.gathered(values, 5), values)
    assert torch.equal(distributed.total(values), values)
    assert distributed.from_first("it") == "it"
    layer = nn.BatchNorm1d(3)
    with distributed.process_group(), distributed.synchronised_norms(layer):
        assert "forward" not in vars(layer)
