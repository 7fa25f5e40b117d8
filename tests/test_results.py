import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deepsvdd.results import ResultsFile, key_of, read_results

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
    whole = content[:cut].count(b"\n")
    with ResultsFile(path) as file:
        assert file.lines == runs[:whole]
        for line in runs[whole:]:
            file.append(line)
    assert path.read_bytes() == content


def test_of_a_run_in_two_files_the_first_counts(tmp_path):
    for name, auc in (("a", 0.9), ("b", 0.1)):
        (tmp_path / name).write_text(json.dumps(run(0, auc=auc)) + "\n")
    (line,) = read_results([tmp_path / "a", tmp_path / "b"])
    assert line["auc"] == 0.9


@pytest.mark.parametrize("text", ["{", "[1]", '{"dataset": "mnist"}', "nan"])
def test_a_broken_line_is_named(tmp_path, text):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(run(0)) + "\n" + text + "\n")
    with pytest.raises(ValueError, match=r"line 2 of '.*a\.jsonl' must be a JSON"):
        read_results([path])
    with pytest.raises(ValueError, match="line 2"), ResultsFile(path):
        pass


def test_nan_is_refused_before_it_is_written(tmp_path):
    with ResultsFile(tmp_path / "a") as file:
        with pytest.raises(ValueError, match="JSON compliant"):
            file.append(run(0, auc=float("nan")))
        file.append(run(1))
    assert read_results([tmp_path / "a"]) == [run(1)]


def test_a_second_sweep_of_the_same_file_is_refused(tmp_path):
    code = (
        "import sys; from deepsvdd.results import ResultsFile\n"
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
