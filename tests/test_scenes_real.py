"""The job of a newcomer on real scenes: from files to a map in eight lines."""

import json

import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import LANDClassifier
from sklearn_geoal.preprocessing import SeriesInterpolator, SpatialWindow
from sklearn_geoal.scenes import labels_from, open_scene, predict_scene, queries_to_vector, sample_pixels

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")


@pytest.mark.parametrize(
    ("file", "labels", "column", "n_queries", "accuracy"),
    [
        ("landsat8_zion/landsat8_zion_4band.tif", "landsat8_zion/labels_nlcd8.tif", None, 50, 0.65),
        ("sentinel2_amazon/sentinel2_amazon_12band.tif", "sentinel2_amazon/labels.tif", None, 20, 0.98),
        ("ndvi_series/ndvi_68dates.tif", "ndvi_series/lulc.gpkg", "LULC_NAME", 50, 0.75),
    ],
)
def test_from_files_to_a_map(data_home, tmp_path, file, labels, column, n_queries, accuracy):
    scene, labels = open_scene(data_home / file), data_home / labels
    is_series = "series" in file
    first, missing = (SeriesInterpolator(scene.band_names), "all") if is_series else (SpatialWindow(size=3), "any")

    features = make_pipeline(first, StandardScaler()).fit(scene.to_rows() if is_series else scene.read())
    sample = sample_pixels(scene, 8000, transformer=features, missing=missing, random_state=0)
    land = LANDClassifier(random_state=0).fit(sample.X)
    y = labels_from(scene, labels, column=column, overlap="last")[sample.rows]
    queries = land.query(n_queries, candidates=[label not in (None, -1) for label in y])
    queries_to_vector(scene, sample.rows[queries], tmp_path / "queries.gpkg")
    land.teach(queries, y[queries])
    paths = predict_scene(make_pipeline(features, land), scene, tmp_path / "map.tif", missing=missing)

    with rasterio.open(data_home / file) as source, rasterio.open(paths.label) as written:
        assert (written.crs, written.transform, written.shape) == (source.crs, source.transform, source.shape)
        names, table = json.loads(written.tags()["classes"]), written.colormap(1)
        codes = written.read(1).ravel()
    truth = labels_from(scene, labels, column=column, overlap="last")
    assert set(names.values()) <= {str(label) for label in truth}
    assert len({table[int(number)] for number in names}) == len(names)
    known = np.array([label not in (None, -1) for label in truth]) & (codes > 0)
    right = [names[str(code)] == str(label) for code, label in zip(codes[known], truth[known], strict=True)]
    assert np.mean(right) > accuracy
