"""Commands that go on when they are repeated end in one line."""

import signal
import threading

import pytest

from deepsvdd.cli.interruptions import resumable
from deepsvdd.reproduction.results import ResultsFile
from tests.toys import a_run


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_one_line_and_its_status(tmp_path, capsys, number):
    path = tmp_path / "a.jsonl"
    before = signal.getsignal(number)
    with ResultsFile(path) as file:
        file.append(a_run())
        with pytest.raises(SystemExit) as end, resumable(file):
            signal.raise_signal(number)
    assert end.value.code == 128 + number
    said = f"\nstopped: 1 runs are in '{path}'; the same command goes on\n"
    assert capsys.readouterr().err == said
    assert signal.getsignal(number) == before


def test_errors_and_ends_pass(tmp_path, capsys):
    with ResultsFile(tmp_path / "a.jsonl") as file:
        with resumable(file):
            pass
        with pytest.raises(ZeroDivisionError), resumable(file):
            1 / 0  # noqa: B018
    assert capsys.readouterr().err == ""


def test_in_a_thread_there_is_no_signal_to_wait_for(tmp_path):
    ended = []

    def work():
        with ResultsFile(tmp_path / "a.jsonl") as file, resumable(file):
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ended
