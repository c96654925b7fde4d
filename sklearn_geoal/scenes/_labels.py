"""Labels for the pixels of a scene, from rasters, polygons and points."""

import os
from numbers import Real

import numpy as np

from .._labels import is_missing
from .._validation import check_choice, check_indices
from .._warnings import warn
from ._blocks import Block
from ._extras import geopandas_or_say, rasterio_or_say
from ._scene import open_scene
from ._sources import source_of

_VECTORS = (".geojson", ".json", ".gpkg", ".shp", ".fgb", ".gml", ".kml", ".parquet")


def labels_from(source, labels, *, column=None, unlabeled=0, all_touched=False, overlap="error", rows=None):
    """Labels of the pixels of a scene, from a label raster, polygons or points.

    Parameters
    ----------
    source : path, list of paths, DataArray, Dataset, ndarray or Scene
        The scene, as :func:`open_scene` takes it.
    labels : path, DataArray, ndarray of shape (height, width) or (n_pixels,), or GeoDataFrame
        A raster of class numbers on the grid of the scene; a file of other resolution comes onto it, nearest pixel.
        Or polygons and points: GeoJSON, GeoPackage, shapefile or what else geopandas reads, in any CRS.
    column : str or None, default=None
        Which column of polygons or points names the class, as text or whole numbers. None: "class", or the only one.
        Where it is empty, a feature gives no label.
    unlabeled : int, default=0
        Value of a raster that means "no label", beside its no-data value.
    all_touched : bool, default=False
        Label every pixel that a polygon touches, not only those whose centre lies in it.
    overlap : {"error", "first", "last"}, default="error"
        What a pixel gets on which features of several classes lie.
    rows : array-like of int of shape (n,), default=None
        Numbers of the pixels whose labels to give, in that order, such as those that were asked for. None: all.

    Returns
    -------
    y : ndarray of shape (n_pixels,) or (n,)
        The label of each pixel, in raster order, or in that of ``rows``. Whole numbers where classes are such, -1 where
        there is none; else text, None where there is none. ``missing_label="auto"`` of all estimators reads both.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If grids or CRS do not go together, the column is not there or holds no classes, features of several classes
        overlap, or no pixel is labelled.
    IndexError
        If one of ``rows`` is no pixel of the scene.
    ImportError
        If the extra ``geo`` is not installed.

    Warns
    -----
    UserWarning
        If features lie outside of the scene, or so small ones lie within that they hold no centre of a pixel.

    See Also
    --------
    queries_to_vector : Writes pixels as points whose class is to be filled in.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_geoal.scenes import labels_from
    >>> labels_from(np.zeros((4, 2, 3)), np.array([[0, 7, 7], [0, 0, 9]]))
    array([-1,  7,  7, -1, -1,  9])
    """
    check_choice("overlap", overlap, ("error", "first", "last"))
    scene = open_scene(source)
    rows = slice(None) if rows is None else check_indices("rows", rows, scene.n_pixels)
    is_path = isinstance(labels, (str, os.PathLike))
    if is_path and os.fspath(labels).lower().endswith(_VECTORS):
        labels = _read(os.fspath(labels))
    if hasattr(labels, "geometry") and hasattr(labels, "crs"):
        return _from_features(scene, labels, column, all_touched, overlap, rows)
    return _from_raster(scene, labels, unlabeled)[rows]


def _read(path):
    geopandas = geopandas_or_say(f"Reading {path}")
    if not os.path.exists(path):
        raise FileNotFoundError(f"There is no file {path}.")
    if path.lower().endswith(".parquet"):
        return geopandas.read_parquet(path)
    try:
        kinds = geopandas.list_layers(path).set_index("name").geometry_type
        layers = kinds.index[kinds.notna()].tolist()  # the others are tables, such as the styles that QGIS keeps
        if len(layers) != 1:
            raise ValueError(
                f"{path} has {len(layers)} layers of features, {', '.join(layers[:10])}, expected one: give "
                "geopandas.read_file(path, layer=...)."
            )
        return geopandas.read_file(path, layer=layers[0])
    except RuntimeError as error:  # of GDAL
        raise ValueError(f"{path} is no vector file that GDAL can read: {error}") from error


def _from_raster(scene, labels, unlabeled):
    if isinstance(labels, np.ndarray) and labels.shape == (scene.n_pixels,):
        labels = labels.reshape(scene.scene_shape)
    if getattr(labels, "ndim", None) == 1:
        raise ValueError(f"The labels have shape {labels.shape}, expected one for each of {scene.n_pixels} pixels.")
    raster = source_of(labels, "nearest", scene.grid)
    if raster.shape != (1, *scene.scene_shape):
        raise ValueError(
            f"The labels have shape {raster.shape}, expected one layer of the scene's {scene.scene_shape[0]} x "
            f"{scene.scene_shape[1]} pixels."
        )
    nodata = None if raster.nodata is None else raster.nodata[0]
    dtype = np.promote_types(raster.dtype, np.int8)
    y = np.full(scene.n_pixels, -1, dtype=dtype if dtype.kind == "i" else np.int64)
    for strip in scene.strips():
        (values,), missing = raster.read([0], strip)
        known = values != unlabeled
        if nodata is not None:
            known &= values != nodata
        if missing is not None:
            known &= ~missing[0]
        if values.dtype.kind == "f":
            known &= ~np.isnan(values)
        found = values[known]
        with np.errstate(invalid="ignore"):  # of infinity, which is no class either
            numbers = found.astype(y.dtype)
        if (found == -1).any() or not np.array_equal(found, numbers):
            raise ValueError(
                "The label raster has -1 or fractions among its classes: number them from 1, or say with unlabeled "
                "which value means that there is no label."
            )
        y[strip.top * scene.scene_shape[1] : strip.bottom * scene.scene_shape[1]][known.ravel()] = numbers
    _check_some(y != -1)
    return y


