"""Transformer: spectra by their shape, whatever their brightness."""

import numpy as np
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_array
from sklearn.utils.validation import check_is_fitted

from .._validation import masked_as_nan, unchanged_on_error, validate_complete


def _unit_rows(X):
    """Rows divided by their norms, rows of zeros as they are: (n, bands) -> (n, bands)."""
    # by the peak first: squares of huge or tiny values leave the range
    for size in (lambda X: np.abs(X).max(axis=1, keepdims=True), lambda X: np.linalg.norm(X, axis=1, keepdims=True)):
        sizes = size(X)
        X = X / np.where(sizes == 0, 1, sizes)
    return X


class SpectraScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Give each spectrum unit norm, then all bands one scale.

    Light and shadow multiply a spectrum by a number; what a material is stands in its shape. So each row is divided by
    its Euclidean norm. The mean over the rows is then taken away, and all bands are divided by one number,

    .. math:: z = \frac{x / |x| - m}{s}, \qquad s^2 = \frac{1}{B} \sum_{b=1}^{B} \mathrm{Var}_b ,

    with which the variance of the B bands is 1 on average. Bands that vary little stay small and distances mean what
    they meant, unlike with a :class:`~sklearn.preprocessing.StandardScaler`, which enlarges the noise of such bands.

    A row with NaN in any band is masked: it has no part in m and s, and its own row of the result is NaN. Rows masked
    in a :class:`numpy.ma.MaskedArray` are treated alike. A row of zeros has no shape: it stays zero until m is taken
    away, apart from all spectra, and has no part in m and s either.

    Attributes
    ----------
    location_ : ndarray of shape (n_bands,)
        Mean m of the rows of ``fit`` with unit norm.
    scale_ : float
        Root s of the mean variance of the bands; 1 where the rows of ``fit`` do not vary.
    n_features_in_ : int
        Number of bands seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the bands seen during fit, where X has them.

    See Also
    --------
    sklearn.preprocessing.Normalizer : Unit norm alone; it takes no NaN.
    ReflectanceTransformer : Reflectance of digital numbers, which keeps the brightness.

    Notes
    -----
    It takes columns of one unit, such as reflectances or radiances, not tables of unlike features. Where brightness
    itself tells classes apart, asphalt from concrete or water from shadow, a StandardScaler keeps it.

    Examples
    --------
    One spectrum in the light and in the shadow, and another:

    >>> from sklearn_geoal.preprocessing import SpectraScaler
    >>> SpectraScaler().fit_transform([[0.3, 0.4], [0.03, 0.04], [0.4, 0.3]]).round(3)
    array([[-0.707,  0.707],
           [-0.707,  0.707],
           [ 1.414, -1.414]])
    """

    def fit(self, X, y=None):
        """Learn the mean and the one scale of the rows with unit norm.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Spectra.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : SpectraScaler
            Fitted transformer.

        Raises
        ------
        ValueError
            If X is invalid.
        """
        with unchanged_on_error(self):
            X = self._validate(X, reset=True)
            units = _unit_rows(X[~np.isnan(X).any(axis=1) & X.any(axis=1)]).astype(np.float64)
            self.location_, self.scale_ = np.zeros(X.shape[1]), 1.0
            if len(units):
                self.location_ = units.mean(axis=0)
                scale = float(np.sqrt(units.var(axis=0).mean()))
                self.scale_ = scale if scale > np.finfo(X.dtype).eps else 1.0  # below, rows differ by rounding only
        return self

    def transform(self, X):
        """Give spectra unit norm and the scale of ``fit``.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Spectra.

        Returns
        -------
        X_new : ndarray of shape (n_pixels, n_bands)
            Scaled spectra, NaN where a row is masked.

        Raises
        ------
        ValueError
            If X is invalid or has another number of bands than in ``fit``.
        """
        check_is_fitted(self)
        X = self._validate(X, reset=False)
        masked = np.isnan(X).any(axis=1)
        Z = (_unit_rows(X) - self.location_.astype(X.dtype)) / X.dtype.type(self.scale_)
        Z[masked] = np.nan
        return Z

    def inverse_transform(self, X):
        """Go back to spectra with unit norm; how bright they were is not known any more.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands)
            Scaled spectra.

        Returns
        -------
        X_original : ndarray of shape (n_pixels, n_bands)
            Spectra, of norm 1 where X is what ``transform`` gave.

        Raises
        ------
        ValueError
            If X is invalid or has another number of bands than in ``fit``.
        """
        check_is_fitted(self)
        X = check_array(masked_as_nan(X), dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
        if X.shape[1] != self.n_features_in_:
            raise ValueError(f"X has {X.shape[1]} bands, expected {self.n_features_in_} as in fit.")
        return X * X.dtype.type(self.scale_) + self.location_.astype(X.dtype)

    def _validate(self, X, reset):
        form = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}
        return validate_complete(self, X, reset=reset, **form)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
