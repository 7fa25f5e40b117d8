"""What a notebook is graded by, when it is out of shape or out of time."""

from deepsvdd.course.running import Limits
from tests.course import FULL, MEDIAN, cell, earned, grade, handed_in, mean_of, named


def test_without_its_tests_a_wrong_notebook_gets_no_marks(bench, given):
    notebook = handed_in(given, mean=MEDIAN)
    keep = ("mean", "spread")
    notebook.cells = [named(notebook.cells, name) for name in keep]
    result = grade(bench, given, notebook)
    assert earned(result) == FULL | {"mean-even": 0}
    assert "no cell was found for why" in result.remarks


def test_cells_of_the_students_own_run_where_they_stand(bench, given):
    notebook = handed_in(given, mean=mean_of("return total(values) / len(values)"))
    notebook.cells.insert(3, cell("def total(values):\n    return sum(values)"))
    notebook.cells[1].source += "\nimport statistics"
    notebook.cells[
        7
    ].source = "def spread(v): return statistics.fsum([max(v), -min(v)])"
    notebook.cells.insert(0, cell("1 / 0"))
    result = grade(bench, given, notebook)
    assert earned(result) == FULL
    (remark,) = result.remarks
    assert "student's own (1 / 0) raised ZeroDivisionError" in remark


def test_time_for_all_ends_a_notebook(bench, given):
    notebook = handed_in(given, mean="import time\ntime.sleep(60)")
    limits = Limits(seconds=3, cell_seconds=60, memory=1024)
    result = grade(bench, given, notebook, limits)
    assert result.total == 0
    assert {mark.status for mark in result.marks.values()} == {"not run"}
