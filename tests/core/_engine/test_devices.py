"""Which device is taken, and the replayed step with a recording that needs no GPU."""

from types import SimpleNamespace

import pytest
import torch

from deepsvdd.core._engine.devices import autocast, resolve_device, tensor_cores
from deepsvdd.core._engine.replay import ReplayedStep
from deepsvdd.core.loop import Run, optimise
from deepsvdd.core.recipes import Phase
from tests.toys import toy


def test_cpu_is_always_there():
    assert resolve_device("cpu") == torch.device("cpu")
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("available", [True, False])
def test_auto_takes_a_gpu_where_there_is_one(available, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto").type == ("cuda" if available else "cpu")


@pytest.mark.parametrize("name", ["gpu", "CPU", "cuda:x", "cuda:-1", ""])
def test_unknown_device(name):
    with pytest.raises(ValueError, match="device must be 'auto', 'cpu'") as error:
        resolve_device(name)
    assert repr(name) in str(error.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without a GPU")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:1"])
def test_cuda_without_a_gpu(name):
    with pytest.raises(ValueError, match=r"torch finds 0 CUDA GPU") as error:
        resolve_device(name)
    assert repr(name) in str(error.value)
    assert "use 'cpu' or 'auto'" in str(error.value)


def test_second_of_one_gpu(monkeypatch):
    fake = SimpleNamespace(count=1)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: fake.count)
    assert resolve_device("cuda:0") == torch.device("cuda:0")
    with pytest.raises(ValueError, match=r"torch finds 1 CUDA GPU"):
        resolve_device("cuda:1")


def test_meta_is_no_device_to_train_on():
    with pytest.raises(ValueError, match="device must be"):
        resolve_device("meta")


@pytest.mark.parametrize("precision", ["fp32", "bfloat16", "", None])
def test_unknown_precision(precision):
    with pytest.raises(ValueError, match=r"precision must be one of .*'bf16'") as error:
        autocast(torch.square, torch.device("cpu"), precision)
    assert repr(precision) in str(error.value)


# The replayed step --------------------------------------------------------------------


class Recorder:
    """Stands in for a CUDA graph: keeps the work, which a replay does again."""

    def __init__(self):
        self.n_recordings, self.n_replays = 0, 0

    def __call__(self, work):
        self.n_recordings += 1

        def replay():
            self.n_replays += 1
            work()

        return replay


def test_a_step_is_recorded_once_and_then_replayed_on_new_batches():
    seen, recorder = [], Recorder()
    step = ReplayedStep(lambda batch: seen.append(batch.sum().item()), recorder)
    for value in range(8):
        step(torch.full((2, 3), float(value)))
        if value % 3 == 2:
            step(torch.full((1, 3), 100.0))  # the last batch of an epoch is smaller
    assert seen == [0, 6, 12, 300, 18, 24, 30, 300, 36, 42]
    assert (recorder.n_recordings, recorder.n_replays) == (1, 5)


def test_what_belongs_to_a_batch_is_replayed_with_it():
    seen, recorder = [], Recorder()

    def work(batch, label):
        seen.append((batch.sum().item(), label.tolist()))

    step = ReplayedStep(work, recorder)
    for value in range(6):
        step(torch.full((2, 3), float(value)), torch.tensor([value, -value]))
    assert seen == [(6 * value, [value, -value]) for value in range(6)]
    assert recorder.n_replays == 3


def test_what_cannot_be_recorded_is_trained_as_usual(caplog):
    def refuse(work):
        raise RuntimeError("operation not permitted when stream is capturing")

    seen = []
    step = ReplayedStep(lambda batch: seen.append(batch.item()), refuse)
    for value in range(6):
        step(torch.tensor(float(value)))
    assert seen == [0, 1, 2, 3, 4, 5]
    assert caplog.text.count("no CUDA graph of this network") == 1


def test_training_by_replays_is_training(monkeypatch):
    phase = Phase(lr=0.01, n_epochs=3, batch_size=5, schedule="one-cycle")
    expected, loss_function, x = toy()
    (history,) = optimise(expected, loss_function, x, phase)
    recorder, step_of = Recorder(), Run.step
    monkeypatch.setattr(
        Run, "step", lambda run, loss: ReplayedStep(step_of(run, loss), recorder)
    )
    module, loss_function, x = toy()
    (replayed,) = optimise(module, loss_function, x, phase)
    assert recorder.n_replays > 5
    assert torch.equal(module.weight, expected.weight)
    assert replayed["loss"] == history["loss"]


def test_precisions_of_a_gpu_are_set_and_put_back():
    cuda = torch.device("cuda")  # only flags are touched: no GPU is needed
    backends = (torch.backends.cuda.matmul, torch.backends.cudnn)
    before = [backend.allow_tf32 for backend in backends]
    with tensor_cores(cuda, True):
        assert all(backend.allow_tf32 for backend in backends)
        with tensor_cores(cuda, False):
            assert not any(backend.allow_tf32 for backend in backends)
        assert all(backend.allow_tf32 for backend in backends)
    assert [backend.allow_tf32 for backend in backends] == before
