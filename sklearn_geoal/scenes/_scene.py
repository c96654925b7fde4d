"""A scene: bands of pixels with their place on earth, from files, arrays or DataArrays, read block by block."""

from copy import copy

import numpy as np

from .._validation import check_indices
from ._blocks import cover, spans, whole
from ._sources import Grid, RasterSource, source_of

_STRIP_PIXELS = 2**20  # read at a time where the order of reading does not matter


def open_scene(source, *, bands=None, nodata="auto", mask=None, mask_where=None, resampling="bilinear", scaled=True):
    """Open a scene, of any size, without reading it.

    Parameters
    ----------
    source : path, list of paths, DataArray, Dataset, ndarray, masked array or Scene
        A path of whatever GDAL reads: GeoTIFF, COG, VRT, ENVI, a NetCDF subdataset. A list of such files, bands of one
        product, also of different resolution: all come onto the finest grid. An :class:`xarray.DataArray` or
        ``Dataset``, which stays lazy where Dask holds it. An array (n_bands, height, width) or (height, width). A
        :class:`Scene` is given back as it is.
    bands : list of int or str, or None, default=None
        Bands to take, by position from 0 or by name. None: all but an alpha band.
    nodata : "auto", None, float or list of one for each band, default="auto"
        Values that mark missing measurements, compared before scale and offset. "auto" takes those in the file, None
        takes none. NaN and masked values, those of a file's own mask or alpha band among them, are missing always.
    mask : path, array (height, width), array of one layer a band, DataArray or None, default=None
        Says where pixels are missing, beside their own values: clouds, for instance. A file of other resolution comes
        onto the grid of the scene, nearest pixel.
    mask_where : callable or None, default=None
        Takes values of the mask and says where pixels are missing, for instance :func:`any_bit`. None: where the mask
        is not 0.
    resampling : str, default="bilinear"
        How bands of several resolutions come onto one grid: a name of :class:`rasterio.enums.Resampling`.
    scaled : bool, default=True
        Apply scale and offset that the file names, so that values are in physical units.

    Returns
    -------
    scene : Scene
        The scene.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a file is no raster, grids do not go together, or a band does not exist.
    TypeError
        If ``source`` is none of the above.
    ImportError
        If the extra ``geo`` is not installed and files or DataArrays are given.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.scenes import open_scene
    >>> scene = open_scene(np.ma.masked_equal([[[1, 2, 0], [4, 5, 6]]], 0))
    >>> scene
    Scene of 1 band, 2 x 3 pixels
    >>> scene.valid_rows()
    array([0, 1, 3, 4, 5])
    """
    if isinstance(source, Scene):
        return source
    return Scene(
        source, bands=bands, nodata=nodata, mask=mask, mask_where=mask_where, resampling=resampling, scaled=scaled
    )


class any_bit:
    """Make a ``mask_where`` that says where one of some bits of a quality band is set.

    Parameters
    ----------
    *bits : int
        Bits counted from 0. Of Landsat's QA_PIXEL, 1 is dilated cloud, 2 cirrus, 3 cloud, 4 cloud shadow.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.scenes import any_bit
    >>> any_bit(1, 3)(np.array([0, 1, 2, 8, 10]))
    array([False, False,  True,  True,  True])
    """

    def __init__(self, *bits):
        if not bits or not all(isinstance(bit, int) and 0 <= bit < 64 for bit in bits):
            raise ValueError(f"any_bit takes bits from 0 to 63; got {bits}.")
        self._pattern = sum(1 << bit for bit in set(bits))

    def __call__(self, values):
        """Where one of the bits is set."""
        return np.asarray(values).astype(np.uint64) & np.uint64(self._pattern) != 0


