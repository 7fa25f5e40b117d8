"""Names of the later methods: which estimator each is, and with which parameters.

Another method gets a line in ``METHODS``, its class one in ``CLASSES``, and the class's
name one in ``LATER`` of :mod:`deepsvdd.core.recipes`, as the core cannot look it up
here. A class that takes what no command line can say has no line in ``METHODS``.
"""

from __future__ import annotations

from typing import Any

from deepsvdd.successors.base import Successor
from deepsvdd.successors.classified import GEOM
from deepsvdd.successors.clustered import GOAD
from deepsvdd.successors.exposed import HSC
from deepsvdd.successors.surrounded import DROCC

CLASSES: tuple[type[Successor], ...] = (GEOM, GOAD, DROCC, HSC)
# As ``--method`` of ``deepsvdd fit`` and ``sweep`` has them.
METHODS: dict[str, tuple[type[Successor], dict[str, Any]]] = {
    "geom": (GEOM, {}),
    "geom-density": (GEOM, {"criterion": "density"}),
    "geom-both": (GEOM, {"criterion": "both"}),
    "geom-shifts": (GEOM, {"transformations": "rotations+shifts"}),
    "goad": (GOAD, {}),
    "drocc": (DROCC, {}),
    "drocc-random": (DROCC, {"n_steps": 0}),
    "hsc": (HSC, {}),
}
