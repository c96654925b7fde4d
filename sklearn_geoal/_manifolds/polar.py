"""Polar coordinates around the origin, on arrays: what points of any model have in common, and their distances.

A point is a row of 1 + d numbers: its distance from the origin in units of R = 1 / sqrt(curvature), and its direction.
"""

from numbers import Real

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.utils import check_scalar

from .._validation import check_choice

_BLOCK_VALUES = 2**20  # 8 MiB of float64, a few times over
# squared chord below which a product of directions has lost five of its digits
_NEAR = 1e-4
# in units of 1/sqrt(curvature): beyond it the squares of the coordinates on the hyperboloid overflow
_MAX_RADIUS = 350.0
# by how much the time coordinate may be off, relative: tables hold few decimals
_SHEET_TOLERANCE = 1e-4


@np.errstate(over="ignore", invalid="ignore")  # what overflows lies too far out
def polar_coordinates(X, model, curvature):
    """Radius in units of 1/sqrt(curvature) and direction of each point: (n, 1 + d), float64, directions of length 1.

    Raises
    ------
    TypeError
        If ``curvature`` is not a number.
    ValueError
        If ``curvature`` or ``model`` is invalid, or a point does not lie in the model.
    """
    check_choice("model", model, ("tangent", "lorentz", "poincare"))
    check_scalar(curvature, "curvature", Real)
    if not 0 < curvature < np.inf:
        raise ValueError(f"curvature must be a positive number c, for a space of curvature -c; got {curvature!r}.")
    X = X.astype(np.float64) * np.sqrt(curvature)
    if model == "lorentz":
        space = X[:, 1:]
        _check_on_sheet(X[:, 0], np.hypot(1, np.linalg.norm(space, axis=1)), curvature)
    else:
        space = X
    length = np.linalg.norm(space, axis=1)
    if model == "poincare" and length.max(initial=0) >= 1:
        row = length.argmax()
        raise ValueError(
            f"Row {row} of X lies {length[row]:.8g} / sqrt(curvature) from the center of the Poincare ball, expected "
            'less than 1: give points inside the ball, or tangent vectors with model="tangent".'
        )
    radius = {"tangent": np.positive, "lorentz": np.arcsinh, "poincare": lambda r: 2 * np.arctanh(r)}[model](length)
    if radius.max(initial=0) > _MAX_RADIUS:
        row = radius.argmax()
        raise ValueError(
            f"Row {row} of X lies {radius[row]:.4g} / sqrt(curvature) from the origin, expected at most "
            f"{_MAX_RADIUS:g}: scale X down or lower curvature."
        )
    return np.column_stack([radius, space / np.where(length > 0, length, 1)[:, None]])


def _check_on_sheet(time, expected, curvature):
    """Raise ValueError where a time coordinate is not that of the space coordinates; both times sqrt(curvature)."""
    error = np.abs(time - expected) / expected
    if error.max(initial=0) > _SHEET_TOLERANCE:
        row, R = error.argmax(), 1 / np.sqrt(curvature)
        raise ValueError(
            f"Row {row} of X lies off the hyperboloid of curvature -{curvature:g}: its first coordinate, the time, is "
            f"{time[row] * R:.6g}, expected sqrt(1 / curvature + |space|^2) = {expected[row] * R:.6g} up to a relative "
            f"error of {_SHEET_TOLERANCE:g}. Put the time first and check curvature, or give tangent vectors with "
            'model="tangent".'
        )


def half_sinh_blocks(first, second):
    """Blocks of the matrix of sinh(d / 2R) between points in polar coordinates, which grows with the distance d.

    Parameters
    ----------
    first : ndarray of shape (n, 1 + d)
    second : ndarray of shape (m, 1 + d)

    Yields
    ------
    rows : slice
        Rows of the block, such that its size is bounded.
    half_sinh : ndarray of shape (n_rows, m)
    """
    step = max(1, _BLOCK_VALUES // max(1, len(second)))
    for start in range(0, len(first), step):
        rows = slice(start, start + step)
        yield rows, _half_sinh(first[rows], second)


def _half_sinh(first, second):
    """sinh(d / 2R) with sinh^2(d / 2R) = sinh^2((a - b) / 2) + sinh(a) sinh(b) sin^2(t / 2): (n, 1 + d) -> (n, m).

    a and b are the radii of two points and t is the angle between their directions.
    """
    a, b = first[:, :1], second[:, 0]
    angular = _squared_chords(first[:, 1:], second[:, 1:])
    angular *= np.sinh(a) * np.sinh(b) / 4
    radial = np.sinh((a - b) / 2)
    radial *= radial
    radial += angular
    return np.sqrt(radial, out=radial)


def _squared_chords(first, second):
    """4 sin^2(t / 2) between directions: products are fast, differences keep the digits of near ones."""
    chords = 2 - 2 * (first @ second.T)
    rows, columns = np.nonzero(chords < _NEAR)
    if len(rows) > chords.size // 8:
        return cdist(first, second, "sqeuclidean")
    chords[rows, columns] = ((first[rows] - second[columns]) ** 2).sum(axis=1)
    return chords
