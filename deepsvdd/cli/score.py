"""``deepsvdd score``: anomaly scores and labels for new data."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import click

from deepsvdd.cli.inputs import read_input
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.files import write_text


@click.command(name="score", short_help="Score arrays or images with a trained model.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("input", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="CSV file to write."
)
@click.option("--threshold", type=float, help="Score above which: an anomaly.")
@click.option("--key", help="Array in an .npz (x_test, x or X if not given).")
@click.option("--resize", is_flag=True, help="Resize image files to the model's size.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, …")
def command(
    model: Path,
    input: Path,
    output: Path | None,
    threshold: float | None,
    key: str | None,
    resize: bool,
    device: str,
) -> None:
    """Write a CSV with an anomaly score and a label for each sample of INPUT.

    INPUT is an .npy or .npz file, an image, or a folder with images (subfolders too).
    Larger scores are more anomalous; the label compares the score with the threshold
    that training left in the model, or with yours. Without --output the CSV goes to
    standard output.

    \b
    deepsvdd score runs/a/model.safetensors my_images/ --resize -o scores.csv
    deepsvdd score runs/a/model.safetensors data.npz --key x_test | sort -t, -k2 -g
    """
    if threshold is not None and math.isnan(threshold):
        raise ValueError(f"threshold must be a number; got {threshold}")
    detector = DeepSVDD.load(model, device=device)
    if threshold is None:
        threshold = detector.threshold_
    names, samples = read_input(input, detector.input_shape_, key, resize)
    scores = detector.anomaly_score(samples)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["sample", "score", "label"])
    for name, score in zip(names, scores, strict=True):
        label = "anomaly" if score > threshold else "normal"
        writer.writerow([name, f"{score:.9g}", label])
    if output is None:
        click.echo(table.getvalue(), nl=False)
        return
    write_text(output, table.getvalue())
    anomalies = int((scores > threshold).sum())
    click.echo(
        f"{output}: {len(scores)} samples, {anomalies} above the threshold "
        f"{threshold:.6g}"
    )
