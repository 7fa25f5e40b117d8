#!/usr/bin/env bash
# nbval passes notebooks whose stored outputs are wrong, and fails one that is right.
#
# nbval 0.11.0, pytest --nbval: a cell without an execution count is run and its outputs
# are not compared, so that a notebook whose outputs were stripped before the commit
# passes as a whole. Pictures are left out: a plot of other data passes. Of a display that
# is updated, as progress bars are, only the first state is compared: a stored last state
# that is right fails, and a wrong one passes. Texts, tables and errors are compared.
# Here: notebooks of one cell, run and stored by nbclient, then given another cell. Who is
# hurt: whoever takes the green line for "the committed results come from this code".
# Remedy: test that each cell has an execution count; print the numbers behind a figure;
# tag cells with a progress bar nbval-ignore-output.
#
# Output seen:
#   a printed number, now another one                      1 failed
#   the same, outputs stripped                             1 passed
#   a plot, now of other data                              1 passed
#   a display updated from 'half' to 'done', as it is      1 failed
#   the same, now updated from 'done' to 'failed'          1 passed
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet nbval==0.11.0 nbclient==0.11.0 nbformat==5.11.1 \
    ipykernel==7.4.0 pytest==9.2.0 matplotlib==3.11.2
cd "$folder"
venv/bin/python - <<'PY' 2>stderr || { cat stderr >&2; exit 1; }
import subprocess
import sys

import nbclient
import nbformat
from nbformat.v4 import new_code_cell, new_notebook

PLOT = "import matplotlib.pyplot as plt\nplt.plot({})\nplt.show()"
UPDATE = (
    "from IPython.display import display\n"
    "handle = display({!r}, display_id=True)\nhandle.update({!r})"
)


def outcome(stored, now, strip=False):
    """Run a cell, store it, replace it by another; return what nbval says."""
    notebook = new_notebook(cells=[new_code_cell(stored)])
    nbclient.NotebookClient(notebook, kernel_name="python3").execute()
    (cell,) = notebook.cells
    assert cell.outputs
    cell.source = now
    if strip:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, "case.ipynb")
    command = [sys.executable, "-m", "pytest", "--nbval", "--nbval-current-env", "-q"]
    run = subprocess.run([*command, "case.ipynb"], capture_output=True, text=True)
    return "passed" if run.returncode == 0 else "failed"


number = "print(95.0)", "print(55.0)"
cases = [
    ("a printed number, now another one", "failed", number, {}),
    ("the same, outputs stripped", "passed", number, {"strip": True}),
    (
        "a plot, now of other data",
        "passed",
        (PLOT.format([1, 2, 3]), PLOT.format([3, 1, 1])),
        {},
    ),
    (
        "a display updated from 'half' to 'done', as it is",
        "failed",
        (UPDATE.format("half", "done"),) * 2,
        {},
    ),
    (
        "the same, now updated from 'done' to 'failed'",
        "passed",
        (UPDATE.format("half", "done"), UPDATE.format("done", "failed")),
        {},
    ),
]
for name, expected, (stored, now), how in cases:
    found = outcome(stored, now, **how)
    print(f"{name:54} 1 {found}")
    assert found == expected
PY
