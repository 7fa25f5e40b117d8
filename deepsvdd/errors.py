"""Errors and warnings that Deep SVDD has and Python does not."""

from typing import Any


class ArchitectureError(ValueError):
    """The paper's propositions forbid the network: biases, bounded activations.

    In the book: prop-bounded (04-collapse).
    """


class TrainingDivergedError(FloatingPointError):
    """The loss became NaN or infinite during training."""


class UnreadableImageError(ValueError):
    """A file or bytes that are no picture, or a damaged one; the message says why."""


class UnscorableError(ValueError):
    """Samples so far from the training data that their scores are no finite numbers.

    Attributes
    ----------
    scores : ndarray of shape (n,)
        Those of all samples; NaN or infinite for some.
    """

    scores: Any


class ModelFileError(ValueError):
    """A model file that is truncated, tampered with, or of another format."""


class NotCalibratedError(ValueError):
    """A promise is asked of a detector that has seen no held-out samples yet."""


class OverlapWarning(UserWarning):
    """Samples that a detector has seen before: p-values promise nothing of them.

    A sample of the training data has too low a score, one of the calibration data is
    compared with itself. Samples are known by their values: in tables of few distinct
    rows, equal ones come by chance, and do no harm.
    """


class CollapseWarning(UserWarning):
    """The network maps (nearly) all training data to one point.

    Hypersphere collapse (paper, Section 3.3): the loss looks perfect, and scores differ
    in their last digits only, which rounding, and lower precision above all, changes.
    Check the network for bias terms and bounded activations, the data for identical
    samples, and the learning rate and weight decay for size.

    In the book: sec-collapse-monitor (07-one-class).
    """


class FewSamplesWarning(UserWarning):
    """So few training samples that the scores depend on the seed more than on the data.

    Below fifty, seeds differed by 2 to 13 points of AUC (standard deviation) on digits
    and tables. Average several networks, or use the distance to the nearest training
    samples, which has no seed.
    """


class DataUnavailableError(RuntimeError):
    """A data set is not here and cannot be fetched; the message names the ways out."""


class ProcessLostError(ConnectionError):
    """Another process of a training in several processes has ended before its time."""


class OldDependencyError(ImportError):
    """A dependency is older than this package can use; the message names the fix."""


def reason_of(error: BaseException) -> str:
    """Put another library's error into the end of a sentence: its first line, cut."""
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:150]
