"""Accuracy of every classifier with its defaults, beside plain baselines, on scenes, tables and images with few labels.

Who takes an estimator with its defaults should not be worse off than with five lines of scikit-learn. Each method sees
the same rows, some thousand of a data set, and the same labels of them, as many of each class, drawn at random;
accuracy is that on the other rows.
Active learners get these labels too and ask for none: what is measured is what they make of labels. All methods get the
same numbers: scenes by a SpectraScaler, tables by a StandardScaler, images by one mean and one deviation of all their
values. Networks are told the shape of images; which rows are spectra nobody is told.

The best baseline is the one with the highest mean at a data set and a number of labels, a choice in its own favour.
Differences to it are paired, draw by draw, and come with their standard errors.

Usage: python benchmarks/defaults.py [--quick] [--data digits wine] [--methods LAND MixMatch] [--draws 5] [--jobs 2]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data. Results of some methods, such as after a
change of one, hold all baselines too.
"""

import io
import os
import time
import warnings
from pathlib import Path
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save, with_seed
from joblib import Parallel, delayed
from matplotlib.colors import TwoSlopeNorm
from PIL import Image
from scipy.stats import rankdata
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import SVC

from sklearn_geoal import (
    DDALQueryStrategy,
    LANDClassifier,
    MixMatchClassifier,
    NetClassifier,
    SymmetricVAEClassifier,
)
from sklearn_geoal.datasets import (
    load_jasper_ridge,
    load_landsat8_zion,
    load_salinas_a,
    load_sentinel2_amazon,
    load_usps,
)
from sklearn_geoal.preprocessing import SpectraScaler

N_ROWS, QUICK_ROWS = 1000, 200
MIN_ROWS_OF_CLASS = 40  # twice the largest number of labels, where a class has so many rows
COUNTS, QUICK_COUNTS = (1, 2, 5, 10, 20), (2, 10)
QUICK_DATA = ("salinas_a", "segment", "digits", "wine")
QUICK_PARAMS = {"max_epochs": 3}


# --- data -------------------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Rows, their classes, and the shape of a row that is an image."""

    X: np.ndarray
    y: np.ndarray
    image_shape: tuple | None = None


def scene(load):
    """Spectra of the labelled pixels that hold a measurement in every band."""
    data, target = load(return_X_y=True)
    known = (target >= 0) & np.isfinite(data).all(axis=1)
    return Problem(SpectraScaler().fit_transform(data[known].astype(float)), target[known])


def table(X, y):
    return Problem(StandardScaler().fit_transform(X), y)


def stored_table(name):
    arrays = np.load(folder() / "tables" / f"{name}.npz")
    return table(arrays["X"].astype(float), arrays["y"].astype(int))


def images(X, y, image_shape):
    return Problem((X - X.mean()) / X.std(), y, image_shape)


def usps():
    bunch = load_usps()
    return images(bunch.data, bunch.target, bunch.image_shape)


def eurosat():
    """Every fourth image of 64 x 64 pixels, as means over 4 x 4 of them."""
    stored = np.load(folder() / "eurosat" / "eurosat_rgb_jpeg_7000.npz")
    kept, ends = range(0, len(stored["labels"]), 4), stored["offsets"]
    full = np.stack([_decode(stored["buffer"][ends[i] : ends[i + 1]]) for i in kept])  # (n, 64, 64, 3)
    small = full.reshape(-1, 16, 4, 16, 4, 3).mean(axis=(2, 4)).transpose(0, 3, 1, 2)
    return images(small.reshape(len(small), -1), stored["labels"][kept], (3, 16, 16))


def _decode(content):
    return np.asarray(Image.open(io.BytesIO(content.tobytes())).convert("RGB"))


def folder():
    return Path(os.environ["SKLEARN_GEOAL_DATA"])


DATA = {
    "salinas_a": lambda: scene(load_salinas_a),
    "jasper_ridge": lambda: scene(load_jasper_ridge),
    "sentinel2_amazon": lambda: scene(load_sentinel2_amazon),
    "landsat8_zion": lambda: scene(load_landsat8_zion),
    "satimage": lambda: stored_table("satimage"),
    "letter": lambda: stored_table("letter"),
    "segment": lambda: stored_table("image_segment"),
    "pendigits": lambda: stored_table("pendigits_train"),
    "digits": lambda: images(*load_digits(return_X_y=True), (1, 8, 8)),
    "breast_cancer": lambda: table(*load_breast_cancer(return_X_y=True)),
    "wine": lambda: table(*load_wine(return_X_y=True)),
    "usps": usps,
    "eurosat": eurosat,
}


