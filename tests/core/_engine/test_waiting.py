"""How threads wait is set before torch is loaded, unless a user has set it."""

import subprocess
import sys

import pytest

from deepsvdd.core._engine.waiting import PATIENCE, patience


@pytest.mark.parametrize("name", PATIENCE)
def test_a_users_own_choice_stays(name):
    assert patience({}) == PATIENCE
    assert patience({name: "7", "OTHER": "1"}) == {}


def test_the_command_line_sets_it_before_torch_is_loaded(monkeypatch):
    for name in PATIENCE:
        monkeypatch.delenv(name, raising=False)
    code = """
import os, sys
from deepsvdd.cli import main
from deepsvdd.core._engine.waiting import PATIENCE
assert "torch" not in sys.modules
try:
    main(["--version"])
finally:
    assert {name: os.environ[name] for name in PATIENCE} == PATIENCE
    assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
