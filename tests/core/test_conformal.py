"""p-values, discoveries and thresholds: by definition, and by simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from deepsvdd.core.conformal import (
    check_level,
    check_reachable,
    conformal_p_values,
    discoveries,
    rank_for,
    samples_for,
)

tied = st.lists(st.integers(0, 5), min_size=1, max_size=30)  # ties are the rule
DRAWS = 1000


# ------------------------------------------------------------------------- definitions


@given(scores=tied, held_out=tied)
def test_p_values_are_the_definitions(scores, held_out):
    found = conformal_p_values(np.array(scores, float), np.sort(held_out).astype(float))
    expected = [
        Fraction(1 + sum(other >= score for other in held_out), len(held_out) + 1)
        for score in scores
    ]
    np.testing.assert_allclose(found, np.array(expected, float), rtol=1e-15)


@given(scores=tied, held_out=tied, data=st.data())
def test_randomized_p_values_are_the_definitions(scores, held_out, data):
    u = data.draw(st.lists(st.floats(0, 1), min_size=len(scores), max_size=len(scores)))
    sorted_ = np.sort(held_out).astype(float)
    found = conformal_p_values(np.array(scores, float), sorted_, np.array(u))
    for score, p, own in zip(scores, found, u, strict=True):
        above = sum(other > score for other in held_out)
        equal = sum(other == score for other in held_out)
        expected = (above + own * (1 + equal)) / (len(held_out) + 1)
        assert p == pytest.approx(expected, abs=1e-15)
    assert (found <= conformal_p_values(np.array(scores, float), sorted_)).all()


@given(
    p=st.lists(st.integers(1, 20), min_size=0, max_size=25),
    fdr=st.integers(1, 19),
)
def test_discoveries_are_those_of_benjamini_and_hochberg(p, fdr):
    """The k smallest, for the largest k with p₍ₖ₎ ≤ k fdr / m; in rational numbers."""
    exact, level = [Fraction(v, 20) for v in p], Fraction(fdr, 20)
    ordered = sorted(exact)
    kept = [k for k, v in enumerate(ordered, 1) if v <= level * Fraction(k, len(p))]
    limit = ordered[kept[-1] - 1] if kept else Fraction(-1)
    found = discoveries(np.array(exact, float), float(level))
    assert found.tolist() == [v <= limit for v in exact]


@pytest.mark.parametrize("n", [10, 59, 300, 1000])
@pytest.mark.parametrize("false_alarms", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95])
def test_the_rank_is_the_binomial_laws(n, false_alarms, confidence):
    """Too many lie above the k-th of n iff at least k are among the lower 1 − α."""
    kept = [
        k
        for k in range(1, n + 1)
        if binom.cdf(k - 1, n, 1 - false_alarms) >= confidence
    ]
    assert rank_for(n, false_alarms, confidence) == (kept[0] if kept else None)


@pytest.mark.parametrize(
    ("false_alarms", "confidence", "expected"),
    [(0.05, 0.95, 59), (0.01, 0.95, 299), (0.01, 0.99, 459), (0.5, 0.5, 1)],
)
def test_how_many_samples_it_takes(false_alarms, confidence, expected):
    """59 and 299 are in every table of nonparametric tolerance limits."""
    assert samples_for(false_alarms, confidence) == expected
    assert rank_for(expected, false_alarms, confidence) == expected
    if expected > 1:
        assert rank_for(expected - 1, false_alarms, confidence) is None


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, math.nan, "0.1", None, True])
def test_levels_that_are_none(value):
    with pytest.raises(ValueError, match=r"fdr must be a number in \(0, 1\); got"):
        check_level("fdr", value)


def test_levels_that_no_p_value_reaches():
    for n in (1, 9, 10, 99, 999):
        check_reachable("fdr", 1 / (n + 1), n)
    with pytest.raises(
        ValueError,
        match=r"at least 1/\(n \+ 1\) = 0.0099 with n = 100 .*got 0.005, .* takes 199:",
    ):
        check_reachable("fdr", 0.005, 100)
    check_reachable("fdr", 0.005, 199)


# ------------------------------------------------------------ promises, over many draws


def draws(n, seed, tied=False):
    """Held-out scores (DRAWS, n), ascending, of a skewed distribution, or with ties."""
    rng = np.random.default_rng(seed)
    scores = rng.lognormal(size=(DRAWS, n))
    return np.sort(np.round(scores) if tied else scores, axis=1)


def at_most(rate, promised, n=DRAWS):
    """A rate is the promised one, but for five sigma of chance in a mean of n."""
    return rate <= promised + 5 * math.sqrt(promised * (1 - promised) / n)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.1, 0.3])
@pytest.mark.parametrize("tied", [False, True])
def test_a_normal_sample_is_rarely_rejected(alpha, tied):
    held_out, new = draws(99, 0, tied), draws(1, 1, tied)
    p = np.array(
        [conformal_p_values(s, h)[0] for s, h in zip(new, held_out, strict=True)]
    )
    assert at_most((p <= alpha).mean(), alpha)
    u = np.random.default_rng(2).random((DRAWS, 1))
    exact = np.array(
        [conformal_p_values(*t)[0] for t in zip(new, held_out, u, strict=True)]
    )
    assert at_most((exact <= alpha).mean(), alpha)
    assert at_most((exact > alpha).mean(), 1 - alpha)  # and no less
    if not tied:  # alpha (n + 1) is whole: exact without chance as well
        assert at_most((p > alpha).mean(), 1 - alpha)


@pytest.mark.parametrize("fdr", [0.1, 0.25])
def test_few_discoveries_are_false(fdr):
    """100 samples of which 20 are anomalies, with scores from far out."""
    rng = np.random.default_rng(3)
    shares, found = [], []
    for held_out in draws(200, 4):
        scores = rng.lognormal(size=100)
        scores[:20] += 20 * rng.random(20)
        chosen = discoveries(conformal_p_values(scores, held_out), fdr)
        shares.append(chosen[20:].sum() / max(chosen.sum(), 1))
        found.append(chosen[:20].mean())
    error = np.std(shares) / math.sqrt(DRAWS)
    assert np.mean(shares) <= 0.8 * fdr + 5 * error
    assert np.mean(shares) > 0.8 * fdr / 2  # not by finding nothing
    assert np.mean(found) > 0.3


@pytest.mark.parametrize(("n", "false_alarms"), [(59, 0.05), (300, 0.05), (400, 0.01)])
def test_a_thresholds_promise_is_kept_as_often_as_said(n, false_alarms):
    """The share of a lognormal distribution above a threshold is known exactly."""
    rank = rank_for(n, false_alarms, 0.95)
    thresholds = draws(n, 5)[:, rank - 1]
    share = [0.5 * math.erfc(math.log(t) / math.sqrt(2)) for t in thresholds]
    broken = float(np.mean(np.array(share) > false_alarms))
    assert at_most(broken, 0.05)
    lower = draws(n, 5)[:, rank - 2] if rank > 1 else np.zeros(DRAWS)
    share = [0.5 * math.erfc(math.log(t) / math.sqrt(2)) for t in lower if t > 0]
    assert np.mean(np.array(share) > false_alarms) > 0.05  # no lower one would do
