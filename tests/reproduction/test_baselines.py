"""The baselines against scikit-learn's estimators and against formulas."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import datasets, ensemble, model_selection, neighbors, svm
from sklearn.exceptions import NotFittedError

from deepsvdd import Preprocessor
from deepsvdd.core.metrics import roc_auc
from deepsvdd.reproduction.baselines import (
    BANDWIDTHS,
    BASELINES,
    as_in_paper,
    log_densities,
    make_baseline,
)
from deepsvdd.reproduction.shallow import squared_distances
from deepsvdd.reproduction.support_vectors import (
    GAMMAS,
    NUS,
    altered_images,
    labeled_tenth,
    machine_scores,
)

PLAIN = [name for name in BASELINES if name != "ocsvm-paper"]
# One number an image promises nothing: which sign it has depends on the anomalies.
FEATURES = [n for n in BASELINES if n.startswith(("brightness", "png", "jpeg"))]
LEARNING = [name for name in BASELINES if name not in FEATURES]


@pytest.fixture(scope="module")
def problem(threes):
    """300 threes to train on; 200 images to label, 400 to score, with labels."""
    return (
        threes.x_train[:300],
        (threes.x_test[:200], threes.y_test[:200]),
        (threes.x_test[200:600], threes.y_test[200:600]),
    )


def fitted(name, problem, **parameters):
    baseline = make_baseline(name, **parameters)
    labeled = problem[1] if baseline.uses_labels else None
    return baseline.fit(problem[0], labeled)


def pixels(images, of, method="gcn_l1"):
    """Preprocess and flatten, with the extrema of others."""
    preprocess = Preprocessor.fit(torch.tensor(of), method)
    return preprocess(torch.tensor(images)).flatten(1).numpy()


# What all have in common --------------------------------------------------------------


@pytest.mark.parametrize("name", LEARNING)
def test_anomalies_score_higher_and_the_choices_are_json(name, problem):
    baseline = fitted(name, problem)
    scores = baseline.anomaly_score(problem[2][0])
    assert scores.shape == (400,)
    assert scores.dtype == np.float64
    assert roc_auc(problem[2][1], scores) > 0.75
    assert json.loads(json.dumps(baseline.selected_)) == baseline.selected_


@pytest.mark.parametrize("name", BASELINES)
def test_same_seed_same_scores_one_by_one_too(name, problem):
    images = problem[2][0][:20]
    first, second = (fitted(name, problem, random_state=4) for _ in range(2))
    scores = first.anomaly_score(images)
    assert (scores == second.anomaly_score(images)).all()
    assert first.anomaly_score(images[7]) == pytest.approx(scores[7:8], rel=1e-5)


def test_scores_do_not_depend_on_the_chunks(problem, monkeypatch):
    baseline = fitted("kde", problem)
    scores = baseline.anomaly_score(problem[2][0])
    monkeypatch.setattr("deepsvdd.reproduction.shallow.CHUNK", 7)
    in_chunks = fitted("kde", problem)
    assert in_chunks.selected_ == baseline.selected_
    np.testing.assert_allclose(in_chunks.anomaly_score(problem[2][0]), scores)


@pytest.mark.parametrize("name", ["ocsvm", "kde", "iforest"])
def test_projection_keeps_the_share_of_the_variance(name, problem):
    baseline = fitted(name, problem, variance=0.8)
    x = pixels(problem[0], problem[0]).astype(np.float64)
    spectrum = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
    shares = np.cumsum(spectrum) / spectrum.sum()
    assert baseline.selected_["n_components"] == 1 + np.flatnonzero(shares > 0.8)[0]
    assert "n_components" not in fitted(name, problem, variance=1).selected_


def test_preprocessing_is_a_parameter(problem):
    baseline = fitted("kde", problem, preprocessing="minmax")
    expected = problem[0].reshape(300, 784) / 255
    np.testing.assert_allclose(baseline.train_, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("svm", {}, r"baseline must be one of .*'pca'.*; got 'svm'"),
        ("kde", {"variance": 0}, r"variance must be in \(0, 1\], or None; got 0"),
        ("kde", {"variance": 1.5}, r"variance must be in"),
        ("pca", {"variance": 1}, r"variance must be below 1 for PCA"),
        ("ocsvm", {"nu": 0}, r"nu must be in \(0, 1\]; got 0"),
        ("kde", {"preprocessing": "zca"}, r"preprocessing must be"),
    ],
)
def test_bad_parameters_are_named(name, parameters, message, problem):
    with pytest.raises(ValueError, match=message):
        fitted(name, problem, **parameters)


def test_bad_data_is_named(problem):
    with pytest.raises(ValueError, match="at least 10 images; got 9"):
        make_baseline("pca").fit(problem[0][:9])
    with pytest.raises(ValueError, match=r"square images, to be turned; got 28×20"):
        make_baseline("ocsvm").fit(problem[0][..., 4:24])
    with pytest.raises(ValueError, match=r"shape \(1, 28, 28\), as in fit"):
        fitted("pca", problem).anomaly_score(problem[0][..., 4:24])


@pytest.mark.parametrize("name", BASELINES)
def test_an_unfitted_baseline_says_so(name, problem):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        make_baseline(name).anomaly_score(problem[0])


def test_images_that_are_views_or_tensors_of_any_kind(problem):
    images, (judged, labels), _ = problem
    pairs = {
        "view": (lambda x: x[..., ::-1], lambda x: x[..., ::-1].copy()),
        "gradient": (
            lambda x: torch.tensor(x, dtype=torch.float32, requires_grad=True),
            lambda x: x.astype(np.float32),
        ),
        "bfloat16": (
            lambda x: torch.tensor(x).bfloat16(),
            lambda x: x.astype(np.float32),  # 8 bits, so nothing is rounded
        ),
    }
    for unusual, usual in pairs.values():
        ours, expected = (
            make_baseline("ocsvm-paper")
            .fit(of(images), (of(judged), labels))
            .anomaly_score(of(judged))
            for of in (unusual, usual)
        )
        np.testing.assert_array_equal(ours, expected)


@pytest.mark.parametrize("name", PLAIN)
def test_only_one_baseline_sees_labels(name, problem):
    with pytest.raises(ValueError, match="must not see labeled images"):
        make_baseline(name).fit(problem[0], problem[1])


def test_the_one_that_needs_labels_says_so(problem):
    with pytest.raises(ValueError, match="needs labeled images"):
        make_baseline("ocsvm-paper").fit(problem[0])


# One-class SVM ------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ocsvm", "ocsvm-paper"])
def test_ocsvm_is_scikit_learns(name, problem):
    baseline = fitted(name, problem)
    x, test = (pixels(images, problem[0]) for images in (problem[0], problem[2][0]))
    chosen = {key: baseline.selected_[key] for key in ("gamma", "nu")}
    machine = svm.OneClassSVM(**chosen, tol=1e-6).fit(x)
    scores = baseline.anomaly_score(problem[2][0])
    np.testing.assert_allclose(scores, -machine.score_samples(test), rtol=0.02)


def test_gamma_without_labels_beats_a_rule_of_thumb_on_unreported_digits():
    """On 8×8 digits; for the rule, see the class's docstring."""
    images, digits = datasets.load_digits(return_X_y=True)
    images = images.reshape(-1, 1, 8, 8)
    by_rule, by_thumb = [], []
    for digit in (1, 8, 9):
        normal = np.flatnonzero(digits == digit)
        test = np.r_[normal[120:], np.flatnonzero(digits != digit)]
        labels = (digits[test] != digit).astype(int)
        train = images[normal[:120]]
        baseline = make_baseline("ocsvm", preprocessing="minmax").fit(train)
        by_rule.append(roc_auc(labels, baseline.anomaly_score(images[test])))
        x, x_test = (pixels(v, train, "minmax") for v in (train, images[test]))
        between = squared_distances(x)[np.triu_indices(len(x), 1)]
        machine = svm.OneClassSVM(gamma=1 / (2 * np.median(between)), nu=0.1).fit(x)
        by_thumb.append(roc_auc(labels, -machine.score_samples(x_test)))
    assert np.mean(by_rule) > np.mean(by_thumb) + 0.01


