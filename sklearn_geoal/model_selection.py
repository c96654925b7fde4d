"""Cross-validation and label-efficiency curves where only some samples are labelled."""

import time
from typing import ClassVar

import numpy as np
from sklearn.base import clone
from sklearn.metrics import accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.utils import Bunch, check_array, check_consistent_length, check_scalar, column_or_1d

from ._active.queries import find_learner, fit_learner
from ._arrays import as_sequence
from ._labels import encode_labels, is_auto, labels_of_rows
from ._validation import as_random_state, check_candidates, check_choice, check_indices, masked_as_nan

__all__ = ["LabeledStratifiedKFold", "label_efficiency_curve"]


class LabeledStratifiedKFold(StratifiedKFold):
    """Stratified k-fold cross-validator for partly labelled targets.

    The labelled samples are split as :class:`~sklearn.model_selection.StratifiedKFold` splits them. Every test fold
    holds labelled samples only, so that it can be scored, and every unlabelled sample is in every training fold,
    where a semi-supervised estimator learns from it.

    Where `y` holds masks, a class for each pixel, whole images are split: those with at least one known pixel count as
    labelled. They are split evenly, by their order or shuffled, since there is no one class to an image.

    Where `groups` are given to `split`, blocks of a scene for instance, none is torn apart: labelled samples are split
    as :class:`~sklearn.model_selection.StratifiedGroupKFold` splits them, and no unlabelled sample of a test group is
    in the training fold.

    Parameters
    ----------
    n_splits : int, default=5
        Number of folds, at least 2.
    shuffle : bool, default=False
        Whether to shuffle the labelled samples of each class before splitting.
    random_state : int, RandomState instance or None, default=None
        Seed of the shuffling; to be left None without `shuffle`.
    missing_label : "auto", None, scalar or str, default="auto"
        The marker of a missing label. "auto" reads NaN in a numeric `y`, None in an object `y` and, where neither
        occurs, -1 in an integer-valued `y`.
    ignore_label : scalar or str, default=None
        The marker of void pixels in masks, which do not make an image a labelled one. None: there are none.

    See Also
    --------
    sklearn.model_selection.StratifiedKFold : The same for fully labelled targets.
    sklearn.model_selection.StratifiedGroupKFold : The same for fully labelled targets in groups.

    Notes
    -----
    The estimator has to understand the marker, since it meets it in every training fold. scikit-learn's own
    semi-supervised estimators expect -1; its supervised ones do not know any. In a string `y` mark missing labels
    by None (an object array) or by a string of your own, given as `missing_label` here and to the estimator. Numbers
    in an object `y` are split, but scikit-learn's metrics refuse to score them: give them as floats with NaN.

    The test folds do not cover the unlabelled samples, so that `cross_val_predict`, which wants one prediction for
    every sample, refuses this splitter.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.model_selection import LabeledStratifiedKFold
    >>> X = np.arange(6).reshape(-1, 1)
    >>> y = np.array([0, 1, -1, 0, 1, -1])
    >>> for train, test in LabeledStratifiedKFold(n_splits=2).split(X, y):
    ...     print(train, test)
    [2 3 4 5] [0 1]
    [0 1 2 5] [3 4]
    """

    # where metadata is routed, groups come without a request
    __metadata_request__split: ClassVar = {"groups": True}

    def __init__(self, n_splits=5, *, shuffle=False, random_state=None, missing_label="auto", ignore_label=None):
        super().__init__(n_splits=n_splits, shuffle=shuffle, random_state=random_state)
        self.missing_label = missing_label
        self.ignore_label = ignore_label

    def split(self, X, y, groups=None):
        """Generate indices that split the data into training and test folds.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training data; only its length matters.
        y : array-like of shape (n_samples,), or masks of shape (n_samples, height, width)
            Labels, some of them missing. Masks may also be a list with None for an image without one.
        groups : array-like of shape (n_samples,), default=None
            Group of each sample, or image, labelled or not. None: each is a group of its own.

        Yields
        ------
        train : ndarray
            Indices of the training fold, ascending: all unlabelled samples and the labelled ones of the other folds,
            without those of the groups of this test fold.
        test : ndarray
            Indices of the test fold, ascending, all labelled.

        Raises
        ------
        ValueError
            If y is None, if nothing is labelled, if every class, or that of images with a mask, has fewer labelled
            samples than `n_splits`, or if fewer groups than that hold labelled samples.
        """
        if y is None:
            raise ValueError("LabeledStratifiedKFold splits by the labels, but y is None: give the labels as y.")
        y = as_sequence(labels_of_rows(y, X))
        has_masks = _holds_masks(y)
        if has_masks:
            classes, codes = _mark_images(y, self.missing_label, self.ignore_label)
        else:
            classes, codes = encode_labels(y, self.missing_label)
        labeled = np.flatnonzero(codes >= 0)
        _check_any_labeled(labeled, "y", self.missing_label)
        largest = np.bincount(codes[labeled]).max()
        if largest < self.n_splits:
            if has_masks:
                raise ValueError(
                    f"n_splits={self.n_splits} needs at least as many images with labelled pixels, but y has "
                    f"{largest}: lower n_splits or label more images."
                )
            raise ValueError(
                f"n_splits={self.n_splits} needs a class with at least as many labelled samples, but the largest of "
                f"the {len(classes)} classes has {largest}: lower n_splits or label more samples."
            )
        # without a seed, scikit-learn's own would draw from numpy's global generator
        rng = as_random_state(self.random_state) if self.shuffle else None
        params = {"n_splits": self.n_splits, "shuffle": self.shuffle, "random_state": rng}
        if groups is None:
            groups = np.arange(len(codes))
            folds = StratifiedKFold(**params).split(labeled, codes[labeled])
        else:
            groups = self._check_groups(groups, labeled, len(codes))
            folds = StratifiedGroupKFold(**params).split(labeled, codes[labeled], groups[labeled])
        for _, test in folds:
            test = labeled[test]
            yield np.flatnonzero(~np.isin(groups, groups[test])), test

    def _check_groups(self, groups, labeled, n_samples):
        """Groups as an array, if enough of them are labelled."""
        groups = np.asanyarray(groups) if isinstance(groups, (list, tuple)) else groups  # names may look like paths
        groups = check_array(masked_as_nan(groups), ensure_2d=False, dtype=None, input_name="groups")
        groups = column_or_1d(groups)
        check_consistent_length(np.empty(n_samples), groups)
        n_labeled = len(np.unique(groups[labeled]))
        if n_labeled < self.n_splits:
            raise ValueError(
                f"n_splits={self.n_splits} needs at least as many groups with labelled samples, but {n_labeled} of the "
                f"{len(np.unique(groups))} groups have some: lower n_splits, make smaller groups or label in "
                "more of them."
            )
        return groups


