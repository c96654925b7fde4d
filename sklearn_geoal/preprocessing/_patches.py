"""Transformer: a scene cut into square patches, and the way back from patches to a map of the scene."""

from numbers import Integral

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils import check_array, check_scalar
from sklearn.utils.validation import check_is_fitted

from .._labels import encode_labels
from .._validation import masked_as_nan, unchanged_on_error
from ._scenes import scene_rows, window_names


def _starts(side, size, stride):
    """First pixel of each window along one side, the last window at the border."""
    return np.append(np.arange(0, side - size, stride), side - size)


def _complete(valid, rows, columns, size):
    """Which windows hold no masked pixel: (height, width) -> (n_rows, n_columns)."""
    # masked pixels above and to the left of each corner, so that every window is a difference of four of them
    masked = np.pad(np.cumsum(np.cumsum(~valid, axis=0), axis=1), ((1, 0), (1, 0)))
    top, bottom = masked[rows], masked[rows + size]
    return bottom[:, columns + size] - bottom[:, columns] - top[:, columns + size] + top[:, columns] == 0


def _extract(cube, positions, size):
    """Windows at the positions, channel first: (height, width, bands) -> (n_patches, bands * size * size)."""
    # bands first, so that a window is copied line by line and not value by value
    bands = np.ascontiguousarray(np.moveaxis(cube, -1, 0))
    windows = np.moveaxis(sliding_window_view(bands, (size, size), axis=(1, 2)), 0, 2)
    patches = np.empty((len(positions), *windows.shape[2:]), dtype=cube.dtype)
    rows, firsts = np.unique(positions[:, 0], return_index=True)  # positions are in raster order
    for row, first, last in zip(rows, firsts, [*firsts[1:], len(positions)], strict=True):
        patches[first:last] = windows[row, positions[first:last, 1]]
    return patches.reshape(len(patches), -1)


def _spread(values, positions, scene_shape, size):
    """Sum over the windows that cover each pixel: (n_patches, ...) -> (height, width, ...)."""
    rows, row = np.unique(positions[:, 0], return_inverse=True)
    columns, column = np.unique(positions[:, 1], return_inverse=True)
    sums = np.zeros((len(rows), len(columns), *values.shape[1:]), dtype=values.dtype)
    sums[row, column] = values
    sums = _spread_along_first_axis(sums, rows, scene_shape[0], size)
    return _spread_along_first_axis(sums.swapaxes(0, 1), columns, scene_shape[1], size).swapaxes(0, 1)


def _spread_along_first_axis(values, starts, side, size):
    sums = np.zeros((side, *values.shape[1:]), dtype=values.dtype)
    for offset in range(size):
        sums[starts + offset] += values  # no start occurs twice
    return sums


def majority(codes, n_classes, positions, scene_shape, size):
    """Class with most votes of the patches that cover each pixel, of several the first; -1 where there is none.

    Codes of patches, (n_patches,), -1 where one has no vote -> (height, width).
    """
    most = np.zeros(scene_shape, dtype=np.int32)
    winner = np.full(scene_shape, -1)
    for code in range(n_classes):
        votes = _spread((codes == code).astype(np.int32), positions, scene_shape, size)
        winner[votes > most] = code
        np.maximum(most, votes, out=most)
    return winner


def average(values, positions, scene_shape, size):
    """Mean over the patches that cover each pixel, NaN where there is none.

    (n_patches, ...) -> (height, width, ...)
    """
    counts = _spread(np.ones_like(values[:, :1] if values.ndim == 2 else values), positions, scene_shape, size)
    counts[counts == 0] = np.nan
    return _spread(values, positions, scene_shape, size) / counts


