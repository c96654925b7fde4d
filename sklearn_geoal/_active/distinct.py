"""Distinct rows as the points of a graph, each of which stands for all samples that are equal to it."""

from typing import NamedTuple

import numpy as np


class Points(NamedTuple):
    """The points of a graph and the samples they stand for, in the order of the first of these.

    first : ndarray of shape (n_points,), ascending, the first sample of each point
    point : ndarray of shape (n_samples,), the point of each sample
    counts : ndarray of shape (n_points,), the number of samples of each point, or None if each has one; with weights,
        their sum
    weights : ndarray of shape (n_samples,), or None for one each. A sample of weight 0 does not count: it belongs to
        the point nearest to it, and what is known of it is not known of that
    """

    first: np.ndarray
    point: np.ndarray
    counts: np.ndarray | None
    weights: np.ndarray | None = None

    def counting(self):
        """Mark the samples that count."""
        return np.ones(len(self.point), dtype=bool) if self.weights is None else self.weights > 0

    def of_samples(self, values):
        """Values of the points as values of the samples: equal rows get equal ones."""
        return values if self.counts is None else values[self.point]

    def of_points(self, values):
        """Values of the points, from values of the samples that are equal for equal rows."""
        return values if self.counts is None else values[self.first]

    def among(self, samples):
        """The points that ascending ``samples`` belong to, ascending, and the first of the samples for each."""
        if self.counts is None:
            return samples, samples
        points, places = np.unique(self.point[samples], return_index=True)
        return points, samples[places]

    def classes(self, labeled, codes):
        """Class of each point, -1 where unknown, from the samples that are ``labeled`` and the codes of their classes.

        Where the labels of equal rows differ, the most frequent counts, by weight if there are weights; among such the
        one that comes first.
        """
        found = np.full(len(self.first), -1)
        if self.counts is None or not len(labeled):
            found[labeled] = codes
            return found
        n_classes = codes.max() + 1
        pairs, places, pair = np.unique(self.point[labeled] * n_classes + codes, return_index=True, return_inverse=True)
        votes = np.bincount(pair, None if self.weights is None else self.weights[labeled])
        pairs = pairs[np.lexsort((-places, votes))]  # of the classes of one point the last is kept
        found[pairs // n_classes] = pairs % n_classes
        return found


def every_sample(n_samples):
    """Points that are one sample each."""
    samples = np.arange(n_samples)
    return Points(samples, samples, None)


def distinct_rows(X):
    """The distinct rows of X as points; every sample where there are no equal rows, or no others.

    In linear time, whatever the number of features: rows are told apart by 64 bits that Python's hash makes of them,
    so that even among a million rows two are mistaken for each other once in thirty million cases.
    """
    rows = np.ascontiguousarray(X + 0)  # -0.0 becomes 0.0
    rows = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1])))[:, 0]
    hashes = np.fromiter(map(hash, map(bytes, rows)), dtype=np.int64, count=len(rows))
    distinct, first, point, counts = np.unique(hashes, return_index=True, return_inverse=True, return_counts=True)
    if len(distinct) in (1, len(rows)):  # a graph takes two points
        return every_sample(len(rows))
    order = np.argsort(first)
    return Points(first[order], np.argsort(order)[point], counts[order])


def weighted_points(points, weights):
    """Points of the samples of positive weight as those of all samples; of weight 0 they are of no point yet, -1."""
    counting = np.flatnonzero(weights)
    point = np.full(len(weights), -1)
    point[counting] = points.point
    return Points(counting[points.first], point, np.bincount(points.point, weights[counting]), weights)
