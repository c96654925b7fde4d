"""Labels with a missing marker, as codes of classes: the one rule for every estimator, splitter and metric."""

import math
from numbers import Integral, Number

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.exceptions import DataConversionWarning
from sklearn.metrics import accuracy_score
from sklearn.utils import assert_all_finite, check_array, check_consistent_length, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from ._arrays import strings_as_objects, tensor_as_array
from ._warnings import warn

# codes of samples and pixels that have no class: to be learned about, or to be left out
MISSING, VOID = -1, -2


def labeled_mask(y, missing_label="auto"):
    """Mark the samples of ``y`` that carry a label.

    ``missing_label="auto"`` reads one marker: NaN in a numeric ``y``, None (or NaN, or pandas' NA) in an object ``y``
    or a list, and where neither occurs, -1 in an integer-valued ``y``. A ``y`` whose values are exactly {-1, 1} is
    taken as fully labelled, with a warning. Any other ``missing_label`` is taken at its word; NaN, None and NA stand
    for each other.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels, some of them missing.
    missing_label : "auto", None, scalar or str, default="auto"
        The marker of a missing label.

    Returns
    -------
    y : ndarray of shape (n_samples,)
        The labels as a one-dimensional array of their own type.
    labeled : ndarray of shape (n_samples,), dtype bool
        True where a label is known.

    Raises
    ------
    ValueError
        If ``y`` is not one-dimensional, holds infinities or, where labelled, is no valid classification target.
    """
    masked = np.ma.is_masked(y)
    y = _as_label_array(y)
    if is_auto(missing_label):
        labeled = _auto_labeled(y)
    elif _is_blank(missing_label):
        labeled = ~is_missing(y)
    elif y.dtype.kind in "iuf":
        labeled = y != missing_label if isinstance(missing_label, Number) else np.ones(len(y), dtype=bool)
    else:
        # value by value: numpy would convert a number to a string before it compares the two
        kind = _kind(missing_label)
        labeled = np.array([_kind(value) is not kind or value != missing_label for value in y], dtype=bool)
    if masked:
        labeled &= ~is_missing(y)
    _check_known_labels(y[labeled])
    return y, labeled


def resolved_marker(y, labeled, missing_label):
    """The marker by which :func:`labeled_mask` found y ``labeled``: -1 where "auto" read it, else ``missing_label``."""
    read_minus_one = is_auto(missing_label) and labeled.any() and not labeled.all() and not is_missing(y).any()
    return -1 if read_minus_one else missing_label


def answered_mask(labels, marker, known):
    """Mark the answers among labels given after others: those that are not missing.

    NaN, None and NA are no answer, nor is the marker. As long as that is "auto", -1 is none either if ``labeled_mask``
    would take it as missing beside the labels known so far, unless it is one of these.

    Parameters
    ----------
    labels : array-like of shape (n_labels,)
    marker : "auto", None, scalar or str
        As :func:`resolved_marker` gives it.
    known : ndarray
        The labels known so far.

    Returns
    -------
    answers : ndarray of shape (n_answers,)
        The labels that are not missing.
    answered : ndarray of shape (n_labels,), dtype bool
    marker : "auto", None, scalar or str
        The marker from now on: -1 where "auto" read it.

    Raises
    ------
    ValueError
        If ``labels`` is not one-dimensional or holds what is no label.
    """
    labels = _as_label_array(labels)
    answered = ~is_missing(labels)
    given = labels[answered]
    if not is_auto(marker):
        labeled = labeled_mask(given, marker)[1]
    elif (known == -1).any():
        labeled = np.ones(len(given), dtype=bool)
    else:
        together = np.concatenate([known, plain_labels(given)]) if len(known) else plain_labels(given)
        labeled = _auto_labeled(together)
        if len(together) and not labeled.any():
            warn("The only labels are -1, taken as missing ones: if -1 is a class, say so with missing_label=None.")
        marker = resolved_marker(together, labeled, marker)
        labeled = labeled[len(known) :]
    answered[answered] = labeled
    _check_known_labels(labels[answered])
    return plain_labels(labels[answered]), answered, marker


def is_auto(missing_label):
    return isinstance(missing_label, str) and missing_label == "auto"


