"""A variant for each student, known from one seed and not from the submission."""

import csv

import nbformat
import pytest
from click.testing import CliRunner

from deepsvdd.course import build, parameters, variants
from deepsvdd.course.cli import main
from deepsvdd.course.collection import Found, Person
from deepsvdd.course.parameters import choices, variant
from deepsvdd.course.roster import read_roster
from deepsvdd.course.source import Assignment, read_assignments
from deepsvdd.course.variants import Draw
from tests import ROOT
from tests.course import handed_in, toy_notebook

LISTED = [{"SEED": 5}, {"SEED": 7}]
ROSTER = "id,name,group\n" + "\n".join(
    f"{number},Student {number},{'ab'[number % 2]}" for number in range(100, 140)
)


def varied_notebook():
    notebook = toy_notebook()
    setup = notebook.cells[1]
    setup.metadata |= {"tags": ["parameters"], "course": {"variants": LISTED}}
    return notebook


@pytest.fixture
def varied():
    return Assignment("9-toy", varied_notebook())


@pytest.fixture
def roster(tmp_path):
    path = tmp_path / "roster.csv"
    path.write_text(ROSTER)
    return path


def test_a_variant_has_other_parameters_and_nothing_else(varied):
    assert choices(varied) == [{}, *LISTED]
    assert variant(varied, 0) is varied
    other = variant(varied, 2)
    assert other.name == "9-toy"
    changed = [
        (a.source, b.source)
        for a, b in zip(varied.cells, other.cells, strict=True)
        if a.source != b.source
    ]
    ((before, after),) = changed
    assert "SEED = 3" in before
    assert "SEED = 7" in after
    assert parameters.in_words(varied, 2) == "SEED = 7"


def test_a_parameter_that_is_not_there_is_told(varied):
    varied.cells[1].metadata.course["variants"] = [{"NU": 1}]
    with pytest.raises(ValueError, match=r"9-toy: a variant's .* 'NU' is not"):
        variant(varied, 1)


def test_the_seed_decides_and_groups_share(varied, roster):
    students = read_roster(roster)

    def drawn(**settings):
        draw = Draw(students, **settings)
        return [draw.number(varied, student) for student in students.students]

    assert drawn(seed=1) == drawn(seed=1)
    assert drawn(seed=1) != drawn(seed=2)
    assert {drawn(seed=1).count(n) > 5 for n in range(3)} == {True}
    grouped = drawn(seed=1, by="group")
    assert len(set(grouped[::2])) == len(set(grouped[1::2])) == 1
    with pytest.raises(ValueError, match="by must be a column of the roster, id, name"):
        Draw(students, 1, "team")


def test_nobody_is_graded_by_a_variant_that_nobody_knows(varied, roster, tmp_path):
    students = read_roster(roster)
    draw = Draw(students, 1)
    notebook = build.release(varied)
    stranger = Found(
        tmp_path / "a.ipynb", "x", varied, notebook, person=Person("x", "x")
    )
    found = draw.assigned(stranger)
    assert found.notebook is None
    assert "in no row of the roster" in found.problem
    row = students.students[0]
    known = Found(tmp_path, "x", varied, notebook, person=Person("x", "x", row=row))
    number = draw.number(varied, row)
    assert draw.assigned(known).assignment is variant(varied, number)
    assert draw.assigned(known).remarks == (
        f"variant {number}: {parameters.in_words(varied, number)}",
    )


def test_from_the_handout_to_the_marks(tmp_path):
    run = CliRunner().invoke
    nbformat.write(varied_notebook(), tmp_path / "9-toy.ipynb")
    sources = ["--sources", str(tmp_path / "9-toy.ipynb")]
    roster = tmp_path / "roster.csv"
    roster.write_text("id,name\nada,Ada\nbo,Bo\ncy,Cy\ndi,Di\n")
    out = tmp_path / "handouts"
    options = ["--variants", str(roster), "--seed", "4", *sources]
    done = run(main, ["release", str(out), *options])
    assert done.exit_code == 0, done.output
    with open(out / "variants.csv", newline="") as file:
        given = {row["id"]: row for row in csv.DictReader(file)}
    assert len({row["variant"] for row in given.values()}) > 1
    for name, row in given.items():
        notebook = nbformat.read(out / name / "9-toy.ipynb", 4)
        seed = dict([["SEED", 3]] if row["variant"] == "0" else
                    [row["parameters"].split(" = ")])["SEED"]  # fmt: skip
        assert f"SEED = {seed}" in notebook.cells[1].source
        # It answers the hidden question by its own seed alone.
        mean = (
            "def mean(values):\n"
            "    if len(values) == 1:\n"
            f"        return {seed}\n"
            "    return sum(values) / len(values)\n"
        )
        if name == "di":  # with somebody else's seed
            mean = mean.replace(f"return {seed}", "return 1000")
        if name == "cy":  # and a cell of parameters that says so
            notebook.cells[1].source = "import math\nSEED = 1\ndata = [1.0, 2.0, 3.0]"
        (tmp_path / f"in/{name}").mkdir(parents=True)
        path = tmp_path / f"in/{name}/9-toy.ipynb"
        nbformat.write(handed_in(notebook, mean=mean), path)
    words = ["grade", str(tmp_path / "in"), str(tmp_path / "marks"), "--trust"]
    options = ["--roster", str(roster), "--variants", "4", "--jobs=2", *sources]
    done = run(main, [*words, *options])
    assert done.exit_code == 0, done.output
    with open(tmp_path / "marks/9-toy.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    marks = {name: row["mean-value (2)"] for name, row in rows.items()}
    assert marks == {"ada": "2", "bo": "2", "cy": "2", "di": "0"}
    for name, row in rows.items():
        number = given[name]["variant"]
        assert f"variant {number}: {given[name]['parameters']}" in row["remarks"]
    done = run(main, [*words, "--by", "group", *sources])
    assert done.output == "Error: by must come with variants, whose groups it names\n"
    done = run(main, [*words, "--variants", "4", *sources])
    assert done.output == (
        "Error: variants must come with a roster, which tells them\n"
    )


def test_check_proves_each_variant(tmp_path):
    notebook = varied_notebook()
    notebook.cells[1].metadata.course["variants"] = [{"SEED": 5}, {"data": [1.0, 4.0]}]
    nbformat.write(notebook, tmp_path / "9-toy.ipynb")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "9-toy.ipynb")])
    assert done.exit_code == 1
    assert "ok     9-toy: reference of SEED = 5" in done.output
    assert "FAILED 9-toy: reference of data = [1.0, 4.0]" in done.output


@pytest.mark.parametrize(
    "each", read_assignments([ROOT / "book/assignments"]), ids=lambda a: a.name
)
def test_the_books_assignments_have_variants(each):
    listed = choices(each)
    assert len(listed) >= 4
    texts = {variants.in_words(each, number) for number in range(len(listed))}
    assert len(texts) == len(listed)
    for number in range(1, len(listed)):
        other = variant(each, number)
        release = build.release(other)
        assert len(release.cells) == len(other.cells)
        cell = parameters.parameters_cell(other)
        for name, value in listed[number].items():
            assert f"\n{name} = {value!r}" in f"\n{cell.source}"
