"""Diffusion on a nearest-neighbour graph: kernel, spectrum, density, labels. Nothing here is n x n: memory O(n k)."""

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import eigh, qr
from scipy.sparse.csgraph import reverse_cuthill_mckee
from scipy.spatial import cKDTree
from sklearn.neighbors import NearestNeighbors

# exact search without a tree grows as n^2, the approximate one first compiles for half a minute: here they are even
EXACT_SEARCH_LIMIT = 100_000
# up to so many features a tree beats a comparison with all points; above EXACT_SEARCH_LIMIT it beats the approximate
# search if the data lie on something of few dimensions
_TREE_FEATURES, _TREE_DIMENSION = 15, 6
# below it a weight is as good as no edge; above it no outlier is cut off and no degree underflows
MIN_WEIGHT = 1e-6
# largest matrix whose spectrum is computed densely, in about a second
_DENSE_LIMIT = 1500
# of the subspace iteration on one level: what has not converged then lies among eigenvalues that are nearly equal
_MAX_SWEEPS = 6


# --- neighbours -------------------------------------------------------------------------------------------------------


def nearest_neighbors(X, n_neighbors, random_state):
    """Distances to the nearest other points and their indices, nearest first.

    Exact up to EXACT_SEARCH_LIMIT points, and above it where few features of low intrinsic dimension let a tree do it;
    else by nearest-neighbour descent (pynndescent).

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
    n_neighbors : int
        At most ``n_samples - 1``.
    random_state : RandomState instance

    Returns
    -------
    distances, indices : ndarray of shape (n_samples, n_neighbors)
    """
    n_samples, n_features = X.shape
    if n_features <= _TREE_FEATURES and (
        n_samples <= EXACT_SEARCH_LIMIT or intrinsic_dimension(X, random_state) <= _TREE_DIMENSION
    ):
        order = _leaf_order(X)
        X = X[order]
        distances, places = cKDTree(X).query(X, n_neighbors + 1, workers=-1)
        back = np.argsort(order)
        return _without_self(distances[back], order[places[back]])
    if n_samples <= EXACT_SEARCH_LIMIT:
        return NearestNeighbors(n_neighbors=n_neighbors, algorithm="brute").fit(X).kneighbors()
    from pynndescent import NNDescent  # compiles on import: only who needs it waits

    seed = random_state.randint(np.iinfo(np.int32).max)
    neighbors, distances = NNDescent(X, n_neighbors=n_neighbors + 1, random_state=seed).neighbor_graph
    return _without_self(distances, neighbors)


def _without_self(distances, neighbors):
    """Drop each point from its own neighbours: mostly it is the first, unless duplicates of it took its place."""
    other = neighbors != np.arange(len(neighbors))[:, None]
    other[other.all(axis=1), -1] = False
    shape = (len(neighbors), neighbors.shape[1] - 1)
    return distances[other].reshape(shape), neighbors[other].reshape(shape)


def _leaf_order(X):
    """The points in the order of the leaves of a tree: a search that follows it finds its data in the cache."""
    return _tree(X).indices


def intrinsic_dimension(X, random_state, n_samples=10_000, n_neighbors=20):
    """Dimension in which the number of neighbours grows with the distance, among some random points.

    Maximum likelihood (Levina and Bickel 2005): the inverse of the mean of log(r_k / r_j) over the distances r_1 to
    r_k-1 to the k nearest points.
    """
    sample = X[random_state.permutation(len(X))[:n_samples]]
    distances, _ = _tree(sample).query(sample, min(n_neighbors, len(sample) - 1) + 1, workers=-1)
    distances = distances[distances[:, 1] > 0, 1:]  # without the points themselves and those that have duplicates
    log_ratios = np.log(distances[:, -1:] / distances[:, :-1])
    return 1 / log_ratios.mean() if log_ratios.any() else 0.0


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


def center_and_unit(X):
    """Mean of X and its largest deviation: with them neither an offset nor the units cost distances their digits."""
    peak = np.abs(X).max() or X.dtype.type(1)  # first, so that the mean of huge values does not overflow
    Z = X / peak
    location = Z.mean(axis=0)
    return location * peak, (np.abs(Z - location).max() or Z.dtype.type(1)) * peak


# --- kernel, Markov operator, spectrum --------------------------------------------------------------------------------


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
    W, order = _local_order(W)
    P = (sp.diags_array(1 / W.sum(axis=1)) @ W).tocsr().astype(np.float32)
    return RandomWalk(P, order, np.argsort(order))


