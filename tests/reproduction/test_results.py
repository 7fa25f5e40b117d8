import errno
import io
import json
import logging
import os
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
from tests import ROOT
from tests.toys import BROKEN_FIELDS, BROKEN_TEXTS
from tests.toys import a_run as run

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


@pytest.mark.filterwarnings("ignore:.* ended in half a line")
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


def test_half_a_last_line_is_cut_off_with_a_word(tmp_path):
    path = tmp_path / "a.jsonl"
    whole = json.dumps(run(0)) + "\n"
    path.write_text(whole + json.dumps(run(1))[:30])
    with (
        pytest.warns(UserWarning, match=r"ended in half a line, b'\{.* is missing"),
        ResultsFile(path) as file,
    ):
        assert file.lines == [run(0)]
    assert path.read_text() == whole


WHOLE = json.dumps(run(0)).encode()
FOREIGN = {
    "weights": b'\x10\x00\x00\x00{"a": 1}\n\x00\x01' + bytes(100),
    "npy": b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'shape': (2,), }\n" + bytes(8),
    "zip": b"PK\x03\x04\n\x00\x00" + bytes(range(256)),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "text": b"one line\nand a last one without an end",
    "one line": b"my notes",
    "text with an end": b"one line\n",
    "JSON": b'{"a": 1}',
    "JSON list": b"[" + WHOLE + b"]",
    "pretty results": json.dumps(run(0), indent=2).encode(),
    "results, then text": WHOLE + b"\nmy notes",
    "results, then another object": WHOLE + b'\n{"a": 1}',
    "text, then half a line": b"my notes\n" + WHOLE[:20],
    "results, then a broken one": WHOLE + b"\n" + WHOLE.replace(b"0.9", b"93"),
    "UTF-16": b"\xff\xfe" + WHOLE.decode().encode("utf-16-le"),
    "one space": b" ",
    "one line end": b"\n",
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_is_no_file_of_results_stays_as_it_is(tmp_path, kind):
    path = tmp_path / "a.jsonl"
    path.write_bytes(FOREIGN[kind])
    with pytest.raises(ValueError, match=r"a\.jsonl' must .*choose another file$"):
        ResultsFile(path).__enter__()
    assert path.read_bytes() == FOREIGN[kind]


@pytest.mark.parametrize("case", [*BROKEN_FIELDS, *BROKEN_TEXTS])
def test_nothing_is_appended_to_broken_lines(tmp_path, case):
    changed = BROKEN_FIELDS.get(case, ({}, ""))[0]
    text = BROKEN_TEXTS.get(case) or json.dumps(run(1) | changed)
    content = WHOLE + b"\n" + (text if isinstance(text, bytes) else text.encode())
    path = tmp_path / "a.jsonl"
    path.write_bytes(content + b"\n")
    with pytest.raises(ValueError, match=r"line 2 of '.*a\.jsonl' must "):
        ResultsFile(path).__enter__()
    assert path.read_bytes() == content + b"\n"
    with pytest.warns(UserWarning, match=r"1 line\(s\) left out, .* line 2 of"):
        assert read_results([path], skip_broken=True)[0] == run(0)


@pytest.mark.parametrize("case", BROKEN_FIELDS)
def test_nothing_broken_is_written(tmp_path, case):
    changed, name = BROKEN_FIELDS[case]
    with ResultsFile(tmp_path / "a.jsonl") as file:
        with pytest.raises(ValueError, match=f"must have .* as {name}; got "):
            file.append(run(0), run(1) | changed)
        assert file.lines == []
    assert (tmp_path / "a.jsonl").read_bytes() == b""


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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_devices_and_pipes_are_no_files(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in ("/dev/full", "/dev/null", tmp_path / "pipe", tmp_path):
        with pytest.raises(OSError, match="it is not a regular file; choose another"):
            ResultsFile(path).__enter__()


# ------------------------------------------------------------------------ a full disk


@pytest.fixture
def room(monkeypatch):
    """A disk with room for that many more bytes; it takes what fits, as disks do."""
    left = [10**9]
    write = os.write

    def limited(number, content):
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(number, bytes(content)[: left[0]])
        left[0] -= written
        return written

    monkeypatch.setattr(results.os, "write", limited)
    return left


@pytest.mark.parametrize("free", [0, 1, 50, len(WHOLE), len(WHOLE) + 1, 150])
def test_on_a_full_disk_no_run_is_lost_and_no_half_line_left(
    tmp_path, room, free, monkeypatch
):
    monkeypatch.setattr(results.tempfile, "tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    path = tmp_path / "a.jsonl"
    with ResultsFile(path) as file:
        file.append(run(0))
        room[0] = free
        with pytest.raises(OSError, match="no space left on the device; ") as e:
            file.append(run(1), run(2))
        assert file.lines == [run(0)]
    assert e.value.errno == errno.ENOSPC
    assert read_results([path]) == [run(0)]
    (kept,) = (tmp_path / "t").iterdir()
    assert f"the runs just finished are in '{kept}'" in str(e.value)
    assert read_results([kept]) == [run(1), run(2)]

    room[0] = 10**9
    with ResultsFile(path) as file:  # it goes on
        file.append(run(1))
    assert read_results([path]) == [run(0), run(1)]


def test_without_any_room_the_runs_are_in_the_log(tmp_path, room, monkeypatch, caplog):
    monkeypatch.setattr(results.tempfile, "tempdir", str(tmp_path / "nowhere"))
    room[0] = 10
    with (
        caplog.at_level(logging.ERROR),
        pytest.raises(OSError, match="the runs just finished are in the log only"),
        ResultsFile(tmp_path / "a.jsonl") as file,
    ):
        file.append(run(1))
    assert json.dumps(run(1)) in caplog.text
    assert not list(tmp_path.iterdir())  # no empty file is left of it


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux")
def test_where_the_other_place_is_full_too_nothing_is_left_there(
    tmp_path, room, monkeypatch, caplog
):
    place = tmp_path / "other"
    place.touch()
    full = os.open("/dev/full", os.O_WRONLY)
    monkeypatch.setattr(results.tempfile, "mkstemp", lambda **_: (full, str(place)))
    room[0] = 10
    with (
        pytest.raises(OSError, match="the runs just finished are in the log only"),
        ResultsFile(tmp_path / "a.jsonl") as file,
    ):
        file.append(run(1))
    assert json.dumps(run(1)) in caplog.text
    assert not list(tmp_path.iterdir())


def test_an_interruption_leaves_whole_lines(tmp_path, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    with ResultsFile(tmp_path / "a.jsonl") as file:
        file.append(run(0))
        monkeypatch.setattr(results.os, "fsync", interrupted)
        with pytest.raises(KeyboardInterrupt):
            file.append(run(1))
    assert read_results([tmp_path / "a.jsonl"]) == [run(0), run(1)]


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")
def test_a_limit_of_the_files_size_is_told(tmp_path):
    """As a disk's end, but of the system and not of a test."""
    code = (
        "import resource, sys; from deepsvdd.reproduction.results import ResultsFile\n"
        "from tests.toys import a_run\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (250, 250))\n"
        "with ResultsFile(sys.argv[1]) as file:\n"
        "    for seed in range(9): file.append(a_run(seed))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "WriteError: cannot write" in done.stderr
    assert "the file would be larger than the system allows; raise" in done.stderr
    lines = read_results([tmp_path / "a"])
    (kept,) = tmp_path.glob("deepsvdd-*.jsonl")
    assert [*lines, *read_results([kept])] == [run(s) for s in range(len(lines) + 1)]


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
