"""Active learners of this package as query strategies of modAL."""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import check_consistent_length, column_or_1d

from .._active.queries import fit_learner
from .._validation import masked_as_nan


class ModALQueryStrategy(BaseEstimator):
    """Query strategy of modAL that asks an active learner of this package.

    Parameters
    ----------
    learner : estimator with `query` and `teach`
        The active learner, such as :class:`~sklearn_geoal.LANDClassifier`, or a :class:`~sklearn.pipeline.Pipeline`
        whose last step is one. A clone is fitted for each query.

    See Also
    --------
    SkactivemlQueryStrategy : The same for scikit-activeml.

    Notes
    -----
    modAL 0.4.2.1 works with scikit-learn up to 1.7: with later releases its own `fit` and `teach` fail. It demands a
    release of skorch that is older than the one needed here, so it has to be installed without what it demands::

        pip install "scikit-learn<1.8" pandas
        pip install --no-deps modAL-python==0.4.2.1

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_geoal import LANDClassifier
    >>> from sklearn_geoal.interop import ModALQueryStrategy
    >>> X, y = make_blobs(100, random_state=0)
    >>> strategy = ModALQueryStrategy(LANDClassifier(random_state=0))

    In ``ActiveLearner(estimator, strategy, X[:5], y[:5]).query(X[5:], n_instances=3)`` modAL calls it as follows.

    >>> active_learner = SimpleNamespace(X_training=X[:5], y_training=y[:5])
    >>> indices, metric = strategy(active_learner, X[5:], n_instances=3)
    >>> indices.shape, metric.shape
    ((3,), (3,))
    """

    def __init__(self, learner):
        self.learner = learner

    def __call__(self, classifier, X_pool, n_instances=1):
        """Samples of the pool whose labels would tell most.

        Parameters
        ----------
        classifier : modAL.models.ActiveLearner
            Holds the labelled samples as `X_training` and `y_training`, or None where there are none.
        X_pool : array-like of shape (n_pool_samples, n_features)
            The unlabelled samples.
        n_instances : int, default=1
            Number of samples to name.

        Returns
        -------
        indices : ndarray of shape (n_instances,)
            Indices into `X_pool`, best first.
        metric : ndarray of shape (n_instances,)
            The learner's `query_scores_` of these samples.

        Raises
        ------
        TypeError
            If the learner has no `query` or no `teach`.
        ValueError
            If the pool has fewer samples than `n_instances`.
        """
        X, y = np.asarray(masked_as_nan(X_pool)), np.empty(0)
        if classifier.X_training is not None:
            check_consistent_length(classifier.X_training, classifier.y_training)
            X = np.concatenate([np.asarray(masked_as_nan(classifier.X_training)), X])
            y = column_or_1d(np.asarray(classifier.y_training))
        n_labeled = len(y)
        learner = fit_learner(clone(self.learner), X, np.arange(n_labeled), y)
        indices = learner.query(n_instances, candidates=np.arange(n_labeled, len(X)))
        return indices - n_labeled, learner.query_scores_[indices]
