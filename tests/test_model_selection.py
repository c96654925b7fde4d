import time

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, StratifiedKFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier

from sklearn_geoal import LANDClassifier
from sklearn_geoal._labels import encode_labels
from sklearn_geoal.model_selection import LabeledStratifiedKFold, label_efficiency_curve
from sklearn_geoal.plot import LabelEfficiencyDisplay
from sklearn_geoal.preprocessing import ValidRows


class NearestNeighborLearner(ClassifierMixin, BaseEstimator):
    """Asks for the candidate farthest from what is labelled, labels by the nearest labelled sample."""

    def __init__(self, n_neighbors=1):
        self.n_neighbors = n_neighbors

    def fit(self, X, y=None):
        self.X_ = np.asarray(X)
        self.y_ = {}
        self.batches_ = []
        if y is not None:
            classes, codes = encode_labels(y)
            self.teach(np.flatnonzero(codes >= 0), classes[codes[codes >= 0]])
        return self

    def query(self, n_queries=1, candidates=None):
        self.batches_.append(n_queries)
        near = [*self.y_] or [0]
        picks = []
        for _ in range(n_queries):
            free = np.setdiff1d(candidates, [*self.y_, *picks])
            away = np.linalg.norm(self.X_[free][:, None] - self.X_[near], axis=2).min(axis=1)
            picks.append(free[away.argmax()])
            near = [*near, picks[-1]]
        return np.array(picks)

    def teach(self, indices, labels):
        self.y_.update(zip(indices.tolist(), labels.tolist(), strict=True))
        self.classes_ = np.unique([*self.y_.values()])
        self.transduction_ = self.predict(self.X_)
        return self

    def predict(self, X):
        known = KNeighborsClassifier(min(self.n_neighbors, len(self.y_)))
        return known.fit(self.X_[[*self.y_]], [*self.y_.values()]).predict(np.asarray(X))


@pytest.fixture(scope="module")
def blobs():
    X, y = make_blobs(150, centers=3, cluster_std=0.7, random_state=0)
    return X, y, np.random.default_rng(0).random(150) < 0.6


def with_missing(y, missing, marker):
    names = np.array([f"class {label}" for label in y], dtype=object)
    if marker == "-1":
        return np.where(missing, -1, y)
    if marker == "nan":
        return np.where(missing, np.nan, y)
    if marker == "None":
        return np.where(missing, None, names)
    if marker == "pandas integers":
        return pd.Series(pd.array(y, dtype="Int64")).mask(missing)
    return pd.Series(names.tolist()).mask(missing)


MARKERS = ["-1", "nan", "None", "pandas integers", "pandas strings"]


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("shuffle", [False, True])
def test_folds_partition_the_labeled_and_train_on_all_unlabeled(blobs, marker, shuffle):
    X, y, missing = blobs
    cv = LabeledStratifiedKFold(4, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = list(cv.split(X, with_missing(y, missing, marker)))
    assert len(folds) == cv.get_n_splits() == 4
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.flatnonzero(~missing))
    for train, test in folds:
        np.testing.assert_array_equal(np.sort(np.concatenate([train, test])), np.arange(len(X)))
        counts = np.bincount(y[~missing]) / 4
        assert (np.abs(np.bincount(y[test]) - counts) <= 1).all()


def test_a_fully_labeled_target_is_split_as_scikit_learn_splits_it(blobs):
    X, y, _ = blobs
    for seed in (None, 3):
        params = {"n_splits": 3, "shuffle": seed is not None, "random_state": seed}
        ours, theirs = LabeledStratifiedKFold(**params).split(X, y), StratifiedKFold(**params).split(X, y)
        for (train, test), (expected_train, expected_test) in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(train, expected_train)
            np.testing.assert_array_equal(test, expected_test)


def test_an_explicit_marker_is_taken_at_its_word():
    y = np.array(["?", "a", "a", "?", "b", "b"])
    folds = list(LabeledStratifiedKFold(2, missing_label="?").split(np.zeros((6, 1)), y))
    assert [test.tolist() for _, test in folds] == [[1, 4], [2, 5]]
    assert "missing_label='?'" in repr(LabeledStratifiedKFold(2, missing_label="?"))


