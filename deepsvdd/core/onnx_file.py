"""A fitted detector as one ONNX file, which any runtime scores without this package.

All is inside: preprocessing, networks, distances, their mean, threshold, p-values. The
file is written by torch's own exporter, and scored once by onnxruntime before it is put
in its place.
"""

from __future__ import annotations

import copy
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from importlib import import_module
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepsvdd.core.conformal import Calibration
from deepsvdd.core.layers import NormPool2d
from deepsvdd.core.model_file import metadata_of
from deepsvdd.core.objectives import map_scores, squared_distances
from deepsvdd.core.preprocessing import Preprocessor
from deepsvdd.core.scoring import rounding_of
from deepsvdd.core.training import Hypersphere
from deepsvdd.errors import OldDependencyError, reason_of
from deepsvdd.files import atomic_write, require_writable
from deepsvdd.version import __version__, numbers_of

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 18  # the oldest that torch's exporter writes, for the oldest runtimes
TOLERANCE = 1e-4  # of a score, that a faithful file may differ by
INPUT = "x"
OUTPUTS = {
    "score": "anomaly score; larger is more anomalous; NaN if x is not finite",
    "label": "1 normal, -1 outlier: a score above the threshold, or NaN",
    "p_value": "share of calibration samples that score as high, the sample among them",
}


