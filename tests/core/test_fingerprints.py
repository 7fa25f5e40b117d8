"""Hashes by which a detector knows samples that it has seen."""

import numpy as np
import torch

from deepsvdd.core.fingerprints import Watched, among, hashes_of
from tests.toys import make_images


def test_the_type_of_the_numbers_does_not_matter():
    images = torch.from_numpy(make_images())
    found = hashes_of(images)
    assert found.dtype == torch.int64
    for dtype in (torch.float32, torch.float64, torch.int16):
        assert torch.equal(hashes_of(images.to(dtype)), found)
    assert torch.equal(hashes_of(images.flatten(1)), found)
    zeros = torch.tensor([[0.0, 1], [-0.0, 1]])
    assert hashes_of(zeros)[0] == hashes_of(zeros)[1]


def test_a_change_of_one_value_is_seen():
    images = torch.from_numpy(make_images(300))
    other = images.clone()
    other[:, 3, 4] += 1
    hashes = torch.cat([hashes_of(images), hashes_of(other)])
    assert len(hashes.unique()) == 600


def test_batches_on_their_way():
    images = torch.from_numpy(make_images(25))
    watched = Watched(images.split(10))
    first = next(iter(watched))
    assert torch.equal(first, images[:10])
    assert torch.equal(watched.finish(), hashes_of(images))


def test_among():
    known, hashes = np.array([1, 5, 9]), np.array([5, 6, 5])
    assert among(hashes, known).tolist() == [True, False, True]
    assert not among(hashes, None).any()
