"""DDAL: the mathematics of the diffused labels, what is queried first, and the classifiers it works with."""

import pickle

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_blobs, make_moons
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_geoal import DDALQueryStrategy, NetClassifier
from sklearn_geoal._active.certainty import CRITERIA, certainty
from sklearn_geoal._active.diffusion import diffuse_labels
from sklearn_geoal._active.graph import kernel_weights, nearest_neighbors, random_walk
from sklearn_geoal._active.representation import representation
from sklearn_geoal._active.spectrum import leading_eigenpairs

ONE_VS_ALL = ("min_abs", "norm")


class DropoutNet(nn.Module):
    def __init__(self, n_outputs=4):
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(2, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Dropout(0.2), nn.Linear(20, 10))
        self.head = nn.Sequential(nn.ReLU(), nn.Linear(10, n_outputs))

    def forward(self, x):
        return self.head(self.hidden(x.float()))


class NetWithoutLinear(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(2))
        self.flatten = nn.Flatten()
        self.never_called = nn.Linear(2, 2)

    def forward(self, x):
        return self.flatten(x.float() * self.scale)


def skorch_classifier(module=DropoutNet, **params):
    training = {"criterion": nn.CrossEntropyLoss, "optimizer": torch.optim.Adam, "lr": 0.02, "max_epochs": 50}
    return NeuralNetClassifier(module, **training, train_split=None, verbose=0, **params)


def graph_of(X, n_neighbors=8):
    distances, indices = nearest_neighbors(X, n_neighbors, np.random.RandomState(0))
    return kernel_weights(distances, indices, "own")


def some_labels(y, n_labels, rng):
    """y with all but a few labels missing, at least one of each class kept."""
    kept = [rng.choice(np.flatnonzero(y == label)) for label in np.unique(y)]
    rest = np.setdiff1d(np.arange(len(y)), kept)
    kept = np.concatenate([kept, rng.choice(rest, n_labels - len(kept), replace=False)])
    partly = np.full(len(y), np.nan)
    partly[kept] = y[kept]
    return partly, kept


