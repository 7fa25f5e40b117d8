"""Run notebooks as a reader in Google Colab does: colab.yml, in Colab's own image.

    python .github/colab.py NOTEBOOK...

In Colab google.colab is loaded before a notebook's first cell, whose pip then installs
the package. Every notebook starts in an empty folder; outputs are not kept.
"""

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

LIKE_COLAB = "import google.colab"


def run(path, first_cell=LIKE_COLAB):
    """Run one notebook; raise CellExecutionError if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(first_cell))
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources=resources
        ).execute()


def main():
    """Run all, then tell which failed."""
    failed = []
    for path in map(Path, sys.argv[1:]):
        started = time.monotonic()
        try:
            run(path)
        except CellExecutionError as error:
            failed.append(path.name)
            print(error)
        print(f"{path.name}: {time.monotonic() - started:.0f} s", flush=True)
    if failed or not sys.argv[1:]:
        sys.exit(f"failed: {', '.join(failed) or 'no notebooks were given'}")


if __name__ == "__main__":
    main()
