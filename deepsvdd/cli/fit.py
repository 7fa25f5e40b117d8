"""``deepsvdd fit``: train on images or arrays of one's own, without labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import click
import numpy as np

from deepsvdd.cli import options as shared
from deepsvdd.cli.inputs import read_array, refuse_idle
from deepsvdd.core._engine.distributed import process_group, rank
from deepsvdd.core._engine.feeds import read_images
from deepsvdd.core.estimator import DeepSVDD
from deepsvdd.core.networks import NETWORKS
from deepsvdd.core.recipes import RECIPES
from deepsvdd.core.training import OBJECTIVES
from deepsvdd.datasets.images import ImageArray, ImageFolder


@click.command(name="fit", short_help="Train on normal images or arrays of your own.")
@click.argument("input", type=click.Path(exists=True, path_type=Path))
@click.argument("model", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--size",
    type=int,
    help="Side of image files, pixels; the networks take 8 to 256.  [default: 32]",
)
@click.option("--grey", is_flag=True, help="Read image files as grey, not in colours.")
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
    "--recipe", type=click.Choice(tuple(RECIPES)), default="fast", show_default=True
)
@click.option(
    "--objective",
    type=click.Choice(OBJECTIVES),
    default="one-class",
    show_default=True,
)
@click.option(
    "--nu",
    type=float,
    default=0.1,
    show_default=True,
    help="ν, the share of training data outside, and so flagged.",
)
@click.option(
    "--n_members",
    default=1,
    show_default=True,
    help="Networks to train and average: more are better, and slower.",
)
@click.option("--seed", default=0, show_default=True)
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

    INPUT is a folder with images (subfolders too), or an .npy or .npz file with images
    (n, h, w) or (n, c, h, w) or vectors (n, d). All of it counts as normal.

    \b
    deepsvdd fit good_parts/ parts.safetensors --size 32 --n_members 3
    deepsvdd score parts.safetensors new_parts/ --resize -o scores.csv
    More images than memory, two processes (one a GPU, if there are GPUs):
      torchrun --nproc_per_node 2 -m deepsvdd fit images/ m.safetensors --stream
    """
    every = options.pop("checkpoint_every")
    folder = model.with_name(model.name + ".checkpoints")
    reading = {name: options.pop(name) for name in ("size", "grey", "key", "stream")}
    detector = DeepSVDD(
        random_state=options.pop("seed"),
        checkpoint_dir=folder if every else None,
        checkpoint_every=every or 1,
        verbose=True,
        **options,
    )
    detector.check_parameters()
    with process_group():
        first = rank() == 0
        detector.fit(normal_data(input, **reading))
    if not first:
        return
    detector.save(model)
    shutil.rmtree(folder, ignore_errors=True)
    shape = "×".join(map(str, detector.input_shape_))
    click.echo(
        f"{model}: {detector.network_} for samples of {shape}, "
        f"{len(detector.members_)} member(s), threshold {detector.threshold_:.6g}"
    )


def normal_data(
    path: Path, size: int | None, grey: bool, key: str | None, stream: bool
) -> Any:
    """Read training data, or prepare to stream it."""
    refuse_idle(path, key=key, size=size, grey=grey)
    if path.is_dir():
        images = ImageFolder(path, 32 if size is None else size, grey=grey)
        return images if stream else read_images(images, range(len(images)))
    if path.suffix.lower() not in (".npy", ".npz"):
        raise ValueError(f"INPUT must be a folder, .npy or .npz; got '{path}'")
    if stream and path.suffix.lower() == ".npz":
        raise ValueError(
            f"stream must go without .npz, which is compressed; got '{path}': save the "
            "array with np.save"
        )
    if not stream:
        return read_array(path, key, ("x_train", "x", "X"))
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read '{path}': {error}") from None
    return ImageArray(array) if array.ndim > 2 else array  # vectors are not streamed
