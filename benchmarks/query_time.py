"""Time and peak memory of one query of 100 samples against the size of the pool, beside scikit-activeml's strategies.

The pool is what a network would hand over: the activations of its last hidden layer, in 10 classes, 200 samples
labelled. The training of the classifier is not counted. What DDAL needs is shown with and without the search for
neighbours, whose time depends on the size of the pool and of the layer alone. Each query runs in a process of its own,
so that its peak memory is its own, and with a limit on it, so that running out of memory is a result and no accident.

Usage: python benchmarks/query_time.py [--quick] [--full] [--memory-limit 8] [--seed 0]

Needs scikit-activeml.
"""

import json
import resource
import subprocess
import sys
import time

import matplotlib.pyplot as plt
import numpy as np
from _common import make_parser, save
from skactiveml.classifier import SklearnClassifier
from skactiveml.pool import Badge, CoreSet, ProbCover, TypiClust, UncertaintySampling
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from sklearn_geoal import DDALQueryStrategy
from sklearn_geoal._active import ddal as ddal_module

N_CLASSES, N_LABELED, N_QUERIES = 10, 200, 100
SIZES = {"quick": [(1_000, 128), (5_000, 128)], "default": [(1_000, 128), (10_000, 128), (50_000, 128)]}
MILLION = (1_000_000, 32)
THEIRS = {
    "margin": UncertaintySampling(method="margin_sampling", random_state=0),
    "CoreSet": CoreSet(random_state=0),
    "Badge": Badge(random_state=0),
    "TypiClust": TypiClust(random_state=0),
    "ProbCover": ProbCover(n_classes=N_CLASSES, random_state=0),
}
TIME_LIMIT = 600  # seconds a strategy


def make_pool(n_samples, n_features, seed):
    """Rectified blobs, (n_samples, n_features), and their classes, -1 for all but N_LABELED samples."""
    X, y = make_blobs(n_samples, n_features, centers=N_CLASSES, cluster_std=8.0, random_state=seed)
    y[np.random.default_rng(seed).permutation(n_samples)[N_LABELED:]] = -1
    return np.maximum(X, 0).astype(np.float32), y


