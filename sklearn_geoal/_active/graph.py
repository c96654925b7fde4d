"""Nearest-neighbour graph: search, kernel, random walk. Nothing here is n x n: memory O(n k)."""

import math
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from joblib import effective_n_jobs
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors, sort_graph_by_row_values

from .._scaling import FAR, Spread

# exact search without a tree grows as n^2, the approximate one first compiles for half a minute: here they are even
EXACT_SEARCH_LIMIT = 100_000
# up to so many features a tree beats a comparison with all points; above EXACT_SEARCH_LIMIT it beats the approximate
# search if the data lie on something of few dimensions
TREE_FEATURES, _TREE_DIMENSION = 15, 6
# below it a weight is as good as no edge; above it no outlier is cut off and no degree underflows
MIN_WEIGHT = 1e-6


# --- neighbours -------------------------------------------------------------------------------------------------------


def nearest_neighbors(X, n_neighbors, random_state, n_jobs=None):
    """Distances to the nearest other points and their indices, nearest first.

    Exact up to EXACT_SEARCH_LIMIT points, and above it where few features of low intrinsic dimension let a tree do it;
    else by nearest-neighbour descent (pynndescent).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    n_neighbors : int
        At most ``n_samples - 1``.
    random_state : RandomState instance
    n_jobs : int, default=None
        Number of threads, as joblib counts them. What the approximate search finds depends on it.

    Returns
    -------
    distances, indices : ndarray of shape (n_samples, n_neighbors)
    """
    n_samples, n_features = X.shape
    if n_features <= TREE_FEATURES and (
        n_samples <= EXACT_SEARCH_LIMIT or intrinsic_dimension(X, random_state, n_jobs) <= _TREE_DIMENSION
    ):
        order = leaf_order(X)
        X = X[order]
        distances, places = cKDTree(X).query(X, n_neighbors + 1, workers=effective_n_jobs(n_jobs))
        back = np.argsort(order)
        return _without_self(distances[back], order[places[back]])
    if n_samples <= EXACT_SEARCH_LIMIT:
        return NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute", n_jobs=n_jobs).fit(X).kneighbors()
    from numba import config
    from pynndescent import NNDescent  # compiles on import: only who needs it waits

    seed = random_state.randint(np.iinfo(np.int32).max)
    n_threads = min(effective_n_jobs(n_jobs), config.NUMBA_NUM_THREADS)  # more are an error to numba
    # numba sets the number of threads of OpenMP, which is that of the thread that asks: not of the caller's, whose
    # torch it would change
    with ThreadPoolExecutor(1) as apart:
        search = apart.submit(NNDescent, X, n_neighbors=n_neighbors + 1, random_state=seed, n_jobs=n_threads)
        neighbors, distances = search.result().neighbor_graph
    return _without_self(distances, neighbors)


def _without_self(distances, neighbors):
    """Drop each point from its own neighbours: mostly it is the first, unless duplicates of it took its place."""
    other = others(neighbors, np.arange(len(neighbors)))
    shape = (len(neighbors), neighbors.shape[1] - 1)
    return distances[other].reshape(shape), neighbors[other].reshape(shape)


def others(neighbors, points):
    """Mark all but one of the neighbours of each of ``points``: all but itself, or but the last where it is missing."""
    other = neighbors != points[:, None]
    other[other.all(axis=1), -1] = False
    return other


def leaf_order(X):
    """The points in the order of the leaves of a tree: a search that follows it finds its data in the cache."""
    return tree(X).indices


def intrinsic_dimension(X, random_state, n_jobs=None, n_samples=10_000, n_neighbors=20):
    """Dimension in which the number of neighbours grows with the distance, among some random points.

    Maximum likelihood (Levina and Bickel 2005): the inverse of the mean of log(r_k / r_j) over the distances r_1 to
    r_k-1 to the k nearest points.
    """
    sample = X[random_state.permutation(len(X))[:n_samples]]
    k = min(n_neighbors, len(sample) - 1) + 1
    distances, _ = tree(sample).query(sample, k, workers=effective_n_jobs(n_jobs))
    distances = distances[distances[:, 1] > 0, 1:]  # without the points themselves and those that have duplicates
    log_ratios = np.log(distances[:, -1:] / distances[:, :-1])
    return 1 / log_ratios.mean() if log_ratios.any() else 0.0


def check_distance_graph(graph, square):
    """A copy of a sparse matrix of distances, those of each row sorted.

    Raises
    ------
    ValueError
        If it is dense, or not ``square`` where it has to be.
    """
    if not sp.issparse(graph):
        raise ValueError(
            'metric="precomputed" takes a sparse matrix of distances to neighbours, got a dense one: '
            "make it with sklearn.neighbors.kneighbors_graph or KNeighborsTransformer, mode='distance'."
        )
    if square and graph.shape[0] != graph.shape[1]:
        raise ValueError(f"A graph of distances must be square, got shape {graph.shape}.")
    return sort_graph_by_row_values(graph, copy=True, warn_when_not_sorted=False)


