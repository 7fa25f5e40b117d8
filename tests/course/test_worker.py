"""Programs of all kinds, harmful ones too: they get their marks and do no harm.

All are graded once, which takes long; so what table, pages and a second run make of
them is tested here too.
"""

import csv
import os
import re

import nbformat
import pytest

from deepsvdd.course import batch, marking
from deepsvdd.course.collection import collect
from tests.course import (
    FULL,
    LIMITS,
    MEAN,
    WRONG_MEAN,
    earned,
    handed_in,
    mean_of,
    secret_lines,
)

STUBBORN = """\
while True:
    try:
        while True:
            pass
    except BaseException:
        pass
"""
FORGE = """\
import json, os
for number in range(20):
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, json.dumps({"end": number}).encode() + b"\\n")
        except OSError:
            pass
"""
OVERWRITE = """\
import builtins, math
math.isclose = lambda *_, **__: True
data = SEED = type("Any", (), {"__eq__": lambda *_: True})()
builtins.AssertionError = builtins.sorted = None
"""
NETWORK = """\
import socket, urllib.request
socket.create_connection(("192.0.2.1", 80), timeout=1)
"""
HARM = """\
import os, pathlib, shutil, subprocess
def attempt(action, *arguments):
    try:
        action(*arguments)
    except BaseException as error:
        print(error)
victim = pathlib.Path({victim!r})
attempt(victim.write_text, "gone")
attempt(os.remove, victim)
attempt(os.rename, victim, "here")
attempt(shutil.rmtree, victim.parent)
attempt(os.system, f"rm -rf {{victim.parent}}")
attempt(subprocess.run, ["rm", "-rf", str(victim.parent)])
attempt(os.kill, os.getppid(), 9)
attempt((victim.parent / "new").mkdir)
attempt(os.truncate, str(victim), 0)
pathlib.Path("mine").write_text("this is allowed")
assert pathlib.Path.home().samefile(".")
"""
# Name → the cell `mean`, the marks it must get, what its remarks must say.
PROGRAMS = {
    "good": (MEAN, FULL, None),
    "raises": (mean_of("return 1 / 0"), WRONG_MEAN, None),
    "syntax": ("def mean(values:", WRONG_MEAN, "mean raised SyntaxError"),
    "hangs": (mean_of("while True: pass"), WRONG_MEAN, "mean-value took too long"),
    "hangs-above": ("while True: pass", WRONG_MEAN, "mean took too long"),
    "sleeps": ("import time\ntime.sleep(3600)", WRONG_MEAN, "mean took too long"),
    "stubborn": (STUBBORN, WRONG_MEAN, "mean took too long"),
    "hog": (
        mean_of("return len([bytearray(2**28) for _ in range(1000)])"),
        WRONG_MEAN,
        "mean-value needed more memory",
    ),
    "os-exit": (mean_of("os._exit(0)", "import os"), WRONG_MEAN, None),
    "os-exit-above": ("import os\nos._exit(3)", WRONG_MEAN, r"mean ended .*status 3"),
    "sys-exit": (mean_of("sys.exit(0)", "import sys"), WRONG_MEAN, None),
    "exit": ("exit()", WRONG_MEAN, "mean was left by sys.exit or exit"),
    "segfault": ("import ctypes\nctypes.string_at(0)", WRONG_MEAN, "SIGSEGV"),
    "prints": (MEAN + "for _ in range(100): print('x' * 2**20)", FULL, None),
    "prints-past-python": (
        MEAN + "import os\nfor _ in range(100): os.write(1, b'x' * 2**20)",
        FULL,
        None,
    ),
    "network": (NETWORK + MEAN, WRONG_MEAN, "no network|unreachable"),
    "overwrites": (OVERWRITE + mean_of("return 7"), WRONG_MEAN, None),
    "forges": (FORGE + mean_of("return 7"), WRONG_MEAN, None),
    "forks": (
        "import os\nwhile True: os.fork()",
        WRONG_MEAN,
        "few processes|more than 64|unavailable|took too long",
    ),
    "closes": ("import os\nos.closerange(0, 100)\n" + MEAN, WRONG_MEAN, None),
    "installs": ("%pip install nothing\n!ls\n" + MEAN, FULL, None),
    "threads": (
        MEAN + "import threading\n"
        "def run():\n    while True: pass\n"
        "threading.Thread(target=run).start()",
        FULL,
        None,
    ),
    "hidden-error": (
        mean_of("return 2 if len(values) > 2 else values.nothing"),
        WRONG_MEAN,
        None,
    ),
    "hidden-hint": (mean_of("return 2"), WRONG_MEAN, None),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, given):
    """A folder of submissions: programs, notebooks out of shape, and other files."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, (program, _, _) in PROGRAMS.items():
        nbformat.write(handed_in(given, mean=program), folder / f"{name}-9-toy.ipynb")
    (folder / "empty-9-toy.ipynb").touch()
    (folder / "text-9-toy.ipynb").write_text("My laptop broke.")
    (folder / "report-9-toy.pdf").write_bytes(b"%PDF-1.4 \0")
    (folder / ".DS_Store").touch()
    nbformat.write(handed_in(given, mean=MEAN), folder / "=cmd()-9-toy.ipynb")
    harm = HARM.format(victim=str(folder.parent / "victim" / "file"))
    (folder.parent / "victim").mkdir(exist_ok=True)
    (folder.parent / "victim" / "file").write_text("alive")
    nbformat.write(handed_in(given, mean=MEAN + harm), folder / "harm-9-toy.ipynb")
    read = f"print(len(open({str(folder / 'good-9-toy.ipynb')!r}).read()))"
    nbformat.write(handed_in(given, mean=read), folder / "reads-9-toy.ipynb")
    return folder


@pytest.fixture(scope="module")
def graded(folder, toy, tmp_path_factory):
    """All of them graded, by student."""
    out = tmp_path_factory.mktemp("marks")
    collection = collect(folder, tmp_path_factory.mktemp("into"), [toy])
    results = batch.grade_all(collection.files, out, LIMITS, jobs=2, trust=True)
    book = out / "mark-book"
    list(marking.write(out, book, [toy], [toy], collection, results, None))
    return out, {result.student: result for result in results}


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_gets_its_marks(graded, name):
    _, expected, remark = PROGRAMS[name]
    result = graded[1][name]
    assert earned(result) == expected
    if remark is not None:
        assert re.search(remark, "\n".join(result.remarks))


def test_whoever_closes_all_files_spoils_no_other_task(graded):
    result = graded[1]["closes"]
    assert earned(result) == WRONG_MEAN
    assert "mean ended the whole process" in result.remarks[0]


@pytest.mark.parametrize("name", ["empty", "text", "report"])
def test_what_is_no_notebook_gets_a_line(graded, name):
    result = graded[1][name]
    assert result.total == 0
    (remark,) = result.remarks
    assert "notebook" in remark


def test_nothing_outside_the_folder_is_harmed(graded, folder):
    victim = folder.parent / "victim"
    assert (victim / "file").read_text() == "alive"
    assert os.listdir(victim) == ["file"]
    assert earned(graded[1]["harm"]) == FULL
    assert graded[1]["harm"].remarks == []


def test_no_other_notebook_can_be_read(graded):
    remarks = "\n".join(graded[1]["reads"].remarks)
    assert "reads no other notebook" in remarks or "No such file" in remarks


# --- what is made of the marks -----------------------------------------------------


def test_the_table_has_a_row_for_each_student(graded, folder):
    out, results = graded
    with open(out / "9-toy.csv", encoding="utf-8-sig", newline="") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    files = [path for path in folder.iterdir() if path.name != ".DS_Store"]
    assert len(rows) == len(results) == len(files)
    good = rows["good"]
    assert good["mean-value (2)"] == "2"
    assert good["tests (6)"] == "6"
    assert (good["why (2)"], good["pending"]) == ("", "2")
    assert (rows["empty"]["why (2)"], rows["empty"]["pending"]) == ("0", "0")
    assert "=cmd()" not in rows
    assert rows["'=cmd()"]["file"].startswith("'=")


def test_pages_explain_and_keep_hidden_tests_hidden(graded, toy):
    out, results = graded
    pages = {path.stem: path.read_text() for path in (out / "9-toy").glob("*.html")}
    assert len(pages) == len(results)
    assert "the mean of 1, 2 and 3 is 2" in pages["overwrites"]
    assert "ZeroDivisionError" in pages["raises"]
    assert "took too long" in pages["hangs"]
    assert "more memory" in pages["hog"]
    assert "ended the whole process" in pages["os-exit"]
    assert "try a single value" in pages["hidden-hint"]
    assert results["hidden-error"].marks["mean-value"].message == (
        "A hidden test failed. Your code raised AttributeError."
    )
    assert results["os-exit"].marks["mean-even"].message == (
        "The test ended the whole process."
    )
    secret = secret_lines(toy)
    for page in pages.values():
        assert not [line for line in secret if line in page]
        assert not re.search(r"(?:src|href|url|@import)\b\s*[=(]", page)
        assert "<script" not in page


def test_the_batch_goes_on_where_it_was(graded, folder, toy, monkeypatch, tmp_path):
    out, results = graded
    monkeypatch.setattr(batch, "grade_notebook", None)  # nothing is to be run
    files = collect(folder, tmp_path, [toy]).files
    again = batch.grade_all(files, out, LIMITS, jobs=1, trust=True)
    assert {result.student: result for result in again} == results