def test_ocsvm_of_the_paper_takes_the_best_pair_by_the_labels(problem):
    x, judged = (pixels(images, problem[0]) for images in (problem[0], problem[1][0]))
    aucs = {
        (gamma, nu): roc_auc(
            problem[1][1],
            -svm.OneClassSVM(gamma=gamma, nu=nu).fit(x).decision_function(judged),
        )
        for gamma in GAMMAS
        for nu in NUS
    }
    chosen = fitted("ocsvm-paper", problem).selected_
    best = aucs[chosen["gamma"], chosen["nu"]]
    assert best == pytest.approx(max(aucs.values()), abs=2e-3)
    assert best > min(aucs.values()) + 0.01


def test_far_images_keep_their_order():
    d2 = np.array([[200], [300]], np.float32)
    assert np.exp(-d2[0]) == 0  # in single precision
    scores = machine_scores(d2, np.ones(1), gamma=1)
    assert scores == pytest.approx([-np.exp(-200.0), -np.exp(-300.0)])
    assert scores[0] < scores[1] < 0


def test_altered_images():
    image = np.arange(4).reshape(1, 1, 2, 2)
    turned, upside_down, mirrored = (a[0, 0].tolist() for a in altered_images(image))
    assert turned == [[1, 3], [0, 2]]
    assert upside_down == [[2, 3], [0, 1]]
    assert mirrored == [[1, 0], [3, 2]]


