"""What people install: sdist and wheel, in an environment with nothing else."""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests import ROOT

pytest.importorskip("build")


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder with both, made of a copy without leftovers of other builds."""
    folder = tmp_path_factory.mktemp("built")
    source = folder / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "deepsvdd", source / "deepsvdd", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = (sys.executable, "-m", "build", "--no-isolation", "--outdir")
    run(*build, folder, source)  # the wheel from the sdist
    return folder


def content_of_the_package():
    return {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "deepsvdd").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_holds_every_room_and_the_bundled_data(built):
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {n for n in archive.namelist() if n.startswith("deepsvdd/")}
        licences = [n for n in archive.namelist() if "/licenses/" in n]
    assert names == content_of_the_package()
    data = {"LICENSE-MNIST.md", "LICENSE-TEXTURES.md"}
    assert {Path(name).name for name in licences} == {"LICENSE", *data}


def test_the_sdist_holds_every_room_and_the_bundled_data(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert content_of_the_package() | {"pyproject.toml", "LICENSE"} <= names


def needed(requirement, found):
    """Collect the distributions that a requirement needs here, by name and extras."""
    key = requirement.name, *sorted(requirement.extras)
    if key not in found:
        found[key] = importlib.metadata.distribution(requirement.name)
        for line in found[key].requires or ():
            other = Requirement(line)
            extras = ("", *requirement.extras)
            if not other.marker or any(
                other.marker.evaluate({"extra": e}) for e in extras
            ):
                needed(other, found)
    return found


@pytest.fixture(scope="module")
def empty_environment(tmp_path_factory):
    """An environment with what the package needs by its own word, and nothing else.

    The files are those of this environment, by links: gigabytes need not be copied.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=os.name != "nt")
    (site,) = folder.glob("lib/python*/site-packages")
    for distribution in needed(Requirement("deepsvdd"), {}).values():
        if distribution.metadata["Name"] == "deepsvdd":
            continue
        for first in {path.parts[0] for path in distribution.files or ()} - {
            "..",
            "bin",
        }:
            if not (site / first).exists():
                (site / first).symlink_to(distribution.locate_file(first))
    return folder


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_an_installed_wheel_trains(built, empty_environment, tmp_path):
    (wheel,) = built.glob("*.whl")
    python = empty_environment / "bin/python"
    pip = (sys.executable, "-m", "pip", "--python", python, "install")
    run(*pip, "--isolated", "--no-index", wheel)  # refuses what is not there
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "IN_COLAB")}
    where = "import deepsvdd; print(deepsvdd.__file__)"
    place = run(python, "-c", where, cwd=tmp_path, env=env)
    assert str(empty_environment) in place
    command = (
        *("train", "mnist", "mnist_LeNet", "runs/a", "--normal_class", "3"),
        *("--seed", "0", "--recipe", "fast", "--ae_n_epochs", "1", "--n_epochs", "1"),
    )
    said = run(empty_environment / "bin/deepsvdd", *command, cwd=tmp_path, env=env)
    assert re.search(r"Deep SVDD, one-class +\d\d\.\d ", said)
    assert re.search(r"paper, one-class +91\.9 ± 1\.5", said)  # from paper_auc.csv
    written = {path.name for path in (tmp_path / "runs/a").iterdir()}
    assert {"model.safetensors", "results.json", "roc.png", "normals.png"} <= written
