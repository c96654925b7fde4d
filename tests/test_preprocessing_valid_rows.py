"""Valid rows: what the wrapped estimator learns is as if the others were not there, what it says keeps their places."""

import pickle
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone, is_classifier, is_clusterer
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.manifold import MDS
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import sklearn_geoal
from sklearn_geoal import DDALQueryStrategy, LANDClassifier, MixMatchSegmenter, NetClassifier, VAETransformer
from sklearn_geoal.datasets import make_hyperspectral_scene
from sklearn_geoal.interop import ModALQueryStrategy
from sklearn_geoal.model_selection import LabeledStratifiedKFold, label_efficiency_curve
from sklearn_geoal.preprocessing import HyperbolicNeighborsTransformer, SpatialWindow, ValidRows

pytestmark = [
    pytest.mark.filterwarnings("error"),
    pytest.mark.filterwarnings("ignore:y holds exactly the values -1 and 1:UserWarning"),
]

RNG = np.random.default_rng(0)
y = RNG.integers(3, size=60)
COMPLETE = RNG.normal(size=(60, 4)) + 4 * y[:, None]
VALID = np.ones(60, dtype=bool)
VALID[[0, 7, 8, 31, 59]] = False
X = COMPLETE.copy()
X[~VALID, RNG.integers(4, size=5)] = np.nan
PARTLY = np.where(np.arange(60) % 5 == 1, y, -1)
LAND = LANDClassifier(random_state=0)
VAE = VAETransformer(n_components=2, hidden_units=(8,), max_epochs=2, random_state=0)

CHECKED = [ValidRows(wrapped) for wrapped in (LogisticRegression(), LANDClassifier(), VAETransformer(random_state=0))]
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


@estimator_checks.parametrize_with_checks(CHECKED)
def test_estimator_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", CHECKED, ids=str)
def test_further_checks(estimator):
    estimator_checks.check_inplace_ensure_writeable("ValidRows", estimator)
    estimator_checks.check_dataframe_column_names_consistency("ValidRows", estimator)


@pytest.mark.parametrize("check", TRANSFORMER_CHECKS, ids=lambda check: check.__name__)
def test_transformer_checks(check):
    with warnings.catch_warnings():
        # some of them fit on a frame and transform an array, or the other way round
        warnings.filterwarnings("ignore", "X (has|does not have valid) feature names")
        check("ValidRows", ValidRows(VAE))


@pytest.mark.parametrize(
    "wrapped, verbs",
    [
        (LogisticRegression(), ["predict", "predict_proba", "decision_function"]),
        (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()), ["predict", "predict_proba"]),
        (NetClassifier(max_epochs=3, random_state=0), ["predict", "predict_proba"]),
        (VAE, ["transform", "score_samples"]),
        (GaussianMixture(2, random_state=0), ["predict", "predict_proba", "score_samples"]),
        (LinearRegression(), ["predict"]),
        (KMeans(3, random_state=0), ["predict", "transform"]),
    ],
    ids=str,
)
def test_rows_are_as_those_of_an_estimator_of_the_valid_ones(wrapped, verbs):
    rows, alone = ValidRows(wrapped).fit(X, y), clone(wrapped).fit(X[VALID], y[VALID])
    assert_array_equal(rows.valid_, VALID)
    for verb in verbs:
        result = getattr(rows, verb)(X)
        assert len(result) == 60
        assert_array_equal(result[VALID], getattr(alone, verb)(X[VALID]))
        left_out = result[~VALID]
        assert np.all(left_out == -1) if left_out.dtype.kind == "i" else np.isnan(left_out).all()


def test_masked_values_and_missing_ones_of_a_frame_are_not_valid():
    expected = ValidRows(LAND).fit(X, PARTLY).transduction_
    masked = np.ma.masked_array(np.nan_to_num(X, nan=-9999.0), mask=np.isnan(X))
    frame = pd.DataFrame(X).convert_dtypes().set_axis(list("abcd"), axis=1)
    assert frame.isna().any(axis=None)
    for given in (masked, frame, pl.DataFrame(X, schema=list("abcd")), X.tolist()):
        assert_array_equal(ValidRows(LAND).fit(given, PARTLY).transduction_, expected)


