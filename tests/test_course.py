"""The course's tools, on an assignment of our own and on submissions of all kinds."""

import csv
import json
import os
import re
import time
import zipfile
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from deepsvdd.course import batch, build, feedback
from deepsvdd.course.cli import main
from deepsvdd.course.grade import Limits, Mark, Result, grade_notebook, name_spaces
from deepsvdd.course.source import (
    Assignment,
    bound_names,
    essence,
    is_hidden,
    problems,
    read_assignment,
    read_notebook,
    recognise,
)

LIMITS = Limits(seconds=300, cell_seconds=2, memory=512)

MEAN = """\
def mean(values):
    ### BEGIN SOLUTION
    total = sum(values)
    return total / len(values)
    ### END SOLUTION
"""
SPREAD = """\
def spread(values):
    ### BEGIN SOLUTION
    return max(values) - min(values)
    ### END SOLUTION
"""
MEAN_VALUE = """\
assert math.isclose(mean(data), 2), "the mean of 1, 2 and 3 is 2"
### BEGIN HIDDEN TESTS
assert mean([SEED]) == SEED, "try a single value"
### END HIDDEN TESTS
"""
MEAN_EVEN = """\
value = mean([10, 20])
### BEGIN HIDDEN TESTS
secret = 15
assert value == secret
### END HIDDEN TESTS
"""
SPREAD_VALUE = """\
assert spread(data) == 2, "3 and 1 differ by 2"
### BEGIN HIDDEN TESTS
assert spread([5, 1, 9]) == 8, "the order must not matter"
### END HIDDEN TESTS
"""
FULL = {"mean-value": 2.0, "mean-even": 1.0, "spread-value": 3.0}
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
WRONG_MEAN = FULL | {"mean-value": 0.0, "mean-even": 0.0}
REFERENCE = {"mean": MEAN, "spread": SPREAD}


def cell(source, name="", points=0, solution=False, **metadata):
    """A cell of an assignment; free text if it begins with #, code otherwise."""
    if name:
        metadata["nbgrader"] = {
            "schema_version": 3,
            "grade_id": name,
            "task": False,
            "grade": points > 0,
            "solution": solution,
            "locked": not solution,
        }
        if points:
            metadata["nbgrader"]["points"] = points
    markdown = source.startswith(("#", "Because")) and "\n" not in source
    new = nbformat.v4.new_markdown_cell if markdown else nbformat.v4.new_code_cell
    if name:
        metadata["nbgrader"]["cell_type"] = "markdown" if markdown else "code"
    return new(source.strip("\n"), metadata=metadata)


def variant(name, replaces, source, **marks):
    course = {"role": "variant", "name": name, "mistake": "Is wrong.", "marks": marks}
    return cell(source, course=course | {"replaces": replaces})


def toy_notebook():
    notebook = nbformat.v4.new_notebook(metadata={"author_note": "the secret is 15"})
    even = {"mean-even": 0}
    notebook.cells = [
        cell("# Toy: sums"),
        cell("import math\n\nSEED = 3\ndata = [1.0, 2.0, 3.0]", "setup"),
        cell("## The mean"),
        cell(MEAN, "mean", solution=True),
        cell(MEAN_VALUE, "mean-value", 2),
        cell(MEAN_EVEN, "mean-even", 1),
        cell("## The spread"),
        cell(SPREAD, "spread", solution=True),
        cell(SPREAD_VALUE, "spread-value", 3),
        cell("## Why"),
        cell("Because the mean is where squares are least.", "why", 2, solution=True),
        cell("# Rubric", course={"role": "rubric"}),
        variant("median", "mean", MEDIAN, **even),
        variant("both", "mean", MEDIAN, **even),
        variant(
            "both", "spread", "def spread(v):\n    return 2", **{"spread-value": 0}
        ),
    ]
    notebook.metadata |= KERNEL
    notebook.cells[3].outputs = [nbformat.v4.new_output("stream", text="sum / len")]
    return notebook


MEDIAN = "def mean(values):\n    return sorted(values)[len(values) // 2]"


@pytest.fixture(scope="module")
def toy():
    return Assignment("9-toy", toy_notebook())


@pytest.fixture(scope="module")
def given(toy):
    return build.release(toy)


