"""Model files: tensors as safetensors, the rest as JSON in the same file's header.

Nothing in a model file is ever executed on loading (no pickle). A SHA-256 over tensors
and metadata tells a damaged or altered file; it is no signature: whoever can rewrite
the file can also rewrite the sum.
"""

from __future__ import annotations

import hashlib
import json
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from deepsvdd.errors import ModelFileError
from deepsvdd.files import atomic_write

FORMAT = "deepsvdd-model"
FORMAT_VERSION = 2
# Version 1 had no labels, no calibration, and did not know its training samples.
READABLE = ("1", "2")


def write_model(
    path: str | PathLike[str], tensors: dict[str, Tensor], metadata: dict[str, Any]
) -> None:
    """Write a model file, all of it or nothing.

    Parameters
    ----------
    path : path-like
        File to write; missing folders are created.
    tensors : dict of Tensor
        By name.
    metadata : dict
        Whatever JSON can hold, and numbers of any kind.

    Raises
    ------
    OSError
        If the file cannot be written; an older file of that name is untouched.
    """
    from safetensors.torch import save

    tensors = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    text = json.dumps(metadata, sort_keys=True, default=_as_json)
    header = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "metadata": text,
        "sha256": checksum(tensors, text),
    }
    content = save(tensors, metadata=header)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def _as_json(number: Any) -> Any:
    """Turn NumPy's numbers, and fractions, into those of JSON."""
    return number.item() if hasattr(number, "item") else float(number)


def read_model(
    path: str | PathLike[str], kind: str = "detector"
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a model file and verify it.

    Parameters
    ----------
    path : path-like
        File written by :func:`write_model`.
    kind : str, default="detector"
        What must be in it: the ``kind`` of its metadata, which a detector's lack.

    Returns
    -------
    tensors, metadata
        As they were given to :func:`write_model`.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ModelFileError
        If the file is truncated, altered, of another format or of a later version, or
        holds a model of another kind.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no model file at {str(path)!r}")
    try:
        with safe_open(str(path), framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        if path.suffix == ".tar":
            raise ModelFileError(
                f"{str(path)!r} looks like a model.tar of the authors' repository, "
                "which lacks extrema and threshold: read it with "
                "DeepSVDD.from_model_tar and the normal training images, or convert it "
                "by deepsvdd train … --load_model"
            ) from None
        raise ModelFileError(
            f"{str(path)!r} is no deepsvdd model, or a truncated one ({error}); "
            "write it again with DeepSVDD.save or deepsvdd train"
        ) from None
    if header.get("format") != FORMAT:
        raise ModelFileError(
            f"{str(path)!r} is a safetensors file, but not one of a deepsvdd model"
        )
    if header.get("format_version") not in READABLE:
        raise ModelFileError(
            f"{str(path)!r} has model format {header.get('format_version')}, this "
            f"version of deepsvdd reads {' and '.join(READABLE)}: upgrade deepsvdd"
        )
    text = header.get("metadata", "")
    if header.get("sha256") != checksum(tensors, text):
        raise ModelFileError(
            f"{str(path)!r} was altered or damaged after it was saved: its SHA-256 "
            "does not fit its content; restore it from a copy, or train again"
        )
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise ModelFileError(
            f"{str(path)!r}: its metadata must be an object in JSON; got "
            f"{text[:40]!r}: restore it from a copy, or train again"
        )
    if metadata.get("kind", "detector") != kind:
        raise ModelFileError(f"{str(path)!r} holds a model, but no {kind}")
    return tensors, metadata


def strip_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors of one prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def checksum(tensors: dict[str, Tensor], text: str) -> str:
    """Hash names, types, shapes and values of all tensors, and the metadata's text."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        kind = str(tensor.dtype).removeprefix("torch.")
        digest.update(f"{name} {kind} {tuple(tensor.shape)}".encode())
        # As bytes: NumPy lacks some types, bfloat16 among them.
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
