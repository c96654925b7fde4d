"""LANDClassifier: what query, teach and predict promise, the algorithm of the paper, and input of every kind."""

import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.datasets import make_blobs, make_moons
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsTransformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from sklearn_geoal import LANDClassifier, VAETransformer
from sklearn_geoal._active import graph as graph_module
from sklearn_geoal._active.coverage import coverage_gain, coverage_order, owned_mass
from sklearn_geoal._active.diffusion import diffuse_labels
from sklearn_geoal._active.forest import DensityForest
from sklearn_geoal.model_selection import LabeledStratifiedKFold, label_efficiency_curve

PAPER = {"kernel_scale": "global", "propagation": "forest", "query_score": "density", "refine": False}
VARIANTS = [
    {},
    {"refine": False},
    {"propagation": "forest"},
    {"query_score": "mass"},
    {"query_score": "density", "n_steps": 3},
    PAPER,
]
variants = pytest.mark.parametrize("params", VARIANTS, ids=lambda params: "-".join(map(str, params.values())))


def land(**params):
    return LANDClassifier(random_state=0, **params)


@pytest.fixture(scope="module")
def blobs():
    """Three overlapping clusters: X, y."""
    return make_blobs(240, n_features=3, centers=3, cluster_std=2.0, random_state=0)


@pytest.fixture(scope="module")
def partly(blobs):
    """The same with 8 known labels of 3 classes: X, y of floats and NaN."""
    X, y = blobs
    known = np.concatenate([np.flatnonzero(y == c)[:3] for c in range(3)])[:-1]
    partly = np.full(len(y), np.nan)
    partly[known] = y[known]
    return X, partly