def sample(name, n_rows):
    """Rows of a data set, the same for all draws of labels: random ones, and more of classes that are rare in them."""
    problem = DATA[name]()
    order = np.random.default_rng(0).permutation(len(problem.y))
    rows = set(order[:n_rows])
    for label in np.unique(problem.y):
        rows.update(order[problem.y[order] == label][:MIN_ROWS_OF_CLASS])
    rows = np.array(sorted(rows))
    return problem._replace(X=problem.X[rows], y=problem.y[rows])


def draw_labeled(y, n_per_class, seed):
    """Indices of n_per_class rows of each class, but of no class more than half."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    return np.concatenate([rows[: min(n_per_class, len(rows) // 2)] for rows in drawn])


# --- methods ----------------------------------------------------------------------------------------------------------

BASELINES = {
    "logistic": lambda: LogisticRegression(max_iter=2000),
    "SVM": SVC,
    "forest": lambda: RandomForestClassifier(random_state=0),
    "label spreading": lambda: LabelSpreading(kernel="knn", max_iter=200),
    "self-training": lambda: SelfTrainingClassifier(LogisticRegression(max_iter=2000)),
}
OURS = {
    "LAND": lambda form: LANDClassifier(),
    "DDAL": lambda form: DDALQueryStrategy(),
    "MixMatch": lambda form: MixMatchClassifier(**form),
    "symmetric VAE": lambda form: SymmetricVAEClassifier(**form),
    "net": lambda form: NetClassifier(**form),
}
SUPERVISED = {"logistic", "SVM", "forest", "net"}


def make_method(method, image_shape, quick):
    if method in BASELINES:
        return BASELINES[method]()
    estimator = OURS[method]({} if image_shape is None else {"image_shape": image_shape})
    return estimator.set_params(**QUICK_PARAMS) if quick and "max_epochs" in estimator.get_params() else estimator


def run(data, n_per_class, draw, methods, quick):
    """Accuracies of the methods with one draw of labels: one dict a method."""
    torch.set_num_threads(1)
    problem = sample(data, QUICK_ROWS if quick else N_ROWS)
    labeled = draw_labeled(problem.y, n_per_class, draw)
    y = np.full(len(problem.y), -1)
    y[labeled] = problem.y[labeled]
    others = np.delete(np.arange(len(y)), labeled)
    rows = []
    for method in methods:
        start = time.perf_counter()
        learner = with_seed(make_method(method, problem.image_shape, quick), draw)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of label spreading where no label reaches a row, of logistic regression
            if method in SUPERVISED:
                learner.fit(problem.X[labeled], problem.y[labeled])
            else:
                learner.fit(problem.X, y)
            right = learner.predict(problem.X) == problem.y
        rows.append(
            {
                "data": data,
                "n_per_class": n_per_class,
                "draw": draw,
                "method": method,
                "score": float(right[others].mean()),
                "labeled_score": float(right[labeled].mean()),
                "seconds": time.perf_counter() - start,
            }
        )
    return rows


# --- results ----------------------------------------------------------------------------------------------------------


def summarize(runs):
    """One dict for all draws of a data set, number of labels and method, with the difference to the best baseline."""
    settings = {}
    for one in sorted(runs, key=lambda one: one["draw"]):
        settings.setdefault((one["data"], one["n_per_class"]), {}).setdefault(one["method"], []).append(one)
    rows = []
    for (data, n_per_class), of in settings.items():
        scores = {method: np.array([one["score"] for one in draws]) for method, draws in of.items()}
        best = max(BASELINES, key=lambda method: scores[method].mean())
        ranks = rankdata([-values.mean() for values in scores.values()])
        for rank, (method, values) in zip(ranks, scores.items(), strict=True):
            difference = values - scores[best]
            error = difference.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
            rows.append(
                {
                    "data": data,
                    "n_per_class": n_per_class,
                    "method": method,
                    "mean": float(values.mean()),
                    "scores": values.tolist(),
                    "rank": float(rank),
                    "best_baseline": best,
                    "difference": float(difference.mean()),
                    "standard_error": float(error),
                    "labeled_mean": float(np.mean([one["labeled_score"] for one in of[method]])),
                    "seconds": float(np.mean([one["seconds"] for one in of[method]])),
                }
            )
    return rows


def is_behind(row):
    """Whether a method is behind the best baseline by more than 0.01 and by more than one standard error."""
    return row["difference"] < -max(0.01, row["standard_error"])


def methods_of(rows):
    return list(dict.fromkeys(row["method"] for row in rows))


def print_tables(rows):
    """Differences at each setting, then ranks and the worst loss of each method."""
    methods = methods_of(rows)
    of = {(row["data"], row["n_per_class"], row["method"]): row for row in rows}
    ours = [method for method in methods if method in OURS]
    print("\nPoints ahead of the best plain baseline, mean of the draws (standard error)")
    print(f"{'data':<18}{'a class':>8}{'best baseline':>23}" + "".join(f"{method:>18}" for method in ours))
    for data, count in dict.fromkeys((row["data"], row["n_per_class"]) for row in rows):
        best = of[data, count, methods[0]]["best_baseline"]
        shown = [of[data, count, method] for method in ours]
        cells = "".join(f"{100 * row['difference']:>+11.1f} ({100 * row['standard_error']:4.1f})" for row in shown)
        print(f"{data:<18}{count:>8}{best:>16} {100 * of[data, count, best]['mean']:6.1f}{cells}")
    print(f"\n{'method':<18}{'mean':>7}{'rank':>7}{'behind':>9}{'own labels':>12}{'seconds':>9}   worst loss")
    for method in methods:
        mine = [row for row in rows if row["method"] == method]
        worst = min(mine, key=lambda row: row["difference"])
        mean, rank, seconds = (np.mean([row[key] for row in mine]) for key in ("mean", "rank", "seconds"))
        print(
            f"{method:<18}{100 * mean:>7.1f}{rank:>7.2f}{sum(map(is_behind, mine)):>4} of {len(mine):<3}"
            f"{100 * min(row['labeled_mean'] for row in mine):>10.1f}{seconds:>9.1f}   "
            f"{100 * worst['difference']:+.1f} ({100 * worst['standard_error']:.1f}) "
            f"to {worst['best_baseline']}, {worst['data']} at {worst['n_per_class']}"
        )


def draw_figure(rows):
    """A panel for each of our methods: points ahead of the best baseline, by data set and number of labels."""
    ours = [method for method in methods_of(rows) if method in OURS]
    names = list(dict.fromkeys(row["data"] for row in rows))
    counts = sorted({row["n_per_class"] for row in rows})
    size = (1.8 + 2.2 * len(ours), 1.4 + 0.36 * len(names))
    fig, axes = plt.subplots(1, len(ours), figsize=size, sharey=True, squeeze=False, layout="constrained")
    for ax, method in zip(axes[0], ours, strict=True):
        grid = np.full((len(names), len(counts)), np.nan)
        for row in (row for row in rows if row["method"] == method):
            at = names.index(row["data"]), counts.index(row["n_per_class"])
            grid[at] = 100 * row["difference"]
            weight = "bold" if is_behind(row) else "normal"
            ax.text(*at[::-1], f"{grid[at]:+.0f}", ha="center", va="center", fontsize=7, fontweight=weight)
        image = ax.imshow(grid, cmap="RdBu", norm=TwoSlopeNorm(0, -20, 20), aspect="auto")
        ax.set(title=method, xlabel="Labels a class")
        ax.set_xticks(range(len(counts)), labels=counts)
        ax.set_yticks(range(len(names)), labels=names)
    fig.colorbar(image, ax=axes, label="Points ahead of the best baseline")
    return fig


def main():
    quick = f"2 draws, {QUICK_ROWS} rows of few data sets, short trainings: the numbers mean nothing"
    parser = make_parser(__doc__, quick)
    parser.add_argument("--data", nargs="+", choices=DATA, help="default: all, with --quick a few")
    parser.add_argument(
        "--methods", nargs="+", choices=OURS, default=[*OURS], help="beside the baselines; default: all"
    )
    parser.add_argument("--draws", type=int, help="number of draws of labels (default: 5, with --quick 2)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    names = args.data or (QUICK_DATA if args.quick else DATA)
    n_draws = args.draws or (2 if args.quick else 5)
    counts = QUICK_COUNTS if args.quick else COUNTS
    methods = [*BASELINES, *args.methods]
    tasks = [
        delayed(run)(name, n, draw, methods, args.quick) for name in names for n in counts for draw in range(n_draws)
    ]
    workers = Parallel(n_jobs=args.jobs, return_as="generator")
    start = time.perf_counter()
    runs = []
    for done, rows in enumerate(workers(tasks), 1):
        runs += rows
        print(f"[{time.perf_counter() - start:5.0f} s] {done} of {len(tasks)} runs", flush=True)
    rows = summarize(runs)
    print_tables(rows)
    settings = {"draws": n_draws, "quick": args.quick, "rows": N_ROWS, "seconds": time.perf_counter() - start}
    save(args.output, "defaults", settings, rows, draw_figure(rows))


if __name__ == "__main__":
    main()
