"""Labels in every form, wherever the package takes some: strings of numpy's type, markers of missing ones, tuples."""

import numpy as np
import pandas as pd
import pytest
from numpy.dtypes import StringDType
from sklearn.datasets import make_blobs
from sklearn.exceptions import DataConversionWarning
from sklearn.linear_model import LogisticRegression
from sklearn.utils.validation import check_is_fitted

from sklearn_geoal import (
    DDALQueryStrategy,
    LANDClassifier,
    MixMatchClassifier,
    MixMatchSegmenter,
    NetClassifier,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
)
from sklearn_geoal.metrics import confusion, hierarchical_accuracy, jaccard_consensus, mean_iou, pixel_accuracy
from sklearn_geoal.model_selection import LabeledStratifiedKFold, label_efficiency_curve
from sklearn_geoal.preprocessing import PatchTransformer, ValidRows

SMALL = {"max_epochs": 2, "hidden_units": (4,), "random_state": 0}
LEARNERS = [LANDClassifier(random_state=0), DDALQueryStrategy(LogisticRegression(), random_state=0)]
SEMI_SUPERVISED = [
    *LEARNERS,
    ValidRows(LEARNERS[0]),
    MixMatchClassifier(**SMALL),
    MixMatchSegmenter(**SMALL),
    SymmetricVAEClassifier(n_components=2, **SMALL),
    SymmetricVAESegmenter(**SMALL),
]
CLASSIFIERS = [*SEMI_SUPERVISED, NetClassifier(**SMALL)]
MARKERS = [None, np.nan, pd.NA]

X, codes = make_blobs(30, centers=3, random_state=0)
NAMES = np.array(["bog", "fen", "a lake with a name of many letters"], dtype=object)[codes]
KNOWN = np.arange(30) % 3 > 0
LEVELS = {"wet": dict.fromkeys(NAMES, "yes")}


def name(estimator):
    return type(estimator).__name__


each_marker = pytest.mark.parametrize("marker", MARKERS, ids=str)
each_learner = pytest.mark.parametrize("learner", [*LEARNERS, ValidRows(LEARNERS[0])], ids=name)


def as_strings(names, *marker):
    """Names as an array of numpy's StringDType, None where the marker is to stand."""
    if not marker:
        return np.array(names, dtype=StringDType())
    return np.array([marker[0] if value is None else value for value in names], dtype=StringDType(na_object=marker[0]))


PARTLY = np.where(KNOWN, NAMES, None)


def said(model, y):
    return [model.predict(X).tolist(), model.predict_proba(X).tolist(), model.classes_.tolist(), model.score(X, y)]


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=name)
def test_known_strings(estimator):
    expected = said(estimator.fit(X, NAMES), NAMES)
    for y in (as_strings(NAMES), *(as_strings(NAMES, marker) for marker in MARKERS)):
        assert said(estimator.fit(X, y), y) == expected


@each_marker
@pytest.mark.parametrize("estimator", SEMI_SUPERVISED, ids=name)
def test_missing_strings(estimator, marker):
    expected = said(estimator.fit(X, PARTLY), PARTLY)
    y = as_strings(PARTLY, marker)
    objects = np.array([marker if value is None else value for value in PARTLY], dtype=object)
    for given in (y, objects, objects.tolist(), pd.Series(objects), tuple(objects)):
        assert said(estimator.fit(X, given), given) == expected


@each_marker
def test_the_supervised_one_needs_all(marker):
    with pytest.raises(ValueError, match="y lacks the labels of 10 of 30 samples"):
        NetClassifier().fit(X, as_strings(PARTLY, marker))
    with pytest.raises(ValueError, match="y holds no known label"):
        NetClassifier(**SMALL).fit(X, NAMES).score(X, as_strings([None] * 30, marker))


@each_marker
@each_learner
def test_teach(learner, marker):
    learner.fit(X)
    learner.teach(range(30), as_strings(PARTLY, marker))
    np.testing.assert_array_equal(learner.labeled_indices_, np.flatnonzero(KNOWN))
    np.testing.assert_array_equal(learner.skipped_indices_, np.flatnonzero(~KNOWN))
    taught = learner.predict(X)
    np.testing.assert_array_equal(learner.fit(X, PARTLY).predict(X), taught)
    # beside labels of other forms, of other lengths
    learner.fit(X, np.where(KNOWN, "fen", None)).teach([0, 3], as_strings(["bog", "a long name of a lake"], marker))
    assert learner.classes_.tolist() == ["a long name of a lake", "bog", "fen"]


