"""Accuracy at each level of a hierarchy of classes."""

from collections.abc import Mapping

import numpy as np
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length, column_or_1d

from .._labels import is_masked_pair, is_missing, keeping_masks
from ._segmentation import distinct


def hierarchical_accuracy(y_true, y_pred, levels):
    """Accuracy of the classes themselves and of the groups that they form at coarser levels of a hierarchy.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        True and predicted classes. Samples that are masked in a :class:`numpy.ma.MaskedArray`, in either of them, do
        not count.
    levels : dict of str to mapping or array-like of shape (n_classes,)
        The groups of each level by its name: a mapping from class to group, or, where the classes are the integers from
        0, an array of groups with the class as index (such as ``level2`` of
        :func:`~sklearn_geoal.datasets.load_aid`).

    Returns
    -------
    accuracies : dict of str to float
        Under ``"leaf"`` the share of samples with the right class, under the name of each level the share of those with
        a class of the right group.

    Raises
    ------
    TypeError
        If ``levels`` is not a dict.
    ValueError
        If a class has no group, a level is named ``"leaf"``, y_true and y_pred do not go together, or no sample counts.

    Examples
    --------
    >>> from sklearn_geoal.metrics import hierarchical_accuracy
    >>> habitat = {"oak": "forest", "pine": "forest", "reed": "water", "lake": "water"}
    >>> y_true = ["oak", "oak", "pine", "reed"]
    >>> y_pred = ["oak", "pine", "lake", "lake"]
    >>> hierarchical_accuracy(y_true, y_pred, {"habitat": habitat})
    {'leaf': 0.25, 'habitat': 0.75}
    """
    if not isinstance(levels, Mapping):
        raise TypeError(f"levels must be a dict from the name of a level to its groups; got {type(levels).__name__}.")
    if "leaf" in levels:
        raise ValueError('levels has one named "leaf", which is the name of the classes themselves: rename it.')
    y_true, y_pred = _unmasked(y_true, y_pred)
    accuracies = {"leaf": float(accuracy_score(y_true, y_pred))}
    true, predicted = (column_or_1d(y).tolist() for y in (y_true, y_pred))
    for name, groups in levels.items():
        group = _group_of_class(name, groups, {*true, *predicted})
        accuracies[name] = float(np.mean([group[a] == group[b] for a, b in zip(true, predicted, strict=True)]))
    return accuracies


def _unmasked(y_true, y_pred):
    """Those samples of both that are masked in neither, all of which need a class in both."""
    y_true, y_pred = keeping_masks(y_true), keeping_masks(y_pred)
    if any(map(np.ma.is_masked, (y_true, y_pred))):
        check_consistent_length(y_true, y_pred)
        counted = np.flatnonzero(~is_masked_pair(y_true, y_pred))
        if not len(counted):
            raise ValueError(
                f"Each of the {len(y_true)} samples is masked in y_true or y_pred: there is nothing to compare."
            )
        y_true, y_pred = np.ma.getdata(y_true)[counted], np.ma.getdata(y_pred)[counted]
    for name, y in (("y_true", y_true), ("y_pred", y_pred)):
        missing = is_missing(y.ravel())
        if missing.any():
            raise ValueError(
                f"{name} lacks the class of {np.count_nonzero(missing)} of {len(missing)} samples (NaN or None), such "
                f"as the sample {missing.argmax()}: leave such samples out."
            )
        distinct(y)  # scikit-learn fails to sort some kinds of objects without a word about them
    return y_true, y_pred


def _group_of_class(name, groups, classes):
    """The groups of a level as a dict, after a check that no class lacks one."""
    if not isinstance(groups, Mapping):
        groups = dict(enumerate(column_or_1d(groups).tolist()))
    unknown = sorted(map(repr, classes - groups.keys()))
    if unknown:
        raise ValueError(
            f"levels[{name!r}] has no group for the classes {', '.join(unknown)}: give a dict from class to group, or "
            f"an array of groups where the classes are the integers from 0; its classes are {list(groups)}."
        )
    return groups
