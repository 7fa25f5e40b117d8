"""Pages for students; those of many programs are tested in ``test_worker``."""

from deepsvdd.course import feedback
from deepsvdd.course.grade import Mark, Result


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
