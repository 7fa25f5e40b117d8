#!/usr/bin/env bash
# safetensors.numpy writes the memory of an array that is not in C order as if it were.
#
# safetensors 0.8.0 with numpy 2.4.6: save_file() of a Fortran-ordered, a reversed or a
# sliced array raises nothing. The file has the right shape and dtype, and other values:
# the bytes are written in the order in which they lie in memory. safetensors.torch
# refuses such tensors ("non contiguous"). Who is hurt: whoever keeps transposed weights,
# means or extrema in NumPy. Remedy: np.ascontiguousarray before saving.
#
# Output seen:
#   C order        equal True   shape (2, 3)
#   Fortran order  equal False  shape (2, 3)
#   reversed       equal False  shape (2, 3)
#   every second   equal False  shape (2, 3)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet safetensors==0.8.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<'PY'
import numpy as np
from safetensors.numpy import load_file, save_file

whole = np.arange(12.0).reshape(2, 6)
base = np.arange(6.0).reshape(2, 3)
arrays = {
    "C order": base,
    "Fortran order": np.asfortranarray(base),
    "reversed": base[::-1],
    "every second": whole[:, ::2],
}
found = {}
for name, array in arrays.items():
    save_file({"x": array}, "x.safetensors")
    read = load_file("x.safetensors")["x"]
    found[name] = np.array_equal(read, array)
    print(f"{name:14} equal {found[name]!s:5}  shape {read.shape}")
    assert read.shape == array.shape
assert found == {name: name == "C order" for name in arrays}
PY
