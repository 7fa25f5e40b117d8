"""Submissions are graded each by itself, and what is done is not done again."""

import threading
from concurrent.futures import ThreadPoolExecutor

import nbformat
import pytest

from deepsvdd.course import batch
from deepsvdd.course.collection import Found, collect
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.source import Assignment
from tests.course import LIMITS, NoBench, handed_in, toy_notebook


def test_a_machine_on_which_the_reference_fails_grades_nobody(given, tmp_path):
    notebook = toy_notebook()
    notebook.cells[1].source = "import no_such_module"
    wrong = Assignment("9-toy", notebook)
    found = [Found(tmp_path / "a.ipynb", "jane", wrong, handed_in(given))]
    with pytest.raises(ValueError, match="reference of 9-toy must get 6 points"):
        batch.grade_all(found, tmp_path / "out", LIMITS, 1, trust=True)


class Cancelling(ThreadPoolExecutor):
    """A pool that says when it has canceled what has not begun."""

    cancelled = threading.Event()

    def shutdown(self, wait=True, *, cancel_futures=False):
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        self.cancelled.set()
        super().shutdown(wait=wait)


def test_ctrl_c_begins_no_other_notebook(toy, tmp_path, monkeypatch):
    begun = []

    def interrupted(found, out, limits, bench):
        begun.append(found.student)
        if len(begun) > 1:
            Cancelling.cancelled.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "ThreadPoolExecutor", Cancelling)
    monkeypatch.setattr(batch, "check_reference", lambda *_: None)
    monkeypatch.setattr(batch, "grade_file", interrupted)
    found = [Found(tmp_path, f"student {number}", toy, None) for number in range(50)]
    with pytest.raises(KeyboardInterrupt):
        batch.grade_all(found, tmp_path / "out", LIMITS, 1)
    assert len(begun) <= 2


def test_a_batch_that_is_killed_goes_on_where_it_was(toy, given, tmp_path, monkeypatch):
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(30):
        notebook = handed_in(given, why=f"Because of {number}.")
        nbformat.write(notebook, folder / f"student{number:02}-9-toy.ipynb")
    files = collect(folder, tmp_path / "into", [toy]).files
    graded = []

    def counted(bench, release, notebook, limits, student, file):
        if len(graded) == 16 and not begun_again:
            raise KeyboardInterrupt
        graded.append(student)
        marks = {"mean-value": Mark(len(graded), "passed")}
        return Result(student, "9-toy", file, marks)

    monkeypatch.setattr(batch, "check_reference", lambda *_: None)
    monkeypatch.setattr(batch, "grade_notebook", counted)
    monkeypatch.setattr(batch, "Bench", NoBench)
    begun_again = False
    with pytest.raises(KeyboardInterrupt):
        batch.grade_all(files, tmp_path / "out", LIMITS, 1, trust=True)
    first, begun_again = list(graded), True
    results = batch.grade_all(files, tmp_path / "out", LIMITS, 1, trust=True)
    assert len(first) == 16
    assert sorted(graded) == sorted({file.student for file in files})  # each once
    assert {r.student: r.total for r in results} == {
        student: number for number, student in enumerate(graded, 1)
    }


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"null", b'{"key": "k"}', b'{"key": "k", "result": 1}', b"\xff",
     b'{"key": "k", "result": "{}"}', b'{"key": "k", "result": "{\\"marks\\": 1}"}'],
)  # fmt: skip
def test_a_damaged_result_is_computed_anew(tmp_path, content):
    path = tmp_path / "kept.json"
    path.write_bytes(content)
    result = Result("jane", "9-toy", "a.ipynb", {"mean-value": Mark(2, "passed")})
    assert batch.remembered(path, "k", lambda: result) == result
    assert batch.remembered(path, "k", None) == result
