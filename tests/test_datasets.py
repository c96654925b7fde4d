"""Loaders: what they find, refuse and return. The generated scene and fields: their composition and
their difficulty."""

import hashlib
import os
import sys

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import normalize

from sklearn_geoal import datasets
from sklearn_geoal.datasets import _files, make_fields, make_hyperspectral_scene

needs_data = pytest.mark.skipif(
    not os.environ.get("SKLEARN_GEOAL_DATA"), reason="SKLEARN_GEOAL_DATA does not name a folder with the data"
)


# ---- the generated scene


def test_same_seed_same_scene():
    first, second, other = (make_hyperspectral_scene(random_state=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.target, second.target)
    assert not np.array_equal(first.target, other.target)


@pytest.mark.parametrize("make", [make_hyperspectral_scene, lambda: make_fields(2, 5)])
def test_without_a_seed_each_call_differs_and_the_global_generator_is_left_alone(make):
    before = np.random.get_state()  # noqa: NPY002 - the legacy global generator is what this is about
    first, second = make(), make()
    assert not np.array_equal(first.data, second.data)
    np.testing.assert_equal(np.random.get_state(), before)  # noqa: NPY002


def test_scene_without_noise_is_its_mixture():
    scene = make_hyperspectral_scene(variability=0, noise=0, random_state=0)
    np.testing.assert_allclose(scene.data, scene.abundances @ scene.endmembers, rtol=1e-6)
    assert (scene.endmembers > 0.05).all() and (scene.endmembers < 0.65).all()


def test_abundances_are_shares_and_mix_at_borders_only():
    blurred, pure = (make_hyperspectral_scene(border_width=width, random_state=0).abundances for width in (0.7, 0))
    np.testing.assert_allclose(blurred.sum(axis=1), 1)
    assert blurred.min() >= 0
    assert set(np.unique(pure)) == {0.0, 1.0}
    assert 0.05 < (blurred.max(axis=1) < 0.8).mean() < 0.4


@pytest.mark.parametrize("background", [0, 0.2, 0.9])
def test_target_names_the_largest_share_and_hides_the_background(background):
    scene = make_hyperspectral_scene(background=background, random_state=0)
    labeled = scene.target >= 0
    largest = scene.abundances.argmax(axis=1)
    np.testing.assert_array_equal(scene.target[labeled], largest[labeled])
    hidden = 1 - np.bincount(scene.target[labeled], minlength=6) / np.bincount(largest, minlength=6)
    np.testing.assert_allclose(hidden, background, atol=0.01)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_classes, scene_shape", [(1, (5, 8)), (2, (20, 20)), (12, (64, 48)), (6, (200, 3))])
def test_every_class_has_labels(n_classes, scene_shape, seed):
    scene = make_hyperspectral_scene(n_classes, scene_shape, 20, random_state=seed)
    assert set(scene.target) - {-1} == set(range(n_classes))


def test_scene_shapes_and_names():
    scene = make_hyperspectral_scene(3, (10, 12), 7, patch_scale=2, random_state=0)
    X, y = make_hyperspectral_scene(3, (10, 12), 7, patch_scale=2, return_X_y=True, random_state=0)
    np.testing.assert_array_equal(X, scene.data)
    np.testing.assert_array_equal(y, scene.target)
    assert X.shape == (120, 7) and X.dtype == np.float32 and y.dtype == np.int64
    assert scene.scene_shape == (10, 12)
    assert scene.endmembers.shape == (3, 7) and scene.abundances.shape == (120, 3)
    assert len(scene.feature_names) == len(scene.wavelengths) == 7 and len(scene.target_names) == 3


def test_scene_is_neither_trivial_nor_hopeless():
    scores = []
    for seed in range(3):
        X, y = make_hyperspectral_scene(return_X_y=True, random_state=seed)
        X, y = normalize(X[y >= 0]), y[y >= 0]
        few = np.concatenate([np.flatnonzero(y == label)[::40][:10] for label in range(6)])
        scores.append(KNeighborsClassifier(3).fit(X[few], y[few]).score(X, y))
    assert 0.75 < np.mean(scores) < 0.99


@pytest.mark.parametrize(
    "params, error, message",
    [
        ({"n_classes": 0}, ValueError, "n_classes == 0"),
        ({"n_classes": 2.5}, TypeError, "n_classes must be an instance of int"),
        ({"n_bands": 0}, ValueError, "n_bands == 0"),
        ({"scene_shape": 64}, ValueError, r"scene_shape must be two positive integers.*got 64"),
        ({"scene_shape": (0, 4)}, ValueError, "scene_shape must be two positive integers"),
        ({"background": 1}, ValueError, "background == 1"),
        ({"noise": -1}, ValueError, "noise == -1"),
        ({"patch_scale": 0}, ValueError, "patch_scale == 0"),
        ({"scene_shape": (2, 2)}, ValueError, "leaves no pixel for some of n_classes=6"),
    ],
)
def test_scene_refuses(params, error, message):
    with pytest.raises(error, match=message):
        make_hyperspectral_scene(**params, random_state=0)


# ---- generated fields


def test_same_seed_same_fields():
    first, second, other = (make_fields(4, 12, random_state=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.target, second.target)
    assert not np.array_equal(first.target, other.target)
    X, y = make_fields(4, 12, return_X_y=True, random_state=3)
    np.testing.assert_array_equal(X, first.data)
    np.testing.assert_array_equal(y, first.target)


def test_fields_shapes_and_names():
    fields = make_fields(5, 14, random_state=0)
    assert fields.data.shape == (5, 3 * 14 * 14) and fields.data.dtype == np.float32
    assert fields.target.shape == (5, 14, 14) and fields.target.dtype == np.int64
    assert fields.image_shape == (3, 14, 14) and len(fields.feature_names) == 3 * 14 * 14
    assert list(fields.target_names) == ["meadow", "wheat", "soil", "wood"]


def test_fields_have_the_color_of_their_kind_in_the_light_of_their_image():
    steady, lit = (make_fields(30, 40, light=light, random_state=0) for light in (0, 0.5))
    images = np.moveaxis(steady.data.reshape(-1, *steady.image_shape), 1, -1)
    for kind, color in enumerate([[0.35, 0.5, 0.2], [0.7, 0.6, 0.3], [0.45, 0.35, 0.25], [0.2, 0.35, 0.25]]):
        np.testing.assert_allclose(images[steady.target == kind].mean(axis=0), color, atol=0.01)
    brightness = lit.data.mean(axis=1) / steady.data.mean(axis=1)
    assert 0.4 < brightness.min() < 0.7 and 1.3 < brightness.max() < 1.7


def test_fields_are_cells_of_their_number():
    assert all(len(np.unique(mask)) == 1 for mask in make_fields(9, 8, n_fields=1, random_state=0).target)
    shares = np.bincount(make_fields(200, 8, n_fields=9, random_state=0).target.ravel()) / (200 * 64)
    np.testing.assert_allclose(shares, 0.25, atol=0.05)


@pytest.mark.parametrize(
    "params, error, message",
    [
        ({"n_images": 0}, ValueError, "n_images == 0"),
        ({"side": 8.5}, TypeError, "side must be an instance of int"),
        ({"n_fields": -1}, ValueError, "n_fields == -1"),
        ({"light": 1}, ValueError, "light == 1"),
    ],
)
def test_fields_refuse(params, error, message):
    with pytest.raises(error, match=message):
        make_fields(**params, random_state=0)


# ---- the module


def test_all_names_every_loader_and_generator():
    found = [name for name in dir(datasets) if name.startswith(("load_", "make_"))]
    assert sorted(datasets.__all__) == datasets.__all__ == found


# ---- finding and checking files


@pytest.fixture
def put(tmp_path, monkeypatch):
    """Write a file into a data folder as if it were the expected one; gives the folder."""

    def write(name, **arrays):
        folder, file = name.split("/")
        path = tmp_path / folder / file
        path.parent.mkdir(exist_ok=True)
        with open(path, "wb") as stream:
            np.savez(stream, **arrays)
        description, source, checksums = _files.SETS[folder]
        checksums = checksums | {file: hashlib.sha256(path.read_bytes()).hexdigest()}
        monkeypatch.setitem(_files.SETS, folder, (description, source, checksums))
        return tmp_path

    return write


def coil(value):
    return {"X": np.full((2, 32, 32), value, dtype=np.uint8), "y": np.array([1, 20])}


def test_no_folder_given(monkeypatch):
    monkeypatch.setenv("SKLEARN_GEOAL_DATA", "")
    with pytest.raises(FileNotFoundError, match=r"(?s)SKLEARN_GEOAL_DATA.*SalinasA_corrected.mat.*ehu.eus"):
        datasets.load_salinas_a()
    monkeypatch.delenv("SKLEARN_GEOAL_DATA")
    with pytest.raises(FileNotFoundError, match="pass data_home or set the environment variable"):
        datasets.load_salinas_a()


def test_file_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("SKLEARN_GEOAL_DATA", str(tmp_path / "from_variable"))
    with pytest.raises(FileNotFoundError, match=r"coil20.npz is not in .*from_variable.*variable SKLEARN_GEOAL_DATA"):
        datasets.load_coil20()
    with pytest.raises(FileNotFoundError, match=r"coil20.npz is not in .*from_argument.*data_home.*columbia"):
        datasets.load_coil20(data_home=tmp_path / "from_argument")


def test_argument_goes_before_variable(put, monkeypatch):
    folder = put("coil20/coil20.npz", **coil(255))
    monkeypatch.setenv("SKLEARN_GEOAL_DATA", str(folder / "nothing_here"))
    assert datasets.load_coil20(data_home=str(folder)).data.min() == 1


def test_wrong_file_is_refused_and_a_changed_one_noticed(put):
    folder = put("coil20/coil20.npz", **coil(255))
    path = folder / "coil20" / "coil20.npz"
    good = path.read_bytes()
    datasets.load_coil20(data_home=folder)
    path.write_bytes(good + b"?")
    expected = hashlib.sha256(good).hexdigest()
    got = hashlib.sha256(good + b"?").hexdigest()
    with pytest.raises(OSError, match=f"sha256 {got}, expected {expected}"):
        datasets.load_coil20(data_home=folder)


def test_checksum_is_computed_once(put, monkeypatch):
    folder = put("coil20/coil20.npz", **coil(255))
    first = datasets.load_coil20(data_home=folder)
    monkeypatch.setattr(hashlib, "file_digest", None)
    np.testing.assert_array_equal(datasets.load_coil20(data_home=folder).data, first.data)


def test_geotiff_without_rasterio_names_the_extra(put, monkeypatch):
    folder = put("landsat8_zion/landsat8_zion_4band.tif", x=np.zeros(1))
    monkeypatch.setitem(sys.modules, "rasterio", None)
    with pytest.raises(ImportError, match=r"landsat8_zion_4band.tif needs rasterio.*sklearn_geoal\[geo\]"):
        datasets.load_landsat8_zion(data_home=folder)


# ---- what the loaders return, on small stand-ins


def test_images_come_channel_first(put):
    rng = np.random.default_rng(0)
    parts = {
        f"{kind}_{part}": rng.integers(0, high, shape, dtype=np.uint8)
        for part, n in (("train", 3), ("val", 2), ("test", 4))
        for kind, high, shape in (("x", 256, (n, 4, 5, 3)), ("y", 12, (n, 4, 5)))
    }
    folder = put("camvid/camvid_90x120.npz", classes=np.array([*"abcdefghijk", "void"]), **parts)
    camvid = datasets.load_camvid(data_home=folder)
    assert camvid.image_shape == (3, 4, 5) and camvid.data.dtype == np.float32
    images = np.concatenate([parts[f"x_{part}"] for part in ("train", "val", "test")])
    np.testing.assert_allclose(camvid.data.reshape(9, 3, 4, 5)[6, 1, 2, 3], images[6, 2, 3, 1] / 255, rtol=1e-6)
    assert camvid.feature_names[camvid.data.shape[1] // 3 + 8] == "pixel_1_1_3"
    masks = np.concatenate([parts[f"y_{part}"] for part in ("train", "val", "test")])
    np.testing.assert_array_equal(camvid.target, masks)
    assert len(camvid.target_names) == camvid.ignore_label == 11
    X, y = datasets.load_camvid(subset="val", data_home=folder, return_X_y=True)
    np.testing.assert_array_equal(X, camvid.data[3:5])
    np.testing.assert_array_equal(y, camvid.target[3:5])
    with pytest.raises(ValueError, match="subset must be one of 'all', 'train', 'val', 'test'; got 'valid'"):
        datasets.load_camvid(subset="valid", data_home=folder)


def test_scene_as_frame(put):
    pytest.importorskip("pandas")
    cube = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    folder = put(
        "jasper_ridge/jasper_ridge.npz",
        cube=cube,
        gt_argmax=np.array([[1, 2, 3], [4, 4, 0]]),
        abundance=np.zeros((2, 3, 4), dtype=np.float32),
        endmembers=np.zeros((4, 4)),
    )
    scene = datasets.load_jasper_ridge(data_home=folder)
    np.testing.assert_array_equal(scene.data, cube.reshape(6, 4))
    np.testing.assert_array_equal(scene.target, [0, 1, 2, 3, 3, -1])
    X, y = datasets.load_jasper_ridge(data_home=folder, return_X_y=True, as_frame=True)
    assert list(X.columns) == ["band_001", "band_002", "band_003", "band_004"] and y.name == "target"
    np.testing.assert_array_equal(X.to_numpy(), scene.data)
    np.testing.assert_array_equal(y.to_numpy(), scene.target)
    assert (X.dtypes == np.float32).all()


# ---- the real files


@needs_data
def test_salinas_a():
    scene = datasets.load_salinas_a()
    assert scene.data.shape == (7138, 204) and scene.scene_shape == (83, 86)
    codes = dict(zip(scene.target_codes.tolist(), np.bincount(scene.target[scene.target >= 0]).tolist(), strict=True))
    assert codes == {1: 391, 10: 1343, 11: 616, 12: 1525, 13: 674, 14: 799}
    assert (scene.target == -1).sum() == 7138 - 5348


@needs_data
def test_jasper_ridge():
    scene = datasets.load_jasper_ridge()
    np.testing.assert_array_equal(scene.abundances.argmax(axis=1), scene.target)
    # the abundances lie in the same order as the rows: the mixture explains the scene
    mixture = scene.abundances @ scene.endmembers
    assert np.corrcoef(mixture.ravel(), scene.data.ravel())[0, 1] > 0.95


@needs_data
@pytest.mark.parametrize(
    "name, n_samples, image_shape, n_classes, n_train",
    [
        ("usps", 9298, (1, 16, 16), 10, 7291),
        ("mnist", 70000, (1, 28, 28), 10, 60000),
        ("coil20", 1440, (1, 32, 32), 20, None),
        ("aid", 6890, (3, 64, 64), 30, 3000),
        ("camvid", 701, (3, 90, 120), 11, 367),
    ],
)
def test_image_sets(name, n_samples, image_shape, n_classes, n_train):
    load = getattr(datasets, f"load_{name}")
    images = load() if n_train is None else load(subset="train")
    assert images.data.shape == (n_train or n_samples, np.prod(image_shape))
    assert images.image_shape == image_shape
    assert images.data.min() == 0 and images.data.max() == 1
    assert len(images.target) == len(images.data)
    assert len(images.target_names) == n_classes
    assert set(np.unique(images.target)) - {images.get("ignore_label")} == set(range(n_classes))
    if n_train is not None:
        assert len(load(subset="test", return_X_y=True)[1]) <= n_samples - n_train


@needs_data
def test_aid_hierarchy():
    aid = datasets.load_aid(subset="val")
    assert len(aid.level3) == len(aid.level2) == len(aid.target_names) == 30
    assert aid.level3_names[aid.level3[list(aid.target_names).index("River")]] == "water"


@needs_data
def test_pokerhand():
    hands = datasets.load_pokerhand()
    assert hands.data.shape == (25010, 10)
    # a pair or better needs two cards of one rank
    ranks = np.sort(hands.data[:, 1::2], axis=1)
    np.testing.assert_array_equal((np.diff(ranks, axis=1) == 0).any(axis=1), np.isin(hands.target, [1, 2, 3, 6, 7]))


@needs_data
@pytest.mark.parametrize(
    "name, scene_shape, n_bands, n_labeled",
    [("landsat8_zion", (1428, 1128), 4, 1610784), ("sentinel2_amazon", (237, 247), 12, 2370)],
)
def test_geotiff_scenes(name, scene_shape, n_bands, n_labeled):
    pytest.importorskip("rasterio", reason="rasterio is not installed")
    scene = getattr(datasets, f"load_{name}")()
    assert scene.scene_shape == scene_shape and scene.data.shape == (np.prod(scene_shape), n_bands)
    assert len(scene.feature_names) == n_bands and len(scene.transform) == 6
    assert (scene.target >= 0).sum() == n_labeled
    assert set(scene.target) - {-1} == set(range(len(scene.target_names)))
