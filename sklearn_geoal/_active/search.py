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

# numbers of directions that are tried, and how many candidates for each neighbour are looked for in them
_TRIALS = (12, 1), (12, 2), (24, 2), (48, 2)
# by how much candidates may be farther away, in these directions, than the nearest
_SLACK = 0.5
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
        if points.shape[1] > _TRIALS[0][0]:
            some = points[:: -(-n_points // _PCA_ROWS)]
            with np.errstate(invalid="ignore"):  # shares of the variance of equal points, which are of no interest
                directions = PCA(min(_TRIALS[-1][0], *some.shape), random_state=0).fit(some).components_
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
        X, k = self.points[self.checked], self.neighbors.shape[1]
        expected = Voters(self, *votes).elect(X, self.neighbors, k)
        for n_directions, n_times in _TRIALS if n_points > _FEW_POINTS else ():
            tried = Voters(self, *votes, self._tree(n_directions), n_directions, _SLACK, n_times)
            found = tried.near(X, k + 1)
            found = found[others(found, self.checked)].reshape(len(X), -1)
            if np.mean(tried.elect(X, found, k) == expected) >= _AGREEMENT:
                return tried
            if n_directions >= n_features:
                break
        if n_features <= TREE_FEATURES:
            return Voters(self, *votes, self._tree(None))
        return Voters(self, *votes, n_times=2)

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
    slack : float, candidates may be 1 + slack times as far away in these directions as the nearest
    n_times : int, the number of candidates for each neighbour
    """

    index: PointIndex
    distribution: np.ndarray
    codes: np.ndarray
    tree: cKDTree | None = None
    n_directions: int | None = None
    slack: float = 0.0
    n_times: int = 1

    def predict(self, X, n_neighbors, n_jobs=None):
        """Most probable class of each row: (n, n_features) -> (n,)."""
        return self.elect(X, self.near(X, n_neighbors, n_jobs), n_neighbors)

    def predict_proba(self, X, n_neighbors, n_jobs=None):
        """Probabilities of the classes of each row: (n, n_features) -> (n, n_classes)."""
        return self.vote(X, self.near(X, n_neighbors, n_jobs), n_neighbors)

    def near(self, X, n_neighbors, n_jobs=None):
        """Candidates for the neighbours of each row: (n, n_features) -> (n, n_times * n_neighbors), or all points."""
        n_candidates = min(self.n_times * n_neighbors, len(self.codes))
        if self.tree is not None:
            X, ranks = self.index.project(X, self.n_directions), range(1, n_candidates + 1)
            return self.tree.query(X, ranks, eps=self.slack, workers=effective_n_jobs(n_jobs))[1]
        # by products of matrices, which round as their shapes will have it: no more than candidates, in an order of
        # their own
        search = NearestNeighbors(n_neighbors=n_candidates, algorithm="brute", n_jobs=n_jobs).fit(self.index.points)
        return np.sort(search.kneighbors(X, return_distance=False), axis=1)

    def elect(self, X, candidates, n_neighbors):
        """Most probable class of each row: where all candidates are of one, it wins by any weights."""
        codes = self.codes[candidates]
        elected = codes[:, 0].copy()
        open_ = np.flatnonzero((codes != codes[:, :1]).any(axis=1))
        elected[open_] = self.vote(X[open_], candidates[open_], n_neighbors).argmax(axis=1)
        return elected

    def vote(self, X, candidates, n_neighbors):
        """Probabilities of the classes of each row, by the nearest of its candidates."""
        distances = self._distances(X, candidates)
        if candidates.shape[1] > n_neighbors:
            nearest = np.argsort(distances, axis=1, kind="stable")[:, :n_neighbors]
            distances, candidates = (np.take_along_axis(part, nearest, axis=1) for part in (distances, candidates))
        return weighted_mean(self.distribution, distances, candidates)

    def _distances(self, X, points):
        """Distances of rows to some points each: (n, n_features), (n, k) -> (n, k)."""
        squared = np.empty(points.shape)
        for j, of_rows in enumerate(points.T):
            difference = X - self.index.points[of_rows]
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
