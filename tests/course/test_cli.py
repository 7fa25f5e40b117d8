"""``deepsvdd-course``: from a source to marks, and what it says when it cannot."""

import nbformat
import pytest
from click.testing import CliRunner

from deepsvdd.course.cli import main
from tests.course import MEAN, handed_in, toy_notebook


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


LIMITED = [["check"], ["build", "out"], ["grade", ".", "out"]]
WRONG = [
    *(("--cell_seconds", value) for value in ("-1", "0", "nan", "inf", "1e300", "x")),
    *(("--seconds", value) for value in ("-1", "0", "nan", "inf", "9" * 400)),
    *(("--memory", value) for value in ("-5", "0", "63", "1.5", "9" * 20, "9" * 400)),
    *(("--jobs", value) for value in ("0", "-1", "9" * 20)),
]


@pytest.mark.parametrize(("option", "value"), WRONG, ids=lambda x: str(x)[:20])
@pytest.mark.parametrize("words", LIMITED, ids=lambda words: words[0])
def test_limits_that_are_none_are_refused_at_the_door(
    tmp_path, monkeypatch, words, option, value
):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, [*words, f"{option}={value}"])
    assert done.exit_code == 2
    (line,) = [x for x in done.output.splitlines() if x.startswith("Error: ")]
    assert option in line
    assert "in the range" in line or "not a valid" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [["build"], ["grade", "."]], ids=lambda w: w[0])
def test_an_output_that_cannot_be_written_is_found_before_the_work(
    tmp_path, monkeypatch, words
):
    monkeypatch.setattr("deepsvdd.course.running.Bench", None)  # is not called
    nbformat.write(toy_notebook(), tmp_path / "9-toy.ipynb")
    nbformat.write(toy_notebook(), tmp_path / "jane-9-toy.ipynb")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    sources = ["--sources", "9-toy.ipynb"] if words[0] == "grade" else []
    words += ["9-toy.ipynb"] if words[0] == "build" else []
    done = CliRunner().invoke(main, [*words, *sources, "file/out"])
    assert done.exit_code == 1
    assert done.output.startswith("Error: cannot write 'file/out/")
    assert "a file stands where a folder is needed" in done.output


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
