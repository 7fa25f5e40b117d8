import itertools
import os
import signal
import subprocess
import sys
import time
from functools import partial

import psutil
import pytest
import torch

from deepsvdd.core._engine.waiting import PATIENCE
from deepsvdd.errors import ProcessLostError
from deepsvdd.reproduction.executors import (
    cores,
    run_locally,
    run_on_ray,
    start_patiently,
)
from tests import ROOT


def square(x):
    if x < 0:
        raise ValueError(f"x must be 0 or more; got {x}")
    return x * x


def meet(folder, name, count):
    """Wait until as many workers are at work, so that none does all tasks."""
    (folder / str(name)).touch()
    wait_until(lambda: len(list(folder.iterdir())) >= count)


def settings(task):
    meet(task[0], os.getpid(), task[1])
    return os.getpid(), cores(), torch.get_num_threads()


def die_the_first_time(task):
    marker, x = task
    if x == 2 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return square(x)


def die(x):
    os._exit(1)


def slow(folder):
    (folder / f"{os.getpid()}").touch()
    time.sleep(600)


def slow_but_first(folder):
    if folder:
        slow(folder)


def test_every_task_ends_once_with_its_own_outcome():
    outcomes = dict(run_locally(square, [3, -1, 2], n_jobs=2))
    assert outcomes[0] == 9
    assert outcomes[2] == 4
    assert str(outcomes[1]) == "x must be 0 or more; got -1"
    assert dict(run_locally(square, [])) == {}


@pytest.fixture
def two_cores():
    before = cores()
    os.sched_setaffinity(0, before[:2])
    yield before[:2]
    os.sched_setaffinity(0, before)


def test_processes_have_cores_of_their_own(two_cores, tmp_path):
    n_jobs = len(two_cores)
    tasks = [(tmp_path, n_jobs)] * 2 * n_jobs
    outcomes = dict(run_locally(settings, tasks, n_jobs))
    assert len(outcomes) == len(tasks)
    pinned = {pid: mine for pid, mine, _ in outcomes.values()}
    assert all(threads == 1 for *_, threads in outcomes.values())
    assert sorted(itertools.chain(*pinned.values())) == two_cores[: len(pinned)]


def waiting(_):
    return {name: os.environ.get(name) for name in PATIENCE}


@pytest.mark.parametrize("own", [{}, {"OMP_WAIT_POLICY": "ACTIVE"}])
def test_threads_of_workers_wait_patiently_unless_a_user_wants_it(monkeypatch, own):
    for name in PATIENCE:
        monkeypatch.delenv(name, raising=False)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    theirs = dict.fromkeys(PATIENCE) | (own or PATIENCE)
    assert dict(run_locally(waiting, [None], n_jobs=1)) == {0: theirs}
    assert {name: os.environ.get(name) for name in own} == own
    assert waiting(None) == dict.fromkeys(PATIENCE) | own


def test_processes_that_leave_cores_free_are_not_pinned(two_cores, tmp_path):
    outcomes = dict(run_locally(settings, [(tmp_path, 1)], n_jobs=1))
    assert outcomes[0][1] == two_cores


def test_a_task_whose_process_is_killed_is_run_again(tmp_path):
    tasks = [(tmp_path / "marker", x) for x in range(5)]
    outcomes = list(run_locally(die_the_first_time, tasks, n_jobs=2))
    assert sorted(outcomes) == [(x, x * x) for x in range(5)]


def test_processes_that_only_die_end_with_an_error():
    outcomes = dict(run_locally(die, [1, 2], n_jobs=1))
    assert all(isinstance(error, ProcessLostError) for error in outcomes.values())
    assert "3 processes died in a row" in str(outcomes[0])


