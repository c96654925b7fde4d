"""Variational autoencoder as a transformer: features learned from unlabelled rows or images."""

from .._nets.conv import ConvDecoder, ConvEncoder
from .._nets.vae import VAE
from .._validation import check_choice
from .base import BaseAutoencoder


class VAETransformer(BaseAutoencoder):
    """Variational autoencoder (VAE).

    An encoder network maps each row x to a normal distribution q(z|x) over a few latent variables, a decoder network
    maps z back to x. Both are trained on the evidence lower bound of log p(x) [1]_: a small reconstruction error
    against a small divergence of q(z|x) from the prior N(0, I). Latent variables that do not pay for their divergence
    collapse to the prior, so that ``n_components`` is an upper limit. The noise variance of the Gaussian likelihood
    is the optimal one at every step [2]_, which balances the two terms whatever the units. ``beta`` below 1 then keeps
    more latent variables than the bound pays for: the clusters of the data stay apart, which helps whatever works on
    distances. For the bound itself, and for ``sample``, set ``beta=1``.

    All values of X are shifted and scaled by one common mean and standard deviation; the units of the features are
    left to a ``StandardScaler`` or ``MinMaxScaler`` before this transformer. Values far outside are cut, with a warning
    where they can hardly be data.

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
    warmup : float in [0, 1], default=0.5
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
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        For each epoch its number ("epoch"), "train_loss" and, if ``early_stopping``, "valid_loss", which are negative
        evidence lower bounds, mean over the rows of the shifted and scaled X.
    posterior_scale_ : ndarray of shape (n_components,)
        Root mean square over the training data of the standard deviation of q(z|x). 1 for collapsed variables.
    noise_variance_ : float
        Variance of the Gaussian likelihood, in squared units of X: the mean squared error over the training data, in
        which a few outliers count. Only if ``likelihood="gaussian"``.
    location_ : ndarray of shape (n_features,), or float
        What X is shifted by: a number for images, the same for each feature but constant ones far from all others; 0
        if ``likelihood="bernoulli"``.
    scale_ : float
        What it is scaled by then, 1 if ``likelihood="bernoulli"``.
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
    hidden_units=(128, 128, 128), likelihood="bernoulli", beta=1, warmup=0, latent_unit="prior", lr=1e-4,
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

    _module_class = VAE
    _conv = (ConvEncoder, ConvDecoder)

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
        warmup=0.5,
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
        checkpoint=None,
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
        self.warmup = warmup
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
        self.checkpoint = checkpoint
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    def _check_params(self):
        super()._check_params()
        check_choice("latent_unit", self.latent_unit, ("posterior", "prior"))

    def _as_features(self, mean, dtype):
        return (mean / self._unit).astype(dtype, copy=False)

    def _as_latents(self, Z):
        return Z * self._unit

    @property
    def _unit(self):
        check_choice("latent_unit", self.latent_unit, ("posterior", "prior"))  # it may be set after fit too
        return self.posterior_scale_ if self.latent_unit == "posterior" else 1.0

    @property
    def _n_features_out(self):
        return len(self.posterior_scale_)
