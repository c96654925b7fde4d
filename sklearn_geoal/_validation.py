"""Checks that every estimator shares: labels with a missing marker, choices, image shapes."""

import math
import warnings
from collections.abc import Iterable
from numbers import Integral, Number

import numpy as np
from sklearn.utils import assert_all_finite, check_array, check_random_state, column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import validate_data

# codes of samples and pixels that have no class: to be learned about, or to be left out
MISSING, VOID = -1, -2


def check_choice(name, value, choices):
    """Return ``value`` if it is one of ``choices``, else say what was got and expected.

    Parameters
    ----------
    name : str
        Name of the parameter, for the error message.
    value : object
        What the user gave.
    choices : iterable
        What is allowed.

    Raises
    ------
    ValueError
        If ``value`` is none of ``choices``.
    """
    choices = tuple(choices)
    # a plain `in` would compare arrays element by element
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}; got {value!r}.")
    return value


def check_image_shape(image_shape, n_features):
    """Return ``(channels, height, width)`` as ints after checking that they hold ``n_features``.

    Raises
    ------
    ValueError
        If ``image_shape`` is not three positive integers or their product is not ``n_features``.
    """
    sides = tuple(image_shape) if isinstance(image_shape, Iterable) else ()
    if len(sides) != 3 or not all(isinstance(side, Integral) and side > 0 for side in sides):
        raise ValueError(f"image_shape must be three positive integers (channels, height, width); got {image_shape!r}.")
    shape = tuple(int(side) for side in sides)
    if math.prod(shape) != n_features:
        raise ValueError(
            f"image_shape={shape} holds {math.prod(shape)} values, but X has {n_features} features: "
            "give X as rows of channels * height * width values."
        )
    return shape


def check_scene_shape(scene_shape):
    """Return ``(height, width)`` as ints.

    Raises
    ------
    ValueError
        If ``scene_shape`` is not two positive integers.
    """
    sides = tuple(scene_shape) if isinstance(scene_shape, Iterable) else ()
    if len(sides) != 2 or not all(isinstance(side, Integral) and side > 0 for side in sides):
        raise ValueError(f"scene_shape must be two positive integers (height, width); got {scene_shape!r}.")
    return int(sides[0]), int(sides[1])


def validate_rows(estimator, X, reset):
    """Rows of X after scikit-learn's validation, images flattened.

    With ``reset``, in ``fit``, the estimator takes note of the form of X: ``image_shape_`` is (channels, height, width)
    or None, ``_row_shape`` the shape in which rows are given back. Images are told by the estimator's ``image_shape``
    or by an X of shape (n_samples, channels, height, width).

    Raises
    ------
    ValueError
        If X is invalid or holds images of another shape than ``image_shape`` or ``fit`` said.
    """
    given_shape = tuple(X.shape[1:]) if getattr(X, "ndim", 2) == 4 else None
    if given_shape is not None:
        X = np.asarray(X).reshape(len(X), math.prod(given_shape))
    X = validate_data(estimator, X, dtype=[np.float64, np.float32], reset=reset, ensure_min_samples=2 if reset else 1)
    if reset:
        shape = given_shape if estimator.image_shape is None else estimator.image_shape
        estimator.image_shape_ = None if shape is None else check_image_shape(shape, X.shape[1])
        estimator._row_shape = given_shape or X.shape[1:]
    if given_shape not in (None, estimator.image_shape_):
        raise ValueError(
            f"X holds images of shape {given_shape}, expected {estimator.image_shape_} (channels, height, width): "
            "give X as image_shape says, or as it was in fit."
        )
    return X


def as_random_state(random_state):
    """RandomState from a seed or generator; None draws fresh entropy and leaves numpy's global generator alone."""
    return np.random.RandomState() if random_state is None else check_random_state(random_state)


