"""Transformer: gaps in series of measurements, filled along time."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from .._validation import unchanged_on_error, validate_complete


class SeriesInterpolator(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Fill what is missing in each row by a straight line between the measurements before and after it.

    A row of X is the series of one pixel, a column a date: an index of vegetation on the days of a year, of which
    clouds take some. Before the first measurement of a row and after its last one, the nearest is taken. A row without
    any stays as it is, NaN.

    Parameters
    ----------
    times : array-like of shape (n_features,) or None, default=None
        When the columns were measured: ascending numbers, or dates as numpy or pandas read them. None: at equal
        distances.

    Attributes
    ----------
    times_ : ndarray of shape (n_features,)
        Times as numbers, of dates in days from the first.
    n_features_in_ : int
        Number of dates seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X has names that are all strings.

    See Also
    --------
    sklearn.impute.SimpleImputer : Fills a column by its mean or median, where columns are no series.
    sklearn_geoal.scenes.predict_scene : With ``missing="all"`` keeps pixels that lack some dates.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.preprocessing import SeriesInterpolator
    >>> X = [[np.nan, 1.0, np.nan, 4.0], [0.0, np.nan, np.nan, 9.0]]
    >>> SeriesInterpolator(times=[0, 1, 2, 4]).fit_transform(X)
    array([[1.  , 1.  , 2.  , 4.  ],
           [0.  , 2.25, 4.5 , 9.  ]])
    """

    def __init__(self, times=None):
        self.times = times

    def fit(self, X, y=None):
        """Check the times against the columns of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Series, NaN where they lack a measurement.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : SeriesInterpolator
            Fitted transformer.

        Raises
        ------
        ValueError
            If X is invalid, or the times are not one for each column, ascending.
        """
        with unchanged_on_error(self):
            X = self._validate(X, reset=True)
            self.times_ = _as_numbers(self.times, X.shape[1])
        return self

    def transform(self, X):
        """Fill the gaps of series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Series, NaN where they lack a measurement.

        Returns
        -------
        X_new : ndarray of shape (n_samples, n_features)
            Series without gaps; rows without any measurement are NaN.

        Raises
        ------
        ValueError
            If X is invalid.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        known = ~np.isnan(X)
        columns = np.arange(X.shape[1])
        # the last known column before each place and the next one after it, each the other where there is none
        before = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
        after = np.minimum.accumulate(np.where(known, columns, X.shape[1])[:, ::-1], axis=1)[:, ::-1]
        before, after = np.where(before < 0, after, before), np.where(after == X.shape[1], before, after)
        before, after = before.clip(0, X.shape[1] - 1), after.clip(0, X.shape[1] - 1)  # of rows without any
        length = self.times_[after] - self.times_[before]
        share = np.divide(self.times_ - self.times_[before], length, out=np.zeros(X.shape), where=length > 0)
        share = share.astype(X.dtype)
        low, high = np.take_along_axis(X, before, axis=1), np.take_along_axis(X, after, axis=1)
        return np.where(known, X, low * (1 - share) + high * share)

    def _validate(self, X, reset):
        form = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}
        return validate_complete(self, X, reset=reset, **form)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _as_numbers(times, n_features):
    """Times as ascending numbers, dates as days from the first."""
    if times is None:
        return np.arange(n_features, dtype=np.float64)
    values = np.asarray(times)
    if values.dtype.kind not in "iuf":
        try:
            dates = values.astype("datetime64[s]")
        except ValueError as error:
            raise ValueError(f"times must be numbers or dates; got {times!r}.") from error
        values = (dates - dates[:1]) / np.timedelta64(1, "D")
    values = values.astype(np.float64)
    if values.shape != (n_features,) or not np.isfinite(values).all() or (np.diff(values) < 0).any():
        raise ValueError(
            f"times must be {n_features} ascending numbers or dates, one for each column of X; got {len(values)}, "
            f"{values[:5].tolist()} and so on."
        )
    return values