def handed_in(given, **sources):
    """The release with some of its cells filled in, `spread` at least."""
    sources = {"spread": SPREAD, "why": "Because."} | sources
    notebook = nbformat.from_dict(given)
    for one in notebook.cells:
        name = one.metadata.get("nbgrader", {}).get("grade_id")
        one.source = sources.get(name, one.source)
    return notebook


def grade(toy, given, notebook, limits=LIMITS):
    return grade_notebook(toy, given, notebook, limits)


def earned(result):
    return {name: mark.earned for name, mark in result.marks.items()}


# --- the source -------------------------------------------------------------------


def test_the_toy_is_what_we_think(toy):
    assert list(problems(toy)) == []
    assert list(toy.solutions) == ["mean", "spread"]
    assert toy.points == FULL | {"why": 2.0}
    assert toy.title == "Toy: sums"
    assert toy.headings["spread-value"] == "The spread"
    assert [v.name for v in toy.variants] == ["median", "both"]
    assert toy.variants[1].sources.keys() == {"mean", "spread"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda nb: nb.cells[4].metadata.nbgrader.update(points=0), "points must"),
        (lambda nb: nb.cells[4].metadata.nbgrader.update(grade_id="mean"), "unique"),
        (lambda nb: nb.cells[4].metadata.nbgrader.update(grade_id="A b"), "'A b'"),
        (lambda nb: nb.cells[12].metadata.course.update(replaces="x"), "no solution"),
        (
            lambda nb: nb.cells[12].metadata.course.update(marks={"x": 0}),
            "no test cell",
        ),
        (lambda nb: nb.cells[12].metadata.course.update(marks={}), "must lose marks"),
        (lambda nb: nb.cells[12].metadata.course.pop("mistake"), "lacks mistake"),
        (lambda nb: nb.cells[11].metadata.course.update(role="key"), "'key'"),
    ],
)
def test_a_wrong_source_is_named(tmp_path, change, message):
    notebook = toy_notebook()
    change(notebook)
    nbformat.write(notebook, tmp_path / "9-toy.ipynb")
    with pytest.raises(ValueError, match=r"9-toy.ipynb: ") as caught:
        read_assignment(tmp_path / "9-toy.ipynb")
    assert message in str(caught.value)


def test_names_that_code_binds():
    source = (
        "import x\ndef f(a):\n    b = a\nclass C: pass\nd: int = 3\ne == d\ng.h = 1"
    )
    assert bound_names(source) == {"f", "C", "d"}


def test_hidden_lines_are_those_between_the_marks():
    lines = [is_hidden(MEAN_VALUE, number) for number in range(1, 5)]
    assert lines == [False, True, True, False]


@pytest.mark.parametrize(
    "content", ["", "not JSON", "[]", "{}", "[" * 100_000, '{"cells": [1]}', "\0" * 9]
)
def test_what_is_no_notebook_is_an_error_of_one_line(tmp_path, content):
    path = tmp_path / "a.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match="no readable notebook") as caught:
        read_notebook(path)
    assert "\n" not in str(caught.value)


# --- the release ------------------------------------------------------------------


def secret_lines(assignment):
    """Lines of solutions, hidden tests, rubrics and variants, and of nothing else."""
    public, secret = set(), set()
    for one in assignment.notebook.cells:
        hidden = bool(one.metadata.get("course"))
        hidden |= one.cell_type == "markdown" and bool(one.metadata.get("nbgrader"))
        for line in map(str.strip, one.source.split("\n")):
            hidden |= line.startswith("### BEGIN")
            (secret if hidden else public).add(line)
            hidden &= not line.startswith("### END")
    shown = "\n".join(public)
    return {line for line in secret if len(line) > 7 and line not in shown}


def test_the_release_holds_no_trace_of_the_answers(toy, given):
    text = json.dumps(given, ensure_ascii=False)
    found = secret_lines(toy)
    assert {"total = sum(values)", "secret = 15", "# Rubric"} <= found
    assert not [line for line in found if json.dumps(line)[1:-1] in text]
    assert "secret" not in text
    assert "sum / len" not in text
    assert '"course"' not in text
    assert all("attachments" not in one for one in given.cells)


def test_the_release_is_what_students_need(toy, given):
    cells = {one.metadata.nbgrader.grade_id: one for one in given.cells[3:6]}
    assert cells["mean"].source == (
        "# task: mean\ndef mean(values):\n    raise NotImplementedError"
    )
    assert cells["mean-value"].source == MEAN_VALUE.split("\n")[0]
    assert cells["mean-value"].metadata.nbgrader.checksum
    assert cells["mean-value"].metadata.editable is False
    assert len(given.cells) == len(toy.cells)