def test_workers_end_when_their_parent_is_killed(tmp_path):
    parent, pids = start_slow_workers(tmp_path)
    parent.kill()
    parent.wait()
    wait_until(lambda: not any(alive(pid) for pid in pids))


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_workers_without_a_word(tmp_path):
    parent, pids = start_slow_workers(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)  # as a terminal does: to all of them
    _, said = parent.communicate()
    assert said == "interrupted\n"
    assert not any(alive(pid) for pid in pids)  # the parent has waited for them


def start_slow_workers(tmp_path):
    """Start workers that are busy for minutes; return their parent and their ids."""
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; import tests.reproduction.test_executors as t\n"
        "if __name__ == '__main__':\n"
        "    try: list(t.run_locally(t.slow, [Path(sys.argv[1])] * 2, 2))\n"
        "    except KeyboardInterrupt: print('interrupted', file=sys.stderr)"
    )
    script = tmp_path / "script.py"
    script.write_text(code)
    folder = tmp_path / "pids"
    folder.mkdir()
    parent = subprocess.Popen(
        [sys.executable, script, folder],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(list(folder.iterdir())) == min(2, len(cores())))
    return parent, [int(path.name) for path in folder.iterdir()]


def test_closing_ends_workers_in_the_middle_of_a_task(tmp_path):
    outcomes = run_locally(slow_but_first, [tmp_path, None], n_jobs=2)
    assert next(outcomes) == (1, None)
    wait_until(lambda: list(tmp_path.iterdir()))
    outcomes.close()
    (busy,) = tmp_path.iterdir()
    assert not alive(int(busy.name))


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until(condition, seconds=300):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


# --------------------------------------------------------------------------------- ray


def node_of(folder):
    import ray

    node = ray.get_runtime_context().get_node_id()
    meet(folder, node, 2)
    return node, torch.get_num_threads()


def nap(x):
    time.sleep(1)
    return square(x)


def test_ray_gives_the_same_outcomes(cluster):
    outcomes = dict(run_on_ray(square, [3, -1, 2], cluster.address))
    assert outcomes[0] == 9
    assert outcomes[2] == 4
    assert str(outcomes[1]) == "x must be 0 or more; got -1"


def test_ray_uses_all_nodes(cluster, tmp_path):
    outcomes = dict(run_on_ray(node_of, [tmp_path] * 6, cluster.address))
    assert len({node for node, _ in outcomes.values()}) == 2
    assert all(threads == 1 for _, threads in outcomes.values())


def test_ray_runs_the_task_of_a_killed_worker_again(cluster, tmp_path):
    tasks = [(tmp_path / "marker", x) for x in range(5)]
    outcomes = list(run_on_ray(die_the_first_time, tasks, cluster.address))
    assert (tmp_path / "marker").exists()
    assert sorted(outcomes) == [(x, x * x) for x in range(5)]


def test_ray_without_ray_tells_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'deepsvdd\[cluster\]'"):
        list(run_on_ray(square, [1]))


def test_ray_survives_the_loss_of_a_node(cluster):
    """The last test with this cluster: one node is gone afterwards."""
    run = partial(run_on_ray, address=cluster.address)
    outcomes, doomed = {}, cluster.add_node(num_cpus=1)
    for index, outcome in run(nap, range(8)):
        outcomes[index] = outcome
        if len(outcomes) == 2:
            cluster.remove_node(doomed)
    assert outcomes == {x: x * x for x in range(8)}


def test_a_busy_machine_gets_three_tries_to_start_ray():
    tries, stops = [], []

    def start():
        tries.append(len(tries))
        if len(tries) < 3:
            raise Exception("The current node timed out during startup.")
        return "started"

    assert start_patiently(start, lambda: stops.append(1)) == "started"
    assert len(tries) == 3
    assert len(stops) == 2
    with pytest.raises(ConnectionError, match="use --executor local"):
        start_patiently(never, lambda: None)
    with pytest.raises(OSError, match="no such address"):
        start_patiently(refuse, lambda: None)


def never():
    raise Exception("The current node timed out during startup.")


def refuse():
    raise OSError("no such address")
