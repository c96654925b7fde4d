"""An epoch over labelled and all rows, the parameters of the game, and the fitted net."""

import math
import numbers
from functools import partial

import numpy as np
import torch
from sklearn.utils import check_scalar

from .._nets.symmetric_vae import SymmetricVAE
from .._nets.vae import MIN_NOISE_VARIANCE
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
from .._validation import MISSING, check_choice

LOSSES = ("decoder_loss", "labeled_loss", "divergence_y", "divergence_s")


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
        n_steps, n = max(math.ceil(len(rows) / self.batch_size), MIN_STEPS), min(self.batch_size, len(rows))
        n_labeled = min(n, len(labeled))
        labeled = labeled[cycled(len(labeled), n_steps * n_labeled, generator).to(x.device)]
        rows = rows[cycled(len(rows), n_steps * n, generator).to(x.device)]
        totals = torch.zeros(1 + len(LOSSES), device=self.device)  # reading it would wait for every step
        for known, others in zip(labeled.split(n_labeled), rows.split(n), strict=True):
            batch = (x[known], y[known], x[others], y[others])
            batch = tuple(tensor.to(self.device, non_blocking=True) for tensor in batch)
            self.notify("on_batch_begin", batch=batch, training=True)
            result = self.train_step(batch)
            totals += result["losses"]
            self.notify("on_batch_end", batch=batch, training=True, **result)
        loss, *others = (totals / n_steps).tolist()
        for name, value in zip(LOSSES, others, strict=True):
            self.history.record(name, value)
        return loss


def check_params(estimator):
    """Check the parameters of the game.

    Raises
    ------
    TypeError, ValueError
        If one of them has the wrong type or lies outside its range.
    """
    check_torch_params(estimator)
    check_scalar(estimator.n_components, "n_components", numbers.Integral, min_val=1)
    check_scalar(estimator.label_weight, "label_weight", numbers.Real, min_val=0, include_boundaries="neither")
    check_scalar(estimator.warmup, "warmup", numbers.Real, min_val=0, max_val=1)
    check_choice("objective", estimator.objective, ("symmetric", "elbo"))
    check_choice("latent", estimator.latent, ("gaussian", "bernoulli"))
    check_choice("likelihood", estimator.likelihood, ("gaussian", "bernoulli"))
    if estimator.objective == "elbo" and estimator.latent == "bernoulli":
        raise ValueError(
            'objective="elbo" needs latent variables that can be reparametrised, but latent="bernoulli": use '
            'latent="gaussian", or objective="symmetric", which takes both.'
        )


def check_priors(priors, codes, classes):
    """Probabilities of the classes: those given, or the shares among the labelled rows.

    Raises
    ------
    ValueError
        If those given are not one positive number a class with the sum 1.
    """
    if priors is None:
        counts = np.bincount(codes[codes >= 0], minlength=len(classes))
        return counts / counts.sum()
    given = np.asarray(priors, dtype=np.float64)
    if given.shape != classes.shape or not (given > 0).all() or not np.isclose(given.sum(), 1):
        raise ValueError(
            f"priors must be {len(classes)} positive numbers with the sum 1, one for each of the classes "
            f"{classes.tolist()}; got {priors!r}."
        )
    return given / given.sum()


def fit_game(estimator, X, codes, module_params):
    """Train a network on standardised X, in part labelled by codes, and make it the fitted one.

    Parameters
    ----------
    estimator : estimator
        Has the parameters of the game.
    X : ndarray of shape (n_samples, n_features), dtype float32
        What the network is given.
    codes : ndarray of shape (n_samples,)
        Codes of the classes, or MISSING.
    module_params : callable
        Called for the arguments of :class:`SymmetricVAE`.

    Raises
    ------
    FloatingPointError
        If the training diverges.
    """
    seed = draw_seed(estimator.random_state)
    options, valid_data = {"max_epochs": estimator.max_epochs, "lr_schedule": estimator.lr_schedule}, None
    labeled, unlabeled = np.flatnonzero(codes >= 0), np.flatnonzero(codes == MISSING)
    x, y = as_tensor(X), as_tensor(codes, np.int64)
    if estimator.early_stopping:
        rows, valid_rows = split_rows(len(labeled), estimator.validation_fraction, seed, codes[labeled])
        valid_data = (x[labeled[valid_rows]], y[labeled[valid_rows]])
        labeled = labeled[rows]
        options["patience"] = estimator.patience
    rows = np.concatenate([labeled, unlabeled])
    if estimator.warmup > 0 and not hasattr(estimator, "net_"):
        options["before_epoch"] = partial(_warm_up, estimator.warmup)
    fit_net(
        estimator,
        SymmetricVAE,
        module_params,
        (x, y, as_tensor(labeled, np.int64), as_tensor(rows, np.int64)),
        valid_data,
        seed=seed,
        keep=estimator.warm_start,
        take_over=partial(_take_over, estimator, X=X[rows]),
        net_class=SymmetricNet,
        **options,
    )


def _warm_up(part, module, progress):
    module.warmth = min(1.0, progress / part)


def _take_over(estimator, net, *, X):
    """Make a trained net the fitted one, together with the variance that is measured on its training data."""
    net.module_.warmth = 1.0
    squared_error, logits = infer(net, lambda x: (net.module_.squared_error(x), net.module_.logits(x)), X)
    noise_variance = max(float(squared_error.mean(dtype=np.float64)), MIN_NOISE_VARIANCE)
    if not np.isfinite(noise_variance) or not np.isfinite(logits).all():
        raise FloatingPointError(
            f"The trained network gives values that are not finite, with lr={estimator.lr}: try a smaller lr."
        )
    net.module_.noise_variance.fill_(noise_variance)
    if estimator.likelihood == "gaussian":
        estimator.noise_variance_ = noise_variance * estimator.scale_ * estimator.scale_
    estimator.history_ = epochs_as_dicts(net)
    estimator.net_ = net
