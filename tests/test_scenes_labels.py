"""Labels from rasters, polygons and points; queries as points and back."""

import warnings

import numpy as np
import pandas as pd
import pytest
from affine import Affine
from sklearn.linear_model import LogisticRegression
from test_scenes import CRS, TRANSFORM, write

from sklearn_geoal.scenes import colors_from, labels_from, open_scene, predict_scene, queries_to_vector

geopandas = pytest.importorskip("geopandas", reason="geopandas is not installed")
shapely = pytest.importorskip("shapely", reason="shapely is not installed")
pyogrio = pytest.importorskip("pyogrio", reason="pyogrio is not installed")
rasterio_features = pytest.importorskip("rasterio.features", reason="rasterio is not installed")
rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is not installed")


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "scene.tif", np.random.RandomState(0).rand(2, 30, 40))


def corner(row, column):
    return TRANSFORM @ (column, row)


def square(top, bottom, left, right):
    return shapely.Polygon([corner(top, left), corner(top, right), corner(bottom, right), corner(bottom, left)])


def features(classes, geometries, crs=CRS, **columns):
    return geopandas.GeoDataFrame({"class": classes, **columns}, geometry=geometries, crs=crs)


def test_rasters(path, tmp_path):
    labels = np.zeros((30, 40), dtype=np.uint8)
    labels[3:6, 4:9], labels[10:12], labels[20] = 1, 200, 9
    expected = np.where(labels.ravel() == 0, -1, labels.ravel().astype(int))
    np.testing.assert_array_equal(labels_from(path, labels), expected)
    file = write(tmp_path / "labels.tif", labels[None], nodata=9)
    np.testing.assert_array_equal(labels_from(path, file), np.where(expected == 9, -1, expected))
    np.testing.assert_array_equal(labels_from(path, labels, unlabeled=9) == -1, labels.ravel() == 9)
    np.testing.assert_array_equal(labels_from(path, np.ma.masked_equal(labels.astype(float), 200))[400:440], -1)
    with pytest.raises(ValueError, match="expected one layer of the scene's 30 x 40 pixels"):
        labels_from(path, labels[1:])
    for wrong in (labels - 0.5, np.full((30, 40), np.inf)):
        with pytest.raises(ValueError, match="-1 or fractions"), warnings.catch_warnings(action="error"):
            labels_from(path, wrong)
    with pytest.raises(ValueError, match="No pixel of the scene is labelled"):
        labels_from(path, np.zeros((30, 40)))
    with pytest.raises(ValueError, match="must cover the same rectangle"):
        labels_from(path, write(tmp_path / "off.tif", labels[None], transform=TRANSFORM @ TRANSFORM.translation(9, 9)))


def test_labels_of_rows_are_those_of_their_map(path):
    labels = np.arange(1200) % 5
    y = labels_from(path, labels.reshape(30, 40))
    np.testing.assert_array_equal(labels_from(path, labels), y)
    np.testing.assert_array_equal(labels_from(path, y, unlabeled=-1), y)
    np.testing.assert_array_equal(labels_from(path, np.ma.masked_equal(labels, 3)) == -1, np.isin(labels, (0, 3)))
    with pytest.raises(ValueError, match=r"shape \(1199,\), expected .* 1200 pixels"):
        labels_from(path, labels[1:])


def test_labels_of_some_rows(path):
    rows = np.array([7 * 40 + 7, 0, 1199, 7 * 40 + 7])
    for given in (
        np.arange(1200).reshape(30, 40),
        features([4, 9], [square(0, 5, 0, 5), square(5, 10, 5, 10)]),
        features(["a", "b"], [square(0, 5, 0, 5), square(5, 10, 5, 10)]),
    ):
        y = labels_from(path, given, rows=rows)
        np.testing.assert_array_equal(y, labels_from(path, given)[rows])
        assert y.dtype == labels_from(path, given).dtype
        assert len(labels_from(path, given, rows=[])) == 0
    y = labels_from(path, features(["a"], [square(0, 5, 0, 5)]), rows=[1199])  # asked for, not answered
    assert y.tolist() == [None]
    with pytest.raises(IndexError, match="rows must be indices from 0 to 1199"):
        labels_from(path, given, rows=[1200])


