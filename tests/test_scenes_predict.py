"""predict_scene: the same map whatever the blocks, whole files or none, and what a killed run leaves."""

import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from test_scenes import CRS, TRANSFORM, write

import sklearn_geoal
from sklearn_geoal import LANDClassifier, MixMatchSegmenter, NetClassifier, SymmetricVAEClassifier, VAETransformer
from sklearn_geoal.preprocessing import PatchTransformer, SpatialWindow, ValidRows
from sklearn_geoal.scenes import open_scene, predict_scene
from sklearn_geoal.scenes._blocks import Block
from sklearn_geoal.scenes._layers import label_layer
from sklearn_geoal.scenes._outputs import Scratch

rasterio = pytest.importorskip("rasterio", reason="rasterio is not installed")
rioxarray = pytest.importorskip("rioxarray", reason="rioxarray is not installed")

SHAPE = (67, 91)


def make_scene(seed=0):
    """Fields of three materials in four bands, (4, 67, 91) of int16 with a hole of -1, and the materials."""
    rng = np.random.RandomState(seed)
    truth = rng.randint(3, size=(7, 10)).repeat(10, axis=0).repeat(10, axis=1)[: SHAPE[0], : SHAPE[1]]
    spectra = np.array([[300, 900, 200, 500], [800, 300, 700, 400], [500, 500, 900, 900]])
    bands = np.moveaxis(spectra[truth] + 90 * rng.randn(*SHAPE, 4), -1, 0).clip(0, 2000).astype(np.int16)
    bands[:, 20:27, 30:55] = -1
    return bands, truth


BANDS, TRUTH = make_scene()
SCENE = open_scene(np.ma.masked_equal(BANDS, -1))
X, Y = SCENE.to_rows(), TRUTH.ravel()
TAUGHT = np.random.RandomState(0).choice(SCENE.valid_rows(), 300, replace=False)
NAMES = np.array(["water", "forest", "fields"])


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "scene.tif", BANDS, nodata=-1, names=("blue", "green", "red", "nir"))


def windowed(last, size=5, statistic="mean"):
    """A pipeline whose last step is fitted to windows of the taught pixels."""
    window = SpatialWindow(SHAPE, size=size, statistic=statistic)
    scaler = StandardScaler()
    Z = scaler.fit_transform(window.fit_transform(X))
    return make_pipeline(window, scaler, last.fit(Z[TAUGHT], NAMES[Y[TAUGHT]]))


def segmenter():
    images = np.where(BANDS < 0, 500, BANDS)[None, :, :64, :64].astype(np.float32)
    images = np.concatenate([images[..., :32, :32], images[..., 32:, :32], images[..., :32, 32:]])
    masks = np.stack([TRUTH[:32, :32], TRUTH[32:64, :32], TRUTH[:32, 32:64]])
    return MixMatchSegmenter(max_epochs=1, hidden_units=(4, 8), tile_size=48, random_state=0).fit(images, masks)


