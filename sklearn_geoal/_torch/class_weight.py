"""How much the labels of each class count in a loss."""

from numbers import Real

import numpy as np
from sklearn.utils import check_scalar

from .._validation import check_choice


def weights_of_classes(class_weight, classes, codes):
    """Weight of each class in a mean over the labels, scaled so that the labels weigh 1 on average.

    Parameters
    ----------
    class_weight : {"sqrt", "balanced"}, dict or None
        One over the square root of the number of labels of the class, one over that number, what a dict says, 1 where
        it says nothing, or the same for all.
    classes : ndarray of shape (n_classes,)
    codes : ndarray of int of any shape
        Indices into ``classes``, negative where there is no label.

    Returns
    -------
    weights : tuple of float of length n_classes
        All exactly the same where all labels count alike.

    Raises
    ------
    TypeError, ValueError
        If ``class_weight`` is none of those there are, or a dict with another class, or with a weight that is not
        finite or below 0, or 0 for each class that has labels.
    """
    counts = np.bincount(codes[codes >= 0], minlength=len(classes))
    if isinstance(class_weight, dict):
        names = classes.tolist()
        if unknown := [name for name in class_weight if name not in names]:
            raise ValueError(f"class_weight has {unknown}, which are not among the classes of y, {names}.")
        for name, weight in class_weight.items():
            check_scalar(weight, f"class_weight[{name!r}]", Real)
        weights = np.array([class_weight.get(name, 1.0) for name in names], dtype=float)
        if not (np.isfinite(weights).all() and (weights >= 0).all() and weights @ counts > 0):
            raise ValueError(f"class_weight must be finite, none below 0, not all 0; got {class_weight!r}.")
    else:
        n = np.maximum(counts, 1.0)
        schemes = {"sqrt": n**-0.5, "balanced": counts.sum() / (len(classes) * n), None: np.ones_like(n)}
        weights = schemes[check_choice("class_weight, if it is no dict,", class_weight, schemes)]
    return tuple((weights * counts.sum() / (weights @ counts)).tolist())
