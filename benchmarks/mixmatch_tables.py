"""Accuracy of MixMatch from a few labels a class, on digits and on spectra, beside what else uses few labels.

Training samples carry one, a few or many labels a class, drawn at random; the rest is unlabelled. On USPS and on 10 000
images of MNIST accuracy is that on the test images, which no method has seen; on the spectra of Salinas-A it is that on
the pixels that were not drawn. Next to MixMatch stand two networks that see the labelled samples alone, of which the
second is trained as MixMatch trains: the same network, augmentations, number of steps and average of the weights.
Label spreading and self-training see the unlabelled samples too. Each method has one setting for all data sets, numbers
of labels and draws; what the data are, images or spectra, is told to the networks, which augment them accordingly.

Usage: python benchmarks/mixmatch_tables.py [--quick] [--data usps mnist salinas_a] [--draws 5] [--jobs 2]
       [--device cpu]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

Reference: D. Berthelot, N. Carlini, I. Goodfellow, N. Papernot, A. Oliver and C. Raffel, "MixMatch: a holistic approach
to semi-supervised learning", NeurIPS, 2019.
"""

import math
import time
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save, with_seed
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sklearn_geoal import MixMatchClassifier, NetClassifier
from sklearn_geoal._mixmatch.training import plan_epoch
from sklearn_geoal.datasets import load_mnist, load_salinas_a, load_usps

MIXMATCH = "MixMatch"
NET, AUGMENTED_NET = "supervised net", "supervised net, augmented"
SPREADING, SELF_TRAINING = "label spreading", "self-training"
SUPERVISED = [NET, AUGMENTED_NET]
METHODS = [NET, AUGMENTED_NET, SPREADING, SELF_TRAINING, MIXMATCH]

N_MNIST = 10_000
QUICK_ROWS, QUICK_EPOCHS = 1000, 4


# --- data -------------------------------------------------------------------------------------------------------------


