"""Active learners across libraries: scikit-activeml's conventions, modAL's contract, its strategies in our curve."""

import pickle
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import skorch
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_blobs
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_geoal import DDALQueryStrategy, LANDClassifier, interop
from sklearn_geoal.interop import ModALQueryStrategy
from sklearn_geoal.model_selection import label_efficiency_curve
from sklearn_geoal.preprocessing import ValidRows

pytest.importorskip("skactiveml", reason="needs scikit-activeml, of the extra al")

from skactiveml import pool
from skactiveml.classifier import ParzenWindowClassifier, SklearnClassifier
from skactiveml.exceptions import MappingError

from sklearn_geoal.interop import PoolLearner, SkactivemlQueryStrategy

NAMES = np.array(["bog", "forest", "lake"])
LINEAR = LogisticRegression()


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(90, centers=3, cluster_std=1.5, random_state=0)


@pytest.fixture
def partly(blobs):
    X, y = blobs
    return X, np.where(np.arange(90) < 6, y, np.nan)


class NoisyLAND(LANDClassifier):
    """A learner whose queries are random, to see what its seed does."""

    def query(self, n_queries=1, candidates=None):
        return np.random.RandomState(self.random_state).permutation(candidates)[:n_queries]


def strategy(**params):
    return SkactivemlQueryStrategy(LANDClassifier(random_state=0), **params)


# our learners as scikit-activeml's strategies


@pytest.mark.parametrize("learner", [LANDClassifier(random_state=0), DDALQueryStrategy(LINEAR)])
def test_queries_are_those_of_the_learner(partly, learner):
    X, y = partly
    ours = SkactivemlQueryStrategy(learner, random_state=0).query(X, y, batch_size=9)
    np.testing.assert_array_equal(ours, clone(learner).fit(X, y).query(9))


@pytest.mark.parametrize(
    "missing_label, label", [(np.nan, float), (-1, int), (None, object), (None, NAMES), ("?", NAMES)]
)
def test_markers_and_labels_do_not_change_the_queries(blobs, partly, missing_label, label):
    X, y = blobs
    expected = strategy().query(*partly, batch_size=5)
    y = label[y].astype(object) if label is NAMES else y.astype(label)
    y[6:] = missing_label
    y = y.astype(str) if missing_label == "?" else y
    np.testing.assert_array_equal(strategy(missing_label=missing_label).query(X, y, batch_size=5), expected)


@pytest.mark.parametrize("learner", [LANDClassifier(missing_label=-1), make_pipeline(LANDClassifier())])
def test_the_learner_may_have_a_marker_of_its_own_and_be_a_pipeline(partly, learner):
    queries = SkactivemlQueryStrategy(learner, random_state=0).query(*partly, batch_size=5)
    plain = SkactivemlQueryStrategy(LANDClassifier(), random_state=0).query(*partly, batch_size=5)
    np.testing.assert_array_equal(queries, plain)


def test_utilities_are_the_scores_of_what_can_still_be_picked(partly):
    X, y = partly
    candidates = np.array([40, 7, 22, 63, 80])
    for allowed in (None, candidates):
        indices, utilities = strategy().query(X, y, allowed, batch_size=4, return_utilities=True)
        assert utilities.shape == (4, 90)
        open_ = np.isin(np.arange(90), candidates) if allowed is not None else np.isnan(y)
        scores = LANDClassifier(random_state=0).fit(X, y).query_scores_
        for index, row in zip(indices, utilities, strict=True):
            np.testing.assert_array_equal(~np.isnan(row), open_)
            np.testing.assert_array_equal(row[open_], scores[open_])
            open_[index] = False
    assert np.isin(indices, candidates).all()


