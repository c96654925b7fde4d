"""Query strategies to compare with, written plainly: BADGE as in its paper, and core-set.

They are used through ``sklearn_geoal.interop.PoolLearner``, as those of scikit-activeml are. ``skactiveml.pool.Badge``
1.0.1 is no fair opponent. From the second pick of a batch on, k-means++ draws a sample in proportion to its squared
distance from the nearest pick; scikit-activeml starts these distances from the squared norms that chose the first pick,
as if the origin were a pick too. No distance then exceeds the norm: samples of which the network is confident, whose
gradients are short, are hardly ever drawn, and batches crowd at the decision boundary that the network happens to have.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import euclidean_distances, pairwise_distances_argmin_min


class Badge(BaseEstimator):
    """k-means++ on the gradients of the last layer at the predicted label (Ash et al., ICLR 2020, algorithm 1).

    The gradient is the outer product of error and embedding, g = a h', so that g g' = (a a')(h h') and no gradient has
    to be formed.
    """

    def __init__(self, random_state=None):
        self.random_state = random_state

    def query(self, X, y, clf, fit_clf=False, candidates=None, batch_size=1):
        probabilities, H = clf.predict_proba(X[candidates], return_embeddings=True)  # (c, n_classes), (c, n_features)
        A = probabilities - np.eye(probabilities.shape[1])[probabilities.argmax(axis=1)]
        A, H = A.astype(np.float64), H.astype(np.float64)
        norms = (A**2).sum(axis=1) * (H**2).sum(axis=1)
        rng = _generator(self.random_state, candidates)
        picks = [norms.argmax()]
        nearest = np.full(len(A), np.inf)  # squared distance from the nearest pick
        while len(picks) < batch_size:
            last = picks[-1]
            nearest = np.minimum(nearest, norms + norms[last] - 2 * (A @ A[last]) * (H @ H[last])).clip(0)
            nearest[picks] = 0
            weights = nearest
            if not weights.any():  # all that is left equals a pick
                weights = np.ones(len(A))
                weights[picks] = 0
            picks.append(rng.choice(len(A), p=weights / weights.sum()))
        return candidates[picks]


class CoreSet(BaseEstimator):
    """Greedy k-centre: the sample farthest from all labelled and picked ones (Sener and Savarese, ICLR 2018)."""

    def __init__(self, random_state=None):
        self.random_state = random_state

    def query(self, X, y, candidates=None, batch_size=1):
        labeled, C = X[~np.isnan(y)], X[candidates]
        if len(labeled):
            _, nearest = pairwise_distances_argmin_min(C, labeled)
            picks = [nearest.argmax()]
        else:
            nearest = np.full(len(C), np.inf)
            picks = [_generator(self.random_state, candidates).integers(len(C))]
        while len(picks) < batch_size:
            nearest = np.minimum(nearest, euclidean_distances(C, C[picks[-1:]])[:, 0])
            nearest[picks] = -1  # below every distance, those of duplicates included
            picks.append(nearest.argmax())
        return candidates[picks]


def _generator(seed, candidates):
    """Other draws for each query, the same in each run."""
    return np.random.default_rng(None if seed is None else [seed, len(candidates)])
