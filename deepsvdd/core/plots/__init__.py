"""Pictures of data, scores and training, on a white ground that any page may show.

Every function that draws takes `ax`, or makes a new figure if there is none, and
returns the axes. The look is one dictionary, `STYLE`: the functions apply it to what
they create; to give it to axes of your own, make them inside ``with style():``, or
write ``plt.style.use(plots.STYLE)`` once at the top of a notebook.

``images`` draws grids of images, ``heat`` maps over them, ``curves`` scores and
training, ``points`` representations and rows of values; ``look`` has colors and fonts,
and writes files.
"""

from deepsvdd.core.plots.curves import learning_curves as learning_curves
from deepsvdd.core.plots.curves import pr_curve as pr_curve
from deepsvdd.core.plots.curves import roc_curve as roc_curve
from deepsvdd.core.plots.curves import score_histogram as score_histogram
from deepsvdd.core.plots.heat import heat_map as heat_map
from deepsvdd.core.plots.heat import heat_maps as heat_maps
from deepsvdd.core.plots.heat import overlay as overlay
from deepsvdd.core.plots.images import extremes as extremes
from deepsvdd.core.plots.images import image_grid as image_grid
from deepsvdd.core.plots.look import ANOMALY as ANOMALY
from deepsvdd.core.plots.look import CENTER as CENTER
from deepsvdd.core.plots.look import GREY as GREY
from deepsvdd.core.plots.look import NORMAL as NORMAL
from deepsvdd.core.plots.look import PALETTE as PALETTE
from deepsvdd.core.plots.look import STYLE as STYLE
from deepsvdd.core.plots.look import save as save
from deepsvdd.core.plots.look import style as style
from deepsvdd.core.plots.points import dots as dots
from deepsvdd.core.plots.points import (
    representation_projection as representation_projection,
)
