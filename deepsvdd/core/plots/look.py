"""The look of all pictures: colors, fonts, grids; and writing them to a file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from deepsvdd.files import atomic_write

# Okabe and Ito's palette, told apart by color-blind readers. Lines do without its
# yellow, which vanishes on white.
NORMAL, ANOMALY = "#0072B2", "#D55E00"  # blue, vermillion
CENTER = "#F0E442"  # yellow, for marks with a black edge
PALETTE = [NORMAL, ANOMALY, "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
# Words need a contrast of 4.5 : 1 (WCAG 2.2, 1.4.3). No one color has that on white
# and on a dark page, so pictures bring their ground, and read alike wherever they are.
GROUND, GREY = "white", "#595959"  # 7 : 1
STYLE: dict[Any, Any] = {
    "figure.facecolor": GROUND,
    "figure.figsize": (5.0, 3.4),
    "figure.constrained_layout.use": True,
    "axes.facecolor": GROUND,
    "axes.edgecolor": GREY,
    "axes.labelcolor": GREY,
    "axes.titlecolor": GREY,
    "axes.titlesize": "medium",
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GREY,
    "grid.alpha": 0.2,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "text.color": GREY,
    "legend.frameon": False,
    "savefig.facecolor": "auto",
}


@contextmanager
def style() -> Iterator[None]:
    """Give all that is created inside ``with style():`` the look of this module.

    Matplotlib's settings are restored afterwards. Also a decorator: ``@style()``.
    """
    with mpl.rc_context(STYLE):
        yield
        # A notebook's backend is loaded by its first figure, and shows later ones only
        # if it stays interactive, which it says in a setting.
        interactive = mpl.is_interactive()
    mpl.interactive(interactive)


def new_axes(ax: Axes | None, size: tuple[float, float] | None = None) -> Axes:
    """Return `ax`, or the axes of a new figure of `size` (width, height) in inches."""
    return plt.subplots(figsize=size)[1] if ax is None else ax


def save(figure: Figure | Axes, path: str | PathLike[str], dpi: int = 150) -> None:
    """Write a figure as a PNG file, whole or not at all.

    Parameters
    ----------
    figure : figure, or any axes of it
    path : file to write, ending in ``.png``
    dpi : resolution in dots per inch

    Raises
    ------
    ValueError
        If `path` does not end in ``.png``.
    """
    if Path(path).suffix.lower() != ".png":
        raise ValueError(f"path must end in .png, but it is {str(path)!r}.")
    # Twice, as the axes may be in a subfigure; a figure is its own figure.
    root = figure.figure.figure
    with atomic_write(path) as temporary:
        root.savefig(temporary, format="png", dpi=dpi, bbox_inches="tight")