def test_build_writes_both_versions_and_the_archive(toy, tmp_path):
    written = build.build([toy], tmp_path, LIMITS)
    assert all(path.exists() for path in written)
    taught = nbformat.read(tmp_path / "instructor/9-toy.ipynb", 4)
    text = "\n".join(one.source for one in taught.cells)
    assert "total = sum(values)" in text
    assert "# Rubric" in text
    assert "| median | Is wrong. | mean-even (1) |" in text
    with zipfile.ZipFile(tmp_path / build.ARCHIVE) as archive:
        assert archive.namelist() == ["9-toy.ipynb", "README.md"]
        readme = archive.read("README.md").decode()
        assert (
            archive.read("9-toy.ipynb")
            == (tmp_path / "student/9-toy.ipynb").read_bytes()
        )
    assert "| `9-toy.ipynb` | Toy: sums | 8 |" in readme
    assert len(readme.split("\n")) <= 60  # a page
    before = (tmp_path / build.ARCHIVE).read_bytes()
    build.build([toy], tmp_path, LIMITS)
    assert (tmp_path / build.ARCHIVE).read_bytes() == before


def test_the_instructors_version_shows_what_cells_show():
    notebook = nbformat.v4.new_notebook()
    picture = "import matplotlib.pyplot as plt\n_ = plt.plot([1, 2])"
    notebook.cells = [
        cell("# Picture"),
        cell(f"print('hello')\n{picture}"),
        cell("1 + 1"),
    ]
    notebook.metadata |= KERNEL
    taught = build.instructors_version(Assignment("p", notebook), Limits())
    text, shown = taught.cells[1].outputs
    assert text.text == "hello\n"
    assert "image/png" in shown.data
    assert "2" in taught.cells[2].outputs[0].text


def test_an_instructors_version_with_an_error_is_refused(toy):
    notebook = toy_notebook()
    notebook.cells[4].source = "assert mean(data) == 7, 'no'"
    with pytest.raises(ValueError, match=r"9-toy: .*'mean-value' \(AssertionError: no"):
        build.instructors_version(Assignment("9-toy", notebook), LIMITS)


# --- the proof --------------------------------------------------------------------


def test_check_accepts_what_is_right(toy):
    checks = {one.submission: one for one in build.check([toy], LIMITS)}
    assert list(checks) == ["reference", "blank", "median", "both"]
    assert [one.wrong for one in checks.values()] == [[], [], [], []]
    totals = [one.result.total for one in checks.values()]
    assert totals == [6, 0, 5, 2]
    blank = checks["blank"].result.marks
    assert {mark.status for mark in blank.values()} == {"unanswered"}


def test_check_says_what_is_wrong(tmp_path):
    notebook = toy_notebook()
    notebook.cells[12].metadata.course.marks = {"mean-value": 0}
    notebook.cells[5].source = "pass"  # a test that a blank notebook passes
    nbformat.write(notebook, tmp_path / "9-toy.ipynb")
    done = CliRunner().invoke(main, ["check", str(tmp_path / "9-toy.ipynb")])
    assert done.exit_code == 1
    assert "9-toy: blank" in done.output
    assert "mean-even earned 1, not 0" in done.output
    assert "mean-value earned 2, not 0" in done.output
    assert "Traceback" not in done.output


# --- submissions ------------------------------------------------------------------


def mean_of(body, above=""):
    lines = "\n".join(f"    {line}" for line in body.split("\n"))
    return f"{above}\ndef mean(values):\n{lines}"


STUBBORN = """\
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
FORGE = """\
import json, os
for number in range(20):
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, json.dumps({"end": number}).encode() + b"\\n")
        except OSError:
            pass
"""
OVERWRITE = """\
import builtins, math
math.isclose = lambda *_, **__: True
data = SEED = type("Any", (), {"__eq__": lambda *_: True})()
builtins.AssertionError = builtins.sorted = None
"""
NETWORK = """\
import socket, urllib.request
socket.create_connection(("192.0.2.1", 80), timeout=1)
"""
HARM = """\
import os, pathlib, shutil, subprocess
def attempt(action, *arguments):
    try:
        action(*arguments)
    except BaseException as error:
        print(error)
