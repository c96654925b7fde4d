"""Accuracy of masks: against scikit-learn where it has the same measure, and by hand."""

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, jaccard_score

from sklearn_geoal.metrics import _segmentation, confusion, mean_iou, pixel_accuracy

NAMES = np.array(["asphalt", "grass", "roof", "tree"])


def masks(shape=(3, 20, 30), n_classes=4, seed=0):
    rng = np.random.default_rng(seed)
    y_true = rng.integers(n_classes, size=shape)
    return y_true, np.where(rng.random(shape) < 0.6, y_true, rng.integers(n_classes, size=shape))


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_segmentation, "_BLOCK_VALUES", 7)


@pytest.mark.parametrize(
    "as_type",
    [
        np.uint8,
        np.int8,
        np.int64,
        np.float32,
        NAMES.__getitem__,
        lambda y: NAMES[y].astype(object),
        lambda y: 10**9 * y,  # too far apart for a table
        lambda y: 10 - 5 * y,
    ],
    ids=["uint8", "int8", "int64", "float32", "text", "objects", "large", "negative"],
)
def test_agrees_with_scikit_learn(as_type, small_blocks):
    y_true, y_pred = (y.astype(as_type) if isinstance(as_type, type) else as_type(y) for y in masks())
    rows = y_true.ravel(), y_pred.ravel()
    np.testing.assert_array_equal(confusion(y_true, y_pred), confusion_matrix(*rows))
    assert pixel_accuracy(y_true, y_pred) == pytest.approx(accuracy_score(*rows))
    assert mean_iou(y_true, y_pred) == pytest.approx(jaccard_score(*rows, average="macro"))


def test_labels_give_the_order():
    y_true, y_pred = masks()
    labels = [2, 0, 3, 1]
    counts = confusion(y_true, y_pred, labels=labels)
    np.testing.assert_array_equal(counts, confusion_matrix(y_true.ravel(), y_pred.ravel(), labels=labels))
    np.testing.assert_array_equal(counts, confusion(y_true, y_pred)[np.ix_(labels, labels)])
    assert mean_iou(y_true, y_pred, labels=labels) == pytest.approx(mean_iou(y_true, y_pred))


@pytest.mark.parametrize("void", [255, -1, np.nan])
def test_ignored_pixels_do_not_count_whatever_is_predicted_there(void, small_blocks):
    y_true, y_pred = masks()
    ignored = np.random.default_rng(1).random(y_true.shape) < 0.3
    expected = confusion(y_true[~ignored], y_pred[~ignored])
    y_true = np.where(ignored, void, y_true)
    for there in (0, 77, void):
        filled = np.where(ignored, there, y_pred)
        np.testing.assert_array_equal(confusion(y_true, filled, ignore_label=void), expected)
        np.testing.assert_array_equal(confusion(y_true, filled, labels=range(4), ignore_label=void), expected)


def test_streams_and_sums_of_parts_give_the_whole():
    y_true, y_pred = masks()
    whole = confusion(y_true, y_pred)
    np.testing.assert_array_equal(confusion(iter(y_true), (part for part in y_pred), labels=range(4)), whole)
    parts = sum(confusion(true, pred, labels=range(4)) for true, pred in zip(y_true, y_pred, strict=True))
    np.testing.assert_array_equal(parts, whole)
    for measure in (pixel_accuracy, mean_iou):
        expected = measure(y_true, y_pred)
        assert measure(counts=parts) == expected
        assert measure(iter(y_true), iter(y_pred), labels=range(4)) == expected


def test_a_stream_is_held_one_block_at_a_time():
    alive = []

    def blocks(y):
        for part in y:
            alive.append(len(alive))
            yield part
            assert len(alive) <= 2  # one of each
            alive.pop()

    y_true, y_pred = masks()
    confusion(blocks(y_true), blocks(y_pred), labels=range(4))


def test_mean_iou_by_hand():
    # class 0: 1 of 2 pixels, class 1: 2 of 4, class 2 predicted only, class 3 nowhere
    y_true, y_pred = [[0, 0, 1], [1, 1, 9]], [[0, 1, 1], [1, 2, 3]]
    assert mean_iou(y_true, y_pred, labels=[0, 1, 2, 3], ignore_label=9) == pytest.approx((1 / 2 + 2 / 4 + 0) / 3)
    assert pixel_accuracy(y_true, y_pred, ignore_label=9) == pytest.approx(3 / 5)


def test_bounds():
    y_true, y_pred = masks()
    assert mean_iou(y_true, y_true) == pixel_accuracy(y_true, y_true) == 1
    assert mean_iou(y_true, (y_true + 1) % 4) == pixel_accuracy(y_true, (y_true + 1) % 4) == 0
    assert mean_iou(y_true, y_pred) <= pixel_accuracy(y_true, y_pred)


@pytest.mark.parametrize("measure", [pixel_accuracy, mean_iou])
def test_nothing_that_counts_is_nan(measure):
    assert np.isnan(measure([[5, 5]], [[1, 2]], ignore_label=5))


@pytest.mark.parametrize(
    "y_true, y_pred, arguments, message",
    [
        (np.zeros((2, 3)), np.zeros((3, 2)), {}, r"y_true has shape \(2, 3\), y_pred \(3, 2\)"),
        ([0, 4], [0, 1], {"labels": [0, 1]}, "y_true has the value 4, which is none of the labels.*ignore_label"),
        ([0, 1], [0, 2], {"labels": [0, 1]}, "y_pred has the value 2, which is none of the labels"),
        ([0.0, np.nan], [0.0, 0.0], {}, "y_true has NaN where pixels count"),
        (["a", None], ["a", "b"], {}, "y_true has None among its values"),
        ([0, 1], ["a", "b"], {}, "Classes of type int64 meet classes of type <U1"),
        ([0, 1], [0, 1], {"labels": ["0", "1"]}, "Classes of type int64 meet"),
        ([0, 1], [0, 1], {"labels": [0, 1, 0]}, r"each named once; got \[0, 1, 0\]"),
        (iter([[0]]), [[0]], {"labels": [0]}, "y_true is of type list_iterator, y_pred of type list"),
        (iter([[0]]), iter([[0]]), {}, "not known beforehand: give labels"),
        (iter([[0], [0]]), iter([[0]]), {"labels": [0]}, "y_pred ends after 1 blocks, y_true goes on"),
    ],
)
def test_invalid_masks(y_true, y_pred, arguments, message):
    with pytest.raises(ValueError, match=message):
        confusion(y_true, y_pred, **arguments)


@pytest.mark.parametrize("measure", [pixel_accuracy, mean_iou])
def test_either_masks_or_counts(measure):
    for arguments, message in (
        ({}, "got neither"),
        ({"y_true": [0], "y_pred": [0], "counts": [[1]]}, "got both"),
        ({"counts": [[1, 2]]}, r"square matrix.*got shape \(1, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            measure(**arguments)


def test_integers_at_the_ends_of_their_range_are_told_apart():
    large = np.array([0, 2**64 - 1], dtype=np.uint64)  # the second would be -1 as a signed one
    np.testing.assert_array_equal(confusion(large, large), np.eye(2))
    with pytest.raises(ValueError, match="which is none of the labels"):
        confusion(large, large, labels=[-1, 0])
    for ends in ([-(2**63), -(2**63) + 1], [2**63 - 2, 2**63 - 1]):
        np.testing.assert_array_equal(confusion(ends, ends), np.eye(2))
