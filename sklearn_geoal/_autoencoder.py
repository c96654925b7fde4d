"""What the autoencoders share as estimators: checks, training in one call or several, what their verbs compute."""

import math
import numbers
from functools import partial

import numpy as np
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_array

from ._nets import resolve_body
from ._nets.dense import DenseDecoder, DenseEncoder
from ._nets.vae import MIN_NOISE_VARIANCE
from ._torch import (
    as_tensor,
    check_goes_on,
    check_torch_params,
    draw_seed,
    epochs_as_dicts,
    fit_net,
    infer,
    split_rows,
    standardize,
)
from ._validation import check_choice, validate_rows

# parameters that are built into the network: training that goes on must find them as they were
MODEL_PARAMS = ("n_components", "hidden_units", "encoder", "decoder", "likelihood", "beta")


def check_autoencoder_params(estimator):
    """Check the parameters that all autoencoders share.

    Raises
    ------
    TypeError, ValueError
        If one of them has the wrong type or lies outside its range.
    """
    check_torch_params(estimator)
    check_scalar(estimator.n_components, "n_components", numbers.Integral, min_val=1)
    check_scalar(estimator.beta, "beta", numbers.Real, min_val=0)
    check_scalar(estimator.kl_warmup, "kl_warmup", numbers.Real, min_val=0, max_val=1)
    check_choice("likelihood", estimator.likelihood, ("gaussian", "bernoulli"))


def module_params(estimator, conv_encoder, conv_decoder):
    """Arguments of the module that all autoencoders share, with the convolutions that images get."""
    bodies = {"hidden_units": estimator.hidden_units, "image_shape": estimator.image_shape_}
    return {
        "input_shape": estimator.image_shape_ or (estimator.n_features_in_,),
        "n_components": estimator.n_components,
        "encoder": resolve_body("encoder", estimator.encoder, DenseEncoder, conv_encoder, **bodies),
        "decoder": resolve_body("decoder", estimator.decoder, DenseDecoder, conv_decoder, **bodies),
        "likelihood": estimator.likelihood,
        "beta": estimator.beta,
    }


def train_autoencoder(estimator, module, X, *, one_pass=False):
    """Train a new net or the present one on X and make it the fitted one.

    The present one if there is one and ``warm_start`` or ``one_pass`` asks for it; an interrupted training then leaves
    the estimator at the last completed epoch.

    Parameters
    ----------
    estimator : estimator
        Has the parameters that all autoencoders share, ``_check_params()``, ``_model_params()``, a dict of those built
        into the network, ``_module_params()``, the arguments of ``module``, and ``_location_and_scale(X)``.
    module : nn.Module class
        A :class:`VAE` or what has its methods.
    X : array-like
        Training data.
    one_pass : bool, default=False
        One epoch without warm-up, learning rate schedule and early stopping.

    Returns
    -------
    estimator : estimator
        The fitted estimator.

    Raises
    ------
    ValueError
        If X or a parameter is invalid, or ``device`` is not there.
    FloatingPointError
        If the training diverges.
    """
    keep = one_pass or estimator.warm_start
    from_scratch = not (keep and estimator.__sklearn_is_fitted__())
    estimator._check_params()
    if from_scratch:
        for name in ("net_", "noise_variance_"):  # a fit that fails must not leave the net of other data behind
            vars(estimator).pop(name, None)
    X = validate_rows(estimator, X, reset=from_scratch)
    if estimator.likelihood == "bernoulli":
        check_within_unit_interval(X)
    if from_scratch:
        bernoulli = estimator.likelihood == "bernoulli"
        estimator.location_, estimator.scale_ = (0.0, 1.0) if bernoulli else estimator._location_and_scale(X)
        estimator._dtype, estimator._model = X.dtype, estimator._model_params()
    else:
        check_goes_on(estimator)
    X, X_valid = standardize(X, estimator.location_, estimator.scale_), None
    seed = draw_seed(estimator.random_state)
    options = {"max_epochs": 1}
    if not one_pass:
        options = {"max_epochs": estimator.max_epochs, "lr_schedule": estimator.lr_schedule}
        if from_scratch and estimator.kl_warmup > 0:
            options["before_epoch"] = _warm_up(estimator.kl_warmup)
        if estimator.early_stopping:
            rows, valid_rows = split_rows(len(X), estimator.validation_fraction, seed)
            X, X_valid = X[rows], (as_tensor(X[valid_rows]),)
            options["patience"] = estimator.patience
    fit_net(
        estimator,
        module,
        estimator._module_params,
        (as_tensor(X),),
        X_valid,
        seed=seed,
        keep=keep,
        take_over=partial(_take_over, estimator, X=X),
        **options,
    )
    return estimator