def _from_features(scene, features, column, all_touched, overlap, rows):
    rasterio_or_say("Labels from polygons")
    values = _classes_of(features, column)
    features = _in_crs_of(scene, features)
    kept = [i for i, value in enumerate(values) if value is not None and features.geometry.iloc[i] is not None]
    classes = sorted({values[i] for i in kept})
    codes = np.full(scene.scene_shape, -1, dtype=np.int32)
    n_outside = n_small = 0
    for i in kept:
        geometry, code = features.geometry.iloc[i], classes.index(values[i])
        block = _block_of(scene, geometry)
        if block is None:
            n_outside += 1
            continue
        covered = _covered(scene, geometry, block, all_touched)
        n_small += not covered.any()
        there = codes[block.slices]
        clash = covered & (there >= 0) & (there != code)
        if overlap == "error" and clash.any():
            row, column = np.argwhere(clash)[0]
            raise ValueError(
                f"{np.count_nonzero(clash)} pixels lie in features of several classes, the one in row "
                f"{block.top + row}, column {block.left + column} in {classes[there[row, column]]!r} and "
                f"{values[i]!r}: mend the features, or say which counts by overlap='first' or 'last'."
            )
        there[covered & (there < 0) if overlap == "first" else covered] = code
    if n_outside:
        warn(f"{n_outside} of {len(kept)} features lie outside of the scene.")
    if n_small:
        warn(f"{n_small} of {len(kept)} features hold no centre of a pixel: all_touched=True labels what they touch.")
    _check_some(codes >= 0)
    codes = codes.ravel()[rows]  # before they become labels, which take twice as much
    if isinstance(classes[0], str):
        return np.array([*classes, None], dtype=object)[codes]
    return np.array([*classes, -1])[codes]


def _classes_of(features, column):
    """Class of each feature, text or int, None where it has none."""
    columns = [name for name in features.columns if name != features.geometry.name]
    if column is None:
        column = "class" if "class" in columns else columns[0] if len(columns) == 1 else None
        if column is None:
            raise ValueError(f"Say with column which of {', '.join(map(repr, columns))} names the class.")
    if column not in columns:
        raise ValueError(f"There is no column {column!r}; the features have {', '.join(map(repr, columns))}.")
    values = features[column].to_numpy(dtype=object)
    values = [None if gap or value == "" else value for value, gap in zip(values, is_missing(values), strict=True)]
    known = [value for value in values if value is not None]
    if not known:
        raise ValueError(f"The column {column!r} is empty: there is no class in any of {len(values)} features.")
    if all(isinstance(value, str) for value in known):
        return values
    if not all(isinstance(value, Real) and value % 1 == 0 and value != -1 for value in known):
        raise ValueError(
            f"The column {column!r} holds {known[:5]}, expected text or whole numbers, of which -1 means no label."
        )
    return [None if value is None else int(value) for value in values]


def _in_crs_of(scene, features):
    scene.placed()
    if (features.crs is None) != (scene.crs is None):
        lacking, other = ("The features have", scene.crs) if features.crs is None else ("The scene has", features.crs)
        raise ValueError(
            f"{lacking} no coordinate reference system, the other side has {other}: name it, for features by "
            "features.set_crs(...), for a raster in its file, for instance by gdal_edit.py -a_srs."
        )
    return features if scene.crs is None else features.to_crs(scene.crs.to_wkt())


def _block_of(scene, geometry):
    """The part of the scene that the bounds of a geometry lie in, None if there is none."""
    left, bottom, right, top = geometry.bounds
    a, b, c, d, e, f = (~scene.transform)[:6]
    x, y = np.array([left, left, right, right]), np.array([bottom, top, bottom, top])
    columns, rows = a * x + b * y + c, d * x + e * y + f
    if not np.isfinite([*columns, *rows]).all():
        return None
    height, width = scene.scene_shape
    block = Block(
        max(int(np.floor(rows.min())), 0),
        min(int(np.floor(rows.max())) + 1, height),
        max(int(np.floor(columns.min())), 0),
        min(int(np.floor(columns.max())) + 1, width),
    )
    return block if block.top < block.bottom and block.left < block.right else None


def _covered(scene, geometry, block, all_touched):
    """Where the pixels of a block lie in a geometry: (height, width)."""
    if geometry.geom_type in ("Point", "MultiPoint"):
        covered = np.zeros(block.shape, dtype=bool)
        points = getattr(geometry, "geoms", [geometry])
        rows = scene.coordinates_to_rows([(point.x, point.y) for point in points])
        row, column = np.divmod(rows[rows >= 0], scene.scene_shape[1])
        covered[row - block.top, column - block.left] = True
        return covered
    from rasterio.features import geometry_mask

    a, b, c, d, e, f = scene.transform[:6]
    corner = a * block.left + b * block.top + c, d * block.left + e * block.top + f
    transform = type(scene.transform)(a, b, corner[0], d, e, corner[1])
    return geometry_mask([geometry], block.shape, transform, all_touched=all_touched, invert=True)


def _check_some(known):
    if not known.any():
        raise ValueError("No pixel of the scene is labelled: the labels lie elsewhere, or are all empty.")
