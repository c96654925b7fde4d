"""Scenes: whatever they come from reads alike, block by block as whole, with missing values, units and places."""

import pickle

import numpy as np
import pytest
from affine import Affine

from sklearn_geoal.scenes import any_bit, open_scene
from sklearn_geoal.scenes._blocks import cover, spans

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is not installed")

TRANSFORM = Affine(10.0, 0.0, 500_000.0, 0.0, -12.5, 4_000_000.0)  # pixels that are not square
CRS = "EPSG:32633"


def write(path, bands, **options):
    bands = np.asarray(bands)
    profile = {"crs": CRS, "transform": TRANSFORM, **options}
    names, scales = profile.pop("names", None), profile.pop("scaling", None)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(bands), height=bands.shape[1], width=bands.shape[2], dtype=bands.dtype,
        **profile,
    ) as file:  # fmt: skip
        file.write(bands)
        if names:
            file.descriptions = names
        if scales:
            file.scales, file.offsets = scales
    return path


@pytest.fixture
def bands():
    return np.random.RandomState(0).randint(1, 2000, size=(3, 37, 53)).astype(np.int16)


def test_file_array_dataarray_and_dask_read_alike(tmp_path, bands):
    bands[1, 4:9, 7:30] = -99
    path = write(tmp_path / "scene.tif", bands, nodata=-99, names=("a", "b", "c"))
    expected = np.where(bands == -99, np.nan, bands)
    lazy = rioxarray.open_rasterio(path, chunks={"x": 20, "y": 16})
    for source in (path, str(path), lazy, lazy.load(), np.ma.masked_equal(bands, -99)):
        scene = open_scene(source)
        assert scene.read().dtype == np.float32  # holds each int16
        np.testing.assert_array_equal(scene.read(), expected)
        assert scene.scene_shape == (37, 53)
        np.testing.assert_array_equal(scene.valid_rows(), np.flatnonzero((bands[1] != -99).ravel()))
    for source in (path, lazy):
        scene = open_scene(source)
        assert (scene.transform, scene.crs.to_epsg(), scene.band_names) == (TRANSFORM, 32633, ["a", "b", "c"])
    assert open_scene(path) is not None and open_scene(scene) is scene


def test_rows_are_pixels_in_raster_order(bands):
    scene = open_scene(bands)
    rows = scene.to_rows()
    np.testing.assert_array_equal(rows.reshape(37, 53, 3), np.moveaxis(bands, 0, -1))
    assert scene.rows_to_pixels([0, 53, 60]).tolist() == [[0, 0], [1, 0], [1, 7]]
    assert scene.to_frame().columns.tolist() == ["band_1", "band_2", "band_3"]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "int32", "float64"])
def test_no_value_is_rounded(dtype):
    largest = np.iinfo(dtype).max if dtype[0] in "iu" else 16777216.0 + (dtype == "float64")
    scene = open_scene(np.full((1, 2, 2), largest, dtype=dtype))
    assert (scene.read() == np.float64(largest)).all()


def test_gdal_s_smallest_float_is_no_data(tmp_path):
    smallest = np.finfo(np.float32).min
    bands = np.array([[[1.0, smallest], [2.0, np.nan]]], dtype=np.float32)
    path = write(tmp_path / "scene.tif", bands, nodata=-3.4028234663852886e38)
    assert open_scene(path).valid_rows().tolist() == [0, 2]


def test_no_data_as_told(tmp_path, bands):
    path = write(tmp_path / "scene.tif", bands, nodata=int(bands[0, 0, 0]))
    assert 0 not in open_scene(path).valid_rows()
    assert 0 in open_scene(path, nodata=None).valid_rows()
    by_band = open_scene(path, nodata=[None, int(bands[1, 0, 1]), None])
    assert np.isnan(by_band.read()[1, 0, 1]) and not np.isnan(by_band.read()[0]).any()
    with pytest.raises(ValueError, match="nodata has 2 values for 3 bands"):
        open_scene(path, nodata=[0, 1])


