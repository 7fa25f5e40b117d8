"""Data sets by their names: where each comes from, and how it is loaded.

MNIST is part of the package. The others come from a folder, or once over the network
through torchvision, which puts them there.
"""

import errno
import io
import os
import socket
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from functools import lru_cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
from numpy.typing import NDArray

from deepsvdd.datasets.gtsrb import CLASSES, DRAWN, SIDE, has_images, read_gtsrb
from deepsvdd.datasets.splits import Dataset, Images
from deepsvdd.errors import DataUnavailableError
from deepsvdd.files import WriteError, atomic_write, cannot_write, sha256_of

_BUNDLED = Path(__file__).with_name("bundled")
_KEYS = ("x_train", "y_train", "x_test", "y_test")
_CONTENT = f"the arrays {', '.join(_KEYS)}"
_TIMEOUT = 15.0  # seconds without an answer; a firewall may never give one


@dataclass(frozen=True)
class _Source:
    """What is known about a data set before it is loaded."""

    image_shape: tuple[int, int, int]  # (h, w, c)
    classes: tuple[str, ...]
    torchvision: str = ""  # the class in torchvision.datasets that fetches it
    bundled_sha256: str = ""  # of the file in the package, if it has one
    preprocessing: str = "auto"  # the paper's, as DeepSVDD calls it


