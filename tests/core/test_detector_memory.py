"""What training and scoring take in memory beside the data, in a process of its own."""

import json
import subprocess
import sys

import pytest

from deepsvdd.reproduction import provenance
from tests import PATIENCE, ROOT

CODE = """
import json, sys
from pathlib import Path
import numpy as np, torch
from deepsvdd import DeepSVDD, Phase, Recipe
from deepsvdd.reproduction.provenance import peak_memory

def growth(work):
    "The most that memory grows meanwhile, in MB."
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak until now
    before = peak_memory()
    work()
    return peak_memory() - before

torch.set_num_threads(1)
one = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=1, batch_size=20))
still = Recipe(pretraining=Phase(n_epochs=0), training=Phase(n_epochs=0))
layers = torch.nn.Flatten(), torch.nn.Linear(3072, 8, bias=False)
images = {"network": torch.nn.Sequential(*layers), "pretrain": False}
rng = np.random.default_rng(0)
pixels = rng.integers(0, 256, (20_000, 3, 32, 32), dtype=np.uint8)
DeepSVDD(**images, recipe=one).fit(pixels[:900])  # what is only needed once
compiler = "torch._dynamo" in sys.modules
x = pixels.astype(np.float32)
rows = rng.normal(size=(300_000, 30)).astype(np.float32)
table = DeepSVDD(recipe=still, random_state=0).fit(rows[:100])
table.anomaly_score(rows[:1000])
print(json.dumps({
    "compiler": compiler,
    "images": x.nbytes / 2**20,
    "fit": growth(lambda: DeepSVDD(**images, recipe=still).fit(pixels)),
    "fit of floats": growth(lambda: DeepSVDD(**images, recipe=still).fit(x)),
    "rows": rows.nbytes / 2**20,
    "score": growth(lambda: table.anomaly_score(rows)),
}))
"""


@pytest.fixture(scope="module")
def megabytes():
    if provenance.peak_memory() is None:
        pytest.skip("the peak is read from /proc, which this system lacks")
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout)
    return json.loads(done.stdout)


def test_training_holds_its_data_once(megabytes):
    once = megabytes["images"]  # as float32
    assert once == pytest.approx(234.4, abs=0.1)
    for kind in ("fit", "fit of floats"):
        assert 0.5 * once <= megabytes[kind] <= 1.5 * once, kind


def test_scoring_takes_no_memory_for_its_data(megabytes):
    # In double precision, as they are scored, they would take twice this.
    assert megabytes["score"] < 1.5 * megabytes["rows"]


def test_training_does_not_load_the_compiler(megabytes):
    """It would, for Adam: 150 MB, and more time than an epoch takes."""
    assert megabytes["compiler"] is False