def time_ours(X, y):
    """Seconds of the neighbour search, and of kernel, diffusion and choice of the samples."""
    seconds = {"training": 0.0, "neighbours": 0.0}

    def timed(function, part):
        def call(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - start

        return call

    ddal_module.nearest_neighbors = timed(ddal_module.nearest_neighbors, "neighbours")
    ddal = DDALQueryStrategy(LogisticRegression(), embedding="input", n_jobs=-1, random_state=0)
    ddal._trained = timed(ddal._trained, "training")
    start = time.perf_counter()
    ddal.fit(X, y).query(N_QUERIES)
    total = time.perf_counter() - start
    return {"neighbours": seconds["neighbours"], "seconds": total - seconds["training"] - seconds["neighbours"]}


def time_theirs(name, X, y):
    labels = np.where(y < 0, np.nan, y)
    given = {}
    if name in ("margin", "Badge"):
        classifier = SklearnClassifier(LogisticRegression(), classes=range(N_CLASSES)).fit(X, labels)
        given = {"clf": classifier, "fit_clf": False}
    start = time.perf_counter()
    THEIRS[name].query(X, labels, batch_size=N_QUERIES, **given)
    return {"neighbours": 0.0, "seconds": time.perf_counter() - start}


def measure(name, n_samples, n_features, seed, memory_limit):
    """One query in this process: seconds, and peak memory in GiB after it and before it, once the pool is made."""
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_limit * 2**30),) * 2)
    X, y = make_pool(n_samples, n_features, seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    row = {"strategy": name, "n_samples": n_samples, "n_features": n_features, "before_gib": before}
    try:
        times = time_ours(X, y) if name == "DDAL" else time_theirs(name, X, y)
    except MemoryError:
        return {**row, "failure": "memory"}
    return {**row, **times, "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20}


def measure_in_new_process(name, n_samples, n_features, args):
    command = [sys.executable, __file__, "--one", name, str(n_samples), str(n_features)]
    command += ["--seed", str(args.seed), "--memory-limit", str(args.memory_limit)]
    failed = {"strategy": name, "n_samples": n_samples, "n_features": n_features}
    try:
        process = subprocess.run(command, capture_output=True, text=True, timeout=TIME_LIMIT)
    except subprocess.TimeoutExpired:
        return {**failed, "failure": "time"}
    if process.returncode:
        # libraries below numpy die of a lack of memory in their own ways
        print(process.stderr[-500:], file=sys.stderr)
        return {**failed, "failure": "crash"}
    return json.loads(process.stdout.splitlines()[-1])


def print_row(row, ours):
    line = f"{row['strategy']:<12}{row['n_samples']:>9} x {row['n_features']:<5}"
    if "failure" in row:
        print(line + f"   failed: {row['failure']}", flush=True)
        return
    ratio = f"{row['seconds'] / ours['seconds']:>12.2f}" if ours and "seconds" in ours else f"{'-':>12}"
    print(
        f"{line}{row['seconds']:>10.3f}{ratio}{row['neighbours']:>13.2f}"
        f"{row['peak_gib']:>12.2f}{row['before_gib']:>12.2f}",
        flush=True,
    )


def draw(rows):
    figure, axes = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
    for name in dict.fromkeys(row["strategy"] for row in rows):
        done = [row for row in rows if row["strategy"] == name and "failure" not in row and row["n_features"] == 128]
        n_samples = [row["n_samples"] for row in done]
        style = {"color": "black", "linewidth": 2} if name == "DDAL" else {}
        axes[0].loglog(n_samples, [row["seconds"] for row in done], marker="o", label=name, **style)
        if name == "DDAL":
            total = [row["seconds"] + row["neighbours"] for row in done]
            axes[0].loglog(n_samples, total, "k--", marker="o", label="DDAL and neighbour search")
        axes[1].loglog(n_samples, [row["peak_gib"] for row in done], marker="o", **style)
    axes[0].set(xlabel="samples", ylabel=f"seconds for {N_QUERIES} queries")
    axes[1].set(xlabel="samples", ylabel="peak memory in GiB")
    for ax in axes:
        ax.grid(alpha=0.3)
    figure.legend(loc="outside right center", frameon=False)
    return figure


def main():
    parser = make_parser(__doc__, "small pools only")
    parser.add_argument("--full", action="store_true", help=f"also {MILLION[0]} samples of {MILLION[1]} features, DDAL")
    parser.add_argument("--memory-limit", type=float, default=8, help="of a strategy, in GiB")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", nargs=3, metavar=("STRATEGY", "N", "D"), help="measure one query in this process")
    args = parser.parse_args()
    if args.one:
        name, n_samples, n_features = args.one
        print(json.dumps(measure(name, int(n_samples), int(n_features), args.seed, args.memory_limit)))
        return
    sizes = SIZES["quick" if args.quick else "default"]
    tasks = [(name, *size) for size in sizes for name in ("DDAL", *THEIRS)]
    tasks += [("DDAL", *MILLION)] if args.full else []
    columns = f"{'seconds':>10}{'to DDAL':>12}{'neighbours':>13}{'peak GiB':>12}{'before it':>12}"
    print(f"{'strategy':<12}{'pool':>17}{columns}")
    rows, ours = [], None
    for name, n_samples, n_features in tasks:
        row = measure_in_new_process(name, n_samples, n_features, args)
        ours = row if name == "DDAL" else ours
        rows.append(row)
        print_row(row, ours)
    settings = {
        "seed": args.seed,
        "memory_limit_gib": args.memory_limit,
        "time_limit_seconds": TIME_LIMIT,
        "n_classes": N_CLASSES,
        "n_labeled": N_LABELED,
        "n_queries": N_QUERIES,
        "strategies": {name: repr(strategy) for name, strategy in {"DDAL": DDALQueryStrategy(), **THEIRS}.items()},
    }
    save(args.output, "query_time", settings, rows, draw(rows))


if __name__ == "__main__":
    main()
