"""Spatial windows and hyperbolic neighbours: agreement with slow references, invariances, masked pixels, errors."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import make_pipeline

from sklearn_geoal import metrics, preprocessing
from sklearn_geoal.metrics import hyperbolic_distances
from sklearn_geoal.preprocessing import HyperbolicNeighborsTransformer, SpatialWindow

STATISTICS = ("mean", "median", "patch")


def scene(height=7, width=9, n_bands=3, masked=0.2, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(height * width, n_bands))
    X[rng.random(len(X)) < masked, 0] = np.nan
    return X


def slow_window(X, scene_shape, size, statistic):
    """The definition, pixel by pixel: mean and median cut at the border, patches reflected."""
    height, width = scene_shape
    cube, half = X.reshape(height, width, -1), size // 2
    place = {side: np.pad(np.arange(side), half, mode="reflect") for side in scene_shape}
    rows = []
    for row, column in np.ndindex(height, width):
        center = cube[row, column]
        if statistic == "patch":
            window = cube[np.ix_(place[height][row : row + size], place[width][column : column + size])].copy()
            window[np.isnan(window).any(axis=-1)] = center
            result = np.moveaxis(window, -1, 0).ravel()
        else:
            window = cube[max(row - half, 0) : row + half + 1, max(column - half, 0) : column + half + 1]
            window = window.reshape(-1, X.shape[1])
            window = window[~np.isnan(window).any(axis=1)]
            result = getattr(np, statistic)(window, axis=0) if len(window) else center
        rows.append(np.full_like(result, np.nan) if np.isnan(center).any() else result)
    return np.array(rows)


@pytest.mark.parametrize("scene_shape", [(7, 9), (1, 63), (63, 1), (3, 21)])
@pytest.mark.parametrize("size", [1, 3, 5, 13])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_agrees_with_the_definition(statistic, size, scene_shape):
    X = scene()
    window = SpatialWindow(scene_shape, size=size, statistic=statistic)
    np.testing.assert_allclose(window.fit_transform(X), slow_window(X, scene_shape, size, statistic), atol=1e-12)


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_blocks_do_not_show(statistic, monkeypatch):
    X = scene(n_bands=5)
    window = SpatialWindow((7, 9), statistic=statistic)
    whole = window.fit_transform(X)
    monkeypatch.setattr(preprocessing, "_BLOCK_VALUES", 1)
    np.testing.assert_array_equal(window.transform(X), whole)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_commutes_with_turning_the_scene(statistic):
    X = scene()
    window = SpatialWindow((7, 9), statistic=statistic).fit(X)
    # the raster order backwards is the scene turned by 180 degrees
    turned = window.transform(X[::-1])[::-1]
    if statistic == "patch":
        turned = turned.reshape(-1, 3, 5, 5)[:, :, ::-1, ::-1].reshape(turned.shape)
    np.testing.assert_allclose(turned, window.transform(X), atol=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_commutes_with_an_affine_map_of_each_band(statistic):
    X = scene()
    scale, offset = np.array([2.0, 0.5, 4.0]), np.array([1.0, -3.0, 8.0])
    window = SpatialWindow((7, 9), statistic=statistic).fit(X)
    repeat = 25 if statistic == "patch" else 1
    expected = window.transform(X) * np.repeat(scale, repeat) + np.repeat(offset, repeat)
    np.testing.assert_allclose(window.transform(X * scale + offset), expected, atol=1e-12)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_masked_pixels_stay_out(statistic):
    X = scene()
    masked = np.isnan(X).any(axis=1)
    window = SpatialWindow((7, 9), statistic=statistic).fit(X)
    result = window.transform(X)
    assert masked.any() and np.isnan(result[masked]).all() and np.isfinite(result[~masked]).all()

    # whatever the other bands of a masked pixel hold makes no difference
    other = X.copy()
    other[masked, 1:] = 1e30
    np.testing.assert_array_equal(window.transform(other), result)
    as_masked_array = np.ma.masked_array(np.nan_to_num(X), mask=np.isnan(X))
    np.testing.assert_array_equal(window.transform(as_masked_array), result)


def test_masked_integers_become_floats():
    X = np.ma.masked_array(np.arange(12, dtype=np.int16).reshape(6, 2), mask=False)
    X[2, 1] = np.ma.masked
    result = SpatialWindow((2, 3), size=3).fit_transform(X)
    assert np.isnan(result[2]).all() and np.isfinite(np.delete(result, 2, axis=0)).all()


@pytest.mark.parametrize("statistic", STATISTICS)
def test_one_huge_value_stays_in_its_windows(statistic):
    X = scene(masked=0)
    window = SpatialWindow((7, 9), size=3, statistic=statistic).fit(X)
    spoiled = X.copy()
    spoiled[0] = 1e30  # the upper left corner
    far = np.ones((7, 9), dtype=bool)
    far[:2, :2] = False
    np.testing.assert_array_equal(window.transform(spoiled)[far.ravel()], window.transform(X)[far.ravel()])


@pytest.mark.parametrize("statistic", STATISTICS)
def test_float32_with_a_large_offset(statistic):
    X = (scene(masked=0) + 1e6).astype(np.float32)
    window = SpatialWindow((7, 9), statistic=statistic).fit(X)
    result = window.transform(X)
    assert result.dtype == np.float32
    # one unit in the last place at 1e6 is 1/16
    np.testing.assert_allclose(result, window.transform(X.astype(np.float64)), rtol=0, atol=1 / 16)


@pytest.mark.parametrize("scene_shape, size", [(None, 5), ((7, 9), 1)])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_window_of_one_pixel_is_the_pixel(statistic, scene_shape, size):
    X = scene()
    expected = np.where(np.isnan(X).any(axis=1, keepdims=True), np.nan, X)
    if statistic == "patch":
        expected = np.repeat(expected, size**2, axis=1)
    result = SpatialWindow(scene_shape, size=size, statistic=statistic).fit_transform(X)
    np.testing.assert_array_equal(result, expected)


def test_patches_are_images():
    X = scene(masked=0)
    window = SpatialWindow((7, 9), size=3, statistic="patch").fit(X)
    images = window.transform(X).reshape(-1, *window.image_shape_)
    assert window.image_shape_ == (3, 3, 3)
    np.testing.assert_array_equal(images[:, :, 1, 1], X)
    np.testing.assert_array_equal(images[10, :, 1, 2], X[11])  # one column to the right
    np.testing.assert_array_equal(images[10, :, 2, 1], X[19])  # one row down
    names = window.get_feature_names_out(["blue", "green", "red"])
    assert names[0] == "blue_0_0" and names[5] == "blue_1_2" and names[9 + 3] == "green_1_0"


@pytest.mark.parametrize("statistic", STATISTICS)
def test_takes_a_read_only_scene_and_leaves_it(statistic):
    X = scene()
    before = X.copy()
    X.flags.writeable = False
    for scene_shape in (None, (7, 9)):
        SpatialWindow(scene_shape, statistic=statistic).fit_transform(X)[:] = 0
    np.testing.assert_array_equal(X, before)


def test_a_window_before_components_keeps_more_of_the_signal():
    rng = np.random.default_rng(0)
    signal = np.repeat(rng.normal(size=(2, 4)), 200, axis=0)  # an upper and a lower half
    X = signal + rng.normal(size=signal.shape)
    kept = [
        make_pipeline(SpatialWindow(shape), PCA(1)).fit(X)[-1].explained_variance_ratio_[0]
        for shape in (None, (20, 20))
    ]
    assert kept[1] > kept[0]


def test_transforms_another_scene_after_a_change_of_shape():
    window = SpatialWindow((7, 9)).fit(scene())
    other = scene(4, 5)
    assert window.set_params(scene_shape=(4, 5)).transform(other).shape == other.shape


@pytest.mark.parametrize(
    "params, error, message",
    [
        ({"scene_shape": (7, 8)}, ValueError, r"holds 56 pixels, but X has 63 rows"),
        ({"scene_shape": 63}, ValueError, r"scene_shape must be two positive integers.*got 63"),
        ({"scene_shape": (7, 9, 1)}, ValueError, r"scene_shape must be two positive integers"),
        ({"scene_shape": (7.0, 9)}, ValueError, r"scene_shape must be two positive integers"),
        ({"scene_shape": (-7, -9)}, ValueError, r"scene_shape must be two positive integers"),
        ({"size": 4}, ValueError, "size must be odd.*got 4"),
        ({"size": 0}, ValueError, "size == 0"),
        ({"size": 2.5}, TypeError, "size must be an instance of int"),
        ({"statistic": "max"}, ValueError, "statistic must be one of 'mean', 'median', 'patch'; got 'max'"),
    ],
)
def test_bad_parameters(params, error, message):
    with pytest.raises(error, match=message):
        SpatialWindow(**params).fit(scene())


def test_bad_input():
    X = scene()
    with pytest.raises(NotFittedError):
        SpatialWindow().transform(X)
    with pytest.raises(ValueError, match="holds 63 pixels, but X has 10 rows"):
        SpatialWindow((7, 9)).fit(X).transform(X[:10])
    X[0, 0] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        SpatialWindow((7, 9)).fit(X)


# --- hyperbolic neighbours --------------------------------------------------------------------------------------------


def tangents(n=60, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def on_model(U, model, curvature):
    """The points of tangent vectors."""
    s, length = np.sqrt(curvature), np.linalg.norm(U, axis=1, keepdims=True)
    if model == "lorentz":
        return np.hstack([np.cosh(s * length), np.sinh(s * length) * U / length]) / s
    return np.tanh(s * length / 2) * U / length / s if model == "poincare" else U


@pytest.mark.parametrize("curvature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("model", ["tangent", "lorentz", "poincare"])
def test_neighbors_against_all_distances(model, curvature):
    X, new = (on_model(tangents(n, seed=n), model, curvature) for n in (60, 20))
    graph = HyperbolicNeighborsTransformer(4, model=model, curvature=curvature).fit(X).transform(new)
    D = hyperbolic_distances(new, X, model=model, curvature=curvature)
    assert graph.shape == (20, 60) and (np.diff(graph.indptr) == 5).all()
    np.testing.assert_array_equal(graph.indices.reshape(20, 5), np.argsort(D, axis=1)[:, :5])
    np.testing.assert_allclose(graph.data.reshape(20, 5), np.sort(D, axis=1)[:, :5])


@pytest.mark.parametrize("mode", ["distance", "connectivity"])
def test_graph_is_that_of_kneighbors_transformer_where_space_is_flat(mode):
    X = tangents()
    graph = HyperbolicNeighborsTransformer(curvature=1e-12, mode=mode).fit_transform(X)
    flat = KNeighborsTransformer(mode=mode).fit_transform(X)
    np.testing.assert_array_equal(graph.indices, flat.indices)
    np.testing.assert_array_equal(graph.indptr, flat.indptr)
    np.testing.assert_allclose(graph.data, flat.data, atol=1e-7)


def test_neighbors_do_not_depend_on_blocks(monkeypatch):
    X = tangents()
    graph = HyperbolicNeighborsTransformer().fit_transform(X)
    monkeypatch.setattr(metrics, "_BLOCK_VALUES", 100)
    assert abs(HyperbolicNeighborsTransformer().fit_transform(X) - graph).max() < 1e-12


def test_a_point_is_its_own_first_neighbor():
    graph = HyperbolicNeighborsTransformer(2).fit_transform(tangents())
    np.testing.assert_array_equal(graph.indices.reshape(60, 3)[:, 0], np.arange(60))
    assert (graph.data.reshape(60, 3)[:, 0] == 0).all() and graph.nnz == 180


def test_neighbors_classify():
    X, y = tangents(), np.arange(60) % 3
    X[:, 0] += 2 * y
    classifier = KNeighborsClassifier(3, metric="precomputed")
    train, test = slice(40), slice(40, None)
    predicted = make_pipeline(HyperbolicNeighborsTransformer(3), classifier).fit(X[train], y[train]).predict(X[test])
    expected = classifier.fit(hyperbolic_distances(X[train]), y[train]).predict(hyperbolic_distances(X[test], X[train]))
    np.testing.assert_array_equal(predicted, expected)


def test_neighbors_of_duplicates():
    graph = HyperbolicNeighborsTransformer(2).fit_transform(np.ones((5, 2)))
    assert graph.nnz == 15 and (graph.data == 0).all()


def test_neighbors_keep_the_type():
    X = tangents()
    graph = HyperbolicNeighborsTransformer().fit_transform(X.astype(np.float32))
    assert graph.dtype == np.float32
    np.testing.assert_allclose(graph.data, HyperbolicNeighborsTransformer().fit_transform(X).data, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "parameters, error, message",
    [
        ({"n_neighbors": 0}, ValueError, "n_neighbors == 0, must be >= 1"),
        ({"n_neighbors": 2.5}, TypeError, "n_neighbors must be an instance of"),
        ({"mode": "weights"}, ValueError, "mode must be one of 'distance', 'connectivity'; got 'weights'"),
        ({"model": "klein"}, ValueError, "model must be one of"),
        ({"model": "lorentz"}, ValueError, "off the hyperboloid"),
        ({"model": "poincare"}, ValueError, "from the center of the Poincare ball"),
        ({"curvature": -1.0}, ValueError, "curvature must be a positive number"),
    ],
)
def test_invalid_neighbors(parameters, error, message):
    with pytest.raises(error, match=message):
        HyperbolicNeighborsTransformer(**parameters).fit(2 + tangents())


def test_too_many_neighbors():
    fitted = HyperbolicNeighborsTransformer(5).fit(tangents(n=5))
    with pytest.raises(ValueError, match="n_neighbors=5 needs 6 fitted points.*n_samples_fit = 5"):
        fitted.transform(tangents())
    with pytest.raises(NotFittedError):
        HyperbolicNeighborsTransformer().transform(tangents())
