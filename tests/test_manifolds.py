"""Hyperbolic space: identities in float64, digits in float32, the two models agree, finite where formulas are not."""

import math

import mpmath
import numpy as np
import pytest
import torch

from sklearn_geoal._manifolds import lorentz, poincare, polar

CURVATURES = (0.3, 1.0, 2.5)
each_curvature = pytest.mark.parametrize("c", CURVATURES)


def normal(*shape, seed=0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(*shape, generator=generator, dtype=torch.float64)


def points(c, n=50, d=4):
    """Three points a row, space parts, up to some 5/s from the origin."""
    return tuple(lorentz.exp0(normal(n, d, seed=seed, scale=1.5 / math.sqrt(c)), c) for seed in range(3))


def close(a, b, tolerance=1e-8):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def lorentz_product(x, v, y, w, c):
    """<v, w> of tangent vectors with their time parts, v at x and w at y."""
    v_t = (x * v).sum(-1) / lorentz.time_part(x, c)[..., 0]
    w_t = (y * w).sum(-1) / lorentz.time_part(y, c)[..., 0]
    return (v * w).sum(-1) - v_t * w_t


# --- the hyperboloid --------------------------------------------------------------------------------------------------


@each_curvature
def test_points_lie_on_the_hyperboloid(c):
    x, *_ = points(c)
    close(lorentz.time_part(x, c)[..., 0] ** 2 - (x**2).sum(-1), torch.full((50,), 1 / c, dtype=torch.float64))


@each_curvature
def test_maps_at_the_origin(c):
    u = normal(50, 4, scale=2 / math.sqrt(c))
    x = lorentz.exp0(u, c)
    close(lorentz.log0(x, c), u)
    close(lorentz.distance0(x, c), u.norm(dim=-1))
    close(lorentz.distance(x, torch.zeros_like(x), c), u.norm(dim=-1))
    close(lorentz.exp(torch.zeros_like(u), u, c), x)
    close(lorentz.log(torch.zeros_like(u), x, c), u)


@each_curvature
def test_maps_at_a_point(c):
    x, y, _ = points(c)
    v = lorentz.log(x, y, c)
    close(lorentz.exp(x, v, c), y, 1e-6)
    close(lorentz_product(x, v, x, v, c), lorentz.distance(x, y, c) ** 2)


@each_curvature
def test_transport(c):
    x, y, z = points(c)
    v, w = lorentz.transport0(x, normal(50, 4, seed=7), c), lorentz.log(x, z, c)
    moved = [lorentz.transport(x, y, vector, c) for vector in (v, w)]
    close(lorentz_product(y, moved[0], y, moved[1], c), lorentz_product(x, v, x, w, c), 1e-5)  # an isometry
    close(lorentz.transport(y, x, moved[0], c), v, 1e-6)
    # a geodesic keeps its direction
    close(lorentz.transport(x, y, lorentz.log(x, y, c), c), -lorentz.log(y, x, c), 1e-6)
    close(lorentz.transport(torch.zeros_like(x), x, normal(50, 4, seed=7), c), v)


@each_curvature
def test_distance_is_a_metric(c):
    x, y, z = points(c)
    close(lorentz.distance(x, y, c), lorentz.distance(y, x, c))
    assert (lorentz.distance(x, x, c) == 0).all()
    assert (lorentz.distance(x, z, c) <= lorentz.distance(x, y, c) + lorentz.distance(y, z, c) + 1e-12).all()


def test_distance_broadcasts_and_promotes():
    x, y, _ = points(1.0)
    pairwise = lorentz.distance(x[:, None], y[None], 1.0)
    assert pairwise.shape == (50, 50)
    close(pairwise.diagonal(), lorentz.distance(x, y, 1.0))
    assert lorentz.distance(x.float(), y.float(), 1.0).dtype == torch.float32
    assert lorentz.distance(x.float(), y, 1.0).dtype == torch.float64


def test_flat_limit():
    x, y = normal(50, 4), normal(50, 4, seed=1)
    close(lorentz.distance(x, y, 1e-10), (x - y).norm(dim=-1))
    close(lorentz.exp(x, y, 1e-10), x + y)
    close(lorentz.transport(x, y, x, 1e-10), x)
    std = torch.rand_like(x) + 0.5
    gaussian = torch.distributions.Normal(x, std).log_prob(y).sum(-1)
    close(lorentz.log_density(y, x, std, 1e-10), gaussian)
    close(poincare.distance(x / 2, y / 2, 1e-10), (x - y).norm(dim=-1))


def exact_distance(x, y, c):
    x, y = ([mpmath.mpf(value) for value in point.tolist()] for point in (x, y))
    x_t, y_t = (mpmath.sqrt(1 / mpmath.mpf(c) + mpmath.fdot(point, point)) for point in (x, y))
    return mpmath.acosh(c * (x_t * y_t - mpmath.fdot(x, y))) / mpmath.sqrt(c)


@pytest.mark.parametrize("direction", ["radial", "tangential", "any"])
@pytest.mark.parametrize("separation", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("radius", [1e-2, 1.0, 6.0, 12.0])
@pytest.mark.parametrize("c", [0.3, 1.0])
def test_distance_keeps_its_digits_in_float32(c, radius, separation, direction):
    out = torch.nn.functional.normalize(normal(8, 3), dim=-1)
    along = normal(8, 3, seed=1)
    if direction == "tangential":
        along = along - (along * out).sum(-1, keepdim=True) * out
    along = out if direction == "radial" else torch.nn.functional.normalize(along, dim=-1)
    x = lorentz.exp0(radius / math.sqrt(c) * out, c)
    y = lorentz.exp(x, lorentz.transport0(x, separation / math.sqrt(c) * along, c), c)
    x, y = x.float(), y.float()
    with mpmath.workdps(60):
        exact = [float(exact_distance(a, b, c)) if (a != b).any() else 0.0 for a, b in zip(x, y, strict=True)]
    torch.testing.assert_close(lorentz.distance(x, y, c), torch.tensor(exact), rtol=5e-7, atol=0)


# --- the ball ---------------------------------------------------------------------------------------------------------


@each_curvature
def test_models_agree(c):
    x, y, _ = points(c)
    u = normal(50, 4, seed=8)
    a, b = poincare.from_lorentz(x, c), poincare.from_lorentz(y, c)
    close(poincare.to_lorentz(a, c), x)
    close(poincare.exp0(u, c), poincare.from_lorentz(lorentz.exp0(u, c), c))
    close(poincare.log0(a, c), lorentz.log0(x, c))
    close(poincare.distance(a, b, c), lorentz.distance(x, y, c))
    # a tangent vector of the ball is the one of the hyperboloid before it was moved from the origin
    close(poincare.exp(a, u, c), poincare.from_lorentz(lorentz.exp(x, lorentz.transport0(x, u, c), c), c))
    close(lorentz.transport0(x, poincare.log(a, b, c), c), lorentz.log(x, y, c), 1e-6)
    moved = lorentz.transport(x, y, lorentz.transport0(x, u, c), c)
    close(lorentz.transport0(y, poincare.transport(a, b, u, c), c), moved, 1e-5)


@each_curvature
def test_ball_identities(c):
    a, b = (poincare.from_lorentz(x, c) for x in points(c)[:2])
    v = poincare.log(a, b, c)
    close(poincare.exp(a, v, c), b)
    close(v.norm(dim=-1), poincare.distance(a, b, c))
    u = normal(50, 4, seed=8)
    moved = poincare.transport(a, b, u, c)
    close(moved.norm(dim=-1), u.norm(dim=-1))
    close(poincare.transport(b, a, moved, c), u)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ball_is_open(dtype):
    u = torch.tensor([[50.0, 0.0, 0.0], [0.0, 30.0, 30.0]], dtype=dtype)
    for y in (poincare.exp0(u, 0.3), poincare.from_lorentz(lorentz.exp0(u / 2, 0.3), 0.3)):
        assert (y.norm(dim=-1) < 1 / math.sqrt(0.3)).all()
        assert poincare.log0(y, 0.3).isfinite().all() and poincare.distance(y, -y, 0.3).isfinite().all()


# --- the wrapped normal distribution ----------------------------------------------------------------------------------


@each_curvature
def test_density_of_a_draw(c):
    mean, std = normal(50, 4), normal(50, 4, seed=1).abs() + 0.1
    z, u = lorentz.wrapped_draw(mean, std, normal(50, 4, seed=2), c)
    mu = lorentz.exp0(mean, c)
    close(z, lorentz.exp(mu, lorentz.transport0(mu, u, c), c), 1e-6)
    close(lorentz.log_density(z, mean, std, c), lorentz.log_density_at_draw(u, std, c), 1e-6)
    same = lorentz.log_density(z, torch.zeros_like(mean), torch.full_like(std, 1.7), c)
    close(lorentz.log_prior(z, c, 1.7), same)


@each_curvature
def test_density_integrates_to_one(c):
    # polar coordinates around the origin: the circle of radius r is 2 pi sinh(s r) / s long
    s = math.sqrt(c)
    r = torch.linspace(0, 14 / s, 2001, dtype=torch.float64)
    angle = torch.linspace(0, 2 * math.pi, 401, dtype=torch.float64)[:-1]
    u = r[:, None, None] * torch.stack([angle.cos(), angle.sin()], dim=-1)
    mean, std = torch.tensor([0.6, -0.3], dtype=torch.float64) / s, torch.tensor([0.5, 0.9], dtype=torch.float64) / s
    density = lorentz.log_density(lorentz.exp0(u, c), mean, std, c).exp().mean(1) * 2 * math.pi
    assert torch.trapezoid(density * torch.sinh(s * r) / s, r).item() == pytest.approx(1, abs=1e-4)


def gaussian_kl(mean, std, prior_std=1.0):
    normal_distribution = torch.distributions.Normal
    kl = torch.distributions.kl_divergence(
        normal_distribution(mean, std), normal_distribution(0 * mean, 0 * std + prior_std)
    )
    return kl.sum(-1)


def test_kl_at_the_origin_is_the_gaussian_one():
    std = torch.tensor([0.3, 1.0, 1.8], dtype=torch.float64).expand(100_000, 3)
    mean = torch.zeros_like(std)
    z, u = lorentz.wrapped_draw(mean, std, normal(*mean.shape), 1.0)
    close(lorentz.kl_to_prior(z, u, mean, std, 1.0, 0.7), gaussian_kl(mean, std, 0.7))


def test_kl_in_the_flat_limit_is_the_gaussian_one():
    mean, std = normal(50, 4), normal(50, 4, seed=1).abs() + 0.1
    z, u = lorentz.wrapped_draw(mean, std, normal(50, 4, seed=2), 1e-10)
    close(lorentz.kl_to_prior(z, u, mean, std, 1e-10), gaussian_kl(mean, std), 1e-6)


@each_curvature
@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0])
def test_kl_has_the_expectation_of_the_plain_estimate_and_less_spread(c, spread):
    mean, std = normal(1, 8, scale=0.3).expand(50_000, 8), torch.full((50_000, 8), spread, dtype=torch.float64)
    z, u = lorentz.wrapped_draw(mean, std, normal(50_000, 8, seed=1), c)
    plain = lorentz.log_density_at_draw(u, std, c) - lorentz.log_prior(z, c, 0.8)
    kl = lorentz.kl_to_prior(z, u, mean, std, c, prior_std=0.8)
    difference = plain - kl
    assert abs(difference.mean()) < 5 * difference.std() / math.sqrt(len(kl))
    assert kl.std() < 0.8 * plain.std()


