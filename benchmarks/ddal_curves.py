"""Accuracy of diffusion-based deep active learning and other query strategies against the number of labels.

The paper's figures: 2 and 3 (checkerboards), 4 (MNIST with its dense and its convolutional net, poker hands; here also
the spectra of Salinas-A) and 5 (sizes of batches and numbers of epochs). All strategies start from the same labels and
train the same net from the same weights, anew after each batch; the runs differ in pool, initial labels and weights.
Accuracy is that on held-out samples. Strategies see what a user would give them: the net's probabilities or its last
hidden layer, by which core-set and BADGE (both in _strategies.py) compare samples too.

The networks are those of the paper, but for poker hands with 256 hidden units, not 1024. They are trained from scratch
and, on images, in batches of 64: the paper's batches of 8, 100 epochs on from the last weights, take too long on a CPU.

Usage: python benchmarks/ddal_curves.py [--quick] [--data checkerboard_binary ...] [--seeds 5] [--jobs 2] [--device cpu]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data. Needs scikit-activeml.

Reference: D. Kushnir and L. Venturi, "Diffusion-based sampling for deep active learning", SampTA, 2023.
"""

import time
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save, with_seed
from _strategies import Badge, CoreSet
from joblib import Parallel, delayed
from skactiveml.pool import RandomSampling, UncertaintySampling, uncertainty_scores
from sklearn.base import BaseEstimator
from sklearn.preprocessing import Normalizer, StandardScaler
from torch import nn

from sklearn_geoal import DDALQueryStrategy, NetClassifier
from sklearn_geoal.datasets import load_mnist, load_pokerhand, load_salinas_a
from sklearn_geoal.interop import PoolLearner
from sklearn_geoal.model_selection import label_efficiency_curve
from sklearn_geoal.plot import LabelEfficiencyDisplay

N_DROPOUT_PASSES = 20


# --- networks ---------------------------------------------------------------------------------------------------------


class BoardNet(nn.Sequential):
    """Two hidden layers of 30."""

    dropout = 0.0

    def __init__(self, input_shape, n_outputs):
        sizes, layers = (*input_shape, 30, 30), []
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(self.dropout)]
        super().__init__(*layers, nn.Linear(sizes[-1], n_outputs))


class PokerNet(nn.Sequential):
    """One hidden layer of 256."""

    dropout = 0.0

    def __init__(self, input_shape, n_outputs):
        n_inputs = input_shape[0]
        super().__init__(nn.Linear(n_inputs, 256), nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(256, n_outputs))


class DenseNet(nn.Sequential):
    """Hidden layers of 100 and 50, inputs of the second normalised.

    Those of the first are not: most pixels at the rim are zero in all samples of a small batch.
    """

    dropout = 0.0

    def __init__(self, input_shape, n_outputs):
        n_inputs = input_shape[0]
        first = [nn.Linear(n_inputs, 100), nn.ReLU(), nn.Dropout(self.dropout)]
        second = [nn.BatchNorm1d(100), nn.Linear(100, 50), nn.ReLU(), nn.Dropout(self.dropout)]
        super().__init__(*first, *second, nn.Linear(50, n_outputs))


