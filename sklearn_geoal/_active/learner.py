"""The verbs that all active learners share."""

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.utils import Bunch
from sklearn.utils.validation import check_is_fitted

from .._labels import KnownLabelsMixin
from .._validation import check_candidates, unchanged_on_error
from .distinct import every_sample
from .queries import add_answers, check_n_queries, known_labels, read_answers

NOTHING_KNOWN = "No label is known yet: give the answers to query() by teach(indices, labels), or labels to fit."


class ActiveLearner(KnownLabelsMixin, BaseEstimator):
    """A classifier that asks for labels, and what it keeps of the answers.

    The ``fit`` of a subclass calls ``_start``. ``_select`` chooses among the points of ``_points``, each sample or each
    distinct row, ``_learn`` does everything that depends on labels. All of them read the parameters from ``_settings``,
    where they are as ``fit`` saw them.
    """

    def query(self, n_queries=1, candidates=None):
        """Samples whose labels would tell most.

        Parameters
        ----------
        n_queries : int, default=1
            Number of samples to name.
        candidates : array-like of bool of shape (n_samples,) or array-like of int, default=None
            The samples that may be asked for, as a mask or as indices. By default all.

        Returns
        -------
        indices : ndarray of shape (n_queries,)
            Indices into the X of ``fit``, best first, none of them labelled or skipped.

        Raises
        ------
        ValueError
            If fewer candidates than ``n_queries`` are neither labelled nor skipped.
        IndexError
            If a candidate is no index into X.
        """
        check_is_fitted(self)
        candidates = check_candidates(candidates, self._points.of_samples(self._is_open()) & self._points.counting())
        points, candidates = self._points.among(candidates)
        distinct = "" if self._points.counts is None else "distinct "
        check_n_queries(n_queries, len(points), len(self.labeled_indices_), len(self.skipped_indices_), distinct)
        return candidates[np.searchsorted(points, self._select(n_queries, points))]

    def teach(self, indices, labels):
        """Add labels.

        The result is that of ``fit`` with these labels in y, but for training that is put off (``retrain_every``). If
        teaching fails or is interrupted, the estimator is as it was before.

        Parameters
        ----------
        indices : array-like of int of shape (n_labels,)
            Indices into the X of ``fit``.
        labels : array-like of shape (n_labels,)
            Their labels. Classes that were not known before are welcome. A new label replaces that of a sample that
            has one. A missing label says that nobody can tell: the sample is not asked for again unless it is taught
            a label later; that of a sample that has one already stays. Missing are NaN, None and what ``fit`` took as
            the marker, and, where ``missing_label="auto"``, -1 beside other integers, unless it is a known class.

        Returns
        -------
        self : estimator
            The classifier with these labels.

        Raises
        ------
        ValueError
            If there is not one label for each index, an index is repeated, or labels mix strings and numbers.
        IndexError
            If an index lies outside the X of ``fit``.
        """
        check_is_fitted(self)
        with unchanged_on_error(self):
            given = read_answers(indices, labels, self._n_samples, self._marker, self._labels)
            new_indices, new_labels, skipped, self._marker = given
            counts = self._points.counting()
            new_indices, new_labels, skipped = (
                new_indices[counts[new_indices]],
                new_labels[counts[new_indices]],
                skipped[counts[skipped]],
            )
            self.labeled_indices_, self._labels = add_answers(
                self.labeled_indices_, self._labels, new_indices, new_labels
            )
            self.skipped_indices_ = np.setdiff1d(np.union1d(self.skipped_indices_, skipped), self.labeled_indices_)
            self._learn(is_new=len(new_indices) > 0)
        return self

    def _start(self, X, y, points=None):
        """Take parameters, labels and points, by default the samples, for all that comes until the next ``fit``."""
        # an estimator among them could be changed through its own parameters
        self._settings = Bunch(
            **{
                name: clone(value) if hasattr(value, "get_params") and not isinstance(value, type) else value
                for name, value in self.get_params(deep=False).items()
            }
        )
        self._n_samples = X.shape[0]
        self._points = every_sample(self._n_samples) if points is None else points
        labeled, labels, self._marker = known_labels(X, y, self.missing_label)
        counts = self._points.counting()[labeled]
        if len(labeled) and not counts.any():
            raise ValueError("All samples with a known label have the weight 0: leave y out or give them weight.")
        self.labeled_indices_, self._labels = labeled[counts], labels[counts]
        self.skipped_indices_ = np.empty(0, dtype=np.int64)

    def _is_open(self):
        """Mark the points that may be asked for: those none of whose samples is labelled or skipped."""
        is_open = np.ones(len(self._points.first), dtype=bool)
        is_open[self._points.point[self.labeled_indices_]] = False
        is_open[self._points.point[self.skipped_indices_]] = False
        return is_open

    def _point_codes(self, codes):
        """Class of each point, -1 where unknown, from the codes of the known labels."""
        return self._points.classes(self.labeled_indices_, codes)

    def _log(self, stage):
        if self.verbose:
            print(f"[{type(self).__name__}] {stage}", flush=True)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = False
        return tags
