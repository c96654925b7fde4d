"""Accuracy of masks: the class of each pixel of images, of scenes as large as a disk."""

from itertools import zip_longest

import numpy as np

from .._labels import is_masked_pair, is_na, keeping_masks

_BLOCK_VALUES = 2**20


def confusion(y_true, y_pred, *, labels=None, ignore_label=None):
    """How many pixels of each class were taken for each class.

    Works block by block: beside the masks themselves it needs a few megabytes. What is too large for memory is given as
    a memory map, or as two iterators over blocks (anything with ``__next__``, such as a generator), of which one block
    each is held at a time. The matrices of parts add up to that of the whole.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape, or iterators over such
        True and predicted classes, of any shape: masks (n_images, height, width), one scene, rows of labels. Pixels
        that are masked in a :class:`numpy.ma.MaskedArray`, in either of them, do not count.
    labels : array-like of shape (n_classes,), default=None
        The classes, in the order of the result. None: all values in y_true and y_pred, sorted. Iterators need them.
    ignore_label : scalar or str, default=None
        Value in y_true of pixels that do not count, whatever y_pred has there; it may be NaN. None: all count.

    Returns
    -------
    counts : ndarray of shape (n_classes, n_classes), dtype int64
        Number of pixels, by true class (rows) and predicted class (columns).

    Raises
    ------
    ValueError
        If the shapes of y_true and y_pred differ, a value that counts is none of ``labels``, one is of text and the
        other of numbers, or iterators come without ``labels`` or do not end together.

    See Also
    --------
    sklearn.metrics.confusion_matrix : The same for rows of labels that fit into memory several times.

    Examples
    --------
    >>> from sklearn_geoal.metrics import confusion
    >>> y_true, y_pred = [[0, 0, 1], [1, 1, 255]], [[0, 1, 1], [1, 1, 0]]
    >>> confusion(y_true, y_pred, ignore_label=255)
    array([[1, 1],
           [0, 3]])
    """
    if _is_stream(y_true) or _is_stream(y_pred):
        blocks = _stream_blocks(y_true, y_pred, labels)
    else:
        y_true, y_pred = _as_pair(y_true, y_pred)
        blocks = list(_blocks(y_true, y_pred))
    if labels is None:
        labels = _distinct(blocks, ignore_label)
    labels = np.asarray(labels)
    order = np.argsort(labels)
    if labels.ndim != 1 or (labels[order][1:] == labels[order][:-1]).any():
        raise ValueError(f"labels must be a list of classes, each named once; got {labels.tolist()}.")
    counts = np.zeros((len(labels), len(labels)), dtype=np.int64)
    for true, pred in blocks:
        counts += _count(true, pred, labels[order], ignore_label)
    unsorted = np.argsort(order)
    return counts[np.ix_(unsorted, unsorted)]


def pixel_accuracy(y_true=None, y_pred=None, *, labels=None, ignore_label=None, counts=None):
    """Share of the pixels that have the right class.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape, or iterators over such, default=None
        True and predicted classes, as for :func:`confusion`.
    labels : array-like of shape (n_classes,), default=None
        The classes. None: all values in y_true and y_pred. Iterators need them.
    ignore_label : scalar or str, default=None
        Value in y_true of pixels that do not count. None: all count.
    counts : array-like of shape (n_classes, n_classes), default=None
        A matrix that :func:`confusion` gave, or a sum of several, instead of all other parameters.

    Returns
    -------
    accuracy : float
        In [0, 1]; NaN if no pixel counts.

    Raises
    ------
    ValueError
        As :func:`confusion`, or if both masks and ``counts`` are given, or neither.

    Examples
    --------
    >>> from sklearn_geoal.metrics import pixel_accuracy
    >>> pixel_accuracy([[0, 0], [1, 255]], [[0, 1], [1, 1]], ignore_label=255)
    0.6666666666666666
    """
    counts = _as_counts(y_true, y_pred, labels, ignore_label, counts)
    total = counts.sum()
    return float(counts.trace() / total) if total else float("nan")


