"""Labels and their missing marker, choices, image shapes."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_geoal._labels import answered_mask, encode_labels, labeled_mask, recode, resolved_marker
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
        # beside strings, where numpy would make strings of the markers
        (["b", np.nan, "a", "b", np.nan], "auto"),
        (("b", pd.NA, "a", "b", None), "auto"),
        (["b", -1, "a", "b", np.int64(-1)], -1),
        (["b", np.nan, "a", "b", None], np.nan),
        # pandas' own marker
        (np.array(["b", pd.NA, "a", "b", pd.NA], dtype=object), pd.NA),
        ([2, pd.NA, 0, 2, pd.NA], "auto"),
        (pd.Series([2, None, 0, 2, None], dtype="Int64"), pd.NA),
        (pd.array(["b", None, "a", "b", None], dtype="string"), pd.NA),
        ([2.0, np.nan, 0.0, 2.0, np.nan], pd.NA),
        # masked
        (np.ma.masked_array([2, 5, 0, 2, 5], MISSING), "auto"),
        (np.ma.masked_array([2, 5, 0, 2, -1], [False, True, False, False, False]), -1),
        (np.ma.masked_array(["b", "c", "a", "b", "c"], MISSING), None),
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
        (["a", 1, 2], "mixes strings and numbers"),
        ([("a", 1), ("b", 2)], r"must be one string or number; got the tuple \('a', 1\)"),
        (["a", ("b", "c")], r"must be one string or number; got the tuple \('b', 'c'\)"),
        (pd.Series([("a", 1), ("b",)]), r"must be one string or number; got the tuple"),
        (np.zeros((3, 2)), "1d array"),
    ],
)
def test_bad_labels_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        encode_labels(y)


@pytest.mark.parametrize(
    "y, missing_label, marker",
    [
        ([0, -1, 2], "auto", -1),
        ([0.0, -1.0, 2.0], "auto", -1),
        ([0, 1, 2], "auto", "auto"),
        ([-1.0, np.nan, 1.0], "auto", "auto"),  # NaN always stands for a missing label
        (["a", None], "auto", "auto"),
        ([0, 1, 2], 0, 0),
        (["a", "?"], "?", "?"),
    ],
)
def test_marker_that_was_read(y, missing_label, marker):
    assert resolved_marker(*labeled_mask(y, missing_label), missing_label) == marker


@pytest.mark.parametrize(
    "labels, marker, known, answered",
    [
        ([0, None, 2], "auto", [], [True, False, True]),
        ([0, np.nan, 2], -1, [0, 1], [True, False, True]),
        (["a", pd.NA], "?", ["a"], [True, False]),
        (["a", "?"], "?", ["a"], [True, False]),
        (["?"], "?", [], [False]),
        ([3, -1], -1, [0, 1], [True, False]),
        ([1, -1], -1, [1], [True, False]),  # fit read it as the marker: no longer a question
        ([-1], "auto", [0, 1], [False]),  # beside other integers
        ([-1.0], "auto", [0.0, 2.0], [False]),
        ([3, -1], "auto", [], [True, False]),
        ([-1], "auto", [-1, 0, 1], [True]),  # a class of fit
        ([-1, 5], None, [0, 1], [True, True]),  # taken at its word
        ([-1, 5], 5, [0, 1], [True, False]),
        (["-1"], "auto", ["a"], [True]),
        ([], "auto", [0, 1], []),
    ],
)
def test_what_is_an_answer(labels, marker, known, answered):
    answers, mask, _ = answered_mask(labels, marker, np.array(known))
    assert mask.tolist() == answered
    assert answers.tolist() == [label for label, is_known in zip(labels, answered, strict=True) if is_known]


@pytest.mark.parametrize("labels, known", [([-1, 1], []), ([-1], [1]), ([-1], [-1, 1])])
@pytest.mark.filterwarnings("ignore:y holds exactly the values -1 and 1")
def test_minus_one_and_one_stay_classes_among_answers(labels, known):
    assert answered_mask(labels, "auto", np.array(known))[1].all()


def test_answers_of_minus_one_alone_are_none_and_say_so():
    with pytest.warns(UserWarning, match="missing_label=None"):
        _, answered, marker = answered_mask([-1, -1], "auto", np.empty(0))
    assert not answered.any() and marker == "auto"


def test_marker_that_answers_resolve_is_kept():
    known, _, marker = answered_mask([1, -1, 2], "auto", np.empty(0))
    assert known.tolist() == [1, 2] and marker == -1


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
