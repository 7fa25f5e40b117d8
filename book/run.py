"""Run chapters from top to bottom and save their outputs: ``make notebooks``.

    python book/run.py                       all of them
    python book/run.py 07-one-class          one

How long each took, and how much memory, goes to runtimes.json, and from there into the
line "Run time" at the chapter's top, beside the time that reading takes.
OMP_NUM_THREADS sets the number of threads.

Chapters with cells tagged "needs-data" run only where Fashion-MNIST and CIFAR-10 can be
loaded (DEEPSVDD_DATA names their folder): elsewhere they would lose real outputs.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

from deepsvdd import DataUnavailableError, load_dataset
from deepsvdd.reproduction.provenance import peak_memory, provenance

BOOK = Path(__file__).parent
RUNTIMES = BOOK / "runtimes.json"
FOLDED = {"hide-cell", "hide-input", "remove-cell", "remove-input"}
WORDS, SECONDS_A_LINE, SECONDS_A_PICTURE = 150, 3, 15  # a minute; of visible code
CARD = re.compile(r"^\*\*Run time\*\*.*(\n.+)*", re.MULTILINE)  # a paragraph


def main() -> None:
    for stem in (bar := tqdm(chosen_chapters(__doc__), unit="chapter")):
        bar.set_postfix_str(stem)
        run(BOOK / f"{stem}.ipynb")


def chosen_chapters(description: str | None) -> list[str]:
    """Read from the command line which chapters it is about; all if it names none."""
    stems = sorted(path.stem for path in BOOK.glob("*.ipynb"))
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("chapter", nargs="*", help=f"some of {', '.join(stems)}")
    chosen = [Path(name).stem for name in parser.parse_args().chapter] or stems
    if unknown := sorted(set(chosen) - set(stems)):
        parser.error(f"no such chapters: {', '.join(unknown)}")
    return chosen


def run(path: Path) -> None:
    """Execute one notebook; nothing is saved if a cell fails."""
    notebook = nbformat.read(path, as_version=4)
    if any(map(needs_data, notebook.cells)) and (reason := missing_data()):
        tqdm.write(f"{path.stem} is left as it is: {reason}")
        return
    client = NotebookClient(
        notebook,
        timeout=600,
        iopub_timeout=120,  # a late picture is lost without a word
        resources={"metadata": {"path": str(BOOK)}},
        record_timing=False,
    )
    start = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        memory = peak_memory(client.km.provisioner.pid)
    minutes = reading_time(notebook)
    measured = note(path.stem, time.perf_counter() - start, memory)
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", ()):
                output.data["image/png"] = lean(output.data["image/png"])
    first = notebook.cells[0]
    first.source = CARD.sub(lambda _: card(measured, minutes), first.source, count=1)
    nbformat.write(notebook, path)


def lean(picture: str) -> str:
    """Write a PNG (base64) in fewer bytes, with the same pixels, for phones."""
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(picture)))
    if image.mode == "RGBA" and image.getextrema()[3] == (255, 255):
        image = image.convert("RGB")  # nothing is transparent
    if image.mode == "RGB" and image.getcolors(256):
        image = image.quantize(256)  # no color is lost
    written = io.BytesIO()
    image.save(written, "PNG", optimize=True)
    return min(picture, base64.b64encode(written.getvalue()).decode(), key=len)


def needs_data(cell: Mapping[str, Any]) -> bool:
    """Tell whether a cell uses data sets that are not part of the package."""
    return "needs-data" in cell["metadata"].get("tags", ())


def missing_data() -> str | None:
    """Say which of these data sets is absent, and what to do; None if none is."""
    try:
        for name in ("fashion_mnist", "cifar10"):
            load_dataset(name, download=False)
    except DataUnavailableError as error:
        return str(error)
    return None


def note(stem: str, seconds: float, memory: float | None) -> dict[str, Any]:
    """Keep what a chapter took: seconds, and megabytes at most."""
    import torch

    origin = provenance(torch.device("cpu"))
    measured = {
        "seconds": round(seconds),
        "memory_gb": None if memory is None else round(memory / 1024, 1),
        "threads": torch.get_num_threads(),
        "processor": origin["machine"]["device"],
        "gpu": torch.cuda.is_available(),
        "torch": torch.__version__,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    runtimes = json.loads(RUNTIMES.read_text()) if RUNTIMES.exists() else {}
    runtimes[stem] = measured
    text = json.dumps(dict(sorted(runtimes.items())), indent=1)
    RUNTIMES.write_text(text + "\n")
    return measured


def reading_time(notebook: Mapping[str, Any]) -> int:
    """Estimate the minutes that a chapter takes to read, without what it folds."""
    seconds = 0.0
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            seconds += 60 * len(text.split()) / WORDS
        elif not FOLDED & set(cell["metadata"].get("tags", ())):
            seconds += SECONDS_A_LINE * len(text.splitlines())
            seconds += SECONDS_A_PICTURE * sum(
                "image/png" in output.get("data", ()) for output in cell["outputs"]
            )
    return 5 * max(1, round(seconds / 300))


def card(measured: dict[str, Any], minutes: int) -> str:
    """Say it in the chapter."""
    where = "with a GPU" if measured["gpu"] else "without a GPU"
    memory = measured["memory_gb"]
    return (
        f"**Run time** {measured['seconds']} s with {measured['threads']} CPU "
        f"thread{'s' * (measured['threads'] > 1)}, {where}"
        + (f"; {memory} GB of memory." if memory else ".")
        + f" **Reading time** about {minutes} minutes."
    )


if __name__ == "__main__":
    main()