def test_scale_and_offset_come_after_no_data(tmp_path):
    bands = np.array([[[0, 100]], [[7, 300]]], dtype=np.uint16)
    path = write(tmp_path / "scene.tif", bands, nodata=0, scaling=((0.5, 2.0), (-10.0, 1.0)))
    np.testing.assert_allclose(open_scene(path).read(), [[[np.nan, 40.0]], [[15.0, 601.0]]])
    np.testing.assert_allclose(open_scene(path, scaled=False).read(), [[[np.nan, 100.0]], [[7.0, 300.0]]])
    np.testing.assert_allclose(open_scene(path, bands=[1]).read(), [[[15.0, 601.0]]])


def test_masks_of_clouds(tmp_path, bands):
    quality = np.zeros((37, 53), dtype=np.uint16)
    quality[3, 4], quality[5, 6], quality[7, 8] = 8, 2, 4
    path = write(tmp_path / "qa.tif", quality[None])
    scene_path = write(tmp_path / "scene.tif", bands)
    clouds = open_scene(scene_path, mask=path, mask_where=any_bit(1, 3))
    assert np.argwhere(np.isnan(clouds.read()[2])).tolist() == [[3, 4], [5, 6]]
    assert np.isnan(open_scene(bands, mask=quality).read()).sum() == 9
    one_band = np.stack([quality, 0 * quality, 0 * quality])
    assert np.isnan(open_scene(bands, mask=one_band).read()).sum(axis=(1, 2)).tolist() == [3, 0, 0]
    with pytest.raises(ValueError, match=r"mask has shape \(1, 36, 53\), expected \(1, 37, 53\)"):
        open_scene(bands, mask=quality[1:])
    with pytest.raises(ValueError, match="bits from 0 to 63"):
        any_bit(64)


def test_mask_of_coarser_pixels(tmp_path, bands):
    coarse = np.zeros((1, 18, 26), dtype=np.uint8)
    coarse[0, 2, 3] = 1
    bands = bands[:, :36, :52]
    mask = write(tmp_path / "mask.tif", coarse, transform=TRANSFORM @ Affine.scale(2))
    scene = open_scene(write(tmp_path / "scene.tif", bands), mask=mask)
    assert np.argwhere(np.isnan(scene.read()[0])).tolist() == [[4, 6], [4, 7], [5, 6], [5, 7]]


def test_alpha_is_a_mask_and_no_band(tmp_path, bands):
    alpha = np.full((1, 37, 53), 255)
    alpha[0, 0, 5] = 0
    path = write(
        tmp_path / "scene.tif", np.concatenate([bands, alpha]).astype(np.uint16), photometric="RGB", alpha="yes"
    )
    scene = open_scene(path)
    assert scene.n_bands == 3
    assert np.argwhere(np.isnan(scene.read()[1])).tolist() == [[0, 5]]


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_bands_of_several_resolutions_read_alike_block_by_block(tmp_path, resampling):
    rng = np.random.RandomState(0)
    fine = write(tmp_path / "B02.tif", rng.rand(1, 60, 80).astype(np.float32))
    coarse_values = rng.rand(1, 30, 40).astype(np.float32)
    coarse = write(tmp_path / "B11.tif", coarse_values, transform=TRANSFORM @ Affine.scale(2))
    scene = open_scene([coarse, fine], resampling=resampling)
    assert scene.scene_shape == (60, 80) and scene.band_names == ["B11", "B02"]
    whole, pieced = scene.read(), np.empty((2, 60, 80), dtype=np.float32)
    for block in cover(spans(60, 17), spans(80, 23)):
        pieced[:, *block.slices] = scene.read(block)
    np.testing.assert_array_equal(pieced, whole)
    if resampling == "nearest":
        np.testing.assert_array_equal(whole[0], coarse_values[0].repeat(2, axis=0).repeat(2, axis=1))


