"""Transformer: each pixel of a scene together with its surroundings."""

from numbers import Integral

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import correlate1d
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .._validation import check_choice, unchanged_on_error
from ._scenes import scene_rows, window_names

_BLOCK_VALUES = 2**23  # about 64 MiB of float64 at a time


def _window_mean(cube, valid, size):
    """Mean over the valid pixels of each window; (height, width, bands) in and out."""
    height, width, n_bands = cube.shape
    means = np.empty_like(cube)
    counts = np.maximum(_window_sum(valid[..., None].astype(float), size), 1)
    step = max(1, _BLOCK_VALUES // (height * width))
    for start in range(0, n_bands, step):
        # float64, so that float32 bands with a large offset keep their contrast
        block = np.where(valid[..., None], cube[..., start : start + step], 0).astype(float)
        means[..., start : start + step] = _window_sum(block, size) / counts
    return means


def _window_sum(cube, size):
    """Sum over each window, nothing beyond the border."""
    # not uniform_filter: its running sum would carry the rounding error of one huge value along the whole line
    for axis in (0, 1):
        cube = correlate1d(cube, np.ones(size), axis=axis, mode="constant")
    return cube


def _window_median(cube, valid, size):
    """Median over the valid pixels of each window; (height, width, bands) in and out."""
    height, width, n_bands = cube.shape
    half = size // 2
    cube = np.where(valid[..., None], cube, np.nan)
    padded = np.pad(cube, ((half, half), (half, half), (0, 0)), constant_values=np.nan)
    windows = sliding_window_view(padded, (size, size), axis=(0, 1))  # (height, width, bands, size, size)
    medians = np.empty_like(cube)
    step = max(1, _BLOCK_VALUES // (width * n_bands * size**2))
    for start in range(0, height, step):
        values = np.sort(windows[start : start + step].reshape(-1, width, n_bands, size**2), axis=-1)  # NaN last
        counts = np.maximum((~np.isnan(values)).sum(axis=-1, keepdims=True), 1)
        lower = np.take_along_axis(values, (counts - 1) // 2, axis=-1)
        upper = np.take_along_axis(values, counts // 2, axis=-1)
        medians[start : start + step] = (lower / 2 + upper / 2)[..., 0]
    return medians


def _window_patch(cube, valid, size):
    """Window around each pixel, channel first: (height * width, bands * size * size)."""
    height, width = valid.shape
    half = size // 2
    pad = ((half, half), (half, half))
    windows = sliding_window_view(np.pad(cube, (*pad, (0, 0)), mode="reflect"), (size, size), axis=(0, 1))
    patches = np.array(windows, order="C")  # (height, width, bands, size, size)
    for row, neighbors in enumerate(sliding_window_view(np.pad(valid, pad, mode="reflect"), (size, size))):
        if not neighbors.all():
            # the pixel itself is the best guess for a neighbour that is not there
            patches[row] = np.where(neighbors[:, None], patches[row], cube[row, :, :, None, None])
    return patches.reshape(height * width, -1)


_STATISTICS = {"mean": _window_mean, "median": _window_median, "patch": _window_patch}


class SpatialWindow(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Replace each pixel of a scene by a statistic of the square window around it.

    The rows of X are the pixels of one scene in raster order, or X is the scene as an array. Neighbouring pixels mostly
    show the same material: their mean or median has the same bands with less noise, and the patch keeps the texture for
    a convolutional network.

    A pixel with NaN in any band is masked: it counts in no window, and its own row of the result is NaN. Pixels masked
    in a :class:`numpy.ma.MaskedArray` are treated alike.

    Parameters
    ----------
    scene_shape : tuple of two ints or None, default=None
        ``(height, width)`` of a scene in pixels whose pixels are the rows of X, in raster order. A scene given as an
        array (n_bands, height, width) needs none. Where neither tells the shape, the rows are single pixels without a
        grid, each a window of its own, so that the mean and the median leave them as they are.
    size : int, default=5
        Side of the window in pixels, odd.
    statistic : {"mean", "median", "patch"}, default="mean"
        What is made of a window. At the border of the scene the mean and the median take the part of the window that
        lies within. ``"patch"`` gives all pixels of the window as one flat row of ``(n_features, size, size)``, that
        is, channel first, with reflection at the border; masked neighbours take the values of the central pixel.

    Attributes
    ----------
    scene_shape_ : tuple of two ints or None
        ``(height, width)`` of the scene of ``fit``, None for pixels without a grid.
    image_shape_ : tuple of three ints or None
        ``(n_features, size, size)``, the shape of a row of the result as an image; None unless ``statistic="patch"``.
    n_features_in_ : int
        Number of bands seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the bands seen during fit, where X has them.

    Notes
    -----
    A window looks at its neighbours, so a subset of the rows of a scene cannot be transformed on its own: ``transform``
    takes whole scenes. In a pipeline, this step goes before any that selects pixels.

    The cost grows as the number of values times ``size`` for the mean, and times ``size ** 2`` for the others.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.preprocessing import SpatialWindow
    >>> X = np.arange(12.0).reshape(12, 1)
    >>> SpatialWindow(scene_shape=(3, 4), size=3).fit_transform(X).reshape(3, 4)
    array([[2.5, 3. , 4. , 4.5],
           [4.5, 5. , 6. , 6.5],
           [6.5, 7. , 8. , 8.5]])
    """

    def __init__(self, scene_shape=None, *, size=5, statistic="mean"):
        self.scene_shape = scene_shape
        self.size = size
        self.statistic = statistic

    def fit(self, X, y=None):
        """Check the parameters against a scene; nothing is learned.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_features) or ndarray of shape (n_features, height, width)
            Pixels of a scene in raster order, or the scene as an array.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : SpatialWindow
            Fitted transformer.

        Raises
        ------
        TypeError
            If ``size`` is not an integer.
        ValueError
            If a parameter is out of range or the rows do not fill the scene.
        """
        check_choice("statistic", self.statistic, _STATISTICS)
        check_scalar(self.size, "size", Integral, min_val=1)
        if self.size % 2 == 0:
            raise ValueError(f"size must be odd, so that a window has a central pixel; got {self.size}.")
        with unchanged_on_error(self):
            X, self.scene_shape_ = scene_rows(self, X, reset=True)
            self._size, self._statistic = int(self.size), self.statistic
            self.image_shape_ = (X.shape[1], self._size, self._size) if self._statistic == "patch" else None
        return self

    def transform(self, X):
        """Replace each pixel by the statistic of its window.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_features) or ndarray of shape (n_features, height, width)
            A scene; it may be another than that of ``fit``. Pixels as rows in raster order fill the grid of ``fit``, an
            array has any height and width.

        Returns
        -------
        X_new : ndarray of shape (n_pixels, n_features) or (n_pixels, n_features * size * size)
            Bands of the window, pixels in raster order, NaN where a pixel is masked.

        Raises
        ------
        ValueError
            If the rows do not fill the scene.
        """
        check_is_fitted(self)
        X, scene_shape = scene_rows(self, X, reset=False)
        valid = ~np.isnan(X).any(axis=1)
        if scene_shape is not None:
            statistic = _STATISTICS[self._statistic]
            result = statistic(X.reshape(*scene_shape, -1), valid.reshape(scene_shape), self._size).reshape(len(X), -1)
        elif self._statistic == "patch":
            result = np.repeat(X, self._size**2, axis=1)
        else:
            result = X.copy()
        result[~valid] = np.nan
        return result

    def get_feature_names_out(self, input_features=None):
        """Names of the bands, for patches as ``<band>_<row>_<column>``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the bands, by default those seen in ``fit`` or ``x0``, ``x1``, ...

        Returns
        -------
        feature_names_out : ndarray of str objects
            Names of the columns of the result.

        Raises
        ------
        ValueError
            If ``input_features`` are not those of ``fit``.
        """
        bands = super().get_feature_names_out(input_features)
        return window_names(bands, self._size) if self._statistic == "patch" else bands

    @property
    def _margin(self):
        """Pixels around a part of a scene that have a say in its windows."""
        return self._size // 2

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
