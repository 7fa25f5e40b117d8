"""Where a result came from."""

import json
import shutil
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

import deepsvdd
from deepsvdd.reproduction import provenance as ex
from tests import PATIENCE

CPU = torch.device("cpu")


def test_provenance_entries():
    about = ex.provenance(CPU)
    assert set(about) == {"commit", "versions", "machine", "command", "date"}
    assert about["versions"] == {
        "deepsvdd": deepsvdd.__version__,
        "python": ".".join(map(str, sys.version_info[:3])),
        "torch": torch.__version__,
        "numpy": version("numpy"),
        "scikit-learn": version("scikit-learn"),
        "torchvision": version("torchvision"),
    }
    assert set(about["machine"]) == {"device", "threads", "system"}
    assert about["machine"]["device"]
    assert about["machine"]["threads"] == torch.get_num_threads()
    date = datetime.fromisoformat(about["date"])
    assert date.utcoffset() == timedelta(0)
    assert abs(datetime.now(timezone.utc) - date) < timedelta(minutes=1)
    assert json.loads(json.dumps(about)) == about


def test_the_command_can_be_pasted_and_tells_no_folder(monkeypatch):
    argv = ["/somewhere/bin/deepsvdd", "train", "my data", "--nu", "0.1"]
    monkeypatch.setattr(sys, "argv", argv)
    assert ex.provenance(CPU)["command"] == "deepsvdd train 'my data' --nu 0.1"


def test_the_command_of_python_m_can_be_pasted(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/lib/deepsvdd/__main__.py", "info", "m"])
    words = ex.provenance(CPU)["command"]
    assert words in ("deepsvdd info m", "python -m deepsvdd info m")


def copy_of_the_package(folder, code):
    """What the code prints with the package imported from a copy in that folder."""
    source = Path(deepsvdd.__file__).parent
    if not (folder / "deepsvdd").exists():
        ignored = shutil.ignore_patterns("bundled", "__pycache__")
        shutil.copytree(source, folder / "deepsvdd", ignore=ignored)
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout.split()


COMMITS = "from deepsvdd.reproduction.provenance import _commit; print(_commit())"


def git(folder, *words):
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(
        ["git", *identity, *words], cwd=folder, check=True, capture_output=True
    )


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_of_a_checkout_and_its_changes(tmp_path):
    (tmp_path / ".gitignore").write_text("__pycache__/\n")
    code = "print(__import__('deepsvdd').__version__)"
    copy_of_the_package(tmp_path, code)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    code = (
        f"{COMMITS}; open('deepsvdd/version.py', 'a').write('# new'); print(_commit())"
    )
    clean, dirty = copy_of_the_package(tmp_path, code)
    assert len(clean) == 40
    assert dirty == f"{clean}-dirty"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_an_installation_inside_somebody_elses_repository_has_no_commit(tmp_path):
    """A project with its .venv inside, as most have: its commit is not ours."""
    (tmp_path / ".gitignore").write_text(".venv/\n")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "mine")
    site = tmp_path / ".venv"
    site.mkdir()
    assert copy_of_the_package(site, COMMITS) == ["None"]


def test_without_git_there_is_no_commit(monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert ex.provenance(CPU)["commit"] is None


def test_without_proc_there_is_still_a_processor(monkeypatch):
    def missing(self, **_):
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    assert ex.provenance(CPU)["machine"]["device"]
