"""Hyperbolic variational autoencoder as a transformer: features whose distances fit a hierarchy."""

import numbers

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from .._manifolds import lorentz, poincare
from .._manifolds.polar import polar_coordinates
from .._nets.conv import NormalizedConvDecoder, NormalizedConvEncoder
from .._nets.hyperbolic_vae import HyperbolicVAE
from .._scaling import scaling_to_unit_range
from .._validation import check_choice
from .base import BaseAutoencoder


def from_tangent(U, output, curvature):
    """Coordinates of the points that tangent vectors U at the origin lead to: (n, d) -> (n, d) or (n, d + 1)."""
    if output == "tangent":
        return U
    x = lorentz.exp0(torch.from_numpy(U), curvature)
    if output == "poincare":
        return poincare.from_lorentz(x, curvature).numpy()
    return torch.cat([lorentz.time_part(x, curvature), x], dim=1).numpy()


def to_tangent(Z, output, curvature):
    """The inverse of from_tangent.

    Raises
    ------
    ValueError
        If a row of Z is no point of the space.
    """
    try:
        polar = polar_coordinates(Z, output, curvature)
    except ValueError as error:
        raise ValueError(f"Z must hold points as transform returns them with output={output!r}. {error}") from None
    return polar[:, :1] * polar[:, 1:] / np.sqrt(curvature)