@pytest.mark.parametrize("is_masked", [False, True])
def test_rows_that_are_not_valid_are_the_business_of_the_learner(partly, is_masked):
    X, y = partly
    gone = np.isin(np.arange(90), [3, 40, 41, 77])
    given = np.ma.masked_array(X, np.column_stack([gone, gone])) if is_masked else np.where(gone[:, None], np.nan, X)
    rows = ValidRows(LANDClassifier(random_state=0))
    indices, utilities = SkactivemlQueryStrategy(rows).query(given, y, batch_size=9, return_utilities=True)
    np.testing.assert_array_equal(indices, clone(rows).fit(given, y).query(9))
    np.testing.assert_array_equal(np.isnan(utilities[0]), gone | ~np.isnan(y))
    assert SkactivemlQueryStrategy(make_pipeline(rows)).query(given, y, candidates=[40, 50, 41]) == [50]
    with pytest.raises(ValueError, match="but only 1 .*candidates"):
        SkactivemlQueryStrategy(rows).query(given, y, candidates=[40, 50, 41], batch_size=2)
    with pytest.raises(ValueError, match=r"contains NaN(.|\n)*ValidRows"):
        strategy().query(given, y)


def test_a_mask_of_candidates_is_its_indices(partly):
    mask = np.isin(np.arange(90), [40, 7, 22, 63, 80])
    by_mask = strategy().query(*partly, candidates=mask, batch_size=3)
    np.testing.assert_array_equal(by_mask, strategy().query(*partly, candidates=np.flatnonzero(mask), batch_size=3))


def test_nothing_labelled_and_a_batch_beyond_the_candidates(partly):
    X, y = partly
    assert len(np.unique(strategy().query(X, np.full(90, np.nan), batch_size=5))) == 5
    with pytest.warns(UserWarning, match="larger than number of candidates"):
        assert sorted(strategy().query(X, y, [9, 8], batch_size=5)) == [8, 9]


def test_the_seed_reaches_a_learner_without_one(partly):
    seeds = [(None, 0), (None, 0), (None, 1), (5, 0), (5, 1)]
    draws = [
        SkactivemlQueryStrategy(NoisyLAND(random_state=own), random_state=seed).query(*partly, batch_size=8).tolist()
        for own, seed in seeds
    ]
    assert draws[0] == draws[1] != draws[2]
    assert draws[3] == draws[4] != draws[0]


def test_global_generator_of_numpy_is_left_alone(partly):
    X, y = partly
    before = np.random.get_state()  # noqa: NPY002
    SkactivemlQueryStrategy(LANDClassifier()).query(X, y)
    PoolLearner(LINEAR, pool.Badge()).fit(X, y).query(3)
    after = np.random.get_state()  # noqa: NPY002
    np.testing.assert_array_equal(before[1], after[1])
    assert before[2:] == after[2:]


def test_the_strategy_clones_pickles_and_leaves_its_learner_alone(partly):
    ours = strategy(random_state=0)
    queries = clone(pickle.loads(pickle.dumps(ours))).query(*partly, batch_size=3)
    np.testing.assert_array_equal(queries, ours.query(*partly, batch_size=3))
    assert not hasattr(ours.learner, "classes_")


def test_scikit_activeml_wraps_our_strategy(partly):
    wrapped = pool.SubSamplingWrapper(strategy(), max_candidates=10, random_state=0)
    assert np.isnan(partly[1][wrapped.query(*partly, batch_size=4)]).all()


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"candidates": np.zeros((3, 2))}, MappingError, "index array"),
        ({"candidates": [0, 50]}, ValueError, "must not contain labeled"),
        ({"candidates": [90]}, ValueError, "indices"),
        ({"candidates": np.arange(90) % 2}, ValueError, r"candidates=mask.astype\(bool\)"),
        ({"candidates": np.ones(89, dtype=bool)}, ValueError, r"mask of shape \(89,\), but X has 90 samples"),
        ({"y": np.zeros(90)}, ValueError, "nothing to ask for"),
        ({"y": np.zeros(9)}, ValueError, "inconsistent numbers of samples"),
        ({"batch_size": 0}, ValueError, "batch_size"),
    ],
)
@pytest.mark.filterwarnings("ignore:'batch_size=1' is larger")
def test_strategy_errors(partly, change, error, message):
    X, y = partly
    with pytest.raises(error, match=message):
        strategy().query(**{"X": X, "y": y, **change})
    with pytest.raises(TypeError, match="LogisticRegression has no method 'query'"):
        SkactivemlQueryStrategy(LogisticRegression()).query(X, y)