class ConvNet(nn.Sequential):
    """Convolution with 16 kernels of 5 x 5, two hidden layers of 20, inputs of both normalised."""

    dropout = 0.0

    def __init__(self, input_shape, n_outputs):
        convolution = [nn.Unflatten(1, (1, 28, 28)), nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
        first = [nn.BatchNorm1d(16 * 12 * 12), nn.Linear(16 * 12 * 12, 20), nn.ReLU(), nn.Dropout(self.dropout)]
        second = [nn.BatchNorm1d(20), nn.Linear(20, 20), nn.ReLU(), nn.Dropout(self.dropout)]
        super().__init__(*convolution, *first, *second, nn.Linear(20, n_outputs))


class BoardDropoutNet(BoardNet):
    dropout = 0.5


class PokerDropoutNet(PokerNet):
    dropout = 0.5


class DenseDropoutNet(DenseNet):
    dropout = 0.5


class ConvDropoutNet(ConvNet):
    dropout = 0.5


WITH_DROPOUT = {
    BoardNet: BoardDropoutNet,
    PokerNet: PokerDropoutNet,
    DenseNet: DenseDropoutNet,
    ConvNet: ConvDropoutNet,
}


# --- strategies -------------------------------------------------------------------------------------------------------


class DropoutEntropy(BaseEstimator):
    """Entropy of the probabilities averaged over passes with dropout, the paper's "bayes-entropy"."""

    def query(self, X, y, clf, fit_clf=False, candidates=None, batch_size=1):
        probabilities = mean_dropout_probabilities(clf.estimator_, X[candidates])
        scores = uncertainty_scores(probabilities, method="entropy")
        return candidates[np.argsort(-scores, kind="stable")[:batch_size]]


def mean_dropout_probabilities(net_classifier, X):
    """Probabilities of the classes, (n_samples, n_classes), averaged over passes with dropout."""
    module, device = net_classifier.net_.module_, net_classifier.net_.device
    X = torch.from_numpy(((X - net_classifier.location_) / net_classifier.scale_).astype(np.float32))
    module.eval()
    for layer in module.modules():
        layer.train(isinstance(layer, nn.Dropout))
    with torch.inference_mode(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(len(X))
        passes = [
            sum(module.probabilities(part) for _ in range(N_DROPOUT_PASSES)) / N_DROPOUT_PASSES
            for part in X.to(device).split(1000)
        ]
    probabilities = torch.cat(passes).cpu().numpy().astype(np.float64)
    return probabilities / probabilities.sum(axis=1, keepdims=True)


def embed(net_classifier, X):
    return net_classifier.embed(X)


STRATEGIES = {
    "random": RandomSampling(),
    "uncertainty": UncertaintySampling(method="least_confident"),
    "margin": UncertaintySampling(method="margin_sampling"),
    "entropy": UncertaintySampling(method="entropy"),
    "core-set": CoreSet(),
    "BADGE": Badge(),
    "dropout entropy": DropoutEntropy(),
    "DDAL, paper": DDALQueryStrategy(kernel_scale="own", n_steps="auto", batch_mode="smallest"),
    "DDAL": DDALQueryStrategy(),
}
OWN = [name for name in STRATEGIES if name.startswith("DDAL")]


def make_learner(strategy, setup, seed, device):
    """The active learner that trains the net of a setup and asks as one of STRATEGIES does."""
    backbone = WITH_DROPOUT[setup.backbone] if strategy == "dropout entropy" else setup.backbone
    net = NetClassifier(backbone, device=device, random_state=seed, **setup.training)
    if strategy in OWN:
        return with_seed(DDALQueryStrategy(net, **vars_of(STRATEGIES[strategy])), seed)
    return PoolLearner(net, STRATEGIES[strategy], representation=embed, random_state=seed)


def vars_of(learner):
    """Parameters of a learner, without those of the estimator within it."""
    return {name: value for name, value in learner.get_params(deep=False).items() if name != "estimator"}


# --- data -------------------------------------------------------------------------------------------------------------


def checkerboard(n_classes, seed, n_cells=4, n_pool=2000, n_test=20_000):
    """Uniform points on a board of n_cells x n_cells, 8 of the pool labelled, as many of each class."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_pool + n_test, 2)).astype(np.float32)
    i, j = np.minimum(X * n_cells, n_cells - 1).astype(int).T
    y = (i + j) % 2 if n_classes == 2 else (i + 2 * j) % 4
    codes = y[:n_pool]
    initial = np.concatenate([rng.permutation(np.flatnonzero(codes == c))[: 8 // n_classes] for c in range(n_classes)])
    return X[:n_pool], y[:n_pool], X[n_pool:], y[n_pool:], initial


def mnist(seed, n_pool=10_000, n_initial=20):
    """A balanced random part of the training images; all test images."""
    rng = np.random.default_rng(seed)
    train, test = load_mnist(subset="train"), load_mnist(subset="test")
    pool = np.concatenate(
        [rng.permutation(np.flatnonzero(train.target == c))[: n_pool // 10] for c in np.unique(train.target)]
    )
    pool = rng.permutation(pool)
    return train.data[pool], train.target[pool], test.data, test.target, np.arange(n_initial)


def pokerhand(seed, n_pool=10_000, n_initial=100):
    X, y = load_pokerhand(return_X_y=True)
    return _split(StandardScaler().fit_transform(X), y, seed, n_pool, n_initial)


def salinas_a(seed, n_initial=10):
    """Unit-norm spectra, each band standardised, of one half of the labelled pixels; tested on the other half."""
    scene = load_salinas_a()
    known = scene.target >= 0
    X = StandardScaler().fit_transform(Normalizer().fit_transform(scene.data[known]))
    return _split(X.astype(np.float32), scene.target[known], seed, known.sum() // 2, n_initial)


def _split(X, y, seed, n_pool, n_initial):
    order = np.random.default_rng(seed).permutation(len(X))
    pool, test = order[:n_pool], order[n_pool:]
    return X[pool], y[pool], X[test], y[test], np.arange(n_initial)


class Setup(NamedTuple):
    """What is compared on: data as ``load(seed)``, net and training, and the budgets first, last and step."""

    title: str
    load: callable
    backbone: type
    training: dict
    budgets: tuple
    shown: tuple


BOARD_TRAINING = {"max_epochs": 400, "lr": 0.01, "lr_schedule": "constant"}
IMAGE_TRAINING = {"max_epochs": 100, "batch_size": 64, "lr": 3e-3}
POKER_TRAINING = {"max_epochs": 50, "batch_size": 128, "lr": 1e-3}
BOARD_BUDGETS, IMAGE_BUDGETS, POKER_BUDGETS = (8, 208, 10), (20, 420, 40), (100, 1500, 200)
SETUPS = {
    "checkerboard_binary": Setup(
        "Checkerboard, 2 classes", partial(checkerboard, 2), BoardNet, BOARD_TRAINING, BOARD_BUDGETS, (48, 98, 148, 208)
    ),
    "checkerboard_multiclass": Setup(
        "Checkerboard, 4 classes", partial(checkerboard, 4), BoardNet, BOARD_TRAINING, BOARD_BUDGETS, (48, 98, 148, 208)
    ),
    "mnist_dense": Setup("MNIST, dense net", mnist, DenseNet, IMAGE_TRAINING, IMAGE_BUDGETS, (100, 220, 340, 420)),
    "mnist_conv": Setup("MNIST, conv. net", mnist, ConvNet, IMAGE_TRAINING, IMAGE_BUDGETS, (100, 220, 340, 420)),
    "pokerhand": Setup("Poker hands", pokerhand, PokerNet, POKER_TRAINING, POKER_BUDGETS, (300, 700, 1100, 1500)),
    "salinas_a": Setup("Salinas-A spectra", salinas_a, DenseNet, IMAGE_TRAINING, (10, 150, 10), (20, 50, 100, 150)),
}
# figure 5: accuracy at the last budget against the size of batches and the number of epochs
ROBUSTNESS = {"batch_size": (50, 100, 200, 700), "max_epochs": (10, 25, 50, 100)}
ROBUSTNESS_DATA = "pokerhand"
ROBUSTNESS_STRATEGIES = ("random", "uncertainty", "core-set", "BADGE", "DDAL")
QUICK_STEPS, QUICK_STRATEGIES = 4, ("random", "margin", "core-set", "BADGE", "DDAL")


# --- runs -------------------------------------------------------------------------------------------------------------


def run(data, strategy, seed, device, quick, batch_size=None, max_epochs=None):
    """One curve, as a dict. ``batch_size`` and ``max_epochs`` stand in for those of the setup."""
    torch.set_num_threads(1)
    setup = SETUPS[data]
    if max_epochs is not None:
        setup = setup._replace(training={**setup.training, "max_epochs": max_epochs})
    first, last, step = setup.budgets
    if quick:
        last = min(last, first + QUICK_STEPS * step)
    step = batch_size or step
    budgets = np.append(np.arange(first, last, step), last)
    X, y, X_test, y_test, initial = setup.load(seed)
    learner = make_learner(strategy, setup, seed, device)
    start = time.perf_counter()
    curve = label_efficiency_curve(
        learner, X, y, budgets, initial=initial, batch_size=step, X_test=X_test, y_test=y_test, random_state=seed
    )
    key = {"data": data, "strategy": strategy, "seed": seed, "batch_size": batch_size, "max_epochs": max_epochs}
    seconds = time.perf_counter() - start
    return {**key, "budgets": budgets.tolist(), "scores": curve.scores.tolist(), "seconds": seconds}


def area(budgets, scores):
    """Area under each curve relative to its width: the mean accuracy over the budgets."""
    return np.trapezoid(scores, budgets, axis=-1) / (budgets[-1] - budgets[0])


def summarize(curves):
    """One dict for all seeds of a curve."""
    groups = {}
    for curve in curves:
        key = tuple(curve[name] for name in ("data", "strategy", "batch_size", "max_epochs"))
        groups.setdefault(key, []).append(curve)
    rows = []
    for (data, strategy, batch_size, max_epochs), seeds in groups.items():
        scores, budgets = np.array([curve["scores"] for curve in seeds]), seeds[0]["budgets"]
        areas = area(budgets, scores)
        rows.append(
            {
                "data": data,
                "strategy": strategy,
                "batch_size": batch_size,
                "max_epochs": max_epochs,
                "budgets": budgets,
                "mean": scores.mean(axis=0).tolist(),
                "std": scores.std(axis=0).tolist(),
                "area_mean": float(areas.mean()),
                "area_std": float(areas.std()),
                "areas": areas.tolist(),
                "scores": scores.tolist(),
                "seconds": float(np.mean([curve["seconds"] for curve in seeds])),
            }
        )
    for row in rows:
        others = [
            other["area_mean"]
            for other in rows
            if other["strategy"] not in OWN
            and all(other[name] == row[name] for name in ("data", "batch_size", "max_epochs"))
        ]
        row["ratio_to_best_other"] = row["area_mean"] / max(others) if others else None
    return rows


def print_curves(rows, data):
    shown = [row for row in rows if row["data"] == data and row["batch_size"] is None and row["max_epochs"] is None]
    if not shown:
        return
    budgets = [budget for budget in SETUPS[data].shown if budget in shown[0]["budgets"]] or shown[0]["budgets"][1:]
    print(f"\n{SETUPS[data].title}: mean accuracy of {len(shown[0]['scores'])} runs (deviation), after so many labels")
    head = "".join(f"{budget:>14}" for budget in budgets)
    print(f"{'strategy':<18}{head}{'area':>16}{'to best other':>15}{'seconds':>9}")
    for row in shown:
        at = [row["budgets"].index(budget) for budget in budgets]
        cells = "".join(f"{row['mean'][i]:>6.3f} ({row['std'][i]:.3f})" for i in at)
        total = f"{row['area_mean']:.4f} ({row['area_std']:.4f})"
        print(f"{row['strategy']:<18}{cells}{total:>16}{row['ratio_to_best_other']:>15.3f}{row['seconds']:>9.1f}")


def print_robustness(rows, name):
    shown = [row for row in rows if row[name] is not None]
    if not shown:
        return
    last = shown[0]["budgets"][-1]
    print(f"\n{SETUPS[ROBUSTNESS_DATA].title}: mean accuracy (deviation) after {last} labels, against {name}")
    values = sorted({row[name] for row in shown})
    print(f"{'strategy':<18}" + "".join(f"{value:>14}" for value in values))
    for strategy in dict.fromkeys(row["strategy"] for row in shown):
        of_value = {row[name]: row for row in shown if row["strategy"] == strategy}
        cells = "".join(f"{of_value[value]['mean'][-1]:>6.3f} ({of_value[value]['std'][-1]:.3f})" for value in values)
        print(f"{strategy:<18}{cells}")


def draw(rows):
    """A panel for each data set, and one for each of the two quantities of figure 5."""
    curves = [row for row in rows if row["batch_size"] is None and row["max_epochs"] is None]
    panels = [*dict.fromkeys(row["data"] for row in curves)]
    robustness = [name for name in ROBUSTNESS if any(row[name] is not None for row in rows)]
    n_panels = len(panels) + len(robustness)
    n_columns = min(n_panels, 4)
    n_rows = -(-n_panels // n_columns)
    size = (4.2 * n_columns + 0.5, 3.6 * n_rows + 0.9)
    fig, axes = plt.subplots(n_rows, n_columns, figsize=size, squeeze=False, layout="constrained")
    colors = dict(zip(STRATEGIES, plt.get_cmap("tab10").colors, strict=False))
    for ax, data in zip(axes.flat, panels, strict=False):
        lines = {row["strategy"]: (row["budgets"], row["scores"]) for row in curves if row["data"] == data}
        display = LabelEfficiencyDisplay(lines).plot(ax=ax, xscale="linear")
        for name, line in display.lines_.items():
            line.set(color=colors[name], marker="", linewidth=2.2 if name == "DDAL" else 1.2)
        for name, band in zip(lines, ax.collections, strict=False):  # there are none of a single run
            band.set(color=colors[name], alpha=0.1)
        ax.set_title(SETUPS[data].title)
    for ax, name in zip(axes.flat[len(panels) :], robustness, strict=False):
        shown = [row for row in rows if row[name] is not None]
        for strategy in dict.fromkeys(row["strategy"] for row in shown):
            of = sorted((row[name], row["mean"][-1], row["std"][-1]) for row in shown if row["strategy"] == strategy)
            value, mean, std = np.array(of).T
            ax.errorbar(value, mean, std, color=colors[strategy], label=strategy, capsize=2)
        ax.set(xscale="log", xlabel=name, ylabel="Accuracy", title=f"{SETUPS[ROBUSTNESS_DATA].title}, last budget")
        ax.set_xticks(ROBUSTNESS[name], labels=ROBUSTNESS[name])
        ax.minorticks_off()
        ax.grid(alpha=0.3)
    for ax in axes.flat[n_panels:]:
        ax.set_axis_off()
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    for ax in axes.flat[: len(panels)]:
        ax.get_legend().remove()
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=5, frameon=False)
    return fig


def main():
    parser = make_parser(__doc__, f"2 runs, {QUICK_STEPS} batches, fewer strategies, the two boards by default")
    parser.add_argument("--seeds", type=int, help="number of runs (default: 5, with --quick 2)")
    parser.add_argument("--data", nargs="+", choices=[*SETUPS, *ROBUSTNESS], help="default: all")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    n_seeds = args.seeds or (2 if args.quick else 5)
    chosen = args.data or ([*SETUPS][:2] if args.quick else [*SETUPS, *ROBUSTNESS])
    tasks = []
    for name in chosen:
        if name in SETUPS:
            strategies, settings, data = QUICK_STRATEGIES if args.quick else STRATEGIES, [{}], name
        else:
            strategies, settings = ROBUSTNESS_STRATEGIES, [{name: value} for value in ROBUSTNESS[name]]
            data = ROBUSTNESS_DATA
        tasks += [
            delayed(run)(data, strategy, seed, args.device, args.quick, **setting)
            for setting in settings
            for strategy in strategies
            for seed in range(n_seeds)
        ]
    start = time.perf_counter()
    curves = []
    for done, curve in enumerate(Parallel(n_jobs=args.jobs, return_as="generator")(tasks), 1):
        curves.append(curve)
        if done % 10 == 0 or done == len(tasks):
            print(f"[{time.perf_counter() - start:5.0f} s] {done} of {len(tasks)} runs", flush=True)
    rows = summarize(curves)
    for data in SETUPS:
        print_curves(rows, data)
    for name in ROBUSTNESS:
        print_robustness(rows, name)
    settings = {
        "seeds": n_seeds,
        "quick": args.quick,
        "device": args.device,
        "dropout_passes": N_DROPOUT_PASSES,
        "setups": {
            name: {"net": setup.backbone.__name__, "training": setup.training, "budgets": setup.budgets}
            for name, setup in SETUPS.items()
        },
        "strategies": {name: repr(strategy) for name, strategy in STRATEGIES.items()},
        "seconds": time.perf_counter() - start,
    }
    save(args.output, "ddal_curves", settings, rows, draw(rows))


if __name__ == "__main__":
    main()
