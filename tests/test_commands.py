"""The command as a whole: its help, its version, wrong usage, and how it is loaded."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from deepsvdd.cli import COMMANDS, main
from deepsvdd.version import __version__
from tests import PATIENCE
from tests.cli import AUTHORS_OPTIONS, fails, succeeds


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    """Not beside the package, which would be imported from there."""
    monkeypatch.chdir(tmp_path)


def test_help_lists_the_commands():
    for flag in ("--help", "-h"):
        output = succeeds(flag).stdout
        for command in COMMANDS:
            assert f"\n  {command} " in output
        assert "deepsvdd train mnist" in output


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_examples_in_the_help_keep_their_lines(command):
    lines = succeeds(*command.split(), "--help").stdout.splitlines()
    examples = [line for line in lines if line.strip().startswith("deepsvdd ")]
    assert len(examples) >= 2
    assert not any("\\b" in line for line in lines)
    for line in examples:
        words = shlex.split(line.split("|")[0])
        assert len(words) >= 3
        assert words[1] in COMMANDS


def test_help_names_every_option_with_its_default():
    output = succeeds("train", "--help").stdout
    for name in AUTHORS_OPTIONS:
        assert f"--{name}" in output
    assert "default: 100" in " ".join(output.split())


@pytest.mark.parametrize("example", ["train", "score", "info", "signs"])
def test_every_option_in_the_helps_examples_exists(example):
    command = main.get_command(click.Context(main), example)
    lines = [
        line.split("|")[0].split("deepsvdd ", 1)[1]
        for line in command.help.splitlines()
        if line.strip().startswith("deepsvdd ")
    ]
    assert len(lines) >= 2
    for line in lines:
        name, *words = shlex.split(line)
        command = main.get_command(click.Context(main), name)
        options = {opt for p in command.params for opt in p.opts}
        assert {w for w in words if w.startswith("-")} <= options


@pytest.mark.parametrize(
    "words",
    [
        "train",
        "train mnist",
        "train mnist mnist_LeNet",
        "train svhn mnist_LeNet out",
        "train mnist resnet out",
        "train mnist mlp out --lr much",
        "train mnist mlp out --objective hard",
        "train mnist mlp out --optimizer_name sgd",
        "train mnist mlp out --schedule cosine",
        "train mnist mlp out --recipe slow",
        "train mnist mlp out --pretrain perhaps",
        "train mnist mlp out --no_such_option 1",
        "train mnist mlp out data more",
        "train mnist mlp out --load_config nothing.json",
        "score",
        "score model",
        "score model nothing",
        "info",
        "nonsense",
        "--nonsense",
    ],
)
def test_usage_errors_exit_with_2(words):
    fails(*words.split(), code=2)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("train", "mnist", "mlp", "out", "--n_epochs", "9" * 5000),
        ("train", "mnist", "x" * 100_000, "out"),
        ("score", "x" * 100_000, "x.npy"),
        ("x" * 100_000,),
    ],
    ids=lambda words: words[0][:10],
)
def test_usage_errors_do_not_repeat_all_of_what_was_long(words):
    message = fails(*words, code=2)
    (line,) = [x for x in message.splitlines() if x.startswith("Error: ")]
    assert len(line) < 600


def run_python(*words):
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, timeout=PATIENCE
    )


def test_version_of_the_module_and_of_the_command():
    done = run_python("-m", "deepsvdd", "--version")
    assert done.returncode == 0
    assert __version__ in done.stdout
    script = shutil.which("deepsvdd", path=str(Path(sys.executable).parent))
    if script:
        done = subprocess.run([script, "--version"], capture_output=True, text=True)
        assert __version__ in done.stdout


def test_exit_codes_of_a_real_process():
    done = run_python("-m", "deepsvdd", "info", "missing")
    assert done.returncode == 1
    assert done.stderr == "Error: no model file at 'missing'\n"
    done = run_python("-m", "deepsvdd", "nonsense")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "code", ["import deepsvdd; dir(deepsvdd)", "import deepsvdd.cli"]
)
def test_importing_loads_nothing_large(code):
    heavy = ("torch", "sklearn", "torchvision", "matplotlib", "scipy", "pandas")
    code += f"; import sys; print([m for m in {heavy} if m in sys.modules])"
    done = run_python("-c", code)
    assert done.stdout == "[]\n", done.stderr


def test_star_import():
    done = run_python("-c", "from deepsvdd import *; print(DeepSVDD.__name__)")
    assert done.stdout == "DeepSVDD\n", done.stderr