def test_clip_norm():
    u = normal(50, 4)
    clipped = lorentz.clip_norm(u, 1.5)
    close(clipped.norm(dim=-1), u.norm(dim=-1).clamp_max(1.5))
    inside = u.norm(dim=-1) < 1.5
    assert torch.equal(clipped[inside], u[inside])
    close(torch.nn.functional.normalize(clipped, dim=-1), torch.nn.functional.normalize(u, dim=-1))


# --- gradients --------------------------------------------------------------------------------------------------------

FUNCTIONS = {
    "time_part": lambda x, y, v, c: lorentz.time_part(x, c),
    "exp0": lambda x, y, v, c: lorentz.exp0(lorentz.log0(x, c), c),
    "log0": lambda x, y, v, c: lorentz.log0(x, c),
    "transport0": lambda x, y, v, c: lorentz.transport0(x, v, c),
    "transport": lorentz.transport,
    "exp": lambda x, y, v, c: lorentz.exp(x, v, c),
    "log": lambda x, y, v, c: lorentz.log(x, y, c),
    "distance": lambda x, y, v, c: lorentz.distance(x, y, c),
    "distance0": lambda x, y, v, c: lorentz.distance0(x, c),
    "clip_norm": lambda x, y, v, c: lorentz.clip_norm(x, 0.75),
    "wrapped_draw": lambda x, y, v, c: lorentz.wrapped_draw(lorentz.log0(x, c), 0.5 + y**2 / (1 + y**2), v, c),
    "log_density": lambda x, y, v, c: lorentz.log_density(x, v, 0.5 + y**2 / (1 + y**2), c),
    "log_prior": lambda x, y, v, c: lorentz.log_prior(x, c),
    "kl_to_prior": lambda x, y, v, c: lorentz.kl_to_prior(x, v, y, 0.5 + y**2 / (1 + y**2), c),
    "ball": lambda x, y, v, c: poincare.to_lorentz(poincare.from_lorentz(x, c), c),
    "ball exp0": lambda x, y, v, c: poincare.exp0(v, c),
    "ball log0": lambda x, y, v, c: poincare.log0(poincare.from_lorentz(x, c), c),
    "ball exp": lambda x, y, v, c: poincare.exp(poincare.from_lorentz(x, c), v, c),
    "ball log": lambda x, y, v, c: poincare.log(poincare.from_lorentz(x, c), poincare.from_lorentz(y, c), c),
    "ball distance": lambda x, y, v, c: poincare.distance(poincare.from_lorentz(x, c), poincare.from_lorentz(y, c), c),
    "ball transport": lambda x, y, v, c: poincare.transport(
        poincare.from_lorentz(x, c), poincare.from_lorentz(y, c), v, c
    ),
}
each_function = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)


