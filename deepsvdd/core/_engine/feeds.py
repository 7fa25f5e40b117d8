"""Where a training gets its batches: one tensor on the device, or a stream of images.

Indices decide what is read, so that the order of samples has one home, the training
loop.
"""

from __future__ import annotations

import hashlib
import pickle
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from multiprocessing import (
    current_process,
    get_all_start_methods,
    get_context,
    get_start_method,
)
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset

from deepsvdd.core._engine.distributed import n_processes, share, total
from deepsvdd.core.metrics import as_numpy
from deepsvdd.core.preprocessing import Preprocessor, at_a_time
from deepsvdd.datasets.images import ImageArray
from deepsvdd.datasets.samples import image_batch

STREAMED_BATCH = 250  # images that are read, or scored, at a time
IN_MEMORY = 2**28  # numbers of a memory map that is read whole: 1 GiB as float32
START_METHODS = (None, "fork", "spawn", "forkserver")  # other libraries add theirs


class Feed(ABC):
    """Preprocessed samples, read batch by batch.

    Attributes
    ----------
    device : torch.device
        Where batches arrive.
    n_stacked : int
        M, if there are M sets of n samples, one for each network of a stack; else 0.
    """

    device: torch.device
    n_stacked: int = 0

    @abstractmethod
    def __len__(self) -> int:
        """Count the samples n (of one set)."""

    @abstractmethod
    def read(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield a batch (b, ...) for each tensor of indices (b,), or (M, b)."""

    @abstractmethod
    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """Yield this process's share of the samples in order, (b, ...) or (M, b, ...).

        Every process gets every W-th sample, of W processes; of large images, fewer
        than ``batch_size`` come at a time.
        """

    def members(self, n: int) -> list[Feed]:
        """Return the feed of each of n networks."""
        return [self] * n

    @abstractmethod
    def subset(self, indices: Tensor) -> Feed:
        """Return the feed of some of the samples, by their indices (k,)."""

    @abstractmethod
    def n_distinct(self) -> int:
        """Count the samples that differ, as far as it can be known."""

    @abstractmethod
    def fingerprint(self) -> bytes:
        """Tell these samples from others."""


class InMemory(Feed):
    """One tensor on the training device; a batch is an indexed read.

    Parameters
    ----------
    x : Tensor of shape (n, ...), or (M, n, ...) if stacked
    stacked : bool, default=False
        One set of samples for each network of a stack.
    """

    def __init__(self, x: Tensor, stacked: bool = False) -> None:
        self.x = x
        self.device = x.device
        self.n_stacked = len(x) if stacked else 0

    def __len__(self) -> int:
        """Count the samples n (of one set)."""
        return self.x.shape[1 if self.n_stacked else 0]

    def read(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield a batch for each tensor of indices."""
        sets = torch.arange(self.n_stacked, device=self.device)[:, None]
        for part in parts:
            yield self.x[sets, part] if self.n_stacked else self.x[part]

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """Yield this process's share of the samples in order."""
        if self.n_stacked:
            size = at_a_time(batch_size, self.x.shape[2:])
            yield from self.x.split(size, dim=1)
        else:
            size = at_a_time(batch_size, self.x.shape[1:])
            yield from share(self.x).split(size)

    def members(self, n: int) -> list[Feed]:
        """Return the feed of each of n networks."""
        return [InMemory(x) for x in self.x] if self.n_stacked else [self] * n

    def subset(self, indices: Tensor) -> Feed:
        """Return the feed of some of the samples (of each set), a copy of them."""
        indices = indices.to(self.device)
        if self.n_stacked:
            return InMemory(self.x[:, indices], stacked=True)
        return InMemory(self.x[indices])

    def n_distinct(self) -> int:
        """Count the samples that differ (slow: sorts them)."""
        return len(self.x.flatten(1).unique(dim=0))

    def fingerprint(self) -> bytes:
        """Hash all values."""
        digest = hashlib.sha256()
        for part in self.x.split(at_a_time(STREAMED_BATCH, self.x.shape[1:])):
            digest.update(part.cpu().contiguous().numpy().data)
        return digest.digest()


class Stream(Feed):
    """Images read and preprocessed by other processes while this one trains.

    Parameters
    ----------
    images : Dataset
        Item i is an image (h, w) or (c, h, w), or a tuple that begins with one.
    shape : (c, h, w)
        Shape that every image must have.
    preprocessor : Preprocessor, optional
        Without it, images arrive as they are.
    device : torch.device
    n_workers : int
        Reading processes; with 0, the training's own does it, as it does where no
        process can be started safely: in a thread, or in a worker that may have none.

    Raises
    ------
    ValueError
        At the first read: if an image is unusable; or if the images cannot be pickled,
        where the reading processes need that (in a process group, or not on Linux).
    """

    def __init__(
        self,
        images: Dataset[Any],
        shape: tuple[int, ...],
        preprocessor: Preprocessor | None,
        device: torch.device,
        n_workers: int,
    ) -> None:
        self.images = _Batches(images, shape, preprocessor)
        self.device = device
        self.n_workers = n_workers
        self._plan = _Plan()
        n_workers = n_workers if _may_start_processes() else 0
        self._loader: DataLoader[Any] = DataLoader(
            self.images,
            sampler=self._plan,
            batch_size=None,  # an item of the plan is a batch
            num_workers=n_workers,
            persistent_workers=n_workers > 0,
            pin_memory=device.type == "cuda",
            multiprocessing_context=_start_method(n_workers),
            generator=torch.Generator(),  # not to draw from the global one
        )

    def __len__(self) -> int:
        """Count the images."""
        return len(self.images.images)  # type: ignore[arg-type]

    def read(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Yield a batch for each tensor of indices."""
        self._plan.parts = [part.tolist() for part in parts]
        # One batch, as of one image to be scored: a process takes longer to start.
        alone = len(parts) == 1
        found = map(self.images.__getitem__, self._plan.parts)
        for batch in found if alone else self._batches():
            if isinstance(batch, str):  # what was wrong with it
                raise ValueError(batch)
            batch = batch.to(self.device, non_blocking=True)
            yield batch.contiguous(memory_format=torch.channels_last)

    def _batches(self) -> Iterator[Any]:
        """Start the reading processes, or hand them the next plan."""
        try:
            return iter(self._loader)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise ValueError(
                "X must be a data set that pickle takes, as the reading processes get "
                f"it that way; got {error}: define it at the top level of a module, "
                "without lambdas, or set n_workers=0"
            ) from error

    def in_order(self, batch_size: int) -> Iterator[Tensor]:
        """Yield this process's share of the images in order."""
        size = at_a_time(min(batch_size, STREAMED_BATCH), self.images.shape)
        return self.read(share(torch.arange(len(self))).split(size))

    def subset(self, indices: Tensor) -> Feed:
        """Return the feed of some of the images, read by processes of its own."""
        data = self.images
        images = some_images(data.images, indices)
        return Stream(
            images, data.shape, data.preprocessor, self.device, self.n_workers
        )

    def n_distinct(self) -> int:
        """Assume that all images differ: to know, all would have to be in memory."""
        return len(self)

    def fingerprint(self) -> bytes:
        """Hash all images, as they are before preprocessing, with their places.

        They are read once more for it: a training reads them a dozen times, and names,
        sizes or a sample would miss a change of some. What changes after that, during
        the training, remains unseen.

        The hashes of single images are added up, so that each of several processes need
        only read its share.
        """
        data, preprocessor = self.images, self.images.preprocessor
        workers, cpu = self._loader.num_workers, torch.device("cpu")
        raw = Stream(data.images, data.shape, None, cpu, workers)
        parts = share(torch.arange(len(self))).split(STREAMED_BATCH)
        sums = torch.zeros(4, dtype=torch.int64)
        for part, batch in zip(parts, raw.read(parts), strict=True):
            for index, image in zip(part.tolist(), batch, strict=True):
                digest = hashlib.sha256(str(index).encode())
                digest.update(image.contiguous().numpy().tobytes())
                sums += torch.frombuffer(bytearray(digest.digest()), dtype=torch.int64)
        method = preprocessor.method if preprocessor else None
        sums = total(sums.to(self.device))
        return repr((len(self), method, sums.tolist())).encode()


def _may_start_processes() -> bool:
    """Tell whether reading processes may begin here.

    Workers of a pool may have no children, those of joblib's loky none of the usual
    kind; and a process that is copied from a thread's may hold another thread's locks.
    """
    return (
        not current_process().daemon
        and get_start_method(allow_none=True) in START_METHODS
        and threading.current_thread() is threading.main_thread()
    )


def _start_method(n_workers: int) -> BaseContext | None:
    """Choose how reading processes begin; None is torch's own choice.

    A process group has threads, and a copy of a process with threads (a fork) may wait
    for ever for a lock that one of them held, CPython's own among them. So there, a
    server without threads forks.
    """
    if not n_workers or n_processes() == 1:
        return None
    if "forkserver" not in get_all_start_methods():
        return None
    context = get_context("forkserver")
    context.set_forkserver_preload([__name__])  # torch is imported once
    return context


class _Plan(Sampler[list[int]]):
    """The batches of one pass; a loader asks for them anew at each."""

    def __init__(self) -> None:
        self.parts: list[list[int]] = []

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self.parts)

    def __len__(self) -> int:
        return len(self.parts)


class _Batches(Dataset[Any]):
    """Batches (b, c, h, w) by their indices, preprocessed where they are read."""

    def __init__(
        self,
        images: Dataset[Any],
        shape: tuple[int, ...],
        preprocessor: Preprocessor | None,
    ) -> None:
        self.images = images
        self.shape = shape
        self.preprocessor = preprocessor

    def __getitem__(self, indices: list[int]) -> Tensor | str:
        # An exception would arrive wrapped in a traceback of another process.
        try:
            x = read_images(self.images, indices, self.shape)
        except ValueError as error:
            return str(error)
        return x if self.preprocessor is None else self.preprocessor(x).float()


def read_images(
    images: Dataset[Any], indices: Iterable[int], shape: tuple[int, ...] | None = None
) -> Tensor:
    """Read images by index into one tensor (b, c, h, w).

    Parameters
    ----------
    images : Dataset
        As for :class:`Stream`.
    indices : iterable of int
    shape : (c, h, w), optional
        The only shape to accept.

    Raises
    ------
    ValueError
        If an image is none, or of another shape; the message names the first such.
    """
    indices = list(indices)
    if hasattr(images, "__getitems__"):
        items = images.__getitems__(indices)
    else:
        items = [images[index] for index in indices]
    if isinstance(items, np.ndarray | Tensor):
        batch = as_numpy(items)
    else:
        arrays = [as_numpy(i[0] if isinstance(i, tuple | list) else i) for i in items]
        for index, array in zip(indices, arrays, strict=True):
            if array.shape != arrays[0].shape:
                raise ValueError(
                    f"X must hold images of one shape; got {arrays[0].shape} at index "
                    f"{indices[0]} and {array.shape} at index {index}"
                )
        batch = np.stack(arrays)
    batch = image_batch(batch, shape, indices)
    return torch.from_numpy(batch if batch.flags.writeable else batch.copy())


def some_images(images: Dataset[Any], indices: Tensor) -> Dataset[Any]:
    """Choose some images of a data set, by their indices (k,)."""
    return Subset(images, indices.tolist())


def as_images(X: Any) -> Dataset[Any] | None:
    """Return what is to be streamed: a data set, or a large memory map; else None.

    A memory map says little about what its maker wants: joblib hands every array of
    more than a megabyte to its workers as one. So only its size counts.
    """
    if isinstance(X, Dataset):
        if not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
            raise ValueError(
                "X must be a data set with a length and indices; got "
                f"{type(X).__name__}"
            )
        return X
    if isinstance(X, np.memmap) and X.ndim > 2 and X.size > IN_MEMORY:
        return ImageArray(X)
    return None


def as_feed(x: Tensor | Feed) -> Feed:
    """Take a tensor (n, ...) for the feed that it is."""
    return x if isinstance(x, Feed) else InMemory(x)
