"""Tree distances recovered by hyperbolic and Euclidean latent variables of two dimensions.

The data are the nodes of a tree with three children a node and depth 6, 1093 in all. A node is its parent plus a
standard normal step in 50 dimensions and is observed with normal noise of deviation 0.1. Autoencoders learn two latent
variables from the observations alone; then the distances between all pairs of nodes in latent space are compared with
the numbers of edges between them in the tree, by the rank correlation of Spearman. Each seed draws another tree. Shown
beside it are the correlation that the distances of the observations themselves reach, that of two principal components,
and how much of the variance of the data the latent variables leave unexplained.

All models have the same networks, likelihood, weight of the divergence, and training. "r = 1" bounds the means to a
ball as wide as the standard deviation of the prior; the flat one (curvature 1e-6) tells what that bound does from what
the curvature does.

Usage: python benchmarks/hyperbolic_tree.py [--quick] [--seeds 5] [--jobs 2]
"""

import time

import matplotlib.pyplot as plt
import numpy as np
import torch
from _common import make_parser, save
from joblib import Parallel, delayed
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.decomposition import PCA

from sklearn_geoal import HyperbolicVAETransformer, VAETransformer
from sklearn_geoal.metrics import hyperbolic_distances
from sklearn_geoal.plot import PoincareDiskDisplay

BRANCHING, DEPTH, N_FEATURES, NOISE = 3, 6, 50, 0.1
SHARED = {"n_components": 2, "hidden_units": (256, 256), "beta": 1.0, "warmup": 0.0, "lr": 3e-3, "max_epochs": 500}
QUICK_EPOCHS = 50
MODELS = {
    "Euclidean": VAETransformer(**SHARED, latent_unit="prior"),
    "hyperbolic": HyperbolicVAETransformer(**SHARED, prior_scale=1.0, clip_radius=None),
    "hyperbolic, c = 4": HyperbolicVAETransformer(**SHARED, prior_scale=1.0, clip_radius=None, curvature=4.0),
    "hyperbolic, r = 1": HyperbolicVAETransformer(**SHARED, prior_scale=1.0, clip_radius=1.0),
    "flat, r = 1": HyperbolicVAETransformer(**SHARED, prior_scale=1.0, clip_radius=1.0, curvature=1e-6),
}


def make_tree(seed):
    """Observations (n, N_FEATURES), parent of each node (-1 of the root), its level, edges between all pairs (n, n)."""
    rng = np.random.default_rng(seed)
    parents, level = [np.array([-1])], np.zeros(1, dtype=int)
    first = 0  # node of the level last made
    for depth in range(1, DEPTH + 1):
        last_level = np.arange(first, len(level))
        parents.append(np.repeat(last_level, BRANCHING))
        first, level = len(level), np.concatenate([level, np.full(BRANCHING * len(last_level), depth)])
    parent = np.concatenate(parents)
    steps = rng.standard_normal((len(parent), N_FEATURES))
    is_ancestor = np.eye(len(parent), dtype=int)  # [node, ancestor]
    for node in range(1, len(parent)):
        is_ancestor[node] += is_ancestor[parent[node]]
    n_shared = is_ancestor @ is_ancestor.T - 1  # level of the last common ancestor
    edges = level[:, None] + level - 2 * n_shared
    X = is_ancestor @ steps + NOISE * rng.standard_normal(steps.shape)
    return X.astype(np.float32), parent, level, edges


def rank_correlation(D, edges):
    pairs = np.triu_indices(len(edges), 1)
    return float(spearmanr(D[pairs], edges[pairs])[0])


def run(name, seed, quick):
    """Train one model on one tree: its scores, and its latent features."""
    torch.set_num_threads(1)
    X, _, _, edges = make_tree(seed)
    vae = clone(MODELS[name]).set_params(random_state=seed)
    if quick:
        vae.set_params(max_epochs=QUICK_EPOCHS)
    start = time.perf_counter()
    Z = vae.fit(X).transform(X)
    seconds = time.perf_counter() - start
    D = squareform(pdist(Z)) if name == "Euclidean" else hyperbolic_distances(Z, curvature=vae.curvature_)
    row = {"model": name, "seed": seed, "rank_correlation": rank_correlation(D, edges), "seconds": seconds}
    return row | {"unexplained": vae.noise_variance_ / float(X.var())}, Z


