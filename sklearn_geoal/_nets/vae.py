"""The variational autoencoder: what its encoder and decoder mean, its loss, the bounds on the likelihood."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .bodies import checked
from .draws import normal_like

# in units of the variance of the data, which are standardised: float32 resolves no finer reconstruction
MIN_NOISE_VARIANCE = 1e-8


class VAE(nn.Module):
    """Variational autoencoder with a standard normal prior on its latent variables.

    Its loss is the negative evidence lower bound on log p(x), mean over the rows:
    E_q(z|x)[-log p(x|z)] + beta KL(q(z|x) || p(z)) with q(z|x) = N(mean(x), diag(exp(log_var(x)))).

    Parameters
    ----------
    input_shape : tuple of int
        Shape in which the encoder takes a row: (n_features,) or (channels, height, width).
    n_components : int
        Number of latent variables d.
    encoder, decoder : callable
        ``encoder(input_shape, 2 * d)`` and ``decoder(d, input_shape)`` return the modules.
    likelihood : {"gaussian", "bernoulli"}
        Distribution of x given z, around what the decoder gives or with its logits.
    beta : float
        Weight of the KL term.
    """

    def __init__(self, input_shape, n_components, encoder, decoder, likelihood="gaussian", beta=1.0):
        super().__init__()
        self.input_shape = tuple(input_shape)
        self.likelihood = likelihood
        self.beta = beta
        self.warmth = 1.0  # of training, below 1 while the KL term warms up
        self.encoder = checked(encoder(self.input_shape, 2 * n_components), self.input_shape, (2 * n_components,))
        self.decoder = checked(decoder(n_components, self.input_shape), (n_components,), self.input_shape)
        # of the Gaussian likelihood, known once the training is over: until then it is at its optimum in each batch
        self.register_buffer("noise_variance", torch.ones(()))

    def losses(self, x, generator=None):
        """What is minimised."""
        return {"train_loss": self(x, generator=generator)}

    def forward(self, x, generator=None):  # (n, n_features) -> ()
        mean, log_var = self.encode(x)
        output = self.decode(draw_latents(mean, log_var, normal_like(mean, generator)))
        distortion = optimal_gaussian_nll(x, output) if self.likelihood == "gaussian" else bernoulli_nll(x, output)
        weight = self.beta * (self.warmth if self.training else 1.0)
        return distortion.mean() + weight * kl_to_standard_normal(mean, log_var).mean()

    def encode(self, x):
        """Mean and log-variance of q(z|x): (n, n_features) -> (n, d), (n, d)."""
        mean, log_var = self.encoder(x.view(-1, *self.input_shape)).chunk(2, dim=1)
        return mean, log_var.clamp(-20, 20)  # what lies far from the training data must not overflow exp

    def decode(self, z):
        """Mean of p(x|z), or its logits if it is Bernoulli: (n, d) -> (n, n_features)."""
        return self.decoder(z).flatten(1)

    def expected(self, z):
        """E[x|z]: (n, d) -> (n, n_features)."""
        return self.decode(z) if self.likelihood == "gaussian" else torch.sigmoid(self.decode(z))

    def expected_at(self, u):
        """E[x|z] for the z of a mean that ``encode`` gives, or of standard normal draws: (n, d) -> (n, n_features)."""
        return self.expected(u)

    def log_likelihood(self, x, z):
        """log p(x|z) with the noise variance of the trained model: (n, n_features), (n, d) -> (n,)."""
        if self.likelihood == "bernoulli":
            return -bernoulli_nll(x, self.decode(z))
        return -gaussian_nll(x, self.decode(z), self.noise_variance)

    def spread(self, x, generator=None):
        """Variances of q(z|x) and the mean squared error of one reconstruction from it: (n, d), (n,)."""
        mean, log_var = self.encode(x)
        output = self.expected(draw_latents(mean, log_var, normal_like(mean, generator)))
        return torch.exp(log_var), ((x - output) ** 2).mean(1)

    def elbo(self, x, noise):
        """E_q[log p(x|z)] - KL(q || p), with the expectation over standard normal draws (k, d): -> (n,)."""
        mean, log_var = self.encode(x)
        terms = [self.log_likelihood(x, draw_latents(mean, log_var, draw)) for draw in noise]
        return torch.stack(terms).mean(0) - kl_to_standard_normal(mean, log_var)

    def importance_weighted_bound(self, x, noise):
        """log 1/k sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q from standard normal draws (k, d): -> (n,)."""
        mean, log_var = self.encode(x)
        log_weights = []
        for draw in noise:
            z = draw_latents(mean, log_var, draw)
            # log p(z) - log q(z|x): the factors of 2 pi cancel, and (z - mean) / std is the draw itself
            log_ratio = (draw**2 + log_var - z**2).sum(1) / 2
            log_weights.append(self.log_likelihood(x, z) + log_ratio)
        return torch.logsumexp(torch.stack(log_weights), 0) - math.log(len(noise))


def draw_latents(mean, log_var, noise):
    """z = mean + std * noise: standard normal ``noise`` as draws from N(mean, diag(exp(log_var)))."""
    return torch.addcmul(mean, torch.exp(log_var / 2), noise)


def kl_to_standard_normal(mean, log_var):
    """KL(N(m, diag(v)) || N(0, I)) = 1/2 sum_i (v_i + m_i^2 - 1 - log v_i): (n, d), (n, d) -> (n,)."""
    return (torch.exp(log_var) + mean**2 - 1 - log_var).sum(1) / 2


def gaussian_nll(x, mean, variance):
    """-log N(x; m, v I) = |x - m|^2 / 2v + D/2 log(2 pi v): (n, D), (n, D), () -> (n,)."""
    return ((x - mean) ** 2).sum(1) / (2 * variance) + x.shape[1] / 2 * torch.log(2 * math.pi * variance)


def optimal_gaussian_nll(x, mean):
    """min_v of the mean of -log N(x; m, v I) over the rows, D/2 (log 2 pi v* + 1), v* = mean squared error: -> ().

    The squared error needs no weight that would have to be tuned against the KL term. One v for all rows of a batch
    and not one for each: a row reconstructed by chance would otherwise take over the gradient.
    """
    variance = F.mse_loss(mean, x) + MIN_NOISE_VARIANCE
    return x.shape[1] / 2 * (torch.log(2 * math.pi * variance) + 1)


def bernoulli_nll(x, logits):
    """-sum_i x_i log p_i + (1 - x_i) log(1 - p_i), p = sigmoid(logits): (n, D), (n, D) -> (n,)."""
    return F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
