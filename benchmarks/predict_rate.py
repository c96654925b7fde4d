"""Rows a second that LANDClassifier predicts, beside a random forest and plain nearest neighbours, and its agreement.

A synthetic scene of 7 and of 204 bands, and real ones where SKLEARN_GEOAL_DATA names their folder. All predict the rows
that LAND was not fitted on, one after the other in each round, on one core; the figures are medians over rounds. The
forest (100 trees) and KNeighborsClassifier learn the fitted rows with the labels that LAND gave them: the same
knowledge. A second forest learns the known labels only. Agreement is with the exact rule: all nearest distinct rows, by
all distances.

Usage: python benchmarks/predict_rate.py [--quick] [--rounds 5] [--seed 0]
"""

import time

import matplotlib.pyplot as plt
import numpy as np
from _common import make_parser, save
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from sklearn.preprocessing import normalize

from sklearn_geoal import LANDClassifier
from sklearn_geoal.datasets import (
    load_jasper_ridge,
    load_landsat8_zion,
    load_salinas_a,
    load_sentinel2_amazon,
    make_hyperspectral_scene,
)

# data and numbers of fitted rows
SIZES = {
    "quick": {"7 bands": [2_000, 8_000], "204 bands": [2_000, 8_000], "Salinas-A": [3_500]},
    "full": {
        "7 bands": [8_000, 30_000, 100_000],
        "204 bands": [8_000, 30_000, 100_000],
        "Landsat Zion": [8_000, 100_000],
        "Sentinel-2 Amazon": [8_000, 38_000],
        "Salinas-A": [3_500],
        "Jasper Ridge": [6_000],
    },
}
N_LABELS = [20, 1_000]
N_PREDICTED, N_OF_NEIGHBORS = 20_000, 2_000
COLUMNS = ["LAND", "forest", "forest of labels", "KNeighbors"]


def load(name, n_rows, seed):
    """All rows in random order and their labels; None where the data are not there."""
    if name.endswith("bands"):
        side = int(np.sqrt(n_rows + N_PREDICTED)) + 1
        X, y = make_hyperspectral_scene(8, (side, side), int(name.split()[0]), random_state=seed, return_X_y=True)
    else:
        loaders = {
            "Landsat Zion": load_landsat8_zion,
            "Sentinel-2 Amazon": load_sentinel2_amazon,
            "Salinas-A": load_salinas_a,
            "Jasper Ridge": load_jasper_ridge,
        }
        try:
            X, y = loaders[name](return_X_y=True)
        except (FileNotFoundError, ImportError):
            return None
        valid = np.isfinite(X).all(axis=1)
        X, y = X[valid].astype(np.float64), y[valid]
        X = normalize(X) if X.shape[1] > 100 else X
    order = np.random.default_rng(seed).permutation(len(X))
    return X[order], y[order]


def exact_labels(land, X, new):
    """What LAND predicts if all nearest rows are found."""
    rows, first = np.unique(X, axis=0, return_index=True)
    distances, neighbors = NearestNeighbors(n_neighbors=land.n_neighbors_).fit(rows).kneighbors(new)
    nearest = np.maximum(distances[:, :1], 1e-12)
    weights = (nearest / np.maximum(distances, 1e-12)) ** 2
    p = np.einsum("qk,qkc->qc", weights, land.label_distribution_[first[neighbors]])
    return land.classes_[p.argmax(axis=1)]


def rates(predictors, new, n_rounds):
    """Median rows a second of each predictor, which take turns; the last of them gets fewer rows."""
    seconds = {name: [] for name in predictors}
    for _ in range(n_rounds):
        for name, predict in predictors.items():
            rows = new[:N_OF_NEIGHBORS] if name == "KNeighbors" else new
            start = time.perf_counter()
            predict(rows)
            seconds[name].append((time.perf_counter() - start) / len(rows))
    return {name: 1 / np.median(taken) for name, taken in seconds.items()}


def measure(name, n_rows, X, y, n_rounds, seed):
    """One row of results for each number of labels."""
    new, X, y = X[n_rows : n_rows + N_PREDICTED], X[:n_rows], y[:n_rows]
    start = time.perf_counter()
    land = LANDClassifier(random_state=seed).fit(X)
    fit_seconds = time.perf_counter() - start
    labeled = np.flatnonzero(y >= 0)
    for n_labels in N_LABELS:
        known = labeled[: min(n_labels, len(labeled) // 2)]
        land.teach(known, y[known])
        forest, forest_of_labels = (RandomForestClassifier(100, n_jobs=1, random_state=seed) for _ in range(2))
        predictors = {
            "LAND": land.predict,
            "forest": forest.fit(X, land.transduction_).predict,
            "forest of labels": forest_of_labels.fit(X[known], y[known]).predict,
            "KNeighbors": KNeighborsClassifier(20, weights="distance").fit(X, land.transduction_).predict,
        }
        start = time.perf_counter()
        predicted = land.predict(new)  # builds the search
        first_seconds = time.perf_counter() - start
        yield {
            "data": name,
            "n_bands": X.shape[1],
            "n_fitted": n_rows,
            "n_labels": len(known),
            **rates(predictors, new, n_rounds),
            "agreement": float(np.mean(predicted == exact_labels(land, X, new))),
            "fit_seconds": fit_seconds,
            "first_predict_seconds": first_seconds,
        }


def draw(rows):
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
    for ax, data in zip(axes, ("7 bands", "204 bands"), strict=True):
        chosen = [row for row in rows if row["data"] == data and row["n_labels"] == max(N_LABELS)]
        for column in COLUMNS:
            style = {"color": "black", "linewidth": 2} if column == "LAND" else {}
            n_fitted = [row["n_fitted"] for row in chosen]
            ax.loglog(n_fitted, [row[column] for row in chosen], marker="o", label=column, **style)
        ax.set(title=data, xlabel="fitted rows")
        ax.grid(alpha=0.3)
    axes[0].set_ylabel("predicted rows a second")
    axes[0].legend()
    return figure


def main():
    parser = make_parser(__doc__, "small sizes only")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which all take their turn")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    sizes = SIZES["quick" if args.quick else "full"]
    print(
        f"{'data':19}{'fitted':>8}{'labels':>8}"
        + "".join(f"{name:>18}" for name in [*COLUMNS, "to forest", "agreement"])
    )
    rows = []
    for name, n_fitted in sizes.items():
        for n_rows in n_fitted:
            table = load(name, n_rows, args.seed)
            if table is None:
                print(f"{name:19} not found")
                break
            for row in measure(name, n_rows, *table, args.rounds, args.seed):
                rows.append(row)
                line = "".join(f"{row[column]:18,.0f}" for column in COLUMNS)
                line += f"{row['LAND'] / row['forest']:18.2f}{row['agreement']:18.4f}"
                print(f"{name:19}{n_rows:8d}{row['n_labels']:8d}{line}", flush=True)
    save(args.output, "predict_rate", {"seed": args.seed, "rounds": args.rounds, "sizes": sizes}, rows, draw(rows))


if __name__ == "__main__":
    main()
