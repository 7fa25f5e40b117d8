"""What chapter 3 builds from scratch is what the package does.

The chapter's own functions, taken from the notebook, and the package's start from the
same weights and see the same batches, in double precision: the results are the same.
"""

import ast
import copy

import pytest
import torch

from deepsvdd import Phase, Recipe, build_autoencoder, pretrain_autoencoder
from deepsvdd import train_hypersphere as train_with_package
from tests import ROOT
from tests.book import cells_of, source_of, tree_of

CHAPTER = ROOT / "book/03-deep-svdd.ipynb"
SEED = 3
EPOCHS, DROP = 10, 7  # the chapter's
NU = 0.1
SINGLE = 1e-6  # sums of losses, and radii, are kept in single precision

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def chapter(threes):
    """The names that the chapter defines; its training images are 250 of ours.

    Imports, functions and CONSTANTS of all cells, and nothing that takes time.
    """
    code = map(source_of, cells_of(CHAPTER, "code")[1:])
    kept = [node for text in code for node in tree_of(text).body if defines(node)]
    names = {"x": torch.tensor(threes.x_train[:250]).double() / 255}
    exec(compile(ast.Module(kept, type_ignores=[]), str(CHAPTER), "exec"), names)
    return names


def defines(node):
    if isinstance(node, ast.Assign):
        return isinstance(node.value, ast.Constant) and node.targets[0].id.isupper()
    return isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom)


@pytest.fixture
def encoders(chapter):
    """The chapter's network, and the package's with the same weights."""
    torch.manual_seed(SEED)
    ours = chapter["make_encoder"]().double()
    theirs = build_autoencoder("mnist_LeNet", (1, 28, 28)).encoder.double()
    with torch.no_grad():
        for target, weight in zip(theirs.parameters(), ours.parameters(), strict=True):
            target.copy_(weight)
    return ours, theirs


def same(ours, theirs):
    """Whether all weights, and all running statistics, agree but for rounding."""
    return all(
        torch.allclose(a, b, rtol=1e-7, atol=1e-10)
        for pairs in (
            zip(ours.parameters(), theirs.parameters(), strict=True),
            zip(ours.buffers(), theirs.buffers(), strict=True),
        )
        for a, b in pairs
    )


def recipe():
    return Recipe(
        training=Phase(n_epochs=EPOCHS, lr_milestones=(DROP,), batch_size=200),
        warm_up_epochs=2,
        radius_every=1,
    )


def test_the_networks_are_the_same_function(chapter, encoders):
    ours, theirs = encoders
    assert torch.allclose(
        chapter["represent"](ours, chapter["x"]),
        chapter["represent"](theirs, chapter["x"]),
        rtol=1e-12,
    )


def test_pretraining(chapter, encoders):
    encoder, _ = encoders
    decoder = chapter["make_decoder"]().double()
    package = copy.deepcopy(torch.nn.Sequential(encoder, decoder))
    chapter["make_decoder"] = lambda: decoder
    torch.manual_seed(SEED)
    ours, losses = chapter["pretrain"](encoder)
    phase = Phase(lr=3e-3, n_epochs=5, lr_milestones=(4,), batch_size=200)
    history = pretrain_autoencoder(package, chapter["x"], phase, seed=SEED)
    assert losses[-1] < 0.9 * losses[0]
    assert losses == pytest.approx(history["loss"], rel=SINGLE)
    assert same(ours, package)


def test_one_class(chapter, encoders):
    ours, theirs = encoders
    x = chapter["x"]
    c = chapter["initial_center"](chapter["represent"](ours, x))
    torch.manual_seed(SEED)
    losses = chapter["fit_one_class"](ours, c)
    sphere = train_with_package(theirs, x, recipe(), seed=SEED)
    assert losses[-1] < 0.9 * losses[0]
    assert torch.allclose(c, sphere.center, rtol=1e-12)
    history = sphere.history["training"]
    assert losses == pytest.approx(history["loss"], rel=SINGLE)
    assert same(ours, theirs)
    scores = chapter["squared_distances"](chapter["represent"](ours, x), c)
    assert torch.allclose(scores, sphere.squared_distances(x), rtol=1e-7)


def test_soft_boundary(chapter, encoders):
    ours, theirs = encoders
    x = chapter["x"]
    c = chapter["initial_center"](chapter["represent"](ours, x))
    torch.manual_seed(SEED)
    radius, rows = chapter["fit_soft_boundary"](ours, c, NU)
    sphere = train_with_package(
        theirs, x, recipe(), objective="soft-boundary", nu=NU, seed=SEED
    )
    assert rows[0, 0] == 0  # the warm-up
    assert radius > 0
    history = sphere.history["training"]
    assert rows[:, 0].tolist() == pytest.approx(history["radius"], rel=SINGLE)
    assert same(ours, theirs)
