"""A generative classifier with latent (y, s), trained as a game of decoder and encoder or on the lower bound.

Shapes: x (n, n_features), codes of the classes y (n,), latents s (n, d), moments of q(s|x, y) for all classes
(n, n_classes, k), with k = 2 d for Gaussian s (means and log-variances) and k = d for Bernoulli s (logits).
"""

import math
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn

from .bodies import checked
from .classifier import class_cross_entropy
from .draws import normal_like
from .vae import MIN_NOISE_VARIANCE, bernoulli_nll, draw_latents, gaussian_nll, kl_to_standard_normal


class SymmetricVAE(nn.Module):
    """Decoder p(x|y, s) and encoder q(y, s|x) = q(y|x) q(s|x, y), with priors p(y) and p(s).

    Parameters
    ----------
    input_shape : tuple of int
        Shape in which the encoder takes a row: (n_features,) or (channels, height, width).
    priors : sequence of float
        p(y), one a class.
    n_components : int
        Number d of latents s.
    encoder, decoder : callable
        ``encoder(input_shape, n_outputs)`` makes q(y|x) and q(s|x, y), ``decoder(n_classes + d, input_shape)`` what
        p(x|y, s) is centred at, or its logits.
    latent : {"gaussian", "bernoulli"}
        Distribution of s: N(0, I), or bits that are as often 1 as 0.
    likelihood : {"gaussian", "bernoulli"}
        Distribution of x given (y, s).
    objective : {"symmetric", "elbo"}
        What is minimised.
    label_weight : float
        Weight of -log q(y|x) of labelled rows.
    class_weight : tuple of float
        Weights of the classes in the mean of that.
    """

    def __init__(
        self,
        input_shape,
        priors,
        n_components,
        encoder,
        decoder,
        latent,
        likelihood,
        objective,
        label_weight,
        class_weight,
    ):
        super().__init__()
        self.input_shape, self.n_classes, self.n_components = tuple(input_shape), len(priors), n_components
        self.latent, self.likelihood, self.objective = latent, likelihood, objective
        self.label_weight, self.class_weight = label_weight, class_weight
        self.warmth = 1.0  # of training, below 1 while the noise of dreams, or the divergence in the bound, grows
        n_moments = self.n_classes * n_components * (2 if latent == "gaussian" else 1)
        n_latents = self.n_classes + n_components
        self.classifier = checked(encoder(self.input_shape, self.n_classes), self.input_shape, (self.n_classes,))
        self.recognition = checked(encoder(self.input_shape, n_moments), self.input_shape, (n_moments,))
        self.decoder = checked(decoder(n_latents, self.input_shape), (n_latents,), self.input_shape)
        self.register_buffer("log_priors", torch.tensor(priors, dtype=torch.float32).log())
        # of the Gaussian likelihood, known once the training is over: until then it is at its optimum in each batch
        self.register_buffer("noise_variance", torch.ones(()))

    def forward(self, x, y, generator=None):  # rows and the codes of their classes -> (), what a validation measures
        return class_cross_entropy(self.logits(x), y, self.class_weight)

    # what the distributions are

    def logits(self, x):
        """log q(y|x) up to a constant of each row: (n, n_features) -> (n, n_classes)."""
        return self.classifier(x.view(-1, *self.input_shape))

    def probabilities(self, x):
        """q(y|x): (n, n_features) -> (n, n_classes)."""
        return torch.softmax(self.logits(x), dim=1)

    def moments(self, x):
        """Of q(s|x, y) for each class: (n, n_features) -> (n, n_classes, k)."""
        return self.recognition(x.view(-1, *self.input_shape)).unflatten(1, (self.n_classes, -1))

    def means(self, moments):
        """E[s]: (..., k) -> (..., d)."""
        return gaussian(moments)[0] if self.latent == "gaussian" else torch.sigmoid(moments)

    def draw(self, moments, noise):
        """s of what ``draw_noise`` gives: (..., k), (..., d) -> (..., d)."""
        if self.latent == "gaussian":
            return draw_latents(*gaussian(moments), noise)
        return (noise < torch.sigmoid(moments)).to(moments.dtype)

    def draw_noise(self, *shape, generator=None):
        """Standard normal draws for Gaussian s, uniform ones for Bernoulli s, on the device of the module."""
        draw = torch.randn if self.latent == "gaussian" else torch.rand
        return draw(*shape, device=self.log_priors.device, generator=generator)

    def prior_latents(self, noise):
        """s ~ p(s) of what ``draw_noise`` gives: (n, d) -> (n, d)."""
        return noise if self.latent == "gaussian" else (noise < 0.5).to(noise.dtype)

    def log_posterior(self, moments, s):
        """log q(s|x, y): (..., k), (..., d) -> (...)."""
        if self.latent == "bernoulli":
            return -F.binary_cross_entropy_with_logits(moments, s, reduction="none").sum(-1)
        mean, log_var = gaussian(moments)
        return -(math.log(2 * math.pi) + log_var + (s - mean) ** 2 * torch.exp(-log_var)).sum(-1) / 2

    def log_prior(self, s):
        """log p(s): (..., d) -> (...)."""
        if self.latent == "bernoulli":
            return torch.full_like(s, -math.log(2)).sum(-1)
        return -(math.log(2 * math.pi) + s**2).sum(-1) / 2

    def divergence(self, moments):
        """KL(q(s|x, y) || p(s)): (n, k) -> (n,)."""
        if self.latent == "gaussian":
            return kl_to_standard_normal(*gaussian(moments))
        q = torch.sigmoid(moments)
        return (math.log(2) + q * F.logsigmoid(moments) + (1 - q) * F.logsigmoid(-moments)).sum(-1)

    def class_divergence(self, logits):
        """KL(q(y|x) || p(y)): (n, n_classes) -> (n,)."""
        log_q = torch.log_softmax(logits, dim=1)
        return (log_q.exp() * (log_q - self.log_priors)).sum(1)

    def decode(self, y, s):
        """Mean of p(x|y, s), or its logits if it is Bernoulli: (n,), (n, d) -> (n, n_features)."""
        return self.decoder(torch.cat([F.one_hot(y, self.n_classes), s], dim=1)).flatten(1)

    def expected(self, y, s):
        """E[x|y, s]: (n,), (n, d) -> (n, n_features)."""
        return self.decode(y, s) if self.likelihood == "gaussian" else torch.sigmoid(self.decode(y, s))

    def log_likelihood(self, x, y, s):
        """log p(x|y, s) with the noise variance of the trained model: -> (n,)."""
        if self.likelihood == "bernoulli":
            return -bernoulli_nll(x, self.decode(y, s))
        return -gaussian_nll(x, self.decode(y, s), self.noise_variance)

    # the game

    def losses(self, x, y, u, y_u, generator=None):
        """Of labelled rows (x, y) and of rows u of both kinds, y_u negative where there is no label, five means.

        What to minimise, the part of the decoder, -log q(y|x), and the divergences of q(y|u) and q(s|u, y) from their
        priors.
        """
        objective = self.game if self.objective == "symmetric" else self.elbo_loss
        names = ("train_loss", "decoder_loss", "labeled_loss", "divergence_y", "divergence_s")
        return dict(zip(names, objective(x, y, u, y_u, generator), strict=True))

    def game(self, x, y, u, y_u, generator=None):
        """Both players at once: samples of the other are constants, so that neither has gradients in the other's part.

        What each minimises has parameters of its own, and the sum has the gradients of both.
        """
        y_u, s_u, divergences = self.inferred(u, y_u, generator)
        wake, residuals = self.decoder_loss(u, y_u, s_u)
        labeled = class_cross_entropy(self.logits(x), y, self.class_weight)
        y_p, s_p, x_p = self.dreamed(len(u), residuals, y_u, generator)
        dream = self.encoder_loss(x_p, y_p, s_p)
        return wake + self.label_weight * labeled + dream, wake, labeled, *divergences

    @torch.no_grad()
    def inferred(self, x, y, generator=None):
        """The encoder's samples for the decoder: (y, s) ~ q(y, s|x), known y as they are, and both divergences."""
        with evaluating(self.classifier), evaluating(self.recognition):
            logits, moments = self.logits(x), self.moments(x)
        y = torch.where(y < 0, draw_classes(logits, generator), y)
        moments = of_classes(moments, y)
        s = self.draw(moments, self.draw_noise(len(y), self.n_components, generator=generator))
        return y, s, (self.class_divergence(logits).mean(), self.divergence(moments).mean())

    def decoder_loss(self, x, y, s):
        """Mean of -log p(x|y, s), and for a Gaussian likelihood the residuals x - E[x|y, s]: (), (n, n_features)."""
        output = self.decode(y, s)
        if self.likelihood == "bernoulli":
            return bernoulli_nll(x, output).mean(), None
        residuals = x - output
        return optimal_nll(residuals.square().mean(), x.shape[1]), residuals.detach()

    def encoder_loss(self, x, y, s):
        """Mean of -log q(y, s|x)."""
        return F.cross_entropy(self.logits(x), y) - self.log_posterior(of_classes(self.moments(x), y), s).mean()

    @torch.no_grad()
    def dreamed(self, n, residuals, classes, generator=None):
        """The decoder's samples for the encoder: n of (y, s) from the prior and x ~ p(x|y, s).

        The residuals (m, D) and classes (m,) are those of the batch, where the noise of a Gaussian likelihood is from.
        """
        y = draw_classes(self.log_priors.expand(n, -1), generator)
        s = self.prior_latents(self.draw_noise(n, self.n_components, generator=generator))
        with evaluating(self.decoder):
            x = self.expected(y, s)
        if self.likelihood == "bernoulli":
            return y, s, torch.lerp(x, torch.bernoulli(x, generator=generator), self.warmth)
        return y, s, x + self.warmth * dream_noise(residuals, classes, y, generator)

    # the lower bound

    def elbo_loss(self, x, y, u, y_u, generator=None):
        """Negative evidence lower bound of rows u, with y summed out where it is not known, and -log q(y|x)."""
        logits, moments = self.logits(u), self.moments(u)  # (n, n_classes), (n, n_classes, k)
        known = (y_u >= 0)[:, None]
        q = torch.where(known, F.one_hot(y_u.clamp_min(0), self.n_classes), torch.softmax(logits, dim=1))
        classes = torch.arange(self.n_classes, device=u.device).repeat(len(u))
        s = self.draw(moments, self.draw_noise(*q.shape, self.n_components, generator=generator))
        output = self.decode(classes, s.flatten(0, 1)).unflatten(0, q.shape)  # (n, n_classes, n_features)
        each = u[:, None].expand_as(output)
        if self.likelihood == "gaussian":
            error = (q * (each - output).square().mean(2)).sum(1).mean()
            distortion = optimal_nll(error, u.shape[1])
        else:
            nll = F.binary_cross_entropy_with_logits(output, each, reduction="none").sum(2)
            distortion = (q * nll).sum(1).mean()
        class_divergence = self.class_divergence(logits)
        divergence = (q * self.divergence(moments.flatten(0, 1)).view_as(q)).sum(1).mean()
        labeled = class_cross_entropy(self.logits(x), y, self.class_weight)
        rate = divergence + (class_divergence * ~known[:, 0]).mean()
        total = distortion + self.warmth * rate + self.label_weight * labeled
        return total, distortion, labeled, class_divergence.mean(), divergence

    # the trained model

    def latent_means(self, x):
        """E[s] under q(y, s|x): (n, n_features) -> (n, d)."""
        return torch.einsum("nc,ncd->nd", self.probabilities(x), self.means(self.moments(x)))

    def reconstruct(self, x):
        """E[x|y, s] for the most probable y and the mean of its s: (n, n_features) -> (n, n_features)."""
        y = self.logits(x).argmax(1)
        return self.expected(y, self.means(of_classes(self.moments(x), y)))

    def squared_error(self, x, generator=None):
        """Mean over the features, of one reconstruction from a draw of q(y, s|x): (n, n_features) -> (n,)."""
        y, s, _ = self.inferred(x, torch.full((len(x),), -1, device=x.device), generator)
        return (x - self.expected(y, s)).square().mean(1)

    def bound(self, x, noise):
        """log sum_y p(y) 1/k sum_j p(x|y, s_j) p(s_j) / q(s_j|x, y), s_j ~ q(s|x, y) from draws (k, d): -> (n,)."""
        log_weights = []
        for y, moments in enumerate(self.moments(x).unbind(1)):
            classes = torch.full((len(x),), y, device=x.device)
            for draw in noise:
                s = self.draw(moments, draw)
                log_ratio = self.log_prior(s) - self.log_posterior(moments, s)
                log_weights.append(self.log_priors[y] + self.log_likelihood(x, classes, s) + log_ratio)
        return torch.logsumexp(torch.stack(log_weights), 0) - math.log(len(noise))


