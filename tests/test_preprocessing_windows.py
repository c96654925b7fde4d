"""Spatial windows: agreement with slow references, invariances, masked pixels, errors."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline

from sklearn_geoal.preprocessing import SpatialWindow, _windows

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
    monkeypatch.setattr(_windows, "_BLOCK_VALUES", 1)
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


@pytest.mark.parametrize("statistic", STATISTICS)
def test_a_scene_as_an_array_is_the_scene_as_rows(statistic):
    rows, other = scene(), scene(4, 5)
    cube, other_cube = rows.T.reshape(3, 7, 9), other.T.reshape(3, 4, 5)
    of_rows, of_array = (SpatialWindow(shape, size=3, statistic=statistic) for shape in ((7, 9), None))
    np.testing.assert_array_equal(of_array.fit_transform(cube), of_rows.fit_transform(rows))
    assert of_array.scene_shape_ == of_rows.scene_shape_ == (7, 9)
    # where the shape is known from the fit, rows need none
    np.testing.assert_array_equal(of_array.transform(rows), of_rows.transform(cube))
    # an array may have any shape
    alone = SpatialWindow((4, 5), size=3, statistic=statistic).fit_transform(other)
    np.testing.assert_array_equal(of_rows.transform(other_cube), alone)
    with pytest.raises(ValueError, match=r"X is a scene of shape \(3, 4, 5\), but scene_shape=\(7, 9\)"):
        of_rows.fit(other_cube)


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
