"""Checks that every estimator shares: labels with a missing marker, choices, image shapes."""

import math
import warnings
from collections.abc import Iterable
from numbers import Integral, Number

import numpy as np
from sklearn.utils import assert_all_finite, check_array, column_or_1d
from sklearn.utils.multiclass import check_classification_targets


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
    """Code labels as integers, -1 where the label is missing.

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
        Index into ``classes``, -1 where the label is missing.
    """
    y, labeled = labeled_mask(y, missing_label)
    classes, known = np.unique(_plain(y[labeled]), return_inverse=True)
    codes = np.full(len(y), -1, dtype=np.int64)
    codes[labeled] = known
    return classes, codes


def check_candidates(candidates, allowed):
    """Indices of the samples that may be asked for, ascending.

    Parameters
    ----------
    candidates : None, array-like of bool of shape (n_samples,) or array-like of int
        Mask or indices; None for all.
    allowed : ndarray of bool of shape (n_samples,)
        Candidates outside are left out.

    Raises
    ------
    ValueError
        If ``candidates`` is neither a mask of the right length nor one-dimensional and integer.
    IndexError
        If an index lies outside.
    """
    if candidates is None:
        return np.flatnonzero(allowed)
    candidates = np.asarray(candidates)
    if candidates.dtype != bool:
        chosen = check_indices("candidates", candidates, len(allowed))
        candidates = np.zeros(len(allowed), dtype=bool)
        candidates[chosen] = True
    elif candidates.shape != allowed.shape:
        raise ValueError(f"candidates is a mask of shape {candidates.shape}, but X has {len(allowed)} samples.")
    return np.flatnonzero(candidates & allowed)


def check_indices(name, indices, n_samples):
    """Return ``indices`` as a one-dimensional integer array after checking that all are from 0 to n_samples - 1.

    Raises
    ------
    ValueError
        If they are not one-dimensional and integer.
    IndexError
        If one lies outside.
    """
    indices = np.asarray(indices)
    if indices.ndim != 1 or (indices.dtype.kind not in "iu" and len(indices)):
        raise ValueError(
            f"{name} must be a one-dimensional array of integer indices; "
            f"got an array of shape {indices.shape} and type {indices.dtype}."
        )
    indices = indices.astype(np.int64)
    if len(indices) and not 0 <= indices.min() <= indices.max() < n_samples:
        raise IndexError(
            f"{name} must be indices from 0 to {n_samples - 1}; got some from {indices.min()} to {indices.max()}."
        )
    return indices


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
    return np.concatenate([known, new])


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
            stacklevel=5,
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
