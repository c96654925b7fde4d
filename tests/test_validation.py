"""Labels and their missing marker, choices, image shapes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_geoal._labels import encode_labels, labeled_mask, recode
from sklearn_geoal._validation import check_choice, check_image_shape

MISSING = [False, True, False, False, True]


@pytest.mark.parametrize(
    "y, missing_label",
    [
        ([2, -1, 0, 2, -1], "auto"),
        ([2.0, -1.0, 0.0, 2.0, -1.0], "auto"),
        ([2.0, np.nan, 0.0, 2.0, np.nan], "auto"),
        (["b", None, "a", "b", None], "auto"),
        (np.array(["b", np.nan, "a", "b", np.nan], dtype=object), "auto"),
        (np.array([2, -1, 0, 2, -1], dtype=object), "auto"),
        (pd.Series([2, None, 0, 2, None], dtype="Int64"), "auto"),
        (pd.Series(["b", None, "a", "b", None]), "auto"),
        (pl.Series(["b", None, "a", "b", None]), "auto"),
        (pl.Series([2, None, 0, 2, None]), "auto"),
        ([2, -1, 0, 2, -1], -1),
        ([2, 0, 1, 2, 0], 0),
        ([2, 0, 1, 2, 0], np.int64(0)),
        (["b", "?", "a", "b", "?"], "?"),
        (np.array(["b", "?", "a", "b", "?"], dtype=object), np.str_("?")),
        (["b", None, "a", "b", None], None),
        ([2.0, np.nan, 0.0, 2.0, np.nan], np.nan),
    ],
)
def test_missing_labels_are_found(y, missing_label):
    classes, codes = encode_labels(y, missing_label)
    assert (codes == -1).tolist() == MISSING
    assert codes[[0, 2, 3]].tolist() == [1, 0, 1]
    assert classes[codes[0]] == next(iter(y))


@pytest.mark.parametrize("y", [[0, 1, 1], ["-1", "a", "a"], [True, False, True], [1.0, 2.0, -2.0]])
def test_without_a_marker_all_are_labelled(y):
    assert labeled_mask(y)[1].all()


def test_minus_one_is_a_label_where_another_marker_occurs():
    classes, codes = encode_labels([-1.0, np.nan, 1.0])
    assert classes.tolist() == [-1, 1] and codes.tolist() == [0, -1, 1]


def test_plus_minus_one_are_classes_unless_said_otherwise():
    y = np.array([-1, 1, 1, -1])
    with pytest.warns(UserWarning, match="missing_label=-1"):
        assert labeled_mask(y)[1].all()
    assert labeled_mask(y, -1)[1].tolist() == [False, True, True, False]


def test_explicit_marker_that_never_occurs_leaves_all_labelled():
    assert labeled_mask([0, 1], "?")[1].all() and labeled_mask(["0", "1"], 0)[1].all()


def test_nothing_labelled():
    classes, codes = encode_labels(np.full(3, np.nan))
    assert len(classes) == 0 and (codes == -1).all()


@pytest.mark.parametrize("dtype", [np.int8, np.int64, np.float32, str, bool])
def test_classes_keep_the_type_of_y(dtype):
    y = np.array([1, 0, 1]).astype(dtype)
    assert encode_labels(y)[0].dtype == y.dtype


@pytest.mark.parametrize(
    "y, message",
    [
        ([0.0, np.inf], "Input y contains infinity"),
        ([0.5, 1.7, 2.2], "Unknown label type"),
        (np.array(["a", 1], dtype=object), "mixes strings and numbers"),
        (np.zeros((3, 2)), "1d array"),
    ],
)
def test_bad_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y)


def test_choice():
    assert check_choice("mode", "a", ("a", None)) == "a" and check_choice("mode", None, ("a", None)) is None
    for value in ("b", 1, np.arange(2)):
        with pytest.raises(ValueError, match=r"mode must be one of 'a', None; got"):
            check_choice("mode", value, ("a", None))


def test_image_shape():
    assert check_image_shape(np.array([3, 4, 5]), 60) == (3, 4, 5)
    for shape in [(3, 4), 60, (3, 4, 0), (3, 4, 5.5), "abc", None]:
        with pytest.raises(ValueError, match="three positive integers"):
            check_image_shape(shape, 60)
    with pytest.raises(ValueError, match="holds 60 values, but X has 61 features"):
        check_image_shape((3, 4, 5), 61)


def test_recoded_labels_are_the_same_labels():
    y = np.array([["b", "d"], ["d", "b"]])
    classes, known = np.array(["b", "d"]), np.array(["a", "b", "c", "d"])
    codes = np.searchsorted(classes, y)
    np.testing.assert_array_equal(known[recode(codes, classes, known)], y)
    np.testing.assert_array_equal(recode(np.array([-2, 1, -1]), classes, known), [-2, 3, -1])
    np.testing.assert_array_equal(codes, [[0, 1], [1, 0]])  # left alone
