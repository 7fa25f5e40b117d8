"""A submission's processes, as they are seen from outside."""

import os
import subprocess
import sys

import pytest

from deepsvdd.course.supervision import (
    State,
    Supervisor,
    family,
    memory_of,
    processes,
    resident,
)


def test_a_family_is_a_process_and_what_descends_from_it():
    def child_of(parent):
        return State(parent, threads=1, sleeps=True, seconds=0.0)

    everybody = {1: child_of(0), 2: child_of(1), 3: child_of(2), 4: child_of(1)}
    assert set(family(2, everybody)) == {2, 3}
    assert set(family(1, everybody)) == {1, 2, 3, 4}
    assert family(9, everybody) == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says so much")
def test_a_process_that_takes_too_much_memory_is_ended():
    code = "x = bytearray(10**8)\nprint('full', flush=True)\ninput()"
    command = [sys.executable, "-c", code]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as process:
        supervisor = Supervisor(process.pid, process.pid, memory=20)
        process.stdout.readline()
        assert resident(process.pid) > 10**8
        assert memory_of(process.pid) > 10**8
        assert process.pid in family(os.getpid(), processes())
        supervisor.limit = supervisor.most = 50 * 2**20
        supervisor.start()
        process.wait()
        supervisor.over.set()
    assert supervisor.verdict == ("MemoryError", "")
