"""The forms in which images are given and their results given back."""

import math

import numpy as np
from sklearn.utils import assert_all_finite, check_array
from sklearn.utils.validation import validate_data

from .._validation import (
    check_image_shape,
    check_not_empty,
    masked_as_nan,
    validate_complete,
    warn_of_channels_last,
)


def validate_images(estimator, X, reset):
    """Images after validation, of shape (n_images, bands, height, width).

    X has that shape, or holds the images as rows: of bands * height * width values with the estimator's
    ``image_shape``, of the bands of single pixels without. With ``reset``, in ``fit``, ``image_shape_`` is set to
    (bands, height, width), ``n_features_in_`` to the product and, for a data frame, ``feature_names_in_``. Afterwards
    images of shape (n_images, bands, height, width) may have any height and width. They are not copied and keep their
    dtype, so that a memory map stays on disk; rows come as float64 or float32.

    Raises
    ------
    ValueError
        If X is invalid, has another number of bands than in ``fit`` or another shape than ``image_shape``, or holds
        less than two pixels in ``fit``.
    """
    X = _as_one_array(masked_as_nan(X))
    if getattr(X, "ndim", 2) == 4:
        X = _check_images(X)
        if reset:
            warn_of_channels_last(X.shape, estimator.image_shape)
            estimator.image_shape_ = _shape_as_told(X.shape[1:], estimator.image_shape)
            validate_data(estimator, X[:1].reshape(1, -1), reset=True, skip_check_array=True)  # sets n_features_in_
        elif X.shape[1] != estimator.image_shape_[0]:
            raise ValueError(
                f"X has {X.shape[1]} bands, as its shape is {X.shape}, but {type(estimator).__name__} was fitted with "
                f"{estimator.image_shape_[0]}: give the same bands in the same order, (n_images, bands, height, width)."
            )
    else:
        X = validate_complete(estimator, X, dtype=[np.float64, np.float32], reset=reset)
        if reset:
            shape = (X.shape[1], 1, 1) if estimator.image_shape is None else estimator.image_shape
            estimator.image_shape_ = check_image_shape(shape, X.shape[1])
        X = X.reshape(len(X), *estimator.image_shape_)
    n_pixels = len(X) * X.shape[2] * X.shape[3]
    if reset and n_pixels < 2:
        raise ValueError(
            f"X of shape {X.shape} has n_samples={len(X)} and one pixel, at least 2 are needed: give more samples, or, "
            "if they are images, X of shape (n_images, bands, height, width)."
        )
    return X


def _as_one_array(X):
    """X itself, or a list of images as one array."""
    if isinstance(X, (list, tuple)) and not has_rows(X):
        shapes = {np.shape(image) for image in X}
        if len(shapes) > 1:
            raise ValueError(
                f"X is a list of images of different shapes, {sorted(shapes)}: cut them to the same height and width, "
                "or give each on its own to predict."
            )
        return np.stack(X)
    if getattr(X, "ndim", 2) == 3:
        raise ValueError(
            f"X has shape {tuple(X.shape)}, expected (n_images, bands, height, width): give a single image as X[None], "
            "images of a single band as X[:, None]."
        )
    return X


def _check_images(X):
    X = check_array(X, allow_nd=True, ensure_all_finite=False, input_name="X")
    check_not_empty(X)
    try:
        assert_all_finite(X, input_name="X")
    except ValueError as error:
        raise ValueError(
            f"{error} Fill in what is not finite, for instance with the mean of its band, and mark such pixels as void "
            "in y, with the value ignore_label."
        ) from None
    return X


def _shape_as_told(shape, image_shape):
    if image_shape is not None and check_image_shape(image_shape, math.prod(shape)) != shape:
        raise ValueError(
            f"X holds images of shape {shape}, but image_shape={image_shape} (bands, height, width): leave image_shape "
            "out, it is for images as rows."
        )
    return shape


def has_rows(X):
    """Whether X holds images or single pixels as rows, not as (n_images, bands, height, width) or a list of them."""
    is_list = isinstance(X, (list, tuple)) and len(X) and np.ndim(X[0]) == 3
    return getattr(X, "ndim", 2) < 4 and not is_list


def as_given(result, X):
    """A result (n, ..., height, width) in the form of X: without height and width if X has single pixels as rows."""
    return result[..., 0, 0] if has_rows(X) and result.shape[-2:] == (1, 1) else result
