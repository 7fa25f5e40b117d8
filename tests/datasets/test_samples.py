"""What is no samples, but leads to some, is refused with what to give instead."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from deepsvdd import DeepSVDD
from deepsvdd.datasets.samples import refuse_foreign

X = np.random.default_rng(0).normal(size=(20, 3))


class LazyFrame:
    """A stand-in for polars' own."""


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (Path("x.npy"), "got PosixPath: load it, with numpy.load or|got WindowsPath"),
        ("x.npy", "got str: load it, with numpy.load or deepsvdd.ImageFolder, or run"),
        (
            DataLoader(TensorDataset(torch.zeros(4, 1, 8, 8))),
            "give its data set, loader",
        ),
        (LazyFrame(), r"got LazyFrame: give X.collect\(\)"),
        (iter([X]), "got list_iterator: give a list or an array of what it yields"),
    ],
)
def test_what_leads_to_samples(given, message):
    with pytest.raises(ValueError, match=message) as error:
        DeepSVDD().fit(given)
    assert len(str(error.value)) < 176
    with pytest.raises(ValueError, match=message):
        refuse_foreign(given)


def test_samples_pass():
    for given in (X, X.tolist(), torch.zeros(4), TensorDataset(torch.zeros(4))):
        refuse_foreign(given)
