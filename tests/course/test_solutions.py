"""Solutions from a date on, when nobody can hand in for points any more."""

from datetime import datetime

import nbformat
import pytest
from click.testing import CliRunner

from deepsvdd.course.cli import main
from deepsvdd.course.lateness import LateRule
from deepsvdd.course.roster import read_roster
from deepsvdd.course.solutions import openings, read_dates, solved
from tests.course import secret_lines, toy_notebook


@pytest.fixture
def place(tmp_path):
    nbformat.write(toy_notebook(), tmp_path / "9-toy.ipynb")
    return tmp_path


def run(place, due, *options):
    (place / "dates.csv").write_text(f"assignment,due\n9-toy,{due}\n")
    words = ["solutions", str(place / "public"), "--dates", str(place / "dates.csv")]
    sources = ["--sources", str(place / "9-toy.ipynb")]
    return CliRunner().invoke(main, [*words, *sources, *options])


def test_before_the_date_nothing_is_written_and_afterwards_the_solution(place):
    done = run(place, "2999-01-01 12:00")
    assert done.exit_code == 0, done.output
    assert done.output == "9-toy.ipynb: from 2999-01-01 12:00 on\n"
    assert not list(place.glob("public/*"))
    done = run(place, "2020-01-01")
    assert done.output == f"{place / 'public/9-toy.ipynb'}\n"
    assert (place / "public/9-toy.ipynb").exists()


def test_sources_are_never_overwritten(place):
    before = (place / "9-toy.ipynb").read_bytes()
    (place / "dates.csv").write_text("assignment,due\n9-toy,2020-01-01\n")
    for sources in (place, place / "9-toy.ipynb"):
        words = ["solutions", str(place), "--dates", str(place / "dates.csv")]
        done = CliRunner().invoke(main, [*words, "--sources", str(sources)])
        assert done.exit_code
        assert "out must be another folder than that of the sources" in done.output
    assert (place / "9-toy.ipynb").read_bytes() == before


def test_late_days_and_extensions_are_waited_for(toy, tmp_path):
    due = {"9-toy": datetime(2026, 11, 5, 12)}
    (opening,) = openings([toy], due, LateRule(0.1, 3))
    assert opening.time == datetime(2026, 11, 8, 12)
    path = tmp_path / "roster.csv"
    path.write_text("id,name,extension\n1,Ada,2\n2,Bo,\n3,Cy,2026-11-06\n")
    (opening,) = openings([toy], due, LateRule(0.1, 3), read_roster(path))
    assert opening.time == datetime(2026, 11, 10, 12)
    with pytest.raises(ValueError, match="late must have a last day"):
        openings([toy], due, LateRule(0.1))


def test_it_has_solutions_and_texts_and_nothing_that_marks(toy):
    notebook = solved(toy)
    text = nbformat.writes(notebook)
    assert "return total / len(values)" in text
    assert "Because the mean is where squares are least." in text
    for word in ("HIDDEN", "BEGIN SOLUTION", "Rubric", "secret = 15", "Is wrong."):
        assert word not in text
    shown = {line for line in secret_lines(toy) if line in text}
    assert all("HIDDEN" not in line and "secret" not in line for line in shown)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("assignment,due\n1-toy,2026-11-05\n", "assignment must be one of 9-toy; got"),
        ("assignment,due\n9-toy,9999-12-31\n", "due must be a date like"),
        ("assignment,due\n9-toy,soon\n", "due must be a date like .* got 'soon'"),
        ("name,date\n9-toy,2026-11-05\n", "must have the columns assignment and due"),
    ],
)
def test_dates_that_cannot_be_read_are_told(tmp_path, table, words):
    path = tmp_path / "dates.csv"
    path.write_text(table)
    with pytest.raises(ValueError, match=words):
        read_dates(path, ["9-toy"])


def test_a_day_lasts_until_its_end(tmp_path):
    path = tmp_path / "dates.csv"
    path.write_text("Assignment;Due\n9-toy;2026-11-05\n")
    assert read_dates(path, ["9-toy"]) == {"9-toy": datetime(2026, 11, 6)}
