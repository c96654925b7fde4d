"""Accuracy of LAND and VAE-LAND against the number of labels, on Salinas-A (the paper's figure 2) and Jasper Ridge.

The graph holds all pixels of a scene; queries go to labelled pixels, and accuracy is that on all labelled pixels, the
queried ones among them. LAND alone works on unit-norm spectra. Each curve is run with several seeds, which determine
the training of the autoencoder, the random queries and the start of the eigensolver. No setting differs between seeds
or scenes. Random queries and forest labels make a bad pair: one label near the densest point reaches whole clusters in
which nothing was asked, so that more labels can do harm.

Usage: python benchmarks/vae_land_salinas.py [--quick] [--seeds 5] [--scene salinas_a|jasper_ridge|both] [--jobs 2]

The environment variable SKLEARN_GEOAL_DATA names the folder of the data.

Reference: D. Nguyen, A. Tasissa and J. M. Murphy, "Deep diffusion processes for active learning of hyperspectral
images", IGARSS, 2021.
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save, with_seed
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, StandardScaler

from sklearn_geoal import LANDClassifier, VAETransformer
from sklearn_geoal.datasets import load_jasper_ridge, load_salinas_a
from sklearn_geoal.model_selection import label_efficiency_curve
from sklearn_geoal.plot import LabelEfficiencyDisplay
from sklearn_geoal.preprocessing import SpatialWindow

VAE = make_pipeline(Normalizer(), StandardScaler(), VAETransformer())
# the paper does not tell the number of epochs
PAPER_VAE = make_pipeline(
    MinMaxScaler(),
    VAETransformer(
        n_components=40,
        hidden_units=(128, 128, 128),
        likelihood="bernoulli",
        beta=1,
        warmup=0,
        latent_unit="prior",
        max_epochs=50,
        lr=1e-4,
        lr_schedule="constant",
    ),
)
ALGORITHMS = {
    "paper": LANDClassifier(kernel_scale="global", propagation="forest", query_score="density", refine=False),
    "forest, mass": LANDClassifier(propagation="forest", query_score="mass", refine=False),
    "default": LANDClassifier(),
}
# features, and the algorithms to run on them
FEATURES = {
    "LAND": (make_pipeline(Normalizer()), [*ALGORITHMS]),
    "VAE-LAND": (VAE, [*ALGORITHMS]),
    "VAE-LAND, paper's VAE": (PAPER_VAE, ["paper"]),
}
STRATEGIES = {"own": "query", "random": "random"}
PAPER_SCORES = {"LAND": {10: 0.845, 400: 0.90}, "VAE-LAND": {10: 0.9697, 400: 0.9835}}  # on Salinas-A, own queries

LOADERS = {"salinas_a": load_salinas_a, "jasper_ridge": load_jasper_ridge}
WINDOWS = [("salinas_a", 1), ("salinas_a", 5), ("jasper_ridge", 1)]  # scene, side of the spatial window in pixels
BUDGETS, QUICK_BUDGETS = [10, 20, 50, 100, 200, 400, 1000, 2000], [10, 50, 100, 200]
QUICK_EPOCHS = 20


def run(scene_name, window, features, budgets, seed, quick):
    """Make the features once, then run each algorithm with its own and with random queries: one dict a curve."""
    torch.set_num_threads(1)
    scene = LOADERS[scene_name]()
    steps, algorithms = FEATURES[features]
    pipeline = make_pipeline(SpatialWindow(scene.scene_shape, size=window), *clone(steps))
    if quick and "vaetransformer" in pipeline.named_steps:
        pipeline.set_params(vaetransformer__max_epochs=QUICK_EPOCHS)
    start = time.perf_counter()
    X = with_seed(pipeline, seed).fit_transform(scene.data)
    seconds = time.perf_counter() - start

    curves = []
    for algorithm in algorithms:
        land = with_seed(clone(ALGORITHMS[algorithm]), seed)
        for queries, strategy in STRATEGIES.items():
            curve = label_efficiency_curve(land, X, scene.target, budgets, strategy=strategy, random_state=seed)
            key = {"scene": scene_name, "window": window, "features": features, "algorithm": algorithm}
            curves.append({**key, "queries": queries, "scores": curve.scores.tolist(), "feature_seconds": seconds})
    return curves


def summarize(curves, budgets):
    """One dict for all seeds of a curve."""
    groups = {}
    for curve in curves:
        key = tuple(curve[name] for name in ("scene", "window", "features", "algorithm", "queries"))
        groups.setdefault(key, []).append(curve)
    rows = []
    for (scene, window, features, algorithm, queries), seeds in groups.items():
        scores = np.array([curve["scores"] for curve in seeds])  # (n_seeds, n_budgets)
        rows.append(
            {
                "scene": scene,
                "window": window,
                "features": features,
                "algorithm": algorithm,
                "queries": queries,
                "budgets": budgets,
                "mean": scores.mean(axis=0).tolist(),
                "min": scores.min(axis=0).tolist(),
                "max": scores.max(axis=0).tolist(),
                "scores": scores.tolist(),
                "feature_seconds": float(np.mean([curve["feature_seconds"] for curve in seeds])),
            }
        )
    return rows


def title_of(scene, window):
    name = {"salinas_a": "Salinas-A", "jasper_ridge": "Jasper Ridge"}[scene]
    return f"{name}, spectra alone" if window == 1 else f"{name}, mean of {window} x {window} pixels"


def print_table(rows, budgets):
    """Mean over the seeds and, in brackets, the lowest of them."""
    n_seeds = len(rows[0]["scores"])
    for scene, window in WINDOWS:
        shown = [row for row in rows if (row["scene"], row["window"]) == (scene, window)]
        if not shown:
            continue
        print(f"\n{title_of(scene, window)}: mean accuracy of {n_seeds} seeds (the lowest)")
        print(f"{'features':<22}{'algorithm':<13}{'queries':<7}" + "".join(f"{b:>14}" for b in budgets) + "  training")
        for row in sorted(shown, key=lambda row: [*ALGORITHMS].index(row["algorithm"])):
            cells = "".join(f"{m:>6.3f} ({low:.3f})" for m, low in zip(row["mean"], row["min"], strict=True))
            label = f"{row['features']:<22}{row['algorithm']:<13}{row['queries']:<7}"
            print(f"{label}{cells}{row['feature_seconds']:>8.1f} s")
        if (scene, window) == ("salinas_a", 1):
            for features, scores in PAPER_SCORES.items():
                cells = "".join(f"{scores[b]:>6.3f}{'':8}" if b in scores else f"{'-':>6}{'':8}" for b in budgets)
                print(f"{features:<22}{'as published':<13}{'own':<7}{cells}".rstrip())


def draw(rows, budgets):
    """A row of panels for each scene and window, a column for each algorithm."""
    shown = [setting for setting in WINDOWS if any((row["scene"], row["window"]) == setting for row in rows)]
    fig, axes = plt.subplots(
        len(shown),
        len(ALGORITHMS),
        figsize=(13, 3.8 * len(shown) + 0.7),
        sharex=True,
        sharey=True,
        squeeze=False,
        layout="constrained",
    )
    # errors on a logarithmic scale, so that 0.98 and 0.998 can be told apart
    axes[0, 0].set_yscale("function", functions=(lambda a: -np.log10(1.002 - a), lambda u: 1.002 - 10**-u))
    axes[0, 0].set(ylim=(0, 1.0005), yticks=[0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 1])
    for (scene, window), panels in zip(shown, axes, strict=True):
        for algorithm, ax in zip(ALGORITHMS, panels, strict=True):
            curves = {
                f"{row['features']}, {row['queries']} queries": (budgets, row["scores"])
                for row in rows
                if (row["scene"], row["window"], row["algorithm"]) == (scene, window, algorithm)
            }
            for name, line in LabelEfficiencyDisplay(curves).plot(ax=ax).lines_.items():
                line.set_linestyle("--" if "random" in name else "-")
            if (scene, window) == ("salinas_a", 1):
                for (features, scores), marker in zip(PAPER_SCORES.items(), "*P", strict=True):
                    points = [(budget, score) for budget, score in scores.items() if budget in budgets]
                    ax.plot(*zip(*points, strict=True), f"k{marker}", ms=10, mfc="none", label=f"{features}, published")
            ax.get_legend().remove()
            ax.set_title(f"{title_of(scene, window)}\nalgorithm: {algorithm}", fontsize="medium")
            ax.label_outer()
    handles = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=4, frameon=False)
    return fig


def main():
    parser = make_parser(__doc__, f"2 seeds, fewer budgets, {QUICK_EPOCHS} epochs instead of those of the settings")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 5, with --quick 2)")
    parser.add_argument("--scene", choices=[*LOADERS, "both"], default="both")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    n_seeds = args.seeds or (2 if args.quick else 5)
    budgets = QUICK_BUDGETS if args.quick else BUDGETS

    tasks = [
        (scene, window, features, budgets, seed, args.quick)
        for scene, window in WINDOWS
        if args.scene in (scene, "both")
        for features in FEATURES
        for seed in range(n_seeds)
    ]
    start = time.perf_counter()
    curves = []
    parallel = Parallel(n_jobs=args.jobs, return_as="generator")
    for done, result in enumerate(parallel(delayed(run)(*task) for task in tasks), 1):
        curves += result
        print(f"[{time.perf_counter() - start:5.0f} s] {done} of {len(tasks)} runs", flush=True)
    rows = summarize(curves, budgets)
    print_table(rows, budgets)

    settings = {
        "seeds": n_seeds,
        "quick": args.quick,
        "features": {name: repr(steps) for name, (steps, _) in FEATURES.items()},
        "algorithms": {name: repr(estimator) for name, estimator in ALGORITHMS.items()},
        "as_published": PAPER_SCORES,
        "seconds": time.perf_counter() - start,
    }
    save(args.output, "vae_land_salinas", settings, rows, draw(rows, budgets))


if __name__ == "__main__":
    main()
