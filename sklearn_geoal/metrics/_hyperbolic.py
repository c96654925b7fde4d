"""Distances in hyperbolic space, and how close data are to a tree."""

from functools import cache
from numbers import Integral
from typing import NamedTuple

import numpy as np
from sklearn.metrics import pairwise_distances
from sklearn.metrics.pairwise import check_pairwise_arrays
from sklearn.utils import assert_all_finite, check_array, check_scalar

from .._manifolds.polar import half_sinh_blocks, polar_coordinates
from .._validation import as_random_state, masked_as_nan

# --- distances in hyperbolic space ------------------------------------------------------------------------------------


def hyperbolic_distances(X, Y=None, *, model="tangent", curvature=1.0):
    """Distances between all pairs of points in hyperbolic space.

    With the radii a, b of two points in units of R = 1 / sqrt(curvature) and the angle t between their directions, all
    seen from the origin, sinh^2(d / 2R) = sinh^2((a - b) / 2) + sinh(a) sinh(b) sin^2(t / 2). Nothing cancels in this
    form, so that near points far from the origin keep their digits, and identical points are at distance 0.

    Parameters
    ----------
    X : array-like of shape (n_samples_X, n_coordinates)
        Points as rows.
    Y : array-like of shape (n_samples_Y, n_coordinates) or None, default=None
        Points as rows. None: the same as X.
    model : {"tangent", "lorentz", "poincare"}, default="tangent"
        What the coordinates are. ``"tangent"``: the tangent vector at the origin that leads to the point, whose length
        is the distance from the origin; any vector is one. ``"lorentz"``: the d + 1 coordinates on the hyperboloid,
        time first, with ``time**2 - |space|**2 = 1 / curvature``. ``"poincare"``: the d coordinates in the ball of
        radius R.
    curvature : float, default=1.0
        Positive number c; the space has the curvature -c.

    Returns
    -------
    distances : ndarray of shape (n_samples_X, n_samples_Y)
        Computed in float64; float32 if X and Y are.

    Raises
    ------
    TypeError
        If ``curvature`` is not a number.
    ValueError
        If ``curvature`` is not positive, a point does not lie in the model, or one lies more than 350 R from the
        origin.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.metrics import hyperbolic_distances
    >>> hyperbolic_distances([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]]).round(3)
    array([[0.   , 3.   , 3.   ],
           [3.   , 0.   , 5.312],
           [3.   , 5.312, 0.   ]])
    """
    X, Y = check_pairwise_arrays(masked_as_nan(X), masked_as_nan(Y), accept_sparse=False)
    first = polar_coordinates(X, model, curvature)
    second = first if Y is X else polar_coordinates(Y, model, curvature)
    distances = np.empty((len(X), len(Y)), dtype=X.dtype)
    for rows, half_sinh in half_sinh_blocks(first, second):
        distances[rows] = 2 / np.sqrt(curvature) * np.arcsinh(half_sinh)
    return distances


# --- hyperbolicity ----------------------------------------------------------------------------------------------------


class DeltaHyperbolicity(NamedTuple):
    """Mean and standard deviation of the relative delta-hyperbolicity over subsamples."""

    mean: float
    std: float


