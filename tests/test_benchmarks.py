"""The timed comparisons run, and compare one function; how fast is for them to say."""

import importlib
import io
import json
import math
import sys
import time
from contextlib import redirect_stdout

import click
import numpy as np
import psutil
import pytest
import scipy.stats
import torch

from deepsvdd import DROCC, GEOM, build_autoencoder
from deepsvdd.cli import main
from deepsvdd.core.metrics import bootstrap_auc
from deepsvdd.reproduction.results import read_results
from deepsvdd.reproduction.runs import run_task
from deepsvdd.reproduction.tasks import Settings, Task, find_recipe
from tests import ROOT, wait_until

NAMES = (
    *("autoencoder-epoch", "svdd-epoch", "cifar10-autoencoder", "cifar10-svdd"),
    *("precision", "threads", "floor", "images", "networks", "streaming", "replay"),
    *("fit", "score", "one-image", "import", "memory"),
    *("busy", "waiting", "fit-memory", "score-memory"),
    *("members", "score-ways", "cifar10-score-ways", "layouts", "compiled"),
)
OWN_PROCESSES = {"memory", "fit-memory", "score-memory"}


@pytest.fixture(scope="module")
def comparisons(one_thread):
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)  # a folder of the checkout, not installed
        patch.setenv("OMP_NUM_THREADS", "1")  # and one in the processes it starts
        importlib.import_module("benchmarks.surroundings")
        importlib.import_module("benchmarks.ways")
        yield importlib.import_module("benchmarks.comparisons")


@pytest.fixture(scope="module")
def setting(comparisons, tmp_path_factory):
    """300 threes, and a CIFAR-10 of noise with 40 cats."""
    folder, rng = tmp_path_factory.mktemp("data"), np.random.default_rng(0)
    sets = {}
    for part in ("train", "test"):
        sets[f"x_{part}"] = rng.integers(0, 256, (80, 32, 32, 3), np.uint8)
        sets[f"y_{part}"] = np.repeat([3, *range(9)], 8)
    np.savez(folder / "cifar10.npz", **sets)
    return comparisons.Setting.load(images=300, folder=folder)


def test_every_comparison_is_tested_here(comparisons):
    assert set(comparisons.COMPARISONS) == set(NAMES)


def test_plain_and_package_networks_agree(comparisons, setting):
    comparisons.check_agreement(setting)


def test_disagreement_does_not_go_unnoticed(comparisons, setting, monkeypatch):
    # The plain networks look it up at every call, the package's hold the original.
    monkeypatch.setattr(torch.nn.functional, "leaky_relu", torch.nn.functional.relu)
    with pytest.raises(AssertionError, match="not close"):
        comparisons.check_agreement(setting)


def in_this_process(statements):
    with redirect_stdout(io.StringIO()) as printed:
        exec(statements, {})
    return float(printed.getvalue())


@pytest.mark.parametrize("name", NAMES)
def test_every_side_takes_finite_time(comparisons, setting, name, monkeypatch):
    # Processes of their own take seconds: one test starts some.
    if name in OWN_PROCESSES:
        monkeypatch.setattr(comparisons, "in_process", in_this_process)
    if name == "compiled":  # which takes a minute
        ways = importlib.import_module("benchmarks.ways")
        monkeypatch.setattr(ways, "in_process", in_this_process)
        monkeypatch.setattr(torch, "compile", lambda module: module)
    if name in ("busy", "waiting"):
        surroundings = importlib.import_module("benchmarks.surroundings")
        monkeypatch.setattr(surroundings, "seconds_of_training", lambda *_, **__: 1.0)
    try:
        sides = comparisons.COMPARISONS[name].prepare(setting)
    except comparisons.Unavailable as reason:
        pytest.skip(str(reason))
    assert len(sides.measures) >= (1 if name in ("threads", "images") else 2)
    if name == "threads":
        assert torch.get_num_threads() == 1
    for measure in sides.measures.values():
        value = measure()
        assert math.isfinite(value)
        assert value > 0


