"""What a session leaves: labels, maps and the model in files."""

import csv
import io
import json

import numpy as np
from sklearn.utils import Bunch

from .._files import replaced
from ..persistence import save
from ..scenes._extras import geopandas_or_say, rasterio_or_say
from ..scenes._layers import Layer, label_layer
from ..scenes._outputs import check_spares_source, write_geotiff


def export(session, folder):
    """Write the files of :meth:`LabelingSession.export`."""
    rasterio_or_say("Writing maps")
    estimator, classes, labels = session.estimator(), session.classes, session.labels
    folder.mkdir(parents=True, exist_ok=True)
    paths = Bunch(
        labels_csv=folder / "labels.csv",
        labels_geojson=folder / "labels.geojson",
        map=folder / "map.tif",
        uncertainty=folder / "uncertainty.tif",
        model=folder / "model.geoal",
    )
    check_spares_source(paths.values(), session.scene)
    points = _points(session.scene, labels)
    _write(paths.labels_csv, _as_csv(points))
    _write(paths.labels_geojson, _as_geojson(points, session.scene))
    names = np.array([known["name"] for known in classes])
    layer = label_layer(names)
    # numbers of the file are in the order of the names, those of the session as classes came
    numbers = np.append(layer.values[np.searchsorted(layer.classes, names)], layer.nodata).astype(layer.dtype)
    colors = {int(n): tuple(bytes.fromhex(known["color"][1:])) for n, known in zip(numbers, classes, strict=False)}
    _write_layer(paths.map, layer, numbers[session.map()], session.scene, colors)
    uncertainty = Layer("uncertainty", np.dtype(np.float32), float("nan"))
    _write_layer(paths.uncertainty, uncertainty, session.uncertainty(), session.scene, None)
    save(estimator, paths.model)
    return paths


def _points(scene, labels):
    """A dict for each label: pixel, row, column, x, y, class. Without a place on earth, y runs upwards from 0."""
    rows = np.array(sorted(labels), dtype=np.int64)
    row, column = scene.rows_to_pixels(rows).T
    placed = scene.transform is not None
    x, y = scene.rows_to_coordinates(rows).T if placed else (column + 0.5, -(row + 0.5))
    columns = zip(rows.tolist(), row.tolist(), column.tolist(), x.tolist(), y.tolist(), strict=True)
    return [
        dict(zip(("pixel", "row", "column", "x", "y"), of, strict=True), **{"class": labels[of[0]]}) for of in columns
    ]


def _as_csv(points):
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(points[0]))
    writer.writeheader()
    writer.writerows(points)
    return text.getvalue()


def _as_geojson(points, scene):
    geopandas = geopandas_or_say("Writing GeoJSON")
    x, y = ([point[name] for point in points] for name in "xy")
    crs = None if scene.crs is None else scene.crs.to_wkt()
    places = geopandas.GeoSeries(geopandas.points_from_xy(x, y), crs=crs)
    if crs is not None:
        places = places.to_crs("EPSG:4326")  # as the standard has it
    features = [
        {"type": "Feature", "properties": point, "geometry": {"type": "Point", "coordinates": [place.x, place.y]}}
        for point, place in zip(points, places, strict=True)
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def _write(path, text):
    with replaced(path, path.with_name(f".{path.name}.tmp")) as file:
        file.write(text.encode())


def _write_layer(path, layer, values, scene, colors):
    write_geotiff(path, layer, lambda block: np.ascontiguousarray(values[None, *block.slices]), scene, colors=colors)
