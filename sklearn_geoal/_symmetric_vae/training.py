"""What both symmetric estimators share: parameters, batches of labelled and of all rows."""

import numbers

import numpy as np
import torch
from sklearn.utils import check_scalar

from .._labels import keeping_masks
from .._torch.batches import cycled_batches, n_rows_of_step, n_steps_of_epoch
from .._torch.fitting import DeepEstimator
from .._torch.training import TensorNet


class SymmetricNet(TensorNet):
    """A net that takes each step on a batch of labelled rows and one of all rows.

    An epoch is a pass over all rows, or several passes over few.
    """

    def batches(self, rows, order):
        kinds = rows.labeled, rows_of_both_kinds(rows)
        most = n_rows_of_step(self.batch_size, rows.n_pixels)
        # two at least, one twice over if need be: a batch normalisation cannot train on one
        n_labeled, n = (max(2, min(most, len(indices))) for indices in kinds)
        n_steps = n_steps_of_epoch(len(kinds[1]), n, rows.n_pixels)
        return cycled_batches(rows.tensors, kinds, (n_labeled, n), n_steps, order)


class SymmetricEstimator(DeepEstimator):
    """An estimator whose module plays the game."""

    _net_class = SymmetricNet
    _changeable = ("class_weight",)

    def _check_params(self):
        check_scalar(self.n_components, "n_components", numbers.Integral, min_val=1)
        check_scalar(self.label_weight, "label_weight", numbers.Real, min_val=0, include_boundaries="neither")
        check_scalar(self.warmup, "warmup", numbers.Real, min_val=0, max_val=1)


def rows_of_both_kinds(rows):
    """Indices of the labelled rows, and of those none of whose values has a label, but for what is held out."""
    codes = rows.tensors[1][rows.unlabeled, None].flatten(1)  # (n, 1) or (n, height * width)
    return torch.cat([rows.labeled, rows.unlabeled[(codes < 0).all(dim=1)]])


def labels_to_sample(y):
    """y as an array.

    Raises
    ------
    ValueError
        If some of it is masked.
    """
    y = keeping_masks(y)
    if np.ma.is_masked(y):
        raise ValueError(
            f"{np.ma.count_masked(y)} of {y.size} values of y are masked: give a class for each, in an array without "
            "a mask."
        )
    return np.asarray(y)


def codes_to_sample(y, classes):
    """Index into the sorted classes of each label of y.

    Raises
    ------
    ValueError
        If y holds a class that is none of them.
    """
    if unknown := sorted(set(y.ravel().tolist()).difference(classes.tolist()), key=str):
        raise ValueError(
            f"y asks for samples of {unknown}, but the labels of fit were of the classes {classes.tolist()}: ask for "
            "these, or fit with labels of more classes."
        )
    return np.searchsorted(classes, y)