@pytest.mark.parametrize("marker", MARKERS)
def test_grid_search_over_a_pipeline(blobs, marker):
    X, y, missing = blobs
    pipeline = make_pipeline(StandardScaler(), NearestNeighborLearner())
    search = GridSearchCV(
        pipeline,
        {"nearestneighborlearner__n_neighbors": [1, 3]},
        cv=LabeledStratifiedKFold(3),
        scoring="balanced_accuracy",
        error_score="raise",
    )
    search.fit(X, with_missing(y, missing, marker))
    assert search.best_score_ > 0.9
    assert clone(search).cv.n_splits == 3


@pytest.mark.parametrize("estimator", [LabelSpreading(), SelfTrainingClassifier(LogisticRegression())])
def test_semi_supervised_estimators_of_scikit_learn(blobs, estimator):
    X, y, missing = blobs
    scores = cross_val_score(estimator, X, with_missing(y, missing, "-1"), cv=LabeledStratifiedKFold(3))
    assert scores.min() > 0.9


@pytest.mark.parametrize("form", ["array", "floats", "flattened", "list", "objects"])
def test_masks_are_split_by_images(form):
    y = np.full((7, 4, 5), -1)
    labeled = np.array([0, 2, 3, 6])
    y[labeled, 1:3, 1:3] = np.arange(4).reshape(2, 2)
    masks = [mask if (mask >= 0).any() else None for mask in y]
    objects = np.empty(7, dtype=object)
    objects[:] = masks
    floats = np.where(y < 0, np.nan, y)
    forms = {"array": y, "floats": floats, "flattened": y.reshape(7, -1), "list": masks, "objects": objects}
    folds = list(LabeledStratifiedKFold(2).split(np.zeros((7, 3, 4, 5)), forms[form]))
    assert [test.tolist() for _, test in folds] == [[0, 2], [3, 6]]
    assert [train.tolist() for train, _ in folds] == [[1, 3, 4, 5, 6], [0, 1, 2, 4, 5]]
    shuffled = LabeledStratifiedKFold(2, shuffle=True, random_state=0).split(y, forms[form])
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in shuffled])), labeled)


def test_void_pixels_make_no_image_a_labeled_one():
    y = np.full((5, 4, 4), -1)
    y[[0, 2], 1] = np.arange(4)
    y[:, 0] = 255
    folds = LabeledStratifiedKFold(2, ignore_label=255).split(y, y)
    assert [test.tolist() for _, test in folds] == [[0], [2]]


def test_a_column_of_labels_is_no_mask(blobs):
    X, y, missing = blobs
    target = with_missing(y, missing, "-1")
    with pytest.warns(match="column-vector"):
        folds = list(LabeledStratifiedKFold(3).split(X, target[:, None]))
    for (_, test), (_, expected) in zip(folds, LabeledStratifiedKFold(3).split(X, target), strict=True):
        np.testing.assert_array_equal(test, expected)


