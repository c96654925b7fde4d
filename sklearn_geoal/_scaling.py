"""Where data lie and how far they spread, whatever a few values say that are no data.

Markers of missing data, -9999, 65535 or -3.4e38, come unmarked in tables and scenes. A mean and a standard deviation
follow them, and all other values then look alike to a network. So both are taken of values that are cut where hardly
any datum lies, and the data themselves are cut further out.
"""

from typing import NamedTuple

import numpy as np

from ._warnings import warn

# rows that tell the median as well as all of them
_MAX_ROWS = 10_000
# part of the deviations from the median by which a spread is known, whatever the others are
_USUAL = 0.9
# Mean and standard deviation are of values cut at so many usual deviations from the median, 12 standard deviations of a
# normal distribution; beyond so many there are no data.
TAIL, FAR = 20.0, 1e3
# what networks are given is cut at so many standard deviations
LIMIT = 10.0
# no band is enlarged more than this beyond what the usual band is: one that is nearly constant holds mostly noise
_MAX_GAIN = 10.0


class Scaling(NamedTuple):
    """What X is shifted and scaled by, and where the result is cut; numbers, or one a band."""

    location: float | np.ndarray
    scale: float | np.ndarray
    limit: float | np.ndarray


def scaling_of_values(X):
    """One location and one scale for all values of X, such as those of images."""
    spread = Spread.of(X.reshape(-1, 1), _MAX_ROWS * 100)
    warn_of_far_values(spread.far(X.reshape(len(X), -1)))
    (mean,), (std,) = spread.mean_and_std(X.reshape(-1, 1))
    return Scaling(float(mean), float(std) or 1.0, LIMIT)


def scaling_to_unit_range(X):
    """What takes all values of X to [-1, 1]; the scale of a constant X is 1."""
    spread = Spread.of(X.reshape(-1, 1), _MAX_ROWS * 100)
    warn_of_far_values(spread.far(X.reshape(len(X), -1)))
    X = spread.cut(X.reshape(-1, 1), TAIL)
    low, high = float(X.min()), float(X.max())
    half_range = high / 2 - low / 2  # of halves, since the sum of huge values leaves the float range
    is_constant = half_range <= np.finfo(X.dtype).eps * max(abs(low), abs(high))
    return Scaling(low / 2 + high / 2, 1.0 if is_constant else half_range, LIMIT)


def scaling_of_bands(X):
    """A location and a scale for each band: (n, bands).

    Where most values are alike, as of rare features, the scale is the size of the others, or these would be blown up.
    """
    spread = Spread.of(X)
    warn_of_far_values(spread.far(X))
    mean, std = spread.mean_and_std(X)
    scale = np.fmax(std, spread.own_reach)
    usual = _median(scale[std > 0]) if std.any() else 1.0
    return Scaling(mean, np.where(std > 0, np.maximum(scale, usual / _MAX_GAIN), usual), LIMIT)


@np.errstate(over="ignore")  # halves are taken of what might leave the range, the rest is cut
def scaling_of_values_by_bands(X):
    """One location and one scale for all values, and the units as they are; constant bands far off lie at 0.

    (n, bands) -> the location of each band, and one scale
    """
    spread = Spread.of(X)
    warn_of_far_values(spread.far(X))
    mean, std = spread.mean_and_std(X)
    # where no band varies there are no others to be far from
    odd = (std == 0) & std.any() & (np.abs(mean - _median(mean)) > FAR * _median(spread.reach))
    # divided out: squares of huge or tiny values leave the range
    peak = np.abs(mean).max() / 2 + std.max() / 2 or 1.0
    common = mean[~odd].mean()
    variance = np.mean((std[~odd] / peak) ** 2 + ((mean[~odd] - common) / peak) ** 2)
    scale = min(float(peak * np.sqrt(variance)), np.finfo(np.float64).max)
    scale = scale if scale / 2 > np.finfo(X.dtype).eps * peak else 1.0  # below, values differ by rounding only
    deviation = np.sqrt((std / scale) ** 2 + ((mean - common) / scale) ** 2)
    return Scaling(np.where(odd, mean, common), scale, LIMIT * np.maximum(np.where(odd, 1, deviation), 1))


