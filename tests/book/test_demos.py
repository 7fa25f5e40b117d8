"""The book's live parts: what they compute, beside Python's."""

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from sklearn import svm
from torch import nn

from deepsvdd.core import metrics, objectives
from tests import ROOT
from tests.book import cells_of, live, source_of, text_of
from tests.book.live import DEMOS, PAGES, POINTS, SEEDS

TESTS = ROOT / "tests/book/demos"


@pytest.fixture(scope="module")
def node():
    """The path of Node.js; without it, these tests are skipped, but not in CI."""
    path = shutil.which("node")
    if path is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("no Node.js: it comes with npm, which `make book` needs")
    return path


@pytest.fixture(scope="module")
def ask(node):
    """Call a function of the demos' modules: ask("roc/rates.mjs", "auc", …)."""

    def call(module, name, *given):
        done = subprocess.run(
            [node, TESTS / "ask.mjs"],
            input=json.dumps({"module": module, "name": name, "given": given}),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call


def test_the_programs_pass_their_own_tests(node):
    files = sorted(TESTS.glob("*.test.mjs"))
    assert len(files) >= 6
    done = subprocess.run(
        [node, "--test", "--test-reporter=tap", *files],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"^# fail 0$", done.stdout, re.MULTILINE)


def test_every_program_has_a_page():
    written = {
        name
        for path in [*(ROOT / "book").glob("*.ipynb"), *(ROOT / "book").glob("*.md")]
        for name in re.findall(
            r"^```\{demo\} (\w+)$",
            text_of(path) if path.suffix == ".ipynb" else path.read_text("utf-8"),
            re.MULTILINE,
        )
    }
    made = {path.parent.name for path in DEMOS.glob("*/main.mjs")}
    assert written == made
    assert written == set(PAGES)


def test_the_programs_leave_no_global_names_and_know_no_other_host():
    for path in [*DEMOS.glob("*/*.mjs"), *(ROOT / "book/_static").glob("demos.js")]:
        text = path.read_text("utf-8")
        assert not re.search(r"\b(window|globalThis|self)\.\w+ *=[^=]", text), path
        assert set(re.findall(r"https?://[\w.]+", text)) <= {"http://www.w3.org"}, path


# --- ROC and threshold: chapter 10 ---------------------------------------------------


def printed(chapter, pattern):
    """Find what a chapter's cells printed."""
    texts = [
        "".join(output.get("text", ()))
        for cell in cells_of(ROOT / f"book/{chapter}.ipynb", "code")
        for output in cell["outputs"]
    ]
    (found,) = [found for text in texts for found in re.findall(pattern, text, re.M)]
    return found


def test_the_scores_are_the_chapters(scores):
    network = scores["network"]
    assert (len(network["normal"]), len(network["anomalous"])) == (1010, 8990)
    labels = np.repeat([0, 1], [1010, 8990])
    auc = metrics.roc_auc(labels, np.concatenate(list(network.values())))
    assert f"{100 * auc:.1f}" == printed("10-evaluation", r"^AUC ([\d.]+) %\n")


@pytest.mark.parametrize("name", ["network", "nearest neighbor"])
def test_rates_are_those_of_the_package(ask, scores, name):
    normal, anomalous = (group.tolist() for group in scores[name].values())
    labels = np.repeat([0, 1], [len(normal), len(anomalous)])
    both = np.array(normal + anomalous)
    auc = ask("roc/rates.mjs", "auc", normal, anomalous)
    assert auc == pytest.approx(metrics.roc_auc(labels, both), abs=1e-9)
    curve = ask("roc/rates.mjs", "curve", normal, anomalous)
    pi = labels.mean()
    precision = ask("roc/rates.mjs", "averagePrecision", curve, pi)
    expected = metrics.average_precision(labels, both)
    assert precision == pytest.approx(expected, abs=1e-9)


# --- kernel SVDD: chapter 2 ----------------------------------------------------------


@pytest.fixture(scope="module")
def chapters_svdd():
    """The solver as chapter 2 shows it."""
    (source,) = [
        source_of(cell)
        for cell in cells_of(ROOT / "book/02-kernel-svdd.ipynb", "code")
        if source_of(cell).startswith("def svdd(")
    ]
    names = {"np": np}
    exec(source, names)
    return names["svdd"]


@pytest.mark.parametrize("nu", [0.02, 0.1, 0.33, 1])
@pytest.mark.parametrize("gamma", [0.05, 3, 50])
@pytest.mark.parametrize("name", ["moons", "cloud"])
def test_weights_are_those_of_the_chapters_solver(ask, chapters_svdd, name, nu, gamma):
    x = np.array(POINTS[name])
    K = np.exp(-gamma * ((x[:, None] - x) ** 2).sum(axis=-1))
    ours = ask("svdd/solver.mjs", "solve", K.ravel().tolist(), len(x), nu)
    alpha, r2 = chapters_svdd(K, nu)
    assert ours["solved"]
    np.testing.assert_allclose(ours["alpha"], alpha, atol=1e-5)
    assert ours["r2"] == pytest.approx(r2, abs=1e-7)


def test_weights_are_those_of_scikit_learn(ask):
    x = np.array(POINTS["moons"])
    K = np.exp(-3 * ((x[:, None] - x) ** 2).sum(axis=-1))
    ours = ask("svdd/solver.mjs", "solve", K.ravel().tolist(), len(x), 0.2)
    machine = svm.OneClassSVM(gamma=3, nu=0.2, tol=1e-10).fit(x)
    alpha = np.zeros(len(x))
    alpha[machine.support_] = machine.dual_coef_[0] * ours["C"]
    np.testing.assert_allclose(ours["alpha"], alpha, atol=1e-5)


# --- the luck of the seed: chapter 7 --------------------------------------------------


ROUNDED = 0.06  # points: what the chapter printed has one digit


@pytest.fixture(scope="module")
def distances():
    """The committed distances by stage, in each network's unit; and the units."""
    with safe_open(SEEDS, "numpy") as file:
        kept = json.loads(file.metadata()["metadata"])
        assert kept["made"]["of"] == "book/07-one-class.ipynb"
        found = {
            one["name"]: (one["unit"] * file.get_tensor(one["name"]), one["units"])
            for one in kept["stages"]
        }
    labels = (np.arange(3334) >= kept["normal"]).astype(int)
    return found, labels


@pytest.mark.parametrize("stage", ["untrained", "pretrained", "trained"])
def test_the_distances_are_the_chapters(distances, stage):
    """Mean and standard deviation of the seeds' AUCs are those that it printed."""
    found, labels = distances
    assert labels.sum() == 2991
    aucs = [100 * metrics.roc_auc(labels, d) for d in found[stage][0]]
    pattern = rf"^{stage} +mean ([\d.]+) %, std ([\d.]+) %$"
    mean, std = map(float, printed("07-one-class", pattern))
    assert np.mean(aucs) == pytest.approx(mean, abs=ROUNDED)
    assert np.std(aucs, ddof=1) == pytest.approx(std, abs=ROUNDED)


def test_ensembles_of_the_page_are_the_chapters(distances):
    found, labels = distances
    d, units = found["trained"]
    averaged = 100 * metrics.roc_auc(labels, d.mean(axis=0))
    said = printed("07-one-class", r"^five averaged +([\d.]+) %$")
    assert averaged == pytest.approx(float(said), abs=ROUNDED)
    plain = (d * np.array(units)[:, None] * np.array([[10], *[[1]] * 4])).mean(axis=0)
    said = printed("07-one-class", r"^plain +mean: AUC ([\d.]+) %$")
    together = 100 * metrics.roc_auc(labels, plain)
    assert together == pytest.approx(float(said), abs=ROUNDED)


@pytest.mark.parametrize("members", [[0], [1, 3], [0, 1, 2, 3, 4]])
@pytest.mark.parametrize("way", ["own", "plain", "tenfold"])
@pytest.mark.parametrize("stage", ["untrained", "trained"])
def test_aucs_of_ensembles_are_pythons(ask, distances, stage, members, way):
    found, labels = distances
    d, units = found[stage]
    first = [10 if way == "tenfold" else 1, 1, 1, 1, 1]
    weights = np.ones(5) if way == "own" else np.array(units) * first
    scores = (weights[:, None] * d)[members].mean(axis=0)
    ours = ask(
        "seeds/ensemble.mjs", "summary", {"file": str(SEEDS)}, stage, members, way
    )
    # Of whole numbers, some means are equal but for their rounding.
    assert ours["auc"] == pytest.approx(metrics.roc_auc(labels, scores), abs=1e-5)
    own = d[members][:, labels == 0]
    left = own.mean(axis=0).var(ddof=1) / own.var(axis=1, ddof=1).mean()
    assert ours["varianceLeft"] == pytest.approx(left, rel=1e-9)


# --- draw a digit: quick start --------------------------------------------------------
def test_the_network_is_the_quick_starts(detector, threes):
    """Its AUC is the one that the chapter printed."""
    auc = metrics.roc_auc(threes.y_test, detector.anomaly_score(threes.x_test))
    assert f"{100 * auc:.1f}" == printed("quickstart", r"^trained: +([\d.]+) %$")
    assert detector.random_state == 0
    assert live.model().stat().st_size < 60_000


@pytest.mark.parametrize("digit", [d for d in range(10) if d != 3])
def test_other_normal_digits_are_trained_as_the_three_is(detector, digit):
    other = live.detector(digit)
    assert other.get_params() == detector.get_params()
    split = live.digits(digit)
    auc = metrics.roc_auc(split.y_test[::5], other.anomaly_score(split.x_test[::5]))
    assert auc > 0.8


@pytest.mark.parametrize("digit", [3, 8])
def test_scores_of_the_page_are_pythons(ask, digit):
    rng = np.random.default_rng(0)
    images = [
        *live.digits().x_test[::400, 0],  # all digits
        np.zeros((28, 28)),
        np.full((28, 28), 200),
        rng.integers(0, 256, (28, 28)),
        np.eye(28) * 255,
    ]
    x = np.stack(images).astype(np.uint8)
    ours = ask(
        "digit/network.mjs",
        "scores",
        {"file": str(live.model(digit))},
        x.reshape(len(x), -1).tolist(),
    )
    expected = live.detector(digit).anomaly_score(x)
    np.testing.assert_allclose(ours, expected, rtol=2e-5)


@pytest.mark.parametrize("digit", range(10))
def test_what_is_shown_of_a_normal_digit_is_the_data_sets(digit):
    """Scores of its test images, and training images."""
    content, split = live.shown(digit), live.digits(digit)
    assert content["digit"] == digit
    normal = live.detector(digit).anomaly_score(split.x_test[split.y_test == 0])
    unit = content["unit"]
    # Half a unit, and what another processor's rounding changes.
    np.testing.assert_allclose(
        content["normal"], np.sort(normal), atol=0.51 * unit, rtol=1e-4
    )
    assert unit < 2e-5 * live.detector(digit).threshold_
    sheet = np.asarray(Image.open(DEMOS / f"data/digits/{digit}.png"))
    columns = content["columns"]
    tiles = sheet.reshape(-1, 28, columns, 28).swapaxes(1, 2).reshape(-1, 28, 28)
    np.testing.assert_array_equal(tiles, split.x_train[content["chosen"], 0])


# --- playground: chapter 4 -----------------------------------------------------------


def in_torch(weights, biases, center, x, how, n_steps):
    """What the playground does, by PyTorch and the package."""
    layers = []
    for k, w in enumerate(weights):
        linear = nn.Linear(w.shape[1], w.shape[0], bias=biases is not None)
        linear.to(torch.double)
        with torch.no_grad():
            linear.weight.copy_(w)
            if biases is not None:
                linear.bias.copy_(biases[k])
        layers += [
            linear,
            nn.LeakyReLU() if how["activation"] == "leaky" else nn.Sigmoid(),
        ]
    network = nn.Sequential(*layers[:-1])
    c = center.clone()
    others = [p for p in network.parameters() if p.ndim == 1]
    if how["freeCenter"]:
        others.append(c.requires_grad_())
    matrices = [p for p in network.parameters() if p.ndim == 2]
    adam = torch.optim.Adam(
        [{"params": matrices, "weight_decay": how["decay"]}, {"params": others}],
        lr=how["rate"],
    )
    losses = []
    for _ in range(n_steps):
        d2 = objectives.squared_distances(network(x), c)
        if how["objective"] == "soft-boundary":
            radius = objectives.optimal_radius(d2.detach(), how["nu"])
            # Not squared again, which would round the sample on the boundary to a side.
            r2 = d2.detach()[(d2.detach() - radius**2).abs().argmin()]
            loss = r2 + torch.relu(d2 - r2).mean() / how["nu"]
        else:
            loss = objectives.one_class_loss(d2)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, [p.detach() for p in matrices], c.detach()


@pytest.mark.parametrize("bias", [False, True], ids=["no bias", "bias"])
@pytest.mark.parametrize("activation", ["leaky", "sigmoid"])
@pytest.mark.parametrize("free", [False, True], ids=["fixed", "free"])
@pytest.mark.parametrize("objective", ["one-class", "soft-boundary"])
def test_steps_of_the_playground_are_torchs(ask, bias, activation, free, objective):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.double)

    sizes = [(32, 2), (16, 32), (2, 16)]
    weights = [drawn(*size) * (2 / size[1]) ** 0.5 for size in sizes]
    biases = [0.1 * drawn(size[0]) for size in sizes] if bias else None
    x, center = drawn(40, 2) + 1, torch.tensor([0.8, -0.5], dtype=torch.double)
    how = {"activation": activation, "objective": objective, "nu": 0.15}
    how |= {"freeCenter": free, "decay": 0.03, "rate": 5e-3}
    lists = (
        [w.ravel().tolist() for w in weights],
        biases and [b.tolist() for b in biases],
    )
    ours = ask(
        "playground/network.mjs",
        "steps",
        *lists,
        center.tolist(),
        x.ravel().tolist(),
        how,
        10,
    )
    losses, matrices, c = in_torch(weights, biases, center, x, how, 10)
    assert losses[0] != pytest.approx(losses[-1], rel=0.01)  # something is learned
    np.testing.assert_allclose(ours["losses"], losses, rtol=1e-6)
    for mine, other in zip(ours["weights"], matrices, strict=True):
        np.testing.assert_allclose(mine, other.ravel(), rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(ours["center"], c, rtol=1e-6)
    assert (c != center).any() == free