def _local_order(W):
    """W with its points in reverse Cuthill-McKee order, and this order: on a million points, five times as fast."""
    order = reverse_cuthill_mckee(W, symmetric_mode=True)
    W = W[order][:, order].tocsr()
    W.sort_indices()
    return W, order


def leading_eigenpairs(W, n_eigenpairs, random_state):
    """Largest eigenvalues of the Markov operator P = D^-1 W and its right eigenvectors psi.

    The eigenvectors are normalised by the stationary distribution pi = d / sum(d): sum_x pi(x) psi_l(x)^2 = 1.
    They come from the symmetric S = D^-1/2 W D^-1/2, coarse to fine: points are merged into aggregates until the
    spectrum can be computed densely; going back, each level starts from the eigenvectors of the coarser one and
    sharpens them by filtered subspace iteration. Its cost is linear in the edges however small the spectral gaps are,
    where Krylov methods stall on nearly disconnected graphs.

    Parameters
    ----------
    W : csr_array of shape (n_samples, n_samples)
    n_eigenpairs : int
    random_state : RandomState instance

    Returns
    -------
    eigenvalues : ndarray of shape (n_eigenpairs,)
        Falling from 1.
    eigenvectors : ndarray of shape (n_samples, n_eigenpairs)
        Their largest entry by magnitude is positive.
    """
    W, order = _local_order(W)
    # norm of the residuals S v - lambda v; eigenvalues err by its square
    tol, dtype = (1e-5, np.float64) if W.shape[0] <= EXACT_SEARCH_LIMIT else (1e-3, np.float32)
    W = W.astype(dtype)
    degrees = W.sum(axis=1)
    # a few more than asked for: the last vectors of a subspace converge slowly
    eigenvalues, V = _leading_subspace(W, n_eigenpairs, n_eigenpairs + 10, tol, random_state)
    psi = V[:, :n_eigenpairs] * np.sqrt(degrees.sum() / degrees)[:, None]
    psi *= np.sign(psi[np.abs(psi).argmax(axis=0), np.arange(psi.shape[1])])
    return eigenvalues[:n_eigenpairs], psi[np.argsort(order)]


def _leading_subspace(W, n_wanted, n_vectors, tol, random_state):
    roots = np.sqrt(W.sum(axis=1))
    S = (sp.diags_array(1 / roots) @ W @ sp.diags_array(1 / roots)).tocsr()
    n = W.shape[0]
    if n <= _DENSE_LIMIT:
        eigenvalues, V = eigh(S.toarray(), subset_by_index=[max(n - n_vectors, 0), n - 1])
        return eigenvalues[::-1], V[:, ::-1]
    merge = _aggregate(W, random_state)
    if merge.shape[1] == n:
        # no two points share an edge: S is the identity, any vectors are its eigenvectors
        return np.ones(n_vectors), qr(random_state.normal(size=(n, n_vectors)), mode="economic")[0]
    eigenvalues, V = _leading_subspace((merge.T @ W @ merge).tocsr(), n_wanted, n_vectors, tol, random_state)
    V = roots[:, None] * (merge @ (V / np.sqrt(merge.T @ roots**2)[:, None]))
    # where there are fewer aggregates than vectors, the others start at random
    V = np.column_stack([V, random_state.normal(size=(n, min(n, n_vectors) - V.shape[1]))])
    for _ in range(_MAX_SWEEPS):
        V = _chebyshev_filter(S, V, cut=eigenvalues[-1])
        eigenvalues, V, residuals = _rayleigh_ritz(S, V)
        if residuals[:n_wanted].max() < tol:
            break
    return eigenvalues, V


def _aggregate(W, random_state):
    """Merge each point with its neighbour of highest random rank, as far as such chains of neighbours lead.

    Returns
    -------
    merge : csr_array of shape (n_samples, n_aggregates)
        1 where a point belongs to an aggregate.
    """
    n = W.shape[0]
    rank = random_state.permutation(n)
    by_rank = np.argsort(rank)
    # every row has an entry; reduceat takes the maximum over each
    highest = np.maximum(np.maximum.reduceat(rank[W.indices], W.indptr[:-1]), rank)
    leader = by_rank[highest]
    seeds = leader == np.arange(n)
    # a point joins a seed next to it, or else follows its leader one step
    reached = np.maximum.reduceat(np.where(seeds, rank, -1)[W.indices], W.indptr[:-1])
    leader = np.where(seeds | (reached < 0), leader, by_rank[reached])
    while not seeds[leader].all():
        leader = leader[leader]
    _, aggregate = np.unique(leader, return_inverse=True)
    return sp.csr_array((np.ones(n, dtype=W.dtype), (np.arange(n), aggregate)))