victim = pathlib.Path({victim!r})
attempt(victim.write_text, "gone")
attempt(os.remove, victim)
attempt(os.rename, victim, "here")
attempt(shutil.rmtree, victim.parent)
attempt(os.system, f"rm -rf {{victim.parent}}")
attempt(subprocess.run, ["rm", "-rf", str(victim.parent)])
attempt(os.kill, os.getppid(), 9)
attempt((victim.parent / "new").mkdir)
attempt(os.truncate, str(victim), 0)
pathlib.Path("mine").write_text("this is allowed")
assert pathlib.Path.home().samefile(".")
"""
# Name → the cell `mean`, the marks it must get, what its remarks must say.
PROGRAMS = {
    "good": (MEAN, FULL, None),
    "raises": (mean_of("return 1 / 0"), WRONG_MEAN, None),
    "syntax": ("def mean(values:", WRONG_MEAN, "mean raised SyntaxError"),
    "hangs": (mean_of("while True: pass"), WRONG_MEAN, "mean-value took too long"),
    "hangs-above": ("while True: pass", WRONG_MEAN, "mean took too long"),
    "sleeps": ("import time\ntime.sleep(3600)", WRONG_MEAN, "mean took too long"),
    "stubborn": (STUBBORN, WRONG_MEAN, "mean took too long"),
    "hog": (
        mean_of("return len([bytearray(2**28) for _ in range(1000)])"),
        WRONG_MEAN,
        "mean-value needed more memory",
    ),
    "os-exit": (mean_of("os._exit(0)", "import os"), WRONG_MEAN, None),
    "os-exit-above": ("import os\nos._exit(3)", WRONG_MEAN, r"mean ended .*status 3"),
    "sys-exit": (mean_of("sys.exit(0)", "import sys"), WRONG_MEAN, None),
    "exit": ("exit()", WRONG_MEAN, "mean was left by sys.exit or exit"),
    "segfault": ("import ctypes\nctypes.string_at(0)", WRONG_MEAN, "SIGSEGV"),
    "prints": (MEAN + "for _ in range(100): print('x' * 2**20)", FULL, None),
    "prints-past-python": (
        MEAN + "import os\nfor _ in range(100): os.write(1, b'x' * 2**20)",
        FULL,
        None,
    ),
    "network": (NETWORK + MEAN, WRONG_MEAN, "no network"),
    "overwrites": (OVERWRITE + mean_of("return 7"), WRONG_MEAN, None),
    "forges": (FORGE + mean_of("return 7"), WRONG_MEAN, None),
    "forks": ("import os\nwhile True: os.fork()", WRONG_MEAN, "few processes"),
    "closes": ("import os\nos.closerange(0, 100)\n" + MEAN, WRONG_MEAN, None),
    "installs": ("%pip install nothing\n!ls\n" + MEAN, FULL, None),
    "threads": (
        MEAN + "import threading\n"
        "def run():\n    while True: pass\n"
        "threading.Thread(target=run).start()",
        FULL,
        None,
    ),
    "hidden-error": (
        mean_of("return 2 if len(values) > 2 else values.nothing"),
        WRONG_MEAN,
        None,
    ),
    "hidden-hint": (mean_of("return 2"), WRONG_MEAN, None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, given):
    """A folder of submissions: programs, notebooks out of shape, and other files."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, (program, _, _) in PROGRAMS.items():
        nbformat.write(handed_in(given, mean=program), folder / f"{name}-9-toy.ipynb")
    (folder / "empty-9-toy.ipynb").touch()
    (folder / "text-9-toy.ipynb").write_text("My laptop broke.")
    (folder / "report-9-toy.pdf").write_bytes(b"%PDF-1.4 \0")
    (folder / ".DS_Store").touch()
    nbformat.write(handed_in(given, mean=MEAN), folder / "=cmd()-9-toy.ipynb")
    harm = HARM.format(victim=str(folder.parent / "victim" / "file"))
    (folder.parent / "victim").mkdir(exist_ok=True)
    (folder.parent / "victim" / "file").write_text("alive")
    nbformat.write(handed_in(given, mean=MEAN + harm), folder / "harm-9-toy.ipynb")
    read = f"print(len(open({str(folder / 'good-9-toy.ipynb')!r}).read()))"
    nbformat.write(handed_in(given, mean=read), folder / "reads-9-toy.ipynb")
    return folder


