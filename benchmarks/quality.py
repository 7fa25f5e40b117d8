"""What speed costs in quality: ``python -m benchmarks.quality --help``.

``recipes`` looks for the cheapest training; it chooses by a rule that sees no label and
no anomaly, and prints the test AUC beside it. ``budget`` does the same for the batch
and the number of steps that suit few images, ``rates`` for the learning rates of
``fast``. ``precision`` compares bfloat16 with
single precision. All append a line a run to a file, and go on where they stopped.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.lines import append, left, parser, read
from deepsvdd import DeepSVDD, Split, get_recipe, load_dataset, one_vs_rest
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import shortened
from deepsvdd.reproduction.provenance import provenance
from deepsvdd.reproduction.support_vectors import altered_images

DIGITS = range(10)
EPOCHS = ((2, 2), (3, 3), (5, 5), (10, 10))  # of pretraining, and of training
MEMBERS = 6


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser("quality", __doc__, EXPERIMENTS)
    options.add_argument("--digits", default=DIGITS, type=int, nargs="+", metavar="D")
    given = options.parse_args(arguments)
    jobs, run, summary = EXPERIMENTS[given.experiment]
    origin = provenance(torch.device("cpu"))
    for job in tqdm(left(given.output, jobs(given.digits)), unit="run"):
        append(given.output, job | run(**job) | {"provenance": origin})
    summary(read(given.output))


# ----------------------------------------------------------------------------- recipes


def recipe_jobs(digits: Sequence[int]) -> Iterator[dict[str, Any]]:
    for digit, epochs in product(digits, EPOCHS):
        yield {"digit": digit, "epochs": list(epochs)}


def run_recipe(digit: int, epochs: list[int]) -> dict[str, Any]:
    """Train members on nine tenths of the normal training images.

    The last tenth is the rule's normal data; its anomalies are the same images turned
    and mirrored.
    """
    split = one_vs_rest(load_dataset("mnist"), digit)
    order = np.random.default_rng(0).permutation(len(split.x_train))
    held_out, rest = np.split(order, [len(order) // 10])
    normal = split.x_train[held_out]
    altered = altered_images(normal)
    recipe = shortened(get_recipe("fast", "mnist_LeNet"), *epochs)
    detector = DeepSVDD(recipe=recipe, n_members=MEMBERS, random_state=0, device="cpu")
    start = time.perf_counter()
    detector.fit(split.x_train[rest])
    seconds = (time.perf_counter() - start) / MEMBERS

    members = detector.members_

    def scores(images: NDArray) -> NDArray:  # (members, n)
        one_by_one = []
        for member in members:
            detector.members_ = [member]
            one_by_one.append(np.sqrt(detector.anomaly_score(images.copy())))
        return np.stack(one_by_one) / [[m.mean_distance] for m in members]

    of_normal, of_test = scores(normal), scores(split.x_test)
    of_altered = [scores(images) for images in altered]
    labels = np.repeat([0, 1], len(normal))
    rule, test = [], []
    for m in range(1, MEMBERS + 1):  # the mean of the first m members
        aucs = [
            roc_auc(labels, np.r_[of_normal[:m].mean(0), scored[:m].mean(0)])
            for scored in of_altered
        ]
        rule.append(float(np.mean(aucs)))
        test.append(roc_auc(split.y_test, of_test[:m].mean(0)))
    return {"seconds_a_member": seconds, "rule": rule, "test_auc": test}


def summarise_recipes(lines: list[dict[str, Any]]) -> None:
    """Print a row for every recipe and number of members, cheapest first."""
    print(f"\n{len({line['digit'] for line in lines})} digits; AUC in %")
    print("epochs  members  seconds   rule   test")
    rows = []
    for epochs in sorted({tuple(line["epochs"]) for line in lines}):
        own = [line for line in lines if tuple(line["epochs"]) == epochs]
        seconds = np.mean([line["seconds_a_member"] for line in own])
        rule = np.mean([line["rule"] for line in own], axis=0)
        test = np.mean([line["test_auc"] for line in own], axis=0)
        for m in range(MEMBERS):
            rows.append(((m + 1) * seconds, epochs, m + 1, rule[m], test[m]))
    best = 0.0
    for seconds, epochs, m, rule, test in sorted(rows):
        mark = "*" if rule > best else " "  # best by the rule so far
        best = max(best, rule)
        name = "+".join(map(str, epochs))
        figures = f"{100 * rule:6.2f} {100 * test:6.2f}"
        print(f"{name:>6} {m:8d} {seconds:8.1f} {figures} {mark}")


# ------------------------------------------------------------------------------ budget

HELD_OUT = 1000  # normal images of the rule
# batch size (a part of n, at least 50, at most 200) and steps of either phase
BUDGETS = ((1, 250), (1 / 4, 250), (1 / 4, 500), (1 / 10, 250), (1 / 10, 100))


def budget_jobs(digits: Sequence[int]) -> Iterator[dict[str, Any]]:
    sizes = (50, 200, 400, 1000)
    for seed, digit, n in product(range(2), digits, sizes):
        # Of few images, several parts are the same batch.
        batches = [(min(max(round(p * n), min(n, 50)), 200), k) for p, k in BUDGETS]
        for batch_size, steps in dict.fromkeys(batches):
            job = {"digit": digit, "n": n, "batch_size": batch_size, "steps": steps}
            yield job | {"seed": seed}


def run_budget(
    digit: int, n: int, batch_size: int, steps: int, seed: int
) -> dict[str, Any]:
    """Train on the first n normal images; the rule's are the last ones."""
    split = one_vs_rest(load_dataset("mnist"), digit)
    fast = get_recipe("fast", "mnist_LeNet")
    n_epochs = math.ceil(steps / math.ceil(n / batch_size))
    recipe = replace(
        shortened(fast, n_epochs, n_epochs),
        pretraining=replace(fast.pretraining, n_epochs=n_epochs, batch_size=batch_size),
        training=replace(fast.training, n_epochs=n_epochs, batch_size=batch_size),
    )
    detector = DeepSVDD(recipe=recipe, random_state=seed, device="cpu")
    start = time.process_time()
    detector.fit(split.x_train[:n])
    seconds = time.process_time() - start
    return {"cpu_seconds": seconds} | judged(detector, split)


