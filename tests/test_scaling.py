"""Location and scale that do not follow values which are no data."""

import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import is_classifier
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_rand_score

from sklearn_geoal import (
    HyperbolicVAETransformer,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    RECALClusterer,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
    VAETransformer,
)
from sklearn_geoal._scaling import (
    LIMIT,
    Spread,
    scaling_of_bands,
    scaling_of_values,
    scaling_of_values_by_bands,
    scaling_to_unit_range,
    standardize,
)

NO_DATA = [0.0, -9999.0, 65535.0, -3.4e38, 1e20]


@pytest.fixture
def X():
    return np.random.default_rng(0).normal(size=(300, 5)) * [1, 2, 3, 0.5, 1] + [0, 5, -5, 0, 100]


def counts(shape, share, seed=0):
    """Mostly zeros, as the background of images or rare features."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 16, size=shape) * (rng.random(shape) < share).astype(float)


@pytest.mark.parametrize("data", [lambda X: X, lambda X: np.exp((X - X.mean(axis=0))[:, :2] / 4)])
def test_of_data_they_are_mean_and_standard_deviation(X, data):
    X = data(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bands, by_bands, values = scaling_of_bands(X), scaling_of_values_by_bands(X), scaling_of_values(X)
    assert_allclose(bands.location, X.mean(axis=0), rtol=1e-12, atol=1e-12)
    assert_allclose(bands.scale, X.std(axis=0))
    assert (values.location, values.scale) == pytest.approx((X.mean(), X.std()))
    assert_allclose(by_bands.location, X.mean())
    assert by_bands.scale == pytest.approx(X.std())
    assert np.abs(standardize(X, bands)).max() < LIMIT
    assert_allclose(standardize(X, by_bands), standardize(X, values), rtol=1e-5, atol=1e-6)


def test_rare_features_are_scaled_by_their_size():
    X = counts((1000, 4), 0.02)
    scaling = scaling_of_bands(X)
    present = np.array([column[column > 0].mean() for column in X.T])
    assert_allclose(scaling.scale, present, rtol=0.25)
    assert (scaling.scale > 2 * X.std(axis=0)).all()


@pytest.mark.parametrize("value", NO_DATA)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_one_row_without_data_hardly_matters(X, value, dtype):
    bad = X.astype(dtype)
    bad[7] = value
    is_far = value != 0
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        bands, common = scaling_of_bands(bad), scaling_of_values_by_bands(bad)
        Z = standardize(bad, bands)
    assert {w.category for w in caught} == ({UserWarning} if is_far else set())
    if is_far:
        assert "1 of 300 rows or images (7)" in str(caught[0].message)
        assert "no-data?" in str(caught[0].message)
    clean = np.delete(X, 7, axis=0)
    assert_allclose(bands.location, clean.mean(axis=0), atol=0.2 * clean.std(axis=0).max())
    assert_allclose(bands.scale, clean.std(axis=0), rtol=1.3)
    assert common.scale == pytest.approx(clean.std(), rel=0.6)
    assert np.isfinite(Z).all()
    assert Z.dtype == np.float32
    assert np.abs(Z[7]).max() <= LIMIT


def test_constant_band_far_off_does_not_squeeze_the_others(X):
    with_constant = np.column_stack([X, np.full(300, 5000.0)])
    for find in (scaling_of_bands, scaling_of_values_by_bands):
        alone, beside = find(X), find(with_constant)
        Z = standardize(with_constant, beside)
        assert_allclose(Z[:, 5], 0, atol=1e-6)
        assert_allclose(Z[:, :5], standardize(X, alone), rtol=0.1, atol=1e-5)


def test_nearly_constant_band_is_not_blown_up(X):
    X[:, 0] = 1e-6 * X[:, 0]
    scaling = scaling_of_bands(X)
    assert scaling.scale[0] == pytest.approx(np.median(X.std(axis=0)) / 10, rel=1e-3)


@pytest.mark.parametrize("factor", [2.0**500, 2.0**-500, -(2.0**10)])
def test_units_do_not_matter(X, factor):
    for find in (scaling_of_bands, scaling_of_values_by_bands, scaling_of_values):
        assert_allclose(
            standardize(factor * X, find(factor * X)),
            np.sign(factor) * standardize(X, find(X)),
            rtol=1e-6,
            atol=1e-6,
        )


@pytest.mark.parametrize("value", [0.0, 3.0, 1e300])
def test_equal_values_have_a_scale_all_the_same(value):
    X = np.full((10, 3), value)
    for find in (scaling_of_bands, scaling_of_values_by_bands, scaling_of_values, scaling_to_unit_range):
        scaling = find(X)
        assert np.all(scaling.scale > 0)
        assert_array_equal(standardize(X, scaling), 0)


def test_bands_that_are_all_constant_are_as_far_apart_as_they_are():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scaling = scaling_of_values_by_bands(np.tile([0.0, 1e6], (10, 1)))
    assert_array_equal(scaling.location, [5e5, 5e5])
    assert scaling.scale == pytest.approx(5e5)


def test_range_is_that_of_the_data(X):
    low_and_high = X.min(), X.max()
    scaling = scaling_to_unit_range(X)
    assert (scaling.location - scaling.scale, scaling.location + scaling.scale) == pytest.approx(low_and_high)
    X[3, 1] = -9999
    assert scaling_to_unit_range(X).scale < 50 * scaling.scale


def test_some_rows_tell_the_spread_of_many():
    X = np.random.default_rng(0).normal(size=(50_000, 3))
    few, all_of_them = Spread.of(X, 10_000), Spread.of(X, 50_000)
    assert_allclose(few.center, all_of_them.center, atol=0.03)
    assert_allclose(few.reach, all_of_them.reach, rtol=0.03)


QUICK = {"max_epochs": 40, "random_state": 0}
ESTIMATORS = [
    NetClassifier(random_state=0),
    MixMatchClassifier(**QUICK),
    SymmetricVAEClassifier(**QUICK),
    MixMatchSegmenter(**QUICK),
    SymmetricVAESegmenter(**QUICK),
    RECALClusterer(3, n_init=1, random_state=0),
    VAETransformer(n_components=3, **QUICK),
    HyperbolicVAETransformer(n_components=6, **QUICK),
]


@pytest.mark.parametrize("value", [-9999.0, -3.4e38, "constant band"])
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.filterwarnings("ignore:X has values beyond:UserWarning")
def test_estimators_learn_in_spite_of_no_data(estimator, value):
    X, truth = make_blobs(200, n_features=6, centers=3, cluster_std=1.5, random_state=1)
    is_data, y = np.ones(200, dtype=bool), truth.copy()
    if value == "constant band":
        X = np.column_stack([X, np.full(200, 5000.0)])
    else:
        X[7], is_data[7] = value, False
    if hasattr(estimator, "missing_label"):
        y[60:] = -1
    fitted = estimator.fit(X, y)
    if is_classifier(estimator):
        assert np.mean(fitted.predict(X[is_data]) == truth[is_data]) > 0.98
    elif hasattr(estimator, "labels_"):
        assert adjusted_rand_score(fitted.labels_[is_data], truth[is_data]) > 0.95
    else:
        Z = fitted.transform(X[is_data])
        assert LogisticRegression(max_iter=3000).fit(Z, truth[is_data]).score(Z, truth[is_data]) > 0.98
