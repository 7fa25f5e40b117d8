#!/usr/bin/env bash
# A float64 model exported to ONNX computes with Python's numbers in single precision.
#
# torch 2.14.1: torch.onnx.export (dynamo=True, its default) writes a number of Python, as
# in x - 0.1 or x / 0.1, as a float32 constant and casts that to float64. Tensors keep
# their precision. Nothing is said: types and shapes are those of torch, the result is off
# by 1e-8 of the number. Here: a squared distance less the square of a radius, as the
# soft-boundary Deep SVDD scores; a sample on the sphere gets 1.5e-9 for 0. Who is hurt:
# whoever compares an exported float64 model with the original to more than seven digits,
# or cuts its scores at a threshold that they come close to. Remedy: make such numbers
# tensors of the right type, torch.tensor(0.1, dtype=x.dtype), or buffers.
#
# Output seen:
#   minus 0.1: off by 1.5e-09 as a number, by 0.0e+00 as a tensor
#   over  0.1: off by 1.5e-08 of itself as a number, by 0.0e+00 as a tensor
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 torch==2.14.1 onnx==1.23.2 \
    onnxscript==0.7.2 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import logging

import numpy as np
import onnxruntime
import torch
from torch import nn


class Score(nn.Module):
    """A squared length, less a number, and divided by it."""

    def __init__(self, number):
        super().__init__()
        self.number = number

    def forward(self, x):
        square = x.square().sum(dim=1)
        return square - self.number, square / self.number


def off(number):
    """How far onnxruntime is from torch: absolute, and relative."""
    model, x = Score(number).eval(), torch.ones(2, 1, dtype=torch.float64)
    logging.disable(logging.WARNING)
    exported = torch.onnx.export(model, (x,), verbose=False)
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    minus, over = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    assert minus.dtype == over.dtype == np.float64
    expected_minus, expected_over = (value.numpy() for value in model(x))
    differences = minus - expected_minus, over / expected_over - 1
    return [float(np.abs(difference).max()) for difference in differences]


number, tensor = off(0.1), off(torch.tensor(0.1, dtype=torch.float64))
print(f"minus 0.1: off by {number[0]:.1e} as a number, by {tensor[0]:.1e} as a tensor")
print(
    f"over  0.1: off by {number[1]:.1e} of itself as a number, "
    f"by {tensor[1]:.1e} as a tensor"
)
assert min(number) > 1e-10
assert max(tensor) < 1e-15
PY
