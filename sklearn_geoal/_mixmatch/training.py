"""What both MixMatch estimators share: parameters, an epoch over labelled and unlabelled samples, the fitted net."""

import math
import numbers
from functools import partial

import numpy as np
import torch
from sklearn.utils import check_scalar

from .._labels import MISSING
from .._nets.mixmatch import MixMatch
from .._nets.norms import tracking_norms
from .._torch import (
    MIN_STEPS,
    TensorNet,
    as_tensor,
    check_torch_params,
    cycled,
    draw_seed,
    epochs_as_dicts,
    fit_net,
    infer,
    split_rows,
)

# batches that tell the running statistics: those of a few thousand rows are as good as those of all
MAX_BATCHES = 32

# parameters of an estimator that MixMatch has under the same names
_SHARED = ("n_augmentations", "temperature", "alpha", "lambda_u", "weight_decay", "ema_decay")


class MixMatchNet(TensorNet):
    """A skorch net that takes each step on a batch of labelled and one of unlabelled rows, and averages its weights.

    Its training data are all rows and their codes, and the indices of the labelled and of the unlabelled ones; what is
    measured in validation are labelled rows and their codes.
    """

    def train_step_single(self, batch, **fit_params):
        losses = torch.stack(self.module_.losses(*batch))
        losses[0].backward()
        return {"loss": losses[0].detach(), "losses": losses.detach(), "y_pred": None}

    def run_epoch(self, data, generator=None):
        """Mean loss of a step.

        An epoch is a pass over the unlabelled or the labelled rows, whichever are more, or several passes over few.
        """
        if generator is None:
            return super().run_epoch(data)
        self._set_training(True)
        x, y, *kinds = data
        n_steps, n = plan_epoch(*map(len, kinds), self.batch_size)
        labeled, unlabeled = (rows[cycled(len(rows), n_steps * n, generator).to(x.device)] for rows in kinds)
        totals = torch.zeros(3, device=self.device)  # summed on the device: reading it would wait for every step
        for step in range(n_steps):
            rows, others = (order[step * n : (step + 1) * n] for order in (labeled, unlabeled))
            batch = (x[rows], y[rows], x[others], y[others])
            batch = tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)
            self.notify("on_batch_begin", batch=batch, training=True)
            result = self.train_step(batch)
            self.module_.finish_step(self.optimizer_.param_groups[0]["lr"])
            totals += result["losses"]
            self.notify("on_batch_end", batch=batch, training=True, **result)
        self._refresh_statistics(x, torch.cat(kinds), n, generator)
        loss, labeled_loss, unlabeled_loss = (totals / n_steps).tolist()
        self.history.record("labeled_loss", labeled_loss)
        self.history.record("unlabeled_loss", unlabeled_loss)
        return loss

    @torch.no_grad()
    def _refresh_statistics(self, x, rows, n, generator):
        """Give the averaged network the running statistics of rows as it predicts them: not augmented, not mixed."""
        net = self.module_.average
        # those in training: a backbone may hold some fixed
        momenta = {layer: layer.momentum for layer in tracking_norms(net) if layer.training}
        if not momenta:
            return
        order = rows.unique()
        order = order[torch.randperm(len(order), generator=generator)[: MAX_BATCHES * n].to(order.device)]
        net.eval()  # without dropout, which would add to the variances
        for layer in momenta:
            layer.reset_running_stats()
            layer.train().momentum = None  # the mean over all batches
        try:
            for part in order.tensor_split(len(order) // n):  # of about the same size, none of them a single row
                net(self.module_.as_input(x[part].to(self.device)))
        finally:
            for layer, momentum in momenta.items():
                layer.momentum = momentum


def plan_epoch(n_labeled, n_unlabeled, batch_size):
    """Number of steps of an epoch and of rows of each kind in a step."""
    n_rows = max(n_labeled, n_unlabeled)
    return max(math.ceil(n_rows / batch_size), MIN_STEPS), min(batch_size, n_rows)


def check_mixmatch_params(estimator):
    """Check the parameters that both estimators share.

    Raises
    ------
    TypeError, ValueError
        If one of them has the wrong type or lies outside its range.
    """
    check_torch_params(estimator)
    check_scalar(estimator.n_augmentations, "n_augmentations", numbers.Integral, min_val=1)
    check_scalar(estimator.temperature, "temperature", numbers.Real, min_val=0, include_boundaries="neither")
    check_scalar(estimator.alpha, "alpha", numbers.Real, min_val=0)
    check_scalar(estimator.lambda_u, "lambda_u", numbers.Real, min_val=0)
    check_scalar(estimator.rampup, "rampup", numbers.Real, min_val=0, max_val=1)
    check_scalar(estimator.ema_decay, "ema_decay", numbers.Real, min_val=0, max_val=1, include_boundaries="left")
    check_scalar(estimator.weight_decay, "weight_decay", numbers.Real, min_val=0)


def fit_mixmatch(estimator, X, codes, module_params):
    """Train a network on standardised X, in part labelled by codes, and make it the fitted one.

    Parameters
    ----------
    estimator : estimator
        Has the parameters that both estimators share.
    X : ndarray of shape (n_samples, ...), dtype float32
        What the network is given.
    codes : ndarray of shape (n_samples,) or (n_samples, height, width)
        Codes of the classes, and MISSING or VOID.
    module_params : callable
        Called for the arguments of :class:`MixMatch` that the estimators do not share.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    seed = draw_seed(estimator.random_state)
    targets = codes.reshape(len(codes), -1)
    labeled = np.flatnonzero((targets >= 0).any(axis=1))
    unlabeled = np.flatnonzero((targets == MISSING).any(axis=1))
    X, codes = as_tensor(X), as_tensor(codes, np.int64)
    options, valid_data = {"max_epochs": estimator.max_epochs, "lr_schedule": estimator.lr_schedule}, None
    if estimator.early_stopping:
        strata = codes[labeled].numpy() if codes.ndim == 1 else None
        rows, valid_rows = split_rows(len(labeled), estimator.validation_fraction, seed, strata)
        valid_data = (X[labeled[valid_rows]], codes[labeled[valid_rows]])
        labeled = labeled[rows]
        options["patience"] = estimator.patience
    n_steps = estimator.max_epochs * plan_epoch(len(labeled), len(unlabeled), estimator.batch_size)[0]
    params = {name: getattr(estimator, name) for name in _SHARED} | module_params()
    params["unlabeled_share"] = len(unlabeled) / (len(labeled) + len(unlabeled))
    if hasattr(estimator, "net_"):
        changeable = (*_SHARED, "augment", "class_weight", "confidence", "mixing", "unlabeled_share")
        estimator.net_.module_.resume(**{name: params[name] for name in changeable})
    fit_net(
        estimator,
        MixMatch,
        lambda: params | {"rampup_steps": math.ceil(estimator.rampup * n_steps)},
        (X, codes, as_tensor(labeled, np.int64), as_tensor(unlabeled, np.int64)),
        valid_data,
        seed=seed,
        keep=estimator.warm_start,
        take_over=partial(_take_over, estimator, X=X[labeled[: estimator.batch_size]].numpy()),
        net_class=MixMatchNet,
        **options,
    )


def _take_over(estimator, net, *, X):
    """Make a trained net the fitted one, if what it gives is finite."""
    if not np.isfinite(infer(net, net.module_.logits, X)).all():
        raise FloatingPointError(
            f"The trained network gives values that are not finite, with lr={estimator.lr}: try a smaller lr."
        )
    if not estimator.warm_start:
        net.module_.finish()
    estimator.history_ = epochs_as_dicts(net)
    estimator.net_ = net
