"""Scenes and maps where rows are meant: taken where they are clear, else named with the function that makes rows."""

from pathlib import Path

import numpy as np
import pytest

from sklearn_geoal import (
    DDALQueryStrategy,
    HyperbolicVAETransformer,
    LANDClassifier,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    RECALClusterer,
    SymmetricVAEClassifier,
    VAETransformer,
)
from sklearn_geoal.model_selection import LabeledStratifiedKFold, label_efficiency_curve
from sklearn_geoal.plot import ClassificationMapDisplay
from sklearn_geoal.preprocessing import PatchTransformer, SeriesInterpolator, SpatialWindow, ValidRows

xarray = pytest.importorskip("xarray", reason="xarray is not installed")

RNG = np.random.RandomState(0)
SHAPE = (6, 9)
MAP = np.where(RNG.rand(*SHAPE) < 0.5, -1, RNG.randint(2, size=SHAPE))
MAP[0, :4] = [0, 1, 0, 1]
X = RNG.randn(54, 3) + np.where(MAP.ravel() == 1, 3.0, 0.0)[:, None]
FULL = (X.mean(axis=1) > 1.5).astype(int)

SMALL = {"max_epochs": 1, "random_state": 0}
CLASSIFIERS = [
    LANDClassifier(random_state=0),
    DDALQueryStrategy(NetClassifier(**SMALL), random_state=0),
    MixMatchClassifier(**SMALL),
    SymmetricVAEClassifier(**SMALL),
    ValidRows(LANDClassifier(random_state=0)),
]
OTHERS = [
    NetClassifier(**SMALL),
    VAETransformer(**SMALL),
    HyperbolicVAETransformer(**SMALL),
    RECALClusterer(2, n_init=1, **SMALL),
    SpatialWindow(),
    PatchTransformer(size=2),
    SeriesInterpolator(),
]


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=lambda e: type(e).__name__)
def test_a_map_of_labels_is_labels_of_rows(estimator):
    expected = estimator.fit(X, MAP.ravel()).predict(X)
    np.testing.assert_array_equal(estimator.fit(X, MAP).predict(X), expected)
    masked = np.ma.masked_equal(MAP, -1)
    np.testing.assert_array_equal(estimator.fit(X, masked).predict(X), expected)
    assert estimator.score(X, MAP) == estimator.score(X, MAP.ravel())
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        estimator.fit(X, MAP[1:])
    with pytest.raises(ValueError):
        estimator.fit(X, np.stack([MAP.ravel()] * 2, axis=1))  # several outputs


def test_masks_of_candidates_may_be_maps():
    candidates = RNG.rand(*SHAPE) < 0.5
    for learner in (LANDClassifier(random_state=0), ValidRows(LANDClassifier(random_state=0))):
        learner.fit(X)
        np.testing.assert_array_equal(learner.query(5, candidates), learner.query(5, candidates.ravel()))
        with pytest.raises(ValueError, match="mask of shape"):
            learner.query(5, candidates[1:])


def test_splits_curves_and_pictures_take_maps():
    folds = LabeledStratifiedKFold(2)
    for one, other in zip(folds.split(X, MAP), folds.split(X, MAP.ravel()), strict=True):
        np.testing.assert_array_equal(np.concatenate(one), np.concatenate(other))
    land = LANDClassifier(random_state=0)
    curves = [label_efficiency_curve(land, X, y, budgets=[3, 6]).scores for y in (FULL.reshape(SHAPE), FULL)]
    np.testing.assert_array_equal(*curves)
    display = ClassificationMapDisplay.from_predictions(FULL.reshape(SHAPE), scene_shape=SHAPE, y_true=MAP)
    assert display.prediction.shape == SHAPE
    for wrong in (MAP.T, MAP.reshape(3, 18), MAP[1:]):
        with pytest.raises(ValueError, match="y_true is a map of .* pixels, but the scene has 6 x 9"):
            ClassificationMapDisplay.from_predictions(FULL, scene_shape=SHAPE, y_true=wrong)
        with pytest.raises(ValueError, match="y_pred is a map of .* pixels, but the scene has 6 x 9"):
            ClassificationMapDisplay.from_predictions(wrong, scene_shape=SHAPE)


@pytest.mark.parametrize("estimator", CLASSIFIERS + OTHERS, ids=lambda e: type(e).__name__)
def test_scenes_are_named_with_what_makes_rows(estimator):
    cube = RNG.rand(3, 6, 9)
    takes_cubes = isinstance(estimator, SpatialWindow | PatchTransformer)
    array = xarray.DataArray(cube, dims=("band", "y", "x"))
    given = ["scene.tif", ["a.tif", Path("b.tif")], array, array.to_dataset("band"), array[0]]
    for scene in given:
        with pytest.raises(TypeError, match="X must be an array with a row for each sample; got .*open_scene"):
            estimator.fit(scene, FULL)
    if not takes_cubes:
        with pytest.raises(ValueError, match="(?s)dim 3.*open_scene"):
            estimator.fit(cube, FULL[:3])
    table = xarray.DataArray(X, dims=("pixel", "band"))
    if not takes_cubes:
        estimator.fit(table, FULL)


def test_a_dataarray_of_images_is_images():
    images, masks = RNG.rand(4, 2, 16, 16), RNG.randint(2, size=(4, 16, 16))
    array = xarray.DataArray(images, dims=("image", "band", "y", "x"))
    first, second = (MixMatchSegmenter(hidden_units=(4,), **SMALL).fit(X, masks).predict(X) for X in (array, images))
    np.testing.assert_array_equal(first, second)
