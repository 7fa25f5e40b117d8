"""One schema says what a line of results may hold."""

import json

import pytest

from deepsvdd.reproduction.schema import FIELDS, check_line
from deepsvdd.reproduction.tasks import METHODS
from tests import ROOT
from tests.toys import BROKEN_FIELDS, a_run


@pytest.mark.parametrize("case", BROKEN_FIELDS)
def test_a_broken_field_is_named_in_one_short_sentence(case):
    changed, name = BROKEN_FIELDS[case]
    with pytest.raises(ValueError, match=f"^here must have .* as {name}; got ") as told:
        check_line(a_run() | changed, "here")
    assert len(str(told.value)) < 250


def test_every_field_is_tried():
    tried = {name for _, name in BROKEN_FIELDS.values()}
    kinds = {FIELDS[name].domain for name in tried}
    assert {field.domain for field in FIELDS.values()} == kinds | {
        "a list of numbers from 0 to 1"
    }


@pytest.mark.parametrize("name", ["dataset", "normal_class", "method", "seed", "auc"])
def test_what_every_line_has_must_be_there(name):
    line = a_run()
    del line[name]
    with pytest.raises(ValueError, match=f"it has no {name}$"):
        check_line(line)


@pytest.mark.parametrize("line", [None, 5, "text", [a_run()], b"\xff"])
def test_a_line_is_an_object(line):
    with pytest.raises(ValueError, match="must be a JSON object with dataset, "):
        check_line(line)


def test_what_is_not_known_is_free():
    line = a_run(dataset="signs of my own", normal_class=99, later=[{"deep": None}])
    assert check_line(line) is line


@pytest.mark.parametrize("method", [*METHODS, "one-class-x10"])
def test_the_packages_own_names_are_names(method):
    check_line(a_run(method=method, recipe="fast-dictionary:7+5", nu=0.1))


def test_the_books_results_keep_to_it():
    count = 0
    for path in sorted((ROOT / "book" / "results").glob("*.jsonl")):
        for line in map(json.loads, path.read_text("utf-8").splitlines()):
            # Lines without a method are figures of the data themselves, lines without a
            # data set figures of the benchmarks.
            if "dataset" in line and "method" in line:
                check_line(line)
                count += 1
    assert count > 1000
