"""What the autoencoders share: parameters, training in one call or several, and the verbs."""

import math
import numbers

import numpy as np
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_array, check_is_fitted

from .._nets.bodies import resolve_body
from .._nets.dense import DenseDecoder, DenseEncoder
from .._nets.vae import MIN_NOISE_VARIANCE
from .._torch.fitting import GenerativeEstimator
from .._torch.inference import as_tensor, infer
from .._validation import check_choice, draw_seed, masked_as_nan


class BaseAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, GenerativeEstimator):
    """A transformer whose module is a :class:`~sklearn_geoal._nets.vae.VAE`.

    A subclass has the encoder and decoder classes for images, ``_conv``, and the two ways between what the encoder
    gives and the features, ``_as_features(mean, dtype)`` and ``_as_latents(Z)``.
    """

    # parameters that are built into the network
    _built_in = ("n_components", "hidden_units", "encoder", "decoder", "image_shape", "likelihood", "beta")

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
        self : estimator
            Fitted transformer.

        Raises
        ------
        ValueError
            If X or a parameter is invalid, ``device`` is not there, or ``checkpoint`` holds another training.
        FloatingPointError
            If the training diverges.
        """
        return self._fit(X)

    def partial_fit(self, X, y=None):
        """Train for one pass over X, going on from what was learned before.

        Location and scale of X stay those of the first call; ``posterior_scale_`` and ``noise_variance_`` are measured
        on the last. Warm-up, learning rate schedule, early stopping and checkpoints do not apply.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Training data, at least two samples.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            Fitted transformer.
        """
        return self._fit(X, one_pass=True)

    def transform(self, X):
        """Features of samples, from the means of q(z|x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or ndarray of shape (n_samples, channels, height, width)
            Data.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_features_out)
            Latent features, of the dtype of X; ``n_components`` columns, one more in Lorentz coordinates.
        """
        X = self._rows(X)
        mean, _ = self._infer(self.net_.module_.encode, X)
        return self._as_features(mean, X.dtype)

    def inverse_transform(self, Z):
        """Expected data for latent features.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_features_out)
            Latent features, as ``transform`` gives them.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features) or (n_samples, channels, height, width)
            Data, in the form that X had in ``fit``.

        Raises
        ------
        ValueError
            If Z has another number of columns, or a row of Z is no point of the latent space.
        """
        check_is_fitted(self)
        Z = check_array(masked_as_nan(Z), dtype=[np.float64, np.float32], input_name="Z")
        if Z.shape[1] != self._n_features_out:
            raise ValueError(
                f"Z has {Z.shape[1]} columns, but the transformer was fitted with "
                f"n_components={len(self.posterior_scale_)}: give latent features as transform returns them, in "
                f"{self._n_features_out} columns."
            )
        return self._as_data(infer(self.net_, self.net_.module_.expected_at, self._as_latents(Z)), Z.dtype)

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
        X, module = self._rows(X), self.net_.module_
        return self._as_data(self._infer(lambda x: module.expected_at(module.encode(x)[0]), X), X.dtype)

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
        return self._as_data(
            infer(self.net_, self.net_.module_.expected_at, self._draws(n_samples, random_state)), self._dtype
        )

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
        X, module = self._rows(X), self.net_.module_
        check_scalar(n_draws, "n_draws", numbers.Integral, min_val=1)
        noise = as_tensor(self._draws(n_draws, random_state)).to(self.net_.device)
        bound = module.elbo if n_draws == 1 else module.importance_weighted_bound
        log_likelihood = self._infer(lambda x: bound(x, noise), X).astype(np.float64)
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

    def _check_params(self):
        check_scalar(self.n_components, "n_components", numbers.Integral, min_val=1)
        check_scalar(self.beta, "beta", numbers.Real, min_val=0)
        check_scalar(self.warmup, "warmup", numbers.Real, min_val=0, max_val=1)
        check_choice("likelihood", self.likelihood, ("gaussian", "bernoulli"))

    def _read(self, X, y, from_scratch):
        return self._standardize(self._read_rows(X, from_scratch)), None, None

    def _module_params(self, rows):
        bodies = {"hidden_units": self.hidden_units, "image_shape": self.image_shape_}
        conv_encoder, conv_decoder = self._conv
        return {
            "input_shape": self._input_shape,
            "n_components": self.n_components,
            "encoder": resolve_body("encoder", self.encoder, DenseEncoder, conv_encoder, **bodies),
            "decoder": resolve_body("decoder", self.decoder, DenseDecoder, conv_decoder, **bodies),
            "likelihood": self.likelihood,
            "beta": self.beta,
        }

    def _measure(self, net, rows, noise):
        posterior_variance, squared_error = infer(net, lambda x: net.module_.spread(x, noise), rows.known)
        self.posterior_scale_ = np.sqrt(posterior_variance.mean(axis=0, dtype=np.float64))
        self._note_noise(net.module_, squared_error, MIN_NOISE_VARIANCE)
        return self.posterior_scale_, squared_error

    def _draws(self, n_draws, random_state):
        """Standard normal draws for each of the latent variables: -> (n_draws, n_components)."""
        rng = np.random.RandomState(draw_seed(random_state))
        return rng.standard_normal((n_draws, len(self.posterior_scale_)))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
