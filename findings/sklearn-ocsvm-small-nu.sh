#!/usr/bin/env bash
# OneClassSVM.predict flags far more training samples than nu where nu is small.
#
# scikit-learn 1.9.1: nu bounds the share of *margin errors*, samples clearly beyond the
# boundary. predict() flags every decision value below 0, and of the support vectors that
# lie *on* the boundary about half are below 0 by rounding, within the solver's
# tolerance. With n = 2,000, d = 20 and nu = 0.001 it flags 3.5 % of the training samples,
# 35 x nu, though no dual coefficient is at its bound; a tolerance of 1e-8 does not help
# (3.1 %), as the decision values are then within 5e-9. At nu = 0.1 nearly all are real
# (9.8 %). Who is hurt: whoever asks for a false-alarm rate of 0.1 % by nu. Remedy: count
# dual coefficients at the bound, or set the threshold on held-out samples.
#
# Output seen:
#   nu 0.001 tol 0.001: flagged 3.55 %, at the bound 0.00 %, lowest decision -0.00041
#   nu 0.001 tol 1e-08: flagged 3.15 %, at the bound 0.00 %, lowest decision -5e-09
#   nu 0.1   tol 0.001: flagged 9.85 %, at the bound 8.45 %, lowest decision -6
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet scikit-learn==1.9.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
from sklearn.svm import OneClassSVM

x = np.random.default_rng(0).normal(size=(2000, 20))
for nu, tol, least in ((0.001, 1e-3, 20), (0.001, 1e-8, 20), (0.1, 1e-3, 0.9)):
    svm = OneClassSVM(nu=nu, tol=tol).fit(x)
    flagged = (svm.predict(x) < 0).mean()
    bound = (svm.dual_coef_ >= 1 - 1e-9).mean() * len(svm.support_) / len(x)
    lowest = svm.decision_function(x).min()
    print(
        f"nu {nu:<5} tol {tol}: flagged {100 * flagged:.2f} %, at the bound "
        f"{100 * bound:.2f} %, lowest decision {lowest:.2g}"
    )
    assert flagged > least * nu
    assert (bound == 0) == (nu == 0.001)
PY