def mean_iou(y_true=None, y_pred=None, *, labels=None, ignore_label=None, counts=None):
    """Intersection over union of true and predicted pixels, mean of the classes.

    The intersection over union of a class is TP / (TP + FP + FN), where TP pixels of all images are rightly said to be
    of the class, FP are wrongly said to be, and FN wrongly said not to be. A class that is predicted somewhere but true
    nowhere has 0 and counts in the mean; one that is neither is left out.

    Parameters
    ----------
    y_true, y_pred : array-like of equal shape, or iterators over such, default=None
        True and predicted classes, as for :func:`confusion`.
    labels : array-like of shape (n_classes,), default=None
        The classes. None: all values in y_true and y_pred. Iterators need them.
    ignore_label : scalar or str, default=None
        Value in y_true of pixels that do not count. None: all count.
    counts : array-like of shape (n_classes, n_classes), default=None
        A matrix that :func:`confusion` gave, or a sum of several, instead of all other parameters.

    Returns
    -------
    iou : float
        In [0, 1]; NaN if no pixel counts.

    Raises
    ------
    ValueError
        As :func:`confusion`, or if both masks and ``counts`` are given, or neither.

    See Also
    --------
    sklearn.metrics.jaccard_score : The same for rows of labels, with ``average="macro"``.

    Examples
    --------
    One class is found in 1 of 2 pixels, the other in 1 of 2:

    >>> from sklearn_geoal.metrics import confusion, mean_iou
    >>> y_true, y_pred = [[0, 0], [1, 255]], [[0, 1], [1, 1]]
    >>> mean_iou(y_true, y_pred, ignore_label=255)
    0.5

    Both measures of many scenes, one scene at a time:

    >>> scenes = [(y_true, y_pred), (y_pred, y_pred)]
    >>> counts = sum(confusion(*scene, labels=[0, 1], ignore_label=255) for scene in scenes)
    >>> round(mean_iou(counts=counts), 3)
    0.733
    """
    counts = _as_counts(y_true, y_pred, labels, ignore_label, counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - counts.diagonal()
    occurs = union > 0
    return float((counts.diagonal()[occurs] / union[occurs]).mean()) if occurs.any() else float("nan")


def class_codes(values, classes):
    """Index of each value in the sorted classes, -1 where it is none of them: int64, of the shape of values."""
    if not len(classes):
        return np.full(values.shape, -1, dtype=np.int64)
    are_integers = all(array.dtype.kind in "biu" and np.can_cast(array.dtype, np.int64) for array in (values, classes))
    first, last = classes[0], classes[-1]
    if are_integers and -(2**62) < first and last < 2**62 and int(last) - int(first) < 2**16:
        return _looked_up(values.astype(np.int64), classes.astype(np.int64))
    codes = np.searchsorted(classes, values)
    codes[codes == len(classes)] = 0
    codes[classes[codes] != values] = -1
    return codes


def _looked_up(values, classes):
    """What class_codes gives, for integers that are near to each other: a table is some times as fast as a search."""
    below, above = classes[0] - 1, classes[-1] + 1
    table = np.full(above - below + 1, -1, dtype=np.int64)
    table[classes - below] = np.arange(len(classes))
    np.clip(values, below, above, out=values)
    values -= below
    return table[values]


def is_label(values, label):
    """Where the values are a label, which may be NaN, as pandas' NA is; nowhere if the label is None."""
    if label is None:
        return np.zeros(values.shape, dtype=bool)
    label = np.nan if is_na(label) else label
    if values.dtype.kind == "O":
        plain = [np.nan if is_na(value) else value for value in values.flat]
        values = np.array(plain, dtype=object).reshape(values.shape)
    return values != values if label != label else values == label


def distinct(labels, **options):
    """What numpy.unique gives, for labels that may be of any kind but all of one.

    Raises
    ------
    ValueError
        If they cannot be sorted.
    """
    try:
        return np.unique(labels, **options)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in labels.flat})
        raise ValueError(f"Labels must be all strings or all numbers, since they are sorted; got {kinds}.") from None


def _is_stream(y):
    return hasattr(y, "__next__")


def _stream_blocks(y_true, y_pred, labels):
    """Pairs of blocks of two iterators."""
    if not (_is_stream(y_true) and _is_stream(y_pred)):
        raise ValueError(
            f"y_true is of type {type(y_true).__name__}, y_pred of type {type(y_pred).__name__}: give two arrays, or "
            "two iterators over the same blocks, for instance iter(y_true) beside a generator of predictions."
        )
    if labels is None:
        raise ValueError("y_true and y_pred are iterators, whose classes are not known beforehand: give labels.")
    return _paired(y_true, y_pred)