def test_infinite_values_stay_an_error():
    infinite = X.copy()
    infinite[3, 2] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        ValidRows(LogisticRegression()).fit(infinite, y)


@pytest.mark.parametrize(
    "wrapped",
    [LAND, DDALQueryStrategy(NetClassifier(max_epochs=3, random_state=0), random_state=0), make_pipeline(VAE, LAND)],
    ids=["LAND", "DDAL", "pipeline"],
)
def test_queries_and_answers_count_all_rows(wrapped):
    rows, alone = ValidRows(wrapped).fit(X), clone(wrapped).fit(X[VALID])
    alone = alone[-1] if hasattr(alone, "steps") else alone
    places = np.flatnonzero(VALID)
    assert not hasattr(rows, "transduction_")
    for n_queries, candidates in ((4, None), (3, np.arange(60) > 20), (3, np.arange(20, 60))):
        queries = rows.query(n_queries, candidates)
        allowed = VALID if candidates is None else VALID & np.isin(np.arange(60), np.arange(60)[candidates])
        assert_array_equal(queries, places[alone.query(n_queries, allowed[VALID])])
        assert VALID[queries].all()
        assert candidates is None or np.isin(queries, np.arange(60)[candidates]).all()
        labels = y[queries].astype(float)
        labels[-1] = np.nan
        assert rows.teach(queries, labels) is rows
        alone.teach(np.searchsorted(places, queries), labels)
    assert_array_equal(rows.labeled_indices_, places[alone.labeled_indices_])
    assert_array_equal(rows.skipped_indices_, places[alone.skipped_indices_])
    assert len(rows.skipped_indices_) == 3
    for name, left_out in (("transduction_", np.nan), ("query_scores_", 0), ("label_distribution_", np.nan)):
        assert_array_equal(getattr(rows, name)[VALID], getattr(alone, name))
        assert_array_equal(getattr(rows, name)[~VALID], np.broadcast_to(left_out, getattr(rows, name)[~VALID].shape))
    assert_array_equal(rows.query(5), places[alone.query(5)])
    again = clone(rows).fit(X, np.where(np.isin(np.arange(60), rows.labeled_indices_), y.astype(float), np.nan))
    assert_array_equal(again.labeled_indices_, rows.labeled_indices_)


def test_rows_that_are_not_valid_cannot_be_taught_or_asked_for():
    rows = ValidRows(LAND).fit(X, PARTLY)
    before = rows.labeled_indices_
    with pytest.raises(ValueError, match="1 of rows with NaN or masked values, such as the row 7"):
        rows.teach([3, 7], [0, 1])
    with pytest.raises(IndexError, match="0 to 59"):
        rows.teach([60], [0])
    with pytest.raises(ValueError, match="only 0 candidates"):
        rows.query(1, candidates=~VALID)
    with pytest.raises(ValueError, match="expected a boolean mask or indices"):
        rows.query(1, candidates=VALID.astype(int))
    with pytest.raises(ValueError, match="mask of shape"):
        rows.query(1, candidates=VALID[VALID])
    assert_array_equal(rows.labeled_indices_, before)


def test_labels_of_rows_that_are_not_valid_are_left_out():
    changed = np.where(VALID, y, 7)
    assert_array_equal(ValidRows(LogisticRegression()).fit(X, changed).classes_, [0, 1, 2])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ValidRows(LogisticRegression()).fit(X, y[VALID])