def references(seed):
    """The rows of what needs no training."""
    X, _, _, edges = make_tree(seed)
    pca = PCA(2, random_state=seed)
    Z = pca.fit_transform(X)
    unexplained = float(((X - pca.inverse_transform(Z)) ** 2).mean() / X.var())
    return [
        {"model": name, "seed": seed, "rank_correlation": rank_correlation(squareform(pdist(points)), edges)}
        | {"unexplained": left, "seconds": 0.0}
        for name, points, left in (("observations, 50-D", X, 0.0), ("principal components", Z, unexplained))
    ]


def summarize(rows):
    """One dict for all seeds of a model."""
    groups = {}
    for row in rows:
        groups.setdefault(row["model"], []).append(row)
    summary = []
    for model, seeds in groups.items():
        stats = {"model": model}
        for name in ("rank_correlation", "unexplained", "seconds"):
            values = [row[name] for row in seeds]
            stats[name] = {"mean": float(np.mean(values)), "std": float(np.std(values)), "values": values}
        summary.append(stats)
    return summary


def print_table(summary):
    print(f"\n{'model':<24}{'rank correlation':>18}{'lowest':>8}{'highest':>9}{'unexplained':>13}{'time':>8}")
    for stats in summary:
        rho = stats["rank_correlation"]
        print(
            f"{stats['model']:<24}{rho['mean']:>9.3f} +-{rho['std']:>6.3f}{min(rho['values']):>8.3f}"
            f"{max(rho['values']):>9.3f}{stats['unexplained']['mean']:>13.3f}{stats['seconds']['mean']:>6.0f} s"
        )


def draw(Z_flat, Z_curved):
    """Both latent planes of the tree of seed 0, the edges of the tree drawn, coloured by level."""
    _, parent, level, _ = make_tree(0)
    edges = np.column_stack([parent, np.arange(len(parent))])[1:]
    fig, (left, right) = plt.subplots(1, 2, figsize=(12.5, 5.6), layout="constrained")
    left.plot(*Z_flat[edges].transpose(2, 1, 0), color="0.8", linewidth=0.4, zorder=1)
    points = left.scatter(*Z_flat.T, c=level, s=8, cmap="viridis", zorder=2)
    fig.colorbar(points, ax=left, label="level in the tree")
    left.set(title="Euclidean", aspect="equal")
    PoincareDiskDisplay.from_latents(Z_curved, level, edges=edges, ax=right)
    right.set_title("hyperbolic")
    return fig


def main():
    parser = make_parser(__doc__, f"2 seeds, {QUICK_EPOCHS} epochs")
    parser.add_argument("--seeds", type=int, help="number of seeds (default: 5, with --quick 2)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes, one thread each")
    args = parser.parse_args()
    n_seeds = args.seeds or (2 if args.quick else 5)

    start = time.perf_counter()
    rows = [row for seed in range(n_seeds) for row in references(seed)]
    tasks = [(name, seed, args.quick) for seed in range(n_seeds) for name in MODELS]
    latents = {}
    parallel = Parallel(n_jobs=args.jobs, return_as="generator")
    for (name, seed, _), (row, Z) in zip(tasks, parallel(delayed(run)(*task) for task in tasks), strict=True):
        rows.append(row)
        latents[name, seed] = Z
        took = time.perf_counter() - start
        print(f"[{took:5.0f} s] {name}, tree {seed}: {row['rank_correlation']:.3f}", flush=True)
    summary = summarize(rows)
    print_table(summary)
    settings = {
        "quick": args.quick,
        "seeds": n_seeds,
        "models": {name: repr(estimator) for name, estimator in MODELS.items()},
        "seconds": time.perf_counter() - start,
    }
    save(args.output, "hyperbolic_tree", settings, summary, draw(latents["Euclidean", 0], latents["hyperbolic", 0]))


if __name__ == "__main__":
    main()
