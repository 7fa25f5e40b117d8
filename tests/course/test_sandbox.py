"""What a submission cannot do in the sandbox: one harmless probe for each limit."""

import socket
import threading

import pytest

from deepsvdd.course import sandbox
from deepsvdd.course.running import Bench
from tests import ROOT
from tests.course import FULL, LIMITS, MEAN, earned, grade, handed_in, mean_of

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def probe(bench):
    """Run a cell in the sandbox; return what it printed, and the error's name."""

    def run(*sources):
        cells = [{"kind": "student", "name": "", "source": text} for text in sources]
        report = bench.run(cells, LIMITS)[-1]
        return report.get("text", "").strip(), report.get("error")

    return run


def test_memory_has_a_limit(probe):
    assert probe("x = bytearray(600 * 2**20)") == ("", "MemoryError")
    assert probe("x = bytearray(200 * 2**20)\nprint(len(x))") == ("209715200", None)


SHARED = """\
import mmap
memory = mmap.mmap(-1, 2**31)
for place in range(0, 2**31, 4096):
    memory[place] = 1
"""
FULL_FOLDER = """\
from pathlib import Path
for number in range(10):
    Path({folder!r}, str(number)).write_bytes(bytes(50 * 2**20))
"""


def test_memory_that_is_shared_counts_as_well(probe):
    assert probe(SHARED) == ("", "MemoryError")
    assert probe(FULL_FOLDER.format(folder="/dev/shm"))[1] == "OSError"
    assert probe("import os\nos.memfd_create('x')")[1] == "PermissionError"


def test_the_disk_has_a_limit(probe):
    assert probe(FULL_FOLDER.format(folder="."))[1] == "OSError"


def test_the_number_of_processes_has_a_limit(probe):
    many = "import subprocess\nx = [subprocess.Popen(['sleep', '600'])"
    assert probe(f"{many} for _ in range(3)]\nprint(len(x))") == ("3", None)
    _, error = probe(f"{many} for _ in range(200)]\nimport time; time.sleep(600)")
    assert error in ("Died", "BlockingIOError")


def test_there_is_no_network(probe):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        cell = f"import socket\nsocket.create_connection(('127.0.0.1', {port}))"
        assert probe(cell)[1] in ("OSError", "ConnectionRefusedError")
    assert probe("import socket\nsocket.getaddrinfo('example.org', 80)")[1]


def test_files_of_the_grader_are_not_there(probe, tmp_path):
    others = tmp_path / "submissions" / "bo-9-toy.ipynb"
    result = tmp_path / "marks" / ".results" / "bo.json"
    for path in (others, result):
        path.parent.mkdir(parents=True)
        path.write_text("42")
    for path in (others, result, ROOT / "book/assignments/1-metrics.ipynb"):
        assert probe(f"open({str(path)!r})")[1] == "FileNotFoundError"
    cell = "import subprocess\nprint(subprocess.run(['cat', {!r}]).returncode)"
    assert probe(cell.format(str(others))) == ("1", None)
    assert probe("print(open('/usr/new', 'w'))")[1] in ("OSError", "PermissionError")
    assert probe("open('new', 'w').write('mine')\nprint(open('new').read())")[0]


def test_one_submission_finds_nothing_of_another(probe):
    assert probe("open('/dev/shm/a', 'w')\nopen('a', 'w')")[1] is None
    look = "import os\nprint(os.listdir('.'), os.listdir('/dev/shm'))"
    assert probe(look) == ("[] []", None)


def test_at_the_same_time_neither(bench, probe):
    done = []
    waits = "open('/dev/shm/a', 'w')\nopen('a', 'w')\nimport time\ntime.sleep(3)"
    cells = [{"kind": "student", "name": "", "source": waits}]
    thread = threading.Thread(target=lambda: done.append(bench.run(cells, LIMITS)))
    thread.start()
    text, _ = probe(
        "import os\nprint(os.listdir('.'), os.listdir('/dev/shm'), os.getpid() < 9)\n"
        "print([n for n in os.listdir('/proc') if n.isdigit() and int(n) > 9])"
    )
    thread.join()
    assert text == "[] [] True\n[]"
    assert "error" not in done[0][0]


