"""What transformers of scenes share: masked pixels as NaN, rows that fill the grid, names of the bands of a window."""

import numpy as np

from .._validation import check_scene_shape


def masked_as_nan(X):
    """X with NaN where a masked array is masked; anything else as it is."""
    if not np.ma.isMaskedArray(X):
        return X
    return X.astype(np.promote_types(X.dtype, np.float32)).filled(np.nan)


def check_fills(scene_shape, n_rows):
    """Return ``(height, width)`` as ints after checking that they hold ``n_rows`` pixels.

    Raises
    ------
    ValueError
        If ``scene_shape`` is not two positive integers or their product is not ``n_rows``.
    """
    height, width = check_scene_shape(scene_shape)
    if height * width != n_rows:
        raise ValueError(
            f"scene_shape={(height, width)} holds {height * width} pixels, but X has {n_rows} rows: give the whole "
            "scene in raster order, with NaN in the rows of pixels to leave out."
        )
    return height, width


def window_names(bands, size):
    """Names ``<band>_<row>_<column>`` of the values of a square window, channel first."""
    places = list(np.ndindex(size, size))
    return np.array([f"{band}_{row}_{column}" for band in bands for row, column in places], dtype=object)
