import io
import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.errors import DataUnavailableError
from deepsvdd.reproduction import results
from deepsvdd.reproduction.results import (
    ResultsFile,
    book_results,
    key_of,
    read_results,
)

names = st.sampled_from(["mnist", "cifar10"])
lines = st.lists(
    st.fixed_dictionaries(
        {
            "dataset": names,
            "normal_class": st.integers(0, 9),
            "method": st.sampled_from(["one-class", "kde"]),
            "seed": st.integers(0, 9),
            "auc": st.floats(0, 1),
        }
    ),
    max_size=8,
    unique_by=key_of,
)


def run(seed, **more):
    return {
        "dataset": "mnist",
        "normal_class": 3,
        "method": "kde",
        "seed": seed,
        "auc": 0.9,
        **more,
    }


@given(lines)
def test_what_is_appended_is_read_again(tmp_path_factory, runs):
    path = tmp_path_factory.mktemp("results") / "folder" / "a.jsonl"
    half = len(runs) // 2
    for part in (runs[:half], runs[half:]):  # two sessions
        with ResultsFile(path) as file:
            for line in part:
                file.append(line)
    assert read_results([path]) == runs
    with ResultsFile(path) as file:
        assert file.lines == runs


@given(lines.filter(bool), st.data())
def test_a_power_cut_loses_at_most_the_last_line(tmp_path_factory, runs, data):
    path = tmp_path_factory.mktemp("results") / "a.jsonl"
    with ResultsFile(path) as file:
        for line in runs:
            file.append(line)
    content = path.read_bytes()
    cut = data.draw(st.integers(0, len(content)))
    path.write_bytes(content[:cut])
    # A line that lacks its end only is whole.
    whole = content[: cut + 1].count(b"\n")
    with ResultsFile(path) as file:
        assert file.lines == runs[:whole]
        for line in runs[whole:]:
            file.append(line)
    assert path.read_bytes() == content


def test_a_last_line_without_its_end_is_kept(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(run(0)))
    with ResultsFile(path) as file:
        file.append(run(1))
    assert read_results([path]) == [run(0), run(1)]


def test_of_a_run_in_two_files_the_first_counts(tmp_path):
    for name, auc in (("a", 0.9), ("b", 0.1)):
        (tmp_path / name).write_text(json.dumps(run(0, auc=auc)) + "\n")
    (line,) = read_results([tmp_path / "a", tmp_path / "b"])
    assert line["auc"] == 0.9


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("network", ("mnist_LeNet", "mlp")),
        ("preprocessing", ("gcn_l1", "minmax")),
        ("n_adversarial", (20, 30)),
        ("n_adversarial", (20, None)),  # in one file, other classes are the anomalies
        ("attack", ({"name": "Boundary Attack", "seed": 0}, {"name": "HopSkipJump"})),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_of_one_key_different_runs_are_not_mixed(tmp_path, name, values, turned):
    values = values[::-1] if turned else values
    paths = [tmp_path / "a.jsonl", tmp_path / "b.jsonl"]
    runs = [run(0, **({name: v} if v is not None else {})) for v in values]
    for path, line in zip(paths, runs, strict=True):
        path.write_text(json.dumps(line) + "\n")
    message = (
        rf"a.jsonl' and '.*b.jsonl' must have one {name} for mnist, class 3, kde, "
        f"seed 0; got {re.escape(repr(values[0]))} and .*: read them apart"
    )
    with pytest.raises(ValueError, match=message):
        read_results(paths)
    with ResultsFile(paths[0]) as file:
        file.refuse_others([runs[0], run(1)])
        with pytest.raises(ValueError, match=r"a.jsonl' and this command .*: choose"):
            file.refuse_others([runs[1]])


def test_settings_that_a_line_lacks_are_taken_to_agree(tmp_path):
    """The lines of ensembles and of the first runs lack some."""
    for name, more in (("a", {}), ("b", {"network": "mlp", "preprocessing": "none"})):
        (tmp_path / name).write_text(json.dumps(run(0, **more)) + "\n")
    assert read_results([tmp_path / "a", tmp_path / "b"]) == [run(0)]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[1]",
        '{"dataset": "mnist"}',
        "nan",
        *(
            json.dumps({k: v for k, v in run(0).items() if k != name})
            for name in ("normal_class", "auc")
        ),
    ],
)
def test_a_broken_line_is_named(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(run(0)) + "\n" + text + "\n")
    with pytest.raises(ValueError, match=r"line 2 of '.*a\.jsonl' must be a JSON"):
        read_results([path])
    with pytest.raises(ValueError, match="line 2"), ResultsFile(path):
        pass


def test_nan_is_refused_before_it_is_written(tmp_path):
    with ResultsFile(tmp_path / "a") as file:
        with pytest.raises(ValueError, match="a number from 0 to 1 as auc; got nan"):
            file.append(run(0, auc=float("nan")))
        file.append(run(1))
    assert read_results([tmp_path / "a"]) == [run(1)]


def test_a_second_sweep_of_the_same_file_is_refused(tmp_path):
    code = (
        "import sys; from deepsvdd.reproduction.results import ResultsFile\n"
        "with ResultsFile(sys.argv[1]): pass"
    )
    with ResultsFile(tmp_path / "a"):
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "a")],
            capture_output=True,
            text=True,
            check=False,
        )
    assert "is being written by another sweep" in done.stderr


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match=r"cannot write '.*a\.jsonl'"),
        ResultsFile(tmp_path / "file" / "a.jsonl"),
    ):
        pass


def test_the_books_results_are_found_beside_the_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "a.jsonl").write_text(json.dumps(run(0)) + "\n")
    assert read_results([book_results("a.jsonl")]) == [run(0)]


def test_elsewhere_the_books_results_come_from_the_repository(tmp_path, monkeypatch):
    asked = []

    def answer(address, timeout):
        asked.append(address)
        return io.BytesIO((json.dumps(run(0)) + "\n").encode())

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results.tempfile, "gettempdir", lambda: str(tmp_path / "t"))
    monkeypatch.setattr(results, "urlopen", answer)
    assert read_results([book_results("a.jsonl")]) == [run(0)]
    assert asked[0].startswith("https://github.com/")
    assert asked[0].endswith("/raw/main/book/results/a.jsonl")


def test_without_a_network_the_way_out_is_told(tmp_path, monkeypatch):
    def fail(address, timeout):
        raise OSError("no network")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(results, "urlopen", fail)
    with pytest.raises(DataUnavailableError, match="run the notebook in"):
        book_results("a.jsonl")
