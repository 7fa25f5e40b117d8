"""What a run says, on any screen, and in a log that may have no room."""

from pathlib import Path

import pytest

from tests.cli import invoke, results_of, succeeds, train_words

pytestmark = pytest.mark.usefixtures("one_thread", "_clean")


def test_the_output_names_data_training_and_control(data, tmp_path, no_pictures):
    result = succeeds(*train_words("out", data, "--normal_class", "Ankle boot"))
    assert "normal: Ankle boot; 8 training images" in result.output
    assert "test: 4 normal, 36 anomalies" in result.output
    assert "pretraining     1 epochs" in result.output
    assert "untrained network" in result.output
    assert "paper" not in result.output  # has no Fashion-MNIST
    assert "model.safetensors" in result.output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_for_the_log_gives_no_tracebacks(data, no_pictures):
    Path("out").mkdir()
    Path("out/log.txt").symlink_to("/dev/full")
    result = invoke(*train_words("out", data, network="mlp"))
    assert "test AUC" in result.stdout
    assert "Traceback" not in result.output


@pytest.mark.parametrize("charset", ["latin-1", "cp1252", "cp932"])
def test_a_terminal_without_greek_letters_loses_no_results(data, no_pictures, charset):
    """Python encodes pipes so on Windows, or in a locale without UTF-8."""
    assert invoke("train", "--help", charset=charset).exit_code == 0
    words = train_words("out", data, "--n_members", 2, network="mlp")
    assert invoke(*words, charset=charset).exit_code == 0
    assert results_of("out")["test_auc"]


def test_collapse_is_a_warning_in_one_line(data, no_pictures):
    words = ("--weight_decay", 1000, "--lr", 0.1, "--n_epochs", 60, "--batch_size", 2)
    result = succeeds(*train_words("out", data, *words, network="mlp"))
    if results_of("out")["collapsed"]:
        (line,) = [x for x in result.stderr.splitlines() if "collapse" in x]
        assert line.startswith("warning: hypersphere collapse")
    else:
        assert "collapse" not in result.stderr