@pytest.mark.parametrize(
    "classes, fill, expected",
    [
        (np.array([0, 1, 2]), "auto", -1),
        (np.array([0, 1, 2], dtype=np.uint8), "auto", -1),
        (np.array([-1, 0, 1]), "auto", -2),
        (np.array([-5, -1, 1]), "auto", -6),
        (np.array([0.0, 1.0, 2.0]), "auto", np.nan),
        (np.array(["a", "b", "c"]), "auto", None),
        (np.array(["a", "b", "c"], dtype=object), "auto", None),
        (np.array([0, 1, 2]), 255, 255),
        (np.array([0, 1, 2]), np.nan, np.nan),
        (np.array([0, 1, 2]), None, None),
        (np.array(["a", "b", "c"]), "cloud", "cloud"),
    ],
    ids=repr,
)
def test_fill_is_never_a_class(classes, fill, expected):
    rows = ValidRows(LogisticRegression(), fill=fill).fit(X, classes[y])
    predicted = rows.predict(X)
    for value in predicted[~VALID].tolist():
        assert value is expected or value == expected or np.isnan([value, expected]).all()
    assert set(predicted[VALID].tolist()) <= set(classes.tolist())


def test_a_fill_that_is_a_class_is_refused():
    with pytest.raises(ValueError, match="fill=2 is one of the classes"):
        ValidRows(LogisticRegression(), fill=2).fit(X, y)
    rows = ValidRows(LAND, fill=2).fit(X).teach([1, 2], [0, 1])
    rows.teach([3], [2])
    with pytest.raises(ValueError, match="fill=2 is one of the classes"):
        rows.predict(X)


def test_clusters_and_embeddings_of_all_rows():
    for wrapped in (KMeans(3, random_state=0), DBSCAN(eps=2.0), make_pipeline(PCA(2), KMeans(3, random_state=0))):
        rows, alone = ValidRows(wrapped), clone(wrapped)
        labels = rows.fit_predict(X)
        assert_array_equal(labels[VALID], alone.fit_predict(X[VALID]))
        assert (labels[~VALID] == -1).all()
        assert_array_equal(rows.labels_, labels)
        assert is_clusterer(rows)
    mds = MDS(2, n_init=1, init="random", random_state=0)
    embedding = ValidRows(mds).fit_transform(X)
    assert_array_equal(embedding[VALID], mds.fit_transform(X[VALID]))
    assert np.isnan(embedding[~VALID]).all()


def test_an_x_without_any_valid_row():
    nothing = np.full((2, 4), np.nan)
    rows = ValidRows(LogisticRegression()).fit(X, y)
    assert rows.predict(nothing).tolist() == [-1, -1]
    assert_array_equal(rows.predict_proba(nothing), np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match="None of the 2 rows of X is valid and has a known label"):
        rows.score(nothing, [0, 1])
    with pytest.raises(ValueError, match="Each of the 2 rows of X has NaN or masked values"):
        rows.fit(nothing, [0, 1])
    assert rows.score(X, y) > 0.9
    frame = pd.DataFrame(X, columns=list("abcd"))
    for to_frame in (pd.DataFrame, pl.from_pandas):
        rows = ValidRows(PCA(2)).fit(to_frame(frame))
        assert np.isnan(np.asarray(rows.transform(to_frame(frame[~VALID])))).all()


def test_the_score_counts_valid_rows_of_known_label():
    rows = ValidRows(LogisticRegression()).fit(X, y)
    expected = rows.estimator_.score(X[VALID], y[VALID])
    assert rows.score(X, y) == expected == rows.score(pd.DataFrame(X), pd.Series(y, index=np.arange(60)[::-1]))
    wrong = np.where(VALID, y, (y + 1) % 3)
    assert rows.score(X, wrong) == expected
    known = np.arange(60) % 4 == 0
    expected = rows.estimator_.score(X[VALID & known], y[VALID & known])
    for partly in (np.where(known, y, -1), np.where(known, y, np.nan), np.where(known, y, None)):
        assert rows.score(X, partly) == expected
    vae = ValidRows(VAE).fit(X)
    assert vae.score(X) == vae.estimator_.score(X[VALID])


def test_the_marker_of_missing_labels_is_handed_on():
    partly = np.where(PARTLY == -1, 9, PARTLY)
    for rows in (
        ValidRows(LAND, missing_label=9),
        ValidRows(clone(LAND).set_params(missing_label=9)),
        ValidRows(make_pipeline(StandardScaler(), LAND), missing_label=9),
    ):
        rows.fit(X, partly)
        assert rows.classes_.tolist() == [0, 1, 2]
        assert 0.5 < rows.score(X, partly) == rows.score(X, np.where(partly == 9, np.nan, y))
    assert LAND.missing_label == "auto"


