"""Masks, the class of each pixel of images: which are known, which are missing, which are void."""

import math

import numpy as np
from sklearn.utils.validation import check_consistent_length

from .._arrays import tensor_as_array
from .._labels import MISSING, VOID, encode_labels, is_auto, keeping_masks, labeled_mask
from ..metrics._segmentation import class_codes, is_label

_BLOCK_VALUES = 2**20


def check_masks(y, shape, missing_label="auto", ignore_label=None):
    """Masks to learn from, as :func:`encode_masks` codes them.

    Raises
    ------
    ValueError
        If y does not go with the images, has values that are no classes, or has no known pixel.
    """
    classes, codes = encode_masks(y, shape, missing_label, ignore_label)
    if not len(classes):
        n_void = np.count_nonzero(codes == VOID)
        raise ValueError(
            f"y has no pixel with a class: {n_void} of {codes.size} are void (ignore_label={ignore_label!r}), "
            f"{codes.size - n_void} lack their label (missing_label={missing_label!r}). Label some of each class."
        )
    return classes, codes


def encode_masks(y, shape, missing_label="auto", ignore_label=None):
    """Classes of all pixels as codes, by the same rule for missing labels as :func:`labeled_mask`.

    Parameters
    ----------
    y : array-like
        Of shape (n_images, height, width) or (n_images, height * width); of shape (n_images,) if the images are single
        pixels; or a list with a mask, or None where there is none, for each image. Pixels that are masked in a
        ``numpy.ma.MaskedArray`` are missing, whatever lies below the mask.
    shape : tuple of int (n_images, bands, height, width)
        Shape of the images.
    missing_label : "auto", None, scalar or str, default="auto"
        Marker of pixels whose label is missing. "auto" is decided without the void pixels.
    ignore_label : scalar or str, default=None
        Marker of void pixels. None: there are none.

    Returns
    -------
    classes : ndarray of shape (n_classes,)
        The known labels, sorted.
    codes : ndarray of shape (n_images, height, width), dtype int64
        Index into ``classes`` of each pixel, ``MISSING`` or ``VOID``.

    Raises
    ------
    ValueError
        If y does not go with the images or has values that are no classes.
    """
    n_images, _, *sides = shape
    y = tensor_as_array(y)
    if y is None:
        raise ValueError("The segmenter requires y to be passed, but the target y is None: give a mask for each image.")
    if sides == [1, 1] and getattr(y, "ndim", 1) < 3:
        labels, _ = labeled_mask(y, None)  # one-dimensional, and of a type that labels have
        check_consistent_length(np.empty(n_images), labels)
        present, encode = np.arange(n_images), _encode_each
        hidden = np.reshape(np.ma.isMaskedArray(y) and np.ma.getmask(y), -1)
    else:
        present, masks = _as_masks(y, n_images, sides)
        labels, hidden = np.ma.getdata(masks).reshape(-1), np.ma.getmask(masks).reshape(-1)
        encode = _encode_each if masks.dtype == object else _encode_distinct
    if hidden.any():
        # the mask is the marker, as it is among labels of samples
        missing_label = None if is_auto(missing_label) else missing_label
        codes = np.full(len(labels), MISSING, dtype=np.int64)
        classes, codes[~hidden] = encode(labels[~hidden], missing_label, ignore_label)
    else:
        classes, codes = encode(labels, missing_label, ignore_label)
    codes = codes.reshape(-1, *sides)
    if len(present) == n_images:
        return classes, codes
    all_codes = np.full((n_images, *sides), MISSING, dtype=np.int64)
    all_codes[present] = codes
    return classes, all_codes


def known_accuracy(y, predicted, missing_label="auto", ignore_label=None):
    """Share of the known pixels of masks or labels y that are rightly predicted, void and missing ones left out.

    y is as :func:`encode_masks` takes it, ``predicted`` (n_images, height, width), or (n_images,) for single pixels.

    Raises
    ------
    ValueError
        If y does not go with the predictions, or no pixel of it is known.
    """
    predicted = predicted.reshape(len(predicted), *(predicted.shape[1:] or (1, 1)))
    classes, codes = encode_masks(y, (len(predicted), 1, *predicted.shape[1:]), missing_label, ignore_label)
    known = codes >= 0
    if not known.any():
        raise ValueError("y has no pixel with a class: there is nothing to compare the predictions with.")
    return float(np.mean(classes[codes[known]] == predicted[known]))


def is_mask(mask):
    """Whether an element of a list of masks is one, not None or masked itself."""
    return mask is not None and mask is not np.ma.masked


def _as_masks(y, n_images, sides):
    """Indices of the images that have a mask, and these masks: (n_masks,), (n_masks, height, width)."""
    if hasattr(y, "to_numpy"):
        y = y.to_numpy()
    if isinstance(y, (list, tuple)) or (np.ndim(y) == 1 and y.dtype.kind == "O"):
        present = [i for i, mask in enumerate(y) if is_mask(mask)]
        masks = [keeping_masks(y[i]) for i in present]
        for i, mask in zip(present, masks, strict=True):
            if mask.shape not in (tuple(sides), (math.prod(sides),)):
                raise ValueError(
                    f"y[{i}] has shape {mask.shape}, expected {tuple(sides)}, the height and width of its image, or "
                    "None if it has no mask."
                )
        stack = np.ma.stack if any(map(np.ma.isMaskedArray, masks)) else np.stack
        n_given, masks = len(y), stack(masks) if masks else np.empty((0, *sides))
    else:
        masks = keeping_masks(y)
        n_given, present = (len(masks), range(len(masks))) if masks.ndim else (0, ())
    if n_given != n_images or masks.shape[1:] not in (tuple(sides), (math.prod(sides),)):
        raise ValueError(
            f"y has shape {(n_given, *masks.shape[1:])}, expected {(n_images, *sides)}: a mask (height, width) for "
            "each of the images of X, which has shape (n_images, bands, height, width)."
        )
    return np.asarray(present, dtype=int), masks


def _encode_each(labels, missing_label, ignore_label):
    """Classes and codes of labels that are looked at one by one: objects of any kind, rows of labels."""
    void = is_label(labels, ignore_label)
    codes = np.full(len(labels), VOID)
    classes, codes[~void] = encode_labels(labels[~void], missing_label)
    return classes, codes


def _encode_distinct(labels, missing_label, ignore_label):
    """Classes and codes of very many labels: what is missing and what is a class is a matter of the distinct ones."""
    blocks = [slice(start, start + _BLOCK_VALUES) for start in range(0, len(labels), _BLOCK_VALUES)]
    values = np.unique(np.concatenate([labels[:0], *(np.unique(labels[block]) for block in blocks)]))
    values = values[~is_label(values, ignore_label)]
    classes, _ = encode_labels(np.repeat(values, 2), missing_label)  # twice: scikit-learn warns of labels seen once
    codes = np.empty(len(labels), dtype=np.int64)
    for block in blocks:
        codes[block] = class_codes(labels[block], classes)
        if ignore_label is not None:
            codes[block][is_label(labels[block], ignore_label)] = VOID
    return classes, codes
