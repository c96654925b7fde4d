"""Consensus of clusterings: sets by hand, other names, pairs on the diagonal, samples that do not count."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from sklearn_geoal.metrics import jaccard_consensus


def clusterings(n=200, n_a=4, n_b=6, seed=0):
    rng = np.random.default_rng(seed)
    labels_a = rng.integers(n_a, size=n)
    return labels_a, np.where(rng.random(n) < 0.6, labels_a, rng.integers(n_b, size=n))


def test_sets_by_hand():
    labels_a, labels_b = clusterings()
    matrix, rows, columns = jaccard_consensus(labels_a, labels_b)
    assert rows.tolist() == list(range(4)) and columns.tolist() == list(range(6))
    for i, j in np.ndindex(4, 6):
        first, second = set(np.flatnonzero(labels_a == i)), set(np.flatnonzero(labels_b == j))
        assert matrix[i, j] == len(first & second) / len(first | second)
        assert matrix[i, j] == jaccard_score(labels_a == i, labels_b == j)


@pytest.mark.parametrize("match", [False, True])
def test_a_clustering_agrees_with_itself_under_other_names(match):
    labels, _ = clusterings()
    names = np.array(["soil", "water", "grass", "roof"])
    consensus = jaccard_consensus(labels, names[labels], match=match)
    same = names[consensus.labels_a][:, None] == consensus.labels_b
    np.testing.assert_array_equal(consensus.matrix, same.astype(float))
    if match:
        np.testing.assert_array_equal(consensus.matrix, np.eye(4))


@pytest.mark.parametrize("n_a, n_b", [(4, 6), (6, 4), (5, 5), (1, 3)])
def test_matched_clusters_lie_on_the_diagonal(n_a, n_b):
    labels_a, labels_b = clusterings(n_a=n_a, n_b=n_b, seed=2)
    labels_b = np.random.default_rng(5).permutation(n_b)[labels_b % n_b]
    plain, matched = jaccard_consensus(labels_a, labels_b), jaccard_consensus(labels_a, labels_b, match=True)
    # the same entries under other labels
    np.testing.assert_array_equal(plain.matrix[np.ix_(matched.labels_a, matched.labels_b)], matched.matrix)
    assert sorted(matched.labels_a) == list(range(n_a)) and sorted(matched.labels_b) == list(range(n_b))
    wide = plain.matrix if n_a <= n_b else plain.matrix.T
    best = max(wide[range(len(wide)), order].sum() for order in permutations(range(wide.shape[1]), len(wide)))
    assert matched.matrix.trace() == pytest.approx(best)
    n_pairs = min(n_a, n_b)
    assert (np.diff(matched.labels_a[:n_pairs]) > 0).all()
    assert (np.diff(matched.labels_a[n_pairs:]) > 0).all() and (np.diff(matched.labels_b[n_pairs:]) > 0).all()


def test_the_other_way_round_is_the_transpose():
    labels_a, labels_b = clusterings()
    forth, back = jaccard_consensus(labels_a, labels_b), jaccard_consensus(labels_b, labels_a)
    np.testing.assert_array_equal(forth.matrix, back.matrix.T)


@pytest.mark.parametrize("ignore", [-1, 99, np.nan, "none"])
def test_ignored_samples_are_as_if_not_there(ignore):
    labels_a, labels_b = clusterings()
    kept = np.ones(200, dtype=bool)
    kept[:30] = False
    kind = np.asarray(ignore).dtype
    in_a, in_b = labels_a.astype(kind), labels_b.astype(kind)
    expected = jaccard_consensus(in_a[kept], in_b[kept])
    in_a[:20], in_b[10:30] = ignore, ignore
    result = jaccard_consensus(in_a, in_b, ignore_label=ignore)
    for one, other in zip(result, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_maps_are_rows_of_labels():
    labels_a, labels_b = clusterings()
    of_maps = jaccard_consensus(labels_a.reshape(10, 20), labels_b.reshape(10, 20))
    np.testing.assert_array_equal(of_maps.matrix, jaccard_consensus(list(labels_a), list(labels_b)).matrix)


@pytest.mark.parametrize(
    "labels_a, labels_b, ignore_label, message",
    [
        ([0, 1], [0, 1, 2], None, r"labels_a has shape \(2,\), labels_b \(3,\), expected the same"),
        ([], [], None, "None of 0 samples"),
        ([-1, 0], [0, -1], -1, "None of 2 samples has a label other than ignore_label=-1 in both"),
        ([0.0, np.nan], [0, 1], None, "labels_a contains NaN: give ignore_label=np.nan"),
        ([0, 1], [0.0, np.nan], -1, "labels_b contains NaN"),
        (["a", "b"], ["a", None], None, "labels_b contains None: put a label there"),
    ],
)
def test_invalid(labels_a, labels_b, ignore_label, message):
    with pytest.raises(ValueError, match=message):
        jaccard_consensus(labels_a, labels_b, ignore_label=ignore_label)
