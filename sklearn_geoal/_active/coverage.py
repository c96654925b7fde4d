"""Exploring queries: cover the modes of the density with few labels."""

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist


def owned_mass(forest, points):
    """Number of points whose first ancestor among ``points``, themselves included, is each of ``points``.

    What has no such ancestor counts for the first of ``points``.
    """
    owner = np.full(len(forest.order), -1)
    owner[forest.order[0]] = 0
    owner[points] = np.arange(len(points))
    return np.bincount(forest.inherit(owner), minlength=len(points)).astype(np.float64)


def coverage_order(coordinates, sites, modes, weights, labeled, n_select, min_gain):
    """Choose sites one after another, each time the one that brings the modes closest to a labelled point.

    Greedy facility location: with d(m) the distance from mode m to the nearest labelled point or chosen site, the gain
    of site s is sum_m w_m max(d(m) - D_t(m, s), 0), relative to sum_m w_m d(m).

    Parameters
    ----------
    coordinates : ndarray of shape (n_samples, n_coordinates)
    sites, modes, labeled : ndarray of int
        The points that may be chosen, those that are to be near one, and those that are labelled already.
    weights : ndarray of shape (n_modes,)
    n_select : int
        At most ``len(sites)``.
    min_gain : float
        Stop where the next relative gain is less.

    Returns
    -------
    chosen : ndarray of int
        In order of choice.
    gains : ndarray of shape (n_sites,)
        The relative gains at the time of the first choice.
    """
    distances = cdist(coordinates[sites], coordinates[modes])  # (n_sites, n_modes)
    if len(labeled):
        uncovered, _ = cKDTree(coordinates[labeled]).query(coordinates[modes])
    else:
        uncovered = np.full(len(modes), distances.max())
    chosen, first_gains, free = [], None, np.ones(len(sites), dtype=bool)
    while True:
        total = weights @ uncovered
        gains = np.maximum(uncovered - distances, 0) @ weights / (total or 1.0)
        first_gains = gains if first_gains is None else first_gains
        best = np.argmax(np.where(free, gains, -1))
        if len(chosen) == n_select or gains[best] < min_gain:
            return sites[chosen], first_gains
        chosen.append(best)
        free[best] = False
        uncovered = np.minimum(uncovered, distances[best])