def neighbors_of_graph(graph, n_needed, n_wanted):
    """The same as nearest_neighbors from a sparse matrix of distances, such as KNeighborsTransformer gives.

    Parameters
    ----------
    graph : csr_array of shape (n_samples, n_samples)
    n_needed, n_wanted : int
        As many neighbours as all rows have, from ``n_needed`` up to ``n_wanted``.

    Raises
    ------
    ValueError
        If a row holds fewer than ``n_needed`` neighbours other than the point itself, or a negative distance.
    """
    rows = np.repeat(np.arange(graph.shape[0]), np.diff(graph.indptr))
    other = graph.indices != rows
    rows, columns, distances = rows[other], graph.indices[other], graph.data[other]
    counts = np.bincount(rows, minlength=graph.shape[0])
    if counts.min() < n_needed:
        raise ValueError(
            f"n_neighbors={n_needed}, but row {counts.argmin()} of the graph holds {counts.min()} neighbours: "
            "build the graph with more neighbours or lower n_neighbors."
        )
    if distances.min() < 0:
        raise ValueError(f"Distances must not be negative; got {distances.min()}.")
    order = np.lexsort((distances, rows))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    nearest = order[starts[:, None] + np.arange(min(counts.min(), max(n_needed, n_wanted)))]
    return distances[nearest], columns[nearest]


class Frame(NamedTuple):
    """Where points lie, and a unit of distance: in it neither an offset nor the units cost distances their digits.

    spread : Spread, beyond which points are drawn near: one marker of missing data would set the unit of all
    scale : float, a power of two about as large as the largest value, divided out lest huge or tiny values overflow
    location : ndarray of shape (n_features,), the mean of the points, in units of scale
    reach : float, the largest deviation from it, in units of scale
    """

    spread: Spread
    scale: float
    location: np.ndarray
    reach: float

    @classmethod
    def of(cls, X):
        spread = Spread.of(X)
        X = spread.cut(X, FAR)
        one = X.dtype.type(1)
        scale = np.ldexp(one, np.frexp(np.abs(X).max() or one)[1] - 1)
        Z = X / scale
        location = Z.mean(axis=0)
        return cls(spread, scale, location, np.abs(Z - location).max() or one)

    def in_its_unit(self, distance):
        """A distance as one in this frame, kept from 0 and from infinity."""
        with np.errstate(over="ignore"):
            return np.clip(distance / self.scale / self.reach, 1e-100, 1e100)

    def place(self, X):
        """Points in this frame: (n, n_features) -> (n, n_features)."""
        return (self.spread.cut(X, FAR) / self.scale - self.location) / self.reach


def tree(Y):
    # unbalanced: on clustered coordinates the build takes a tenth of the time and the search no longer
    return cKDTree(Y, balanced_tree=False, compact_nodes=False)


# --- kernel and Markov operator ---------------------------------------------------------------------------------------


def kernel_weights(distances, indices, scale="local"):
    """Symmetric weights W of the neighbour graph.

    ``scale="local"``: W_ij = exp(-d_ij^2 / (s_i s_j)), s_i the distance from i to its last neighbour (self-tuning,
    Zelnik-Manor and Perona 2004). ``"own"``: W_ij = exp(-d_ij^2 / s_i^2) (Kushnir and Venturi, eq. (1)). ``"global"``:
    W_ij = exp(-d_ij^2 / s^2), s the mean of the s_i; a number is s itself.
    W is the mean of the weights in the two directions, and at least half of MIN_WEIGHT.

    Returns
    -------
    W : csr_array of shape (n_samples, n_samples)
        Between ``n_samples * n_neighbors`` and twice as many entries.
    """
    n_samples, n_neighbors = distances.shape
    reach = distances[:, -1]
    if isinstance(scale, str) and scale in ("local", "own"):
        # duplicates have no extent of their own: a thousandth of the usual one
        typical = np.median(reach[reach > 0]) if reach.any() else 1.0
        reach = np.maximum(reach, 1e-3 * typical)
        exponent = (distances / reach[:, None]) * (distances / (reach[indices] if scale == "local" else reach[:, None]))
    else:
        exponent = (distances / ((reach.mean() or 1.0) if isinstance(scale, str) else scale)) ** 2
    weights = np.maximum(np.exp(-exponent), MIN_WEIGHT)
    index_type = np.int32 if weights.size < 2**31 else np.int64
    starts = np.arange(0, weights.size + 1, n_neighbors, dtype=index_type)
    W = sp.csr_array((weights.ravel(), indices.ravel().astype(index_type), starts), shape=(n_samples, n_samples))
    return ((W + W.T) / 2).tocsr()


def inverse_square_weights(distances):
    """Weights 1 / d^2 of neighbours, (n_queries, n_neighbors); rows sum to 1.

    In units of the nearest; a neighbour at distance 0 leaves no weight to others.
    """
    nearest = distances.min(axis=1, keepdims=True)
    weights = np.divide(nearest, distances, out=np.ones_like(distances), where=distances > 0) ** 2
    return weights / weights.sum(axis=1, keepdims=True)


class RandomWalk(NamedTuple):
    """The random walk on a graph, its points in an order in which neighbours lie close together in memory.

    P : csr_array of shape (n_samples, n_samples), float32, the Markov operator D^-1 W in that order
    order : ndarray of shape (n_samples,), the point in each place
    place : ndarray of shape (n_samples,), the place of each point
    """

    P: sp.csr_array
    order: np.ndarray
    place: np.ndarray


def random_walk(W):
    """Random walk with transition probabilities P = D^-1 W, in single precision, for products with labels."""
    W, order = local_order(W)
    P = (sp.diags_array(1 / W.sum(axis=1)) @ W).tocsr().astype(np.float32)
    return RandomWalk(P, order, np.argsort(order))


def local_order(W):
    """W with its points in reverse Cuthill-McKee order, and this order: on a million points, five times as fast."""
    order = reverse_cuthill_mckee(W, symmetric_mode=True)
    W = W[order][:, order].tocsr()
    W.sort_indices()
    return W, order


def shortest_reach(n_samples, n_neighbors):
    """Steps within which a walk over K neighbours can reach all samples, log_K n: there are K^T within T steps."""
    return max(1, round(math.log(n_samples) / math.log(max(n_neighbors, 2))))