def judged(detector: DeepSVDD, split: Split) -> dict[str, float]:
    """Compute the rule's AUC, and the test AUC, which chooses nothing."""
    normal = split.x_train[-HELD_OUT:]
    labels = np.repeat([0, 1], HELD_OUT)
    scores = detector.anomaly_score(normal)
    rule = [
        roc_auc(labels, np.r_[scores, detector.anomaly_score(images.copy())])
        for images in altered_images(normal)
    ]
    test = roc_auc(split.y_test, detector.anomaly_score(split.x_test))
    return {"rule": float(np.mean(rule)), "test_auc": test}


def summarise_budget(lines: list[dict[str, Any]]) -> None:
    """Print a row for every number of images, batch size and number of steps."""
    print(f"\n{len({line['digit'] for line in lines})} digits; AUC in %")
    print("    n  batch  steps  CPU s   rule   test")
    for n, batch, steps in sorted(
        {(line["n"], line["batch_size"], line["steps"]) for line in lines}
    ):
        own = [
            line
            for line in lines
            if (line["n"], line["batch_size"], line["steps"]) == (n, batch, steps)
        ]
        seconds, rule, test = (
            np.mean([line[key] for line in own])
            for key in ("cpu_seconds", "rule", "test_auc")
        )
        figures = f"{100 * rule:6.2f} {100 * test:6.2f}"
        print(f"{n:5d} {batch:6d} {steps:6d} {seconds:6.1f} {figures}")


# ------------------------------------------------------------------------------- rates

RATES = tuple(product((1e-3, 3e-3, 1e-2), (3e-4, 1e-3, 3e-3)))  # pretraining, training


def rates_jobs(digits: Sequence[int]) -> Iterator[dict[str, Any]]:
    for seed, digit, rates in product(range(2), digits, RATES):
        yield {"digit": digit, "rates": list(rates), "seed": seed}


def run_rates(digit: int, rates: list[float], seed: int) -> dict[str, Any]:
    """Train on all normal images but the rule's, with other peaks of the rates."""
    split = one_vs_rest(load_dataset("mnist"), digit)
    fast = get_recipe("fast", "mnist_LeNet")
    recipe = replace(
        fast,
        pretraining=replace(fast.pretraining, lr=rates[0]),
        training=replace(fast.training, lr=rates[1]),
    )
    detector = DeepSVDD(recipe=recipe, random_state=seed, device="cpu")
    return judged(detector.fit(split.x_train[:-HELD_OUT]), split)


def summarise_rates(lines: list[dict[str, Any]]) -> None:
    """Print a row for every pair of learning rates, the rule's choice marked."""
    runs = {(line["digit"], line["seed"]) for line in lines}
    print(f"\n{len(runs)} trainings each; AUC in %, mean over them")
    print("pretraining  training   rule   test")
    rows = {}
    for rates in sorted({tuple(line["rates"]) for line in lines}):
        own = [line for line in lines if tuple(line["rates"]) == rates]
        rows[rates] = [np.mean([line[k] for line in own]) for k in ("rule", "test_auc")]
    best = max(rows, key=lambda rates: rows[rates][0], default=None)
    for rates, (rule, test) in rows.items():
        mark = "*" if rates == best else ""
        print(
            f"{rates[0]:11g} {rates[1]:9g} {100 * rule:6.2f} {100 * test:6.2f} {mark}"
        )


# --------------------------------------------------------------------------- precision


def precision_jobs(digits: Sequence[int]) -> Iterator[dict[str, Any]]:
    for digit, seed, precision in product(digits, range(3), ("float32", "bf16")):
        yield {"digit": digit, "precision": precision, "seed": seed}


def run_precision(digit: int, precision: str, seed: int) -> dict[str, Any]:
    """Train with the fast recipe, and test."""
    split = one_vs_rest(load_dataset("mnist"), digit)
    recipe = get_recipe("fast", "mnist_LeNet")
    detector = DeepSVDD(
        recipe=recipe, precision=precision, random_state=seed, device="cpu"
    )
    scores = detector.fit(split.x_train).anomaly_score(split.x_test)
    return {"auc": roc_auc(split.y_test, scores)}


def summarise_precision(lines: list[dict[str, Any]]) -> None:
    """Print the differences, bfloat16 minus single precision, in points."""
    auc = {(li["digit"], li["seed"], li["precision"]): li["auc"] for li in lines}
    pairs = [
        key[:2] for key in auc if key[2] == "bf16" and (*key[:2], "float32") in auc
    ]
    differences = [auc[(*p, "bf16")] - auc[(*p, "float32")] for p in pairs]
    mean, std = 100 * np.mean(differences), 100 * np.std(differences, ddof=1)
    print(
        f"\nbf16 - float32, {len(pairs)} pairs: {mean:+.2f} points on average, ", end=""
    )
    print(f"standard deviation {std:.2f}, of the mean {std / len(pairs) ** 0.5:.2f}")


EXPERIMENTS = {
    "budget": (budget_jobs, run_budget, summarise_budget),
    "recipes": (recipe_jobs, run_recipe, summarise_recipes),
    "rates": (rates_jobs, run_rates, summarise_rates),
    "precision": (precision_jobs, run_precision, summarise_precision),
}

if __name__ == "__main__":
    main()
