"""The simplest detectors, which a method has to beat before it is worth its training.

They know nothing of shapes: the distance to the nearest training image, the mean
brightness, the size of the image as a compressed file. On some classes they are better
than networks, because the data sets were not drawn for anomaly detection: airplanes are
bright, digits of few strokes compress well.
"""

from __future__ import annotations

import io
from abc import abstractmethod
from typing import Any

import numpy as np
from PIL import Image

from deepsvdd.reproduction.shallow import Array, Baseline, squared_distances

QUALITY = 75  # of JPEG, Pillow's own


class NearestNeighbor(Baseline):
    """Distance to the nearest training image.

    Parameters
    ----------
    preprocessing, variance, random_state
        As in :class:`~deepsvdd.reproduction.shallow.Baseline`; nothing is drawn.
    """

    def _learn(self, images: Array, labeled: Any) -> None:
        self.train_ = self._vectors(images)

    def _score(self, images: Array) -> Array:
        d2 = squared_distances(self._vectors(images), self.train_)
        return np.sqrt(d2.min(axis=1))


class Feature(Baseline):
    """A number of each image: the larger, the more anomalous.

    Which sign it should have, only anomalies could tell: with the other one its AUC is
    100 % less this. Two-sided, the score is the distance to the training images'
    median, which needs no sign.

    Parameters
    ----------
    two_sided : bool, default=False
    preprocessing, variance, random_state
        As in :class:`~deepsvdd.reproduction.shallow.Baseline`; nothing is drawn.
    """

    def __init__(
        self,
        *,
        two_sided: bool = False,
        preprocessing: str = "minmax",
        variance: float | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            preprocessing=preprocessing, variance=variance, random_state=random_state
        )
        self.two_sided = two_sided

    def _learn(self, images: Array, labeled: Any) -> None:
        self.median_ = float(np.median(self._feature(images)))
        if self.two_sided:
            self.selected_["median"] = self.median_

    def _score(self, images: Array) -> Array:
        feature = self._feature(images)
        return np.abs(feature - self.median_) if self.two_sided else feature

    @abstractmethod
    def _feature(self, images: Array) -> Array:
        """Compute the number of each image (m, c, h, w): (m,)."""


class Brightness(Feature):
    """Mean of all pixels, after preprocessing."""

    def _feature(self, images: Array) -> Array:
        return self._pixels(images).mean(axis=1)


class FileSize(Feature):
    """Bytes of the image as a PNG or JPEG file (quality 75), without preprocessing.

    Parameters
    ----------
    form : {"PNG", "JPEG"}
    two_sided, preprocessing, variance, random_state
        As in :class:`Feature`.
    """

    def __init__(
        self,
        *,
        form: str = "PNG",
        two_sided: bool = False,
        preprocessing: str = "minmax",
        variance: float | None = None,
        random_state: int = 0,
    ) -> None:
        super().__init__(
            two_sided=two_sided,
            preprocessing=preprocessing,
            variance=variance,
            random_state=random_state,
        )
        self.form = form

    def _feature(self, images: Array) -> Array:
        return np.array([bytes_of(image, self.form) for image in images], dtype=float)


def bytes_of(image: Array, form: str) -> int:
    """Count the bytes of an image (c, h, w), uint8 with 1 or 3 channels, as a file."""
    if image.dtype != np.uint8:
        raise ValueError(
            f"X must hold uint8 images for {form} files; got {image.dtype}"
        )
    pixels = image[0] if len(image) == 1 else np.moveaxis(image, 0, -1)
    file = io.BytesIO()
    options = {"quality": QUALITY} if form == "JPEG" else {}
    Image.fromarray(pixels).save(file, form, **options)
    return len(file.getvalue())