def test_verbs_are_those_of_the_wrapped_estimator():
    for verb in ("predict_proba", "transform", "query", "teach", "fit_predict", "fit_transform", "set_output"):
        assert not hasattr(ValidRows(LinearRegression()), verb)
        assert not hasattr(ValidRows(LinearRegression()).fit(X, y), verb)
    assert not hasattr(ValidRows(LAND), "transform")
    assert hasattr(ValidRows(make_pipeline(VAE, LAND)), "query")
    assert not hasattr(ValidRows(make_pipeline(VAE)), "teach")
    assert is_classifier(ValidRows(make_pipeline(VAE, LAND)))
    for name in ("labels_", "transduction_", "classes_", "labeled_indices_"):
        assert not hasattr(ValidRows(LAND), name)
    with pytest.raises(NotFittedError):
        ValidRows(LAND).query()
    with pytest.raises(AttributeError, match="query"):
        ValidRows(VAE).query()


def test_frames_keep_their_index():
    frame = pd.DataFrame(X, columns=list("abcd"), index=np.arange(100, 160))
    rows = ValidRows(make_pipeline(StandardScaler(), PCA(2))).set_output(transform="pandas")
    result = rows.fit_transform(frame)
    assert_array_equal(result.index, frame.index)
    assert_array_equal(result.columns, rows.get_feature_names_out())
    assert_array_equal(result.isna().all(axis=1), ~VALID)
    pd.testing.assert_frame_equal(rows.transform(frame), result)
    pd.testing.assert_frame_equal(rows.transform(frame[~VALID]), result[~VALID])
    assert_array_equal(rows.feature_names_in_, list("abcd"))
    assert rows.fit(X.tolist()).transform(X.tolist()).shape == (60, 2)
    polars = rows.set_output(transform="polars").transform(X)
    assert isinstance(polars, pl.DataFrame) and polars.shape == (60, 2)


def test_images_with_masked_pixels():
    images = np.random.default_rng(0).normal(size=(12, 2, 4, 4))
    masks = np.indices((12, 4, 4))[1] % 2
    images[3, 1, 2, 2] = np.nan
    valid = np.arange(12) != 3
    net = ValidRows(NetClassifier(max_epochs=2, random_state=0)).fit(images, np.arange(12) % 2)
    assert_array_equal(net.predict(images) == -1, ~valid)
    segmenter = ValidRows(MixMatchSegmenter(hidden_units=(8,), max_epochs=2, random_state=0)).fit(images, masks)
    predicted = segmenter.predict(images)
    assert_array_equal((predicted == -1).all(axis=(1, 2)), ~valid)
    assert segmenter.score(images, masks) == np.mean(predicted[valid] == masks[valid])


def test_sparse_results_are_refused():
    with pytest.raises(TypeError, match="wrap the steps after it as well"):
        ValidRows(HyperbolicNeighborsTransformer()).fit_transform(X)


def test_a_fit_that_fails_changes_nothing():
    rows = ValidRows(LogisticRegression()).fit(X, y)
    before = dict(vars(rows))
    for bad in (np.full((9, 2), np.nan), X[:, :2]):
        with pytest.raises(ValueError):
            rows.fit(bad, y[: len(bad)] * 0)
        assert vars(rows) == before
    unfitted = ValidRows(LogisticRegression())
    with pytest.raises(ValueError):
        unfitted.fit(np.full((9, 2), np.nan), y[:9])
    assert vars(unfitted).keys() == {"estimator", "fill", "missing_label"}


def test_parameters_act_at_the_next_fit():
    rows = ValidRows(LogisticRegression(C=1.0)).fit(X, y)
    before = rows.predict_proba(X), rows.predict(X)
    rows.set_params(estimator__C=1e-4, fill=-7)
    assert_array_equal(rows.predict_proba(X), before[0])
    assert_array_equal(rows.predict(X), before[1])
    rows.fit(X, y)
    assert not np.array_equal(rows.predict_proba(X), before[0], equal_nan=True)
    assert (rows.predict(X)[~VALID] == -7).all()
    rows.set_params(estimator=VAE)
    assert rows.predict(X).shape == (60,)


