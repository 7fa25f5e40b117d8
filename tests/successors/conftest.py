"""Small data for the later methods, and detectors trained on it for an epoch."""

import numpy as np
import pytest

from deepsvdd import DROCC, GEOM, GOAD, HSC
from tests.toys import SHORT, make_images, make_vectors

METHODS = {"GEOM": GEOM, "GOAD": GOAD, "DROCC": DROCC, "HSC": HSC}


@pytest.fixture(scope="module")
def images():
    return make_images()


@pytest.fixture(scope="module")
def vectors():
    return make_vectors()


def labels_of(x):
    """Every fifth sample is an outlier to learn from."""
    return -(np.arange(len(x)) % 5 == 4).astype(int)


def trained(name, x, **parameters):
    """Fit a detector of that class; HSC with outliers among its samples."""
    detector = METHODS[name](**({"recipe": SHORT, "random_state": 0} | parameters))
    return detector.fit(x, labels_of(x) if name == "HSC" else None)
