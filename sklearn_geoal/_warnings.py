"""Warnings that point at the line of the user, however deep in the package they come up."""

import sys
import warnings

# what stands between that line and the package: scikit-learn's pipelines and searches, and what runs these and networks
_BETWEEN = {"sklearn_geoal", "sklearn", "joblib", "skorch", "torch", "numpy", "skactiveml", "modAL", "contextlib"}


def warn(message, category=UserWarning):
    """Warn of what the nearest caller did that is no part of this package or of the libraries that call it."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame, level = frame.f_back, level + 1
    # level 1 is this function, 2 its caller
    warnings.warn(message, category, stacklevel=level)
