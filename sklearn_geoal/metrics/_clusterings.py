"""Consensus of two clusterings of the same samples."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import linear_sum_assignment

from .._labels import is_masked_pair, keeping_masks
from ._segmentation import distinct, is_label


class JaccardConsensus(NamedTuple):
    """Jaccard similarity of the clusters of two clusterings, with the labels of its rows and columns."""

    matrix: np.ndarray
    labels_a: np.ndarray
    labels_b: np.ndarray


def jaccard_consensus(labels_a, labels_b, *, ignore_label=None, match=False):
    r"""Jaccard similarity of each cluster of one clustering with each of another.

    With the sets :math:`A_i` and :math:`B_j` of samples in cluster i of one and j of the other, it is
    :math:`|A_i \cap B_j| / |A_i \cup B_j|`: one where both hold the same samples, zero where they share none. What the
    clusters are called does not matter.

    Parameters
    ----------
    labels_a, labels_b : array-like of equal shape
        Cluster of each sample, of any shape: rows of labels or maps (height, width). Samples that are masked in a
        :class:`numpy.ma.MaskedArray`, in either clustering, do not count.
    ignore_label : scalar or str, default=None
        Label of samples that do not count, such as pixels without data, if either clustering has it; NaN included.
        None: all count.
    match : bool, default=False
        Whether to order rows and columns such that the clusters that belong together lie on the diagonal. Each cluster
        has at most one partner, and the sum of the similarities of the pairs is the largest there is. Clusters without
        a partner come last.

    Returns
    -------
    matrix : ndarray of shape (n_clusters_a, n_clusters_b)
        Similarity in [0, 1] of cluster ``labels_a[i]`` and cluster ``labels_b[j]``.
    labels_a : ndarray of shape (n_clusters_a,)
        Labels of the rows, sorted; with ``match``, those of the pairs sorted and then the others.
    labels_b : ndarray of shape (n_clusters_b,)
        Labels of the columns, sorted; with ``match``, those of the partners and then the others.

    Raises
    ------
    ValueError
        If the shapes of the clusterings differ, no sample counts, or a label that counts is NaN or None.

    See Also
    --------
    sklearn.metrics.normalized_mutual_info_score : One number for two whole clusterings.
    sklearn.metrics.consensus_score : The same similarity, averaged over pairs of biclusters.

    Examples
    --------
    >>> from sklearn_geoal.metrics import jaccard_consensus
    >>> first, second = [0, 0, 0, 1, 1, 2, -1], [5, 5, 3, 3, 3, 4, 4]
    >>> consensus = jaccard_consensus(first, second, ignore_label=-1, match=True)
    >>> consensus.matrix.round(2)
    array([[0.67, 0.2 , 0.  ],
           [0.  , 0.67, 0.  ],
           [0.  , 0.  , 1.  ]])
    >>> consensus.labels_b
    array([5, 3, 4])
    """
    labels_a, labels_b = keeping_masks(labels_a), keeping_masks(labels_b)
    if labels_a.shape != labels_b.shape:
        raise ValueError(
            f"labels_a has shape {labels_a.shape}, labels_b {labels_b.shape}, expected the same for both: give one "
            "label a sample, in the same order."
        )
    hidden, labels_a, labels_b = is_masked_pair(labels_a, labels_b), np.ma.getdata(labels_a), np.ma.getdata(labels_b)
    counted = ~(is_label(labels_a, ignore_label) | is_label(labels_b, ignore_label) | hidden)
    if not counted.any():
        raise ValueError(
            f"None of {labels_a.size} samples has a label other than ignore_label={ignore_label!r} in both "
            "clusterings, masked ones left out."
        )
    clusters_a, codes_a = _encode(labels_a[counted], "labels_a")
    clusters_b, codes_b = _encode(labels_b[counted], "labels_b")
    n_a, n_b = len(clusters_a), len(clusters_b)
    shared = np.bincount(codes_a * n_b + codes_b, minlength=n_a * n_b).reshape(n_a, n_b)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0) - shared
    matrix = shared / union
    if not match:
        return JaccardConsensus(matrix, clusters_a, clusters_b)
    rows, columns = linear_sum_assignment(matrix, maximize=True)
    rows, columns = _others_last(rows, n_a), _others_last(columns, n_b)
    return JaccardConsensus(matrix[np.ix_(rows, columns)], clusters_a[rows], clusters_b[columns])


def _encode(labels, name):
    """Distinct labels, sorted, and the index of each sample's among them."""
    if is_label(labels, np.nan).any():
        raise ValueError(f"{name} contains NaN: give ignore_label=np.nan if such samples do not count.")
    if labels.dtype.kind == "O" and any(label is None for label in labels):
        raise ValueError(f"{name} contains None: put a label there, and give it as ignore_label if it does not count.")
    return distinct(labels, return_inverse=True)


def _others_last(chosen, n):
    return np.append(chosen, np.setdiff1d(np.arange(n), chosen))
