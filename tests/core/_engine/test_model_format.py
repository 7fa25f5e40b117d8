"""Model files: what is written is read, and no damage goes unnoticed."""

import errno
import os
import pickle
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from deepsvdd import DeepSVDD, ModelFileError
from deepsvdd.adversarial.classifier import Classifier
from deepsvdd.core._engine.model_format import read_model, write_model
from deepsvdd.core.model_tar import read_model_tar
from tests.toys import Evil, header_of, make_images, short

pytestmark = pytest.mark.usefixtures("one_thread")


# ------------------------------------------------------------------------------ damage


def damaged(tmp_path, content):
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    return path


def refused(path):
    """The one error that damage may give, in one line, with the file's name."""
    with pytest.raises(ModelFileError) as raised:
        read_model(path)
    message = str(raised.value)
    assert path.name in message
    assert "\n" not in message
    return message


@pytest.mark.parametrize("share", [0.001, 0.01, 0.3, 0.6, 0.9, 0.999])
def test_truncated(model, tmp_path, share):
    _, content, _ = model
    message = refused(damaged(tmp_path, content[: int(share * len(content))]))
    assert "truncated" in message


@pytest.mark.parametrize("lost", [1, 2, 4, 8])
def test_the_last_bytes_are_missing(model, tmp_path, lost):
    _, content, _ = model
    refused(damaged(tmp_path, content[:-lost]))


@pytest.mark.parametrize("more", [b"\0", b"extra", b"\0" * 4096])
def test_something_is_appended(model, tmp_path, more):
    _, content, _ = model
    refused(damaged(tmp_path, content + more))


def is_padding(content, position):
    """Safetensors fills its header up with spaces; JSON has no meaning for them."""
    (length,) = struct.unpack("<Q", content[:8])
    header = content[8 : 8 + length]
    return len(header.rstrip(b" ")) <= position - 8 < length


@pytest.mark.parametrize("mask", [0x01, 0x20, 0xFF])
def test_no_flipped_byte_goes_unnoticed(model, tmp_path, mask):
    """Length, names, types, offsets, metadata, checksum, tensors."""
    _, content, _ = model
    path = tmp_path / "damaged.safetensors"
    unnoticed = []
    for position in range(0, len(content), 1 if mask == 0x01 else 7):
        if is_padding(content, position):
            continue
        changed = bytearray(content)
        changed[position] ^= mask
        path.write_bytes(changed)
        try:
            read_model(path)
        except ModelFileError:
            continue
        unnoticed.append(position)
    assert not unnoticed


def test_zeroed_blocks(model, tmp_path):
    """As a power cut leaves them."""
    _, content, _ = model
    for start in range(0, len(content), 512):
        block = content[start : start + 512]
        changed = content[:start] + bytes(len(block)) + content[start + 512 :]
        refused(damaged(tmp_path, changed))


def test_two_tensors_swapped(model, tmp_path):
    path, _, _ = model
    tensors = load_file(path)
    low, high = "preprocessor.minimum", "preprocessor.maximum"
    tensors[low], tensors[high] = tensors[high].clone(), tensors[low].clone()
    changed = damaged(tmp_path, b"")
    save_file(tensors, changed, metadata=header_of(path.read_bytes())["__metadata__"])
    assert "altered or damaged" in refused(changed)


def test_edited_metadata(model, tmp_path):
    path, content, _ = model
    header = header_of(content)["__metadata__"]
    header["metadata"] = header["metadata"].replace('"threshold": ', '"threshold": 1')
    changed = damaged(tmp_path, b"")
    save_file(load_file(path), changed, metadata=header)
    message = refused(changed)
    assert "SHA-256" in message
    assert "restore" in message


