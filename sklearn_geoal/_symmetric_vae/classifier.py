"""Generative classifier for rows of features and images with one class each."""
# over 400 lines: half of them describe parameters and attributes

import numbers
from functools import partial

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from .._nets.bodies import resolve_body
from .._nets.conv import ConvDecoder, ConvEncoder
from .._nets.dense import DenseDecoder, DenseEncoder
from .._nets.symmetric_vae import SymmetricVAE
from .._nets.vae import MIN_NOISE_VARIANCE
from .._torch.class_weight import weights_of_classes
from .._torch.fitting import GenerativeEstimator, RowClassifier, transduced
from .._torch.inference import as_tensor, infer
from .._validation import check_choice, draw_seed
from .training import SymmetricEstimator, codes_to_sample, labels_to_sample, rows_of_both_kinds

DENSE, CONV = (256, 128), (32, 64)
ENCODERS = partial(DenseEncoder, hidden_units=DENSE), partial(ConvEncoder, hidden_units=CONV)
DECODERS = partial(DenseDecoder, hidden_units=DENSE), partial(ConvDecoder, hidden_units=CONV)


class SymmetricVAEClassifier(
    ClassNamePrefixFeaturesOutMixin, TransformerMixin, SymmetricEstimator, GenerativeEstimator, RowClassifier
):
    """Semi-supervised classifier that also generates: a variational autoencoder with the class among its latents.

    A sample x has a class y, known for few, and a style s, what sets samples of a class apart. A decoder network gives
    p(x|y, s), an encoder network q(y, s|x) = q(y|x) q(s|x, y), which classifies by q(y|x). They learn as two players
    of a game [1]_, each from samples of the other: the decoder to give the real samples, from the (y, s) that the
    encoder draws for them, with the known classes in place; the encoder to name the known classes, and to find the
    (y, s) from which the decoder has dreamed up a sample. Neither needs gradients of the other, and s may be discrete.

    All values of X are shifted and scaled by one common mean and standard deviation; the units of the features are
    left to a ``StandardScaler`` or ``MinMaxScaler`` before this classifier. Values far outside are cut, with a warning
    where they can hardly be data.

    Parameters
    ----------
    n_components : int, default=2
        Number of latent variables s. The fewer, the more is left for the class to tell: with many, samples of several
        classes pass as styles of one.
    hidden_units : "auto" or tuple of int, default="auto"
        Sizes of the hidden layers of the encoder, the decoder mirrors them: units of dense layers, (256, 128) if
        "auto", or channels of convolutions that each halve the image, (32, 64) if "auto".
    encoder, decoder : {"auto", "dense", "conv"} or nn.Module class, default="auto"
        "auto" is convolutional for images and dense for rows of features. An own class is made by
        ``encoder(input_shape, n_outputs)`` and takes (n, \\*input_shape) to (n, n_outputs), or by
        ``decoder(n_inputs, output_shape)`` and takes (n, n_inputs) to (n, \\*output_shape), where a shape is
        (n_features,) or (channels, height, width). The encoder is made twice, for q(y|x) and for q(s|x, y).
    image_shape : tuple of int (channels, height, width), default=None
        Tells that the rows of X are flattened images. An X of shape (n_samples, channels, height, width) says so
        itself.
    objective : {"symmetric", "elbo"}, default="symmetric"
        The game, or the evidence lower bound of log p(x) with y summed out where it is not known [2]_. An epoch of the
        latter takes longer the more classes there are.
    latent : {"gaussian", "bernoulli"}, default="gaussian"
        Distribution of s: standard normal, or bits. Bits need ``objective="symmetric"``.
    likelihood : {"gaussian", "bernoulli"}, default="gaussian"
        Distribution of x given y and s: Gaussian, its variance learned and common to all features, or Bernoulli, for X
        within [0, 1].
    priors : array-like of shape (n_classes,), default=None
        Probabilities of the classes, in the order of ``classes_``. None takes their shares among the labels, which are
        those of all samples only if what is labelled was drawn at random.
    label_weight : float, default=1.0
        Weight of the cross-entropy of the known classes in what the encoder minimises.
    class_weight : {"sqrt", "balanced"}, dict or None, default=None
        How much a labelled sample of each class counts in that cross-entropy: as much as one over the number of
        labelled samples of the class if "balanced", over the square root of that number if "sqrt"; what a dict
        {class: weight} says, 1 where it says nothing; or the same, whatever its class, if None. It is a weighted mean,
        so that only the ratios of weights matter. What is learned of dreams and of unlabelled samples has no weights:
        there classes are as frequent as ``priors`` say.
    warmup : float in [0, 1], default=0.5
        Part of ``max_epochs`` over which the noise of dreams grows from 0, or in "elbo" the weight of the divergence of
        the latents from their priors. Noise from the start would hide s, and the decoder never learn to use it.
    missing_label : "auto", None, scalar or str, default="auto"
        Marker of a missing label in y. "auto" reads NaN in a numeric y, None in an object y and, where neither occurs,
        -1 in an integer-valued y.
    max_epochs : int, default=20
        Number of passes over X; where it has few rows, an epoch goes on for up to 20 steps.
    batch_size : int, default=128
        Number of rows in a step of the optimiser, at least 2. Up to as many labelled ones come with them.
    lr : float, default=2e-3
        Learning rate.
    lr_schedule : {"constant", "cosine"}, default="cosine"
        "cosine" lets the learning rate fall along half a cosine towards 0 at ``max_epochs``.
    optimizer : str or torch.optim.Optimizer class, default="adam"
        Optimiser, by its class or the name of its class. It should keep to each parameter's own gradient.
    device : {"cpu", "cuda", "cuda:<index>", "mps", "auto"}, default="cpu"
        Where to compute; "auto" takes the fastest device that is there.
    early_stopping : bool, default=False
        Whether to set labelled samples aside for validation, to stop when their loss no longer falls, and to go back to
        the epoch in which it was lowest. It takes labels that the training lacks: not for a few labels a class.
    validation_fraction : float in (0, 1), default=0.1
        Part of the labelled samples set aside if ``early_stopping``.
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
        Whether another ``fit`` trains the network of the last one for ``max_epochs`` more, without a warm-up, on
        samples of the same classes; what X is shifted and scaled by and the priors stay. An interrupted ``fit`` then
        leaves the estimator at the last completed epoch.
    random_state : int, RandomState instance or None, default=None
        Determines initial weights, the draws of both players and the order of the samples. Results are reproducible on
        the same machine.
    verbose : bool or int, default=0
        Whether to show a progress bar.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, sorted.
    priors_ : ndarray of shape (n_classes,)
        Their probabilities.
    transduction_ : ndarray of shape (n_samples,)
        Label of each sample of ``fit``: the one that was given, or else the one predicted.
    net_ : skorch net
        The trained net; ``net_.module_`` is the torch module.
    history_ : list of dict
        For each epoch its number ("epoch") and means over its steps, in nats: what is minimised ("train_loss"), of it
        -log p(x|y, s) up to a constant ("decoder_loss") and -log q(y|x) of the labelled samples ("labeled_loss"), and
        how far the latents of real samples are from their priors, the divergences of q(y|x) from p(y)
        ("divergence_y") and of q(s|x, y) from p(s) ("divergence_s"): one near 0 has collapsed. If ``early_stopping``,
        "valid_loss" is the mean of -log q(y|x) of the samples set aside.
    noise_variance_ : float
        Variance of the Gaussian likelihood, in squared units of X: the mean squared error over the training data. Only
        if ``likelihood="gaussian"``.
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
    MixMatchClassifier : Learns from augmented samples; more accurate where augmentations say much about a class.
    VAETransformer : The autoencoder without classes.
    NetClassifier : The encoder's q(y|x) on the labelled samples alone.

    Notes
    -----
    The noise of a Gaussian likelihood is independent in each feature, which looks like no data: what q(y|x) learns from
    dreams with such noise holds little for real samples. The noise of dreams therefore has the covariance of what the
    decoder leaves unexplained of the samples in the batch that pass for the same class.

    The bound, ``objective="elbo"``, asks for a larger ``label_weight``, such as 100: its other terms grow with the
    number of features. In the game q(y|x) learns from cross-entropies alone.

    References
    ----------
    .. [1] B. Flach, D. Schlesinger and A. Shekhovtsov, "Symmetric Equilibrium Learning of VAEs", AISTATS, 2024.
    .. [2] D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling, "Semi-Supervised Learning with Deep Generative
       Models", NeurIPS, 2014.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_geoal import SymmetricVAEClassifier
    >>> X, truth = load_digits(return_X_y=True)
    >>> y = np.where(np.arange(len(X)) < 100, truth, -1)  # a hundred labels
    >>> vae = SymmetricVAEClassifier(random_state=0).fit(X, y)
    >>> vae.score(X[100:], truth[100:]) > 0.8
    True
    >>> X_new, y_new = vae.sample(3, y=7, random_state=0)
    >>> X_new.shape, y_new
    ((3, 64), array([7, 7, 7]))
    """

    _module_class = SymmetricVAE
    _built_in = ("n_components", "hidden_units", "encoder", "decoder", "image_shape")
    _built_in += ("objective", "latent", "likelihood", "label_weight")

    def __init__(
        self,
        n_components=2,
        *,
        hidden_units="auto",
        encoder="auto",
        decoder="auto",
        image_shape=None,
        objective="symmetric",
        latent="gaussian",
        likelihood="gaussian",
        priors=None,
        label_weight=1.0,
        class_weight=None,
        warmup=0.5,
        missing_label="auto",
        max_epochs=20,
        batch_size=128,
        lr=2e-3,
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
        self.objective = objective
        self.latent = latent
        self.likelihood = likelihood
        self.priors = priors
        self.label_weight = label_weight
        self.class_weight = class_weight
        self.warmup = warmup
        self.missing_label = missing_label
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

    def fit(self, X, y):
        """Train decoder and encoder on labelled and unlabelled samples.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            All samples, labelled or not, at least two.
        y : array-like of shape (n_samples,)
            Their classes, those that are not known marked as ``missing_label`` says.

        Returns
        -------
        self : SymmetricVAEClassifier
            Fitted classifier.

        Raises
        ------
        TypeError, ValueError
            If X, y or a parameter is invalid, y has no label or labels of one class only, ``device`` is not there,
            ``checkpoint`` holds another training, or a ``warm_start`` meets new classes or changed parameters of the
            network.
        FloatingPointError
            If the training diverges.
        """
        return self._fit(X, y)

    def transform(self, X):
        """Means of s under q(y, s|x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        S : ndarray of shape (n_samples, n_components)
            Latent features, of the dtype of X. For bits their probabilities.
        """
        X = self._rows(X)
        return self._infer(self.net_.module_.latent_means, X).astype(X.dtype, copy=False)

    def reconstruct(self, X):
        """Data as the decoder gives them back for the most probable class and the mean of its s.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Data, in the form that X had in ``fit``.
        """
        X = self._rows(X)
        return self._as_data(self._infer(self.net_.module_.reconstruct, X), X.dtype)

    def sample(self, n_samples=1, y=None, random_state=None):
        """Expected data for latent variables drawn from the priors, without the noise of the likelihood.

        Parameters
        ----------
        n_samples : int, default=1
            Number of samples.
        y : label or array-like of shape (n_samples,), default=None
            Their classes, one for all or one each. None draws them from ``priors_``.
        random_state : int, RandomState instance or None, default=None
            Determines the draws.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Data, in the form and dtype that X had in ``fit``.
        y : ndarray of shape (n_samples,)
            Their classes.

        Raises
        ------
        ValueError
            If y holds a class that was not among the labels of ``fit``, is masked somewhere, or is neither one label
            nor ``n_samples``.
        """
        check_is_fitted(self)
        check_scalar(n_samples, "n_samples", numbers.Integral, min_val=1)
        rng = np.random.RandomState(draw_seed(random_state))
        codes, module = self._codes_to_sample(y, n_samples, rng), self.net_.module_

        def expected(y, noise):  # (n, 1), (n, d)
            return module.expected(y[:, 0].long(), module.prior_latents(noise))

        X = infer(self.net_, expected, codes[:, None], self._noise(n_samples, rng))
        return self._as_data(X, self._dtype), self.classes_[codes]

    def score_samples(self, X, n_draws=1, random_state=0):
        """Lower bound of the log-likelihood log p(x) of each row, y summed out.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.
        n_draws : int, default=1
            Number of draws from q(s|x, y) for each class. The importance-weighted bound that they give rises with it
            towards the log-likelihood.
        random_state : int, RandomState instance or None, default=0
            Determines the draws, which are the same for all rows: the bound of a row does not depend on the others.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Lower bounds in nats, in expectation over the draws, for a density in units of X if
            ``likelihood="gaussian"``.
        """
        X = self._rows(X)
        check_scalar(n_draws, "n_draws", numbers.Integral, min_val=1)
        noise = as_tensor(self._noise(n_draws, np.random.RandomState(draw_seed(random_state)))).to(self.net_.device)
        bounds = self._infer(lambda x: self.net_.module_.bound(x, noise), X).astype(np.float64)
        return (bounds - self.n_features_in_ * np.log(self.scale_)).astype(X.dtype, copy=False)

    def _noise(self, n, rng):
        """What latents are made of: (n, n_components)."""
        module = self.net_.module_
        return (rng.standard_normal if module.latent == "gaussian" else rng.random_sample)((n, module.n_components))

    def _codes_to_sample(self, y, n_samples, rng):
        if y is None:
            return rng.choice(len(self.classes_), size=n_samples, p=self.priors_)
        y = labels_to_sample(y)
        if y.shape not in ((), (n_samples,)):
            raise ValueError(
                f"y has shape {y.shape}, but n_samples={n_samples}: give one label for all samples or one for each."
            )
        return codes_to_sample(np.broadcast_to(y, n_samples), self.classes_)

    def _check_params(self):
        super()._check_params()
        check_choice("objective", self.objective, ("symmetric", "elbo"))
        check_choice("latent", self.latent, ("gaussian", "bernoulli"))
        check_choice("likelihood", self.likelihood, ("gaussian", "bernoulli"))
        if self.objective == "elbo" and self.latent == "bernoulli":
            raise ValueError(
                'objective="elbo" needs latent variables that can be reparametrised, but latent="bernoulli": use '
                'latent="gaussian", or objective="symmetric", which takes both.'
            )

    def _read(self, X, y, from_scratch):
        Z, classes, codes = super()._read(X, y, from_scratch)
        if from_scratch:
            self.priors_ = _check_priors(self.priors, codes, classes)
        return Z, classes, codes

    def _module_params(self, rows):
        body = {"hidden_units": self.hidden_units, "image_shape": self.image_shape_}
        return {
            "input_shape": self._input_shape,
            "priors": self.priors_.tolist(),
            "n_components": self.n_components,
            "encoder": resolve_body("encoder", self.encoder, *ENCODERS, **body),
            "decoder": resolve_body("decoder", self.decoder, *DECODERS, **body),
            "latent": self.latent,
            "likelihood": self.likelihood,
            "objective": self.objective,
            "label_weight": self.label_weight,
            "class_weight": weights_of_classes(self.class_weight, self.classes_, rows.tensors[1].numpy()),
        }

    def _measure(self, net, rows, noise):
        module, Z = net.module_, rows.tensors[0][rows_of_both_kinds(rows)].numpy()
        squared_error, logits = infer(net, lambda x: (module.squared_error(x, noise), module.logits(x)), Z)
        self._note_noise(module, squared_error, MIN_NOISE_VARIANCE)
        return squared_error, logits

    def _conclude(self, rows):
        self.transduction_ = transduced(self, rows)

    @property
    def _n_features_out(self):
        return self.net_.module_.n_components

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_priors(priors, codes, classes):
    """Probabilities of the classes: those given, or the shares among the labelled rows."""
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
