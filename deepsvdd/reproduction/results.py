"""Files of results: one JSON object a line, one line a finished run."""

from __future__ import annotations

import codecs
import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.request import urlopen

from deepsvdd.errors import DataUnavailableError
from deepsvdd.files import WriteError, atomic_write, cannot_write, require_writable
from deepsvdd.reproduction.schema import FIELDS, check_line, shown
from deepsvdd.reproduction.schema import Line as Line
from deepsvdd.version import repository

log = logging.getLogger("deepsvdd")

# What tells one run from another; a file holds each combination at most once.
KEY = (
    *("dataset", "normal_class", "method", "recipe", "nu", "eta", "precision"),
    "seed",
)
# What the key leaves out and no file may mix. The first runs and ensembles lack the
# settings; without the examples, anomalies are other classes.
SETTINGS = ("network", "preprocessing")
EXAMPLES = ("n_normal", "n_adversarial", "median_distance", "attack", "classifier")
UNMIXED = (*SETTINGS, *EXAMPLES)
_BEGINNINGS = [f'{{"{name}": '.encode() for name in FIELDS]  # of lines
_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def key_of(line: Line) -> tuple[Any, ...]:
    """Return what tells a run from all others."""
    return tuple(line.get(name) for name in KEY)


def refuse_mixture(
    line: Line,
    other: Line,
    where: str,
    remedy: str,
    names: Iterable[str] = UNMIXED,
) -> None:
    """Raise ValueError if two runs differ in what their keys leave out."""
    for name in names:
        values = line.get(name), other.get(name)
        unknown = name in SETTINGS and None in values
        if values[0] != values[1] and not unknown:
            raise ValueError(
                f"{where} must have one {name} for {line['dataset']}, class "
                f"{line['normal_class']}, {line['method']}, seed {line['seed']}; got "
                f"{values[0]!r} and {values[1]!r}: {remedy}"
            )


def read_results(
    paths: Iterable[str | os.PathLike[str]], skip_broken: bool = False
) -> list[Line]:
    """Read files of results.

    Parameters
    ----------
    paths : iterable of path-like
        Files of JSON lines. Of a run that stands in several, the first counts.
    skip_broken : bool, default=False
        Leave out lines that are no results, with a warning for each file, and do not
        stop at the first.

    Returns
    -------
    list of dict
        One a run, in the order of the files.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is not JSON, lacks what tells a run from others or its AUC, or has a
        field of another type or range than :mod:`deepsvdd.reproduction.schema` says; if
        files hold a run with different networks, preprocessing or adversarial examples.
    """
    runs: dict[tuple[Any, ...], tuple[Line, Path]] = {}
    for path in map(Path, paths):
        for line in _parsed(path, path.read_bytes(), skip_broken):
            first, place = runs.setdefault(key_of(line), (line, path))
            refuse_mixture(first, line, f"'{place}' and '{path}'", "read them apart")
    return [line for line, _ in runs.values()]


def _parsed(
    path: Path,
    content: bytes,
    skip_broken: bool = False,
    otherwise: str = "skip it (skip_broken)",
) -> list[Line]:
    _refuse_marks(path, content)
    lines, broken = [], []
    for number, text in enumerate(content.splitlines(), start=1):
        try:
            lines.append(_parsed_line(text, f"line {number} of '{path}'"))
        except ValueError as error:
            if not skip_broken:
                raise ValueError(
                    f"{error}: mend or remove the line, or {otherwise}"
                ) from None
            broken.append(error)
    if broken:
        warnings.warn(
            f"{len(broken)} line(s) left out, the first because {broken[0]}",
            stacklevel=3,
        )
    return lines


def _parsed_line(text: bytes, where: str) -> Line:
    try:
        line = json.loads(text.decode())
    except (ValueError, RecursionError):  # not UTF-8, not JSON, or nested too deeply
        line = text
    return check_line(line, where)


def _is_cut(text: bytes) -> bool:
    """Tell whether a text is the beginning of a line of results, and not whole."""
    try:
        json.loads(text.decode())
    except (ValueError, RecursionError):
        return any(text[: len(b)] == b[: len(text)] for b in _BEGINNINGS)
    return False


def _refuse_marks(path: Path, content: bytes) -> None:
    if content.startswith(_MARKS):
        raise ValueError(
            f"'{path}' must be UTF-8 without a byte order mark; it begins with the "
            f"bytes {content[:3].hex(' ')}: save it so, or choose another file"
        )


def book_results(name: str) -> Path:
    """Find a file of the book's results, also in a notebook far from the repository.

    Parameters
    ----------
    name : str
        File in ``book/results``.

    Returns
    -------
    Path
        In the folder ``results`` beside the notebook, else a copy of the repository's.

    Raises
    ------
    DataUnavailableError
        If it is not beside the notebook and cannot be downloaded.
    """
    path = Path("results", name)
    if path.exists():
        return path
    address = f"{repository()}/raw/main/book/results/{name}"
    copy = Path(tempfile.gettempdir(), "deepsvdd-results", name)
    try:
        with urlopen(address, timeout=30) as answer, atomic_write(copy) as temporary:
            temporary.write_bytes(answer.read())
    except (OSError, ValueError) as error:
        raise DataUnavailableError(
            f"'{path}' does not exist and {address} cannot be read ({error}); run the "
            "notebook in the repository's folder book, or with a network"
        ) from None
    return copy


