"""What is to be measured on a GPU, piece by piece, into a folder.

Every piece is a command of its own. One call does pieces until its time is used up; the
same call goes on from there, a sweep in the midst of its runs. A piece that is finished
leaves NAME.done, and what it printed is in NAME.txt. Results are JSON: the comparisons'
NAME.json, and the sweeps' NAME.jsonl.

    python -m benchmarks.gpu runs/gpu --data ~/data
    python -m benchmarks.gpu runs/gpu --list

No GPU has run this program yet: what it starts is tested on processors.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import torch

COMPARED = (
    *("replay", "networks", "precision", "streaming", "images", "fit", "score"),
    *("autoencoder-epoch", "svdd-epoch", "cifar10-autoencoder", "cifar10-svdd"),
)
LIMIT, LEAST = 540, 30  # seconds of a call, and of a piece that is begun


def pieces(folder: Path, data: str | None, n_gpus: int = 1) -> dict[str, list[str]]:
    """Return all commands by name, in the order in which they are worth doing."""
    python = [sys.executable, "-m"]
    found = {}
    for name in COMPARED:
        words = ["--device", "cuda", "--only", name]
        words += ["--output", str(folder / f"{name}.json")]
        words += ["--data", data] if data else []
        found[name] = [*python, "benchmarks", *words]
    sweeps = {"mnist-paper": ("mnist", "paper", "0-9")}
    if data:
        sweeps["cifar10-paper"] = ("cifar10", "paper", "0-9")
    for name, (dataset, recipe, seeds) in sweeps.items():
        words = [str(folder / f"{name}.jsonl"), "--dataset", dataset]
        words += ["--recipe", recipe, "--seeds", seeds, "--device", "cuda"]
        words += ["--data_path", data] if data else []
        found[name] = [*python, "deepsvdd", "sweep", *words]
    train = ["deepsvdd", "train", "mnist", "mnist_LeNet", str(folder / "nccl")]
    start = ["torch.distributed.run", "--standalone", f"--nproc_per_node={n_gpus}"]
    found["nccl"] = [*python, *start, "-m", *train, "--seed", "0", "--device", "cuda"]
    return found


def carry_out(commands: dict[str, list[str]], folder: Path, limit: float) -> list[str]:
    """Do the pieces that are not done, within some seconds; return what is left.

    Raises
    ------
    SystemExit
        If a piece fails; the next call tries it again.
    """
    end = time.monotonic() + limit
    left = [name for name in commands if not (folder / f"{name}.done").exists()]
    for name in list(left):
        seconds = end - time.monotonic()
        if seconds < LEAST:
            break
        print(f"{name}: {' '.join(commands[name])}", flush=True)
        with (folder / f"{name}.txt").open("a", encoding="utf-8") as printed:
            try:
                subprocess.run(
                    commands[name],
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    timeout=seconds,
                    check=True,
                )
            except subprocess.TimeoutExpired:
                break
            except subprocess.CalledProcessError as error:
                raise SystemExit(
                    f"{name} ended with {error.returncode}: see {printed.name}"
                ) from None
        (folder / f"{name}.done").touch()
        left.remove(name)
    return left


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is left, and say what is left then."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", type=Path, help="for results; made if need be")
    parser.add_argument("--data", metavar="FOLDER", help="where cifar10.npz lies")
    parser.add_argument(
        "--seconds", type=float, default=LIMIT, help="that a call takes (%(default)s)"
    )
    parser.add_argument("--list", action="store_true", help="only show the commands")
    options = parser.parse_args(arguments)
    n_gpus = torch.cuda.device_count()
    commands = pieces(options.folder, options.data, max(1, n_gpus))
    if options.list:
        for name, words in commands.items():
            print(f"{name}: {' '.join(words)}")
        return
    if not n_gpus:
        parser.error("torch sees no GPU here: --list shows what would be done on one")
    options.folder.mkdir(parents=True, exist_ok=True)
    left = carry_out(commands, options.folder, options.seconds)
    print(f"left: {', '.join(left)}: the same call goes on" if left else "all done")


if __name__ == "__main__":
    main()
