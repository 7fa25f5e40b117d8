#!/usr/bin/env bash
# One student's copied cell ends nbgrader's marking of everybody who comes after.
#
# nbgrader 0.9.6: JupyterLab and Colab copy a cell together with its metadata, and so with
# its grade_id. autograde sees it ("Cell with id 'square' exists multiple times!") and
# empties the second cell's metadata; its own next check reads that as metadata of version
# 0, and ends the whole run with the advice to convert the course by "nbgrader update",
# which does not help. Students later in the alphabet get no mark. Here: an assignment of
# one function and one test; anna and zoe hand in the same right answer, as Colab saves it
# (format 4.0, the cells' ids inside their metadata), which alone is marked well; mia has
# copied the cell to keep a first attempt. Who is hurt: teachers who let students work in
# Colab or JupyterLab. Remedy: on this message look for "exists multiple times", delete
# nbgrader's entry from the copied cell's metadata, and run again; or mark student by
# student (--student) in a loop.
#
# Output seen:
#   without mia: exit 0, marked: anna 2.0, zoe 2.0
#   with mia:    exit 1, marked: anna 2.0
#   nbgrader says: Cell with id 'square' exists multiple times!
#   nbgrader says: One or more notebooks in the assignment use an old version
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nbgrader==0.9.6 nbformat==5.11.1 ipykernel==7.4.0
mkdir "$folder/home" "$folder/course"
cd "$folder/course"
HOME="$folder/home" PATH="$folder/venv/bin:$PATH" ../venv/bin/python - <<'PY' 2>../stderr || { cat ../stderr >&2; exit 1; }
import copy
import json
import shutil
import subprocess
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from nbgrader.api import Gradebook


def graded(source, grade_id, grade):
    cell = new_code_cell(source)
    cell.metadata["nbgrader"] = {
        "grade_id": grade_id,
        "grade": grade,
        "solution": not grade,
        "locked": grade,
        "task": False,
        "schema_version": 3,
    }
    if grade:
        cell.metadata["nbgrader"]["points"] = 2
    return cell


solution = (
    "def square(x):\n    ### BEGIN SOLUTION\n    return x * x\n    ### END SOLUTION"
)
notebook = new_notebook(
    cells=[
        graded(solution, "square", grade=False),
        graded("assert square(3) == 9", "test-square", grade=True),
    ]
)
notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
Path("source/one").mkdir(parents=True)
nbformat.write(notebook, "source/one/sheet.ipynb")


def nbgrader(*arguments):
    run = subprocess.run(["nbgrader", *arguments], capture_output=True, text=True)
    return run.returncode, run.stdout + run.stderr


code, log = nbgrader("generate_assignment", "one")
assert code == 0, log


def hand_in(student, copied=False):
    """Submit the released notebook as Colab saves it, with the right answer."""
    sheet = json.loads(Path("release/one/sheet.ipynb").read_text())
    sheet["nbformat_minor"] = 0
    sheet["metadata"]["colab"] = {"provenance": []}
    for cell in sheet["cells"]:
        cell["metadata"]["id"] = cell.pop("id")
    answer = sheet["cells"][0]
    answer["source"] = ["def square(x):\n", "    return x * x"]
    if copied:
        second = copy.deepcopy(answer)
        second["metadata"]["id"] = "copy"
        sheet["cells"].insert(1, second)
    to = Path("submitted", student, "one")
    to.mkdir(parents=True)
    (to / "sheet.ipynb").write_text(json.dumps(sheet))


def marks():
    with Gradebook("sqlite:///gradebook.db") as book:
        found = {s["student"]: s["score"] for s in book.submission_dicts("one")}
    return {who: found[who] for who in ("anna", "mia", "zoe") if found.get(who)}


def show(name, code):
    said = ", ".join(f"{who} {score}" for who, score in marks().items())
    print(f"{name:12} exit {code}, marked: {said}")


hand_in("anna")
hand_in("zoe")
code, log = nbgrader("autograde", "one")
show("without mia:", code)
assert code == 0, log
assert marks() == {"anna": 2.0, "zoe": 2.0}

shutil.rmtree("autograded")
Path("gradebook.db").unlink()
nbgrader("generate_assignment", "one", "--force")
hand_in("mia", copied=True)
code, log = nbgrader("autograde", "one")
show("with mia:", code)
for line in log.splitlines():
    if "exists multiple" in line or "an old version" in line:
        print("nbgrader says:", line.split("] ")[1].strip())
assert code != 0
assert "exists multiple times" in log
assert "an old version" in log
assert marks() == {"anna": 2.0}
PY
