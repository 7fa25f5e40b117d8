#!/usr/bin/env bash
# MLstatkit's DeLong test finds p = 0 between a detector and itself.
#
# MLstatkit 0.1.91: where the variance of the difference of two AUCs is 0, Delong_test
# falls back to a bootstrap, with a p-value of 2 min(share <= 0, share > 0) of the
# resampled differences. All are exactly 0, so the second share, and p, is 0: the strongest
# "significant difference" there is, beside z = 0. Two scores of the same order (a
# distance and its square), and two detectors that both separate perfectly, get the same.
# Who is hurt: whoever tests detectors in a loop and lists p < 0.05. Remedy: look at z or
# at the difference of the AUCs first, and take p = 1 where it is 0.
#
# Output seen:
#   the same scores         AUC 0.983 and 0.983, z 0, p 0, by bootstrap
#   a distance, its square  AUC 0.983 and 0.983, z 0, p 0, by bootstrap
#   both perfect            AUC 1.000 and 1.000, z 0, p 0, by bootstrap
#   with a little noise     AUC 0.983 and 0.980, z -0.89, p 0.38, by delong
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet mlstatkit==0.1.91 scikit-learn==1.9.1 \
    numpy==2.4.6 scipy==1.17.1
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
from MLstatkit import Delong_test

rng = np.random.default_rng(0)
labels = np.repeat([0, 1], [500, 50])
distance = np.abs(rng.normal(size=550)) + 2 * labels
perfect = [labels + rng.random(550) / 2 for _ in range(2)]
pairs = {
    "the same scores": (distance, distance),
    "a distance, its square": (distance, distance**2),
    "both perfect": perfect,
    "with a little noise": (distance, distance + rng.normal(size=550) / 3),
}
for name, (a, b) in pairs.items():
    z, p, _, _, auc_a, auc_b, info = Delong_test(labels, a, b, random_state=0)
    print(
        f"{name:23} AUC {auc_a:.3f} and {auc_b:.3f}, z {z:.2g}, p {p:.2g}, "
        f"by {info['method']}"
    )
    if info["method"] == "bootstrap":
        assert auc_a == auc_b
        assert (z, p) == (0, 0)
assert info["method"] == "delong"
assert 0 < p < 1
PY
