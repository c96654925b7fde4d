"""Hyperbolic neighbours: agreement with all distances, with the flat limit, with classification by hand, errors."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.neighbors import KNeighborsClassifier, KNeighborsTransformer
from sklearn.pipeline import make_pipeline

from sklearn_geoal._manifolds import polar
from sklearn_geoal.metrics import hyperbolic_distances
from sklearn_geoal.preprocessing import HyperbolicNeighborsTransformer


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
    monkeypatch.setattr(polar, "_BLOCK_VALUES", 100)
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
