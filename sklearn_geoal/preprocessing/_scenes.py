"""What transformers of scenes share: masked pixels as NaN, names of the bands of a window."""

import numpy as np


def masked_as_nan(X):
    """X with NaN where a masked array is masked; anything else as it is."""
    if not np.ma.isMaskedArray(X):
        return X
    return X.astype(np.promote_types(X.dtype, np.float32)).filled(np.nan)


def window_names(bands, size):
    """Names ``<band>_<row>_<column>`` of the values of a square window, channel first."""
    places = list(np.ndindex(size, size))
    return np.array([f"{band}_{row}_{column}" for band in bands for row, column in places], dtype=object)