def test_other_programs_keep_every_core_busy_and_end(comparisons):
    surroundings = importlib.import_module("benchmarks.surroundings")
    here = psutil.Process()
    before = set(here.children())
    with surroundings.other_programs():
        others = set(here.children()) - before
        assert len(others) == len(surroundings.cores())
        for program in others:
            wait_until(lambda own=program: own.cpu_times().user > 0)
    assert not any(program.is_running() for program in others)


def test_a_training_is_timed_from_its_data_to_its_last_epoch(comparisons):
    surroundings = importlib.import_module("benchmarks.surroundings")
    words = (*surroundings.WORDS, "--n_epochs", "1", "--ae_n_epochs", "0")
    start = time.monotonic()
    seconds = surroundings.seconds_of_training(words, OMP_NUM_THREADS="1")
    assert 0 < seconds < time.monotonic() - start


def test_sides_take_turns_and_the_first_is_the_reference(comparisons):
    timing = importlib.import_module("benchmarks.timing")
    calls = []

    def side(name, values):
        return lambda: (calls.append(name), values[calls.count(name) - 1])[1]

    sides = {"a": side("a", [99, 6, 8, 9]), "b": side("b", [99, 2, 4, 9])}
    values = timing.take_turns(sides, repetitions=3)
    assert "".join(calls) == "ab" * 4  # the first of each is warm-up
    assert values == {"a": [6, 8, 9], "b": [2, 4, 9]}
    assert len(timing.take_turns(sides, 0, warm_up=False)["a"]) == 0
    a, b = timing.compare(values)
    assert (a.ratio, a.lowest, a.highest) == (1, 1, 1)
    assert (b.median, b.ratio, b.lowest, b.highest) == (4, 2, 1, 3)


def test_command_prints_a_table_and_writes_only_where_told(
    comparisons, monkeypatch, tmp_path, capsys
):
    command = importlib.import_module("benchmarks.__main__")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    options = ["--quick", "--images", "300", "--only", "score"]
    command.main(options)
    assert "package" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())

    command.main([*options, "--output", "results/here.json"])
    content = json.loads((tmp_path / "results" / "here.json").read_text())
    assert content["provenance"]["machine"]["threads"] >= 1
    sides = content["comparisons"]["score"]["sides"]
    assert list(sides) == ["plain", "package"]
    for side in sides.values():
        assert len(side["values"]) == 3
        assert all(0 < value < math.inf for value in side["values"])


def test_growth_is_drawn(comparisons, monkeypatch, tmp_path):
    command = importlib.import_module("benchmarks.__main__")
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    path = tmp_path / "growth.png"
    options = ["--quick", "--images", "60", "--figure", str(path)]
    command.main([*options, "--only", "networks", "--only", "threads"])
    assert path.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="figure needs one of the comparisons images"):
        command.main([*options, "--only", "score"])


def test_quality_is_measured_and_goes_on_where_it_stopped(
    comparisons, monkeypatch, tmp_path, capsys
):
    quality = importlib.import_module("benchmarks.quality")
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    monkeypatch.setattr(quality, "EPOCHS", ((1, 1),))
    monkeypatch.setattr(quality, "MEMBERS", 2)
    path = tmp_path / "recipes.jsonl"
    words = ["recipes", str(path), "--digits", "1"]
    quality.main(words)
    (line,) = quality.read(path)
    assert line["digit"] == 1
    assert all(0.5 < auc < 1 for auc in line["rule"] + line["test_auc"])
    assert line["provenance"]["versions"]["torch"] == torch.__version__
    quality.main(words)
    assert quality.read(path) == [line]  # there was nothing left to do
    table = capsys.readouterr().out
    assert "1+1        2" in table
    assert f"{100 * line['test_auc'][1]:6.2f}" in table


