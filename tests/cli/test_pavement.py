"""``deepsvdd pavement``: the folder of photographs to practice on."""

import pytest

from tests.cli import fails, succeeds

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


def test_it_says_what_it_wrote_and_never_writes_over_it(tmp_path):
    folder = tmp_path / "some where"
    output = succeeds("pavement", folder, "--seed", 2).stdout
    assert output == f"{folder}: 584 files in '{folder / 'photographs'}'\n"
    assert sorted(path.name for path in folder.iterdir()) == [
        *("README.md", "labels.csv", "masks", "photographs", "photographs.csv")
    ]
    assert f"'{folder}' exists" in fails("pavement", folder)


def test_it_refuses():
    assert "it is empty: name a file or folder" in fails("pavement", "", code=2)
    assert "--seed" in fails("pavement", "x", "--seed", -1, code=2)
