"""Variational autoencoder as a transformer: features learned from unlabelled rows or images."""

import math
import numbers

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_array, check_is_fitted

from ._nets import resolve_body
from ._nets.conv import ConvDecoder, ConvEncoder
from ._nets.dense import DenseDecoder, DenseEncoder
from ._nets.vae import MIN_NOISE_VARIANCE, VAE
from ._torch import (
    as_tensor,
    check_torch_params,
    draw_seed,
    epochs_as_dicts,
    forget_optimizer,
    infer,
    location_and_scale,
    make_net,
    resolve_device,
    seeded,
    split_rows,
    standardize,
    train,
)
from ._validation import check_choice, validate_rows


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Variational autoencoder (VAE).

    An encoder network maps each row x to a normal distribution q(z|x) over a few latent variables, a decoder network
    maps z back to x. Both are trained on the evidence lower bound of log p(x) [1]_: a small reconstruction error
    against a small divergence of q(z|x) from the prior N(0, I). Latent variables that do not pay for their divergence
    collapse to the prior, so that ``n_components`` is an upper limit. The noise variance of the Gaussian likelihood
    is the optimal one at every step [2]_, which balances the two terms whatever the units. ``beta`` below 1 then keeps
    more latent variables than the bound pays for: the clusters of the data stay apart, which helps whatever works on
    distances. For the bound itself, and for ``sample``, set ``beta=1``.

    All values of X are shifted and scaled by one common mean and standard deviation; the units of the features are
    left to a ``StandardScaler`` or ``MinMaxScaler`` before this transformer.

    Parameters
    ----------
    n_components : int, default=20
        Number of latent variables.
    hidden_units : "auto" or tuple of int, default="auto"
        Sizes of the hidden layers of the encoder, the decoder mirrors them: units of dense layers, (128,) if "auto",
        or channels of convolutions that each halve the image, (32, 64, 128) if "auto". With dense layers and
        () the model is probabilistic principal component analysis.
    encoder, decoder : {"auto", "dense", "conv"} or nn.Module class, default="auto"
        "auto" is convolutional for images and dense for rows of features. An own class is made by
        ``encoder(input_shape, n_outputs)`` and takes (n, \\*input_shape) to (n, n_outputs), or by
        ``decoder(n_inputs, output_shape)`` and takes (n, n_inputs) to (n, \\*output_shape), where a shape is
        (n_features,) or (channels, height, width).
    image_shape : tuple of int (channels, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_samples, channels, height, width) says so
        itself.
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        Distribution of x given z: Gaussian, its variance learned and common to all features, or Bernoulli, for X
        within [0, 1].
    beta : float, default=0.2
        Weight of the divergence from the prior in the training loss.
    kl_warmup : float in [0, 1], default=0.5
        Part of ``max_epochs`` over which that weight rises from 0 to ``beta``.
    latent_unit : {"posterior", "prior"}, default="posterior"
        Unit of the transformed features: the root mean square of the standard deviation of q(z|x) over the training
        data, or that of the prior, which is 1. In posterior units, distances count what the encoder can tell apart
        and collapsed variables are nearly 0.
    max_epochs : int, default=50
        Number of passes over X.
    batch_size : int, default=128
        Number of rows in a step of the optimiser, at least 2.
    lr : float, default=1e-3
        Learning rate.
    lr_schedule : {"constant", "cosine"}, default="cosine"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    optimizer : str or torch.optim.Optimizer class, default="adam"
        Optimiser, by its class or the name of its class.
    device : {"cpu", "cuda", "cuda:<index>", "mps", "auto"}, default="cpu"
        Where to compute; "auto" takes the fastest device that is there.
    early_stopping : bool, default=False
        Whether to set rows aside for validation, to stop when their loss no longer falls, and to go back to the epoch
        in which it was lowest.
    validation_fraction : float in (0, 1), default=0.1
        Part of the rows set aside if ``early_stopping``.
    patience : int, default=10
        Number of epochs without a lower validation loss after which to stop if ``early_stopping``.
    callbacks : list of skorch callbacks, default=None
        Called during the training. A KeyboardInterrupt from ``on_epoch_end``, as ``skorch.callbacks.EarlyStopping``
        raises it, ends the training.
    net_params : dict, default=None
        Further parameters of ``skorch.NeuralNet`` for the optimiser, the callbacks and ``torch.compile``, such as
        ``{"optimizer__weight_decay": 1e-4}``.
    warm_start : bool, default=False
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, without a warm-up of the
        divergence. An interrupted ``fit`` then leaves the estimator at the last completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, order of the rows and noise. Results are reproducible on the same machine.
    verbose : bool or int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    net_ : skorch net
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        For each epoch its number ("epoch"), "train_loss" and, if ``early_stopping``, "valid_loss", which are negative
        evidence lower bounds, mean over the rows of the shifted and scaled X.
    posterior_scale_ : ndarray of shape (n_components,)
        Root mean square over the training data of the standard deviation of q(z|x). 1 for collapsed variables.
    noise_variance_ : float
        Variance of the Gaussian likelihood, in squared units of X: the mean squared error over the training data, in
        which a few outliers count. Only if ``likelihood="gaussian"``.
    location_, scale_ : float
        What X is shifted and scaled by: 0 and 1 if ``likelihood="bernoulli"``.
    image_shape_ : tuple of int or None
        (channels, height, width) if the rows are images.
    n_features_in_ : int
        Number of features seen during ``fit``; for images channels * height * width.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    sklearn.decomposition.PCA : Linear features; its ``score`` is the likelihood that ``score`` here is a bound of.

    Notes
    -----
    The features for active learning of [3]_ come from ``MinMaxScaler`` and ``VAETransformer(n_components=40,
    hidden_units=(128, 128, 128), likelihood="bernoulli", beta=1, kl_warmup=0, latent_unit="prior", lr=1e-4,
    lr_schedule="constant")``.

    Two trainings from different seeds give somewhat different features. Where that matters, join several:
    ``make_union(*(VAETransformer(random_state=seed) for seed in range(3)))``.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, "Auto-Encoding Variational Bayes", ICLR, 2014.
    .. [2] O. Rybkin, K. Daniilidis and S. Levine, "Simple and Effective VAE Training with Calibrated Decoders",
       ICML, 2021.
    .. [3] D. Nguyen, A. Tasissa and J. M. Murphy, "Deep Diffusion Processes for Active Learning of Hyperspectral
       Images", IGARSS, 2021.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_geoal import VAETransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> vae = VAETransformer(n_components=10, max_epochs=2, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 10)
    >>> vae.sample(3, random_state=0).shape
    (3, 64)
    """

    def __init__(
        self,
        n_components=20,
        *,
        hidden_units="auto",
        encoder="auto",
        decoder="auto",
        image_shape=None,
        likelihood="gaussian",
        beta=0.2,
        kl_warmup=0.5,
        latent_unit="posterior",
        max_epochs=50,
        batch_size=128,
        lr=1e-3,
        lr_schedule="cosine",
        optimizer="adam",
        device="cpu",
        early_stopping=False,
        validation_fraction=0.1,
        patience=10,
        callbacks=None,
        net_params=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.hidden_units = hidden_units
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.latent_unit = latent_unit
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.lr_schedule = lr_schedule
        self.optimizer = optimizer
        self.device = device
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.callbacks = callbacks
        self.net_params = net_params
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Train encoder and decoder on X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Training data, at least two samples.
        y : None
            Ignored.

        Returns
        -------
        self : VAETransformer
            Fitted transformer.

        Raises
        ------
        ValueError
            If X or a parameter is invalid, or ``device`` is not there.
        FloatingPointError
            If the training diverges.
        """
        return self._train(X, from_scratch=not (self.warm_start and self.__sklearn_is_fitted__()), keep=self.warm_start)

    def partial_fit(self, X, y=None):
        """Train for one pass over X, going on from what was learned before.

        Location and scale of X stay those of the first call; ``posterior_scale_`` and ``noise_variance_`` are measured
        on the last. Warm-up, learning rate schedule and early stopping do not apply.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Training data, at least two samples.
        y : None
            Ignored.

        Returns
        -------
        self : VAETransformer
            Fitted transformer.
        """
        return self._train(X, from_scratch=not self.__sklearn_is_fitted__(), one_pass=True, keep=True)

    def transform(self, X):
        """Means of q(z|x) in the unit ``latent_unit``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Latent features, of the dtype of X.
        """
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False)
        mean, _ = infer(self.net_, self.net_.module_.encode, self._standardize(X))
        return (mean / self._latent_scale()).astype(X.dtype, copy=False)

    def inverse_transform(self, Z):
        """Expected data for latent features.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Latent features in the unit ``latent_unit``, as ``transform`` gives them.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Data, in the form that X had in ``fit``.

        Raises
        ------
        ValueError
            If Z has not ``n_components`` columns.
        """
        check_is_fitted(self)
        Z = check_array(Z, dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but the transformer was fitted with n_components={self._n_features_out}: "
                "give latent features as transform returns them."
            )
        X = infer(self.net_, self.net_.module_.expected, Z * self._latent_scale())
        return self._destandardize(X, Z.dtype)

    def reconstruct(self, X):
        """Data as the decoder gives them back from the means of q(z|x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Data, in the form that X had in ``fit``.
        """
        check_is_fitted(self)
        X = validate_rows(self, X, reset=False)
        module = self.net_.module_
        reconstructed = infer(self.net_, lambda x: module.expected(module.encode(x)[0]), self._standardize(X))
        return self._destandardize(reconstructed, X.dtype)

    def sample(self, n_samples=1, random_state=None):
        """Expected data for latent variables drawn from the prior, without the noise of the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        random_state : int, RandomState instance or None, default=None
            Determines the draws.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Data, in the form and dtype that X had in ``fit``.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        rng = np.random.RandomState(draw_seed(random_state))
        Z = rng.standard_normal((n_samples, self._n_features_out))
        return self._destandardize(infer(self.net_, self.net_.module_.expected, Z), self._dtype)

    def score_samples(self, X, n_draws=1, random_state=0):
        """Lower bound of the log-likelihood of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.
        n_draws : int, default=1
            Number of draws from q(z|x): the evidence lower bound with one, the importance-weighted bound with more,
            which rises towards the log-likelihood.
        random_state : int, RandomState instance or None, default=0
            Determines the draws, which are the same for all rows: the bound of a row does not depend on the others.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Lower bounds in nats, for a density in units of X if ``likelihood="gaussian"``.
        """
        check_is_fitted(self)
        check_scalar(n_draws, "n_draws", numbers.Integral, min_val=1)
        X = validate_rows(self, X, reset=False)
        module = self.net_.module_
        rng = np.random.RandomState(draw_seed(random_state))
        noise = as_tensor(rng.standard_normal((n_draws, self._n_features_out))).to(self.net_.device)
        bound = module.elbo if n_draws == 1 else module.importance_weighted_bound
        log_likelihood = infer(self.net_, lambda x: bound(x, noise), self._standardize(X)).astype(np.float64)
        return (log_likelihood - self.n_features_in_ * math.log(self.scale_)).astype(X.dtype, copy=False)

    def score(self, X, y=None):
        """Mean of the evidence lower bounds of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.
        y : None
            Ignored.

        Returns
        -------
        score : float
            Mean of ``score_samples(X)``.
        """
        return float(self.score_samples(X).mean(dtype=np.float64))

    def _train(self, X, *, from_scratch, keep, one_pass=False):
        """Train a new net or the present one and make it the fitted one; after an interrupt only if ``keep``."""
        self._check_params()
        if from_scratch:
            for name in ("net_", "noise_variance_"):  # a fit that fails must not leave the net of other data behind
                vars(self).pop(name, None)
        X = validate_rows(self, X, reset=from_scratch)
        if self.likelihood == "bernoulli":
            _check_within_unit_interval(X)
        if from_scratch:
            self.location_, self.scale_ = (0.0, 1.0) if self.likelihood == "bernoulli" else location_and_scale(X)
            self._dtype, self._model = X.dtype, self._model_params()
        elif self._model != self._model_params():
            raise ValueError(
                f"The network was made with {self._model}, but the parameters are now {self._model_params()}: "
                "warm_start and partial_fit go on with the network they find. Set them back, or fit without warm_start."
            )
        X, X_valid = self._standardize(X), None
        seed = draw_seed(self.random_state)
        options = {"max_epochs": 1}
        if not one_pass:
            options = {"max_epochs": self.max_epochs, "lr_schedule": self.lr_schedule}
            if from_scratch and self.kl_warmup > 0:
                options["before_epoch"] = self._warm_up
            if self.early_stopping:
                rows, valid_rows = split_rows(len(X), self.validation_fraction, seed)
                X, X_valid = X[rows], (as_tensor(X[valid_rows]),)
                options["patience"] = self.patience
        if not from_scratch:
            seed += len(self.history_)  # a training that goes on must not draw the same noise again
        with seeded(seed, resolve_device(self.device) if from_scratch else self.net_.device):
            net = make_net(self, VAE, self._module_params()) if from_scratch else self.net_
            try:
                train(net, (as_tensor(X),), X_valid, seed=seed, verbose=self.verbose, **options)
            except (KeyboardInterrupt, FloatingPointError):
                if keep and net.history:
                    self._take_over(net, X)
                raise
            self._take_over(net, X)
        if not keep:
            forget_optimizer(net)
        return self

    def _take_over(self, net, X):
        """Make a trained net the fitted one, together with what is measured on its training data."""
        net.module_.kl_weight = 1.0
        posterior_variance, squared_error = infer(net, net.module_.spread, X)
        posterior_scale = np.sqrt(posterior_variance.mean(axis=0, dtype=np.float64))
        noise_variance = max(float(squared_error.mean(dtype=np.float64)), MIN_NOISE_VARIANCE)
        if not np.isfinite(posterior_scale).all() or not np.isfinite(noise_variance):
            raise FloatingPointError(
                f"The trained network gives values that are not finite, with lr={self.lr}: try a smaller lr."
            )
        net.module_.noise_variance.fill_(noise_variance)
        if self.likelihood == "gaussian":
            self.noise_variance_ = noise_variance * self.scale_ * self.scale_
        self.posterior_scale_ = posterior_scale
        self.history_ = epochs_as_dicts(net)
        self.net_ = net

    def _warm_up(self, module, progress):
        module.kl_weight = min(1.0, progress / self.kl_warmup)

    def _check_params(self):
        check_torch_params(self)
        check_scalar(self.n_components, "n_components", numbers.Integral, min_val=1)
        check_scalar(self.beta, "beta", numbers.Real, min_val=0)
        check_scalar(self.kl_warmup, "kl_warmup", numbers.Real, min_val=0, max_val=1)
        check_choice("likelihood", self.likelihood, ("gaussian", "bernoulli"))
        check_choice("latent_unit", self.latent_unit, ("posterior", "prior"))

    def _model_params(self):
        names = ("n_components", "hidden_units", "encoder", "decoder", "likelihood", "beta")
        return {name: getattr(self, name) for name in names}

    def _module_params(self):
        bodies = {"hidden_units": self.hidden_units, "image_shape": self.image_shape_}
        return {
            "input_shape": self.image_shape_ or (self.n_features_in_,),
            "n_components": self.n_components,
            "encoder": resolve_body("encoder", self.encoder, DenseEncoder, ConvEncoder, **bodies),
            "decoder": resolve_body("decoder", self.decoder, DenseDecoder, ConvDecoder, **bodies),
            "likelihood": self.likelihood,
            "beta": self.beta,
        }

    def _latent_scale(self):
        return self.posterior_scale_ if self.latent_unit == "posterior" else 1.0

    def _standardize(self, X):
        return standardize(X, self.location_, self.scale_)

    def _destandardize(self, X, dtype):
        return (X.astype(dtype, copy=False) * self.scale_ + self.location_).reshape(-1, *self._row_shape)

    @property
    def _n_features_out(self):
        return len(self.posterior_scale_)

    def __sklearn_is_fitted__(self):
        return hasattr(self, "net_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_within_unit_interval(X):
    slack = np.finfo(np.float32).eps  # MinMaxScaler itself goes beyond 1 by rounding
    if X.min() < -slack or X.max() > 1 + slack:
        raise ValueError(
            f'likelihood="bernoulli" needs X within [0, 1], got values from {X.min():.6g} to {X.max():.6g}: '
            'scale X with MinMaxScaler, or use likelihood="gaussian".'
        )
