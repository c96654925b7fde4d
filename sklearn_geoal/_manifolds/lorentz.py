"""The hyperboloid: maps, transport, distances and the wrapped normal distribution, from space parts alone.

A point of the space of curvature -c, c > 0, has a time part x_t and a space part x with x_t = sqrt(1/c + |x|^2). Only x
is kept, shape (..., d): a time part that is recomputed cannot disagree with it. A tangent vector v at x is kept as its
space part too; its time part is x . v / x_t. At the origin, x = 0, it is an ordinary vector u and |u| its length.

c is a float or a tensor without axes, through which gradients flow. s = sqrt(c), lengths and distances are in the units
of u. Functions whose values are distances or densities drop the last axis. Values and gradients are finite at the
origin, where points coincide, and in float32 up to 40/s from the origin, far beyond where it tells points apart.
"""

import math

import torch

# below it series replace quotients, whose derivatives would cancel; their next terms are below float64
_SMALL_R2 = 1e-4
_SMALL_A = 3e-3


# --- functions of one number ------------------------------------------------------------------------------------------


def sinhc(r2):
    """sinh(r) / r as a function of r^2, elementwise."""
    r = r2.clamp_min(_SMALL_R2).sqrt()
    t = r2.clamp_max(_SMALL_R2)
    return torch.where(r2 < _SMALL_R2, 1 + t * (1 / 6 + t / 120), torch.sinh(r) / r)


def log_sinhc(r2):
    """log(sinh(r) / r) as a function of r^2, elementwise; finite for any r."""
    r = r2.clamp_min(_SMALL_R2).sqrt()
    t = r2.clamp_max(_SMALL_R2)
    return torch.where(r2 < _SMALL_R2, t * (1 / 6 - t / 180), r + torch.log(-torch.expm1(-2 * r) / (2 * r)))


def _cosh(r2):
    """cosh(r) as a function of r^2."""
    return torch.cosh(r2.clamp_min(1e-30).sqrt())


def _hypot1(a):
    """sqrt(1 + a^2)."""
    return torch.hypot(a, torch.ones_like(a))


def _asinhc(a):
    """asinh(a) / a for a >= 0."""
    large = a.clamp_min(_SMALL_A)
    t = a.clamp_max(_SMALL_A).square()
    return torch.where(a < _SMALL_A, 1 - t * (1 / 6 - t * (3 / 40)), torch.asinh(large) / large)