class ResultsFile:
    """A file of results, open for appending by one process at a time.

    A context manager. Runs are written whole and flushed to the disk, so that a killed
    process leaves whole lines; half a line, which only a power cut can leave, is cut
    off when the file is next opened, with a warning. Any other file is left as it is.

    Parameters
    ----------
    path : path-like
        Created, folders and all, if it does not exist.

    Attributes
    ----------
    lines : list of dict
        All runs of the file.

    Raises
    ------
    BlockingIOError
        If another process has the file open.
    OSError
        If it cannot be written.
    ValueError
        If it holds anything but results.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.lines: list[Line] = []
        self._file: IO[bytes] | None = None
        self._is_new = False

    def __enter__(self) -> ResultsFile:
        """Open, lock, read and mend the file."""
        require_writable(self.path)
        self._is_new = not self.path.exists()
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab+", buffering=0)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        try:
            _lock(self._file, self.path)
            self._read()
        except BaseException:
            self._file.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, and so unlock it; leave no empty one of a failure."""
        if self._file:
            if error and self._is_new and not os.fstat(self._file.fileno()).st_size:
                self.path.unlink(missing_ok=True)
            self._file.close()

    def refuse_others(self, planned: Iterable[Line]) -> None:
        """Refuse to take runs for done that the file holds with other settings.

        Parameters
        ----------
        planned : iterable of dict
            Beginnings of lines, with network, preprocessing and adversarial examples.

        Raises
        ------
        ValueError
            If a line of the same key has others.
        """
        held = {key_of(line): line for line in self.lines}
        where = f"'{self.path}' and this command"
        for line in planned:
            old = held.get(key_of(line), line)
            refuse_mixture(old, line, where, "choose another file")

    def append(self, *lines: Line) -> None:
        """Write runs, all of them or none.

        Raises
        ------
        ValueError
            If one is no line of results.
        WriteError
            If they cannot be written. They are then in another file, which the message
            names, or at least in the log.
        """
        for line in lines:
            check_line(line)
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        try:
            self._write(text.encode())
        except OSError as error:
            raise _kept_elsewhere(self.path, text, error) from error
        self.lines += lines

    def _read(self) -> None:
        """Read the lines; end the last one, or cut it off if it is only a part."""
        assert self._file
        self._file.seek(0)
        content = self._file.read()
        end = content.rfind(b"\n") + 1
        whole, last = content[:end], content[end:]
        _refuse_marks(self.path, content)
        self.lines = _parsed(self.path, whole, otherwise="choose another file")
        if not last:
            return
        try:
            where = f"the last line of '{self.path}'"
            self.lines.append(_parsed_line(last, where))
        except ValueError as error:
            if not _is_cut(last):
                raise ValueError(f"{error}: choose another file") from None
            self._file.truncate(end)
            warnings.warn(
                f"'{self.path}' ended in half a line, {shown(last)}, which was cut "
                "off: its run is missing now",
                stacklevel=4,
            )
        else:
            try:
                self._write(b"\n")
            except OSError as error:
                raise cannot_write(self.path, error) from error

    def _write(self, content: bytes) -> None:
        """Append everything, or leave the file as it was."""
        assert self._file, "use it in a with statement"
        number = self._file.fileno()
        before = os.fstat(number).st_size
        left = memoryview(content)
        try:
            while left:  # a full disk takes a part, and says so the next time only
                left = left[os.write(number, left) :]
            os.fsync(number)
        finally:
            if os.fstat(number).st_size < before + len(content):
                with suppress(OSError):
                    os.ftruncate(number, before)


def _kept_elsewhere(path: Path, text: str, error: OSError) -> WriteError:
    """Save runs that their file does not take; tell of it and of them."""
    told = cannot_write(path, error)
    name = None
    try:
        number, name = tempfile.mkstemp(prefix="deepsvdd-", suffix=".jsonl")
        with open(number, "w", encoding="utf-8") as file:
            file.write(text)
        kept = f"the runs just finished are in '{name}'"
    except OSError:
        if name:
            Path(name).unlink()
        log.error("not written to '%s': %s", path, text)
        kept = "the runs just finished are in the log only"
    return WriteError(told.errno, f"{told}; {kept}", str(path))


def _lock(file: IO[bytes], path: Path) -> None:
    """Refuse a file that another process appends to, where the system can tell."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise BlockingIOError(
            f"'{path}' is being written by another sweep: wait for its end, or choose "
            "another file"
        ) from None
