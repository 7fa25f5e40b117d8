"""Pages for students; those of many programs are tested in ``test_worker``."""

import base64
import functools

import pytest

from deepsvdd.course import feedback
from deepsvdd.course.collection import Found
from deepsvdd.course.grade import Mark, Result
from deepsvdd.course.markbook import Entry, merge
from tests.course import FULL


def test_names_of_pages_are_safe_and_differ():
    taken = set()
    names = [feedback.file_name(s, taken) for s in ("../../a b", "a b", "A B", "..")]
    assert names == ["a-b", "a-b-2", "A-B-3", "unnamed"]


def test_pages_escape_what_people_wrote(toy):
    evil = "<script>alert(1)</script>"
    marks = {"mean-value": Mark(0, "failed", evil)}
    result = Result(evil, "9-toy", evil, marks, {"why": evil}, [evil])
    entry = Entry({"why": 1.5}, {"": evil, "why": evil})
    page = feedback.page(toy, merge(toy, result, entry))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 7


def test_a_page_says_what_a_person_gave(toy):
    marks = {name: Mark(points, "passed") for name, points in FULL.items()}
    marks["mean-even"] = Mark(0, "failed", "Wrong.")
    result = Result("jane", "9-toy", "a.ipynb", marks, {"why": "Because."})
    open_ = " ".join(feedback.page(toy, merge(toy, result, Entry())).split())
    assert "<strong>5 of 6 points</strong> from tests" in open_
    assert "up to 2 more for texts" in open_
    entry = Entry({"why": 1.5, "mean-even": 1}, {"": "Well done.", "why": "Say why."})
    page = " ".join(feedback.page(toy, merge(toy, result, entry)).split())
    assert "<strong>7.5 of 8 points</strong>" in page
    assert "(1.5 of 2 points)" in page
    assert "Points given by a person; the test alone: 0." in page
    assert "Well done." in page
    assert "Say why." in page


def test_pictures_beside_a_notebook_are_shown_by_what_is_in_them(toy, tmp_path):
    scan, text = tmp_path / "scan.png", tmp_path / "no.png"
    scan.write_bytes(b"\xff\xd8\xff\xe0 a JPEG by another name")
    text.write_bytes(b"<svg onload='alert(1)'>")
    result = Result("jane", "9-toy", "a.ipynb", {}, {})
    found = Found(tmp_path / "a.ipynb", "jane", toy, None, pictures=(scan, text))
    page = feedback.page(toy, merge(toy, result, Entry()), found)
    content = base64.b64encode(scan.read_bytes()).decode()
    assert f'<img src="data:image/jpeg;base64,{content}" alt="scan.png">' in page
    assert page.count("<img") == 1


def test_a_table_that_somebody_changed_is_kept(tmp_path):
    write = functools.partial(feedback.write_tables, tmp_path)
    assert write({"a.csv": "x\n1\n"}) == []
    assert write({"a.csv": "x\n2\n"}) == []  # nobody changed it
    (tmp_path / "a.csv").write_text("x\n2\ntyped\n")
    (kept,) = write({"a.csv": "x\n3\n"})
    assert kept.name == "a.kept-1.csv"
    assert "typed" in kept.read_text()
    assert "3" in (tmp_path / "a.csv").read_text()
    (tmp_path / "a.csv").write_text("typed again")
    assert [path.name for path in write({"a.csv": "x\n3\n"})] == ["a.kept-2.csv"]


def test_a_table_of_before_is_kept(tmp_path):
    (tmp_path / "a.csv").write_text("of an older version, with typed marks")
    assert [p.name for p in feedback.write_tables(tmp_path, {"a.csv": "x\n"})] == [
        "a.kept-1.csv"
    ]


def test_a_kill_between_the_list_and_the_table_makes_no_copy(tmp_path, monkeypatch):
    feedback.write_tables(tmp_path, {"a.csv": "x\n1\n"})
    whole = feedback.write_text

    def killed(path, text, encoding="utf-8"):
        if path.suffix == ".csv":
            raise KeyboardInterrupt
        whole(path, text, encoding)

    monkeypatch.setattr(feedback, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        feedback.write_tables(tmp_path, {"a.csv": "x\n2\n"})
    monkeypatch.undo()
    assert feedback.write_tables(tmp_path, {"a.csv": "x\n3\n"}) == []