def test_no_budget_is_tried_twice(comparisons):
    quality = importlib.import_module("benchmarks.quality")
    jobs = [tuple(sorted(job.items())) for job in quality.budget_jobs([3])]
    assert len(jobs) == len(set(jobs)) == 2 * (3 + 4 + 5 + 4)


def test_the_precisions_are_compared_in_pairs(comparisons, capsys):
    quality = importlib.import_module("benchmarks.quality")
    jobs = list(quality.precision_jobs([3, 4]))
    assert len(jobs) == 12
    lines = [
        job | {"auc": 0.9 + 0.001 * (job["precision"] == "bf16") * (1 + job["seed"])}
        for job in jobs
    ]
    quality.summarise_precision(lines)
    assert "6 pairs: +0.20 points on average, standard deviation 0.09" in (
        capsys.readouterr().out
    )


def test_a_rule_on_normal_images_chooses_for_the_later_methods(
    comparisons, monkeypatch, mnist, tmp_path, capsys
):
    later = importlib.import_module("benchmarks.later")
    asked = []
    monkeypatch.setattr(later, "load_dataset", lambda name: asked.append(name) or mnist)
    monkeypatch.setattr(later, "N_TRAIN", 100)
    monkeypatch.setattr(sys, "argv", ["benchmarks"])
    job = {"n_epochs": 1, "lr": 1e-3}
    experiments = {
        "geom": (GEOM, lambda: [job | {"transformations": "rotations"}]),
        "drocc": (DROCC, lambda: [job | {"gaps": g, "n_steps": 0} for g in (1, 4)]),
    }
    monkeypatch.setattr(later, "EXPERIMENTS", experiments)
    path = tmp_path / "rule.jsonl"
    for name in ("geom", "drocc", "drocc"):
        later.main([name, str(path), "--classes", "1"])
    lines = later.read(path)
    assert [line["method"] for line in lines] == ["GEOM", "DROCC", "DROCC"]
    for line in lines:
        made = [line[name] for name in later.MADE]
        assert line["rule"] == pytest.approx(sum(made) / 3)
        assert 0 < line["others"] <= 1
    assert lines[1]["others"] != lines[2]["others"]  # the radius counts
    assert set(asked) == {"fashion_mnist"}  # whatever is to be chosen for
    table = capsys.readouterr().out
    better = max(lines[1:], key=lambda line: line["rule"])
    assert table.split("*")[-2].split(", ")[-2] == f"gaps {better['gaps']}"


def test_images_that_the_rule_makes_are_of_normal_ones(comparisons):
    later = importlib.import_module("benchmarks.later")
    images = np.arange(3 * 16, dtype=np.uint8).reshape(3, 1, 4, 4)
    joined, swapped = later.joined(images), later.swapped(images)
    assert (joined[1, 0, :, :2] == images[1, 0, :, :2]).all()
    assert (joined[1, 0, :, 2:] == images[0, 0, :, 2:]).all()
    assert (swapped[..., :2] == images[..., 2:]).all()
    assert later.blended(images)[1, 0, 0, 0] == (16 + 0) / 2
    assert later.blended(images).dtype == np.uint8


def test_each_difference_from_the_paper_s_code_changes_the_result(comparisons):
    differences = importlib.import_module("benchmarks.differences")
    recipe = find_recipe("fast:1+1", "mnist_LeNet")
    plain = differences.run(1, recipe, (), 0)
    methods, settings = ("one-class",), Settings(device="cpu")
    task = Task("mnist", 1, methods, "fast:1+1", (0,), settings)
    ((line, _),) = run_task(task)
    assert plain["auc"] == pytest.approx(line["auc"], abs=1e-6)
    assert plain["untrained_auc"] == pytest.approx(line["untrained_auc"], abs=1e-6)
    for name, choices in differences.VARIANTS.items():
        assert differences.run(1, recipe, choices, 0)["auc"] != plain["auc"], name


