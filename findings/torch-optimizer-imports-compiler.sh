#!/usr/bin/env bash
# The first step of any torch optimizer imports torch's compiler, which is not used.
#
# torch 2.14.1: Optimizer.zero_grad and add_param_group are wrapped by a decorator that
# keeps torch.compile out of them. The wrapper imports torch._dynamo at its first call,
# with sympy and some hundred modules more, in programs that compile nothing. Here: a
# linear model, one step of Adam and of SGD, each in a process of its own. Who is hurt:
# whoever trains small networks in many short processes (command lines, workers of a
# sweep, cells of a course, tests): seconds and memory of the import in each of them;
# and whoever measures the "first epoch". Remedy: call the method that the wrapper hides
# (inspect.unwrap), or import once in a parent that forks.
#
# Output seen (seconds on a busy machine):
#   Adam: 0 modules of the compiler before, 95 after its first step; with all that they
#       import 893 more, and 3.8 s
#   SGD: 0 modules of the compiler before, 95 after its first step; with all that they
#       import 893 more, and 3.6 s
#   Adam, unwrapped: 0 modules of the compiler after its first step
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet torch==2.14.1 numpy==2.4.6
cd "$folder"
cat > step.py <<'PY'
import inspect
import sys
import time

import torch

name, plain = sys.argv[1], len(sys.argv) > 2
model = torch.nn.Linear(4, 1)
cls = getattr(torch.optim, name)


def compiler():
    return sum(module.startswith("torch._dynamo") for module in sys.modules)


class Plain(cls):
    """The same methods, without their wrappers."""

    def add_param_group(self, group):
        inspect.unwrap(cls.add_param_group)(self, group)

    def zero_grad(self, set_to_none=True):
        inspect.unwrap(cls.zero_grad)(self, set_to_none)

    @torch.no_grad()
    def step(self, closure=None):
        return inspect.unwrap(cls.step)(self, closure)


before, loaded, start = compiler(), len(sys.modules), time.perf_counter()
optimizer = (Plain if plain else cls)(model.parameters(), lr=0.01)
optimizer.zero_grad()
model(torch.ones(2, 4)).sum().backward()
optimizer.step()
after, more = compiler(), len(sys.modules) - loaded
seconds = time.perf_counter() - start
if plain:
    print(f"{name}, unwrapped: {after} modules of the compiler after its first step")
    assert before == after == 0
else:
    print(
        f"{name}: {before} modules of the compiler before, {after} after its first "
        f"step; with all that they\n    import {more} more, and {seconds:.1f} s"
    )
    assert before == 0 and after > 50 and more > 300
PY
venv/bin/python step.py Adam
venv/bin/python step.py SGD
venv/bin/python step.py Adam unwrapped
