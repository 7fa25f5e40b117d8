"""The results that the book and the README show, and where they come from."""

import re

import numpy as np
import pytest

from deepsvdd.reproduction import reports
from deepsvdd.reproduction.results import key_of, read_results
from deepsvdd.reproduction.tasks import NETWORK_METHODS
from tests import ROOT

RESULTS = ROOT / "book" / "results"
SWEEPS = sorted(
    path
    for path in RESULTS.glob("*.jsonl")
    if path.stem.endswith(("-fast", "-paper", "-baselines"))
)


def is_ensemble(line):
    return "n_members" in line


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_run_has_its_provenance(path):
    lines = read_results([path])
    assert len(lines) == len(path.read_text().splitlines())
    for line in lines:
        assert {"dataset", "normal_class", "method", "recipe", "seed", "auc"} <= set(
            line
        )
        assert 0 < line["auc"] < 1
        origin = line["provenance"]
        assert re.fullmatch("[0-9a-f]{40}", origin["commit"]), "not a clean checkout"
        assert {"torch", "numpy", "scikit-learn"} <= set(origin["versions"])
        assert origin["machine"]["device"]
        assert "deepsvdd sweep" in origin["command"]
        if line["method"] in NETWORK_METHODS or is_ensemble(line):
            assert 0 < line["untrained_auc"] < 1
        if line["method"] in ("one-class", "soft-boundary"):
            assert line["collapsed"] in (True, False)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_an_ensemble_has_all_its_members(path):
    lines = read_results([path])
    keys = {key_of(line) for line in lines}
    for line in filter(is_ensemble, lines):
        method = line["method"].rpartition("-x")[0]
        for seed in line["members"]:
            assert key_of(line | {"method": method, "seed": seed}) in keys


def test_the_differences_from_the_paper_s_code_have_their_provenance():
    lines = read_results([RESULTS / "differences.jsonl"])
    assert {line["normal_class"] for line in lines} == set(range(10))
    for line in lines:
        assert line["recipe"].startswith(("fast + ", "paper + "))
        assert 0 < line["untrained_auc"] < 1
        assert line["collapsed"] is False
        assert re.fullmatch("[0-9a-f]{40}", line["provenance"]["commit"])


def test_the_readme_says_what_the_results_say():
    rows = reports.summarise(read_results(SWEEPS))
    means = {
        (row.dataset, row.recipe, row.method): row
        for row in rows
        if row.normal_class == reports.MEAN
    }
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    quoted = re.findall(
        r"^\| ([a-z0-9_]+) \| ([^|]*) \| ([a-z0-9-]+)" + 3 * r" \| ([^|]*)" + r" \|$",
        text,
        re.MULTILINE,
    )
    assert quoted
    for dataset, recipe, method, ours, untrained, paper in quoted:
        row = means[dataset, recipe.strip().replace("–", ""), method]
        for cell, value in (
            (ours, row.mean),
            (untrained, row.untrained),
            (paper, row.paper_mean),
        ):
            expected = "" if np.isnan(value) else f"{value:.1f}"
            assert cell.strip() == expected, (dataset, recipe, method)
