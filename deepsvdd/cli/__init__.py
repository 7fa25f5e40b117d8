"""The command line: ``deepsvdd train | fit | score | …``, one module per command.

Touch it to add an option (in the module of the command's name; of ``train`` also in its
``build_detector``, and in ``config`` if a recipe sets it) or a command (a module, and
its name in ``COMMANDS``). Besides the commands ``train``, ``fit``, ``score``,
``info``, ``export``, ``sweep``, ``report``, ``signs``, ``pavement``, ``attack`` and
``adversarial``:

============= =======================================================================
module        holds
============= =======================================================================
options       options that several commands have, and their values' ranges
inputs        reading what is trained on or scored: arrays, tables, images, folders
tables        reading CSV and Parquet
labels        reading labels of training samples
methods       what ``fit --method`` names: estimators, and which options each has
outliers      reading outliers to learn from
left_out      what could not be read or scored: named, counted, told by the exit status
config        the settings of ``train``: where each comes from, and config.json
run_log       what ``train`` says, on the terminal and in log.txt
pictures      the pictures of ``train``, and drawing to a file, as ``report`` does
heat_maps     the pictures of ``score --explain``
interruptions how Ctrl-C and SIGTERM end ``sweep`` and ``adversarial``
============= =======================================================================
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from importlib import import_module
from typing import Any

import click

from deepsvdd.core._engine.waiting import patience
from deepsvdd.errors import DataUnavailableError, OldDependencyError
from deepsvdd.version import __version__

COMMANDS = (
    *("train", "fit", "score", "info", "export", "sweep", "report"),
    *("signs", "pavement", "attack", "adversarial"),
)
# Their messages tell the fix.
TOLD = (
    *(ValueError, ArithmeticError, OSError, EOFError),
    *(DataUnavailableError, OldDependencyError),
)
LONGEST = 400  # characters of a message about what was given
OUT_OF_MEMORY = (
    "out of memory: use smaller or fewer images, or --stream with fit, or end other "
    "programs"
)


class Commands(click.Group):
    """Loads a command's module, and torch with it, only when it is called for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import one command."""
        if name not in COMMANDS:
            return None
        command: click.Command = import_module(f"deepsvdd.cli.{name}").command
        return command

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run, and let a terminal that has no ν or ± print something in its place.

        How threads wait is set here, since torch is loaded after this line.
        """
        os.environ.update(patience(os.environ))
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="replace")
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; errors that tell their fix need no traceback."""
        try:
            with warnings.catch_warnings():
                warnings.showwarning = show_warning
                return super().invoke(ctx)
        except click.UsageError as error:
            if len(error.message) > LONGEST:  # it repeats what was given
                half = LONGEST // 2
                short = f"{error.message[:half]} … {error.message[-half:]}"
                error.message = short  # type: ignore[misc]
            raise
        except TOLD as error:
            if isinstance(error, BrokenPipeError):
                raise
            raise click.ClickException(str(error)) from error
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise click.ClickException(OUT_OF_MEMORY) from error


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error is of numpy's or torch's memory, on a CPU or a GPU."""
    words = ("out of memory", "can't allocate memory", "not enough memory")
    return isinstance(error, MemoryError) or any(w in str(error) for w in words)


def show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Print a warning's text alone; the line of code it came from helps no user."""
    click.secho(f"warning: {message}", fg="yellow", file=sys.stderr)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 88},
)
@click.version_option(__version__)
def main() -> None:
    """Deep SVDD: train on what is normal, find what is not.

    \b
    Train on the bundled MNIST, digit 3 the normal class (about 10 s on a laptop):
      deepsvdd train mnist mnist_LeNet runs/three --recipe fast --normal_class 3
    Train on images of your own, all of them normal, and score others:
      deepsvdd fit good/ model.safetensors --size 32
      deepsvdd score model.safetensors new/ --resize
      deepsvdd info model.safetensors
      deepsvdd export model.safetensors model.onnx

    Each command's --help has more examples.
    """