@pytest.mark.parametrize("crs", [CRS, "EPSG:4326", "EPSG:3857"])
def test_polygons_of_any_crs(path, crs):
    squares = [square(2, 7, 3, 11), square(20, 25, 30, 40), square(0, 1, 0, 1), square(8, 9, 0, 1)]
    given = features(["water", "forest", None, ""], squares).to_crs(crs)
    y = labels_from(path, given).reshape(30, 40)
    expected = np.full((30, 40), None, dtype=object)
    expected[2:7, 3:11], expected[20:25, 30:40] = "water", "forest"
    assert (y == expected).all()


@pytest.mark.parametrize("all_touched", [False, True])
@pytest.mark.parametrize(
    "transform", [TRANSFORM, TRANSFORM @ Affine.rotation(30), Affine(10, 0, 500_000, 0, 12.5, 4_000_000)]
)
def test_features_are_burned_in_windows_as_gdal_burns_them_together(tmp_path, transform, all_touched):
    scene = write(tmp_path / "turned.tif", np.ones((1, 30, 40)), transform=transform)
    rng = np.random.RandomState(0)
    codes = rng.randint(1, 5, size=60)
    centers = [transform @ (rng.uniform(-3, 43), rng.uniform(-3, 33)) for _ in codes]
    shapes = [shapely.Polygon(center + rng.normal(scale=40, size=(3, 2))) for center in centers]
    expected = rasterio_features.rasterize(
        zip(shapes, codes, strict=True), out_shape=(30, 40), transform=transform, all_touched=all_touched
    )
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # some lie outside
        last = labels_from(scene, features(codes, shapes), all_touched=all_touched, overlap="last")
        first = labels_from(scene, features(codes[::-1], shapes[::-1]), all_touched=all_touched, overlap="first")
    np.testing.assert_array_equal(np.where(last == -1, 0, last), expected.ravel())
    np.testing.assert_array_equal(first, last)


def test_rasters_elsewhere(path, tmp_path):
    ones = np.ones((1, 30, 40), dtype=np.uint8)
    for name, place, message in (
        ("far.tif", {"transform": TRANSFORM @ Affine.translation(500, 0)}, "must cover the same rectangle"),
        ("near.tif", {"transform": TRANSFORM @ Affine.translation(0.9, 0)}, "must cover the same rectangle"),
        ("zone.tif", {"crs": "EPSG:32634"}, "EPSG:32634.*EPSG:32633"),
    ):
        file = write(tmp_path / name, ones, **place)
        for given in (file, rioxarray.open_rasterio(file)):
            with pytest.raises(ValueError, match=message):
                labels_from(path, given)
            with pytest.raises(ValueError, match=message):  # a mask is placed alike
                open_scene(path, mask=given)
    here = rioxarray.open_rasterio(write(tmp_path / "here.tif", ones))
    without_crs = here.drop_vars("spatial_ref")
    assert (labels_from(path, here) == 1).all() and (labels_from(path, without_crs) == 1).all()


def test_touched_pixels_and_small_polygons(path):
    small = features([3], [square(4.6, 4.9, 5.6, 6.2)])
    with pytest.warns(UserWarning, match="1 of 1 features hold no centre"), pytest.raises(ValueError, match="No pixel"):
        labels_from(path, small)
    y = labels_from(path, small, all_touched=True).reshape(30, 40)
    assert y.dtype.kind == "i" and np.argwhere(y == 3).tolist() == [[4, 5], [4, 6]]


def test_overlaps(path):
    given = features([1, 2], [square(0, 10, 0, 10), square(5, 15, 5, 15)])
    with pytest.raises(ValueError, match="25 pixels lie in features of several classes, the one in row 5, column 5"):
        labels_from(path, given)
    assert labels_from(path, given, overlap="first").reshape(30, 40)[7, 7] == 1
    assert labels_from(path, given, overlap="last").reshape(30, 40)[7, 7] == 2
    same = features([1, 1], [square(0, 10, 0, 10), square(5, 15, 5, 15)])
    assert (labels_from(path, same) == 1).sum() == 175