@pytest.fixture(scope="module")
def blocks():
    """Blocks of 5 x 5 pixels of a scene of 10 x 15, one of them without a label: groups, and what is missing."""
    groups = np.add.outer(np.arange(10) // 5 * 3, np.arange(15) // 5).ravel()
    return groups, (np.random.default_rng(1).random(150) < 0.6) | (groups == 4)


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("names", [np.asarray, lambda groups: [f"block {group}" for group in groups]])
def test_no_group_is_torn_apart(blobs, blocks, marker, shuffle, names):
    X, y, _ = blobs
    groups, missing = blocks
    cv = LabeledStratifiedKFold(3, shuffle=shuffle, random_state=0 if shuffle else None)
    folds = list(cv.split(X, with_missing(y, missing, marker), names(groups)))
    np.testing.assert_array_equal(np.sort(np.concatenate([test for _, test in folds])), np.flatnonzero(~missing))
    for train, test in folds:
        assert (np.diff(train) > 0).all() and (np.diff(test) > 0).all() and len(test)
        # all of a group that is tested stays out of training, all of any other is in
        np.testing.assert_array_equal(train, np.flatnonzero(~np.isin(groups, groups[test])))
        assert 4 in groups[train]


def test_a_fully_labeled_target_in_groups_is_split_as_scikit_learn_splits_it(blobs, blocks):
    X, y, _ = blobs
    for seed in (None, 3):
        params = {"n_splits": 3, "shuffle": seed is not None, "random_state": seed}
        ours = LabeledStratifiedKFold(**params).split(X, y, blocks[0])
        theirs = StratifiedGroupKFold(**params).split(X, y, blocks[0])
        for fold, expected in zip(ours, theirs, strict=True):
            for indices, expected_indices in zip(fold, expected, strict=True):
                np.testing.assert_array_equal(indices, expected_indices)


class SeesGroups(ClassifierMixin, BaseEstimator):
    """Keeps the groups, the first feature, that each fit and each score has seen."""

    fits, scores = [], []

    def __init__(self, constant=0):
        self.constant = constant

    def fit(self, X, y):
        self.fits.append({*X[:, 0].tolist()})
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        self.scores.append({*X[:, 0].tolist()})
        return 0.0


@pytest.mark.parametrize("routing", [False, True])
@pytest.mark.parametrize("search", [False, True])
def test_groups_come_through_cross_validation_and_searches(blobs, blocks, search, routing):
    groups, missing = blocks
    X, y = groups[:, None].astype(float), np.where(missing, -1, blobs[1])
    SeesGroups.fits.clear()
    SeesGroups.scores.clear()
    cv = LabeledStratifiedKFold(3)
    with config_context(enable_metadata_routing=routing):
        if search:
            GridSearchCV(SeesGroups(), {"constant": [0, 1]}, cv=cv, refit=False).fit(X, y, groups=groups)
        else:
            given = {"params": {"groups": groups}} if routing else {"groups": groups}
            cross_val_score(SeesGroups(), X, y, cv=cv, **given)
    assert len(SeesGroups.fits) == len(SeesGroups.scores) == (6 if search else 3)
    for seen, tested in zip(SeesGroups.fits, SeesGroups.scores, strict=True):
        assert tested and not seen & tested


def test_images_with_masks_are_split_by_groups():
    y = np.full((7, 4, 5), -1)
    y[[0, 2, 3, 6], 1] = np.arange(5)
    folds = list(LabeledStratifiedKFold(2).split(y, y, [0, 0, 0, 1, 1, 2, 1]))
    assert [(train.tolist(), test.tolist()) for train, test in folds] == [
        ([3, 4, 5, 6], [0, 2]),
        ([0, 1, 2, 5], [3, 6]),
    ]


def test_groups_that_cannot_be_split():
    X, y = np.zeros((8, 1)), [0, 0, 0, 1, 1, 1, -1, -1]
    few = [0, 0, 1, 1, 0, 0, 2, 3]
    with pytest.raises(ValueError, match="n_splits=3 needs at least as many groups .* but 2 of the 4 groups have some"):
        next(LabeledStratifiedKFold(3).split(X, y, few))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(LabeledStratifiedKFold(2).split(X, y, few[1:]))
    for unknown in (np.where(np.arange(8) == 6, np.nan, few), np.ma.masked_equal(few, 2)):
        with pytest.raises(ValueError, match="groups contains NaN"):
            next(LabeledStratifiedKFold(2).split(X, y, unknown))


def test_splitter_errors():
    X = np.zeros((6, 1))
    with pytest.raises(ValueError, match="y is None: give the labels"):
        next(LabeledStratifiedKFold(2).split(X, None))
    with pytest.raises(ValueError, match="n_splits=3 .* images with labelled pixels, but y has 2"):
        next(LabeledStratifiedKFold(3).split(X, [np.eye(2), np.eye(2), None, None, None, None]))
    with pytest.raises(ValueError, match="no known label"):
        next(LabeledStratifiedKFold(3).split(X, np.full((6, 2, 2), -1)))
    with pytest.raises(ValueError, match=r"n_splits=3 .* 2 classes has 2"):
        next(LabeledStratifiedKFold(3).split(X, [0, 0, 1, 1, -1, -1]))
    with pytest.raises(ValueError, match="no known label"):
        next(LabeledStratifiedKFold(2).split(X, np.full(6, np.nan)))
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        next(LabeledStratifiedKFold(2).split(X, [0, 0, 1, 1]))
    with pytest.raises(ValueError, match="n_splits=1"):
        LabeledStratifiedKFold(1)
    with pytest.warns(UserWarning, match="least populated class"):
        next(LabeledStratifiedKFold(2).split(X, [0, 0, 0, 1, -1, -1]))


@pytest.mark.parametrize("marker", MARKERS)
@pytest.mark.parametrize("strategy", ["query", "random"])
def test_curve_asks_only_where_the_truth_is_known(blobs, marker, strategy):
    X, y, missing = blobs
    target = with_missing(y, missing, marker)
    curve = label_efficiency_curve(NearestNeighborLearner(), X, target, [3, 8, 20], strategy=strategy, random_state=0)
    np.testing.assert_array_equal(curve.budgets, [3, 8, 20])
    assert len(np.unique(curve.queries)) == len(curve.queries) == 20
    assert not missing[curve.queries].any()
    taught = np.asarray(target)[curve.queries]
    assert [curve.estimator.y_[i] for i in curve.queries] == taught.tolist()
    known = np.asarray(target)[~missing]
    assert curve.scores[-1] == pytest.approx(np.mean(curve.estimator.transduction_[~missing] == known))
    assert curve.scores[-1] > 0.9


def test_batches_are_cut_at_the_budgets(blobs):
    X, y, _ = blobs
    curve = label_efficiency_curve(NearestNeighborLearner(), X, y, [3, 8, 20], batch_size=7)
    assert curve.estimator.batches_ == [3, 5, 7, 5]


def test_a_longer_curve_continues_a_shorter_one(blobs):
    X, y, _ = blobs
    for strategy in ("query", "random"):
        params = {"strategy": strategy, "batch_size": 5, "random_state": 1}
        short = label_efficiency_curve(NearestNeighborLearner(), X, y, [5, 10], **params)
        long = label_efficiency_curve(NearestNeighborLearner(), X, y, [5, 10, 30], **params)
        np.testing.assert_array_equal(short.queries, long.queries[:10])
        np.testing.assert_array_equal(short.scores, long.scores[:2])


def test_asking_for_everything_scores_one(blobs):
    X, y, missing = blobs
    target = with_missing(y, missing, "-1")
    n_known = np.sum(~missing)
    curve = label_efficiency_curve(NearestNeighborLearner(), X, target, [n_known], batch_size=1000)
    assert curve.scores.tolist() == [1.0]


def test_a_pipeline_equals_its_last_step_on_transformed_samples(blobs):
    X, y, _ = blobs
    pipeline = make_pipeline(make_pipeline(StandardScaler()), NearestNeighborLearner())
    whole = label_efficiency_curve(pipeline, X, y, [4, 9], X_test=X[::2], y_test=y[::2])
    scaled = StandardScaler().fit_transform(X)
    step = label_efficiency_curve(NearestNeighborLearner(), scaled, y, [4, 9], X_test=scaled[::2], y_test=y[::2])
    np.testing.assert_array_equal(whole.queries, step.queries)
    np.testing.assert_array_equal(whole.scores, step.scores)
    assert not hasattr(pipeline[-1], "X_")


def test_held_out_samples_are_scored_where_their_truth_is_known(blobs):
    X, y, missing = blobs
    y_test = with_missing(y, missing, "nan")
    some = label_efficiency_curve(NearestNeighborLearner(), X, y, [5], X_test=X, y_test=y_test)
    known = label_efficiency_curve(NearestNeighborLearner(), X, y, [5], X_test=X[~missing], y_test=y[~missing])
    assert some.scores == known.scores


def test_metric(blobs):
    X, y, _ = blobs
    curve = label_efficiency_curve(NearestNeighborLearner(), X, y, [2], metric=balanced_accuracy_score)
    assert curve.scores[0] == balanced_accuracy_score(y, curve.estimator.transduction_)


@pytest.mark.parametrize("strategy", ["query", "random"])
def test_candidates_as_mask_and_as_indices(blobs, strategy):
    X, y, missing = blobs
    target, mask = with_missing(y, missing, "-1"), X[:, 0] > np.median(X[:, 0])
    curves = [
        label_efficiency_curve(
            NearestNeighborLearner(), X, target, [9], strategy=strategy, candidates=candidates, random_state=0
        )
        for candidates in (mask, np.flatnonzero(mask), np.repeat(np.flatnonzero(mask)[::-1], 2).tolist())
    ]
    for curve in curves:
        assert (mask & ~missing)[curve.queries].all()
        np.testing.assert_array_equal(curve.queries, curves[0].queries)
    with pytest.raises(ValueError, match=r"candidates=mask.astype\(bool\)"):
        label_efficiency_curve(
            NearestNeighborLearner(), X, target, [1], strategy=strategy, candidates=255 * mask.astype(int)
        )


@pytest.mark.parametrize("strategy", ["query", "random"])
def test_global_generator_of_numpy_is_left_alone(blobs, strategy):
    X, y, _ = blobs
    before = np.random.get_state()  # noqa: NPY002
    assert len(list(LabeledStratifiedKFold(3, shuffle=True).split(X, y))) == 3
    label_efficiency_curve(NearestNeighborLearner(), X, y, [3, 6], strategy=strategy)
    LabelEfficiencyDisplay.from_estimator(NearestNeighborLearner(), X, y, [3, 6], strategies=[strategy])
    after = np.random.get_state()  # noqa: NPY002
    assert before[0] == after[0] and before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


@pytest.mark.parametrize("initial", [None, [0, 1, 2]])
@pytest.mark.parametrize("classes", [[-1, 1, 1], [-1, 0, 1], [-1.0, 0.0, 5.0]])
@pytest.mark.parametrize("learner", [LANDClassifier(random_state=0), make_pipeline(LANDClassifier(random_state=0))])
@pytest.mark.filterwarnings("ignore:y holds exactly the values -1 and 1")
def test_minus_one_is_a_class_to_the_learner_where_it_is_one_of_the_truth(blobs, learner, classes, initial):
    X, y, missing = blobs
    truth = np.array(classes, dtype=float)[y]
    given = np.where(missing, np.nan, truth)
    initial = initial and np.flatnonzero(~missing)[initial]
    n_known = (~missing).sum()
    curve = label_efficiency_curve(learner, X, given, [5, n_known], batch_size=2, initial=initial)
    np.testing.assert_array_equal(np.sort(curve.queries), np.flatnonzero(~missing))
    assert curve.scores[-1] == 1


def with_holes(X):
    """X with NaN in a third of its rows, and which these are."""
    holes = np.arange(len(X)) % 3 == 1
    return np.where(holes[:, None], np.nan, X), holes


VALID = ValidRows(LANDClassifier(random_state=0))


@pytest.mark.parametrize("strategy", ["query", "random"])
@pytest.mark.parametrize("marker", ["-1", "nan", "None"])
@pytest.mark.parametrize("learner", [VALID, make_pipeline(StandardScaler(), VALID)], ids=["alone", "pipeline"])
def test_rows_that_the_learner_leaves_out_are_neither_asked_for_nor_scored(blobs, learner, marker, strategy):
    X, y, missing = blobs
    X, holes = with_holes(X)
    params = {"strategy": strategy, "budgets": [5, 12], "batch_size": 4, "random_state": 0}
    target = np.asarray(with_missing(y, missing, marker))
    everywhere = label_efficiency_curve(learner, X, target, **params)
    truth_where_valid = np.where(holes, with_missing(y, missing | True, marker), target)
    expected = label_efficiency_curve(learner, X, truth_where_valid, **params)
    assert not holes[everywhere.queries].any()
    assert everywhere.n_left_out == np.sum(holes & ~missing) > 0 == expected.n_left_out
    np.testing.assert_array_equal(everywhere.scores, expected.scores)
    if strategy == "query":
        np.testing.assert_array_equal(everywhere.queries, expected.queries)


@pytest.mark.parametrize("fill", ["auto", 7])
@pytest.mark.parametrize("marker", ["-1", "None"])
def test_held_out_rows_without_a_prediction_are_not_scored(blobs, marker, fill):
    X, y, missing = blobs
    X_test, holes = with_holes(X[:60])
    learner = clone(VALID).set_params(fill=fill)
    target, y_test = with_missing(y, missing, marker), with_missing(y[:60], missing[:60], marker)
    curve = label_efficiency_curve(learner, X, target, [8], X_test=X_test, y_test=y_test)
    valid = label_efficiency_curve(learner, X, target, [8], X_test=X_test[~holes], y_test=y_test[~holes])
    assert (curve.scores, curve.n_left_out) == (valid.scores, np.sum(holes & ~missing[:60]))
    assert valid.n_left_out == 0


@pytest.mark.filterwarnings("ignore:y holds exactly the values -1 and 1")
def test_rows_left_out_are_not_scored_where_minus_one_is_a_class(blobs):
    X, y, missing = blobs
    X, holes = with_holes(X)
    scored = ~(missing | holes)
    curve = label_efficiency_curve(VALID, X, np.where(missing, np.nan, y - 1.0), [1, scored.sum()])
    assert curve.scores[-1] == 1
    assert curve.scores[0] == np.mean(y[scored] == y[curve.queries[0]])


def test_a_class_that_y_lacks_counts_as_wrong(blobs):
    class Strange(NearestNeighborLearner):
        def predict(self, X):
            return np.full(len(X), 9)

        @property
        def classes_(self):
            return np.array([0, 1, 2, 9])

        @classes_.setter
        def classes_(self, classes):
            pass

    X, y, _ = blobs
    curve = label_efficiency_curve(Strange(), X, y, [2], X_test=X, y_test=y)
    assert (curve.scores, curve.n_left_out) == ([0], 0)


def test_curves_of_which_the_learner_leaves_out_too_much(blobs):
    X, y, _ = blobs
    X_holes, holes = with_holes(X)
    with pytest.raises(ValueError, match=f"largest budget is 120, but only {(~holes).sum()} samples can be asked for"):
        label_efficiency_curve(VALID, X_holes, y, [5, 120])
    with pytest.raises(ValueError, match="initial takes samples that the learner sees; it leaves out 1 of them"):
        label_efficiency_curve(VALID, X_holes, y, [5], initial=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="gives no label to any of the 50 samples of known truth"):
        label_efficiency_curve(VALID, X, y, [5], X_test=X_holes[holes], y_test=y[holes])


def test_verbose_prints_a_line_for_each_budget(blobs, capsys):
    X, y, _ = blobs
    label_efficiency_curve(NearestNeighborLearner(), X, y, [5, 10], verbose=1)
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()] == ["5", "10"]


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"strategy": "best"}, ValueError, "strategy must be one of"),
        ({"batch_size": 0}, ValueError, "batch_size"),
        ({"budgets": [10, 5]}, ValueError, "increasing positive"),
        ({"budgets": np.array([10, 5], dtype=np.uint8)}, ValueError, "increasing positive"),
        ({"budgets": [0, 5]}, ValueError, "increasing positive"),
        ({"budgets": [2.5]}, ValueError, "increasing positive"),
        ({"budgets": []}, ValueError, "increasing positive"),
        ({"budgets": 10}, ValueError, "increasing positive"),
        ({"budgets": [10, 1000]}, ValueError, "1000, but only 150 samples"),
        ({"candidates": [0, 1]}, ValueError, "only 2 samples"),
        ({"candidates": [0, 150]}, IndexError, "0 to 149"),
        ({"candidates": np.ones(3, dtype=bool)}, ValueError, "mask of shape"),
        ({"candidates": [0.5]}, ValueError, "one-dimensional array of integer"),
        ({"y": np.full(150, np.nan)}, ValueError, "y holds no known label"),
        ({"X_test": np.zeros((3, 2))}, ValueError, "belong together"),
        ({"X_test": np.zeros((2, 2)), "y_test": [-1, -1], "missing_label": -1}, ValueError, "y_test holds no known"),
        ({"estimator": LogisticRegression()}, TypeError, "LogisticRegression has no method 'query'"),
    ],
)
def test_curve_errors(blobs, change, error, message):
    X, y, _ = blobs
    with pytest.raises(error, match=message):
        label_efficiency_curve(**{"estimator": NearestNeighborLearner(), "X": X, "y": y, "budgets": [5], **change})


