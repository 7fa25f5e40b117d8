"""Pictures of what was measured."""

from __future__ import annotations

from typing import Any

GROWTH = {
    "images": ("training images", "seconds an epoch"),
    "networks": ("networks in a stack", "seconds an epoch and network"),
    "threads": ("threads", "seconds an epoch"),
}


def draw_scaling(content: dict[str, Any], path: str) -> None:
    """Draw how the time of an epoch grows with images, networks and threads.

    Parameters
    ----------
    content : dict
        What the command writes with ``--output``.
    path : str
        File to write; its suffix decides the format.
    """
    import matplotlib

    matplotlib.use("Agg")  # files only: works without a display
    import matplotlib.pyplot as plt

    from deepsvdd import plots

    measured = {
        name: content["comparisons"][name]["sides"]
        for name in GROWTH
        if "sides" in content["comparisons"].get(name, {})
    }
    if not measured:
        raise ValueError(f"figure needs one of the comparisons {', '.join(GROWTH)}")
    with plt.style.context(plots.STYLE):
        size = (2.8 * len(measured), 2.6)
        figure, row = plt.subplots(1, len(measured), figsize=size, squeeze=False)
        for axes, (name, sides) in zip(row[0], measured.items(), strict=True):
            counts = [int(side.split()[0]) for side in sides]
            for count, side in zip(counts, sides.values(), strict=True):
                repeated = side["values"]
                axes.plot([count] * len(repeated), repeated, ".", color="C0", alpha=0.5)
            axes.plot(counts, [side["median"] for side in sides.values()], color="C0")
            x_label, y_label = GROWTH[name]
            axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, None))
            axes.set_xticks(counts if len(counts) < 5 else counts[-3:])
        plots.save(row[0][0], path)
        plt.close(figure)
