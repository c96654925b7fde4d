"""Labels of new rows from the points nearest to them, found in a few leading directions where these suffice.

What comes out for a row does not depend on the rows beside it, to the last bit: neighbours come from a tree that is
asked row by row or are chosen by distances that are taken row by row, and all sums are taken in the same order.
"""

from typing import NamedTuple

import numpy as np
from joblib import effective_n_jobs
from scipy.spatial import cKDTree
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors

from .graph import TREE_FEATURES, inverse_square_weights, others

# numbers of directions that are tried, and by how much what is found in them may be farther away than the nearest
_DIRECTIONS, _SLACK = (12, 24, 48), 0.5
# a search will do if it leaves this share of the checked points the label that the exact one gives them
_AGREEMENT, _N_CHECKED = 0.995, 2000
# among so few points an exact search is fast as well, and a check tells little
_FEW_POINTS = 500
_PCA_ROWS = 500
_BLOCK = 4096


class PointIndex(NamedTuple):
    """Points, and what it takes to find a fast search among them.

    points : ndarray of shape (n_points, n_features), near the origin
    directions : ndarray of shape (n_directions, n_features), principal ones, or None where the features are few
    checked : ndarray of shape (n_checked,), some of the points
    neighbors : ndarray of shape (n_checked, n_neighbors), the points nearest to these
    """

    points: np.ndarray
    directions: np.ndarray | None
    checked: np.ndarray
    neighbors: np.ndarray

    @classmethod
    def of(cls, points, neighbors):
        """Index of ``points``, the other ones nearest to each being ``neighbors``, (n_points, n_neighbors)."""
        directions, n_points = None, len(points)
        if points.shape[1] > _DIRECTIONS[0]:
            some = points[:: -(-n_points // _PCA_ROWS)]
            with np.errstate(invalid="ignore"):  # shares of the variance of equal points, which are of no interest
                directions = PCA(min(_DIRECTIONS[-1], *some.shape), random_state=0).fit(some).components_
        checked = np.arange(0, n_points, -(-n_points // _N_CHECKED))
        return cls(points, directions, checked, neighbors[checked])

    def voters(self, distribution):
        """Voters with the fastest search by which the checked points get the labels that their neighbours give them.

        Parameters
        ----------
        distribution : ndarray of shape (n_points, n_classes)
            Of the label of each point.

        Returns
        -------
        voters : Voters
        """
        n_points, n_features = self.points.shape
        votes = distribution, distribution.argmax(axis=1)
        X, n_neighbors = self.points[self.checked], self.neighbors.shape[1]
        expected = Voters(self, *votes).elect(X, self.neighbors)
        for n_directions in _DIRECTIONS if n_points > _FEW_POINTS else ():
            tried = Voters(self, *votes, self._tree(n_directions), n_directions, _SLACK)
            found = tried.near(X, n_neighbors + 1)
            found = found[others(found, self.checked)].reshape(len(X), n_neighbors)
            if np.mean(tried.elect(X, found) == expected) >= _AGREEMENT:
                return tried
            if n_directions >= n_features:
                break
        tree = self._tree(None) if n_features <= TREE_FEATURES else None
        return Voters(self, *votes, tree)

    def project(self, X, n_directions):
        """Coordinates of rows X in the leading directions; None stands for the features."""
        if n_directions is None or self.directions is None:
            return X
        return np.vecdot(X[:, None], self.directions[:n_directions])

    def _tree(self, n_directions):
        return cKDTree(self.project(self.points, n_directions), leafsize=32)


class Voters(NamedTuple):
    """Points that elect the labels of rows near to them.

    index : PointIndex
    distribution : ndarray of shape (n_points, n_classes), of the label of each point
    codes : ndarray of shape (n_points,), the most probable class of each point
    tree : cKDTree of the points in ``n_directions``, or None: they are all compared with a row
    n_directions : int, or None for the features
    slack : float, the points found may be 1 + slack times as far away in these directions as the nearest
    """

    index: PointIndex
    distribution: np.ndarray
    codes: np.ndarray
    tree: cKDTree | None = None
    n_directions: int | None = None
    slack: float = 0.0

    def predict(self, X, n_neighbors, n_jobs=None):
        """Most probable class of each row: (n, n_features) -> (n,)."""
        return self.elect(X, self.near(X, n_neighbors, n_jobs))

    def predict_proba(self, X, n_neighbors, n_jobs=None):
        """Probabilities of the classes of each row: (n, n_features) -> (n, n_classes)."""
        neighbors = self.near(X, n_neighbors, n_jobs)
        return weighted_mean(self.distribution, self.distances(X, neighbors), neighbors)

    def elect(self, X, neighbors):
        """Most probable class of each row, from its neighbours: where all are of one class, it wins by any weights."""
        codes = self.codes[neighbors]
        elected = codes[:, 0].copy()
        open_ = np.flatnonzero((codes != codes[:, :1]).any(axis=1))
        X, neighbors = X[open_], neighbors[open_]
        elected[open_] = weighted_mean(self.distribution, self.distances(X, neighbors), neighbors).argmax(axis=1)
        return elected

    def near(self, X, n_neighbors, n_jobs=None):
        """Points near to each row: (n, n_features) -> (n, n_neighbors)."""
        if self.tree is not None:
            X, ranks = self.index.project(X, self.n_directions), range(1, n_neighbors + 1)
            return self.tree.query(X, ranks, eps=self.slack, workers=effective_n_jobs(n_jobs))[1]
        # products of matrices round as their shapes will have it: they only name candidates, twice as many as needed
        n_candidates = min(2 * n_neighbors, len(self.codes))
        search = NearestNeighbors(n_neighbors=n_candidates, algorithm="brute", n_jobs=n_jobs).fit(self.index.points)
        candidates = np.sort(search.kneighbors(X, return_distance=False), axis=1)
        nearest = np.argsort(self.distances(X, candidates), axis=1, kind="stable")[:, :n_neighbors]
        return np.take_along_axis(candidates, nearest, axis=1)

    def distances(self, X, neighbors):
        """Distances of rows to some points each: (n, n_features), (n, k) -> (n, k)."""
        squared = np.empty(neighbors.shape)
        for j, points in enumerate(neighbors.T):
            difference = X - self.index.points[points]
            squared[:, j] = np.vecdot(difference, difference)
        return np.sqrt(squared)


def weighted_mean(distribution, distances, neighbors):
    """Distribution of the neighbours of each row, weighted by 1 / distance^2: -> (n, n_classes)."""
    weights = inverse_square_weights(distances)
    p = np.zeros((len(neighbors), distribution.shape[1]))
    for weight, points in zip(weights.T, neighbors.T, strict=True):
        p += weight[:, None] * distribution[points]
    return p


def in_blocks(X):
    """Rows in blocks, so that what is done for each takes no more memory than it has to."""
    return (X[start : start + _BLOCK] for start in range(0, X.shape[0], _BLOCK))