def label_efficiency_curve(
    estimator,
    X,
    y,
    budgets,
    *,
    strategy="query",
    batch_size=10,
    initial=None,
    candidates=None,
    X_test=None,
    y_test=None,
    metric=accuracy_score,
    missing_label="auto",
    random_state=None,
    verbose=0,
):
    """Score an active learner after each of several numbers of labels.

    A clone of the estimator is fitted with the initial labels, or without any. Then labels are asked for in batches,
    looked up in `y` and taught, and at each budget the labelling of all samples is scored.

    Samples that the learner leaves out, as :class:`~sklearn_geoal.preprocessing.ValidRows` does those with NaN or
    masked values, are neither asked for nor scored, whether their truth is known or not.

    Parameters
    ----------
    estimator : estimator with `query` and `teach`
        The active learner, or a :class:`~sklearn.pipeline.Pipeline` whose last step is one.
    X : array-like of shape (n_samples, n_features)
        All samples, those of unknown truth included.
    y : array-like of shape (n_samples,)
        The true labels, missing where there is none. The learner sees those it asked for and no others.
    budgets : array-like of int of shape (n_budgets,)
        Numbers of labels at which to score, increasing, the initial ones counted.
    strategy : {"query", "random"}, default="query"
        Whether the learner's own queries or random draws are labelled.
    batch_size : int, default=10
        Number of labels asked for at a time by `strategy="query"`. Batches are cut so that each budget is met exactly.
    initial : array-like of int of shape (n_initial,), default=None
        Indices of the samples that are labelled from the start, all of known truth, candidates or not. The others are
        missing in the y given to `fit`, marked by the learner's `missing_label`, or by None if that is "auto" or the
        learner has no such parameter. By default none, and `fit` is given X alone.
    candidates : array-like of bool of shape (n_samples,) or array-like of int, default=None
        The samples that may be asked for, as a mask or as indices; those of unknown truth, or that the learner leaves
        out, are none. By default all samples of known truth.
    X_test : array-like of shape (n_test_samples, n_features), default=None
        Held-out samples, on which `predict` is scored. By default the `transduction_` of `X` is scored on all
        samples of known truth, the queried ones among them.
    y_test : array-like of shape (n_test_samples,), default=None
        The true labels of `X_test`; samples where they are missing, or to which `predict` gives no class, are not
        scored.
    metric : callable, default=accuracy_score
        `metric(y_true, y_pred)`, a score such as :func:`~sklearn.metrics.cohen_kappa_score`.
    missing_label : "auto", None, scalar or str, default="auto"
        The marker of an unknown truth in `y` and `y_test`.
    random_state : int, RandomState instance or None, default=None
        Seed of the random draws. The estimator keeps its own.
    verbose : int, default=0
        If positive, print a line for each budget.

    Returns
    -------
    result : :class:`~sklearn.utils.Bunch`
        - `budgets` : ndarray of shape (n_budgets,), the numbers of labels
        - `scores` : ndarray of shape (n_budgets,), the score at each
        - `queries` : ndarray of shape (budgets[-1],), the indices into `X`: the initial ones, then those asked for, in
          this order
        - `n_left_out` : int, the number of samples of known truth that are not scored, as the learner gives them no
          label
        - `times` : ndarray of shape (n_budgets,), the seconds that querying and teaching took from one budget to the
          next; fitting and scoring are not counted
        - `estimator` : the fitted clone, with all these labels; where -1 is a class of `y`, its `missing_label="auto"`
          has become None, or it would take -1 as missing

    Raises
    ------
    TypeError
        If the estimator (or the last step of the Pipeline) has no `query` or no `teach`.
    ValueError
        If no truth is known or the learner leaves out all samples of known truth, if the budgets do not increase, start
        below 1 or the number of initial labels, or exceed the number of candidates, if an initial sample is repeated,
        of unknown truth or left out by the learner, or if only one of `X_test` and `y_test` is given.
    IndexError
        If `initial` or `candidates` holds an index outside `X`.

    See Also
    --------
    sklearn_geoal.plot.LabelEfficiencyDisplay : Draws such curves.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from sklearn_geoal import LANDClassifier
    >>> from sklearn_geoal.model_selection import label_efficiency_curve
    >>> X, y = make_blobs(300, random_state=0, cluster_std=0.5)
    >>> curve = label_efficiency_curve(LANDClassifier(), X, y, budgets=[3, 10])
    >>> curve.scores.shape, curve.queries.shape
    ((2,), (10,))
    """
    check_choice("strategy", strategy, ("query", "random"))
    check_scalar(batch_size, "batch_size", (int, np.integer), min_val=1)
    classes, codes = encode_labels(labels_of_rows(y, X), missing_label)
    known = np.flatnonzero(codes >= 0)
    _check_any_labeled(known, "y", missing_label)
    initial = _check_initial([] if initial is None else initial, codes)
    candidates = np.setdiff1d(check_candidates(candidates, codes >= 0), initial)
    budgets = _check_budgets(budgets, len(initial), len(candidates))
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test belong together: got one of them only.")
    if X_test is not None:
        test_classes, test_codes = encode_labels(labels_of_rows(y_test, X_test), missing_label)
        test_known = np.flatnonzero(test_codes >= 0)
        _check_any_labeled(test_known, "y_test", missing_label)

    estimator = clone(estimator)
    _keep_minus_one(find_learner(estimator), classes)
    learner = fit_learner(estimator, X, initial, classes[codes[initial]])
    if hasattr(learner, "valid_"):
        _check_valid_initial(initial, learner.valid_)
        candidates = candidates[learner.valid_[candidates]]
        _check_budgets(budgets, len(initial), len(candidates))

    # draws do not depend on what was taught: one batch up to the budget is the same and saves relabelling
    draws = np.concatenate([initial, as_random_state(random_state).permutation(candidates)])
    queries = initial
    scores, times = np.empty(len(budgets)), np.empty(len(budgets))
    for i, budget in enumerate(budgets.tolist()):
        start = time.perf_counter()
        while len(queries) < budget:
            if strategy == "query":
                batch = np.asarray(learner.query(min(batch_size, budget - len(queries)), candidates=candidates))
            else:
                batch = draws[len(queries) : budget]
            learner.teach(batch, classes[codes[batch]])
            queries = np.concatenate([queries, batch])
        times[i] = time.perf_counter() - start
        if X_test is None:
            truth, predicted = classes[codes[known]], learner.transduction_[known]
            scored = getattr(learner, "valid_", codes >= 0)[known]
        else:
            truth, predicted = test_classes[test_codes[test_known]], np.asarray(estimator.predict(X_test))[test_known]
            scored = _is_class(predicted, {*classes.tolist(), *np.ravel(getattr(learner, "classes_", ())).tolist()})
        if not scored.any():
            raise ValueError(
                f"The learner gives no label to any of the {len(truth)} samples of known truth: nothing to score."
            )
        scores[i] = metric(truth[scored], predicted[scored])
        if verbose:
            print(f"[label_efficiency_curve] {budget} labels, score {scores[i]:.4f}")
    n_left_out = int(np.count_nonzero(~scored))
    return Bunch(
        budgets=budgets, scores=scores, queries=queries, n_left_out=n_left_out, times=times, estimator=estimator
    )