class HyperbolicVAETransformer(BaseAutoencoder):
    """Variational autoencoder (VAE) with a latent space of negative curvature.

    Encoder and decoder are those of a VAE, but their latent variables are points of hyperbolic space [1]_, where volume
    grows exponentially with the radius, as the number of nodes in a tree does. The encoder maps each row x to a vector
    at the origin, its length is cut to ``clip_radius`` [2]_ and the exponential map takes it to the mean of q(z|x), a
    wrapped normal distribution [3]_. The prior is the wrapped normal distribution around the origin. Both networks are
    trained on the evidence lower bound of log p(x); the divergence from the prior is estimated from the draw that is
    decoded. The noise variance of the Gaussian likelihood is the optimal one at every step.

    A small ``clip_radius`` keeps to the nearly flat neighbourhood of the origin: it normalises the features, so that
    neighbours are found by their angle, more than it makes use of the curvature. To give a hierarchy room, use
    ``clip_radius=None``, ``prior_scale=1`` or a larger curvature.

    Parameters
    ----------
    n_components : int, default=16
        Number of latent variables, the dimension d of the space.
    model : {"lorentz", "poincare"}, default="lorentz"
        Coordinates in which the decoder takes z: the space part on the hyperboloid, or those in the Poincare ball.
    curvature : float or "learn", default=1.0
        The space has the curvature -c, this is c. "learn" starts at 1 and lets the training find a c within
        [0.001, 10].
    clip_radius : float or None, default=1.0
        Largest distance of the mean of q(z|x) from the origin. None bounds it only where single precision ends, at
        12 / sqrt(c).
    prior_scale : float, default=0.3
        Standard deviation of the prior, in the same units of distance as ``clip_radius``. One that is small beside
        ``clip_radius`` leaves few rows at the bound.
    output : {"tangent", "lorentz", "poincare"}, default="tangent"
        Coordinates of the features: the d coordinates of the tangent vector at the origin, the d + 1 of the point on
        the hyperboloid, time first, or the d in the Poincare ball of radius 1 / sqrt(c). Distances from the origin are
        norms in the first; between points they are those of hyperbolic space.
    hidden_units : "auto" or tuple of int, default="auto"
        Sizes of the hidden layers of the encoder, the decoder mirrors them: units of dense layers, (128,) if "auto",
        or channels of convolutions that each halve the image, if "auto" as many of (32, 64, 128, 256, 256) as it has
        room for.
    encoder, decoder : {"auto", "dense", "conv"} or nn.Module class, default="auto"
        "auto" is convolutional for images and dense for rows of features. The convolutions are followed by batch
        normalisations and leaky ReLUs, and with the Gaussian likelihood a tanh ends the decoder. An own class is made
        by ``encoder(input_shape, n_outputs)`` and takes (n, \\*input_shape) to (n, n_outputs), or by
        ``decoder(n_inputs, output_shape)`` and takes (n, n_inputs) to (n, \\*output_shape), where a shape is
        (n_features,) or (channels, height, width).
    image_shape : tuple of int (channels, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_samples, channels, height, width) says so
        itself.
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        Distribution of x given z: Gaussian, its variance learned and common to all features, or Bernoulli, for X
        within [0, 1].
    beta : float, default=1.0
        Weight of the divergence from the prior in the training loss.
    warmup : float in [0, 1], default=0.0
        Part of ``max_epochs`` over which that weight rises from 0 to ``beta``.
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
        Further parameters of ``skorch.NeuralNet`` for the optimiser and the callbacks, such as
        ``{"optimizer__weight_decay": 1e-4}``.
    checkpoint : str or path-like, default=None
        Folder where the state of the training is written after each epoch. Another ``fit`` with the same parameters
        and data, after a crash for instance, goes on from there and ends where an undisturbed one ends.
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
        The trained net; ``net_.module_`` is the torch module, which counts lengths in units of ``prior_scale``.
    history_ : list of dict
        For each epoch its number ("epoch"), "train_loss" and, if ``early_stopping``, "valid_loss", which are negative
        evidence lower bounds, mean over the rows of the shifted and scaled X.
    curvature_ : float
        The c of the space: ``curvature``, or what was learned.
    posterior_scale_ : ndarray of shape (n_components,)
        Root mean square over the training data of the standard deviation of q(z|x), in units of ``prior_scale``. 1 for
        collapsed variables.
    noise_variance_ : float
        Variance of the Gaussian likelihood, in squared units of X: the mean squared error over the training data. Only
        if ``likelihood="gaussian"``.
    location_ : ndarray of shape (n_features,), or float
        What X is shifted by: the mean of all values, or the middle of their range if a tanh ends the decoder, the same
        for each feature but constant ones far from all others; 0 if ``likelihood="bernoulli"``.
    scale_ : float
        What it is scaled by then: a standard deviation, or half that range; 1 if ``likelihood="bernoulli"``.
    image_shape_ : tuple of int or None
        (channels, height, width) if the rows are images.
    n_features_in_ : int
        Number of features seen during ``fit``; for images channels * height * width.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    VAETransformer : The same with a flat latent space.

    Notes
    -----
    The model of [1]_ comes from ``HyperbolicVAETransformer(batch_size=64, max_epochs=1500, early_stopping=True,
    patience=50, lr_schedule="constant", prior_scale=1)`` on images of 64 x 64 pixels.

    References
    ----------
    .. [1] M. Hamzaoui, L. Chapel, M.-T. Pham and S. Lefevre, "Hyperbolic Variational Auto-Encoder for Remote Sensing
       Scene Embeddings", IGARSS, 2023.
    .. [2] Y. Guo, X. Wang, Y. Chen and S. X. Yu, "Clipped Hyperbolic Classifiers Are Super-Hyperbolic Classifiers",
       CVPR, 2022.
    .. [3] Y. Nagano, S. Yamaguchi, Y. Fujita and M. Koyama, "A Wrapped Normal Distribution on Hyperbolic Space for
       Gradient-Based Learning", ICML, 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_geoal import HyperbolicVAETransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> vae = HyperbolicVAETransformer(n_components=2, output="poincare", max_epochs=2, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (1797, 2)
    >>> vae.set_params(output="lorentz").transform(X).shape
    (1797, 3)
    """

    _module_class = HyperbolicVAE
    _conv = (NormalizedConvEncoder, NormalizedConvDecoder)
    _built_in = (*BaseAutoencoder._built_in, "model", "curvature", "clip_radius", "prior_scale")

    def __init__(
        self,
        n_components=16,
        *,
        model="lorentz",
        curvature=1.0,
        clip_radius=1.0,
        prior_scale=0.3,
        output="tangent",
        hidden_units="auto",
        encoder="auto",
        decoder="auto",
        image_shape=None,
        likelihood="gaussian",
        beta=1.0,
        warmup=0.0,
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
        checkpoint=None,
        warm_start=False,
        random_state=None,
        verbose=0,
    ):
        self.n_components = n_components
        self.model = model
        self.curvature = curvature
        self.clip_radius = clip_radius
        self.prior_scale = prior_scale
        self.output = output
        self.hidden_units = hidden_units
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = image_shape
        self.likelihood = likelihood
        self.beta = beta
        self.warmup = warmup
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
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _check_params(self):
        super()._check_params()
        check_choice("model", self.model, ("lorentz", "poincare"))
        check_choice("output", self.output, ("tangent", "lorentz", "poincare"))
        _check_positive("prior_scale", self.prior_scale, "a positive number")
        if self.clip_radius is not None:
            _check_positive("clip_radius", self.clip_radius, "a positive number, or None")
        if not self._learns_curvature():
            _check_positive("curvature", self.curvature, 'a positive number c, for a space of curvature -c, or "learn"')

    def _module_params(self, rows):
        # the module counts lengths in units of prior_scale
        return {
            **super()._module_params(rows),
            "model": self.model,
            "curvature": (1.0 if self._learns_curvature() else self.curvature) * self.prior_scale**2,
            "learn_curvature": self._learns_curvature(),
            "clip_radius": None if self.clip_radius is None else self.clip_radius / self.prior_scale,
            "bounded": self._is_bounded(),
        }

    def _find_scaling(self, X):
        return scaling_to_unit_range(X) if self._is_bounded() else super()._find_scaling(X)

    def _as_features(self, mean, dtype):
        return from_tangent(self._unit * mean.astype(dtype, copy=False), self._coordinates, self.curvature_)

    def _as_latents(self, Z):
        return to_tangent(Z, self._coordinates, self.curvature_) / self._unit

    @property
    def _coordinates(self):
        return check_choice("output", self.output, ("tangent", "lorentz", "poincare"))  # it may be set after fit too

    def _is_bounded(self):
        is_conv = self.image_shape_ is not None and isinstance(self.decoder, str) and self.decoder != "dense"
        return is_conv and self.likelihood == "gaussian"

    def _learns_curvature(self):
        return isinstance(self.curvature, str) and self.curvature == "learn"

    @property
    def curvature_(self):
        check_is_fitted(self)
        curvature = self._model["curvature"]
        return self.net_.module_.c.item() / self._unit**2 if curvature == "learn" else float(curvature)

    @property
    def _unit(self):
        return self._model["prior_scale"]  # of the fit, whatever the parameter is now

    @property
    def _n_features_out(self):
        return len(self.posterior_scale_) + (self._coordinates == "lorentz")


def _check_positive(name, value, expected):
    if not isinstance(value, numbers.Real) or not 0 < value < np.inf:
        raise ValueError(f"{name} must be {expected}; got {value!r}.")