class Scene:
    """Bands of a scene with their place on earth; made by :func:`open_scene`.

    Pixels are counted row by row from the upper left corner: the pixel in row r and column c is number
    ``r * width + c``, the row of X that it is for an estimator. A pixel is valid where no band is missing.

    Attributes
    ----------
    scene_shape : tuple of two ints
        ``(height, width)`` in pixels.
    n_bands : int
        Number of bands.
    band_names : list of str
        Names of the bands, those of the source or ``band_1``, ``band_2``, ...
    dtype : dtype
        float32 or float64, what :meth:`read` gives: no value of the source is rounded, NaN marks missing ones.
    crs : rasterio.crs.CRS or None
        Coordinate reference system.
    transform : affine.Affine or None
        Map from (column, row) to coordinates; (0, 0) is the outer corner of the upper left pixel.
    """

    def __init__(self, source, *, bands, nodata, mask, mask_where, resampling, scaled):
        self._source = source_of(source, resampling)
        names = self._source.band_names or [f"band_{i}" for i in range(1, self._source.shape[0] + 1)]
        self._bands = range(len(names)) if bands is None else _check_bands(bands, names)
        self.band_names = [names[band] for band in self._bands]
        self.scene_shape, self.n_bands = tuple(self._source.shape[1:]), len(self._bands)
        self.crs, self.transform = self._source.crs, self._source.transform
        self._nodata = self._check_nodata(nodata)
        self._scaling = self._check_scaling() if scaled else None
        dtype = np.result_type(self._source.dtype, np.float32)
        self.dtype = np.dtype(np.float64) if dtype.itemsize > 4 else np.dtype(np.float32)
        self._mask, self._mask_where = self._open_mask(mask), mask_where

    @property
    def n_pixels(self):
        """Number of pixels, missing ones among them."""
        return self.scene_shape[0] * self.scene_shape[1]

    @property
    def is_named(self):
        """Whether the names of the bands are those of the source."""
        return self._source.band_names is not None

    @property
    def lazy_array(self):
        """The bands as a lazy DataArray (band, y, x) if Dask holds them, else None; not in physical units."""
        return self._source.array[list(self._bands)] if getattr(self._source, "is_lazy", False) else None

    @property
    def files(self):
        """Names of the files that the scene and its mask are read from, as far as they are known."""
        return self._source.files + ([] if self._mask is None else self._mask.files)

    def without_values(self):
        """A copy without the values, which are given to :meth:`cleaned`: small enough to be sent."""
        twin = copy(self)
        twin._source = None
        return twin

    def read(self, block=None):
        """Values of the bands, NaN where they are missing.

        Parameters
        ----------
        block : tuple of four ints or None, default=None
            ``(top, bottom, left, right)``: the rows from ``top`` to before ``bottom`` and the columns from ``left`` to
            before ``right``. None: the whole scene.

        Returns
        -------
        values : ndarray of shape (n_bands, height, width)
            Of the dtype of the scene.
        """
        block = whole(self.scene_shape) if block is None else self._check_block(block)
        return self.cleaned(*self._source.read(self._bands, block), block)

    def cleaned(self, raw, missing, block):
        """Values of a block as the source has them, (n_bands, h, w), in physical units and NaN where missing."""
        values = raw.astype(self.dtype)
        if self._nodata is not None:
            for band, value in enumerate(self._nodata):
                if value is not None:
                    # compared as the file has it: -3.4e38 as float32 is another number than as float64
                    values[band][raw[band] == np.asarray(value).astype(raw.dtype)] = np.nan
        if self._scaling is not None:
            scale, offset = self._scaling
            values = (values * scale[:, None, None] + offset[:, None, None]).astype(self.dtype)
        if missing is not None:
            values[missing] = np.nan
        if self._mask is not None:
            values[np.broadcast_to(self._masked(block), values.shape)] = np.nan
        return values

    def to_rows(self):
        """All pixels as rows of X, (n_pixels, n_bands), NaN where a band is missing."""
        return np.moveaxis(self.read(), 0, -1).reshape(self.n_pixels, self.n_bands)

    def to_frame(self):
        """All pixels as a :class:`pandas.DataFrame`, one column a band, NaN where it is missing."""
        from pandas import DataFrame

        return DataFrame(self.to_rows(), columns=self.band_names)

    def valid_rows(self):
        """Numbers of the pixels of which no band is missing, ascending; the scene is read strip by strip."""
        found = [np.zeros(0, dtype=np.int64)]
        for block in self.strips():
            valid = ~np.isnan(self.read(block)).any(axis=0)
            found.append(np.flatnonzero(valid) + block.top * self.scene_shape[1])
        return np.concatenate(found)

    def rows_to_pixels(self, rows):
        """Row and column of pixels by their numbers: (n,) -> (n, 2)."""
        rows = check_indices("rows", rows, self.n_pixels)
        return np.stack(np.divmod(rows, self.scene_shape[1]), axis=-1)

    def rows_to_coordinates(self, rows):
        """Coordinates x, y of the centres of pixels in the CRS of the scene: (n,) -> (n, 2).

        Raises
        ------
        ValueError
            If the scene has no transform.
        """
        row, column = self.rows_to_pixels(rows).T + 0.5
        a, b, c, d, e, f = self.placed().transform[:6]
        return np.stack([a * column + b * row + c, d * column + e * row + f], axis=-1)

    def coordinates_to_rows(self, coordinates):
        """Numbers of the pixels in which coordinates x, y lie, -1 outside of the scene: (n, 2) -> (n,).

        Raises
        ------
        ValueError
            If the scene has no transform or the coordinates are not pairs.
        """
        coordinates = np.asarray(coordinates, dtype=float)
        if coordinates.ndim != 2 or coordinates.shape[1] != 2:
            raise ValueError(f"coordinates must be of shape (n, 2), x and y; got {coordinates.shape}.")
        a, b, c, d, e, f = (~self.placed().transform)[:6]
        x, y = coordinates.T
        column, row = np.floor(a * x + b * y + c), np.floor(d * x + e * y + f)
        height, width = self.scene_shape
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)  # False for NaN too
        return np.where(inside, np.nan_to_num(row) * width + np.nan_to_num(column), -1).astype(np.int64)

    def placed(self):
        """The scene itself, if it has a place on earth.

        Raises
        ------
        ValueError
            If it has no transform.
        """
        if self.transform is None:
            raise ValueError(
                "The scene has no transform, so its pixels have no coordinates: give a georeferenced file, or a "
                "DataArray with coordinates x and y."
            )
        return self

    def strips(self, n_pixels=_STRIP_PIXELS):
        """Blocks of whole lines that cover the scene, of about as many pixels each."""
        height, width = self.scene_shape
        return cover(spans(height, max(1, n_pixels // width)), [(0, width)])

    def fingerprint(self):
        """Plain values that tell this scene, as it is read, from another."""
        return [
            self._source.fingerprint(), list(self._bands), repr(self._nodata), repr(self._scaling),
            None if self._mask is None else self._mask.fingerprint(), repr(getattr(self._mask_where, "__dict__", None)),
        ]  # fmt: skip

    def _masked(self, block):
        values, missing = self._mask.read(range(self._mask.shape[0]), block)
        masked = np.asarray(values != 0 if self._mask_where is None else self._mask_where(values), dtype=bool)
        return masked if missing is None or self._mask_where is None else masked | missing

    def _open_mask(self, mask):
        if mask is None:
            return None
        source = source_of(mask, "nearest", self.grid)
        if source.shape[1:] != self.scene_shape or source.shape[0] not in (1, self.n_bands):
            raise ValueError(
                f"The mask has shape {source.shape}, expected {(1, *self.scene_shape)}, or {self.n_bands} layers, one "
                "for each band."
            )
        return source

    @property
    def grid(self):
        """The grid as that of a raster file, None if the scene has no place."""
        if isinstance(self._source, RasterSource):
            return self._source.grid
        if self.transform is None:
            return None
        height, width = self.scene_shape
        return Grid("the scene", self.crs, self.transform, width, height)

    def _check_nodata(self, nodata):
        if isinstance(nodata, str) and nodata != "auto":
            raise ValueError(f'nodata must be "auto", None, a number or a list of numbers; got {nodata!r}.')
        if nodata is None or (isinstance(nodata, str) and self._source.nodata is None):
            return None
        if isinstance(nodata, str):
            return [self._source.nodata[band] for band in self._bands]
        if np.ndim(nodata) == 0:
            return [nodata] * self.n_bands
        if len(nodata) != self.n_bands:
            raise ValueError(f"nodata has {len(nodata)} values for {self.n_bands} bands: give one, or one for each.")
        return list(nodata)

    def _check_scaling(self):
        if self._source.scaling is None:
            return None
        return np.array([self._source.scaling[band] for band in self._bands], dtype=float).T

    def _check_block(self, block):
        top, bottom, left, right = block
        height, width = self.scene_shape
        if not (0 <= top < bottom <= height and 0 <= left < right <= width):
            raise ValueError(
                f"block={tuple(block)} must be (top, bottom, left, right) within {height} rows and {width} columns."
            )
        return type(whole(self.scene_shape))(top, bottom, left, right)

    def __repr__(self):
        bands = f"{self.n_bands} band{'s' if self.n_bands > 1 else ''}"
        place = "" if self.crs is None else f", {self.crs.to_string()}"
        return f"Scene of {bands}, {self.scene_shape[0]} x {self.scene_shape[1]} pixels{place}"


def _check_bands(bands, names):
    """Positions of bands given by position or name."""
    if isinstance(bands, (str, int)) or not len(bands):
        raise ValueError(f"bands must be a list of positions or names of bands; got {bands!r}.")
    positions = []
    for band in bands:
        if isinstance(band, str) and names.count(band) == 1:
            positions.append(names.index(band))
        elif not isinstance(band, str) and -len(names) <= band < len(names) and band == int(band):
            positions.append(int(band) % len(names))
        else:
            raise ValueError(f"bands names {band!r}; the scene has {len(names)} bands, {', '.join(names[:20])}.")
    return positions
