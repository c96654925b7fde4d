"""Transformer: digital numbers of a sensor to radiance, and on to reflectance at the top of the atmosphere."""

from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_array, check_scalar
from sklearn.utils.validation import check_is_fitted

from .._validation import masked_as_nan, unchanged_on_error, validate_complete


def gain_and_offset(radiance_min, radiance_max, *, n_bits, dn_min=0):
    r"""Gain and offset of a sensor from its dynamic range.

    The digital numbers from :math:`Q_{min}` to :math:`Q_{max} = 2^{n\_bits} - 1` divide the radiances from
    :math:`L_{min}` to :math:`L_{max}` evenly: the gain is
    :math:`(L_{max} - L_{min}) / (Q_{max} - Q_{min})`, the offset :math:`L_{min} - gain \cdot Q_{min}`.

    Parameters
    ----------
    radiance_min, radiance_max : float or array-like of shape (n_bands,)
        Radiance at the lowest and at the highest digital number in W m-2 sr-1 um-1, for all bands or each.
    n_bits : int
        Bits of a digital number.
    dn_min : int, default=0
        The lowest digital number; Landsat products begin at 1.

    Returns
    -------
    gain : float or ndarray of shape (n_bands,)
        Radiance of one digital number, W m-2 sr-1 um-1.
    offset : float or ndarray of shape (n_bands,)
        Radiance at the digital number zero, W m-2 sr-1 um-1.

    Raises
    ------
    TypeError
        If ``n_bits`` or ``dn_min`` is not an integer.
    ValueError
        If ``n_bits`` leaves no range of digital numbers, or ``radiance_max`` is not above ``radiance_min`` or of
        another number of bands.

    Examples
    --------
    >>> from sklearn_geoal.preprocessing import gain_and_offset
    >>> gain, offset = gain_and_offset(0, [51.15, 102.3], n_bits=10)
    >>> gain
    array([0.05, 0.1 ])
    """
    check_scalar(n_bits, "n_bits", Integral, min_val=1, max_val=64)
    dn_max = 2 ** int(n_bits) - 1
    check_scalar(dn_min, "dn_min", Integral, min_val=0, max_val=dn_max - 1)
    low, high = np.asarray(radiance_min, dtype=float), np.asarray(radiance_max, dtype=float)
    if low.ndim and high.ndim and low.shape != high.shape:
        raise ValueError(
            f"radiance_min has shape {low.shape}, radiance_max {high.shape}: give one number for all bands or one each."
        )
    if not (high > low).all():
        raise ValueError(f"radiance_max must be above radiance_min in every band; got {radiance_max}, {radiance_min}.")
    gain = (high - low) / (dn_max - dn_min)
    return gain, low - gain * dn_min


def earth_sun_distance(day_of_year):
    r"""Distance from the Earth to the Sun on a day of the year.

    :math:`d = 1.00014 - 0.01671 \cos g - 0.00014 \cos 2g` with the mean anomaly
    :math:`g = 0.9856003^\circ (day - 3.6)`; between 1980 and 2040, without the year, it is right to 0.0003 AU.

    Parameters
    ----------
    day_of_year : float or array-like
        Day in the year, 1 on the first of January.

    Returns
    -------
    distance : float or ndarray
        Distance in astronomical units (AU).

    Raises
    ------
    ValueError
        If a day is not in [1, 367).

    References
    ----------
    .. [1] The Astronomical Almanac, section C, low-precision formulas for the Sun.

    Examples
    --------
    >>> from sklearn_geoal.preprocessing import earth_sun_distance
    >>> float(earth_sun_distance(186).round(4))
    1.0167
    """
    day = np.asarray(day_of_year, dtype=float)
    if not ((day >= 1) & (day < 367)).all():
        raise ValueError(f"day_of_year must be from 1 to 366; got {day_of_year!r}.")
    anomaly = np.radians(0.9856003 * (day - 3.6))
    return 1.00014 - 0.01671 * np.cos(anomaly) - 0.00014 * np.cos(2 * anomaly)


class ReflectanceTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Convert the digital numbers of a sensor to radiance or to reflectance at the top of the atmosphere.

    The radiance at the sensor is :math:`L = gain \cdot DN + offset`, and the reflectance

    .. math:: \rho = \frac{\pi L d^2}{E_{sun} \sin \theta}

    with the distance d to the Sun, the solar irradiance :math:`E_{sun}` and the elevation :math:`\theta` of the Sun. It
    compares scenes of other days, hours and sensors; what the atmosphere adds and takes away stays in it.

    Parameters
    ----------
    gain : float or array-like of shape (n_bands,), default=1.0
        Radiance of one digital number in W m-2 sr-1 um-1, for all bands or each. Not zero. Where only the dynamic range
        of the sensor is known, :func:`gain_and_offset` has it.
    offset : float or array-like of shape (n_bands,), default=0.0
        Radiance at the digital number zero in W m-2 sr-1 um-1.
    solar_irradiance : float, array-like of shape (n_bands,) or None, default=None
        Mean solar irradiance above the atmosphere at 1 AU in W m-2 um-1, for all bands or each. None: the result is the
        radiance, and the Sun does not matter.
    sun_elevation : float, default=90.0
        Angle of the Sun above the horizon in degrees, in (0, 90].
    sun_distance : float, default=1.0
        Distance from the Earth to the Sun in AU. :func:`earth_sun_distance` has it from the day of the year.

    Attributes
    ----------
    scale_ : ndarray of shape (n_bands,)
        Reflectance, or radiance, of one digital number.
    shift_ : ndarray of shape (n_bands,)
        Reflectance, or radiance, at the digital number zero.
    n_features_in_ : int
        Number of bands seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the bands seen during fit, where X has them.

    Notes
    -----
    Masked pixels, NaN or masked in a :class:`numpy.ma.MaskedArray`, are NaN in the result. Digital numbers that stand
    for "no data" or "saturated" are to be masked beforehand.

    Metadata of Landsat 8 and 9 give factors of the reflectance itself, for a Sun in the zenith, and no irradiance.
    These go in as ``gain`` and ``offset`` with ``solar_irradiance=np.pi``.

    References
    ----------
    .. [1] G. Chander, B. L. Markham, D. L. Helder, "Summary of current radiometric calibration coefficients for Landsat
       MSS, TM, ETM+, and EO-1 ALI sensors", Remote Sensing of Environment 113, 893-903, 2009.

    Examples
    --------
    A scene of two bands, 10 bits, taken on the first of March with the Sun at 52 degrees:

    >>> from sklearn_geoal.preprocessing import ReflectanceTransformer, earth_sun_distance, gain_and_offset
    >>> gain, offset = gain_and_offset(0, [520, 470], n_bits=10)
    >>> reflectance = ReflectanceTransformer(
    ...     gain=gain,
    ...     offset=offset,
    ...     solar_irradiance=[1850, 1590],
    ...     sun_elevation=52,
    ...     sun_distance=earth_sun_distance(60),
    ... )
    >>> reflectance.fit_transform([[120, 80], [90, 240]]).round(3)
    array([[0.129, 0.09 ],
           [0.097, 0.271]])
    """

    def __init__(self, *, gain=1.0, offset=0.0, solar_irradiance=None, sun_elevation=90.0, sun_distance=1.0):
        self.gain = gain
        self.offset = offset
        self.solar_irradiance = solar_irradiance
        self.sun_elevation = sun_elevation
        self.sun_distance = sun_distance

    def fit(self, X, y=None):
        """Put the parameters together to one scale and one shift a band; nothing is learned from the values.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Digital numbers.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : ReflectanceTransformer
            Fitted transformer.

        Raises
        ------
        TypeError
            If ``sun_elevation`` or ``sun_distance`` is not a number.
        ValueError
            If a parameter is out of range or has another number of bands than X.
        """
        with unchanged_on_error(self):
            n_bands = self._validate(X, reset=True).shape[1]
            gain, offset = self._by_band("gain", n_bands), self._by_band("offset", n_bands)
            if not gain.all():
                raise ValueError(f"gain must not be zero in any band; got {self.gain}.")
            factor = self._reflectance_of_radiance(n_bands)
            self.scale_, self.shift_ = gain * factor, offset * factor
        return self

    def transform(self, X):
        """Convert digital numbers to reflectance, or to radiance without ``solar_irradiance``.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Digital numbers.

        Returns
        -------
        X_new : ndarray of shape (n_pixels, n_bands)
            Reflectance, a number without unit, or radiance in W m-2 sr-1 um-1; NaN where a value is masked.

        Raises
        ------
        ValueError
            If X is invalid or has another number of bands than in ``fit``.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        return X * self.scale_.astype(X.dtype) + self.shift_.astype(X.dtype)

    def inverse_transform(self, X):
        """Convert reflectance, or radiance, back to digital numbers.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Reflectance, or radiance without ``solar_irradiance``.

        Returns
        -------
        X_original : ndarray of shape (n_pixels, n_bands)
            Digital numbers, not rounded; NaN where a value is masked.

        Raises
        ------
        ValueError
            If X is invalid or has another number of bands than in ``fit``.
        """
        check_is_fitted(self)
        X = check_array(masked_as_nan(X), dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {X.shape[1]} bands, expected {self.n_features_in_} as in fit.")
        return (X - self.shift_.astype(X.dtype)) / self.scale_.astype(X.dtype)

    def _reflectance_of_radiance(self, n_bands):
        """Reflectance of one unit of radiance in each band, ones where the radiance itself is asked for."""
        elevation = check_scalar(self.sun_elevation, "sun_elevation", Real)
        if not 0 < elevation <= 90:
            raise ValueError(f"sun_elevation must be degrees above the horizon, in (0, 90]; got {elevation}.")
        distance = check_scalar(self.sun_distance, "sun_distance", Real)
        if not 0 < distance < np.inf:
            raise ValueError(f"sun_distance must be a positive number of astronomical units; got {distance}.")
        if self.solar_irradiance is None:
            return np.ones(n_bands)
        irradiance = self._by_band("solar_irradiance", n_bands)
        if not (irradiance > 0).all():
            raise ValueError(f"solar_irradiance must be positive in every band; got {self.solar_irradiance}.")
        return np.pi * distance**2 / (irradiance * np.sin(np.radians(elevation)))

    def _by_band(self, name, n_bands):
        """A parameter as one finite number a band."""
        try:
            values = np.asarray(getattr(self, name), dtype=float)
        except (TypeError, ValueError):
            values = np.asarray(np.nan)
        if values.shape not in ((), (n_bands,)) or not np.isfinite(values).all():
            raise ValueError(
                f"{name} must be a finite number, or one for each of the {n_bands} bands of X; got "
                f"{getattr(self, name)}."
            )
        return np.broadcast_to(values, (n_bands,))

    def _validate(self, X, reset):
        form = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}
        return validate_complete(self, X, reset=reset, **form)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
