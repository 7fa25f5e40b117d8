"""Safe file writing: a file is either the old one or the new one, never half of one."""

import errno
import hashlib
import os
import platform
import re
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

# errno → (what is wrong, how to mend it)
_FIXES = {
    errno.ENOSPC: (
        "no space left on the device",
        "free some space or choose another folder",
    ),
    errno.EDQUOT: (
        "the disk quota is exceeded",
        "free some space or choose another folder",
    ),
    errno.EFBIG: (
        "the file would be larger than the system allows",
        "raise the limit (ulimit -f) or choose another folder",
    ),
    errno.EACCES: ("permission denied", "choose a folder that you may write to"),
    errno.EPERM: ("permission denied", "choose a folder that you may write to"),
    errno.EROFS: (
        "the file system is read-only",
        "choose a folder that you may write to",
    ),
    errno.EISDIR: ("it is not a regular file", "choose another file name"),
    errno.EEXIST: ("a file stands where a folder is needed", "choose another folder"),
    errno.ENOTDIR: ("a file stands where a folder is needed", "choose another folder"),
}

# Tells this process from a dead one of its number, as in a container started anew.
_PROCESS = secrets.token_hex(4)
_TEMPORARY = re.compile(
    r"\.tmp-([0-9a-f]{8})-(\d{1,9})-([0-9a-f]{8})-[0-9a-f]{8}(\..*)?"
)


class WriteError(OSError):
    """A file could not be written; the message is one sentence that names the fix."""

    def __str__(self) -> str:
        return str(self.strerror)


def cannot_write(path: str | os.PathLike[str], error: OSError) -> WriteError:
    """Put an operating system error into one sentence that names path and fix.

    Parameters
    ----------
    path : path-like
        What should have been written.
    error : OSError
        Why it could not be.

    Returns
    -------
    WriteError
        Ready to be raised; its ``errno`` is that of `error`.
    """
    unknown = (error.strerror or str(error), "choose another folder")
    reason, fix = _FIXES.get(error.errno or 0, unknown)
    sentence = f"cannot write '{os.fspath(path)}': {reason}; {fix}"
    return WriteError(error.errno, sentence, os.fspath(path))


@contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file completely or not at all.

    Missing parent folders are created. The block writes to the path it is given, a
    new name in the same folder with the same suffix; when it ends well, that file is
    flushed to disk and takes the place of `path`, otherwise it is removed and `path`
    stays as it was. Let the block do nothing but write: every ``OSError`` in it is
    taken to be about `path`.

    Parameters
    ----------
    path : path-like
        The file to create or replace. A symbolic link keeps pointing where it does.

    Yields
    ------
    pathlib.Path
        The temporary path to write to.

    Raises
    ------
    WriteError
        An ``OSError`` with the original ``errno``: read-only folder, full disk, a
        folder in the place of the file. Other exceptions of the block pass through.

    Examples
    --------
    >>> with atomic_write("results/table.csv") as temporary:  # doctest: +SKIP
    ...     temporary.write_text("digit,auc")
    """
    target = Path(os.path.realpath(path))
    # Same folder: os.replace is atomic only within one file system. Same suffix:
    # savers such as np.savez and savefig go by it. Not tempfile: its files are 0600.
    temporary = target.parent / f"{_temporary_stem()}{target.suffix}"
    try:
        _make_room(target)
        yield temporary
        _flush_to_disk(temporary)
        os.replace(temporary, target)
    except WriteError:  # of a nested atomic_write: already says it all
        raise
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(
    path: str | os.PathLike[str], text: str, encoding: str = "utf-8"
) -> None:
    """Write a text file whole or not at all; see :func:`atomic_write`."""
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding=encoding)


@contextmanager
def growing_text(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """Write a text file piece by piece, so that an interruption keeps the pieces.

    The block writes to ``path.part``. When it ends well, that file takes the name
    `path`; otherwise both stay: what was at `path` before, and what came so far, under
    a name that says that it is not all.

    Parameters
    ----------
    path : path-like
        The file to create or replace. Missing parent folders are created.

    Yields
    ------
    text file
        UTF-8; flush it after each piece. Names of files that are not UTF-8 keep their
        bytes.

    Raises
    ------
    WriteError
        An ``OSError``, of the block, too, with the original ``errno``.
    """
    target = Path(os.path.realpath(path))
    unfinished = part_of(target)
    try:
        _make_room(target)
        with open(
            unfinished, "w", encoding="utf-8", errors="surrogateescape", newline=""
        ) as file:
            yield file
        _flush_to_disk(unfinished)
        os.replace(unfinished, target)
    except WriteError:
        raise
    except OSError as error:
        raise cannot_write(path, error) from error


def part_of(path: str | os.PathLike[str]) -> Path:
    """Name the file that :func:`growing_text` writes until it has everything."""
    target = Path(os.path.realpath(path))
    return target.with_name(target.name + ".part")


def require_writable(path: str | os.PathLike[str]) -> None:
    """Raise WriteError if a file cannot be written, before hours are spent on it.

    Parameters
    ----------
    path : path-like
        A file, there or not; its folder need not be there either. Nothing is created.

    Raises
    ------
    WriteError
        A folder or device stands there, a file stands where a folder is needed, or
        the folder may not be written to.
    """
    target = Path(os.path.realpath(path))
    try:
        if target.exists() and not target.is_file():
            raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
        with suppress(FileNotFoundError):
            target.lstat()  # a name that is too long, a file in the place of a folder
        folder = next(parent for parent in target.parents if parent.exists())
        with tempfile.TemporaryFile(dir=folder):
            pass  # tells more than permissions do: the file system may be read-only
    except OSError as error:
        raise cannot_write(path, error) from None


def refuse_output_as_input(
    output: str | os.PathLike[str], *inputs: str | os.PathLike[str] | None
) -> None:
    """Raise ValueError if writing `output` would destroy one of the inputs.

    A file is the same under another spelling, and by a symbolic or a hard link.

    Parameters
    ----------
    output : path-like
        What is going to be written.
    *inputs : path-like or None
        What is read; None is passed over.

    Raises
    ------
    ValueError
        If `output` is one of the inputs.

    Examples
    --------
    >>> refuse_output_as_input("scores.csv", "model.safetensors", "x.npy")
    """
    written = _identity(output)
    for given in inputs:
        if given is not None and _identity(given) == written:
            raise ValueError(
                f"output must be another file than the inputs; got "
                f"'{os.fspath(output)}', which is the input '{os.fspath(given)}': "
                "name another file"
            )


def _identity(path: str | os.PathLike[str]) -> object:
    """Tell a file from others: by its place on the disk, or by where it would be."""
    try:
        status = os.stat(path)
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def sha256_of(data: bytes | bytearray | memoryview) -> str:
    """Return the SHA-256 of a bytes-like object as 64 hexadecimal digits.

    Examples
    --------
    >>> sha256_of(b"abc")[:8]
    'ba7816bf'
    """
    return hashlib.sha256(data).hexdigest()


def _make_room(target: Path) -> None:
    if target.exists() and not target.is_file():  # a folder, or /dev/null
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR))
    target.parent.mkdir(parents=True, exist_ok=True)


def _flush_to_disk(path: Path) -> None:
    # Without it a power cut after os.replace may leave an empty file in place.
    with open(path, "rb+") as file:
        os.fsync(file.fileno())


def write_or_rescue(path: str | os.PathLike[str], write: Callable[[Path], Any]) -> None:
    """Write what took long to compute; where that fails, into the temporary folder.

    Parameters
    ----------
    path : path-like
        The file to write.
    write : callable
        Writes the file that it is given.

    Raises
    ------
    OSError
        If `path` cannot be written; the message tells where the content is, if it
        could be rescued.
    """
    try:
        write(Path(path))
    except OSError as error:
        try:
            folder = Path(tempfile.mkdtemp(prefix="deepsvdd-"))
        except OSError:
            raise error from None
        spare = folder / Path(path).name
        try:
            write(spare)
        except OSError:
            with suppress(OSError):
                folder.rmdir()
            raise error from None
        message = f"{error}; it was written to '{spare}' instead"
        raise WriteError(error.errno, message, os.fspath(path)) from error


# --- what kills leave -------------------------------------------------------------


def remove_leftovers(folder: str | os.PathLike[str]) -> None:
    """Remove the temporary files that killed processes left in a folder.

    Only those of :func:`atomic_write`, of processes of this machine that are no more;
    in Windows, which has no safe way to ask for a process, none.

    Parameters
    ----------
    folder : path-like
        Need not exist. Its subfolders are left alone.
    """
    if os.name == "nt":
        return
    for path in Path(folder).glob(".tmp-*"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and found[1] == _machine() and not _alive(int(found[2]), found[3]):
            with suppress(OSError):
                path.unlink()


def _temporary_stem() -> str:
    """Name a new temporary file by machine and process."""
    return f".tmp-{_machine()}-{os.getpid()}-{_PROCESS}-{secrets.token_hex(4)}"


def _machine() -> str:
    return sha256_of(platform.node().encode())[:8]


def _alive(number: int, process: str) -> bool:
    """Tell whether a process of this machine may still be at work."""
    if number == os.getpid():
        return process == _PROCESS
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        return True
    return True