def infer_rows(estimator, function, X):
    """A function of the fitted module, applied to valid rows X as the networks are given them."""
    return infer(estimator.net_, function, standardize(X, estimator.location_, estimator.scale_))


def as_data(estimator, X, dtype):
    """What the decoder gives, in the units and the form of the data."""
    X = X.astype(dtype, copy=False) * estimator.scale_ + estimator.location_
    return X.reshape(-1, *estimator._row_shape)


def check_latents(estimator, Z):
    """Latent features as a valid array.

    Raises
    ------
    ValueError
        If Z has not as many columns as ``transform`` returns.
    """
    Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
    if Z.shape[1] != estimator._n_features_out:
        n_components = len(estimator.posterior_scale_)
        raise ValueError(
            f"Z has {Z.shape[1]} columns, but the transformer was fitted with n_components={n_components}: "
            f"give latent features as transform returns them, in {estimator._n_features_out} columns."
        )
    return Z


def draw_normal(estimator, n_draws, random_state):
    """Standard normal draws for each of the latent variables: -> (n_draws, n_components)."""
    rng = np.random.RandomState(draw_seed(random_state))
    return rng.standard_normal((n_draws, len(estimator.posterior_scale_)))


def lower_bounds(estimator, X, n_draws, random_state):
    """Bounds of the log-likelihood of valid rows X from so many draws of the latent variables: -> (n_samples,)."""
    check_scalar(n_draws, "n_draws", numbers.Integral, min_val=1)
    net = estimator.net_
    noise = as_tensor(draw_normal(estimator, n_draws, random_state)).to(net.device)
    bound = net.module_.elbo if n_draws == 1 else net.module_.importance_weighted_bound
    log_likelihood = infer_rows(estimator, lambda x: bound(x, noise), X).astype(np.float64)
    return (log_likelihood - estimator.n_features_in_ * math.log(estimator.scale_)).astype(X.dtype, copy=False)


def _take_over(estimator, net, *, X):
    """Make a trained net the fitted one, together with what is measured on its training data."""
    net.module_.kl_weight = 1.0
    posterior_variance, squared_error = infer(net, net.module_.spread, X)
    posterior_scale = np.sqrt(posterior_variance.mean(axis=0, dtype=np.float64))
    noise_variance = max(float(squared_error.mean(dtype=np.float64)), MIN_NOISE_VARIANCE)
    if not np.isfinite(posterior_scale).all() or not np.isfinite(noise_variance):
        raise FloatingPointError(
            f"The trained network gives values that are not finite, with lr={estimator.lr}: try a smaller lr."
        )
    net.module_.noise_variance.fill_(noise_variance)
    if estimator.likelihood == "gaussian":
        estimator.noise_variance_ = noise_variance * estimator.scale_ * estimator.scale_
    estimator.posterior_scale_ = posterior_scale
    estimator.history_ = epochs_as_dicts(net)
    estimator.net_ = net


def _warm_up(part):
    def before_epoch(module, progress):
        module.kl_weight = min(1.0, progress / part)

    return before_epoch


def check_within_unit_interval(X):
    """Check that X suits a Bernoulli likelihood.

    Raises
    ------
    ValueError
        If a value is below 0 or above 1.
    """
    slack = np.finfo(np.float32).eps  # MinMaxScaler itself goes beyond 1 by rounding
    if X.min() < -slack or X.max() > 1 + slack:
        raise ValueError(
            f'likelihood="bernoulli" needs X within [0, 1], got values from {X.min():.6g} to {X.max():.6g}: '
            'scale X with MinMaxScaler, or use likelihood="gaussian".'
        )
