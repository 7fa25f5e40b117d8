import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from deepsvdd.reproduction import reports
from deepsvdd.reproduction.published import paper_auc
from deepsvdd.reproduction.reports import (
    MEAN,
    as_csv,
    as_markdown,
    half_width,
    summarise,
)

values = st.lists(st.floats(0, 100, width=32), min_size=2, max_size=12).filter(
    lambda v: np.std(v) > 1e-3
)


def runs(method="one-class", classes=range(10), seeds=range(3), shift=0.0, **more):
    """Results around the paper's, apart by `shift` points."""
    lines = []
    for index in classes:
        mean, _ = paper_auc("mnist", (index,), "one-class")
        for seed in seeds:
            lines.append(
                {
                    "dataset": "mnist",
                    "normal_class": index,
                    "method": method,
                    "recipe": "fast",
                    "seed": seed,
                    "auc": (mean + shift + 0.1 * seed) / 100,
                    "untrained_auc": 0.6,
                    **more,
                }
            )
    return lines


def row(rows, name, method="one-class"):
    (found,) = [r for r in rows if (r.normal_class, r.method) == (name, method)]
    return found


@given(values, values)
def test_the_interval_is_welchs(ours, theirs):
    errors = [np.std(v, ddof=1) / math.sqrt(len(v)) for v in (ours, theirs)]
    found = half_width(errors, [len(ours), len(theirs)])
    test = stats.ttest_ind(ours, theirs, equal_var=False)
    low, high = test.confidence_interval(0.95)
    assert found == pytest.approx((high - low) / 2, rel=1e-6)


def test_no_interval_from_what_is_unknown_and_none_without_chance():
    assert math.isnan(half_width([math.nan, 0.3], [1, 10]))
    assert half_width([0.0, 0.0], [1, 10]) == 0.0
    alone = half_width([0.0, 0.3], [1, 10])
    assert alone == pytest.approx(0.3 * stats.t.ppf(0.975, 9))


def test_a_row_is_mean_and_deviation_over_seeds():
    found = row(summarise(runs()), "3")
    assert found.n_seeds == 3
    assert found.mean == pytest.approx(92.0)
    assert found.std == pytest.approx(0.1)
    assert found.untrained == pytest.approx(60.0)
    assert (found.paper_mean, found.paper_std) == (91.9, 1.5)
    assert found.difference == pytest.approx(0.1)
    assert not found.differs


@pytest.mark.parametrize(
    ("shift", "differs"), [(0.0, False), (5.0, True), (-5.0, True)]
)
def test_a_difference_beyond_its_interval_is_marked(shift, differs):
    rows = summarise(runs(shift=shift))
    assert row(rows, "3").differs is differs
    assert row(rows, MEAN).differs is differs
    table = as_markdown(rows).split("ours − paper")[1]
    assert ("**" in table.split("**Bold**")[0]) is differs


def test_the_mean_is_over_all_classes_or_there_is_none():
    rows = summarise(runs())
    found = row(rows, MEAN)
    assert found.mean == pytest.approx(np.mean([r.mean for r in rows[:-1]]))
    assert found.paper_mean == pytest.approx(94.80, abs=0.01)
    errors = [r.paper_std / math.sqrt(10) / 10 for r in rows[:-1]]
    assert found.paper_std == pytest.approx(math.hypot(*errors))
    some = runs(classes=range(9))
    assert not [r for r in summarise(some) if r.normal_class == MEAN]
    found = row(summarise(some, partial=True), MEAN)
    assert found.mean == pytest.approx(np.mean([r.mean for r in rows[:9]]))
    assert found.paper_mean == pytest.approx(np.mean([r.paper_mean for r in rows[:9]]))


def test_luck_that_classes_share_widens_the_interval_of_the_mean():
    lines = runs()  # a seed moves all classes by 0.1 points
    found = row(summarise(lines), MEAN)
    assert found.std == pytest.approx(0.1 / math.sqrt(3))
    # Each class with its own seeds: nothing is shared.
    for line in lines:
        line["seed"] += 3 * line["normal_class"]
    apart = row(summarise(lines), MEAN)
    assert apart.std == pytest.approx(0.1 / math.sqrt(3) / math.sqrt(10))
    assert apart.half_width < found.half_width


def test_one_seed_has_no_interval_and_is_never_marked():
    found = row(summarise(runs(seeds=[0], shift=9)), "3")
    assert math.isnan(found.half_width)
    assert not found.differs
    assert reports.difference(found) == "+9.0"


def test_what_has_no_chance_in_it_needs_one_run_only():
    line = runs(method="kde", classes=[3], seeds=[0], recipe=None)[0]
    del line["untrained_auc"]
    (found,) = summarise([line])
    assert found.std == 0.0
    assert math.isnan(found.untrained)
    assert found.paper_mean == 86.2
    assert reports.value(found) == "91.9"
    assert reports.difference(found) == "**+5.7**"