def _paired(y_true, y_pred):
    missing = object()
    for number, (true, pred) in enumerate(zip_longest(y_true, y_pred, fillvalue=missing)):
        if true is missing or pred is missing:
            ended, other = ("y_true", "y_pred") if true is missing else ("y_pred", "y_true")
            raise ValueError(f"{ended} ends after {number} blocks, {other} goes on: give the same blocks of both.")
        yield from _blocks(*_as_pair(true, pred))


def _as_pair(y_true, y_pred):
    y_true, y_pred = keeping_masks(y_true), keeping_masks(y_pred)
    for name, y in (("y_true", y_true), ("y_pred", y_pred)):
        if y.dtype.kind == "O" and any(value is None for value in y.flat):
            raise ValueError(f"{name} has None among its values: put a label there, and give it as ignore_label.")
    if y_true.shape != y_pred.shape:
        raise ValueError(f"y_true has shape {y_true.shape}, y_pred {y_pred.shape}, expected the same for both.")
    return y_true, y_pred


def _blocks(y_true, y_pred):
    """Pairs of one-dimensional blocks of bounded size, views where the arrays are contiguous."""
    y_true, y_pred = y_true.reshape(-1), y_pred.reshape(-1)
    for start in range(0, len(y_true), _BLOCK_VALUES):
        yield y_true[start : start + _BLOCK_VALUES], y_pred[start : start + _BLOCK_VALUES]


def _distinct(blocks, ignore_label):
    """Sorted values of all blocks of both, without what is ignored of the truth and predicted there."""
    found = []
    for true, pred in blocks:
        _check_same_kind(true, pred)
        found += map(distinct, _counted(true, pred, ignore_label))
    return distinct(np.concatenate(found)) if found else np.empty(0)


def _count(true, pred, labels, ignore_label):
    """Confusion of a block, by sorted labels."""
    coded = []
    for name, y in zip(("y_true", "y_pred"), _counted(true, pred, ignore_label), strict=True):
        _check_same_kind(y, labels)
        codes = class_codes(y, labels)
        if (codes < 0).any():
            raise ValueError(
                f"{name} has the value {y[codes < 0].tolist()[0]!r}, which is none of the labels {labels.tolist()}: "
                "add it to labels, or, if such pixels of y_true do not count, give it as ignore_label."
            )
        coded.append(codes)
    pairs = coded[0] * len(labels) + coded[1]
    return np.bincount(pairs, minlength=len(labels) ** 2).reshape(len(labels), len(labels))


def _counted(true, pred, ignore_label):
    """The pixels of a block that count, as plain arrays."""
    hidden, true, pred = is_masked_pair(true, pred), np.ma.getdata(true), np.ma.getdata(pred)
    counted = ~(is_label(true, ignore_label) | hidden)
    true, pred = true[counted], pred[counted]
    for name, y in (("y_true", true), ("y_pred", pred)):
        if y.dtype.kind in "fO" and is_label(y, np.nan).any():
            raise ValueError(
                f"{name} has NaN where pixels count: put a class there, or, if such pixels of y_true do not count, "
                "give ignore_label=numpy.nan."
            )
    return true, pred


def _check_same_kind(y, other):
    """Raise ValueError if one array is of text and the other of numbers: numpy would compare both as text."""
    kinds = {array.dtype.kind in "US" for array in (y, other) if array.size and array.dtype.kind != "O"}
    if len(kinds) > 1:
        raise ValueError(
            f"Classes of type {y.dtype} meet classes of type {other.dtype}: give y_true, y_pred and labels of one kind."
        )


def _as_counts(y_true, y_pred, labels, ignore_label, counts):
    """Confusion matrix of masks, or the one given."""
    if counts is None:
        if y_true is None or y_pred is None:
            raise ValueError("Either y_true and y_pred or counts must be given; got neither.")
        return confusion(y_true, y_pred, labels=labels, ignore_label=ignore_label)
    if y_true is not None or y_pred is not None:
        raise ValueError("Either y_true and y_pred or counts must be given; got both.")
    counts = np.asarray(counts)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1]:
        raise ValueError(f"counts must be a square matrix, as confusion gives it; got shape {counts.shape}.")
    return counts