# our learners as modAL's strategies: modAL demands a skorch that is too old for this package, so that its
# ActiveLearner, whose contract with strategies is these attributes and the two values returned, is stood in for


@pytest.mark.parametrize("frame", [False, True])
@pytest.mark.parametrize("labels", [np.arange(3), NAMES, np.array([-1, 0, 1])])
def test_modal_queries_are_those_of_the_learner(blobs, frame, labels):
    X, y = blobs
    as_given = pd.DataFrame if frame else np.asarray
    active_learner = SimpleNamespace(
        X_training=as_given(X[:6]), y_training=labels[y[:6]], estimator=LogisticRegression()
    )
    modal_strategy = pickle.loads(pickle.dumps(ModALQueryStrategy(LANDClassifier(random_state=0))))
    indices, metric = modal_strategy(active_learner, as_given(X[6:]), n_instances=7)
    land = LANDClassifier(random_state=0).fit(X, np.where(np.arange(90) < 6, y, np.nan))
    np.testing.assert_array_equal(indices + 6, land.query(7))
    np.testing.assert_allclose(metric, land.query_scores_[indices + 6])


def test_modal_without_labels_and_with_a_small_pool(blobs):
    X, _ = blobs
    active_learner = SimpleNamespace(X_training=None, y_training=None, estimator=LogisticRegression())
    modal_strategy = ModALQueryStrategy(LANDClassifier(random_state=0))
    indices, metric = modal_strategy(active_learner, X)
    np.testing.assert_array_equal(indices, LANDClassifier(random_state=0).fit(X).query())
    assert metric.shape == (1,)
    with pytest.raises(ValueError, match="only 4 candidates"):
        modal_strategy(active_learner, X[:4], n_instances=5)


# scikit-activeml's strategies as our learners

FOREST = RandomForestClassifier(5)
STRATEGIES = [
    (LINEAR, pool.RandomSampling()),
    (LINEAR, pool.UncertaintySampling(method="least_confident")),
    (LINEAR, pool.UncertaintySampling(method="margin_sampling")),
    (LINEAR, pool.UncertaintySampling(method="entropy")),
    (LINEAR, pool.CoreSet()),
    (LINEAR, pool.Badge()),
    (LINEAR, pool.TypiClust()),
    (LINEAR, pool.ProbCover()),
    (LINEAR, pool.Falcun()),
    (LINEAR, pool.Clue(cluster_algo_dict={"random_state": 0})),
    (LINEAR, pool.DiscriminativeAL()),
    (LINEAR, pool.SubSamplingWrapper(pool.UncertaintySampling(), max_candidates=20)),
    (RidgeClassifier(), pool.CoreSet()),
    (FOREST, pool.QueryByCommittee()),
    (FOREST, pool.BatchBALD()),
    (ParzenWindowClassifier(), pool.ProbabilisticAL()),
    (SklearnClassifier(LINEAR), pool.UncertaintySampling()),
]


def pool_id(value):
    return type(value).__name__


@pytest.mark.parametrize("initial", [None, [0, 1, 2, 3]])
@pytest.mark.parametrize("estimator, strategy", STRATEGIES, ids=pool_id)
def test_strategies_run_in_a_curve_the_same_each_time(blobs, estimator, strategy, initial):
    X, y = blobs
    learner = PoolLearner(estimator, strategy, random_state=0)
    first, second = (
        label_efficiency_curve(learner, X, NAMES[y], [5, 14], batch_size=3, initial=initial) for _ in range(2)
    )
    assert len(np.unique(first.queries)) == 14
    np.testing.assert_array_equal(first.queries, second.queries)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert set(first.estimator.transduction_) <= set(NAMES)


