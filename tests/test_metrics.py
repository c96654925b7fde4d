"""Hyperbolic distances against more digits, delta of graphs whose value is known, accuracies by hand."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy.sparse.csgraph import shortest_path
from sklearn.metrics import pairwise_distances

from sklearn_geoal._manifolds import polar
from sklearn_geoal.datasets import load_aid
from sklearn_geoal.metrics import delta_hyperbolicity, hierarchical_accuracy, hyperbolic_distances

MODELS = ("tangent", "lorentz", "poincare")
each_model = pytest.mark.parametrize("model", MODELS)
each_curvature = pytest.mark.parametrize("curvature", [0.3, 1.0, 2.5])


def tangents(n=40, d=3, scale=1.5, seed=0):
    return np.random.default_rng(seed).normal(scale=scale, size=(n, d))


def coordinates(U, model, curvature):
    """The points of tangent vectors, by the textbook formulas."""
    s, length = np.sqrt(curvature), np.linalg.norm(U, axis=1, keepdims=True)
    if model == "lorentz":
        return np.hstack([np.cosh(s * length), np.sinh(s * length) * U / length]) / s
    return np.tanh(s * length / 2) * U / length / s if model == "poincare" else U


def exact_distance(u, v, curvature):
    """acosh of the Lorentz product, in many digits."""
    with mpmath.workdps(60):
        s = mpmath.sqrt(curvature)
        u, v = ([mpmath.mpf(float(value)) * s for value in vector] for vector in (u, v))
        a, b = (mpmath.sqrt(mpmath.fdot(vector, vector)) for vector in (u, v))
        cosine = mpmath.fdot(u, v) / (a * b) if a * b else 0
        product = mpmath.cosh(a) * mpmath.cosh(b) - mpmath.sinh(a) * mpmath.sinh(b) * cosine
        return float(mpmath.acosh(max(product, mpmath.mpf(1))) / s)


# --- distances --------------------------------------------------------------------------------------------------------


@each_model
@each_curvature
def test_distances_against_more_digits(model, curvature):
    U, V = tangents(n=6), tangents(n=5, seed=1)
    D = hyperbolic_distances(
        coordinates(U, model, curvature), coordinates(V, model, curvature), model=model, curvature=curvature
    )
    expected = [[exact_distance(u, v, curvature) for v in V] for u in U]
    np.testing.assert_allclose(D, expected, rtol=1e-9)


@pytest.mark.parametrize("separation", [1e-7, 1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("radius", [0.5, 6.0, 12.0])
def test_near_points_keep_their_digits(radius, separation):
    rng = np.random.default_rng(0)
    U = rng.normal(size=(10, 4))
    U *= radius / np.linalg.norm(U, axis=1, keepdims=True)
    V = U + separation * rng.normal(size=U.shape) * radius / np.sinh(radius)
    D = hyperbolic_distances(U, V)
    expected = [exact_distance(u, v, 1.0) for u, v in zip(U, V, strict=True)]
    # what rounding the coordinates themselves does to a point so far out
    np.testing.assert_allclose(D.diagonal(), expected, rtol=1e-10, atol=1e-16 * np.cosh(radius))


@each_model
@each_curvature
def test_distances_are_a_metric(model, curvature):
    X = coordinates(tangents(), model, curvature)
    D = hyperbolic_distances(X, model=model, curvature=curvature)
    assert (D.diagonal() == 0).all()
    np.testing.assert_allclose(D, D.T, rtol=1e-11)
    np.testing.assert_allclose(D, hyperbolic_distances(X, X.copy(), model=model, curvature=curvature), rtol=1e-11)
    assert (D[:, :, None] + D[None] >= D[:, None] - 1e-12).all()


def test_distances_to_the_origin_and_in_the_flat_limit():
    U = tangents()
    np.testing.assert_allclose(hyperbolic_distances(U, np.zeros((1, 3)))[:, 0], np.linalg.norm(U, axis=1))
    np.testing.assert_allclose(hyperbolic_distances(U, curvature=1e-12), pairwise_distances(U), atol=1e-7)


def test_curvature_is_a_scale():
    U = tangents()
    np.testing.assert_allclose(hyperbolic_distances(U, curvature=4.0), hyperbolic_distances(2 * U) / 2)


def test_blocks_do_not_show(monkeypatch):
    U = tangents()
    D = hyperbolic_distances(U)
    monkeypatch.setattr(polar, "_BLOCK_VALUES", 100)
    np.testing.assert_allclose(hyperbolic_distances(U), D, rtol=1e-11)


@pytest.mark.parametrize("n_near", [2, 40])
def test_near_directions_few_or_many(n_near):
    U = tangents()
    U[:n_near] = [3.0, 1.0, 0.0] + 1e-9 * U[:n_near]
    D = hyperbolic_distances(U)
    expected = [[exact_distance(u, v, 1.0) for v in U[:3]] for u in U]
    # in units of 1e-9, of which the coordinates carry seven digits
    np.testing.assert_allclose(D[:, :3], expected, rtol=1e-9, atol=1e-15)


def test_float32_in_float32_out():
    U = tangents().astype(np.float32)
    D = hyperbolic_distances(U)
    assert D.dtype == np.float32 and hyperbolic_distances(U, U.astype(float)).dtype == np.float64
    np.testing.assert_allclose(D, hyperbolic_distances(U.astype(float)), rtol=1e-6)


def test_points_in_float32_are_on_the_hyperboloid():
    X = coordinates(tangents(scale=6.0), "lorentz", 0.5).astype(np.float32)
    assert np.isfinite(hyperbolic_distances(X, model="lorentz", curvature=0.5)).all()


@pytest.mark.parametrize("radius", [1e-100, 1e-10, 300.0])
def test_no_overflow(radius):
    U = radius * np.vstack([np.zeros(3), np.eye(3), -np.eye(3)])
    D = hyperbolic_distances(U)
    if radius > 1e-30:
        np.testing.assert_allclose(hyperbolic_distances(U.astype(np.float32)), D, rtol=1e-6)
    np.testing.assert_allclose(D[0, 1:], radius)
    np.testing.assert_allclose(D[1, 4], 2 * radius)


@pytest.mark.parametrize(
    "X, arguments, message",
    [
        (
            np.ones((3, 2)),
            {"model": "lorentz"},
            "Row 0 of X lies off the hyperboloid.*is 1, expected.*1.41421.*time first",
        ),
        ([[np.sqrt(2), 1.0]], {"model": "lorentz", "curvature": 0.5}, "off the hyperboloid of curvature -0.5"),
        ([[0.5, 0.0], [0.8, 0.6]], {"model": "poincare"}, "Row 1 of X lies 1 / sqrt.*expected less than 1.*inside"),
        ([[1.0, 1.0]], {"model": "poincare", "curvature": 0.5}, "Row 0.*expected less than 1"),
        ([[1e4, 0.0]], {}, "Row 0 of X lies 1e.04 .*expected at most 350: scale X down"),
        ([[1.0]], {"curvature": 0.0}, "curvature must be a positive number c.*got 0.0"),
        ([[1.0]], {"curvature": -1.0}, "got -1.0"),
        ([[1.0]], {"curvature": np.inf}, "got inf"),
        ([[1.0]], {"curvature": np.nan}, "got nan"),
        ([[1.0]], {"model": "klein"}, "model must be one of 'tangent', 'lorentz', 'poincare'; got 'klein'"),
        ([[np.nan]], {}, "NaN"),
        ([1.0, 2.0], {}, "Expected 2D array"),
    ],
)
def test_invalid_points(X, arguments, message):
    with pytest.raises(ValueError, match=message):
        hyperbolic_distances(X, **arguments)


def test_invalid_curvature_type():
    with pytest.raises(TypeError, match="curvature must be an instance of"):
        hyperbolic_distances([[1.0]], curvature="1")


# --- delta ------------------------------------------------------------------------------------------------------------


def random_tree(n, seed=0):
    """Distances in a tree with integer lengths."""
    rng = np.random.default_rng(seed)
    graph = np.zeros((n, n))
    for node in range(1, n):
        graph[node, rng.integers(node)] = rng.integers(1, 9)
    return shortest_path(graph, directed=False)


def cycle(n):
    steps = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.minimum(steps, n - steps).astype(float)


def test_tree_has_delta_zero():
    D = random_tree(100)
    assert delta_hyperbolicity(D, metric="precomputed", random_state=0) == (0.0, 0.0)
    assert delta_hyperbolicity(D, metric="precomputed", n_samples=20, random_state=0) == (0.0, 0.0)


@pytest.mark.parametrize("n", [4, 40, 200])
def test_cycle_has_delta_of_a_quarter_of_its_length(n):
    # which is half its diameter
    assert delta_hyperbolicity(cycle(n), metric="precomputed", n_repeats=2) == (1.0, 0.0)


def slow_delta(D, base):
    def product(x, y):
        return (D[x, base] + D[y, base] - D[x, y]) / 2

    triples = itertools.product(range(len(D)), repeat=3)
    return 2 * max(min(product(x, z), product(z, y)) - product(x, y) for x, y, z in triples) / D.max()


@pytest.mark.parametrize("metric", ["euclidean", "cityblock", lambda a, b: np.abs(a - b).max()])
def test_delta_against_slow_reference(metric):
    X = tangents(n=34)
    order = np.random.RandomState(5).permutation(34)
    expected = slow_delta(pairwise_distances(X[order], metric=metric), base=0)
    assert delta_hyperbolicity(X, metric=metric, n_repeats=1, random_state=5).mean == pytest.approx(expected)


def test_delta_does_not_depend_on_scale_or_precomputing():
    X = tangents(n=60)
    delta = delta_hyperbolicity(X, n_samples=30, random_state=0)
    assert delta == pytest.approx(delta_hyperbolicity(1e6 * X, n_samples=30, random_state=0))
    D = pairwise_distances(X)
    assert delta == pytest.approx(delta_hyperbolicity(D, metric="precomputed", n_samples=30, random_state=0))
    assert delta == pytest.approx(delta_hyperbolicity(X.astype(np.float32), n_samples=30, random_state=0), rel=1e-3)
    assert 0 < delta.mean < 1 and delta.std > 0


def test_hyperbolic_space_is_closer_to_a_tree_than_flat_space():
    X = 8 * tangents(n=200, d=2)
    D = hyperbolic_distances(X)
    hyperbolic = delta_hyperbolicity(D, metric="precomputed", random_state=0).mean
    assert hyperbolic < 0.2 * delta_hyperbolicity(X, random_state=0).mean


@pytest.mark.parametrize(
    "X, arguments, message",
    [
        (np.eye(3), {}, "X has 3 points, expected at least 4"),
        (np.ones((5, 2)), {}, "All points of a subsample coincide"),
        (np.ones((5, 4)), {"metric": "precomputed"}, r"square matrix of distances; got X of shape \(5, 4\)"),
        (-cycle(5), {"metric": "precomputed"}, "at least 0; got -2"),
        (np.triu(cycle(5)), {"metric": "precomputed"}, "symmetric matrix; got one that differs by 2"),
        (np.eye(5), {"n_samples": 3}, "n_samples == 3, must be >= 4"),
        (np.eye(5), {"n_repeats": 0}, "n_repeats == 0, must be >= 1"),
        (np.full((5, 2), np.nan), {}, "NaN"),
        (np.eye(5), {"metric": lambda a, b: np.nan}, "the distances contains NaN"),
    ],
)
def test_invalid_delta(X, arguments, message):
    with pytest.raises(ValueError, match=message):
        delta_hyperbolicity(X, **arguments)


# --- accuracy ---------------------------------------------------------------------------------------------------------


def test_hierarchical_accuracy():
    y_true, y_pred = [0, 0, 1, 2, 3], [0, 1, 2, 2, 0]
    levels = {"pairs": np.array([0, 0, 1, 1]), "all": ["one"] * 4}
    assert hierarchical_accuracy(y_true, y_pred, levels) == {"leaf": 0.4, "pairs": 0.6, "all": 1.0}
    names = np.array(["a", "b", "c", "d"])
    levels = {"pairs": {"a": 0, "b": 0, "c": 1, "d": 1}}
    assert hierarchical_accuracy(names[y_true], names[y_pred], levels) == {"leaf": 0.4, "pairs": 0.6}


def test_coarser_levels_are_never_less_accurate():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(12, size=(2, 300))
    fine, coarse = np.arange(12) // 2, np.arange(12) // 6
    accuracies = list(hierarchical_accuracy(y_true, y_pred, {"fine": fine, "coarse": coarse}).values())
    assert accuracies == sorted(accuracies)


def test_hierarchical_accuracy_of_aid(data_home):
    aid = load_aid(data_home=data_home)
    y = np.arange(30)
    levels = {"level3": aid.level3, "level2": aid.level2}
    assert hierarchical_accuracy(y, y, levels) == {"leaf": 1.0, "level3": 1.0, "level2": 1.0}


@pytest.mark.parametrize(
    "y_true, y_pred, levels, error, message",
    [
        ([0, 1], [0, 2], {"top": [0, 0]}, ValueError, r"levels\['top'\] has no group for the classes 2"),
        ([0, -1], [0, 1], {"top": [0, 0]}, ValueError, "no group for the classes -1"),
        (["a"], ["b"], {"top": {"a": 0}}, ValueError, "no group for the classes 'b'"),
        (["a"], ["a"], {"top": [0]}, ValueError, "no group for the classes 'a'.*integers from 0"),
        ([0, 1], [0], {}, ValueError, "inconsistent numbers of samples"),
        ([0], [0], {"leaf": [0]}, ValueError, 'levels has one named "leaf"'),
        ([0], [0], [[0]], TypeError, "levels must be a dict.*got list"),
    ],
)
def test_invalid_levels(y_true, y_pred, levels, error, message):
    with pytest.raises(error, match=message):
        hierarchical_accuracy(y_true, y_pred, levels)
