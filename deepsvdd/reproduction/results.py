"""Files of results: one JSON object a line, one line a finished run."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any
from urllib.request import urlopen

from deepsvdd.errors import DataUnavailableError
from deepsvdd.files import atomic_write, cannot_write
from deepsvdd.version import repository

# What tells one run from another; a file holds each combination at most once.
KEY = ("dataset", "normal_class", "method", "recipe", "nu", "precision", "seed")
# What the key leaves out and no file may mix. The first runs and ensembles lack the
# settings; without the examples, anomalies are other classes.
SETTINGS = ("network", "preprocessing")
EXAMPLES = ("n_normal", "n_adversarial", "median_distance", "attack", "classifier")
UNMIXED = (*SETTINGS, *EXAMPLES)

Line = dict[str, Any]


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


def read_results(paths: Iterable[str | os.PathLike[str]]) -> list[Line]:
    """Read files of results.

    Parameters
    ----------
    paths : iterable of path-like
        Files of JSON lines. Of a run that stands in several, the first counts.

    Returns
    -------
    list of dict
        One a run, in the order of the files.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is not JSON, or lacks what tells a run from others or its AUC; or if
        files hold a run with different networks, preprocessing or adversarial examples.
    """
    runs: dict[tuple[Any, ...], tuple[Line, Path]] = {}
    for path in map(Path, paths):
        for line in _parsed(path, path.read_bytes()):
            first, place = runs.setdefault(key_of(line), (line, path))
            refuse_mixture(first, line, f"'{place}' and '{path}'", "read them apart")
    return [line for line, _ in runs.values()]


def _parsed(path: Path, content: bytes) -> list[Line]:
    required = {"dataset", "normal_class", "method", "seed", "auc"}
    lines = []
    for number, text in enumerate(content.splitlines(), start=1):
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or not required <= set(line):
            raise ValueError(
                f"line {number} of '{path}' must be a JSON object with dataset, "
                f"normal_class, method, seed and auc; got {text[:60]!r}"
            )
        lines.append(line)
    return lines


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

    A context manager. A line is written by one call and flushed to the disk, so that a
    killed process leaves whole lines; half a line, which only a power cut can leave, is
    cut off when the file is next opened.

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
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.lines: list[Line] = []
        self._file: IO[bytes] | None = None

    def __enter__(self) -> ResultsFile:
        """Open, lock, mend and read the file."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab+")
        except OSError as error:
            raise cannot_write(self.path, error) from error
        _lock(self._file, self.path)
        self._file.seek(0)
        self.lines = _parsed(self.path, _mended(self._file))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the file, and so unlock it."""
        if self._file:
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

    def append(self, line: Line) -> None:
        """Write one run."""
        assert self._file, "use it in a with statement"
        text = json.dumps(line, allow_nan=False) + "\n"
        try:
            os.write(self._file.fileno(), text.encode())
            os.fsync(self._file.fileno())
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.lines.append(line)


def _mended(file: IO[bytes]) -> bytes:
    """Read whole lines; end the last one, or cut it off if it is only a part."""
    content = file.read()
    whole = content.rfind(b"\n") + 1
    try:
        json.loads(content[whole:])
    except ValueError:
        file.truncate(whole)
        return content[:whole]
    os.write(file.fileno(), b"\n")
    return content


def _lock(file: IO[bytes], path: Path) -> None:
    """Refuse a file that another process appends to, where the system can tell."""
    try:
        import fcntl
    except ImportError:  # Windows
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        raise BlockingIOError(
            f"'{path}' is being written by another sweep: wait for its end, or choose "
            "another file"
        ) from None
