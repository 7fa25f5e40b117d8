"""The order of the tests, and the list of the slowest."""

import json

from tests import pace

SECONDS = {
    "tests/core/test_a.py": 200,
    "tests/book/test_site.py": 300,
    "tests/book/test_book.py": 400,
    "tests/core/test_b.py": 30,
    "tests/core/test_c.py": 1,
}


def test_the_longest_begins_and_the_book_is_in_nobodys_way():
    files = [*sorted(SECONDS), "tests/core/test_new.py"]  # counts as the median, 200 s
    assert pace.in_order(files, SECONDS) == [
        "tests/book/test_book.py",  # builds the book
        *("tests/core/test_a.py", "tests/core/test_new.py", "tests/core/test_b.py"),
        "tests/book/test_site.py",  # by now it is built
        "tests/core/test_c.py",
    ]
    assert pace.in_order(files, {}) == [files[0], *files[2:], files[1]]


class Item:
    def __init__(self, nodeid):
        self.nodeid = nodeid


def test_tests_of_a_file_keep_their_order():
    names = ["x.py::b", "y.py::a", "x.py::a", "chapter.ipynb::Cell 0"]
    items = [Item(name) for name in names]
    pace.pytest_collection_modifyitems(items)
    of_x = [item.nodeid for item in items if item.nodeid.startswith("x.py")]
    assert of_x == ["x.py::b", "x.py::a"]
    assert sorted(item.nodeid for item in items) == sorted(names)


class Report:
    def __init__(self, nodeid, duration):
        self.nodeid, self.duration = nodeid, duration


def test_the_slowest_are_noted_after_a_run_without_failures(tmp_path, monkeypatch):
    seconds, guide = tmp_path / "seconds.json", tmp_path / "guide.md"
    monkeypatch.setattr(pace, "SECONDS", seconds)
    monkeypatch.setattr(pace, "GUIDE", guide)
    guide.write_text("before\n<!-- slowest -->\nold\n<!-- end of slowest -->\nafter\n")
    clock = pace.Clock()
    for number in range(30):
        clock.pytest_runtest_logreport(Report(f"a.py::t[{number}|x]", number))
    clock.pytest_runtest_logreport(Report("a.py::t[29|x]", 60))  # its tear-down
    clock.pytest_runtest_logreport(Report("b.py::t", 2.6))
    clock.pytest_sessionfinish(1)
    assert not seconds.exists()
    clock.pytest_sessionfinish(0)
    assert json.loads(seconds.read_text()) == {"a.py": 495, "b.py": 3}
    before, *told, after = guide.read_text().splitlines()
    assert (before, after) == ("before", "after")
    assert "8 minutes of tests" in told[1]
    rows = [line for line in told if line.startswith("| ") and "`" in line]
    assert len(rows) == pace.N_SLOWEST
    assert rows[0] == r"| 89 | `a.py::t[29\|x]` |"


def test_the_guide_has_a_place_for_them():
    assert pace.LIST.search(pace.GUIDE.read_text("utf-8"))
