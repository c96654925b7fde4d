"""The score of every classifier of samples: the accuracy over those whose label is known."""

import numpy as np
import pytest
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_geoal import (
    DDALQueryStrategy,
    LANDClassifier,
    MixMatchClassifier,
    NetClassifier,
    SymmetricVAEClassifier,
)

NAMES = np.array(["bog", "fen", "lake"])


def pool_learner():
    interop = pytest.importorskip("sklearn_geoal.interop")
    strategy = pytest.importorskip("skactiveml.pool").RandomSampling()
    return interop.PoolLearner(LogisticRegression(), strategy, random_state=0)


CLASSIFIERS = {
    "LAND": lambda: LANDClassifier(random_state=0),
    "DDAL": lambda: DDALQueryStrategy(LogisticRegression(), random_state=0),
    "PoolLearner": pool_learner,
    "MixMatch": lambda: MixMatchClassifier(max_epochs=3, hidden_units=(8,), random_state=0),
    "SymmetricVAE": lambda: SymmetricVAEClassifier(max_epochs=3, random_state=0),
    "Net": lambda: NetClassifier(max_epochs=5, random_state=0),
    "pipeline": lambda: make_pipeline(StandardScaler(), LANDClassifier(random_state=0)),
}
each = pytest.mark.parametrize("make", CLASSIFIERS.values(), ids=CLASSIFIERS)


@pytest.fixture(scope="module")
def blobs():
    """Three overlapping clusters, a third of the labels known: X, y, known."""
    X, y = make_blobs(90, centers=3, cluster_std=3.0, random_state=0)
    return X, y, np.arange(90) % 3 == 1


def with_missing(y, known, marker):
    if marker is None:
        return np.where(known, NAMES[y].astype(object), None)
    return np.where(known, y, marker)


@pytest.mark.parametrize("marker", [np.nan, -1, None], ids=str)
@each
def test_score_counts_known_labels_only(blobs, make, marker):
    X, y, known = blobs
    labels = NAMES[y] if marker is None else y
    model, partly = make().fit(X, labels), with_missing(y, known, marker)
    predicted = model.predict(X)
    assert model.score(X, partly) == accuracy_score(labels[known], predicted[known])
    assert model.score(X, np.where(known, predicted, partly)) == 1
    assert model.score(X, partly.tolist()) == model.score(X, partly)
    # of a y that is fully known it is scikit-learn's
    assert model.score(X, labels) == accuracy_score(labels, predicted)
    with pytest.raises(ValueError, match="y holds no known label"):
        model.score(X, with_missing(y, np.zeros(90, dtype=bool), marker))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        model.score(X, partly[1:])


@pytest.mark.parametrize("make", list(CLASSIFIERS.values())[:-1], ids=list(CLASSIFIERS)[:-1])
def test_score_is_weighted(blobs, make):
    X, y, known = blobs
    weights = np.arange(90) ** 2.0
    model = make().fit(X, y)
    expected = accuracy_score(y[known], model.predict(X)[known], sample_weight=weights[known])
    assert model.score(X, with_missing(y, known, np.nan), sample_weight=weights) == expected


@pytest.mark.filterwarnings("ignore:y holds exactly the values -1 and 1:UserWarning")
@each
def test_minus_one_counts_where_it_is_a_class(blobs, make):
    X, y, known = blobs
    y = np.where(y == 0, -1, 1)
    model = make().fit(X, y)
    predicted = model.predict(X)
    assert model.score(X, y) == accuracy_score(y, predicted)
    only = y == -1
    assert model.score(X[only], y[only]) == accuracy_score(y[only], predicted[only])
    partly = with_missing(y, known, np.nan)
    assert model.score(X, partly) == accuracy_score(y[known], predicted[known])


@each
def test_minus_one_is_missing_where_it_is_none(blobs, make):
    X, y, known = blobs
    model = make().fit(X, y)
    # by chance the known labels of a fold are all of class 1
    partly = np.where(known & (y == 1), 1, -1)
    assert model.score(X, partly) == np.mean(model.predict(X)[partly == 1] == 1)


@pytest.mark.parametrize("make", [CLASSIFIERS["LAND"], CLASSIFIERS["MixMatch"]], ids=["LAND", "MixMatch"])
def test_a_marker_that_is_given_is_taken_at_its_word(blobs, make):
    X, y, known = blobs
    partly = np.where(known, y, 7)
    model = make().set_params(missing_label=7).fit(X, partly)
    assert model.score(X, partly) == accuracy_score(y[known], model.predict(X)[known])
    # -1 is another class then, which nobody predicts
    assert model.score(X, np.full(90, -1)) == 0