CASES = {
    "window and linear": (
        lambda: windowed(LogisticRegression(), statistic="median"), ["label", "confidence", "probabilities"],
    ),
    "window and LAND": (lambda: windowed(LANDClassifier(random_state=0)), ["label", "confidence"]),
    "patch and network": (
        lambda: windowed(NetClassifier(max_epochs=2, random_state=0), 3, "patch"), ["label", "confidence"],
    ),
    "two windows": (lambda: make_pipeline(SpatialWindow(size=3), SpatialWindow(size=7)).fit(SCENE.read()), "features"),
    "clusters": (lambda: KMeans(4, n_init=1, random_state=0).fit(X[TAUGHT]), ["label", "features"]),
    "density": (lambda: GaussianMixture(3, random_state=0).fit(X[TAUGHT]), ["label", "score_samples"]),
    "latents": (
        lambda: make_pipeline(StandardScaler(), VAETransformer(max_epochs=1, random_state=0)).fit(X[TAUGHT]), None,
    ),
    "patches": (
        lambda: make_pipeline(
            StandardScaler(), PatchTransformer(size=8, stride=3), KMeans(3, n_init=1, random_state=0)
        ).set_params(patchtransformer__scene_shape=SHAPE).fit(X), ["label", "features"],
    ),
    "segmenter": (segmenter, ["label", "confidence", "probabilities"]),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_no_block_shows_in_the_map(case):
    make, outputs = CASES[case]
    estimator = make()
    whole = predict_scene(estimator, SCENE, outputs=outputs, block_size=1000)
    for options in ({"block_size": 16}, {"block_size": 25}, {"block_size": 64}, {"block_size": 25, "n_jobs": 2}):
        other = predict_scene(estimator, SCENE, outputs=outputs, **options)
        for name in whole:
            np.testing.assert_array_equal(other[name].values, whole[name].values, err_msg=f"{name} by {options}")


@pytest.mark.parametrize("case", ["window and linear", "clusters", "density", "latents"])
def test_the_map_is_what_the_estimator_says_of_all_rows(case):
    make, outputs = CASES[case]
    estimator = make()
    maps = predict_scene(estimator, SCENE, outputs=outputs, block_size=30)
    windows = estimator[0] if case.startswith("window") else None
    Z = X if windows is None else windows.transform(X)
    rest, valid = estimator if windows is None else estimator[1:], ~np.isnan(X).any(axis=1)
    for name, values in maps.items():
        verb = {"label": "predict", "features": "transform", "score_samples": "score_samples"}.get(name)
        if verb is None:
            continue
        expected = getattr(rest, verb)(Z[valid])
        if expected.dtype.kind in "UO":
            expected = np.searchsorted(rest.classes_, expected) + 1
        got = np.moveaxis(values.values.reshape(-1, X.shape[0]), 0, -1).squeeze()[valid]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


def test_a_segmenter_s_map_is_that_of_the_whole_image():
    net = segmenter()
    image = np.where(np.isnan(SCENE.read()), net.location_[:, None, None], SCENE.read()).astype(np.float32)
    label = predict_scene(net, SCENE, outputs="label", block_size=20).label.values
    valid = ~np.isnan(SCENE.read()).any(axis=0)
    np.testing.assert_array_equal(label[valid], net.predict(image[None])[0][valid])
    assert (label[~valid] == predict_scene(net, SCENE, outputs="label").label.rio.nodata).all()


def test_patches_vote_as_label_map_has_them():
    estimator = CASES["patches"][0]()
    maps = predict_scene(estimator, SCENE, outputs="label", block_size=30).label.values
    scaled = estimator[0].transform(X)
    labels = estimator[2].predict(estimator[1].transform(scaled))
    expected = estimator[1].label_map(labels, scaled)
    np.testing.assert_array_equal(np.where(maps == 255, -1, maps.astype(int)), expected)


def test_a_file_has_place_names_and_colours(path, tmp_path):
    estimator = windowed(LogisticRegression())
    colors = {"water": "#0000ff", "forest": (0, 128, 0), "fields": "#ffff00"}
    paths = predict_scene(estimator, path, tmp_path / "map.tif", colors=colors)
    assert paths == {"label": tmp_path / "map.tif", "confidence": tmp_path / "map_confidence.tif"}
    with rasterio.open(paths.label) as file:
        assert (file.crs.to_string(), file.transform, file.dtypes[0]) == (CRS, TRANSFORM, "uint8")
        table, label = file.colormap(1), file.read(1)
        assert file.nodata == 0 and file.is_tiled and file.compression.name == "deflate"
        assert file.tags()["classes"] == '{"1": "fields", "2": "forest", "3": "water"}'
    assert [table[i] for i in range(4)] == [(0, 0, 0, 0), (255, 255, 0, 255), (0, 128, 0, 255), (0, 0, 255, 255)]
    np.testing.assert_array_equal(label == 0, BANDS[0] == -1)
    with rasterio.open(paths.confidence) as file:
        assert file.dtypes == ("float32",) and np.isnan(file.nodata)
        np.testing.assert_array_equal(np.isnan(file.read(1)), BANDS[0] == -1)
    # as GDAL itself, and QGIS through it, reads the names
    rasterio.shutil.copy(paths.label, tmp_path / "names.vrt", driver="VRT")
    assert "<Category>fields</Category>\n      <Category>forest</Category>" in (tmp_path / "names.vrt").read_text()
    assert not list(tmp_path.glob("*partial*")) and not list(tmp_path.glob(".*tmp*"))


def test_files_of_all_sources_and_blocks_are_the_same_bytes(path, tmp_path):
    estimator = windowed(LANDClassifier(random_state=0))
    lazy = rioxarray.open_rasterio(path, chunks={"x": 40, "y": 30})
    contents = set()
    for source, options in (
        (path, {}), (path, {"block_size": 16}), (path, {"block_size": 25, "n_jobs": 2}), (lazy, {"block_size": 40}),
        (lazy.load(), {}),
    ):  # fmt: skip
        paths = predict_scene(estimator, source, tmp_path / "map.tif", **options)
        contents.add(tuple(paths[name].read_bytes() for name in paths))
    assert len(contents) == 1
    computed = predict_scene(estimator, rioxarray.open_rasterio(path, chunks=30), block_size=20)
    assert computed.label.chunks is not None
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(computed.label.values, file.read(1))
        assert (computed.label.rio.crs, computed.label.rio.transform()) == (file.crs, file.transform)


def test_cloud_optimised_with_overviews(tmp_path):
    large = open_scene(np.tile(BANDS, (1, 9, 7)))
    paths = predict_scene(KMeans(3, n_init=1, random_state=0).fit(X[TAUGHT]), large, tmp_path / "m.tif", overviews=True)
    with rasterio.open(paths.label) as file:
        assert file.overviews(1) and file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG" and file.colormap(1)


@pytest.mark.parametrize(
    ("classes", "dtype", "nodata", "values"),
    [
        ([1, 2, 8], "uint8", 0, [1, 2, 8]),
        ([0, 1], "uint8", 255, [0, 1]),
        ([0, 255], "int16", 32767, [0, 255]),
        ([-1, 1], "int16", 0, [-1, 1]),
        ([1, 40_000], "uint16", 0, [1, 40_000]),
        ([1, 100_000], "int32", 0, [1, 100_000]),
        ([1.0, 3.0], "uint8", 0, [1, 3]),
        (["b", "a"], "uint8", 0, [1, 2]),
        ([True, False], "uint8", 0, [1, 2]),
    ],
)
def test_labels_take_the_smallest_type(classes, dtype, nodata, values):
    model = LogisticRegression().fit(np.arange(len(classes))[:, None], classes)
    label = predict_scene(model, np.arange(len(classes))[None, None].astype(float), outputs="label").label
    assert (str(label.dtype), label.rio.nodata, sorted(np.unique(label))) == (dtype, nodata, values)


def test_estimators_of_all_kinds(path):
    known = NAMES[Y[TAUGHT]]
    search = GridSearchCV(make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [1, 10]})
    for estimator, expected in (
        (search.fit(X[TAUGHT], known), {"label", "confidence"}),
        (
            ValidRows(LogisticRegression()).fit(X, np.where(np.isnan(X[:, 0]), "forest", NAMES[Y])),
            {"label", "confidence"},
        ),
        (SVC().fit(X[TAUGHT], known), {"label"}),
        (PCA(2).fit(X[TAUGHT]), {"features"}),
        (LinearRegression().fit(X[TAUGHT], Y[TAUGHT]), {"label"}),
    ):
        maps = predict_scene(estimator, path)
        assert set(maps) == expected
        for name in maps:
            assert np.isfinite(maps[name].values[..., 0, 0]).all()
    assert maps.label.dtype == np.float32