@each_function
def test_gradients(function):
    x, y, v = (normal(3, 4, seed=seed).requires_grad_() for seed in range(3))
    assert torch.autograd.gradcheck(function, (x, y, v, torch.tensor(0.7, dtype=torch.float64, requires_grad=True)))


@each_function
@pytest.mark.parametrize("radius", [0.0, 1e-25, 1e-8, 1e-2, 0.75, 12.0, 40.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_finite_at_the_origin_where_points_coincide_and_far_out(function, radius, dtype):
    directions = torch.cat([torch.eye(4, dtype=torch.float64), torch.nn.functional.normalize(normal(4, 4), dim=-1)])
    x = lorentz.exp0((radius * directions).to(dtype), 1.0)
    v = normal(8, 4, seed=1).to(dtype)
    for y in (x, -x, x.flip(0), torch.zeros_like(x)):
        for vector in (v, torch.zeros_like(v)):
            arguments = [value.clone().requires_grad_() for value in (x, y, vector, torch.tensor(1.0, dtype=dtype))]
            values = function(*arguments)
            values = values if isinstance(values, tuple) else (values,)
            assert all(value.isfinite().all() for value in values)
            total = sum(value.sum() for value in values)
            gradients = torch.autograd.grad(total, arguments, allow_unused=True)
            assert all(gradient.isfinite().all() for gradient in gradients if gradient is not None)


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 2e-4), (torch.float64, 1e-11)])
def test_functions_of_one_number_against_more_digits(dtype, tolerance):
    # both sides of where the series end, values and derivatives
    r2 = torch.logspace(-9, 3, 121, dtype=torch.float64).to(dtype).requires_grad_()
    with mpmath.workdps(40):
        exact = [mpmath.mpf(value) for value in r2.tolist()]
        for function, reference in (
            (lorentz.sinhc, lambda t: mpmath.sinh(mpmath.sqrt(t)) / mpmath.sqrt(t)),
            (lorentz.log_sinhc, lambda t: mpmath.log(mpmath.sinh(mpmath.sqrt(t)) / mpmath.sqrt(t))),
        ):
            values = function(r2)
            (slopes,) = torch.autograd.grad(values.sum(), r2)
            # a slope in r is what the maps see of one in r^2
            for got, wanted in (
                (values, [float(reference(t)) for t in exact]),
                (slopes * r2.sqrt(), [float(mpmath.diff(reference, t) * mpmath.sqrt(t)) for t in exact]),
            ):
                torch.testing.assert_close(
                    got.detach(), torch.tensor(wanted, dtype=dtype), rtol=tolerance, atol=tolerance
                )


