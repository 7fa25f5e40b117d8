"""``deepsvdd export``: a model as one ONNX file, to score elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from deepsvdd.cli import options as shared
from deepsvdd.cli.config import stored_settings
from deepsvdd.core.onnx_file import INPUT, OUTPUTS
from deepsvdd.files import refuse_output_as_input, require_writable
from deepsvdd.successors.saved import load_detector

RUN = ("dataset_name", "normal_class")


@click.command(name="export", short_help="Write a model as ONNX, to score elsewhere.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("output", type=shared.output_path())
@click.option(
    "--normal",
    help='What is normal, kept in the file: "digit 3".  [default: data set and '
    "class of a run of train]",
)
def command(model: Path, output: Path, normal: str | None) -> None:
    """Write the trained MODEL to the file OUTPUT, which ends in .onnx.

    One file with all that scoring takes: preprocessing, networks, threshold and, if the
    model is calibrated (fit --calibrate), p-values. Any ONNX runtime scores with it, in
    any language, without this package and torch: give it raw samples, as in training;
    vectors in the order of the training table's columns. The names of inputs and
    outputs are printed; what they mean, the columns, and the settings of training are
    in the file's metadata.

    Keep it in the precision that it has: in half precision, which some runtimes take by
    default, and after quantization, scores and labels are others. It needs
    pip install 'deepsvdd[export]'.

    \b
    deepsvdd export runs/a/model.safetensors three.onnx --normal "digit 3"
    Images with p-values, from the folder to the file:
      deepsvdd fit good/ m.safetensors --calibrate more_good/
      deepsvdd export m.safetensors m.onnx
    Score with it, in a Python that has only numpy and onnxruntime:
      session = onnxruntime.InferenceSession("three.onnx")
      score, label = session.run(None, {"x": images})
    """
    refuse_output_as_input(output, model)
    require_writable(output)
    detector = load_detector(model, device="cpu")
    detector.export_onnx(output, normal=normal or class_of_run(model))
    shape = detector.input_shape_
    dtype = "float64" if len(shape) == 1 else "float32"
    click.echo(f"{output}: {detector.kind}, {len(detector.members_)} member(s)")
    rows = {INPUT: f"input (batch, {', '.join(map(str, shape))}), {dtype}: raw samples"}
    calibrated = hasattr(detector, "calibration_")
    rows |= {
        name: f"output (batch,): {meaning}"
        for name, meaning in OUTPUTS.items()
        if calibrated or name != "p_value"
    }
    rows["threshold"] = f"{detector.threshold_:.6g}"
    for name, text in rows.items():
        click.echo(f"{name:<12} {text}")


def class_of_run(model: Path) -> str | None:
    """Say what was normal in the run of ``train`` that wrote a model, if one did."""
    told = stored_settings(model.with_name("config.json"))
    if model.name != "model.safetensors" or not {*RUN} <= told.keys():
        return None
    dataset, label = (told[name] for name in RUN)
    return f"{dataset}, class {label}"
