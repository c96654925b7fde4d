"""Where a scene comes from: raster files, arrays in memory, DataArrays; each reads blocks of its bands."""

import hashlib
import os
import threading
from typing import NamedTuple

import numpy as np

from ._extras import rasterio_or_say, rioxarray_or_say

_ALPHA = "alpha"


class ArraySource:
    """Bands in memory, (n_bands, height, width); masked values of a masked array are missing."""

    def __init__(self, array):
        if array.ndim == 2:
            array = array[None]
        if array.ndim != 3 or 0 in array.shape:
            raise ValueError(
                f"An array as a scene must be (n_bands, height, width) or (height, width); got shape {array.shape}. "
                "Rows of pixels need no scene: estimators take them as they are."
            )
        if array.dtype.kind not in "biuf":
            raise ValueError(f"A scene must hold numbers; got an array of {array.dtype}.")
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.band_names, self.crs, self.transform, self.nodata, self.scaling = None, None, None, None, None
        self.files = []

    def read(self, bands, block):
        """Values (n_bands, h, w) of some bands of a block, and where they are missing or None."""
        values = self._array[(np.asarray(bands), *block.slices)]
        return np.ma.getdata(values), np.ma.getmaskarray(values) if np.ma.isMaskedArray(values) else None

    def fingerprint(self):
        """What tells this source from another: a hash of its values."""
        hashed = hashlib.blake2b(digest_size=16)
        for band in self._array:
            hashed.update(np.ascontiguousarray(np.ma.getdata(band)))
            hashed.update(np.ascontiguousarray(np.ma.getmaskarray(band)))
        return hashed.hexdigest()


class DataArraySource:
    """An xarray.DataArray with the dimensions y and x and at most one other, which stays lazy where Dask holds it."""

    def __init__(self, array):
        rioxarray_or_say("A DataArray as a scene")
        self.files = _files_of(array)
        if hasattr(array, "data_vars"):
            array = array.to_array("band")
        try:
            y, x = array.rio.y_dim, array.rio.x_dim
        except Exception as error:
            raise ValueError(
                f"The DataArray has the dimensions {array.dims}, of which none are known as rows and columns: name "
                "them y and x, or array.rio.set_spatial_dims(x_dim=..., y_dim=...)."
            ) from error
        others = [dim for dim in array.dims if dim not in (y, x)]
        if len(others) > 1:
            raise ValueError(
                f"The DataArray has the dimensions {array.dims}, expected {y}, {x} and at most one of bands: "
                f"array.stack(band={others}) makes one of {len(others)}."
            )
        band = others[0] if others else "band"
        array = (array if others else array.expand_dims("band")).transpose(band, y, x)
        self.array = array
        self.shape, self.dtype = array.shape, array.dtype
        self.band_names = self._names(array, band)
        self.crs, self.transform = array.rio.crs, self._transform(array)
        self.nodata = None if array.rio.nodata is None else [array.rio.nodata] * len(array)
        tags = {**array.attrs}
        scale, offset = tags.get("scale_factor", 1.0), tags.get("add_offset", 0.0)
        self.scaling = None if (scale, offset) == (1.0, 0.0) else [(scale, offset)] * len(array)

    @property
    def is_lazy(self):
        """Whether Dask holds the values."""
        return self.array.chunks is not None

    @staticmethod
    def _names(array, band):
        names = array.attrs.get("long_name")
        if isinstance(names, (tuple, list)) and len(names) == len(array):
            return [str(name) for name in names]
        if band in array.coords and array.coords[band].dtype.kind not in "iu":
            return [str(name) for name in array.coords[band].values]
        return None

    @staticmethod
    def _transform(array):
        known = array.rio.x_dim in array.coords and array.rio.y_dim in array.coords
        has_transform = "GeoTransform" in getattr(array.coords.get("spatial_ref"), "attrs", {})
        return array.rio.transform() if known or has_transform else None

    def read(self, bands, block):
        """Values (n_bands, h, w) of some bands of a block, and where they are missing or None."""
        rows, columns = block.slices
        return self.array[list(bands), rows, columns].values, None

    def fingerprint(self):
        """What tells this source from another: Dask's own name of the computation, or a hash of the values."""
        return self.array.data.name if self.is_lazy else ArraySource(self.array.values).fingerprint()


