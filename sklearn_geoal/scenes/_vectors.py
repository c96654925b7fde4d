"""Pixels as points in a vector file, to be answered in the field or in QGIS; colours of a class map."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
from sklearn.utils import check_consistent_length

from ._extras import geopandas_or_say, rasterio_or_say
from ._scene import open_scene
from ._sources import open_raster

_DRIVERS = {".geojson": "GeoJSON", ".json": "GeoJSON", ".gpkg": "GPKG", ".shp": "ESRI Shapefile"}
_INDEXES = (".qix", ".sbn", ".sbx")  # of a shapefile, and wrong for another of the same name


def queries_to_vector(source, rows, path, *, scores=None):
    """Write pixels, such as those that ``query`` names, as points with an empty column for their class.

    Parameters
    ----------
    source : path, list of paths, DataArray, Dataset or Scene
        The scene, as :func:`open_scene` takes it.
    rows : array-like of int of shape (n,)
        Numbers of the pixels, the most wanted first.
    path : path
        GeoJSON, in longitude and latitude as its standard has it, or GeoPackage or shapefile, in the CRS of the scene.
        A file that exists is replaced once the new one is complete.
    scores : array-like of shape (n,) or (n_pixels,), default=None
        What the pixels were ranked by, one for each of ``rows``, or the ``query_scores_`` of all pixels.

    Returns
    -------
    path : Path
        The file. Each point has the columns "rank" from 1, "row" and "col" in the scene, "x" and "y" in its CRS,
        "score", and "class", which is empty. Filled in, it comes back by :func:`labels_from`.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    ValueError
        If the scene has no transform, or no CRS while the file is GeoJSON, or the file is of another kind.
    IndexError
        If a row is no pixel of the scene.

    Examples
    --------
    >>> from sklearn_geoal.scenes import labels_from, queries_to_vector  # doctest: +SKIP
    >>> queries_to_vector("scene.tif", land.query(20), "queries.gpkg")  # doctest: +SKIP
    >>> y = labels_from("scene.tif", "queries.gpkg", column="class")  # the answered file # doctest: +SKIP
    """
    geopandas = geopandas_or_say("Writing points")
    scene, path = open_scene(source), Path(path)
    if path.suffix.lower() not in _DRIVERS:
        raise ValueError(f"path must end in {', '.join(_DRIVERS)}; got {path.name}.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write {path.name} to.")
    x, y = scene.rows_to_coordinates(rows).T
    row, column = scene.rows_to_pixels(rows).T
    columns = {"rank": np.arange(1, len(x) + 1), "row": row, "col": column, "x": x, "y": y}
    if scores is not None:
        scores = np.asarray(scores)
        columns["score"] = scores[np.asarray(rows)] if len(scores) == scene.n_pixels else scores
        check_consistent_length(rows, columns["score"])
    columns["class"] = np.full(len(x), None, dtype=object)
    crs = None if scene.crs is None else scene.crs.to_wkt()
    points = geopandas.GeoDataFrame(columns, geometry=geopandas.points_from_xy(x, y), crs=crs)
    points["class"] = points["class"].astype("string")
    driver = _DRIVERS[path.suffix.lower()]
    if driver == "GeoJSON" and crs is None:
        raise ValueError("The scene has no CRS, and GeoJSON takes longitude and latitude only: write a GeoPackage.")
    if driver == "GeoJSON":
        points = points.to_crs("EPSG:4326")
    # a shapefile is several files
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        points.to_file(Path(folder) / path.name, driver=driver)
        for index in _INDEXES if path.suffix.lower() == ".shp" else ():
            path.with_suffix(index).unlink(missing_ok=True)
        for file in sorted(Path(folder).iterdir()):
            os.replace(file, path.parent / file.name)
    return path


def colors_from(path):
    """Colours of the classes of a map, by name where the file has names, else by number.

    Parameters
    ----------
    path : path
        A raster with a colour table, such as :func:`predict_scene` writes.

    Returns
    -------
    colors : dict
        Class to text such as "#0072b2", as :class:`~sklearn_geoal.plot.ClassificationMapDisplay` and
        :func:`predict_scene` take it. Classes that are numbers are numbers again.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is no raster or has no colour table.
    """
    rasterio_or_say(f"Reading {path}")
    with open_raster(os.fspath(path)) as file:
        try:
            table = file.colormap(1)
        except ValueError as error:
            raise ValueError(f"{path} has no colour table.") from error
        names, nodata = json.loads(file.tags().get("classes", "{}")), file.nodata
    colors = {number: "#{:02x}{:02x}{:02x}".format(*color) for number, color in table.items() if number != nodata}
    if names:
        # a class that is named like its number is that number: JSON has text only
        names = {int(number): int(number) if name == number else name for number, name in names.items()}
        return {names[number]: color for number, color in colors.items() if number in names}
    return {number: color for number, color in colors.items() if color != "#000000"}
