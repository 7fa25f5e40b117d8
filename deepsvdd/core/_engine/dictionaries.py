"""The first layer's start in the paper's code: a dictionary of image patches."""

from __future__ import annotations

import threading
import warnings

import numpy as np
import torch
from torch import Tensor, nn

from deepsvdd.core._engine.feeds import Feed

_FILTERS = threading.Lock()  # of warnings
N_IMAGES = 500  # that patches are taken from
N_PATCHES = 20  # of each; with steps of ten patches, the authors' 1,000 steps


def begin(encoder: nn.Module, first_layer: str, feed: Feed, seed: int) -> None:
    """Give a new network the first layer that a recipe names; "random" it has."""
    if first_layer == "dictionary":
        begin_with_dictionary(encoder, feed, seed)


def begin_with_dictionary(encoder: nn.Module, feed: Feed, seed: int) -> None:
    """Set the filters of the first convolution to the atoms of a dictionary.

    A dictionary codes patches of the training images as sparse sums of its atoms, so
    the first layer begins with the strokes and edges that the normal class is made of.
    The authors' Theano code begins so; the paper does not mention it, and their PyTorch
    port draws random filters.

    In the book: sec-dictionary (11-reproduction).

    Parameters
    ----------
    encoder : Module
        Changed in place.
    feed : Feed
        Preprocessed images (n, c, h, w), of which 500 at most are read.
    seed : int
        Of images, patches, and dictionary; the global random state stays as it was.

    Raises
    ------
    ValueError
        If the encoder has no convolution, or the feed no images.

    References
    ----------
    The authors' Theano code, ``learn_dictionary`` in ``src/datasets/preprocessing.py``;
    Mairal, Bach, Ponce and Sapiro, Online dictionary learning for sparse coding, 2009.
    """
    convolution = next((m for m in encoder.modules() if isinstance(m, nn.Conv2d)), None)
    if convolution is None:
        raise ValueError(
            "first_layer must be 'random' for a network without a convolution; got "
            f"'dictionary' for {type(encoder).__name__}"
        )
    rows = np.random.default_rng(seed).permutation(len(feed))[:N_IMAGES]
    (images,) = feed.read([torch.as_tensor(rows)])
    filters = convolution.weight
    atoms = learn_dictionary(images.cpu(), len(filters), filters.shape[2:], seed)
    with torch.no_grad():
        filters.copy_(atoms)


def learn_dictionary(
    images: Tensor, n_atoms: int, size: tuple[int, ...], seed: int
) -> Tensor:
    """Learn a dictionary of standardized patches.

    Parameters
    ----------
    images : Tensor of shape (n, c, h, w)
    n_atoms : int
    size : (height, width)
        Of a patch.
    seed : int

    Returns
    -------
    Tensor of shape (n_atoms, c, height, width)
        Atoms of length 1.
    """
    from sklearn.decomposition import MiniBatchDictionaryLearning
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.feature_extraction.image import PatchExtractor

    seed %= 2**32  # scikit-learn takes no larger one, which a last member may have
    extractor = PatchExtractor(
        patch_size=tuple(size), max_patches=N_PATCHES, random_state=seed
    )
    patches = extractor.transform(images.permute(0, 2, 3, 1).numpy())
    patches = torch.as_tensor(patches).reshape(len(patches), *size, -1)
    rows = patches.permute(0, 3, 1, 2).flatten(1).double().numpy()  # (m, c·h·w)
    spread = rows.std(axis=0)
    rows = (rows - rows.mean(axis=0)) / np.where(spread > 0, spread, 1)
    learner = MiniBatchDictionaryLearning(
        n_atoms,
        alpha=1,
        batch_size=10,
        max_iter=1,
        max_no_improvement=None,
        random_state=seed,
    )
    with _FILTERS, warnings.catch_warnings():  # which are those of all threads
        warnings.simplefilter("ignore", ConvergenceWarning)  # of patches that are alike
        atoms = learner.fit(rows).components_
    return torch.as_tensor(atoms).view(n_atoms, images.shape[1], *size)
