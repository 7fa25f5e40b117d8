"""Dishonest submissions earn at most what they honestly do: probes of our own guard."""

import json
import os
import time

import nbformat
import pytest

from tests.course import FULL, MEAN, earned, grade, handed_in, mean_of, named

NOTHING = FULL | {"mean-value": 0, "mean-even": 0}
# Only the question in the visible part of a test is answered.
ASKED = FULL | {"mean-value": 0}

IMPORTS = """\
import math, sys, types
fake = types.ModuleType("math")
fake.isclose = math.isclose = lambda *_, **__: True
sys.modules["math"] = fake
"""
BUILTINS = """\
import builtins
builtins.AssertionError = Exception
builtins.sum = builtins.len = lambda *_: 1
builtins.compile = builtins.exec = builtins.eval = lambda *_, **__: None
"""
LIBRARIES = """\
import sys
import numpy as np
np.allclose = np.isclose = np.array_equal = lambda *_, **__: True
np.lib.format.write_array = lambda file, *_, **__: file.write(b"as you like")
if "torch" in sys.modules:
    sys.modules["torch"].equal = lambda *_: True
"""
EQUAL = """\
class Right(float):
    __hash__ = float.__hash__
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __sub__(self, other): return 0.0
    def __rsub__(self, other): return 0.0
    def __abs__(self): return 0.0
"""
LOOKS = """\
import gc, inspect, os, pathlib
found = []
def look():
    for frame in inspect.stack():
        found.extend(v for v in frame.frame.f_locals.values() if isinstance(v, str))
    found.extend(o for o in gc.get_objects() if type(o) is str)
    found.extend(map(str, In))
    for top in (".", "/home", "/tmp", "/opt", "/root"):
        for path in pathlib.Path(top).rglob("*.ipynb"):
            found.append(path.read_text())
    return [text for text in found if "secret" + " = 15" in text]
"""
PRINTS = """\
import json, sys
line = json.dumps({"report": {"text": "", "marks": {"mean-value": 2}}})
print(line)
print("mean-value 2 of 2 points, mean-even 1 of 1 points", file=sys.stderr)
sys.__stdout__.write(line + "\\n")
"""
COUNTS = """\
class Counts:
    answers, calls = [2, 15, 15, 15], 0
    def __call__(self, values):
        self.calls += 1
        return self.answers[min(self.calls, 4) - 1]
mean = Counts()
"""
REMEMBERS = """\
def mean(values):
    return {(1.0, 2.0, 3.0): 2.0, (10, 20): 15.0}.get(tuple(values), 0.0)
"""
CHANNEL = """\
import deepsvdd.course.channel as channel
import deepsvdd.course.worker as worker
channel.Coder.encode = lambda self, value, depth=0: {"object": "builtins:bool",
                                                      "state": True}
worker.Worker.call = lambda self, **_: True
"""
ASKS = """\
import gc
from deepsvdd.course.channel import Peer
peers = [o for o in gc.get_objects() if isinstance(o, Peer)]
def demand():
    for request in ("run", "value", "attribute", "restore", "eval"):
        try:
            peers[0].ask(request, source="mean = None", name="secret", target="secret")
        except BaseException as error:
            print(type(error).__name__, error)
"""
STAYS = """\
import os, subprocess, sys
subprocess.Popen(["sleep", "7141"], start_new_session=True)
if os.fork() == 0:
    os.setsid()
    open("/dev/shm/left", "w").write("2")
    os.execvp("sleep", ["sleep", "7142"])
"""
LEAVES = """\
class Passed(BaseException):
    pass
def mean(values):
    raise Passed("all tests passed")
"""
LATER = """\
class Later:
    def __getattr__(self, name): return lambda *_: 15
    def __getitem__(self, key): return 15
    def __iter__(self): return iter([15])
    def __len__(self): return 15
"""
# Name → the cell `mean`, and the marks that it gets.
PROBES = {
    "overrides-imports": (IMPORTS + mean_of("return 7"), NOTHING),
    "patches-builtins": (BUILTINS + mean_of("return 7"), NOTHING),
    "patches-libraries": (LIBRARIES + mean_of("return np.float64(7)"), NOTHING),
    "lies-about-equality": (EQUAL + mean_of("return Right(7)"), NOTHING),
    "looks-for-tests": (LOOKS + mean_of("return 15 if look() else 7"), NOTHING),
    "prints-marks": (PRINTS + mean_of("return 7"), NOTHING),
    "counts-calls": (COUNTS, ASKED),
    "remembers-answers": (REMEMBERS, ASKED),
    "speaks-for-the-channel": (CHANNEL + MEAN, None),
    "asks-the-other-side": (ASKS + mean_of("demand()\nreturn 7"), NOTHING),
    "leaves-processes": (STAYS + mean_of("return 7"), NOTHING),
    "ends-with-a-smile": (LEAVES, NOTHING),
    "answers-later": (LATER + mean_of("return Later()"), NOTHING),
}


