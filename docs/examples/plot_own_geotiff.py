"""
==========================
Map your own GeoTIFF
==========================

From a file to a map: a scene with clouds, polygons that somebody has drawn, questions to answer in the field, a map
with coordinates, legend and colours, and the same model on a second date. Reading, predicting and writing work on files
of any size.

The files are made by this example: replace their paths by yours.
"""

# %%
# The files
# ---------
# A scene of four bands in EPSG:32633 with pixels of 10 m, some of them without data, another date of it, brighter and
# with other clouds, and polygons of the crops in some fields.

import tempfile
from pathlib import Path

import geopandas
import matplotlib.pyplot as plt
import numpy as np
import rasterio
import shapely
from affine import Affine

from sklearn_geoal.datasets import make_hyperspectral_scene

folder = Path(tempfile.mkdtemp())
place = {"crs": "EPSG:32633", "transform": Affine(10, 0, 465_180, 0, -10, 5_080_250)}
made = make_hyperspectral_scene(
    n_classes=4, n_bands=4, scene_shape=(96, 128), patch_scale=12, noise=0.02, random_state=3
)
crops = np.array(["wheat", "maize", "meadow", "vineyard"])


def write(name, gain, clouds):
    bands = (gain * 4000 * np.moveaxis(made.data.reshape(96, 128, 4), -1, 0)).clip(1).astype("uint16")
    bands[:, *clouds] = 0
    options = {"driver": "GTiff", "count": 4, "height": 96, "width": 128, "dtype": "uint16", "nodata": 0, **place}
    with rasterio.open(folder / name, "w", **options) as file:
        file.write(bands)
        file.descriptions = ("blue", "green", "red", "nir")


write("june.tif", 1.0, np.s_[10:30, 40:70])
write("july.tif", 1.4, np.s_[60:80, 90:120])

truth = made.target.reshape(96, 128)
centres = [(row, column) for row in range(8, 96, 16) for column in range(8, 128, 16) if truth[row, column] != -1]
fields = geopandas.GeoDataFrame(
    {"crop": [crops[truth[row, column]] for row, column in centres]},
    geometry=[shapely.Point(place["transform"] @ (column + 0.5, row + 0.5)).buffer(15) for row, column in centres],
    crs=place["crs"],
)
fields.to_file(folder / "fields.gpkg")

# %%
# Read, and make features
# -----------------------
# A scene is opened without being read. Its pixels are rows, numbered line by line; those under clouds are NaN and stay
# out of everything. Neighbours mostly show the same crop, so each pixel is seen with its window of 3 x 3 pixels.

from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import LANDClassifier
from sklearn_geoal.plot import ClassificationMapDisplay
from sklearn_geoal.preprocessing import SpatialWindow, ValidRows
from sklearn_geoal.scenes import colors_from, labels_from, open_scene, predict_scene, queries_to_vector

scene = open_scene(folder / "june.tif")
model = make_pipeline(
    SpatialWindow(scene.scene_shape, size=3), StandardScaler(), ValidRows(LANDClassifier(random_state=0))
)
land = model.fit(scene.to_rows())[-1]
print(scene)

# %%
# Ask
# ---
# The classifier names the pixels whose label tells most: here only those in the polygons may be asked for. As a
# GeoPackage they go to QGIS or to the field, with an empty column for the answer.

y = labels_from(scene, folder / "fields.gpkg", column="crop")
queries = land.query(12, candidates=[label is not None for label in y])
queries_to_vector(scene, queries, folder / "queries.gpkg")
print(geopandas.read_file(folder / "queries.gpkg").head(3))

# %%
# Answer, and map
# ---------------
# Here the polygons answer; from a file that was filled in, ``labels_from(scene, "queries.gpkg", column="class")`` does.
# The map has the place of the scene, the smallest type, names and colours, and a second file says how sure it is.

land.teach(queries, y[queries])
paths = predict_scene(
    model,
    scene,
    folder / "map.tif",
    colors={"wheat": "#e6c84b", "maize": "#4f9d4f", "meadow": "#a6d96a", "vineyard": "#7b3294"},
)
with rasterio.open(paths.label) as file:
    codes, names = file.read(1), {1: "maize", 2: "meadow", 3: "vineyard", 4: "wheat"}
    print(file.crs, file.dtypes, file.tags()["classes"])
labels = np.array([None, *names.values()], dtype=object)[codes]
display = ClassificationMapDisplay.from_predictions(
    labels.ravel(),
    scene_shape=scene.scene_shape,
    y_true=np.where(made.target == -1, None, crops[made.target]),
    scene=scene.to_rows(),
    bands=(3, 2, 1),
    queries=queries,
    colors=colors_from(paths.label),
)
display.figure_.suptitle("June")

# %%
# A second date
# -------------
# The model learned the brightness of June, and July is brighter by two fifths. If the bands lay still farther apart, a
# warning would name them. A scaler that is fitted to July takes the difference away, since both dates show the same
# fields.

second = open_scene(folder / "july.tif")
window, scaler, learner = (step for _, step in model.steps)
in_july = StandardScaler().fit(window.transform(second.to_rows()))
known = made.target != -1
for title, steps in (("as it is", model), ("with a scaler of its own", make_pipeline(window, in_july, learner))):
    paths = predict_scene(steps, second, folder / "map_july.tif", outputs="label")
    with rasterio.open(paths.label) as file:
        codes = file.read(1).ravel()
    labels = np.array([None, *names.values()], dtype=object)[codes]
    right = (labels == crops[made.target])[known & (codes > 0)]
    print(f"July {title}: {right.mean():.3f} of the pixels are right")

plt.show()