def test_differences_go_on_where_they_stopped(comparisons, monkeypatch, tmp_path):
    differences = importlib.import_module("benchmarks.differences")
    recipe = find_recipe("fast:1+1", "mnist_LeNet")
    monkeypatch.setattr(differences, "get_recipe", lambda *names: recipe)
    path = tmp_path / "differences.jsonl"
    words = [str(path), "glorot", "--digits", "1", "--seeds", "0"]
    differences.main(words)
    before = path.read_text()
    (line,) = read_results([path])
    assert line["recipe"] == "fast + glorot"
    assert line["epochs"] == [1, 1]
    differences.main(words)
    assert path.read_text() == before


def test_learned_norms_begin_as_the_plain_ones(comparisons):
    differences = importlib.import_module("benchmarks.differences")
    torch.manual_seed(0)
    autoencoder = build_autoencoder("mnist_LeNet", (1, 28, 28))
    images = torch.rand(6, 1, 28, 28)
    expected = autoencoder(images)
    differences.learn_norms_(autoencoder)
    torch.testing.assert_close(autoencoder(images), expected, rtol=1e-4, atol=1e-5)
    names = [name for name, _ in autoencoder.encoder.named_parameters()]
    assert "norms.1.bias" in names


def test_help_teaches(comparisons, capsys):
    command = importlib.import_module("benchmarks.__main__")
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in NAMES)
    assert "examples:" in text


def test_the_readme_has_the_committed_times():
    text = (ROOT / "book/results/benchmarks-cpu.json").read_text("utf-8")
    found = json.loads(text)["comparisons"]
    rows = {
        "MNIST, autoencoder, an epoch": "autoencoder-epoch",
        "MNIST, Deep SVDD, an epoch": "svdd-epoch",
        "CIFAR-10, autoencoder, an epoch": "cifar10-autoencoder",
        "CIFAR-10, Deep SVDD, an epoch": "cifar10-svdd",
        "MNIST, scoring 10,000 images": "score",
    }
    table = (ROOT / "README.md").read_text("utf-8")
    for title, name in rows.items():
        plain, *package = found[name]["sides"].values()
        cells = [f"{plain['median']:.2g} s"]
        seconds = [f"{side['median']:.2g} s" for side in package]
        ratios = [f"{side['ratio']:.1f}" for side in package]
        for first, *low in (seconds, ratios):
            bits = "bf16: " if low and low[0].endswith("s") else ""
            cells.append(first + "".join(f" ({bits}{value})" for value in low))
        assert f"| {' | '.join([title, *cells])} |" in table


def test_intervals_are_counted_and_it_goes_on_where_it_stopped(
    tmp_path, monkeypatch, capsys
):
    intervals = importlib.import_module("benchmarks.intervals")
    for name, few in {
        "AUCS": (0.9, 0.99),
        "ANOMALIES": (5, 30),
        "NORMAL": (100,),
    }.items():
        monkeypatch.setattr(intervals, name, few)
    monkeypatch.setattr(intervals, "REPEATS", 8)
    monkeypatch.setattr(intervals, "RESAMPLES", 50)
    path = tmp_path / "intervals.jsonl"
    intervals.main([str(path)])
    lines = intervals.read(path)
    assert len(lines) == len(intervals.METHODS) * len(intervals.KINDS) * 4
    for line in lines:
        assert 0 <= line["above"] + line["below"] <= 1
        assert 0 <= line["width"] <= 1
    assert "auc_interval" in capsys.readouterr().out
    intervals.main([str(path)])
    assert intervals.read(path) == lines  # there was nothing left to do


