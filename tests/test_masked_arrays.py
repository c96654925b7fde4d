"""A masked array counts as NaN where it is masked in X, as missing in y: what it hides is never learned from."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.utils import get_tags

import sklearn_geoal
from sklearn_geoal import (
    LANDClassifier,
    SymmetricVAEClassifier,
    SymmetricVAESegmenter,
    VAETransformer,
    metrics,
    plot,
    preprocessing,
)
from sklearn_geoal._labels import encode_labels
from sklearn_geoal._segmentation import encode_masks
from sklearn_geoal.interop import ModALQueryStrategy
from sklearn_geoal.model_selection import LabeledStratifiedKFold

SMALL = {"max_epochs": 2, "init_epochs": 1, "n_init": 1, "hidden_units": (8,), "random_state": 0}
VERBS = ("predict", "predict_proba", "transform", "score_samples", "reconstruct", "inverse_transform", "embed")
HIDDEN = 0.123  # valid, so that it would be learned from without a word

X = np.random.default_rng(0).uniform(0.1, 0.4, size=(48, 3))
X[5, 1] = X[20] = HIDDEN
MASK = X == HIDDEN
y = np.arange(48) % 2


def small(cls):
    estimator = cls()
    return estimator.set_params(**{key: value for key, value in SMALL.items() if key in estimator.get_params()})


ESTIMATORS = [
    *(small(getattr(sklearn_geoal, name)) for name in sklearn_geoal._ESTIMATORS),
    preprocessing.HyperbolicNeighborsTransformer(),
    preprocessing.PatchTransformer((6, 8), size=2),
    preprocessing.ReflectanceTransformer(gain=0.5),
    preprocessing.SeriesInterpolator(),
    preprocessing.SpatialWindow((6, 8)),
    preprocessing.SpectraScaler(),
    preprocessing.ValidRows(LANDClassifier()),
]
COMPLETE = [estimator for estimator in ESTIMATORS if not get_tags(estimator).input_tags.allow_nan]
SEGMENTERS = [estimator for estimator in ESTIMATORS if type(estimator).__name__.endswith("Segmenter")]
OF_IMAGES = [estimator for estimator in COMPLETE if {"image_shape", "estimator"} & {*estimator.get_params()}]


def name(estimator):
    return type(estimator).__name__


def masked(X, mask=MASK):
    return np.ma.masked_array(X, mask=mask)


def with_nan(X, mask=MASK):
    return np.where(mask, np.nan, X)


def verbs(estimator):
    return [verb for verb in VERBS if hasattr(estimator, verb)]


def assert_same(first, second):
    first, second = (result.toarray() if hasattr(result, "toarray") else result for result in (first, second))
    np.testing.assert_array_equal(first, second)


def test_every_transformer_is_here():
    classes = {name for name in preprocessing.__all__ if isinstance(getattr(preprocessing, name), type)}
    assert classes <= {name(estimator) for estimator in ESTIMATORS}


@pytest.mark.parametrize("estimator", COMPLETE, ids=name)
def test_estimators_without_nan_refuse_masked_values(estimator):
    refused = pytest.raises(ValueError, match=r"(?s)contains NaN.*Masked values count as NaN. Leave such rows out")
    with refused:
        estimator.fit(masked(X), y)
    estimator.fit(X[~MASK.any(axis=1)], y[~MASK.any(axis=1)])
    for verb in {*verbs(estimator)} - {"inverse_transform"}:
        with refused:
            getattr(estimator, verb)(masked(X))


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=name)
def test_without_a_masked_value_it_is_any_array(estimator):
    expected = {verb: getattr(estimator.fit(X, y), verb)(X) for verb in {*verbs(estimator)} - {"inverse_transform"}}
    estimator.fit(masked(X, False), y)
    for verb, result in expected.items():
        assert_same(getattr(estimator, verb)(masked(X, False)), result)


@pytest.mark.parametrize("estimator", [estimator for estimator in ESTIMATORS if estimator not in COMPLETE], ids=name)
def test_masked_values_are_nan_where_nan_is_taken(estimator):
    expected = {verb: getattr(estimator.fit(with_nan(X), y), verb)(with_nan(X)) for verb in verbs(estimator)}
    estimator.fit(masked(X), y)
    for verb, result in expected.items():
        assert_same(getattr(estimator, verb)(masked(X)), result)


@pytest.mark.parametrize("estimator", OF_IMAGES, ids=name)
def test_masked_values_of_images_are_refused(estimator):
    images = np.random.default_rng(0).uniform(0.1, 0.4, size=(8, 2, 4, 4))
    classes = np.indices((8, 4, 4))[0] % 2 if estimator in SEGMENTERS else np.arange(8) % 2
    mask = np.zeros(images.shape, dtype=bool)
    mask[3, 1, 2, 2] = True
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.fit(masked(images, mask), classes)


@pytest.mark.parametrize("estimator", SEGMENTERS, ids=name)
def test_masked_values_in_a_list_of_images_are_refused(estimator):
    images = np.random.default_rng(0).integers(9, size=(4, 2, 4, 4), dtype=np.uint8)
    mask = np.zeros(images.shape[1:], dtype=bool)
    mask[1, 2, 2] = True
    with pytest.raises(ValueError, match="contains NaN"):
        estimator.fit([*images[1:], masked(images[0], mask)], np.indices((4, 4, 4))[0] % 2)


def test_rows_in_a_list_keep_their_masks():
    with pytest.raises(ValueError, match="contains NaN"):
        LANDClassifier().fit([*masked(X)])


def test_only_missing_pixels_may_be_masked_where_images_are_filled_in():
    images = np.random.default_rng(0).uniform(size=(4, 2, 8, 8))
    segmenter = SymmetricVAESegmenter(hidden_units=(8,), max_epochs=2, random_state=0)
    segmenter.fit(images, np.indices((4, 8, 8))[1] % 2)
    missing = np.zeros((4, 8, 8), dtype=bool)
    missing[:, 3, 3] = True
    mask = np.repeat(missing[:, None], 2, axis=1)
    assert_same(segmenter.reconstruct(masked(images, mask), missing), segmenter.reconstruct(images, missing))
    mask[0, 0, 5, 5] = True
    with pytest.raises(ValueError, match="contains NaN"):
        segmenter.reconstruct(masked(images, mask), missing)


def test_masked_latents_are_refused():
    transformer = VAETransformer(n_components=3, max_epochs=1).fit(X)
    patches = preprocessing.PatchTransformer((6, 8), size=1).fit(X)
    for verb in (
        transformer.inverse_transform,
        patches.mean_map,
        metrics.hyperbolic_distances,
        metrics.delta_hyperbolicity,
        plot.LatentDisplay.from_latents,
        plot.PoincareDiskDisplay.from_latents,
        preprocessing.HyperbolicNeighborsTransformer().fit_transform,
    ):
        with pytest.raises(ValueError, match="contains NaN"):
            verb(masked(X))


def test_pictures_leave_masked_pixels_white():
    display = plot.ClassificationMapDisplay.from_predictions(y, scene_shape=(6, 8), scene=masked(X))
    assert_same((display.picture == 1).all(axis=-1).ravel()[MASK.any(axis=1)], True)
    images = np.random.default_rng(0).uniform(size=(1, 3, 6, 8))
    hidden = np.zeros(images.shape, dtype=bool)
    hidden[0, 1, 2, 3] = True
    display = plot.SegmentationDisplay.from_predictions(y.reshape(1, 6, 8), images=masked(images, hidden))
    assert_same(display.pictures[0, 2, 3], 1)


def test_masked_values_pass_no_bridge():
    class Learner:
        X_training, y_training = masked(X)[:8], y[:8]

    with pytest.raises(ValueError, match="contains NaN"):
        ModALQueryStrategy(LANDClassifier())(Learner, X[8:])
    with pytest.raises(ValueError, match="contains NaN"):
        ModALQueryStrategy(LANDClassifier())(type("Learner", (), {"X_training": None}), masked(X))
    pool = pytest.importorskip("skactiveml.pool")
    interop = sklearn_geoal.interop
    learner = interop.PoolLearner(LogisticRegression(), pool.RandomSampling(random_state=0))
    with pytest.raises(ValueError, match="contains NaN"):
        learner.fit(masked(X))
    with pytest.raises(ValueError, match="NaN"):
        interop.SkactivemlQueryStrategy(LANDClassifier()).query(masked(X), np.full(48, np.nan))


# masks of pixels: what is masked is missing


IMAGES = np.random.default_rng(1).uniform(size=(4, 2, 8, 8))
CLASSES = np.indices((4, 8, 8))[1] % 2
LOST = np.random.default_rng(2).random(CLASSES.shape) < 0.4
HIDDEN_LABEL = -9999
NAMES = np.array(["bare", "field", "sea"])


def segmenter_masks():
    """Masks with something below their mask, the same with marked pixels, and the marker: (name, masked, plain)."""
    integers = np.where(LOST, HIDDEN_LABEL, CLASSES)
    texts = np.where(LOST, "sea", NAMES[CLASSES])
    plain, objects = np.where(LOST, -1, CLASSES), np.where(LOST, None, NAMES[CLASSES])
    hard = np.ma.masked_array(integers, mask=LOST, hard_mask=True)
    nested = np.empty(4, dtype=object)
    nested[:] = [*np.ma.masked_array(integers, mask=LOST)]
    return {
        "integers": (np.ma.masked_array(integers, mask=LOST), plain),
        "small integers": (np.ma.masked_array(np.where(LOST, 255, CLASSES).astype(np.uint8), mask=LOST), plain),
        "floats": (np.ma.masked_array(integers.astype(float), mask=LOST), plain),
        "floats with NaN": (
            np.ma.masked_array(np.where(LOST, np.nan, CLASSES), mask=LOST & (IMAGES[:, 0] < 0.5)),
            plain,
        ),
        "text": (np.ma.masked_array(texts, mask=LOST), objects),
        "objects": (np.ma.masked_array(texts.astype(object), mask=LOST), objects),
        "hard mask": (hard, plain),
        "flat": (hard.reshape(4, -1), plain),
        "list": ([*np.ma.masked_array(integers, mask=LOST)], plain),
        "some in a list": ([hard[0], *CLASSES[1:]], [plain[0], *CLASSES[1:]]),
        "array of masks": (nested, plain),
    }


@pytest.fixture(params=segmenter_masks())
def masks(request):
    return segmenter_masks()[request.param]


def codes(y, **params):
    return encode_masks(y, IMAGES.shape, **params)


def test_masked_pixels_lack_a_label(masks):
    y_masked, plain = masks
    (classes, found), (expected_classes, expected) = codes(y_masked), codes(plain)
    assert_same(classes, expected_classes)
    assert_same(found, expected)


@pytest.mark.parametrize("estimator", SEGMENTERS, ids=name)
@pytest.mark.parametrize("kind", ["integers", "text", "list"])
def test_segmenters_neither_learn_nor_score_masked_pixels(estimator, kind):
    y_masked, plain = segmenter_masks()[kind]
    estimator = clone(estimator).set_params(max_epochs=1)
    expected, fitted = clone(estimator).fit(IMAGES, plain), clone(estimator).fit(IMAGES, y_masked)
    assert_same(fitted.classes_, expected.classes_)
    assert_same(fitted.predict_proba(IMAGES), expected.predict_proba(IMAGES))
    assert fitted.score(IMAGES, y_masked) == expected.score(IMAGES, plain)


def test_an_explicit_marker_and_void_pixels_hold_beside_a_mask():
    y_masked = np.ma.masked_array(np.where(LOST, 3, CLASSES), mask=LOST)
    y_masked.data[0], y_masked.data[1] = 7, 255
    classes, found = codes(y_masked, missing_label=7, ignore_label=255)
    assert_same(classes, [0, 1])
    assert_same(found[LOST], -1)
    assert_same(found[0], -1)
    assert_same(found[1][~LOST[1]], -2)
    assert_same(found[2:][~LOST[2:]], CLASSES[2:][~LOST[2:]])


def test_beside_a_mask_minus_one_is_a_class_as_it_is_among_labels_of_rows():
    y_masked = np.ma.masked_array(CLASSES - 1, mask=LOST)
    assert_same(codes(y_masked)[0], [-1, 0])
    assert_same(encode_labels(y_masked.ravel())[0], [-1, 0])
    assert_same(codes(np.ma.masked_array(CLASSES - 1))[0], [0])


@pytest.mark.parametrize("mask", [np.ma.nomask, False], ids=["nomask", "nothing masked"])
def test_masks_of_which_nothing_is_masked_are_any_masks(mask):
    plain = np.where(LOST, -1, CLASSES)
    for first, second in zip(codes(np.ma.masked_array(plain, mask=mask)), codes(plain), strict=True):
        assert_same(first, second)


@pytest.mark.parametrize("dtype", [int, float, str, object])
def test_masks_of_which_all_is_masked_have_no_class(dtype):
    y_masked = np.ma.masked_array(CLASSES.astype(dtype), mask=True)
    for y_all in (y_masked, [*y_masked]):
        with pytest.raises(ValueError, match="y has no pixel with a class: 0 of 256 are void"):
            SEGMENTERS[0].fit(IMAGES, y_all)


def test_a_masked_entry_of_a_list_is_an_image_without_a_mask():
    plain = [CLASSES[0], None, None, CLASSES[3]]
    given = [CLASSES[0], np.ma.masked, None, CLASSES[3]]
    assert_same(codes(given)[1], codes(plain)[1])
    assert [test.tolist() for _, test in LabeledStratifiedKFold(2).split(IMAGES, given)] == [[0], [3]]


@pytest.mark.parametrize("missing_label", ["auto", None, 5])
def test_labels_of_single_pixels(missing_label):
    y_masked = np.ma.masked_array(np.where(MASK[:, 0], HIDDEN_LABEL, y), mask=MASK[:, 0])
    classes, found = encode_masks(y_masked, (48, 3, 1, 1), missing_label=missing_label)
    assert_same(classes, [0, 1])
    assert_same(found.ravel(), np.where(MASK[:, 0], -1, y))


def test_folds_of_images_go_by_their_masks():
    mask = np.ones(CLASSES.shape, dtype=bool)
    mask[[0, 2, 3], 4, 4] = False
    folds = LabeledStratifiedKFold(3).split(IMAGES, np.ma.masked_array(CLASSES, mask=mask))
    assert [test.tolist() for _, test in folds] == [[0], [2], [3]]


def test_the_score_in_a_cross_validation_leaves_masked_pixels_out():
    segmenter = clone(SEGMENTERS[0])
    y_masked = np.ma.masked_array(np.where(LOST, HIDDEN_LABEL, CLASSES), mask=LOST)
    plain = np.where(LOST, -1, CLASSES)
    scores = [cross_val_score(segmenter, IMAGES, each, cv=LabeledStratifiedKFold(2)) for each in (y_masked, plain)]
    assert_same(*scores)


@pytest.mark.parametrize("dtype", [int, np.uint8, float, str, object])
@pytest.mark.parametrize("form", ["array", "list", "stream", "hard"])
def test_measures_of_masks_count_what_is_masked_in_neither(dtype, form):
    rng = np.random.default_rng(3)
    true, pred = (rng.integers(3, size=(4, 5, 6)) for _ in range(2))
    hide_true, hide_pred = (rng.random(true.shape) < 0.3 for _ in range(2))
    kept = ~(hide_true | hide_pred)
    expected = metrics.confusion(true[kept], pred[kept])
    hard = {"hard_mask": form == "hard"}
    given = (
        np.ma.masked_array(np.where(hide_true, 99, true).astype(dtype), mask=hide_true, **hard),
        np.ma.masked_array(np.where(hide_pred, 98, pred).astype(dtype), mask=hide_pred, **hard),
    )
    labels = np.arange(3).astype(dtype) if form == "stream" else None
    forms = {"list": lambda: map(list, given), "stream": lambda: map(iter, given)}

    def pair():
        return forms.get(form, lambda: given)()

    assert_same(metrics.confusion(*pair(), labels=labels), expected)
    assert metrics.pixel_accuracy(*pair(), labels=labels) == metrics.pixel_accuracy(counts=expected)
    assert metrics.mean_iou(*pair(), labels=labels) == metrics.mean_iou(counts=expected)


def test_measures_of_masks_with_one_of_them_masked_and_void_pixels():
    true, mask = np.array([0, 1, 1, 255, 0]), [False, False, True, False, True]
    assert_same(metrics.confusion(np.ma.masked_array(true, mask), [0, 0, 1, 1, 1], ignore_label=255), [[1, 0], [1, 0]])
    assert_same(metrics.confusion(true[:3], np.ma.masked_array([0, 1, 7], mask[:3])), [[1, 0], [0, 1]])
    assert np.isnan(metrics.pixel_accuracy(np.ma.masked_array(true, True), true))


def test_other_measures_leave_masked_samples_out():
    first, second = np.array([0, 0, 1, 1, 2, -9999]), np.array([5, 5, 3, 3, -9999, 3])
    hidden = [np.ma.masked_less(labels, 0) for labels in (first, second)]
    assert_same(metrics.jaccard_consensus(*hidden).matrix, metrics.jaccard_consensus(first[:4], second[:4]).matrix)
    groups = {"group": {0: "a", 1: "b", 2: "b"}}
    true, pred = np.ma.masked_less([0, 1, 2, -9999], 0), np.ma.masked_array([0, 2, 1, 0], [0, 0, 1, 0])
    assert metrics.hierarchical_accuracy(true, pred, groups) == {"leaf": 0.5, "group": 1.0}
    assert metrics.hierarchical_accuracy(true.filled(0), [0, 2, 1, 0], groups)["leaf"] == 0.5
    with pytest.raises(ValueError, match="None of 6 samples has .* in both clusterings, masked ones left out"):
        metrics.jaccard_consensus(np.ma.masked_array(first, True), second)
    with pytest.raises(ValueError, match="Each of the 4 samples is masked"):
        metrics.hierarchical_accuracy(np.ma.masked_array(true, True), pred, groups)


def test_pictures_show_masked_pixels_as_unknown():
    true = np.ma.masked_array(np.where(LOST, HIDDEN_LABEL, CLASSES), mask=LOST)
    pred = np.ma.masked_array(1 - CLASSES, mask=np.zeros(LOST.shape, dtype=bool))
    pred[0] = np.ma.masked
    pred[:, 0] = CLASSES[:, 0]
    kept = ~(LOST | pred.mask)
    accuracy = (CLASSES == pred.data)[kept].mean()
    for each in (true, [*true]):
        display = plot.SegmentationDisplay.from_predictions({"P": pred}, y_true=each)
        assert display.class_names == ["0", "1"]
        assert_same(display.truth, np.where(LOST, -1, CLASSES))
        assert_same(display.predictions["P"], np.where(pred.mask, -1, pred.data))
        assert display.ax_[0, 1].get_title() == f"P\naccuracy {accuracy:.3f}"
    true.data[~LOST & (IMAGES[:, 0] < 0.3)] = 255
    display = plot.SegmentationDisplay.from_predictions(CLASSES, y_true=true, ignore_label=255)
    assert_same(display.truth[LOST], -1)
    assert_same(display.truth[~LOST & (IMAGES[:, 0] < 0.3)], -2)
    display = plot.ClassificationMapDisplay.from_predictions(
        np.ma.masked_array(y, MASK[:, 0]), scene_shape=(6, 8), y_true=np.ma.masked_array(y, MASK[:, 1])
    )
    assert_same(display.prediction.ravel(), np.where(MASK[:, 0], -1, y))
    assert_same(display.truth.ravel(), np.where(MASK[:, 1], -1, y))
    assert display.ax_[-1].get_title() == "Prediction, accuracy 1.000"


@pytest.mark.parametrize("cls", [SymmetricVAEClassifier, SymmetricVAESegmenter])
def test_no_sample_is_drawn_for_a_masked_class(cls):
    model = small(cls).fit(X, y)
    for refused in (np.ma.masked_array([0, 1], [False, True]), [np.ma.masked_array(0, True), np.ma.masked_array(1)]):
        with pytest.raises(ValueError, match="1 of 2 values of y are masked"):
            model.sample(2, y=refused)
    assert_same(model.sample(2, y=np.ma.masked_array([0, 1]))[1], [0, 1])
