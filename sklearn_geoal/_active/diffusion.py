"""Labels diffused over a graph, and queries that keep away from each other."""

from heapq import heappop, heappush

import numpy as np
from scipy.spatial import cKDTree


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


def nearest_label(coordinates, labeled, codes, points):
    """Code of the labelled point nearest to each of ``points``."""
    if not len(points):
        return np.empty(0, dtype=codes.dtype)
    _, nearest = cKDTree(coordinates[labeled]).query(coordinates[points])
    return codes[labeled[nearest]]


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
    # scores only rise, so that an old one is a lower bound: the heap holds such bounds, of the candidates whose score
    # has been looked at and of the next one in the order of the scores at first
    order = np.argsort(left, kind="stable")
    first = zip(left[order], order, strict=True)
    heap, newest = [next(first)], order[0]
    picks = []
    while len(picks) < n_select:
        bound, place = heappop(heap)
        if place == newest:
            score, newest = next(first, (np.inf, -1))
            heappush(heap, (score, newest))
        if bound < left[place]:
            heappush(heap, (left[place], place))
            continue
        picks.append(candidates[place])
        points, mass = diffused_mass(walk, picks[-1], n_steps)
        near = position[points]
        left[near[near >= 0]] += mass[near >= 0]
    return np.array(picks)


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
    is_new = np.ones(len(walk.order), dtype=bool)
    for _ in range(n_steps):
        is_new[frontier] = False
        met = walk.P[frontier].indices
        frontier = np.unique(met[is_new[met]])
        places = np.concatenate([places, frontier])
        if not len(frontier) or len(places) >= max_points:
            break
    nearby = walk.P[places][:, places]
    mass = np.zeros(len(places), dtype=np.float32)
    mass[0] = 1
    return walk.order[places], _restored_diffusion(nearby, mass, [0], n_steps, averaged=False)
