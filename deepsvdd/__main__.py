"""``python -m deepsvdd`` is the command ``deepsvdd``."""

from deepsvdd.cli import main

main()
