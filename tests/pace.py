"""The order of the tests, longest file first, and the list of the slowest.

``make test`` loads it (``-p tests.pace``). pytest-xdist hands whole files to processes,
in this order: a long file that begins last would keep one core busy and the others
idle. ``make slowest`` measures anew: it writes the seconds of each file to
``seconds.json`` beside this one, and the slowest tests into CONTRIBUTING.md.
"""

import json
import os
import re
from collections import Counter
from pathlib import Path

import torch

from deepsvdd.files import write_text
from deepsvdd.reproduction.provenance import provenance

ROOT = Path(__file__).resolve().parent.parent
SECONDS = Path(__file__).with_name("seconds.json")
GUIDE = ROOT / "CONTRIBUTING.md"
LIST = re.compile(r"(?<=<!-- slowest -->\n).*?(?=<!-- end of slowest -->)", re.DOTALL)
N_SLOWEST = 20
# While one process builds the book, others that need it wait: of its tests, one file
# comes first, and the rest after all other files of at least so many seconds.
BOOK = "tests/book/"
LONG = 20


def pytest_addoption(parser):
    parser.addoption(
        "--note-slowest",
        action="store_true",
        help="write tests/seconds.json, and the slowest tests into CONTRIBUTING.md",
    )


def pytest_configure(config):
    in_worker = hasattr(config, "workerinput")  # which tells its controller all
    if config.getoption("--note-slowest") and not in_worker:
        config.pluginmanager.register(Clock())


def file_of(nodeid):
    """The file of a test, by its name; of a cell, the chapter."""
    return nodeid.partition("::")[0]


def in_order(files, seconds):
    """Sort files: the longest first, and building the book in nobody's way.

    One that nobody has measured counts as usual, as the median.
    """
    usual = sorted(seconds.values())[len(seconds) // 2] if seconds else LONG
    files = sorted(files, key=lambda file: -seconds.get(file, usual))
    first = [file for file in files if file.startswith(BOOK)][:1]

    def rank(file):
        long = seconds.get(file, usual) >= LONG
        return file not in first, not long or file.startswith(BOOK)

    return sorted(files, key=rank)


def pytest_collection_modifyitems(items):
    seconds = json.loads(SECONDS.read_text()) if SECONDS.exists() else {}
    files = in_order(dict.fromkeys(file_of(item.nodeid) for item in items), seconds)
    place = {file: number for number, file in enumerate(files)}
    items.sort(key=lambda item: place[file_of(item.nodeid)])  # else as it was


class Clock:
    """Adds up what each test takes, with what it prepares and clears away."""

    def __init__(self):
        self.tests = Counter()

    def pytest_runtest_logreport(self, report):
        self.tests[report.nodeid] += report.duration

    def pytest_sessionfinish(self, exitstatus):
        if exitstatus == 0:  # of all tests that there are
            self.write()

    def write(self):
        files = Counter()
        for nodeid, seconds in self.tests.items():
            files[file_of(nodeid)] += seconds
        rounded = {file: round(files[file]) for file in sorted(files)}
        write_text(SECONDS, json.dumps(rounded, indent=1) + "\n")
        text = GUIDE.read_text("utf-8")
        write_text(GUIDE, LIST.sub(lambda _: slowest(self.tests), text))


def slowest(tests):
    """The list of the slowest tests, in Markdown, and where they were measured."""
    origin = provenance(torch.device("cpu"))
    total = sum(tests.values())
    lines = [
        f"{origin['machine']['device']}, {os.cpu_count()} CPUs, {origin['date'][:10]}: "
        f"{total / 60:.0f} minutes of tests, one after another.",
        "",
        "| seconds | test |",
        "|---:|---|",
    ]
    for nodeid, seconds in tests.most_common(N_SLOWEST):
        name = nodeid.replace("|", r"\|")
        lines.append(f"| {seconds:.0f} | `{name}` |")
    return "\n".join(lines) + "\n"
