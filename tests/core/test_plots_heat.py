"""Heat maps over images."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from deepsvdd import plots
from tests.core.test_plots import contrast

IMAGES = np.random.default_rng(0).integers(0, 255, (3, 8, 8), dtype=np.uint8)
MAPS = np.random.default_rng(1).random((3, 8, 8))
DRAWN = {
    "heat_maps": lambda ax: plots.heat_maps(IMAGES, {"one": MAPS, "two": -MAPS}, ax),
    "heat_map": lambda ax: plots.heat_map(IMAGES[0], MAPS[0], ax, title="t"),
}


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_pictures_are_white_and_their_words_can_be_read(draw):
    _, ax = plt.subplots()
    assert draw(ax) is ax
    ax = draw(None)
    ax.figure.canvas.draw()
    assert ax.figure.get_facecolor() == (1, 1, 1, 1)
    for text in (ax.title, *ax.get_yticklabels()):
        assert contrast(text.get_color(), "white") >= 4.5


def test_brighter_is_odder_and_what_is_negative_is_darkest():
    image, heat = np.zeros((1, 2, 2)), np.array([[[-3.0, 0.0], [0.5, 1.0]]])
    light = plots.overlay(image, heat).sum(axis=-1)[0]
    assert light[0, 0] == light[0, 1] < light[1, 0] < light[1, 1]
    twice = plots.overlay(image, heat, top=2.0).sum(axis=-1)[0]
    assert twice[1, 1] == light[1, 0]  # one half of the brightest
    assert np.isfinite(plots.overlay(image, heat * 0)).all()


def test_the_image_shines_through():
    flat = np.zeros((1, 8, 8))
    tiles = plots.overlay(IMAGES[:1], flat).mean(axis=-1).ravel()
    assert np.corrcoef(tiles, IMAGES[0].ravel())[0, 1] > 0.99


def test_every_kind_of_map_has_a_row_with_its_name():
    ax = DRAWN["heat_maps"](None)
    assert [text.get_text() for text in ax.get_yticklabels()] == ["image", "one", "two"]
    canvas = ax.images[0].get_array()
    assert canvas.shape == (3 * 9 - 1, 3 * 9 - 1, 4)
    centers = ax.get_yticks()
    assert all(9 * row < center < 9 * row + 8 for row, center in enumerate(centers))
    colored = plots.heat_maps(
        torch.rand(2, 3, 8, 8), {"where": np.ones((2, 8, 8), bool)}
    )
    assert colored.images[0].get_array().shape[:2] == (17, 17)


def test_maps_that_do_not_fit():
    with pytest.raises(
        ValueError, match=r"maps must have the shape of the images, \(3"
    ):
        plots.overlay(IMAGES, MAPS[:2])
    with pytest.raises(ValueError, match="maps must be finite"):
        plots.overlay(IMAGES, MAPS * np.inf)
