"""Draw a few images of every class of a data set.

    python book/figures/datasets.py FOLDER

FOLDER holds the data sets, or is where torchvision will put them. The pictures,
fashion_mnist.png and cifar10.png, go beside this script.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

from deepsvdd import load_dataset, plots

HERE = Path(__file__).parent


def draw(dataset, images_per_class=8):
    """Draw one small grid for each class, its name above it."""
    fig, axes = plt.subplots(2, 5, figsize=(7.6, 2.2))
    for label, ax in enumerate(axes.flat):
        chosen = np.flatnonzero(dataset.y_train == label)[:images_per_class]
        images = dataset.x_train[chosen]
        plots.image_grid(images, ax, columns=4, title=dataset.classes[label])
    return fig


def shrink(path):
    """Keep 256 colours: a third of the bytes, and no difference to see."""
    with Image.open(path) as image:
        image.quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    plt.style.use(plots.STYLE)
    for name in ("fashion_mnist", "cifar10"):
        path = HERE / f"{name}.png"
        plots.save(draw(load_dataset(name, root=sys.argv[1])), path)
        shrink(path)