def encode_labels(y, missing_label="auto"):
    """Code labels as integers, ``MISSING`` where there is none.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels, some of them missing.
    missing_label : "auto", None, scalar or str, default="auto"
        The marker of a missing label, see :func:`labeled_mask`.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The known labels, sorted, of the type of ``y``. Empty if nothing is labelled.
    codes : ndarray of shape (n_samples,), dtype int64
        Index into ``classes``, ``MISSING`` where the label is missing.
    """
    y, labeled = labeled_mask(y, missing_label)
    classes, known = np.unique(plain_labels(y[labeled]), return_inverse=True)
    codes = np.full(len(y), MISSING, dtype=np.int64)
    codes[labeled] = known
    return classes, codes


def check_classes(found):
    """The classes for a classifier to learn, those found among the labels, if there are two or more.

    Parameters
    ----------
    found : ndarray
        Classes of the known labels.

    Raises
    ------
    ValueError
        If there is no label, or one class only.
    """
    if not len(found):
        raise ValueError("y holds no known label: at least one label of each class is needed to start from.")
    if len(found) == 1:
        raise ValueError(
            f"y has labels of one class only, {found.tolist()[0]!r}: at least two classes are needed, with a label of "
            "each."
        )
    return found


class KnownLabelsMixin(ClassifierMixin):
    """A classifier whose score counts the known labels; a marker that its ``fit`` resolved is kept as ``_marker``."""

    def score(self, X, y, sample_weight=None):
        """Accuracy of the predicted labels over the samples whose label is known.

        Parameters
        ----------
        X : array-like of shape (n_samples, ...)
            Samples, as ``predict`` takes them.
        y : array-like of shape (n_samples,)
            Their labels. Missing are NaN, None, the marker of ``fit``, and, unless another one was given there, -1
            beside other integers, if it is no class.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples.

        Returns
        -------
        score : float
            Share of the samples with a known label that get it.

        Raises
        ------
        ValueError
            If X and y differ in length, or y holds no known label.
        """
        predicted = self.predict(X)
        y = labels_of_rows(y, predicted)
        check_consistent_length(y, sample_weight)
        marker = getattr(self, "_marker", getattr(self, "missing_label", "auto"))
        labels, known, _ = answered_mask(y, marker, self.classes_)
        if not known.any():
            raise ValueError("y holds no known label: there is nothing to compare the predictions with.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[known]
        return accuracy_score(labels, predicted[known], sample_weight=weights)


def labels_of_rows(y, X):
    """y with a label for each row of X, after checking their number; a map (height, width) as the rows of its pixels.

    Raises
    ------
    ValueError
        If X and y differ in length.
    """
    y = map_as_rows(y, len(X) if isinstance(X, (list, tuple)) else X.shape[0])
    check_consistent_length(X, y)
    return y


def map_as_rows(y, n_rows):
    """A map (height, width) of as many pixels as there are rows, as rows; anything else as it is."""
    shape = getattr(y, "shape", ())
    is_map = len(shape) == 2 and shape[0] != n_rows and shape[0] * shape[1] == n_rows and not hasattr(y, "columns")
    return (y if isinstance(y, np.ndarray) else np.asarray(y)).ravel() if is_map else y


def keeping_masks(y):
    """Labels of any shape as an array, a masked one where y is one or a list of some."""
    if isinstance(y, (list, tuple)) and any(map(np.ma.isMaskedArray, y)):
        return np.ma.stack(y)
    y = tensor_as_array(y)
    y = strings_as_objects(y if np.ma.isMaskedArray(y) else np.asarray(y))
    if y.dtype.kind == "V" or (y.dtype.kind == "O" and not y.ndim):
        raise ValueError(f"Labels must be an array of strings or numbers; got {y!r}.")
    if y.dtype.kind == "O":
        _refuse_collections(y.flat)
    return y


def is_masked_pair(first, second):
    """Where one of two arrays of equal shape is masked; a single False if they have no mask."""
    return np.ma.mask_or(np.ma.getmask(first), np.ma.getmask(second))


def recode(codes, classes, known):
    """Codes of ``classes`` as codes of ``known``, sorted classes that hold them all; negative codes stay."""
    recoded = codes.copy()
    recoded[codes >= 0] = np.searchsorted(known, classes)[codes[codes >= 0]]
    return recoded


def _as_label_array(y):
    """One-dimensional numpy array of labels and markers as they are; what is masked becomes None."""
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    y = tensor_as_array(y)
    if isinstance(y, np.ndarray):
        y = strings_as_objects(y)
    if isinstance(y, np.ma.MaskedArray):
        y = np.where(np.ma.getmaskarray(y), None, np.ma.getdata(y))
    if isinstance(y, (list, tuple)):
        _refuse_collections(y, tuple)
        if len({isinstance(value, str) for value in y}) == 2:
            y = np.array(y, dtype=object)  # or numpy would make strings of the markers: "nan", "None", "-1"
    y = np.asarray(y)
    if y.dtype.kind == "O":
        _refuse_collections(y.flat)
    if y.dtype.kind in "US" and y.ndim == 1:
        return y
    if y.ndim == 2 and y.shape[1] == 1:
        # scikit-learn's words, which names a line of this package
        warn(
            "A column-vector y was passed when a 1d array was expected. Please change the shape of y to (n_samples, ), "
            "for example using ravel().",
            DataConversionWarning,
        )
    y = column_or_1d(y)
    if y.dtype.kind not in "OUSbiuf":
        check_array(y, ensure_2d=False)  # complex, dates, structured: scikit-learn's own error
    return y


def _refuse_collections(labels, kinds=(tuple, list, set, frozenset, dict)):
    for value in labels:
        if isinstance(value, kinds):
            kind = type(value).__name__
            raise ValueError(f"Each label must be one string or number; got the {kind} {value!r}: make it one string.")


def _auto_labeled(y):
    missing = is_missing(y)
    if missing.any() or not _is_integer_valued(y) or not (y == -1).any():
        return ~missing
    if set(y.tolist()) == {-1, 1}:
        warn(
            "y holds exactly the values -1 and 1: both are taken as classes. "
            "If -1 marks missing labels, say so with missing_label=-1."
        )
        return np.ones(len(y), dtype=bool)
    return y != -1


def is_missing(y):
    """NaN in numbers; None, NaN or pandas' NA in objects."""
    if y.dtype.kind == "f":
        return np.isnan(y)
    if y.dtype.kind == "O":
        return np.array([_is_blank(value) for value in y], dtype=bool)
    return np.zeros(len(y), dtype=bool)


def _is_blank(value):
    """Whether a value is None, NaN or pandas' NA."""
    is_nan = isinstance(value, (float, np.floating)) and math.isnan(value)
    return value is None or is_nan or is_na(value)


def is_na(value):
    """Whether a value is pandas' NA, which is told by its name, as pandas is not imported here."""
    return type(value).__name__ == "NAType"


def _kind(value):
    """What labels must share to be equal: True is not 1, and "1" is not 1."""
    return next((kind for kind in (str, (bool, np.bool_), Number) if isinstance(value, kind)), type(value))


def _is_integer_valued(y):
    if y.dtype.kind == "f":
        return np.isfinite(y).all() and (y == np.floor(y)).all()
    if y.dtype.kind == "O":
        return all(isinstance(value, Integral) for value in y)
    return y.dtype.kind in "iu"


def _check_known_labels(y):
    if y.dtype.kind == "f":
        assert_all_finite(y, input_name="y")
    if len(y):
        check_classification_targets(plain_labels(y))


def plain_labels(y):
    """Objects of one kind as a plain array, so that they sort; mixed kinds are an error."""
    if y.dtype.kind != "O" or not len(y):
        return y
    if (blank := is_missing(y)).any():
        raise ValueError(
            f"y holds {y[blank.argmax()]} beside its labels, which is none: if it marks missing labels, say so with "
            "missing_label=None."
        )
    kinds = {isinstance(value, str) for value in y}
    if len(kinds) > 1:
        raise ValueError(
            "y mixes strings and numbers: labels must be all of one type, since they are sorted; "
            f"got the types {sorted({type(value).__name__ for value in y})}."
        )
    return y if kinds == {True} else np.array(y.tolist())