def test_bands_of_other_places_are_refused(tmp_path, bands):
    path = write(tmp_path / "a.tif", bands)
    moved = write(tmp_path / "b.tif", bands, transform=TRANSFORM @ Affine.translation(30, 0))
    with pytest.raises(ValueError, match="b.tif covers .* must cover the same rectangle"):
        open_scene([path, moved])
    with pytest.raises(ValueError, match="EPSG:32634"):
        open_scene([path, write(tmp_path / "c.tif", bands, crs="EPSG:32634")])


def test_coordinates_and_back_for_every_pixel(tmp_path, bands):
    scene = open_scene(write(tmp_path / "scene.tif", bands))
    rows = np.arange(scene.n_pixels)
    coordinates = scene.rows_to_coordinates(rows)
    np.testing.assert_array_equal(scene.coordinates_to_rows(coordinates), rows)
    with rasterio.open(tmp_path / "scene.tif") as file:
        assert tuple(coordinates[54]) == file.xy(1, 1)
    outside = [[TRANSFORM.c - 0.01, TRANSFORM.f - 1], [np.nan, 0], [1e300, 0]]
    assert scene.coordinates_to_rows(outside).tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="no transform"):
        open_scene(bands).rows_to_coordinates([0])


def test_bands_by_name_and_position(tmp_path, bands):
    path = write(tmp_path / "scene.tif", bands, names=("red", "green", "blue"))
    np.testing.assert_array_equal(open_scene(path, bands=["blue", 0]).read(), bands[[2, 0]])
    with pytest.raises(ValueError, match="bands names 'nir'; the scene has 3 bands, red, green, blue"):
        open_scene(path, bands=["nir"])
    with pytest.raises(ValueError, match="bands names 3"):
        open_scene(path, bands=[3])


def test_dataarrays_of_other_forms(bands):
    xarray = pytest.importorskip("xarray")
    plain = xarray.DataArray(bands[0], dims=("y", "x"))
    assert open_scene(plain).n_bands == 1 and open_scene(plain).transform is None
    last = xarray.DataArray(np.moveaxis(bands, 0, -1), dims=("y", "x", "time"))
    np.testing.assert_array_equal(open_scene(last).read(), bands)
    dataset = xarray.Dataset({name: plain for name in ("red", "nir")})
    assert open_scene(dataset).band_names == ["red", "nir"]
    with pytest.raises(ValueError, match="expected y, x and at most one of bands"):
        open_scene(xarray.DataArray(bands[None], dims=("time", "band", "y", "x")))
    with pytest.raises(ValueError, match="name them y and x"):
        open_scene(xarray.DataArray(bands, dims=("a", "b", "c")))


def test_what_is_no_scene(tmp_path):
    (tmp_path / "text.tif").write_text("hello")
    for source, error, message in (
        (tmp_path / "none.tif", FileNotFoundError, "There is no file .*none.tif"),
        (tmp_path / "text.tif", ValueError, "text.tif is no raster"),
        (7, TypeError, "A scene is a path, a list of paths.*got int"),
        (np.zeros(3), ValueError, r"must be \(n_bands, height, width\)"),
        (np.array([["a"]]), ValueError, "must hold numbers"),
        (np.zeros((2, 0, 3)), ValueError, r"got shape \(2, 0, 3\)"),
        ([], ValueError, "must be"),
    ):
        with pytest.raises(error, match=message):
            open_scene(source)
    with pytest.raises(ValueError, match="resampling must be one of"):
        open_scene(tmp_path / "none.tif", resampling="magic")
    with pytest.raises(ValueError, match="within 4 rows and 5 columns"):
        open_scene(np.zeros((1, 4, 5))).read((0, 5, 0, 5))


def test_a_scene_pickles(tmp_path, bands):
    scene = open_scene(write(tmp_path / "scene.tif", bands), mask=np.eye(37, 53), mask_where=any_bit(0))
    scene.read()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(scene)).read(), scene.read())