def test_a_marker_that_is_a_string_is_one_as_any_other():
    y = as_strings(PARTLY, "?")
    assert "?" in LANDClassifier(random_state=0).fit(X, y).classes_
    model = LANDClassifier(missing_label="?", random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.labeled_indices_, np.flatnonzero(KNOWN))


@each_marker
def test_splitter_and_curve(marker):
    y = as_strings(PARTLY, marker)
    splits = LabeledStratifiedKFold(2).split(X, y)
    for (train, test), (expected_train, expected_test) in zip(
        splits, LabeledStratifiedKFold(2).split(X, PARTLY), strict=True
    ):
        np.testing.assert_array_equal(train, expected_train)
        np.testing.assert_array_equal(test, expected_test)
    curves = [label_efficiency_curve(LEARNERS[0], X, target, [3, 9], random_state=0) for target in (y, PARTLY)]
    np.testing.assert_array_equal(curves[0].scores, curves[1].scores)


def test_maps_of_strings():
    patches = PatchTransformer((5, 6), size=1).fit(X)
    for labels in (as_strings(PARTLY, marker) for marker in MARKERS):
        assert patches.label_map(labels, missing_label=None).ravel().tolist() == PARTLY.tolist()
        with pytest.raises(
            ValueError, match=r"y holds (None|nan|<NA>) beside its labels.*say so with missing_label=None"
        ):
            patches.label_map(labels)


METRICS = {
    "confusion": confusion,
    "pixel_accuracy": pixel_accuracy,
    "mean_iou": mean_iou,
    "jaccard_consensus": lambda a, b, **ignored: jaccard_consensus(a, b, **ignored).matrix,
    "hierarchical_accuracy": lambda a, b: [*hierarchical_accuracy(a, b, LEVELS).values()],
}
each_metric = pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)


@each_metric
def test_metrics_of_known_strings(metric):
    predicted = np.roll(NAMES, 1)
    expected = metric(NAMES, predicted)
    for y in (as_strings(NAMES), *(as_strings(NAMES, marker) for marker in MARKERS)):
        np.testing.assert_array_equal(metric(y, predicted), expected)
        np.testing.assert_array_equal(metric(y, as_strings(predicted)), expected)
        np.testing.assert_array_equal(metric(y, predicted.astype(str)), expected)


@each_marker
@each_metric
def test_metrics_say_that_labels_are_missing(metric, marker):
    objects = np.array([marker if value is None else value for value in PARTLY], dtype=object)
    for y in (as_strings(PARTLY, marker), objects):
        for pair in ((y, NAMES), (NAMES, y)):
            with pytest.raises(ValueError, match=r"(y_true|y_pred|labels_.) (has|contains|lacks) .*(NaN|None)"):
                metric(*pair)


@pytest.mark.parametrize("marker", [np.nan, pd.NA], ids=str)
@pytest.mark.parametrize("metric", list(METRICS.values())[:-1], ids=list(METRICS)[:-1])
def test_metrics_ignore_missing_strings_where_they_are_told(metric, marker):
    expected = metric(NAMES[KNOWN], NAMES[KNOWN])
    for ignored in (np.nan, pd.NA):
        np.testing.assert_array_equal(metric(as_strings(PARTLY, marker), NAMES, ignore_label=ignored), expected)


TUPLES = np.empty(30, dtype=object)
TUPLES[:] = [("a", int(code)) for code in codes]


@pytest.mark.parametrize("y", [TUPLES, TUPLES.tolist(), pd.Series(TUPLES)], ids=lambda y: type(y).__name__)
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=name)
def test_tuples_are_no_labels(estimator, y):
    message = r"Each label must be one string or number; got the tuple \('a', \d\): make it one string."
    with pytest.raises(ValueError, match=message):
        estimator.fit(X, y)
    estimator.fit(X, NAMES)
    with pytest.raises(ValueError, match=message):
        estimator.score(X, y)
    if hasattr(estimator, "teach"):
        with pytest.raises(ValueError, match=message):
            estimator.teach(range(30), y)
    with pytest.raises(ValueError, match=message):
        next(LabeledStratifiedKFold(2).split(X, y))
    check_is_fitted(estimator)


@each_metric
def test_tuples_are_no_labels_of_metrics(metric):
    with pytest.raises(ValueError, match="Each label must be one string or number; got the tuple"):
        metric(TUPLES, TUPLES)


def test_a_column_is_warned_of_where_it_was_given():
    with pytest.warns(DataConversionWarning, match="A column-vector y was passed") as record:
        LANDClassifier(random_state=0).fit(X, codes[:, None])
    assert record[0].filename == __file__
