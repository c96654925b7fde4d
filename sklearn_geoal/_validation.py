"""Checks that every estimator shares: choices, indices, shapes of images and scenes; and fits that fail."""

import math
import os
from collections.abc import Iterable
from contextlib import contextmanager
from numbers import Integral

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from ._arrays import strings_as_objects, tensor_as_array
from ._warnings import warn

AS_ROWS = (
    "sklearn_geoal.scenes.open_scene(scene).to_rows() makes rows of the pixels of a scene, and "
    "sklearn_geoal.scenes.predict_scene applies a fitted estimator to one."
)
_PLANES = ({"y", "x"}, {"lat", "lon"}, {"latitude", "longitude"})  # how the sides of a scene are called
LEAVE_OUT = (
    "Masked values count as NaN. Leave such rows out of X and y, or have the estimator wrapped, "
    "sklearn_geoal.preprocessing.ValidRows(estimator), which leaves them out and keeps the places of the others."
)


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


def warn_of_channels_last(shape, image_shape):
    """Warn of images ``shape``, read as (n_images, channels, height, width), if they look as if channels were last.

    They do if 1, 3 or 4 are last, as many as grey, colour and near infrared make, and what stands before is larger and
    about square: so small squares of many bands, and a few bands of any height and width, pass without a word. An
    ``image_shape`` that is given is taken at its word.
    """
    _, first, second, last = shape
    shorter, longer = sorted((first, second))
    if image_shape is None and last in (1, 3, 4) and last < shorter and longer <= 2 * shorter:
        warn(
            f"X has shape {tuple(shape)}, read as {first} channels of {second} x {last} pixels. If these are {last} "
            f"channels of {first} x {second} pixels, give X.transpose(0, 3, 1, 2); if not, say so with "
            f"image_shape={(first, second, last)}."
        )


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


def check_fills(name, n_rows, scene_shape):
    """Return ``(height, width)`` as ints after checking that they hold ``n_rows`` pixels.

    Raises
    ------
    ValueError
        If ``scene_shape`` is not two positive integers or their product is not ``n_rows``.
    """
    height, width = check_scene_shape(scene_shape)
    if height * width != n_rows:
        raise ValueError(
            f"scene_shape={(height, width)} holds {height * width} pixels, but {name} has {n_rows} rows: give one row "
            "for each pixel, in raster order, masked ones too."
        )
    return height, width


def check_map_shape(name, given, scene_shape):
    """Check that what is given as a map, if it is one, is of the scene: not transposed, not of another one.

    Raises
    ------
    ValueError
        If it is not.
    """
    shape = getattr(given, "shape", ())
    if len(shape) == 2 and 1 not in shape and tuple(shape) != tuple(scene_shape):  # with 1, a column or a row
        raise ValueError(
            f"{name} is a map of {shape[0]} x {shape[1]} pixels, but the scene has {scene_shape[0]} x "
            f"{scene_shape[1]}: give one of (height, width), or a value for each pixel in raster order."
        )


def masked_as_nan(X):
    """X with NaN where a masked array, or one in a list, is masked, and a tensor as an array; anything else as it is.

    Raises
    ------
    TypeError
        If X is a tensor that numpy cannot read, or a scene that is no array yet.
    ValueError
        If X is a data frame without columns.
    """
    _refuse_scene(X)
    X = tensor_as_array(X)
    X = strings_as_objects(X) if isinstance(X, np.ndarray) else X
    if hasattr(X, "columns") and not len(X.columns):
        raise ValueError(f"X has no columns: it is a data frame of shape {X.shape}; at least one feature is needed.")
    if isinstance(X, (list, tuple)) and any(map(np.ma.isMaskedArray, X)):
        return [masked_as_nan(part) for part in X]
    if not np.ma.isMaskedArray(X):
        return X
    return X.astype(np.promote_types(X.dtype, np.float32)).filled(np.nan)


def _refuse_scene(X):
    """Say which functions read paths and a DataArray of a scene; known by what it has, without xarray."""
    paths = X if isinstance(X, (list, tuple)) and len(X) else [X]
    got = repr(X) if all(isinstance(path, (str, os.PathLike)) for path in paths) else None
    if hasattr(X, "dims") and hasattr(X, "coords") and _is_scene(X):
        got = f"a {type(X).__name__} of the dimensions {tuple(X.dims)}"
    if got is not None:
        raise TypeError(f"X must be an array with a row for each sample; got {got}. {AS_ROWS}")


