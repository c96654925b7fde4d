"""Density of the points, and the forest that ties each to its nearest point of higher density."""

from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs

from .graph import leaf_order, tree


class DensityForest(NamedTuple):
    """Each point's nearest point of higher density in diffusion distance: a tree with the densest point as its root.

    order : ndarray of shape (n_samples,), the points by falling density, ties by index
    parent : ndarray of shape (n_samples,), the nearest point of higher density; the root is its own
    rho : ndarray of shape (n_samples,), the distance to it; for the root the distance to the farthest point
    """

    order: np.ndarray
    parent: np.ndarray
    rho: np.ndarray

    def mass(self, counts=None):
        """Number of samples that would take their label from each point: those of its subtree.

        ``counts`` is the number of samples of each point, None for one.
        """
        mass = [1] * len(self.order) if counts is None else counts.tolist()
        parent = self.parent.tolist()
        for point in self.order[:0:-1].tolist():
            mass[parent[point]] += mass[point]
        return np.array(mass, dtype=np.float64)

    def inherit(self, values):
        """Values with each -1 replaced by that of the nearest ancestor that has one, -1 where none has."""
        inherited, parent = values.tolist(), self.parent.tolist()
        for point in self.order.tolist():
            if inherited[point] < 0:
                inherited[point] = inherited[parent[point]]
        return np.array(inherited)


def kernel_density(distances, indices=None, counts=None):
    """p(x) = sum_y exp(-|x - y|^2 / s0^2) over the neighbours y of x, s0 the mean distance to the last of them.

    With ``counts`` the points stand for so many samples, and the sum is over these: those of each neighbour, and the
    others of x itself, at distance 0, as far as they are more than the fewest that a point stands for. So it is
    proportional to ``counts``.
    """
    scale = distances[:, -1].mean() or 1.0
    kernel = np.exp(-((distances / scale) ** 2))
    if counts is None:
        return kernel.sum(axis=1)
    return counts - counts.min() + (counts[indices] * kernel).sum(axis=1)


def density_forest(coordinates, density, n_jobs=None):
    """Nearest point of higher density for every point, exact.

    Nearly all points find it among their 16 nearest neighbours. For the few others, the points of higher density are a
    prefix of the order of density, and a prefix is a union of blocks of 2^j points, one for each 1 in the binary
    digits of its length: at most log n searches in trees that are built only where someone asks.

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, n_coordinates)
    density : ndarray of shape (n_samples,)
        Ties are broken by index: of two points of the same density, the first counts as denser.
    n_jobs : int, default=None
        Number of threads, as joblib counts them.

    Returns
    -------
    forest : DensityForest
    """
    n, workers = len(density), effective_n_jobs(n_jobs)
    order = np.lexsort((np.arange(n), -density))
    Y = np.ascontiguousarray(coordinates[order])  # from here on a point is its place in the order
    parent, rho = np.zeros(n, dtype=np.int64), np.full(n, np.inf)
    leaves = leaf_order(Y)
    distances, neighbors = tree(Y[leaves]).query(Y[leaves], k=np.arange(1, min(n, 16) + 1), workers=workers)
    neighbors = leaves[neighbors]
    denser = neighbors < leaves[:, None]
    first, found = denser.argmax(axis=1), denser.any(axis=1)
    parent[leaves[found]] = neighbors[found, first[found]]
    rho[leaves[found]] = distances[found, first[found]]

    left = np.setdiff1d(np.arange(1, n), leaves[found])
    for level in range(n.bit_length()):
        size = 1 << level
        asking = left[(left & size) > 0]
        starts = (asking >> level << level) - size  # of the block that ends where the higher digits do
        for start in np.unique(starts):
            points = asking[starts == start]
            distance, nearest = tree(Y[start : start + size]).query(Y[points], workers=workers)
            closer = distance < rho[points]
            parent[points[closer]], rho[points[closer]] = start + nearest[closer], distance[closer]
    rho[0] = np.linalg.norm(Y - Y[0], axis=1).max()
    place = np.argsort(order)
    return DensityForest(order, order[parent][place], rho[place])
