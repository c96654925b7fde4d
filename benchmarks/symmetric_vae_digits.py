"""Accuracy of symmetric learning from few labels on digits, beside the lower bound and the labelled rows alone.

Training images carry one or ten labels a class, drawn at random; the others are unlabelled. Accuracy is that on test
images that no method has seen. SymmetricVAEClassifier is trained as a game of decoder and encoder and on the evidence
lower bound with the same settings, and on the bound with a weight of the labels as that of its authors; the supervised
method is the network of q(y|x) on the labelled rows alone. One setting serves both data sets, all numbers of labels and
draws. Divergences of the latents from their priors tell whether one has collapsed, and a sheet of samples, a row for
each class, what the decoder has learned.

Usage: python benchmarks/symmetric_vae_digits.py [--quick] [--data usps mnist] [--draws 3] [--jobs 2] [--device cpu]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

References: B. Flach, D. Schlesinger and A. Shekhovtsov, "Symmetric Equilibrium Learning of VAEs", AISTATS, 2024;
D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling, "Semi-Supervised Learning with Deep Generative Models", NeurIPS,
2014.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save, with_seed
from joblib import Parallel, delayed

from sklearn_geoal import NetClassifier, SymmetricVAEClassifier
from sklearn_geoal._symmetric_vae.classifier import DENSE
from sklearn_geoal.datasets import load_mnist, load_usps

SYMMETRIC = "symmetric"
METHODS = {
    "supervised": None,
    "lower bound": {"objective": "elbo"},
    "lower bound, label weight 100": {"objective": "elbo", "label_weight": 100},
    SYMMETRIC: {},
}
DATA = {"usps": load_usps, "mnist": load_mnist}
N_TRAIN = 10_000
N_PER_CLASS = (1, 10)
QUICK_ROWS, QUICK_EPOCHS = 1000, 4
N_STYLES = 10


def load(data, quick):
    """Rows to train on and their classes, test rows and theirs."""
    train, test = (DATA[data](subset=subset) for subset in ("train", "test"))
    rows = np.random.default_rng(0).permutation(len(train.data))[: QUICK_ROWS if quick else N_TRAIN]
    return train.data[rows], train.target[rows], test.data, test.target


def run(data, n_per_class, draw, method, device, quick):
    """Accuracy of a method with one draw of labels, its divergences, and samples of each class: one dict."""
    torch.set_num_threads(1)
    X, truth, X_test, y_test = load(data, quick)
    rng = np.random.default_rng(draw)
    labeled = np.concatenate([rng.permutation(np.flatnonzero(truth == c))[:n_per_class] for c in np.unique(truth)])
    y = np.full(len(truth), -1)
    y[labeled] = truth[labeled]
    start = time.perf_counter()
    row = {"data": data, "n_labels": len(labeled), "draw": draw, "method": method}
    if METHODS[method] is None:
        model = with_seed(NetClassifier(hidden_units=DENSE, device=device), draw).fit(X[labeled], truth[labeled])
    else:
        model = with_seed(SymmetricVAEClassifier(device=device, **METHODS[method]), draw)
        if quick:
            model.set_params(max_epochs=QUICK_EPOCHS)
        model.fit(X, y)
        row |= {name: model.history_[-1][name] for name in ("divergence_y", "divergence_s")}
        row["samples"] = model.sample(N_STYLES * 10, y=np.repeat(model.classes_, N_STYLES), random_state=0)[0]
    return row | {"score": model.score(X_test, y_test), "seconds": time.perf_counter() - start}


def summarize(runs):
    """One dict for all draws of a data set, number of labels and method."""
    groups = {}
    for one in runs:
        groups.setdefault((one["data"], one["n_labels"], one["method"]), []).append(one)
    rows = []
    for (data, n_labels, method), draws in groups.items():
        draws.sort(key=lambda one: one["draw"])
        scores = [one["score"] for one in draws]
        row = {"data": data, "n_labels": n_labels, "method": method, "scores": scores}
        row |= {"mean": float(np.mean(scores)), "std": float(np.std(scores)), "min": min(scores)}
        for name in ("divergence_y", "divergence_s", "seconds"):
            row[name] = float(np.mean([one[name] for one in draws])) if name in draws[0] else None
        rows.append(row)
    return rows


def print_tables(rows):
    for data in (name for name in DATA if any(row["data"] == name for row in rows)):
        for n_labels in sorted({row["n_labels"] for row in rows if row["data"] == data}):
            print(f"\n{data.upper()}, {n_labels} labels: accuracy in percent, mean over draws (deviation; lowest)")
            print(f"{'method':<32}{'accuracy':>20}{'KL of y':>10}{'KL of s':>10}{'seconds':>10}")
            for method in METHODS:
                row = next(r for r in rows if (r["data"], r["n_labels"], r["method"]) == (data, n_labels, method))
                score = f"{100 * row['mean']:.1f} ({100 * row['std']:.1f}; {100 * row['min']:.1f})"
                layers = [row["divergence_y"], row["divergence_s"]]
                cells = "".join(f"{'' if value is None else f'{value:.2f}':>10}" for value in layers)
                print(f"{method:<32}{score:>20}{cells}{row['seconds']:>10.0f}")


def draw_figure(runs):
    """A sheet of samples for each data set, of the game and of the bound: a row is a class, a column a style."""
    names = list(dict.fromkeys(one["data"] for one in runs))
    methods = [method for method, changes in METHODS.items() if changes is not None]
    fig, axes = plt.subplots(
        len(names), len(methods), figsize=(4 * len(methods), 4.3 * len(names)), squeeze=False, layout="constrained"
    )
    most = max(one["n_labels"] for one in runs)
    for data, row in zip(names, axes, strict=True):
        for method, ax in zip(methods, row, strict=True):
            key = (data, method, most, 0)
            one = next(r for r in runs if (r["data"], r["method"], r["n_labels"], r["draw"]) == key)
            side = round(one["samples"].shape[1] ** 0.5)
            sheet = one["samples"].reshape(10, N_STYLES, side, side).transpose(0, 2, 1, 3)
            ax.imshow(sheet.reshape(10 * side, N_STYLES * side), cmap="gray_r")
            ax.set(xticks=[], yticks=[], title=f"{data.upper()}, {most} labels: {method}")
    return fig


def main():
    quick = f"{QUICK_ROWS} training samples and {QUICK_EPOCHS} epochs: the numbers mean nothing"
    parser = make_parser(__doc__, quick)
    parser.add_argument("--data", nargs="+", choices=DATA, default=[*DATA], help="default: all")
    parser.add_argument("--draws", type=int, default=3, help="number of draws of labels")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    parser.add_argument("--device", default="cpu", help="where the networks compute")
    args = parser.parse_args()
    tasks = [
        delayed(run)(data, n_per_class, draw, method, args.device, args.quick)
        for data in args.data
        for n_per_class in N_PER_CLASS
        for draw in range(args.draws)
        for method in METHODS
    ]
    runs = []
    for done, row in enumerate(Parallel(n_jobs=args.jobs, return_as="generator_unordered")(tasks), 1):
        runs.append(row)
        print(f"{done} of {len(tasks)} runs", flush=True)
    rows = summarize(runs)
    print_tables(rows)
    settings = {
        "draws": args.draws,
        "quick": args.quick,
        "device": args.device,
        "symmetric": SymmetricVAEClassifier().get_params(),
    }
    save(args.output, "symmetric_vae_digits", settings, rows, draw_figure(runs))


if __name__ == "__main__":
    main()