def _holds_masks(y):
    first = next((label for label in y if label is not None and label is not np.ma.masked), None)
    is_tuple_of_labels = isinstance(first, tuple) and np.ndim(first) == 1
    return not is_tuple_of_labels and (np.ndim(first) > 1 or np.size(first) > 1)


def _mark_images(masks, missing_label, ignore_label):
    """The single class 0 and the codes of the images: 0 where a pixel is labelled, else -1."""
    from ._segmentation import encode_masks, is_mask  # here, as it loads torch

    sides = next(np.shape(mask) for mask in masks if is_mask(mask))
    _, codes = encode_masks(masks, (len(masks), 1, *(1, *sides)[-2:]), missing_label, ignore_label)
    return np.zeros(1, dtype=int), np.where((codes >= 0).any(axis=(1, 2)), 0, -1)


def _keep_minus_one(learner, classes):
    """Where -1 is a class of the truth, keep the learner from taking it as missing."""
    if -1 in classes.tolist() and is_auto(learner.get_params().get("missing_label")):
        learner.set_params(missing_label=None)


def _check_any_labeled(labeled, name, missing_label):
    if not len(labeled):
        raise ValueError(
            f"{name} holds no known label (missing_label={missing_label!r}): at least one sample must be labelled."
        )


def _check_initial(initial, codes):
    initial = check_indices("initial", initial, len(codes))
    if len(np.unique(initial)) < len(initial):
        raise ValueError("initial takes each index once; got some of them repeatedly.")
    if (codes[initial] < 0).any():
        raise ValueError(
            f"initial takes samples of known truth; the label of {initial[codes[initial] < 0][0]} is missing in y."
        )
    return initial


