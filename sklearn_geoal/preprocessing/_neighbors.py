"""Transformer: the sparse graph of nearest neighbours in hyperbolic space."""

from numbers import Integral

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .._manifolds.polar import half_sinh_blocks, polar_coordinates
from .._validation import check_choice, unchanged_on_error, validate_complete


class HyperbolicNeighborsTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Transform points of hyperbolic space into the sparse graph of their nearest neighbours.

    What :class:`sklearn.neighbors.KNeighborsTransformer` is for other distances: a step before any estimator that takes
    ``metric="precomputed"``, without a full matrix of distances. The search is exact.

    Parameters
    ----------
    n_neighbors : int, default=5
        Neighbours of each point. In the mode ``"distance"`` there is one more, since a fitted point is its own first
        neighbour.
    model : {"tangent", "lorentz", "poincare"}, default="tangent"
        What the coordinates of X are, see :func:`~sklearn_geoal.metrics.hyperbolic_distances`: tangent vectors at the
        origin, coordinates on the hyperboloid with the time first, or coordinates in the Poincare ball.
    curvature : float, default=1.0
        Positive number c; the space has the curvature -c.
    mode : {"distance", "connectivity"}, default="distance"
        Whether the graph holds distances or ones.

    Attributes
    ----------
    n_samples_fit_ : int
        Number of points in the fitted data.
    n_features_in_ : int
        Number of coordinates seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the coordinates seen during fit, where X has them.

    Notes
    -----
    The time grows as ``n_samples * n_samples_fit * n_features``, the memory as ``n_samples * n_neighbors``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.neighbors import KNeighborsClassifier
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_geoal.preprocessing import HyperbolicNeighborsTransformer
    >>> X, y = load_iris(return_X_y=True)
    >>> model = make_pipeline(HyperbolicNeighborsTransformer(), KNeighborsClassifier(metric="precomputed"))
    >>> model.fit(X - X.mean(axis=0), y).predict([[-1.0, 0.3, -2.3, -0.9]])
    array([0])
    """

    def __init__(self, n_neighbors=5, *, model="tangent", curvature=1.0, mode="distance"):
        self.n_neighbors = n_neighbors
        self.model = model
        self.curvature = curvature
        self.mode = mode

    def fit(self, X, y=None):
        """Remember the points.

        Parameters
        ----------
        X : array-like of shape (n_samples_fit, n_features)
            Points among which neighbours are looked for.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : HyperbolicNeighborsTransformer
            Fitted transformer.

        Raises
        ------
        TypeError
            If ``n_neighbors`` or ``curvature`` is not a number.
        ValueError
            If a parameter is out of range or a point does not lie in the model.
        """
        check_scalar(self.n_neighbors, "n_neighbors", Integral, min_val=1)
        check_choice("mode", self.mode, ("distance", "connectivity"))
        with unchanged_on_error(self):
            self._n_neighbors, self._mode = int(self.n_neighbors), self.mode
            self._model, self._curvature = self.model, self.curvature
            self._points = self._polar(X, reset=True)[0]
            self.n_samples_fit_ = self._n_features_out = len(self._points)
        return self

    def transform(self, X):
        """Find the nearest of the fitted points.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Points whose neighbours are looked for.

        Returns
        -------
        graph : csr_array of shape (n_samples, n_samples_fit)
            Distances to the nearest fitted points, nearest first in each row, zeros explicit; or ones.

        Raises
        ------
        ValueError
            If a point does not lie in the model or there are fewer fitted points than neighbours asked for.
        """
        check_is_fitted(self)
        points, dtype = self._polar(X, reset=False)
        k = self._n_neighbors + (self._mode == "distance")
        if k > self.n_samples_fit_:
            raise ValueError(
                f"n_neighbors={self._n_neighbors} needs {k} fitted points in the mode {self._mode!r}; got "
                f"n_samples_fit = {self.n_samples_fit_}: lower n_neighbors or fit more points."
            )
        n_samples = len(points)
        neighbors, nearest = np.empty((n_samples, k), dtype=np.int64), np.empty((n_samples, k))
        for rows, half_sinh in half_sinh_blocks(points, self._points):
            neighbors[rows], nearest[rows] = _smallest(half_sinh, k)
        if self._mode == "distance":
            values = np.arcsinh(nearest) * 2 / np.sqrt(self._curvature)
        else:
            values = np.ones(neighbors.shape)
        starts = np.arange(0, n_samples * k + 1, k)
        shape = (n_samples, self.n_samples_fit_)
        return csr_array((values.astype(dtype).ravel(), neighbors.ravel(), starts), shape=shape)

    def _polar(self, X, reset):
        X = validate_complete(self, X, dtype=[np.float64, np.float32], reset=reset)
        return polar_coordinates(X, self._model, self._curvature), X.dtype

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _smallest(values, k):
    """Places and values of the k smallest entries of each row, smallest first: (n, m) -> (n, k), (n, k)."""
    places = np.argpartition(values, k - 1, axis=1)[:, :k]
    found = np.take_along_axis(values, places, axis=1)
    order = np.argsort(found, axis=1, kind="stable")
    return np.take_along_axis(places, order, axis=1), np.take_along_axis(found, order, axis=1)
