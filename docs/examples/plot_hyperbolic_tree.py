"""
=========================
A tree in a Poincare disk
=========================

In hyperbolic space a circle grows exponentially with its radius, as the number of nodes of a tree grows with their
depth: there is room for every branch. This example grows a tree, observes its nodes in 50 dimensions, and looks at
what two latent dimensions, flat or hyperbolic, keep of it. The autoencoders know nothing of the tree.
"""

# %%
# A tree
# ------
# Three children a node, four levels below the root. A child is its parent plus a random step, and each node is
# observed four times with some noise. The distance between two nodes is the number of edges between them.

import matplotlib.pyplot as plt
import numpy as np
from scipy.spatial.distance import pdist, squareform
from scipy.stats import spearmanr

from sklearn_geoal import HyperbolicVAETransformer, VAETransformer
from sklearn_geoal.metrics import delta_hyperbolicity, hyperbolic_distances
from sklearn_geoal.plot import LatentDisplay, PoincareDiskDisplay

rng = np.random.default_rng(0)
parent = np.array([-1, *np.repeat(np.arange(40), 3)])  # of 121 nodes, level by level
level, position, ancestors = np.zeros(121, dtype=int), np.zeros((121, 50)), [{0}]
for node in range(1, 121):
    level[node] = level[parent[node]] + 1
    position[node] = position[parent[node]] + rng.standard_normal(50)
    ancestors.append(ancestors[parent[node]] | {node})
node = np.repeat(np.arange(121), 4)
X = position[node] + 0.3 * rng.standard_normal((len(node), 50))
edges_between = np.array([[len(ancestors[i] ^ ancestors[j]) for j in node] for i in node])

# %%
# How much of a tree?
# -------------------
# The relative delta-hyperbolicity is 0 for the distances of a tree. Those of the observations are farther from it: the
# steps of different branches add up in all directions of a flat space.

tree_delta = delta_hyperbolicity(edges_between, metric="precomputed", n_repeats=3, random_state=0).mean
delta = delta_hyperbolicity(X, n_repeats=3, random_state=0).mean
print(f"delta of the tree {tree_delta:.2f}, of the observations {delta:.2f}")

# %%
# Two dimensions for it
# ---------------------
# The same networks and training for all. Without a bound the hyperbolic latent means may go far out; ``clip_radius=1``,
# as wide as the prior, drives the many nodes of the last levels to a rim and leaves the centre to the few above them.
# To tell the bound from the curvature, the last autoencoder has the same bound and hardly any curvature.

params = {"hidden_units": (128, 128), "max_epochs": 300, "lr": 3e-3, "beta": 1.0, "warmup": 0.0, "random_state": 0}
flat = VAETransformer(2, latent_unit="prior", **params).fit(X)
unbounded = HyperbolicVAETransformer(2, prior_scale=1.0, clip_radius=None, **params).fit(X)
bounded = HyperbolicVAETransformer(2, prior_scale=1.0, clip_radius=1.0, **params).fit(X)
flat_bounded = HyperbolicVAETransformer(2, prior_scale=1.0, clip_radius=1.0, curvature=1e-6, **params).fit(X)


def rank_correlation(distances):
    pairs = np.triu_indices(len(X), 1)
    return spearmanr(distances[pairs], edges_between[pairs])[0]


def hyperbolic_correlation(vae):
    return rank_correlation(hyperbolic_distances(vae.transform(X), curvature=vae.curvature_))


print("rank correlation of latent distances with those of the tree")
print(f"flat                   {rank_correlation(squareform(pdist(flat.transform(X)))):.2f}")
print(f"hyperbolic             {hyperbolic_correlation(unbounded):.2f}")
print(f"hyperbolic and bounded {hyperbolic_correlation(bounded):.2f}")
print(f"flat and bounded       {hyperbolic_correlation(flat_bounded):.2f}")

# %%
# Distances in the bounded spaces follow the tree better, and most of that is the bound's doing: points at the rim are
# as far apart as the angle between them, so that each branch takes a sector. Curvature alone did not help here. To find
# out what does on your data, compare these four.
#
# The picture
# -----------
# Each node at one of its observations, joined to its parent: by a straight line in the flat plane, by a geodesic in the
# Poincare disk, whose rings are one unit of distance apart.

fig, axes = plt.subplots(1, 3, figsize=(14.5, 4.5), layout="constrained")
one_each = np.arange(0, len(X), 4)
edges = np.column_stack([parent[1:], np.arange(1, 121)])
names = [f"level {i}" for i in range(5)]
LatentDisplay.from_estimator(flat, X[one_each], level, ax=axes[0])
axes[0].plot(*flat.transform(X[one_each])[edges].transpose(2, 1, 0), color="0.7", linewidth=0.5, zorder=0)
axes[0].get_legend().remove()
axes[0].set_title("flat")
for ax, vae, title in ((axes[1], unbounded, "hyperbolic"), (axes[2], bounded, "hyperbolic and bounded")):
    PoincareDiskDisplay.from_estimator(vae, X[one_each], level, edges=edges, display_labels=names, ax=ax)
    ax.set_title(title)
axes[1].get_legend().remove()
plt.show()