@pytest.mark.parametrize("method", ["least_confident", "margin_sampling", "entropy"])
def test_uncertainty_is_that_of_the_classifier(partly, method):
    X, y = partly
    learner = PoolLearner(LogisticRegression(), pool.UncertaintySampling(method=method), random_state=0).fit(X, y)
    p = np.sort(LogisticRegression().fit(X[:6], y[:6].astype(int)).predict_proba(X), axis=1)
    certainty = {
        "least_confident": p[:, -1],
        "margin_sampling": p[:, -1] - p[:, -2],
        "entropy": (p * np.log(p)).sum(axis=1),
    }[method]
    np.testing.assert_array_equal(learner.query(5), 6 + np.argsort(certainty[6:])[:5])


def test_the_classifier_is_that_of_the_labelled_samples(blobs, partly):
    X, y = partly
    learner = PoolLearner(LogisticRegression(), pool.RandomSampling()).fit(X, y)
    alone = LogisticRegression().fit(X[:6], y[:6])
    np.testing.assert_array_equal(learner.predict(X), alone.predict(X))
    np.testing.assert_array_equal(learner.transduction_[6:], alone.predict(X[6:]))
    np.testing.assert_array_equal(learner.transduction_[:6], y[:6])


def test_teach_is_fit_with_the_fuller_y(blobs):
    X, y = blobs
    taught = PoolLearner(FOREST, pool.QueryByCommittee(), random_state=0).fit(X, np.where(np.arange(90) < 9, y, -1))
    taught.teach([40, 30, 3], y[[40, 30, 3]])
    known = np.isin(np.arange(90), [*range(9), 30, 40])
    fitted = clone(taught).fit(X, np.where(known, y, -1))
    np.testing.assert_array_equal(taught.transduction_, fitted.transduction_)
    np.testing.assert_array_equal(taught.query(6), fitted.query(6))


@pytest.mark.parametrize("strategy", [pool.UncertaintySampling(), pool.QueryByCommittee(), pool.DiscriminativeAL()])
def test_cold_start_draws_at_random_until_two_classes_are_known(blobs, strategy):
    X, _ = blobs
    learner = PoolLearner(FOREST, strategy, random_state=0).fit(X)
    with pytest.raises(NotFittedError, match="No label is known yet"):
        learner.predict(X)
    assert not hasattr(learner, "transduction_")
    start = learner.query(4, candidates=np.arange(10, 30))
    assert ((start >= 10) & (start < 30)).all() and len(np.unique(start)) == 4
    np.testing.assert_array_equal(learner.query(4, candidates=np.arange(10, 30)), start)
    other = PoolLearner(FOREST, strategy, random_state=1).fit(X).query(4, candidates=np.arange(10, 30))
    assert start.tolist() != other.tolist()
    learner.teach(start[:1], ["only"])
    assert learner.predict(X).tolist() == ["only"] * 90
    assert not np.isin(learner.query(5), start[:1]).any()
    assert learner.teach(start[1:2], ["other"]).estimator_.predict(X[:2]).dtype == np.int64


class ManyOutputs(ClassifierMixin, BaseEstimator):
    """As a network is: more outputs than classes are known, and `classes_` are those of y."""

    def fit(self, X, y):
        self.inner_ = LogisticRegression().fit(X, y)
        self.classes_ = np.unique(y)
        return self

    def predict_proba(self, X):
        outputs = np.full((len(X), 10), 0.05, dtype=np.float32)
        outputs[:, self.classes_] = self.inner_.predict_proba(X)
        return outputs


def test_outputs_without_a_known_class_are_left_out(partly):
    strategy = pool.UncertaintySampling(method="entropy")
    narrow, wide = (PoolLearner(e, strategy, random_state=0).fit(*partly) for e in (LINEAR, ManyOutputs()))
    np.testing.assert_array_equal(narrow.query(5), wide.query(5))
    np.testing.assert_array_equal(narrow.transduction_, wide.transduction_)


class TwoLayers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.last = torch.nn.Linear(2, 8), torch.nn.Linear(8, 5)

    def forward(self, X):
        return self.last(torch.relu(self.hidden(X)))


def hidden_layer(net, X):
    with torch.no_grad():
        return torch.relu(net.module_.hidden(torch.from_numpy(X))).numpy()