# One row a data set: to add one that torchvision has, add a row.
_SOURCES = {
    "mnist": _Source(
        image_shape=(28, 28, 1),
        classes=tuple("0123456789"),
        bundled_sha256="99b6212d8b734503d7fa2e29ea6413ba"
        "d62226998e56555f4a6b0b30072f1aec",
    ),
    "fashion_mnist": _Source(
        image_shape=(28, 28, 1),
        classes=(
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        torchvision="FashionMNIST",
    ),
    "cifar10": _Source(
        image_shape=(32, 32, 3),
        classes=(
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        torchvision="CIFAR10",
    ),
    "gtsrb": _Source(
        image_shape=(SIDE, SIDE, 3),
        classes=CLASSES,
        torchvision="GTSRB",
        preprocessing="minmax",  # without contrast normalization, Section 4.3
    ),
}


DATASETS = tuple(_SOURCES)
DRAWN_SIGNS = "drawn signs"  # what a set of drawn signs is called, never gtsrb
_NAMED = _SOURCES | {DRAWN_SIGNS: _SOURCES["gtsrb"]}
CLASS_NAMES = {name: source.classes for name, source in _NAMED.items()}
PREPROCESSING = {name: source.preprocessing for name, source in _NAMED.items()}


def load_dataset(
    name: str, root: str | os.PathLike[str] | None = None, download: bool = True
) -> Dataset:
    """Load a data set by name.

    MNIST comes with the package. For the others the first that exists is taken:

    1. ``root/NAME.npz`` with the uint8 images ``x_train`` and ``x_test``, shape
       (n, h, w) or (n, h, w, c), and the integer labels ``y_train`` and ``y_test``,
       shape (n,);
    2. torchvision's own files in `root`;
    3. torchvision's download into `root`, checked against its checksums.

    After 2 and 3 ``root/NAME.npz`` is written: it loads faster, and it is the one file
    to copy to computers without a network.

    The traffic signs of ``gtsrb`` are cut out by their annotations and resized to
    32×32. If those in `root` are drawn (:mod:`deepsvdd.datasets.signs`), the data set's
    name is "drawn signs", only some of the classes have images, and no ``gtsrb.npz`` is
    written.

    Parameters
    ----------
    name : {'mnist', 'fashion_mnist', 'cifar10', 'gtsrb'}
    root : path-like, optional
        Folder of the data sets that are not bundled. By default the environment
        variable ``DEEPSVDD_DATA``, else ``deepsvdd`` in the user's cache folder.
    download : bool, default True
        Whether the network may be used.

    Returns
    -------
    Dataset
        With read-only arrays. A second call returns the same object, unless the file
        has changed.

    Raises
    ------
    ValueError
        Unknown `name`, a ``NAME.npz`` that is damaged or not of the form above, or
        traffic signs without their annotations or with images missing.
    DataUnavailableError
        The data set is neither in `root` nor could it be downloaded, or the bundled
        file is damaged.
    OSError
        The download could not be written to `root`.

    References
    ----------
    MNIST: LeCun, Bottou, Bengio and Haffner, Gradient-based learning applied to
    document recognition, 1998. Fashion-MNIST: Xiao, Rasul and Vollgraf,
    arXiv:1708.07747, 2017. CIFAR-10: Krizhevsky, Learning multiple layers of features
    from tiny images, 2009. GTSRB: Stallkamp, Schlipsing, Salmen and Igel, Man vs.
    computer: Benchmarking machine learning algorithms for traffic sign recognition,
    Neural Networks 32, 2012.

    Examples
    --------
    >>> mnist = load_dataset("mnist")
    >>> mnist.x_train.shape
    (60000, 1, 28, 28)
    """
    if name not in _SOURCES:
        known = ", ".join(map(repr, _SOURCES))
        raise ValueError(f"name must be one of {known}, got {name!r}")
    bundled = bool(_SOURCES[name].bundled_sha256)
    path = dataset_file(name, root)
    stamp = _stamp(path)
    if bundled or stamp:
        return _from_npz(name, path, stamp)
    signs = path.with_suffix("")
    if name == "gtsrb" and has_images(signs):
        return _from_signs(path, _stamp(signs / DRAWN))
    return _from_torchvision(name, path, download)


def dataset_file(name: str, root: str | os.PathLike[str] | None = None) -> Path:
    """Tell which file a data set is read from, or would be if it were there.

    Parameters
    ----------
    name : str
        One of :data:`DATASETS`.
    root : path-like, optional
        As for :func:`load_dataset`.
    """
    bundled = bool(_SOURCES[name].bundled_sha256)
    return (_BUNDLED if bundled else _data_folder(root)) / f"{name}.npz"


# From a file -------------------------------------------------------------------------


def _data_folder(root: str | os.PathLike[str] | None) -> Path:
    """`root`, else $DEEPSVDD_DATA, else a folder in the user's cache, as absolute."""
    chosen = root or os.environ.get("DEEPSVDD_DATA")
    if not chosen:
        env = os.environ
        cache = env.get("XDG_CACHE_HOME") or env.get("LOCALAPPDATA") or "~/.cache"
        chosen = Path(cache) / "deepsvdd"
    return Path(chosen).expanduser().resolve()


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file does, None if there is no file."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=4)
def _from_npz(name: str, path: Path, stamp: tuple[int, int] | None) -> Dataset:
    """Read a file; `stamp` is a part of the cache's key and otherwise unused."""
    content = _read(path)
    if _SOURCES[name].bundled_sha256:
        _check_bundled(name, path, content)
    return _dataset(name, _arrays(path, content), f"'{path}'")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        fix = "make it a readable file or name another folder"
        if path.parent == _BUNDLED:
            fix = _restore(path)
        reason = (error.strerror or str(error)).lower()
        raise DataUnavailableError(f"cannot read '{path}': {reason}; {fix}") from error


def _check_bundled(name: str, path: Path, content: bytes) -> None:
    # The size tells a Git LFS pointer (about 130 bytes) or a truncated copy from a
    # file whose line ends Git has converted.
    if sha256_of(content) != _SOURCES[name].bundled_sha256:
        raise DataUnavailableError(
            f"'{path}' is not the file that belongs to this version of deepsvdd "
            f"({len(content)} bytes, wrong SHA-256); {_restore(path)}"
        )


def _restore(path: Path) -> str:
    return (
        f"restore it by `git checkout -- deepsvdd/datasets/bundled/{path.name}` "
        "or by reinstalling the package"
    )


def _arrays(path: Path, content: bytes) -> dict[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            return {key: archive[key] for key in _KEYS if key in archive}
    except Exception as error:  # damage surfaces as a dozen types, from zlib to numpy
        raise ValueError(
            f"'{path}' must be an .npz file with {_CONTENT}, "
            f"but it cannot be decoded ({_reason(error)}); copy or create it again"
        ) from error


# Checks ------------------------------------------------------------------------------


def _dataset(name: str, arrays: Mapping[str, NDArray[Any]], where: str) -> Dataset:
    """Check the arrays, bring them into the one layout, and lock them."""
    missing = [key for key in _KEYS if key not in arrays]
    if missing:
        raise ValueError(
            f"{where} must hold {_CONTENT}, but it lacks {', '.join(missing)}"
        )
    locked: dict[str, NDArray[Any]] = {}
    for part in ("train", "test"):
        x, y = arrays[f"x_{part}"], arrays[f"y_{part}"]
        _check_images(x, _SOURCES[name].image_shape, f"{where}: x_{part}")
        _check_labels(y, len(x), len(_SOURCES[name].classes), f"{where}: y_{part}")
        locked[f"x_{part}"] = _channels_first(x)
        locked[f"y_{part}"] = y.astype(np.int64)
    for array in locked.values():
        array.flags.writeable = False  # the cache hands them to every caller
    return Dataset(name=name, classes=_SOURCES[name].classes, **locked)


def _check_images(
    x: NDArray[Any], image_shape: tuple[int, int, int], what: str
) -> None:
    shapes = [image_shape] if image_shape[2] > 1 else [image_shape[:2], image_shape]
    if x.dtype != np.uint8 or x.shape[1:] not in shapes:
        expected = " or ".join(f"(n, {', '.join(map(str, s))})" for s in shapes)
        raise ValueError(
            f"{what} must be uint8 of shape {expected}, "
            f"got {x.dtype} of shape {x.shape}"
        )


def _check_labels(y: NDArray[Any], n: int, n_classes: int, what: str) -> None:
    if y.dtype.kind not in "iu" or y.shape != (n,):
        raise ValueError(
            f"{what} must be integers of shape ({n},), one for each image, "
            f"got {y.dtype} of shape {y.shape}"
        )
    wrong = y[(y < 0) | (y >= n_classes)]
    if wrong.size:
        raise ValueError(
            f"{what} must hold labels from 0 to {n_classes - 1}, got {wrong[0]}"
        )


def _channels_first(x: NDArray[Any]) -> Images:
    if x.ndim == 3:
        return x[:, None]  # (n, h, w) → (n, 1, h, w)
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))  # (n, h, w, c) → (n, c, h, w)


# From GTSRB's own files --------------------------------------------------------------


@lru_cache(maxsize=2)
def _from_signs(path: Path, drawn: tuple[int, int] | None) -> Dataset:
    """Read the signs in the folder beside `path`; the real ones are kept as `path`.

    Of drawn signs there is no such copy: it would not tell what it is a copy of.
    """
    folder = path.with_suffix("")
    arrays = read_gtsrb(folder)
    dataset = _dataset("gtsrb", arrays, f"'{folder}'")
    if drawn:
        return replace(dataset, name=DRAWN_SIGNS)
    _keep(path, arrays)
    return dataset


# From torchvision --------------------------------------------------------------------

_TORCHVISION_ERRORS: tuple[type[Exception], ...] = (
    *(ImportError, RuntimeError),  # not installed; no mirror answers, wrong checksum
    *(OSError, HTTPException),  # network and disk
    *(ValueError, AssertionError, EOFError),  # files of an interrupted download
)


@lru_cache(maxsize=2)
def _from_torchvision(name: str, path: Path, download: bool) -> Dataset:
    """Fetch a data set into the folder of `path`, and keep it as `path`."""
    try:
        with redirect_stdout(io.StringIO()), _socket_timeout(_TIMEOUT):
            arrays = _torchvision_arrays(name, path.parent, download)
    except _TORCHVISION_ERRORS as error:
        if isinstance(error, OSError) and _is_about_disk(error):
            raise cannot_write(error.filename or path.parent, error) from error
        # `from None`: below pages of urllib's traceback nobody finds the sentence
        raise _unavailable(path, download, error) from None
    dataset = _dataset(name, arrays, f"torchvision's {_SOURCES[name].torchvision}")
    _keep(path, arrays)
    return dataset


def _keep(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write the file from which a data set will be loaded the next time."""
    try:
        with atomic_write(path) as temporary:
            np.savez(temporary, **arrays)  # type: ignore[arg-type]
    except WriteError as error:
        # Level 4: whoever called load_dataset.
        warnings.warn(f"{error}; {path.stem} is loaded all the same", stacklevel=4)


def _torchvision_arrays(
    name: str, folder: Path, download: bool
) -> dict[str, NDArray[Any]]:
    # Here, not at the top: it takes seconds, and most users only need MNIST.
    import torchvision

    fetch = getattr(torchvision.datasets, _SOURCES[name].torchvision)
    if name == "gtsrb":  # torchvision neither cuts its signs out nor has them as arrays
        for part in ("train", "test"):
            fetch(folder, split=part, download=download)
        return read_gtsrb(folder / name)
    train = fetch(folder, train=True, download=download)
    test = fetch(folder, train=False, download=download)
    parts = (train.data, train.targets, test.data, test.targets)
    return dict(zip(_KEYS, map(np.asarray, parts), strict=True))


@contextmanager
def _socket_timeout(seconds: float) -> Iterator[None]:
    """Bound every wait for the network: torchvision itself sets no limit."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _is_about_disk(error: OSError) -> bool:
    """Whether an error of a download is about the disk and not about the network."""
    if isinstance(error, URLError):  # an OSError, and HTTPError's filename is a URL
        return False
    return error.filename is not None or error.errno in (errno.ENOSPC, errno.EDQUOT)


def _unavailable(path: Path, download: bool, error: Exception) -> DataUnavailableError:
    way_out = "load it once with a network connection"
    if not download:
        way_out += " and download=True"
    drawing = (
        ", or draw signs by `deepsvdd signs FOLDER`" if path.stem == "gtsrb" else ""
    )
    return DataUnavailableError(
        f"'{path}' does not exist and torchvision could not supply the data "
        f"({_reason(error)}); {way_out} (delete an interrupted download "
        f"there first), or put a {path.name} with {_CONTENT} into that folder or into "
        f"one that root or DEEPSVDD_DATA names{drawing}"
    )


def _reason(error: Exception) -> str:
    """Return the cause in an error's message: torchvision puts it into the last line.

    Only its first sentence, because more would follow inside a sentence of ours.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[-1].strip("<>. ").split(". ")[0]