def labeled_mask(y, missing_label="auto"):
    """Mark the samples of ``y`` that carry a label.

    ``missing_label="auto"`` reads one marker: NaN in a numeric ``y``, None in an object ``y``, and where neither
    occurs, -1 in an integer-valued ``y``. A ``y`` whose values are exactly {-1, 1} is taken as fully labelled, with a
    warning. Any other ``missing_label`` is taken at its word.

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
    y = _as_label_array(y)
    if isinstance(missing_label, str) and missing_label == "auto":
        labeled = _auto_labeled(y)
    elif missing_label is None or _is_nan(missing_label):
        labeled = ~_is_missing(y)
    elif y.dtype.kind in "iuf":
        labeled = y != missing_label if isinstance(missing_label, Number) else np.ones(len(y), dtype=bool)
    else:
        # value by value: numpy would convert a number to a string before it compares the two
        marker = np.asarray(missing_label).item()
        labeled = np.array([type(value) is not type(marker) or value != marker for value in y.tolist()], dtype=bool)
    _check_known_labels(y[labeled])
    return y, labeled


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
    classes, known = np.unique(_plain(y[labeled]), return_inverse=True)
    codes = np.full(len(y), MISSING, dtype=np.int64)
    codes[labeled] = known
    return classes, codes


def check_classes(found, classes=None):
    """The classes for a classifier to learn, those found among the labels, if there are two or more, and those given.

    Parameters
    ----------
    found : ndarray
        Classes of the known labels.
    classes : array-like, default=None
        Classes that the user expects, if they were given.

    Raises
    ------
    ValueError
        If there is no label, one of another class, none of a class that was given, or one class only.
    """
    if classes is not None:
        expected, got = set(np.unique(classes).tolist()), set(found.tolist())
        if unknown := sorted(got - expected):
            raise ValueError(
                f"y holds {unknown}, which are not among the classes {sorted(expected)}: add them to classes, or mark "
                "such labels as missing (missing_label) or, in masks, as void (ignore_label)."
            )
        if missing := sorted(expected - got):
            raise ValueError(
                f"y has no label of the classes {missing}: at least one of each class is needed. Label some, or leave "
                "them out of classes."
            )
    if not len(found):
        raise ValueError("y holds no known label: at least one label of each class is needed to start from.")
    if len(found) == 1:
        raise ValueError(
            f"y has labels of one class only, {found.tolist()[0]!r}: at least two classes are needed, with a label of "
            "each."
        )
    return found


def recode(codes, classes, known):
    """Codes of ``classes`` as codes of ``known``, sorted classes that hold them all; negative codes stay."""
    recoded = codes.copy()
    recoded[codes >= 0] = np.searchsorted(known, classes)[codes[codes >= 0]]
    return recoded


def _as_label_array(y):
    """One-dimensional numpy array; pandas' and polars' missing values become NaN or None."""
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    y = np.asarray(y)
    if y.dtype.kind in "US" and y.ndim == 1:
        return y
    y = column_or_1d(y, warn=True)
    if y.dtype.kind not in "OUSbiuf":
        check_array(y, ensure_2d=False)  # complex, dates, structured: scikit-learn's own error
    return y


def _auto_labeled(y):
    missing = _is_missing(y)
    if missing.any() or not _is_integer_valued(y) or not (y == -1).any():
        return ~missing
    if set(y.tolist()) == {-1, 1}:
        warnings.warn(
            "y holds exactly the values -1 and 1: both are taken as classes. "
            "If -1 marks missing labels, say so with missing_label=-1.",
            UserWarning,
            stacklevel=6,
        )
        return np.ones(len(y), dtype=bool)
    return y != -1


def _is_missing(y):
    """NaN in numbers; None, NaN or pandas' NA in objects."""
    if y.dtype.kind == "f":
        return np.isnan(y)
    if y.dtype.kind == "O":
        return np.array(
            [value is None or _is_nan(value) or type(value).__name__ == "NAType" for value in y], dtype=bool
        )
    return np.zeros(len(y), dtype=bool)


def _is_nan(value):
    return isinstance(value, (float, np.floating)) and math.isnan(value)


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
        check_classification_targets(_plain(y))


def _plain(y):
    """Objects of one kind as a plain array, so that they sort; mixed kinds are an error."""
    if y.dtype.kind != "O" or not len(y):
        return y
    kinds = {isinstance(value, str) for value in y}
    if len(kinds) > 1:
        raise ValueError(
            "y mixes strings and numbers: labels must be all of one type, since they are sorted; "
            f"got the types {sorted({type(value).__name__ for value in y})}."
        )
    return y if kinds == {True} else np.array(y.tolist())
