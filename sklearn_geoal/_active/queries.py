"""What the queries and answers of all active learners have in common."""

from numbers import Integral

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils import check_array, check_scalar

from .._labels import answered_mask, is_auto, labeled_mask, labels_of_rows, plain_labels, resolved_marker
from .._validation import check_indices


def known_labels(X, y, missing_label):
    """Indices of the samples labelled in the y of ``fit``, their labels, and the marker that the others have.

    Raises
    ------
    ValueError
        If X and y differ in length, or y is invalid or holds no known label.
    """
    if y is None:
        return np.empty(0, dtype=np.int64), np.empty(0), missing_label
    y, labeled = labeled_mask(labels_of_rows(y, X), missing_label)
    if not labeled.any():
        raise ValueError("y holds no known label: leave it out (y=None) as long as nothing is labelled.")
    return np.flatnonzero(labeled), plain_labels(y[labeled]), resolved_marker(y, labeled, missing_label)


def check_weights(sample_weight, n_samples, least):
    """Weights of samples as an array of float64, or None where they are None.

    Raises
    ------
    ValueError
        If they are not one finite number of at least 0 for each sample, or fewer than ``least`` are positive.
    """
    if sample_weight is None:
        return None
    weights = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (n_samples,):
        raise ValueError(f"sample_weight must have the shape {(n_samples,)}, one for each row; got {weights.shape}.")
    if weights.min() < 0:
        raise ValueError(f"sample_weight must not be negative; got {weights.min()}.")
    n_positive = np.count_nonzero(weights)
    if n_positive < least:
        raise ValueError(f"sample_weight is zero for all but {n_positive} rows: at least {least} must be positive.")
    return weights


def check_n_queries(n_queries, n_candidates, n_labeled, n_skipped, distinct=""):
    """Check that so many of the candidates can be asked for; they are called ``distinct`` where equal ones count once.

    Raises
    ------
    TypeError, ValueError
        If ``n_queries`` is no positive integer or larger than the number of candidates.
    """
    check_scalar(n_queries, "n_queries", Integral, min_val=1)
    if n_queries > n_candidates:
        raise ValueError(
            f"n_queries={n_queries}, but only {n_candidates} {distinct}candidates are neither labelled nor skipped; of "
            f"all samples {n_labeled} are labelled and {n_skipped} skipped: ask for fewer or allow more candidates."
        )


def read_answers(indices, labels, n_samples, marker, known):
    """Read what ``teach`` is given.

    Parameters
    ----------
    indices, labels : array-like of shape (n_labels,)
    n_samples : int
    marker, known
        The marker of a missing label and the known labels so far, as for :func:`~sklearn_geoal._labels.answered_mask`.

    Returns
    -------
    labeled, answers : ndarray of shape (n_answers,)
        Indices of the samples that have an answer, and these.
    skipped : ndarray of int
        Those whose label is missing.
    marker : "auto", None, scalar or str
        The marker from now on.

    Raises
    ------
    ValueError
        If there is not one label for each index, an index is repeated, or a label is invalid.
    IndexError
        If an index lies outside.
    """
    indices = check_indices("indices", indices, n_samples)
    answers, answered, marker = answered_mask(labels, marker, known)
    if len(answered) != len(indices):
        raise ValueError(f"teach needs one label for each index; got {len(indices)} indices, {len(answered)} labels.")
    if len(np.unique(indices)) < len(indices):
        raise ValueError("teach takes each index once; got some of them repeatedly.")
    return indices[answered], answers, indices[~answered], marker


def add_answers(labeled, labels, new_indices, new_labels):
    """Labelled indices, ascending, and their labels with new ones, which replace older labels of the same index.

    Raises
    ------
    ValueError
        If one holds strings and the other numbers.
    """
    kept = ~np.isin(labeled, new_indices)
    indices = np.concatenate([labeled[kept], new_indices])
    order = np.argsort(indices)
    return indices[order], join_labels(labels[kept], new_labels)[order]


def join_labels(known, new):
    """Known labels followed by new ones, in the type of both; an empty ``known`` sets no type.

    Raises
    ------
    ValueError
        If one holds strings and the other numbers.
    """
    if not len(known) or not len(new):
        return known if len(known) else new
    if isinstance(known[0], str) != isinstance(new[0], str):
        raise ValueError(
            f"The labels known so far are like {known[0]!r}, the new ones like {new[0]!r}: "
            "labels must be all strings or all numbers."
        )
    if known.dtype.kind in "iu" and new.dtype.kind == "f":
        new = new.astype(np.int64)  # whole numbers that came beside a NaN
    return np.concatenate([known, new])


def find_learner(estimator):
    """The active learner that an estimator, itself one or a Pipeline that ends in one, comes down to.

    Raises
    ------
    TypeError
        If the learner has no ``query`` or no ``teach``.
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    for verb in ("query", "teach"):
        if not hasattr(estimator, verb):
            raise TypeError(
                f"{type(estimator).__name__} has no method {verb!r}: an active learner needs query and teach."
            )
    return estimator


def fit_learner(estimator, X, labeled, labels):
    """Fit an active learner, or a Pipeline that ends in one, to the labels of some samples; return the learner.

    Raises
    ------
    TypeError
        If the learner has no ``query`` or no ``teach``.
    """
    learner = find_learner(estimator)
    if not len(labeled):
        estimator.fit(X)
        return learner
    marker = learner.get_params().get("missing_label", "auto")
    # an object array, since it holds labels and markers of any types as they are
    n_samples = X.shape[0] if hasattr(X, "shape") else len(X)  # a sparse matrix has no length
    y = np.full(n_samples, None if is_auto(marker) else marker, dtype=object)
    y[labeled] = labels
    estimator.fit(X, y)
    return learner