def gaussian(moments):
    """Means and log-variances: (..., 2 d) -> (..., d), (..., d)."""
    mean, log_var = moments.chunk(2, dim=-1)
    return mean, log_var.clamp(-20, 20)  # what lies far from the training data must not overflow exp


def of_classes(moments, y):
    """The moments of one class for each row: (n, n_classes, k), (n,) -> (n, k)."""
    return moments[torch.arange(len(y), device=y.device), y]


def draw_classes(logits, generator=None):
    """A class for each row with these log-probabilities up to a constant: (n, n_classes) -> (n,)."""
    # any class where a training has diverged, which its loss will tell
    return torch.multinomial(torch.softmax(logits, dim=1).nan_to_num(nan=1.0), 1, generator=generator)[:, 0]


def optimal_nll(squared_error, n_features):
    """min_v of the mean of -log N(x; m, v I), up to a constant: D/2 log v*, v* the mean squared error."""
    return n_features / 2 * torch.log(squared_error + MIN_NOISE_VARIANCE)


def dream_noise(residuals, classes, y, generator=None):
    """Normal draws with the second moments of the residuals of one class each: (m, D), (m,), (n,) -> (n, D).

    The decoder's likelihood has independent noise in each feature. It looks like no data, and what a classifier learns
    from it says little about real rows; how real rows vary around what the decoder gives, it learns from this. A class
    that the batch lacks takes the residuals of all.
    """
    same = (y[:, None] == classes).to(residuals.dtype)
    same = torch.where(same.sum(1, keepdim=True) > 0, same, 1.0)
    return normal_like(same, generator) * (same / same.sum(1, keepdim=True)).sqrt() @ residuals


@contextmanager
def evaluating(network):
    """Let a network compute as in evaluation: the other player's normalisations learn nothing from its samples."""
    was_training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(was_training)
