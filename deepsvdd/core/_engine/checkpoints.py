"""Checkpoints of a training phase, from which a killed run goes on to the same bits."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from deepsvdd.core._engine.feeds import Feed
from deepsvdd.errors import ModelFileError
from deepsvdd.files import WriteError, atomic_write, remove_leftovers, sha256_of
from deepsvdd.version import __version__

PHASES = ("pretraining", "training")
# A file begins with this and the SHA-256 of the rest: torch.load does not look at the
# checksums of the archive that it reads.
HEADER = b"deepsvdd checkpoint 1\n%s\n"


@dataclass(frozen=True)
class Checkpoint:
    """Where, and how often, one training phase saves its state.

    Attributes
    ----------
    path : Path
        The file; written whole or not at all: a kill at any moment leaves a good one.
    every : int
        Epochs between two saves. The last epoch is always saved.
    fingerprint : str
        Names settings and data. A checkpoint of others is refused: going on from it
        would be the run of neither.
    """

    path: Path
    every: int
    fingerprint: str

    def due(self, epoch: int, n_epochs: int) -> bool:
        """Tell whether to save after an epoch, counted from 0."""
        return (epoch + 1) % self.every == 0 or epoch + 1 == n_epochs

    def save(self, state: dict[str, Any]) -> None:
        """Write a state of tensors, numbers and containers of them.

        Raises
        ------
        WriteError
            If the file cannot be written; the one before it stays.
        """
        buffer = io.BytesIO()
        torch.save({"fingerprint": self.fingerprint, "state": state}, buffer)
        content = buffer.getbuffer()
        try:
            with atomic_write(self.path) as temporary, temporary.open("wb") as file:
                file.write(header_of(content))
                file.write(content)
        except WriteError as error:
            if self.path.exists():
                error.strerror = f"{error}; the last checkpoint stays, to go on from"
            raise

    def load(self) -> dict[str, Any] | None:
        """Read the state, or None if nothing was saved yet.

        Temporary files that a killed process left in the folder are removed.

        Raises
        ------
        ModelFileError
            If the file is damaged, or belongs to other settings or data.
        """
        remove_leftovers(self.path.parent)
        if not self.path.exists():
            return None
        try:
            archive = checked(self.path.read_bytes())
            content = torch.load(archive, map_location="cpu", weights_only=True)
            fingerprint, state = content["fingerprint"], content["state"]
        except Exception as error:  # torch.load raises a dozen unrelated types
            raise ModelFileError(
                f"{str(self.path)!r} is no checkpoint, or a damaged one "
                f"({type(error).__name__}): delete its folder to start afresh"
            ) from None
        if fingerprint != self.fingerprint:
            raise ModelFileError(
                f"{str(self.path)!r} is a checkpoint of other settings, data or "
                "versions: repeat them (--load_config helps) to resume, or delete its "
                "folder to start afresh"
            )
        return dict(state)


def header_of(content: bytes | memoryview) -> bytes:
    """Return what a file begins with that holds some content."""
    return HEADER % sha256_of(content).encode()


class ChecksumError(ValueError):
    """A file's content is not what was written."""


def checked(file: bytes) -> io.BytesIO:
    """Return a file's content; raise ChecksumError if any of its bits has changed."""
    length = len(header_of(b""))
    content = memoryview(file)[length:]
    if file[:length] != header_of(content):
        raise ChecksumError
    return io.BytesIO(content)


def plan_checkpoints(
    folder: Path, seeds: Sequence[int], *, every: int, fingerprint: str
) -> dict[str, Checkpoint]:
    """Name the checkpoints of both phases of networks that are trained together.

    Parameters
    ----------
    folder : Path
    seeds : sequence of int
        Of the networks; the file names have the first and the last.
    every, fingerprint
        As for :class:`Checkpoint`.
    """
    name = f"seed-{'-'.join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))}"
    return {
        phase: Checkpoint(
            folder / f"{name}-{phase}.pt", every=every, fingerprint=fingerprint
        )
        for phase in PHASES
    }


def fingerprint_of(settings: object, networks: Sequence[nn.Module], feed: Feed) -> str:
    """Hash what decides the result: settings, architectures, first weights, data."""
    digest = hashlib.sha256(repr((settings, __version__, torch.__version__)).encode())
    for network in networks:
        digest.update(repr(network).encode())
        for tensor in network.state_dict().values():
            digest.update(tensor.cpu().contiguous().numpy().tobytes())
    digest.update(feed.fingerprint())
    return digest.hexdigest()