@pytest.fixture(autouse=True)
def seeded_torch():
    """The nets of skorch draw from torch's global generator."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def moons():
    return make_moons(300, noise=0.1, random_state=0)


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(200, n_features=3, centers=4, cluster_std=1.5, random_state=3)


# --- the diffusion and its criteria -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n_steps", [1, 4, 25])
@pytest.mark.parametrize("criterion", CRITERIA)
def test_certainty_agrees_with_the_diffusions_of_the_paper(blobs, rng, criterion, n_steps):
    X, y = blobs
    partly, labeled = some_labels(y, 10, rng)
    codes = np.where(np.isnan(partly), -1, partly).astype(int)
    W = graph_of(X)
    M = (W / W.sum(axis=1)[:, None]).toarray()

    is_class = codes[labeled, None] == np.arange(4)
    chi = np.zeros((len(X), 4)) if criterion in ONE_VS_ALL else np.full((len(X), 4), 1 / 4)
    known = np.where(is_class, 1.0, -1.0 if criterion in ONE_VS_ALL else 0.0)
    chi[labeled] = known
    for _ in range(n_steps):
        chi = M @ chi
        chi[labeled] = known
    if criterion in ONE_VS_ALL:
        assert np.abs(chi).max() <= 1
    else:
        np.testing.assert_allclose(chi.sum(axis=1), 1)
    two_largest = np.sort(chi, axis=1)[:, :-3:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = {
            "min_abs": np.abs(chi).min(axis=1),
            "norm": np.linalg.norm(chi, 3, axis=1) / 4 ** (1 / 3),
            "uncertainty": (chi.max(axis=1) - 1 / 4) / (1 - 1 / 4),
            "margin": two_largest[:, 0] - two_largest[:, 1],
            "entropy": 1 + np.where(chi > 0, chi * np.log(chi), 0).sum(axis=1) / np.log(4),
        }[criterion]

    u = diffuse_labels(random_walk(W), codes, 4, n_steps)
    np.testing.assert_allclose(certainty(u, criterion, norm_order=3), expected, atol=2e-6)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("n_classes", [1, 2, 5])
def test_certainty_is_one_at_labels_and_zero_where_none_arrives(criterion, n_classes):
    u = np.vstack([np.eye(n_classes), np.zeros(n_classes)]).astype(np.float32)
    np.testing.assert_allclose(certainty(u, criterion), [*np.ones(n_classes), 0], atol=1e-6)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_certainty_does_not_depend_on_the_order_of_the_classes(rng, criterion):
    u = rng.dirichlet(np.ones(6), size=50)[:, :5]
    np.testing.assert_allclose(certainty(u[:, ::-1], criterion), certainty(u, criterion), atol=1e-12)


def test_infinite_norm_is_the_limit_of_large_orders(rng):
    u = rng.dirichlet(np.ones(4), size=50)[:, :3]
    np.testing.assert_allclose(certainty(u, "norm", 2000), certainty(u, "norm", np.inf), rtol=1e-2)


def test_many_steps_on_two_clusters_give_the_sign_of_the_second_eigenvector():
    """Lemma 1 of the paper."""
    X, y = make_blobs([150, 100], centers=[[0, 0], [5.5, 0]], random_state=0)
    W = graph_of(X, 12)
    _, psi = leading_eigenpairs(W, 2, np.random.RandomState(0))
    codes = np.full(len(X), -1)
    codes[[np.flatnonzero(y == 0)[0], np.flatnonzero(y == 1)[0]]] = 0, 1
    u = diffuse_labels(random_walk(W), codes, 2, 3000)
    sign = np.sign(u[:, 0] - u[:, 1])
    assert abs(np.mean(sign * np.sign(psi[:, 1]))) > 0.98
    assert abs(np.mean(sign * np.where(y == 0, 1, -1))) > 0.98


# --- labels and queries -----------------------------------------------------------------------------------------------


def test_labelled_samples_keep_their_labels(blobs, rng):
    X, y = blobs
    partly, labeled = some_labels(y, 30, rng)
    wrong = labeled[:5]
    partly[wrong] = (y[wrong] + 1) % 4  # also where the neighbours disagree
    ddal = DDALQueryStrategy(LogisticRegression(), n_steps=50).fit(X, partly)
    np.testing.assert_array_equal(ddal.transduction_[labeled], partly[labeled])
    np.testing.assert_array_equal(ddal.label_distribution_[labeled], np.eye(4)[partly[labeled].astype(int)])
    np.testing.assert_array_equal(ddal.query_scores_[labeled], 0)
    assert not np.isin(ddal.query(170), labeled).any()


@pytest.mark.parametrize("batch_mode", ["sequential", "smallest"])
def test_samples_out_of_reach_have_no_magnitude_and_are_asked_for_first(batch_mode):
    X, y = make_blobs([80, 80, 40], centers=[[0, 0], [3, 0], [500, 0]], shuffle=False, random_state=0)
    partly = np.full(len(X), np.nan)
    partly[[0, 1, 80, 81]] = y[[0, 1, 80, 81]]
    ddal = DDALQueryStrategy(embedding="input", n_neighbors=8, n_steps=300, batch_mode=batch_mode, random_state=0).fit(
        X, partly
    )
    far = X[:, 0] > 250
    np.testing.assert_array_equal(ddal.query_scores_[far], 1)
    assert ddal.query_scores_[~far].max() < 1
    assert far[ddal.query(1)].all()
    if batch_mode == "sequential":
        assert far[ddal.query(10)].sum() < 10  # the first of them make the others reachable


@pytest.mark.parametrize("batch_mode", ["sequential", "smallest"])
@pytest.mark.parametrize("n_labels", [0, 20])
def test_permuted_samples_give_permuted_queries(moons, rng, batch_mode, n_labels):
    X, y = moons
    partly = None if n_labels == 0 else some_labels(y, n_labels, rng)[0]
    order = rng.permutation(len(X))
    ddal = DDALQueryStrategy(embedding="input", batch_mode=batch_mode, n_steps=5, random_state=0)
    queries = ddal.fit(X, partly).query(15)
    permuted = ddal.fit(X[order], None if partly is None else partly[order]).query(15)
    np.testing.assert_array_equal(order[permuted], queries)


def test_sequential_batches_are_spread_and_the_smallest_are_not(rng):
    X = rng.random((1500, 2))
    y = (X[:, 0] > 0.5).astype(int)
    partly, _ = some_labels(y, 40, rng)

    def nearest_other(batch_mode):
        picks = X[DDALQueryStrategy(embedding="input", batch_mode=batch_mode, random_state=0).fit(X, partly).query(20)]
        distances = np.linalg.norm(picks[:, None] - picks, axis=2) + 9 * np.eye(20)
        return distances.min(axis=1).mean()

    assert nearest_other("sequential") > 2 * nearest_other("smallest")


def test_only_candidates_are_asked_for(moons, rng):
    X, y = moons
    partly, labeled = some_labels(y, 10, rng)
    ddal = DDALQueryStrategy(LogisticRegression()).fit(X, partly)
    allowed = np.setdiff1d(rng.choice(300, 50, replace=False), labeled)
    mask = np.isin(np.arange(300), allowed)
    assert set(ddal.query(len(allowed), candidates=allowed)) == set(allowed)
    np.testing.assert_array_equal(ddal.query(7, candidates=mask), ddal.query(7, candidates=allowed))
    first = allowed[np.argmax(ddal.query_scores_[allowed])]
    assert ddal.query(1, candidates=mask) == first


def test_exploration_turns_into_refinement(rng):
    X = rng.random((1000, 2))
    y = (X[:, 0] > 0.5).astype(int)
    ddal = DDALQueryStrategy(embedding="input", n_steps=30, random_state=0).fit(X)
    to_boundary = []
    for _ in range(25):
        queries = ddal.query(4)
        to_boundary.append(np.abs(X[queries, 0] - 0.5).mean())
        ddal.teach(queries, y[queries])
    assert to_boundary[0] > 0.15  # as of points spread over the square, 0.25
    assert np.mean(to_boundary[-6:]) < to_boundary[0] / 2


# --- teaching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", [None, LogisticRegression()])
def test_teaching_equals_fitting_the_fuller_y(moons, rng, estimator):
    X, y = moons
    partly, _ = some_labels(y, 6, rng)
    taught = DDALQueryStrategy(estimator, random_state=0).fit(X, partly)
    queries = taught.query(8)
    taught.teach(queries, y[queries])
    fuller = partly.copy()
    fuller[queries] = y[queries]
    fitted = DDALQueryStrategy(estimator, random_state=0).fit(X, fuller)
    np.testing.assert_allclose(taught.predict_proba(X), fitted.predict_proba(X), atol=1e-5)
    if estimator is not None:  # a net sums its batches in another order
        np.testing.assert_array_equal(taught.query_scores_, fitted.query_scores_)


def test_graph_and_estimator_stay_until_training_is_due(moons):
    X, y = moons
    ddal = DDALQueryStrategy(LogisticRegression(), retrain_every=3).fit(X, np.where(np.arange(300) < 20, y, np.nan))
    first, walk = ddal.estimator_, ddal._walk
    for call in range(1, 7):
        queries = ddal.query(4)
        before = ddal.query_scores_
        ddal.teach(queries, y[queries])
        assert (ddal.query_scores_ != before).any()
        assert (ddal.estimator_ is first) == (call < 3)
    assert ddal._walk is not walk

    ddal = DDALQueryStrategy(LogisticRegression(), retrain_every=None).fit(X, np.where(np.arange(300) < 20, y, np.nan))
    last = ddal.estimator_
    for _ in range(5):
        queries = ddal.query(2)
        ddal.teach(queries, y[queries])
    assert ddal.estimator_ is last
    assert ddal.retrain().estimator_ is not last


def test_graph_is_built_once_where_the_estimator_has_no_part_in_it(moons):
    X, y = moons
    for embedding in ("input", PCA(1)):
        ddal = DDALQueryStrategy(LogisticRegression(), embedding=embedding).fit(X)
        walk = ddal._walk
        ddal.teach([0, 1, 2, 3, 4], y[:5])
        assert ddal._walk is walk
        assert ddal.fit(X)._walk is not walk


def test_classes_that_come_late(blobs):
    X, y = blobs
    names = np.array(["ash", "beech", "cedar", "elm"])[y]
    few = np.where((y == 1) & (np.arange(200) < 50), names, None)
    ddal = DDALQueryStrategy(LogisticRegression(), retrain_every=None).fit(X, few)
    assert set(ddal.predict(X)) == {"beech"}
    ddal.teach([np.flatnonzero(y == 3)[0]], ["elm"])  # the second class is trained on at once
    assert set(ddal.predict(X)) == {"beech", "elm"}
    ddal.teach([np.flatnonzero(y == 0)[0]], ["ash"])
    assert ddal.classes_.tolist() == ["ash", "beech", "elm"]
    np.testing.assert_array_equal(ddal.predict_proba(X)[:, 0], 0)  # known to the diffusion, not yet to the estimator
    assert "ash" in ddal.transduction_
    assert set(ddal.retrain().predict(X)) == {"ash", "beech", "elm"}


def test_label_that_is_replaced_can_end_a_class(moons):
    X, y = moons
    partly = np.where(np.arange(300) < 20, y, np.nan)
    partly[5] = 7
    ddal = DDALQueryStrategy(LogisticRegression(), retrain_every=None).fit(X, partly)
    ddal.teach([5], [y[5]])
    assert ddal.classes_.tolist() == [0, 1]
    assert set(ddal.predict(X)) <= {0, 1}
    np.testing.assert_allclose(ddal.predict_proba(X).sum(axis=1), 1)


@pytest.mark.parametrize("warm_start", [False, True])
def test_nothing_of_an_earlier_fit_is_left_after_one_without_labels(moons, warm_start):
    X, y = moons
    ddal = DDALQueryStrategy(LogisticRegression(), warm_start=warm_start).fit(X, y).fit(X)
    assert not hasattr(ddal, "transduction_") and not hasattr(ddal, "label_distribution_")
    with pytest.raises(NotFittedError, match="No label is known yet"):
        ddal.predict(X)


OTHER_VALUES = {
    "estimator": LinearSVC(),
    "embedding": "input",
    "layer": "head",
    "n_neighbors": 4,
    "kernel_scale": "own",
    "n_steps": 3,
    "criterion": "margin",
    "norm_order": 3,
    "batch_mode": "smallest",
    "retrain_every": None,
    "warm_start": True,
    "missing_label": 1,
    "n_jobs": 2,
    "random_state": 5,
    "verbose": 1,
    "estimator__C": 1e-3,
}


@pytest.mark.parametrize("params", [{}, {"criterion": "norm", "embedding": PCA(1), "n_steps": "auto"}])
def test_parameters_set_after_fit_wait_for_the_next(moons, params):
    X, y = moons
    partly = np.where(np.arange(300) < 20, y, np.nan)
    first = DDALQueryStrategy(LogisticRegression(), **params)
    assert OTHER_VALUES.keys() - {"estimator__C"} == DDALQueryStrategy().get_params().keys()
    others = {**OTHER_VALUES, "embedding__whiten": True} if "embedding" in params else OTHER_VALUES
    for name, value in others.items():
        expected, ddal = clone(first).fit(X, partly), clone(first).fit(X, partly).set_params(**{name: value})
        np.testing.assert_array_equal(ddal.query(20), expected.query(20))
        for indices in ([50, 51], [60]):
            ddal.teach(indices, y[indices])
            expected.teach(indices, y[indices])
        np.testing.assert_array_equal(ddal.query_scores_, expected.query_scores_, err_msg=name)
        np.testing.assert_array_equal(ddal.predict_proba(X), expected.predict_proba(X), err_msg=name)
        np.testing.assert_array_equal(ddal.retrain().query(20), expected.retrain().query(20))


class Interrupted(LogisticRegression):
    """Whose training the user stops once there are 25 labels."""

    def fit(self, X, y, sample_weight=None):
        super().fit(X, y)
        if len(y) == 25:
            self.coef_[:] = 0  # half-way
            raise KeyboardInterrupt
        return self


@pytest.mark.parametrize("warm_start", [False, True])
def test_interrupted_training_leaves_all_as_it_was(moons, warm_start):
    X, y = moons
    partly = np.where(np.arange(300) < 20, y, np.nan)
    ddal = DDALQueryStrategy(Interrupted(), warm_start=warm_start).fit(X, partly).teach([100], [None])
    expected = pickle.loads(pickle.dumps(ddal))
    for interrupt in (
        lambda: ddal.teach([*range(20, 25), 101], [*y[20:25], None]),
        lambda: ddal.fit(X[::-1, ::-1], np.where(np.arange(300) < 25, y, np.nan)),
    ):
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        np.testing.assert_array_equal(ddal.labeled_indices_, np.arange(20))
        np.testing.assert_array_equal(ddal.skipped_indices_, [100])
        np.testing.assert_array_equal(ddal.query_scores_, expected.query_scores_)
        np.testing.assert_array_equal(ddal.predict_proba(X), expected.predict_proba(X))
    queries = ddal.query(6)
    np.testing.assert_array_equal(queries, expected.query(6))
    ddal.teach(queries, y[queries])
    np.testing.assert_array_equal(ddal.query_scores_, expected.teach(queries, y[queries]).query_scores_)


def test_a_fit_that_is_refused_leaves_the_one_before(moons):
    X, y = moons
    ddal = DDALQueryStrategy(LogisticRegression()).fit(X, y)
    p = ddal.predict_proba(X)
    for params, bad_X, bad_y in [
        ({}, X[:, :1], np.full(300, np.nan)),
        ({}, X[:, :1], y[:-1]),
        ({"criterion": "doubt"}, X, y),
        ({"criterion": "auto", "estimator": NoRepresentation()}, X[:, :1], y),
    ]:
        with pytest.raises(ValueError):
            ddal.set_params(**params).fit(bad_X, bad_y)
        np.testing.assert_array_equal(ddal.predict_proba(X), p)


# --- what nobody can tell ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing, missing_label", [(None, "auto"), (np.nan, "auto"), (-1, "auto"), (-1, -1), (7, 7)])
def test_skipped_samples_have_no_label_and_are_not_asked_for_again(moons, missing, missing_label):
    X, y = moons
    partly = np.where(np.arange(300) < 20, y, np.nan if missing is None else missing)
    fitted = DDALQueryStrategy(LogisticRegression(), missing_label=missing_label).fit(X, partly)
    queries = fitted.query(5)
    labels = np.array(y[queries].tolist(), dtype=object)
    labels[[0, 3]] = missing
    expected = pickle.loads(pickle.dumps(fitted)).teach(queries[[1, 2, 4]], y[queries[[1, 2, 4]]])
    ddal = fitted.teach(queries, labels)
    skipped = np.sort(queries[[0, 3]])
    np.testing.assert_array_equal(ddal.skipped_indices_, skipped)
    np.testing.assert_array_equal(ddal.labeled_indices_, np.sort([*range(20), *queries[[1, 2, 4]]]))
    np.testing.assert_array_equal(ddal.query_scores_[skipped], 0)
    np.testing.assert_array_equal(ddal.transduction_, expected.transduction_)
    np.testing.assert_array_equal(ddal.predict_proba(X), expected.predict_proba(X))
    assert not np.isin(ddal.query(275), skipped).any()
    with pytest.raises(ValueError, match="only 275 candidates .* 23 are labelled and 2 skipped"):
        ddal.query(276)
    ddal.teach(skipped, y[skipped])
    assert len(ddal.skipped_indices_) == 0
    np.testing.assert_array_equal(ddal.query_scores_, expected.teach(skipped, y[skipped]).query_scores_)


def test_skipping_trains_nothing(moons):
    X, y = moons
    ddal = DDALQueryStrategy(LogisticRegression(), retrain_every=2).fit(X, np.where(np.arange(300) < 20, y, np.nan))
    first = ddal.estimator_
    for index in (50, 51, 52):
        ddal.teach([index], [None])
    assert ddal.teach([53], y[[53]]).estimator_ is first
    assert ddal.teach([54, 55], [y[54], None]).estimator_ is not first
    cold = DDALQueryStrategy(LogisticRegression()).fit(X).teach([0, 1], [None, None])
    assert not hasattr(cold, "estimator_") and not np.isin(cold.query(298), [0, 1]).any()


# --- jobs -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("embedding", ["input", "auto"])
def test_the_number_of_jobs_changes_nothing(moons, rng, embedding):
    X, y = moons
    partly, _ = some_labels(y, 20, rng)
    few = DDALQueryStrategy(LogisticRegression(), embedding=embedding).fit(X, partly)
    for n_jobs in (2, -1):
        many = DDALQueryStrategy(LogisticRegression(), embedding=embedding, n_jobs=n_jobs).fit(X, partly)
        np.testing.assert_array_equal(many.query_scores_, few.query_scores_)
        np.testing.assert_array_equal(many.query(30), few.query(30))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_goes_on_from_the_present_weights(moons):
    X, y = moons
    net = NetClassifier(max_epochs=5, random_state=0)
    ddal = DDALQueryStrategy(net, warm_start=True, random_state=0).fit(X, np.where(np.arange(300) < 20, y, np.nan))
    first = ddal.estimator_
    assert len(ddal.teach([40], y[[40]]).estimator_.history_) == 10
    assert len(first.history_) == 5  # left alone, as the training might have failed
    assert len(ddal.teach([41], [2]).estimator_.history_) == 5  # a new class needs a new net
    assert not net.warm_start

    pipeline = make_pipeline(StandardScaler(), MLPClassifier((5,), max_iter=3, random_state=0))
    ddal = DDALQueryStrategy(pipeline, warm_start=True).fit(X, np.where(np.arange(300) < 20, y, np.nan))
    ddal.teach([40], y[[40]])
    assert ddal.estimator_[-1].t_ == 20 * 3 + 21 * 3


# --- estimators and representations -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        None,
        skorch_classifier(),
        MLPClassifier((20, 10), solver="lbfgs", max_iter=500, random_state=0),
        LogisticRegression(),
        LinearSVC(),
        make_pipeline(StandardScaler(), MLPClassifier((20,), solver="lbfgs", max_iter=500, random_state=0)),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(StandardScaler(), skorch_classifier()),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
def test_classifiers_it_works_with(moons, estimator):
    X, y = moons
    names = np.array(["one", "two"])[y]
    ddal = DDALQueryStrategy(estimator, random_state=0).fit(X.astype(np.float32))
    for _ in range(5):
        queries = ddal.query(6)
        ddal.teach(queries, names[queries])
    assert np.mean(ddal.transduction_ == names) > 0.95
    assert ddal.score(X.astype(np.float32), names) > 0.8
    assert hasattr(ddal, "predict_proba") == (not isinstance(estimator, LinearSVC))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(ddal)).query(5), ddal.query(5))


def test_representation_of_torch_modules(moons):
    X = moons[0].astype(np.float32)
    net = skorch_classifier().fit(X, moons[1])
    module = net.module_.eval()
    with torch.no_grad():
        hidden = module.hidden(torch.from_numpy(X))
        np.testing.assert_array_equal(representation(net, X), hidden.relu().numpy())
        np.testing.assert_array_equal(representation(net, X, "head"), hidden.numpy())
        first = module.hidden[:4](torch.from_numpy(X))
        np.testing.assert_array_equal(representation(net, X, "hidden.4"), first.numpy())


def test_representation_within_nested_pipelines(moons):
    X, y = moons
    scaler, first = StandardScaler(), PCA(1)
    nested = make_pipeline(scaler, make_pipeline(first, LogisticRegression())).fit(X, y)
    np.testing.assert_array_equal(representation(nested, X), first.transform(scaler.transform(X)))


def test_representation_of_our_net(moons):
    X, y = moons
    net = NetClassifier(hidden_units=(12, 7), max_epochs=5, random_state=0).fit(X, y)
    Z = representation(net, X)
    head = [layer for layer in net.net_.module_.modules() if isinstance(layer, nn.Linear)][-1]
    logits = Z @ head.weight.detach().numpy().T + head.bias.detach().numpy()
    np.testing.assert_allclose(torch.softmax(torch.from_numpy(logits), 1).numpy(), net.predict_proba(X), atol=1e-6)


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
def test_representation_of_scikit_learns_network(blobs, activation):
    X, y = blobs
    mlp = MLPClassifier((6, 5), activation=activation, max_iter=500, random_state=0, solver="lbfgs").fit(X, y)
    Z = representation(mlp, X)
    assert Z.shape == (200, 5)
    logits = Z @ mlp.coefs_[-1] + mlp.intercepts_[-1]
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), mlp.predict_proba(X), atol=1e-9)


def test_representation_given_by_the_user(moons):
    X, y = moons
    partly = np.where(np.arange(300) < 20, y, np.nan)
    forest = RandomForestClassifier(10, random_state=0)
    ddal = DDALQueryStrategy(forest, embedding=lambda estimator, X: estimator.predict_proba(X)).fit(X, partly)
    np.testing.assert_array_equal(ddal.embedding_, ddal.estimator_.predict_proba(X))
    ddal = DDALQueryStrategy(forest, embedding=PCA(1)).fit(X, partly)
    np.testing.assert_allclose(ddal.embedding_, PCA(1).fit_transform(X))
    ddal = DDALQueryStrategy(forest, embedding="input").fit(X, partly)
    np.testing.assert_array_equal(ddal.embedding_, X)


def test_images_reach_an_estimator_that_takes_them(rng):
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 1, 8, 8)).astype(np.float32) + 2 * y[:, None, None, None]
    ddal = DDALQueryStrategy(NetClassifier(max_epochs=10, random_state=0), random_state=0).fit(X)
    queries = ddal.query(10)
    assert ddal.teach(queries, y[queries]).score(X, y) > 0.9


def test_net_with_more_outputs_than_known_classes(moons):
    X, y = moons
    partly = np.where(np.arange(300) < 20, y, np.nan)
    ddal = DDALQueryStrategy(skorch_classifier(module__n_outputs=10)).fit(X.astype(np.float32), partly)
    p = ddal.predict_proba(X.astype(np.float32))
    assert p.shape == (300, 2)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-5)


# --- what cannot be ---------------------------------------------------------------------------------------------------


class NoRepresentation(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = np.unique(y)
        return self


@pytest.mark.parametrize(
    "params, message",
    [
        ({"n_neighbors": 0}, "n_neighbors == 0, must be >= 1"),
        ({"kernel_scale": "global"}, "kernel_scale must be one of 'local', 'own'"),
        ({"n_steps": 0}, "n_steps == 0, must be >= 1"),
        ({"n_steps": "some"}, 'n_steps must be a positive integer or "auto"'),
        ({"criterion": "doubt"}, "criterion must be one of 'auto', 'min_abs', 'norm', 'uncertainty'.*; got 'doubt'"),
        ({"norm_order": 0.5}, "norm_order == 0.5, must be >= 1"),
        ({"batch_mode": "largest"}, "batch_mode must be one of"),
        ({"retrain_every": 0}, "retrain_every == 0, must be >= 1"),
        ({"embedding": "hidden"}, 'embedding must be "auto", "input", a transformer or a callable'),
        ({"embedding": np.zeros((300, 2))}, 'embedding must be "auto", "input", a transformer or a callable'),
        ({"estimator": NoRepresentation()}, "NoRepresentation is no network whose hidden representation"),
        ({"estimator": RandomForestClassifier(2), "warm_start": False}, "give embedding='input'"),
        ({"estimator": LogisticRegression(), "layer": "head"}, "layer='head' is for torch modules"),
        ({"estimator": skorch_classifier(), "layer": "tail"}, "layer='tail' is not in DropoutNet.*'hidden.4', 'head'"),
        (
            {"estimator": skorch_classifier(NetWithoutLinear)},
            "predicts without a call of never_called",
        ),
        ({"embedding": lambda estimator, X: X[1:]}, "inconsistent numbers of samples"),
        ({"embedding": lambda estimator, X: X * np.nan}, "embedding contains NaN"),
    ],
)
def test_bad_parameters(moons, params, message):
    X, y = moons
    X = X.astype(np.float32)
    with pytest.raises(ValueError, match=message):
        DDALQueryStrategy(**params).fit(X, np.where(np.arange(300) < 20, y, np.nan))


def test_warm_start_needs_an_estimator_that_knows_it(moons):
    X, y = moons
    ddal = DDALQueryStrategy(LinearSVC(), warm_start=True).fit(X, np.where(np.arange(300) < 20, y, np.nan))
    with pytest.raises(ValueError, match="LinearSVC has no parameter warm_start"):
        ddal.teach([30], [0])


def test_bad_queries_and_answers(moons):
    X, y = moons
    ddal = DDALQueryStrategy(LogisticRegression())
    for call in (lambda: ddal.query(), lambda: ddal.teach([0], [0]), lambda: ddal.retrain(), lambda: ddal.predict(X)):
        with pytest.raises(NotFittedError):
            call()
    ddal.fit(X)
    with pytest.raises(NotFittedError, match="No label is known yet"):
        ddal.predict(X)
    ddal.teach([0, 1, 2, 3], y[:4])
    with pytest.raises(ValueError, match="n_queries=297, but only 296 candidates"):
        ddal.query(297)
    with pytest.raises(ValueError, match="only 0 candidates"):
        ddal.query(candidates=[0, 1])
    with pytest.raises(IndexError, match="from 0 to 299"):
        ddal.teach([300], [0])
    with pytest.raises(ValueError, match="all strings or all numbers"):
        ddal.teach([10], ["one"])
    with pytest.raises(ValueError, match="holds no known label"):
        ddal.fit(X, np.full(300, np.nan))


def test_more_neighbours_than_samples_are_clipped(moons):
    X, y = moons
    ddal = DDALQueryStrategy(LogisticRegression(), n_neighbors=50).fit(X[:10], y[:10])
    assert ddal.n_neighbors_ == 9


def test_steps_of_the_paper(rng):
    ddal = DDALQueryStrategy(n_steps="auto", n_neighbors=10).fit(rng.random((2000, 2)))
    assert ddal.n_steps_ == 3  # log10(2000) = 3.3


@pytest.mark.parametrize("factor", [1e-30, 1e30])
def test_units_do_not_matter(moons, rng, factor):
    X, y = moons
    partly, _ = some_labels(y, 20, rng)
    queries = DDALQueryStrategy(embedding="input").fit(X, partly).query(10)
    np.testing.assert_array_equal(DDALQueryStrategy(embedding="input").fit(factor * X, partly).query(10), queries)


PICKS = [
    ({}, [[80, 170, 91, 149, 37], [166, 155, 278, 131, 227, 292, 125, 20, 167, 114], [112, 288, 243, 72, 157]]),
    (
        {"kernel_scale": "own", "n_steps": "auto", "batch_mode": "smallest"},
        [[80, 25, 226, 236, 21], [248, 189, 110, 299, 170, 113, 123, 56, 201, 278], [251, 11, 122, 119, 39]],
    ),
    (
        {"criterion": "entropy"},
        [[80, 170, 91, 149, 37], [166, 159, 228, 227, 216, 191, 160, 28, 112, 9], [131, 157, 72, 85, 243]],
    ),
]


@pytest.mark.parametrize("params, batches", PICKS, ids=lambda value: None)
def test_picks_stay_the_same(params, batches):
    X, y = make_moons(300, noise=0.15, random_state=0)
    ddal = DDALQueryStrategy(LogisticRegression(), embedding="input", **params).fit(X)
    for queries in batches:
        np.testing.assert_array_equal(ddal.query(len(queries)), queries)
        ddal.teach(queries, y[queries])


def test_duplicated_rows_and_constant_data(rng):
    X = np.repeat(rng.normal(size=(20, 3)), 10, axis=0)
    for data in (X, np.ones((50, 3))):
        y = np.full(len(data), np.nan)
        y[::41] = np.arange(len(y[::41])) % 3
        ddal = DDALQueryStrategy(random_state=0).fit(data, y)
        assert np.isfinite(ddal.query_scores_).all()
        assert len(set(ddal.query(15))) == 15