class RasterSource:
    """Bands of one or several files of whatever GDAL reads, brought onto the finest of their grids, or onto another."""

    def __init__(self, paths, resampling, grid=None):
        rasterio = rasterio_or_say(f"Reading {paths[0]}")
        if resampling not in rasterio.enums.Resampling.__members__:
            raise ValueError(
                f"resampling must be one of {', '.join(map(repr, rasterio.enums.Resampling.__members__))}; "
                f"got {resampling!r}."
            )
        self.paths, self._resampling = paths, resampling
        self._opened = threading.local()
        files = [open_raster(path) for path in paths]
        finest = min(files, key=lambda file: abs(file.transform.determinant))
        self.grid = (
            Grid(finest.name, finest.crs, finest.transform, finest.width, finest.height) if grid is None else grid
        )
        for path, file in zip(paths, files, strict=True):
            _check_same_place(path, file, self.grid)
        self.crs, self.transform = self.grid.crs, self.grid.transform
        if _has_no_place(self.grid):
            self.transform = None  # what GDAL says of a picture without a place
        # (file, band) of each band of the scene
        self._bands = [
            (i, band)
            for i, file in enumerate(files)
            for band, meaning in enumerate(file.colorinterp, start=1)
            if meaning.name != _ALPHA
        ]
        if not self._bands:
            raise ValueError(f"{paths[0]} has no band: give one of its subdatasets, {finest.subdatasets[:5]}.")
        self.shape = (len(self._bands), self.grid.height, self.grid.width)
        self.dtype = np.result_type(*(files[i].dtypes[band - 1] for i, band in self._bands))
        self.band_names = self._names(files)
        self.nodata = [files[i].nodatavals[band - 1] for i, band in self._bands]
        self.scaling = [(files[i].scales[band - 1], files[i].offsets[band - 1]) for i, band in self._bands]
        if all(pair == (1.0, 0.0) for pair in self.scaling):
            self.scaling = None
        self._has_mask = [
            any(flag.name in ("per_dataset", _ALPHA) for flags in file.mask_flag_enums for flag in flags)
            for file in files
        ]
        self.files = [name for file in files for name in file.files]  # those that a VRT is made of among them
        for file in files:
            file.close()

    def read(self, bands, block):
        """Values (n_bands, h, w) of some bands of a block, and where they are missing or None."""
        from rasterio.windows import Window

        window = Window(block.left, block.top, block.shape[1], block.shape[0])
        values = np.empty((len(bands), *block.shape), dtype=self.dtype)
        missing = None
        for i, file in enumerate(self._files()):
            places = [place for place, band in enumerate(bands) if self._bands[band][0] == i]
            if not places:
                continue
            values[places] = file.read([self._bands[bands[place]][1] for place in places], window=window)
            if self._has_mask[i]:
                missing = np.zeros(values.shape, dtype=bool) if missing is None else missing
                missing[places] |= file.dataset_mask(window=window) == 0
        return values, missing

    def fingerprint(self):
        """What tells this source from another: names, sizes and times of the files."""
        return [[os.path.abspath(path), *_size_and_time(path)] for path in self.paths]

    def _names(self, files):
        described = [files[i].descriptions[band - 1] for i, band in self._bands]
        if all(described) and len(set(described)) == len(described):
            return described
        if len(files) > 1 and len(files) == len(self._bands):
            stems = [os.path.splitext(os.path.basename(path))[0] for path in self.paths]
            return stems if len(set(stems)) == len(stems) else None
        return described if all(described) else None

    def _files(self):
        """The files as seen on the grid, opened once a thread: GDAL's handles are not for several."""
        if not hasattr(self._opened, "files"):
            self._opened.files = [self._on_grid(open_raster(path)) for path in self.paths]
        return self._opened.files

    def _on_grid(self, file):
        from rasterio.enums import Resampling
        from rasterio.vrt import WarpedVRT

        if (file.width, file.height) == (self.grid.width, self.grid.height):
            return file
        # next to no tolerance: an approximated grid would depend on the window that is read
        grid = {name: value for name, value in self.grid._asdict().items() if name != "name"}
        return WarpedVRT(file, resampling=Resampling[self._resampling], tolerance=1e-9, **grid)

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "_opened"}

    def __setstate__(self, state):
        vars(self).update(state, _opened=threading.local())


