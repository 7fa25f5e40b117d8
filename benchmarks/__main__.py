"""The command ``python -m benchmarks``."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from typing import Any

from benchmarks import surroundings, ways  # noqa: F401  # they enter their own
from benchmarks.comparisons import COMPARISONS
from benchmarks.figures import draw_scaling
from benchmarks.setting import Setting, Unavailable, check_agreement
from benchmarks.timing import Row, compare, take_turns
from deepsvdd.core._engine.devices import resolve_device
from deepsvdd.files import write_text
from deepsvdd.reproduction.provenance import provenance

DESCRIPTION = """\
Time the package against a plain loop of the usual kind (benchmarks/plain.py: one image
at a time through Pillow and torchvision's transforms, textbook layers, loss.item()
after every batch), on digit 3 of the bundled MNIST and, where it is there, the cats of
CIFAR-10, with the paper's settings; and the package with itself: in another precision,
with more threads, images, networks, beside other programs.

First both sides are checked to compute the same function. Then they take turns, after a
round of warm-up; printed are medians, the ratio of the medians (first side over this
one: 4 is four times as fast) and, in brackets, the lowest and highest ratio of a single
round. Close other programs, or the brackets will be wide. Takes about ten minutes, with
--quick three.
"""
EXAMPLES = """\
examples:
  python -m benchmarks
  python -m benchmarks --quick --only score --only import
  python -m benchmarks --data ~/data --output laptop.json --figure scaling.png
  python -m benchmarks --device cuda --only networks --only replay
"""


def parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {name:18} {c.title}" for name, c in COMPARISONS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=DESCRIPTION,
        epilog=f"comparisons:\n{names}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--only",
        metavar="NAME",
        action="append",
        choices=list(COMPARISONS),
        help="make this comparison only; may be given several times",
    )
    parser.add_argument("--quick", action="store_true", help="repeat less often")
    parser.add_argument(
        "--images",
        metavar="N",
        type=positive,
        help="use only the first N training and test images (to try things out)",
    )
    parser.add_argument(
        "--data", metavar="FOLDER", help="where cifar10.npz, or torchvision's, lies"
    )
    parser.add_argument(
        "--device", default="cpu", help="where the package trains: cpu, cuda, auto"
    )
    parser.add_argument(
        "--output", metavar="FILE", help="also write all values to a JSON file"
    )
    parser.add_argument(
        "--figure", metavar="FILE", help="also draw how time grows with the work"
    )
    return parser


def positive(text: str) -> int:
    number = int(text)
    if number < 2:
        raise argparse.ArgumentTypeError(f"must be 2 or more; got {number}")
    return number


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser().parse_args(arguments)
    device = resolve_device(options.device)
    origin = provenance(device)
    print_heading(origin)
    setting = Setting.load(options.images, folder=options.data, device=device)
    check_agreement(setting)
    print("Both sides compute the same function, to 1e-4.")

    load_before, results = load_average(), {}
    for name in options.only or COMPARISONS:
        results[name] = run(name, setting, options.quick)
        if options.output:  # so that what is measured is not lost
            content = {"provenance": origin, "comparisons": results}
            write_text(options.output, json.dumps(content, indent=1) + "\n")
    load = {"before": load_before, "after": load_average()}
    print(f"\nLoad average before and after: {load['before']}, {load['after']}")
    content = {"provenance": origin, "load": load, "comparisons": results}
    if options.output:
        write_text(options.output, json.dumps(content, indent=1) + "\n")
    if options.figure:
        draw_scaling(content, options.figure)


def print_heading(origin: dict[str, Any]) -> None:
    machine = origin["machine"]
    versions = ", ".join(f"{name} {v}" for name, v in origin["versions"].items())
    print(f"{machine['device']}, {os.cpu_count()} CPUs, {machine['threads']} threads")
    print(f"{machine['system']}; {versions}; {origin['date']}")


def load_average() -> float | None:
    """Processes that wanted a CPU in the last minute; None where nobody counts them."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def run(name: str, setting: Setting, quick: bool) -> dict[str, Any]:
    """Make one comparison, print it, and return it for the JSON file."""
    entry = COMPARISONS[name]
    repetitions = entry.repetitions[quick]
    print(f"\n{name}: {entry.title} (median of {repetitions})", flush=True)
    try:
        sides = entry.prepare(setting)
    except Unavailable as reason:
        print(f"  not here: {reason}")
        return {"unavailable": str(reason)}
    rows = compare(take_turns(sides.measures, repetitions, entry.warm_up))
    for row in rows:
        print(line(row, entry.unit, sides.notes.get(row.side, "")), flush=True)
    return {
        "title": entry.title,
        "unit": entry.unit,
        "sides": {row.side: as_json(row, sides.notes) for row in rows},
    }


def line(row: Row, unit: str, note: str) -> str:
    number = f"{row.median:.1f}" if unit == "MB" else f"{row.median:.4g}"
    spread = f"({row.lowest:.2f} to {row.highest:.2f})"
    return f"  {row.side:30} {number:>8} {unit:2} {row.ratio:7.2f} x {spread:18} {note}"


def as_json(row: Row, notes: dict[str, str]) -> dict[str, Any]:
    return {
        "median": row.median,
        "values": row.values,
        "ratio": row.ratio,
        "ratio_range": [row.lowest, row.highest],
        **({"note": notes[row.side]} if row.side in notes else {}),
    }


if __name__ == "__main__":
    main()