@given(st.integers(10, 500), st.integers(1, 250), st.integers(0, 9))
def test_labeled_tenth_and_rest_are_the_test_set(n_normal, n_anomalies, seed):
    y = np.repeat([0, 1], [n_normal, n_anomalies])
    labeled, rest = labeled_tenth(y, seed)
    plain = y[np.random.default_rng(seed).permutation(len(y))[: len(y) // 10]]
    by_label = [max(n // 10, 1) for n in (n_normal, n_anomalies)]
    assert len(labeled) == (len(y) // 10 if set(plain) == {0, 1} else sum(by_label))
    assert sorted([*labeled, *rest]) == list(range(len(y)))
    assert set(y[labeled]) == {0, 1}
    assert (labeled == labeled_tenth(y, seed)[0]).all()


@pytest.mark.parametrize("seed", range(10))
def test_the_labeled_tenth_is_drawn_without_labels_where_it_has_both(seed):
    order = np.random.default_rng(seed).permutation(1000)
    labeled, rest = labeled_tenth(np.arange(1000) % 2, seed)
    assert (labeled == np.sort(order[:100])).all()
    assert (rest == np.sort(order[100:])).all()


def test_another_seed_labels_others():
    y = np.arange(1000) % 2
    assert (labeled_tenth(y, 0)[0] != labeled_tenth(y, 1)[0]).any()


# Kernel density -----------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.floats(-6, 6))
def test_log_densities_are_those_of_the_formula(seed, d, exponent):
    rng = np.random.default_rng(seed)
    x, train, h = rng.normal(size=(3, d)), rng.normal(size=(9, d)), 2.0**exponent
    square = ((x[:, None] - train) ** 2).sum(axis=2)
    expected = np.logaddexp.reduce(-square / (2 * h**2), axis=1)
    expected -= np.log(9) + d / 2 * np.log(2 * np.pi * h**2)
    got = log_densities(squared_distances(x, train), d, [1.0, h])
    np.testing.assert_allclose(got[1], expected, rtol=1e-6, atol=1e-6)


def test_density_and_bandwidth_are_scikit_learns_without_its_tree(problem):
    baseline = fitted("kde", problem)
    x, test = (pixels(images, problem[0]) for images in (problem[0], problem[2][0]))
    search = model_selection.GridSearchCV(
        neighbors.KernelDensity(leaf_size=len(x)),
        {"bandwidth": BANDWIDTHS},
        cv=model_selection.KFold(5, shuffle=True, random_state=0),
    ).fit(x)
    assert baseline.selected_["bandwidth"] == search.best_params_["bandwidth"]
    np.testing.assert_allclose(
        baseline.anomaly_score(problem[2][0]), -search.score_samples(test), rtol=1e-4
    )


def test_bandwidths_are_the_papers():
    np.testing.assert_allclose(BANDWIDTHS, np.logspace(-4.5, 5, 20, base=2))


# Isolation forest and PCA -------------------------------------------------------------


def test_forest_is_scikit_learns(problem):
    baseline = fitted("iforest", problem, variance=1, random_state=5)
    x, test = (pixels(images, problem[0]) for images in (problem[0], problem[2][0]))
    forest = ensemble.IsolationForest(
        n_estimators=100, max_samples=256, random_state=5
    ).fit(x)
    scores = baseline.anomaly_score(problem[2][0])
    np.testing.assert_allclose(scores, -forest.score_samples(test))


def test_projection_is_what_the_forest_needs(problem):
    aucs = [
        roc_auc(
            problem[2][1],
            fitted("iforest", problem, variance=v).anomaly_score(problem[2][0]),
        )
        for v in (None, 1)
    ]
    assert aucs[0] > aucs[1] + 0.02


def test_pca_scores_by_what_lies_outside_the_subspace(problem):
    baseline = fitted("pca", problem, variance=0.9)
    x, test = (
        pixels(images, problem[0]).astype(np.float64)
        for images in (problem[0], problem[2][0])
    )
    *_, directions = np.linalg.svd(x - x.mean(0), full_matrices=False)
    left_out = test - x.mean(0)
    kept = directions[: baseline.selected_["n_components"]]
    left_out -= left_out @ kept.T @ kept
    np.testing.assert_allclose(
        baseline.anomaly_score(problem[2][0]), (left_out**2).sum(1), rtol=1e-3
    )


def test_the_papers_preprocessing_depends_on_method_and_colour():
    plain = {"preprocessing": "gcn_l1", "variance": None}
    assert as_in_paper("iforest", 1) == plain
    assert as_in_paper("kde", 1) == plain | {"preprocessing": "minmax"}
    assert as_in_paper("ocsvm-paper", 1) == as_in_paper("kde", 1)
    for name in ("ocsvm", "ocsvm-paper", "kde", "iforest", "pca"):
        assert as_in_paper(name, 3) == {"preprocessing": "gcn_l1", "variance": 0.95}


@pytest.mark.parametrize("channels", [1, 3])
def test_the_simplest_see_pixels_as_they_are(channels):
    for name in (*FEATURES, "1nn"):
        plain = {"preprocessing": "minmax", "variance": None}
        assert as_in_paper(name, channels) == plain
    assert as_in_paper("1nn-gcn", channels)["preprocessing"] == "gcn_l1"
