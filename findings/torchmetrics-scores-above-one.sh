#!/usr/bin/env bash
# torchmetrics takes scores above 1 for logits, and reports another AUC without a word.
#
# torchmetrics 1.9.0: if any score lies outside [0, 1], BinaryAUROC and
# BinaryAveragePrecision apply a sigmoid to all. In single precision a sigmoid is exactly 1
# above 17, so that scores beyond become ties, and the order that the AUC measures is lost.
# Squared distances, the scores of Deep SVDD, are often larger. Here: the distance of
# load_digits to the mean three. Who is hurt: whoever logs the AUC of scores that are no
# probabilities. Remedy: divide the scores by their maximum, or use scikit-learn.
#
# Output seen:
#   scores from 4.7 to 51.1
#   as they are: AUROC 0.889 (scikit-learn 0.947), average precision 0.992, 0 warnings
#   divided by their maximum: AUROC 0.947 (scikit-learn 0.947), average precision 0.998, 0 warnings
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torchmetrics==1.9.0 torch==2.14.1 \
    scikit-learn==1.9.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import warnings

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torchmetrics.classification import BinaryAUROC, BinaryAveragePrecision

x, digit = load_digits(return_X_y=True)
threes = x[digit == 3]
train, held_out = threes[:120], threes[120:]
test = np.r_[held_out, x[digit != 3]]
labels = np.repeat([0, 1], [len(held_out), len(test) - len(held_out)])
scores = np.square(test - train.mean(axis=0)).mean(axis=1)
target = torch.tensor(labels)
print(f"scores from {scores.min():.1f} to {scores.max():.1f}")
exact = roc_auc_score(labels, scores)
for name, scale in (("as they are", 1.0), ("divided by their maximum", scores.max())):
    given = torch.tensor(scores / scale, dtype=torch.float32)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        auc = BinaryAUROC()(given, target).item()
        precision = BinaryAveragePrecision()(given, target).item()
    print(
        f"{name}: AUROC {auc:.3f} (scikit-learn {exact:.3f}), "
        f"average precision {precision:.3f}, {len(caught)} warnings"
    )
    assert not caught
    assert (abs(auc - exact) < 1e-3) == (scale > 1)
PY
