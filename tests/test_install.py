"""What each command of the Makefile installs: no more than it needs."""

import importlib.metadata
import re
import shutil
import subprocess

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from deepsvdd import cli
from deepsvdd.errors import OldDependencyError
from deepsvdd.version import check_dependencies
from tests import ROOT

needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

EXTRAS = {
    "run": set(),
    "course": {"course"},
    "book": {"book", "course"},
    "test": {
        *("book", "tables", "cluster", "adversarial", "explain", "export"),
        "course",
        *("test", "dev"),
    },
}


@pytest.fixture
def bare(tmp_path):
    """A clone in which nothing is installed yet."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def planned(target, folder):
    command = ["make", "-n", target]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@needs_make
@pytest.mark.parametrize("target", EXTRAS)
def test_a_command_installs_what_it_needs(bare, target):
    commands = re.findall(r"pip install .*--editable (.*)", planned(target, bare))
    (what,) = commands
    extras = re.search(r"\[(.*)\]", what)
    assert set(extras[1].split(",") if extras else ()) == EXTRAS[target]


@needs_make
def test_what_is_installed_is_not_installed_again(bare):
    (bare / ".venv/bin").mkdir(parents=True)
    (bare / ".venv/bin/python").touch()
    stamps = re.search(r"touch (.*\.venv/\.installed)", planned("test", bare))[1]
    for stamp in stamps.split():
        (bare / stamp).touch()
    for target in EXTRAS:
        assert "pip install" not in planned(target, bare)


@needs_make
def test_the_oldest_versions_have_an_environment_of_their_own(bare):
    (bare / ".github").mkdir()
    (bare / ".github/lowest.py").touch()
    commands = planned("oldest", bare)
    (what,) = re.findall(
        r"pip install .*--editable (.*)", commands.replace("\\\n", " ")
    )
    assert what == ". pytest hypothesis"
    assert ".venv" not in commands
    assert "tests/core tests/datasets tests/test_files.py" in commands


def test_the_readme_says_what_each_command_takes():
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `make (\w+)` \| .+ \| (\d\.\d) GB \|$", readme, re.MULTILINE
    )
    assert {target for target, _ in rows} == set(EXTRAS)
    sizes = [float(size) for _, size in rows]
    assert sizes == sorted(sizes)  # each adds to the one before


# --- versions that are too old ----------------------------------------------------


@pytest.fixture
def versions(monkeypatch):
    """Versions that seem to be installed, by name; for other names, those that are."""
    real, pretended = importlib.metadata.version, {}

    def version(name):
        found = pretended.get(name) or real(name)
        if found == "missing":
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return pretended


LOWEST = {
    requirement.name: next(iter(requirement.specifier)).version
    for requirement in map(Requirement, importlib.metadata.requires("deepsvdd"))
    if requirement.marker is None
}


def test_the_lowest_versions_are_enough(versions):
    assert {"torch", "numpy", "scikit-learn"} <= LOWEST.keys()
    versions.update({name: f"{lowest}.0" for name, lowest in LOWEST.items()})
    check_dependencies()


@pytest.mark.parametrize("found", ["2.4.0a0+f70bd71", "2.4.1+cpu", "2.10", "missing"])
def test_versions_with_letters_and_more_digits_are_understood(versions, found):
    versions["torch"] = found
    check_dependencies()


@pytest.mark.parametrize("name", LOWEST)
def test_a_version_that_is_too_old_is_named_with_the_fix(versions, name):
    versions[name] = "0.3.9rc1"
    with pytest.raises(OldDependencyError) as error:
        check_dependencies()
    assert f"does not work with {name} 0.3.9rc1: pip install" in str(error.value)
    assert str(error.value).endswith(f"--upgrade '{name}>={LOWEST[name]}'")


def test_the_command_says_so_in_one_line(monkeypatch):
    def load(name):
        raise OldDependencyError("too old")

    monkeypatch.setattr(cli, "import_module", load)
    done = CliRunner().invoke(cli.main, ["info", "x"])
    assert (done.exit_code, done.stderr) == (1, "Error: too old\n")


def test_the_method_asks_before_torch_comes_in():
    source = (ROOT / "deepsvdd/core/__init__.py").read_text("utf-8")
    assert source.index("\ncheck_dependencies()") > 0
    assert "import torch" not in source