def _is_scene(array):
    """Whether a Dataset or DataArray is a scene: bands of pixels, or one band, whose rows are no samples."""
    n_dims = getattr(array, "ndim", None)
    return n_dims in (None, 3) or (n_dims == 2 and set(map(str, array.dims)) in _PLANES)


def validate_complete(estimator, X, **form):
    """X after scikit-learn's ``validate_data``, for estimators that take no NaN; masked values count as such.

    Raises
    ------
    ValueError
        If X is invalid.
    """
    try:
        X = validate_data(estimator, masked_as_nan(X), **form)
    except ValueError as error:
        if "contains NaN" in str(error):
            raise ValueError(f"{error}\n{LEAVE_OUT}") from None
        if "with dim 3" in str(error):
            raise ValueError(f"{error}\nIf it is a scene (n_bands, height, width): {AS_ROWS}") from None
        raise
    check_not_empty(X)
    return X


def check_not_empty(X):
    """Raise ValueError if images have no bands or no pixels, which scikit-learn does not look for."""
    if 0 in X.shape:
        raise ValueError(f"X has shape {X.shape}, expected at least one band and one pixel in each image.")


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
    X = masked_as_nan(X)
    given_shape = tuple(X.shape[1:]) if getattr(X, "ndim", 2) == 4 else None
    if given_shape is not None:
        if reset:
            warn_of_channels_last(X.shape, estimator.image_shape)
        X = np.asarray(X).reshape(len(X), math.prod(given_shape))
    form = {"dtype": [np.float64, np.float32], "ensure_min_samples": 2 if reset else 1}
    X = validate_complete(estimator, X, reset=reset, **form)
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


def draw_seed(random_state):
    """Seed drawn from ``random_state``; None draws fresh entropy and leaves numpy's global generator alone."""
    return int(as_random_state(random_state).randint(np.iinfo(np.int32).max))


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
        If ``candidates`` is neither a mask of the right length nor one-dimensional and integer, or is a mask of
        integers.
    IndexError
        If an index lies outside.
    """
    if candidates is None:
        return np.flatnonzero(allowed)
    candidates = np.asarray(candidates)
    if candidates.ndim == 2 and candidates.size == len(allowed):  # a mask of a scene
        candidates = candidates.ravel()
    if candidates.dtype != bool:
        refuse_integer_mask(candidates, len(allowed))
        chosen = check_indices("candidates", candidates, len(allowed))
        candidates = np.zeros(len(allowed), dtype=bool)
        candidates[chosen] = True
    elif candidates.shape != allowed.shape:
        raise ValueError(f"candidates is a mask of shape {candidates.shape}, but X has {len(allowed)} samples.")
    return np.flatnonzero(candidates & allowed)


def refuse_integer_mask(candidates, n_samples):
    """Refuse a mask of 0 and 1 or 0 and 255, of which the samples 0 and 1 or 0 and 255 would be read."""
    is_as_long = candidates.dtype.kind in "iu" and candidates.shape == (n_samples,) and n_samples > 2
    if is_as_long and len(np.unique(candidates)) <= 2:
        raise ValueError(
            f"candidates holds one integer for each of the {n_samples} samples, all of them among "
            f"{np.unique(candidates).tolist()}, expected a boolean mask or indices: if it is a mask, give "
            "candidates=mask.astype(bool); if these are indices, give each of them once."
        )


def check_within_unit_interval(X):
    """Check that X suits a Bernoulli likelihood.

    Raises
    ------
    ValueError
        If a value is below 0 or above 1.
    """
    slack = np.finfo(np.float32).eps  # MinMaxScaler itself goes beyond 1 by rounding
    if X.min() < -slack or X.max() > 1 + slack:
        raise ValueError(
            f'likelihood="bernoulli" needs X within [0, 1], got values from {X.min():.6g} to {X.max():.6g}: '
            'scale X with MinMaxScaler, or use likelihood="gaussian".'
        )


@contextmanager
def unchanged_on_error(estimator):
    """Leave the estimator as it was if the block raises, an interrupt included: fitted as a whole or not at all.

    Fitted attributes must be replaced in the block, never changed in place.

    Yields
    ------
    keep : callable()
        What the estimator has become by the time of this call stays, whatever comes after.
    """
    before = dict(vars(estimator))

    def keep():
        before.clear()
        before.update(vars(estimator))

    try:
        yield keep
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
