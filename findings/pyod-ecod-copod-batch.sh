#!/usr/bin/env bash
# PyOD's ECOD and COPOD score a sample by the company it is scored in.
#
# PyOD 3.6.7: both put training and test samples together before they estimate the tails
# of each feature, at every call of decision_function. A sample gets one score in a batch
# and another alone, while the threshold is that of the training scores. Here: the threes
# of load_digits for training, threes and other digits for the test, scored in one call
# and one by one. Who is hurt: whoever evaluates on a whole test set, most of it anomalous,
# and then scores samples as they come, or the reverse. Remedy: score as in use; ask of
# any detector whether a sample's score depends on the batch.
#
# Output seen:
#   ECOD : AUC 0.580 together, 0.952 one by one; anomalies flagged 0.135 and 0.937
#   COPOD: AUC 0.639 together, 0.960 one by one; anomalies flagged 0.121 and 0.942
#   KNN  : AUC 0.974 together, 0.974 one by one; anomalies flagged 0.997 and 0.997
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pyod==3.6.7 scikit-learn==1.9.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
from pyod.models.copod import COPOD
from pyod.models.ecod import ECOD
from pyod.models.knn import KNN
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

x, digit = load_digits(return_X_y=True)
threes = x[digit == 3]
train, held_out = threes[:120], threes[120:]
test = np.r_[held_out, x[digit != 3]]
labels = np.repeat([0, 1], [len(held_out), len(test) - len(held_out)])
for model in (ECOD(), COPOD(), KNN()):
    model.fit(train)
    together = model.decision_function(test)
    alone = np.array([model.decision_function(row[None])[0] for row in test])
    aucs = [roc_auc_score(labels, scores) for scores in (together, alone)]
    found = [(s[labels == 1] > model.threshold_).mean() for s in (together, alone)]
    print(
        f"{type(model).__name__:5}: AUC {aucs[0]:.3f} together, {aucs[1]:.3f} one by one; "
        f"anomalies flagged {found[0]:.3f} and {found[1]:.3f}"
    )
    if isinstance(model, KNN):
        assert np.allclose(together, alone)
    else:
        assert aucs[1] - aucs[0] > 0.2
        assert found[1] - found[0] > 0.3
PY
