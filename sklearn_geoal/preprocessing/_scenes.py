"""What transformers of scenes share: pixels as rows, names of the bands of a window."""

import numpy as np
from sklearn.utils.validation import validate_data

from .._validation import check_fills, check_scene_shape, masked_as_nan


def scene_rows(estimator, X, reset):
    """Pixels of X as rows after scikit-learn's validation, and ``(height, width)`` of their scene or None.

    An array (n_bands, height, width) tells its shape itself. Rows fill the ``scene_shape`` of the estimator with
    ``reset``, in ``fit``, and later the scene of ``fit``; where that is None, they are pixels without a grid.

    Raises
    ------
    ValueError
        If X is invalid, its rows do not fill the scene, or it is an array of another shape than ``fit`` was told.
    """
    X = masked_as_nan(X)
    scene_shape = estimator.scene_shape if reset else estimator.scene_shape_
    if getattr(X, "ndim", 2) == 3:
        X = np.asarray(X)
        n_bands, height, width = X.shape
        if reset and scene_shape is not None and check_scene_shape(scene_shape) != (height, width):
            raise ValueError(
                f"X is a scene of shape {X.shape}, but scene_shape={scene_shape}: give X as (n_bands, height, width) "
                "of that height and width, or leave scene_shape out."
            )
        scene_shape = height, width
        X = np.moveaxis(X, 0, -1).reshape(height * width, n_bands)
    X = validate_data(estimator, X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan", reset=reset)
    return X, None if scene_shape is None else check_fills("X", len(X), scene_shape)


def window_names(bands, size):
    """Names ``<band>_<row>_<column>`` of the values of a square window, channel first."""
    places = list(np.ndindex(size, size))
    return np.array([f"{band}_{row}_{column}" for band in bands for row, column in places], dtype=object)