def test_names_of_bands_are_those_of_fit(path):
    frame = open_scene(path).to_frame().iloc[TAUGHT]
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, Y[TAUGHT])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict_scene(model, path)
    with pytest.raises(ValueError, match=r"The scene has the bands \['nir', 'red'"):
        predict_scene(model, open_scene(path, bands=["nir", "red", "green", "blue"]))
    with pytest.raises(ValueError, match="The scene has 2 bands, but StandardScaler was fitted with 4"):
        predict_scene(model, open_scene(path, bands=[0, 1]))


def test_layers_of_several_bands_have_dimensions_of_their_own():
    known = np.where(np.arange(300) % 2, Y[TAUGHT], -1)
    model = SymmetricVAEClassifier(max_epochs=1, random_state=0).fit(X[TAUGHT], known)
    maps = predict_scene(model, SCENE, outputs=["features", "probabilities", "score_samples"])
    assert maps.probabilities.dims == ("class", "y", "x") and maps["class"].values.tolist() == ["0", "1", "2"]
    assert maps.features.dims == ("feature", "y", "x") and len(maps.feature) != 3
    valid = (BANDS != -1).all(axis=0)
    for name in maps:
        assert np.isfinite(maps[name].values[..., valid]).all() and np.isnan(maps[name].values[..., ~valid]).all()


def test_gaps_in_single_bands():
    values = SCENE.read()
    values[1, 5, 6] = np.nan
    model = make_pipeline(SimpleImputer(), LogisticRegression()).fit(X[TAUGHT], Y[TAUGHT])
    assert predict_scene(model, values).label.values[5, 6] == 255
    filled = predict_scene(model, values, missing="all").label.values
    assert filled[5, 6] == model.predict(values[:, 5, 6][None])[0] and filled[22, 40] == 255


