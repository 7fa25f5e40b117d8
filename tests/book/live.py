"""What the tests of the live parts share: pages, committed data, the detector."""

import functools
import json

import numpy as np

from deepsvdd import DeepSVDD, load_dataset, one_vs_rest
from tests import ROOT

DEMOS = ROOT / "book/demos"
PAGES = {
    "roc": "10-evaluation",
    "svdd": "02-kernel-svdd",
    "digit": "quickstart",
    "playground": "04-collapse",
    "seeds": "07-one-class",
}
MODEL = DEMOS / "data/threes.safetensors"
SEEDS = DEMOS / "data/seeds.safetensors"


def data(name):
    """The content of a file that the demos show."""
    return json.loads((DEMOS / f"data/{name}.json").read_text("utf-8"))


DIGIT, POINTS = data("digit"), data("points")


@functools.cache
def scores():
    """The committed scores: detector, then group."""
    content = data("scores")
    assert content["made"]["of"] == "book/10-evaluation.ipynb"
    return {
        one["name"]: {
            kind: np.cumsum(one[kind]) * one["unit"] for kind in ("normal", "anomalous")
        }
        for one in content["detectors"]
    }


@functools.cache
def detector():
    """The detector that the page has, in Python."""
    return DeepSVDD.load(MODEL)


@functools.cache
def threes():
    """The quick start's data: threes are normal."""
    return one_vs_rest(load_dataset("mnist"), normal_class=3)
