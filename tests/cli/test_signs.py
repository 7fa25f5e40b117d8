"""``deepsvdd signs``, and what ``train`` makes of signs, drawn and real."""

import json
import shutil
from pathlib import Path

import pytest

from deepsvdd.cli import train
from tests.cli import config_of, fails, results_of, succeeds, train_words

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")

FEW = ("--n_train", 8, "--n_test", 4, "--n_other_train", 1, "--n_other_test", 1)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A folder with drawn signs, and what the command said."""
    folder = tmp_path_factory.mktemp("drawn") / "some where"
    return folder, succeeds("signs", folder, *FEW, "--seed", 3).stdout


def test_signs_says_what_it_drew(drawn):
    folder, output = drawn
    assert output == (
        f"{folder / 'gtsrb'}: 19 training and 15 test signs of 12 types, drawn, not "
        "GTSRB\n"
    )
    assert json.loads((folder / "gtsrb" / "drawn.json").read_text())["seed"] == 3


def test_signs_are_not_drawn_over_others(drawn):
    folder, _ = drawn
    message = fails("signs", folder, *FEW)
    assert f"'{folder / 'gtsrb'}' exists; name another folder or delete it" in message


@pytest.mark.parametrize("words", [("--n_train", 0), ("--seed", -1), ("--n_test", "x")])
def test_signs_refuses(words):
    assert words[0] in fails("signs", "folder", *words, code=2)
    assert not Path("folder").exists()


def test_drawn_signs_are_called_so_in_all_that_train_writes(drawn, no_pictures):
    folder, _ = drawn
    words = train_words(
        "out", folder, "--normal_class", "stop", network="gtsrb_LeNet", name="gtsrb"
    )
    output = succeeds(*words).stdout
    expected = "drawn signs, normal: stop; 8 training images; test: 4 normal, 11 anom"
    assert expected in output
    assert expected in Path("out/log.txt").read_text()
    assert "paper" not in output
    results = results_of("out")
    assert results["dataset"] == "drawn signs"
    assert len(results["test_scores"]) == 15
    assert config_of("out")["dataset_name"] == "gtsrb"
    # no contrast normalization: the paper has none for signs
    info = succeeds("info", "out/model.safetensors").stdout
    assert "(3, 32, 32), minmax" in info


def test_the_papers_stop_signs_stood_against_other_anomalies(drawn, no_pictures):
    """Its AUCs are of adversarial signs: not to be laid beside those of other types."""
    folder, _ = drawn
    shutil.copytree(folder / "gtsrb", "real/gtsrb")
    for class_id in range(43):  # all of GTSRB's classes, none of them marked as drawn
        images = Path(f"real/gtsrb/GTSRB/Training/{class_id:05d}")
        if not images.exists():
            shutil.copytree("real/gtsrb/GTSRB/Training/00014", images)
            (images / "GT-00014.csv").rename(images / f"GT-{class_id:05d}.csv")
    Path("real/gtsrb/drawn.json").unlink()
    words = train_words(
        "out", "real", "--normal_class", 14, network="gtsrb_LeNet", name="gtsrb"
    )
    output = succeeds(*words).stdout
    assert "gtsrb, normal: stop; " in output
    assert results_of("out")["dataset"] == "gtsrb"
    assert "paper" not in output


@pytest.mark.parametrize("recipe", ["paper", "fast", "quick"])
def test_recipes_of_signs_have_small_batches(drawn, recipe, monkeypatch):
    seen = []
    monkeypatch.setattr(train, "run", seen.append)
    succeeds("train", "gtsrb", "gtsrb_LeNet", "out", "--recipe", recipe)
    assert seen[0]["batch_size"] == seen[0]["ae_batch_size"] == 64
    if recipe == "paper":
        assert seen[0]["ae_lr_milestone"] == (250,)


def test_signs_are_not_drawn_into_an_empty_name():
    assert "it is empty: name a file or folder" in fails("signs", "", *FEW, code=2)
    assert not Path("gtsrb").exists()


def test_signs_that_cannot_be_written_are_not_drawn(monkeypatch):
    monkeypatch.setattr("deepsvdd.datasets.signs.write_signs", lambda *_, **__: 1 / 0)
    Path("file").write_text("")
    assert "a file stands where a folder is needed" in fails("signs", "file/x", *FEW)