def test_foreign_safetensors(tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(3)}, path)
    assert "not one of a deepsvdd model" in refused(path)
    save_file({"weight": torch.ones(3)}, path, metadata={"format": "pt"})
    assert "not one of a deepsvdd model" in refused(path)
    save_file({"weight": torch.ones(3).bfloat16()}, path, metadata={"format": "pt"})
    refused(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0", b"\0" * 8, b"\0" * 100, b"\xff" * 100, b"not a model\n" * 50],
    ids=["empty", "a zero", "8 zeros", "100 zeros", "ones", "text"],
)
def test_not_a_model_at_all(tmp_path, content):
    assert "no deepsvdd model" in refused(damaged(tmp_path, content))


def test_a_pickle_is_refused_and_not_executed(tmp_path):
    trace = tmp_path / "trace"
    refused(damaged(tmp_path, pickle.dumps(Evil(trace))))
    torch.save(Evil(trace), tmp_path / "evil.safetensors")
    refused(tmp_path / "evil.safetensors")
    assert not trace.exists()


@pytest.mark.parametrize("version", ["3", "10", "0", ""])
def test_another_format_version(model, tmp_path, version):
    path, content, _ = model
    header = header_of(content)["__metadata__"] | {"format_version": version}
    changed = damaged(tmp_path, b"")
    save_file(load_file(path), changed, metadata=header)
    message = refused(changed)
    assert "format" in message
    assert "upgrade" in message


def test_a_classifier_is_no_detector(tmp_path):
    Classifier((1, 8, 8), 2).save(tmp_path / "c.safetensors")
    assert "holds a model, but no detector" in refused(tmp_path / "c.safetensors")


@pytest.mark.parametrize("what", ["missing", "folder"])
def test_no_file(tmp_path, what):
    path = tmp_path / "there"
    if what == "folder":
        path.mkdir()
    for read in (DeepSVDD.load, read_model, read_model_tar):
        with pytest.raises(FileNotFoundError, match="there"):
            read(path)


# ------------------------------------------------------------- writing goes wrong

FAILURES = [
    (errno.ENOSPC, "no space left"),
    (errno.EACCES, "permission denied"),
    (errno.EROFS, "read-only"),
]


@pytest.mark.parametrize(("number", "words"), FAILURES)
@pytest.mark.parametrize("function", ["write", "fsync", "replace"])
def test_a_failed_write_leaves_the_old_model_and_no_litter(
    tmp_path, monkeypatch, number, words, function
):
    x = make_images()
    path = tmp_path / "model.safetensors"
    old = short().fit(x)
    old.save(path)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    def fail_halfway(self, content):
        with open(self, "wb") as file:
            file.write(content[: len(content) // 2])
        fail()

    with monkeypatch.context() as patch:
        if function == "write":
            patch.setattr("pathlib.Path.write_bytes", fail_halfway)
        else:
            patch.setattr(f"os.{function}", fail)
        with pytest.raises(OSError, match=words) as raised:
            short(random_state=1).fit(x).save(path)
    assert raised.value.errno == number
    assert "model.safetensors" in str(raised.value)
    assert "choose another folder" in str(raised.value) or "may write" in str(
        raised.value
    )
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["model.safetensors"]
    np.testing.assert_array_equal(
        DeepSVDD.load(path).anomaly_score(x), old.anomaly_score(x)
    )


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_read_only_folder(tmp_path, model):
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o500)
    with pytest.raises(OSError, match=r"permission denied.*may write"):
        model[2].save(folder / "model.safetensors")
    folder.chmod(0o700)
    assert not any(folder.iterdir())


def test_a_folder_in_the_place_of_the_file(tmp_path, model):
    with pytest.raises(OSError, match="not a regular file"):
        model[2].save(tmp_path)


def test_write_and_read_are_inverse(tmp_path):
    tensors = {
        "a": torch.arange(6).reshape(2, 3).T,  # not contiguous
        "b": torch.tensor(1.5),
        "c": torch.zeros(0, 3, dtype=torch.float64),
    }
    tensors["shared"] = tensors["a"]
    metadata = {"ν": [1, 2.5, None, True], "nested": {"text": 'quotes " and \\'}}
    write_model(tmp_path / "m", tensors, metadata)
    read, same = read_model(tmp_path / "m")
    assert same == metadata
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(read[name], tensor)
        assert read[name].dtype == tensor.dtype