def test_the_bootstraps_are_the_packages_and_scipys(monkeypatch):
    intervals = importlib.import_module("benchmarks.intervals")
    monkeypatch.setattr(intervals, "RESAMPLES", 20_000)
    rng = np.random.default_rng(1)
    normal, anomalous = rng.normal(size=60), rng.normal(1, 2, 25).round(1)
    normal[:5] = anomalous[:5]  # ties
    found = intervals.bootstrap(normal, anomalous)
    labels, scores = intervals.labeled(normal, anomalous)
    assert found == pytest.approx(bootstrap_auc(labels, scores, 20_000), abs=0.005)
    theirs = scipy.stats.bootstrap(
        (normal, anomalous),
        intervals.auc_of,
        vectorized=False,
        n_resamples=20_000,
        method="BCa",
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = intervals.bias_corrected(normal, anomalous)
    assert ours == pytest.approx(tuple(theirs), abs=0.005)
    assert abs(ours[0] - found[0]) > 0.005  # it corrects something


@pytest.mark.parametrize("kind", ["shifted", "spread", "hidden"])
def test_the_true_auc_of_drawn_anomalies_is_what_was_asked_for(kind):
    intervals = importlib.import_module("benchmarks.intervals")
    rng = np.random.default_rng(0)
    for auc in (0.6, 0.95):
        anomalous = intervals.KINDS[kind](auc, 40_000, rng)
        found = intervals.auc_of(rng.normal(size=40_000), anomalous)
        assert found == pytest.approx(auc, abs=0.01)


def test_a_job_is_done_if_a_line_has_all_of_its_settings(tmp_path):
    lines = importlib.import_module("benchmarks.lines")
    path = tmp_path / "lines.jsonl"
    jobs = [{"epochs": [2, 3], "seed": seed} for seed in range(3)]
    assert lines.left(path, jobs) == jobs  # there is no such file yet
    lines.append(path, jobs[1] | {"auc": 0.9})
    lines.append(path, {"seed": 2, "auc": 0.9})  # of something else
    assert lines.left(path, jobs) == [jobs[0], jobs[2]]


@pytest.fixture
def surprises(tmp_path, monkeypatch):
    """Small sets of noise; in CIFAR-10's, a test image is copied and one mirrored."""
    module = importlib.import_module("benchmarks.surprises")
    rng = np.random.default_rng(0)
    for name, shape in (("fashion_mnist", (28, 28)), ("cifar10", (32, 32, 3))):
        sets = {}
        for part, n in (("train", 100), ("test", 60)):
            sets[f"x_{part}"] = rng.integers(1, 255, (n, *shape), np.uint8)
            sets[f"y_{part}"] = np.arange(n) % 10
        if name == "cifar10":
            sets["x_test"][4] = sets["x_train"][57][:, ::-1]
            sets["x_test"][9] = sets["x_train"][31] + np.uint8(1)
            sets["x_train"][12, 0, 0, 0] = 255
            sets["x_train"][12] //= 4  # dark but for a pixel: extreme after GCN
            sets["x_train"][12, 0, 0, 0] = 255
        np.savez(tmp_path / f"{name}.npz", **sets)
    monkeypatch.setenv("DEEPSVDD_DATA", str(tmp_path))
    monkeypatch.setattr(module, "DATASETS", ("fashion_mnist", "cifar10"))
    for memory in (module.data, module.photographs):
        memory.cache_clear()
    yield module
    for memory in (module.data, module.photographs):
        memory.cache_clear()


def read_lines(path):
    return importlib.import_module("benchmarks.lines").read(path)


def test_surprises_are_measured_and_it_goes_on_where_it_stopped(surprises, tmp_path):
    path = tmp_path / "surprises.jsonl"
    only = ["--only", "copies", "without copies", "cues"]
    surprises.main([str(path), *only])
    lines = read_lines(path)
    copies = {li["way"]: li["pairs"] for li in lines if li["part"] == "copies"}
    assert copies["mirrored"] == [[0.0, 4, 57, "deer", "horse"]]
    assert copies["plain"] == [[1.0, 9, 31, "truck", "automobile"]]
    dropped = {
        (li["way"], li["within"]): li["left_out_images"]
        for li in lines
        if li["part"] == "without copies"
    }
    assert set(dropped.values()) == {1, 2}
    assert dropped["either", 8] == 2
    cues = [line for line in lines if line["part"] == "cues"]
    assert len(cues) == 2 * len(surprises.CUES)
    assert all(0 <= auc <= 1 for line in cues for auc in line["auc"])
    surprises.main([str(path), *only])
    assert read_lines(path) == lines


def test_the_extreme_image_is_the_one_that_sets_the_scale(surprises):
    set_ = surprises.data("cifar10")
    images = set_.x_train[set_.y_train == 2]
    order = surprises.extremes(images)[2]
    assert order[0] == 1  # number 12 of all
    assert sorted(order) == list(range(10))
    line = surprises.extrema("cifar10", 2)
    assert np.ptp(line["all"]) > 2 * np.ptp(line["rest"])


def test_numbers_of_an_image_are_told_apart_by_their_auc(surprises):
    set_ = surprises.data("fashion_mnist")
    values = np.where(set_.y_test == 3, 2.0, 1.0)

    def measure(images):
        return values if len(images) == 60 else np.where(set_.y_train == 3, 2.0, 1.0)

    assert surprises.of_one_number(measure)(set_)[3] == 0
    assert surprises.of_one_number(measure, two_sided=True)(set_)[3] == 1


# --- what is to be measured on a GPU, and sweeps of two versions ----------------------


@pytest.fixture
def gpu(comparisons):
    return importlib.import_module("benchmarks.gpu")


def test_each_piece_is_a_command_that_its_program_takes(gpu, tmp_path):
    command = importlib.import_module("benchmarks.__main__")
    for name, words in gpu.pieces(tmp_path, str(tmp_path), 2).items():
        assert words[:2] == [sys.executable, "-m"]
        module, *rest = words[2:]
        if module == "benchmarks":
            assert command.parser().parse_args(rest).only == [name]
            continue
        if module == "torch.distributed.run":
            rest = rest[rest.index("-m") + 2 :]
        found = main.resolve_command(click.Context(main), rest)
        _, own, words_of_it = found
        context = own.make_context(own.name, list(words_of_it))
        assert context.params["device"] == "cuda"


def test_pieces_are_done_once_and_in_order_within_their_time(gpu, tmp_path):
    print_one = [sys.executable, "-c", "print(1)"]
    wait = [sys.executable, "-c", "import time; time.sleep(60)"]
    commands = {"a": print_one, "b": wait, "c": print_one}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gpu, "LEAST", 0)
        assert gpu.carry_out(commands, tmp_path, 5) == ["b", "c"]
        commands["b"] = print_one
        assert gpu.carry_out(commands, tmp_path, 60) == []
    assert (tmp_path / "a.txt").read_text() == "1\n"  # not done again
    commands["d"] = [sys.executable, "-c", "raise SystemExit(3)"]
    with pytest.raises(SystemExit, match=r"d ended with 3: see .*d\.txt"):
        gpu.carry_out(commands, tmp_path, 60)
    assert not (tmp_path / "d.done").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_the_pieces_are_shown(gpu, tmp_path, capsys):
    with pytest.raises(SystemExit):
        gpu.main([str(tmp_path / "new")])
    assert "--list shows what would be done" in capsys.readouterr().err
    gpu.main([str(tmp_path / "new"), "--list"])
    assert "mnist-paper: " in capsys.readouterr().out
    assert not (tmp_path / "new").exists()


def test_a_sweep_of_two_versions_has_the_same_results(comparisons, monkeypatch, capsys):
    sweeps = importlib.import_module("benchmarks.sweeps")
    words = ["--against", str(ROOT), "--recipe", "fast:1+1", "--seeds", "0"]
    monkeypatch.setattr(sys, "argv", ["sweeps", *words, "--normal_class", "3"])
    sweeps.main()
    text = capsys.readouterr().out
    assert text.startswith("1 runs: ")
    assert "AUCs differ by at most 0.00 points" in text
