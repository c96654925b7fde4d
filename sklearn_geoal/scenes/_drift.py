"""Whether a scene lies where the scene lay that an estimator was fitted to."""

import numpy as np
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from .._warnings import warn

_MAX_SHIFT = 1.5  # of the mean, in standard deviations of what was fitted
_REACH = 0.6  # of a normal distribution: Spread.reach in standard deviations
_QUARTILES = 1.349  # and the distance between its quartiles


class Drift:
    """Mean of the bands of a scene beside that of what a step was fitted to.

    Parameters
    ----------
    step : estimator or None
        The first step that sees values in the units of the bands.
    band_names : list of str
        Names of the bands.
    """

    def __init__(self, step, band_names):
        self._fitted, self._band_names = _location_and_scale(step, len(band_names)), band_names
        self._counts, self._sums = np.zeros(len(band_names)), np.zeros(len(band_names))

    @staticmethod
    def see(values):
        """Number and sum of the values of each band, (n_bands, h, w), that are not missing."""
        return np.sum(~np.isnan(values), axis=(1, 2)), np.nansum(values, axis=(1, 2), dtype=np.float64)

    def add(self, counts, sums):
        """Add what :meth:`see` gave for a block."""
        self._counts, self._sums = self._counts + counts, self._sums + sums

    @property
    def has_values(self):
        """Whether any value was not missing."""
        return bool(self._counts.any())

    def warn(self):
        """Warn if the mean of a band lies far from what was fitted."""
        if self._fitted is None or not self._counts.all():
            return
        location, scale = self._fitted
        mean = self._sums / self._counts
        shift = np.abs(mean - location) / scale
        if shift.max() > _MAX_SHIFT:
            band = int(shift.argmax())
            warn(
                f"{np.sum(shift > _MAX_SHIFT)} of {len(shift)} bands of the scene lie elsewhere than those that the "
                f"estimator was fitted to: the mean of {self._band_names[band]!r} is {mean[band]:.4g}, that fitted "
                f"{location[band]:.4g} with a standard deviation of {scale[band]:.4g}. Are units, date and sensor the "
                "same? Labels of the map may be wrong; bring the scene to the same units first, for instance by "
                "sklearn_geoal.preprocessing.ReflectanceTransformer.",
            )


def _location_and_scale(step, n_bands):
    """Mean and standard deviation of each band as a step has learned them, None if it has learned none."""
    spread = getattr(getattr(step, "_frame", None), "spread", None)  # of a graph
    if isinstance(step, StandardScaler) and step.with_mean and step.with_std:
        fitted = step.mean_, step.scale_
    elif isinstance(step, RobustScaler) and step.with_centering and step.with_scaling:
        fitted = step.center_, step.scale_ / _QUARTILES
    elif isinstance(step, MinMaxScaler):
        fitted = (step.data_min_ + step.data_max_) / 2, step.data_range_ / 2
    elif spread is not None:
        fitted = spread.center, spread.reach / _REACH
    else:
        fitted = getattr(step, "location_", None), getattr(step, "scale_", None)
    if any(part is None or np.shape(part) != (n_bands,) for part in fitted):
        return None
    location, scale = (np.asarray(part, dtype=np.float64) for part in fitted)
    return location, np.where(scale > 0, scale, np.inf)