def standardize(X, scaling):
    """What a network is given for X, in single precision."""
    dtype = np.result_type(X.dtype, np.float32)
    location, scale, limit = (np.asarray(part, dtype=dtype) for part in scaling)
    with np.errstate(over="ignore"):  # what overflows is cut
        Z = X - location
        Z /= scale
    return np.clip(Z, -limit, limit, out=Z).astype(np.float32, copy=False)


class Spread(NamedTuple):
    """Median of each band and the usual distance from it of values that are not there, NaN if all of them are."""

    center: np.ndarray
    own_reach: np.ndarray
    reach: np.ndarray  # that or the one over all bands, whichever is larger

    @classmethod
    def of(cls, X, max_rows=_MAX_ROWS):
        """The spread of rows X, of some of them if they are many: (n, bands)."""
        sample = X[:: -(-len(X) // max_rows)].astype(np.float64)
        center = _median(sample)
        with np.errstate(over="ignore"):
            deviations = np.abs(sample - center)
        deviations[deviations == 0] = np.nan  # the background of images, zeros of counts: they say nothing of a spread
        own, overall = _usual(deviations), _usual(deviations.reshape(-1, 1))[0]
        return cls(center, own, np.fmax(own, overall))

    def bounds(self, factor):
        """What lies so many usual distances from the median, below and above."""
        with np.errstate(over="ignore"):  # beyond the range of floats nothing is far
            return self.center - factor * self.reach, self.center + factor * self.reach

    def cut(self, X, factor):
        """X, cut at so many usual distances from the median; X itself if nothing is."""
        low, high = (bound.astype(X.dtype) for bound in self.bounds(factor))
        return np.clip(X, low, high) if (X.min(axis=0) < low).any() or (X.max(axis=0) > high).any() else X

    def mean_and_std(self, X):
        """Mean and standard deviation of each band of X without its tails, the latter 0 where values are all alike."""
        X = self.cut(X, TAIL)
        peak = np.abs(X).max(axis=0).astype(np.float64)  # divided out: squares of huge or tiny values leave the range
        peak[peak == 0] = 1
        Z = X / peak.astype(X.dtype)
        std = Z.std(axis=0, dtype=np.float64)
        std[std < np.finfo(X.dtype).eps] = 0  # they differ by rounding only
        return Z.mean(axis=0, dtype=np.float64) * peak, std * peak

    def far(self, X):
        """Which values can hardly be data: -> (n, bands)."""
        low, high = (bound.astype(X.dtype) for bound in self.bounds(FAR))
        return (X < low) | (X > high)


def warn_of_far_values(far):
    """Name the rows and features of values that can hardly be data: (n, n_features)."""
    if far.any():
        rows, features = (np.flatnonzero(far.any(axis=axis)) for axis in (1, 0))
        warn(
            f"X has values beyond {FAR:g} times the usual distance from the median, in {len(rows)} of {len(far)} rows "
            f"or images ({_listed(rows)}) and in the features or bands {_listed(features)}: no-data? They are cut. "
            "Mark them as NaN and leave such rows out, with sklearn_geoal.preprocessing.ValidRows for instance."
        )


def _median(values):
    """Median along the first axis, of halves, as the sum of two huge values leaves the range."""
    return 2 * np.median(values / 2, axis=0)


@np.errstate(over="ignore")
def _usual(deviations):
    """Mean of the smaller deviations in each column, without those that are NaN: -> (bands,), NaN where there is none.

    Of a single column it is then 1.
    """
    ordered = np.sort(deviations, axis=0)  # NaN last
    counts = np.maximum(_USUAL * np.isfinite(ordered).sum(axis=0), 1).astype(int)
    counted = np.arange(len(ordered))[:, None] < counts
    means = np.where(counted, np.nan_to_num(ordered) / counts, 0).sum(axis=0)
    return np.where(means > 0, means, np.nan if deviations.shape[1] > 1 else 1.0)


def _listed(indices):
    more = ", ..." if len(indices) > 5 else ""
    return ", ".join(map(str, indices[:5])) + more
