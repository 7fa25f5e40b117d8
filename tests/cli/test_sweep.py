import json
import os
import signal
import subprocess
import sys
from functools import partial

import psutil
import pytest
from click.testing import CliRunner

from deepsvdd.cli import main
from deepsvdd.cli.options import whole_numbers
from deepsvdd.cli.sweep import class_names
from deepsvdd.reproduction.results import key_of, read_results
from tests import PATIENCE, wait_until
from tests.toys import a_run

GRID = (
    *("--normal_class", "3,4", "--recipe", "fast:0+1", "--seeds", "0-1"),
    *("--method", "one-class", "--method", "dcae", "--method", "iforest"),
    *("--device", "cpu"),
)
N_RUNS = 2 * 2 * 3


def call(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def start(*arguments, **options):
    command = [sys.executable, "-m", "deepsvdd", *map(str, arguments)]
    return subprocess.Popen(command, start_new_session=True, **options)


def aucs(path):
    return {key_of(line): line["auc"] for line in read_results([path])}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A sweep that nothing interrupts."""
    path = tmp_path_factory.mktemp("sweep") / "a.jsonl"
    done = subprocess.run(
        [sys.executable, "-m", "deepsvdd", "sweep", path, *GRID, "--ensembles"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"{N_RUNS + 2} runs; next: deepsvdd report" in done.stdout
    assert f"{N_RUNS}/{N_RUNS}" in done.stderr  # the progress bar's end
    return path


def wait_for_runs(path, process, count=1):
    wait_until(lambda: path.exists() and path.read_text().count("\n") >= count, process)


def workers_of(process):
    workers = psutil.Process(process.pid).children(recursive=True)
    assert workers
    return workers


def have_ended(workers):
    return not any(map(runs, workers))


def runs(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_sweep_that_was_killed_goes_on(tmp_path, swept):
    path = tmp_path / "a.jsonl"
    process = start("sweep", path, *GRID, "--ensembles", stderr=subprocess.DEVNULL)
    wait_for_runs(path, process)
    workers = workers_of(process)
    process.kill()  # SIGKILL
    process.wait()
    text = path.read_text()
    assert text.endswith("\n")
    before = aucs(path)
    assert 0 < len(before) < N_RUNS + 2

    wait_until(lambda: have_ended(workers))  # by themselves
    done = call("sweep", path, *GRID, "--ensembles")
    assert done.exit_code == 0, done.output
    assert f"{len(before)} of {N_RUNS} runs are done" in done.output
    assert path.read_text().startswith(text)
    assert aucs(path) == aucs(swept)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_at_once_and_loses_nothing(tmp_path, swept, stop):
    path = tmp_path / "a.jsonl"
    process = start("sweep", path, *GRID, stderr=subprocess.PIPE, text=True)
    wait_for_runs(path, process)
    workers = workers_of(process)
    if stop == signal.SIGINT:
        os.killpg(process.pid, stop)  # as a terminal does: to all of them
    else:
        process.send_signal(stop)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 128 + stop
    *bars, told = filter(None, said.splitlines())  # a bar is drawn more than once
    assert all(f"/{N_RUNS} [" in bar for bar in bars)
    assert told.startswith("stopped: ")
    assert told.endswith(f" runs are in '{path}'; the same command goes on")
    before = aucs(path)
    assert before.items() <= aucs(swept).items()
    wait_until(lambda: have_ended(workers))


def test_every_line_has_its_provenance(swept):
    for line in read_results([swept]):
        assert line["provenance"]["command"].startswith("python -m deepsvdd sweep ")
        assert line["provenance"]["machine"]["threads"] == 1


def test_a_finished_sweep_does_nothing(swept):
    before = swept.read_text()
    done = call("sweep", swept, *GRID, "--ensembles")
    assert done.exit_code == 0
    assert swept.read_text() == before


def test_runs_of_another_network_are_not_said_to_be_done(swept):
    before = swept.read_text()
    done = call("sweep", swept, *GRID, "--network", "mlp")
    assert done.exit_code == 1
    assert done.output == (
        f"Error: '{swept}' and this command must have one network for mnist, class 3, "
        "one-class, seed 0; got 'mnist_LeNet' and 'mlp': choose another file\n"
    )
    assert swept.read_text() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "a"), "seeds must be like 0-9 or 0,3,5-7; got 'a'"),
        (("--seeds", "3-1"), "seeds must be like 0-9 or 0,3,5-7; got '3-1'"),
        (("--seeds", "0,9-5"), "seeds must be like 0-9 or 0,3,5-7; got '0,9-5'"),
        (("--nu", "0"), "nu must be a number in (0, 1]; got 0.0"),
        (("--seeds", "1,1"), "seeds must be different numbers"),
        (("--normal_class", "12"), "normal_class must be an integer from 0 to 9"),
        (
            ("--recipe", "slow"),
            "recipe must be one of paper, fast, quick, paper-dictionary",
        ),
        (("--recipe", "fast:1"), "recipe must be NAME or NAME:EPOCHS+EPOCHS"),
        (("--address", "auto"), "address is for executor ray"),
        (("--engine", "ray", "--jobs", "2"), "jobs is for executor local; got 2"),
        (("--recipe", ""), "recipe must be one of paper, fast, quick"),
        (("--recipe", "fast:1+" + 5000 * "9"), "recipe must be NAME or NAME:EPOCHS"),
        (("--seeds", "0-999999999999"), "seeds must be at most 10000 numbers, none "),
        (("--seeds", "0-10000"), "seeds must be at most 10000 numbers, none above"),
        (("--seeds", 5000 * "9"), "none above 4294967295; got '999"),
        (("--seeds", "4294967296"), "none above 4294967295; got '4294967296'"),
        (("--seeds", "-1"), "seeds must be like 0-9 or 0,3,5-7; got '-1'"),
        (("--seeds", ""), "seeds must be like 0-9 or 0,3,5-7; got ''"),
        (("--normal_class", 5000 * "9"), "normal_class must be at most 10000 numbers"),
        (("--normal_class", "99999"), "normal_class must be an integer from 0 to 9"),
        (("--normal_class", ""), "normal_class must be like 0-9 or 0,3,5-7; got ''"),
        (("--nu", "inf"), "nu must be a number in (0, 1]; got inf"),
    ],
)
def test_what_cannot_be_run_is_refused_in_one_sentence(tmp_path, arguments, message):
    path = tmp_path / "a.jsonl"
    done = call("sweep", path, *arguments)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1
    assert message in done.output
    assert "Traceback" not in done.output
    assert not path.exists()


@pytest.mark.parametrize("option", ["--jobs", "--threads"])
@pytest.mark.parametrize("number", ["0", "-1", "1025", "99999999999999999999", "inf"])
def test_processes_and_threads_have_their_ranges(tmp_path, option, number):
    done = call("sweep", tmp_path / "a.jsonl", option, number)
    assert done.exit_code == 2
    assert f"Invalid value for '{option}'" in done.output


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("/dev/full", "it is not a regular file; choose another file name"),
        ("file/a.jsonl", "a file stands where a folder is needed"),
        ("file", "must be a JSON object with dataset"),
        ("results", "must have a number from 0 to 1 as auc; got None"),
        ("list", "must have a whole number from 0 on as normal_class; got [3]"),
    ],
)
def test_outputs_that_cannot_be_are_refused_and_stay(
    tmp_path, monkeypatch, output, message
):
    monkeypatch.chdir(tmp_path)
    texts = {
        "file": "my notes",
        "results": json.dumps(a_run() | {"auc": None}) + "\n",
        "list": json.dumps(a_run() | {"normal_class": [3]}) + "\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    words = ("--method", "pca", "--normal_class", 3, "--jobs", 1)
    done = call("sweep", output, *words)
    assert done.exit_code == 1
    assert message in done.output
    assert done.output.count("\n") == 1
    assert {p.name: p.read_text() for p in tmp_path.iterdir()} == texts


def test_a_sweep_does_not_overwrite_its_data(tmp_path):
    (tmp_path / "cifar10.npz").write_bytes(b"")
    words = ("--dataset", "cifar10", "--data_path", tmp_path)
    done = call("sweep", tmp_path / "cifar10.npz", *words)
    assert done.exit_code == 1
    assert "which is the input" in done.output


def test_lists_of_numbers_and_names():
    assert whole_numbers("0-2,5", "seeds") == [0, 1, 2, 5]
    assert class_names("all") is None
    assert class_names("3,5-6") == [3, 5, 6]
    assert class_names("cat, dog") == ["cat", "dog"]
    assert class_names("20 km/h,stop") == ["20 km/h", "stop"]


# ------------------------------------------------------------------------------ report


def test_a_report_prints_tables(swept):
    done = call("report", swept)
    assert done.exit_code == 0, done.output
    assert "### mnist, fast:0+1: test AUC in %" in done.output
    assert "| normal class | iforest | dcae | one-class | one-class-x2 |" in done.output
    assert "ours − paper, in points, with 95 % interval" in done.output


def test_a_report_is_written_to_a_folder(swept, tmp_path):
    done = call("report", swept, "-o", tmp_path / "report")
    assert done.exit_code == 0, done.output
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert {"tables.md", "tables.csv", "mnist-fast_0+1-one-class.png"} <= written
    assert (tmp_path / "report" / "tables.md").read_text() in done.output


def test_a_report_of_nothing_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text("")
    done = call("report", tmp_path / "a.jsonl")
    assert done.exit_code == 1
    assert "holds no results" in done.output
    (tmp_path / "a.jsonl").write_text(json.dumps({"auc": 1}) + "\n")
    assert (
        "must be a JSON object with dataset"
        in call("report", tmp_path / "a.jsonl").output
    )


# --- at the end, as other files wait until it has given its cluster back --------------


def test_both_engines_give_the_same_numbers_though_a_worker_is_killed(
    tmp_path, swept, cluster
):
    """The first worker at work is killed in the middle."""
    from deepsvdd.reproduction.executors import run_on_ray
    from deepsvdd.reproduction.results import ResultsFile
    from deepsvdd.reproduction.sweeps import sweep
    from deepsvdd.reproduction.tasks import Settings, plan

    killed = []

    def kill_a_worker(line):
        for process in psutil.process_iter(["name", "cmdline"]):
            title = " ".join(process.info["cmdline"] or [])
            if not killed and title.startswith("ray::_call"):
                process.kill()
                killed.append(process.pid)

    methods = ["one-class", "dcae", "iforest"]
    tasks = plan(
        ["mnist"], [3, 4], methods, ["fast:0+1"], [0, 1], Settings(device="cpu")
    )
    with ResultsFile(tmp_path / "ray.jsonl") as file:
        engine = partial(run_on_ray, address=cluster.address)
        sweep(tasks, file, engine, ensembles=True, on_run=kill_a_worker)
    assert killed
    text = (tmp_path / "ray.jsonl").read_text()
    assert text.count("\n") == N_RUNS + 2
    assert aucs(tmp_path / "ray.jsonl") == aucs(swept)