@pytest.fixture(scope="module")
def graded(folder, toy, tmp_path_factory):
    """All of them graded, by student."""
    out = tmp_path_factory.mktemp("marks")
    results, unknown = batch.grade_folder(folder, out, [toy], LIMITS, jobs=2)
    assert unknown == []
    feedback.write(out, [toy], results, unknown)
    return out, {result.student: result for result in results}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gets_its_marks(graded, name):
    _, expected, remark = PROGRAMS[name]
    result = graded[1][name]
    assert earned(result) == expected
    if remark is not None:
        assert re.search(remark, "\n".join(result.remarks))


def test_whoever_closes_all_files_spoils_no_other_task(graded):
    result = graded[1]["closes"]
    assert earned(result) == WRONG_MEAN
    assert "mean ended the whole process" in result.remarks[0]


@pytest.mark.parametrize("name", ["empty", "text", "report"])
def test_what_is_no_notebook_gets_a_line(graded, name):
    result = graded[1][name]
    assert result.total == 0
    (remark,) = result.remarks
    assert "notebook" in remark


def test_nothing_outside_the_folder_is_harmed(graded, folder):
    victim = folder.parent / "victim"
    assert (victim / "file").read_text() == "alive"
    assert os.listdir(victim) == ["file"]
    assert earned(graded[1]["harm"]) == FULL
    assert graded[1]["harm"].remarks == []


def test_no_other_notebook_can_be_read(graded):
    assert "reads no other notebook" in "\n".join(graded[1]["reads"].remarks)


def test_name_spaces_are_used_where_there_are_any():
    assert name_spaces() in ((), name_spaces())
    if name_spaces():
        assert name_spaces()[0] == "unshare"


