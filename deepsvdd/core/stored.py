"""What model files and export add to a detector."""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import TYPE_CHECKING, Any, ClassVar

from sklearn.utils.validation import check_is_fitted
from torch import nn

from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.core._engine.distributed import rank
from deepsvdd.core._engine.isolation import usual_modes
from deepsvdd.core.model_file import read_detector, write_detector
from deepsvdd.core.onnx_file import write_onnx
from deepsvdd.core.scoring import check_threshold

if TYPE_CHECKING:
    from typing_extensions import Self


class Stored:
    """Saving, loading and exporting, for a detector to inherit.

    Attributes
    ----------
    kind : str
        Name of the estimator in model files.
    required : tuple of str
        Parameters that every model file has; others may be younger than the file.
    measured : tuple of str
        Fitted attributes that the class adds and its files keep, positive numbers.
    """

    kind: ClassVar[str]
    get_params: Any  # scikit-learn's
    set_params: Any
    required: ClassVar[tuple[str, ...]] = ("network", "recipe")
    measured: ClassVar[tuple[str, ...]] = ()

    def save(self, path: str | PathLike[str]) -> None:
        """Write the fitted model to one file, safetensors with JSON metadata.

        Parameters
        ----------
        path : path-like
            For example ``model.safetensors``. Written whole or not at all.

        Raises
        ------
        OSError
            If the file cannot be written.
        ValueError
            If ``contamination`` was changed after ``fit``.
        """
        check_is_fitted(self)
        check_threshold(self)
        if rank() == 0:  # one of several processes writes for all
            parameters = self.get_params(deep=False)
            write_detector(path, self.kind, parameters, vars(self), self.measured)

    @usual_modes()
    def export_onnx(
        self, path: str | PathLike[str], *, normal: str | None = None
    ) -> None:
        """Write the fitted model to one ONNX file, to score without this package.

        Everything is inside: preprocessing, networks, their mean, threshold and, once
        calibrated, p-values; how to deploy it is in the book. It needs the extra:
        ``pip install 'deepsvdd[export]'``.

        Parameters
        ----------
        path : path-like
            Ends in ``.onnx``. Written whole or not at all.
        normal : str, optional
            What is normal, in your words, for the file's metadata; there also are
            version, threshold, what the input must be, and the settings of training.

        Raises
        ------
        OSError
            If the file cannot be written.
        OldDependencyError
            If a package that it takes is not installed.
        ValueError
            If ``contamination`` was changed after ``fit``, or a network of your own
            cannot be traced, or gives other scores under onnxruntime: three samples are
            scored before the file is written.

        Notes
        -----
        The graph has one input, ``x``: raw samples (batch, ...), float32 for images,
        float64 for vectors, of any batch size. Outputs, each (batch,): ``score``, that
        of :meth:`anomaly_score`, of the input's type; ``label``, int64, that of
        :meth:`predict`; ``p_value``, float64, that of :meth:`p_values`. Where this
        package refuses samples, with NaN above all, the graph gives the score NaN and
        the label −1.

        Examples
        --------
        >>> detector.export_onnx("three.onnx", normal="digit 3")  # doctest: +SKIP
        >>> import onnxruntime  # doctest: +SKIP
        >>> session = onnxruntime.InferenceSession("three.onnx")  # doctest: +SKIP
        >>> score, label = session.run(None, {"x": x})  # doctest: +SKIP
        """
        check_is_fitted(self)
        check_threshold(self)
        if rank() == 0:
            write_onnx(path, self, normal)

    @classmethod
    @usual_modes()
    def load(
        cls,
        path: str | PathLike[str],
        *,
        network: nn.Module | None = None,
        device: str = "auto",
    ) -> Self:
        """Read a model written by :meth:`save`.

        Parameters
        ----------
        path : path-like
            The file.
        network : Module, optional
            The encoder's architecture, for a model with a network of your own only.
        device : str, default="auto"
            Where to score.

        Returns
        -------
        estimator
            Of this class, fitted; it gives the very scores that the saved one gave.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        ModelFileError
            If the file is truncated, altered, foreign or of a later version, does not
            fit ``network``, or holds an estimator of another class; see
            :func:`deepsvdd.load_detector`.
        ValueError
            If a network is given for a model with one of the package's own.
        """
        _, parameters, fitted = read_detector(
            path, network, resolve_device(device), {cls.kind: cls}
        )
        return cls._of(parameters, fitted, device)

    @classmethod
    def with_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Make one with the parameters of a model file."""
        return cls(**parameters)

    @classmethod
    def _of(
        cls, parameters: dict[str, Any], fitted: dict[str, Any], device: str
    ) -> Self:
        """Put an estimator together from what its file holds."""
        detector = cls.with_parameters(parameters).set_params(device=device)
        detector.__dict__.update(fitted)
        return detector