def test_features_outside_are_counted(path):
    given = features(["a", "b"], [square(0, 5, 0, 5), square(100, 110, 0, 5)])
    with pytest.warns(UserWarning, match="1 of 2 features lie outside of the scene"):
        assert (labels_from(path, given) == "a").sum() == 25


def test_columns(path):
    given = features([1.0, np.nan], [square(0, 5, 0, 5), square(9, 12, 0, 5)], name=["x", "y"])
    assert np.unique(labels_from(path, given)).tolist() == [-1, 1]  # "class" where there is one
    assert set(labels_from(path, given, column="name")) == {"x", "y", None}
    with pytest.raises(ValueError, match="no column 'kind'; the features have 'class', 'name'"):
        labels_from(path, given, column="kind")
    with pytest.raises(ValueError, match="Say with column which of 'kind', 'name' names the class"):
        labels_from(path, given.rename(columns={"class": "kind"}))
    for wrong in (0.5, np.inf):
        with pytest.raises(ValueError, match="expected text or whole numbers"):
            labels_from(path, given.assign(**{"class": wrong}))
    with pytest.raises(ValueError, match="column 'class' is empty"):
        labels_from(path, given.assign(**{"class": None}))


@pytest.mark.parametrize(
    "classes",
    [
        pd.array(["a", None], dtype="string"),
        pd.array([3, None], dtype="Int64"),
        pd.array([3.0, None], dtype="Float64"),
        np.array([np.int64(3), None], dtype=object),
        np.array([3, pd.NA], dtype=object),
    ],
)
def test_columns_of_all_types_have_gaps(path, classes):
    y = labels_from(path, features(classes, [square(0, 5, 0, 5), square(9, 12, 0, 5)]))
    assert (y == classes[0]).sum() == 25 and y[10 * 40] in (None, -1)


def test_files_that_are_no_single_layer(path, tmp_path):
    given = features([1], [square(0, 5, 0, 5)])
    for name in ("first", "second"):
        given.to_file(tmp_path / "two.gpkg", layer=name)
    with pytest.raises(ValueError, match="has 2 layers of features, first, second"):
        labels_from(path, tmp_path / "two.gpkg")
    (tmp_path / "broken.gpkg").write_text("no database")
    with pytest.raises(ValueError, match="broken.gpkg is no vector file"):
        labels_from(path, tmp_path / "broken.gpkg")
    given.to_file(tmp_path / "styled.gpkg")
    with warnings.catch_warnings(action="ignore"):  # of a table without geometries
        pyogrio.write_dataframe(pd.DataFrame({"style": ["red"]}), tmp_path / "styled.gpkg", layer="styles")
    assert (labels_from(path, tmp_path / "styled.gpkg") == 1).sum() == 25


def test_what_does_not_go_together(path, tmp_path):
    given = features([1], [square(0, 5, 0, 5)])
    with pytest.raises(ValueError, match="The features have no coordinate reference system, .*32633"):
        labels_from(path, given.set_crs(None, allow_override=True))
    with pytest.raises(ValueError, match="The scene has no coordinate reference system"):
        labels_from(write(tmp_path / "nowhere.tif", np.zeros((1, 30, 40)), crs=None), given)
    with pytest.raises(ValueError, match="no transform"):
        labels_from(np.zeros((1, 30, 40)), given)
    with pytest.raises(FileNotFoundError, match="There is no file none.gpkg"):
        labels_from(path, "none.gpkg")


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
def test_queries_come_back_answered_in_their_own_pixels(path, tmp_path, suffix):
    scene = open_scene(path)
    rows = np.random.RandomState(0).permutation(scene.n_pixels)  # every pixel
    target = tmp_path / f"queries{suffix}"
    target.write_text("old")
    queries_to_vector(scene, rows, target, scores=np.arange(scene.n_pixels) / 7)
    points = geopandas.read_file(target)
    assert points["rank"].tolist() == list(range(1, 1201)) and points["class"].isna().all()
    assert (points["row"] * 40 + points["col"]).tolist() == rows.tolist()
    np.testing.assert_allclose(points["score"], rows / 7)
    assert points.crs.to_epsg() == (4326 if suffix == ".geojson" else 32633)
    points["class"] = [f"c{row % 5}" for row in rows]
    points.to_file(target)
    assert labels_from(path, target, column="class").tolist() == [f"c{row % 5}" for row in range(1200)]
    assert not list(tmp_path.glob(".queries*"))