def test_the_table_has_a_row_for_each_student(graded, folder):
    out, results = graded
    with open(out / "9-toy.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    files = [path for path in folder.iterdir() if path.name != ".DS_Store"]
    assert len(rows) == len(results) == len(files)
    good = rows["good"]
    assert good["mean-value (2)"] == "2"
    assert good["tests (6)"] == "6"
    assert (good["why (2)"], good["pending"]) == ("", "2")
    assert (rows["empty"]["why (2)"], rows["empty"]["pending"]) == ("0", "0")
    assert "=cmd()" not in rows
    assert rows["'=cmd()"]["file"].startswith("'=")


def test_pages_explain_and_keep_hidden_tests_hidden(graded, toy):
    out, results = graded
    pages = {path.stem: path.read_text() for path in (out / "9-toy").glob("*.html")}
    assert len(pages) == len(results)
    assert "the mean of 1, 2 and 3 is 2" in pages["overwrites"]
    assert "ZeroDivisionError" in pages["raises"]
    assert "took too long" in pages["hangs"]
    assert "more memory" in pages["hog"]
    assert "ended the whole process" in pages["os-exit"]
    assert "try a single value" in pages["hidden-hint"]
    assert results["hidden-error"].marks["mean-value"].message == (
        "A hidden test failed. Your code raised AttributeError."
    )
    assert results["os-exit"].marks["mean-even"].message == (
        "The test ended the whole process."
    )
    secret = secret_lines(toy)
    for page in pages.values():
        assert not [line for line in secret if line in page]
        assert not re.search(r"(?:src|href|url|@import)\b\s*[=(]", page)
        assert "<script" not in page


def test_the_batch_goes_on_where_it_was(graded, folder, toy, monkeypatch):
    out, results = graded
    monkeypatch.setattr(batch, "grade_notebook", None)  # nothing is to be run
    again, _ = batch.grade_folder(folder, out, [toy], LIMITS, jobs=1)
    assert {result.student: result for result in again} == results


# --- notebooks out of shape -------------------------------------------------------


def changed(toy, given, change):
    """What a full solution becomes by a change of its list of cells."""
    notebook = handed_in(given, mean=MEAN)
    notebook.cells = change(notebook.cells)
    return recognise(toy, given, notebook)


def named(cells, name):
    ids = [one.metadata.get("nbgrader", {}).get("grade_id") for one in cells]
    return cells[ids.index(name)]


def bare(cells, strip_marker=True):
    """Cells without metadata, ids and, if wished, the lines that name tasks."""
    return [
        nbformat.from_dict(
            {**one, "metadata": {}, "id": f"x{number}"}
            | {"source": one.source.replace("# task: " if strip_marker else "\0", "# ")}
        )
        for number, one in enumerate(cells)
    ]


def test_an_unchanged_notebook_needs_no_remark(toy, given):
    found = changed(toy, given, list)
    assert found.remarks == []
    assert found.extras == {}
    assert found.texts == {"why": "Because."}
    assert found.solutions == {"mean": [MEAN], "spread": [SPREAD]}


def test_lost_metadata_are_made_up_for(toy, given):
    found = changed(toy, given, bare)
    (remark,) = found.remarks
    assert remark == "metadata lost in 7 cell(s); recognised by what is in them"
    assert found.texts == {"why": "Because."}
    assert found.solutions == {"mean": [MEAN], "spread": [SPREAD]}
    assert found.extras == {}


def test_the_marker_names_a_solution_that_defines_nothing(toy, given):
    def change(cells):
        named(cells, "mean").source = "# task: mean\nmean = print"
        return bare(cells, strip_marker=False)[::-1]

    assert changed(toy, given, change).solutions["mean"] == [
        "# task: mean\nmean = print"
    ]


def test_deleted_and_changed_tests_are_put_back(toy, given):
    def change(cells):
        named(cells, "mean-even").source = "pass"
        cells.remove(named(cells, "mean-value"))
        return cells

    found = changed(toy, given, change)
    assert found.remarks == [
        "test mean-value was deleted; put back",
        "test mean-even was changed; put back",
    ]


def test_without_its_tests_a_wrong_notebook_gets_no_marks(toy, given):
    notebook = handed_in(given, mean=MEDIAN)
    keep = ("mean", "spread")
    notebook.cells = [named(notebook.cells, name) for name in keep]
    result = grade(toy, given, notebook)
    assert earned(result) == FULL | {"mean-even": 0}
    assert "no cell was found for why" in result.remarks


def test_of_copies_the_last_counts_and_stubs_do_not(toy, given):
    def change(cells):
        mean = named(cells, "mean")
        wrong = nbformat.from_dict({**mean, "source": MEDIAN})
        stub = named(given.cells, "mean")
        return [*cells[:3], wrong, *cells[3:], stub]

    found = changed(toy, given, change)
    assert found.solutions["mean"] == [MEDIAN, MEAN]
    assert found.remarks == ["mean is there 2 times; all ran"]


def test_cells_of_the_students_own_run_where_they_stand(toy, given):
    notebook = handed_in(given, mean=mean_of("return total(values) / len(values)"))
    notebook.cells.insert(3, cell("def total(values):\n    return sum(values)"))
    notebook.cells[1].source += "\nimport statistics"
    notebook.cells[
        7
    ].source = "def spread(v): return statistics.fsum([max(v), -min(v)])"
    notebook.cells.insert(0, cell("1 / 0"))
    result = grade(toy, given, notebook)
    assert earned(result) == FULL
    (remark,) = result.remarks
    assert "student's own (1 / 0) raised ZeroDivisionError" in remark


def test_no_cell_at_all(toy, given):
    found = changed(toy, given, lambda cells: [])
    assert found.solutions == {"mean": [], "spread": []}
    assert len(found.remarks) == 6


def test_time_for_all_ends_a_notebook(toy, given):
    notebook = handed_in(given, mean="import time\ntime.sleep(60)")
    limits = Limits(seconds=3, cell_seconds=60, memory=1024)
    result = grade(toy, given, notebook, limits)
    assert result.total == 0
    assert {mark.status for mark in result.marks.values()} == {"not run"}


def test_essence_ignores_what_editors_change():
    assert essence("a  \n\n  b\n") == essence("a\n  b")
    assert essence("a b") != essence("a  b")


# --- folders ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "student"),
    [
        ("jane-doe-9-toy.ipynb", "jane-doe"),
        ("Copy of jane_9-toy.ipynb", "jane"),
        ("9-toy_Jane Doe.ipynb", "Jane Doe"),
        ("doejane_12345_678901_9-TOY-1.ipynb", "doejane"),
        ("doejane_LATE_12345_678901_9-toy.ipynb", "doejane"),
        ("Jané Dœ_1234_assignsubmission_file_/anything.ipynb", "Jané Dœ"),
        ("jane/deep/9-toy.ipynb", "jane"),
        ("9-toy.ipynb", "9-toy"),
    ],
)
def test_students_are_named_by_their_files(path, student):
    assert batch.student_of(Path(path).parts, "9-toy") == student