class Scorer(nn.Module):
    """What the file computes, from raw samples to scores, labels and p-values.

    Images are computed in float32, vectors in float64, as by the detector; so are the
    comparisons, which decide as the detector does in float64 (:func:`rounded_down`).

    Parameters
    ----------
    preprocessor : Preprocessor
    members : sequence of Hypersphere
        Their networks are copied.
    threshold : float
    calibration : Calibration, optional
        Without it there are no p-values.
    """

    threshold: Tensor
    held_out: Tensor

    def __init__(
        self,
        preprocessor: Preprocessor,
        members: Sequence[Hypersphere],
        threshold: float,
        calibration: Calibration | None = None,
    ) -> None:
        super().__init__()
        self.preprocessor = preprocessor
        self.encoders = nn.ModuleList(
            copy.deepcopy(member.encoder).cpu() for member in members
        )
        for module in self.modules():
            if isinstance(module, NormPool2d):
                module.fused = False  # oneDNN's own layout is no part of ONNX
        self.distance = map_scores if members[0].maps else squared_distances
        self.centers = [member.center.cpu() for member in members]
        dtype = self.centers[0].dtype
        # As tensors: the exporter writes Python's numbers in float32.
        self.square = torch.tensor(members[0].radius ** 2, dtype=dtype)
        self.units = [torch.tensor(m.mean_distance, dtype=dtype) for m in members]
        limit = rounded_down(np.array(threshold), dtype)
        self.register_buffer("threshold", torch.from_numpy(limit))
        self.n_held_out = 0 if calibration is None else len(calibration)
        if calibration is not None:
            ordered = rounded_down(calibration.scores, dtype)
            filled = np.full(2 ** self.n_held_out.bit_length() - 1, np.inf)
            filled[: len(ordered)] = ordered
            self.register_buffer("held_out", torch.from_numpy(filled).to(dtype))
        self.eval()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map raw samples (n, ...) to scores, labels and, calibrated, p-values (n,)."""
        # Not left to the layers: some runtimes' pooling turns NaN into a number.
        finite = torch.isfinite(x).flatten(1).all(dim=1)
        score = torch.where(finite, self.score(self.preprocessor(x)), torch.nan)
        label = torch.where(score <= self.threshold, 1, -1)
        if not self.n_held_out:
            return score, label
        at_least = self.n_held_out - self.below(score)
        return score, label, (1 + at_least).double() / (self.n_held_out + 1)

    def score(self, x: Tensor) -> Tensor:
        """Score preprocessed samples (n, ...) as the detector does: (n,)."""
        squares = [
            self.distance(encoder(x), center)
            for encoder, center in zip(self.encoders, self.centers, strict=True)
        ]
        if len(squares) == 1:
            return squares[0] - self.square
        distances = [
            square.sqrt() / unit
            for square, unit in zip(squares, self.units, strict=True)
        ]
        return torch.stack(distances).mean(dim=0)

    def below(self, score: Tensor) -> Tensor:
        """Count the calibration scores below each score, by bisection; for NaN, all.

        ONNX has no ``searchsorted``, and a comparison of each with each takes memory.
        """
        count = torch.zeros_like(score, dtype=torch.int64)
        step = (len(self.held_out) + 1) // 2
        while step:
            further = count + step
            own = self.held_out.index_select(0, further - 1)
            count = torch.where(own >= score, count, further)
            step //= 2
        return count.clamp(max=self.n_held_out)


def rounded_down(numbers: NDArray[np.float64], dtype: torch.dtype) -> NDArray[Any]:
    """Round numbers to a type so that comparing with scores of it decides as before.

    A float32 score is at most a float64 number exactly if it is at most the largest
    float32 number that is.
    """
    if dtype == torch.float64:
        return numbers
    with np.errstate(over="ignore"):
        near = numbers.astype(np.float32)
    lower = np.nextafter(near, np.float32(-np.inf))
    return np.where(near > numbers, lower, near)


def write_onnx(
    path: str | PathLike[str], detector: Any, normal: str | None = None
) -> None:
    """Write a fitted detector to one ONNX file, whole or not at all.

    Parameters
    ----------
    path : path-like
        Ends in ``.onnx``.
    detector : DeepSVDD or DeepSAD
    normal : str, optional
        What is normal, for the file's metadata.

    Raises
    ------
    ValueError
        If the path has another ending, or a network of the user's own cannot be
        exported, or gives other scores when it is.
    OldDependencyError
        If onnx, onnxscript or onnxruntime is not installed.
    OSError
        If the file cannot be written.
    """
    if not os.fspath(path).lower().endswith(".onnx"):
        raise ValueError(f"path must end in .onnx; got '{os.fspath(path)}'")
    if not (normal is None or isinstance(normal, str)):
        raise ValueError(f"normal must be None or a text; got {normal!r}")
    check_installed()
    require_writable(path)
    scorer = Scorer(
        detector.preprocessor_,
        detector.members_,
        detector.threshold_,
        getattr(detector, "calibration_", None),
    )
    model = traced(scorer, detector.input_shape_)
    describe(model, detector, normal)
    content = model.SerializeToString()
    check_faithful(content, detector)
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)


def check_installed() -> None:
    """Raise OldDependencyError unless all is here that an export takes."""
    for name in ("onnx", "onnxscript", "onnxruntime"):
        try:
            import_module(name)
        except ImportError:
            raise OldDependencyError(
                f"an export to ONNX needs {name}: pip install 'deepsvdd[export]'"
            ) from None
    if numbers_of(torch.__version__) < (2, 9):
        raise OldDependencyError(
            f"an export to ONNX needs torch 2.9 or newer; got {torch.__version__}: "
            "pip install 'deepsvdd[export]'"
        )


def traced(scorer: Scorer, shape: tuple[int, ...]) -> ModelProto:
    """Turn a scorer into a graph for batches of any size.

    The exporter would by default fix the batch to that of its example, put large
    weights into a second file, and write down where on this machine the code lies.
    """
    double = scorer.centers[0].dtype == torch.float64
    # Two: torch takes a batch of one, or none, for a rule.
    example = torch.zeros(2, *shape, dtype=scorer.centers[0].dtype)
    outputs = list(OUTPUTS)[: 3 if scorer.n_held_out else 2]
    try:
        with quiet(), torch.no_grad():
            program = torch.export.export(
                scorer,
                (example,),
                dynamic_shapes=({0: torch.export.Dim.DYNAMIC},),
                strict=False,
            )
            exported = torch.onnx.export(
                program,
                (example,),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=outputs,
                dynamic_shapes=({0: "batch"},),
                custom_translation_table=elementary() if double else None,
            )
    except Exception as error:  # torch has a dozen types
        raise ValueError(
            "network must be one that torch.onnx.export can trace; "
            f"{type(scorer.encoders[0]).__name__} is not: {root_of(error)}"
        ) from None
    assert exported is not None
    model: ModelProto = exported.model_proto
    graph = model.graph
    values = (*graph.input, *graph.output, *graph.value_info)
    for part in (graph, *graph.node, *graph.initializer, *values):
        part.ClearField("metadata_props")
    return model


@contextmanager
def quiet() -> Iterator[None]:
    """Keep the exporter's warnings to itself: a failure's are pages of code."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def root_of(error: BaseException) -> str:
    """Put the first of a chain of errors into the end of a sentence."""
    while error.__cause__ is not None:
        error = error.__cause__
    return re.sub(r"\x1b\[\d*m", "", reason_of(error))


def elementary() -> dict[Any, Any]:
    """Say activations by comparisons: onnxruntime has their float32 kernels alone."""
    from onnx.numpy_helper import from_array
    from onnxscript import opset18 as op

    def number(value: float) -> Any:
        return op.Constant(value=from_array(np.array(value, dtype=np.float64)))

    def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
        return op.Where(op.Less(x, number(0)), op.Mul(x, number(negative_slope)), x)

    def elu(
        x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0
    ) -> Any:
        bent = op.Sub(op.Exp(op.Mul(x, number(input_scale))), number(1))
        bent = op.Mul(bent, number(alpha))
        return op.Mul(op.Where(op.Less(x, number(0)), bent, x), number(scale))

    aten = torch.ops.aten
    return {aten.leaky_relu.default: leaky_relu, aten.elu.default: elu}


