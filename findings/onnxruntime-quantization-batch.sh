#!/usr/bin/env bash
# A dynamically quantized ONNX model scores a sample by the batch that it is in.
#
# onnxruntime 1.32.0: quantize_dynamic makes the graph find the scale of each layer's
# input when it runs, from the smallest and the largest value in the *whole batch*. One
# sample with large values, which is what anomalies are, makes the grid of 8 bits coarse
# for its neighbors: their scores, and labels, change. Without quantization the same graph
# does not do that. Here: a small Deep SVDD of the threes of load_digits, exported by
# torch.onnx.export; each of 1,797 images alone, and in batches of 16 with one more image
# that is eight times as bright. Who is hurt: whoever quantizes a detector to make it
# small: scores no longer repeat, and depend on what else came in. Remedy: keep
# detectors in floating point, quantize statically, or score samples one by one.
#
# Output seen:
#   float32:   largest relative change 0.0e+00, labels changed 0; AUC 0.957 alone, 0.957 in company
#   quantized: largest relative change 1.0e+00, labels changed 53; AUC 0.956 alone, 0.950 in company
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 torch==2.14.1 onnx==1.23.2 \
    onnxscript==0.7.2 scikit-learn==1.9.1 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import logging

import numpy as np
import onnxruntime
import torch
from onnxruntime.quantization import quantize_dynamic
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from torch import nn


class Score(nn.Module):
    """Squared distance of a small LeNet's output to a center."""

    def __init__(self):
        super().__init__()
        layers = []
        for n_in, n_out in ((1, 8), (8, 4)):
            layers += [
                nn.Conv2d(n_in, n_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(n_out, affine=False),
                nn.LeakyReLU(0.1),
                nn.MaxPool2d(2),
            ]
        self.net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16, 16, bias=False))
        self.register_buffer("center", torch.zeros(16))

    def forward(self, x):
        return (self.net(x) - self.center).square().sum(dim=1)


torch.set_num_threads(1)
torch.manual_seed(0)
pixels, digit = load_digits(return_X_y=True)
x = torch.tensor(pixels.reshape(-1, 1, 8, 8) / 16, dtype=torch.float32)
train = x[digit == 3]
model = Score().eval()
with torch.no_grad():
    center = model.net(train).mean(dim=0)
    model.center.copy_(torch.where(center < 0, -1.0, 1.0) * center.abs().clamp(min=0.1))
model.train()
adam = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-6)
for _ in range(100):
    for batch in torch.randperm(len(train)).split(32):
        adam.zero_grad()
        model(train[batch]).mean().backward()
        adam.step()
model.eval()

logging.disable(logging.WARNING)
torch.onnx.export(
    model, (x[:2],), "m.onnx", verbose=False, dynamic_shapes={"x": {0: "batch"}}
)
quantize_dynamic("m.onnx", "q.onnx")


def score(session, batch):
    return session.run(None, {"x": batch})[0].ravel()


images = x.numpy()
bright = 8 * images[:1]
for name, path in (("float32:", "m.onnx"), ("quantized:", "q.onnx")):
    session = onnxruntime.InferenceSession(path)
    alone = np.concatenate([score(session, image[None]) for image in images])
    batches = [images[i : i + 16] for i in range(0, len(images), 16)]
    company = np.concatenate(
        [score(session, np.r_[batch, bright])[:-1] for batch in batches]
    )
    ordered = np.sort(alone[digit == 3])
    k = int(0.95 * len(ordered))
    threshold = (ordered[k - 1] + ordered[k]) / 2  # on no sample, but between two
    change = np.max(np.abs(company - alone) / alone)
    labels = int(np.sum((company > threshold) != (alone > threshold)))
    aucs = [roc_auc_score(digit != 3, scores) for scores in (alone, company)]
    print(
        f"{name:10} largest relative change {change:.1e}, labels changed {labels}; "
        f"AUC {aucs[0]:.3f} alone, {aucs[1]:.3f} in company"
    )
    if path == "m.onnx":
        assert change < 1e-4
        assert labels == 0
    else:
        assert change > 0.1
        assert labels > 5
PY