def test_copies_and_files(tmp_path):
    rows = ValidRows(make_pipeline(StandardScaler(), LAND)).fit(pd.DataFrame(X, columns=list("abcd")), PARTLY)
    sklearn_geoal.save(rows, tmp_path / "rows.geoal")
    for copy in (pickle.loads(pickle.dumps(rows)), sklearn_geoal.load(tmp_path / "rows.geoal")):
        assert_array_equal(copy.transduction_, rows.transduction_)
        assert_array_equal(copy.query(3), rows.query(3))


# a whole scene


@pytest.fixture(scope="module")
def scene():
    """A scene with a corner that is masked, and the places of its pixels that are valid."""
    scene = make_hyperspectral_scene(4, (16, 20), 30, random_state=0)
    hidden = np.zeros((16, 20), dtype=bool)
    hidden[:5, :6] = True
    mask = np.repeat(hidden.reshape(-1, 1), 30, axis=1)
    return np.ma.masked_array(np.where(mask, -9999, scene.data), mask=mask), scene.target, ~hidden.ravel()


def scene_pipeline(learner=LAND):
    return make_pipeline(
        SpatialWindow((16, 20), size=3), StandardScaler(), ValidRows(make_pipeline(VAE, clone(learner)))
    )


def test_a_scene_with_masked_pixels_is_one_pipeline(scene):
    X, target, valid = scene
    pipeline = scene_pipeline().fit(X)
    assert_array_equal(pipeline[-1].valid_, valid)
    for _ in range(3):
        pixels = pipeline[-1].query(5, candidates=target != -1)
        assert valid[pixels].all() and (target[pixels] != -1).all()
        pipeline[-1].teach(pixels, target[pixels])
    for labels in (pipeline[-1].transduction_, pipeline.predict(X)):
        assert_array_equal(labels == -1, ~valid)
    windows = make_pipeline(*[clone(step) for _, step in pipeline.steps[:2]]).fit_transform(X)[valid]
    alone = make_pipeline(clone(VAE), clone(LAND)).fit(windows)
    known = pipeline[-1].labeled_indices_
    alone[-1].teach(np.searchsorted(np.flatnonzero(valid), known), target[known])
    assert_array_equal(pipeline[-1].transduction_[valid], alone[-1].transduction_)


def test_curves_and_bridges_take_such_a_pipeline(scene):
    X, target, valid = scene
    truth = np.where(valid, target, -1)
    for strategy in ("query", "random"):
        curve = label_efficiency_curve(scene_pipeline(), X, truth, [5, 15], batch_size=5, strategy=strategy)
        assert valid[curve.queries].all()
        assert curve.scores[-1] > 0.6
    curve = label_efficiency_curve(
        scene_pipeline(),
        X,
        np.where(truth < 0, -9, target - 1),
        [9],
        missing_label=-9,
        initial=np.flatnonzero(truth == 0)[:1],
    )
    assert curve.estimator[-1].missing_label is None
    assert -1 in curve.estimator[-1].classes_
    assert (curve.estimator[-1].transduction_[~valid] == -2).all()
    learner = type("Learner", (), {"X_training": None})
    rows = np.asarray(X.filled(np.nan))
    indices, scores = ModALQueryStrategy(ValidRows(LAND))(learner, rows, 4)
    assert valid[indices].all() and scores.shape == (4,)


def test_grid_search_over_partly_labelled_rows():
    pipeline = make_pipeline(StandardScaler(), ValidRows(make_pipeline(PCA(2), LAND)))
    grid = {"validrows__estimator__landclassifier__n_neighbors": [5, 10]}
    search = GridSearchCV(pipeline, grid, cv=LabeledStratifiedKFold(2), error_score="raise").fit(X, PARTLY)
    assert search.best_score_ > 0.8
    assert GridSearchCV(ValidRows(DummyClassifier()), {}, cv=2, n_jobs=2).fit(X, y).best_score_ > 0
