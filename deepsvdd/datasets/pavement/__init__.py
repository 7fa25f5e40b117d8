"""A folder of photographs as one gets it, to practice on: a brick pavement.

Chapter 16 of the book goes from this folder to a report. The pixels are those of three
real photographs, of bricks, grass and gravel (``bundled/LICENSE-TEXTURES.md``). What a
program made of them: it cut the bricks into places, put pieces of grass and gravel on
some and turned the bricks on others, photographed each place on four days with another
exposure, noise, and a hand that was not quite steady, and stored the files in the
disorder that such folders have.

``scene`` has the places and the camera, ``folder`` the files and their disorder.
"""

from deepsvdd.datasets.pavement.folder import write_pavement as write_pavement
from deepsvdd.datasets.pavement.scene import KINDS as KINDS
from deepsvdd.datasets.pavement.scene import Place as Place
from deepsvdd.datasets.pavement.scene import photograph as photograph
from deepsvdd.datasets.pavement.scene import places as places
from deepsvdd.datasets.pavement.scene import texture as texture