class PatchTransformer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Cut a scene into square patches, small images for a network, and put their labels back on the map.

    Windows of ``size`` x ``size`` pixels start every ``stride`` pixels from the upper left corner of the scene. The
    last window of each row and column is moved back to end at the border, so that with ``stride <= size`` the windows
    cover every pixel. A window with a masked pixel, that is, with NaN in any band or masked in a
    :class:`numpy.ma.MaskedArray`, gives no patch.

    The patches are flat rows, in raster order of their windows; estimators of images take them with
    ``image_shape=patches.image_shape_``. Their number is not that of the pixels: labels of pixels do not go with them.

    Parameters
    ----------
    scene_shape : tuple of two ints or None, default=None
        ``(height, width)`` of a scene in pixels whose pixels are the rows of X, in raster order. A scene given as an
        array (n_bands, height, width) needs none. Where neither tells the shape, the rows are single pixels without a
        grid, and each fills a patch of its own.
    size : int, default=8
        Side of a patch in pixels.
    stride : int or None, default=None
        Pixels from one window to the next, along rows and columns. None: ``size``, so that patches lie side by side.
        Below ``size`` they overlap, above it pixels between them are in no patch.

    Attributes
    ----------
    positions_ : ndarray of shape (n_patches, 2), dtype int64
        Row and column of the upper left pixel of each patch in the scene of ``fit``.
    scene_shape_ : tuple of two ints or None
        ``(height, width)`` of the scene of ``fit``, None for pixels without a grid.
    image_shape_ : tuple of three ints
        ``(n_bands, size, size)``, the shape of a row of the result as an image.
    n_features_in_ : int
        Number of bands seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the bands seen during fit, where X has them.

    See Also
    --------
    SpatialWindow : One row a pixel, from the window around it.
    sklearn.feature_extraction.image.PatchExtractor : Random patches of many images.

    Notes
    -----
    The result holds about ``(size / stride) ** 2`` times the values of the scene and nothing else of that size is
    needed to make it: a scene of 1428 x 1128 pixels with 4 bands gives, with ``size=8`` and ``stride=2``, 398 871
    patches of 256 values, 408 MB in float32. Integers become float64: a scene of digital numbers takes half the memory
    as ``X.astype("float32")``.

    With ``set_output(transform="pandas")``, give the scene as an array: the index of a data frame has a row a pixel,
    which patches cannot take over.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.preprocessing import PatchTransformer
    >>> scene = np.array([[[1, 1, 1, 1, 9], [1, 1, 1, 9, 9], [1, 1, 9, 9, 9], [1, 9, 9, 9, np.nan]]])
    >>> patches = PatchTransformer(size=2, stride=1)
    >>> X = patches.fit_transform(scene)
    >>> X.shape, patches.image_shape_
    ((11, 4), (1, 2, 2))
    >>> labels = (X.mean(axis=1) > 5).astype(int)
    >>> patches.label_map(labels)
    array([[ 0,  0,  0,  0,  1],
           [ 0,  0,  0,  1,  1],
           [ 0,  0,  1,  1,  1],
           [ 0,  0,  1,  1, -1]])
    """

    def __init__(self, scene_shape=None, *, size=8, stride=None):
        self.scene_shape = scene_shape
        self.size = size
        self.stride = stride

    def fit(self, X, y=None):
        """Find out where the patches of a scene lie.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands) or ndarray of shape (n_bands, height, width)
            Pixels of a scene in raster order, or the scene as an array.
        y : Ignored
            Not used, present for API consistency.

        Returns
        -------
        self : PatchTransformer
            Fitted transformer.

        Raises
        ------
        TypeError
            If ``size`` or ``stride`` is not an integer.
        ValueError
            If a parameter is out of range, the rows do not fill the scene, a patch does not fit into it or each has a
            masked pixel.
        """
        check_scalar(self.size, "size", Integral, min_val=1)
        if self.stride is not None:
            check_scalar(self.stride, "stride", Integral, min_val=1)
        with unchanged_on_error(self):
            X, self.scene_shape_ = scene_rows(self, X, reset=True)
            self.image_shape_ = (X.shape[1], int(self.size), int(self.size))
            self._stride = int(self.size if self.stride is None else self.stride)
            self.positions_ = self._positions(X, self.scene_shape_)
        return self

    def transform(self, X):
        """Cut a scene into patches.

        Parameters
        ----------
        X : array-like of shape (n_pixels, n_bands) or ndarray of shape (n_bands, height, width)
            A scene; it may be another than that of ``fit``. Pixels as rows in raster order fill the grid of ``fit``, an
            array has any height and width.

        Returns
        -------
        X_new : ndarray of shape (n_patches, n_bands * size * size)
            The patches without masked pixels, each flat, channel first, in raster order.

        Raises
        ------
        ValueError
            If the rows do not fill the scene, a patch does not fit into it or each has a masked pixel.
        """
        check_is_fitted(self, "positions_")
        X, scene_shape = scene_rows(self, X, reset=False)
        positions, size = self._positions(X, scene_shape), self.image_shape_[1]
        if scene_shape is None:
            return np.repeat(X[positions[:, 0]], size**2, axis=1)
        return _extract(X.reshape(*scene_shape, -1), positions, size)

    def label_map(self, labels, X=None, *, missing_label=-1):
        """Label each pixel as most of the patches that cover it.

        Parameters
        ----------
        labels : array-like of shape (n_patches,)
            Label of each patch, in the order of ``transform``. Those equal to ``missing_label`` have no vote.
        X : array-like of shape (n_pixels, n_bands), ndarray of shape (n_bands, height, width) or None, default=None
            The scene that the patches come from. None: that of ``fit``.
        missing_label : int, str, None or NaN, default=-1
            What pixels get that no labelled patch covers: masked ones, those that lie too close to a masked one, and
            those between patches where ``stride`` is larger than ``size``.

        Returns
        -------
        label_map : ndarray of shape (height, width)
            Label with the most votes, of several the one that sorts first. Text comes as objects.

        Raises
        ------
        ValueError
            If there is not one label a patch, or the scene has no grid.
        """
        check_is_fitted(self, "positions_")
        classes, codes = encode_labels(labels, missing_label)
        positions, scene_shape = self._place(codes, "labels", X)
        winner = majority(codes, len(classes), positions, scene_shape, self.image_shape_[1])
        marker = np.asarray(missing_label)
        numbers = classes.dtype.kind in "biuf" and marker.dtype.kind in "biuf"
        label_map = np.full(scene_shape, marker, dtype=np.result_type(classes, marker) if numbers else object)
        label_map[winner >= 0] = classes[winner[winner >= 0]]
        return label_map

    def mean_map(self, values, X=None):
        """Mean over the patches that cover each pixel, of probabilities or any other numbers.

        Parameters
        ----------
        values : array-like of shape (n_patches,) or (n_patches, n_outputs)
            Numbers of each patch, in the order of ``transform``.
        X : array-like of shape (n_pixels, n_bands), ndarray of shape (n_bands, height, width) or None, default=None
            The scene that the patches come from. None: that of ``fit``.

        Returns
        -------
        mean_map : ndarray of shape (height, width) or (height, width, n_outputs)
            Means, NaN where no patch covers a pixel.

        Raises
        ------
        ValueError
            If there is not one row of finite values a patch, or the scene has no grid.
        """
        check_is_fitted(self, "positions_")
        values = check_array(
            masked_as_nan(values), dtype=[np.float64, np.float32], ensure_2d=False, input_name="values"
        )
        positions, scene_shape = self._place(values, "values", X)
        return average(values, positions, scene_shape, self.image_shape_[1])

    def get_feature_names_out(self, input_features=None):
        """Names of the values of a patch, ``<band>_<row>_<column>``.

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
        return window_names(super().get_feature_names_out(input_features), self.image_shape_[1])

    def _windows_over(self, span, side):
        """First pixels of the windows, along a side of a scene, that touch a span (start, stop) of it; ascending."""
        size = self.image_shape_[1]
        starts = _starts(side, size, self._stride)
        return starts[(starts + size > span[0]) & (starts < span[1])]

    def _cut(self, cube, valid, rows, columns):
        """Complete windows of a part of a scene that start at these rows and columns of it, and where they start.

        (height, width, bands), (height, width) -> (n_patches, bands * size * size), (n_patches, 2).
        """
        size = self.image_shape_[1]
        row, column = np.nonzero(_complete(valid, rows, columns, size))
        positions = np.column_stack([rows[row], columns[column]])
        return _extract(cube, positions, size), positions

    def _positions(self, X, scene_shape):
        """Upper left pixels of the patches without masked pixels: (n_patches, 2)."""
        size = self.image_shape_[1]
        valid = ~np.isnan(X).any(axis=1)
        if scene_shape is None:
            positions = np.flatnonzero(valid)[:, None] * [1, 0]
        elif size > min(scene_shape):
            raise ValueError(
                f"size={size} does not fit into a scene of {scene_shape[0]} x {scene_shape[1]} pixels: give a size of "
                f"at most {min(scene_shape)}."
            )
        else:
            rows, columns = (_starts(side, size, self._stride) for side in scene_shape)
            row, column = np.nonzero(_complete(valid.reshape(scene_shape), rows, columns, size))
            positions = np.column_stack([rows[row], columns[column]])
        if not len(positions):
            raise ValueError(
                f"Every patch of size={size} has a masked pixel, {np.sum(~valid)} of {len(X)} pixels are masked: give "
                "a smaller size or stride, or fill the masked pixels."
            )
        return positions

    def _place(self, values, name, X):
        """Positions of the patches of a scene, one for each of the values, and the shape of the scene."""
        positions, scene_shape = self.positions_, self.scene_shape_
        if X is not None:
            X, scene_shape = scene_rows(self, X, reset=False)
            positions = self._positions(X, scene_shape)
        if scene_shape is None:
            raise ValueError(
                "The patches are single pixels without a grid, of which there is no map: give scene_shape=(height, "
                "width), or fit on a scene of shape (n_bands, height, width)."
            )
        if len(values) != len(positions):
            raise ValueError(
                f"{name} has {len(values)} rows, but the scene has {len(positions)} patches: give one a patch, in the "
                "order of transform, and the scene as X if it is not that of fit."
            )
        return positions, scene_shape

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