def test_queries_that_cannot_be_written(path, tmp_path):
    with pytest.raises(ValueError, match="path must end in .geojson"):
        queries_to_vector(path, [1], tmp_path / "q.csv")
    with pytest.raises(IndexError):
        queries_to_vector(path, [5000], tmp_path / "q.gpkg")
    with pytest.raises(ValueError, match="inconsistent"):
        queries_to_vector(path, [1, 2], tmp_path / "q.gpkg", scores=[1.0])
    with pytest.raises(FileNotFoundError, match="There is no folder .*none to write q.gpkg to"):
        queries_to_vector(path, [1], tmp_path / "none" / "q.gpkg")
    with pytest.raises(ValueError, match="no CRS, and GeoJSON"):
        queries_to_vector(write(tmp_path / "nowhere.tif", np.zeros((1, 3, 4)), crs=None), [1], tmp_path / "q.geojson")


@pytest.mark.parametrize("suffix", [".geojson", ".gpkg", ".shp"])
def test_queries_replace_a_file_by_a_whole_one_alone(path, tmp_path, suffix, monkeypatch):
    target = tmp_path / "out" / f"queries{suffix}"
    target.parent.mkdir()
    queries_to_vector(path, [1, 2, 3], target)
    before = {file.name: file.read_bytes() for file in target.parent.iterdir()}

    def fail(points, where, **options):
        where.write_text("half a f")
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="disk full"):
        patched.setattr(geopandas.GeoDataFrame, "to_file", fail)
        queries_to_vector(path, [4], target)
    assert {file.name: file.read_bytes() for file in target.parent.iterdir()} == before
    target.with_suffix(".qix").write_text("an index of the old points")
    queries_to_vector(path, [4], target)
    assert len(geopandas.read_file(target)) == 1
    assert target.with_suffix(".qix").exists() == (suffix != ".shp")


def test_colors_of_a_map_by_name(path, tmp_path):
    X = open_scene(path).to_rows()
    model = LogisticRegression().fit(X, np.where(X[:, 0] > 0.5, "sea", "land"))
    paths = predict_scene(model, path, tmp_path / "map.tif", colors={"sea": "#0102ff", "land": "#00ff00"})
    assert colors_from(paths.label) == {"sea": "#0102ff", "land": "#00ff00"}
    assert predict_scene(model, path, tmp_path / "again.tif", colors=colors_from(paths.label))
    numbers = LogisticRegression().fit(X, np.where(X[:, 0] > 0.5, 7, 3))
    paths_of_numbers = predict_scene(numbers, path, tmp_path / "numbers.tif", colors={3: "#0102ff", 7: "#00ff00"})
    assert colors_from(paths_of_numbers.label) == {3: "#0102ff", 7: "#00ff00"}
    with pytest.raises(FileNotFoundError):
        colors_from(tmp_path / "none.tif")
    with pytest.raises(ValueError, match="no colour table"):
        colors_from(paths.confidence)


def test_polygons_of_a_real_scene_are_its_label_raster(data_home):
    folder = data_home / "ndvi_series"
    scene = open_scene(folder / "ndvi_68dates.tif")
    raster = labels_from(scene, folder / "lulc.tif")
    polygons = labels_from(scene, folder / "lulc.gpkg", column="LULC_ID", overlap="last")
    np.testing.assert_array_equal(np.where(polygons == 0, -1, polygons), raster)
    names = labels_from(scene, folder / "lulc.gpkg", column="LULC_NAME", overlap="last")
    codes = {"cultivated land": 1, "forest": 2, "grassland": 3, "schrubland": 4, "artificial surface": 8, None: -1}
    np.testing.assert_array_equal([codes[name] for name in names], raster)