def _norm(x):
    """|x| over the last axis, which stays with length 1; gradient 0 at 0."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True)


def _dot(x, y):
    return (x * y).sum(-1, keepdim=True)


# --- the manifold -----------------------------------------------------------------------------------------------------


def time_part(x, c):
    """x_t = sqrt(1/c + |x|^2): (..., d) -> (..., 1)."""
    s = c**0.5
    return _hypot1(s * _norm(x)) / s


def exp0(u, c):
    """x = sinhc(s|u|) u, the point that the geodesic from the origin along u reaches at length |u|: (..., d)."""
    return sinhc(c * _dot(u, u)) * u


def log0(x, c):
    """u = asinh(s|x|) / (s|x|) x, the inverse of exp0: (..., d)."""
    return _asinhc(c**0.5 * _norm(x)) * x


def transport0(x, u, c):
    """v = u + c (x . u) / (1 + s x_t) x, the tangent vector u at the origin moved along the geodesic to x: (..., d)."""
    sx = c**0.5 * x
    b = sx / (1 + _hypot1(_norm(sx)))
    return u + _dot(b, u) * sx


def _back_to_origin(x, v, c):
    """u = v - (b . v) b (1 + 1 / (s x_t)) with b = s x / (1 + s x_t), the inverse of transport0: (..., d)."""
    sx = c**0.5 * x
    time = _hypot1(_norm(sx))
    b = sx / (1 + time)
    return v - _dot(b, v) * b * (1 + 1 / time)


def transport(x, y, v, c):
    """v + c <y, v> / (1 - c <x, y>) (x + y), the tangent vector v at x moved along the geodesic to y: (..., d).

    <x, y> = x . y - x_t y_t. Here <y, v> = <y - x, v> and 1 - c <x, y> = 2 + 2 sinh^2(s d / 2), which do not cancel.
    """
    step, total = y - x, x + y
    x_t = time_part(x, c)
    step_t = _dot(step, total) / (x_t + time_part(y, c))
    product = _dot(step, v) - step_t * (_dot(x, v) / x_t)
    return v + c * product / (2 + 2 * _half_sinh(x, y, c).square()).to(v.dtype) * total


def exp(x, v, c):
    """y = cosh(s|v|) x + sinhc(s|v|) v, where the geodesic from x along v ends; |v| its length at x: (..., d)."""
    u = _back_to_origin(x, v, c)
    r2 = c * _dot(u, u)
    return _cosh(r2) * x + sinhc(r2) * v


def log(x, y, c):
    """v = (y - cosh(s d) x) / sinhc(s d), the inverse of exp at x, d the distance of x and y: (..., d).

    y - cosh(s d) x is computed as (y - x) - 2 sinh^2(s d / 2) x, so that near points keep their digits.
    """
    h = _half_sinh(x, y, c)
    v = (y - x - 2 * h.square() * x) / sinhc(4 * torch.asinh(h).square())
    return v.to(torch.promote_types(x.dtype, y.dtype))


def distance(x, y, c):
    """d with sinh^2(s d / 2) = sinh^2((a - b) / 2) + sinh(a) sinh(b) sin^2(t / 2): (..., d), (..., d) -> (...).

    a = asinh(s|x|) and b = asinh(s|y|) are the radii and t is the angle between x and y. Both terms are positive and
    come from x - y without cancellation, in any direction and at any radius; in float64, whatever x and y are in.
    """
    d = 2 / c**0.5 * torch.asinh(_half_sinh(x, y, c)).squeeze(-1)
    return d.to(torch.promote_types(x.dtype, y.dtype))


def distance0(x, c):
    """d = asinh(s|x|) / s, the distance from the origin: (..., d) -> (...)."""
    s = c**0.5
    return (torch.asinh(s * _norm(x)) / s).squeeze(-1)


def _half_sinh(x, y, c):
    """sinh(s d / 2) in float64 with d the distance of x and y: (..., 1). See distance."""
    # what lies between two points far out is smaller than float32 rounds the terms to
    x, y = x.double(), y.double()
    s = c**0.5
    p, q = _norm(x), _norm(y)
    step = x - y
    # sinh(a - b) = sinh(a) cosh(b) - cosh(a) sinh(b), the difference taken before it is rounded
    weight = p * _hypot1(s * q) + q * _hypot1(s * p)
    radial = s * _dot(step, (x + y) / torch.where(weight > 0, weight, 1.0)).abs()
    radial = radial / (2 * (1 + _hypot1(radial))).sqrt()
    # 2 sqrt(|x| |y|) sin(t / 2): up to a right angle x - y without its part along the bisector, beyond it by the cosine
    x_unit, y_unit = x / p.clamp_min(1e-38), y / q.clamp_min(1e-38)
    cosine = _dot(x_unit, y_unit)
    acute = cosine > 0
    bisector = x_unit + y_unit
    bisector = bisector / _norm(torch.where(acute, bisector, 1.0))
    across = _norm(step - _dot(step, bisector) * bisector) / torch.where(acute, p + q, 1.0)
    half_sine = torch.where(acute, across, ((1 - torch.where(acute, 0.0, cosine)) / 2).sqrt())
    angular = s * _root(p) * _root(q) * half_sine
    # its length, since hypot has no gradient at (0, 0)
    return _norm(torch.cat([radial, angular], dim=-1))


def _root(a):
    """sqrt(a) for a >= 0 with gradient 0 at 0."""
    positive = a > 0
    return torch.where(positive, torch.where(positive, a, 1.0).sqrt(), 0.0)


# --- the wrapped normal distribution ----------------------------------------------------------------------------------


def clip_norm(u, radius):
    """min(1, radius / |u|) u, vectors cut to a length: (..., d)."""
    return u * (_dot(u, u) / radius**2).clamp_min(1).rsqrt()


def wrapped_draw(mean, std, noise, c):
    """A draw z from the wrapped normal distribution, and the vector u = std * noise that it comes from.

    z = cosh(s|u|) mu + sinhc(s|u|) v with mu = exp0(mean) and v = transport0(mu, u): a Gaussian vector at the origin is
    moved to mu and followed from there (Nagano et al. 2019).

    Parameters
    ----------
    mean, std, noise : tensors of shape (..., d)
        Tangent vector at the origin that points to the location mu, standard deviations in the units of the tangent
        vectors, standard normal numbers.
    c : float or tensor

    Returns
    -------
    z, u : tensors of shape (..., d)
        Space part of the draw, tangent vector at the origin before it was moved.
    """
    u = std * noise
    mu = exp0(mean, c)
    r2 = c * _dot(u, u)
    return _cosh(r2) * mu + sinhc(r2) * transport0(mu, u, c), u


def log_density_at_draw(u, std, c):
    """log q(z) = sum_i log N(u_i; 0, std_i^2) - (d - 1) log sinhc(s|u|) at the z that was drawn with u: -> (...)."""
    gaussian = -(u / std).square() / 2 - torch.log(std) - math.log(2 * math.pi) / 2
    return gaussian.sum(-1) - _log_volume(u, c)


def log_density(z, mean, std, c):
    """log q(z) at any z: log_density_at_draw with u = log0(w), w the z seen from mu = exp0(mean): (..., d) -> (...).

    The boost that takes mu to the origin gives w = D + s mu (s mu . D / (1 + s mu_t) - D_t), D = z - mu. Where z and mu
    lie more than some ten 1/s from the origin, use float64.
    """
    mu = exp0(mean, c)
    s = c**0.5
    mu_t = time_part(mu, c)
    step = z - mu
    step_t = _dot(step, z + mu) / (time_part(z, c) + mu_t)
    seen = step + s * mu * (_dot(s * mu / (1 + s * mu_t), step) - step_t)
    return log_density_at_draw(log0(seen, c), std.expand_as(seen), c)


def log_prior(z, c, std=1.0):
    """log p(z) of the wrapped normal distribution around the origin with one standard deviation in all directions.

    log p(z) = -r^2 / (2 std^2) - d log(sqrt(2 pi) std) - (d - 1) log sinhc(s r), r the distance of z from the origin,
    and sinhc(s r) = s|z| / asinh(s|z|): (..., d) -> (...).
    """
    s = c**0.5
    length = _norm(z)
    shrink = _asinhc(s * length)
    log_volume = (1 - z.shape[-1]) * torch.log(shrink)
    gaussian = -(shrink * length / std).square() / 2 - z.shape[-1] * math.log(math.sqrt(2 * math.pi) * std)
    return (gaussian - log_volume).squeeze(-1)


def kl_to_prior(z, u, mean, std, c, prior_std=1.0):
    """KL(q || p) from one draw z, u = wrapped_draw(mean, ...), the tangent Gaussians' part known: (..., d) -> (...).

    KL(N(mean, std^2) || N(0, tau^2)) + (r^2 - |mean + u|^2) / (2 tau^2) + (d - 1) (log sinhc(s r) - log sinhc(s|u|)),
    tau = prior_std, r the distance of z from the origin: log q(z) - log p(z) with what is Gaussian in it replaced by
    its expectation. Exact for mean = 0 and for c -> 0, with less spread elsewhere.
    """
    s = c**0.5
    length = _norm(z)
    shrink = _asinhc(s * length)
    square = (mean.square() + std.square() - (mean + u).square()).sum(-1) + (shrink * length).square().squeeze(-1)
    gaussian = square / (2 * prior_std**2) - (torch.log(std) + 0.5 - math.log(prior_std)).sum(-1)
    return gaussian + (1 - z.shape[-1]) * torch.log(shrink).squeeze(-1) - _log_volume(u, c)


def _log_volume(u, c):
    """(d - 1) log sinhc(s|u|), how much exp stretches the volume at u: (..., d) -> (...)."""
    return (u.shape[-1] - 1) * log_sinhc(c * _dot(u, u)).squeeze(-1)
