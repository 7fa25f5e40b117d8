"""``deepsvdd score``: anomaly scores and labels for new data."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator
from pathlib import Path

import click
import numpy as np

from deepsvdd.cli import options as shared
from deepsvdd.cli.heat_maps import HeatMaps
from deepsvdd.cli.inputs import Batch, input_files, kind_of, read_batches
from deepsvdd.cli.left_out import LeftOut, strict, warn
from deepsvdd.core.conformal import conformal_p_values
from deepsvdd.core.detector import Detector
from deepsvdd.errors import UnscorableError
from deepsvdd.files import (
    growing_text,
    part_of,
    refuse_output_as_input,
    require_writable,
)
from deepsvdd.successors.saved import load_detector

UNSCORED = "unscored"  # the label of what has no score


@click.command(name="score", short_help="Score arrays or images with a trained model.")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("input", type=click.Path(exists=True, path_type=Path))
@click.option("-o", "--output", type=shared.output_path(), help="CSV file to write.")
@click.option("--threshold", type=float, help="Score above which: an anomaly.")
@click.option(
    "--false_alarms",
    type=float,
    help="Threshold that promises at most this share of false alarms, with 95 % "
    "confidence; for a calibrated model.",
)
@click.option(
    "--p_values",
    is_flag=True,
    help="Add the column p_value; for a calibrated model (fit --calibrate).",
)
@click.option(
    "--explain",
    type=shared.output_path(folder=True),
    help="New folder for a picture of each image beside its heat map.",
)
@click.option("--key", help="Array in an .npz (x_test, x or X if not given).")
@click.option("--resize", is_flag=True, help="Resize image files to the model's size.")
@strict
@shared.device
def command(
    model: Path,
    input: Path,
    output: Path | None,
    threshold: float | None,
    false_alarms: float | None,
    p_values: bool,
    explain: Path | None,
    key: str | None,
    resize: bool,
    strict: bool,
    device: str,
) -> None:
    """Write a CSV with an anomaly score and a label for each sample of INPUT.

    INPUT is an .npy or .npz file, a table (.csv, .parquet) with the columns that the
    model was trained on, an image, or a folder with images (subfolders too). Larger
    scores are more anomalous; the label compares the score with the threshold that
    training left in the model, or with yours. A p-value is the chance that a normal
    sample scores as high, as far as the samples of calibration tell.

    Rows are written as they come, to standard output or to OUTPUT.part, which becomes
    OUTPUT when all are there. What cannot be read or scored has an empty score and the
    label "unscored"; its file or row is named, and the exit status is 3.

    \b
    deepsvdd score runs/a/model.safetensors my_images/ --resize -o scores.csv
    deepsvdd score runs/a/model.safetensors data.npz --key x_test | sort -t, -k2 -g
    deepsvdd score parts.safetensors new_parts/ --resize --explain heat_maps/
    """
    if threshold is not None and math.isnan(threshold):
        raise ValueError(f"threshold must be a number; got {threshold}")
    if threshold is not None and false_alarms is not None:
        raise ValueError("threshold must go without false_alarms, which finds one")
    left_out = LeftOut(strict, "files" if kind_of(input) == "images" else "samples")
    files = input_files(input)
    if output:
        check_output(output, model, input, *files)
    detector = load_detector(model, device=device)
    if false_alarms is not None:
        threshold = detector.threshold_for(false_alarms)
    elif threshold is None:
        threshold = detector.threshold_
    columns = getattr(detector, "feature_names_in_", None)
    batches = read_batches(
        input,
        files,
        detector.input_shape_,
        None if columns is None else list(columns),
        left_out,
        key=key,
        resize=resize,
    )
    pictures = HeatMaps(explain, detector, threshold) if explain else None
    table = Table(detector, threshold, left_out, p_values, pictures)
    parts = table.parts(batches, input)
    if output is None:
        for text in parts:
            click.echo(text, nl=False)
    else:
        write(output, parts, table)
        click.echo(
            f"{output}: {table.n_rows} samples, {table.n_anomalies} above the "
            f"threshold {threshold:.6g}"
        )
    if pictures:
        pictures.bar.close()
        click.echo(f"{explain}: {pictures.n} heat maps", err=True)
    left_out.finish(table.n_rows)


def check_output(output: Path, *inputs: Path) -> None:
    """Refuse an output that cannot be written, or that would destroy an input."""
    require_writable(output)
    for written in (output, part_of(output)):
        refuse_output_as_input(written, *inputs)


class Table:
    """Turns samples into lines of CSV, and counts them.

    Attributes
    ----------
    n_rows, n_scored, n_anomalies : int
        Lines, those with a score, and those above the threshold.
    """

    def __init__(
        self,
        detector: Detector,
        threshold: float,
        left_out: LeftOut,
        p_values: bool = False,
        pictures: HeatMaps | None = None,
    ) -> None:
        self.detector = detector
        self.threshold = threshold
        self.left_out = left_out
        self.pictures = pictures
        # Asked for now: what is wrong is said before anything is scored.
        self.held_out = detector.calibration.scores if p_values else None
        self.n_rows = self.n_scored = self.n_anomalies = 0

    def parts(self, batches: Iterable[Batch], input: Path) -> Iterator[str]:
        """Yield the table piece by piece; nothing until there is a score.

        Raises
        ------
        ValueError
            If there is none in the end.
        """
        more = [] if self.held_out is None else ["p_value"]
        text = csv_line("sample", "score", *more, "label")
        for batch in batches:
            text += self._lines(batch)
            if self.n_scored:
                yield text
                text = ""
        if not self.n_scored:
            what = "readable image" if kind_of(input) == "images" else "usable sample"
            reasons = self.left_out.reasons
            first = f"; first: {reasons[0]}" if reasons else ""
            raise ValueError(f"no {what} in '{input}'{first}")

    def _lines(self, batch: Batch) -> str:
        scores = np.full(len(batch.names), np.nan)
        if batch.usable.any():
            try:
                found = self.detector.anomaly_score(batch.samples)
            except UnscorableError as error:
                found = error.scores
            scores[batch.usable] = found
        for index in np.flatnonzero(batch.usable & ~np.isfinite(scores)):
            self.left_out.add(
                f"sample {batch.names[index]!r} is so far from the training data that "
                f"its score is {scores[index]}"
            )
        scored = np.isfinite(scores)
        anomalous = scored & (scores > self.threshold)
        self.n_rows += len(scores)
        self.n_scored += int(scored.sum())
        self.n_anomalies += int(anomalous.sum())
        if self.pictures:
            own = [
                name
                for name, fine in zip(batch.names, batch.usable, strict=True)
                if fine
            ]
            self.pictures.draw(own, batch.samples, scores[batch.usable])
        labels = np.where(anomalous, "anomaly", np.where(scored, "normal", UNSCORED))
        columns = [
            [f"{s:.9g}" if fine else "" for s, fine in zip(scores, scored, strict=True)]
        ]
        if self.held_out is not None:
            p = conformal_p_values(scores, self.held_out)
            columns.append(
                [f"{v:.6g}" if fine else "" for v, fine in zip(p, scored, strict=True)]
            )
        return "".join(
            csv_line(*fields)
            for fields in zip(batch.names, *columns, labels, strict=True)
        )


def csv_line(*fields: str) -> str:
    """Write one line, with quotes where they are needed."""
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()


def write(output: Path, parts: Iterator[str], table: Table) -> None:
    """Write what comes as it comes; if it ends too soon, say where it is."""
    text = next(parts)  # no file is begun before something is scored
    written = 0
    try:
        with growing_text(output) as file:
            file.write(text)
            written = table.n_rows
            for text in parts:
                file.flush()
                file.write(text)
                written = table.n_rows
    except BaseException:
        if written:
            warn(f"not finished: the rows that were scored are in '{part_of(output)}'")
        raise
