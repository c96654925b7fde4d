"""What every public estimator promises: scikit-learn's checks, reproducible fits, and a life among its tools."""

import io
import pickle
import warnings

import joblib
import numpy as np
import pytest
import torch
from scipy.sparse import issparse
from sklearn.base import clone, is_classifier
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import sklearn_geoal
from sklearn_geoal.preprocessing import (
    HyperbolicNeighborsTransformer,
    PatchTransformer,
    ReflectanceTransformer,
    SeriesInterpolator,
    SpatialWindow,
    SpectraScaler,
)

ESTIMATORS = [
    *(getattr(sklearn_geoal, name)() for name in sklearn_geoal._ESTIMATORS),
    HyperbolicNeighborsTransformer(),
    PatchTransformer(),
    ReflectanceTransformer(),
    SeriesInterpolator(),
    SpatialWindow(),
    SpectraScaler(),
]
TRANSFORMERS = [estimator for estimator in ESTIMATORS if hasattr(estimator, "transform")]

# one parameter of each to search over
GRIDS = {
    "DDALQueryStrategy": {"n_neighbors": [5, 10]},
    # distances instead of connections leave logistic regression without convergence
    "HyperbolicNeighborsTransformer": {"mode": ["connectivity"], "n_neighbors": [3, 5]},
    "HyperbolicVAETransformer": {"n_components": [1, 2]},
    "LANDClassifier": {"n_neighbors": [5, 10]},
    "MixMatchClassifier": {"hidden_units": [(8,), (16,)], "max_epochs": [3]},
    "MixMatchSegmenter": {"hidden_units": [(8,), (16,)]},
    "NetClassifier": {"hidden_units": [(8,), (16,)]},
    "PatchTransformer": {"size": [1, 2]},
    "RECALClusterer": {"n_components": [4, 8], "n_init": [1], "max_epochs": [2]},
    "ReflectanceTransformer": {"gain": [0.5, 1.0]},
    "SeriesInterpolator": {"times": [None]},
    "SpatialWindow": {"size": [1, 3]},
    "SpectraScaler": {},
    "SymmetricVAEClassifier": {"n_components": [1, 2], "max_epochs": [3]},
    "SymmetricVAESegmenter": {"hidden_units": [(8,), (16,)], "max_epochs": [10]},
    "VAETransformer": {"n_components": [1, 2]},
}

# checks that scikit-learn has but does not yield for estimators from outside
FURTHER_CHECKS = [
    estimator_checks.check_inplace_ensure_writeable,
    estimator_checks.check_dataframe_column_names_consistency,
]
TRANSFORMER_CHECKS = [
    estimator_checks.check_get_feature_names_out_error,
    estimator_checks.check_transformer_get_feature_names_out,
    estimator_checks.check_transformer_get_feature_names_out_pandas,
    estimator_checks.check_set_output_transform,
    estimator_checks.check_set_output_transform_pandas,
    estimator_checks.check_global_output_transform_pandas,
    estimator_checks.check_set_output_transform_polars,
    estimator_checks.check_global_set_output_transform_polars,
]

pytestmark = [
    pytest.mark.filterwarnings("error"),
    # plus-minus-one labels, some of the checks' own: they are classes, and the warning says so
    pytest.mark.filterwarnings("ignore:y holds exactly the values -1 and 1:UserWarning"),
]


def name(value):
    return type(value).__name__ if hasattr(value, "get_params") else value.__name__


each = pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)


@pytest.fixture(scope="module")
def data():
    return make_blobs(120, n_features=4, centers=3, cluster_std=2.0, random_state=0)


def seeded(estimator):
    """A clone with a seed, trained for a few epochs only: what the defaults make of data is not asked here."""
    changes = {"random_state": 0, "max_epochs": 3, "init_epochs": 1}
    params = estimator.get_params(deep=False)
    return clone(estimator).set_params(**{key: value for key, value in changes.items() if key in params})


def outputs(estimator, X):
    """Everything that a fitted estimator says about X."""
    verbs = [verb for verb in ("predict", "predict_proba", "transform") if hasattr(estimator, verb)]
    results = [getattr(estimator, verb)(X) for verb in verbs]
    results = [result.toarray() if issparse(result) else result for result in results]
    return results + ([estimator.query_scores_] if hasattr(estimator, "query") else [])


def assert_same_outputs(first, second, X):
    for a, b in zip(outputs(first, X), outputs(second, X), strict=True):
        np.testing.assert_array_equal(a, b)


@estimator_checks.parametrize_with_checks(ESTIMATORS)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("check", FURTHER_CHECKS, ids=name)
@each
def test_further_checks(estimator, check):
    check(name(estimator), estimator)


@pytest.mark.parametrize("check", TRANSFORMER_CHECKS, ids=name)
@pytest.mark.parametrize("estimator", TRANSFORMERS, ids=name)
def test_transformer_checks(estimator, check):
    with warnings.catch_warnings():
        # some of them fit on a frame and transform an array, or the other way round
        warnings.filterwarnings("ignore", "X (has|does not have valid) feature names")
        check(name(estimator), estimator)


@each
def test_same_seed_same_result(estimator, data):
    X, y = data
    # enough samples for every random start there is
    X = np.tile(X, (14, 1)) + np.random.default_rng(0).normal(size=(1680, 4))
    y = np.tile(y, 14)
    assert_same_outputs(seeded(estimator).fit(X, y), seeded(estimator).fit(X, y), X)


def global_numpy_state():
    return pickle.dumps(np.random.get_state())  # noqa: NPY002, the legacy generator is the global one


@each
def test_global_generators_are_left_alone(estimator, data):
    X, y = data
    numpy_state, torch_state = global_numpy_state(), torch.get_rng_state()
    unseeded = {"random_state": None} if "random_state" in estimator.get_params() else {}
    for fitted in (seeded(estimator).set_params(**unseeded).fit(X, y), seeded(estimator).fit(X, y)):
        outputs(fitted, X)
    assert global_numpy_state() == numpy_state
    assert torch.equal(torch.get_rng_state(), torch_state)


@each
def test_input_is_left_alone(estimator, data):
    X, y = data
    X_before, y_before = X.copy(), y.copy()
    outputs(seeded(estimator).fit(X, y), X)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)


@each
def test_pickle_joblib_and_clone(estimator, data):
    X, y = data
    fitted = seeded(estimator).fit(X, y)
    file = io.BytesIO()
    joblib.dump(fitted, file)
    file.seek(0)
    for copy in (pickle.loads(pickle.dumps(fitted)), joblib.load(file), clone(fitted).fit(X, y)):
        assert_same_outputs(copy, fitted, X)


@each
def test_pipeline(estimator, data):
    X, y = data
    scaler = StandardScaler()
    pipeline = make_pipeline(scaler, seeded(estimator)).fit(X, y)
    alone = seeded(estimator).fit(scaler.transform(X), y)
    for a, b in zip(outputs(pipeline, X), outputs(alone, scaler.transform(X)), strict=False):
        np.testing.assert_array_equal(a, b)


@each
def test_grid_search_in_two_processes(estimator, data):
    X, y = data
    pipeline = make_pipeline(seeded(estimator))
    if not is_classifier(estimator):
        pipeline = make_pipeline(seeded(estimator), LogisticRegression())
    grid = {f"{name(estimator).lower()}__{key}": values for key, values in GRIDS[name(estimator)].items()}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise").fit(X, y)
    assert search.cv_results_["mean_test_score"].min() > 0.4
