"""Labels of new rows: those of their nearest points, whatever the search and the rows beside them."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

import sklearn_geoal
from sklearn_geoal import LANDClassifier
from sklearn_geoal._active import search as search_module
from sklearn_geoal._active.search import PointIndex, Voters
from sklearn_geoal.datasets import make_hyperspectral_scene


def scene(n_bands):
    """Fitted rows, their labels, and other rows."""
    X, y = make_hyperspectral_scene(4, (60, 60), n_bands, random_state=0, return_X_y=True)
    order = np.random.default_rng(0).permutation(len(X))
    return X[order[:2400]], y[order[:2400]], X[order[2400:]]


def noise(n_bands):
    """Rows of small integers, among which distances tie, with labels that do not depend on them."""
    rng = np.random.default_rng(0)
    X = rng.integers(4, size=(1200, n_bands)).astype(float)
    return X[:900], rng.integers(3, size=900), X[900:]


# data, the directions in which neighbours are searched, and whether by a tree
CASES = {
    "few bands": (scene(4), 12, True),
    "more than twelve": (scene(14), 12, True),
    "many bands": (scene(60), 12, True),
    "float32": (tuple(part.astype(np.float32) for part in scene(60)), 12, True),
    "noise": (noise(60), None, False),
}
each = pytest.mark.parametrize("data, n_directions, by_tree", CASES.values(), ids=CASES)


def fitted(X, y, every=15, **params):
    known = np.where(np.arange(len(X)) % every == 0, y, -1)
    return LANDClassifier(random_state=0, missing_label=-1, **params).fit(X, known)


def slow_proba(model, X_fit, X):
    """Means over the nearest rows, weighted by 1 / distance^2."""
    distances = cdist(X.astype(float), X_fit.astype(float))
    nearest = np.argsort(distances, axis=1, kind="stable")[:, : model.n_neighbors_]
    weights = 1 / np.take_along_axis(distances, nearest, axis=1) ** 2
    weights /= weights.sum(axis=1, keepdims=True)
    return np.einsum("qk,qkc->qc", weights, model.label_distribution_[nearest])


@each
def test_labels_are_those_of_the_nearest_points(data, n_directions, by_tree):
    X, y, new = data
    model = fitted(X, y)
    expected = slow_proba(model, X, new)
    assert np.mean(model.predict(new) == model.classes_[expected.argmax(axis=1)]) >= 0.995
    voters = model._voters()
    assert (voters.n_directions, voters.tree is not None) == (n_directions, by_tree)
    assert np.abs(model.predict_proba(new) - expected).mean() < 0.01


@each
def test_a_row_does_not_depend_on_the_rows_beside_it(data, n_directions, by_tree, monkeypatch):
    X, y, new = data
    model = fitted(X, y)
    new = np.concatenate([new[:300], X[:40], (new[:50] + new[50:100]) / 2])
    labels, p = model.predict(new), model.predict_proba(new)
    assert_array_equal(labels, model.classes_[p.argmax(axis=1)])
    order = np.random.default_rng(0).permutation(len(new))
    assert_array_equal(model.predict_proba(new[order]), p[order])
    assert_array_equal(np.concatenate([model.predict_proba(row[None]) for row in new]), p)
    assert_array_equal(np.concatenate([model.predict(row[None]) for row in new]), labels)
    assert_array_equal(model.predict_proba(np.asfortranarray(new)), p)
    for block in (7, 64, 129):
        monkeypatch.setattr(search_module, "_BLOCK", block)
        assert_array_equal(model.predict_proba(new), p)
        assert_array_equal(model.predict(new), labels)


@each
def test_samples_of_fit_get_their_transduction(data, n_directions, by_tree):
    X, y, _ = data
    model = fitted(X, y)
    assert_array_equal(model.predict(X), model.transduction_)
    assert_allclose(model.predict_proba(X), model.label_distribution_, atol=1e-6)


@pytest.mark.parametrize("n_features", [3, 40])
def test_few_points_are_searched_exactly(n_features, monkeypatch):
    monkeypatch.setattr(search_module, "_FEW_POINTS", 3000)
    X, y, new = scene(n_features)
    model = fitted(X, y)
    assert_allclose(model.predict_proba(new), slow_proba(model, X, new), atol=1e-6)


@pytest.mark.parametrize("n_features", [3, 20])
def test_the_slack_of_a_search_keeps_to_its_bound(n_features):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(3000, n_features)), rng.normal(size=(200, n_features))
    index = PointIndex.of(X, np.zeros((3000, 1), dtype=int))
    n_directions = None if n_features == 3 else 12
    voters = Voters(index, np.ones((3000, 1)), np.zeros(3000), index._tree(n_directions), n_directions, 0.5)
    coordinates = [index.project(rows, n_directions) for rows in (X, new)]
    distances = cdist(*coordinates[::-1])
    found = np.take_along_axis(distances, voters.near(new, 20), axis=1)
    assert (np.sort(found, axis=1) <= 1.5 * np.sort(distances, axis=1)[:, :20] + 1e-12).all()


def test_more_directions_where_the_first_do_not_do():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 20))  # the first twelve directions are no better than the others
    y = (X[:, :3].sum(axis=1) > 0).astype(int)
    model = fitted(X, y, every=2)
    voters = model._voters()
    assert voters.n_directions in (None, 24)
    new = rng.normal(size=(300, 20))
    exact = slow_proba(model, X, new).argmax(axis=1)
    assert np.mean(model.predict(new) == model.classes_[exact]) >= 0.99


def test_nothing_is_built_before_it_is_asked_for(monkeypatch):
    X, y, new = scene(30)
    expected = fitted(X, y)

    def fail(*args):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(PointIndex, "voters", fail)
        model = fitted(X, y)
        queries = model.query(5)
        model.teach(queries, y[queries])
    expected.predict(new)  # and what is built is renewed with the labels
    assert_array_equal(expected.teach(queries, y[queries]).predict_proba(new), model.predict_proba(new))


def test_threads_may_ask_at_once():
    X, y, new = scene(30)
    expected = fitted(X, y).predict_proba(new)
    for n_jobs in (1, 2):
        model = fitted(X, y, n_jobs=n_jobs)
        with ThreadPoolExecutor(8) as pool:
            for p in pool.map(model.predict_proba, [new] * 8):
                assert_array_equal(p, expected)


@each
def test_copies_predict_the_same_to_the_last_bit(data, n_directions, by_tree, tmp_path):
    X, y, new = data
    model = fitted(X, y)
    fresh = pickle.dumps(model)
    sklearn_geoal.save(model, tmp_path / "fresh.geoal")
    p = model.predict_proba(new)
    sklearn_geoal.save(model, tmp_path / "used.geoal")
    copies = [pickle.loads(fresh), pickle.loads(pickle.dumps(model))]
    copies += [sklearn_geoal.load(tmp_path / f"{name}.geoal") for name in ("fresh", "used")]
    for copy in copies:
        assert_array_equal(copy.predict_proba(new), p)
        assert_array_equal(copy.predict(new), model.predict(new))