class MarkedLearner(NearestNeighborLearner):
    """Takes missing labels by a marker of its own."""

    def __init__(self, n_neighbors=1, missing_label="auto"):
        super().__init__(n_neighbors)
        self.missing_label = missing_label

    def fit(self, X, y=None):
        self.given_ = y
        classes, codes = (np.empty(0), np.full(len(X), -1)) if y is None else encode_labels(y, self.missing_label)
        super().fit(X)
        labeled = np.flatnonzero(codes >= 0)
        return self.teach(labeled, classes[codes[labeled]]) if len(labeled) else self


@pytest.mark.parametrize("marker", ["auto", -1, -99, np.nan, None, "?"])
@pytest.mark.parametrize("names", [False, True])
def test_initial_labels_reach_fit_under_the_marker_of_the_learner(blobs, marker, names):
    X, y, _ = blobs
    target = np.array([f"class {label}" for label in y]) if names else y
    initial = np.array([140, 3, 77])
    curve = label_efficiency_curve(MarkedLearner(missing_label=marker), X, target, [3, 8], initial=initial)
    np.testing.assert_array_equal(curve.queries[:3], initial)
    assert len(np.unique(curve.queries)) == 8
    assert curve.estimator.given_[initial].tolist() == target[initial].tolist()
    missing = np.delete(curve.estimator.given_, initial)
    expected = None if isinstance(marker, str) and marker == "auto" else marker
    assert all(value is expected or value == expected for value in missing)
    assert curve.estimator.batches_ == [5]
    assert curve.estimator.classes_.dtype.kind == target.dtype.kind


