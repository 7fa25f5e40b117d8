"""Drawn traffic signs, for computers that cannot get the real ones of GTSRB.

They are pictures from a program, not photographs: twelve of GTSRB's 43 sign types,
seen at an angle, in good and bad light, before trees, walls and sky, partly covered,
blurred, noisy and small. They are written in GTSRB's own folder format
(:mod:`deepsvdd.datasets.gtsrb`), so that the code that reads them is the code that
reads GTSRB. Results on them say nothing about results on GTSRB.

Each image has a random generator of its own, so any of them can be drawn again.

``faces`` has the signs as they are meant to look, ``photographs`` what weather, light
and camera make of them, ``folder`` writes a set.
"""

from deepsvdd.datasets.signs.faces import SIGNS as SIGNS
from deepsvdd.datasets.signs.faces import SIZE as SIZE
from deepsvdd.datasets.signs.faces import STOP as STOP
from deepsvdd.datasets.signs.faces import template as template
from deepsvdd.datasets.signs.folder import image_rng as image_rng
from deepsvdd.datasets.signs.folder import write_signs as write_signs
from deepsvdd.datasets.signs.photographs import Photograph as Photograph
from deepsvdd.datasets.signs.photographs import draw_sign as draw_sign