def test_a_scene_in_other_units_warns(path):
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X[TAUGHT], Y[TAUGHT])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predict_scene(model, SCENE)
    for fitted in (model, LANDClassifier().fit(X[TAUGHT], Y[TAUGHT])):
        with pytest.warns(UserWarning, match="[34] of 4 bands of the scene lie elsewhere.*the mean of 'band_"):
            predict_scene(fitted, open_scene(path).read() / 1e4)


def test_what_cannot_be_done_is_said(path, tmp_path):
    model = LogisticRegression().fit(X[TAUGHT], Y[TAUGHT])
    empty = np.full((4, 5, 6), np.nan)
    for arguments, options, message in (
        ((model, path), {"outputs": ["label", "features"]}, "has no transform: it can give 'label', 'confidence'"),
        ((model, path), {"outputs": ["labels"]}, "outputs must be some of 'label', .*got .*labels"),
        ((model, path), {"missing": "some"}, "missing must be one of 'any', 'all'"),
        ((model, path), {"block_size": 0}, "block_size == 0"),
        ((LANDClassifier().fit(X[TAUGHT]), path), {"outputs": "label"}, "knows no class yet: teach it labels first"),
        ((model, empty), {}, "no valid pixel"),
        ((model, empty, tmp_path / "map.tif"), {}, "no valid pixel"),
        ((model, path, tmp_path / "map.png"), {}, "the suffix of destination must be one of"),
        ((model, path, tmp_path / "map.tif"), {"colors": {0: "#000000"}}, r"colors lacks the classes \[1, 2\]"),
        ((model, path, tmp_path / "map.tif"), {"colors": ["red", "green", "blue"]}, "A colour is text such as"),
    ):
        with pytest.raises(ValueError, match=message):
            predict_scene(*arguments, **options)
    with pytest.raises(FileNotFoundError, match="There is no folder"):
        predict_scene(model, path, tmp_path / "none" / "map.tif")
    with pytest.raises(NotFittedError):
        predict_scene(LogisticRegression(), path)
    assert sorted(os.listdir(tmp_path)) == ["scene.tif"]


def test_a_map_never_replaces_what_its_scene_is_read_from(path, tmp_path, monkeypatch):
    model = LogisticRegression().fit(X[TAUGHT], Y[TAUGHT])
    beside = tmp_path / "map_confidence.tif"  # where the second output would lie
    beside.write_bytes(path.read_bytes())
    shutil = pytest.importorskip("rasterio.shutil")
    link, stack = tmp_path / "link.tif", tmp_path / "stack.vrt"
    link.symlink_to(path)
    shutil.copy(path, stack, driver="VRT")
    monkeypatch.chdir(tmp_path)
    mask = write(tmp_path / "clouds.tif", np.zeros((1, *SHAPE), dtype=np.uint8))
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    lazy = rioxarray.open_rasterio(path, chunks=64)
    for source, target in (
        (path, path),
        (path, "scene.tif"),
        (path, link),
        (link, path),
        (stack, path),
        ([path], path),
        (lazy, path),
        (lazy.to_dataset("band"), path),
        (beside, "map.tif"),
        (open_scene(path, mask=mask), mask),
    ):
        with pytest.raises(ValueError, match="is a file that the scene is read from"):
            predict_scene(model, source, target)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before
    assert predict_scene(model, path, "map.tif", outputs="label").label.exists()


class Failing(LogisticRegression):
    """Fails from the third chunk on."""

    def predict(self, X):
        self.n_calls_ = getattr(self, "n_calls_", 0) + 1
        if self.n_calls_ == 3:
            raise FloatingPointError("out of numbers")
        return super().predict(X)


def test_an_error_names_the_block_and_leaves_the_file(path, tmp_path):
    target = tmp_path / "map.tif"
    target.write_bytes(b"precious")
    failing = Failing().fit(X[TAUGHT], Y[TAUGHT])
    message = r"FloatingPointError in the block of rows 0 to 29, columns 60 to 89 of the scene: out of numbers"
    with pytest.raises(RuntimeError, match=message):
        predict_scene(failing, path, target, outputs="label", block_size=30)
    assert target.read_bytes() == b"precious"