def test_assignments_are_recognised_by_name_or_content(toy, given, tmp_path):
    other = Assignment("8-other", nbformat.v4.new_notebook(metadata=KERNEL))
    nbformat.write(handed_in(given), tmp_path / "jane.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "joe 8-OTHER.ipynb")
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "jim.ipynb")
    found = {file.student: file for file in batch.find(tmp_path, [other, toy])}
    assert found["jane"].assignment is toy
    assert found["joe"].assignment is other
    assert found["jim"].assignment is None
    assert "--assignment" in found["jim"].problem


def test_the_newest_of_several_counts(toy, given, tmp_path):
    for age, name in enumerate(("jane-9-toy.ipynb", "jane-9-toy (1).ipynb")):
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        nbformat.write(handed_in(given, mean=MEAN), path)
        os.utime(path, (1e9 - age, 1e9 - age))
    (result,), _ = batch.grade_folder(
        tmp_path / "in", tmp_path / "out", [toy], LIMITS, 2
    )
    assert result.file == "jane-9-toy.ipynb"
    assert "left out: jane-9-toy (1).ipynb" in result.remarks[0]


def test_a_machine_on_which_the_reference_fails_grades_nobody(given, tmp_path):
    notebook = toy_notebook()
    notebook.cells[1].source = "import no_such_module"
    nbformat.write(handed_in(given), tmp_path / "jane-9-toy.ipynb")
    with pytest.raises(ValueError, match="reference of 9-toy must get 6 points"):
        batch.grade_folder(
            tmp_path, tmp_path / "out", [Assignment("9-toy", notebook)], LIMITS, 1
        )


def test_ctrl_c_begins_no_other_notebook(toy, given, tmp_path, monkeypatch):
    begun = []

    def interrupted(found, out, limits):
        begun.append(found.student)
        if len(begun) > 1:
            time.sleep(0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "check_reference", lambda *_: None)
    monkeypatch.setattr(batch, "grade_file", interrupted)
    for number in range(50):
        (tmp_path / f"student{number}-9-toy.ipynb").touch()
    with pytest.raises(KeyboardInterrupt):
        batch.grade_folder(tmp_path, tmp_path / "out", [toy], LIMITS, 1)
    assert len(begun) < 50


def test_names_of_pages_are_safe_and_differ():
    taken = set()
    names = [feedback.file_name(s, taken) for s in ("../../a b", "a b", "A B", "..")]
    assert names == ["a-b", "a-b-2", "A-B-3", "unnamed"]


def test_pages_escape_what_students_wrote(toy):
    evil = "<script>alert(1)</script>"
    marks = {"mean-value": Mark(0, "failed", evil)}
    page = feedback.page(toy, Result(evil, "9-toy", evil, marks, {"why": evil}, [evil]))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 5


def test_the_commands_from_end_to_end(given, tmp_path):
    run = CliRunner().invoke
    source = tmp_path / "9-toy.ipynb"
    nbformat.write(toy_notebook(), source)
    done = run(main, ["build", str(source), str(tmp_path / "course")])
    assert done.exit_code == 0, done.output
    (tmp_path / "in/jane").mkdir(parents=True)
    released = nbformat.read(tmp_path / "course/student/9-toy.ipynb", 4)
    nbformat.write(handed_in(released, mean=MEAN), tmp_path / "in/jane/mine.ipynb")
    words = ["grade", str(tmp_path / "in"), str(tmp_path / "out")]
    done = run(main, [*words, "--sources", str(source)])
    assert done.exit_code == 0, done.output
    assert ",6,2," in (tmp_path / "out/9-toy.csv").read_text("utf-8-sig")
    done = run(main, [*words, "--sources", str(source), "--assignment", "other"])
    assert done.exit_code == 1
    assert "assignment must be one of 9-toy; got 'other'" in done.output


@pytest.mark.parametrize(
    ("name", "fix"), [("resource", "use WSL"), ("nbgrader", r".[course]")]
)
def test_a_machine_that_lacks_something_is_told(tmp_path, monkeypatch, name, fix):
    def lacking(_):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("deepsvdd.course.source.read_assignments", lacking)
    done = CliRunner().invoke(main, ["build", str(tmp_path)])
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert fix in done.output