def _check_valid_initial(initial, valid):
    if len(left_out := initial[~valid[initial]]):
        raise ValueError(
            f"initial takes samples that the learner sees; it leaves out {len(left_out)} of them, such as "
            f"{left_out[0]}, which have NaN or masked values."
        )


def _is_class(labels, classes):
    """Which labels are among a set of classes; no marker of a missing one is."""
    return np.array([label in classes for label in labels.tolist()], dtype=bool)


def _check_budgets(budgets, n_initial, n_candidates):
    budgets = np.asarray(budgets)
    counts = budgets.ndim == 1 and len(budgets) > 0 and budgets.dtype.kind in "iu"
    if not counts or budgets[0] < 1 or (budgets[1:] <= budgets[:-1]).any():
        raise ValueError(f"budgets must be a list of increasing positive integers; got {budgets.tolist()!r}.")
    if budgets[0] < n_initial:
        raise ValueError(
            f"The smallest budget is {budgets[0]}, but {n_initial} samples are labelled from the start, and budgets "
            "count them: start at their number or above."
        )
    if budgets[-1] > n_initial + n_candidates:
        initially = f" beyond the {n_initial} initial ones" if n_initial else ""
        raise ValueError(
            f"The largest budget is {budgets[-1]}, but only {n_candidates} samples{initially} can be asked for: "
            "lower it or give more candidates."
        )
    return budgets
