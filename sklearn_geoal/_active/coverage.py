"""Exploring queries: cover the modes of the density with few labels."""

from heapq import heapify, heappop, heapreplace

import numpy as np
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist


def owned_mass(forest, points, counts=None):
    """Number of samples whose first ancestor among ``points``, themselves included, is each of ``points``.

    What has no such ancestor counts for the first of ``points``. ``counts`` is the number of samples of each point of
    the forest, None for one.
    """
    owner = np.full(len(forest.order), -1)
    owner[forest.order[0]] = 0
    owner[points] = np.arange(len(points))
    return np.bincount(forest.inherit(owner), counts, minlength=len(points)).astype(np.float64)


def coverage_gain(uncovered, distances, weights):
    """Gain of sites, sum_m w_m max(d(m) - D_t(m, s), 0), from d (n_modes,) and D_t (..., n_modes).

    Each row is summed in the same order, alone and among others, so that where d falls no gain rises, not even by
    rounding.
    """
    return (np.maximum(uncovered - distances, 0) * weights).sum(axis=-1)


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
    total = weights @ uncovered
    gains = coverage_gain(uncovered, distances, weights)
    # the gains only fall, so that an old one is an upper bound: the site whose gain is still its bound gains most
    bounds = [(-gain, place) for place, gain in enumerate(gains.tolist())]
    heapify(bounds)
    chosen, left = [], total
    while len(chosen) < n_select:
        bound, place = bounds[0]
        gain = coverage_gain(uncovered, distances[place], weights)
        if gain < -bound:
            heapreplace(bounds, (-gain, place))
            continue
        if gain / (left or 1.0) < min_gain:
            break
        heappop(bounds)
        chosen.append(place)
        uncovered = np.minimum(uncovered, distances[place])
        left = weights @ uncovered
    return sites[chosen], gains / (total or 1.0)


def above_gain(scores, total, min_gain):
    """How many of the falling ``scores`` to take, until one is less than ``min_gain`` of the ``total`` left then."""
    left = total - np.concatenate([[0], np.cumsum(scores)[:-1]])
    stop = np.flatnonzero(scores < min_gain * left)
    return stop[0] if len(stop) else len(scores)
