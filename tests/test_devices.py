"""Which device is taken, and the replayed step with a recording that needs no GPU."""

from types import SimpleNamespace

import pytest
import torch

from deepsvdd.devices import resolve_device


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
