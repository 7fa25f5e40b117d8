"""What each command of the Makefile installs: no more than it needs."""

import re
import shutil
import subprocess

import pytest

from tests import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="needs make")

EXTRAS = {
    "run": set(),
    "course": {"course"},
    "book": {"book", "course"},
    "test": {"book", "cluster", "adversarial", "course", "test", "dev"},
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


@pytest.mark.parametrize("target", EXTRAS)
def test_a_command_installs_what_it_needs(bare, target):
    commands = re.findall(r"pip install .*--editable (.*)", planned(target, bare))
    (what,) = commands
    extras = re.search(r"\[(.*)\]", what)
    assert set(extras[1].split(",") if extras else ()) == EXTRAS[target]


def test_what_is_installed_is_not_installed_again(bare):
    (bare / ".venv/bin").mkdir(parents=True)
    (bare / ".venv/bin/python").touch()
    stamps = re.search(r"touch (.*\.venv/\.installed)", planned("test", bare))[1]
    for stamp in stamps.split():
        (bare / stamp).touch()
    for target in EXTRAS:
        assert "pip install" not in planned(target, bare)


def test_the_readme_says_what_each_command_takes():
    readme = (ROOT / "README.md").read_text("utf-8")
    rows = re.findall(
        r"^\| `make (\w+)` \| .+ \| (\d\.\d) GB \|$", readme, re.MULTILINE
    )
    assert {target for target, _ in rows} == set(EXTRAS)
    sizes = [float(size) for _, size in rows]
    assert sizes == sorted(sizes)  # each adds to the one before
