#!/usr/bin/env bash
# An exported ONNX file tells its readers where the code lay, and some of its lines.
#
# torch 2.14.1: torch.onnx.export (dynamo=True, its default) keeps with every node the
# stack of calls that it came from: absolute paths, which hold the name of the user, line
# numbers, and the text of these lines: of a small file, more than the model itself.
# Here: a layer and a sum, of a module in a folder of a telling name. Who is hurt: whoever
# publishes a model, or gives it to a customer. Remedy: clear metadata_props of all nodes
# before the file is written.
#
# Output seen:
#   the folder's name stands in the file 3 times, and a line of its code
#   2,840 bytes as exported, 539 without metadata_props
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 onnx==1.23.2 onnxscript==0.7.2 \
    numpy==2.4.6
mkdir -p "$folder/secret-customer"
cd "$folder/secret-customer"
cat > score.py <<'PY'
import logging

import torch
from torch import nn


class Score(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.layer(x).square().sum(dim=1)  # our patented sum


logging.disable(logging.WARNING)
torch.onnx.export(Score().eval(), (torch.ones(2, 3),), "score.onnx", verbose=False)
PY
../venv/bin/python score.py
../venv/bin/python - <<'PY'
import onnx

content = open("score.onnx", "rb").read()
times = content.count(b"secret-customer")
line = b"our patented sum" in content
print(
    f"the folder's name stands in the file {times} times"
    f"{', and a line of its code' if line else ''}"
)
model = onnx.load("score.onnx")
graph = model.graph
for part in (graph, *graph.node, *graph.input, *graph.output, *graph.value_info):
    part.ClearField("metadata_props")
short = model.SerializeToString()
print(f"{len(content):,} bytes as exported, {len(short):,} without metadata_props")
assert times > 0
assert line
assert b"secret-customer" not in short
assert b"our patented sum" not in short
PY
