"""Every chapter in Google Colab, simulated.

A kernel in which ``google.colab`` is loaded, torch is installed and deepsvdd is not,
in a folder that holds nothing of the repository. What is left out of the simulation is
the download: ``pip`` writes down what it is asked for, and copies the files that
``pyproject.toml`` says an installation has.
"""

import ast
import json
import os
import shutil
from io import BytesIO
from pathlib import Path
from urllib.request import urlopen

import nbformat
import pytest
from nbclient import NotebookClient

from deepsvdd.reproduction import results
from tests import ROOT
from tests.book import cells_of, source_of, tree_of

tomllib = pytest.importorskip("tomllib")  # in Python from 3.11 on

BOOK = ROOT / "book"
NOTEBOOKS = sorted(BOOK.glob("*.ipynb"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
REPOSITORY = PYPROJECT["project"]["urls"]["Repository"]
SHORT = "02-kernel-svdd"  # is run as a whole

# Read by Python as it starts. The tests' own deepsvdd may be an editable install, which
# is a path or an import hook.
SITE = """
import os, sys, types

if "IN_COLAB" in os.environ:
    sys.modules["google.colab"] = types.ModuleType("google.colab")
sys.meta_path[:] = [
    finder for finder in sys.meta_path
    if "editable" not in getattr(finder, "__module__", "")
]
sys.path[:] = [path for path in sys.path if path != {root!r}]
"""
PIP = """
import json, shutil, sys

with open({record!r}, "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
shutil.copytree({package!r}, {target!r}, dirs_exist_ok=True)
"""
PROBE = """
import json, os
from importlib.util import find_spec

places = {name: find_spec(name) for name in ("deepsvdd", "torch")}
print(json.dumps({name: spec and spec.origin for name, spec in places.items()}))
"""


class Colab:
    """A folder to work in, an empty place for packages, and the record of pip."""

    def __init__(self, folder):
        self.content, self.site = folder / "content", folder / "site"
        self.record = folder / "pip.jsonl"
        self.env = os.environ | {"PYTHONPATH": str(self.site), "IN_COLAB": "1"}
        self.content.mkdir()
        (self.site / "pip").mkdir(parents=True)
        (self.site / "sitecustomize.py").write_text(SITE.format(root=str(ROOT)))
        (self.site / "pip/__init__.py").touch()
        (self.site / "pip/__main__.py").write_text(
            PIP.format(
                record=str(self.record),
                package=str(installation(folder / "package")),
                target=str(self.site / "deepsvdd"),
            )
        )

    def run(self, *sources):
        """Run code cells in one kernel; return what each prints."""
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        notebook = nbformat.v4.new_notebook(cells=cells)
        resources = {"metadata": {"path": str(self.content)}}
        client = NotebookClient(notebook, timeout=600, resources=resources)
        with client.setup_kernel(env=self.env):
            for index, cell in enumerate(cells):
                client.execute_cell(cell, index)
        return [
            "".join(o.text for o in cell.outputs if o.get("name") == "stdout")
            for cell in cells
        ]

    def installed(self):
        """Return the arguments of all calls of pip."""
        lines = self.record.read_text().splitlines() if self.record.exists() else []
        return [json.loads(line) for line in lines]


def installation(target):
    """Copy what an installation of the package holds, by pyproject.toml."""
    package = ROOT / "deepsvdd"
    patterns = ("**/*.py", *PYPROJECT["tool"]["setuptools"]["package-data"]["deepsvdd"])
    for path in {path for pattern in patterns for path in package.glob(pattern)}:
        copy = target / path.relative_to(package)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return target


def code_of(path):
    return [source_of(cell) for cell in cells_of(path, "code")]


@pytest.fixture
def colab(tmp_path):
    return Colab(tmp_path)


def test_the_bootstrap_cell_installs_the_package_and_the_imports_work(colab):
    cells = [source for path in NOTEBOOKS for source in code_of(path)[:2]]
    before, *_, after = colab.run(PROBE, *cells, PROBE)
    before, after = json.loads(before), json.loads(after)
    assert before["deepsvdd"] is None  # else nothing was tested
    assert after["deepsvdd"] == str(colab.site / "deepsvdd/__init__.py")
    # Once a notebook; nothing is upgraded or reinstalled, torch is not mentioned.
    install = ["install", "-q", f"git+{REPOSITORY}"]
    # Chapter 12 alone needs the one, chapter 14 the other.
    others = [["install", "-q", name] for name in ("foolbox", "captum")]
    assert colab.installed().count(install) == len(NOTEBOOKS)
    assert [c for c in colab.installed() if c != install] == others
    assert after["torch"] == before["torch"]
    assert list(colab.content.iterdir()) == []


def test_elsewhere_the_bootstrap_cell_does_nothing(colab):
    del colab.env["IN_COLAB"]
    names = "print(sorted(name for name in globals() if name[0] != '_'))"
    before, _, after = colab.run(names, code_of(NOTEBOOKS[0])[0], names)
    new = set(ast.literal_eval(after)) - set(ast.literal_eval(before))
    assert new <= {"sys", "repository"}
    assert colab.installed() == []


def test_a_whole_chapter_runs(colab):
    cells = code_of(BOOK / f"{SHORT}.ipynb")
    colab.run(*cells)
    assert len(colab.installed()) == 1


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_files_of_the_book_are_not_taken_for_granted(path):
    """A cell that names one asks first whether it exists: in Colab none does."""
    for source in code_of(path)[1:]:
        if "exists()" in source:
            continue
        tree = tree_of(source)
        texts = {n.value for n in ast.walk(tree) if isinstance(n, ast.Constant)}
        texts = {text for text in texts if isinstance(text, str) and len(text) < 200}
        assert not {t for t in texts if t.strip("./") and (BOOK / t).exists()}


@pytest.mark.parametrize(
    ("chapter", "function", "argument"),
    [
        ("09-gpu", "results", "benchmarks-cpu.json"),
        ("10-evaluation", "drawn", "mnist"),
    ],
)
def test_results_come_from_the_repository_instead(
    chapter, function, argument, tmp_path, monkeypatch
):
    def from_checkout(address, timeout=None):
        here = address.replace(f"{REPOSITORY}/raw/main", ROOT.as_uri())
        return BytesIO(urlopen(here).read())

    names = {"Path": Path, "json": json, "repository": REPOSITORY}
    names["book_results"] = results.book_results
    for source in code_of(BOOK / f"{chapter}.ipynb")[1:]:
        if f"def {function}(" in source:
            tree = tree_of(source)
            tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
            exec(compile(tree, chapter, "exec"), names)
    names["urlopen"] = from_checkout
    monkeypatch.setattr(results, "urlopen", from_checkout)
    monkeypatch.setattr(results.tempfile, "gettempdir", lambda: str(tmp_path / "t"))
    monkeypatch.chdir(tmp_path)
    found = names[function](argument)
    assert "provenance" in found or "settings" in found
