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
SEEDS = DEMOS / "data/seeds.safetensors"


def data(name):
    """The content of a file that the demos show."""
    return json.loads((DEMOS / f"data/{name}.json").read_text("utf-8"))


POINTS = data("points")


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


def model(digit=3):
    """The file of the page's detector for which a digit is normal."""
    return DEMOS / f"data/digits/{digit}.safetensors"


@functools.cache
def detector(digit=3):
    """The detector that the page has, in Python."""
    return DeepSVDD.load(model(digit))


@functools.cache
def digits(digit=3):
    """The quick start's data, with another digit as the normal one."""
    return one_vs_rest(load_dataset("mnist"), normal_class=digit)


@functools.cache
def shown(digit=3):
    """What the page has beside the detector; the scores of new images are decoded."""
    content = data(f"digits/{digit}")
    return content | {"normal": np.cumsum(content["normal"]) * content["unit"]}