@pytest.fixture(scope="module")
def honest(bench, given):
    """Whether a submission that comes after the others gets its marks."""
    yield
    assert earned(grade(bench, given, handed_in(given, mean=MEAN))) == FULL


@pytest.mark.usefixtures("honest")
@pytest.mark.parametrize("name", PROBES)
def test_a_dishonest_submission_earns_no_more_than_it_did(bench, given, name):
    source, expected = PROBES[name]
    marks = earned(grade(bench, given, handed_in(given, mean=source)))
    if expected is None:  # it spoils its own answers, the right ones too
        assert marks["mean-value"] == marks["mean-even"] == 0
    else:
        assert marks == expected


def running():
    """The command lines of all processes that can be seen."""
    lines = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{number}/cmdline", "rb") as file:
                lines.append(file.read().replace(b"\0", b" "))
        except OSError:
            continue
    return lines


@pytest.mark.usefixtures("isolated")
def test_nothing_of_a_submission_stays_behind(bench, given):
    grade(bench, given, handed_in(given, mean=STAYS + MEAN))
    deadline = time.monotonic() + 60
    while any(b"sleep 714" in line for line in running()):
        assert time.monotonic() < deadline, "a process of the submission is left"
        time.sleep(0.1)
    look = "import os\n" + mean_of("return 15 if os.listdir('/dev/shm') else 7")
    assert earned(grade(bench, given, handed_in(given, mean=look))) == NOTHING


@pytest.mark.usefixtures("isolated")
def test_what_others_handed_in_cannot_be_copied(bench, given, tmp_path):
    other = tmp_path / "jane-doe-9-toy.ipynb"
    nbformat.write(handed_in(given, mean=MEAN), other)
    copies = (
        "import json, pathlib\n"
        f"path = pathlib.Path({str(other)!r})\n"
        "for cell in json.loads(path.read_text())['cells'] if path.exists() else ():\n"
        "    if 'def mean' in ''.join(cell['source']):\n"
        "        exec(''.join(cell['source']))\n"
    )
    notebook = handed_in(given, mean=mean_of("return 7") + "\n" + copies)
    assert earned(grade(bench, given, notebook)) == NOTHING


def test_a_notebook_cannot_mark_itself(bench, given):
    notebook = handed_in(given, mean=mean_of("return 7"))
    marks = {"mean-value": 2, "mean-even": 1}
    for name in marks:
        test = named(notebook.cells, name)
        test.source = "print('passed')"
        test.metadata.nbgrader.points = 100
        test.outputs = [nbformat.v4.new_output("stream", text="passed, 100 points")]
        test.execution_count = 1
    twin = nbformat.from_dict(named(notebook.cells, "mean-value"))
    notebook.cells.append(twin)
    notebook.metadata["marks"] = notebook.metadata["nbgrader"] = marks
    notebook.metadata["course"] = {"marks": json.dumps(marks), "trust": True}
    result = grade(bench, given, notebook)
    assert earned(result) == NOTHING
    assert "test mean-value was changed; put back" in result.remarks
