"""Chapter 16: its commands and its program run as they stand there."""

import csv
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from deepsvdd import load_detector, read_image
from deepsvdd.cli import main
from tests import ROOT
from tests.book import cells_of, text_of

CHAPTER = ROOT / "book/16-your-own-data.ipynb"
(COMMANDS,) = re.findall(r"^```sh\n(.*?)^```$", text_of(CHAPTER), re.M | re.S)
(PROGRAM,) = re.findall(r"^```python\n(.*?)^```$", text_of(CHAPTER), re.M | re.S)
# Those that make `clean/`: they train nothing.
CELLS = (
    *("imports", "folder", "inventory", "agree", "read", "equal", "split"),
    *("one-solution", "singles", "clean"),
)


def commands():
    lines = COMMANDS.replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def home(tmp_path_factory, one_thread):
    """A folder in which the chapter's cells have left ``clean/``."""
    code = {cell["id"]: "".join(cell["source"]) for cell in cells_of(CHAPTER, "code")}
    names = {}
    for cell in CELLS:
        source = re.sub(r"^(%|plt\.style).*$", "", code[cell], flags=re.M)
        exec(compile(source, cell, "exec"), names)
    home = tmp_path_factory.mktemp("home")
    names["clean"].rename(home / "clean")
    names["temporary"].cleanup()
    return home


def test_the_folder_is_split_by_place(home):
    of = {
        part: {path.name[:9] for path in (home / "clean" / part).iterdir()}
        for part in ("train", "held_out", "new")
    }
    assert list(map(len, of.values())) == [65, 38, 41]
    assert len(set.union(*of.values())) == 144
    labels = list(csv.DictReader((home / "clean/labels.csv").open()))
    assert len(labels) == 20
    assert all((home / "clean/train" / row["sample"]).exists() for row in labels)


def test_the_commands_and_the_program_of_the_chapter(home, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(home)
    fit, score, export = commands()
    odd = []  # a few are enough to be drawn
    for number, path in enumerate(sorted(Path("clean/new").iterdir())):
        if number % 14:
            path.unlink()
        else:
            odd.append(path)
    outputs = []
    for words in (fit, score, export):
        assert words[0] == "deepsvdd"
        result = CliRunner().invoke(main, words[1:])
        assert result.exit_code == 0, result.output
        outputs.append(result.output)
    assert "labels: 0 normal, 20 anomaly, 240 unlabeled" in outputs[0]
    assert "calibrated on 38 samples" in outputs[0]
    rows = list(csv.DictReader(Path("scores.csv").read_text().splitlines()))
    assert [row["sample"] for row in rows] == [path.name for path in odd]
    assert len(list(Path("maps").glob("*.png"))) == len(odd)
    Path("score.py").write_text(PROGRAM, "utf-8")
    told = subprocess.run(
        [sys.executable, "-I", "score.py", *map(str, odd)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    detector = load_detector("pavement.safetensors")
    images = [read_image(path, (1, 32, 32), resize=True) for path in odd]
    labels = detector.predict(np.stack(images))
    for line, row, label in zip(told, rows, labels, strict=True):
        name, value, verdict = line.split()
        assert Path(name).name == row["sample"]
        assert float(value) == pytest.approx(float(row["score"]), rel=1e-4)
        assert verdict == ("odd" if label < 0 else "normal")


def test_the_program_imports_nothing_of_ours():
    assert "deepsvdd" not in PROGRAM
    assert "torch" not in PROGRAM
    assert max(map(len, (PROGRAM + COMMANDS).splitlines())) <= 70


def test_options_that_the_text_names_exist():
    options = {word for words in commands() for word in words if word[:2] == "--"}
    assert options >= {"--objective", "--labels", "--calibrate", "--explain"}
    known = {
        name
        for command in ("fit", "score", "export")
        for parameter in main.get_command(None, command).params
        for name in parameter.opts
    }
    assert options | {"--widths"} <= known