def describe(model: ModelProto, detector: Any, normal: str | None) -> None:
    """Write into a model where it comes from, what it takes, and what it gives."""
    parameters = detector.get_params(deep=False)
    provenance = metadata_of(
        detector.kind, parameters, vars(detector), detector.measured
    )
    for member in provenance["members"]:
        del member["history"]
    known = getattr(detector, "training_hashes_", ())
    provenance["n_training"] = len(known) or None
    outputs = [output.name for output in model.graph.output]
    properties = {
        "deepsvdd_version": __version__,
        "estimator": detector.kind,
        "normal": normal,
        "threshold": repr(detector.threshold_),
        "input": input_of(detector),
        "output": {name: OUTPUTS[name] for name in outputs},
        "provenance": provenance,
    }
    model.producer_name, model.producer_version = "deepsvdd", __version__
    model.doc_string = (
        f"{detector.kind}, an anomaly detector, with its preprocessing and threshold: "
        "give it raw samples; the metadata say what they are. Compute in float32, or "
        "float64 where x is: in half precision scores and labels are others."
    )
    del model.metadata_props[:]
    for key, value in properties.items():
        if value is not None:
            text = value if isinstance(value, str) else json.dumps(value)
            model.metadata_props.add(key=key, value=text)


SCALES = {
    "gcn_l1": "any: brightness and contrast of each image are normalized",
    "gcn_l2": "any: brightness and contrast of each image are normalized",
    "minmax": "that of training, where values went from minimum to maximum",
    "standard": "that of training, where columns had this mean and standard_deviation",
    "none": "that of training: nothing is scaled",
}


def input_of(detector: Any) -> dict[str, Any]:
    """Describe what a detector takes: shape, type, and the range of its values."""
    shape, preprocessor = detector.input_shape_, detector.preprocessor_
    names = getattr(detector, "feature_names_in_", None)
    low, high = preprocessor.minimum, preprocessor.maximum
    measured = {
        "minmax": {"minimum": low, "maximum": high},
        "standard": {"mean": low, "standard_deviation": high - low},
    }.get(preprocessor.method, {})
    return {
        "name": INPUT,
        "shape": ["batch", *shape],
        "axes": ["sample", "column"]
        if len(shape) == 1
        else ["image", "channel", "row", "column"],
        "type": "float64" if len(shape) == 1 else "float32",
        "columns": None if names is None else [str(name) for name in names],
        "unit": SCALES[preprocessor.method],
        **{name: value.tolist() for name, value in measured.items()},
    }


def check_faithful(content: bytes, detector: Any) -> None:
    """Raise ValueError unless onnxruntime gives the detector's scores for some samples.

    Three, and one: the batch may have any size.
    """
    import onnxruntime

    kind = type(detector.members_[0].encoder).__name__
    x = some_samples(detector.preprocessor_, detector.input_shape_)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # what is wrong is told below
    try:
        session = onnxruntime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"]
        )
        parts = [session.run(["score"], {INPUT: p.numpy()})[0] for p in (x, x[:1])]
    except Exception as error:  # of a dozen types
        dtype = str(x.dtype).removeprefix("torch.")
        raise ValueError(
            f"network must be one that onnxruntime can run in {dtype}, on batches of "
            f"any size; {kind} is not: {reason_of(error)}"
        ) from None
    found, expected = np.concatenate(parts), detector._score(x)[[0, 1, 2, 0]]
    scale = np.abs(expected) + detector.members_[0].radius ** 2
    rounding = [rounding_of(detector.members_)(score) for score in expected]
    off = np.abs(found - expected) > TOLERANCE * scale + rounding
    if off.any():
        raise ValueError(
            f"network must give the same scores in onnxruntime; {kind} gives "
            f"{found[off][0]:.6g} there and {expected[off][0]:.6g} here"
        )


def some_samples(preprocessor: Preprocessor, shape: tuple[int, ...]) -> Tensor:
    """Draw three samples (3, ...) of the scale that was trained on."""
    low, high = preprocessor.minimum, preprocessor.maximum
    generator = torch.Generator().manual_seed(0)
    dtype = torch.float64 if len(shape) == 1 else torch.float32
    x = torch.rand(3, *shape, generator=generator, dtype=dtype)
    scaled = preprocessor.method.startswith("gcn")  # by itself, whatever x is
    return x if scaled else low + (high - low) * x