def _files_of(array):
    """Files that a DataArray or Dataset was opened from, as far as xarray has kept their names."""
    parts = [array, *getattr(array, "data_vars", {}).values()]
    names = [part.encoding.get("source") for part in parts]
    return [name for name in names if isinstance(name, str)]


def open_raster(path):
    """A file, opened by rasterio, or an error that says why there is none."""
    import rasterio

    try:
        return rasterio.open(path)
    except rasterio.errors.RasterioIOError as error:
        if not os.path.exists(path) and ":" not in path:
            raise FileNotFoundError(f"There is no file {path}.") from error
        raise ValueError(f"{path} is no raster that GDAL can read: {error}") from error


class Grid(NamedTuple):
    """The pixels of a raster: which file they are of, where they lie, how many there are."""

    name: str
    crs: object
    transform: object
    width: int
    height: int

    @property
    def bounds(self):
        """Left, bottom, right, top."""
        a, b, left, d, e, top = self.transform[:6]
        right, bottom = a * self.width + b * self.height + left, d * self.width + e * self.height + top
        return left, bottom, right, top


def _has_no_place(file):
    return file.crs is None and file.transform.is_identity


def _check_same_place(path, file, grid):
    """Check that a file covers the rectangle of the grid, in the same CRS.

    Coarser or finer pixels may be off by the width of one. As many pixels are read as they are, and may be off by half.
    """
    if _has_no_place(file):
        if (file.width, file.height) != (grid.width, grid.height):
            raise ValueError(
                f"{path} has {file.height} x {file.width} pixels and no place on earth, {grid.name} has {grid.height} "
                f"x {grid.width}: give rasters of the same shape, or georeferenced ones."
            )
        return
    if file.crs != grid.crs:
        raise ValueError(
            f"{path} is in {file.crs}, {grid.name} in {grid.crs}: bring them into one CRS first, for instance by "
            "gdalwarp."
        )
    bounds = Grid(path, file.crs, file.transform, file.width, file.height).bounds
    slack = max(map(abs, file.transform[:2] + file.transform[3:5]))
    if (file.width, file.height) == (grid.width, grid.height):
        slack /= 2
    if max(abs(a - b) for a, b in zip(bounds, grid.bounds, strict=True)) > slack:
        raise ValueError(
            f"{path} covers {bounds}, {grid.name} {grid.bounds} (left, bottom, right, top): rasters of one scene must "
            "cover the same rectangle. Cut them to it first, for instance by gdalwarp -te."
        )


def _size_and_time(path):
    try:
        stat = os.stat(path)
    except OSError:  # an address that GDAL knows
        return None, None
    return stat.st_size, stat.st_mtime_ns


def source_of(given, resampling="bilinear", grid=None):
    """The source behind whatever a user gives as a scene; files are brought onto the ``grid`` if one is given.

    What has a place must cover that of the grid; arrays have none.
    """
    if isinstance(given, (str, os.PathLike)):
        given = [given]
    if isinstance(given, (list, tuple)) and given and all(isinstance(path, (str, os.PathLike)) for path in given):
        return RasterSource([os.fspath(path) for path in given], resampling, grid)
    if hasattr(given, "dims") and hasattr(given, "coords"):
        source = DataArraySource(given)
        if grid is not None and source.transform is not None:
            name, (_, height, width) = f"the {type(given).__name__}", source.shape
            # one that has lost its CRS on the way is taken to be in that of the grid
            there = Grid(name, source.crs or grid.crs, source.transform, width, height)
            _check_same_place(name, there, grid)
        return source
    if isinstance(given, (np.ndarray, list, tuple)):
        return ArraySource(given if isinstance(given, np.ndarray) else np.asarray(given))
    raise TypeError(
        "A scene is a path, a list of paths, an xarray.DataArray or Dataset, or an array (n_bands, height, width); got "
        f"{type(given).__name__}."
    )