@pytest.mark.parametrize("strategy", ["query", "random"])
def test_initial_labels_are_a_head_start(blobs, strategy):
    X, y, _ = blobs
    params = {"strategy": strategy, "batch_size": 5, "random_state": 0}
    whole = label_efficiency_curve(NearestNeighborLearner(), X, y, [10, 30], **params)
    rest = label_efficiency_curve(NearestNeighborLearner(), X, y, [10, 30], initial=whole.queries[:10], **params)
    assert rest.scores[0] == whole.scores[0]
    assert len(np.unique(rest.queries)) == 30
    if strategy == "query":
        np.testing.assert_array_equal(rest.queries, whole.queries)
        np.testing.assert_array_equal(rest.scores, whole.scores)


def test_initial_samples_need_not_be_candidates(blobs):
    X, y, _ = blobs
    curve = label_efficiency_curve(NearestNeighborLearner(), X, y, [5], initial=[0, 1], candidates=[1, 50, 51, 52])
    assert set(curve.queries.tolist()) == {0, 1, 50, 51, 52}


def test_no_initial_labels_is_the_same_as_none(blobs):
    X, y, _ = blobs
    curve = label_efficiency_curve(MarkedLearner(), X, y, [5], initial=[])
    assert curve.estimator.given_ is None


def test_initial_labels_of_one_class(blobs):
    X, y, _ = blobs
    initial = np.flatnonzero(y == 1)[:4]
    curve = label_efficiency_curve(LANDClassifier(random_state=0), X, y, [4, 12], initial=initial)
    assert curve.scores[0] == np.mean(y == 1)
    assert curve.scores[1] > 0.9


