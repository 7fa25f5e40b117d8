"""The pictures of ``deepsvdd score --explain``: where each image is odd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from deepsvdd.cli.pictures import draw
from deepsvdd.core.detector import Detector
from deepsvdd.files import require_writable


class HeatMaps:
    """Draws a picture for every sample that has a score.

    Parameters
    ----------
    folder : Path
        Where they go; made if need be.
    detector : DeepSVDD, DeepSAD or FCDD
    threshold : float
        Score above which a sample is an anomaly, for the titles.

    Attributes
    ----------
    n : int
        Pictures drawn.

    Raises
    ------
    ValueError
        If the model takes vectors, or the folder holds something.
    """

    def __init__(self, folder: Path, detector: Detector, threshold: float) -> None:
        shape = detector.input_shape_
        if len(shape) == 1:
            raise ValueError(
                f"explain must go with a model of images; this one takes vectors "
                f"{shape}: use detector.explain(X) in Python for each column's part"
            )
        if shape[0] not in (1, 3):
            raise ValueError(
                f"explain must go with images of 1 or 3 channels; this model's have "
                f"{shape[0]}"
            )
        if folder.is_dir() and any(folder.iterdir()):
            raise ValueError(
                f"explain must be a new or an empty folder; got '{folder}', which "
                "holds files"
            )
        require_writable(folder / "x.png")
        self.folder = folder
        self.detector = detector
        self.threshold = threshold
        self.bar = tqdm(unit="picture", desc="heat maps", disable=None)
        self.n = 0

    def draw(self, names: list[str], samples: Any, scores: NDArray[Any]) -> None:
        """Draw some samples (b, ...) with finite scores (b,)."""
        from deepsvdd.core import plots

        for name, sample, score in zip(names, samples, scores, strict=True):
            if not np.isfinite(score):
                continue
            image = np.asarray(sample)
            (heat,) = self.detector.explain(image[None])
            label = "anomaly" if score > self.threshold else "normal"
            title = f"{name}: {score:.4g}, {label} (threshold {self.threshold:.4g})"
            draw(self.place(name), plots.heat_map, drawable(image), heat, title=title)
            self.n += 1
            self.bar.update()

    def place(self, name: str) -> Path:
        """Name the picture of a file, in its own subfolder, or of a row."""
        return self.folder / f"{name}.png"


def drawable(image: NDArray[Any]) -> NDArray[Any]:
    """Turn what is neither bytes nor floats into floats, to be scaled."""
    return image if image.dtype == np.uint8 else image.astype(np.float64)
