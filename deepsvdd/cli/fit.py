"""``deepsvdd fit``: train on images or arrays of one's own, with few labels or none."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch

from deepsvdd.cli import options as shared
from deepsvdd.cli.inputs import (
    input_files,
    joined,
    kind_of,
    read_array,
    read_batches,
    readable_pictures,
    refuse_idle,
    usable_rows,
)
from deepsvdd.cli.labels import labels_of, read_labels
from deepsvdd.cli.left_out import LeftOut, strict
from deepsvdd.cli.methods import METHODS, PLAIN, build
from deepsvdd.cli.outliers import outliers_of
from deepsvdd.cli.tables import read_table
from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.core._engine.distributed import process_group, rank
from deepsvdd.core._engine.threads import measured_threads
from deepsvdd.core.detector import Detector
from deepsvdd.core.known import Known
from deepsvdd.core.networks import NETWORKS, build_autoencoder, default_network
from deepsvdd.core.recipes import RECIPES
from deepsvdd.datasets.images import ImageArray, ImageFolder
from deepsvdd.files import refuse_output_as_input, require_writable
from deepsvdd.successors.transformations import LINEAR, SETS


@click.command(name="fit", short_help="Train on normal images or arrays of your own.")
@click.argument("input", type=click.Path(exists=True, path_type=Path))
@click.argument("model", type=shared.output_path())
@click.option(
    "--size",
    type=int,
    help="Side of image files, pixels; the networks take 8 to 256.  [default: 32]",
)
@click.option("--grey", is_flag=True, help="Read image files as gray, not in color.")
@click.option("--key", help="Array in an .npz (x_train, x or X if not given).")
@click.option(
    "--stream",
    is_flag=True,
    help="Read images while training, not once before: for more than fits into memory.",
)
@click.option("--n_workers", default=2, show_default=True, help="Processes that read.")
@click.option(
    "--network",
    type=click.Choice(("auto", *NETWORKS)),
    default="auto",
    show_default=True,
    help="auto chooses by the shape of the data.",
)
@click.option(
    "--widths",
    metavar="N,N,…",
    help="Sizes of the network's layers, if not its own: for vectors of each layer, "
    "64,32; for images channels, then the representation's dimension, 16,8,64.",
)
@click.option(
    "--recipe", type=click.Choice(tuple(RECIPES)), default="fast", show_default=True
)
@click.option(
    "--method",
    "--objective",  # its name where there were Deep SVDD's objectives only
    "method",
    type=click.Choice(tuple(METHODS)),
    default=PLAIN,
    show_default=True,
    help="one-class, soft-boundary: Deep SVDD; deep-sad: the former with --labels; "
    "fcdd: heat maps. Later methods: geom recognizes how an image was rotated, "
    "geom-shifts also how shifted; goad does it by clusters, of vectors, too; drocc "
    "makes anomalies around normal samples; hsc learns from --outliers. frozen trains "
    "nothing: distances between features of a --backbone.",
)
@click.option(
    "--nu",
    type=float,
    default=0.1,
    show_default=True,
    help="ν, the share of training data outside, and so flagged.",
)
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV with the columns sample and label (1 normal, -1 anomaly), for deep-sad, "
    "fcdd and hsc.",
)
@click.option(
    "--eta",
    type=shared.number_or_text,
    metavar="NUMBER|balanced",
    help="η of deep-sad, the weight of a labeled sample; balanced: all of them count "
    "as much as all others.  [default: 1]",
)
@click.option(
    "--outliers",
    metavar="PATH|confetti",
    help="What hsc and fcdd learn from: samples of something else, in a folder or file "
    "like INPUT, at most as many as INPUT has; or rectangles drawn over its images.  "
    "[default of fcdd: confetti]",
)
@click.option(
    "--transformations",
    type=click.Choice(("auto", *SETS, LINEAR)),
    help="What geom and goad recognize; linear: random maps of vectors.  "
    "[default: auto, rotations or linear]",
)
@click.option(
    "--radius",
    type=shared.number_or_text,
    metavar="NUMBER|auto",
    help="Where drocc makes anomalies: the distance from normal samples, after "
    "preprocessing.  [default: auto, the usual one to the nearest sample]",
)
@click.option(
    "--backbone",
    metavar="NAME",
    help="Network of torchvision's, such as resnet18, whose features frozen compares.",
)
@click.option(
    "--weights",
    metavar="FILE|auto|random",
    help="Of the backbone: a file with its state_dict; random, as a control.  "
    "[default: auto, downloaded once]",
)
@click.option(
    "--side",
    type=int,
    help="Pixels to which frozen enlarges images of an array; image files have --size. "
    "Most backbones were trained on 224.  [default: as they are]",
)
@click.option(
    "--calibrate",
    type=click.Path(exists=True, path_type=Path),
    help="Held-out normal samples, for p-values and promised false alarms.",
)
@click.option(
    "--n_members",
    default=1,
    show_default=True,
    help="Networks to train and average: more are better, and slower.",
)
@click.option("--seed", default=0, show_default=True)
@strict
@shared.device
@shared.precision
@click.option(
    "--checkpoint_every",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Save the state every so many epochs; the same command goes on from there.",
)
def command(input: Path, model: Path, **options: Any) -> None:
    """Train a detector on what is normal, and write it to the file MODEL.

    INPUT is a folder with images (subfolders too), an .npy or .npz file with images
    (n, h, w) or (n, c, h, w) or vectors (n, d), or a table of numbers (.csv, .parquet)
    with column names. All of it counts as normal, but for anomalies that --labels
    names, by the names of samples in the output of score. Files and rows that cannot be
    used are named and left out, and the exit status is then 3.

    \b
    deepsvdd fit good_parts/ parts.safetensors --size 32 --n_members 3
    deepsvdd score parts.safetensors new_parts/ --resize -o scores.csv
    By another method, here one that learns to tell rotations of normal images apart:
      deepsvdd fit good_parts/ parts.safetensors --method geom
    One that learns from images of anything else; of a table, from random maps:
      deepsvdd fit parts/ p.safetensors --method hsc --outliers other_pictures/
      deepsvdd fit table.csv t.safetensors --method goad --n_members 3
    Nothing trained, features of a network that knows ImageNet:
      deepsvdd fit parts/ p.safetensors --method frozen --backbone resnet18 --size 224
    With known anomalies among the images, and p-values from other good ones:
      deepsvdd fit parts/ p.safetensors --labels labels.csv --calibrate more_good/
      deepsvdd score p.safetensors new_parts/ --resize --p_values
    More images than memory, two processes (one a GPU, if there are GPUs):
      torchrun --nproc_per_node 2 -m deepsvdd fit images/ m.safetensors --stream
    """
    every = options.pop("checkpoint_every")
    folder = model.with_name(model.name + ".checkpoints")
    reading = {name: options.pop(name) for name in ("size", "grey", "key", "stream")}
    left_out = LeftOut(options.pop("strict"), "files" if input.is_dir() else "samples")
    labels, held_out = options.pop("labels"), options.pop("calibrate")
    widths = options.pop("widths")
    widths = None if widths is None else shared.sizes(widths, "widths")
    method, seed, key = options.pop("method"), options.pop("seed"), reading["key"]
    own = {
        "widths": widths,
        "random_state": seed,
        "checkpoint_dir": folder if every else None,
        "checkpoint_every": every or 1,
        "verbose": True,
    }
    detector = build(method, labels is not None, options | own)
    detector.check_parameters()
    outliers = outliers_of(options["outliers"], key, seed, reading["stream"])
    resolve_device(options["device"])
    given = read_labels(labels) if labels else None
    source = open_source(input, options["network"], widths, **reading)
    require_writable(model)
    files = (*source.files, *source.left_out) if isinstance(source, ImageFolder) else ()
    folders = [path for path in (held_out, outliers and outliers.path) if path]
    others = [file for path in folders for file in (path, *input_files(path))]
    others += [labels] if labels else []
    refuse_output_as_input(model, input, *files, *others)
    with measured_threads(), process_group():
        first = rank() == 0
        data, names, n = normal_data(source, left_out, reading["stream"], input)
        y = labels_of(names, given, labels) if given else np.zeros(len(names), int)
        told = []
        if given:
            counts = Known.of(y, None).counts_by_name(len(y)).items()
            told.append("labels: " + ", ".join(f"{k} {name}" for name, k in counts))
        if outliers:
            data, n_outliers, n_read = outliers.beside(data, left_out)
            told.append(f"outliers: {n_outliers} of '{outliers.path}'")
            y, n = np.append(y, np.full(n_outliers, -1)), n + n_read
        detector.fit(data, *([y] if told else []))
    if not first:
        return
    if held_out:
        n += calibrate(detector, held_out, left_out, key)
    detector.save(model)
    shutil.rmtree(folder, ignore_errors=True)
    shape = "×".join(map(str, detector.input_shape_))
    click.echo(
        f"{model}: {detector.network_} for samples of {shape}, "
        f"{len(detector.members_)} member(s), threshold {detector.threshold_:.6g}"
    )
    for line in told:
        click.echo(line)
    if held_out:
        click.echo(f"calibrated on {len(detector.calibration)} samples of '{held_out}'")
    left_out.finish(n)


def calibrate(
    detector: Detector, path: Path, left_out: LeftOut, key: str | None
) -> int:
    """Calibrate on held-out samples, without what cannot be used; count all of them."""
    columns = getattr(detector, "feature_names_in_", None)
    reader = read_batches(
        path,
        input_files(path),
        detector.input_shape_,
        None if columns is None else list(columns),
        left_out,
        key=key if path.suffix.lower() == ".npz" else None,
        resize=kind_of(path) == "images",
    )
    batches = list(reader)
    parts = [batch.samples for batch in batches if batch.usable.any()]
    if not parts:
        raise ValueError(f"calibrate must hold usable samples; got none in '{path}'")
    detector.calibrate(
        np.concatenate(parts) if isinstance(parts[0], np.ndarray) else joined(parts)
    )
    return sum(len(batch.names) for batch in batches)


def open_source(
    path: Path,
    network: str,
    widths: tuple[int, ...] | None,
    size: int | None,
    grey: bool,
    key: str | None,
    stream: bool,
) -> Any:
    """Find images, or read an array or a table; check all that needs no pixels."""
    refuse_idle(path, key=key, size=size, grey=grey)
    kind = kind_of(path)
    if kind == "images":
        if not path.is_dir():
            raise ValueError(
                f"INPUT must be a folder, .npy, .npz, .csv or .parquet; got '{path}'"
            )
        images = ImageFolder(path, 32 if size is None else size, grey=grey)
        with torch.device("meta"):  # refuses sizes, and takes no memory
            name = default_network(images.shape) if network == "auto" else network
            build_autoencoder(name, images.shape, widths)
        return images
    if stream and path.suffix.lower() != ".npy":
        why = ", which is compressed" if path.suffix.lower() == ".npz" else ""
        raise ValueError(
            f"stream must go without {path.suffix}{why}; got '{path}': save the array "
            "with np.save"
        )
    if kind == "tables":
        return read_table(path)
    return read_array(path, key, ("x_train", "x", "X"))


def normal_data(
    source: Any, left_out: LeftOut, stream: bool, path: Path
) -> tuple[Any, Sequence[str], int]:
    """Return training data without what cannot be used, names, and how many it was."""
    if not isinstance(source, ImageFolder):
        n = len(source)
        index = getattr(source, "index", range(n))  # a table's rows may have names
        if stream:  # vectors are not
            data = ImageArray(source) if source.ndim > 2 else source
            return data, list(map(str, index)), n
        usable = usable_rows(source, path, left_out)
        return source[usable], [str(index[i]) for i in np.flatnonzero(usable)], n
    n = len(source) + len(source.left_out)
    images = readable_pictures(source, left_out, stream)
    if len(source) < 2:
        reasons = "".join(f"; first: {reason}" for reason in left_out.reasons[:1])
        raise ValueError(
            f"'{path}' must hold at least 2 readable images; got {len(source)}{reasons}"
        )
    names = [str(file.relative_to(path)) for file in source.files]
    return images, names, n