def test_times_are_those_of_querying_and_teaching(blobs, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    class SlowLearner(NearestNeighborLearner):
        def query(self, n_queries=1, candidates=None):
            clock[0] += 1.0
            return super().query(n_queries, candidates)

        def teach(self, indices, labels):
            clock[0] += 10.0
            return super().teach(indices, labels)

        def predict(self, X):
            clock[0] += 100.0 * (len(X) == 7)
            return super().predict(X)

    X, y, _ = blobs
    held_out = {"X_test": X[:7], "y_test": y[:7]}
    params = {"batch_size": 5, "initial": [0, 1], **held_out}
    curve = label_efficiency_curve(SlowLearner(), X, y, [2, 5, 20], **params)
    assert curve.times.tolist() == [0.0, 11.0, 33.0]


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"initial": [0, 0]}, ValueError, "initial takes each index once"),
        ({"initial": [150]}, IndexError, "initial must be indices from 0 to 149"),
        ({"initial": [0.5]}, ValueError, "one-dimensional array of integer"),
        ({"initial": [0, 1, 2], "budgets": [2, 5]}, ValueError, "smallest budget is 2, but 3 samples are labelled"),
        ({"initial": [0, 1], "candidates": [1, 2]}, ValueError, "only 1 samples beyond the 2 initial ones"),
        ({"initial": [7], "y": np.where(np.arange(150) == 7, np.nan, 0)}, ValueError, "label of 7 is missing"),
    ],
)
def test_initial_errors(blobs, change, error, message):
    X, y, _ = blobs
    with pytest.raises(error, match=message):
        label_efficiency_curve(**{"estimator": NearestNeighborLearner(), "X": X, "y": y, "budgets": [5], **change})
