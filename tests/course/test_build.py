"""Both versions of an assignment, and the proof that its tests find mistakes."""

import json
import zipfile

import nbformat
import pytest

from deepsvdd.course import build
from deepsvdd.course.running import Limits
from deepsvdd.course.source import Assignment
from tests.course import KERNEL, LIMITS, MEAN_VALUE, cell, secret_lines, toy_notebook


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


def test_a_source_without_a_kernel_has_a_release():
    notebook = toy_notebook()
    notebook.metadata = nbformat.from_dict({})
    released = build.release(Assignment("9-toy", notebook))
    assert released.metadata.kernelspec.name == "python3"


def test_what_nbgrader_does_not_take_is_a_sentence():
    notebook = toy_notebook()
    notebook.cells[4].metadata.nbgrader.locked = "no"
    with pytest.raises(ValueError, match="9-toy must be a source that nbgrader") as e:
        build.release(Assignment("9-toy", notebook))
    assert "\n" not in str(e.value)


def test_check_accepts_what_is_right(toy):
    checks = {one.submission: one for one in build.check([toy], LIMITS)}
    assert list(checks) == ["reference", "blank", "median", "both"]
    assert [one.wrong for one in checks.values()] == [[], [], [], []]
    totals = [one.result.total for one in checks.values()]
    assert totals == [6, 0, 5, 2]
    blank = checks["blank"].result.marks
    assert {mark.status for mark in blank.values()} == {"unanswered"}
