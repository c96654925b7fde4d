"""The Poincare ball: the same space as lorentz.py, seen as the inside of a ball of radius 1/sqrt(c).

A point of the space of curvature -c, c > 0, has ball coordinates y of shape (..., d), |y| < 1/s with s = sqrt(c). A
tangent vector at y is given in the orthonormal frame along the axes, so that |v| is its length, in units of distance:
its ball coordinates are v (1 - c|y|^2) / 2. At the origin it is the vector u of lorentz.py, and transport from the
origin leaves it as it is.

Ball coordinates in float32 end some 17/s from the origin, those in float64 some 36/s: farther points are moved there.
"""

import torch

from .lorentz import _asinhc, _dot, _hypot1, _norm, clip_norm


def from_lorentz(x, c):
    """y = x / (1 + s x_t), ball coordinates of the point with space part x: (..., d)."""
    s = c**0.5
    return _inside(x / (1 + _hypot1(s * _norm(x))), c)


def to_lorentz(y, c):
    """x = 2 y / (1 - c|y|^2), the space part on the hyperboloid: (..., d)."""
    return 2 * y / _to_boundary(y, c)


def exp0(u, c):
    """y = tanh(s|u| / 2) / (s|u|) u, the point that the geodesic from the origin along u reaches at length |u|."""
    half = c**0.5 / 2 * _norm(u)
    some = half > 0
    return _inside(torch.where(some, torch.tanh(half) / torch.where(some, half, 1.0), 1.0) / 2 * u, c)


def log0(y, c):
    """u = 2 artanh(s|y|) / (s|y|) y, the inverse of exp0: (..., d)."""
    # artanh(a) = asinh(a / sqrt(1 - a^2))
    root = _to_boundary(y, c).sqrt()
    return 2 * _asinhc(c**0.5 * _norm(y) / root) / root * y


def exp(x, v, c):
    """x + exp0(v) in the sense of Moebius, where the geodesic from x along v ends: (..., d).

    x + w = ((1 + 2c x . w + c|w|^2) x + (1 - c|x|^2) w) / (1 + 2c x . w + c^2 |x|^2 |w|^2)
    """
    w = exp0(v, c)
    xw, xx, ww = c * _dot(x, w), c * _dot(x, x), c * _dot(w, w)
    return _inside(((1 + 2 * xw + ww) * x + _to_boundary(x, c) * w) / (1 + 2 * xw + xx * ww), c)


def log(x, y, c):
    """v = d m / |m| with m = (1 - c|x|^2) (y - x) - c |y - x|^2 x, the inverse of exp at x: (..., d)."""
    step = y - x
    at_x, at_y = _to_boundary(x, c), _to_boundary(y, c)
    h = _half_sinh(x, y, c)
    m = step - c * _dot(step, step) / at_x * x
    # |m| = sinh(s d / 2) cosh(s d / 2) (1 - c|y|^2) / s
    return 2 * _asinhc(h) / (_hypot1(h) * at_y) * m


def transport(x, y, v, c):
    """The gyration of v by y and -x, the tangent vector v at x moved along the geodesic to y: (..., d).

    v + 2 (p D + q x) / ((1 - c|x|^2) (1 - c|y|^2) + c|D|^2), D = y - x, with p = c (2c (x . D) (x . v)
    - (1 - c|x|^2) x . v - c|x|^2 D . v) and q = c ((1 - c|x|^2) D . v - c|D|^2 x . v): no term is large if D is small.
    """
    step = y - x
    at_x, at_y = _to_boundary(x, c), _to_boundary(y, c)
    xv, dv, dd = _dot(x, v), _dot(step, v), c * _dot(step, step)
    p = c * (2 * c * _dot(x, step) * xv - at_x * xv - c * _dot(x, x) * dv)
    q = c * (at_x * dv - dd * xv)
    return v + 2 * (p * step + q * x) / (at_x * at_y + dd)


def distance(x, y, c):
    """d with sinh(s d / 2) = s|x - y| / sqrt((1 - c|x|^2) (1 - c|y|^2)): (..., d), (..., d) -> (...)."""
    return (2 / c**0.5 * torch.asinh(_half_sinh(x, y, c))).squeeze(-1)


def _half_sinh(x, y, c):
    return c**0.5 * _norm(x - y) / (_to_boundary(x, c) * _to_boundary(y, c)).sqrt()


def _to_boundary(y, c):
    """1 - c|y|^2, with the digits that a square near 1 has lost: (..., d) -> (..., 1)."""
    length = c**0.5 * _norm(y)
    return (1 - length) * (1 + length)


def _inside(y, c):
    """y, or where rounding has put it on the boundary the nearest point that is surely inside."""
    return clip_norm(y, (1 - 4 * torch.finfo(y.dtype).eps) / c**0.5)
