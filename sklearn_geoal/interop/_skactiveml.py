"""Active learners of this package as query strategies of scikit-activeml."""

import numpy as np
from skactiveml.base import SingleAnnotatorPoolQueryStrategy
from skactiveml.utils import MISSING_LABEL, labeled_indices
from sklearn.base import clone

from .._active.queries import fit_learner
from .._validation import as_random_state, check_candidates, masked_as_nan, refuse_integer_mask
from ._pool_learner import fill_random_states


class SkactivemlQueryStrategy(SingleAnnotatorPoolQueryStrategy):
    """Query strategy of scikit-activeml that asks an active learner of this package.

    Parameters
    ----------
    learner : estimator with `query` and `teach`
        The active learner, such as :class:`~sklearn_geoal.LANDClassifier`, or a :class:`~sklearn.pipeline.Pipeline`
        whose last step is one. A clone is fitted for each query.
    missing_label : scalar, string, np.nan or None, default=np.nan
        The marker of a missing label in the `y` of `query`; that of the learner does not matter.
    random_state : int, RandomState instance or None, default=None
        Seed of the learner, and of all within it, where its own `random_state` is None.

    See Also
    --------
    PoolLearner : The other way round, strategies of scikit-activeml as active learners of this package.
    ModALQueryStrategy : The same for modAL.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_geoal import LANDClassifier
    >>> from sklearn_geoal.interop import SkactivemlQueryStrategy
    >>> X, y_true = make_blobs(100, random_state=0)
    >>> y = np.where(np.arange(100) < 5, y_true, np.nan)
    >>> strategy = SkactivemlQueryStrategy(LANDClassifier(), random_state=0)
    >>> strategy.query(X, y, batch_size=3).shape
    (3,)
    """

    def __init__(self, learner, missing_label=MISSING_LABEL, random_state=None):
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.learner = learner

    def query(self, X, y, candidates=None, batch_size=1, return_utilities=False):
        """Samples whose labels would tell most.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            All samples, labelled or not. Rows with NaN or masked values are for a learner that takes some, such as a
            :class:`~sklearn_geoal.preprocessing.ValidRows`, which never asks for them.
        y : array-like of shape (n_samples,)
            Labels, those that are not known marked by `missing_label`.
        candidates : array-like of int of shape (n_candidates,) or of bool of shape (n_samples,), default=None
            The samples that may be asked for, as indices into `X` or as a mask. By default all without a label. Rows
            of features are refused, since the learner ranks the samples that it was fitted on.
        batch_size : int, default=1
            Number of samples to name, cut to the number of candidates with a warning.
        return_utilities : bool, default=False
            Whether to return the utilities as well.

        Returns
        -------
        query_indices : ndarray of shape (batch_size,)
            Indices into `X`, best first.
        utilities : ndarray of shape (batch_size, n_samples)
            The learner's `query_scores_` before each pick, NaN for samples that are no candidates or were picked
            before. A learner that spreads its queries goes by more than these scores, so that a pick need not be the
            largest of its row. Only returned with ``return_utilities=True``.

        Raises
        ------
        TypeError
            If the learner has no `query` or no `teach`.
        skactiveml.exceptions.MappingError
            If `candidates` are rows of features.
        ValueError
            If a candidate is labelled, `candidates` is a mask of integers, fewer than `batch_size` samples are left to
            ask for, or the learner does not take NaN.
        """
        candidates = None if candidates is None else _masks_as_indices(candidates, len(X))
        # NaN is the business of the learner, which may take it
        form = {"allow_nd": True, "ensure_all_finite": "allow-nan"}
        X, y, candidates, batch_size, return_utilities = self._validate_data(
            masked_as_nan(X), y, candidates, batch_size, return_utilities, check_X_dict=form
        )
        _, candidates = self._transform_candidates(candidates, X, y, enforce_mapping=True, allow_only_unlabeled=True)
        if not len(candidates):
            raise ValueError("There is nothing to ask for: no sample is without a label, or candidates is empty.")
        labeled = labeled_indices(y, missing_label=self.missing_label_)
        # without a seed, random_state_ is numpy's global generator
        rng = as_random_state(None) if self.random_state is None else self.random_state_
        estimator = fill_random_states(clone(self.learner), rng)
        learner = fit_learner(estimator, X, labeled, y[labeled])
        indices = learner.query(batch_size, candidates=candidates)
        if not return_utilities:
            return indices
        if hasattr(learner, "valid_"):  # others are never asked for
            candidates = candidates[learner.valid_[candidates]]
        scores = np.full(len(X), np.nan)
        scores[candidates] = learner.query_scores_[candidates]
        utilities = np.tile(scores, (batch_size, 1))
        for i, index in enumerate(indices):
            utilities[i + 1 :, index] = np.nan
        return indices, utilities


def _masks_as_indices(candidates, n_samples):
    """Candidates with a mask as its indices: scikit-activeml would read the samples 0 and 1 from it."""
    candidates = np.asarray(candidates)
    if candidates.dtype == bool:
        return check_candidates(candidates, np.ones(n_samples, dtype=bool))
    refuse_integer_mask(candidates, n_samples)
    return candidates
