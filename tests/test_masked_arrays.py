"""A masked array counts as NaN where it is masked, in every X: what it hides is never learned from."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags

import sklearn_geoal
from sklearn_geoal import LANDClassifier, SymmetricVAESegmenter, VAETransformer, metrics, plot, preprocessing
from sklearn_geoal.interop import ModALQueryStrategy

SMALL = {"max_epochs": 2, "init_epochs": 1, "n_init": 1, "hidden_units": (8,), "random_state": 0}
VERBS = ("predict", "predict_proba", "transform", "score_samples", "reconstruct", "inverse_transform", "embed")
HIDDEN = 0.123  # valid, so that it would be learned from without a word

X = np.random.default_rng(0).uniform(0.1, 0.4, size=(48, 3))
X[5, 1] = X[20] = HIDDEN
MASK = X == HIDDEN
y = np.arange(48) % 2


def small(cls):
    estimator = cls()
    return estimator.set_params(**{key: value for key, value in SMALL.items() if key in estimator.get_params()})


ESTIMATORS = [
    *(small(getattr(sklearn_geoal, name)) for name in sklearn_geoal._ESTIMATORS),
    preprocessing.HyperbolicNeighborsTransformer(),
    preprocessing.PatchTransformer((6, 8), size=2),
    preprocessing.ReflectanceTransformer(gain=0.5),
    preprocessing.SpatialWindow((6, 8)),
    preprocessing.ValidRows(LANDClassifier()),
]
COMPLETE = [estimator for estimator in ESTIMATORS if not get_tags(estimator).input_tags.allow_nan]
SEGMENTERS = [estimator for estimator in ESTIMATORS if type(estimator).__name__.endswith("Segmenter")]
OF_IMAGES = [estimator for estimator in COMPLETE if {"image_shape", "estimator"} & {*estimator.get_params()}]


def name(estimator):
    return type(estimator).__name__


def masked(X, mask=MASK):
    return np.ma.masked_array(X, mask=mask)


def with_nan(X, mask=MASK):
    return np.where(mask, np.nan, X)


def verbs(estimator):
    return [verb for verb in VERBS if hasattr(estimator, verb)]


def assert_same(first, second):
    first, second = (result.toarray() if hasattr(result, "toarray") else result for result in (first, second))
    np.testing.assert_array_equal(first, second)


def test_every_transformer_is_here():
    classes = {name for name in preprocessing.__all__ if isinstance(getattr(preprocessing, name), type)}
    assert classes <= {name(estimator) for estimator in ESTIMATORS}


@pytest.mark.parametrize("estimator", COMPLETE, ids=name)
def test_estimators_without_nan_refuse_masked_values(estimator):
    refused = pytest.raises(ValueError, match=r"(?s)contains NaN.*Masked values count as NaN. Leave such rows out")
    with refused:
        estimator.fit(masked(X), y)
    estimator.fit(X[~MASK.any(axis=1)], y[~MASK.any(axis=1)])
    for verb in {*verbs(estimator)} - {"inverse_transform"}:
        with refused:
            getattr(estimator, verb)(masked(X))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
def test_without_a_masked_value_it_is_any_array(estimator):
    expected = {verb: getattr(estimator.fit(X, y), verb)(X) for verb in {*verbs(estimator)} - {"inverse_transform"}}
    estimator.fit(masked(X, False), y)
    for verb, result in expected.items():
        assert_same(getattr(estimator, verb)(masked(X, False)), result)


@pytest.mark.parametrize("estimator", [estimator for estimator in ESTIMATORS if estimator not in COMPLETE], ids=name)
def test_masked_values_are_nan_where_nan_is_taken(estimator):
    expected = {verb: getattr(estimator.fit(with_nan(X), y), verb)(with_nan(X)) for verb in verbs(estimator)}
    estimator.fit(masked(X), y)
    for verb, result in expected.items():
        assert_same(getattr(estimator, verb)(masked(X)), result)


@pytest.mark.parametrize("estimator", OF_IMAGES, ids=name)
def test_masked_values_of_images_are_refused(estimator):
    images = np.random.default_rng(0).uniform(0.1, 0.4, size=(8, 2, 4, 4))
    classes = np.indices((8, 4, 4))[0] % 2 if estimator in SEGMENTERS else np.arange(8) % 2
    mask = np.zeros(images.shape, dtype=bool)
    mask[3, 1, 2, 2] = True
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.fit(masked(images, mask), classes)


@pytest.mark.parametrize("estimator", SEGMENTERS, ids=name)
def test_masked_values_in_a_list_of_images_are_refused(estimator):
    images = np.random.default_rng(0).integers(9, size=(4, 2, 4, 4), dtype=np.uint8)
    mask = np.zeros(images.shape[1:], dtype=bool)
    mask[1, 2, 2] = True
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.fit([*images[1:], masked(images[0], mask)], np.indices((4, 4, 4))[0] % 2)


def test_rows_in_a_list_keep_their_masks():
    with pytest.raises(ValueError, match="contains NaN"):
        LANDClassifier().fit([*masked(X)])


def test_only_missing_pixels_may_be_masked_where_images_are_filled_in():
    images = np.random.default_rng(0).uniform(size=(4, 2, 8, 8))
    segmenter = SymmetricVAESegmenter(hidden_units=(8,), max_epochs=2, random_state=0)
    segmenter.fit(images, np.indices((4, 8, 8))[1] % 2)
    missing = np.zeros((4, 8, 8), dtype=bool)
    missing[:, 3, 3] = True
    mask = np.repeat(missing[:, None], 2, axis=1)
    assert_same(segmenter.reconstruct(masked(images, mask), missing), segmenter.reconstruct(images, missing))
    mask[0, 0, 5, 5] = True
    with pytest.raises(ValueError, match="contains NaN"):
        segmenter.reconstruct(masked(images, mask), missing)


def test_masked_latents_are_refused():
    transformer = VAETransformer(n_components=3, max_epochs=1).fit(X)
    patches = preprocessing.PatchTransformer((6, 8), size=1).fit(X)
    for verb in (
        transformer.inverse_transform,
        patches.mean_map,
        metrics.hyperbolic_distances,
        metrics.delta_hyperbolicity,
        plot.LatentDisplay.from_latents,
        plot.PoincareDiskDisplay.from_latents,
        preprocessing.HyperbolicNeighborsTransformer().fit_transform,
    ):
        with pytest.raises(ValueError, match="contains NaN"):
            verb(masked(X))


def test_pictures_leave_masked_pixels_white():
    display = plot.ClassificationMapDisplay.from_predictions(y, scene_shape=(6, 8), scene=masked(X))
    assert_same((display.picture == 1).all(axis=-1).ravel()[MASK.any(axis=1)], True)
    images = np.random.default_rng(0).uniform(size=(1, 3, 6, 8))
    hidden = np.zeros(images.shape, dtype=bool)
    hidden[0, 1, 2, 3] = True
    display = plot.SegmentationDisplay.from_predictions(y.reshape(1, 6, 8), images=masked(images, hidden))
    assert_same(display.pictures[0, 2, 3], 1)


def test_masked_values_pass_no_bridge():
    class Learner:
        X_training, y_training = masked(X)[:8], y[:8]

    with pytest.raises(ValueError, match="contains NaN"):
        ModALQueryStrategy(LANDClassifier())(Learner, X[8:])
    with pytest.raises(ValueError, match="contains NaN"):
        ModALQueryStrategy(LANDClassifier())(type("Learner", (), {"X_training": None}), masked(X))
    pool = pytest.importorskip("skactiveml.pool")
    interop = sklearn_geoal.interop
    learner = interop.PoolLearner(LogisticRegression(), pool.RandomSampling(random_state=0))
    with pytest.raises(ValueError, match="contains NaN"):
        learner.fit(masked(X))
    with pytest.raises(ValueError, match="NaN"):
        interop.SkactivemlQueryStrategy(LANDClassifier()).query(masked(X), np.full(48, np.nan))
