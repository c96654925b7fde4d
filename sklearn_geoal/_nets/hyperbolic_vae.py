"""The hyperbolic variational autoencoder: Euclidean networks around a latent space of constant negative curvature."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from .._manifolds import lorentz, poincare
from .draws import normal_like
from .vae import VAE, bernoulli_nll, optimal_gaussian_nll

# Radii in units of 1 / sqrt(c). Rounding to float32 moves a space part by 6e-8 sinh(r): at radius 12 by 0.005, at 17 by
# as much as the standard deviation of the prior, where neighbours can no longer be told apart.
MAX_RADIUS = 12.0
# A draw may go so much further from its mean: it need not be precise, but the squares of sinh(32) stay finite.
MAX_STEP = 20.0
# what learning may multiply the curvature by
CURVATURE_FACTORS = (1e-3, 10.0)


class HyperbolicVAE(VAE):
    """Variational autoencoder with a wrapped normal prior and posterior in the space of curvature -c.

    The encoder gives a mean m(x), a vector at the origin, and standard deviations s(x). q(z|x) is the wrapped normal
    distribution around exp0(m(x)), p(z) the one around the origin with standard deviation 1. The KL term is estimated
    from the draw that is decoded.

    Parameters
    ----------
    input_shape, n_components, encoder, decoder, likelihood, beta
        Those of VAE.
    model : {"lorentz", "poincare"}
        Coordinates in which the decoder takes z: the space part on the hyperboloid, or those in the ball.
    curvature : float
        c, or what it starts from.
    learn_curvature : bool
        Whether c is a parameter, within CURVATURE_FACTORS times what it starts from.
    clip_radius : float or None
        Length to which m(x) is cut, at most MAX_RADIUS / sqrt(c).
    bounded : bool
        Whether a tanh ends the decoder.
    """

    def __init__(
        self,
        input_shape,
        n_components,
        encoder,
        decoder,
        likelihood="gaussian",
        beta=1.0,
        model="lorentz",
        curvature=1.0,
        learn_curvature=False,
        clip_radius=1.0,
        bounded=False,
    ):
        super().__init__(input_shape, n_components, encoder, decoder, likelihood, beta)
        self.model = model
        self.clip_radius = math.inf if clip_radius is None else clip_radius
        self.bounded = bounded
        self.curvature = curvature
        self.log_factor = nn.Parameter(torch.zeros(())) if learn_curvature else None

    @property
    def c(self):
        if self.log_factor is None:
            return self.curvature
        bounded = self.log_factor.clamp(*map(math.log, CURVATURE_FACTORS))
        # the gradient passes the bound, or there would be no way back from it
        return self.curvature * torch.exp(self.log_factor + (bounded - self.log_factor).detach())

    def forward(self, x, generator=None):  # (n, n_features) -> ()
        raw = self.encode_raw(x)
        noise = self.cut_noise(normal_like(raw[:, : raw.shape[1] // 2], generator))
        z, kl = DrawAndKL.apply(raw, noise, self.c, self.radius)
        output = self.decode(z)
        distortion = optimal_gaussian_nll(x, output) if self.likelihood == "gaussian" else bernoulli_nll(x, output)
        weight = self.beta * (self.warmth if self.training else 1.0)
        return distortion.mean() + weight * kl

    @property
    def radius(self):
        return min(self.clip_radius, MAX_RADIUS / self.c**0.5)

    def encode_raw(self, x):
        return self.encoder(x.view(-1, *self.input_shape))

    def encode(self, x):
        """Mean, a vector at the origin, and log-variance of q(z|x): (n, n_features) -> (n, d), (n, d)."""
        mean, log_var, _ = as_posterior(self.encode_raw(x), self.radius)
        return mean, log_var

    def posterior(self, x):
        """Mean, a vector at the origin, and standard deviations of q(z|x), in double precision: (n, d), (n, d)."""
        mean, log_var = map(as_double, self.encode(x))
        return mean, torch.exp(log_var / 2)

    def draw(self, mean, std, noise):
        """Space part of a draw from q(z|x), and the vector u = std * noise that it comes from: (n, d), (n, d)."""
        return lorentz.wrapped_draw(mean, std, self.cut_noise(noise), self.c)

    def cut_noise(self, noise):
        return lorentz.clip_norm(noise, MAX_STEP / self.c**0.5)  # no standard deviation is above 1

    def decode(self, z):
        """Mean of p(x|z), or its logits if it is Bernoulli, from the space part of z: (n, d) -> (n, n_features)."""
        coordinates = z if self.model == "lorentz" else poincare.from_lorentz(z, self.c)
        output = super().decode(coordinates.to(self.noise_variance.dtype))
        return torch.tanh(output) if self.bounded else output

    def expected_at(self, u):
        """E[x|z] for the point z that the vector u at the origin leads to: (n, d) -> (n, n_features)."""
        u = lorentz.clip_norm(as_double(u), (MAX_RADIUS + MAX_STEP) / self.c**0.5)
        return self.expected(lorentz.exp0(u, self.c))

    def spread(self, x, generator=None):
        """Variances of q(z|x) and the mean squared error of one reconstruction from it: (n, d), (n,)."""
        mean, std = self.posterior(x)
        z, _ = self.draw(mean, std, normal_like(mean, generator))
        return std.square(), (x - self.expected(z)).square().mean(1)

    def elbo(self, x, noise):
        """E_q[log p(x|z)] - KL(q || p), both from the standard normal draws (k, d): -> (n,)."""
        mean, std = self.posterior(x)
        terms = []
        for draw in noise:
            z, u = self.draw(mean, std, draw)
            terms.append(self.log_likelihood(x, z) - lorentz.kl_to_prior(z, u, mean, std, self.c))
        return torch.stack(terms).mean(0)

    def importance_weighted_bound(self, x, noise):
        """log 1/k sum_k p(x|z_k) p(z_k) / q(z_k|x), z_k ~ q from standard normal draws (k, d): -> (n,)."""
        mean, std = self.posterior(x)
        log_weights = []
        for draw in noise:
            z, u = self.draw(mean, std, draw)
            log_ratio = lorentz.log_prior(z, self.c) - lorentz.log_density_at_draw(u, std, self.c)
            log_weights.append(self.log_likelihood(x, z) + log_ratio)
        return torch.logsumexp(torch.stack(log_weights), 0) - math.log(len(noise))


def as_double(x):
    """For all but the training, where single precision would make a row hang on how many others there are."""
    return x if x.device.type == "mps" else x.double()  # which knows no double precision


def as_posterior(raw, radius):
    """What the encoder's output means: (n, 2 d) -> mean (n, d), log-variance (n, d), factor that cut the mean (n, 1).

    No posterior is wider than the prior: a draw from 100 standard deviations would lie at sinh(100).
    """
    mean, log_odds = raw.chunk(2, dim=1)
    shrink = (mean.square().sum(1, keepdim=True) / radius**2).clamp_min(1).rsqrt()
    return shrink * mean, F.logsigmoid(log_odds.clamp_min(-20)), shrink


class DrawAndKL(torch.autograd.Function):
    """as_posterior, lorentz.wrapped_draw and lorentz.kl_to_prior in one, with a derivative of its own.

    raw (n, 2 d), noise (n, d), c and radius, floats or tensors -> space part of z (n, d), mean of the KL estimates ().

    With m = s mean, u = s std noise and s = sqrt(c), the draw is z = (A m + B u) / s. A, B and the distance of z from
    the origin hang on three numbers a row, |m|^2, p = m . u and |u|^2. The automatic derivatives of so many small
    operations would take longer than a small network.
    """

    @staticmethod
    def forward(ctx, raw, noise, c, radius):
        s = c**0.5
        mean, log_var, shrink = as_posterior(raw, radius)
        std = torch.exp(log_var / 2)
        variance = std.square()
        m, u = s * mean, s * std * noise
        q = torch.stack([m.square().sum(1, keepdim=True), u.square().sum(1, keepdim=True)])
        p = (m * u).sum(1, keepdim=True)
        r = q.clamp_min(1e-20).sqrt()
        cosh, sinhc = torch.cosh(r), torch.sinh(r) / r
        (cosh_m, cosh_u), (sinhc_m, sinhc_u), (slope_m, slope_u) = cosh, sinhc, sinhc_slope(q, cosh, sinhc)
        half, half_u = sinhc / (1 + cosh)
        g = sinhc_m * half  # (cosh(|m|) - 1) / |m|^2
        pg, pu = p * g, p * sinhc_u
        a = sinhc_m * cosh_u + pu * g
        z = (a * m + sinhc_u * u) / s
        # cosh(r) - 1 of the distance r of z from the origin in units of 1 / s
        excess = (q[0] * g * cosh_u + q[1] * sinhc_u * half_u + sinhc_m * pu).clamp_min(1e-20)
        sinh_r = (excess * (excess + 2)).sqrt()
        r = torch.log1p(excess + sinh_r)
        r2, sinhc_r = r.square(), sinh_r / r
        n_further = mean.shape[1] - 1
        stretch = n_further * torch.log(sinhc_r / sinhc_u)
        beyond = r2 - 2 * p - q[1]  # r^2 - |m + u|^2 + |m|^2
        kl = beyond / (2 * c) + stretch + (variance - 1 - log_var).sum(1, keepdim=True) / 2
        # derivative by cosh(r) of r^2 / 2c and the logarithm of its stretch
        kl_r = (1 / c + 2 * n_further * sinhc_slope(r2, excess + 1, sinhc_r) / sinhc_r) / sinhc_r
        ctx.save_for_backward(z)
        ctx.coefficients = (
            *(c, shrink, variance, m, u, q[0], beyond),
            *(a, slope_m * cosh_u + pu * half * (2 * slope_m - g / 2), sinhc_u * g),
            *(sinhc_m * sinhc_u / 2 + slope_u * pg, sinhc_u, slope_u),
            *(kl_r * (sinhc_m * cosh_u / 2 + slope_m * pu), kl_r * (sinhc_m * sinhc_u) - 1 / c),
            kl_r * (cosh_m * sinhc_u / 2 + sinhc_m * slope_u * p) - n_further * (slope_u / sinhc_u) - 1 / (2 * c),
        )
        return z, kl.mean()

    @staticmethod
    def backward(ctx, grad_z, grad_kl):
        # y_x is the derivative of y by x, where m and u stand for their squares
        c, shrink, variance, m, u, m2, beyond, a, a_m, a_p, a_u, b, b_u, kl_m, kl_p, kl_u = ctx.coefficients
        s, grad_kl = c**0.5, grad_kl / len(m)
        grad_sz = grad_z / s
        along_m, along_u = (grad_sz * m).sum(1, keepdim=True), (grad_sz * u).sum(1, keepdim=True)
        grad_p = along_m * a_p + grad_kl * kl_p
        grad_m = a * grad_sz + 2 * (along_m * a_m + grad_kl * kl_m) * m + grad_p * u
        grad_u = b * grad_sz + 2 * (along_m * a_u + along_u * b_u + grad_kl * kl_u) * u + grad_p * m
        m_grad_m = grad_m * m
        radial = m_grad_m.sum(1, keepdim=True) / m2.clamp_min(1e-30) * (shrink < 1)  # what the cut lets not through
        u_grad_u = grad_u * u
        grad_log_odds = (u_grad_u + grad_kl * (variance - 1)) * ((1 - variance) / 2)
        grad_raw = torch.cat([s * shrink * (grad_m - radial * m), grad_log_odds], dim=1)
        grad_c = None
        if ctx.needs_input_grad[2]:
            # through m and u, which are proportional to s, through 1 / s before z and 1 / 2c in kl
            (z,) = ctx.saved_tensors
            by_s = (m_grad_m + u_grad_u - grad_z * z).sum() / s
            grad_c = by_s / (2 * s) - grad_kl * beyond.sum() / (2 * c**2)
        return grad_raw, None, grad_c, None


def sinhc_slope(q, cosh, sinhc):
    """Derivative of sinhc(r) by q = r^2, (cosh(r) - sinhc(r)) / 2q."""
    return torch.where(q < 0.02, q / 60 + 1 / 6, (cosh - sinhc) / (q + q))