class Problem(NamedTuple):
    """Training rows and their classes, test rows and theirs, and what the networks are told about the rows."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray | None  # None: tested on the unlabelled training rows
    y_test: np.ndarray | None
    form: dict


def usps():
    return _digits(load_usps(subset="train"), load_usps(subset="test"))


def mnist():
    """A balanced part of the training images, the same for all draws of labels; all test images."""
    train, test = load_mnist(subset="train"), load_mnist(subset="test")
    rows = draw_labeled(train.target, N_MNIST // 10, seed=0)
    train.data, train.target = train.data[rows], train.target[rows]
    return _digits(train, test)


def salinas_a():
    """Unit-norm spectra of the labelled pixels, each band standardised."""
    scene = load_salinas_a()
    known = scene.target >= 0
    X = make_pipeline(Normalizer(), StandardScaler()).fit_transform(scene.data[known])
    return Problem(X.astype(np.float32), scene.target[known], None, None, {"augment": "spectra"})


def _digits(train, test):
    return Problem(train.data, train.target, test.data, test.target, {"image_shape": train.image_shape})


DATA = {
    "usps": ("USPS", usps, (1, 4, 10)),
    "mnist": (f"MNIST, {N_MNIST} images", mnist, (1, 4, 10)),
    "salinas_a": ("Salinas-A, spectra", salinas_a, (5, 20)),
}


def draw_labeled(y, n_per_class, seed):
    """Indices of n_per_class rows of each class."""
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.permutation(np.flatnonzero(y == c))[:n_per_class] for c in np.unique(y)])


# --- methods ----------------------------------------------------------------------------------------------------------


def make_method(method, problem, n_labeled, device, quick):
    """The estimator of a method, without its seed."""
    mixmatch = MixMatchClassifier(device=device, **problem.form)
    if quick:
        mixmatch.set_params(max_epochs=QUICK_EPOCHS)
    return {
        MIXMATCH: mixmatch,
        # without MixUp and, for want of unlabelled rows, without guessed labels
        AUGMENTED_NET: clone(mixmatch).set_params(
            alpha=0, max_epochs=n_epochs_alike(mixmatch, len(problem.X), n_labeled)
        ),
        NET: NetClassifier(image_shape=problem.form.get("image_shape"), device=device),
        # settings of both chosen on other images of MNIST and on the spectra of Jasper Ridge
        SPREADING: make_pipeline(PCA(50), LabelSpreading(kernel="knn", n_neighbors=10, alpha=0.2, max_iter=200)),
        SELF_TRAINING: SelfTrainingClassifier(LogisticRegression(max_iter=1000)),
    }[method]


def n_epochs_alike(mixmatch, n_samples, n_labeled):
    """Epochs over the labelled rows alone that have as many steps as those of MixMatch over all."""
    n_unlabeled, batch_size = n_samples - n_labeled, mixmatch.batch_size
    n_steps = mixmatch.max_epochs * plan_epoch(n_labeled, n_unlabeled, batch_size)[0]
    return math.ceil(n_steps / plan_epoch(n_labeled, 0, batch_size)[0])


# --- runs -------------------------------------------------------------------------------------------------------------


def run(data, n_per_class, draw, methods, device, quick):
    """Accuracies of the methods with one draw of labels: one dict a method."""
    torch.set_num_threads(1)
    problem = DATA[data][1]()
    if quick and len(problem.X) > QUICK_ROWS:
        rows = np.random.default_rng(0).permutation(len(problem.X))[:QUICK_ROWS]
        problem = problem._replace(X=problem.X[rows], y=problem.y[rows])
    labeled = draw_labeled(problem.y, n_per_class, draw)
    y = np.full(len(problem.y), -1)
    y[labeled] = problem.y[labeled]
    X_test, y_test = problem.X_test, problem.y_test
    if X_test is None:
        X_test, y_test = np.delete(problem.X, labeled, axis=0), np.delete(problem.y, labeled)
    rows = []
    for method in methods:
        start = time.perf_counter()
        learner = with_seed(make_method(method, problem, len(labeled), device, quick), draw)
        if method in SUPERVISED:
            learner.fit(problem.X[labeled], problem.y[labeled])
        else:
            learner.fit(problem.X, y)
        score = learner.score(X_test, y_test)
        seconds = time.perf_counter() - start
        key = {"data": data, "n_per_class": n_per_class, "draw": draw, "method": method}
        rows.append({**key, "score": score, "seconds": seconds})
    return rows


def summarize(runs):
    """One dict for all draws of a data set, number of labels and method."""
    groups = {}
    for one in runs:
        groups.setdefault((one["data"], one["n_per_class"], one["method"]), []).append(one)
    rows = []
    for (data, n_per_class, method), draws in groups.items():
        draws.sort(key=lambda one: one["draw"])
        scores = np.array([one["score"] for one in draws])
        rows.append(
            {
                "data": data,
                "n_per_class": n_per_class,
                "method": method,
                "mean": float(scores.mean()),
                "std": float(scores.std()),
                "min": float(scores.min()),
                "scores": scores.tolist(),
                "seconds": float(np.mean([one["seconds"] for one in draws])),
            }
        )
    for row in rows:
        others = [
            other["mean"]
            for other in rows
            if other["method"] != MIXMATCH and all(other[name] == row[name] for name in ("data", "n_per_class"))
        ]
        row["gain_on_best_other"] = row["mean"] - max(others) if row["method"] == MIXMATCH else None
    return rows


def print_tables(rows):
    """A table for each data set, and by how much MixMatch is ahead of each other method, or behind."""
    for data in (name for name in DATA if any(row["data"] == name for row in rows)):
        of = {(row["method"], row["n_per_class"]): row for row in rows if row["data"] == data}
        numbers = sorted({n for _, n in of})
        n_draws = len(next(iter(of.values()))["scores"])
        print(f"\n{DATA[data][0]}: accuracy in percent, mean of {n_draws} draws of labels (deviation; the lowest)")
        head = "".join(f"{f'{n} a class':>22}" for n in numbers)
        print(f"{'method':<26}{head}{'seconds':>20}")
        for method in METHODS:
            shown = [of[method, n] for n in numbers]
            cells = "".join(
                f"{100 * row['mean']:>9.1f} ({100 * row['std']:4.1f}; {100 * row['min']:4.1f})" for row in shown
            )
            seconds = ", ".join(f"{row['seconds']:.0f}" for row in shown)
            print(f"{method:<26}{cells}{seconds:>20}")
        print("MixMatch ahead by points of")
        for method in METHODS[:-1]:
            gains = "".join(f"{100 * (of[MIXMATCH, n]['mean'] - of[method, n]['mean']):>+9.1f}{'':13}" for n in numbers)
            print(f"  {method:<24}{gains}".rstrip())


def draw_figure(rows):
    """A panel for each data set: means and single draws against the number of labels."""
    names = [name for name in DATA if any(row["data"] == name for row in rows)]
    fig, axes = plt.subplots(1, len(names), figsize=(4.4 * len(names) + 0.6, 4.4), squeeze=False, layout="constrained")
    colors = dict(zip(METHODS, plt.get_cmap("tab10").colors, strict=False))
    for ax, data in zip(axes[0], names, strict=True):
        numbers = sorted({row["n_per_class"] for row in rows if row["data"] == data})
        for i, method in enumerate(METHODS):
            shown = sorted(
                (row for row in rows if row["data"] == data and row["method"] == method),
                key=lambda row: row["n_per_class"],
            )
            at = np.arange(len(numbers)) + 0.06 * (i - 2)
            style = {"color": colors[method], "linewidth": 2.2 if method == MIXMATCH else 1.2}
            ax.plot(at, [100 * row["mean"] for row in shown], marker="o", markersize=4, label=method, **style)
            for x, row in zip(at, shown, strict=True):
                scores = 100 * np.array(row["scores"])
                ax.plot(np.full(len(scores), x), scores, linestyle="", marker=".", alpha=0.4, color=colors[method])
        ax.set_xticks(range(len(numbers)), labels=numbers)
        ax.set(xlabel="Labels a class", ylabel="Accuracy in percent", title=DATA[data][0])
        ax.grid(alpha=0.3)
    entries = axes[0, 0].get_legend_handles_labels()
    fig.legend(*entries, loc="outside lower center", ncols=min(5, 2 * axes.size), frameon=False)
    return fig


def main():
    quick = f"2 draws, {QUICK_ROWS} training samples and {QUICK_EPOCHS} epochs: the numbers mean nothing"
    parser = make_parser(__doc__, quick)
    parser.add_argument("--data", nargs="+", choices=DATA, default=[*DATA], help="default: all")
    parser.add_argument("--draws", type=int, help="number of draws of labels (default: 5, with --quick 2)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    parser.add_argument("--device", default="cpu", help="where the networks compute")
    args = parser.parse_args()
    n_draws = args.draws or (2 if args.quick else 5)
    settings = [(name, n, draw) for name in args.data for n in DATA[name][2] for draw in range(n_draws)]
    # the longest first, so that no process is left with it in the end
    tasks = [
        delayed(run)(*setting, methods, args.device, args.quick)
        for methods in ([MIXMATCH], METHODS[:-1])
        for setting in sorted(settings, key=lambda setting: setting[0] != "mnist")
    ]
    start = time.perf_counter()
    runs = []
    for done, rows in enumerate(Parallel(n_jobs=args.jobs, return_as="generator_unordered")(tasks), 1):
        runs += rows
        print(f"[{time.perf_counter() - start:5.0f} s] {done} of {len(tasks)} runs", flush=True)
    rows = summarize(runs)
    print_tables(rows)
    settings = {
        "draws": n_draws,
        "quick": args.quick,
        "device": args.device,
        "mixmatch": MixMatchClassifier().get_params(),
        "seconds": time.perf_counter() - start,
    }
    save(args.output, "mixmatch_tables", settings, rows, draw_figure(rows))


if __name__ == "__main__":
    main()