KILLED = """
import sys, time
import sklearn_geoal.scenes._outputs as outputs
from sklearn_geoal import load
from sklearn_geoal.scenes import predict_scene
write = outputs.Scratch.write
def slow(self, number, *rest):
    write(self, number, *rest)
    print(number, flush=True)
    time.sleep(0.05)
outputs.Scratch.write = slow
predict_scene(load(sys.argv[1]), sys.argv[2], sys.argv[3], block_size=20)
"""


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(path, tmp_path):
    model, target = tmp_path / "model.geoal", tmp_path / "map.tif"
    sklearn_geoal.save(windowed(NetClassifier(max_epochs=1, random_state=0)), model)
    command = [sys.executable, "-c", KILLED, model, path, target]
    undisturbed = predict_scene(sklearn_geoal.load(model), path, tmp_path / "other.tif", block_size=20)
    seen = []
    for n_blocks in (5, 4):  # killed twice
        run = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        seen += [int(run.stdout.readline()) for _ in range(n_blocks)]
        os.kill(run.pid, signal.SIGKILL)
        run.wait()
        time.sleep(0.01)
        assert not target.exists() and (tmp_path / "map.tif.partial").is_dir()
    last = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    numbers = [*seen, *map(int, last)]
    assert (
        len(seen) == 9 and set(numbers) | set(range(20)) == set(range(20)) and len(set(last) & set(map(str, seen))) == 0
    )
    assert target.read_bytes() == undisturbed.label.read_bytes()
    assert (tmp_path / "map_confidence.tif").read_bytes() == undisturbed.confidence.read_bytes()
    assert not (tmp_path / "map.tif.partial").exists()


def test_another_estimator_does_not_go_on_with_the_blocks_of_one(path, tmp_path):
    first, second = (LogisticRegression(C=C).fit(X[TAUGHT], Y[TAUGHT]) for C in (1e-6, 1.0))
    target = tmp_path / "map.tif"
    broken = Failing(C=1e-6).fit(X[TAUGHT], Y[TAUGHT])
    with pytest.raises(RuntimeError):
        predict_scene(broken, path, target, outputs="label", block_size=30)
    predict_scene(second, path, target, outputs="label", block_size=30)
    with rasterio.open(target) as file:
        got = file.read(1)
    assert np.array_equal(got, predict_scene(second, path).label.values)
    assert not np.array_equal(got, predict_scene(first, path).label.values)


def test_a_full_disk_keeps_the_old_file(path, tmp_path):
    resource = pytest.importorskip("resource")
    target = tmp_path / "map.tif"
    target.write_bytes(b"precious")
    model = LogisticRegression().fit(X[TAUGHT], Y[TAUGHT])
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, before[1]))
    try:
        with pytest.raises(OSError):
            predict_scene(model, path, target, outputs="label")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert target.read_bytes() == b"precious"
    predict_scene(model, path, target, outputs="label")
    with rasterio.open(target) as file:
        assert np.array_equal(file.read(1), predict_scene(model, path).label.values)


@pytest.mark.parametrize("case", ["patch and network", "segmenter"])
def test_labels_beside_probabilities_are_those_of_predict(case):
    """Where the label is the most probable class, the network is asked once."""
    estimator = CASES[case][0]()
    alone, both = (predict_scene(estimator, SCENE, outputs=outputs) for outputs in ("label", ["label", "confidence"]))
    np.testing.assert_array_equal(both.label.values, alone.label.values)


def test_a_journal_that_was_cut_short_is_read_to_its_last_whole_line(tmp_path):
    model = LogisticRegression().fit(X[TAUGHT], Y[TAUGHT])
    layers = [label_layer(model.classes_)]
    scratch = Scratch(tmp_path / "partial", layers, SHAPE, "signature")
    values = {"label": np.ones(SHAPE, dtype=np.uint8)}
    scratch.write(12, Block(0, 5, 0, 5), {"label": values["label"][:5, :5]})
    scratch.close()
    with open(tmp_path / "partial" / "journal", "a") as file:
        file.write("1")  # of 13
    scratch = Scratch(tmp_path / "partial", layers, SHAPE, "signature")
    assert scratch.done == {12}
    scratch.write(4, Block(5, 9, 0, 5), {"label": values["label"][:4, :5]})
    scratch.close()
    assert Scratch(tmp_path / "partial", layers, SHAPE, "signature").done == {4, 12}
    assert Scratch(tmp_path / "partial", layers, SHAPE, "another").done == set()
    (tmp_path / "partial" / "label.raw").write_bytes(b"short")
    assert Scratch(tmp_path / "partial", layers, SHAPE, "another").done == set()
