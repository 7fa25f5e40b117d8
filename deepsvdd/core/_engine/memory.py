"""Memory that one step of training frees is kept for the next.

Each step allocates tensors of the same megabytes again. glibc, the C library of most
Linux systems, gives memory back to the system when there is much of it free at the
heap's end, and the system hands it out anew, page by page, each filled with zeros at
its first use. Whether that happens depends on what lies at the heap's end: there are
processes in which each step makes thousands of page faults, and others with none. In
sweeps over rotated images they took a tenth to a fifth of the processor's time. No
number depends on it.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

# Of malloc.h: the size from which a block is mapped by itself, so that it is given back
# when it is freed; and how much free memory at the heap's end is given back.
MMAP_THRESHOLD, TRIM_THRESHOLD = -3, -1
KEPT = 2**28, 2**31 - 1  # blocks from 256 MB on, larger than any activation; nothing
# Where glibc's own thresholds end up as they grow. Once set, they no longer do.
USUAL = 2**25, 2**26
SET_BY_USERS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_")

_lock = threading.Lock()
_n_within = 0  # blocks of `memory_kept` that are being executed, in all threads


@cache
def glibc() -> Any:
    """Return the C library, if it is glibc, and no user has set what is set here."""
    own = any(name in os.environ for name in SET_BY_USERS)
    if own or "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return None
    try:
        library = ctypes.CDLL(None)  # of this process; raises on Windows
    except (OSError, TypeError):
        return None
    known = hasattr(library, "gnu_get_libc_version") and hasattr(library, "mallopt")
    return library if known else None


def set_thresholds(mmap: int, trim: int) -> None:
    """Tell glibc what to keep; a version that refuses the first stays as it is."""
    library = glibc()
    if library is not None and library.mallopt(MMAP_THRESHOLD, mmap):
        library.mallopt(TRIM_THRESHOLD, trim)


@contextmanager
def memory_kept() -> Iterator[None]:
    """Keep memory that is freed within; later, glibc gives back what is freed then.

    Of what threads free, only what fits into their part of the heap, 64 MB, is kept.
    """
    global _n_within
    with _lock:
        _n_within += 1
        if _n_within == 1:
            set_thresholds(*KEPT)
    try:
        yield
    finally:
        with _lock:
            _n_within -= 1
            if not _n_within:
                set_thresholds(*USUAL)
