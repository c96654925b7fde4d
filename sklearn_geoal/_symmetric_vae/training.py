"""What both symmetric estimators share: parameters, an epoch over labelled and all samples, the fitted net."""

import math
import numbers
from functools import partial

import numpy as np
import torch
from sklearn.utils import check_scalar

from .._labels import MISSING
from .._torch import (
    MIN_STEPS,
    TensorNet,
    as_tensor,
    check_torch_params,
    cycled,
    draw_seed,
    epochs_as_dicts,
    fit_net,
    split_rows,
)


class SymmetricNet(TensorNet):
    """A skorch net that takes each step on a batch of labelled rows and one of all rows.

    Its training data are all rows and their codes, and the indices of the labelled ones and of those to learn from;
    what is measured in validation are labelled rows and their codes.
    """

    def train_step_single(self, batch, **fit_params):
        losses = torch.stack(self.module_.losses(*batch))
        losses[0].backward()
        return {"loss": losses[0].detach(), "losses": losses.detach(), "y_pred": None}

    def run_epoch(self, data, generator=None):
        """Mean loss of a step. An epoch is a pass over all rows, or several passes over few."""
        if generator is None:
            return super().run_epoch(data)
        self._set_training(True)
        x, y, labeled, rows = data
        n_steps = max(math.ceil(len(rows) / self.batch_size), MIN_STEPS)
        # two at least, one twice over if need be: a batch normalisation cannot train on one
        n, n_labeled = (max(2, min(self.batch_size, len(indices))) for indices in (rows, labeled))
        labeled = labeled[cycled(len(labeled), n_steps * n_labeled, generator).to(x.device)]
        rows = rows[cycled(len(rows), n_steps * n, generator).to(x.device)]
        totals = torch.zeros(1 + len(self.module_.loss_names), device=self.device)  # reading would wait for every step
        for known, others in zip(labeled.split(n_labeled), rows.split(n), strict=True):
            batch = (x[known], y[known], x[others], y[others])
            batch = tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)
            self.notify("on_batch_begin", batch=batch, training=True)
            result = self.train_step(batch)
            totals += result["losses"]
            self.notify("on_batch_end", batch=batch, training=True, **result)
        loss, *others = (totals / n_steps).tolist()
        for name, value in zip(self.module_.loss_names, others, strict=True):
            self.history.record(name, value)
        return loss


def check_game_params(estimator):
    """Check the parameters that both estimators share.

    Raises
    ------
    TypeError, ValueError
        If one of them has the wrong type or lies outside its range.
    """
    check_torch_params(estimator)
    check_scalar(estimator.n_components, "n_components", numbers.Integral, min_val=1)
    check_scalar(estimator.label_weight, "label_weight", numbers.Real, min_val=0, include_boundaries="neither")
    check_scalar(estimator.warmup, "warmup", numbers.Real, min_val=0, max_val=1)


def fit_game(estimator, module, module_params, X, codes, take_over):
    """Train a network on standardised X, in part labelled by codes, and make it the fitted one.

    Parameters
    ----------
    estimator : estimator
        Has the parameters of the game.
    module, module_params
        What the network is made of; ``module_params`` is called for its arguments.
    X : ndarray of shape (n_samples, ...), dtype float32
        What the network is given.
    codes : ndarray of shape (n_samples,) or (n_samples, height, width)
        Codes of the classes, MISSING or VOID. Samples all of whose pixels are void take no part.
    take_over : callable(estimator, net, X, rows)
        Takes over what there is to know of a trained net, given X and the rows of it that it was trained on.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    seed = draw_seed(estimator.random_state)
    options, valid_data = {"max_epochs": estimator.max_epochs, "lr_schedule": estimator.lr_schedule}, None
    targets = codes.reshape(len(codes), -1)
    known = (targets >= 0).any(axis=1)
    labeled, unlabeled = np.flatnonzero(known), np.flatnonzero(~known & (targets == MISSING).any(axis=1))
    x, y = as_tensor(X), as_tensor(codes, np.int64)
    if estimator.early_stopping:
        strata = codes[labeled] if codes.ndim == 1 else None
        rows, valid_rows = split_rows(len(labeled), estimator.validation_fraction, seed, strata)
        valid_data = (x[labeled[valid_rows]], y[labeled[valid_rows]])
        labeled = labeled[rows]
        options["patience"] = estimator.patience
    rows = np.concatenate([labeled, unlabeled])
    if estimator.warmup > 0 and not hasattr(estimator, "net_"):
        options["before_epoch"] = partial(_warm_up, estimator.warmup)
    fit_net(
        estimator,
        module,
        module_params,
        (x, y, as_tensor(labeled, np.int64), as_tensor(rows, np.int64)),
        valid_data,
        seed=seed,
        keep=estimator.warm_start,
        take_over=partial(_take_over, estimator, take_over, X, rows),
        net_class=SymmetricNet,
        **options,
    )


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


def check_finite(estimator, *outputs):
    """Check what a trained network gives.

    Raises
    ------
    FloatingPointError
        If it is not finite.
    """
    if not all(np.isfinite(output).all() for output in outputs):
        raise FloatingPointError(
            f"The trained network gives values that are not finite, with lr={estimator.lr}: try a smaller lr."
        )


def _warm_up(part, module, progress):
    module.warmth = min(1.0, progress / part)


def _take_over(estimator, take_over, X, rows, net):
    """Make a trained net the fitted one."""
    net.module_.warmth = 1.0
    take_over(estimator, net, X, rows)
    estimator.history_ = epochs_as_dicts(net)
    estimator.net_ = net
