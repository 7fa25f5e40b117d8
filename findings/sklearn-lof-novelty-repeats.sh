#!/usr/bin/env bash
# LocalOutlierFactor(novelty=True) takes repeated training samples without its warning.
#
# scikit-learn 1.9.1: where one sample is repeated more often than n_neighbors, its local
# density is about 1e10, and the factors of its neighbors fall far below -1. With
# novelty=False, fit() warns ("Duplicate values are leading to incorrect results"); with
# novelty=True, the only mode that scores new samples, it does not, and ordinary test
# samples are flagged. Here: the threes of load_digits, one of 120 repeated 30 times. Who
# is hurt: whoever has LOF as a baseline on data that was not deduplicated. Remedy:
# deduplicate, or take more neighbors than there are repeats.
#
# Output seen:
#   novelty=False: 1 warnings
#   novelty=True: 0 warnings
#   without repeats: AUC 0.961, flagged threes 0.016, lowest factor -1.38
#   with 30 repeats: AUC 0.776, flagged threes 0.270, lowest factor -1.97e+11
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import warnings

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

x, digit = load_digits(return_X_y=True)
threes = x[digit == 3]
train, held_out = threes[:120], threes[120:]
test = np.r_[held_out, x[digit != 3]]
labels = np.repeat([0, 1], [len(held_out), len(test) - len(held_out)])
repeated = np.r_[train, np.repeat(train[:1], 30, axis=0)]

for novelty in (False, True):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        LocalOutlierFactor(novelty=novelty).fit(repeated)
    told = sum("Duplicate values" in str(w.message) for w in caught)
    print(f"novelty={novelty}: {told} warnings")
    assert told == (not novelty)

aucs = []
for name, data in (("without repeats", train), ("with 30 repeats", repeated)):
    lof = LocalOutlierFactor(novelty=True).fit(data)
    aucs.append(roc_auc_score(labels, -lof.score_samples(test)))
    flagged = (lof.predict(held_out) < 0).mean()
    lowest = lof.negative_outlier_factor_.min()
    print(
        f"{name}: AUC {aucs[-1]:.3f}, flagged threes {flagged:.3f}, "
        f"lowest factor {lowest:.3g}"
    )
assert aucs[0] - aucs[1] > 0.1
assert lowest < -1e9
PY