def test_hidden_tests_are_not_in_the_process(probe):
    look = (
        "import gc\n"
        "word = 'HIDDEN' + ' TESTS'\n"
        "print(sum(word in o for o in gc.get_objects() if type(o) is str))\n"
        "print(sum(word in s for s in map(str, In)))\n"
    )
    assert probe(look) == ("0\n0", None)


def test_privileges_cannot_be_had_again(probe):
    mount = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.mount(b'tmpfs', b'/home', b'tmpfs', 0, None), "
        "libc.unshare(1 << 28), ctypes.get_errno())"
    )
    assert probe(mount) == ("-1 -1 1", None)


def test_a_few_processes_of_ones_own_can_work_together(probe):
    cell = (
        "import multiprocessing\n"
        "with multiprocessing.Pool(2) as pool:\n"
        "    print(sum(pool.map(abs, [-1, 2])))"
    )
    assert probe(cell) == ("3", None)


# --- marks --------------------------------------------------------------------------


def test_what_equals_everything_earns_nothing(bench, given):
    equal = (
        "class Yes:\n"
        "    def __eq__(self, other): return True\n"
        "    def __float__(self): return 2.0\n"
    )
    result = grade(bench, given, handed_in(given, mean=equal + mean_of("return Yes()")))
    assert earned(result) == FULL | {"mean-value": 0, "mean-even": 0}


def test_a_function_that_blocks_costs_its_task(bench, given):
    blocks = mean_of("time.sleep(3600)", "import time")
    result = grade(bench, given, handed_in(given, mean=blocks))
    assert earned(result) == FULL | {"mean-value": 0, "mean-even": 0}
    assert "test mean-value took too long and was stopped" in result.remarks
    assert result.seconds < 60


def test_endless_recursion_is_called_by_its_name(bench, given):
    endless = mean_of("return mean(values)")
    result = grade(bench, given, handed_in(given, mean=endless))
    assert result.marks["mean-value"].message.startswith("RecursionError")


# --- without a sandbox --------------------------------------------------------------


@pytest.fixture
def nowhere(monkeypatch):
    monkeypatch.setattr(sandbox, "why_not", lambda: "bubblewrap is not installed")


def test_without_a_sandbox_submissions_have_to_be_trusted(nowhere, toy):
    with pytest.raises(ValueError, match="cannot be isolated") as error:
        Bench(toy)
    assert "bubblewrap is not installed" in str(error.value)
    assert "--trust" in str(error.value)
    assert "\n" not in str(error.value)


def test_trusted_submissions_get_the_same_marks(nowhere, toy, given, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("alive")
    harm = f"\nopen({str(victim)!r}, 'w')"
    with Bench(toy, trust=True) as bench:
        assert not bench.isolated
        result = grade(bench, given, handed_in(given, mean=MEAN + harm))
        assert earned(result) == FULL
        (remark,) = result.remarks
        assert "writes into its folder only" in remark
        result = grade(bench, given, handed_in(given, mean="import os\nos._exit(3)"))
        assert earned(result)["spread-value"] == 3
    assert victim.read_text() == "alive"


def test_why_there_is_none_is_said_in_a_few_words(monkeypatch):
    sandbox.why_not.cache_clear()
    monkeypatch.setattr(sandbox.shutil, "which", lambda _: None)
    assert "apt install bubblewrap" in sandbox.why_not()
    sandbox.why_not.cache_clear()
    monkeypatch.undo()
    monkeypatch.setattr(sandbox.sys, "platform", "darwin")
    assert sandbox.why_not() == "only Linux has one"
    sandbox.why_not.cache_clear()