def delta_hyperbolicity(X, *, metric="euclidean", n_samples=1500, n_repeats=10, random_state=None):
    r"""Relative Gromov delta-hyperbolicity: how far data are from a tree, between 0 (a tree) and 1.

    With the Gromov products :math:`A_{xy} = (d(x, p) + d(y, p) - d(x, y)) / 2` at a base point p,
    :math:`\delta = \max_{x, y} (\max_z \min(A_{xz}, A_{zy}) - A_{xy})` and
    :math:`\delta_{rel} = 2 \delta / \max_{x, y} d(x, y)`, which does not depend on the scale. The smaller it is, the
    better hyperbolic space suits the data; Khrulkov et al. (2020) propose the curvature
    :math:`-(0.144 / \delta_{rel})^2`.

    Parameters
    ----------
    X : array-like of shape (n_points, n_features) or (n_points, n_points)
        Points as rows, or their distances with ``metric="precomputed"``.
    metric : str or callable, default="euclidean"
        Any metric of :func:`sklearn.metrics.pairwise_distances`, or ``"precomputed"``.
    n_samples : int, default=1500
        Points of a subsample; all of them if there are fewer. The time grows as its cube.
    n_repeats : int, default=10
        Subsamples, each with a base point of its own.
    random_state : int, RandomState instance or None, default=None
        Draws the subsamples and their base points.

    Returns
    -------
    delta : DeltaHyperbolicity
        Named tuple of ``mean`` and ``std`` over the subsamples.

    Raises
    ------
    TypeError
        If ``n_samples`` or ``n_repeats`` is not an integer.
    ValueError
        If there are fewer than 4 points, all points of a subsample coincide, or distances are not finite, negative or
        not symmetric.

    References
    ----------
    V. Khrulkov et al., "Hyperbolic image embeddings", CVPR 2020.

    H. Fournier, A. Ismail, A. Vigneron, "Computing the Gromov hyperbolicity of a discrete metric space", Information
    Processing Letters 115, 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.metrics import delta_hyperbolicity
    >>> star = 2.0 * (1 - np.eye(6))
    >>> star[0] = star[:, 0] = 1
    >>> star[0, 0] = 0
    >>> delta_hyperbolicity(star, metric="precomputed")
    DeltaHyperbolicity(mean=0.0, std=0.0)
    """
    X = check_array(masked_as_nan(X), dtype=[np.float64, np.float32])
    check_scalar(n_samples, "n_samples", Integral, min_val=4)
    check_scalar(n_repeats, "n_repeats", Integral, min_val=1)
    precomputed = isinstance(metric, str) and metric == "precomputed"
    if precomputed:
        _check_distances(X)
    if len(X) < 4:
        raise ValueError(f"X has {len(X)} points, expected at least 4: delta compares the distances among four points.")
    random_state = as_random_state(random_state)
    deltas = []
    for _ in range(n_repeats):
        sample = random_state.permutation(len(X))[:n_samples]
        D = X[np.ix_(sample, sample)] if precomputed else pairwise_distances(X[sample], metric=metric)
        assert_all_finite(D, input_name="the distances")
        deltas.append(_relative_delta(D.astype(np.float64)))
    return DeltaHyperbolicity(float(np.mean(deltas)), float(np.std(deltas)))


def _check_distances(D):
    if D.shape[0] != D.shape[1]:
        raise ValueError(f'metric="precomputed" takes a square matrix of distances; got X of shape {D.shape}.')
    if D.min() < 0:
        raise ValueError(f'metric="precomputed" takes distances, expected to be at least 0; got {D.min():g}.')
    asymmetry = np.abs(D - D.T).max()
    if asymmetry > 1e-5 * D.max():
        raise ValueError(
            f'metric="precomputed" takes a symmetric matrix; got one that differs by {asymmetry:g} from X.T.'
        )


def _relative_delta(D):
    """2 delta / diameter of a matrix of distances, the first point as base."""
    diameter = D.max()
    if diameter == 0:
        raise ValueError("All points of a subsample coincide: delta is relative to their largest distance, which is 0.")
    return 2 * _compiled_delta()((D[0] + D[0][:, None] - D) / 2) / diameter


@cache
def _compiled_delta():
    from numba import njit  # its import alone takes longer than all else here

    return njit(fastmath={"nnan", "nsz"})(_delta)


def _delta(A, tile=32):
    """max_ij (max_k min(A_ik, A_kj) - A_ij) of the symmetric (n, n) Gromov products."""
    delta = 0.0
    # a few rows against all the others, so that these few stay in the cache
    for start in range(0, len(A), tile):
        for i in range(start, len(A)):
            for j in range(start, min(start + tile, i)):
                # the diagonal, distances from the base point, bounds each row
                if min(A[i, i], A[j, j]) - A[i, j] > delta:
                    product = 0.0  # as for k the base point
                    for k in range(len(A)):
                        product = max(product, min(A[i, k], A[j, k]))
                    delta = max(delta, product - A[i, j])
    return delta
