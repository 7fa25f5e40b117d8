"""Tests, in the rooms of the package; ``book`` has the book's, ``toys`` problems."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