@pytest.fixture(scope="module")
def islands():
    """Four clusters so far from each other that no edge of the graph joins them: X, y."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 80)
    return 1e3 * np.eye(4)[y] + rng.normal(size=(320, 4)), y


def labeled_as(model):
    """What depends on labels, and nothing else."""
    names = ("classes_", "transduction_", "label_distribution_", "query_scores_", "exploring_")
    return {name: getattr(model, name) for name in names}


def assert_same(first, second):
    for name, value in labeled_as(first).items():
        assert_array_equal(value, getattr(second, name), err_msg=name)
    assert first.classes_.dtype.kind == second.classes_.dtype.kind
    assert_array_equal(first.query(15), second.query(15))


# query


@variants
def test_queries_start_from_nothing_and_are_never_repeated(blobs, params):
    X, y = blobs
    model, asked = land(**params).fit(X), []
    for n_queries in (1, 4, 10, 25, 200):
        queries = model.query(n_queries)
        assert queries.shape == (n_queries,) and queries.dtype.kind == "i"
        asked.extend(queries.tolist())
        model.teach(queries, y[queries])
    assert sorted(asked) == list(range(240))
    assert_array_equal(model.transduction_, y)
    assert_array_equal(model.query_scores_, 0)
    with pytest.raises(ValueError, match="n_queries=1, but only 0 candidates"):
        model.query()


@variants
def test_queries_come_best_first(partly, params):
    X, y = partly
    for model in (land(**params).fit(X), land(**params).fit(X, y)):
        queries = model.query(30)
        for n_queries in (1, 2, 11):
            assert_array_equal(model.query(n_queries), queries[:n_queries])
        assert model.query_scores_.shape == (240,) and model.query_scores_.min() >= 0
        assert model.query_scores_[queries[0]] == model.query_scores_.max()
    assert_array_equal(model.query_scores_[~np.isnan(y)], 0)


@variants
def test_queries_stay_among_the_candidates(partly, params):
    X, y = partly
    model = land(**params).fit(X, y)
    mask = np.arange(240) % 7 == 3
    open_ = np.flatnonzero(mask & np.isnan(y))
    indices = np.flatnonzero(mask)
    for candidates in (mask, indices, indices[::-1].tolist(), np.tile(indices, 2)):
        assert_array_equal(model.query(5, candidates=candidates), model.query(5, candidates=mask))
        assert_array_equal(np.sort(model.query(len(open_), candidates=candidates)), open_)
        with pytest.raises(ValueError, match=f"only {len(open_)} candidates .* 8 are labelled and 0 skipped"):
            model.query(len(open_) + 1, candidates=candidates)
    assert_array_equal(model.query(5, candidates=np.ones(240, dtype=bool)), model.query(5))


def test_bad_queries(partly):
    X, y = partly
    model = land().fit(X, y)
    labeled = np.flatnonzero(~np.isnan(y))
    for candidates, error, message in [
        (np.ones(239, dtype=bool), ValueError, r"mask of shape \(239,\), but X has 240 samples"),
        ([0, 240], IndexError, "indices from 0 to 239; got some from 0 to 240"),
        ([-1, 3], IndexError, "got some from -1 to 3"),
        ([0.5, 1.0], ValueError, "one-dimensional array of integer indices"),
        ([[0, 1]], ValueError, "one-dimensional array of integer indices"),
        (np.arange(240) % 2, ValueError, r"among \[0, 1\], expected a boolean mask .* candidates=mask.astype\(bool\)"),
        (np.arange(240, dtype=np.uint8) // 200 * 255, ValueError, r"among \[0, 255\], expected a boolean mask"),
        (np.ones(240, dtype=int).tolist(), ValueError, r"among \[1\], expected a boolean mask"),
        (labeled, ValueError, "only 0 candidates"),
        ([], ValueError, "only 0 candidates"),
    ]:
        with pytest.raises(error, match=message):
            model.query(candidates=candidates)
    for n_queries, error in [(0, ValueError), (-3, ValueError), (1.0, TypeError), ("all", TypeError)]:
        with pytest.raises(error, match="n_queries"):
            model.query(n_queries)
    with pytest.raises(NotFittedError):
        land().query()


def test_two_samples_have_no_mask_of_integers():
    model = land().fit([[0.0], [1.0]])
    assert set(model.query(2, candidates=[0, 1])) == {0, 1}


@variants
def test_queries_follow_a_permutation_of_the_samples(partly, params):
    X, y = partly
    order = np.random.default_rng(1).permutation(240)
    first, second = land(**params).fit(X, y), land(**params).fit(X[order], y[order])
    assert_array_equal(order[second.query(15)], first.query(15))
    assert_array_equal(second.transduction_, first.transduction_[order])


@pytest.mark.parametrize("score", ["mass", "density"])
def test_exploring_queries_are_ranked_by_their_score(blobs, score):
    X, y = blobs
    model = land(query_score=score, refine=False).fit(X)
    parent, rho = slow_forest(model.diffusion_map_, model.density_)
    weight = model.density_ if score == "density" else slow_mass(parent)
    assert_allclose(model.query_scores_, weight * rho, rtol=1e-6)
    ranking = np.argsort(-weight * rho)
    assert_array_equal(model.query(240), ranking)
    model.teach(ranking[:20], y[ranking[:20]])
    assert_array_equal(model.query(220), ranking[20:])


@pytest.mark.parametrize("params", [{}, {"query_score": "mass"}, {"propagation": "forest"}])
def test_each_blob_is_asked_for_once_and_then_refined(params):
    centers = np.array([[0, 0], [5, 0], [10, 0], [0, 5], [5, 5], [10, 5]])
    X, y = make_blobs(900, centers=centers, cluster_std=0.4, random_state=0)
    model = land(**params).fit(X)
    queries = model.query(6)
    assert_array_equal(np.sort(y[queries]), np.arange(6))
    assert model.exploring_
    assert_array_equal(model.teach(queries, y[queries]).transduction_, y)
    explored = []
    for _ in range(5):
        queries = model.query(10)
        explored.append(model.teach(queries, y[queries]).exploring_)
        assert_array_equal(model.transduction_, y)
    assert not all(explored)


def test_without_refinement_queries_always_explore(blobs):
    X, y = blobs
    model = land(refine=False).fit(X, y)
    assert not model.exploring_  # nothing left to ask for
    partly = np.where(np.arange(240) < 239, y, -1)
    assert land(refine=False).fit(X, partly).exploring_


def test_refining_queries_are_the_least_decided(blobs):
    X, y = blobs
    asked = land().fit(X).query(60)
    model = land(n_steps=200).fit(X).teach(asked, y[asked])
    assert not model.exploring_
    ranked = np.sort(model.label_distribution_, axis=1)
    margin = ranked[:, -1] - ranked[:, -2]
    margin[asked] = np.inf
    # all labels are within 200 steps: the distribution is hardly rescaled
    assert margin[model.query()[0]] <= margin.min() + 0.01


def test_refining_queries_keep_away_from_the_exploring_ones_of_their_batch(islands):
    X, y = islands
    known = np.flatnonzero(y < 3)[::10]
    model = land(min_gain=0.5).fit(X).teach(known, y[known])
    explore, refine = model.query(2)
    assert y[explore] == 3
    labels = np.append(known, explore)
    codes = np.full(320, -1)
    codes[labels] = y[labels]
    u = diffuse_labels(model._walk, codes, 4, model.n_steps)
    # each island holds one class: its margin is the mass that has come; a label asked for counts like a known one
    mass = u.max(axis=1)
    mass[labels] = np.inf
    assert mass[refine] <= mass.min() + 1e-5


def test_one_class_only_keeps_exploring(blobs):
    X, _ = blobs
    model = land().fit(X)
    for _ in range(3):
        queries = model.query(20)
        model.teach(queries, np.zeros(20, dtype=int))
        assert model.exploring_
    assert_array_equal(model.transduction_, 0)


def test_owned_mass_counts_all_points_once():
    #     0 - 1 - 2 - 3, and 4 below 1
    forest = DensityForest(np.arange(5), np.array([0, 0, 1, 2, 1]), np.ones(5))
    assert_array_equal(owned_mass(forest, np.array([0])), [5])
    assert_array_equal(owned_mass(forest, np.array([2, 0])), [2, 3])
    assert_array_equal(owned_mass(forest, np.array([1, 0, 3])), [3, 1, 1])


def slow_coverage_order(Y, sites, modes, weights, labeled, n_select, min_gain):
    """All gains anew before each choice, ties to the first."""
    D = cdist(Y[sites], Y[modes])
    uncovered = cdist(Y[labeled], Y[modes]).min(axis=0) if len(labeled) else np.full(len(modes), D.max())
    chosen = []
    while len(chosen) < n_select:
        gains = coverage_gain(uncovered, D, weights)
        gains[chosen] = -1
        best = gains.argmax()
        if gains[best] / (weights.dot(uncovered) or 1) < min_gain:
            break
        chosen.append(best)
        uncovered = np.minimum(uncovered, D[best])
    return sites[chosen]


@pytest.mark.parametrize("n_labeled", [0, 1, 7])
@pytest.mark.parametrize("min_gain", [0.0, 0.05])
@pytest.mark.parametrize("places", ["random", "duplicates", "grid", "one"])
def test_coverage_order_is_that_of_all_gains_anew(places, min_gain, n_labeled):
    rng = np.random.default_rng(0)
    Y = {
        "random": rng.normal(size=(150, 3)),
        "duplicates": np.repeat(rng.normal(size=(30, 3)), 5, axis=0),
        "grid": np.stack(np.divmod(np.arange(150), 15), axis=1).astype(float),  # many gains are equal
        "one": np.ones((150, 2)),
    }[places]
    sites, modes = rng.permutation(150)[:100], rng.permutation(150)[:40]
    weights = rng.integers(1, 4, 40).astype(float)
    labeled = rng.permutation(150)[:n_labeled]
    chosen, gains = coverage_order(Y, sites, modes, weights, labeled, 100, min_gain)
    assert_array_equal(chosen, slow_coverage_order(Y, sites, modes, weights, labeled, 100, min_gain))
    assert gains.shape == (100,) and gains.min() >= 0 and gains.max() <= 1
    assert len(chosen) == 100 or min_gain > 0
    for n_select in (1, 13):
        fewer = coverage_order(Y, sites, modes, weights, labeled, n_select, min_gain)[0]
        assert_array_equal(fewer, chosen[:n_select])


# teach


@variants
def test_teach_is_fit_on_the_fuller_y(blobs, partly, params):
    X, y = blobs
    _, some = partly
    indices = np.flatnonzero(np.isnan(some))[:40]
    fuller = some.copy()
    fuller[indices] = y[indices]
    expected = land(**params).fit(X, fuller)
    assert_same(land(**params).fit(X, some).teach(indices, y[indices]), expected)
    known = np.flatnonzero(~np.isnan(fuller))
    assert_same(land(**params).fit(X).teach(known, fuller[known]), expected)


@variants
def test_the_order_of_teaching_does_not_matter(blobs, params):
    X, y = blobs
    indices = np.random.default_rng(0).choice(240, 30, replace=False)
    expected = land(**params).fit(X).teach(indices, y[indices])
    model = land(**params).fit(X)
    for part in np.array_split(indices[::-1], 7):
        assert model.teach(part, y[part]) is model
    assert_same(model, expected)


def test_a_label_that_is_taught_again_is_replaced(blobs):
    X, y = blobs
    indices = np.arange(0, 240, 8)
    expected = land().fit(X).teach(indices, y[indices])
    model = land().fit(X).teach(indices[5:], np.full(25, 7)).teach(indices, y[indices])
    assert_same(model, expected)  # and class 7 is forgotten
    model.teach(indices[:1], [y[indices[0]]])
    assert_same(model, expected)


def test_teaching_nothing_changes_nothing(blobs, partly):
    X, _ = blobs
    model = land().fit(X).teach([], [])
    assert len(model.classes_) == 0 and not hasattr(model, "transduction_")
    assert_same(land().fit(*partly).teach([], []), land().fit(*partly))


def test_new_classes_are_welcome(blobs):
    X, y = blobs
    names = np.array(["clay", "grass", "old grass"])[y]
    model = land().fit(X)
    for c in np.unique(names):
        indices = np.flatnonzero(names == c)[:5]
        model.teach(indices, names[indices])
        assert_array_equal(model.transduction_[indices], c)
        assert_array_equal(model.classes_, [known for known in np.unique(names) if known <= c])
        assert model.label_distribution_.shape == (240, len(model.classes_))
    assert np.mean(model.transduction_ == names) > 0.7


@pytest.mark.parametrize(
    "indices, labels, error, message",
    [
        ([0, 240], [0, 1], IndexError, "indices from 0 to 239; got some from 0 to 240"),
        ([-1], [0], IndexError, "got some from -1 to -1"),
        ([0.0], [0], ValueError, "indices must be a one-dimensional array of integer indices"),
        (3, [0], ValueError, "indices must be a one-dimensional array"),
        ([3, 4, 3], [0, 1, 0], ValueError, "each index once"),
        ([3, 4], [0], ValueError, "got 2 indices, 1 labels"),
        ([3, 4], [None, "a"], ValueError, "all strings or all numbers"),
        ([3, 4], ["a", "b"], ValueError, "all strings or all numbers"),
        ([3, 4], [0, np.inf], ValueError, "infinity"),
        ([3, 4], [0.5, 1.5], ValueError, "continuous"),
    ],
)
def test_bad_lessons_leave_the_model_as_it_was(partly, indices, labels, error, message):
    model, expected = land().fit(*partly), land().fit(*partly)
    with pytest.raises(error, match=message):
        model.teach(indices, labels)
    assert_same(model, expected)


def test_teach_before_fit():
    with pytest.raises(NotFittedError):
        land().teach([0], [1])


# what nobody can tell


def assert_nothing_else_but_skipped(model, expected, skipped):
    """The model is the expected one but for what it does not ask for."""
    assert_array_equal(model.skipped_indices_, skipped)
    for name in ("labeled_indices_", "classes_", "transduction_", "label_distribution_"):
        assert_array_equal(getattr(model, name), getattr(expected, name))
    assert_array_equal(model.query_scores_[skipped], 0)
    assert not np.isin(model.query(100), skipped).any()


@variants
def test_skipped_samples_have_no_label_and_are_not_asked_for_again(blobs, partly, params):
    X, y = partly
    model = land(**params).fit(X, y)
    queries = model.query(6)
    labels = blobs[1][queries].astype(float)
    labels[[1, 4]] = np.nan
    model.teach(queries, labels)
    answered = ~np.isnan(labels)
    expected = land(**params).fit(X, y).teach(queries[answered], labels[answered])
    assert_nothing_else_but_skipped(model, expected, np.sort(queries[~answered]))
    open_ = np.isnan(y)
    open_[queries] = False
    assert_array_equal(np.sort(model.query(open_.sum())), np.flatnonzero(open_))
    with pytest.raises(ValueError, match="12 are labelled and 2 skipped: ask for fewer"):
        model.query(open_.sum() + 1)
    # a label that comes late counts as any other
    late = queries[~answered]
    assert_same(model.teach(late, blobs[1][late]), expected.teach(late, blobs[1][late]))
    assert len(model.skipped_indices_) == 0
    # and a fit forgets
    assert len(model.teach([0, 1, 2], [None] * 3).fit(X, y).skipped_indices_) == 0


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
@pytest.mark.parametrize("labels", [None, "partly", "integers"])
def test_none_nan_and_na_are_never_an_answer(blobs, partly, labels, missing):
    X, y = blobs
    given = {None: None, "partly": partly[1], "integers": np.where(np.isnan(partly[1]), -1, y)}[labels]
    model = land().fit(X, given).teach([50, 51, 60], [missing, 2, missing])
    expected = land().fit(X, given).teach([51], [2])
    assert_nothing_else_but_skipped(model, expected, [50, 60])
    if labels is not None:  # else the first to be given say what type labels have
        assert model.classes_.dtype == expected.classes_.dtype


@pytest.mark.parametrize(
    "classes, missing, missing_label",
    [
        ([0, 1, 2], -1, "auto"),
        ([0, 1, 2], -1, -1),
        ([0, 1, 2], 0, 0),
        (["bog", "fen", "lake"], "?", "?"),
        (["bog", "fen", "lake"], "fen", "fen"),
    ],
)
def test_the_marker_of_fit_is_no_answer(blobs, classes, missing, missing_label):
    X, y = blobs
    full = np.array(classes)[y]
    known = (np.arange(240) % 8 == 0) & (full != missing)
    y = np.where(known, full, missing)
    model = land(missing_label=missing_label).fit(X, y)
    first, second = np.flatnonzero(~known)[[0, 5]]
    label = np.setdiff1d(classes, [missing])[0]
    expected = land(missing_label=missing_label).fit(X, y).teach([second], [label])
    model.teach([first, second], np.array([missing, label]))
    assert_nothing_else_but_skipped(model, expected, [first])


def test_minus_one_is_no_answer_beside_other_integers_even_where_fit_saw_none(blobs):
    X, _ = blobs
    model = land().fit(X).teach([0, 1, 2], [-1, 5, 6])
    assert_array_equal(model.skipped_indices_, [0])
    assert_array_equal(model.teach([3], [-1]).classes_, [5, 6])
    assert_array_equal(model.skipped_indices_, [0, 3])
    # but it is a label where it is a class already, or where the marker says otherwise
    signs = np.where(np.arange(240) < 5, -1, np.where(np.arange(240) < 10, 1, np.nan))
    assert_array_equal(land().fit(X, signs).teach([20], [-1]).labeled_indices_, [*range(10), 20])
    assert_array_equal(land(missing_label=None).fit(X).teach([20, 21], [-1, 4]).classes_, [-1, 4])


def test_no_answer_takes_no_label_back(partly):
    X, y = partly
    labeled = np.flatnonzero(~np.isnan(y))
    model = land().fit(X, y)
    assert_array_equal(model.labeled_indices_, labeled)
    assert_same(model.teach(labeled[:2], [np.nan, np.nan]), land().fit(X, y))
    assert_array_equal(model.labeled_indices_, labeled)
    assert len(model.skipped_indices_) == 0


def test_all_can_be_skipped(blobs):
    X, _ = blobs
    model = land().fit(X).teach(np.arange(240), [None] * 240)
    assert_array_equal(model.query_scores_, 0)
    with pytest.raises(ValueError, match="only 0 candidates .* 0 are labelled and 240 skipped"):
        model.query()


# whole or not at all


class Interrupt(Exception):
    pass


@pytest.mark.parametrize("error", [Interrupt, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["_propagate", "_explore", "_fit_graph"])
def test_what_fails_leaves_the_model_as_it_was(blobs, partly, monkeypatch, where, error):
    X, y = blobs
    model, expected = land().fit(*partly).teach([50], [None]), land().fit(*partly).teach([50], [None])

    def fail(*args, **kwargs):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(LANDClassifier, where, fail)
        with pytest.raises(error):
            model.fit(X[:100, :2], np.where(np.arange(100) < 50, y[:100], -1))
        if where != "_fit_graph":
            with pytest.raises(error):
                model.teach([60, 61], [y[60], None])
    assert_same(model, expected)
    assert_array_equal(model.skipped_indices_, [50])
    assert_array_equal(model.predict(X), expected.predict(X))
    assert_same(model.teach([60], [y[60]]), expected.teach([60], [y[60]]))


def test_a_fit_that_is_refused_leaves_the_one_before(partly):
    X, y = partly
    model, expected = land().fit(X, y), land().fit(X, y)
    for bad_X, bad_y in [(X[:, :2], y[:-1]), (X[:, :2], np.full(240, np.nan)), (X[:, :1] * np.nan, y)]:
        with pytest.raises(ValueError):
            model.fit(bad_X, bad_y)
        assert_same(model, expected)
        assert_array_equal(model.predict(X), expected.predict(X))
    with pytest.raises(ValueError, match="n_eigenpairs"):
        model.set_params(n_eigenpairs=0).fit(X, y)
    assert_same(model, expected)


# parameters between fits

OTHER_VALUES = {
    "n_neighbors": 7,
    "metric": "precomputed",
    "kernel_scale": "global",
    "n_eigenpairs": 3,
    "diffusion_time": 2,
    "density_neighbors": 5,
    "propagation": "forest",
    "n_steps": 2,
    "query_score": "density",
    "refine": True,
    "min_gain": 0.9,
    "missing_label": 0,
    "n_jobs": 2,
    "random_state": 5,
    "verbose": 1,
}


@pytest.mark.parametrize("params", [{"refine": False}, {"propagation": "forest", "refine": False}])
def test_parameters_set_after_fit_wait_for_the_next(blobs, partly, params):
    X, y = blobs
    assert OTHER_VALUES.keys() == land().get_params().keys()
    fitted = pickle.dumps(land(**params).fit(*partly))
    for others in [{name: value} for name, value in OTHER_VALUES.items()] + [OTHER_VALUES]:
        expected, model = pickle.loads(fitted), pickle.loads(fitted).set_params(**others)
        assert_array_equal(model.query(40), expected.query(40))
        indices = np.array([50, 51, 52, 60])
        assert_same(model.teach(indices, y[indices]), expected.teach(indices, y[indices]))
        assert_array_equal(model.predict_proba(X + 0.1), expected.predict_proba(X + 0.1))


@variants
def test_the_number_of_jobs_changes_nothing(partly, params):
    X, y = partly
    expected = land(**params).fit(X, y)
    assert_same(land(n_jobs=2, **params).fit(X, y), expected)
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert_same(land(**params).fit(X, y), expected)
    assert_array_equal(land(n_jobs=-1, **params).fit(X, y).predict_proba(X + 1), expected.predict_proba(X + 1))


def test_as_many_threads_as_joblib_allows(partly, monkeypatch):
    X, y = partly
    asked = []

    class Tree(graph_module.cKDTree):
        def query(self, *args, workers=1, **kwargs):
            asked.append(workers)
            return super().query(*args, workers=workers, **kwargs)

    monkeypatch.setattr(graph_module, "cKDTree", Tree)
    for n_jobs, n_threads in [(None, 1), (1, 1), (3, 3), (-1, joblib.cpu_count())]:
        asked.clear()
        land(n_jobs=n_jobs).fit(X, y)
        assert len(asked) >= 2 and set(asked) == {n_threads}
    with joblib.parallel_config(backend="threading", n_jobs=2):
        asked.clear()
        land().fit(X, y)
    assert set(asked) == {2}


# picks that must not change

PICKS = [
    ({}, [[37, 223, 126, 89, 212, 195], [148, 167, 62, 128, 120, 122, 210, 34, 175, 160]], [136, 139, 127, 93, 109]),
    (
        {"refine": False},
        [[37, 223, 126, 89, 212, 195], [148, 167, 62, 128, 120, 122, 210, 34, 217, 149]],
        [178, 179, 65, 17, 96],
    ),
    (
        {"propagation": "forest"},
        [[73, 25, 126, 167, 58, 95], [146, 106, 22, 166, 151, 0, 76, 165, 203, 237]],
        [92, 134, 43, 108, 91],
    ),
    (PAPER, [[73, 25, 126, 146, 34, 106], [167, 197, 6, 199, 166, 212, 69, 50, 138, 52]], [40, 8, 189, 108, 96]),
]


@pytest.mark.parametrize("params, first, last", PICKS, ids=lambda value: None)
def test_picks_stay_the_same(blobs, params, first, last):
    X, y = blobs
    model = land(**params).fit(X)
    for queries in first:
        assert_array_equal(model.query(len(queries)), queries)
        model.teach(queries, y[queries])
    queries = model.query(10)
    model.teach(queries, y[queries])
    assert_array_equal(model.query(214)[-5:], last)


# kinds of labels


@pytest.mark.parametrize(
    "names, missing, missing_label",
    [
        ([0, 1, 2], -1, "auto"),
        ([0, 1, 2], np.nan, "auto"),
        ([-3, 10, 500], -1, -1),
        (["clay", "grass", "water"], None, "auto"),
        (["clay", "grass", "water"], "unknown", "unknown"),
        ([1, 2, 3], 0, 0),
        ([True, False], None, "auto"),
        ([-1, 1], np.nan, "auto"),
        ([-1, 1], 0, 0),
    ],
)
def test_labels_keep_their_type(blobs, names, missing, missing_label):
    X, y = blobs
    dtype = object if missing is None else None
    full = np.array(names)[y % len(names)]
    y = np.array([name if i % 9 == 0 else missing for i, name in enumerate(full.tolist())], dtype=dtype)
    model = land(missing_label=missing_label).fit(X, y)
    assert_array_equal(model.classes_, np.unique(names))
    assert_array_equal(model.transduction_[::9], full[::9])
    assert model.predict(X).dtype == model.transduction_.dtype == model.classes_.dtype
    assert set(model.predict(X)) <= set(names)
    rest = np.setdiff1d(np.arange(240), np.arange(0, 240, 9))
    assert_array_equal(model.teach(rest, full[rest]).transduction_, full)
    assert_array_equal(model.classes_, np.unique(names))


def test_plus_and_minus_one_are_classes_with_a_warning(blobs):
    X, y = blobs
    with pytest.warns(UserWarning, match="missing_label=-1"):
        model = land().fit(X, np.where(y == 0, -1, 1))
    assert_array_equal(model.classes_, [-1, 1])
    with pytest.warns(UserWarning, match="missing_label=-1"):
        assert_array_equal(land().fit(X).teach([0, 1, 2], [-1, 1, -1]).classes_, [-1, 1])


def test_one_label_is_everyones(blobs):
    X, _ = blobs
    for params in VARIANTS:
        model = land(**params).fit(X).teach([5], ["sand"])
        assert_array_equal(model.transduction_, "sand")
        assert_array_equal(model.label_distribution_, 1)
        assert_allclose(model.predict_proba(X + 0.1), 1)


def test_no_label_at_all(blobs):
    X, y = blobs
    model = land().fit(X)
    assert model.exploring_ and len(model.classes_) == 0
    assert not hasattr(model, "transduction_") and not hasattr(model, "label_distribution_")
    for verb in (model.predict, model.predict_proba):
        with pytest.raises(NotFittedError, match="No label is known yet"):
            verb(X)
    for missing in (np.full(240, np.nan), np.full(240, -1), np.full(240, None)):
        with pytest.raises(ValueError, match="y holds no known label"):
            land().fit(X, missing)
    with pytest.raises(NotFittedError):
        land().predict(X)
    # labels of an earlier fit are forgotten
    assert not hasattr(land().fit(X, y).fit(X), "transduction_")


# prediction


@variants
def test_probabilities(partly, params):
    X, y = partly
    model = land(**params).fit(X, y)
    new = np.concatenate([X, X + 0.3, 1e6 * X[:3], np.zeros((1, 3))])
    for p in (model.label_distribution_, model.predict_proba(new)):
        assert p.min() >= 0
        assert_allclose(p.sum(axis=1), 1, atol=1e-5)
    assert_array_equal(model.classes_[model.label_distribution_.argmax(axis=1)], model.transduction_)
    assert_array_equal(model.classes_[model.predict_proba(new).argmax(axis=1)], model.predict(new))
    known = ~np.isnan(y)
    assert_array_equal(model.transduction_[known], y[known])
    assert_array_equal(model.label_distribution_[known].max(axis=1), 1)


@variants
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_of_fit_get_their_transduction(partly, params, dtype):
    X, y = partly
    X = X.astype(dtype)
    model = land(**params).fit(X, y)
    assert_array_equal(model.predict(X), model.transduction_)
    assert_allclose(model.predict_proba(X), model.label_distribution_, atol=1e-6)
    assert_array_equal(model.predict(X[:1]), model.transduction_[:1])


def test_probabilities_of_new_samples_are_those_of_neighbors(partly):
    X, y = partly
    model = land(n_neighbors=6).fit(X, y)
    new = X[:40] + 0.5
    distances = cdist(new, X)
    for i in range(40):
        nearest = np.argsort(distances[i])[:6]
        weights = 1 / distances[i, nearest] ** 2
        expected = weights @ model.label_distribution_[nearest] / weights.sum()
        assert_allclose(model.predict_proba(new)[i], expected, atol=1e-6)


def test_moons_are_told_apart_by_few_labels():
    X, y = make_moons(600, noise=0.06, random_state=0)
    new, y_new = make_moons(300, noise=0.06, random_state=1)
    model = land().fit(X)
    queries = model.query(10)
    model.teach(queries, y[queries])
    assert np.mean(model.transduction_ == y) >= 0.98
    assert model.score(new, y_new) >= 0.98


# the algorithm of the paper


def slow_forest(Y, density):
    """Nearest sample of higher density in diffusion distance, and that distance."""
    distances = cdist(Y, Y)
    higher = density > density[:, None]
    root = density.argmax()
    masked = np.where(higher, distances, np.inf)
    parent, rho = masked.argmin(axis=1), masked.min(axis=1)
    parent[root], rho[root] = root, distances[root].max()
    return parent, rho


def slow_mass(parent):
    mass = np.zeros(len(parent))
    for point in range(len(parent)):
        mass[point] += 1
        while parent[point] != point:
            point = parent[point]
            mass[point] += 1
    return mass


@pytest.mark.parametrize("budget", [1, 5, 40])
def test_learning_by_active_nonlinear_diffusion(blobs, budget):
    X, truth = blobs
    model = land(**PAPER).fit(X)
    p, D = model.density_, cdist(model.diffusion_map_, model.diffusion_map_)
    _, rho = slow_forest(model.diffusion_map_, p)
    queries = np.argsort(-p * rho)[:budget]
    Y = {i: truth[i] for i in queries.tolist()}
    for i in np.argsort(-p).tolist():
        if i not in Y:
            Y[i] = Y[min((z for z in Y if p[z] > p[i]), key=D[i].__getitem__)]
    assert_array_equal(model.query(budget), queries)
    model.teach(queries, truth[queries])
    assert_array_equal(model.transduction_, [Y[i] for i in range(240)])
    assert_array_equal(model.label_distribution_.max(axis=1), 1)


def test_forest_labels_of_random_samples_come_from_ancestors(blobs):
    X, y = blobs
    indices = np.random.default_rng(0).choice(240, 15, replace=False)
    model = land(propagation="forest").fit(X).teach(indices, y[indices])
    parent, _ = slow_forest(model.diffusion_map_, model.density_)
    D = cdist(model.diffusion_map_, model.diffusion_map_)
    expected = np.empty(240)
    for i in range(240):
        source = i
        while source not in indices and parent[source] != source:
            source = parent[source]
        # no label on the way up: the nearest one there is
        expected[i] = y[source if source in indices else indices[D[i, indices].argmin()]]
    assert_array_equal(model.transduction_, expected)


# the graph


@variants
def test_labels_do_not_cross_between_components(islands, params):
    X, y = islands
    model = land(**params).fit(X)
    assert connected_components(model._walk.P)[0] == 4
    queries = np.array([3, 90, 200, 310])  # anywhere in each
    model.teach(queries, y[queries])
    assert_array_equal(model.transduction_, y)
    assert_array_equal(model.predict(X + 0.01), y)


@variants
def test_components_without_a_label_are_labelled_and_asked_for(islands, params):
    X, y = islands
    model = land(**params).fit(X)
    queries = model.query(4)
    assert_array_equal(np.sort(y[queries]), np.arange(4))
    labels = y[queries[:2]]
    model.teach(queries[:2], labels)
    known = np.isin(y, labels)
    assert_array_equal(model.transduction_[known], y[known])
    assert set(model.transduction_[~known]) <= set(labels)
    assert model.exploring_
    assert_array_equal(np.sort(y[model.query(2)]), np.sort(y[queries[2:]]))


@pytest.mark.filterwarnings("ignore:Precomputed sparse input was not sorted")
def test_precomputed_neighbors_give_the_same(partly):
    X, y = partly
    knn = KNeighborsTransformer(n_neighbors=50, mode="distance").fit(X)
    graph = knn.transform(X)
    expected, model = land().fit(X, y), land(metric="precomputed").fit(graph, y)
    assert_allclose(model.density_, expected.density_)
    assert_allclose(model.eigenvalues_, expected.eigenvalues_, atol=1e-10)
    assert_allclose(model.diffusion_map_, expected.diffusion_map_, atol=1e-6)
    assert_array_equal(model.transduction_, expected.transduction_)
    assert_array_equal(model.query(20), expected.query(20))
    new = X[::3] + 0.2
    assert_allclose(model.predict_proba(knn.transform(new)), expected.predict_proba(new), atol=1e-6)
    assert_array_equal(model.predict(graph), model.transduction_)
    for other in (sp.csr_array(graph), graph.tocoo(), graph.tocsc(), graph.astype(np.float32)):
        again = land(metric="precomputed").fit(other, y)
        assert_array_equal(again.transduction_, expected.transduction_)


def test_neighbors_before_in_a_pipeline(partly):
    X, y = partly
    pipeline = make_pipeline(KNeighborsTransformer(n_neighbors=50, mode="distance"), land(metric="precomputed"))
    assert_array_equal(pipeline.fit(X, y).predict(X), land().fit(X, y).predict(X))


def test_graphs_that_are_refused(blobs):
    X, _ = blobs
    graph = KNeighborsTransformer(n_neighbors=20, mode="distance").fit_transform(X)
    for bad, message in [
        (graph.toarray(), "takes a sparse matrix of distances to neighbours, got a dense one"),
        (graph[:100], r"must be square, got shape \(100, 240\)"),
        (KNeighborsTransformer(n_neighbors=5, mode="distance").fit_transform(X), "n_neighbors=20, but row"),
        (-graph, "must not be negative"),
        (graph * np.nan, "NaN"),
    ]:
        with pytest.raises(ValueError, match=message):
            land(metric="precomputed").fit(bad)
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        land().fit(graph)


@pytest.mark.parametrize("params", [{}, {"n_neighbors": 10**6, "density_neighbors": 10**6, "n_eigenpairs": 10**6}])
@pytest.mark.parametrize("n_samples", [2, 3, 10])
def test_fewer_samples_than_neighbors(n_samples, params):
    X = np.random.default_rng(0).normal(size=(n_samples, 2))
    model = land(**params).fit(X)
    assert model.n_neighbors_ == n_samples - 1
    queries = model.query(n_samples)
    assert_array_equal(np.sort(queries), np.arange(n_samples))
    model.teach(queries, queries)
    assert_array_equal(model.predict(X), np.arange(n_samples))


def test_eigenpairs_of_the_fitted_graph(blobs):
    X, _ = blobs
    model = land(n_eigenpairs=7, diffusion_time=4).fit(X)
    assert model.eigenvalues_.shape == (7,) and model.diffusion_map_.shape == (240, 7)
    assert_allclose(model.eigenvalues_[0], 1)
    assert (np.diff(model.eigenvalues_) <= 0).all()
    longer = land(n_eigenpairs=7, diffusion_time=9).fit(X)
    assert_allclose(longer.diffusion_map_, model.diffusion_map_ * model.eigenvalues_**5, atol=1e-12)


# values of X


@variants
@pytest.mark.parametrize("exponent", [70, -900, 1000])
def test_a_power_of_two_changes_nothing(partly, params, exponent):
    X, y = partly
    if exponent == 1000:  # to both ends of the range of floats, where differences leave it
        exponent = 1023 - int(np.ceil(np.log2(np.abs(X - X.mean(axis=0)).max())))
        X = X - X.mean(axis=0)
    factor = 2.0**exponent
    expected, model = land(**params).fit(X, y), land(**params).fit(factor * X, y)
    assert_array_equal(model.diffusion_map_, expected.diffusion_map_)
    assert_same(model, expected)
    assert_array_equal(model.predict_proba(factor * (X / 2 + 0.1)), expected.predict_proba(X / 2 + 0.1))


def test_a_kernel_scale_is_in_units_of_distance(partly):
    X, y = partly
    expected = land(kernel_scale=1.5).fit(X, y)
    assert_same(land(kernel_scale=1.5 * 1024).fit(1024 * X, y), expected)
    assert np.any(land(kernel_scale=1.5).fit(1024 * X, y).diffusion_map_ != expected.diffusion_map_)


@variants
@pytest.mark.parametrize("factor, offset", [(1, 1e6), (1e150, 0), (1e300, 0), (1e-150, 0), (1e-300, 0), (1e-6, -1)])
def test_neither_units_nor_an_offset_matter(partly, params, factor, offset):
    X, y = partly
    expected, model = land(**params).fit(X, y), land(**params).fit(factor * X + offset, y)
    assert_allclose(model.diffusion_map_, expected.diffusion_map_, atol=1e-4)
    assert_array_equal(model.transduction_, expected.transduction_)
    assert_array_equal(model.query(8), expected.query(8))
    assert_array_equal(model.predict(factor * X + offset), model.transduction_)


@pytest.mark.parametrize("factor", [1, 1e30, 1e-30])
def test_single_precision(partly, factor):
    X, y = partly
    expected, model = land().fit(X, y), land().fit((factor * X).astype(np.float32), y)
    assert_allclose(model.diffusion_map_, expected.diffusion_map_, atol=1e-3)
    assert_array_equal(model.transduction_, expected.transduction_)
    assert_array_equal(model.predict((factor * X).astype(np.float32)), model.transduction_)


def test_read_only_strided_and_framed_input(partly):
    X, y = partly
    expected = land().fit(X, y)
    strided = np.repeat(X, 2, axis=1)[::-1, ::2][::-1]
    read_only = X.copy()
    read_only.flags.writeable = False
    frame = pd.DataFrame(X, columns=["red", "green", "blue"], index=np.arange(240)[::-1])
    for same in (strided, read_only, np.asfortranarray(X), X.tolist(), frame):
        model = land().fit(same, pd.Series(y, index=frame.index))
        # sums over another memory layout round differently
        assert_allclose(model.query_scores_, expected.query_scores_, atol=1e-12)
        assert_array_equal(model.query(10), expected.query(10))
        assert_array_equal(model.predict(same), expected.transduction_)
    assert_array_equal(model.feature_names_in_, frame.columns)


@variants
def test_duplicates_only(params):
    X = np.full((50, 3), 7.0)
    model = land(**params).fit(X)
    queries = model.query(5)
    assert len(set(queries.tolist())) == 5
    model.teach(queries, [0, 0, 1, 0, 0])
    assert np.isfinite(model.label_distribution_).all()
    assert_array_equal(model.transduction_[queries], [0, 0, 1, 0, 0])
    assert set(model.predict(X)) <= {0, 1}
    assert len(set(model.query(45).tolist()) | set(queries.tolist())) == 50


@variants
def test_many_duplicates_of_few_samples(params):
    X = np.repeat(10 * np.eye(4), 60, axis=0)
    y = np.repeat(np.arange(4), 60)
    model = land(**params).fit(X)
    queries = model.query(4)
    assert_array_equal(np.sort(y[queries]), np.arange(4))
    assert_array_equal(model.teach(queries, y[queries]).transduction_, y)
    assert_array_equal(model.predict(X), y)


def test_more_places_than_edges_reach():
    # each sample has more duplicates than neighbours: thousands of components
    X = np.repeat(np.random.default_rng(0).normal(size=(1600, 2)), 4, axis=0)
    model = land(n_neighbors=3).fit(X)
    queries = model.query(10)
    model.teach(queries, np.arange(10) % 2)
    assert_array_equal(model.predict(X), model.transduction_)
    assert_array_equal(model.transduction_[::4], model.transduction_[3::4])


def test_constant_features_do_not_matter(partly):
    X, y = partly
    wider = np.column_stack([X, np.full(240, 3.0), np.zeros(240)])
    expected, model = land().fit(X, y), land().fit(wider, y)
    assert_array_equal(model.transduction_, expected.transduction_)
    assert_array_equal(model.query(10), expected.query(10))


def test_outliers_under_a_global_scale(blobs):
    X, y = blobs
    X = np.concatenate([X, [[1e4, 0, 0], [0, -1e5, 0]]])
    for params in VARIANTS:
        model = land(**{**params, "kernel_scale": "global"}).fit(X)
        queries = model.query(12)
        model.teach(queries, np.append(y, [0, 1])[queries])
        assert np.isfinite(model.diffusion_map_).all() and np.isfinite(model.query_scores_).all()


def test_bad_X(blobs):
    X, y = blobs
    for value in (np.nan, np.inf):
        bad = X.copy()
        bad[4, 1] = value
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            land().fit(bad)
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            land().fit(X, y).predict(bad)
    for bad, message in [
        (X[:1], "minimum of 2"),
        (X[:0], "0 sample"),
        (X[0], "1D array"),
        (X[:, :0], "0 feature"),
        (X.reshape(24, 10, 3), "dim 3"),
    ]:
        with pytest.raises(ValueError, match=message):
            land().fit(bad)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        land().fit(X, y[:-1])
    with pytest.raises(ValueError, match="X has 2 features, but LANDClassifier is expecting 3"):
        land().fit(X, y).predict(X[:, :2])


@pytest.mark.parametrize(
    "params, error",
    [
        ({"n_neighbors": 0}, ValueError),
        ({"n_neighbors": 2.5}, TypeError),
        ({"n_eigenpairs": 0}, ValueError),
        ({"density_neighbors": "all"}, TypeError),
        ({"n_steps": 0}, ValueError),
        ({"diffusion_time": -1}, ValueError),
        ({"metric": "cosine"}, ValueError),
        ({"kernel_scale": "mean"}, ValueError),
        ({"kernel_scale": 0.0}, ValueError),
        ({"kernel_scale": np.nan}, ValueError),
        ({"diffusion_time": np.inf}, ValueError),
        ({"min_gain": np.nan}, ValueError),
        ({"kernel_scale": None}, ValueError),
        ({"propagation": "spread"}, ValueError),
        ({"query_score": "entropy"}, ValueError),
        ({"n_jobs": 1.5}, TypeError),
        ({"n_jobs": 0}, ValueError),
    ],
)
def test_bad_parameters(blobs, params, error):
    with pytest.raises(error, match=next(iter(params))):
        land(**params).fit(blobs[0])


# among the tools of scikit-learn


def test_pickle_joblib_and_clone(partly):
    X, y = partly
    model = land(n_neighbors=15).fit(X, y)
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    for copy in (pickle.loads(pickle.dumps(model)), joblib.load(file), clone(model).fit(X, y)):
        assert_same(copy, model)
        assert_array_equal(copy.predict_proba(X + 1), model.predict_proba(X + 1))
        assert_same(copy.teach([0, 1], [2, 0]), clone(model).fit(X, y).teach([0, 1], [2, 0]))


def test_verbose_says_what_it_does(blobs, capsys):
    land().fit(blobs[0])
    assert capsys.readouterr().out == ""
    land(verbose=1).fit(blobs[0])
    assert "[LANDClassifier]" in capsys.readouterr().out


@pytest.fixture(scope="module")
def pipeline():
    vae = VAETransformer(n_components=2, hidden_units=(16,), max_epochs=2, random_state=0)
    return make_pipeline(StandardScaler(), vae, land())


@pytest.mark.parametrize(
    "names, missing, n_jobs",
    [([0, 1, 2], -1, 2), ([0.0, 1.0, 2.0], np.nan, None), (["clay", "grass", "water"], None, None)],
)
def test_grid_search_on_a_partly_labelled_y(blobs, pipeline, names, missing, n_jobs):
    X, y = blobs
    full = np.array(names)[y]
    dtype = object if missing is None else None
    partly = np.array([label if i % 4 == 0 else missing for i, label in enumerate(full.tolist())], dtype=dtype)
    search = GridSearchCV(
        pipeline,
        {"landclassifier__n_neighbors": [5, 15], "vaetransformer__beta": [0.5, 1.0]},
        cv=LabeledStratifiedKFold(3),
        n_jobs=n_jobs,
        error_score="raise",
    ).fit(X, partly)
    assert search.cv_results_["mean_test_score"].min() > 0.4
    assert_array_equal(search.classes_, names)
    assert search.score(X, full) > 0.6


def test_label_efficiency_curve_of_the_pipeline(blobs, pipeline):
    X, y = blobs
    curve = label_efficiency_curve(pipeline, X, y, budgets=[3, 10, 240], batch_size=20)
    assert_array_equal(np.sort(curve.queries), np.arange(240))
    assert curve.scores[-1] == 1


# real data


def test_salinas_a(data_home):
    from sklearn_geoal.datasets import load_salinas_a

    X, y = load_salinas_a(return_X_y=True, data_home=data_home)
    known = y >= 0
    model = land().fit(Normalizer().fit_transform(X))
    queries = model.query(10, candidates=known)
    model.teach(queries, y[queries])
    assert np.mean(model.transduction_[known] == y[known]) >= 0.9


def test_one_eigenpair_holds_no_distances_but_still_works():
    X = np.random.default_rng(0).normal(size=(400, 3))
    model = land(n_eigenpairs=1).fit(X)
    assert_allclose(model.diffusion_map_, 1, rtol=1e-6)
    queries = model.query(3)
    assert set(model.teach(queries, [0, 1, 2]).predict(X)) <= {0, 1, 2}