def test_data_and_methods_the_paper_lacks_have_no_comparison():
    line = runs(method="one-class-x10", classes=[3], seeds=[0])[0]
    fashion = line | {"dataset": "fashion_mnist", "method": "one-class"}
    for found in summarise([line, fashion]):
        assert math.isnan(found.paper_mean)
        assert not found.differs
    assert "ours − paper" not in as_markdown(summarise([line, fashion]))
    assert "| Dress |" in as_markdown(summarise([fashion]))


def test_tables_keep_recipes_apart_and_repeat_baselines():
    lines = [
        *runs(classes=[3]),
        *runs(classes=[3], recipe="paper"),
        *runs(classes=[3], precision="bf16"),
        *runs(method="kde", classes=[3], seeds=[0], recipe=None),
    ]
    rows = summarise(lines)
    assert reports.tables(rows) == [
        ("mnist", "fast"),
        ("mnist", "fast, bf16"),
        ("mnist", "paper"),
    ]
    text = as_markdown(rows)
    assert text.count("| normal class | kde | one-class | untrained |") == 3
    assert "| 3 | 91.9 | 92.0 ± 0.1 | 60.0 |" in text
    only = summarise(lines[-1:])
    assert reports.tables(only) == [("mnist", "")]


def test_another_nu_is_another_row():
    usual = runs("soft-boundary", classes=[3], seeds=[0, 1], nu=0.1)
    other = runs("soft-boundary", classes=[3], seeds=[0, 1], nu=0.05, shift=-9)
    found = {r.recipe: (r.n_seeds, r.mean) for r in summarise([*usual, *other])}
    assert found == {
        "fast": (2, pytest.approx(91.95)),
        "fast, nu=0.05": (2, pytest.approx(82.95)),
    }
    assert reports.recipe_name({"nu": 0.05, "recipe": None}) == "nu=0.05"
    assert reports.recipe_name({"nu": None, "recipe": None}) == ""


@pytest.mark.parametrize("setting", ["network", "preprocessing"])
def test_networks_of_several_kinds_are_not_averaged(setting):
    unknown, one = runs(seeds=[0]), runs(seeds=[1], **{setting: "one"})
    assert summarise([*unknown, *one])[0].n_seeds == 2
    for other in (runs(seeds=[2], **{setting: "two"}), runs(seeds=[1, 2])):
        other[-1][setting] = "two"
        with pytest.raises(ValueError, match=f"results must have one {setting} for"):
            summarise([*unknown, *one, *other])


def test_the_paper_is_compared_with_where_it_has_the_same_anomalies():
    """Its signs stand against adversarial ones, its digits against other digits."""
    plain = runs(classes=[3])
    attacked = [line | {"n_adversarial": 20, "auc": 0.5} for line in plain]
    signs = [
        li | {"dataset": "gtsrb", "normal_class": 14} for li in [*plain, *attacked]
    ]
    rows = summarise([*plain, *attacked, *signs])
    assert [(r.dataset, r.n_seeds, r.paper_mean) for r in rows] == [
        ("gtsrb", 3, pytest.approx(math.nan, nan_ok=True)),
        ("gtsrb, adversarial", 3, 80.3),
        ("mnist", 3, 91.9),
        ("mnist, adversarial", 3, pytest.approx(math.nan, nan_ok=True)),
    ]
    assert [r.mean for r in rows[1::2]] == [50.0, 50.0]
    assert "### gtsrb, adversarial, fast: ours − paper" in as_markdown(rows)


def test_csv_has_every_row():
    rows = summarise(runs())
    table = list(csv.DictReader(io.StringIO(as_csv(rows))))
    assert len(table) == 11
    assert table[3]["normal_class"] == "3"
    assert float(table[3]["mean"]) == pytest.approx(92.0)
    single = list(csv.DictReader(io.StringIO(as_csv(summarise(runs(seeds=[0]))))))
    assert single[0]["std"] == ""


def test_pictures_show_what_the_rows_say():
    rows = summarise(runs())
    ax = reports.draw_classes(rows, "one-class")
    labels = [text.get_text() for text in ax.get_yticklabels()]
    assert labels == [*"0123456789", "mean"]
    ours, theirs, control = (line for line, *_ in ax.containers)
    assert ours.get_xdata()[3] == pytest.approx(92.0)
    assert theirs.get_xdata()[3] == 91.9
    assert control.get_xdata()[3] == pytest.approx(60.0)
    assert reports.draw_methods(rows).get_yticklabels()[0].get_text() == "one-class"
    with pytest.raises(ValueError, match="mean over all classes"):
        reports.draw_methods(rows[:3])


def test_the_origin_of_results_is_said():
    line = runs(classes=[3], seeds=[0])[0]
    line["provenance"] = {"commit": "0123456789abcdef", "machine": {"device": "X"}}
    assert reports.seeds_of([line]) == "1 run, seed 0; commit 0123456; X"
    three = [line | {"seed": seed} for seed in range(3)]
    assert reports.seeds_of(three) == "3 runs, seeds 0–2; commit 0123456; X"
