"""Time and peak memory of LANDClassifier against the number of samples, part by part.

Fit, query of 10, teach of 10, and both again, on two tables of 10 features: Gaussian blobs and a noisy
two-dimensional manifold. Each size runs in a process of its own, so that its peak memory is its own.

Usage: python benchmarks/land_scaling.py [--quick] [--seed 0]
"""

import json
import math
import resource
import subprocess
import sys
import time
from collections import defaultdict

import matplotlib.pyplot as plt
import numpy as np
from _common import make_parser, save
from sklearn.datasets import make_blobs

from sklearn_geoal import LANDClassifier
from sklearn_geoal._active import land as land_module

SIZES = {"full": [5_000, 20_000, 100_000, 300_000, 1_000_000], "quick": [2_000, 5_000, 20_000]}
PARTS = {
    "neighbours": ["nearest_neighbors"],
    "spectrum": ["kernel_weights", "random_walk", "leading_eigenpairs"],
    "forest": ["kernel_density", "density_forest"],
    "labels": ["diffuse_labels", "margins", "neighborhood_mean"],
}


def blobs(n_samples, seed):
    return make_blobs(n_samples, n_features=10, centers=10, cluster_std=2.0, random_state=seed)


def manifold(n_samples, seed):
    """A curved sheet in 10 dimensions with noise across it; the classes are a 3 x 3 board on the sheet."""
    rng = np.random.default_rng(seed)
    u, v = rng.uniform(size=(2, n_samples))
    X = np.stack([np.cos(6 * u), np.sin(6 * u), 2 * u, 2 * v, np.cos(5 * v), np.sin(3 * u + v), u * v], axis=1)
    X = np.column_stack([X, np.cos(4 * u), np.sin(4 * v), u - v])
    return X + 0.02 * rng.standard_normal(X.shape), (3 * u).astype(int) + 3 * (3 * v).astype(int)


def measure(table, n_samples, seed):
    """Seconds of each part and of each verb, peak memory in GiB and accuracy, in this process."""
    X, y = {"blobs": blobs, "manifold": manifold}[table](n_samples, seed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = defaultdict(float)

    def timed(function, part):
        def run(*args, **kwargs):
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[part] += time.perf_counter() - start

        return run

    for part, names in PARTS.items():
        for name in names:
            setattr(land_module, name, timed(getattr(land_module, name), part))
    land = LANDClassifier(n_jobs=-1, random_state=seed)
    timed(land.fit, "fit")(X)
    for _ in range(2):
        queries = timed(land.query, "query")(10)
        timed(land.teach, "teach")(queries, y[queries])
    total = seconds["fit"] + seconds["query"] + seconds["teach"]
    return {
        "table": table,
        "n_samples": n_samples,
        **seconds,
        "total": total,
        "neighbours_share": seconds["neighbours"] / total,
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "data_gib": before / 2**20,
        "accuracy_20_labels": float(np.mean(land.transduction_ == y)),
    }


def measure_in_new_process(table, n_samples, seed):
    command = [sys.executable, __file__, "--one", table, str(n_samples), "--seed", str(seed)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1])


def growth(rows, first, last):
    """Exponent a of total ~ n^a between two sizes."""
    time_of = {row["n_samples"]: row["total"] for row in rows}
    return math.log(time_of[last] / time_of[first]) / math.log(last / first)


def draw(rows):
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for ax, table in zip(axes, ("blobs", "manifold"), strict=True):
        chosen = [row for row in rows if row["table"] == table]
        n_samples = [row["n_samples"] for row in chosen]
        for part in ("total", *PARTS):
            style = {"color": "black", "linewidth": 2} if part == "total" else {}
            ax.loglog(n_samples, [row[part] for row in chosen], marker="o", label=part, **style)
        ax.set(title=table, xlabel="samples")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("seconds")
    axes[0].legend()
    return figure


def main():
    parser = make_parser(__doc__, "small sizes only")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", nargs=2, metavar=("TABLE", "N"), help="measure one size in this process")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(measure(args.one[0], int(args.one[1]), args.seed)))
        return
    sizes = SIZES["quick" if args.quick else "full"]
    names = ["neighbours", "spectrum", "forest", "labels", "fit", "query", "teach", "total"]
    print(f"{'table':9}{'samples':>9}" + "".join(f"{name:>11}" for name in names) + f"{'peak GiB':>10}{'accuracy':>10}")
    rows = []
    for table in ("blobs", "manifold"):
        for n_samples in sizes:
            row = measure_in_new_process(table, n_samples, args.seed)
            rows.append(row)
            line = "".join(f"{row[name]:11.2f}" for name in names)
            line = f"{table:9}{n_samples:9d}{line}{row['peak_gib']:10.2f}{row['accuracy_20_labels']:10.4f}"
            print(line, flush=True)
    for table in ("blobs", "manifold"):
        chosen = [row for row in rows if row["table"] == table]
        first, last = sizes[-3], sizes[-1]
        share = chosen[-1]["neighbours_share"]
        print(
            f"{table}: grows as n^{growth(chosen, first, last):.2f} from {first} to {last} samples; "
            f"neighbours take {share:.0%} of the time at {last}"
        )
    save(args.output, "land_scaling", {"seed": args.seed, "sizes": sizes}, rows, draw(rows))


if __name__ == "__main__":
    main()