def _chebyshev_filter(S, V, cut):
    """Chebyshev polynomial of S that stays within [-1, 1] on eigenvalues in [-1, cut] and grows fast above.

    The narrower the gap between ``cut`` and the largest eigenvalue 1, the higher the degree that is needed: here it is
    the one at which the filter reaches 1e6 at 1, so that V keeps its rank, if that is not too costly.
    """
    cut = min(cut, 1 - 1e-6)
    center, half = (cut - 1) / 2, (cut + 1) / 2
    degree = int(np.clip(np.arccosh(1e6) / np.arccosh((1 - center) / half), 4, 40))
    previous, current = V, (S @ V - center * V) / half
    for _ in range(degree - 1):
        previous, current = current, (2 / half) * (S @ current - center * current) - previous
    return current / np.linalg.norm(current, axis=0)


def _rayleigh_ritz(S, V):
    """Best approximate eigenpairs of S within the span of V, falling, and the norms of their residuals."""
    Q, _ = qr(V, mode="economic", overwrite_a=True, check_finite=False)
    SQ = S @ Q
    eigenvalues, U = np.linalg.eigh(Q.T @ SQ)
    eigenvalues, U = eigenvalues[::-1], U[:, ::-1]
    V = Q @ U
    return eigenvalues, V, np.linalg.norm(SQ @ U - eigenvalues * V, axis=0)


def diffusion_coordinates(eigenvalues, eigenvectors, time):
    """Diffusion map at a time t: coordinates lambda_l^t psi_l(x), so that D_t is the Euclidean distance between rows.

    D_t(x, y)^2 = sum_l lambda_l^2t (psi_l(x) - psi_l(y))^2.
    """
    return eigenvectors * np.abs(eigenvalues) ** time


# --- density and its forest -------------------------------------------------------------------------------------------


class DensityForest(NamedTuple):
    """Each point's nearest point of higher density in diffusion distance: a tree with the densest point as its root.

    order : ndarray of shape (n_samples,), the points by falling density, ties by index
    parent : ndarray of shape (n_samples,), the nearest point of higher density; the root is its own
    rho : ndarray of shape (n_samples,), the distance to it; for the root the distance to the farthest point
    """

    order: np.ndarray
    parent: np.ndarray
    rho: np.ndarray

    def mass(self):
        """Number of points that would take their label from each point: the size of its subtree."""
        mass, parent = [1] * len(self.order), self.parent.tolist()
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


def kernel_density(distances):
    """p(x) = sum_y exp(-|x - y|^2 / s0^2) over the neighbours y of x, s0 the mean distance to the last of them."""
    scale = distances[:, -1].mean() or 1.0
    return np.exp(-((distances / scale) ** 2)).sum(axis=1)


def density_forest(coordinates, density):
    """Nearest point of higher density for every point, exact.

    Nearly all points find it among their 16 nearest neighbours. For the few others, the points of higher density are a
    prefix of the order of density, and a prefix is a union of blocks of 2^j points, one for each 1 in the binary
    digits of its length: at most log n searches in trees that are built only where someone asks.

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, n_coordinates)
    density : ndarray of shape (n_samples,)
        Ties are broken by index: of two points of the same density, the first counts as denser.

    Returns
    -------
    forest : DensityForest
    """
    n = len(density)
    order = np.lexsort((np.arange(n), -density))
    Y = np.ascontiguousarray(coordinates[order])  # from here on a point is its place in the order
    parent, rho = np.zeros(n, dtype=np.int64), np.full(n, np.inf)
    leaves = _leaf_order(Y)
    distances, neighbors = _tree(Y[leaves]).query(Y[leaves], k=np.arange(1, min(n, 16) + 1), workers=-1)
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
            distance, nearest = _tree(Y[start : start + size]).query(Y[points], workers=-1)
            closer = distance < rho[points]
            parent[points[closer]], rho[points[closer]] = start + nearest[closer], distance[closer]
    rho[0] = np.linalg.norm(Y - Y[0], axis=1).max()
    place = np.argsort(order)
    return DensityForest(order, order[parent][place], rho[place])


