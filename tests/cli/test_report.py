"""``deepsvdd report`` of files that other hands have touched."""

import codecs
import json

import pytest
from click.testing import CliRunner

from deepsvdd.cli import main
from tests.toys import BROKEN_FIELDS, BROKEN_TEXTS, a_run


def report(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


def write(path, *parts):
    """Write a file of lines: runs, texts or bytes."""
    lines = [
        part
        if isinstance(part, bytes)
        else (part if isinstance(part, str) else json.dumps(part)).encode()
        for part in parts
    ]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


BROKEN = {case: a_run(1) | changed for case, (changed, _) in BROKEN_FIELDS.items()}
BROKEN |= BROKEN_TEXTS


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_line_is_named_or_left_out_as_asked(tmp_path, case):
    path = write(tmp_path / "r.jsonl", a_run(0), BROKEN[case])
    done = report(path, "-o", tmp_path / "out" / "report")
    assert done.exit_code == 1
    assert done.output.startswith(f"Error: line 2 of '{path}' must ")
    if case in BROKEN_FIELDS:
        assert f" as {BROKEN_FIELDS[case][1]}; got " in done.output
    assert "mend or remove the line, or skip it (skip_broken)" in done.output
    assert done.output.count("\n") == 1
    assert list(tmp_path.rglob("*")) == [path]  # nothing written, nowhere

    done = report(path, "--skip_broken")
    assert done.exit_code == 0, done.output
    assert f"1 line(s) left out, the first because line 2 of '{path}'" in done.output
    assert "| 3 | 90.0 |" in done.output


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        ({"normal_class": 3}, {"normal_class": "three"}, "normal_class"),
        ({"normal_class": 3}, {"normal_class": None}, "normal_class"),
        ({"seed": 1}, {"seed": "a"}, "seed"),
        ({"dataset": "mnist"}, {"dataset": 5}, "dataset"),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
def test_mixed_types_in_two_lines(tmp_path, first, second, name, turned):
    lines = [a_run(**first), a_run(**second)][:: -1 if turned else 1]
    path = write(tmp_path / "r.jsonl", *lines)
    done = report(path)
    assert done.exit_code == 1
    assert f"line {1 if turned else 2} of '{path}' must have" in done.output
    assert f" as {name}; got " in done.output


@pytest.mark.parametrize(
    "mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE]
)
def test_other_encodings_are_named(tmp_path, mark):
    coding = {2: "utf-16-le", 3: "utf-8"}[len(mark)]
    if mark == codecs.BOM_UTF16_BE:
        coding = "utf-16-be"
    text = json.dumps(a_run()) + "\n"
    (tmp_path / "r.jsonl").write_bytes(mark + text.encode(coding))
    done = report(tmp_path / "r.jsonl", "--skip_broken")
    assert done.exit_code == 1
    assert "r.jsonl' must be UTF-8 without a byte order mark" in done.output


def test_a_report_of_broken_lines_only_is_refused(tmp_path):
    done = report(write(tmp_path / "r.jsonl", "5", "[]"), "--skip_broken")
    assert done.exit_code == 1
    assert "2 line(s) left out" in done.output
    assert "holds no results" in done.output


@pytest.mark.parametrize("name", ["tables.md", "tables.csv", "mnist-kde.png"])
def test_a_report_does_not_overwrite_its_input(tmp_path, name):
    path = write(tmp_path / name, a_run())
    before = path.read_bytes()
    done = report(path, "-o", tmp_path)
    assert done.exit_code == 1
    assert f"which is the input '{path}'" in done.output
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_bytes() == before


def test_a_report_that_cannot_be_written_is_printed_all_the_same(tmp_path):
    path = write(tmp_path / "r.jsonl", a_run())
    done = report(path, "-o", path / "report")
    assert done.exit_code == 1
    assert "| 3 | 90.0 |" in done.output
    assert "a file stands where a folder is needed" in done.output