@pytest.mark.parametrize(
    "strategy",
    [pool.UncertaintySampling(), pool.Badge(), pool.ContrastiveAL(), pool.CoreSet(), pool.DropQuery()],
    ids=pool_id,
)
def test_a_network_of_skorch_with_outputs_to_spare(blobs, strategy):
    X, y = blobs
    net = skorch.NeuralNetClassifier(
        TwoLayers, criterion=torch.nn.CrossEntropyLoss, max_epochs=100, lr=0.1, train_split=None, verbose=0
    )
    learner = PoolLearner(net, strategy, representation=hidden_layer, random_state=0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        curve = label_efficiency_curve(learner, X.astype(np.float32), NAMES[y], [12, 40], initial=np.arange(12))
    assert len(np.unique(curve.queries)) == 40
    assert curve.scores[1] > 0.6  # of three classes; strategies that cluster draw from no seed of ours
    assert hidden_layer(curve.estimator.estimator_, X.astype(np.float32)).shape == (90, 8)


def weighted(estimator, X):
    """By the first coefficients, as a layer of the fitted classifier."""
    return X.reshape(len(X), -1) * np.abs(estimator.coef_).max(axis=0)


def test_representation_is_what_the_strategy_compares_by(partly):
    X, y = partly
    learner = PoolLearner(LINEAR, pool.CoreSet(), representation=weighted, random_state=0).fit(X, y)
    rows = weighted(learner.estimator_, X)
    expected = PoolLearner(LINEAR, pool.CoreSet(), random_state=0).fit(rows, y).query(7)
    np.testing.assert_array_equal(learner.query(7), expected)
    nothing_known = clone(learner).fit(X)
    assert len(np.unique(nothing_known.query(7))) == 7

    badge = PoolLearner(LINEAR, pool.Badge(), representation=weighted, random_state=0).fit(X, y)
    p = badge.estimator_.predict_proba(X)
    gradient_norms = np.linalg.norm(p - np.eye(3)[p.argmax(axis=1)], axis=1) * np.linalg.norm(rows, axis=1)
    assert badge.query()[0] == 6 + gradient_norms[6:].argmax()


def test_images_are_compared_as_rows(partly):
    X, _ = partly
    rows = np.hstack([X, X[::-1]])
    flat = PoolLearner(LINEAR, pool.CoreSet(), random_state=0).fit(rows)
    images = PoolLearner(LINEAR, pool.CoreSet(), random_state=0).fit(rows.reshape(90, 1, 2, 2))
    np.testing.assert_array_equal(flat.query(6), images.query(6))


def test_strategy_with_another_marker_and_in_a_pipeline(blobs):
    X, y = blobs
    marked = PoolLearner(LINEAR, pool.UncertaintySampling(missing_label=None), missing_label="?", random_state=0)
    plain = PoolLearner(LINEAR, pool.UncertaintySampling(), random_state=0)
    curves = [
        label_efficiency_curve(make_pipeline(StandardScaler(), learner), X, NAMES[y], [6, 15], initial=[0, 1, 2])
        for learner in (marked, plain)
    ]
    np.testing.assert_array_equal(curves[0].queries, curves[1].queries)


def test_pool_learner_pickles(partly):
    learner = PoolLearner(LINEAR, pool.UncertaintySampling(), representation=weighted, random_state=0).fit(*partly)
    copy = pickle.loads(pickle.dumps(learner))
    np.testing.assert_array_equal(copy.query(4), learner.query(4))
    np.testing.assert_array_equal(copy.transduction_, learner.transduction_)


def test_pool_learner_errors(partly):
    X, y = partly
    learner = PoolLearner(LINEAR, pool.RandomSampling())
    with pytest.raises(TypeError, match="GreedySamplingTarget is a strategy for regression"):
        PoolLearner(LINEAR, pool.GreedySamplingTarget()).fit(X, y)
    for no_strategy in (None, "margin", pool.CoreSet):
        with pytest.raises(TypeError, match="strategy must be a query strategy"):
            PoolLearner(LINEAR, no_strategy).fit(X, y)
    with pytest.raises(ValueError, match="y holds no known label"):
        learner.fit(X, np.full(90, np.nan))
    with pytest.raises(NotFittedError):
        clone(learner).query()
    learner.fit(X, y)
    with pytest.raises(ValueError, match="only 84 candidates"):
        learner.query(85)
    with pytest.raises(ValueError, match="one label for each index"):
        learner.teach([1, 2], [0])
    with pytest.raises(ValueError, match="2 features"):
        learner.predict(X[:, :1])


def test_pool_learner_does_not_ask_again_for_what_was_skipped(partly):
    X, y = partly
    learner = PoolLearner(LINEAR, pool.UncertaintySampling(), random_state=0).fit(X, y)
    expected = pickle.loads(pickle.dumps(learner)).teach([30], [1])
    learner.teach([20, 30, 40], [np.nan, 1, None])
    np.testing.assert_array_equal(learner.skipped_indices_, [20, 40])
    np.testing.assert_array_equal(learner.labeled_indices_, [*range(6), 30])
    np.testing.assert_array_equal(learner.transduction_, expected.transduction_)
    assert not np.isin(learner.query(81), [20, 40]).any()
    with pytest.raises(ValueError, match="only 81 candidates .* 7 are labelled and 2 skipped"):
        learner.query(82)


class Fails(LogisticRegression):
    """Whose training fails once there are 8 labels."""

    def fit(self, X, y):
        if len(y) == 8:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_what_fails_leaves_the_pool_learner_as_it_was(partly):
    X, y = partly
    learner = PoolLearner(Fails(), pool.UncertaintySampling(), random_state=0).fit(X, y)
    queries, predicted = learner.query(5), learner.predict(X)
    with pytest.raises(KeyboardInterrupt):
        learner.teach([10, 11, 12], [0, 1, None])
    with pytest.raises(KeyboardInterrupt):
        learner.fit(X[:50, :1], np.where(np.arange(50) < 8, np.arange(50) % 2, np.nan))
    np.testing.assert_array_equal(learner.query(5), queries)
    np.testing.assert_array_equal(learner.predict(X), predicted)
    assert len(learner.labeled_indices_) == 6 and not len(learner.skipped_indices_)


def test_parameters_of_the_pool_learner_set_after_fit_wait_for_the_next(partly):
    X, y = partly
    first = PoolLearner(LINEAR, pool.CoreSet(), random_state=0).fit(X, y)
    others = {
        "estimator": SklearnClassifier(FOREST),
        "strategy": pool.UncertaintySampling(),
        "representation": weighted,
        "missing_label": 1,
        "random_state": 3,
        "estimator__C": 1e-3,
    }
    assert others.keys() >= first.get_params(deep=False).keys()
    for name, value in others.items():
        expected, learner = (pickle.loads(pickle.dumps(first)) for _ in range(2))
        learner.set_params(**{name: value}).teach([20, 21], [0, 1])
        np.testing.assert_array_equal(learner.query(5), expected.teach([20, 21], [0, 1]).query(5))
        np.testing.assert_array_equal(learner.transduction_, expected.transduction_)


@parametrize_with_checks([PoolLearner(LogisticRegression(), pool.UncertaintySampling(), random_state=0)])
def test_estimator_checks(estimator, check):
    check(estimator)


# what is there without scikit-activeml


def test_without_scikit_activeml_its_side_says_what_to_install():
    code = """
import sys
sys.modules["skactiveml"] = None
from sklearn_geoal.interop import ModALQueryStrategy
for name in ("PoolLearner", "SkactivemlQueryStrategy"):
    try:
        exec(f"from sklearn_geoal.interop import {name}")
    except ImportError as error:
        print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.count("pip install sklearn_geoal[al]") == 2


def test_names():
    assert set(interop.__all__) <= set(dir(interop))
    assert all(getattr(interop, name).__name__ == name for name in interop.__all__)
    with pytest.raises(AttributeError, match="no attribute 'SkorchStrategy'"):
        _ = interop.SkorchStrategy