def _tree(Y):
    # unbalanced: on clustered coordinates the build takes a tenth of the time and the search no longer
    return cKDTree(Y, balanced_tree=False, compact_nodes=False)


# --- labels -----------------------------------------------------------------------------------------------------------


def diffuse_labels(walk, codes, n_classes, n_steps, averaged=False):
    """Distribution of labels after ``n_steps`` steps of u <- P u, the labelled rows restored after every step.

    u(x) is where a random walk from x meets its first label, if it does so within ``n_steps`` steps.

    Parameters
    ----------
    walk : RandomWalk
    codes : ndarray of shape (n_samples,)
        Class of each point, -1 where unknown.
    n_classes, n_steps : int
    averaged : bool, default=False
        Whether to take the mean of u over the steps instead of the last. A label met at step s then counts
        1 - (s - 1) / n_steps: near labels decide where there are some, far ones where there are not.

    Returns
    -------
    u : ndarray of shape (n_samples, n_classes), float32
        Not negative; rows sum to at most 1, and to 0 where no label is within ``n_steps`` steps.
    """
    codes = codes[walk.order]
    labeled = np.flatnonzero(codes >= 0)
    known = np.zeros((len(labeled), n_classes), dtype=np.float32)
    known[np.arange(len(labeled)), codes[labeled]] = 1
    u = np.zeros((len(codes), n_classes), dtype=np.float32)
    u[labeled] = known
    return _restored_diffusion(walk.P, u, labeled, n_steps, averaged)[walk.place]


def _restored_diffusion(P, u, fixed, n_steps, averaged):
    """u after ``n_steps`` steps of u <- P u with the rows ``fixed`` kept, or its mean over the steps."""
    known, total = u[fixed], np.zeros_like(u)
    for _ in range(n_steps):
        u = P @ u
        u[fixed] = known
        if averaged:
            total += u
    return total / n_steps if averaged else u


def margins(u):
    """Difference between the two largest entries of each row; the entry itself where there is only one."""
    if u.shape[1] == 1:
        return u[:, 0].copy()
    second, first = np.partition(u, -2, axis=1)[:, -2:].T
    return first - second


def neighborhood_mean(walk, values, n_steps):
    """Mean of ``values`` over where a random walk from each point is after ``n_steps`` steps: P^n_steps values."""
    values = values[walk.order]
    for _ in range(n_steps):
        values = walk.P @ values
    return values[walk.place]


def select_spread(walk, scores, candidates, n_select, n_steps):
    """Choose candidates of small score one after another, each keeping its surroundings from being chosen next.

    Each pick is taken as labelled: its unit mass, diffused as labels are, is added to the scores. Of equal scores, the
    first in ``candidates`` is chosen.

    Parameters
    ----------
    walk : RandomWalk
    scores : ndarray of shape (n_samples,)
        Such as the margins of diffused labels.
    candidates : ndarray of int
    n_select : int
    n_steps : int
        Number of diffusion steps of a pick's mass.

    Returns
    -------
    picks : ndarray of shape (n_select,)
        In order of choice.
    """
    left = scores[candidates].astype(np.float64)
    position = np.full(len(scores), -1)
    position[candidates] = np.arange(len(candidates))
    picks = np.empty(n_select, dtype=np.int64)
    for i in range(n_select):
        first = np.argmin(left)
        picks[i], left[first] = candidates[first], np.inf
        points, mass = diffused_mass(walk, picks[i], n_steps)
        near = position[points]
        left[near[near >= 0]] += mass[near >= 0]
    return picks


def diffused_mass(walk, point, n_steps, max_points=2000):
    """Unit mass of one labelled point, diffused as labels are, on the points around it that it reaches first.

    The graph beyond about ``max_points`` points is left out: walks that go there hardly come back in time.

    Returns
    -------
    points : ndarray of int
        The point and its surroundings.
    mass : ndarray of shape (len(points),)
        Between 0 and 1; 1 at the point itself.
    """
    places = frontier = walk.place[[point]]
    for _ in range(n_steps):
        frontier = np.setdiff1d(walk.P[frontier].indices, places)
        places = np.concatenate([places, frontier])
        if not len(frontier) or len(places) >= max_points:
            break
    nearby = walk.P[places][:, places]
    mass = np.zeros(len(places), dtype=np.float32)
    mass[0] = 1
    return walk.order[places], _restored_diffusion(nearby, mass, [0], n_steps, averaged=False)
