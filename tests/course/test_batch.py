"""Folders of submissions: whose they are, to what, and which of them count."""

import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest

from deepsvdd.course import batch
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.source import Assignment
from tests.course import KERNEL, LIMITS, MEAN, handed_in, toy_notebook


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


class Cancelling(ThreadPoolExecutor):
    """A pool that says when it has canceled what has not begun."""

    cancelled = threading.Event()

    def shutdown(self, wait=True, *, cancel_futures=False):
        super().shutdown(wait=False, cancel_futures=cancel_futures)
        self.cancelled.set()
        super().shutdown(wait=wait)


def test_ctrl_c_begins_no_other_notebook(toy, given, tmp_path, monkeypatch):
    begun = []

    def interrupted(found, out, limits):
        begun.append(found.student)
        if len(begun) > 1:
            Cancelling.cancelled.wait()
        raise KeyboardInterrupt

    monkeypatch.setattr(batch, "ThreadPoolExecutor", Cancelling)
    monkeypatch.setattr(batch, "check_reference", lambda *_: None)
    monkeypatch.setattr(batch, "grade_file", interrupted)
    for number in range(50):
        (tmp_path / f"student{number}-9-toy.ipynb").touch()
    with pytest.raises(KeyboardInterrupt):
        batch.grade_folder(tmp_path, tmp_path / "out", [toy], LIMITS, 1)
    assert len(begun) <= 2


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