# --- polar coordinates ------------------------------------------------------------------------------------------------


@each_curvature
def test_polar_coordinates_do_not_depend_on_the_model(c):
    x, *_ = points(c)
    u = lorentz.log0(x, c)
    models = {
        "tangent": u,
        "lorentz": torch.hstack([lorentz.time_part(x, c), x]),
        "poincare": poincare.from_lorentz(x, c),
    }
    radius = math.sqrt(c) * u.norm(dim=1, keepdim=True)
    expected = torch.hstack([radius, math.sqrt(c) * u / radius]).numpy()
    for model, coordinates in models.items():
        np.testing.assert_allclose(polar.polar_coordinates(coordinates.numpy(), model, c), expected, rtol=1e-8)


@each_curvature
def test_blocks_of_polar_coordinates_make_up_the_matrix_of_distances(c, monkeypatch):
    monkeypatch.setattr(polar, "_BLOCK_VALUES", 100)
    x, y, _ = points(c)
    first, second = (polar.polar_coordinates(lorentz.log0(z, c).numpy(), "tangent", c) for z in (x, y[:30]))
    rows, half_sinh = zip(*polar.half_sinh_blocks(first, second), strict=True)
    assert [len(block) for block in half_sinh] == [3] * 16 + [2] and rows[1] == slice(3, 6)
    expected = lorentz.distance(x[:, None], y[None, :30], c)
    np.testing.assert_allclose(2 / math.sqrt(c) * np.arcsinh(np.vstack(half_sinh)), expected, rtol=1e-8)


def test_origin_has_polar_coordinates_without_direction():
    for model, origin in (("tangent", [0.0, 0.0]), ("lorentz", [1.0, 0.0, 0.0]), ("poincare", [0.0, 0.0])):
        np.testing.assert_array_equal(polar.polar_coordinates(np.array([origin]), model, 1.0), [[0, 0, 0]])
